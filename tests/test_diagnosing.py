"""Causes of wrong backward passes: each is named, on networks and graphs, and nothing else is."""

# ruff: noqa: ARG001, ARG002, ARG005, E731  # a step of a backward pass has the arguments of that step

import json
import re

import numpy as np
import pytest

from tests.test_checking import RIGHT, WRONG, Hand
from tinygrad_mlp import (
    MLP,
    Tensor,
    compare,
    cross_entropy,
    derive,
    leaky_relu,
    mse,
    relu,
    sigmoid,
)
from tinygrad_mlp.manual import ManualMLP
from tinygrad_mlp.mutating import changes
from tinygrad_mlp.simulating import Simulator


def made(**steps):
    return type("Variant", (Hand,), steps)


def carried(fun):
    """The gradient carried on by ``fun(delta @ W.T, A, delta, W)``."""
    return made(carry=lambda s, i, d: fun(d @ s.W[i].T, s.A[i], d, s.W[i]))


def first(fun):
    return made(first=lambda s, y, t: fun(y, t))


def finished(fun):
    """``fun`` applied to each gradient at the end."""

    def finish(s, DW, DB):
        s.DW, s.DB = [fun(g) for g in DW], [fun(g) for g in DB]

    return made(finish=finish)


CAUSES = {
    "mask missing": (carried(lambda g, a, d, w: g), "mask .* is missing.*at every layer"),
    "mask inverted": (carried(lambda g, a, d, w: g * (a <= 0)), "inverted"),
    "mask alone": (carried(lambda g, a, d, w: 1.0 * (a > 0)), "replaces"),
    "mask added": (carried(lambda g, a, d, w: g + (a > 0)), "added instead of multiplied"),
    "threshold": (carried(lambda g, a, d, w: g * (a > 0.5)), "threshold"),
    "leak": (carried(lambda g, a, d, w: np.where(a > 0, g, g / 100)), r"0\.01, not 0.* leaky"),
    "relu for its slope": (carried(lambda g, a, d, w: g * a), "relu itself"),
    "slope of tanh": (carried(lambda g, a, d, w: g * (1 - a * a)), "slope of tanh"),
    "slope of sigmoid": (carried(lambda g, a, d, w: g * a * (1 - a)), "slope of sigmoid"),
    "relu of the gradient": (carried(lambda g, a, d, w: np.maximum(g, 0)), "relu of the gradient"),
    "mask of one sample": (carried(lambda g, a, d, w: g * (a > 0)[:1]), "first sample"),
    "abs of W": (carried(lambda g, a, d, w: d @ abs(w).T * (a > 0)), "W.2..* sign"),
    "reshape": (carried(lambda g, a, d, w: d @ w.reshape(w.T.shape) * (a > 0)), "reshaped"),
    "mean subtracted": (carried(lambda g, a, d, w: (a > 0) * g - ((a > 0) * g).mean(0)), "mean"),
    "normalised": (carried(lambda g, a, d, w: (a > 0) * g / np.linalg.norm((a > 0) * g)), "norm"),
    "constant added": (carried(lambda g, a, d, w: g * (a > 0) + 1e-8), "constant is added.* 1e-08"),
    "units rolled": (carried(lambda g, a, d, w: np.roll(g, 1, 1) * (a > 0)), "rolled by 1"),
    "two": (carried(lambda g, a, d, w: d @ w.reshape(w.T.shape)), "reshaped.*; and .*mask"),
    "target forgotten": (first(lambda y, t: 2 * y / len(y)), "target t is missing"),
    "targets reversed": (first(lambda y, t: 2 * (y - t[::-1]) / len(y)), "t are in reverse order"),
    "product": (first(lambda y, t: 2 * y * t / len(y)), "multiplied instead of subtracted"),
    "sign only": (first(lambda y, t: np.sign(y - t)), "only the sign"),
    "square": (first(lambda y, t: (y - t) ** 2 / len(y)), "squared.* 1 / 2"),
    "outputs": (first(lambda y, t: 2 * (y - t) / y.size), "number of entries"),
    "root": (first(lambda y, t: (y - t) / len(y) / (((y - t) ** 2).sum() / len(y)) ** 0.5), "root"),
    "half": (first(lambda y, t: 2 * (y - t) / len(y) * (np.arange(len(y)) < len(y) // 2)[:, None]),
             "first half"),
    "weights": (first(lambda y, t: 2 * (y - t) / len(y) * np.arange(len(y))[:, None]),
                "different weights: 0, 1, 2, 3"),
    "clipped": (finished(lambda g: np.clip(g, -0.1, 0.1)), r"clipped.* 0\.1"),
    "rate": (finished(lambda g: 0.01 * g), "factor 0.01"),
    "batch - 1": (first(lambda y, t: 2 * (y - t) / (len(y) - 1)), r"batch / \(batch - 1\)"),
    "zero": (made(db=lambda s, i, d: 0 * s.B[i]), "zero everywhere"),
    "penalty": (made(dw=lambda s, i, d: s.A[i].T @ d + 0.1 * s.W[i] / len(d)), "0.1 / batch"),
    "weights returned": (made(dw=lambda s, i, d: s.W[i] - 0.1 * s.A[i].T @ d), "updated by a step"),
    "outer": (made(dw=lambda s, i, d: np.outer(s.A[i].sum(0), d.sum(0))), "outer product"),
    "ones": (made(dw=lambda s, i, d: s.A[i].T @ np.ones_like(d)), "1 in the place of"),
    "sample left out": (made(dw=lambda s, i, d: s.A[i][:-1].T @ d[:-1]), "last sample is left out"),
    "shifted": (made(dw=lambda s, i, d: s.A[i][1:].T @ d[:-1]), "shifted against each other"),
    "total": (made(db=lambda s, i, d: np.full(d.shape[1], d.sum())), "both axes"),
    "largest": (made(db=lambda s, i, d: d.max(0)), "the max, not the sum"),
    "single precision": (
        carried(lambda g, a, d, w: (g * (a > 0)).astype(np.float32).astype(float)),
        "single precision",
    ),
    "nan": (carried(lambda g, a, d, w: g * (a / a)), "0 / 0"),
    "random": (finished(lambda g: g + np.random.normal(size=g.shape)), "random"),  # noqa: NPY002
}  # fmt: skip


@pytest.mark.parametrize("name", CAUSES)
def test_a_cause_is_named(name):
    code, words = CAUSES[name]
    with np.errstate(all="ignore"):
        report = compare(code)
    assert not report
    [*causes] = report.causes
    assert causes
    for cause in causes[:1]:
        assert re.search(words, cause.text), cause.text
    assert f"WHY   {causes[0].text}" in str(report)
    assert json.loads(json.dumps(report.to_dict()))["causes"][0]["text"] == causes[0].text


def test_a_cause_shows_both_lines_and_the_line_of_the_file():
    [cause] = compare(WRONG["mask missing"]).causes
    assert cause.yours == "dZ[2] = dA[2]"
    assert cause.autograd == "dZ[2] = dA[2] * (A[2] > 0)"
    assert cause.line.startswith("test_checking.py:")
    assert cause.source == "return delta @ self.W[i].T"
    assert cause.gradients == ("dW[1]", "dB[1]", "dW[0]", "dB[0]")
    assert any(">= 0" in same for same in cause.same_effect)


def test_what_a_step_must_have_been_is_shown_where_it_gives_the_numbers_at_hand():
    report = compare(WRONG["mask missing"], sizes=(3, 5, 4, 2))
    truth = derive(report.loss).values()
    assert report.marks["dZ[2]"].truth is None  # it was not compared
    np.testing.assert_allclose(report.marks["dZ[2]"].yours, truth["dA[2]"])
    wrong = truth["dA[2]"] @ truth["W[1]"].T
    np.testing.assert_allclose(report.marks["dZ[1]"].yours, wrong)
    assert report.marks["dZ[1]"].text.startswith("as in dZ[2]: the ReLU mask")
    assert report.marks["dW[0]"].text == "follows from dZ[2] and dZ[1]"
    deep = compare(WRONG["mask missing"], sizes=(3, 5, 4, 6, 2)).marks
    assert deep["dW[0]"].text == "follows from dZ[3], dZ[2] and 1 more"


def test_what_follows_from_a_mistake_is_marked_as_such():
    marks = compare(WRONG["mask missing at one layer"], sizes=(3, 5, 4, 2)).marks
    assert {k: m.status for k, m in marks.items()} == {
        **{"dW[2]": "same", "dB[2]": "same", "dW[1]": "same", "dB[1]": "same"},
        **{"dW[0]": "follows", "dB[0]": "follows", "dZ[1]": "wrong"},
    }


def test_two_mistakes_are_told_apart():
    report = compare(made(first=lambda s, y, t: 2 * (y - t), carry=lambda s, i, d: d @ s.W[i].T))
    assert [c.gradients for c in report.causes] == [
        ("dW[2]", "dB[2]"),
        ("dW[1]", "dB[1]", "dW[0]", "dB[0]"),
    ]
    assert "batch" in report.causes[0].text
    assert "mask" in report.causes[1].text


def test_a_transposed_gradient_beside_another_mistake():
    report = compare(made(first=lambda s, y, t: 2 * (y - t), dw=lambda s, i, d: d.T @ s.A[i]))
    assert "batch, is missing" in report.causes[0].text
    assert "transposed" in report.causes[1].text


@pytest.mark.parametrize(
    ("slope", "words"),
    [
        (lambda z: z > 0, "0 in the place of 0.01 . dA.2. where Z.2. > 0 is not"),
        (lambda z: np.ones(z.shape), "dA.2. everywhere: 0.01 . dA.2. is missing"),
        (lambda z: np.where(z > 0, 1, 0.2), "0.2 in the place of 0.01 in 0.01 . dA.2."),
        (lambda z: np.where(z > 0, 0.01, 1), "Z.2. > 0 is inverted"),
    ],
)
def test_the_slope_of_a_leaky_relu(slope, words):
    def backward(W, B, x, t):
        A, Z = [x], []
        for w, b in zip(W, B):
            Z.append(A[-1] @ w + b)
            A.append(np.where(Z[-1] > 0, Z[-1], 0.01 * Z[-1]))
        delta, DW, DB = 2 * (Z[-1] - t) / len(t), [], []
        for i in reversed(range(len(W))):
            DW.insert(0, A[i].T @ delta)
            DB.insert(0, delta.sum(axis=0))
            delta = delta @ W[i].T * slope(Z[i - 1]) if i else None
        return DW, DB

    report = compare(backward, reference=MLP((3, 5, 4, 2), rng=0, activation=leaky_relu))
    [cause] = report.causes
    assert re.search(f"{words}.* .at every layer.", cause.text)


def test_what_is_unknown_has_no_cause_but_facts():
    def carry(s, i, d):
        return np.log1p(abs(d @ s.W[i].T)) * np.arange(1, len(s.W[i]) + 1) * (s.A[i] > 0)

    report = compare(made(carry=carry))
    assert report.causes == []
    assert report.tried > 100
    assert {m.status for k, m in report.marks.items() if k < "dW[2]" and "dW" in k} == {"unknown"}
    text = str(report)
    assert f"WHY   unknown: none of {report.tried} changes of a line gives your numbers" in text
    assert "TRUE  the step that makes dZ[2] is wrong for every sample" in text
    assert "TRUE  the step that makes dy is right for single samples" in text


def test_a_step_after_an_unknown_one_is_judged_by_itself():
    def carry(s, i, d):
        g = d @ s.W[i].T
        if i == 2:
            return np.log1p(abs(g)) * np.arange(1, g.shape[1] + 1) * (s.A[i] > 0)
        return g

    report = compare(made(carry=carry), sizes=(3, 5, 4, 2))
    [cause] = report.causes
    assert "mask A[1] > 0" in cause.text


def test_a_mistake_that_mixes_samples_is_said_to_do_so():
    report = compare(carried(lambda g, a, d, w: np.sort(g * (a > 0), axis=0)))
    assert report.causes == []
    assert report.facts == [
        "for each sample by itself all is right: the mistake is in how they are put together"
    ]


@pytest.mark.parametrize("name", RIGHT)
def test_right_passes_have_no_cause(name):
    report = compare(RIGHT[name])
    assert report
    assert report.causes == report.facts == []


# --- forms, lists, state --------------------------------------------------------------------------


def gradients(W, B, x, t, forward=lambda z: z, order=lambda a: a, start=lambda a: a):
    A = [start(x)]
    for w, b in zip(W, B):
        A.append(np.maximum(A[-1] @ w + b, 0))
    y = forward(A[-2] @ W[-1] + B[-1])
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=0))
        delta = delta @ W[i].T * (A[i] > 0)
    return order(DW[::-1]), order(DB[::-1])


