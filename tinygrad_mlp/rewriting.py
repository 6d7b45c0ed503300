"""Expressions that a person may write in the place of another: functions, slopes, parts of a batch.

Each is a `Rewrite`: a key, the expression, how near at hand it is, and what is wrong in words.
"""

import operator
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from .simulating import apply, shown
from .values import Length, Number, Value

__all__ = [
    *("CLASSIC", "LIKELY", "ODD", "Rewrite", "columns", "functions", "keeping", "logistic"),
    *("averaged", "minus", "overwritten", "part", "positive", "rows", "samples", "slopes"),
    *("some_rows", "times"),
]

CLASSIC, LIKELY, ODD = 1.0, 2.0, 3.0
"""How near at hand a change is; of several that give the same numbers the first one is named."""


class Rewrite(NamedTuple):
    """Another expression for one place in a line."""

    key: tuple[Any, ...]
    new: Any
    rank: float
    text: str
    make: Callable[[Any], Any] | None = None
    """The expression for a coefficient that is still to be found."""


# --- building blocks ------------------------------------------------------------------------------


def positive(v: Any) -> Value:
    """v > 0."""
    return apply(np.greater, v, Number(0))


def minus(a: Any, b: Any) -> Value:
    """a - b."""
    return apply(np.subtract, Number(a) if isinstance(a, float) else a, b)


def times(a: Any, b: Any) -> Value:
    """a * b."""
    return apply(np.multiply, a, b)


def part(v: Value, *index: Any) -> Value:
    """v[index]."""
    return apply(operator.getitem, v, *index)


def keeping(op: Any, v: Value, axis: int) -> Value:
    """A reduction of `v` that keeps the axis."""
    reduced = apply(op, v, Number(axis))
    reduced.kwargs = {"keepdims": True}
    return reduced


def logistic(v: Value) -> Value:
    """1 / (1 + exp(-v))."""
    e = apply(np.exp, apply(np.negative, v))
    return apply(np.divide, Number(1.0), apply(np.add, Number(1.0), e))


def some_rows(v: Any, index: slice) -> Any:
    """`v` with zeros in all rows but these."""
    out = np.zeros_like(v)
    out[index] = v[index]
    return out


def some_columns(v: Any, index: slice) -> Any:
    """`v` with zeros in all columns but these."""
    out = np.zeros_like(v)
    out[:, index] = v[:, index]
    return out


def overwritten(g: Any, like: Any, *index: Any) -> Any:
    """What is indexed twice keeps the last."""
    out = np.zeros_like(like)
    out[index] = g
    return out


def averaged(g: Any, like: Any, *index: Any) -> Any:
    """What is indexed twice gets a mean."""
    out, count = np.zeros_like(like), np.zeros_like(like)
    np.add.at(out, index, g)
    np.add.at(count, index, 1.0)
    return out / np.maximum(count, 1)


ALL, BACK = slice(None, None, None), slice(None, None, Number(-1))
FIRST, LAST = slice(None, Number(1), None), slice(Number(-1), None, None)
NOT_FIRST, NOT_LAST = slice(Number(1), None, None), slice(None, Number(-1), None)

# --- families -------------------------------------------------------------------------------------


def samples(v: Value) -> Iterator[tuple[slice, float, str]]:
    """Parts of the batch that `v` is made of: index, rank, text."""
    half = ("//", Length(v, 0), Number(2))
    yield FIRST, CLASSIC, "only the first sample counts"
    yield LAST, CLASSIC, "only the last sample counts"
    yield NOT_FIRST, LIKELY, "the first sample is left out"
    yield NOT_LAST, LIKELY, "the last sample is left out"
    yield slice(None, None, Number(2)), LIKELY, "every second sample is left out"
    yield slice(None, half, None), LIKELY, "only the first half of the batch counts"
    yield slice(half, None, None), LIKELY, "only the second half of the batch counts"


def columns(v: Value) -> Iterator[Rewrite]:
    """Columns of `v` that are left out, or in another order."""
    s = shown(v)
    for index, which in (
        (FIRST, "only the first column (output) of {} counts"),
        (LAST, "only the last column (output) of {} counts"),
        (NOT_FIRST, "the first column (output) of {} is left out"),
        (NOT_LAST, "the last column (output) of {} is left out"),
    ):
        new = apply(some_columns, v, index)
        yield Rewrite(("column", which), new, ODD, which.format(s))
    yield Rewrite(("columns",), part(v, ALL, BACK), ODD, f"the columns of {s} are in reverse order")
    for k in (1, -1):
        rolled = apply(np.roll, v, Number(k), Number(1))
        text = f"the columns of {s} are shifted by one (rolled by {k})"
        yield Rewrite(("columns", k), rolled, ODD, text)


