"""compare() passes what is right, up to rounding, and nothing else."""

# ruff: noqa: ARG001, ARG002, ARG005  # a step of a backward pass has the arguments of that step

import inspect
import json
import math
import re
from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_mlp import MLP, SGD, Tensor, cross_entropy, derive, grad, mse, no_grad, relu, scatter
from tinygrad_mlp.checking import compare
from tinygrad_mlp.errors import GradientError, ShapeError, TinygradMLPError
from tinygrad_mlp.judging import Comparison, Row, judge
from tinygrad_mlp.manual import ManualMLP
from tinygrad_mlp.probing import probe
from tinygrad_mlp.rounding import Truth, run_again

# --- backward passes: right ones, and what goes wrong --------------------------------------------


class Hand:
    """A backward pass in steps, each of which a subclass may replace."""

    def __init__(self, sizes=(3, 5, 4, 2)):
        net = ManualMLP(sizes, rng=5)
        self.W, self.B, self.A, self.DW, self.DB = net.W, net.B, [], [], []

    def forward(self, x):
        self.A = [x]
        for i, (w, b) in enumerate(zip(self.W, self.B)):
            z = self.A[-1] @ w + b
            if i < len(self.W) - 1:
                self.A.append(np.maximum(z, 0))
        return z

    def backward(self, y, t):
        DW, DB = [], []
        delta = self.first(y, t)
        for i in reversed(range(len(self.W))):
            DW.append(self.dw(i, delta))
            DB.append(self.db(i, delta))
            if i > 0:
                delta = self.carry(i, delta)
        self.finish(DW[::-1], DB[::-1])

    def first(self, y, t):
        return 2 * (y - t) / len(y)

    def dw(self, i, delta):
        return self.A[i].T @ delta

    def db(self, i, delta):
        return delta.sum(axis=0)

    def carry(self, i, delta):
        return delta @ self.W[i].T * (self.A[i] > 0)

    def finish(self, DW, DB):
        self.DW, self.DB = DW, DB


RIGHT, WRONG = {}, {}


def variant(table, name, *steps, **kwargs):
    """A subclass of Hand with these steps, under `name`."""
    table[name] = type("Variant", (Hand,), {step.__name__: step for step in steps} | kwargs)


def right(*steps):
    variant(RIGHT, steps[0].__doc__, *steps)


def wrong(*steps):
    variant(WRONG, steps[0].__doc__, *steps)


def each_sample(self, y, t):
    """one sample at a time, added up"""
    DW, DB = [np.zeros_like(w) for w in self.W], [np.zeros_like(b) for b in self.B]
    for n in range(len(y)):
        delta = 2 * (y[n] - t[n]) / len(y)
        for i in reversed(range(len(self.W))):
            DW[i] += np.outer(self.A[i][n], delta).astype(DW[i].dtype)
            DB[i] += delta.astype(DB[i].dtype).reshape(DB[i].shape)
            delta = self.W[i] @ delta * (self.A[i][n] > 0)
    self.DW, self.DB = DW, DB


def each_sample_averaged(self, y, t):
    """one sample at a time, divided at the end"""
    self.DW, self.DB = [0 * w for w in self.W], [0 * b for b in self.B]
    for n in range(len(y)):
        delta = 2 * (y[n : n + 1] - t[n : n + 1])
        for i in reversed(range(len(self.W))):
            self.DW[i] = self.DW[i] + self.A[i][n : n + 1].T @ delta
            self.DB[i] = self.DB[i] + delta.sum(axis=0)
            delta = delta @ self.W[i].T * (self.A[i][n : n + 1] > 0)
    self.DW = [dw / len(y) for dw in self.DW]
    self.DB = [db / len(y) for db in self.DB]


def backward_under(fun):
    RIGHT[fun.__doc__] = type("Variant", (Hand,), {"backward": fun})


backward_under(each_sample)
backward_under(each_sample_averaged)


def right_steps():
    def dw(self, i, delta):
        """einsum"""
        return np.einsum("nj,nk->jk", self.A[i], delta)

    def carry(self, i, delta):
        return np.einsum("nk,jk->nj", delta, self.W[i]) * (self.A[i] > 0)

    right(dw, carry)

    def dw(self, i, delta):
        """another order of summation"""
        return self.A[i][::-1].T @ delta[::-1]

    def db(self, i, delta):
        return np.array([math.fsum(column) for column in delta.T], delta.dtype)

    right(dw, db)

    def db(self, i, delta):
        """one after the other"""
        return np.cumsum(delta, axis=0)[-1]

    right(db)

    def carry(self, i, delta):
        """mask applied twice"""
        mask = self.A[i] > 0
        return (delta @ self.W[i].T) * mask * mask

    right(carry)

    def first(self, y, t):
        """divided at the end"""
        return 2 * (y - t)

    def finish(self, DW, DB):
        n = len(self.A[0])
        self.DW, self.DB = [dw / n for dw in DW], [db / n for db in DB]

    right(first, finish)

    def first(self, y, t):
        """y and t divided apart"""
        return y / len(y) * 2 - t / len(y) * 2

    right(first)

    def finish(self, DW, DB):
        """lists of rows as gradients"""
        self.DW = [dw.tolist() for dw in DW]
        self.DB = tuple(db.tolist() for db in DB)

    right(finish)

    def finish(self, DW, DB):
        """lists that are kept, cleared first"""
        self.DW.clear()
        self.DB.clear()
        self.DW.extend(DW)
        self.DB.extend(DB)

    right(finish)

    def carry(self, i, delta):
        """where instead of a product"""
        return np.where(self.A[i] > 0, (self.W[i] @ delta.T).T, 0)

    right(carry)


def wrong_steps():
    def first(self, y, t):
        """not divided by the batch"""
        return 2 * (y - t)

    wrong(first)

    def first(self, y, t):
        """divided by the batch twice"""
        return 2 * (y - t) / len(y) ** 2

    wrong(first)

    def carry(self, i, delta):
        """divided by the batch at every layer"""
        return Hand.carry(self, i, delta) / len(delta)

    wrong(carry)

    def first(self, y, t):
        """factor 2 missing"""
        return (y - t) / len(y)

    wrong(first)

    def first(self, y, t):
        """sign of y - t"""
        return 2 * (t - y) / len(y)

    wrong(first)

    def carry(self, i, delta):
        """sign at every layer"""
        return -Hand.carry(self, i, delta)

    wrong(carry)

    def first(self, y, t):
        """target forgotten"""
        return 2 * y / len(y)

    wrong(first)

    def first(self, y, t):
        """targets of other rows"""
        return 2 * (y - t[::-1]) / len(y)

    wrong(first)

    def first(self, y, t):
        """targets truncated"""
        return 2 * (y - np.trunc(t)) / len(y)

    wrong(first)

    def first(self, y, t):
        """mask at the output"""
        return 2 * (y - t) / len(y) * (y > 0)

    wrong(first)

    def carry(self, i, delta):
        """mask missing"""
        return delta @ self.W[i].T

    wrong(carry)

    def carry(self, i, delta):
        """mask missing at one layer"""
        return Hand.carry(self, i, delta) if i > 1 else delta @ self.W[i].T

    wrong(carry)

    def carry(self, i, delta):
        """relu(z) for its slope"""
        return delta @ self.W[i].T * self.A[i]

    wrong(carry)

    def carry(self, i, delta):
        """mask inverted"""
        return delta @ self.W[i].T * (self.A[i] <= 0)

    wrong(carry)

    def carry(self, i, delta):
        """mask instead of delta"""
        return (self.A[i] > 0).astype(delta.dtype)

    wrong(carry)

    def carry(self, i, delta):
        """mask of the first sample"""
        return delta @ self.W[i].T * (self.A[i][:1] > 0)

    wrong(carry)

    def carry(self, i, delta):
        """leaky slope"""
        return delta @ self.W[i].T * np.where(self.A[i] > 0, 1, 0.01).astype(delta.dtype)

    wrong(carry)

    def carry(self, i, delta):
        """relu of delta"""
        return np.maximum(delta @ self.W[i].T, 0)

    wrong(carry)

    def carry(self, i, delta):
        """W reshaped, not transposed"""
        return delta @ self.W[i].reshape(self.W[i].shape[::-1]) * (self.A[i] > 0)

    wrong(carry)

    def dw(self, i, delta):
        """A reshaped, not transposed"""
        return self.A[i].reshape(self.A[i].shape[::-1]) @ delta

    wrong(dw)

    def dw(self, i, delta):
        """DW transposed"""
        return delta.T @ self.A[i]

    wrong(dw)

    def finish(self, DW, DB):
        """not reversed"""
        self.DW, self.DB = DW[::-1], DB[::-1]

    wrong(finish)

    def finish(self, DW, DB):
        """the first layer left at zero"""
        self.DW, self.DB = [0 * DW[0], *DW[1:]], [0 * DB[0], *DB[1:]]

    wrong(finish)

    def finish(self, DW, DB):
        """one gradient too few"""
        self.DW, self.DB = DW[1:], DB[1:]

    wrong(finish)

    def finish(self, DW, DB):
        """one gradient too many"""
        self.DW, self.DB = [*DW, DW[0]], [*DB, DB[0]]

    wrong(finish)

    def finish(self, DW, DB):
        """a gradient is None"""
        self.DW, self.DB = [*DW[:-1], None], DB

    wrong(finish)

    def finish(self, DW, DB):
        """appended to what was there"""
        self.DW, self.DB = self.DW + DW, self.DB + DB

    wrong(finish)

    def finish(self, DW, DB):
        """added to what was there"""
        self.DW = [a + b for a, b in zip(DW, self.DW)] if self.DW else DW
        self.DB = DB

    wrong(finish)

    def db(self, i, delta):
        """mean for the bias"""
        return delta.mean(axis=0)

    wrong(db)

    def db(self, i, delta):
        """bias not summed"""
        return delta

    wrong(db)

    def db(self, i, delta):
        """bias keeps the batch axis"""
        return delta.sum(axis=0, keepdims=True)

    wrong(db)

    def db(self, i, delta):
        """bias summed over the wrong axis"""
        return delta.sum(axis=1)

    wrong(db)

    def db(self, i, delta):
        """bias summed over both axes"""
        return delta.sum()

    wrong(db)

    def db(self, i, delta):
        """last sample left out of a bias"""
        return delta[:-1].sum(axis=0)

    wrong(db)

    def dw(self, i, delta):
        """one entry off by a millionth"""
        dw = Hand.dw(self, i, delta)
        dw.flat[np.abs(dw).argmax()] *= 1 + (1e-6 if dw.dtype == np.float64 else 1e-3)
        return dw

    wrong(dw)

    def dw(self, i, delta):
        """weight decay added"""
        return Hand.dw(self, i, delta) + (0.01 * self.W[i]).astype(delta.dtype)

    wrong(dw)

    def dw(self, i, delta):
        """W updated while its gradient is needed"""
        dw = Hand.dw(self, i, delta)
        self.W[i] -= (0.1 * dw).astype(self.W[i].dtype)
        return dw

    wrong(dw)

    def dw(self, i, delta):
        """half precision on the way"""
        return Hand.dw(self, i, delta).astype(np.float16).astype(delta.dtype)

    wrong(dw)

    def dw(self, i, delta):
        """nan at inactive units"""
        with np.errstate(all="ignore"):
            return np.where(self.A[i] == 0, self.A[i] / 0, self.A[i]).T @ delta

    wrong(dw)

    def dw(self, i, delta):
        """integers"""
        return Hand.dw(self, i, delta).astype(int)

    wrong(dw)

    def dw(self, i, delta):
        """raises"""
        return self.A[i] @ delta[0, 0, 0]

    wrong(dw)


