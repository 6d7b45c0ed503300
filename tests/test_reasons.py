"""A sentence for each line: it names what is in the line, and gives the reason for it."""

import re

import graphs
import numpy as np
import pytest

import tinygrad_mlp as tm
from tinygrad_mlp import MLP, ShapeError, Tensor, derive, grad, mse, primitive, relu
from tinygrad_mlp.primitives import PRIMITIVES
from tinygrad_mlp.reasons import reasons


def leaf(*shape, name, grad=True):
    data = np.arange(1.0, 1 + np.prod(shape, dtype=int)).reshape(shape)
    return Tensor(data / data.size, grad, name)


def named(x, name):
    x.name = name
    return x


def why(loss, name):
    return derive(loss).why(name)


@pytest.fixture
def program():
    net = MLP([2, 4, 1], rng=0)
    return derive(mse(net(np.ones((3, 2))), np.zeros((3, 1))))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "Z[1]",
            "Each row of A[0] meets each column of W[0], and the 2 products are summed; B[0] ",
        ),
        ("A[1]", "Negative entries become 0"),
        ("L", "squared and summed, divided by the batch of 3"),
        ("dy", "Starting from dL = 1: the derivative of a square is twice what is squared"),
        ("dW[1]", "A[1] is transposed so that the product sums over the 3 rows of the batch"),
        ("dB[1]", "B[1] was added to each of the 3 rows of the batch, so its gradient sums"),
        ("dA[1]", "W[1] is transposed to lead the gradient back from its 1 column to its 4 rows"),
        ("dZ[1]", "Where relu cut Z[1] off at 0 no gradient passes"),
    ],
)
def test_the_lines_of_a_network(program, name, words):
    assert words in program.why(name)


x, y = leaf(3, 4, name="x"), leaf(3, 4, name="y")
row, w = leaf(4, name="row"), leaf(4, 2, name="w")


@pytest.mark.parametrize(
    ("loss_of", "words"),
    [
        (lambda: (x + 1.0).sum(), "every entry counts once in the sum"),
        (lambda: x.mean(), "every entry counts 1 / 12 in the mean"),
        (lambda: (x**3).sum(), "x ** 3 is 3 * x ** 2."),
        (lambda: (x**2).sum(), "x ** 2 is 2 * x."),
        (lambda: (x**y).sum(), "the derivative of a power n of x is n times its power n - 1"),
        (lambda: (y**x).sum(), "by an exponent is the power times the logarithm of y"),
        (lambda: (x * y).sum(), "x was multiplied by y, so its gradient is, too"),
        (lambda: (x / y).sum(), "x was divided by y, so its gradient is, too"),
        (lambda: (y / x).sum(), "the derivative of 1 / x is -1 / x ** 2"),
        (lambda: (y - x).sum(), "x was subtracted, so the sign of its gradient changes"),
        (lambda: (-x).sum(), "the sign was turned around, so the gradient's is, too"),
        (lambda: np.exp(x).sum(), "the derivative of exp is the result itself"),
        (lambda: np.tanh(x).sum(), "the derivative of tanh is 1 - tanh(x) ** 2"),
        (lambda: x.max(), "only the largest entries decided the result"),
        (lambda: x.T.sum(), "the entries of x only moved"),
        (lambda: x[1:].sum(), "only the entries of x that were picked out get a gradient"),
        (lambda: np.concatenate([x, y]).sum(), "x gets the part of the gradient"),
        (lambda: np.maximum(x, y).sum(), "only where the entry of x was taken"),
        (lambda: tm.gelu(x).sum(), "by the chain rule, times the derivative of gelu"),
        (lambda: tm.softmax(x)[0, 0], "raising one entry of x lowers the other shares"),
        (lambda: tm.log_softmax(x)[0, 0], "its share of the whole gradient is subtracted"),
        (lambda: tm.cross_entropy(x, np.array([0, 1, 2])), "share given minus true share, and the"),
        (lambda: tm.cross_entropy(x, np.array([0, 1, 2]), "sum"), "minus true share."),
        (lambda: mse(x, y, "mean"), "divided by the number of entries, 12"),
        (lambda: mse(x, y, reduction="sum"), "twice what is squared."),
        (lambda: mse(y, x), "with the other sign for what is subtracted"),
        (lambda: (x @ w).sum(), "w is transposed to lead the gradient back from its 2 columns to"),
        (
            lambda: (x @ row).sum(),
            "in a product each factor gets the gradient times the other, row",
        ),
        (lambda: (x * x).sum(), "x is used 2 times in L, so its gradient is the sum of 2 terms"),
        (
            lambda: (named(np.exp(x), "e") * named(np.tanh(x), "t")).sum(),
            "x is used in e and t, so its gradient is the sum of 2 terms",
        ),
        (
            lambda: (-x * 2.0 / 3.0 * y).sum(),
            "the chain rule, back through sum, *, / and negative, one",
        ),
        (lambda: (Tensor(2.0, True, "c") * x).sum(), "x was multiplied by c"),
    ],
)
def test_a_gradient_has_the_reason_that_its_use_gives(loss_of, words):
    assert words.lower() in why(loss_of(), "dx").lower()


@pytest.mark.parametrize(
    ("loss_of", "words"),
    [
        (lambda: (x + row).sum(), "row was added to each of the 3 rows, so its gradient sums"),
        (lambda: (x - row).sum(), "sign of its gradient changes; row was applied to each of the 3"),
        (lambda: (x * row).sum(), "row was multiplied by x, so its gradient is, too; row was"),
        (lambda: np.broadcast_to(row, (3, 4)).sum(), "row was copied to each of the 3 rows"),
        (lambda: (leaf(5, 3, 4, name="s") + row).sum(), "row was added to each of the 15 entries"),
    ],
)
def test_what_was_stretched_is_summed_over(loss_of, words):
    assert words in why(loss_of(), "drow")


