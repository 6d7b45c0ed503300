"""The Tensor: made from data, used as an array, differentiated, refused with the facts."""

import contextlib
import copy
import operator
import pickle

import numpy as np
import pytest
from helpers import NUMPY, Foreign, complex_step, leaves, vjp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from tinygrad_mlp import MLP, SGD, Tensor, mse, no_grad, relu
from tinygrad_mlp.errors import GradientError, MissingVJPError, ShapeError, TinygradMLPError
from tinygrad_mlp.graph import backward_pass
from tinygrad_mlp.primitives import PRIMITIVES, defvjp, primitive

X = np.array([[1.0, -2.0, 3.0], [0.5, 0.25, -1.0]])


@pytest.fixture
def x():
    return Tensor(X.copy(), requires_grad=True, name="x")


# --- what it is made from -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "dtype", "shape"),
    [
        *((1.0, "f8", ()), (1, "i8", ()), (True, "?", ()), (1j, "c16", ()), ([], "f8", (0,))),
        *(([[1, 2], [3, 4]], "i8", (2, 2)), ((1.0, 2.0), "f8", (2,)), ([[]], "f8", (1, 0))),
        *((np.float32(2), "f4", ()), (np.ones(3, "f2"), "f2", (3,)), (range(3), "i8", (3,))),
        (np.ones(3, np.longdouble), np.longdouble, (3,)),
    ],
)
def test_a_tensor_is_made_from_anything_that_holds_numbers(data, dtype, shape):
    t = Tensor(data)
    assert (t.dtype, t.shape, t.ndim, t.size) == (np.dtype(dtype), shape, len(shape), np.size(data))
    assert type(t.data) is np.ndarray
    assert (t.grad, t.op, t.args, t.parents, t.name, t.requires_grad) == (
        None,
        None,
        (),
        (),
        None,
        False,
    )


def test_an_array_is_shared_and_not_copied():
    a = np.ones(3)
    assert Tensor(a).data is a
    assert Tensor(a, dtype=float).data is a
    assert Tensor(a, dtype=np.float32).data is not a
    assert Tensor(a, dtype="float32").dtype == np.float32
    assert Tensor([1, 2], dtype=float, requires_grad=True).dtype == np.float64


def test_a_tensor_of_a_tensor_shares_its_array_unless_that_cuts_the_graph(x):
    t = Tensor(X)
    assert Tensor(t).data is X
    with pytest.raises(GradientError, match=r"x \(2, 3\).*cut the graph.*detach\(\)"):
        Tensor(x)


@pytest.mark.parametrize("data", [[1, 2], True, np.ones(3, int), 1j, np.ones(2, bool)])
def test_only_floating_point_can_require_a_gradient(data):
    with pytest.raises(
        GradientError, match=r"cannot require a gradient.*1\.0 instead of 1.*dtype=float"
    ):
        Tensor(data, requires_grad=True)


def test_the_error_of_an_integer_leaf_names_it():
    with pytest.raises(GradientError, match=r"Tensor w \(2,\) of int64 cannot require a gradient"):
        Tensor([1, 2], requires_grad=True, name="w")


@pytest.mark.parametrize("data", ["hello", ["a", "b"], None, [None, 1], object(), b"x", {"a": 1}])
def test_what_holds_no_numbers_is_refused(data):
    """In particular no array of objects is ever made."""
    with pytest.raises(ShapeError, match=r"Tensor: entries must be numbers, not (object|<U|\|S|S)"):
        Tensor(data)
    with pytest.raises(ShapeError):
        Tensor(np.array(["2020-01-01"], "datetime64[D]"))


def test_a_ragged_list_is_refused_with_numpys_reason():
    with pytest.raises(ShapeError, match=r"rows of the list differ in length") as caught:
        Tensor([[1, 2], [3]])
    assert isinstance(caught.value.__cause__, ValueError)


def test_slots_leave_no_room_for_misspelled_attributes(x):
    with pytest.raises(AttributeError):
        x.gard = 1
    with pytest.raises(AttributeError):
        x.shape = (3, 2)


# --- operators ------------------------------------------------------------------------------------

OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow]
OTHERS = [
    *(2, 2.5, True, np.float64(1.5), np.float32(1.5), np.int64(2), np.array(2.0)),
    *(np.array([1.0, 2.0, 3.0]), np.ones((2, 1)), [1.0, 2.0, 3.0], (1, 2, 3), [[1.0], [2.0]]),
]


@pytest.mark.parametrize("op", OPERATORS)
@pytest.mark.parametrize("other", OTHERS, ids=repr)
def test_an_operator_takes_numbers_arrays_and_lists_on_either_side(op, other):
    a = np.abs(X) + 0.5
    t = Tensor(a, requires_grad=True)
    if type(other) in (list, tuple):
        other_array = np.array(other)
    else:
        other_array = other
    for y, expected in ((op(t, other), op(a, other_array)), (op(other, t), op(other_array, a))):
        assert type(y) is Tensor
        assert y.requires_grad
        np.testing.assert_allclose(y.data, expected, rtol=1e-15, strict=True)
    t.grad = None
    (op(t, other).sum() + op(other, t).sum()).backward()
    (expected,) = complex_step(lambda z: (op(z, other_array) + op(other_array, z)).sum(), [a])
    np.testing.assert_allclose(t.grad, expected, rtol=1e-12)


@pytest.mark.parametrize("op", [*OPERATORS, operator.matmul])
def test_an_operator_of_two_tensors(op):
    a, b = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[0.5, 1.5], [2.5, 1.0]])
    for y in (op(*leaves(a, b)), op(a, leaves(b)[0]), op(leaves(a)[0], b)):
        assert type(y) is Tensor
        np.testing.assert_array_equal(y.data, op(a, b))
    for y in (op(a.tolist(), leaves(b)[0]), op(leaves(a)[0], b.tolist())):
        np.testing.assert_array_equal(y.data, op(a, b))


def test_unary_operators(x):
    for op in (operator.neg, operator.pos, abs):
        y = op(x)
        np.testing.assert_array_equal(y.data, op(X))
        assert y.requires_grad


