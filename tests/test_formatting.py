"""Names and shapes as text."""

import functools
import operator

import numpy as np
import pytest

from tinygrad_mlp import Tensor, relu
from tinygrad_mlp.formatting import describe, name_of, nearest, shape_text


def named(shape, name):
    return Tensor(np.zeros(shape), name=name)


def test_name_of_an_op_is_what_one_would_call_it():
    assert name_of(np.matmul) == "matmul"
    assert name_of(relu) == "relu"
    assert name_of(operator.getitem) == "getitem"
    anonymous = functools.partial(np.add, 1)
    assert name_of(anonymous) == str(anonymous)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.zeros((7, 5)), "array (7, 5)"),
        (Tensor(np.zeros((7, 5))), "Tensor (7, 5)"),
        (named((4, 3), "W[1]"), "W[1] (4, 3)"),
        (np.float64(2), "array ()"),
        (2.0, "2.0"),
        ("nan", "'nan'"),
        (None, "None"),
        (slice(1, 3), "slice(1, 3, None)"),
        ([named((2,), "a"), np.ones(3), 1], "[a (2,), array (3,), 1]"),
        ((), "[]"),
    ],
)
def test_a_value_is_described_by_name_and_shape(value, text):
    assert describe(value) == text


def test_the_default_stands_in_for_a_missing_name_only():
    assert describe(np.zeros(3), "x") == "x (3,)"
    assert describe(Tensor(np.zeros(3)), "x") == "x (3,)"
    assert describe(named((3,), "w"), "x") == "w (3,)"


def test_nearest_word():
    assert nearest("concatinate", ["stack", "concatenate"]) == "concatenate"
    assert nearest("qqq", ["stack", "concatenate"]) == ""


@pytest.mark.parametrize(
    ("a", "b", "facts"),
    [
        ((7, 5), (4, 3), "a (7, 5) @ b (4, 3): a has 5 columns, b has 4 rows; they must be equal."),
        (
            (7, 5),
            (3, 5),
            "a has 5 columns, b has 3 rows; they must be equal. b.T (5, 3) would fit.",
        ),
        (
            (5, 7),
            (5, 3),
            "a has 7 columns, b has 5 rows; they must be equal. a.T (7, 5) would fit.",
        ),
        ((7,), (5, 3), "a has 7 entries, b has 5 rows; they must be equal."),
        ((7,), (5, 7), "a has 7 entries, b has 5 rows; they must be equal. b.T (7, 5) would fit."),
        ((7, 5), (4,), "a has 5 columns, b has 4 entries; they must be equal."),
        (
            (7, 5),
            (7,),
            "a has 5 columns, b has 7 entries; they must be equal. a.T (5, 7) would fit.",
        ),
        ((7,), (5,), "a has 7 entries, b has 5 entries; they must be equal."),
        ((2, 7, 5), (2, 3, 5), "b.T (2, 5, 3) would fit."),
        ((2, 7, 5), (3, 5, 4), "the leading axes do not broadcast."),
        ((), (5, 4), "at least one axis on each side; use * for a scalar."),
        ((5, 4), (), "at least one axis on each side; use * for a scalar."),
    ],
)
def test_why_a_matrix_product_does_not_fit(a, b, facts):
    text = shape_text("matmul", (np.zeros(a), np.zeros(b)), "NumPy's reason")
    assert text.startswith(f"matmul: a {a} @ b {b}: ")
    assert text.endswith(facts)


@pytest.mark.parametrize(
    ("a", "b", "facts"),
    [
        (
            (7, 3),
            (7,),
            "axis -1 is 3 against 7; they must be equal, or one of them 1. b.reshape(7, 1)",
        ),
        ((7, 3), (5, 3), "axis -2 is 7 against 5; they must be equal, or one of them 1."),
        ((3,), (2, 4), "axis -1 is 3 against 4; they must be equal, or one of them 1."),
        ((2, 1, 3), (5, 4), "axis -1 is 3 against 4"),
        ((7, 3), (7, 3), "NumPy's reason"),
        ((7, 1), (3,), "NumPy's reason"),
        ((), (3,), "NumPy's reason"),
    ],
)
def test_why_shapes_do_not_broadcast(a, b, facts):
    text = shape_text("add", (np.zeros(a), np.zeros(b)), "NumPy's reason")
    assert text.startswith(f"add: a {a} + b {b}: ")
    assert facts in text


def test_names_stand_in_the_text():
    text = shape_text("matmul", (named((7, 5), "A[1]"), named((3, 5), "W[1]")), "")
    assert text == (
        "matmul: A[1] (7, 5) @ W[1] (3, 5): A[1] has 5 columns, W[1] has 3 rows; "
        "they must be equal. W[1].T (5, 3) would fit."
    )
    text = shape_text("subtract", (named((7, 2), "y"), named((7,), "t")), "")
    assert text.startswith("subtract: y (7, 2) - t (7,): ")
    assert "t.reshape(7, 1)" in text


def test_other_ops_are_written_as_calls():
    text = shape_text("reshape", (named((7, 2), "y"), (3, 5)), "cannot reshape")
    assert text == "reshape(y (7, 2), [3, 5]): cannot reshape"
    text = shape_text("maximum", (np.zeros((7, 2)), np.zeros(3)), "")
    assert text.startswith("maximum: a (7, 2) and b (3,): axis -1 is 2 against 3")
    text = shape_text("power", (np.zeros(3), 2), "no")
    assert text == "power(array (3,), 2): no"
