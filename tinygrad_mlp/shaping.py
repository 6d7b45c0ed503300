"""NumPy's functions that move entries about: order of axes, pieces, joins, repeats, choices.

Nearly all are written with a few others, so that they need no rule and their derivation reads as
what they do. Parameters are named as NumPy's; what is not among them is refused by name.
"""

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from .errors import MissingVJPError, ShapeError
from .ops import along, astype
from .primitives import FORWARDS, HINTS, applied, defvjp, primitive

__all__: list[str] = []


def arrayed(a: Any, dtype: Any = None) -> Any:
    """`a`, a list or number as an array."""
    return a if hasattr(a, "shape") else np.asarray(a, dtype)


def part(a: Any, axis: int, which: Any) -> Any:
    """The part `which` of one axis of `a`, which may be counted from the end."""
    return a[along(normalize_axis_index(axis, a.ndim), which)]


def lined_up(a: Any, axis: int | None) -> tuple[Any, int]:
    """`a` and the axis that is meant: without one, of all entries in order, as of a number."""
    if axis is None or (a.ndim == 0 and axis in (0, -1)):
        return np.reshape(a, -1), 0
    return a, normalize_axis_index(axis, a.ndim)


def tupled(a: Any) -> tuple[Any, ...]:
    """A number as a tuple of one."""
    return tuple(a) if isinstance(a, (tuple, list)) else (a,)


def alone(axis: int, n: int) -> tuple[int, ...]:
    """The shape that lays a vector along one of `n` axes."""
    return tuple(-1 if i == axis else 1 for i in range(n))


# --- axes -----------------------------------------------------------------------------------------


def moveaxis(a: Any, source: Any, destination: Any) -> Any:
    """A transpose: these axes to these places, the others in order."""
    come, go = (normalize_axis_tuple(axes, a.ndim) for axes in (source, destination))
    rest = iter(i for i in range(a.ndim) if i not in come)
    if len(come) != len(go):
        raise ShapeError(f"moveaxis: {len(come)} axes cannot go to {len(go)} places.")
    return np.transpose(a, [come[go.index(i)] if i in go else next(rest) for i in range(a.ndim)])


def rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    """One axis moved before the axis `start`."""
    axis = normalize_axis_index(axis, a.ndim)
    start = start + a.ndim if start < 0 else start
    return moveaxis(a, axis, start - (axis < start))


def in_front(a: Any, axis: Any) -> Any:
    """`a` with what lies along `axis`, one, several or all (None), along its first axis."""
    if axis is None:
        return np.reshape(a, -1)
    axes = list(normalize_axis_tuple(axis, a.ndim))
    rest = [i for i in range(a.ndim) if i not in axes]
    a = np.transpose(a, axes + rest)
    return a if len(axes) == 1 else np.reshape(a, (-1, *a.shape[len(axes) :]))


def kept(y: Any, a: Any, axis: Any) -> Any:
    """`y`, a reduction of `a`, with the axes of length 1 that keepdims keeps."""
    axes = range(a.ndim) if axis is None else tupled(axis)
    more = y.ndim - a.ndim + len(axes)  # axes that came in front
    return np.expand_dims(y, [more + i % a.ndim for i in axes])


def at_least(a: Any, n: int, where: tuple[tuple[Any, ...], ...]) -> Any:
    """`a` with at least `n` axes; `where` has the index that adds those that a.ndim lacks."""
    a = arrayed(a)
    return a[where[a.ndim]] if a.ndim < n else a


def several(f: Any) -> Any:
    """`f` of each argument: one result for one, else a tuple."""
    return lambda *arys: f(arys[0]) if len(arys) == 1 else tuple(map(f, arys))


def atleast_1d(a: Any) -> Any:
    """One axis added to a scalar."""
    return at_least(a, 1, ((None,),))


def atleast_2d(a: Any) -> Any:
    """Axes added before."""
    return at_least(a, 2, ((None, None), (None,)))


def atleast_3d(a: Any) -> Any:
    """Axes added on both sides."""
    return at_least(a, 3, ((None,) * 3, (None, ..., None), (..., None)))


def flip(m: Any, axis: Any = None) -> Any:
    """Backwards along one axis, several, or all."""
    axes = range(m.ndim) if axis is None else normalize_axis_tuple(axis, m.ndim)
    return m[tuple(slice(None, None, -1 if i in axes else None) for i in range(m.ndim))]


def rot90(m: Any, k: int = 1, axes: Any = (0, 1)) -> Any:
    """Turned k times from the first of `axes` to the second."""
    k %= 4
    if k == 2:
        return flip(m, axes)
    turned = flip(m, axes[1]) if k == 1 else m
    turned = np.swapaxes(turned, *axes) if k else turned
    return flip(turned, axes[1]) if k == 3 else turned