def test_an_ndarray_on_the_left_gives_a_tensor(x):
    for y in (X + x, X - x, X * x, X / x, X @ x.T, np.float64(2) * x, np.float32(2) - x):
        assert type(y) is Tensor
        assert y.requires_grad
        assert y.data.dtype == np.float64
    assert type(np.ones(3) > x) is Tensor
    assert type(np.float64(2) ** x) is Tensor


def test_numpy_scalars_on_the_left_keep_the_dtype_numpy_gives():
    a = np.ones(3, np.float32)
    t = Tensor(a, requires_grad=True)
    for number in (np.float32(2), np.float64(2), np.int64(2), 2, 2.0):
        for op in OPERATORS:
            assert op(number, t).dtype == op(number, a).dtype
            assert op(t, number).dtype == op(a, number).dtype


@pytest.mark.parametrize(
    "op", [operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne]
)
def test_a_comparison_is_a_tensor_that_never_requires_a_gradient(op, x):
    for y, expected in ((op(x, 0.5), op(X, 0.5)), (op(0.5, x), op(0.5, X)), (op(x, X), op(X, X))):
        assert type(y) is Tensor
        assert not y.requires_grad
        assert y.op is None
        np.testing.assert_array_equal(y.data, expected, strict=True)
    assert type(op(X, x)) is Tensor
    np.testing.assert_array_equal(op(np.zeros(3), x).data, op(np.zeros(3), X))


