"""Expressions as text: the fewest parentheses, and code that means what the graph meant."""

import numpy as np
import pytest

from tinygrad_mlp import MissingVJPError, Tensor, derive, mse, primitive
from tinygrad_mlp.primitives import PRIMITIVES


@primitive
def setting(x, _how):
    return x * 1.5


@pytest.fixture(autouse=True)
def rules(monkeypatch):
    monkeypatch.setitem(PRIMITIVES, setting, (lambda g, _y, _x, _how: g * 1.5,))


def leaf(*shape, name="w", dtype=np.float64):
    data = np.linspace(0.5, 1.5, int(np.prod(shape))).reshape(shape).astype(dtype)
    return Tensor(data, True, name)


def text_of(f, *names):
    """How `h = f(...)` is written, where h is used by a factor that is derived by."""
    leaves = [leaf(2, 2, name=name) for name in names]
    h = f(*leaves)
    h.name = "h"
    z = Tensor(1.0, True, "z")
    p = derive((h * z).sum(), wrt=z)
    assert np.all(p.values()["h"] == h.data)  # the code says the same
    return next(row.text for row in p.lines if row.name == "h")


@pytest.mark.parametrize(
    ("f", "text"),
    [
        (lambda a, b: (a + b) * a, "(a + b) * a"),
        (lambda a, b: a + b * a, "a + b * a"),
        (lambda a, b: a - (b - a), "a - (b - a)"),
        (lambda a, b: (a - b) - a, "a - b - a"),
        (lambda a, b: a / (b * a), "a / (b * a)"),
        (lambda a, b: (a @ b) * a, "a @ b * a"),
        (lambda a, b: a @ (b * a), "a @ (b * a)"),
        (lambda a, b: (-a) ** 2 + -(b**2), "(-a) ** 2 + -b ** 2"),
        (lambda a, b: (a**b) ** 2, "(a ** b) ** 2"),
        (lambda a, b: a ** (b**2), "a ** b ** 2"),
        (lambda a, b: 2.0**-a + b, "2 ** -a + b"),
        (lambda a, b: (a @ b).T, "(a @ b).T"),
        (lambda a, b: a.T.T + b, "a + b"),
        (lambda a, b: np.negative(-a) + b, "a + b"),
        (lambda a, b: a * 1.0 + b**1 + 0.0, "a + b"),
        (lambda a, b: (a + b).sum(axis=0, keepdims=True), "(a + b).sum(axis=0, keepdims=True)"),
        (lambda a, b: (a + b).mean(axis=(0, 1)), "(a + b).mean(axis=(0, 1))"),
        (lambda a, b: (a + b)[0, 1:], "(a + b)[0, 1:]"),
        (lambda a, b: a[::2] + b[None, ..., 0, :], "a[::2] + b[None, ..., 0, :]"),
        (lambda a, b: a[[0, 1], [1, 0]] + b[0], "a[[0, 1], [1, 0]] + b[0]"),
        (lambda a, b: np.clip(a, 0.75, None) + np.clip(b, None, 1.25), None),
        (lambda a, b: np.stack([a, b], axis=1), "np.stack([a, b], axis=1)"),
        (lambda a, b: np.concatenate([a, b]), "np.concatenate([a, b])"),
        (lambda a, b: np.maximum(a, b) + np.minimum(a, 1.0), "np.maximum(a, b) + np.minimum(a, 1)"),
        (lambda a, b: a * np.float64(2) + b * -0.5, "a * 2 + b * -0.5"),
        (lambda a, b: a * 1e300 + b * np.inf, "a * 1e+300 + b * np.inf"),
        (lambda a, b: a + mse(a, b, "sum"), "a + mse(a, b, 'sum')"),
        (lambda a, b: mse(a, b, reduction="none") * a, "mse(a, b, 'none') * a"),
        (lambda a, b: mse(a, b, reduction="mean") * a, "mse(a, b, 'mean') * a"),
        (lambda a, b: setting(a, (1, "x")) + b, "setting(a, (1, 'x')) + b"),
        (lambda a, b: np.transpose(a, (1, 0)) + b, "np.transpose(a, (1, 0)) + b"),
    ],
)
def test_the_text_of_an_expression(f, text):
    found = text_of(f, "a", "b")
    assert text is None or found == text


def test_clip_has_both_bounds():
    assert text_of(lambda a: a.clip(0.75), "a") == "np.clip(a, 0.75, None)"
    assert text_of(lambda a: np.clip(a, None, 1.25), "a") == "np.clip(a, None, 1.25)"


def test_numbers_keep_the_dtype_of_the_graph():
    w = leaf(3, dtype=np.float32)
    p = derive((w * 2.0 + w * np.float32(0.1) + np.where(w > 1, 1.5, w) * 3.0).sum())
    assert p().dtype == np.float32
    assert all(row.dtype in ("float32", "bool") for row in p.lines)
    q = derive((w * np.float64(0.1)).sum())
    assert "np.float64(0.1)" in q.source()
    w.grad = None
    (w * np.float64(0.1)).sum().backward()
    np.testing.assert_array_equal(q(), w.grad)
    mask = derive(leaf(2).clip(0.75).sum())
    assert mask().dtype == np.float64


@pytest.mark.parametrize("loss", [np.inf, -np.inf, np.nan])
def test_numbers_that_are_none_are_written_out(loss):
    w = leaf(2)
    p = derive((w * loss).sum())
    np.testing.assert_array_equal(p(), [loss, loss])
    assert f"np.{abs(loss)}" in p.source()


def test_an_argument_that_is_no_literal_is_refused():
    w = leaf(2)
    with pytest.raises(MissingVJPError, match=r"object .*cannot be written out"):
        derive(setting(w, object()).sum())
    assert "np.float32" in derive(setting(w, np.float32).sum()).source()


def test_a_function_of_a_part_of_numpy_is_called_by_its_whole_name(monkeypatch):
    monkeypatch.setitem(PRIMITIVES, np.linalg.inv, (lambda g, y, _a: -(y.T @ g @ y.T),))
    w = Tensor(np.array([[2.0, 1.0], [0.5, 3.0]]), True, "w")
    loss = np.linalg.inv(w).sum()
    p = derive(loss)
    assert "np.linalg.inv(w)" in p.source()
    loss.backward()
    np.testing.assert_array_equal(p(), w.grad)


def test_lengths_of_a_batch_that_is_the_whole_shape():
    x = Tensor(np.ones((4, 2)), name="x")
    w = leaf(2)
    p = derive(np.mean(np.tanh(x * w)))
    assert ".size" in str(p)
    assert p(x=np.ones((9, 2))).shape == (2,)