def rows(v: Value) -> Iterator[Rewrite]:
    """What may happen to the rows of `v`, one for each sample."""
    s = shown(v)
    yield Rewrite(("rows", "back"), part(v, BACK), LIKELY, f"the rows of {s} are in reverse order")
    for k in (1, -1):
        rolled = apply(np.roll, v, Number(k), Number(0))
        text = f"the rows of {s} belong to other samples (shifted, rolled by {k})"
        yield Rewrite(("rows", k), rolled, LIKELY, text)
    for which, index in (("first", FIRST), ("last", LAST)):
        mask = "mask " if v.dtype.kind == "b" else ""
        text = f"the first row of the {mask}{s}, of the first sample, is used for all samples"
        text = text.replace("first", which)
        yield Rewrite(("rows", which), part(v, index), LIKELY, text)
    if v.dtype.kind == "b":
        for op, which in ((np.any, "any"), (np.all, "every")):
            new = keeping(op, v, 0)
            text = f"where {s} holds for {which} sample of the batch, it counts for all"
            yield Rewrite(("rows", which), new, LIKELY, text)
        return
    mean = keeping(np.mean, v, 0)
    yield Rewrite(("rows", "mean"), mean, LIKELY, f"{s} is averaged over the batch (a mean)")
    text = f"the mean over the batch is subtracted from {s}"
    yield Rewrite(("rows", "centred"), minus(v, mean), ODD, text)
    total = keeping(np.sum, v, 0)
    yield Rewrite(("rows", "sum"), total, ODD, f"{s} is summed over the batch (axis 0)")
    running = apply(np.cumsum, v, Number(0))
    yield Rewrite(("rows", "cumsum"), running, ODD, f"{s} is a running sum over the rows (cumsum)")


def slopes(v: Value) -> Iterator[tuple[str, Value, str]]:
    """What a derivative may look like: label, expression, text."""
    yield "", v, "the value itself"
    yield ">", positive(v), "the slope of relu, a mask"
    yield "1-²", minus(1.0, times(v, v)), "the slope of tanh, for this as its value"
    yield "(1-)", times(v, minus(1.0, v)), "the slope of sigmoid, for this as its value"
    yield "²", times(v, v), "the square"
    th, sigmoid = apply(np.tanh, v), logistic(v)
    yield "1-tanh²", minus(1.0, times(th, th)), "the slope of tanh, here"
    yield "sigmoid'", times(sigmoid, minus(1.0, sigmoid)), "the slope of sigmoid, here"
    yield "sign", apply(np.sign, v), "the sign, -1 where this is negative"


def functions(v: Value) -> Iterator[Rewrite]:
    """Functions of every entry of `v`, or of the whole."""
    s = shown(v)
    zero, one = Number(0), Number(1.0)
    th, sigmoid = apply(np.tanh, v), logistic(v)
    most = apply(np.max, apply(np.abs, v))
    for label, new, rank, text in (
        ("relu", apply(np.maximum, v, zero), LIKELY, f"{s} goes through relu"),
        ("abs", apply(np.abs, v), LIKELY + 0.2, f"{s} loses its sign (abs)"),
        ("sign", apply(np.sign, v), LIKELY, f"only the sign of {s} is used"),
        ("square", times(v, v), LIKELY, f"{s} is squared"),
        (">", positive(v), LIKELY, f"a mask, {s} > 0, in the place of {s} itself"),
        ("1-", minus(1.0, v), ODD, f"{shown(minus(1.0, v))} in the place of {s}"),
        ("1-²", minus(1.0, times(v, v)), LIKELY, f"1 - the square of {s} in the place of {s}"),
        ("(1-)", times(v, minus(1.0, v)), LIKELY,
         f"{shown(times(v, minus(1.0, v)))} in the place of {s}"),
        ("tanh", th, LIKELY, f"tanh is applied to {s}"),
        ("sigmoid", sigmoid, LIKELY, f"the sigmoid is applied to {s}"),
        ("exp", apply(np.exp, v), ODD, f"exp is applied to {s}"),
        ("sqrt", apply(np.sqrt, v), ODD, f"the square root is taken of {s}"),
        ("trunc", apply(np.trunc, v), ODD, f"{s} is truncated to integers"),
        *(
            (f"round {k}", apply(np.round, v, Number(k)), ODD, f"{s} is rounded to {k} decimals")
            for k in range(3)
        ),
        ("clip1", apply(np.clip, v, zero, one), ODD, f"{s} is clipped to [0, 1]"),
        *(
            (f"clip {k}", apply(np.clip, v, Number(-k), Number(k)), LIKELY if k == 1 else ODD,
             f"{s} is clipped to [-{k:g}, {k:g}]")
            for k in (1.0, 5.0, 0.5, 0.2, 0.1)
        ),
        ("norm", apply(np.divide, v, apply(np.linalg.norm, v)), LIKELY,
         f"{s} is divided by its norm (normalised)"),
        ("most", apply(np.divide, v, most), ODD, f"{s} is divided by its largest entry"),
        ("ones", apply(np.ones_like, v), ODD, f"1 in the place of {s}: {s} is missing"),
    ):  # fmt: skip
        yield Rewrite(("f", label), new, rank, text)
    if len(v.shape) == 2:
        e = apply(np.exp, v)
        softmax = apply(np.divide, e, keeping(np.sum, e, 1))
        yield Rewrite(("f", "softmax"), softmax, LIKELY, f"softmax is applied to {s}")
        mean = keeping(np.mean, v, 1)
        yield Rewrite(("f", "mean1"), mean, ODD, f"{s} is averaged over its columns (a mean)")
        total = keeping(np.sum, v, 1)
        yield Rewrite(("f", "sum1"), total, ODD, f"{s} is summed over its columns (axis 1)")
        if v.shape[0] == v.shape[1] and v.op is not np.transpose:
            yield Rewrite(("f", "T"), apply(np.transpose, v), CLASSIC, f"{s} is transposed")
        yield from columns(v)