# --- joins and pieces -----------------------------------------------------------------------------


def hstack(tup: Any) -> Any:
    """Joined along the second axis, vectors along their only one."""
    arrays = [atleast_1d(a) for a in tup]
    return np.concatenate(arrays, axis=0 if arrays[0].ndim == 1 else 1)


def column_stack(tup: Any) -> Any:
    """Joined along the second axis, vectors as columns."""
    return np.concatenate([a[:, None] if a.ndim == 1 else a for a in map(atleast_1d, tup)], axis=1)


def append(arr: Any, values: Any, axis: int | None = None) -> Any:
    """Joined along `axis`, without one as vectors."""
    arr = arrayed(arr)
    return np.concatenate([arr, arrayed(values, arr.dtype)], axis=axis)


def block(arrays: Any) -> Any:
    """Nested lists joined: the innermost along the last axis, those around them before it."""

    def depth(a: Any) -> int:
        return 1 + max(map(depth, a)) if isinstance(a, list) else 0

    def joined(a: Any, level: int) -> Any:
        if not isinstance(a, list):
            a = arrayed(a)
            return a[(None,) * max(deepest - a.ndim, 0)]
        return np.concatenate([joined(b, level - 1) for b in a], axis=-level)

    deepest = depth(arrays)
    return joined(arrays, deepest)


def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """Slices: at these places, or so many of nearly equal length, the longer ones first."""
    places, n = indices_or_sections, ary.shape[axis]
    if isinstance(places, (int, np.integer)):
        size, longer = divmod(int(n), int(places))
        places = [i * size + min(i, longer) for i in range(1, int(places))]
    ends = [None, *(int(i) for i in places), None]
    return [part(ary, axis, slice(a, b)) for a, b in itertools.pairwise(ends)]


def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """`array_split`, in which a number of sections must divide the length."""
    n = ary.shape[axis]
    if isinstance(indices_or_sections, (int, np.integer)) and n % indices_or_sections:
        raise ShapeError(
            f"split: axis {axis} has length {n}, which {indices_or_sections} does not divide; "
            f"np.array_split makes pieces of nearly equal length."
        )
    return array_split(ary, indices_or_sections, axis)


def unstack(x: Any, /, *, axis: int = 0) -> tuple[Any, ...]:
    """What lies along `axis`, one by one."""
    return tuple(part(x, axis, i) for i in range(x.shape[axis]))


# --- repeats --------------------------------------------------------------------------------------


def stretched(a: Any, axis: int, k: int, after: int) -> Any:
    """`axis` k times as long: each entry k times (after = 1), or the whole (after = 0)."""
    shape, i = a.shape, axis + after
    long = np.broadcast_to(np.expand_dims(a, i), (*shape[:i], k, *shape[i:]))
    return np.reshape(long, (*shape[:axis], shape[axis] * k, *shape[axis + 1 :]))


def repeat(a: Any, repeats: Any, axis: int | None = None) -> Any:
    """Each entry so many times: the same for all by stretching, else by an index."""
    a, axis = lined_up(a, axis)
    counts = np.ravel(repeats)
    if counts.size == 1:
        return stretched(a, axis, int(counts[0]), 1)
    return part(a, axis, np.repeat(np.arange(a.shape[axis]), counts).tolist())


def tile(A: Any, reps: Any) -> Any:
    """The whole array so many times along each axis."""
    reps = tupled(reps)
    a = A[(None,) * (len(reps) - A.ndim)] if len(reps) > A.ndim else A
    for axis, k in enumerate(reps, a.ndim - len(reps)):
        a = stretched(a, axis, k, 0) if k != 1 else a
    return a


def resize(a: Any, new_shape: Any) -> Any:
    """The entries in order, from the start again where they run out; 0 if there are none."""
    shape, row = tupled(new_shape), np.reshape(a, -1)
    row = row if a.size else np.concatenate([row, np.zeros(1, a.dtype)])
    return np.reshape(row[[i % row.size for i in range(math.prod(shape))]], shape)


def broadcast_arrays(*args: Any) -> tuple[Any, ...]:
    """Each stretched to the shape that they have together."""
    args = tuple(map(arrayed, args))
    shape = np.broadcast_shapes(*(a.shape for a in args))
    return tuple(np.broadcast_to(a, shape) for a in args)


def meshgrid(*xi: Any, indexing: str = "xy", sparse: bool = False) -> tuple[Any, ...]:
    """Coordinates on a grid: each vector along an axis of its own."""
    n = len(xi)
    places = [1, 0, *range(2, n)] if indexing == "xy" and n > 1 else list(range(n))
    grids = [np.reshape(x, alone(k, n)) for x, k in zip(map(arrayed, xi), places, strict=True)]
    return tuple(grids) if sparse else broadcast_arrays(*grids)


