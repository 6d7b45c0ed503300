"""Networks: names, shapes, what a forward pass leaves behind."""

import copy
import pickle

import numpy as np
import pytest
from helpers import complex_step

from tinygrad_mlp import MLP, Tensor, mse, no_grad, relu
from tinygrad_mlp.errors import ShapeError
from tinygrad_mlp.nn import he_normal

SIZES = [3, 5, 4, 2]
rng = np.random.default_rng(0)
X, T = rng.normal(size=(7, 3)), rng.normal(size=(7, 2))


def forward(x, *parameters):
    """By hand, for real or complex arrays."""
    n = len(parameters) // 2
    for i, (w, b) in enumerate(zip(parameters[:n], parameters[n:], strict=True)):
        x = x @ w + b
        if i < n - 1:
            x = x * (x.real > 0)
    return x


def test_the_lists_hold_a_matrix_and_a_bias_for_each_layer():
    net = MLP(SIZES, rng=0)
    assert [w.shape for w in net.W] == [(3, 5), (5, 4), (4, 2)]
    assert [b.shape for b in net.B] == [(5,), (4,), (2,)]
    assert [w.name for w in net.W] == ["W[0]", "W[1]", "W[2]"]
    assert [b.name for b in net.B] == ["B[0]", "B[1]", "B[2]"]
    assert [w.scope for w in net.W] == [b.scope for b in net.B] == ["layer 0", "layer 1", "layer 2"]
    assert net.A == []
    assert net.sizes == (3, 5, 4, 2)
    parameters = net.parameters()
    assert all(p is q for p, q in zip(parameters, net.W + net.B, strict=True))
    assert all(p.requires_grad and p.op is None and p.grad is None for p in parameters)
    assert all(np.all(b.data == 0) for b in net.B)


def test_a_forward_pass_equals_the_formula_and_names_what_it_makes():
    net = MLP(SIZES, rng=0)
    y = net(X)
    np.testing.assert_array_equal(y.data, forward(X, *(p.data for p in net.parameters())))
    assert y.shape == (7, 2)
    assert y.name == "y"
    assert y.scope == "layer 2"
    assert [a.name for a in net.A] == ["A[0]", "A[1]", "A[2]"]
    assert [a.shape for a in net.A] == [(7, 3), (7, 5), (7, 4)]  # y is not among them
    for i, a in enumerate(net.A[1:], 1):
        z = a.parents[0]
        assert a.op is relu
        assert (z.name, z.op, z.scope, a.scope) == (f"Z[{i}]", np.add, f"layer {i - 1}", a.scope)
        product, b = z.parents
        assert b is net.B[i - 1]
        assert (product.name, product.op, product.scope) == (None, np.matmul, f"layer {i - 1}")
        assert product.parents == (net.A[i - 1], net.W[i - 1])
    assert net.A[0].data is X


def test_each_forward_pass_fills_a_anew():
    net = MLP(SIZES, rng=0)
    net(X)
    first = net.A
    net(X[:2])
    assert len(first) == len(net.A) == 3
    assert [len(a) for a in first] == [7, 7, 7]
    assert [len(a) for a in net.A] == [2, 2, 2]


def test_a_tensor_as_input_stays_what_it_is():
    net = MLP(SIZES, rng=0)
    x = Tensor(X, requires_grad=True, name="image")
    y = net(x)
    assert net.A[0] is x
    assert x.name == "image"
    y.backward(np.ones((7, 2)))
    assert x.grad.shape == X.shape


def test_lists_of_rows_are_an_input():
    net = MLP([2, 4, 1], rng=0)
    np.testing.assert_array_equal(net([[1, 2], [3, 4]]).data, net(np.array([[1.0, 2], [3, 4]])).data)


@pytest.mark.parametrize("sizes", [(2, 4, 1), (3, 5, 5, 2), (8,) * 9, (2, 1)])
@pytest.mark.parametrize("batch", [1, 7, 32])
def test_gradients_equal_those_of_a_complex_step(sizes, batch):
    rng = np.random.default_rng(1)
    net = MLP(sizes, rng=rng)
    x, t = rng.normal(size=(batch, sizes[0])), rng.normal(size=(batch, sizes[-1]))
    mse(net(x), t).backward()
    parameters = net.parameters()

    def loss(*arrays):
        return np.sum((forward(x, *arrays) - t) ** 2) / batch

    expected = complex_step(loss, [p.data for p in parameters])
    for p, gradient in zip(parameters, expected, strict=True):
        np.testing.assert_allclose(p.grad, gradient, rtol=1e-10, atol=1e-12, err_msg=p.name)