def test_a_matrix_that_served_several_adds_their_gradients():
    stack = leaf(5, 3, 4, name="s")
    assert "; w served 5 matrices, whose gradients add." in why((stack @ w).sum(), "dw")


@pytest.mark.parametrize(
    ("value_of", "words"),
    [
        (lambda: x @ w, "Each row of x meets each column of w, and the 4 products are summed."),
        (lambda: x + y, "Place by place, the entries are added."),
        (lambda: x * row, "Place by place, and row is applied to each of the 3 rows."),
        (lambda: x * 2.0, "Place by place, the entries are multiplied, which is not the product"),
        (lambda: np.tanh(x), "Every entry by itself goes through tanh."),
        (lambda: tm.gelu(x), "gelu is applied to x."),
        (lambda: x.mean(axis=0), "3 entries are averaged for each entry of the result."),
        (lambda: tm.softmax(x), "Each row becomes positive shares that sum to 1."),
        (lambda: np.broadcast_to(row, (3, 4)), "The entries are copied to fill a larger shape."),
        (lambda: x.reshape(12), "The entries stay the same and only move."),
        (lambda: x.sum(axis=1), "4 entries are summed for each entry of the result."),
        (lambda: mse(x, y, reduction="none"), "The differences are squared and summed."),
    ],
)
def test_a_forward_line_says_what_its_op_does(value_of, words):
    value = named(value_of(), "v")
    assert why((value * value).sum(), "v").lower().startswith(words.lower())


def test_losses_of_classes_say_whether_they_average():
    z, labels = leaf(3, 4, name="z"), np.array([0, 1, 2])
    assert "true class, averaged over the batch of 3." in why(tm.cross_entropy(z, labels), "L")
    assert why(tm.cross_entropy(z, labels, "sum"), "L").endswith("the true class.")


def test_a_comparison_in_a_line_of_its_own_carries_no_gradient():
    mask = named(x > 0.5, "mask")
    program = derive((mask * x * mask).sum())
    if "mask" in [line.name for line in program.lines]:
        assert "no gradient passes" in program.why("mask")


def test_a_sentence_does_not_capitalise_a_name():
    the = leaf(2, name="the")
    assert why((the * the).sum() + named(the * 2.0, "twice").sum(), "dthe").startswith(
        "the is used 3 times in"
    )


def test_many_uses_are_counted_not_listed():
    w = leaf(2, name="w")
    loss = sum(named(w * float(i), f"part{i}").sum() for i in range(2, 8))
    assert "w is used in 6 lines, so its gradient is the sum of 6 terms." in why(loss, "dw")


def test_a_part_in_a_line_of_its_own_says_what_it_is_a_part_of():
    z = leaf(3, 5, name="z")
    (g,) = grad(np.sum(np.tanh(z) ** 3), z, create_graph=True)
    program = derive(np.sum(g**2))
    parts = [v.name for v in program._derivation.lines if v.backward and not v.of]
    assert parts
    for name in parts:
        assert program.why(name).endswith(", written in a line of its own.")


def test_a_copied_gradient_says_so():
    a = leaf(2, name="a")
    program = derive(a.reshape(2, 1).T.sum() + 0.0)
    assert all(program.why(line.name) for line in program.lines)
    b, c = leaf(2, name="b"), leaf(2, name="c")
    program = derive(((b + c) ** 2).sum())
    copied = [line.name for line in program.lines if line.text.startswith("np.copy")]
    assert copied
    assert re.fullmatch(
        r"The same numbers as d., in an array of their own\.", program.why(copied[0])
    )


def test_only_the_part_of_the_way_that_a_line_goes_is_explained():
    q, k = leaf(3, 4, name="q"), leaf(3, 4, name="k")
    program = derive((tm.softmax(q @ k.T / 2.0) ** 2).sum())
    assert "softmax" not in program.why("dq")
    assert "transposed" in program.why("dq")


def test_long_operands_are_not_written_into_a_sentence():
    long = named(leaf(3, 4, name="v"), "a" * 40)
    assert "the other factor" in why((x * long).sum(), "dx")


def test_every_line_of_any_graph_has_one_sentence():
    for seed in range(12):
        program = derive(graphs.build(seed, graphs.arrays_for(seed, 3))[0])
        said = reasons(program._derivation)
        assert list(said) == [line.name for line in program.lines]
        for text in said.values():
            assert re.fullmatch(r"[^{}]+[^.]\.", text)


def test_an_op_of_ones_own_has_a_sentence(monkeypatch):
    @primitive
    def doubled(a):
        return 2 * a

    monkeypatch.setitem(PRIMITIVES, doubled, (lambda g, _y, _a: 2 * g,))
    assert "times the derivative of doubled" in why(doubled(x).sum(), "dx")


def test_an_unknown_line_is_refused_with_the_nearest(program):
    with pytest.raises(ShapeError, match=r"no line 'dW\[2\]'; did you mean 'dW\[.\]'"):
        program.why("dW[2]")
    with pytest.raises(ShapeError, match=r"there are Z\[1\], A\[1\], y, L, dy"):
        program.why("zzzzzzz")


def test_relu_of_a_sum_has_both_reasons():
    b = leaf(4, name="b")
    text = why(relu(x + b).sum(), "db")
    assert "b was added to each of the 3 rows" in text
    assert "where relu cut x + b off at 0" in text


def test_a_gradient_that_is_handed_on_as_it_is():
    x = Tensor(2.0, requires_grad=True, name="x")
    assert why(x + 3.0, "dx") == "Starting from dL = 1: the gradient passes to x unchanged."
