"""Activations, softmax and its like, losses: against formulas in 120 digits, and against PyTorch.

The checks that run on every op (differences, complex step, second order, planted errors, float32,
layouts, empty and 0-d arrays) are in test_ops, whose table has the rows of these functions, too.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from decimal import MAX_EMAX, MIN_EMIN, Decimal, localcontext
from typing import Any

import numpy as np
import pytest
from helpers import Foreign, leaves, vjp

import tinygrad_mlp
from tinygrad_mlp import Tensor, mse
from tinygrad_mlp.data import one_hot
from tinygrad_mlp.errors import DataError, MissingVJPError, ShapeError
from tinygrad_mlp.functional import (
    bce_with_logits,
    cross_entropy,
    elu,
    gelu,
    huber,
    leaky_relu,
    log_softmax,
    logsumexp,
    mae,
    onehot,
    sigmoid,
    silu,
    softmax,
    softplus,
)
from tinygrad_mlp.graph import backward_pass

# --- formulas in 120 digits, straight from their definitions --------------------------------------

DIGITS = 120
STEP = Decimal("1e-25")  # of differences: they are right to 50 digits
PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899")


def d_sigmoid(x: Decimal) -> Decimal:
    return 1 / (1 + (-x).exp())


def d_gelu(x: Decimal) -> Decimal:
    u = (2 / PI).sqrt() * (x + Decimal("0.044715") * x**3)
    return x * d_sigmoid(2 * u)  # ½ (1 + tanh(u)), which would cancel


def d_softmax(x: list[Decimal]) -> list[Decimal]:
    total = sum(a.exp() for a in x)
    return [a.exp() / total for a in x]


def d_logsumexp(x: list[Decimal]) -> Decimal:
    return sum((a.exp() for a in x), Decimal(0)).ln()


def d_huber(e: Decimal) -> Decimal:
    e, delta = abs(e), Decimal("0.5")
    return e * e / 2 if e <= delta else delta * (e - delta / 2)


def each(f: Callable[[Decimal], Decimal]) -> Callable[[list[Decimal]], list[Decimal]]:
    return lambda x: [f(a) for a in x]


SLOPE = 0.01
WIDE = [-1e4, -745.0, -40.0, -17.0, -3.0, -0.7, -1e-3, 1e-3, 0.2, 0.9, 3.0, 17.0, 40.0, 745.0, 1e4]
ROWS = [[1e4, 1e4 - 1, 9e3, -1e4], [-1e4, -1e4 + 0.5, -1e4 - 2, -1e4], [0.3, -1.2, 2.0, 0.1]]
TARGETS = [0.0, 1.0, 0.25] * 5
P = [0.0, 0.7, 0.2, 0.3]  # adds up to 1.2
DIFFERENCE = np.array(WIDE) - np.array(TARGETS)

EXACT: list[tuple[str, Any, Any, list[float]]] = [
    ("sigmoid", sigmoid, each(d_sigmoid), WIDE),
    ("softplus", softplus, each(lambda x: (1 + x.exp()).ln()), WIDE),
    ("silu", silu, each(lambda x: x * d_sigmoid(x)), WIDE),
    ("gelu", gelu, each(d_gelu), WIDE),
    ("leaky_relu", leaky_relu, each(lambda x: x if x > 0 else x * Decimal(SLOPE)), WIDE),
    ("elu", elu, each(lambda x: x if x > 0 else x.exp() - 1), WIDE),
    (
        "bce_with_logits",
        lambda z: bce_with_logits(z, np.array(TARGETS), "none"),
        lambda z: [
            -(Decimal(t) * d_sigmoid(a).ln() + (1 - Decimal(t)) * d_sigmoid(-a).ln())
            for a, t in zip(z, TARGETS, strict=True)
        ],
        WIDE,
    ),
    (
        "mae",
        lambda y: mae(y, np.array(TARGETS), "none"),
        lambda y: [abs(a - Decimal(t)) for a, t in zip(y, TARGETS, strict=True)],
        WIDE,
    ),
    (
        "huber",
        lambda y: huber(y, np.array(TARGETS), 0.5, reduction="none"),
        lambda y: [d_huber(a - Decimal(t)) for a, t in zip(y, TARGETS, strict=True)],
        WIDE,
    ),
    *(("softmax", softmax, d_softmax, row) for row in ROWS),
    *(("log_softmax", log_softmax, each_log, row) for row in ROWS for each_log in [
        lambda x: [a - d_logsumexp(x) for a in x]
    ]),
    *(("logsumexp", logsumexp, lambda x: [d_logsumexp(x)], row) for row in ROWS),
    *(
        ("cross_entropy", lambda z: cross_entropy(z, 3), lambda z: [d_logsumexp(z) - z[3]], row)
        for row in ROWS
    ),
    *(
        (
            "cross_entropy-p",
            lambda z: cross_entropy(z, np.array(P)),
            lambda z: [sum(Decimal(p) * (d_logsumexp(z) - a) for a, p in zip(z, P, strict=True))],
            row,
        )
        for row in ROWS
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("fun", "formula", "numbers"),
    [pytest.param(*row[1:], id=f"{row[0]}-{i}") for i, row in enumerate(EXACT)],
)
def test_value_and_first_and_second_derivative_are_right_to_rounding_up_to_1e4(
    fun, formula, numbers
):
    """Warnings are errors here, so nothing overflows on the way either."""
    x = np.array(numbers)
    rng = np.random.default_rng(0)
    g = rng.uniform(0.5, 1.5, np.shape(fun(x)))
    v = rng.uniform(0.5, 1.5, x.shape)
    value, gradient, curvature = exact(formula, numbers, np.ravel(g), v)
    (t,) = leaves(x)
    y = fun(t)
    # exp(u) has the relative error of u, 2e-16, times u; where it is no underflow u is below 745
    np.testing.assert_allclose(np.ravel(y.data), value, rtol=745 * 2e-16, atol=1e-300)
    (first,) = backward_pass(y, Tensor(g), create_graph=True).values()
    np.testing.assert_allclose(first.data, gradient, rtol=1e-12, atol=1e-15)
    total = (first * v).sum()
    second = backward_pass(total, np.float64(1)) if total.requires_grad else {}
    np.testing.assert_allclose(second.get(t, np.zeros(x.shape)), curvature, rtol=1e-11, atol=2e-15)


def exact(formula: Any, numbers: list[float], g: Any, v: Any) -> tuple[Any, Any, Any]:
    """Value, Jᵀ g, and the derivative of Jᵀ g along v, by differences in many digits."""
    with localcontext() as context:
        context.prec, context.Emax, context.Emin = DIGITS, MAX_EMAX, MIN_EMIN
        x, g, v = ([Decimal(float(a)) for a in b] for b in (numbers, g, v))

        def total(i: int, a: int, b: int) -> Decimal:
            moved = [c + b * STEP * d for c, d in zip(x, v, strict=True)]
            moved[i] += a * STEP
            return sum(c * d for c, d in zip(g, formula(moved), strict=True))

        first, second = [], []
        for i in range(len(x)):
            first.append((total(i, 1, 0) - total(i, -1, 0)) / (2 * STEP))
            right, left = (total(i, a, 1) - total(i, a, -1) for a in (1, -1))
            second.append((right - left) / (4 * STEP * STEP))
        return tuple(np.array(list(map(float, a))) for a in (formula(x), first, second))


def test_the_exact_derivatives_are_those_of_a_cube():
    value, first, second = exact(each(lambda x: x**3), [2.0], [1.0], [1.0])
    assert (value, first, second) == (8, 12, 12)


@pytest.mark.parametrize(
    ("fun", "numbers"),
    [pytest.param(row[1], row[3], id=f"{row[0]}-{i}") for i, row in enumerate(EXACT)],
)
def test_float32_at_large_arguments_is_float64_rounded(fun, numbers):
    x = np.array(numbers, np.float32)
    g = np.ones(np.shape(fun(x)), np.float32)
    (t,) = leaves(x)
    y = fun(t)
    wide = x.astype(float)
    np.testing.assert_allclose(y.data, fun(wide), rtol=2e-5, atol=1e-6)
    gradient = backward_pass(y, g)[t]
    np.testing.assert_allclose(gradient, vjp(fun, [wide], g)[0], rtol=2e-5, atol=1e-6)


# --- the numbers of PyTorch -----------------------------------------------------------------------

X = np.array([[-2.5, -0.3, 0.0], [0.4, 1.7, 3.1]])
T = np.array([[0.0, 1.0, 0.25], [1.0, 0.0, 0.5]])
W = np.array([[1.0, 2.0, 3.0], [3.0, 1.0, 2.0]])
LABELS = np.array([2, 0])

# Values, and gradients of their sum, from torch 2.13.0 in float64, where F is torch.nn.functional,
# x, t, w are X, T, W and n is LABELS as tensors:
#   y = torch.sigmoid(x) | F.softplus(x) | F.silu(x) | F.gelu(x, approximate="tanh")
#       | F.leaky_relu(x) | F.elu(x) | w * torch.softmax(x, -1) | w * torch.log_softmax(x, -1)
#       | torch.logsumexp(x, -1) | F.cross_entropy(x, n) | F.cross_entropy(x, t)
#       | F.binary_cross_entropy_with_logits(x, t) | F.l1_loss(x, t) | F.huber_loss(x, t, delta=0.5)
#   print(y.reshape(-1).tolist(), torch.autograd.grad(y.sum(), x)[0].reshape(-1).tolist())
# fmt: off
PYTORCH: list[tuple[str, Any, list[float], list[float]]] = [
    ("sigmoid", sigmoid,
     [0.07585818002124355, 0.425557483188341, 0.5, 0.598687660112452,
      0.8455347349164652, 0.9568927450589139],
     [0.07010371654510815, 0.24445831169074586, 0.25, 0.24026074574152914,
      0.13060574696620808, 0.04124901951253034]),
    ("softplus", softplus,
     [0.07888973429254963, 0.5543552444685271, 0.6931471805599453, 0.9130152523999526,
      1.867786029386266, 3.144063967938574],
     [0.07585818002124356, 0.425557483188341, 0.5, 0.598687660112452,
      0.8455347349164652, 0.9568927450589139]),
    ("silu", silu,
     [-0.18964545005310887, -0.1276672449565023, 0.0, 0.2394750640449808,
      1.437409049357991, 2.966367509682633],
     [-0.09940111134152683, 0.3522199896811173, 0.5, 0.6947919584090636,
      1.067564504759019, 1.084764705547758]),
    ("gelu", gelu,
     [-0.015084266089998577, -0.11462907645724074, 0.0, 0.2621611694273562,
      1.624105895551156, 3.0973733897694506],
     [-0.03795157621266618, 0.26770454836119817, 0.5, 0.8026588344205614,
      1.115914631452605, 1.008739396051266]),
    ("leaky_relu", leaky_relu,
     [-0.025, -0.003, 0.0, 0.4,
      1.7, 3.1],
     [0.01, 0.01, 0.01, 1.0,
      1.0, 1.0]),
    ("elu", elu,
     [-0.9179150013761013, -0.2591817793182821, 0.0, 0.4,
      1.7, 3.1],
     [0.0820849986238988, 0.7408182206817179, 1.0, 1.0,
      1.0, 1.0]),
    ("softmax", lambda x: W * softmax(x),
     [0.04502981713706488, 0.8127894150781209, 1.645726425971624, 0.1534603121837077,
      0.18769713736916252, 1.5222988504725365],
     [-0.0677043860453799, -0.2046382904913923, 0.27234267653677213, 0.05813811700284244,
      -0.16206827575813756, 0.10393015875529511]),
    ("log_softmax", lambda x: W * log_softmax(x),
     [-3.1004304055904073, -1.8008608111808142, -1.8012912167712214, -8.918776759807809,
      -1.6729255866026032, -0.545851173205206],
     [0.7298210971776108, -0.4383682452343629, -0.29145285194324777, 2.6930793756325846,
      -0.1261828242149753, -2.56689655141761]),
    ("logsumexp", lambda x: logsumexp(x, -1),
     [0.6004304055904072, 3.3729255866026033],
     [0.04502981713706487, 0.40639470753906043, 0.5485754753238746, 0.05115343739456922,
      0.1876971373691625, 0.7611494252362682]),
    ("cross_entropy", lambda x: cross_entropy(x, LABELS),
     [1.7866779960965051],
     [0.022514908568532437, 0.20319735376953024, -0.22571226233806269, -0.4744232813027154,
      0.09384856868458127, 0.3805747126181342]),
    ("cross_entropy probabilities", lambda x: cross_entropy(x, T),
     [2.0799631934459564],
     [0.028143635710665547, -0.2460033077880872, 0.21785967207742163, -0.4616349219540731,
      0.14077285302687192, 0.32086206892720126]),
    ("bce_with_logits", lambda x: bce_with_logits(x, T, "mean"),
     [0.9335429015076357],
     [0.012643030003540591, -0.09574041946860982, 0.041666666666666664, -0.066885389981258,
      0.14092245581941087, 0.0761487908431523]),
    ("mae", lambda x: mae(x, T, "mean"),
     [1.4916666666666665],
     [-0.16666666666666666, -0.16666666666666666, -0.16666666666666666, -0.16666666666666666,
      0.16666666666666666, 0.16666666666666666]),
    ("huber", lambda x: huber(x, T, 0.5, reduction="mean"),
     [0.6260416666666666],
     [-0.08333333333333333, -0.08333333333333333, -0.041666666666666664, -0.08333333333333333,
      0.08333333333333333, 0.08333333333333333]),
]
# fmt: on


@pytest.mark.parametrize(
    ("fun", "value", "gradient"), [pytest.param(*row[1:], id=row[0]) for row in PYTORCH]
)
def test_value_and_gradient_are_those_of_pytorch(fun, value, gradient):
    (x,) = leaves(X)
    y = fun(x)
    y.sum().backward()
    np.testing.assert_allclose(np.ravel(y.data), value, rtol=1e-14)
    np.testing.assert_allclose(np.ravel(x.grad), gradient, rtol=1e-13)


# --- activations ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fun", "value", "slope"),
    [
        (sigmoid, 0.5, 0.25),
        (softplus, np.log(2), 0.5),
        (silu, 0, 0.5),
        (gelu, 0, 0.5),
        (leaky_relu, 0, 0.01),
        (lambda x: leaky_relu(x, 0.25), 0, 0.25),
        (elu, 0, 1),
        (lambda x: elu(x, 0.25), 0, 0.25),
        (lambda x: elu(x, alpha=0.0), 0, 0),
    ],
)
def test_value_and_slope_at_zero(fun, value, slope):
    np.testing.assert_allclose(fun(np.zeros(2)), value, rtol=1e-15)
    np.testing.assert_array_equal(vjp(fun, [np.zeros(2)], np.ones(2))[0], slope)


@pytest.mark.parametrize(
    ("fun", "low", "slopes"),
    [
        (sigmoid, 0, (0, 0)),
        (softplus, 0, (0, 1)),
        (elu, -1, (0, 1)),
        (leaky_relu, -np.inf, (0.01, 1)),
    ],
)
def test_infinite_arguments_have_the_limits(fun, low, slopes):
    x = np.array([-np.inf, np.inf])
    np.testing.assert_array_equal(fun(x), [low, 1 if fun is sigmoid else np.inf])
    np.testing.assert_array_equal(vjp(fun, [x], np.ones(2))[0], slopes)


@pytest.mark.parametrize("fun", [silu, gelu])
def test_infinity_times_zero_is_nan(fun):
    assert fun(np.array(np.inf)) == np.inf
    with np.errstate(invalid="ignore"):
        assert np.isnan(fun(np.array(-np.inf)))


def test_gelu_is_the_tanh_form_and_near_the_exact_one():
    from math import erf

    x = np.linspace(-6, 6, 201)
    tanh = 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    np.testing.assert_allclose(gelu(x), tanh, rtol=0, atol=1e-15)
    normal = np.array([a * (1 + erf(a / 2**0.5)) / 2 for a in x])
    assert 1e-4 < np.max(abs(gelu(x) - normal)) < 5e-4


@pytest.mark.parametrize("fun", [leaky_relu, elu])
def test_a_slope_that_needs_a_gradient_is_refused(fun):
    with pytest.raises(MissingVJPError, match=f"{fun.__name__} has no VJP rule for its argument 1"):
        fun(Tensor(np.ones(3)), Tensor(0.1, requires_grad=True))


@pytest.mark.parametrize("fun", [sigmoid, softplus, silu, gelu, leaky_relu, elu])
def test_plain_numbers_and_integers_are_taken(fun):
    expected = fun(np.array([2.0, -3.0]))
    np.testing.assert_array_equal(fun(np.array([2, -3])), expected)
    np.testing.assert_array_equal([fun(2.0), fun(-3.0)], expected)


# --- softmax and its like -------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1, -1, None, (0, 1)])
def test_softmax_adds_up_to_1_and_its_logarithm_is_log_softmax(axis):
    x = np.random.default_rng(0).normal(size=(3, 4)) * 5
    y = softmax(x, axis)
    np.testing.assert_allclose(y.sum(axis), 1, rtol=1e-15)
    np.testing.assert_allclose(log_softmax(x, axis), np.log(y), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(
        x - logsumexp(x, axis, keepdims=True), log_softmax(x, axis=axis), atol=1e-14
    )


def test_a_masked_entry_has_no_part():
    """-inf, as attention masks have it."""
    x, rest = np.array([1.0, -np.inf, 2.0]), np.array([1.0, 2.0])
    np.testing.assert_array_equal(softmax(x), np.insert(softmax(rest), 1, 0))
    np.testing.assert_array_equal(log_softmax(x), np.insert(log_softmax(rest), 1, -np.inf))
    assert logsumexp(x) == logsumexp(rest)
    g = np.array([1.0, 2.0, 4.0])
    assert vjp(softmax, [x], g)[0][1] == 0
    np.testing.assert_array_equal(
        vjp(softmax, [x], g)[0][[0, 2]], vjp(softmax, [rest], g[[0, 2]])[0]
    )
    np.testing.assert_array_equal(vjp(logsumexp, [x])[0], softmax(x))
    (gradient,) = vjp(lambda z: cross_entropy(z, 2), [x])
    np.testing.assert_array_equal(gradient, softmax(x) - [0, 0, 1])
    loss = cross_entropy(x, np.array([0.0, 0.0, 1.0]))
    assert loss == cross_entropy(x, 2) == cross_entropy(rest, 1)


def test_logsumexp_of_infinities():
    inf = np.inf
    x = np.array([[-inf, -inf], [inf, 800.0], [-inf, 800.0], [inf, -inf]])
    np.testing.assert_array_equal(logsumexp(x, axis=1), [-inf, inf, 800, inf])


def test_softmax_of_nothing_but_minus_infinity_is_nan():
    with np.errstate(invalid="ignore"):
        assert np.isnan(softmax(np.full(2, -np.inf))).all()


@pytest.mark.parametrize("fun", [softmax, log_softmax, logsumexp])
def test_an_axis_of_length_0_is_refused_by_name(fun):
    with pytest.raises(ShapeError, match=rf"{fun.__name__}\(a \(3, 0\).*zero-size"):
        fun(Tensor(np.ones((3, 0)), name="a"), axis=1)


# --- cross-entropy --------------------------------------------------------------------------------

RNG = np.random.default_rng(0)
Z = RNG.normal(size=(7, 4)) * 3
N = np.array([3, 0, 1, 1, 2, 3, 0])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_cross_entropy_is_log_softmax_and_gather(dtype):
    z = Z.astype(dtype)
    expected = -log_softmax(z)[np.arange(7), N]
    np.testing.assert_array_equal(cross_entropy(z, N, "none"), expected, strict=True)
    np.testing.assert_array_equal(cross_entropy(z, N, "sum"), expected.sum(), strict=True)
    np.testing.assert_array_equal(cross_entropy(z, N), expected.sum() / 7, strict=True)
    composed = vjp(lambda z: -log_softmax(z)[np.arange(7), N].sum() / 7, [z])[0]
    np.testing.assert_allclose(vjp(lambda z: cross_entropy(z, N), [z])[0], composed, atol=1e-7)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_gradient_is_bit_for_bit_the_one_derived_by_hand(dtype):
    z = Z.astype(dtype)
    e = np.exp(z - z.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    hot = one_hot(N, 4, dtype)
    for labels in (N, hot, N.astype(np.uint8), Tensor(N), N.tolist()):
        (gradient,) = vjp(lambda z, n=labels: cross_entropy(z, n), [z])
        np.testing.assert_array_equal(gradient, (p - hot) / 7, strict=True)
    t = RNG.uniform(size=(7, 4)).astype(dtype)
    s = np.where(z < 0, np.exp(-abs(z)), 1) / (1 + np.exp(-abs(z)))
    (gradient,) = vjp(lambda z: bce_with_logits(z, t), [z])
    np.testing.assert_array_equal(gradient, (s - t) / 7, strict=True)
    (gradient,) = vjp(lambda z: huber(z, t, 0.5), [z])
    np.testing.assert_array_equal(gradient, np.clip(z - t, -0.5, 0.5) / 7, strict=True)
    (gradient,) = vjp(lambda z: mae(z, t), [z])
    np.testing.assert_array_equal(gradient, np.where(z > t, 1, -1).astype(dtype) / 7, strict=True)


def test_class_numbers_one_hot_rows_and_lists_mean_the_same():
    hot = one_hot(N, 4)
    for reduction in ("mean", "sum", "none"):
        expected = cross_entropy(Z, N, reduction)
        for labels in (hot, hot.astype(bool), hot.astype(int), N.tolist(), hot.tolist()):
            np.testing.assert_allclose(cross_entropy(Z, labels, reduction=reduction), expected)
    np.testing.assert_array_equal(onehot(N, Z), hot)
    assert onehot(N, Z).dtype == bool  # which widens no float32


def test_one_sample_and_sequences():
    assert cross_entropy(Z[0], 3) == cross_entropy(Z[:1], N[:1])
    assert cross_entropy(Z[0], 3, "none").shape == ()
    z, n = Z[:6].reshape(2, 3, 4), N[:6].reshape(2, 3)
    np.testing.assert_allclose(cross_entropy(z, n), cross_entropy(Z[:6], N[:6]), rtol=1e-15)
    assert cross_entropy(z, n, "none").shape == (2, 3)


def test_probabilities_get_a_gradient_if_they_ask_for_one():
    p = softmax(Z * 0.3)
    z, t = leaves(Z, p)
    cross_entropy(z, t).backward()
    np.testing.assert_allclose(t.grad, -log_softmax(Z) / 7, rtol=1e-15)


@pytest.mark.parametrize("wrap", [np.asarray, Tensor])
@pytest.mark.parametrize(
    ("z", "labels", "error", "facts"),
    [
        ((7, 4), np.zeros((7, 1), int), ShapeError, r"z \(7, 4\) and labels \(7, 1\).*integers of "
         r"shape \(7,\).*probabilities of shape \(7, 4\); labels\.reshape\(7,\) would fit"),
        ((7, 4), np.zeros(6, int), ShapeError, r"z \(7, 4\) and labels \(6,\).*\(7, 4\)\.$"),
        ((7, 4), np.zeros((7, 3)), ShapeError, r"z \(7, 4\) and labels \(7, 3\)"),
        ((7, 4), np.zeros(7), DataError,
         r"labels \(7,\) of float64.*labels\.astype\(int\).*z \(7, 4"),
        ((2, 4), np.array([True, False]), DataError, r"labels \(2,\) of bool.*integers"),
        ((3, 4), np.array([0, 4, 9]), DataError, r"label 4 \(2 of 3 .*z \(3, 4\).*classes 0 to 3"),
        ((3, 4), np.array([0, -1, 1]), DataError, r"label -1 \(1 of 3 are out of range\)"),
        ((4,), 4, DataError, r"label 4 \(1 of 1 are out of range\): z \(4,\)"),
        ((), 0, ShapeError, r"z \(\): the last axis must be the classes"),
        ((3, 0), np.zeros(3, int), ShapeError, r"z \(3, 0\): the last axis must be the classes"),
        ((0, 4), np.zeros(0, int), ShapeError, r"\(0, 4\): the batch is empty.*\"sum\" gives 0"),
    ],
)  # fmt: skip
def test_wrong_labels_are_refused_with_the_facts(z, labels, error, facts, wrap):
    with pytest.raises(error, match=rf"^cross_entropy: .*{facts}"):
        cross_entropy(wrap(np.zeros(z)), labels)


def test_an_empty_batch_sums_up_to_0():
    z = Tensor(np.ones((0, 3)), requires_grad=True)
    loss = cross_entropy(z, np.zeros(0, int), "sum")
    loss.backward()
    assert (loss.item(), z.grad.shape) == (0, (0, 3))


# --- the other losses -----------------------------------------------------------------------------

LOSSES = [mae, huber, bce_with_logits]


@pytest.mark.parametrize("loss", LOSSES)
def test_reductions_are_those_of_mse(loss):
    z, t = RNG.normal(size=(5, 3)), RNG.uniform(size=(5, 3))
    losses = loss(z, t, reduction="none")
    assert losses.shape == (5, 3)
    np.testing.assert_allclose(loss(z, t), losses.sum() / 5)
    np.testing.assert_allclose(loss(z, t, reduction="batchmean"), losses.sum() / 5)
    np.testing.assert_allclose(loss(z, t, reduction="mean"), losses.mean())
    np.testing.assert_allclose(loss(z, t, reduction="sum"), losses.sum())
    np.testing.assert_allclose(loss(z[0, 0], t[0, 0]), losses[0, 0])
    z = np.array([1.0, -1.0])
    assert loss(Tensor(z), [0, 1]).item() == loss(z, np.array([0.0, 1.0]))


@pytest.mark.parametrize("wrap", [np.asarray, Tensor])
@pytest.mark.parametrize("loss", LOSSES)
def test_losses_refuse_to_broadcast(loss, wrap):
    name = loss.__name__
    facts = rf"^{name}: [yz] \(7, 1\) and t \(7,\).*t\.reshape\(7, 1\)"
    with pytest.raises(ShapeError, match=facts):
        loss(wrap(np.ones((7, 1))), np.ones(7))
    with pytest.raises(ShapeError, match=r"\(7, 3\) and t \(7, 2\).*never broadcast\.$"):
        loss(wrap(np.ones((7, 3))), np.ones((7, 2)))
    with pytest.raises(ShapeError, match=r"\(0, 3\): the batch is empty"):
        loss(wrap(np.ones((0, 3))), np.ones((0, 3)))
    assert loss(wrap(np.ones((0, 3))), np.ones((0, 3)), reduction="sum").item() == 0


@pytest.mark.parametrize("wrap", [np.asarray, Tensor])
@pytest.mark.parametrize("loss", [*LOSSES, cross_entropy])
def test_an_unknown_reduction_is_answered_with_the_known(loss, wrap):
    t = np.zeros(2, int) if loss is cross_entropy else np.zeros((2, 3))
    known = "mean, sum, none" if loss is cross_entropy else "batchmean, mean, sum, none"
    with pytest.raises(ValueError, match=rf"reduction='avg': use one of {known}"):
        loss(wrap(np.ones((2, 3))), t, reduction="avg")


@pytest.mark.parametrize("delta", [0, -1.0, float("nan")])
def test_huber_needs_a_positive_delta(delta):
    with pytest.raises(ValueError, match=f"huber: delta={delta}: it must be positive"):
        huber(np.ones(2), np.zeros(2), delta)


def test_the_conventions_where_a_loss_has_a_kink():
    (gradient,) = vjp(lambda y: mae(y, np.ones(3), "sum"), [np.array([0.0, 1.0, 2.0])])
    np.testing.assert_array_equal(gradient, [-1, 0, 1])
    (y,) = leaves(np.array([-2.0, -1.0, 0.5, 1.0, 2.0]))
    loss = huber(y, np.zeros(5), reduction="sum")
    first = backward_pass(loss, Tensor(1.0), create_graph=True)[y]
    np.testing.assert_array_equal(first.data, [-1, -1, 0.5, 1, 1])
    np.testing.assert_array_equal(backward_pass(first, np.ones(5))[y], [0, 0, 1, 0, 0])


def test_huber_with_a_large_delta_is_half_the_squared_error():
    y, t = RNG.normal(size=(5, 3)), RNG.normal(size=(5, 3))
    np.testing.assert_allclose(huber(y, t, delta=1e3), mse(y, t) / 2, rtol=1e-15)


def test_an_infinite_error_is_an_infinite_loss_with_a_finite_gradient():
    y, t = np.array([np.inf, -np.inf]), np.zeros(2)
    for loss in (mae, huber):
        assert loss(y, t) == np.inf
        (gradient,) = vjp(lambda y, f=loss: f(y, t, reduction="sum"), [y])
        np.testing.assert_array_equal(gradient, [1, -1])


# --- written out ----------------------------------------------------------------------------------

x = RNG.normal(size=(7, 4))
t = RNG.uniform(0.1, 0.9, size=(7, 3))
labels = np.array([2, 0, 1, 1, 0, 2, 2])

DERIVED: list[tuple[str, Any, list[str]]] = [
    ("sigmoid", lambda z: mse(sigmoid(z), t), ["* (1 - "]),
    ("softplus", lambda z: mse(softplus(z), t), ["* sigmoid(z)"]),
    ("silu", lambda z: mse(silu(z), t), ["= sigmoid(z)"]),
    ("gelu", lambda z: mse(gelu(z), t), ["z + 0.044715 * z * z * z"]),
    ("leaky_relu", lambda z: mse(leaky_relu(z, 0.2), t), ["np.where(z > 0, "]),
    ("elu", lambda z: mse(elu(z), t), ["np.where(z > 0, ", " + 1))"]),
    ("softmax", lambda z: mse(softmax(z), t), [".sum(axis=-1, keepdims=True))"]),
    ("log_softmax", lambda z: mse(log_softmax(z), t), ["np.exp("]),
    ("logsumexp", lambda z: logsumexp(z, axis=1).sum(), ["softmax(z, 1)"]),
    ("logsumexp of all", lambda z: logsumexp(z), ["dz = softmax(z"]),
    (
        "cross_entropy",
        lambda z: cross_entropy(z, labels),
        ["dz = (softmax(z) - onehot(labels, z)) / len(z)"],
    ),
    (
        "cross_entropy of probabilities",
        lambda z: cross_entropy(z, t),
        ["dz = (softmax(z) * labels.sum(axis=-1, keepdims=True) - labels) / len(z)"],
    ),
    ("bce_with_logits", lambda z: bce_with_logits(z, t), ["dz = (sigmoid(z) - t) / len(z)"]),
    ("mae", lambda z: mae(z, t), ["dz = np.sign(z - t) / len(z)"]),
    ("huber", lambda z: huber(z, t, 0.5), ["dz = np.clip(z - t, -0.5, 0.5) / len(z)"]),
]


def linear(loss: Any) -> tuple[Tensor, Tensor]:
    """The loss of x @ W, and W."""
    w = Tensor(np.random.default_rng(1).normal(size=(4, 3)), requires_grad=True, name="W")
    z = Tensor(x, name="x") @ w
    z.name = "z"
    return loss(z), w


@pytest.mark.parametrize(("loss", "parts"), [pytest.param(*row[1:], id=row[0]) for row in DERIVED])
def test_a_rule_is_written_out_as_a_person_would(loss, parts):
    text = str(tinygrad_mlp.derive(linear(loss)[0]))
    for part in parts:
        assert part in text, text


CHILD = """
import inspect, json, sys
results = {}
for name, (source, inputs) in json.load(sys.stdin).items():
    scope = {}
    exec(source, scope)
    f = scope["backward"]
    given = [scope["np"].array(inputs[p]) for p in inspect.signature(f).parameters]
    results[name] = f(*given).tolist()
