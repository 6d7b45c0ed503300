"""Optimizers: updates written out by hand, and PyTorch's, recorded in fixtures/optimizers.npz."""

import copy
import json
import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from helpers import NUMPY, Foreign

from tinygrad_mlp import MLP, SGD, Tensor, mse
from tinygrad_mlp.errors import GradientError, TinygradMLPError
from tinygrad_mlp.optim import (
    BLOCK,
    Adam,
    AdamW,
    Optimizer,
    RMSprop,
    Schedule,
    clip_grad_norm,
    clip_grad_value,
    cosine,
    step_decay,
    warm_up,
)

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
    for a in (
        rng.normal(size=(n, n)).T,
        rng.normal(size=(2 * n, n))[::2],
        rng.normal(size=(3, 4)).T,
    ):
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


@pytest.mark.parametrize("lr", [-0.1, float("nan")])
def test_a_wrong_rate_is_named(lr):
    with pytest.raises(ValueError, match=rf"SGD: lr={lr}.*0 or more"):
        SGD(parameters([(3,)]), lr)


def test_a_rate_that_is_no_number_is_refused():
    with pytest.raises(TypeError):
        SGD(parameters([(3,)]), "0.1")


def test_a_wrong_momentum_is_named():
    with pytest.raises(ValueError, match=r"momentum=-0\.1"):
        SGD(parameters([(3,)]), 0.1, momentum=-0.1)


def test_parameters_must_be_tensors_that_require_a_gradient():
    with pytest.raises((TinygradMLPError, TypeError), match=r"array\(.*not a parameter"):
        SGD([np.ones(3)], 0.1)
    with pytest.raises(TinygradMLPError, match=r"'w'.*not a parameter.*requires_grad=True"):
        SGD([Tensor(np.ones(3), name="w")], 0.1)
    w = Tensor(np.ones(3), requires_grad=True, name="w")
    with pytest.raises(TinygradMLPError, match=r"op=multiply.*not a parameter"):
        SGD([w * 2], 0.1)


def test_a_network_in_the_place_of_its_parameters_is_an_error():
    with pytest.raises(TypeError, match=r"^SGD: give parameters, such as net\.parameters\(\)\.$"):
        SGD(MLP([2, 1]), 0.1)


def test_no_parameters_are_an_error():
    with pytest.raises((TinygradMLPError, ValueError), match=r"SGD.*no parameters"):
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


def test_an_optimizer_without_an_update_says_so():
    params = parameters([(3,)])
    give_gradients(params, 0)
    with pytest.raises(NotImplementedError):
        Optimizer(params, 0.1).step()


# --- PyTorch's numbers ----------------------------------------------------------------------------

FIXTURE = np.load(Path(__file__).parent / "fixtures" / "optimizers.npz")
CASES = [json.loads(str(text)) for text in FIXTURE["cases"]]
OPTIMIZERS = {c.__name__: c for c in (SGD, Adam, AdamW, RMSprop)}
STEPS, WITHOUT = 20, 6  # as in fixtures/make_optimizers.py
TOLERANCE = {"float64": 1e-12, "float32": 1e-6}


def optimizer_of(case, params):
    options = {k: v for k, v in case.items() if k != "optimizer"}
    return OPTIMIZERS[case["optimizer"]](params, **options)


def recorded(dtype="float64", make=np.array):
    """The parameters of the fixture, and a function that gives them the gradients of step k."""
    params = [Tensor(make(FIXTURE[f"start_{i}"].astype(dtype)), requires_grad=True) for i in (0, 1)]

    def give(k):
        for i, p in enumerate(params):
            missing = i == 1 and k == WITHOUT
            p.grad = None if missing else make(FIXTURE[f"gradients_{i}"][k].astype(dtype))

    return params, give


def flat(params, of=np.asarray):
    return np.concatenate([of(p.data).ravel() for p in params])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("k", range(len(CASES)), ids=map(str, CASES))
def test_twenty_steps_equal_those_of_pytorch(k, dtype):
    params, give = recorded(dtype)
    optimizer = optimizer_of(CASES[k], params)
    for step, expected in enumerate(FIXTURE[f"{dtype}_{k}"]):
        give(step)
        optimizer.step()
        assert {p.dtype for p in params} == {np.dtype(dtype)}
        tolerance = TOLERANCE[dtype]
        np.testing.assert_allclose(flat(params), expected, rtol=tolerance, atol=tolerance)


