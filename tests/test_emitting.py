"""The source: short, with nothing in it that is not NumPy, and the same in a loop."""

import ast
import functools

import numpy as np
import pytest

from tinygrad_mlp import MLP, MissingVJPError, ShapeError, Tensor, derive, mse, primitive
from tinygrad_mlp.primitives import PRIMITIVES

TABLE = {1: 2.0}
HALF = 0.5
tanh = np.tanh


def squared(x):
    return x * x


def mutual(x, depth=0):
    return x if depth else squared(x) + mutual(x, 1)


@primitive
def cubed(x: np.ndarray, /, *_more: float, times: float = 1.0, **_rest: float) -> np.ndarray:
    """x³: this sentence does not come along."""
    if isinstance(x, str):
        raise ShapeError("no text")
    return squared(x) * x * times * HALF * 2 + 0 * tanh(x) + 0 * mutual(x)


@primitive
def looked_up(x):
    return x * TABLE[1]


@primitive
def unknown(x):
    return x if x.size else not_there(x)  # noqa: F821


@primitive
def empty(x):
    """Only this."""


def closed_over(factor):
    @primitive
    def scaled(x):
        return factor * x

    return scaled


tripled, quadrupled = closed_over(3.0), closed_over(4.0)
from_lambda = primitive(lambda x: x * 1.0)
scope: dict = {}
exec("def sourceless(x):\n    return x * 2", scope)
sourceless = primitive(scope["sourceless"])

SLOPES = {tripled: 3.0, quadrupled: 4.0, sourceless: 2.0}
CURVES = {cubed: 3.0, looked_up: 2.0, unknown: 1.0, from_lambda: 1.0}


@pytest.fixture(autouse=True)
def rules(monkeypatch):
    """For this file alone: other tests count the rules that there are."""
    for op, slope in SLOPES.items():
        rule = functools.partial(lambda slope, g, _y, _x: g * slope, slope)
        monkeypatch.setitem(PRIMITIVES, op, (unpacked(rule),))
    for op, slope in CURVES.items():
        rule = functools.partial(lambda slope, g, _y, x: g * slope * x * x, slope)
        monkeypatch.setitem(PRIMITIVES, op, (unpacked(rule),))


def unpacked(rule):
    return lambda g, y, x: rule(g, y, x)


def network(sizes, batch=5, dtype=np.float64):
    rng = np.random.default_rng(0)
    net = MLP(sizes, rng=rng, dtype=dtype)
    x = rng.normal(size=(batch, sizes[0])).astype(dtype)
    return net, mse(net(x), rng.normal(size=(batch, sizes[-1])).astype(dtype))


def statements(source):
    (function,) = [n for n in ast.parse(source).body if isinstance(n, ast.FunctionDef)]
    return [n for n in function.body if not isinstance(n, (ast.If, ast.Expr))]


# --- the plain form -------------------------------------------------------------------------------

SOURCE = '''\
import numpy as np


def backward(W, B, A0, t):
    """Gradients of a loss, derived from its graph.

    W: a list of (3, 4), (4, 2)
    B: a list of (4,), (2,)
    A0: (batch, 3)
    t: (batch, 2)
    Returns dW0, dW1; dB0, dB1.
    """
    if [np.shape(w) for w in W] != [(3, 4), (4, 2)]:
        raise ValueError("W: the shape must be a list of (3, 4), (4, 2)")
    if [np.shape(w) for w in B] != [(4,), (2,)]:
        raise ValueError("B: the shape must be a list of (4,), (2,)")
    if np.shape(A0) != (*np.shape(A0)[:1], 3) or len(A0) < 1:
        raise ValueError("A0: the shape must be (batch, 3)")
    if np.shape(t) != (*np.shape(A0)[:1], 2):
        raise ValueError("t: the shape must be (batch, 2)")
    W0, W1 = W
    B0, B1 = B
    Z1 = A0 @ W0 + B0
    A1 = np.maximum(Z1, 0)
    y = A1 @ W1 + B1
    dy = 2 * (y - t) / len(y)
    dW1 = A1.T @ dy
    dB1 = dy.sum(axis=0)
    dA1 = dy @ W1.T
    dZ1 = dA1 * (A1 > 0)
    dW0 = A0.T @ dZ1
    dB0 = dZ1.sum(axis=0)
    return [dW0, dW1], [dB0, dB1]
'''


def test_the_source_of_a_small_network():
    assert derive(network((3, 4, 2))[1]).source() == SOURCE


@pytest.mark.parametrize(("sizes", "most"), [((3, 4, 2), 13), ((64, 128, 64, 10), 19)])
def test_the_source_is_short_and_its_names_are_plain(sizes, most):
    source = derive(network(sizes, 32)[1]).source()
    body = statements(source)
    assert len(body) <= most
    assert max(map(len, source.splitlines())) <= 100
    names = {n.id for s in body for n in ast.walk(s) if isinstance(n, ast.Name)} - {"len", "np"}
    assert all(name.rstrip("0123456789").isalpha() and name.isascii() for name in names)