def full_like(a: Any, fill_value: Any) -> Any:
    """`fill_value`, which may have a gradient, stretched to the shape of `a`."""
    full = np.zeros_like(a) + fill_value
    return full if full.dtype == a.dtype else astype(full, a.dtype)


# --- entries --------------------------------------------------------------------------------------


def take(a: Any, indices: Any, axis: int | None = None) -> Any:
    """The entries at these places along `axis`, without one of the flattened array."""
    return part(*lined_up(a, axis), indices)


@primitive
def scattered_along(g: Any, like: Any, indices: Any, axis: int) -> Any:
    """The inverse of np.take_along_axis: an entry that is named twice receives both."""
    out = np.zeros_like(like, dtype=g.dtype)
    index = [
        np.reshape(np.arange(n, like=g), alone(k, len(like.shape)))
        for k, n in enumerate(like.shape)
    ]
    index[axis] = indices
    np.add.at(out, tuple(index), g)
    return out


def taken_along(g: Any, _y: Any, _arr: Any, indices: Any, axis: int | None = -1) -> Any:
    """`g` back at the places it was taken from."""
    like = np.reshape(_arr, -1) if axis is None else _arr
    return np.reshape(scattered_along(g, like, indices, axis or 0), _arr.shape)


defvjp(np.take_along_axis, taken_along)
defvjp(
    scattered_along,
    lambda g, _y, _g, _like, indices, axis: np.take_along_axis(g, indices, axis),
    None,
)


@primitive
def order(a: Any, axis: int = -1) -> Any:
    """The places of the entries in ascending order, equal ones as they stand."""
    return np.argsort(a, axis=axis, kind="stable")


defvjp(order)


def sort(a: Any, axis: int | None = -1, kind: Any = None, *, stable: Any = None) -> Any:  # noqa: ARG001
    """The entries in their order; each gets the cotangent of where it went."""
    if axis is None:
        a, axis = np.reshape(a, -1), 0
    return np.take_along_axis(a, order(a, axis), axis)


def delete(arr: Any, obj: Any, axis: int | None = None) -> Any:
    """The entries that are not named."""
    a, axis = (np.reshape(arr, -1), 0) if axis is None else (arr, axis)
    return part(a, axis, np.delete(np.arange(a.shape[axis]), obj).tolist())


def insert(arr: Any, obj: Any, values: Any, axis: int | None = None) -> Any:
    """`values` joined behind `arr`, and all put in order."""
    a = arrayed(arr)
    values = arrayed(values, a.dtype)
    a, axis = (np.reshape(a, -1), 0) if axis is None else (a, normalize_axis_index(axis, a.ndim))
    n = int(a.shape[axis])
    places = np.insert(np.arange(n), obj, -1)
    k = len(places) - n
    values = values[(None,) * (a.ndim - values.ndim)]
    if np.ndim(obj) == 0 and not isinstance(obj, slice):  # as NumPy: values lie along the front
        values = moveaxis(values, 0, axis)
    values = np.broadcast_to(values, (*a.shape[:axis], k, *a.shape[axis + 1 :]))
    places[places < 0] = range(n, n + k)
    return part(np.concatenate([a, values], axis=axis), axis, places.tolist())


def compress(condition: Any, a: Any, axis: int | None = None) -> Any:
    """The entries along `axis` where the condition holds."""
    return take(a, np.flatnonzero(condition), axis)


def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Any:
    """The first choice whose condition holds."""
    pairs = zip(reversed(condlist), reversed(choicelist), strict=True)
    return functools.reduce(lambda y, pair: np.where(pair[0], pair[1], y), pairs, default)


def choose(a: Any, choices: Sequence[Any]) -> Any:
    """Of each place the choice whose number stands there."""
    return select([a == i for i in range(len(choices) - 1)], choices[:-1], choices[-1])


# --- diagonals and triangles ----------------------------------------------------------------------


def on_diagonal(rows: int, columns: int, offset: int) -> tuple[list[int], list[int]]:
    """Rows and columns of the entries of a diagonal."""
    n = max(min(rows + min(offset, 0), columns - max(offset, 0)), 0)
    return [i + max(-offset, 0) for i in range(n)], [i + max(offset, 0) for i in range(n)]