def test_the_last_layer_is_linear():
    net = MLP([3, 2], rng=0)
    y = net(X)
    assert y.op is np.add
    assert y.data.min() < 0
    assert [a.name for a in net.A] == ["A[0]"]


def test_the_activation_can_be_another_function():
    net = MLP(SIZES, rng=0, activation=np.tanh)
    net(X)
    assert [a.op for a in net.A] == [None, np.tanh, np.tanh]
    twice = MLP(SIZES, rng=0, activation=lambda z: relu(z) * 2)
    y = twice(X)
    assert [a.name for a in twice.A] == ["A[0]", "A[1]", "A[2]"]
    y.backward(np.ones(y.shape))
    assert all(p.grad is not None for p in twice.parameters())


@pytest.mark.parametrize("dtype", [np.float32, np.float64, "float32"])
def test_the_dtype_is_kept_throughout(dtype):
    net = MLP(SIZES, rng=0, dtype=dtype)
    loss = mse(net(X.astype(dtype)), T.astype(dtype))
    loss.backward()
    everything = [*net.parameters(), *net.A, loss]
    assert {a.dtype for a in everything} == {np.dtype(dtype)}
    assert {p.grad.dtype for p in net.parameters()} == {np.dtype(dtype)}


def test_the_same_seed_gives_the_same_weights():
    a, b, c = MLP(SIZES, rng=3), MLP(SIZES, rng=np.random.default_rng(3)), MLP(SIZES, rng=4)
    for v, w in zip(a.W, b.W, strict=True):
        np.testing.assert_array_equal(v.data, w.data)
    assert np.any(a.W[0].data != c.W[0].data)
    assert np.any(MLP(SIZES).W[0].data != MLP(SIZES).W[0].data)


def test_weights_do_not_depend_on_the_dtype_but_by_rounding():
    wide, narrow = MLP(SIZES, rng=3), MLP(SIZES, rng=3, dtype=np.float32)
    for v, w in zip(wide.W, narrow.W, strict=True):
        np.testing.assert_array_equal(v.data.astype(np.float32), w.data)


def test_initial_weights_have_the_variance_of_he():
    w = he_normal(200, 300, np.random.default_rng(0))
    assert w.shape == (200, 300)
    np.testing.assert_allclose(w.std(), (2 / 200) ** 0.5, rtol=0.02)
    np.testing.assert_allclose(w.mean(), 0, atol=1e-3)


@pytest.mark.parametrize("sizes", [[], [3], [3, 0, 2], [3, -1]])
def test_sizes_that_make_no_network_are_named(sizes):
    text = rf"MLP: sizes \({', '.join(map(str, sizes))},?\)"
    with pytest.raises(ShapeError, match=text):
        MLP(sizes)


def test_one_sample_is_no_batch():
    net = MLP(SIZES, rng=0)
    with pytest.raises(ShapeError, match=r"x \(3,\).*batch.*x\.reshape\(1, -1\)"):
        net(X[0])
    with pytest.raises(ShapeError, match=r"image \(3,\)|x \(3,\)"):
        net(Tensor(X[0], name="image"))


def test_an_input_of_the_wrong_width_is_named():
    net = MLP(SIZES, rng=0)
    with pytest.raises(ShapeError, match=r"A\[0\] \(7, 4\) @ W\[0\] \(3, 5\).*4 columns.*3 rows"):
        net(np.ones((7, 4)))


def test_no_grad_leaves_the_same_values_and_no_graph():
    net = MLP(SIZES, rng=0)
    y = net(X)
    with no_grad():
        z = net(X)
    np.testing.assert_array_equal(y.data, z.data)
    assert not z.requires_grad
    assert z.op is None
    assert [a.name for a in net.A] == ["A[0]", "A[1]", "A[2]"]


def test_repr_tells_sizes_and_the_number_of_parameters():
    assert repr(MLP([64, 128, 10])) == "MLP([64, 128, 10], dtype=float64)  # 9,610 parameters"


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_a_copied_net_computes_the_same_and_shares_nothing(twin):
    net = MLP(SIZES, rng=0)
    mse(net(X), T).backward()
    other = twin(net)
    assert other.sizes == net.sizes
    assert [p.name for p in other.parameters()] == [p.name for p in net.parameters()]
    assert [p.scope for p in other.parameters()] == [p.scope for p in net.parameters()]
    for p, q in zip(net.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(p.data, q.data)
        np.testing.assert_array_equal(p.grad, q.grad)
        assert q.requires_grad
        assert not np.shares_memory(p.data, q.data)
        assert not np.shares_memory(p.grad, q.grad)
    np.testing.assert_array_equal(other(X).data, net(X).data)