def test_a_mistake_in_the_forward_pass_of_a_function_is_found():
    fun = lambda W, B, x, t: gradients(W, [0 * b for b in B], x, t)
    report = compare(fun, sizes=(3, 5, 4, 2))
    assert "forward pass" in report.causes[0].text
    assert "B[" in report.causes[0].text


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (lambda a: a[::-1], "DW and DB: each is in reverse order"),
        (lambda a: a[-1:] + a[:-1], "DW and DB: each begins with the last layer's"),
        (lambda a: a[1:] + a[:1], "DW and DB: each ends with the first layer's"),
        (lambda a: a[1:], "DW and DB: each has 2 gradients for 3 layers: those of the first"),
        (
            lambda a: a[::-1][:-1],
            "DW and DB: each has 2 gradients for 3 layers: and they are in reverse",
        ),
        (lambda a: a + a, "DW and DB: each has 6 gradients for 3 layers: it was not emptied"),
        (lambda a: [*a, 0], "DW and DB: each has 4 gradients for 3 layers: too many"),
        (lambda a: [None, *a[1:]], "DW.0., DB.0.: missing"),
        (lambda a: [np.zeros_like(g, int) for g in a], "integers"),
    ],
)
def test_lists_in_another_order_are_told(order, words):
    fun = lambda W, B, x, t: gradients(W, B, x, t, order=order)
    report = compare(fun, sizes=(3, 6, 4, 2))
    assert re.search(words, report.causes[0].text), report.causes[0].text