def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The entries of a diagonal of each matrix."""
    a = moveaxis(a, (axis1, axis2), (-2, -1))
    return a[(..., *on_diagonal(int(a.shape[-2]), int(a.shape[-1]), offset))]


@primitive
def diagonals(v: Any, k: int = 0) -> Any:
    """Square matrices with `v` on their diagonal number k."""
    n = v.shape[-1]
    out = np.zeros_like(v, shape=(*v.shape[:-1], n + abs(k), n + abs(k)))
    i = np.arange(n, like=v)
    out[..., i + max(-k, 0), i + max(k, 0)] = v
    return out


defvjp(diagonals, lambda g, _y, _v, k=0: np.diagonal(g, k, -2, -1))
defvjp(np.tril, lambda g, _y, _m, k=0: np.tril(g, k))
defvjp(np.triu, lambda g, _y, _m, k=0: np.triu(g, k))


def diag(v: Any, k: int = 0) -> Any:
    """A matrix with this diagonal; of a matrix, the diagonal."""
    return diagonals(v, k) if v.ndim == 1 else diagonal(v, k)


# --- rolls and borders ----------------------------------------------------------------------------


def backwards(shift: Any) -> Any:
    """The shift that undoes `shift`."""
    return tuple(-s for s in shift) if isinstance(shift, (tuple, list)) else -shift


defvjp(np.roll, lambda g, _y, _a, shift, axis=None: np.roll(g, backwards(shift), axis))


def bordered(g: Any, _y: Any, _a: Any, pad_width: Any) -> Any:
    """What of `g` is not border."""
    before = np.broadcast_to(pad_width, (_a.ndim, 2))[:, 0].tolist()
    return g[tuple(slice(i, i + n) for i, n in zip(before, _a.shape, strict=True))]


defvjp(np.pad, bordered)


def pad(array: Any, pad_width: Any, mode: Any = "constant", *, constant_values: Any = 0) -> Any:
    """Zeros around; other modes repeat entries, by an index along each axis."""
    if isinstance(pad_width, dict):
        pad_width = [pad_width.get(i, pad_width.get(i - array.ndim, 0)) for i in range(array.ndim)]
        pad_width = [tupled(w) * (3 - len(tupled(w))) for w in pad_width]
    widths = np.broadcast_to(pad_width, (array.ndim, 2)).tolist()
    if mode == "constant" and constant_values == 0:
        return applied(np.pad, array, tuple(map(tuple, widths)) or 0)
    if mode not in ("edge", "reflect", "symmetric", "wrap") or constant_values != 0:
        raise MissingVJPError(
            f"np.pad: mode={mode!r} and constant_values={constant_values!r} cannot be used with "
            f"Tensors; known are 0 around it, and edge, reflect, symmetric and wrap."
        )
    for axis, width in enumerate(widths):
        array = part(array, axis, np.pad(np.arange(array.shape[axis]), width, mode).tolist())
    return array


FORWARDS |= {
    np.moveaxis: moveaxis,
    np.rollaxis: rollaxis,
    np.matrix_transpose: lambda x: np.swapaxes(x, -1, -2),
    np.atleast_1d: several(atleast_1d),
    np.atleast_2d: several(atleast_2d),
    np.atleast_3d: several(atleast_3d),
    np.flip: flip,
    np.flipud: lambda m: flip(m, 0),
    np.fliplr: lambda m: flip(m, 1),
    np.rot90: rot90,
    np.hstack: hstack,
    np.vstack: lambda tup: np.concatenate([atleast_2d(a) for a in tup], axis=0),
    np.dstack: lambda tup: np.concatenate([atleast_3d(a) for a in tup], axis=2),
    np.column_stack: column_stack,
    np.append: append,
    np.block: block,
    np.array_split: array_split,
    np.split: split,
    np.hsplit: lambda ary, indices_or_sections: split(ary, indices_or_sections, int(ary.ndim > 1)),
    np.vsplit: split,
    np.dsplit: lambda ary, indices_or_sections: split(ary, indices_or_sections, 2),
    np.repeat: repeat,
    np.tile: tile,
    np.resize: resize,
    np.broadcast_arrays: broadcast_arrays,
    np.meshgrid: meshgrid,
    np.full_like: full_like,
    np.take: take,
    np.sort: sort,
    np.delete: delete,
    np.insert: insert,
    np.compress: compress,
    np.extract: lambda condition, arr: take(arr, np.flatnonzero(condition)),
    np.select: select,
    np.choose: choose,
    np.diagonal: diagonal,
    np.diag: diag,
    np.diagflat: lambda v, k=0: diagonals(np.reshape(v, -1), k),
    np.pad: pad,
}
if hasattr(np, "unstack"):  # pragma: no branch  # NumPy 2.1
    FORWARDS[np.unstack] = unstack

HINTS |= {
    "partition": "np.sort has a gradient, and puts every entry in its place.",
    "argpartition": "np.argsort tells the places.",
    "lexsort": "np.argsort tells the places.",
    "piecewise": "np.select and np.where have a gradient.",
    "apply_along_axis": "Write the function for whole arrays, with axis=.",
    "apply_over_axes": "Reductions take axis=(0, 1).",
    "trim_zeros": "Cut by a slice: t[start:stop].",
    **dict.fromkeys(
        ("put", "put_along_axis", "place", "putmask", "fill_diagonal"),
        "A change in place has no gradient: build the result with np.where.",
    ),
}