def test_every_optimizer_and_option_is_recorded():
    assert {c["optimizer"] for c in CASES} == set(OPTIMIZERS)
    for name, options in {
        "SGD": {"momentum", "weight_decay", "nesterov"},
        "Adam": {"betas", "eps", "weight_decay"},
        "AdamW": {"betas", "weight_decay"},
        "RMSprop": {"alpha", "eps", "momentum", "weight_decay"},
    }.items():
        assert options <= {k for c in CASES if c["optimizer"] == name for k in c}


@pytest.mark.parametrize("k", range(len(CASES)))
def test_a_wrong_option_is_seen_in_the_recorded_numbers(k):
    """The comparison can fail: no case equals the numbers of another with the same class."""
    for other, case in enumerate(CASES):
        if other != k and case["optimizer"] == CASES[k]["optimizer"]:
            assert np.abs(FIXTURE[f"float64_{k}"] - FIXTURE[f"float64_{other}"]).max() > 1e-5


def test_gradients_are_clipped_as_by_pytorch():
    for limit in (0.5, 100.0):
        params, give = recorded()
        give(0)
        norm = clip_grad_norm(params, limit)
        np.testing.assert_allclose(norm, FIXTURE[f"clip_norm_{limit}_returns"], rtol=1e-14)
        clipped = np.concatenate([p.grad.ravel() for p in params])
        np.testing.assert_allclose(clipped, FIXTURE[f"clip_norm_{limit}"], rtol=1e-14)
    params, give = recorded()
    give(0)
    arrays = [p.grad for p in params]
    clip_grad_value(params, 0.3)
    assert all(p.grad is a for p, a in zip(params, arrays, strict=True))  # in place
    np.testing.assert_array_equal(
        np.concatenate([a.ravel() for a in arrays]), FIXTURE["clip_value_0.3"]
    )


RATES = {
    "StepLR": step_decay(6, 0.3),
    "CosineAnnealingLR": cosine(19, floor=0.2),
    "LinearLR": warm_up(5),
}


@pytest.mark.parametrize("k", range(3))
def test_schedules_equal_those_of_pytorch(k):
    factor = RATES[json.loads(str(FIXTURE["rates"][k]))["schedule"]]
    optimizer = SGD(parameters([(2,)]), 0.1)
    schedule = Schedule(optimizer, factor)
    rates = []
    for _ in range(STEPS):
        rates.append(optimizer.lr)
        schedule.step()
    np.testing.assert_allclose(rates, FIXTURE[f"rates_{k}"], rtol=1e-12)


# --- in place, in blocks --------------------------------------------------------------------------

EACH = [
    *CASES,
    {"optimizer": "RMSprop", "lr": 0.01, "momentum": 0.5, "weight_decay": 0.1, "alpha": 0.9},
]


def whole(monkeypatch):
    """No blocks: every array at once."""
    monkeypatch.setattr("tinygrad_mlp.optim.BLOCK", 10**9)
    monkeypatch.setattr(Optimizer, "_like", lambda _self, block: np.empty(block.shape, block.dtype))