print(json.dumps([results, "tinygrad_mlp" in sys.modules]))
"""


def test_what_is_written_out_runs_without_the_package():
    """Each in a namespace of its own: every function it calls must be written out with it."""
    programs, expected = {}, {}
    for name, loss, _ in DERIVED:
        result, w = linear(loss)
        target = labels if name == "cross_entropy" else t
        inputs = {"W": w.data, "x": x, "t": target, "labels": target}
        programs[name] = (
            tinygrad_mlp.derive(result).source(),
            {k: v.tolist() for k, v in inputs.items()},
        )
        result.backward()
        expected[name] = w.grad
    command = [sys.executable, "-I", "-c", CHILD]
    out = subprocess.run(
        command, input=json.dumps(programs), capture_output=True, text=True, check=True
    ).stdout
    results, imported = json.loads(out)
    assert not imported
    for name, gradient in expected.items():
        np.testing.assert_allclose(results[name], gradient, rtol=1e-13, atol=1e-16, err_msg=name)


# --- arrays of another library --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fun", "target"),
    [
        *((f, None) for f in (sigmoid, softplus, silu, gelu, leaky_relu, elu)),
        *((f, None) for f in (softmax, log_softmax, logsumexp)),
        *((cross_entropy, labels), (cross_entropy, t), (bce_with_logits, t), (mae, t), (huber, t)),
    ],
)
def test_arrays_of_another_library_stay_what_they_are(fun, target):
    z = RNG.normal(size=(7, 3))
    (near,) = leaves(z)
    far = Tensor(Foreign(z), requires_grad=True)
    ours = fun(near) if target is None else fun(near, target)
    theirs = fun(far) if target is None else fun(far, Foreign(target))
    np.testing.assert_array_equal(theirs.data.host(), ours.data)
    for y in (ours, theirs):
        y.sum().backward()
    np.testing.assert_array_equal(far.grad.host(), near.grad)