right_steps()
wrong_steps()

SIZES = [(2, 4, 1), (3, 5, 5, 2), (64, 128, 64, 10), (8,) * 9]
DTYPES = [np.float32, np.float64]
HARMLESS = {((2, 4, 1), "W reshaped, not transposed")}  # a single column
"""What is no mistake on that network."""

sizes_ids = pytest.mark.parametrize("sizes", SIZES, ids=lambda s: "-".join(map(str, s)))
dtype_ids = pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.__name__)


def manual_of(cls, net):
    """An object of `cls` with the weights of `net`."""
    manual = cls(net.sizes)
    manual.W, manual.B = [w.data.copy() for w in net.W], [b.data.copy() for b in net.B]
    return manual


def batch_of(sizes, batch, dtype=np.float64, scale=1.0, seed=0):
    rng = np.random.default_rng(seed)
    x = scale * rng.normal(size=(batch, sizes[0]))
    return x.astype(dtype), (scale * rng.normal(size=(batch, sizes[-1]))).astype(dtype)


def trained(sizes, dtype, steps=20):
    net = MLP(sizes, rng=1, dtype=dtype)
    x, t = batch_of(sizes, 32, dtype, seed=1)
    optimizer = SGD(net.parameters(), lr=0.003)
    for _ in range(steps):
        optimizer.zero_grad()
        mse(net(x), t).backward()
        optimizer.step()
    return net


def near_fit(net, batch):
    """Data of which nearly everything is explained: y - t cancels."""
    x, t = batch_of(net.sizes, batch, net.W[0].dtype)
    return x, (net(x).data + 1e-4 * t).astype(t.dtype)


# --- what is right passes, what is wrong does not -------------------------------------------------


def test_there_are_enough_variants():
    assert len(RIGHT) >= 11
    assert len(WRONG) >= 40


@dtype_ids
@sizes_ids
@pytest.mark.parametrize("name", RIGHT)
def test_right_variants_pass(name, sizes, dtype):
    net = MLP(sizes, rng=3, dtype=dtype)
    for data in (
        (None, None),
        batch_of(sizes, 1, dtype),
        batch_of(sizes, 7, dtype),
        near_fit(net, 7),
    ):
        assert compare(manual_of(RIGHT[name], net), *data)


@dtype_ids
@sizes_ids
@pytest.mark.parametrize("name", WRONG)
def test_wrong_variants_fail(name, sizes, dtype):
    """Also where the given data hide the mistake: a batch of one, next to no error in y."""
    net = MLP(sizes, rng=3, dtype=dtype)
    for data in ((None, None), batch_of(sizes, 1, dtype), near_fit(net, 7)):
        report = compare(manual_of(WRONG[name], net), *data, explain=False)
        assert report.ok is ((sizes, name) in HARMLESS)
        assert bool(report) is report.ok


@dtype_ids
@pytest.mark.parametrize("sizes", [(3, 5, 5, 2), (8,) * 9], ids=["3-5-5-2", "8 layers"])
def test_trained_networks_are_judged_as_well(sizes, dtype):
    net = trained(sizes, dtype)
    x, t = batch_of(sizes, 32, dtype, seed=1)
    assert all(compare(manual_of(cls, net), x, t) for cls in RIGHT.values())
    assert not any(compare(manual_of(cls, net), x, t, explain=False) for cls in WRONG.values())


@dtype_ids
@pytest.mark.parametrize("scale", [3e-4, 1e6], ids=["gradients of 1e-7", "gradients of 1e12"])
def test_the_scale_of_the_gradients_does_not_matter(scale, dtype):
    net = MLP((3, 5, 5, 2), rng=3, dtype=dtype)
    x, t = batch_of(net.sizes, 7, dtype, scale)
    largest = np.abs(row_value(net, x, t, "DW[0]")).max()
    assert 1e-8 < largest < 1e-6 or 1e11 < largest < 1e13
    for name, cls in RIGHT.items():
        assert compare(manual_of(cls, net), x, t, probes=False), name
    for name, cls in WRONG.items():
        # The first two need a second call; the others change less than the rounding of float32.
        if not any(w in name for w in ("what was there", "W updated", "truncated", "integers")):
            assert not compare(manual_of(cls, net), x, t, probes=False, explain=False), name


@dtype_ids
@pytest.mark.parametrize(
    "sizes",
    [pytest.param((64, 128, 64, 10), marks=pytest.mark.slow), (3, 5, 5, 2)],
    ids=["64-128-64-10", "3-5-5-2"],
)
def test_a_batch_of_4096_is_judged_as_well(sizes, dtype):
    net = MLP(sizes, rng=3, dtype=dtype)
    x, t = batch_of(sizes, 4096, dtype)
    for name in (
        "einsum",
        "another order of summation",
        "one after the other",
        "mask applied twice",
    ):
        assert compare(manual_of(RIGHT[name], net), x, t, probes=False), name
    for name in ("last sample left out of a bias", "mask missing at one layer", "leaky slope"):
        assert not compare(manual_of(WRONG[name], net), x, t, probes=False, explain=False), name


def test_the_model_of_rounding_is_neither_too_wide_nor_too_narrow():
    """Over many networks the largest error of float32 is about one sigma, far below 1e-4."""
    sigmas = []
    for seed in range(30):
        net = MLP((5, 9, 7, 3), rng=seed, dtype=np.float32)
        x, t = probe(net, seed)
        report = compare(ManualMLP.like(net), x, t, probes=False)
        assert report
        sigmas.append(max(row.sigmas for row in report.table))
        for row in report.table[1:]:
            gradient = row_value(net, x, t, row.name)
            assert row.max_diff / row.sigmas < 1e-4 * np.abs(gradient).max() or row.sigmas < 0.05
    assert 0.2 < np.median(sigmas) < 2
    assert max(sigmas) < 4