def test_truth_tensors_combine(x):
    mask = (x > 0) & (x < 2) | ~(x > -1.5)
    np.testing.assert_array_equal(mask.data, (X > 0) & (X < 2) | ~(X > -1.5))
    np.testing.assert_array_equal(((X > 0) & (x < 2)).data, (X > 0) & (X < 2))
    np.testing.assert_array_equal(((X > 0) | (x < 2)).data, (X > 0) | (X < 2))
    np.testing.assert_array_equal(x[mask].data, X[mask.data])
    np.testing.assert_array_equal((x // 2).data, X // 2)


def test_a_tensor_equals_itself_by_identity_where_a_hash_is_used(x):
    y = Tensor(X)
    assert len({x, y, x}) == 2
    assert hash(x) == hash(x)
    assert {x: 1, y: 2}[x] == 1
    assert (x == y).all()


def test_an_unknown_operand_is_pythons_type_error(x):
    for op in OPERATORS:
        with pytest.raises(TypeError):
            op(x, "a")
        with pytest.raises(TypeError):
            op(None, x)


# --- numpy's functions ----------------------------------------------------------------------------

SPELLINGS_OF_2_1 = [  # NumPy 2.0 refuses these itself
    *(lambda t: np.clip(t, min=-1, max=1), lambda t: np.clip(t, max=1)),
    lambda t: np.clip(a=t, min=0),
    *(lambda t: np.reshape(t, shape=(3, 2)), lambda t: np.reshape(t, shape=6)),
]
SPELLINGS = [
    *(lambda t: np.sum(t), lambda t: np.sum(t, 0), lambda t: np.sum(t, axis=1, keepdims=True)),
    *(
        lambda t: np.sum(a=t, axis=0),
        lambda t: np.mean(t, axis=(0, 1)),
        lambda t: np.max(t, axis=0),
    ),
    *(
        lambda t: np.amax(t),
        lambda t: np.amax(t, axis=1),
        lambda t: np.amin(t, axis=0, keepdims=True),
    ),
    *(lambda t: np.min(a=t), lambda t: np.abs(t), lambda t: np.absolute(t), lambda t: np.square(t)),
    *(lambda t: np.clip(t, -1, 1), lambda t: np.clip(t, a_min=-1, a_max=1)),
    *(SPELLINGS_OF_2_1 if NUMPY >= (2, 1) else ()),
    *(lambda t: np.clip(t, a_min=None, a_max=1), lambda t: np.clip(t, -1, a_max=1)),
    *(lambda t: np.reshape(t, (3, 2)), lambda t: np.reshape(t, -1), lambda t: np.ravel(t)),
    *(
        lambda t: np.transpose(t),
        lambda t: np.transpose(t, (1, 0)),
        lambda t: np.transpose(t, axes=(1, 0)),
    ),
    *(lambda t: np.swapaxes(t, 0, 1), lambda t: np.swapaxes(t, axis1=0, axis2=1)),
    *(lambda t: np.swapaxes(t, axis2=0, axis1=-1), lambda t: np.expand_dims(t, 1)),
    *(lambda t: np.expand_dims(t, axis=(0, 3)), lambda t: np.squeeze(np.expand_dims(t, 0))),
    *(lambda t: np.squeeze(np.expand_dims(t, 0), axis=0), lambda t: np.broadcast_to(t, (4, 2, 3))),
    *(
        lambda t: np.broadcast_to(t, shape=(4, 2, 3)),
        lambda t: np.broadcast_to(array=t, shape=(2, 3)),
    ),
    *(lambda t: np.concatenate([t, t]), lambda t: np.concatenate((t, X, t), axis=1)),
    *(lambda t: np.concatenate([t, t], 1), lambda t: np.concatenate([t, [[1.0, 2.0, 3.0]]])),
    *(lambda t: np.concatenate([X, t], axis=None), lambda t: np.stack([t, X], axis=-1)),
    *(lambda t: np.stack((X, t)), lambda t: np.stack([t, t], 1), lambda t: np.copy(t)),
    *(
        lambda t: np.where(X > 0, t, 0),
        lambda t: np.where(t > 0, t, -t),
        lambda t: np.where(t > 0, 0.0, t),
    ),
    *(lambda t: np.matmul(t, X.T), lambda t: np.matmul(X.T, t), lambda t: np.dot(X.T, t)),
    *(lambda t: np.dot(t, X.T), lambda t: np.add(t, 1), lambda t: np.subtract(1, t)),
    *(lambda t: np.multiply(t, [1, 2, 3]), lambda t: np.divide([[1.0], [2.0]], t)),
    *(lambda t: np.true_divide(t, 2), lambda t: np.negative(t), lambda t: np.positive(t)),
    *(lambda t: np.power(t, 3), lambda t: np.exp(t), lambda t: np.tanh(t), lambda t: np.log(t * t)),
    *(lambda t: np.sqrt(t * t), lambda t: np.maximum(t, 0), lambda t: np.minimum(X.T[0, 0], t)),
    # methods
    *(lambda t: t.sum(), lambda t: t.sum(0), lambda t: t.sum(axis=1, keepdims=True)),
    *(lambda t: t.mean(), lambda t: t.mean(axis=-1), lambda t: t.max(), lambda t: t.max(1)),
    *(lambda t: t.min(axis=0, keepdims=True), lambda t: t.clip(-1, 1), lambda t: t.clip(min=-1)),
    *(lambda t: t.clip(max=1), lambda t: t.reshape(3, 2), lambda t: t.reshape((3, 2))),
    *(lambda t: t.reshape(-1), lambda t: t.reshape(6), lambda t: t.ravel(), lambda t: t.flatten()),
    *(
        lambda t: t.transpose(),
        lambda t: t.transpose(1, 0),
        lambda t: t.transpose((1, 0)),
        lambda t: t.T,
    ),
    *(lambda t: t.swapaxes(0, 1), lambda t: t[None].squeeze(), lambda t: t[:, None].squeeze(1)),
    *(lambda t: t[None].squeeze(axis=0), lambda t: t.dot(X.T), lambda t: t.astype(np.float32)),
    *(lambda t: t.astype("float64"), lambda t: sum(t), lambda t: t[::-1, [0, 0, 1]]),
]


@pytest.mark.parametrize("f", SPELLINGS)
def test_a_spelling_gives_what_numpy_gives_and_a_gradient(f):
    expected = f(X)
    t = Tensor(X, requires_grad=True)
    y = f(t)
    assert type(y) is Tensor
    assert y.requires_grad
    np.testing.assert_array_equal(y.data, expected)
    assert y.shape == np.shape(expected)
    assert y.dtype == np.asarray(expected).dtype
    y.backward(np.ones(y.shape))
    assert t.grad.shape == X.shape
    narrow = X.astype(np.float32)
    if "X" not in f.__code__.co_names and f(narrow).dtype == np.float32:
        assert f(Tensor(narrow)).dtype == np.float32


QUERIES = [
    *(
        np.shape,
        np.ndim,
        np.size,
        np.argmax,
        np.argmin,
        np.argsort,
        np.isnan,
        np.isfinite,
        np.isinf,
    ),
    *(np.any, np.all, np.count_nonzero, np.nonzero, np.flatnonzero, np.unique, np.signbit),
    *(np.result_type, np.iscomplexobj, np.isrealobj, np.array2string, np.array_repr, np.array_str),
    *(lambda t: np.argmax(t, axis=1), lambda t: np.argmax(a=t), lambda t: np.allclose(t, X)),
    *(lambda t: np.allclose(X, t), lambda t: np.array_equal(t, X), lambda t: np.array_equal(X, t)),
    *(
        lambda t: np.isclose(t, 1.0),
        lambda t: np.array_equiv(t, X),
        lambda t: np.shares_memory(t, X),
    ),
    *(lambda t: np.may_share_memory(X, t), lambda t: np.argsort(t, axis=0)),
    *(lambda t: np.any(t > 1), lambda t: np.all(t > 1, axis=0), lambda t: t.argmax(), len),
    *(
        lambda t: t.argmax(axis=0),
        lambda t: t.argmin(1),
        lambda t: t.any(),
        lambda t: t.all(axis=1),
    ),
    *(
        lambda t: t.tolist(),
        lambda t: np.searchsorted(t[0], [0.5]),
        lambda t: np.bincount((t[0] > 0).astype(int)),
    ),
]


@pytest.mark.parametrize("f", QUERIES)
def test_a_query_gives_a_plain_result(f):
    expected = f(X)
    answer = f(Tensor(X, requires_grad=True))
    assert type(answer) is type(expected)
    np.testing.assert_equal(answer, expected)


def test_numpys_assertions_accept_tensors(x):
    y = x * 1
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(X, y)
    np.testing.assert_allclose(y, X)
    np.testing.assert_allclose(X, y)
    np.testing.assert_equal(x, X)
    np.testing.assert_equal(X, y)
    np.testing.assert_array_less(x, y + 1)
    np.testing.assert_array_almost_equal(y, X)
    np.testing.assert_allclose(x, y, rtol=1e-3, strict=True)
    for check in (np.testing.assert_array_equal, np.testing.assert_allclose):
        with pytest.raises(AssertionError):
            check(x, X + 1)
        with pytest.raises(AssertionError):
            check(y, x + 1)
    with pytest.raises(AssertionError):
        np.testing.assert_array_less(x, x)


def test_an_array_of_objects_never_appears(x):
    """Every way in which NumPy makes one out of things it does not know."""
    for f in (
        lambda: np.array([x, x]),
        lambda: np.array([x[0, 0], x[0, 1]]),
        lambda: np.r_[x[0], x[1]],
        lambda: np.full(3, x[0, 0]),
        lambda: np.full((2, 3), x),
        lambda: np.asarray(x),
        lambda: np.array(x, dtype=object),
        lambda: np.asarray([x[0, 0], 1.0]),
        lambda: np.ones((2, 3)).astype(float).__setitem__(slice(None), x),
    ):
        with pytest.raises(
            GradientError, match=r"(x|Tensor) .*lost.*t\.numpy\(\).*t\.detach\(\).*np\.stack"
        ):
            f()
    assert (X * x).data.dtype == np.float64
    assert np.stack([x, x]).shape == (2, 2, 3)


def test_a_tensor_without_gradient_is_an_array_where_one_is_asked_for():
    t = Tensor(X)
    for a in (np.asarray(t), np.array(t), np.array([t, t])[0], np.vstack([np.asarray(t)])):
        assert type(a) is np.ndarray
        np.testing.assert_array_equal(a, X)
    assert np.asarray(t, dtype=np.float32).dtype == np.float32
    assert np.shares_memory(np.asarray(t), X)
    assert not np.shares_memory(np.array(t), X)


def test_a_tensor_is_an_array_under_no_grad(x):
    with no_grad():
        np.testing.assert_array_equal(np.asarray(x), X)
        np.testing.assert_array_equal(np.array([x, x]), [X, X])
    with pytest.raises(GradientError):
        np.asarray(x)


# --- refused --------------------------------------------------------------------------------------


def test_shapes_that_do_not_fit_a_product_are_named():
    a, w = Tensor(np.ones((7, 5)), name="x"), Tensor(np.ones((4, 3)), True, name="W[1]")
    facts = r"matmul: x \(7, 5\) @ W\[1\] \(4, 3\): x has 5 columns, W\[1\] has 4 rows; .*equal"
    for f in (lambda: a @ w, lambda: np.matmul(a, w)):
        with pytest.raises(ShapeError, match=facts) as caught:
            f()
        assert type(caught.value.__cause__) is ValueError  # NumPy's own words are chained
    with pytest.raises(ShapeError, match=r"a \(7, 5\) @ W\[1\] \(4, 3\): a has 5 columns"):
        np.ones((7, 5)) @ w
    with pytest.raises(ShapeError, match=r"x \(7, 5\) @ b \(3, 5\).*b\.T \(5, 3\) would fit"):
        a @ np.ones((3, 5))


@pytest.mark.parametrize(
    ("f", "facts"),
    [
        (
            lambda x: x + np.ones(2),
            r"add: x \(2, 3\) \+ b \(2,\): axis -1 is 3 against 2.*b\.reshape\(2, 1\)",
        ),
        (
            lambda x: np.ones((4, 3)) - x,
            r"subtract: a \(4, 3\) - x \(2, 3\): axis -2 is 4 against 2",
        ),
        (lambda x: x * [1.0, 2.0], r"multiply: x \(2, 3\) \* b \(2,\)"),
        (lambda x: np.divide(x, np.ones(4)), r"divide: x \(2, 3\) / b \(4,\)"),
        (lambda x: x > np.ones(4), r"greater: x \(2, 3\) and b \(4,\)"),
        (lambda x: np.maximum(x, np.ones(2)), r"maximum: x \(2, 3\) and b \(2,\)"),
        (lambda x: x.reshape(4, 2), r"reshape.*x \(2, 3\).*4, 2.*size 6"),
        (lambda x: np.concatenate([x, np.ones((2, 2))]), r"concatenate.*x \(2, 3\).*\(2, 2\)"),
        (lambda x: np.stack([x, np.ones((2, 2))]), r"stack.*x \(2, 3\).*\(2, 2\)"),
        (lambda x: np.broadcast_to(x, (3, 2)), r"broadcast_to.*x \(2, 3\).*\[3, 2\]"),
        (lambda x: np.transpose(x, (0, 1, 2)), r"transpose.*x \(2, 3\)"),
        (lambda x: np.squeeze(x, 0), r"squeeze.*x \(2, 3\)"),
        (lambda x: np.where(np.ones((4, 3)) > 0, x, 0), r"where.*x \(2, 3\)"),
        (lambda x: x @ 2.0, r"matmul.*x \(2, 3\)"),
    ],
)
def test_shapes_that_do_not_fit_are_named(f, facts, x):
    with pytest.raises(ShapeError, match=facts):
        f(x)


def test_a_wrong_axis_or_index_is_pythons_error(x):
    with pytest.raises(IndexError, match="out of bounds"):
        x[2]
    with pytest.raises((IndexError, ValueError), match="axis 5"):
        x.sum(axis=5)


def test_a_function_without_a_rule_names_itself_and_a_way_out(x):
    with pytest.raises(
        MissingVJPError, match=r"np\.partition has no VJP rule\..*np\.sort.*defvjp\(np\.partition, "
    ):
        np.partition(x, 1)
    with pytest.raises(MissingVJPError, match=r"np\.nextafter has no VJP rule.*defvjp\(np\.next"):
        np.nextafter(x, 0)
    with pytest.raises(MissingVJPError, match=r"np\.vander has no VJP rule.*np\.var\?"):
        np.vander(x[0])
    with pytest.raises(MissingVJPError, match=r"np\.copyto.*np\.where"):
        np.copyto(np.ones((2, 3)), x)
    with pytest.raises(MissingVJPError, match=r"np\.linalg\.eig has no VJP rule.*np\.linalg\.eigh"):
        np.linalg.eig(x)
    with pytest.raises(MissingVJPError, match=r"np\.partition"):
        np.partition(Tensor(X), 1)  # also without a gradient: no silent way out of the graph


@pytest.mark.parametrize(
    ("f", "facts"),
    [
        (lambda a, t: operator.iadd(a, t), r"np\.add\(\.\.\., out=\.\.\.\).*a = a \+ t"),
        (lambda a, t: operator.imul(a, t), r"np\.multiply\(.*out="),
        (lambda a, t: operator.isub(a, t), r"np\.subtract\(.*out="),
        (lambda a, t: np.exp(t, out=a), r"np\.exp\(.*out=.*assign"),
        (lambda _, t: np.add(t, t, out=t), r"np\.add\(.*out="),
        (lambda a, t: np.add(a, a, out=t), r"np\.add\(.*out="),
    ],
)
def test_an_array_is_not_changed_by_a_tensor(f, facts, x):
    a = np.ones((2, 3))
    with pytest.raises(GradientError, match=facts):
        f(a, x)
    np.testing.assert_array_equal(a, 1)


@pytest.mark.parametrize(
    ("f", "facts"),
    [
        (lambda t: np.add.reduce(t), r"np\.add\.reduce has no VJP rule; np\.sum"),
        (lambda t: np.add.accumulate(t), r"np\.add\.accumulate"),
        (lambda t: np.multiply.outer(t, t), r"np\.multiply\.outer"),
        (lambda t: np.maximum.reduce(t), r"np\.maximum\.reduce.*np\.max"),
        (lambda t: np.add.at(np.ones((2, 3)), 0, t), r"np\.add\.at"),
        (lambda t: np.add(t, 1, where=X > 0), r"add: where= cannot be used with Tensors"),
        (lambda t: np.sum(t, where=X > 0), r"sum: where= cannot be used.*keepdims"),
        (lambda t: np.sum(t, dtype=np.float32), r"sum: dtype= cannot be used"),
        (lambda t: np.sum(t, initial=3), r"sum: initial= cannot be used"),
        (lambda t: np.mean(t, 0, None), r"mean: so many arguments cannot be used"),
        (lambda t: np.exp(t, dtype=np.float32), r"exp: dtype= cannot be used"),
        (lambda t: np.reshape(t, (3, 2), order="F"), r"reshape: order= cannot be used"),
        (lambda t: np.max(t, initial=0), r"max: initial= cannot be used"),
        (lambda t: t.sum(where=X > 0), r"sum: where= cannot be used"),
        (lambda t: t.mean(bogus=1), r"mean: bogus= cannot be used"),
    ],
)
def test_what_has_no_rule_is_refused_by_name(f, facts, x):
    with pytest.raises(MissingVJPError, match=facts):
        f(x)


@pytest.mark.parametrize(
    "f",
    [
        lambda t: np.concatenate([t, t], out=np.ones((4, 3))),
        lambda t: np.concatenate([t, t], dtype=np.float32),
        lambda t: np.stack([t, t], dtype=np.float32),
        lambda t: np.ravel(t, order="F"),
        lambda t: np.amax(t, initial=0),
        lambda t: np.dot(t, X.T, out=np.ones((2, 2))),
        lambda t: t.astype(np.float32, copy=True),
        lambda t: t.reshape(3, 2, order="F"),
    ],
)
def test_an_option_without_a_rule_is_some_type_error_of_ours_or_pythons(f, x):
    with pytest.raises((TypeError, TinygradMLPError)):
        f(x)


def test_a_leaf_that_requires_a_gradient_is_not_changed_in_place(x):
    for op in (operator.iadd, operator.isub, operator.imul, operator.itruediv):
        with pytest.raises(GradientError, match=r"x \(2, 3\) is a leaf.*t\.data -= .*no_grad"):
            op(x, 1)
    with pytest.raises(GradientError, match=r"x \(2, 3\)\[\.\.\.\] = v.*np\.where.*no_grad"):
        x[0] = 1.0
    with pytest.raises(GradientError, match=r"no gradient"):
        (x * 2)[0] = 1.0
    with pytest.raises(GradientError, match=r"Tensor \(2, 3\)\[\.\.\.\] = v"):
        Tensor(X.copy())[0] = x[0]
    np.testing.assert_array_equal(x.data, X)


def test_augmented_assignment_to_a_result_makes_a_new_one(x):
    y = first = x * 2
    y += 1
    y *= 3
    y -= x
    y /= 2
    assert y is not first
    np.testing.assert_array_equal(first.data, X * 2)
    np.testing.assert_array_equal(y.data, ((X * 2 + 1) * 3 - X) / 2)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, 2.5)


def test_a_constant_may_be_changed_and_assigned_to():
    t = Tensor(X.copy())
    t[0] = 5.0
    t[Tensor([1]), 0] = Tensor(7.0)
    assert t.tolist() == [[5, 5, 5], [7, 0.25, -1]]
    t += 1
    assert type(t) is Tensor
    assert t.tolist() == [[6, 6, 6], [8, 1.25, 0]]


# --- changing what it holds -----------------------------------------------------------------------


def test_under_no_grad_a_parameter_changes_in_place(x):
    array, same = x.data, x
    with no_grad():
        x -= 1
        x *= 2
        x += Tensor(np.ones(3))
        x /= 4
        x[0, 1:] = np.array([10.0, 20.0])
        x[1, 0] = Tensor(30.0)
    assert x is same
    assert x.data is array
    assert x.requires_grad
    expected = ((X - 1) * 2 + 1) / 4
    expected[0, 1:] = 10, 20
    expected[1, 0] = 30
    np.testing.assert_array_equal(x.data, expected)


def test_data_may_be_assigned_in_place_or_anew(x):
    array = x.data
    x.data -= 1
    assert x.data is array
    new = np.zeros((2, 3))
    x.data = new
    assert x.data is new
    x.data = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    assert type(x.data) is np.ndarray
    with pytest.raises(ShapeError, match=r"x \(2, 3\)\.data = array \(3, 2\)"):
        x.data = np.zeros((3, 2))
    assert x.tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(
    "value", [np.ones((2, 3), int), np.full((2, 3), "a"), np.ones((2, 3), bool)]
)
def test_data_of_a_parameter_stays_floating_point(value, x):
    """Either converted or refused; never a leaf of integers that requires a gradient."""
    with contextlib.suppress(TinygradMLPError):
        x.data = value
    assert x.dtype == np.float64


def test_a_read_only_array_is_not_written():
    a = np.ones(3)
    a.flags.writeable = False
    t = Tensor(a, requires_grad=True)
    with pytest.raises(ValueError, match="read-only"), no_grad():
        t[0] = 2.0
    (t * t).sum().backward()
    np.testing.assert_array_equal(t.grad, 2)


# --- python's protocols ---------------------------------------------------------------------------


def test_it_has_a_length_and_iterates_over_its_first_axis(x):
    assert len(x) == 2
    rows = list(x)
    assert [type(row) for row in rows] == [Tensor, Tensor]
    np.testing.assert_array_equal(rows[1].data, X[1])
    first, second = x
    (first * second).sum().backward()
    np.testing.assert_array_equal(x.grad, X[::-1])
    with pytest.raises(TypeError):
        len(Tensor(1.0))
    with pytest.raises(TypeError):
        list(Tensor(1.0))
    with pytest.raises(TypeError):
        iter(Tensor(1.0))
    assert 3.0 in x[0]
    assert 4.0 not in x[0]


def test_one_entry_is_a_number():
    t = Tensor([[2.75]], requires_grad=True)
    assert (float(t), int(t), t.item(), bool(t)) == (2.75, 2, 2.75, True)
    assert type(t.item()) is float
    assert type(Tensor(3).item()) is int
    assert f"{t:.1f}" == "2.8"
    assert f"{Tensor(2.0):6.2f}|" == "  2.00|"
    assert [10, 20, 30][Tensor(1)] == 20
    assert range(Tensor(3)) == range(3)
    assert not Tensor(0.0)
    assert round(float(t), 1) == 2.8


def test_more_than_one_entry_is_no_number(x):
    for f in (lambda: x.item(), lambda: float(x), lambda: int(x), lambda: f"{x:.2f}"):
        with pytest.raises(ShapeError, match=r"item\(\): x \(2, 3\) has 6 entries, not one"):
            f()
    with pytest.raises(ValueError, match="ambiguous"):
        bool(x)
    with pytest.raises(ValueError, match="ambiguous"):
        bool(x > 0)
    with pytest.raises(TypeError):
        range(Tensor(1.5))


def test_numpy_detach_and_tolist(x):
    y = x * 2
    assert x.numpy() is x.data
    assert y.numpy() is y.data
    d = y.detach()
    assert (type(d), d.requires_grad, d.op, d.parents) == (Tensor, False, None, ())
    assert d.data is y.data
    assert x.detach().name == "x"
    assert x.tolist() == X.tolist()
    assert Tensor(2.0).tolist() == 2.0
    (y.detach() * x).sum().backward()
    np.testing.assert_array_equal(x.grad, 2 * X)


def test_repr_shows_numbers_name_shape_dtype_and_op(x):
    assert repr(Tensor(2.5)) == "Tensor(2.5, shape=(), dtype=float64)"
    text = repr(x)
    for part in ("Tensor([[ 1.", "name='x'", "shape=(2, 3)", "dtype=float64", "requires_grad=True"):
        assert part in text
    assert "op=" not in text
    assert "op=exp" in repr(np.exp(x))
    assert "name=" not in repr(np.exp(x))
    assert str(x) == repr(x) == f"{x}"
    assert len(repr(Tensor(np.zeros((1000, 1000))))) < 1000
    assert "shape=(0, 3)" in repr(Tensor(np.zeros((0, 3))))


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_leaf_survives_pickling(protocol, x):
    x.grad = np.ones((2, 3))
    t = pickle.loads(pickle.dumps(x, protocol))
    assert (type(t), t.name, t.requires_grad, t.op) == (Tensor, "x", True, None)
    np.testing.assert_array_equal(t.data, X)
    np.testing.assert_array_equal(t.grad, x.grad)
    (t * t).sum().backward()
    np.testing.assert_array_equal(t.grad, 1 + 2 * X)
    assert x.grad.sum() == 6


def test_a_result_is_pickled_as_a_leaf_without_its_graph(x):
    t = pickle.loads(pickle.dumps(x * 2))
    assert t.parents == ()
    np.testing.assert_array_equal(t.data, 2 * X)


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
def test_tensors_that_occur_twice_are_one_tensor_in_the_copy(twin, x):
    a, b, c = twin([x, x, {"again": x}])
    assert a is b is c["again"]
    assert a is not x
    assert not np.shares_memory(a.data, x.data)
    shared = Tensor(x.data)
    t, u = twin((x, shared))
    assert np.shares_memory(t.data, u.data)


def test_a_deepcopied_net_trains_alone():
    net = MLP([3, 4, 2], rng=0)
    twin = copy.deepcopy(net)
    before = [p.data.copy() for p in net.parameters()]
    mse(twin(np.ones((5, 3))), np.zeros((5, 2))).backward()
    SGD(twin.parameters(), 0.1).step()
    for p, q, a in zip(net.parameters(), twin.parameters(), before, strict=True):
        np.testing.assert_array_equal(p.data, a)
        assert p.grad is None
        assert q.grad is not None
        assert p.name == q.name


def test_a_shallow_copy_shares_the_array(x):
    t = copy.copy(x)
    assert t is not x
    assert t.data is x.data
    assert t.requires_grad


# --- backward and who owns a gradient -------------------------------------------------------------


def test_backward_of_a_non_scalar_says_what_to_do(x):
    y = x * 2
    y.name = "y"
    facts = r"scalar loss; y \(2, 3\).*mse\(y, t\).*y\.sum\(\).*y\.backward\(np\.ones\(\(2, 3\)\)\)"
    with pytest.raises(GradientError, match=facts):
        y.backward()
    with pytest.raises(GradientError, match=r"scalar loss.*\(0,\)"):
        Tensor(np.zeros(0), requires_grad=True).backward()


def test_one_entry_is_scalar_enough():
    for shape in ((), (1,), (1, 1)):
        t = Tensor(np.full(shape, 3.0), requires_grad=True)
        (t * t).backward()
        np.testing.assert_array_equal(t.grad, np.full(shape, 6.0), strict=True)


def test_backward_of_what_requires_no_gradient_says_why():
    with pytest.raises(GradientError, match=r"loss \(\) does not require a gradient.*no_grad"):
        Tensor(1.0, name="loss").backward()
    with no_grad():
        y = Tensor(1.0, requires_grad=True) * 2
    with pytest.raises(GradientError, match=r"does not require a gradient"):
        y.backward()


def test_a_cotangent_of_another_shape_is_refused(x):
    for grad in (np.ones((3, 2)), 1.0, np.ones((1, 2, 3)), np.ones(3)):
        with pytest.raises(
            ShapeError, match=rf"grad \({str(np.shape(grad))[1:-1]}\) for Tensor \(2, 3\)"
        ):
            (x * 2).backward(grad)
    assert x.grad is None


def test_a_cotangent_may_be_a_list_a_number_a_tensor_or_of_another_dtype(x):
    for grad in (X, X.tolist(), Tensor(X), X.astype(np.float32), Tensor(X, requires_grad=True)):
        x.grad = None
        (x * 2).backward(grad)
        np.testing.assert_array_equal(x.grad, 2 * X)
        assert type(x.grad) is np.ndarray
    (x.sum() * 2).backward(3)
    np.testing.assert_array_equal(x.grad, 2 * X + 6)
    narrow = Tensor(np.ones(2, np.float32), requires_grad=True)
    (narrow * 2).backward(np.ones(2))
    assert narrow.grad.dtype == np.float32


def test_a_cotangent_enters_the_graph_in_its_dtype(monkeypatch):
    """Or a whole backward pass would run in float64."""
    seen = []

    def rule(g, _y, _a):
        seen.append(g.dtype)
        return g

    monkeypatch.setitem(PRIMITIVES, np.positive, (rule,))
    y = +Tensor(np.ones(2, np.float32), requires_grad=True)
    y.backward(np.ones(2))
    y.backward([1, 2])
    y.sum().backward()
    assert seen == [np.float32] * 3


def test_backward_of_a_leaf_is_the_cotangent_itself_in_a_copy(x):
    g = np.ones((2, 3))
    x.backward(g)
    x.backward(g)
    np.testing.assert_array_equal(x.grad, 2)
    np.testing.assert_array_equal(g, 1)
    assert not np.shares_memory(x.grad, g)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x,
        lambda x: +x,
        lambda x: x + 0,
        lambda x: x.reshape(3, 2).reshape(2, 3),
        lambda x: x.T.T,
        lambda x: np.copy(x),
        lambda x: x[...],
        lambda x: np.concatenate([x[:1], x[1:]]),
        lambda x: np.broadcast_to(x, (2, 3)),
    ],
)
def test_the_callers_cotangent_is_neither_kept_nor_changed(f, x):
    g = X.copy()
    y = f(x)
    y.backward(g)
    kept = x.grad
    y.backward(g)
    np.testing.assert_array_equal(g, X)
    assert not np.shares_memory(x.grad, g)
    np.testing.assert_array_equal(x.grad, 2 * X)
    np.testing.assert_array_equal(kept, X)  # what a user held is not written into
    x.grad[...] = 0
    np.testing.assert_array_equal(g, X)


