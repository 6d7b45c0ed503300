"""One number written out: the sum is the one that makes the number, and adds up."""

import re

import numpy as np
import pytest

from tinygrad_mlp import MLP, ShapeError, Tensor, derive, mse, primitive, relu, softmax
from tinygrad_mlp.graph import record_all
from tinygrad_mlp.primitives import PRIMITIVES


@primitive
def doubled(x):
    return 2 * x


@pytest.fixture(autouse=True)
def rules(monkeypatch):
    """For this file alone: other tests count the rules that there are."""
    monkeypatch.setitem(PRIMITIVES, doubled, (lambda g, _y, _x: g * 2,))


@pytest.fixture
def program():
    net = MLP([2, 3, 1], rng=0)
    return derive(mse(net([[0.5, 1.0], [1.0, -1.0]]), np.array([[1.0], [0.0]])))


def named(loss_of, *shapes):
    """The program of a loss of leaves a, b, ... that hold 1, 2, 3 ..., derived by a factor z."""
    leaves = []
    for k, shape in enumerate(shapes):
        data = np.arange(1.0, 1 + np.prod(shape, dtype=int)).reshape(shape)
        leaves.append(Tensor(data, True, "abc"[k]))
    z = Tensor(1.0, True, "z")
    return derive(loss_of(*leaves) * z, wrt=z)


def called(x, name="h"):
    x.name = name
    return x


def test_an_entry_of_a_matrix_product_is_its_sum(program):
    text = program.explain("dW[0]", (1, 2))
    assert re.fullmatch(
        r"dW\[0\]\[1,2\] = Σ_n A\[0\]\[n,1\] \* dZ\[1\]\[n,2\] = 1\*\S+ \+ -1\*\S+ = \S+", text
    )
    assert program.explain("dA[1]", (0, 1)).startswith("dA[1][0,1] = dy[0,0] * W[1][1,0] = ")


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("Z[1]", "Z[1][1,0] = Σ_k A[0][1,k] * W[0][k,0] + B[0][0] = 1*"),
        ("A[1]", "A[1][1,0] = max(Z[1][1,0], 0) = max("),
        ("dZ[1]", "dZ[1][1,0] = dA[1][1,0] * (A[1][1,0] > 0) = "),
        ("dy", "dy[1,0] = 2 * (y[1,0] - t[1,0]) / len(y) = 2*("),
        ("L", "L = (Σ_n (y[n,0] - t[n,0])**2) / len(y) = (("),
        ("dB[0]", "dB[0][1] = Σ_n dZ[1][n,1] = "),
        ("A[0]", "A[0][1,0] = 1"),
    ],
)
def test_what_is_written_for_the_lines_of_a_network(program, name, start):
    index = {"L": (), "dB[0]": (1,)}.get(name, (1, 0))
    assert program.explain(name, index).startswith(start)


def test_the_numbers_add_up_for_every_entry(program):
    for name, value in program.values().items():
        for index in np.ndindex(np.shape(value)):
            text = program.explain(name, index)
            total, before = float(text.split(" = ")[-1]), text.split(" = ")[-2]
            np.testing.assert_allclose(total, np.asarray(value)[index], rtol=1e-3, atol=1e-6)
            if re.fullmatch(r"[-+*/(). \d,maxe]+", before):
                computed = eval(before, {"max": max, "__builtins__": {}})
                np.testing.assert_allclose(computed, total, rtol=2e-2, atol=2e-3)