@pytest.mark.parametrize("sizes", [(6, 8, 6, 4), (3, 5, 3), (3, 6, 4, 2)])
def test_transposes_are_not_taken_for_another_order(sizes):
    report = compare(made(dw=lambda s, i, d: d.T @ s.A[i]), sizes=sizes)
    assert ["the result is transposed" in cause.text for cause in report.causes] == [True]


def test_an_order_is_told_by_shapes_that_all_fit_in_spite_of_another_mistake():
    fun = lambda W, B, x, t: gradients(W, B, x, t, order=lambda a: [3 * g for g in a[::-1]])
    assert "in reverse order" in compare(fun, sizes=(3, 6, 4, 2)).causes[0].text


def test_one_array_for_two_gradients_is_told():
    def fun(W, B, x, t):
        DW, DB = gradients(W, B, x, t)
        buffer = np.zeros(9)
        for i, db in enumerate(DB):
            DB[i] = buffer[: db.size]
            DB[i][:] = db
        return DW, DB

    assert "share their memory" in compare(fun, sizes=(3, 6, 4, 2)).causes[0].text


def test_gradients_that_are_added_to_those_of_an_earlier_call_are_told():
    class Adds(Hand):
        def finish(self, DW, DB):
            self.DW = [a + b for a, b in zip(self.DW or [0, 0, 0], DW)]
            self.DB = [a + b for a, b in zip(self.DB or [0, 0, 0], DB)]

    class Stays(Hand):
        def finish(self, DW, DB):
            self.DW, self.DB = self.DW or DW, self.DB or DB

    class Keeps(Hand):
        def finish(self, DW, DB):
            self.DW, self.DB = self.DW + DW, self.DB + DB

    class Odd(Hand):
        def finish(self, DW, DB):
            self.DW, self.DB = [g * (2 if self.DW else 1) for g in DW], DB

    class Raises(Hand):
        def finish(self, DW, DB):
            if self.DW:
                raise ValueError("again")
            self.DW, self.DB = DW, DB

    class OldA(Hand):
        def forward(self, x):
            kept = self.A
            y = super().forward(x)
            self.A = kept or self.A
            return y

    words = {Adds: "accumulated", Stays: "still those", Keeps: "not emptied", Odd: "left behind"}
    for cls, word in {**words, Raises: "raised ValueError", OldA: "A still holds"}.items():
        report = compare(cls)
        assert "a first call agrees" in report.notes[0]
        assert word in report.causes[0].text


