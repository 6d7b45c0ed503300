"""The table of rules, and adding to it."""

import functools

import numpy as np
import pytest
from helpers import differences, leaves, vjp

from tinygrad_mlp import Tensor, defvjp, primitive
from tinygrad_mlp.errors import GradientError, MissingVJPError, ShapeError, TinygradMLPError
from tinygrad_mlp.graph import backward_pass
from tinygrad_mlp.primitives import PRIMITIVES, parameters_of, reads


@pytest.fixture(autouse=True)
def as_before():
    """What a test registers is gone after it."""
    before = dict(PRIMITIVES)
    yield
    PRIMITIVES.clear()
    PRIMITIVES.update(before)


@primitive
def weighted(x, w, *, power=1):
    """w x^power."""
    return w * x**power


def weighted_rules():
    defvjp(
        weighted,
        lambda g, _y, x, w, *, power=1: g * w * power * x ** (power - 1),
        lambda g, _y, x, _w, *, power=1: g * x**power,
    )


def test_a_numpy_function_is_one_line():
    defvjp(np.sin, lambda g, _y, x: g * np.cos(x))
    x = np.linspace(-1, 1, 5)
    np.testing.assert_array_equal(vjp(np.sin, [x], np.ones(5))[0], np.cos(x))


def test_the_second_derivative_comes_for_free_where_the_rule_has_rules():
    defvjp(np.sin, lambda g, _y, x: g * np.cos(x))
    defvjp(np.cos, lambda g, _y, x: -g * np.sin(x))
    (x,) = leaves(np.linspace(-1, 1, 5))
    first = backward_pass(np.sin(x), Tensor(np.ones(5)), create_graph=True)[x]
    np.testing.assert_array_equal(backward_pass(first, np.ones(5))[x], -np.sin(x.data))


def test_a_primitive_is_one_node_with_the_rules_of_its_own():
    weighted_rules()
    x, w = np.array([1.0, 2.0]), np.array([3.0, 5.0])
    a, b = leaves(x, w)
    y = weighted(a, b, power=3)
    assert y.op is weighted
    assert y.args == (a, b)
    assert y.kwargs == {"power": 3}
    assert y.parents == (a, b)
    y.backward(np.ones(2))
    np.testing.assert_array_equal(a.grad, 3 * w * x**2)
    np.testing.assert_array_equal(b.grad, x**3)


def test_arguments_of_a_primitive_may_come_by_keyword():
    weighted_rules()
    x, w = np.array([1.0, 2.0]), np.array([3.0, 5.0])
    for f in (
        lambda a, b: weighted(a, w=b),
        lambda a, b: weighted(w=b, x=a),
        lambda a, b: weighted(x=a, w=b, power=1),
    ):
        np.testing.assert_array_equal(f(x, w), w * x)
        for g, expected in zip(vjp(f, [x, w], np.ones(2)), [w, x], strict=True):
            np.testing.assert_array_equal(g, expected)


def test_on_arrays_a_primitive_is_the_function_itself():
    weighted_rules()
    result = weighted(np.ones(2), 3.0)
    assert type(result) is np.ndarray
    assert weighted.__name__ == "weighted"
    assert weighted.__doc__ == "w x^power."


def test_a_tensor_in_any_place_is_seen():
    weighted_rules()
    w = Tensor(3.0, requires_grad=True)
    assert weighted(2.0, w).op is weighted
    assert weighted(2.0, w=w).op is weighted
    assert weighted(np.ones(2), w).shape == (2,)
    weighted(2.0, w).backward()
    assert w.grad == 2


def test_none_means_that_the_derivative_is_zero():
    defvjp(weighted, lambda g, _y, _x, w: g * w, None)
    x, w = leaves(np.ones(2), np.array([3.0, 5.0]))
    y = weighted(x, w)
    y.backward(np.ones(2))
    np.testing.assert_array_equal(x.grad, [3, 5])
    assert w.grad is None
    assert not weighted(np.ones(2), w).requires_grad


def test_no_rules_mean_piecewise_constant():
    defvjp(weighted)
    x = Tensor(np.ones(2), requires_grad=True)
    y = weighted(x, 2.0)
    assert not y.requires_grad
    with pytest.raises(GradientError, match=r"Tensor \(2,\) does not require a gradient"):
        y.backward(np.ones(2))


