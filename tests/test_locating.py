"""The line that raised, and the line after which a value is first there."""

import numpy as np

from tests.test_checking import Hand
from tinygrad_mlp import compare
from tinygrad_mlp.locating import line_of, reason, watched


def raised(fun, *args):
    def call():  # the first frame is the caller's
        fun(*args)

    try:
        call()
    except Exception as error:
        return reason(error)
    return None


def test_shapes_that_do_not_fit_and_the_transpose_that_would():
    a, b, w = np.ones((7, 2)), np.ones((4, 2)), np.ones((7, 3))

    def right():
        return a @ b

    def left():
        return w @ a

    def bare():
        return a @ b.T.T

    def vector():
        return a @ np.ones(3) + a[0, 0]

    text, source, place = raised(right)
    assert "a (7, 2) @ b (4, 2) do not fit; b.T (its transpose is missing) would" in text
    assert source == "return a @ b"
    assert place.startswith("test_locating.py:")
    assert "w.T (its transpose is missing) would" in raised(left)[0]
    assert "b.T (not transposed) would" in raised(bare)[0]
    assert "a (7, 2)" in raised(vector)[0]


def test_what_was_broadcast_against_each_other():
    y, t = np.arange(5.0).reshape(5, 1), np.ones(5)

    def flat():
        error = y - t
        column = y
        return error @ column.T, t

    assert "and t (5,) were broadcast against each other" in raised(flat)[0]


def test_a_list_where_an_array_is_needed():
    def rows():
        a = [[1.0, 2.0]]
        return a.T

    assert "a is a list; np.array(...) makes an array of it" in raised(rows)[0]


def test_an_error_in_a_line_whose_source_is_not_to_be_had():
    scope = {}
    exec("def fails(): return 1 / 0", scope)
    text, source, place = raised(scope["fails"])
    assert text == "ZeroDivisionError: division by zero"
    assert source == ""
    assert place == "<string>:1"
    assert reason(ValueError("no")) == ("ValueError: no", "", "")


def test_an_error_in_a_line_that_is_no_statement_of_its_own():
    table = {
        "fails": lambda a: a @ a,
    }
    text, source, _ = raised(table["fails"], np.ones((2, 3)))
    assert text.endswith("(here a (2, 3))")
    assert source == '"fails": lambda a: a @ a,'


def test_an_attribute_that_is_not_there():
    def misspelled():
        return np.sumup(np.ones(3))

    assert raised(misspelled)[0].startswith("AttributeError")


def test_expressions_are_looked_at_only_if_they_call_nothing():
    called = []

    def changes():
        called.append(1)
        return np.ones((2, 3))

    def product():
        return changes() @ np.ones((2, 3))

    assert raised(product)[0].startswith("ValueError")
    assert called == [1]


def test_arrays_are_seen_where_they_are_made_changed_and_returned():
    def work():
        a = np.arange(3.0)  # line 1
        a[0] = 5
        b = [a * 2]
        return b[0] + 1

    first = work.__code__.co_firstlineno
    found = watched(__file__, work)
    assert line_of(found, [np.arange(3.0)]) == first + 1
    assert line_of(found, [np.array([5.0, 1, 2])]) == first + 2
    assert line_of(found, [np.array([10.0, 2, 4])]) == first + 3
    assert line_of(found, [np.array([11.0, 3, 5])]) == first + 4
    assert line_of(found, [np.ones(3)]) is None
    assert line_of(found, [np.ones(4)]) is None


def test_a_value_that_is_made_elsewhere_has_no_line():
    report = compare(type("Stays", (Hand,), {"db": lambda s, i, d: d}))  # noqa: ARG005
    assert report.causes[0].line == ""