def test_a_second_call_on_other_data_may_only_show_a_mistake():
    net = ManualMLP((3, 5, 2), rng=0)
    net.W[0] = abs(net.W[0])
    code = type("Active", (Hand,), {"carry": lambda s, i, d: d @ s.W[i].T})((3, 5, 2))
    code.W, code.B = net.W, net.B
    report = compare(code, np.ones((5, 3)), np.ones((5, 2)) / 3)
    assert "mask" in report.causes[0].text


def test_in_place_changes_of_activations_are_noted():
    class Changes(Hand):
        def dw(self, i, delta):
            self.A[i][self.A[i] > 0] = 1
            return self.A[i].T @ delta

    report = compare(Changes)
    assert any("changed by backward: A[0], A[1], A[2]" in note for note in report.notes)
    assert "A[2]" in report.causes[0].text


def test_a_wrong_forward_pass_whose_backward_pass_fits_it():
    class Both(Hand):
        def forward(self, x):
            self.y = np.maximum(super().forward(x), 0)
            return self.y

        def first(self, y, t):
            return 2 * (y - t) / len(y) * (y > 0)

    report = compare(Both)
    [cause] = report.causes
    assert "in the forward pass" in cause.text
    assert "relu" in cause.text
    assert "backward pass is right for the forward pass that you wrote" in report.facts[0]

    class One(Both):
        def first(self, y, t):
            return 2 * (y - t) / len(y)

    assert "backward pass is wrong for" in compare(One).facts[0]