def row_value(net, x, t, name):
    manual = ManualMLP.like(net)
    manual.backward(manual.forward(x), t)
    return getattr(manual, name[:2])[int(name[3:-1])]


def test_half_precision_is_judged_by_its_own_rounding():
    net = MLP((3, 5, 4, 2), rng=3, dtype=np.float16)
    assert all(compare(manual_of(cls, net)) for cls in RIGHT.values())
    for name in ("not divided by the batch", "mask missing", "mean for the bias", "sign of y - t"):
        report = compare(manual_of(WRONG[name], net), explain=False)
        assert not report
        assert "float16" in str(report)


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("mask missing", ["DW[1]", "DB[1]", "DW[0]", "DB[0]"]),
        ("mask missing at one layer", ["DW[0]", "DB[0]"]),
        ("mean for the bias", ["DB[2]", "DB[1]", "DB[0]"]),
        ("A reshaped, not transposed", ["DW[2]", "DW[1]", "DW[0]"]),
        ("a gradient is None", ["DW[2]"]),
        ("sign of y - t", ["DW[2]", "DB[2]", "DW[1]", "DB[1]", "DW[0]", "DB[0]"]),
    ],
)
def test_exactly_the_wrong_gradients_are_named(name, names):
    report = compare(WRONG[name], sizes=(3, 5, 4, 2), explain=False)
    assert report.wrong == names
    assert report.where == names[0]
    assert report.causes == []
    assert f"WHERE {names[0]} is the first that differs" in str(report)


def verdict_of(report, name):
    return next(row.verdict for row in report.table if row.name == name)


@pytest.mark.parametrize(
    ("name", "row", "verdict"),
    [
        ("a gradient is None", "DW[2]", "WRONG: missing"),
        ("one gradient too few", "DW[2]", "WRONG: missing"),
        ("one gradient too many", "DB[3]", "WRONG: one too many"),
        (
            "bias keeps the batch axis",
            "DB[1]",
            "WRONG: shape (1, 4), not (4,); the values are right",
        ),
        ("bias not summed", "DB[1]", "WRONG: shape (7, 4), not (4,)"),
        ("bias summed over the wrong axis", "DB[1]", "WRONG: shape (7,), not (4,)"),
        ("bias summed over both axes", "DB[1]", "WRONG: shape (), not (4,)"),
        ("DW transposed", "DW[1]", "WRONG: shape (4, 5), not (5, 4); its transpose is right"),
        ("integers", "DW[1]", "WRONG, but int64 instead of floating point"),
        ("mean for the bias", "DB[1]", "WRONG"),
    ],
)
def test_what_is_wrong_with_an_array_is_said(name, row, verdict):
    assert verdict_of(compare(WRONG[name], sizes=(3, 5, 4, 2)), row) == verdict


def test_entries_that_are_not_finite_are_counted():
    report = compare(WRONG["nan at inactive units"], sizes=(3, 5, 4, 2))
    assert "entries are nan or infinite" in verdict_of(report, "DW[2]")
    assert verdict_of(report, "DW[0]") == "same"


def test_an_exception_is_a_note_with_its_line():
    report = compare(WRONG["raises"], sizes=(3, 5, 4, 2))
    line = "return self.A[i] @ delta[0, 0, 0]"
    source, start = inspect.getsourcelines(WRONG["raises"].dw)
    number = start + next(i for i, text in enumerate(source) if line in text)
    assert f"(test_checking.py, line {number}: {line})" in report.notes[0]
    assert report.notes[0].startswith("backward raised IndexError: too many indices")
    assert verdict_of(report, "y") == "same"
    assert {row.verdict for row in report.table[1:]} == {"WRONG: missing"}


def test_an_error_inside_numpy_is_reported_at_the_persons_line():
    class Deep(Hand):
        def dw(self, i, delta):
            return np.linalg.solve(self.A[i], delta)

    [note] = compare(Deep, sizes=(3, 5, 2)).notes
    assert "line" in note
    assert "np.linalg.solve(self.A[i], delta)" in note


@pytest.mark.parametrize("error", [ValueError("no\n  way"), SystemExit(0)], ids=repr)
def test_exceptions_in_forward_and_in_the_constructor_are_no_tracebacks(error):
    class Forward(Hand):
        def forward(self, x):
            raise error

    class Init(Hand):
        def __init__(self):
            raise error

    report = compare(Forward, sizes=(3, 5, 2))
    assert verdict_of(report, "y") == "WRONG: missing"
    assert report.notes[0].startswith(f"forward raised {type(error).__name__}: ")
    report = compare(Init)
    assert not report
    assert "Init() raised" in str(report)
    assert "\n  way" not in str(report)


def test_a_wrong_forward_pass_is_a_row_of_its_own():
    class NoBias(Hand):
        def forward(self, x):
            y = super().forward(x)
            return y - self.B[-1]

    report = compare(NoBias, sizes=(3, 5, 2))
    assert report.where == "y"
    assert verdict_of(report, "y") == "WRONG"


def test_weights_that_change_are_noted_though_the_gradients_are_right():
    class Steps(Hand):
        def finish(self, DW, DB):
            super().finish(DW, DB)
            self.W = [w - 0.1 * dw for w, dw in zip(self.W, DW)]

    class Overwrites(Hand):
        def backward(self, y, t):
            super().backward(y, t)
            y -= t
            t[:] = 0

    report = compare(Steps, sizes=(3, 5, 2))
    assert report
    assert "changed by your code: W" in report.notes
    report = compare(Overwrites, sizes=(3, 5, 2))
    assert report
    assert "changed by your code: t" in report.notes
    assert "changed by backward: y" in report.notes


def test_zero_grad_is_called_before_backward():
    class Accumulates(Hand):
        def zero_grad(self):
            self.DW, self.DB = [], []

        def finish(self, DW, DB):
            self.DW, self.DB = self.DW + DW, self.DB + DB

    assert compare(Accumulates, sizes=(3, 5, 2))


def test_a_mistake_that_only_a_second_call_shows_is_reported_as_such():
    report = compare(WRONG["added to what was there"], sizes=(3, 5, 2))
    assert report.notes[0].startswith("a first call agrees; this is a second")
    assert compare(WRONG["added to what was there"], sizes=(3, 5, 2), probes=False)