def test_gradients_of_two_leaves_do_not_share_memory():
    """add hands the same cotangent to both."""
    for f in (
        lambda a, b: a + b,
        lambda a, b: np.stack([a, b]),
        lambda a, b: np.concatenate([a, b]),
        lambda a, b: (a + b) + (a + b),
        lambda a, b: np.broadcast_to(a + b, (3, 2)),
        lambda a, b: a - -b,
    ):
        a, b = leaves(np.ones(2), np.ones(2))
        y = f(a, b)
        y.backward(np.ones(y.shape))
        expected = b.grad.copy()
        assert not np.shares_memory(a.grad, b.grad)
        a.grad += 100
        np.testing.assert_array_equal(b.grad, expected)


def test_gradients_are_writable_and_contiguous():
    for f in (
        lambda x: x.sum(),
        lambda x: x.mean(axis=0).sum(),
        lambda x: x.T,
        lambda x: np.broadcast_to(x, (4, 2, 3)),
        lambda x: x[::-1],
        lambda x: x.swapaxes(0, 1) + 1,
        lambda x: x.sum(axis=0, keepdims=True),
    ):
        t = Tensor(X, requires_grad=True)
        y = f(t)
        y.backward(np.ones(y.shape))
        assert t.grad.flags.c_contiguous
        assert t.grad.flags.writeable
        assert t.grad.base is None
        t.grad *= 2


