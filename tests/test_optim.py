"""SGD against the update written out by hand, in PyTorch's form: v = momentum v + g, p -= lr v."""

import numpy as np
import pytest

from tinygrad_mlp import MLP, SGD, Tensor, mse
from tinygrad_mlp.errors import GradientError, TinygradMLPError
from tinygrad_mlp.optim import BLOCK

SHAPES = [(3, 2), (), (5,), (0, 2)]
LARGE = [(BLOCK,), (BLOCK + 1,), (2 * BLOCK,), (3, BLOCK // 2 + 7)]


def parameters(shapes, dtype=float, seed=0):
    rng = np.random.default_rng(seed)
    return [
        Tensor(np.asarray(rng.normal(size=s), dtype), requires_grad=True, name=f"p[{i}]")
        for i, s in enumerate(shapes)
    ]


def give_gradients(params, seed):
    rng = np.random.default_rng(seed)
    for p in params:
        p.grad = np.asarray(rng.normal(size=p.shape), p.dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shapes", [SHAPES, LARGE], ids=["small", "large"])
def test_a_step_is_the_gradient_times_the_rate(shapes, dtype):
    params = parameters(shapes, dtype)
    arrays = [p.data for p in params]
    expected = [a.copy() for a in arrays]
    optimizer = SGD(params, 0.1)
    for k in range(3):
        give_gradients(params, k)
        gradients = [p.grad.copy() for p in params]
        optimizer.step()
        for p, a, e, g in zip(params, arrays, expected, gradients, strict=True):
            e -= 0.1 * g
            assert p.data is a  # in place
            assert p.dtype == dtype
            np.testing.assert_array_equal(p.data, e)
            np.testing.assert_array_equal(p.grad, g)  # the gradient stays


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shapes", [SHAPES, LARGE], ids=["small", "large"])
def test_momentum_adds_up_gradients(shapes, dtype):
    params = parameters(shapes, dtype)
    arrays = [p.data for p in params]
    expected = [a.copy() for a in arrays]
    velocity = [np.zeros_like(a) for a in arrays]
    optimizer = SGD(params, 0.1, momentum=0.9)
    for k in range(4):
        give_gradients(params, k)
        gradients = [p.grad.copy() for p in params]
        optimizer.step()
        for i, (p, g) in enumerate(zip(params, gradients, strict=True)):
            velocity[i] = 0.9 * velocity[i] + g
            expected[i] = expected[i] - 0.1 * velocity[i]
            assert p.data is arrays[i]
            assert p.dtype == dtype
            np.testing.assert_array_equal(p.data, expected[i])
            np.testing.assert_array_equal(p.grad, g)


def test_the_first_step_with_momentum_is_that_without():
    a, b = parameters(SHAPES), parameters(SHAPES)
    for params, momentum in ((a, 0), (b, 0.9)):
        give_gradients(params, 1)
        SGD(params, 0.1, momentum=momentum).step()
    for p, q in zip(a, b, strict=True):
        np.testing.assert_array_equal(p.data, q.data)


def test_momentum_does_not_keep_the_array_of_the_gradient():
    (p,) = parameters([(3,)])
    optimizer = SGD([p], 1.0, momentum=0.5)
    p.grad = g = np.ones(3)
    optimizer.step()
    g[...] = 100  # the user's array, changed after the step
    before = p.data.copy()
    p.grad = np.ones(3)
    optimizer.step()
    np.testing.assert_array_equal(p.data, before - 1.5)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_the_rate_may_change_between_steps(momentum):
    (p,) = parameters([(3,)])
    expected, v = p.data.copy(), np.zeros(3)
    optimizer = SGD([p], lr=0.1, momentum=momentum)
    for k, lr in enumerate((0.1, 0.05, 0.0, 1.0)):
        optimizer.lr = lr
        give_gradients([p], k)
        optimizer.step()
        v = momentum * v + p.grad
        expected -= lr * v
        np.testing.assert_array_equal(p.data, expected)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_parameter_without_gradient_is_skipped(momentum):
    a, b = parameters([(3,), (3,)])
    before = b.data.copy()
    optimizer = SGD([a, b], 0.1, momentum=momentum)
    a.grad = np.ones(3)
    optimizer.step()
    np.testing.assert_array_equal(b.data, before)
    b.grad = np.ones(3)
    a.grad = None
    now = a.data.copy()
    optimizer.step()
    np.testing.assert_array_equal(a.data, now)  # momentum does not move it either
    np.testing.assert_allclose(b.data, before - 0.1, rtol=1e-15)


def test_a_step_without_any_gradient_changes_nothing():
    params = parameters(SHAPES)
    before = [p.data.copy() for p in params]
    SGD(params, 0.1).step()
    for p, a in zip(params, before, strict=True):
        np.testing.assert_array_equal(p.data, a)


def test_zero_grad_forgets_every_gradient():
    params = parameters(SHAPES)
    give_gradients(params, 0)
    optimizer = SGD(params, 0.1)
    optimizer.zero_grad()
    assert [p.grad for p in params] == [None] * len(params)


def test_transposed_and_strided_parameters_are_changed_too():
    """Also beyond a block: a view must not be changed in a copy of it."""
    rng = np.random.default_rng(0)
    n = int(BLOCK**0.5) + 10
    for a in (rng.normal(size=(n, n)).T, rng.normal(size=(2 * n, n))[::2], rng.normal(size=(3, 4)).T):
        p = Tensor(a, requires_grad=True)
        assert not p.data.flags.c_contiguous
        for momentum in (0.0, 0.9):
            expected = p.data.copy()
            p.grad = rng.normal(size=p.shape)
            SGD([p], 0.1, momentum=momentum).step()
            expected -= 0.1 * p.grad
            assert p.data is a
            np.testing.assert_array_equal(p.data, expected)


def test_a_gradient_of_any_layout_will_do():
    rng = np.random.default_rng(0)
    n = int(BLOCK**0.5) + 10
    p = Tensor(rng.normal(size=(n, n)), requires_grad=True)
    expected = p.data.copy()
    p.grad = rng.normal(size=(n, n)).T
    expected -= 0.1 * p.grad
    SGD([p], 0.1).step()
    np.testing.assert_array_equal(p.data, expected)


def test_parameters_may_come_from_a_generator():
    net = MLP([3, 4, 2], rng=0)
    optimizer = SGD((p for p in net.parameters()), 0.1)
    loss = mse(net(np.ones((5, 3))), np.ones((5, 2)))
    loss.backward()
    before = [p.data.copy() for p in net.parameters()]
    optimizer.step()
    for p, a in zip(net.parameters(), before, strict=True):
        np.testing.assert_array_equal(p.data, a - 0.1 * p.grad)


def test_training_lowers_the_loss():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(32, 3))
    t = x @ rng.normal(size=(3, 2))
    for momentum in (0.0, 0.9):
        net = MLP([3, 16, 2], rng=0)
        optimizer = SGD(net.parameters(), 0.02, momentum)
        losses = []
        for _ in range(100):
            optimizer.zero_grad()
            loss = mse(net(x), t)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < losses[0] / 10


@pytest.mark.parametrize("lr", [-0.1, float("nan"), float("inf"), "0.1", None])
def test_a_wrong_rate_is_named(lr):
    with pytest.raises((ValueError, TypeError), match=r"lr"):
        SGD(parameters([(3,)]), lr)


@pytest.mark.parametrize("momentum", [-0.1, float("nan")])
def test_a_wrong_momentum_is_named(momentum):
    with pytest.raises(ValueError, match=r"momentum"):
        SGD(parameters([(3,)]), 0.1, momentum=momentum)


def test_parameters_must_be_tensors_that_require_a_gradient():
    with pytest.raises((TinygradMLPError, TypeError), match=r"array|Tensor"):
        SGD([np.ones(3)], 0.1)
    with pytest.raises(TinygradMLPError, match=r"w \(3,\)"):
        SGD([Tensor(np.ones(3), name="w")], 0.1)
    w = Tensor(np.ones(3), requires_grad=True, name="w")
    with pytest.raises(TinygradMLPError, match=r"leaf|\(3,\)"):
        SGD([w * 2], 0.1)


def test_no_parameters_are_an_error():
    with pytest.raises((TinygradMLPError, ValueError), match=r"parameter|params|empty"):
        SGD([], 0.1)


def test_a_single_tensor_is_no_list_of_parameters():
    with pytest.raises((TinygradMLPError, TypeError), match=r"\[|list|iterable|parameters"):
        SGD(Tensor(np.ones((2, 3)), requires_grad=True, name="w"), 0.1)


def test_a_step_between_forward_and_backward_is_noticed():
    net = MLP([3, 4, 2], rng=0)
    optimizer = SGD(net.parameters(), 0.1)
    x, t = np.ones((5, 3)), np.ones((5, 2))
    mse(net(x), t).backward()
    loss = mse(net(x), t)
    optimizer.step()
    with pytest.raises(GradientError, match=r"W\[1\] \(4, 2\) was overwritten"):
        loss.backward()


def test_a_step_on_a_large_parameter_is_noticed():
    w = Tensor(np.ones(BLOCK + 5), requires_grad=True, name="w")
    loss = (w * w).sum()
    loss.backward()
    SGD([w], 0.1).step()
    with pytest.raises(GradientError, match=r"w \(32773,\) was overwritten"):
        loss.backward()