@pytest.mark.parametrize("name", ["a b", "class", "np", "len", "1a", "", "é", "f()"])
def test_a_name_that_is_no_name_is_refused(name):
    p = derive(network((3, 2))[1])
    for form in (p.source, p.worksheet):
        with pytest.raises(ShapeError, match="no name for a function"):
            form(name)


def test_many_layers_are_folded_to_the_width_of_a_page():
    net, loss = network((2,) * 41, 3)
    p = derive(loss)
    assert all(len(r) <= 100 for r in p.source().splitlines() if "return" in r or "] = W" in r)
    DW, DB = p()
    loss.backward()
    for got, w in zip(DW + DB, net.parameters(), strict=True):
        np.testing.assert_array_equal(got, w.grad)


# --- what is checked ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"W": [np.ones((3, 4)), np.ones((4, 3))]}, r"W: the shape must be a list of \(3, 4\)"),
        ({"W": [np.ones((3, 4))]}, "W: the shape"),
        ({"A0": np.ones((7, 4))}, r"A0: the shape must be \(batch, 3\)"),
        ({"A0": np.ones(3)}, "A0: the shape"),
        ({"A0": np.float64(1)}, "A0: the shape"),
        ({"A0": np.ones((7, 3))}, r"t: the shape must be \(batch, 2\)"),
        ({"A0": np.ones((0, 3)), "t": np.ones((0, 2))}, "A0: the shape"),
    ],
)
def test_a_shape_it_was_not_derived_for_is_refused(change, message):
    p = derive(network((3, 4, 2))[1])
    with pytest.raises(ValueError, match=message):
        p(**change)


def test_data_of_one_axis_have_the_length_of_the_batch():
    w = Tensor(np.ones((3, 1)), True, "w")
    x, t = Tensor(np.ones((5, 3)), name="x"), Tensor(np.ones(5), name="t")
    p = derive(mse((x @ w).reshape(-1), t))
    assert p.batch == 5
    assert p(x=np.ones((7, 3)), t=np.ones(7)).shape == (3, 1)
    with pytest.raises(ValueError, match=r"t: the shape must be \(batch,\)"):
        p(x=np.ones((7, 3)), t=np.ones(6))
    q = derive((t * w[0, 0]).sum())  # the first of the data has one axis itself
    np.testing.assert_array_equal(q(t=np.ones(9)), [[9.0], [0.0], [0.0]])
    with pytest.raises(ValueError, match=r"t: the shape must be \(batch,\)"):
        q(t=np.ones((9, 1)))


# --- functions that come along --------------------------------------------------------------------


def test_an_op_of_ones_own_comes_with_what_it_calls():
    w = Tensor([1.0, 2.0], True, "cubed")
    p = derive(cubed(w).sum() + cubed(w * 2.0).sum())
    source = p.source()
    assert source.count("def cubed_2(") == source.count("def squared(") == 1
    assert "does not come along" not in source
    assert "0.5" in source
    assert "np.tanh(x)" in source
    assert "ValueError('no text')" in source
    np.testing.assert_array_equal(p(), 3 * w.data**2 + 24 * w.data**2)


def test_two_ops_of_one_name_are_two_functions():
    w = Tensor([1.0, 2.0], True, "w")
    p = derive((tripled(w) * quadrupled(w)).sum())
    source = p.source()
    assert "3.0 * x" in source
    assert "4.0 * x" in source
    np.testing.assert_array_equal(p(), 24 * w.data)


@pytest.mark.parametrize(
    ("op", "why"),
    [
        (looked_up, "it uses TABLE, a dict"),
        (unknown, "it uses not_there, which is not defined"),
        (from_lambda, "it is no def|its source is not to be had"),
        (sourceless, "its source is not to be had"),
    ],
)
def test_what_cannot_be_written_out_is_refused(op, why):
    w = Tensor([1.0, 2.0], True, "w")
    loss = (op(w) * w).sum()
    p = derive(loss)
    assert p.lines  # it can be looked at all the same
    with pytest.raises(MissingVJPError, match=why):
        p.source()


def test_a_function_that_is_only_a_docstring_is_still_one():
    from tinygrad_mlp.emitting import helper
    from tinygrad_mlp.printing import Printer

    assert helper(empty, "empty", Printer({0: "a"})) == "def empty(x):\n    pass"


# --- to fill in -----------------------------------------------------------------------------------


def test_a_worksheet_has_the_forward_and_no_backward():
    sheet = derive(network((3, 4, 2))[1]).worksheet("mine")
    assert "def mine(W, B, A0, t):" in sheet
    assert "    Z1 = A0 @ W0 + B0\n" in sheet
    assert "    dy = ...  # (5, 2), from y (5, 2), t (5, 2)\n" in sheet
    assert "    dB0 = ...  # (4,), from dZ1 (5, 4)\n" in sheet
    assert "@ dy" not in sheet
    w = Tensor([1.0], True, "w")
    assert "dw = ...  # (1,), from w (1,)" in derive(w.sum()).worksheet()
    leaf = Tensor(1.0, True, "leaf")
    assert "dleaf = ...  # ()\n" in derive(leaf).worksheet()