def test_accumulation_never_writes_into_an_array_it_did_not_make(x):
    mine = np.ones((2, 3))
    x.grad = mine
    (x * 2).sum().backward()
    np.testing.assert_array_equal(mine, 1)
    np.testing.assert_array_equal(x.grad, 3)
    held = x.grad
    (x * 2).sum().backward()
    np.testing.assert_array_equal(held, 3)
    np.testing.assert_array_equal(x.grad, 5)


def test_grad_is_none_until_computed_can_be_set_and_forgotten(x):
    assert x.grad is None
    x.sum().backward()
    assert x.grad is not None
    x.zero_grad()
    assert x.grad is None
    x.grad = X
    assert x.grad is X


def test_an_intermediate_keeps_its_gradient_only_on_request(x):
    y = x * 2
    z = y * y
    assert z.retain_grad() is z
    w = z.sum()
    w.backward()
    assert y.grad is None
    assert w.grad is None
    np.testing.assert_array_equal(z.grad, 1)
    w.backward()
    np.testing.assert_array_equal(z.grad, 2)
    np.testing.assert_array_equal(x.grad, 2 * 8 * X)
    w.retain_grad()
    w.backward()
    assert w.grad == 1


def test_retained_gradients_are_unaliased_and_do_not_disturb_the_rest(x):
    a = (x + 1).retain_grad()
    b = (a + 2).retain_grad()
    b.sum().backward()
    for t in (a, b, x):
        np.testing.assert_array_equal(t.grad, 1)
        assert t.grad.flags.writeable
    assert not np.shares_memory(a.grad, b.grad)
    assert not np.shares_memory(a.grad, x.grad)