CASES = {
    "sum": (
        lambda a: (called(a.sum(axis=1)) ** 2).sum(),
        ((2, 3),),
        (1,),
        "Σ_k a[1,k]",
        "4 + 5 + 6",
    ),
    "sum of all": (lambda a: called(a.sum()) * 2, ((2, 2),), (), "Σ_n,k a[n,k]", "1 + 2 + 3 + 4"),
    "keepdims": (
        lambda a: (called(a.sum(axis=0, keepdims=True)) * a).sum(),
        ((2, 2),),
        (0, 1),
        "Σ_n a[n,1]",
        "2 + 4",
    ),
    "mean": (
        lambda a: (called(a.mean(axis=(0, 1))) ** 2).sum(),
        ((2, 2),),
        (),
        "(Σ_n,k a[n,k]) / 4",
        "(1 + 2 + 3 + 4) / 4",
    ),
    "stretched": (
        lambda a, b: called(a + b).sum() + (a * b).sum(),
        ((2, 2), (2,)),
        (1, 0),
        "a[1,0] + b[0]",
        "3 + 1",
    ),
    "transposed": (
        lambda a, b: (called(a.T * b) ** 2).sum(),
        ((2, 3), (3, 2)),
        (2, 1),
        "a[1,2] * b[2,1]",
        "6*6",
    ),
    "swapped": (
        lambda a: (called(np.swapaxes(a, 0, 1) * 2.0) ** 2).sum(),
        ((2, 3),),
        (2, 1),
        "a[1,2] * 2",
        "6*2",
    ),
    "part": (lambda a: (called(a[1:] * 2.0)).sum(), ((3, 2),), (0, 1), "a[1,1] * 2", "4*2"),
    "sum of a part": (
        lambda a: called(a[1:, 0].sum()) * 2.0,
        ((3, 2),),
        (),
        "Σ_n a[n+1,0]",
        "3 + 5",
    ),
    "row": (lambda a: called(a[-1].sum()) * 2.0, ((3, 2),), (), "Σ_n a[2,n]", "5 + 6"),
    "picked": (lambda a: (called(a[[0, 0, 2]] * 2.0)).sum(), ((3,),), (2,), "a[2] * 2", "3*2"),
    "sum of a part of a row": (
        lambda a: called(a[:1, 1:].sum()) * 2.0,
        ((3, 3),),
        (),
        "Σ_k a[0,k+1]",
        "2 + 3",
    ),
    "stretched number": (
        lambda a: (called(np.broadcast_to(a.sum(), (2,)) * 2.0)).sum(),
        ((2,),),
        (1,),
        "(Σ_n a[n]) * 2",
        "(1 + 2)*2",
    ),
    "reshaped": (
        lambda a: (called(a.reshape(4) * 2.0)).sum(),
        ((2, 2),),
        (3,),
        "a[1,1] * 2",
        "4*2",
    ),
    "axis more": (
        lambda a: (called(np.expand_dims(a, 0) * 2.0)).sum(),
        ((3,),),
        (0, 1),
        "a[1] * 2",
        "2*2",
    ),
    "axis less": (
        lambda a: (called(np.squeeze(a, 0) * 2.0)).sum(),
        ((1, 3),),
        (1,),
        "a[0,1] * 2",
        "2*2",
    ),
    "broadcast": (
        lambda a: (called(np.broadcast_to(a, (2, 3)) * Tensor(np.ones((2, 1)), name="d"))).sum(),
        ((3,),),
        (1, 2),
        "a[2] * d[1,0]",
        "3*1",
    ),
    "power": (lambda a: called(a**3).sum(), ((2,),), (1,), "a[1]**3", "2**3"),
    "negative": (lambda a: called((-a) ** 3).sum(), ((2,),), (1,), "(-a[1])**3", "(-2)**3"),
    "function": (lambda a: called(np.tanh(a)).sum(), ((2,),), (0,), "tanh(a[0])", "tanh(1)"),
    "larger": (
        lambda a: called(np.maximum(a, 1.5)).sum(),
        ((2,),),
        (0,),
        "max(a[0], 1.5)",
        "max(1, 1.5)",
    ),
    "relu": (lambda a: called(relu(-a)).sum(), ((2,),), (0,), "max(-a[0], 0)", "max(-1, 0)"),
    "vector times matrix": (
        lambda a, b: called(a @ b).sum(),
        ((2,), (2, 2)),
        (1,),
        "Σ_k a[k] * b[k,1]",
        "1*2 + 2*4",
    ),
    "matrix times vector": (
        lambda a, b: called(a @ b).sum(),
        ((2, 2), (2,)),
        (1,),
        "Σ_k a[1,k] * b[k]",
        "3*1 + 4*2",
    ),
    "vectors": (lambda a, b: called(a @ b) * 2.0, ((2,), (2,)), (), "Σ_k a[k] * b[k]", "1*1 + 2*2"),
    "stack": (
        lambda a, b: called(a @ b).sum(),
        ((2, 1, 2), (2, 2)),
        (1, 0, 1),
        "Σ_k a[1,0,k] * b[k,1]",
        "3*2 + 4*4",
    ),
    "sum of sums": (
        lambda a, b: called((a @ b).sum(axis=0)).sum(),
        ((2, 2), (2, 2)),
        (0,),
        "Σ_n (Σ_k a[n,k] * b[k,0])",
        "(1*1 + 2*3) + (3*1 + 4*3)",
    ),
    "copied": (lambda a: called(np.copy(a) * 2.0).sum(), ((2,),), (0,), "a[0] * 2", "1*2"),
    "scalar mse": (
        lambda a: called(mse(a.sum(), Tensor(1.0, name="t"))) * 2.0,
        ((1,),),
        (),
        None,
        None,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_an_entry_is_written_with_names_and_with_numbers(case):
    f, shapes, index, names, numbers = CASES[case]
    text = named(f, *shapes).explain("h", index)
    if names is not None:
        assert text.split(" = ")[1:3] == [names, numbers]


def test_lengths_are_numbers_too():
    with record_all():
        a = Tensor(np.arange(1.0, 7).reshape(2, 3), True, "a")
        n, k = a.shape
        h = called(a.reshape(n * k) / (n + k) * (n - k + 2))
        loss = np.sum(h[: k // n])
    p = derive(loss)
    with_names, with_numbers, total = p.explain("h", (4,)).split(" = ")[1:]
    assert with_names == "a[1,1] / (len(a) + a.shape[1]) * (len(a) - a.shape[1] + 2)"
    assert (with_numbers, total) == ("5/5*1", "1")
    assert p.explain("L").endswith(" = 0.2")
    assert p.explain("dh", (0,)).startswith("dh[0] = ")


def test_a_choice_is_followed():
    mask = Tensor(np.array([True, False]), name="m")
    p = named(lambda a: called(np.where(mask, a, a * 3.0)).sum(), (2,))
    assert p.explain("h", (0,)) == "h[0] = where(m[0], a[0], a[0] * 3) = 1"
    assert p.explain("h", (1,)) == "h[1] = where(m[1], a[1], a[1] * 3) = 2*3 = 6"


def test_a_stretched_number_is_that_number():
    a = Tensor([1.0, 2.0], True, "a")
    h = called(np.tanh(a))
    p = derive(h.sum(), wrt=[h, a])
    assert p.explain("dh", (0,)) == "dh[0] = 1"


def test_of_a_long_sum_the_ends_are_written_and_the_total():
    p = named(lambda a: called(a.sum()) * 2.0, (4, 25))
    assert p.explain("h") == "h = Σ_n,k a[n,k] = 1 + 2 + 3 + … + 99 + 100 = 5050"
    p = named(lambda a, b: called(a @ b).sum(), (1, 9), (9, 1))
    assert p.explain("h", (0, 0)).endswith(" = 1*1 + 2*2 + 3*3 + … + 8*8 + 9*9 = 285")


@pytest.mark.parametrize(
    ("f", "shape", "index", "formula"),
    [
        (lambda a: called(doubled(a)).sum(), (2,), (1,), "doubled(a)"),
        (lambda a: called(np.concatenate([a, a])).sum(), (2,), (3,), "np.concatenate([a, a])"),
        (lambda a: called(a.reshape(2, 2).sum(axis=0)).sum(), (4,), (1,), None),
        (lambda a: called(a[[0, 1, 1]].sum()) * 2.0, (2,), (), None),
        (lambda a: called(np.concatenate([a, a]).sum()) * 2.0, (2,), (), None),
        (lambda a: called(np.clip(a, 0.5, 1.5)).sum(), (2,), (1,), "np.clip(a, 0.5, 1.5)"),
    ],
)
def test_anything_else_is_its_formula_and_value(f, shape, index, formula):
    p = named(f, shape)
    text = p.explain("h", index)
    row = next(row for row in p.lines if row.name == "h")
    assert text.split(" = ")[1] == (formula or row.text)
    assert float(text.split(" = ")[-1]) == p.values()["h"][index]


def test_inlined_parts_that_are_not_written_out_are_still_computed():
    p = named(lambda a, b: called((doubled(a) + b).sum(axis=0)).sum(), (2, 2), (2,))
    assert p.explain("h", (0,)).startswith("h[0] = (doubled(a) + b).sum(axis=0) = ")


@pytest.mark.parametrize(
    ("name", "index", "message"),
    [
        ("dW[2]", (0, 0), r"no line or input 'dW\[2\]'; did you mean 'dW\["),
        ("zebra", (), r"no line or input 'zebra'; there are W\[0\]"),
        ("dW[0]", (0,), r"dW\[0\] \(2, 3\) has 2 axes; the index \(0,\) has 1"),
        ("dW[0]", (2, 0), r"dW\[0\] \(2, 3\) has no entry \(2, 0\)"),
        ("dW[0]", (0, -4), "no entry"),
        ("dW[0]", (0.5, 1), "an index is made of integers"),
        ("dB[0]", "a", "an index is made of integers"),
    ],
)
def test_a_wrong_name_or_index_is_an_error_that_says_so(program, name, index, message):
    with pytest.raises(ShapeError, match=message):
        program.explain(name, index)


def test_an_index_may_count_from_the_end_and_be_one_number(program):
    assert program.explain("dB[0]", -1) == program.explain("dB[0]", (2,))
    assert program.explain("dW[0]", [-1, -1]) == program.explain("dW[0]", (1, 2))


def test_a_softmax_of_a_scalar_can_be_explained():
    s = Tensor(0.5, requires_grad=True, name="s")
    text = derive(softmax(s) * s).explain("ds", ())
    assert text == "ds = h1 + h1 * (s - s * h1) = 1 + 1*(0.5 - 0.5*1) = 1"