@pytest.mark.parametrize(
    ("fun", "words"),
    [
        (lambda s, i, d: d @ s.W[i], r"s.W.i..T .its transpose is missing. would"),
        (lambda s, i, d: (d @ s.W[i].T) * s.A[i - 1], "do not fit, entry by entry"),
        (lambda s, i, d: [d].T, "AttributeError.*list; np.array"),
    ],
)
def test_an_exception_is_explained_by_the_shapes_in_its_line(fun, words):
    [cause] = compare(made(carry=fun)).causes
    assert re.search(words, cause.text), cause.text
    assert cause.line.startswith("test_diagnosing.py:")


def test_weights_with_the_outputs_in_rows():
    def turned(W, B, x, t):
        DW, DB = gradients([w.T for w in W], B, x, t)
        return [dw.T for dw in DW], DB

    class Turned(Hand):
        def __init__(self):
            super().__init__()
            self.W = [w.T for w in self.W]

        def forward(self, x):
            self.A = [x]
            for i, (w, b) in enumerate(zip(self.W, self.B)):
                z = self.A[-1] @ w.T + b
                if i < 2:
                    self.A.append(np.maximum(z, 0))
            return z

        def dw(self, i, d):
            return d.T @ self.A[i]

        def carry(self, i, d):
            return d @ self.W[i] * (self.A[i] > 0)

    assert compare(turned, sizes=(3, 5, 4, 2), layout="out,in")
    assert not compare(gradients, sizes=(3, 5, 4, 2), layout="out,in")
    assert compare(Turned, layout="out,in")
    w = Tensor(np.ones((3, 2)), requires_grad=True, name="w")
    x = np.arange(15.0).reshape(5, 3)
    loss = mse(x @ w, np.zeros((5, 2)))
    [g] = [x.T @ (2 * (x @ w.data) / 5)]
    assert compare({"dw": g.T}, loss, layout="out,in")
    with pytest.raises(ValueError, match="layout='io': use 'in,out' or 'out,in'"):
        compare(Hand, layout="io")


# --- any graph ------------------------------------------------------------------------------------


@pytest.fixture
def graph():
    """A tanh layer and cross-entropy: the loss, and its gradients by hand, a step of it changed."""
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(7, 4)), np.array([0, 2, 1, 2, 0, 1, 2])
    W1, b1, W2, b2 = (
        Tensor(rng.normal(size=shape), True, name)
        for name, shape in (("W1", (4, 5)), ("b1", (5,)), ("W2", (5, 3)), ("b2", (3,)))
    )
    z = x @ W1 + b1
    z.name = "z"
    a = np.tanh(z)
    a.name = "a"
    y = a @ W2 + b2
    y.name = "y"
    loss = cross_entropy(y, labels)

    def backward(dy=lambda p, t: (p - t) / 7, dz=lambda g, a, z: g * (1 - a * a), inner=False):
        e = np.exp(y.data)
        dY = dy(e / e.sum(1, keepdims=True), np.eye(3)[labels])
        dA = dY @ W2.data.T
        dZ = dz(dA, a.data, z.data)
        g = {"W2": a.data.T @ dY, "b2": dY.sum(0), "W1": x.T @ dZ, "b1": dZ.sum(0)}
        return g | ({"dy": dY, "da": dA, "dz": dZ} if inner else {})

    return loss, backward


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ({"dy": lambda p, t: p / 7}, "onehot.* missing"),
        ({"dy": lambda p, t: p - t}, "batch, is missing"),
        ({"dy": lambda p, t: (p - t) / 21}, "number of entries"),
        ({"dy": lambda p, t: (p - t) * p * (1 - p) / 7}, r"extra factor softmax\(y\)"),
        ({"dy": lambda p, t: (p - np.roll(t, 1, 0)) / 7}, "rows of onehot"),
        ({"dz": lambda g, a, z: g * (1 - z * z)}, "1 - z . z"),
        ({"dz": lambda g, a, z: g}, "derivative of tanh.* is missing"),
        ({"dz": lambda g, a, z: g * a * (1 - a)}, "slope of sigmoid"),
        ({"dz": lambda g, a, z: g * (z > 0)}, "slope of relu"),
        ({"dz": lambda g, a, z: g * a}, "tanh itself"),
    ],
)
@pytest.mark.parametrize("inner", [False, True])
def test_a_cause_is_named_on_a_graph_of_other_ops(graph, steps, words, inner):
    loss, backward = graph
    assert compare(backward(inner=inner), loss)
    report = compare(backward(**steps, inner=inner), loss)
    [cause] = report.causes
    assert re.search(words, cause.text), cause.text
    statuses = {k: m.status for k, m in report.marks.items()}
    assert statuses["db1"] == "follows"
    assert statuses["dy" if "dy" in steps else "dz"] == "wrong"