def test_a_float16_or_longdouble_leaf_keeps_its_dtype():
    for dtype in (np.float16, np.longdouble):
        t = Tensor(np.ones((2, 3), dtype), requires_grad=True)
        loss = mse(relu(t @ t.T) * 2.0, np.zeros((2, 2), dtype))
        assert loss.dtype == dtype
        loss.backward()
        assert t.grad.dtype == dtype


def test_complex_results_do_not_give_a_real_leaf_a_wrong_gradient():
    t = Tensor(1.0, requires_grad=True)
    y = t * 1j
    with pytest.raises((GradientError, TypeError, np.exceptions.ComplexWarning)):
        y.backward()
    with pytest.raises(GradientError, match=r"complex128 array is complex128"):
        y.retain_grad().backward()


def test_training_steps_by_hand_are_those_of_numpy():
    rng = np.random.default_rng(0)
    x, t, w = rng.normal(size=(8, 3)), rng.normal(size=(8, 2)), rng.normal(size=(3, 2))
    p = Tensor(w.copy(), requires_grad=True)
    for _ in range(5):
        p.zero_grad()
        mse(x @ p, t).backward()
        p.data -= 0.1 * p.grad
        w -= 0.1 * (x.T @ (2 * (x @ w - t) / 8))
    np.testing.assert_allclose(p.data, w, rtol=1e-13)