@given(
    sizes=st.lists(st.integers(1, 9), min_size=2, max_size=5),
    batch=st.integers(1, 12),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_network_passes_and_any_entry_that_is_off_fails(sizes, batch, dtype, seed):
    rng = np.random.default_rng(seed)
    net = MLP(sizes, rng=rng, dtype=dtype)
    x, t = batch_of(sizes, batch, dtype, seed=seed)
    assert compare(ManualMLP.like(net), x, t)

    class Off(ManualMLP):
        def backward(self, y, t):
            super().backward(y, t)
            gradient = (self.DB[0], self.DW[-1])[rng.integers(2)]
            place = rng.integers(gradient.size)
            gradient.flat[place] += 1e-3 * np.abs(gradient).max() + 1e-3 * (not gradient.any())

    off = Off(sizes)
    off.W, off.B = [w.data.copy() for w in net.W], [b.data.copy() for b in net.B]
    assert len(compare(off, x, t, explain=False).wrong) == 1


# --- the convention at 0 --------------------------------------------------------------------------


class OtherSlope(Hand):
    """relu with slope 1 at 0."""

    def carry(self, i, delta):
        z = self.A[i - 1] @ self.W[i - 1] + self.B[i - 1]
        return delta @ self.W[i].T * (z >= 0)


def test_the_slope_at_0_is_a_convention():
    net = MLP((3, 5, 2), rng=0)  # biases are 0, so for an x of 0 every z is
    x, t = batch_of((3, 5, 2), 7)
    x[2] = 0
    report = compare(manual_of(OtherSlope, net), x, t)
    assert report
    assert verdict_of(report, "DB[0]") == "same up to the slope at 0"
    assert verdict_of(report, "DW[0]") == "same"
    assert not compare(manual_of(WRONG["mask missing"], net), x, t, probes=False, explain=False)


def test_a_unit_at_0_up_to_rounding_may_be_active_or_not():
    net = MLP((3, 2, 4, 1), rng=0)
    net.W[0].data = np.array([[1.0, 0.5], [1.0, -2.0], [1.0, 1.0]])
    x, t = batch_of(net.sizes, 5)
    x[0] = [0.1, 0.2, -0.3]  # 0.1 + 0.2 - 0.3 is 5.6e-17, or 0 in another order

    class OtherOrder(Hand):
        def forward(self, x):
            y = super().forward(x)
            self.A[1][self.A[1] < 1e-12] = 0
            return y

    report = compare(manual_of(OtherOrder, net), x, t)
    assert report
    assert verdict_of(report, "DB[0]") == "same up to the slope at 0"
    assert compare(manual_of(Hand, net), x, t)


def test_weights_of_zero_hide_the_mask_and_the_second_call_finds_it():
    net = MLP((3, 5, 2), rng=0)
    net.W[0].data = np.zeros((3, 5))
    data = batch_of((3, 5, 2), 7)
    assert compare(manual_of(WRONG["mask missing"], net), *data, probes=False)
    assert not compare(manual_of(WRONG["mask missing"], net), *data)


# --- forms ----------------------------------------------------------------------------------------


class Rows(Hand):
    """Rows in lists, and a backward pass that needs arrays."""

    def forward(self, x):
        self.A = [x]
        for i in range(len(self.W) - 1):
            self.A.append([np.maximum(row @ self.W[i] + self.B[i], 0) for row in self.A[i]])
        return [row @ self.W[-1] + self.B[-1] for row in self.A[-1]]

    def backward(self, y, t):
        self.DW, self.DB = [], []
        delta = 2 * (y - t) / y.shape[0]
        for i in reversed(range(len(self.W))):
            self.DW.append(np.dot(self.A[i].T, delta))
            self.DB.append(np.sum(delta, axis=0))
            delta = np.dot(delta, self.W[i].T) * (self.A[i] > 0)  # at the input, too
        self.DW.reverse()
        self.DB.reverse()


class PureRows(Rows):
    """Rows in lists all the way."""

    def backward(self, y, t):
        y, self.A = np.array(y.copy()), [np.array([*a]) for a in self.A]
        super().backward(y, t)


class OnlyY(Rows):
    """Only the output is a list."""

    def forward(self, x):
        y = super().forward(x)
        self.hidden, self.A = [np.array(a) for a in self.A], None
        return y

    def backward(self, y, t):
        y.shape  # noqa: B018
        self.A = self.hidden
        super().backward(y, t)


@dtype_ids
@sizes_ids
@pytest.mark.parametrize("cls", [Rows, OnlyY])
def test_lists_of_rows_are_made_arrays_and_that_is_said(cls, sizes, dtype):
    manual = manual_of(cls, MLP(sizes, rng=0, dtype=dtype))
    report = compare(manual, *batch_of(sizes, 7, dtype))
    assert report
    assert (
        "lists of rows were made arrays after forward, because backward raised" in report.notes[0]
    )
    assert "object has no attribute 'shape'" in report.notes[0]
    assert manual.DW == []


def test_lists_of_rows_that_the_code_can_work_with_are_left_alone():
    report = compare(PureRows, sizes=(3, 5, 2))
    assert report
    assert "lists of rows are compared as arrays" in report.notes


def test_a_mistake_in_code_with_lists_of_rows_is_found():
    class Bad(Rows):
        def backward(self, y, t):
            super().backward(y, 2 * t)

    class Raises(Rows):
        def backward(self, y, t):
            return y.shape + "t"

    class Ragged(Rows):
        def forward(self, x):
            return [*super().forward(x), [0.0]]

    assert compare(Bad, sizes=(3, 5, 2)).where == "DW[1]"
    assert len(compare(Raises, sizes=(3, 5, 2)).notes) == 2
    report = compare(Ragged, sizes=(3, 5, 2))
    assert report.where == "y"
    assert "no array (ValueError" in verdict_of(report, "y")


def gradients(W, B, x, t, scale=2):
    """One layer, as a function."""
    delta = scale * (x @ W[0] + B[0] - t) / len(x)
    return [x.T @ delta], [delta.sum(axis=0)]


def test_a_function_gets_weights_by_sizes_or_reference():
    report = compare(gradients, sizes=(3, 2))
    assert report
    assert [row.name for row in report.table] == ["DW[0]", "DB[0]"]
    net = MLP((4, 3), rng=0, dtype=np.float32)
    assert "float32" in str(compare(gradients, reference=net))
    assert not compare(lambda W, B, x, t: gradients(W, B, x, t, 1), reference=net)
    with pytest.raises(
        ShapeError, match=r"gradients\(W, B, x, t\) is a function.*sizes=.*reference="
    ):
        compare(gradients)


def test_a_function_that_returns_something_else_is_reported():
    report = compare(lambda W, B, x, t: [*gradients(W, B, x, t), 0], sizes=(3, 2))
    assert report.wrong == ["DW[0]", "DB[0]"]
    assert "3 things: " in report.causes[0].text
    assert "not (DW, DB)" in report.causes[0].text
    assert not report.notes
    unexplained = compare(lambda W, B, x, t: None, sizes=(3, 2), explain=False)
    assert unexplained.notes == [
        "<lambda> returned nothing, not (DW, DB), lists with one array a layer"
    ]


def test_a_function_that_changes_the_weights_is_noted():
    def careless(W, B, x, t):
        result = gradients(W, B, x, t)
        W[0] -= result[0][0]
        return result

    report = compare(careless, sizes=(3, 2))
    assert report
    assert report.notes[0] == "changed by your code: W"


def test_classes_and_factories_are_called_with_sizes_or_with_nothing():
    class Fixed(Hand):
        def __init__(self):
            super().__init__((3, 6, 2))

    class Needs(Hand):
        def __init__(self, sizes):
            super().__init__(sizes)

    assert "Fixed 3-6-2 " in str(compare(Fixed))
    assert "Fixed 3-4-3-2 " in str(compare(Fixed, sizes=(3, 4, 3, 2)))  # it gets other weights
    assert "Hand 3-5-4-2 " in str(compare(Hand))
    assert "Hand 3-7-2 " in str(compare(Hand, sizes=(3, 7, 2)))
    assert "Needs 4-6-5-3 " in str(compare(Needs))
    assert "Needs 3-2 " in str(compare(Needs, reference=MLP((3, 2))))
    assert compare(lambda: Fixed())
    assert compare(lambda sizes: Needs(sizes), sizes=(3, 2))
    assert compare(ManualMLP, sizes=(3, 5, 2))


def test_an_object_is_copied_and_stays_as_it_is():
    manual = ManualMLP((3, 5, 2), rng=0)
    before = [a.copy() for a in manual.W + manual.B]
    assert compare(manual)
    assert (manual.A, manual.DW, manual.DB) == ([], [], [])
    for a, b in zip(manual.W + manual.B, before):
        np.testing.assert_array_equal(a, b)


def test_an_object_is_compared_at_its_own_weights_or_at_those_of_the_reference():
    manual, net = ManualMLP((3, 5, 2), rng=0), MLP((3, 5, 2), rng=1)
    x, t = batch_of((3, 5, 2), 7)
    net_before = net.W[0].data.copy()
    seen = []

    class Records(Hand):
        def backward(self, y, t):
            seen.append(self.W[0])
            super().backward(y, t)

    records = manual_of(Records, net)
    records.W = manual.W
    assert compare(records, x, t, probes=False)
    assert compare(records, x, t, probes=False, reference=net)
    np.testing.assert_array_equal(seen[0], manual.W[0])
    np.testing.assert_array_equal(seen[1], net.W[0].data)
    np.testing.assert_array_equal(net.W[0].data, net_before)


def test_biases_may_be_rows():
    class RowBias(Hand):
        def __init__(self, sizes=(3, 5, 2)):
            super().__init__(sizes)
            self.B = [b[None] for b in self.B]

        def db(self, i, delta):
            return delta.sum(axis=0, keepdims=True)

    assert compare(RowBias)
    assert compare(RowBias, sizes=(4, 3, 2))
    assert compare(RowBias, sizes=(3, 5, 2))


def test_weights_may_be_integers_or_a_stack_and_gradients_a_stack():
    class Stack(Hand):
        def __init__(self):
            super().__init__((4, 4, 4))
            self.W, self.B = np.round(2 * np.array(self.W)).astype(int), np.ones((2, 4), int)

        def finish(self, DW, DB):
            self.DW, self.DB = np.array(DW), np.array(DB)

    assert compare(Stack)


def test_weights_that_cannot_be_set_stay():
    class ReadOnly(Hand):
        W = property(lambda self: self.weights)

        def __init__(self, sizes=(3, 5, 2)):
            net = ManualMLP(sizes, rng=0)
            self.weights, self.B = net.W, net.B

    report = compare(ReadOnly)
    assert report
    assert any(
        "its own weights are used: setting W raised AttributeError" in n for n in report.notes
    )


@pytest.mark.parametrize(
    ("manual", "match"),
    [
        (3, r"int is none of the forms.*forward\(x\)"),
        (MLP((3, 2)), r"MLP is none of the forms"),
        (dict, r"dict is none of the forms"),
        (lambda a, b: None, r"<lambda> is none of the forms"),
        (lambda: 3, r"<lambda> is none of the forms"),
    ],
    ids=["number", "MLP", "builtin", "two arguments", "returns no network"],
)
def test_what_cannot_be_compared_is_an_error_that_lists_the_forms(manual, match):
    with pytest.raises(TinygradMLPError, match=match):
        compare(manual)


def test_other_signatures_are_an_error_that_says_which_are_meant():
    class OnlyTargets(Hand):
        def backward(self, t):
            raise AssertionError

    class More(Hand):
        def forward(self, x, training):
            raise AssertionError

    with pytest.raises(TinygradMLPError, match=r"OnlyTargets\.backward\(t\) .* backward\(y, t\)"):
        compare(OnlyTargets)
    with pytest.raises(TinygradMLPError, match=r"More\.forward\(x, training\) .* forward\(x\)"):
        compare(More)


def test_an_object_that_cannot_be_copied_is_an_error_that_says_what_to_do():
    manual = Hand()
    manual.generator = (i for i in range(3))
    with pytest.raises(TinygradMLPError, match=r"Hand cannot be copied .*give its class"):
        compare(manual)


@pytest.mark.parametrize(
    ("W", "B", "match"),
    [
        (
            [np.zeros((5, 3)), np.zeros((2, 5))],
            [np.zeros(5), np.zeros(2)],
            "layout='out,in'",
        ),
        ([np.zeros((3, 2))], [], r"W \[\(3, 2\)\], B \[\]"),
        ([np.zeros((3, 2))], [np.zeros(3)], r"B \[\(3,\)\]"),
        ([np.zeros(3)], [np.zeros(3)], r"W \[\(3,\)\]"),
        ([], [], "make no network"),
        (None, [], r"needs lists of arrays W and B \(TypeError"),
        ([["a"]], [[1]], r"needs lists of arrays W and B \(ValueError"),
    ],
)
def test_weights_that_make_no_network_are_an_error_with_the_shapes(W, B, match):
    manual = Hand()
    manual.W, manual.B = W, B
    with pytest.raises(ShapeError, match=match):
        compare(manual)


def test_data_that_do_not_fit_are_an_error():
    with pytest.raises(ShapeError, match="give both x and t"):
        compare(Hand, np.zeros((7, 3)))
    with pytest.raises(ShapeError, match=r"A\[0\] \(7, 4\) @ W\[0\] \(3, 5\)"):
        compare(Hand(), np.zeros((7, 4)), np.zeros((7, 2)))
    with pytest.raises(ShapeError, match=r"\(7, 2\).*\(7,\)"):
        compare(Hand(), np.zeros((7, 3)), np.zeros(7))


def test_data_may_be_lists_tensors_and_integers():
    x, t = batch_of((3, 5, 4, 2), 7)
    assert compare(Hand(), x.tolist(), Tensor(t))
    assert compare(Hand(), np.round(9 * x).astype(int), np.round(t).astype(np.uint8))


def test_data_that_are_not_finite_cannot_be_judged_and_that_is_no_pass():
    x, t = batch_of((3, 5, 4, 2), 7)
    x[0, 0] = np.nan
    report = compare(Hand(), x, t)
    assert "autograd's own is not finite" in verdict_of(report, "y")
    assert not compare(Hand(), 1e200 * np.nan_to_num(x), t)  # too large for variances


def test_comparing_works_under_no_grad():
    with no_grad():
        assert compare(Hand)
        assert not compare(WRONG["mask missing"])


# --- other networks: rounding by a run in float32 -------------------------------------------------


class Tanh(Hand):
    def forward(self, x):
        self.A = [x]
        for i, (w, b) in enumerate(zip(self.W, self.B)):
            z = self.A[-1] @ w + b
            if i < len(self.W) - 1:
                self.A.append(np.tanh(z))
        return z

    def carry(self, i, delta):
        return delta @ self.W[i].T * (1 - self.A[i] ** 2)


@dtype_ids
@pytest.mark.parametrize("sizes", [(3, 5, 4, 2), (8,) * 9, (2, 4, 1)], ids=str)
def test_a_network_of_other_ops_is_judged_by_its_difference_in_float32(sizes, dtype):
    net = MLP(sizes, rng=0, dtype=dtype, activation=np.tanh)
    report = compare(Tanh, reference=net)
    assert report
    assert "4 times the difference of a run in float32" in report.notes[0]

    class Wrong(Tanh):
        def carry(self, i, delta):
            return delta @ self.W[i].T * (1 - self.A[i])

    class Slightly(Tanh):
        def dw(self, i, delta):
            return super().dw(i, delta) * (1 + (1e-3 if dtype is np.float32 else 1e-11))

    assert not compare(Wrong, reference=net, explain=False)
    assert not compare(Slightly, reference=net, explain=False)
    assert not compare(Hand, reference=net, explain=False)


# --- named gradients of a graph -------------------------------------------------------------------


@pytest.fixture
def graph():
    net = MLP((3, 5, 4, 2), rng=0)
    x, t = probe(net)
    y = net(x)
    loss = mse(y, t)
    delta = 2 * (y.data - t) / len(t)
    dA2 = delta @ net.W[2].data.T
    gradients = {
        "dy": delta,
        "dB[2]": delta.sum(axis=0),
        "dW[2]": net.A[2].data.T @ delta,
        "dA[2]": dA2,
        "dZ[2]": dA2 * (net.A[2].data > 0),
    }
    return net, loss, gradients


def test_named_gradients_are_compared_intermediates_too(graph):
    net, loss, given = graph
    assert [p.grad for p in net.parameters()] == [None] * 6
    report = compare(given, loss)
    assert report
    assert [row.name for row in report.table] == list(given)  # walking backward
    assert [p.grad for p in net.parameters()] == [None] * 6
    assert report.blind_spots == ["not given, so not compared: dB[0], dB[1], dW[0], dW[1]"]
    assert compare({"W[2]": given["dW[2]"], "B[2]": given["dB[2]"].tolist()}, loss)


@pytest.mark.parametrize("name", ["dy", "dB[2]", "dW[2]", "dA[2]", "dZ[2]"])
def test_a_wrong_named_gradient_is_found(graph, name):
    _, loss, given = graph
    for wrong in (1.001 * given[name], -given[name], given[name] + 1e-9, given[name][None]):
        report = compare({**given, name: wrong}, loss, explain=False)
        assert report.wrong == [name]
        assert not report


def test_an_unknown_name_is_an_error_with_the_known_ones(graph):
    _, loss, given = graph
    with pytest.raises(
        GradientError, match=r"no Tensors are called 'dW\[3\]'\. Did you mean dW\[.\]\? "
    ):
        compare({"dW[3]": given["dy"]}, loss)
    with pytest.raises(GradientError, match=r"Known are dA\[1\], dA\[2\], dB\[0\].*dZ\[2\], dy;"):
        compare({"#": given["dy"]}, loss)
    with pytest.raises(GradientError, match=r"'A\[0\]'"):  # the input needs no gradient
        compare({"A[0]": given["dy"]}, loss)


def test_a_name_of_two_tensors_is_an_error():
    a, b = (Tensor([1.0, 2.0], True, "w") for _ in range(2))
    with pytest.raises(GradientError, match="2 Tensors are called 'dw'"):
        compare({"dw": np.ones(2)}, np.sum(a * b))


def test_a_gradient_without_name_is_not_compared_and_that_is_said():
    a, b = Tensor([1.0, 2.0], True, "a"), Tensor([3.0, 4.0], True)
    report = compare({"da": [3.0, 4.0]}, np.sum(a * b))
    assert report
    assert report.blind_spots == ["not given, so not compared: Tensor (2,)"]


def test_the_loss_has_to_be_a_scalar_tensor(graph):
    net, loss, given = graph
    with pytest.raises(GradientError, match=r"is the loss, a scalar Tensor.* not a ndarray"):
        compare(given, np.zeros(3))
    with pytest.raises(GradientError, match="not a NoneType"):
        compare(given)
    with pytest.raises(GradientError, match=r"not A\[1\] \(7, 5\)"):
        compare(given, net.A[1])
    with pytest.raises(GradientError, match="requires a gradient, not Tensor"):
        compare(given, Tensor(1.0))
    with pytest.raises(GradientError, match="no gradient is given"):
        compare({}, loss)


def test_values_that_changed_since_are_an_error(graph):
    net, loss, given = graph
    net.W[1].data -= 0.1
    with pytest.raises(GradientError, match=r"W\[1\].*was overwritten"):
        compare(given, loss)


def test_the_gradient_of_the_loss_itself_is_1(graph):
    _, loss, _ = graph
    loss.name = "loss"
    assert compare({"dloss": 1.0}, loss)
    assert not compare({"dloss": 2.0}, loss)


def loss_of_many_ops(w, v, i):
    """Indices, joins, scalars of NumPy, integers: what a run in another dtype has to get right."""
    a = np.concatenate([w, v * np.float64(2)], axis=0)[np.array([0, 2, 2]), i]
    b = np.stack([a, np.maximum(a, np.float64(0))], axis=1)
    c = np.where(b > 0.1, b, b * b) * np.array([[1], [2], [3]]) * np.float32(0.5)
    return np.sum(c.T[:, None, 1:] / np.int64(3)) + np.sum(np.tanh(w[1:] @ v[0]))


@dtype_ids
def test_any_recorded_op_can_be_run_again(dtype):
    rng = np.random.default_rng(0)
    w, v = (Tensor(rng.normal(size=(2, 3)).astype(dtype), True, name) for name in "wv")
    loss = loss_of_many_ops(w, v, 1)
    loss.backward()
    report = compare({"dw": w.grad, "dv": v.grad}, loss)
    assert report
    assert report.notes
    assert not compare({"dw": w.grad * (1 + 1e-3), "dv": v.grad}, loss, explain=False)
    assert not compare({"dw": w.grad, "dv": v.grad + dtype(1e-4)}, loss, explain=False)


@pytest.mark.parametrize("labels", [[0, 2, 1, 1], np.eye(3)[[0, 2, 1, 1]]], ids=["numbers", "rows"])
def test_gradients_of_a_cross_entropy_are_compared(labels):
    W = Tensor(np.random.default_rng(0).normal(size=(2, 3)), True, "W")
    x = np.random.default_rng(1).normal(size=(4, 2))
    loss = cross_entropy(x @ W, labels)
    (dW,) = grad(loss, [W])
    assert compare({"dW": dW}, loss)
    assert not compare({"dW": 1.01 * dW}, loss)


def test_a_run_in_float32_stays_in_float32_whatever_is_among_the_arguments():
    w, v = (Tensor(np.ones((2, 3)), True, name) for name in "wv")
    new, cotangents = run_again(loss_of_many_ops(w, v, 1), np.float32)
    assert {node.dtype for node in new.values()} == {np.dtype(np.float32)}
    assert {cotangents[new[leaf]].dtype for leaf in (w, v)} == {np.dtype(np.float32)}


def test_a_tie_with_a_number_of_numpy_is_lost_as_in_the_recorded_graph():
    w = Tensor([0.0, 1.0], True, "w")
    loss = np.sum(np.maximum(w, np.float64(0)))
    loss.backward()
    assert compare({"w": w.grad}, loss)


def test_a_cotangent_that_is_scattered_can_be_differentiated_again():
    """The graph of a gradient holds `scatter`, whose index is an argument that stays an integer."""
    w = Tensor(np.arange(4.0), True, "w")
    loss = np.sum(np.square(scatter(w, np.array([0, 1, 1, 2]), np.zeros(3))))
    loss.backward()
    assert compare({"dw": w.grad}, loss)
    assert not compare({"dw": 1.01 * w.grad}, loss, explain=False)


def test_a_weight_used_twice_has_both_of_its_gradients():
    rng = np.random.default_rng(0)
    w, t = Tensor(rng.normal(size=(3, 3)), True, "w"), rng.normal(size=(5, 3))
    loss = mse(relu(rng.normal(size=(5, 3)) @ w) @ w, t)
    loss.backward()
    report = compare({"w": w.grad}, loss)
    assert report
    assert report.notes == []  # by the model
    assert not compare({"w": w.grad * (1 + 1e-12)}, loss)


def test_a_loss_whose_targets_need_a_gradient_is_judged_by_the_model():
    rng = np.random.default_rng(0)
    z, t = (Tensor(rng.normal(size=(5, 3)), True, name) for name in "zt")
    loss = mse(relu(z) + 0.5, t)
    loss.backward()
    report = compare({"z": z.grad, "t": t.grad}, loss)
    assert report
    assert report.notes == []
    assert report.blind_spots == []
    assert not compare({"z": z.grad, "t": -t.grad}, loss)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_other_reductions_are_judged_by_a_run_in_float32(reduction):
    y = Tensor(np.random.default_rng(0).normal(size=(5, 3)), True, "y")
    loss = mse(y, np.ones((5, 3)), reduction)
    loss.backward()
    assert compare({"y": y.grad}, loss)
    assert not compare({"y": 0.99 * y.grad}, loss)


def test_vectors_are_judged():
    w = Tensor(np.random.default_rng(0).normal(size=3), True, "w")
    x = np.random.default_rng(1).normal(size=(5, 3))
    loss = mse(x @ w, np.ones(5))
    loss.backward()
    assert compare({"w": w.grad}, loss)
    assert not compare({"w": 1.01 * w.grad}, loss)
    one = Tensor(2.0, True, "one")
    loss = mse(one + 1.0, np.array(5.0))
    assert compare({"one": -4.0}, loss)
    assert not compare({"one": -4.1}, loss)


# --- blind spots ----------------------------------------------------------------------------------


def test_blind_spots_of_the_data_are_named():
    net = MLP((3, 5, 5, 1), rng=0)
    x, t = batch_of(net.sizes, 1)
    net.B[0].data = np.full(5, 100.0)
    report = compare(manual_of(Hand, net), x, t, probes=False)
    assert report.blind_spots == [
        "batch 1: a factor of the batch size makes no difference",
        "one output: a mean over the outputs is the same as a sum",
        "A[1]: all units are active, a mask changes nothing",
        "one call only: what it leaves behind for the next does not show",
    ]
    x, t = batch_of(net.sizes, 5)
    report = compare(manual_of(Hand, net), x, t, probes=False)
    assert "batch 5 is a width, too: a sum over the wrong axis fits" in report.blind_spots
    assert "BLIND batch 5" in str(report)


def test_a_second_call_covers_what_the_first_could_not_see():
    net = MLP((3, 5, 5, 1), rng=0)
    report = compare(manual_of(Hand, net), *batch_of(net.sizes, 1))
    assert report.blind_spots == ["one output: a mean over the outputs is the same as a sum"]


def test_gradients_of_zero_are_a_blind_spot():
    net = MLP((3, 5, 2), rng=0)
    net.B[0].data = np.full(5, -100.0)
    report = compare(manual_of(Hand, net), *batch_of(net.sizes, 7), probes=False)
    assert {"DW[0] is zero up to rounding", "DB[0] is zero up to rounding"} < set(
        report.blind_spots
    )


# --- probe data -----------------------------------------------------------------------------------


@dtype_ids
@sizes_ids
def test_probe_data_are_in_generic_position(sizes, dtype):
    for seed in range(3):
        net = MLP(sizes, rng=seed, dtype=dtype)
        net.B = [
            Tensor(0.3 * np.random.default_rng(seed).normal(size=b.shape).astype(dtype))
            for b in net.B
        ]
        x, t = probe(net, seed)
        assert x.dtype == t.dtype == dtype
        batch = len(x)
        assert batch >= 5
        assert all(batch % n for n in range(2, batch))
        assert batch not in sizes
        assert (t != np.round(t)).all()
        y = net(x).data
        assert 0.1 < np.abs(y - t).mean() / np.abs(y).mean() < 10
        masks = [a.data > 0 for a in net.A[1:]]
        assert all((mask != mask[0]).any() for mask in masks)
        for i, mask in enumerate(masks):
            assert not any(np.array_equal(mask, other) for other in masks[:i][-1:])
        Z = [a.data @ w.data + b.data for a, w, b in zip(net.A, net.W, net.B)][:-1]
        assert min(np.abs(z).min() / np.abs(z).mean() for z in Z) > 1e-4


def test_probe_is_deterministic_and_takes_a_seed_or_a_generator():
    net = ManualMLP((3, 5, 2), rng=0)
    for a, b in zip(probe(net), probe(net, np.random.default_rng(0))):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(probe(net)[0], probe(net, 1)[0])


def test_probe_enlarges_inputs_that_biases_outweigh():
    net = ManualMLP((3, 5, 2), rng=0)
    net.B[0] += 30.0
    x, _ = probe(net)
    net.forward(x)
    assert (net.A[1] == 0).any()
    assert (net.A[1] > 0).any()


def test_probe_does_what_it_can_where_the_weights_allow_nothing():
    net = ManualMLP((3, 5, 2), rng=0)
    net.W = [0 * w for w in net.W]
    x, t = probe(net)
    assert x.shape == (7, 3)
    assert np.abs(x).max() < 5  # larger inputs were tried, and were of no use
    assert np.isfinite(t).all()
    assert probe(ManualMLP((3, 2), rng=0))[0].shape == (5, 3)  # no relu layer at all
    with pytest.raises(ShapeError, match="probe: int needs lists of arrays W and B"):
        probe(3)


# --- the verdict and the report -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        ([1.0, 2.0], "same"),
        ((1, 2), "same, but int64 instead of floating point"),
        ([True, 2], "same, but int64 instead of floating point"),
        ([1.0, 2.0 + 9e-15], "same"),
        ([1.0, 2.0 + 2e-14], "WRONG"),
        ([1.0, -2.0], "WRONG"),
        (None, "WRONG: missing"),
        ([1.0], "WRONG: shape (1,), not (2,)"),
        (1.0, "WRONG: shape (), not (2,)"),
        ([[1.0, 2.0]], "WRONG: shape (1, 2), not (2,); the values are right"),
        ([[1.0], [2.0]], "WRONG: shape (2, 1), not (2,); the values are right"),
        ([[1.0, 3.0]], "WRONG: shape (1, 2), not (2,)"),
        ([math.nan, 2.0], "WRONG: 1 of 2 entries are nan or infinite"),
        ([math.inf, -math.inf], "WRONG: 2 of 2 entries are nan or infinite"),
        ([1.0, 2j], "WRONG: entries are complex128, not real numbers"),
        ("12", "WRONG: entries are <U2, not real numbers"),
        ([1.0, None], "WRONG: entries are object, not real numbers"),
    ],
    ids=str,
)
def test_verdicts(given, verdict):
    truth = Truth(np.array([1.0, 2.0]), np.array([1e-15, 1e-15]), 0.0)
    row = judge("dw", "", given, truth, 10)
    assert row.verdict == verdict
    assert row.ok is verdict.startswith("same")