def test_a_use_of_a_shared_weight_that_is_left_out_is_told():
    rng = np.random.default_rng(1)
    x, t = rng.normal(size=(7, 4)), rng.normal(size=(7, 4))
    W = Tensor(rng.normal(size=(4, 4)), True, "W")
    h = relu(x @ W)
    h.name = "h"
    y = h @ W
    y.name = "y"
    loss = mse(y, t)
    dy = 2 * (y.data - t) / 7
    one, two = h.data.T @ dy, x.T @ (dy @ W.data.T * (h.data > 0))
    assert compare({"W": one + two}, loss)
    for wrong, word in ((one, "missing"), (two, "missing"), (one + 2 * two, r"2 times (twice)")):
        [cause] = compare({"W": wrong}, loss).causes
        assert word in cause.text
    [cause] = compare({"W": (one + two) / 2}, loss).causes
    assert "factor 2 is missing" in cause.text


def test_what_may_be_one_of_two_says_so():
    net = MLP((3, 5, 2), rng=0)
    x = np.random.default_rng(0).normal(size=(7, 3))
    y = net(x)
    loss = mse(y, np.zeros((7, 2)))
    dy = 2 * y.data / 7
    right = {"W[1]": net.A[1].data.T @ dy, "B[1]": dy.sum(0)}
    assert compare(right, loss)
    [cause] = compare({**right, "W[1]": right["W[1]"] / 2}, loss).causes
    assert cause.text.startswith("one of: ")
    assert "factor 2" in cause.text
    assert "number of outputs" in cause.text


def test_a_graph_that_cannot_be_written_out_is_compared_all_the_same():
    w = Tensor(np.ones(3), True, "w")
    loss = (np.sum(w[np.array([0, 0, 2])] * w) + sigmoid(w).sum()) ** 2
    report = compare({"w": np.zeros(3)}, loss)
    assert not report


def test_each_change_of_a_line_is_another_expression():
    net = MLP((4, 6, 5, 3), rng=0)
    x = np.random.default_rng(0).normal(size=(7, 4))
    sim = Simulator(derive(mse(net(x), np.zeros((7, 3))))._derivation)
    for name in ("dy", "dW[1]", "dB[1]", "dA[1]", "dZ[1]", "y"):
        found = changes(sim.named[name], sim, [])
        assert len(found) > 20
        assert all(change.line is sim.named[name] for change in found.values())
        assert all(change.text for change in found.values())


def test_what_cannot_be_searched_is_judged_all_the_same():
    class Wide(Hand):
        def __init__(self):
            super().__init__((1100, 1000, 2))

        def db(self, i, d):
            return d.mean(0)

    report = compare(Wide)
    assert not report
    assert "too large to look for a cause" in str(report)

    class Fixed(Hand):
        """Only for its own weights."""

        def forward(self, x):
            if x.shape[1] != 3 or len(self.W) != 3 or abs(self.W[0]).sum() != self.total():
                raise ValueError("other weights")
            return super().forward(x)

        def total(self):
            return abs(ManualMLP((3, 5, 4, 2), rng=5).W[0]).sum()

        def db(self, i, d):
            return d.mean(0)

    assert "mean over the batch" in compare(Fixed, probes=False).causes[0].text


def test_a_network_that_takes_no_other_sizes():
    class Sized(Hand):
        def dw(self, i, d):
            return 2 * (self.A[i].T @ d).reshape([(3, 5), (5, 4), (4, 2)][i])

    assert "twice" in compare(Sized, sizes=(3, 5, 4, 2)).causes[0].text


def test_local_judgement_needs_that_weights_and_biases_agree():
    def dw(s, i, d):
        return np.log1p(abs(s.A[i].T @ d)) * np.arange(1, d.shape[1] + 1)

    report = compare(made(dw=dw, db=lambda s, i, d: np.log1p(abs(d.sum(0)))))
    assert report.causes == report.facts == []

    def only_whole(s, y, t):
        if len(y) == 1:
            raise ValueError("a batch, please")
        return np.log1p(abs(y - t)) * np.arange(1, y.shape[1] + 1)

    assert compare(made(first=only_whole)).causes == []


def test_intermediate_gradients_of_the_wrong_shape_or_not_finite(graph):
    loss, backward = graph
    good = backward(inner=True)
    for wrong in (good["dz"].T, good["dz"] * np.nan):
        report = compare({**good, "dz": wrong}, loss)
        assert report.wrong == ["dz"]