# --- arrays of another library --------------------------------------------------------------------


def foreign(rng, *shape):
    return Foreign(rng.normal(size=shape))


def test_the_double_is_as_strict_as_it_says():
    a = Foreign(np.ones(3))
    for f in (
        lambda: np.asarray(a),
        lambda: np.array([a, a]),
        lambda: a + np.ones(3),
        lambda: np.ones(3) * a,
        lambda: np.maximum(a, np.zeros(())),
        lambda: np.concatenate([a, np.ones(3)]),
    ):
        with pytest.raises(TypeError, match="Foreign"):
            f()
    assert type(a + 1.0) is type(np.float64(2) * a) is type(np.exp(a)) is type(a[0]) is Foreign
    assert type(a > 0) is Foreign


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_net_runs_on_arrays_of_another_library(dtype):
    """Forward, loss, backward and step: nothing is turned into a NumPy array."""
    rng = np.random.default_rng(0)
    arrays = [
        np.asarray(rng.normal(size=s), dtype) for s in ((7, 3), (3, 4), (4,), (4, 2), (2,), (7, 2))
    ]

    def run(x, w0, b0, w1, b1, t):
        return mse(relu(x @ w0 + b0) @ w1 + b1, t)

    here = [Tensor(a, requires_grad=True) for a in arrays]
    there = [Tensor(Foreign(a), requires_grad=True) for a in arrays]
    assert all(type(p.data) is Foreign for p in there)
    loss = run(*there)
    assert type(loss.data) is Foreign
    loss.backward()
    run(*here).backward()
    for p, q in zip(here, there, strict=True):
        assert type(q.grad) is Foreign
        np.testing.assert_array_equal(q.grad.host(), p.grad, strict=True)
    loss = run(*there)
    loss.backward()  # adds
    for p, q in zip(here, there, strict=True):
        assert type(q.grad) is Foreign
        np.testing.assert_array_equal(q.grad.host(), p.grad + p.grad)


