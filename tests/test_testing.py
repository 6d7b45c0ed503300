"""gradcheck passes what is right, and names what is wrong."""

import operator
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import tinygrad_mlp
from tinygrad_mlp import GradientError, ManualMLP, Tensor, defvjp, mse, primitive, relu
from tinygrad_mlp.nn import MLP
from tinygrad_mlp.primitives import PRIMITIVES
from tinygrad_mlp.testing import Report, assert_gradients_match, differences, gradcheck

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape)


def softmax(z):
    e = np.exp(z - np.max(z, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


def attention(x, p):
    """One head, residual: (batch, steps, width)."""
    q, k, v = x @ p["q"], x @ p["k"], x @ p["v"]
    return x + softmax(q @ np.swapaxes(k, -1, -2) / 3**0.5) @ v @ p["o"]


def residual(x, blocks):
    for w, b, out in blocks:
        x = x + np.tanh(relu(x @ w + b)) @ out
    return x


def plant(monkeypatch, fun, position, rule):
    """Another rule for one argument of `fun`."""
    rules = list(PRIMITIVES[fun])
    rules[position] = rule
    monkeypatch.setitem(PRIMITIVES, fun, tuple(rules))


# --- what is right --------------------------------------------------------------------------------


def test_an_attention_block_is_right_to_second_order():
    report = gradcheck(attention, normal(2, 3, 3), {k: normal(3, 3) for k in "qkvo"})
    assert report == Report(2 * (18 + 36) + 18, [])


def test_a_residual_net_is_right_to_second_order():
    blocks = [(normal(4, 5), normal(5), normal(5, 4)) for _ in range(2)]
    assert gradcheck(residual, normal(3, 4), blocks).kinks == []


def test_a_net_that_holds_its_weights_is_right():
    net = MLP([3, 4, 2], rng=0)
    assert gradcheck(lambda x: mse(net(x), np.ones((2, 2))), normal(2, 3)).entries == 13


@pytest.mark.parametrize("order", [1, 2, 3])
def test_each_order_adds_the_cotangents_to_the_arguments(order):
    assert gradcheck(np.tanh, normal(2), order=order).entries == [2, 2 + 4, 2 + 4 + 6][order - 1]


def test_the_report_can_be_printed():
    report = gradcheck(relu, np.array([0.0, 1.0]), order=1)
    assert report
    assert str(report).splitlines() == [
        "gradcheck: 1 entries agree",
        "left out, at a kink: order 1, argument 0, entry (0,)",
    ]


def test_float32_is_checked_in_float64():
    seen = []

    def f(x):
        seen.append(x.dtype)
        return np.exp(x)

    assert gradcheck(f, np.float32([1, 2])).kinks == []
    assert np.dtype(np.float32) not in seen


def test_a_function_that_computes_in_float32_is_no_failure():
    with warnings.catch_warnings(record=True) as said:  # nor is a complex number cut short in it
        warnings.simplefilter("always")
        assert gradcheck(lambda x: np.exp(x.astype(np.float32)), normal(2), order=1)
        assert gradcheck(lambda x: np.exp(x.astype(np.float32)), normal(2))
    assert said == []


def test_integers_tensors_and_other_things_are_passed_on():
    def f(x, labels, flag):
        assert (labels.dtype.kind, flag) == ("i", None)
        return x[[0, 1], labels], labels

    assert gradcheck(f, Tensor(normal(2, 3)), np.array([2, 0]), None).entries == 6 + 6 + 2


def test_functions_that_are_not_analytic_are_checked_by_differences():
    assert gradcheck(np.abs, np.array([1.5, -2.0])).kinks == []


def test_a_function_of_nothing_is_right():
    assert gradcheck(lambda _: 1.0, normal(2)).entries == 2 + 3
    assert gradcheck(lambda: 1.0).entries == 1  # by the cotangent, at second order
    assert gradcheck(lambda x: x > 0, normal(2)).entries == 2 + 2


def test_small_and_large_arguments():
    assert gradcheck(np.log, np.array([1e-3, 1e3])).kinks == []
    assert gradcheck(np.exp, np.array([-20.0, 20.0])).kinks == []


# --- kinks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("away", [0.0, 1e-12, 1e-9, 1e-7, 1e-6, 3e-6, 1e-5, 3e-5, 1e-4])
@pytest.mark.parametrize("side", [1, -1])
def test_an_entry_at_or_near_a_kink_is_no_failure(away, side):
    gradcheck(lambda x: np.sum(relu(x) * np.exp(x)), np.array([side * away, 1.0]))


@pytest.mark.parametrize(
    ("f", "at"),
    [
        (relu, 0.0),
        (lambda x: np.maximum(x, -x) + np.minimum(2 * x, 1.0), 0.5),
        (lambda x: relu(x) * 1e-9, 0.0),
    ],
)
def test_a_kink_is_reported(f, at):
    assert gradcheck(f, np.array([at, 2.0]), order=1).kinks == ["order 1, argument 0, entry (0,)"]


def test_a_kink_of_the_slope_is_reported_at_second_order():
    report = gradcheck(lambda x: relu(x) ** 2, np.array([0.0, 1.0]))
    assert "order 2, argument 0, entry (0,)" in report.kinks


def test_the_edge_of_a_domain_counts_as_a_kink():
    assert len(gradcheck(np.sqrt, np.array([0.0, 1.0]), order=1).kinks) == 1


def test_a_value_that_is_not_finite_is_an_error():
    with pytest.raises(GradientError, match=r"order 1: .*not finite here; move the point\."):
        gradcheck(np.log, np.array([0.0]))
    with pytest.raises(GradientError, match=r"order 2: .*or check order=1 only"):
        gradcheck(np.sqrt, np.array([0.0, 1.0]))


def test_a_rule_outside_the_slopes_at_a_kink_is_wrong(monkeypatch):
    plant(monkeypatch, relu, 0, lambda g, _y, x: g * (1.5 * (x == 0) + (x > 0)))
    with pytest.raises(GradientError, match=r"relu, argument 0, entry \(0,\)"):
        gradcheck(relu, np.array([0.0, 1.0]))


def test_the_slope_of_a_kink_is_not_averaged():
    slope, _, jump = differences(lambda t: max(t, 0.0) + 3 * t + t * t, 1e-16)
    assert slope == pytest.approx(3.5)
    assert jump == pytest.approx(1)
    _, _, jump = differences(lambda t: np.exp(5 * t), 1e-16)
    assert jump < 1e-6
    assert np.isnan(differences(lambda t: float(t > 0), 1e-16)[0])


# --- planted errors -------------------------------------------------------------------------------

WRONG_AT_FIRST_ORDER = [
    (np.multiply, 1, lambda g, _y, a, _b: 1.001 * g * a, lambda a, b: np.exp(a * b)),
    (np.exp, 0, lambda g, y, _a: g * y * (1 + 1e-5), lambda a, b: np.exp(a) * b),
    (np.matmul, 0, lambda g, _y, _a, b: g @ b, lambda a, b: np.tanh(a @ b)),
    (np.absolute, 0, lambda g, _y, a: g * 0 * a, lambda a, b: np.abs(a) * b),
    (np.tanh, 0, lambda g, y, _a: g * (1 - y), lambda a, b: np.tanh(a + b)),
    (np.divide, 1, lambda g, y, _a, b: np.nan * g * y / b, lambda a, b: a / np.exp(b)),
    (operator.getitem, 0, lambda _g, _y, a, *_index: 0 * a, lambda a, b: a[0, [1, 1]] * b[0]),
]


@pytest.mark.parametrize(("fun", "position", "rule", "f"), WRONG_AT_FIRST_ORDER)
def test_a_rule_that_is_wrong_is_named(fun, position, rule, f, monkeypatch):
    a, b = normal(2, 2), normal(2, 2)
    assert gradcheck(f, a, b).kinks == []
    plant(monkeypatch, fun, position, rule)
    name = rf"(np\.)?{fun.__name__}, argument {position}, entry \(\d, \d\): rule gives \S+, diff"
    with pytest.raises(GradientError, match=rf"gradcheck: <lambda>, order 1: {name}"):
        gradcheck(f, a, b)


def test_a_wrong_rule_of_many_arrays_names_the_array(monkeypatch):
    rule = PRIMITIVES[np.concatenate].rule

    def wrong(i, g, y, *arrays, axis=0):
        return (1 + 0.1 * (i == 1)) * rule(i, g, y, *arrays, axis=axis)

    monkeypatch.setitem(PRIMITIVES, np.concatenate, PRIMITIVES[np.concatenate])  # restored later
    defvjp(np.concatenate, each=wrong)
    with pytest.raises(GradientError, match=r"np.concatenate, argument 1, entry \(0, 0\)"):
        gradcheck(lambda a, b: np.exp(np.concatenate([a, b], axis=1)), normal(1, 2), normal(1, 2))


def test_both_values_and_the_entry_are_told(monkeypatch):
    wrong = np.zeros((3, 2))
    wrong[2, 0] = 1
    plant(monkeypatch, np.square, 0, lambda g, _y, a: g * (2 * a + wrong * a))
    with pytest.raises(GradientError) as error:
        gradcheck(lambda x: np.sum(np.square(x)), np.full((3, 2), 0.5))
    assert "np.square, argument 0, entry (2, 0): rule gives" in str(error.value)
    told = str(error.value).replace(",", "").split()
    rule, slope = float(told[-4]), float(told[-1])
    assert rule / slope == pytest.approx(1.5, rel=1e-4)


@pytest.mark.parametrize("hidden", ["data", "detach"])
def test_a_rule_that_is_right_but_cuts_the_graph_is_wrong_at_second_order(hidden, monkeypatch):
    def cut(a):
        return a if not isinstance(a, Tensor) else a.detach() if hidden == "detach" else a.data

    plant(monkeypatch, np.tanh, 0, lambda g, y, _a: g * (1 - cut(y) ** 2))
    f = lambda a, b: np.tanh(a @ b) * 2  # noqa: E731
    assert gradcheck(f, normal(2, 2), normal(2, 2), order=1)
    with pytest.raises(GradientError, match=r"order 2: np\.tanh, argument 0, entry"):
        gradcheck(f, normal(2, 2), normal(2, 2))


def test_a_rule_that_drops_its_cotangent_from_the_graph_is_wrong_at_second_order(monkeypatch):
    plant(monkeypatch, np.exp, 0, lambda g, y, _a: y * (g.detach() if isinstance(g, Tensor) else g))
    with pytest.raises(GradientError, match=r"order 2: np\.exp, cotangent 0 of order 1, entry"):
        gradcheck(lambda x: np.exp(x), normal(2))


def test_a_primitive_of_ones_own_is_checked_like_any_other(monkeypatch):
    @primitive
    def softplus(x):
        return np.logaddexp(0, x)

    monkeypatch.setitem(PRIMITIVES, softplus, (lambda g, y, _x: g * (1 - np.exp(-y)),))
    assert gradcheck(softplus, normal(3)).kinks == []
    monkeypatch.setitem(PRIMITIVES, softplus, (lambda g, y, _x: g * np.exp(-y),))
    with pytest.raises(GradientError, match=r"order 1: softplus, argument 0, entry \(0,\)"):
        gradcheck(lambda x: softplus(x) * 2, normal(3))


def test_a_value_that_left_the_graph_is_told_apart_from_a_wrong_rule():
    with pytest.raises(
        GradientError, match=r"order 1, argument 0\['w'\]\[1\], entry \(\).*leave the graph"
    ):
        gradcheck(lambda p: p["w"][0] * p["w"][1] * p["w"][1].detach(), {"w": [2.0, 3.0]})
    with pytest.raises(GradientError, match="leave the graph"):  # no Tensor at all comes back
        gradcheck(lambda x: np.stack([np.exp(x.data)]), 1.0)


def test_stacks_on_the_way_to_a_wrong_op_are_checked_too():
    with pytest.raises(GradientError, match="Every op is right"):
        gradcheck(lambda x: np.sum(np.stack([x, x])[0, 1:] * x.detach()[1:]), normal(3))


@pytest.mark.parametrize("size", [1e-9, 1e9])
def test_a_wrong_gradient_is_found_at_any_size(size, monkeypatch):
    assert gradcheck(lambda x: size * np.tanh(x), normal(2)).kinks == []
    plant(monkeypatch, np.tanh, 0, lambda g, y, _a: g * (1.01 - y * y))
    with pytest.raises(GradientError, match="tanh"):
        gradcheck(lambda x: size * np.tanh(x), normal(2))


# --- assert_gradients_match -----------------------------------------------------------------------

HOMEWORK = """
import numpy as np
from tinygrad_mlp import ManualMLP
from tinygrad_mlp.testing import assert_gradients_match

class Forgetful(ManualMLP):
    def backward(self, y, t):
        super().backward(y, t)
        self.DB[0] = 7 * self.DB[0]

def test_right():
    assert_gradients_match(ManualMLP, sizes=(3, 5, 2))

def test_on_given_data():
    x, t = np.full((5, 3), 0.5), np.ones((5, 2))
    assert_gradients_match(ManualMLP, x, t, sizes=(3, 4, 2), probes=False)

def test_wrong():
    assert_gradients_match(Forgetful, sizes=(3, 5, 2))
"""


def test_a_wrong_homework_fails_under_pytest_with_the_report_and_the_line_of_the_test(tmp_path):
    (tmp_path / "test_homework.py").write_text(HOMEWORK)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"]
    env = {**os.environ, "PYTHONPATH": str(Path(tinygrad_mlp.__file__).parents[1])}
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "1 failed, 2 passed" in done.stdout
    assert "AssertionError: a gradient differs from autograd's" in done.stdout
    assert "DW[0]     A[0].T @ delta" in done.stdout  # the whole table
    assert "FAIL  1 of 5 differ" in done.stdout
    assert "assert_gradients_match(Forgetful" in done.stdout
    assert "raise AssertionError" not in done.stdout  # no line of ours


def test_a_pass_is_silent_and_a_failure_is_an_assertion_error():
    assert assert_gradients_match(ManualMLP, sizes=(3, 2)) is None
    with pytest.raises(AssertionError, match="2 of 2 differ"):
        assert_gradients_match(lambda W, B, _x, _t: (W, B), sizes=(3, 2))