def test_values_of_the_step_before_or_after_are_found():
    """A sum over steps in time, each with the state of another step."""
    rng = np.random.default_rng(2)
    x, t = rng.normal(size=(4, 7, 3)), rng.normal(size=(7, 2))
    V, W = Tensor(rng.normal(size=(3, 3)), True, "V"), Tensor(rng.normal(size=(3, 2)), True, "W")
    h = [Tensor(x[0], name="h[0]")]
    for k in range(3):
        z = Tensor(x[k + 1], name=f"x[{k + 1}]") + h[k] @ V
        z.name = f"z[{k + 1}]"
        h.append(np.tanh(z))
        h[-1].name = f"h[{k + 1}]"
    y = h[3] @ W
    y.name = "y"
    loss = mse(y, t)
    states = [a.numpy() if not a.requires_grad else a.data for a in h]
    right, early = np.zeros((3, 3)), np.zeros((3, 3))
    dh = 2 * (y.data - t) / 7 @ W.data.T
    for k in (2, 1, 0):
        dz = dh * (1 - states[k + 1] ** 2)
        right, early = right + states[k].T @ dz, early + states[k + 1].T @ dz
        dh = dz @ V.data.T
    assert compare({"V": right}, loss)
    [cause] = compare({"V": early}, loss).causes
    assert "other indices: h[] shifted by 1" in cause.text


# --- what seldom happens --------------------------------------------------------------------------


def test_a_forward_pass_that_returns_no_array():
    class Silent(Hand):
        def forward(self, x):
            self.y = super().forward(x)

        def first(self, y, t):
            return self.y - t

    report = compare(Silent)
    assert report.wrong[0] == "y"
    assert report.causes[-1].text == "dy is multiplied by a factor batch / 2"


def test_a_second_call_that_gives_nothing():
    class Once(Hand):
        def finish(self, DW, DB):
            self.DW, self.DB = (None, None) if self.DW else (DW, DB)

    [cause] = compare(Once).causes
    assert "left behind changes the second" in cause.text


def test_a_second_call_with_another_batch_that_is_not_stale():
    class Odd(Hand):
        def finish(self, DW, DB):
            self.DW, self.DB = [g * (2 if self.DW else 1) for g in DW], DB

    x = np.random.default_rng(0).normal(size=(4, 3))
    report = compare(Odd, x, x[:, :2] + 1)
    assert "left behind changes the second" in report.causes[0].text


def test_gradients_that_pile_up_in_the_class_are_told():
    class Kept(Hand):
        total = None

        def finish(self, DW, DB):
            Kept.total = [np.zeros_like(g) for g in DW] if Kept.total is None else Kept.total
            if [g.shape for g in Kept.total] == [g.shape for g in DW]:
                Kept.total = [a + b for a, b in zip(Kept.total, DW)]
            self.DW, self.DB = Kept.total, DB

    [cause] = compare(Kept).causes
    assert "every call adds to what earlier calls left behind, even in a new object" in cause.text


def test_weights_that_are_checked_against_their_sizes():
    """The other sizes are not taken, and one set of data is enough."""

    class Checked(Hand):
        @property
        def W(self):
            return self._W

        @W.setter
        def W(self, W):
            if [w.shape for w in W] != [(3, 5), (5, 4), (4, 2)]:
                raise ValueError("other sizes")
            self._W = W

        def db(self, i, delta):
            return delta.mean(axis=0)

    [cause] = compare(Checked).causes
    assert "a mean" in cause.text
    assert "2 sets of data" in cause.evidence


def test_code_that_stops_to_work_is_judged_all_the_same():
    for limit in range(1, 12):
        calls = []

        def fun(W, B, x, t, calls=calls, limit=limit):
            calls.append(x)
            if len(calls) > limit:
                raise ValueError("enough")
            DW, DB = gradients(W, B, x, t)
            return [2 * dw for dw in DW], DB

        report = compare(fun, sizes=(3, 5, 4, 2))
        assert not report
        assert all("twice" in c.text or "enough" in c.text for c in report.causes)


def test_a_factor_that_depends_on_the_data_in_a_way_of_its_own_is_unknown():
    def fun(W, B, x, t):
        factor = np.log1p(abs(t).max())
        return tuple([factor * g for g in every] for every in gradients(W, B, x, t))

    report = compare(fun, sizes=(3, 5, 4, 2))
    assert report.causes == []


def test_another_y_and_gradients_of_other_shapes():
    class Both(Hand):
        def forward(self, x):
            return np.maximum(super().forward(x), 0)

        def dw(self, i, delta):
            return delta.T @ self.A[i]

    report = compare(Both)
    assert any("relu" in cause.text for cause in report.causes)
    assert not any("the forward pass that you wrote" in fact for fact in report.facts)


def test_a_coefficient_found_on_single_samples_has_no_line():
    def carry(s, i, d):
        g = d @ s.W[i].T
        if i == 2:
            return np.log1p(abs(g)) * np.arange(1, g.shape[1] + 1) * (s.A[i] > 0)
        return np.where(s.A[i] > 0, g, 0.01 * g)

    [cause] = compare(made(carry=carry), sizes=(3, 5, 4, 2)).causes
    assert "leaky" in cause.text
    assert cause.line == ""