FOREIGN_OPS = [
    *(lambda x: (x * x - 1) / (x + 5), lambda x: np.exp(x), lambda x: np.tanh(x), lambda x: abs(x)),
    *(lambda x: np.sqrt(np.square(x)), lambda x: x**2, lambda x: x.T @ x, lambda x: x.sum(axis=0)),
    *(
        lambda x: np.mean(x),
        lambda x: x.max(axis=1),
        lambda x: np.min(x),
        lambda x: x.reshape(3, 2),
    ),
    *(
        lambda x: x[0],
        lambda x: x[:, 1:],
        lambda x: x[:, None].squeeze(),
        lambda x: np.maximum(x, 0),
    ),
    *(lambda x: np.minimum(0.5, x), lambda x: np.clip(x, -1, 1), lambda x: np.where(x > 0, x, 0)),
    *(lambda x: np.concatenate([x, x]), lambda x: np.stack([x, x]), lambda x: x.swapaxes(0, 1)),
    *(
        lambda x: np.broadcast_to(x, (2, 2, 3)),
        lambda x: relu(x),
        lambda x: x + x[0],
        lambda x: 2 - x,
    ),
    *(
        lambda x: x / 3 + x,
        lambda x: np.copy(x),
        lambda x: mse(x, x * 2),
        lambda x: x.astype(np.float32),
    ),
    *(lambda x: -x, lambda x: x.mean(axis=0, keepdims=True) - x, lambda x: x @ x[0]),
    *(lambda x: mse(x, x * 2, "none"), lambda x: mse(x, x * 2, "mean")),
]


@pytest.mark.parametrize("f", FOREIGN_OPS)
def test_an_op_and_its_rules_run_on_arrays_of_another_library(f):
    here, there = Tensor(X, requires_grad=True), Tensor(Foreign(X.copy()), requires_grad=True)
    y, z = f(here), f(there)
    assert type(z.data) is Foreign
    np.testing.assert_array_equal(z.data.host(), y.data)
    g = np.arange(1.0, 1 + y.size).reshape(y.shape)
    y.backward(g)
    z.backward(Foreign(g))
    assert type(there.grad) is Foreign
    np.testing.assert_array_equal(there.grad.host(), here.grad)


def test_a_foreign_array_is_kept_and_asked_like_any_other():
    t = Tensor(Foreign(X), requires_grad=True)
    assert (t.shape, t.ndim, t.size, t.dtype, len(t)) == ((2, 3), 2, 6, np.float64, 2)
    assert t.sum().item() == X.sum()
    assert float(t.sum()) == X.sum()


def test_sgd_steps_on_arrays_of_another_library():
    t = Tensor(Foreign(X.copy()), requires_grad=True)
    (t * t).sum().backward()
    SGD([t], 0.25).step()
    assert type(t.data) is Foreign
    np.testing.assert_array_equal(t.data.host(), X / 2)


# --- properties -----------------------------------------------------------------------------------


@given(
    array=npst.arrays(
        st.sampled_from([np.float32, np.float64]),
        npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
        elements=st.floats(-100, 100, width=32),
    )
)
def test_every_float_array_goes_in_and_comes_out_and_its_sum_has_gradient_one(array):
    t = Tensor(array, requires_grad=True)
    assert t.numpy() is array
    assert t.tolist() == array.tolist()
    t.sum().backward()
    np.testing.assert_array_equal(t.grad, np.ones_like(array), strict=True)
    twin = pickle.loads(pickle.dumps(t))
    np.testing.assert_array_equal(twin.data, array, strict=True)


@given(shapes=npst.mutually_broadcastable_shapes(num_shapes=3, max_dims=3, min_side=0, max_side=3))
def test_gradients_have_the_shapes_of_their_leaves_whatever_broadcasts(shapes):
    arrays = [np.ones(shape) for shape in shapes.input_shapes]
    a, b, c = vjp(lambda a, b, c: a + b * c, arrays, np.ones(shapes.result_shape))
    n = int(np.prod(shapes.result_shape))
    for gradient, array in zip((a, b, c), arrays, strict=True):
        assert gradient.shape == array.shape
        assert gradient.sum() == n


@given(numbers=st.lists(st.floats(-3, 3), min_size=1, max_size=5))
def test_backward_pass_and_backward_agree(numbers):
    x = Tensor(numbers, requires_grad=True, dtype=float)
    y = (np.tanh(x) * x).sum()
    found = backward_pass(y, np.float64(1))[x]
    y.backward()
    np.testing.assert_array_equal(x.grad, found)


def test_a_keyword_after_a_gap_leaves_the_default_in_the_gap():
    @primitive
    def scaled(x, a=2.0, b=3.0):
        return x * a * b

    defvjp(scaled, lambda g, _y, _x, a=2.0, b=3.0: g * a * b)
    try:
        x = Tensor(np.ones(1), requires_grad=True)
        y = scaled(x, b=1.0)
        y.backward(np.ones(1))
        np.testing.assert_array_equal(y, [2.0])
        np.testing.assert_array_equal(x.grad, [2.0])
    finally:
        del PRIMITIVES[scaled]