def test_a_function_without_rules_is_named_in_the_error():
    with pytest.raises(MissingVJPError, match=r"weighted has no VJP rule: add defvjp\(weighted, "):
        weighted(Tensor(1.0), 2.0)
    with pytest.raises(MissingVJPError, match=r"weighted has no VJP rule"):
        weighted(Tensor(1.0), w=2.0)


def test_a_function_of_one_argument_without_rules_is_named_in_the_error():
    @primitive
    def halved(x):
        return x / 2

    for call in (lambda t: halved(t), lambda t: halved(x=t)):
        with pytest.raises(MissingVJPError, match=r"halved has no VJP rule: add defvjp\(halved, "):
            call(Tensor(1.0, requires_grad=True))
    defvjp(halved)
    y = halved(Tensor(1.0, requires_grad=True))
    assert (y.item(), y.requires_grad, y.op) == (0.5, False, None)
    defvjp(halved, None)
    assert not halved(Tensor(1.0, requires_grad=True)).requires_grad
    defvjp(halved, lambda g, _y, _x: g / 2)
    assert vjp(halved, [np.array(3.0)])[0] == 0.5


def test_an_argument_without_a_rule_is_named_in_the_error():
    defvjp(weighted, lambda g, _y, _x, w: g * w)
    assert weighted(Tensor(1.0, requires_grad=True), 2.0).requires_grad
    with pytest.raises(MissingVJPError, match=r"weighted has no VJP rule for its argument 1"):
        weighted(1.0, Tensor(2.0, requires_grad=True))


def test_a_later_registration_replaces_the_earlier():
    weighted_rules()
    defvjp(weighted, lambda g, _y, _x, _w: g * 7)
    x = Tensor(1.0, requires_grad=True)
    weighted(x, 2.0).backward()
    assert x.grad == 7


def test_an_error_of_shapes_names_the_primitive_and_its_arguments():
    weighted_rules()
    x, w = Tensor(np.ones((2, 3)), name="x"), Tensor(np.ones((4, 3)), name="w")
    with pytest.raises(
        ShapeError, match=r"weighted: x \(2, 3\) and w \(4, 3\): axis -2 is 2 against 4"
    ):
        weighted(x, w)


def test_an_error_of_ours_passes_unchanged():
    @primitive
    def picky(_x):
        raise MyError("as it was")

    class MyError(TinygradMLPError, ValueError):
        pass

    defvjp(picky, lambda g, _y, _x: g)
    with pytest.raises(MyError, match=r"^as it was$"):
        picky(Tensor(1.0))


def test_a_lambda_rule_tells_what_it_reads_by_its_names():
    assert reads(lambda g, y, a: g * y * a, 1) == (True, True)
    assert reads(lambda g, _y, _a, b: g * b, 2) == (False, False, True)
    assert reads(lambda g, _y, a, _b, axis=0: g * a * axis, 2) == (False, True, False)
    # an argument the rule has no name for counts as read
    assert reads(lambda g, _y, _a, *rest: g * rest[0], 3) == (False, False, True, True)


def test_parameters_are_those_of_the_rules_without_underscores():
    assert parameters_of(np.sum) == (("a", "axis"), ("keepdims",), {"axis": None})
    assert parameters_of(np.swapaxes) == (("a", "axis1", "axis2"), (), {})
    assert parameters_of(np.where)[0][0] == "c"  # the first rule is None: the next one tells


def test_a_custom_op_passes_the_check_by_differences():
    """As docs say: defvjp, then one row."""
    weighted_rules()
    arrays = [np.array([0.5, 1.5]), np.array([2.0, -1.0])]
    f = functools.partial(weighted, power=2)
    g = np.array([1.0, 3.0])
    expected = differences(lambda *a: np.sum(g * f(*a)), arrays)
    for gradient, numbers in zip(vjp(f, arrays, g), expected, strict=True):
        np.testing.assert_allclose(gradient, numbers, rtol=1e-8)


def test_new_rules_bring_their_own_names_of_parameters():
    @primitive
    def scaled(x, by=1.0):
        return x * by

    defvjp(scaled, lambda g, _y, _x, by=1.0: g * by)
    assert parameters_of(scaled)[0] == ("x", "by")
    defvjp(scaled, lambda g, _y, _x, factor=1.0: g * factor)
    assert parameters_of(scaled) == (("x", "factor"), (), {"factor": 1.0})