@pytest.mark.parametrize("part", ["right", "sigma", "slack"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_cannot_be_judged_is_no_pass(part, value):
    truth = Truth(np.ones(2), np.ones(2), np.zeros(2))._replace(**{part: np.array([1.0, value])})
    assert judge("dw", "", [1.0, value], truth, 10).verdict.startswith("WRONG: cannot be judged")


@pytest.mark.parametrize("sigma", [0, -1, math.nan])
def test_a_limit_that_nothing_can_keep_passes_nothing(sigma):
    assert not compare(RIGHT["einsum"], sizes=(3, 5, 2), sigma=sigma)


def test_the_limit_can_be_set():
    class Off(Hand):
        def finish(self, DW, DB):
            super().finish([dw * (1 + 1e-13) for dw in DW], DB)

    assert not compare(Off, sizes=(3, 5, 2))
    assert compare(Off, sizes=(3, 5, 2), sigma=1e5)
    assert "limit 100000" in str(compare(Off, sizes=(3, 5, 2), sigma=1e5))


def test_a_passing_report_reads_like_this():
    report = Comparison(
        "compare   Net 3-2   batch 5   float64",
        [
            Row("y", "forward", (5, 2), 2.2e-16, 0.31),
            Row("DW[0]", "A[0].T @ delta", (3, 2), 0.0, 0.0),
        ],
        notes=["a second call, on other data and weights: same"],
        blind_spots=["one output"],
    )
    assert str(report) == repr(report)
    assert str(report).splitlines() == [
        "compare   Net 3-2   batch 5   float64",
        "",
        "  gradient                  yours   max |diff|  in sigmas",
        "  y         forward         (5, 2)     2.2e-16        0.3  same",
        "  DW[0]     A[0].T @ delta  (3, 2)     0.0e+00        0.0  same",
        "",
        "PASS  all 2 agree up to rounding (largest 0.3 sigmas, limit 10)",
        "NOTE  a second call, on other data and weights: same",
        "BLIND one output",
    ]


def test_a_failing_report_reads_like_this():
    report = Comparison(
        "compare",
        [
            Row("dW[1]", "", (5, 2), 3.5, 1.2e15, "WRONG"),
            Row("dB[1]", verdict="WRONG: missing"),
            Row("dW[0]", "", (3, 5), 1e7, math.inf, "WRONG"),
            Row("dB[0]", "", (5,), 0.0, 0.0),
        ],
    )
    assert str(report).splitlines() == [
        "compare",
        "",
        "  gradient  yours   max |diff|   in sigmas",
        "  dW[1]     (5, 2)     3.5e+00       1e+15  WRONG",
        "  dB[1]                                     WRONG: missing",
        "  dW[0]     (3, 5)       1e+07  0 expected  WRONG",
        "  dB[0]     (5,)       0.0e+00         0.0  same",
        "",
        "FAIL  3 of 4 differ",
        "WHERE dW[1] is the first that differs, walking backward",
    ]
    assert (report.ok, report.wrong, report.where) == (False, ["dW[1]", "dB[1]", "dW[0]"], "dW[1]")


def test_a_report_is_html_that_is_escaped_and_marks_what_is_wrong():
    report = Comparison("<script>&", [Row("d<w>", verdict="WRONG"), Row("db")])
    html = report._repr_html_()
    assert html.startswith("<pre>&lt;script&gt;&amp;")
    assert "d<w>" not in html
    assert html.count("<b ") == html.count("</b>") == 2


def test_a_report_is_plain_data_for_json():
    reports = [compare(Hand), *(compare(code, explain=False) for code in WRONG.values())]
    reports += map(compare, [*WRONG.values()][:6])
    reports.append(Comparison("c", [Row("a", max_diff=math.nan, sigmas=math.inf, verdict="WRONG")]))
    for report in reports:
        data = report.to_dict()
        assert json.loads(json.dumps(data, allow_nan=False)) == data
        assert data["version"] == 2
        assert data["ok"] is report.ok
        assert [row["name"] for row in data["rows"] if not row["ok"]] == data["wrong"]
    assert list(data) == [
        *(
            "version",
            "ok",
            "title",
            "sigma",
            "wrong",
            "where",
            "causes",
            "facts",
            "tried",
            "notes",
            "blind_spots",
            "rows",
            "marks",
        )
    ]
    assert list(data["rows"][0]) == [
        *("name", "formula", "shape", "max_diff", "sigmas", "verdict", "ok")
    ]
    assert data["rows"][0]["max_diff"] is data["rows"][0]["sigmas"] is None


def test_each_gradient_has_a_mark_by_its_name_in_the_derivation():
    report = compare(WRONG["mean for the bias"])
    assert set(report.marks) == set(derive(report.loss).results.values())
    for name, mark in report.marks.items():
        right = name.replace("d", "D", 1) not in report.wrong
        assert (mark.status == "same") is right
        assert mark.yours.shape == mark.truth.shape


def test_a_parameter_overwritten_since_the_loss_is_an_error_and_no_fail():
    net = MLP((3, 2), rng=0)
    x, t = np.ones((5, 3)), np.zeros((5, 2))
    y = net(x)
    loss = mse(y, t)
    delta = 2 * (y.data - t) / 5
    net.B[0].data -= 0.5
    with pytest.raises(GradientError, match=r"B\[0\] \(2,\) was overwritten"):
        compare({"dW[0]": x.T @ delta, "dB[0]": delta.sum(0)}, loss)


# --- what comes back, in which form ---------------------------------------------------------------


def returning(form):
    """A function that returns the right gradients in another form."""

    def passed(W, B, x, t):
        hand = Hand()
        hand.W, hand.B = W, B
        hand.backward(hand.forward(x), t)
        return form(hand.DW, hand.DB)

    return passed


FORMS = {
    "a dict": (
        lambda DW, DB: {"W": DW, "B": DB},
        r"returned a dict with the keys 'W', 'B', not \(DW, DB\)",
    ),
    "pairs": (lambda DW, DB: list(zip(DW, DB)), r"returned a list of pairs, \(dW, db\) of a layer"),
    "five things": (
        lambda DW, DB: [*DW, *DB, 1],
        r"returned 5 things: array \(3, 4\), array \(4, 2\), array \(4,\), array \(2,\), …",
    ),
    "an array": (lambda DW, DB: DW[0], r"returned array \(3, 4\), not"),
    "a number": (lambda DW, DB: 1, "returned an object of type int, not"),
    "exchanged": (lambda DW, DB: (DB, DW), "DW and DB are exchanged"),
    "a dict of each": (
        lambda DW, DB: (dict(enumerate(DW)), DB),
        "DW is a dict with the keys 0, 1, not a list with one array a layer",
    ),
    "complex": (lambda DW, DB: ([g + 0j for g in DW], DB), r"DW\[0\], DW\[1\]: .*complex128"),
    "columns": (
        lambda DW, DB: (DW, [g[:, None] for g in DB]),
        r"dB\[0\], dB\[1\]: the values are right, but in a column, \(4, 1\) instead of \(4,\)",
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_gradients_in_another_form_are_told(name):
    form, text = FORMS[name]
    report = compare(returning(form), sizes=(3, 4, 2))
    assert not report
    (cause,) = report.causes
    assert re.search(text, cause.text)
    assert "unknown" not in str(report)


def test_any_sequence_of_gradients_will_do_and_what_can_be_gone_through_once():
    for form in (deque, tuple, iter, lambda a: map(np.copy, a), lambda a: (g for g in a)):
        assert compare(returning(lambda DW, DB, form=form: (form(DW), form(DB))), sizes=(3, 4, 2))
        cls = type("Variant", (Hand,), {"finish": lambda s, *g, form=form: put(s, *map(form, g))})
        assert compare(cls)


def put(self, DW, DB):
    self.DW, self.DB = DW, DB


def test_two_gradients_that_are_exchanged_are_told():
    def exchanged(DW, DB):
        return [DW[1], DW[0], DW[2]], DB

    for sizes in ((3, 5, 4, 2), (4, 4, 4, 4)):  # shapes tell, or numbers
        (cause,) = compare(returning(exchanged), sizes=sizes).causes
        assert cause.text == "DW[0] and DW[1] are exchanged"

    def scaled(DW, DB):
        return [7 * g for g in exchanged(DW, DB)[0]], DB

    causes = compare(returning(scaled), sizes=(3, 5, 4, 2)).causes
    assert causes[0].text == "DW[0] and DW[1] are exchanged"


def test_a_bias_that_takes_the_delta_of_the_layer_below_is_no_rotated_list():
    def below(self, y, t):
        delta, DW, DB = self.first(y, t), [], []
        for i in reversed(range(len(self.W))):
            DW.append(self.dw(i, delta))
            delta = self.carry(i, delta) if i else delta
            DB.append(self.db(i, delta))
        self.finish(DW[::-1], DB[::-1])

    for sizes in ((3, 5, 4, 2), (4, 4, 4, 4)):
        report = compare(type("Variant", (Hand,), {"backward": below}), sizes=sizes)
        assert report.wrong
        assert "rotated" not in str(report)


def test_a_property_that_raises_is_in_the_report():
    class Lazy(Hand):
        def finish(self, DW, DB):
            self.gradients = DW

        @property
        def DW(self):
            return [self.gradients[i + 1] for i in range(len(self.W))]

        @DW.setter
        def DW(self, value):
            pass

    report = compare(Lazy)
    assert not report
    assert "DW raised IndexError" in report.causes[0].text


def test_biases_may_be_columns_where_the_outputs_are_in_rows():
    class Columns:
        def __init__(self, sizes=(4, 5, 2)):
            net = MLP(sizes, rng=0)
            self.W = [w.data.T for w in net.W]
            self.B = [np.zeros((n, 1)) for n in sizes[1:]]

        def forward(self, x):
            self.x = x.T
            self.h = np.maximum(self.W[0] @ self.x + self.B[0], 0)
            return (self.W[1] @ self.h + self.B[1]).T

        def backward(self, y, t):
            d2 = 2 / len(y) * (y - t).T
            d1 = self.W[1].T @ d2 * (self.h > 0)
            self.DW = [d1 @ self.x.T, d2 @ self.h.T]
            self.DB = [d1.sum(axis=1, keepdims=True), self.last(d2)]

        def last(self, d):
            return d.sum(axis=1, keepdims=True)

    class Mean(Columns):
        def last(self, d):
            return d.mean(axis=1, keepdims=True)

    assert compare(Columns, layout="out,in")
    assert compare(Mean, layout="out,in").wrong == ["DB[1]"]


def test_what_holds_for_one_batch_size_only_is_found_by_another_call():
    class Fixed(Hand):
        n = 0

        def first(self, y, t):
            self.n = self.n or len(y)
            return 2 * (y - t) / self.n

    report = compare(Fixed)
    assert "calls with batch 7 agree; this is one with another batch size" in report.notes[0]


def test_a_mask_with_a_threshold_near_zero_is_found_by_another_call():
    report = compare(type("V", (Hand,), {"carry": lambda s, i, d: d @ s.W[i].T * (s.A[i] > 0.1)}))
    assert "another threshold" in report.causes[0].text


def test_gradients_added_in_place_to_those_of_an_earlier_call_are_told():
    class Adds(Hand):
        def finish(self, DW, DB):
            self.DW = self.DW or [np.zeros_like(g) for g in DW]
            self.DB = self.DB or [np.zeros_like(g) for g in DB]
            for sums, new in zip((*self.DW, *self.DB), (*DW, *DB)):
                sums += new

    assert "accumulated" in compare(Adds).causes[0].text


def test_a_coarser_type_of_some_gradients_is_noted():
    def half(DW, DB):
        return DW, [g.astype("f2") for g in DB]

    report = compare(returning(half), sizes=(3, 4, 2))
    assert report
    assert report.notes[0] == (
        "DB[1], DB[0]: float16, where the weights are float64; so all are compared at the "
        "precision of float16"
    )
    every = compare(returning(lambda *g: [[a.astype("f4") for a in b] for b in g]), sizes=(3,) * 4)
    assert every.notes[0].startswith("DW[2], DB[2], DW[1] …: float32")


@pytest.mark.parametrize("factor", [0, 1.0001])
def test_one_entry_that_is_off_is_no_matter_of_precision(factor):
    def off(DW, DB):
        DW[0][1, 2] *= factor
        return DW, DB

    report = compare(returning(off), sizes=(3, 4, 4, 4, 2))
    assert report.wrong == ["DW[0]"]
    assert "precision" not in str(report)


def test_what_shows_on_some_data_only_is_no_matter_of_precision():
    """An activation that is cut off on the way: no unit is near 0 in the data of the probes."""

    def dw(self, i, delta):
        return (self.A[i] * (abs(self.A[i]) > 1e-3)).T @ delta

    report = compare(type("Variant", (Hand,), {"dw": dw}), *near_zero())
    assert report.wrong
    assert "precision" not in str(report)


def near_zero():
    """Data where some inputs are tiny."""
    x, t = probe(MLP((3, 5, 4, 2), rng=5))
    x[:, 0] = 1e-4
    return x, t


def test_a_gradient_that_is_never_set_is_no_integer_array():
    report = compare(returning(lambda DW, DB: ([0, *DW[1:]], DB)), sizes=(3, 4, 2))
    assert report.causes[0].text.startswith("dW[0]: the number 0, where an array is due")
    sums = compare(returning(lambda DW, DB: ([DW[0].sum() ** 3, *DW[1:]], DB)), sizes=(3, 4, 2))
    assert "never set" not in str(sums)


def test_an_object_that_takes_no_other_weights_is_noted():
    class Keeps(Hand):
        def __setattr__(self, name, value):
            if name != "W" or not hasattr(self, "W"):
                super().__setattr__(name, value)

    report = compare(Keeps)
    assert not report
    assert "it does not take other weights: W is not what was set" in report.notes


def test_a_mistake_at_some_layers_is_not_told_of_every_layer():
    def carry(self, i, delta):
        return delta @ self.W[i].T * (self.A[i] > 0 if i % 2 else 1)

    report = compare(type("Variant", (Hand,), {"carry": carry}), sizes=(3,) + (4,) * 5 + (2,))
    (cause,) = report.causes
    assert cause.text.endswith("in dZ[4] (also in dZ[2])")


def test_gradients_of_a_shape_that_nothing_explains_stay_unknown():
    report = compare(returning(lambda DW, DB: (DW, [np.outer(g, g) for g in DB])), sizes=(3, 4, 2))
    assert report.wrong == ["DB[1]", "DB[0]"]
    assert "WHY   unknown" in str(report)


def test_a_generator_that_raises_is_told_with_its_own_line():
    def lazy(DW, DB):
        return (DW[i + 1] for i in range(len(DW))), DB

    report = compare(returning(lazy), sizes=(3, 4, 2))
    assert "passed raised IndexError" in report.causes[0].text
    assert report.causes[0].source == "return (DW[i + 1] for i in range(len(DW))), DB"


def test_weights_that_can_be_set_and_not_read_are_an_error_that_says_so():
    class Once(Hand):
        def __getattribute__(self, name):
            if name == "W" and "locked" in object.__getattribute__(self, "__dict__"):
                raise RuntimeError("no")
            return object.__getattribute__(self, name)

        def __setattr__(self, name, value):
            super().__setattr__(name, value)
            if name == "W" and hasattr(self, "DB"):
                super().__setattr__("locked", True)

    with pytest.raises(ShapeError, match=r"Once needs lists of arrays W and B \(RuntimeError: no"):
        compare(Once, sizes=(3, 5, 2))