def layouts():
    """A fresh set of large parameters: flat, of rows longer than a block, views of all kinds."""
    rng = np.random.default_rng(0)
    n = int(BLOCK**0.5) + 10
    return [
        rng.normal(size=3 * BLOCK + 5),
        rng.normal(size=(n, n)).T,
        rng.normal(size=(2 * n, n))[::2],
        rng.normal(size=(2, BLOCK + 3, 2))[:, :, 0],
        rng.normal(size=(n, n))[:, ::-1],
        rng.normal(size=(BLOCK // 2 + 1, 2, 3)).transpose(2, 0, 1),
    ]


def trained(case, steps=2):
    params = [Tensor(a, requires_grad=True) for a in layouts()]
    arrays = [p.data for p in params]
    optimizer = optimizer_of(case, params)
    for k in range(steps):
        give_gradients(params, k)
        gradients = [p.grad.copy() for p in params]
        optimizer.step()
        for p, a, g in zip(params, arrays, gradients, strict=True):
            assert p.data is a
            np.testing.assert_array_equal(p.grad, g)
    return arrays


@pytest.mark.parametrize("case", EACH, ids=str)
def test_blocks_change_nothing_whatever_the_layout(case, monkeypatch):
    arrays = trained(case)
    whole(monkeypatch)
    for a, b in zip(arrays, trained(case), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("case", EACH, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_step_allocates_one_buffer_of_a_block_at_most(case, dtype):
    params = [Tensor(a.astype(dtype, order="K"), requires_grad=True) for a in layouts()]
    give_gradients(params, 0)
    buffer = BLOCK * np.dtype(dtype).itemsize
    numpys = buffer // (2 if NUMPY >= (2, 1) else 1)  # its own, where operands differ in layout
    for steps, allowed in (
        (0, buffer),
        (1, buffer if case == CASES[0] else 0),
    ):  # the first makes it
        peaks = []
        for _ in range(3):  # other threads of the test runner allocate now and then
            optimizer = optimizer_of(case, params)
            for _ in range(steps):
                optimizer.step()
            tracemalloc.start()
            optimizer.step()
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        assert min(peaks) < allowed + numpys + 16_384


def test_clipping_copies_no_large_gradient():
    params = parameters([(4 * BLOCK,), (BLOCK, 3)])
    give_gradients(params, 0)
    expected = sum(np.sum(p.grad**2) for p in params) ** 0.5
    tracemalloc.start()
    norm = clip_grad_norm(params, 1.0)
    clip_grad_value(params, 0.001)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16_384
    np.testing.assert_allclose(norm, expected, rtol=1e-12)


@pytest.mark.parametrize("case", EACH, ids=str)
def test_a_step_is_noticed_by_a_graph_that_needs_the_old_values(case):
    (w,) = parameters([(3,)])
    loss = (w * w).sum()
    loss.backward()
    optimizer_of(case, [w]).step()
    with pytest.raises(GradientError, match=r"p\[0\] \(3,\) was overwritten"):
        loss.backward()


# --- arrays of other libraries --------------------------------------------------------------------


class Immutable:
    """An array that cannot be changed, as Dask's: ``a -= b`` makes a new one; no ``out=``."""

    def __init__(self, a):
        self.a = np.array(a)
        self.a.flags.writeable = False

    shape = property(lambda self: self.a.shape)
    ndim = property(lambda self: self.a.ndim)
    size = property(lambda self: self.a.size)
    dtype = property(lambda self: self.a.dtype)

    def __array__(self, *_, **__):
        raise TypeError("Immutable: implicit conversion")

    def __array_function__(self, fun, types, args, kwargs):
        assert "out" not in kwargs or kwargs.pop("out") is None
        return Immutable(fun(*(getattr(a, "a", a) for a in args), **kwargs))

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        assert "out" not in kwargs
        return Immutable(getattr(ufunc, method)(*(getattr(a, "a", a) for a in inputs), **kwargs))

    def __float__(self):
        return float(self.a)

    def __add__(self, other):
        return np.add(self, other)

    def __sub__(self, other):
        return np.subtract(self, other)

    def __mul__(self, other):
        return np.multiply(self, other)

    __rmul__ = __mul__

    def __truediv__(self, other):
        return np.divide(self, other)


OTHERS = [(k, Immutable) for k in range(len(CASES))]
OTHERS += [(k, Foreign) for k, c in enumerate(CASES) if c["optimizer"] == "SGD"]  # has no /=


@pytest.mark.parametrize(("k", "make"), OTHERS)
def test_arrays_that_are_not_numpys_get_the_same_updates(k, make):
    params, give = recorded(make=make)
    optimizer = optimizer_of(CASES[k], params)
    for step in range(STEPS):
        give(step)
        optimizer.step()
    assert all(type(p.data) is make for p in params)
    values = flat(params, lambda a: a.host() if make is Foreign else a.a)
    np.testing.assert_allclose(values, FIXTURE[f"float64_{k}"][-1], rtol=1e-12, atol=1e-12)


def test_a_large_array_that_is_not_numpys_is_changed_as_a_whole():
    p = Tensor(Immutable(np.ones(BLOCK + 1)), requires_grad=True)
    p.grad = Immutable(np.ones(BLOCK + 1))
    SGD([p], 0.25).step()
    np.testing.assert_array_equal(p.data.a, 0.75)


def test_gradients_that_are_not_numpys_are_clipped():
    params, give = recorded(make=Immutable)
    give(0)
    norm = clip_grad_norm(params, 0.5)
    np.testing.assert_allclose(norm, FIXTURE["clip_norm_0.5_returns"], rtol=1e-14)
    clipped = np.concatenate([p.grad.a.ravel() for p in params])
    np.testing.assert_allclose(clipped, FIXTURE["clip_norm_0.5"], rtol=1e-14)
    give(0)
    clip_grad_value(params, 0.3)
    clipped = np.concatenate([p.grad.a.ravel() for p in params])
    np.testing.assert_array_equal(clipped, FIXTURE["clip_value_0.3"])


# --- what else they promise -----------------------------------------------------------------------


@pytest.mark.parametrize("case", EACH, ids=str)
def test_a_parameter_listed_twice_is_changed_once(case):
    (a,), (b,) = parameters([(3,)]), parameters([(3,)])
    for params in ([a, a], [b]):
        give_gradients(params[:1], 0)
        optimizer_of(case, params).step()
    np.testing.assert_array_equal(a.data, b.data)


def test_decay_can_be_switched_on_between_steps():
    (p,) = parameters([(3,)])
    optimizer = SGD([p], 0.1)
    before = p.data.copy()
    optimizer.weight_decay = 0.5
    p.grad = np.zeros(3)
    optimizer.step()
    np.testing.assert_allclose(p.data, before * 0.95, rtol=1e-15)


@pytest.mark.parametrize("case", EACH, ids=str)
def test_a_copied_net_and_optimizer_go_on_as_the_originals(case):
    def step(net, optimizer):
        optimizer.zero_grad()
        mse(net(np.ones((5, 3))), np.ones((5, 2))).backward()
        optimizer.step()

    net = MLP([3, 4, 2], rng=0)
    pair = net, optimizer_of(case, net.parameters())
    step(*pair)
    twins = [copy.deepcopy(pair), pickle.loads(pickle.dumps(pair))]
    for both in (pair, *twins):
        step(*both)
    for other, _ in twins:
        for p, q in zip(net.parameters(), other.parameters(), strict=True):
            np.testing.assert_array_equal(p.data, q.data)
            assert not np.shares_memory(p.data, q.data)


@pytest.mark.parametrize(
    ("make", "options", "text"),
    [
        (SGD, {"weight_decay": -1}, r"SGD: weight_decay=-1: give 0 or more"),
        (SGD, {"nesterov": True}, r"SGD: nesterov=True: it needs a momentum"),
        (SGD, {"momentum": 1.0}, r"SGD: momentum=1\.0"),
        (Adam, {"betas": (0.9, 1.0)}, r"Adam: betas=\(0\.9, 1\.0\)"),
        (Adam, {"betas": (0.9,)}, r"Adam: betas=\(0\.9,\)"),
        (Adam, {"eps": -1}, r"Adam: eps=-1"),
        (AdamW, {"weight_decay": -1}, r"AdamW: weight_decay=-1"),
        (AdamW, {"lr": -1}, r"AdamW: lr=-1"),
        (RMSprop, {"alpha": 1}, r"RMSprop: alpha=1"),
        (RMSprop, {"eps": -1}, r"RMSprop: eps=-1"),
        (RMSprop, {"momentum": 2}, r"RMSprop: momentum=2"),
        (RMSprop, {"weight_decay": -1}, r"RMSprop: weight_decay=-1"),
    ],
)
def test_a_wrong_option_is_named(make, options, text):
    with pytest.raises(ValueError, match=text):
        make(parameters([(3,)]), **{"lr": 0.1, **options})


@pytest.mark.parametrize("make", [step_decay, cosine, warm_up])
def test_a_schedule_needs_a_number_of_steps(make):
    with pytest.raises(ValueError, match=rf"{make.__name__}: \w+=0: .*1 or more"):
        make(0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e200])
def test_clipping_what_has_no_norm_names_the_parameter_and_changes_nothing(bad):
    params = parameters([(3,), (3,)])
    give_gradients(params, 0)
    params[1].grad[1] = bad
    before = [p.grad.copy() for p in params]
    with (
        np.errstate(over="ignore"),
        pytest.raises(GradientError, match=r"the gradient of p\[1\] \(3,\) has no finite norm"),
    ):
        clip_grad_norm(params, 1.0)
    for p, g in zip(params, before, strict=True):
        np.testing.assert_array_equal(p.grad, g)


def test_clipping_float32_does_not_overflow():
    p, q = parameters([(3,), (3,)], np.float32)
    p.grad = np.full(3, 1e30, np.float32)
    norm = clip_grad_norm([p, p, q], 1.0)  # q has no gradient
    np.testing.assert_allclose(norm, 3**0.5 * 1e30, rtol=1e-6)
    np.testing.assert_allclose(p.grad, 3**-0.5, rtol=1e-6)
    assert p.grad.dtype == np.float32
    clip_grad_value([p, q], 0.5)
    np.testing.assert_array_equal(p.grad, np.float32(0.5))
    assert q.grad is None


def test_a_schedule_goes_on_from_the_rate_the_optimizer_had():
    optimizer = SGD(parameters([(3,)]), 0.4)
    schedule = Schedule(optimizer, lambda k: 1 / (k + 1))
    assert optimizer.lr == 0.4
    schedule.step()
    assert optimizer.lr == 0.2
    assert schedule.k == 1
    assert warm_up(1)(0) == warm_up(1)(7) == 1
    assert cosine(5, floor=0.25)(5) == cosine(5, floor=0.25)(8) == 0.25
