"""NumPy's functions that run along an axis: reductions, running totals, differences, statistics.

Two of them have a rule of their own, products and running totals; the others are written with these
and with those of `ops`. Parameters are named as NumPy's; what is not among them is refused by name.
"""

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from .elementary import nonzero
from .errors import MissingVJPError, ShapeError
from .formatting import describe
from .ops import along, astype, stretched
from .primitives import FORWARDS, HINTS, applied, defvjp, primitive
from .shaping import alone, arrayed, in_front, kept, part

__all__: list[str] = []

# --- running totals, products ---------------------------------------------------------------------


def totals_after(g: Any, _y: Any, _a: Any, axis: int | None = None) -> Any:
    """Each entry went into its own total and into all after it."""
    axis = -1 if axis is None else axis
    return np.reshape(np.flip(np.cumsum(np.flip(g, axis), axis), axis), _a.shape)


def before(a: Any, axis: int) -> Any:
    """The product of all entries before each, 1 before the first."""
    first = np.ones_like(part(a, axis, slice(0, 1)))
    return np.cumprod(np.concatenate([first, part(a, axis, slice(0, -1))], axis), axis)


def products_after(g: Any, _y: Any, a: Any, axis: int | None = None) -> Any:
    """g[i] + a[i + 1] (g[i + 1] + a[i + 2] (...)) times the product before: right at zeros too.

    The nested sums are doubled in length until they reach the end: G. E. Blelloch, Prefix sums and
    their applications (1990), section 4.1.
    """
    x, axis = (
        (np.reshape(a, -1), 0)
        if axis is None or not a.ndim
        else (a, normalize_axis_index(axis, a.ndim))
    )
    n, k, total = x.shape[axis], 1, g
    link = part(x, axis, slice(1, None))
    while k < n:
        head, tail = along(axis, slice(0, n - k)), along(axis, slice(k, None))
        total = np.concatenate(
            [total[head] + link * total[tail], part(total, axis, slice(n - k, None))], axis
        )
        link = link[along(axis, slice(0, max(n - 2 * k, 0)))] * link[tail]
        k *= 2
    return np.reshape(total * before(x, axis), a.shape)


def others(a: Any, axes: tuple[int, ...]) -> Any:
    """Of each entry the product of all others over `axes`: right at zeros too."""
    if not axes:
        return np.ones_like(a)
    axis = axes[0]
    mine = before(a, axis) * np.flip(before(np.flip(a, axis), axis), axis)
    return mine * others(np.prod(a, axis=axis, keepdims=True), axes[1:])