def test_two_mistakes_in_one_gradient_are_looked_for_only_so_often():
    """Towers of which nothing but the first weight's gradient is given, and that is no use."""
    rng = np.random.default_rng(3)
    total, wrong = 0.0, {}
    for tower in "PQR":
        h = Tensor(rng.normal(size=(7, 4)))
        for k in range(4):
            w = Tensor(rng.normal(size=(4, 4)), True, f"{tower}[{k}]")
            if not k:
                wrong[f"d{w.name}"] = rng.normal(size=w.shape)
            h = relu(h @ w)
        total = total + mse(h, np.ones((7, 4)))
    report = compare(wrong, total)
    assert report.causes == []
    assert report.wrong == [*wrong][::-1]


def test_a_graph_that_cannot_be_run_again_is_said_to_be_so(monkeypatch):
    w = Tensor(np.ones(3), True, "w")
    loss = np.sum(w * w)
    words = "this graph cannot be simulated, so no cause is looked for"
    assert words not in compare({"w": np.zeros(3)}, loss).notes
    run = Simulator.run

    def slightly_off(self, inputs):
        env = run(self, inputs)
        return {v: a * (1 + 1e-6) for v, a in env.items()}

    monkeypatch.setattr(Simulator, "run", slightly_off)
    assert words in compare({"w": np.zeros(3)}, loss).notes

    def fails(self, inputs):
        raise TypeError("an op that takes something else")

    monkeypatch.setattr(Simulator, "run", fails)
    assert words in compare({"w": np.zeros(3)}, loss).notes


def test_vectors_numbers_and_sums_over_everything_have_changes_too():
    rng = np.random.default_rng(4)
    W, v = Tensor(rng.normal(size=(3, 3)), True, "W"), Tensor(rng.normal(size=3), True, "v")
    h = rng.normal(size=(7, 3)) @ W
    h.name = "h"
    s = np.sum(h) + np.sum(h @ v)
    s.name = "s"
    loss = np.square(np.maximum(s, 0)) + np.sum(v)
    sim = Simulator(derive(loss)._derivation)
    assert all(changes(line, sim, []) for line in sim.lines if line is not sim.derivation.loss)


def strange(s, y, t):
    """An unknown mistake in the first step."""
    return np.log1p(abs(y - t)) * np.arange(1, y.shape[1] + 1)


def test_an_unknown_mistake_beside_biases_of_another_shape():
    report = compare(made(first=strange, db=lambda s, i, d: d.sum(0) if i < 2 else d.sum()))
    assert all("dB[2]" in c.gradients for c in report.causes)
    assert report.marks["dW[2]"].status == "unknown"


def test_an_unknown_mistake_in_single_precision_or_with_one_output():
    single = made(first=strange)()
    single.W, single.B = ([a.astype(np.float32) for a in group] for group in (single.W, single.B))
    assert compare(single).causes == []
    one = made(first=lambda s, y, t: np.log1p(abs(y - t)) * np.cos(3 * y))
    assert compare(one, sizes=(3, 5, 4, 1)).causes == []


def test_a_cast_is_simulated():
    w = Tensor(np.arange(1, 4, dtype=np.float32), True, "w")
    loss = np.sum(np.square(w.astype(np.float64)))
    [cause] = compare({"w": w.data}, loss).causes
    assert "2" in cause.text


def test_the_start_of_a_chain_counts_as_its_number_0_whatever_its_name():
    V, start = Tensor(np.eye(3), True, "V"), Tensor(np.ones((7, 3)), True, "start")
    h = start
    for k in (1, 2, 3):
        z = h @ V
        z.name = f"z[{k}]"
        h = np.tanh(z)
        h.name = f"h[{k}]"
    sim = Simulator(derive(mse(h, np.zeros((7, 3))))._derivation)
    assert sim.shifted(sim.named["dh[1]"], -1) is sim.named["dstart"]
    assert sim.shifted(sim.named["dh[1]"], -2) is None


def test_targets_are_added_to_no_forward_pass():
    """Where y is not given, a change of y and of dy give the same gradients."""

    def twice(W, B, x, t):
        hand = first(lambda y, t: 2 * (y - 2 * t) / len(y))()
        hand.W, hand.B = W, B
        hand.backward(hand.forward(x), t)
        return hand.DW, hand.DB

    (cause,) = compare(twice, sizes=(3, 5, 4, 2)).causes
    assert "in the forward pass" not in cause.text
    assert "t is added to dy" in cause.text