def product_rule(g: Any, _y: Any, a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    """The product of the others."""
    every = axis is None or not a.ndim
    axes = tuple(range(a.ndim)) if every else normalize_axis_tuple(axis, a.ndim)
    return stretched(g, a, axis, keepdims) * others(a, axes)


defvjp(np.cumsum, totals_after)
defvjp(np.cumprod, products_after)
defvjp(np.prod, product_rule)


# --- moments --------------------------------------------------------------------------------------


def average(a: Any, axis: Any = None, weights: Any = None, *, keepdims: bool = False) -> Any:
    """The mean, or Σ w a / Σ w; weights of one axis stand along it."""
    if weights is None:
        return np.mean(a, axis=axis, keepdims=keepdims)
    w = arrayed(weights)
    if w.shape != a.shape:
        if axis is None or w.shape != (a.shape[axis],):
            raise ShapeError(f"average: weights {w.shape} for {a.shape} and axis={axis}.")
        w = np.reshape(w, alone(normalize_axis_index(axis, a.ndim), a.ndim))
    w = np.broadcast_to(w, a.shape)
    return np.sum(w * a, axis, keepdims=keepdims) / np.sum(w, axis, keepdims=keepdims)


def var(
    a: Any, axis: Any = None, *, ddof: Any = 0, keepdims: bool = False, correction: Any = None
) -> Any:
    """The mean square of the deviations, or their sum over n - ddof."""
    ddof = ddof if correction is None else correction
    squares = np.square(a - np.mean(a, axis=axis, keepdims=True))
    if not ddof:
        return np.mean(squares, axis=axis, keepdims=keepdims)
    total = np.sum(squares, axis, keepdims=keepdims)
    return total / max(a.size // max(total.size, 1) - ddof, 0)


def cov(m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: Any = None) -> Any:
    """X Xᵀ / (n - 1), for X without its mean, a variable in each row."""
    x = m if rowvar or m.ndim == 1 else m.T
    x = np.atleast_2d(x)
    if y is not None:
        x = np.concatenate([x, np.atleast_2d(y if rowvar or np.ndim(y) == 1 else y.T)])
    x = x - np.mean(x, axis=1, keepdims=True)
    c = x @ x.T / (x.shape[1] - ((not bias) if ddof is None else ddof))
    return np.reshape(c, ()) if x.shape[0] == 1 else c


def corrcoef(x: Any, y: Any = None, rowvar: bool = True) -> Any:
    """`cov` over the products of the standard deviations."""
    c = cov(x, y, rowvar)
    if not c.ndim:
        return c / c
    d = np.sqrt(np.diagonal(c))
    return c / d[:, None] / d


# --- order ----------------------------------------------------------------------------------------


def finished(y: Any, rows: Any, a: Any, axis: Any, keepdims: bool) -> Any:
    """`y`, made from sorted `rows`: nan where one of them is, with the axes kept if asked for."""
    y = np.where(rows[-1] == rows[-1], y, rows[-1])
    return kept(y, a, axis) if keepdims else y


def in_order(a: Any, axis: Any) -> Any:
    """`a` sorted along `axis`, which comes in front."""
    rows = np.sort(in_front(a, axis), axis=0)
    if not rows.shape[0]:
        raise ShapeError(f"median, quantile: {describe(a, 'a')} is empty along axis {axis}.")
    return rows


def median(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    """The entry in the middle, or the mean of both that are."""
    rows = in_order(a, axis)
    n = int(rows.shape[0])
    middle = rows[n // 2] if n % 2 else (rows[n // 2 - 1] + rows[n // 2]) / 2
    return finished(middle, rows, a, axis, keepdims)


def quantile(a: Any, q: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    """Between the entries on both sides of the place q (n - 1), in proportion; q are numbers."""
    rows = in_order(a, axis)
    last = int(rows.shape[0]) - 1

    def at(q: float) -> Any:
        if not 0 <= q <= 1:
            raise ShapeError(f"quantile: {q} is not from 0 to 1 (percentile: 0 to 100).")
        i = int(q * last)
        low, high, part = rows[i], rows[min(i + 1, last)], q * last - i
        if part < 0.5:  # from the nearer one, as NumPy does
            return low + (high - low) * part
        return high - (high - low) * (1 - part)

    y = np.stack([at(p) for p in np.ravel(q).tolist()]) if np.ndim(q) else at(float(q))
    if np.ndim(q) > 1:
        y = np.reshape(y, (*np.shape(q), *rows.shape[1:]))
    return finished(y, rows, a, axis, keepdims)


# --- without nan ----------------------------------------------------------------------------------


def filled(fun: Any, number: float) -> Any:
    """`fun` with `number` in the place of each nan."""
    return lambda a, axis=None, **how: fun(np.where(a == a, a, number), axis, **how)


def extreme(fun: Any, number: float) -> Any:
    """The same for an extremum, which of nan alone is nan."""

    def of(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
        some = np.max(a == a, axis=axis, keepdims=keepdims)
        return np.where(some, filled(fun, number)(a, axis, keepdims=keepdims), np.nan)

    return of


def count(a: Any, axis: Any, keepdims: bool) -> Any:
    """How many are not nan."""
    return np.sum(astype(a == a, a.dtype), axis, keepdims=keepdims)


def nanmean(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    """The mean of what is not nan."""
    return np.nansum(a, axis, keepdims=keepdims) / count(a, axis, keepdims)


def nanvar(a: Any, axis: Any = None, *, ddof: Any = 0, keepdims: bool = False) -> Any:
    """The variance of what is not nan."""
    squares = np.square(np.where(a == a, a - nanmean(a, axis, keepdims=True), 0))
    n = count(a, axis, keepdims) - ddof
    return np.sum(squares, axis, keepdims=keepdims) / np.where(n > 0, n, np.nan)


# --- neighbours -----------------------------------------------------------------------------------


def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """Each entry less the one before, n times."""
    if n < 1:
        if n < 0:
            raise ShapeError(f"diff: n={n}: how often, 0 or more.")
        return a
    axis = normalize_axis_index(axis, a.ndim)
    one = (*a.shape[:axis], 1, *a.shape[axis + 1 :])
    ends = [None if e is None else arrayed(e, a.dtype) for e in (prepend, append)]
    ends = [e if e is None or e.ndim else np.broadcast_to(e, one) for e in ends]
    if prepend is not None or append is not None:
        a = np.concatenate([e for e in (ends[0], a, ends[1]) if e is not None], axis)
    minus = np.not_equal if a.dtype == bool else np.subtract  # as NumPy has it
    for _ in range(n):
        a = minus(part(a, axis, slice(1, None)), part(a, axis, slice(0, -1)))
    return a


def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    """The differences of the flattened array, between these ends."""
    ends = [
        None if e is None else np.reshape(arrayed(e, ary.dtype), -1) for e in (to_begin, to_end)
    ]
    d = diff(np.reshape(ary, -1))
    return np.concatenate([e for e in (ends[0], d, ends[1]) if e is not None])


def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """Central differences, on the edges one-sided; a distance for all axes or for each."""
    axes = list(range(f.ndim)) if axis is None else normalize_axis_tuple(axis, f.ndim)
    steps = [*varargs] * (len(axes) if len(varargs) == 1 else 1) or [1.0] * len(axes)
    if len(steps) != len(axes) or any(np.ndim(h) for h in steps) or edge_order != 1:
        raise MissingVJPError(
            "np.gradient with Tensors takes one distance, or one for each axis, and edge_order=1; "
            "with coordinates np.diff(f) / np.diff(x) has a gradient."
        )

    def along_one(axis: int, h: Any) -> Any:
        d = diff(f, axis=axis)
        inner = part(f, axis, slice(2, None)) - part(f, axis, slice(0, -2))
        ends = part(d, axis, slice(0, 1)) / h, part(d, axis, slice(-1, None)) / h
        return np.concatenate([ends[0], inner / (2 * h), ends[1]], axis)

    found = tuple(along_one(i, h) for i, h in zip(axes, steps, strict=True))
    return found[0] if len(found) == 1 else found


def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """Σ (x[i + 1] - x[i]) (y[i + 1] + y[i]) / 2."""
    y = arrayed(y)
    axis = normalize_axis_index(axis, y.ndim)
    if x is not None:
        x = arrayed(x)
        dx = diff(x, axis=axis if x.ndim > 1 else 0)
        if x.ndim == 1:
            dx = np.reshape(dx, alone(axis, y.ndim))
    means = (part(y, axis, slice(1, None)) + part(y, axis, slice(0, -1))) / 2
    return np.sum(dx * means, axis)


def unwrap(p: Any, discont: Any = None, axis: int = -1, *, period: Any = 2 * np.pi) -> Any:
    """Jumps of more than half a period taken out; the derivative is that of `p`."""
    d = diff(p, axis=axis)
    half, step = period / 2, np.remainder(d + period / 2, period)
    step = np.where((step == 0) & (d > 0), half, step - half)
    jump = np.where(np.absolute(d) < (half if discont is None else max(discont, half)), 0, step - d)
    first = part(p, axis, slice(0, 1))
    return np.concatenate([first, part(p, axis, slice(1, None)) + np.cumsum(jump, axis)], axis)


# --- on a line ------------------------------------------------------------------------------------

defvjp(  # in full, each entry of one with each of the other
    np.convolve,
    lambda g, _y, _a, v: np.correlate(g, v, "valid"),
    lambda g, _y, a, _v: np.correlate(g, a, "valid"),
)


def convolve(a: Any, v: Any, mode: str = "full") -> Any:
    """The full convolution, or its middle."""
    a, v = (np.reshape(x, -1) if x.ndim == 0 else x for x in (arrayed(a), arrayed(v)))
    y = applied(np.convolve, a, v)
    short, long = sorted((a.shape[0], v.shape[0]))
    ends = {"full": None, "same": ((short - 1) // 2, long), "valid": (short - 1, long - short + 1)}
    if mode not in ends:
        raise ShapeError(f"convolve: mode={mode!r}: use one of full, same, valid.")
    start, n = ends[mode] or (0, None)
    return y if n is None else y[start : start + n]


def correlate(a: Any, v: Any, mode: str = "valid") -> Any:
    """A convolution with `v` reversed; NumPy takes the middle as seen from the longer one."""
    a, v = (np.atleast_1d(arrayed(x)) for x in (a, v))
    if a.shape[0] < v.shape[0]:
        return np.flip(convolve(v, np.flip(a), mode))
    return convolve(a, np.flip(v), mode)


@primitive
def interval(x: Any, xp: Any) -> Any:
    """The number of the interval between neighbours of `xp` that `x` lies in."""
    return np.clip(np.searchsorted(xp, x, side="right") - 1, 0, len(xp) - 2)


defvjp(interval)


def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None) -> Any:
    """On the line between the neighbours (xp, fp) of x; beyond all, the last value."""
    dtype = next(a.dtype for a in (x, xp, fp) if hasattr(a, "_record"))
    x, xp, fp = (arrayed(a, dtype) for a in (x, xp, fp))
    i = interval(x, xp)
    x0, y0 = xp[i], fp[i]
    y = y0 + (x - x0) * ((fp[i + 1] - y0) / nonzero(xp[i + 1] - x0))
    y = np.where(x < xp[0], fp[0] if left is None else left, y)
    return np.where(x > xp[-1], fp[-1] if right is None else right, y)


FORWARDS |= {
    np.average: average,
    np.var: var,
    np.std: lambda a, axis=None, **how: np.sqrt(var(a, axis, **how)),
    np.ptp: lambda a, axis=None, *, keepdims=False: (
        np.max(a, axis=axis, keepdims=keepdims) - np.min(a, axis=axis, keepdims=keepdims)
    ),
    np.cov: cov,
    np.corrcoef: corrcoef,
    np.median: median,
    np.quantile: quantile,
    np.percentile: lambda a, q, axis=None, **how: quantile(a, np.true_divide(q, 100), axis, **how),
    np.nansum: filled(np.sum, 0),
    np.nanprod: filled(np.prod, 1),
    np.nancumsum: filled(np.cumsum, 0),
    np.nancumprod: filled(np.cumprod, 1),
    np.nanmax: extreme(np.max, -np.inf),
    np.nanmin: extreme(np.min, np.inf),
    np.nanmean: nanmean,
    np.nanvar: nanvar,
    np.nanstd: lambda a, axis=None, **how: np.sqrt(nanvar(a, axis, **how)),
    np.diff: diff,
    np.ediff1d: ediff1d,
    np.gradient: gradient,
    np.trapezoid: trapezoid,
    np.unwrap: unwrap,
    np.convolve: convolve,
    np.correlate: correlate,
    np.interp: interp,
}
HINTS |= {
    "nanmedian": "np.nanmean has a gradient, and np.median of what t[~np.isnan(t)] keeps.",
    "nanquantile": "np.quantile of what t[~np.isnan(t)] keeps has a gradient.",
    "nanpercentile": "np.percentile of what t[~np.isnan(t)] keeps has a gradient.",
    "cumulative_sum": "np.cumsum has a gradient.",
    "cumulative_prod": "np.cumprod has a gradient.",
    "histogram": "A count is piecewise constant; ask it of t.numpy().",
}
