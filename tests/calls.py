"""Random calls of NumPy's functions, with any arguments that they take."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_mlp import functional

__all__ = ["CALLS"]

Rng = np.random.Generator
Call = tuple[str, Callable[..., Any], list[Any]]
"""What it is, for people; the call; its arrays."""

L: Any = np.linalg


def pick(rng: Rng, things: Any) -> Any:
    return things[rng.integers(len(things))]


def shape_of(rng: Rng, least: int = 0, most: int = 4) -> tuple[int, ...]:
    return tuple(rng.integers(1, 5, size=rng.integers(least, most)).tolist())


def array_of(rng: Rng, shape: tuple[int, ...]) -> Any:
    """Numbers from -2 to 2, no two of an array near each other, in any layout of memory."""
    n = math.prod(shape)
    a = np.linspace(-2, 2, n + 2)[1:-1] + rng.uniform(0.3, 0.7, size=n) * 2 / (n + 1)
    a = rng.permutation(a).reshape(shape)
    layout = rng.integers(4)
    if layout == 1:
        return np.asfortranarray(a)
    if layout == 2 and a.ndim:
        return np.repeat(a, 2, axis=0)[::2]
    return a


def stretched(rng: Rng, shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape that broadcasts with `shape`."""
    kept = shape[rng.integers(len(shape) + 1) :]
    return tuple(n if rng.random() < 0.7 else 1 for n in kept)


def axis_of(rng: Rng, ndim: int, several: bool = True) -> Any:
    """An axis, from either end; or all; or some of them."""
    if not ndim or rng.random() < 0.2:
        return None
    if several and rng.random() < 0.3:
        chosen = rng.permutation(ndim)[: rng.integers(1, ndim + 1)]
        return tuple(int(k - ndim * (rng.random() < 0.5)) for k in chosen)
    return int(rng.integers(-ndim, ndim))


def one_axis(rng: Rng, ndim: int) -> int:
    return int(rng.integers(-ndim, ndim))


def called(fun: Any, *shown: Any, **how: Any) -> str:
    words = [*map(repr, shown), *(f"{k}={v!r}" for k, v in how.items())]
    return f"{fun.__name__}({', '.join(words)})"


CALLS: dict[str, Callable[[Rng], Call]] = {}


def call(make: Callable[[Rng], Call]) -> Callable[[Rng], Call]:
    CALLS[make.__name__] = make
    return make


REDUCE = [np.sum, np.mean, np.max, np.min, np.prod, np.var, np.std, np.ptp, np.median, np.nansum]
REDUCE += [np.nanprod, np.nanmax, np.nanmin, np.nanmean, np.nanvar, np.nanstd, np.amax, np.amin]


@call
def reductions(rng: Rng) -> Call:
    fun = pick(rng, [*REDUCE, functional.logsumexp])
    a = array_of(rng, shape_of(rng))
    if fun.__name__.startswith("nan") and a.size > 1:
        a = np.where(np.arange(a.size).reshape(a.shape) == rng.integers(a.size), np.nan, a)
    how: dict[str, Any] = {"axis": axis_of(rng, a.ndim)}
    if rng.random() < 0.5:
        how["keepdims"] = bool(rng.random() < 0.5)
    if fun.__name__[-3:] in ("var", "std") and rng.random() < 0.3:
        how["ddof"] = int(rng.integers(2))
    return called(fun, **how), lambda a: fun(a, **how), [a]


@call
def running(rng: Rng) -> Call:
    fun = pick(rng, [np.cumsum, np.cumprod, np.nancumsum, np.sort, np.diff, functional.softmax])
    fun = pick(rng, [fun, functional.log_softmax])
    a = array_of(rng, shape_of(rng, 1))
    how: dict[str, Any] = {"axis": one_axis(rng, a.ndim)}
    if fun is np.diff:
        how["n"] = int(rng.integers(3))
        if rng.random() < 0.3:
            how["prepend"] = 0.5
        if rng.random() < 0.3:
            how["append"] = -1.25
    return called(fun, **how), lambda a: fun(a, **how), [a]


@call
def places(rng: Rng) -> Call:
    """What only moves entries."""
    a = array_of(rng, shape_of(rng, 1))
    n, axes = a.ndim, rng.permutation(a.ndim).tolist()
    k, j = one_axis(rng, n), one_axis(rng, n)
    length = a.shape[k]
    some = tuple(int(v) for v in rng.integers(-3, 4, size=n))
    forms: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = [
        (np.transpose, (axes,), {}),
        (np.swapaxes, (k, j), {}),
        (np.moveaxis, (k, j), {}),
        (np.moveaxis, (axes, list(range(n))), {}),
        (np.rollaxis, (k, int(rng.integers(n + 1))), {}),
        (np.expand_dims, (int(rng.integers(-n - 1, n + 1)),), {}),
        (np.expand_dims, ((0, -1),), {}),
        (np.flip, (axis_of(rng, n),), {}),
        (np.roll, (int(rng.integers(-5, 6)),), {"axis": pick(rng, [k, None])}),
        (np.roll, (some, tuple(range(n))), {}),
        (np.repeat, (rng.integers(0, 3, size=length) + 1,), {"axis": k}),
        (np.repeat, (int(rng.integers(1, 4)),), {"axis": pick(rng, [k, None])}),
        (np.tile, (tuple(rng.integers(1, 3, size=rng.integers(1, 4)).tolist()),), {}),
        (np.resize, (shape_of(rng, 1),), {}),
        (np.reshape, ((-1, length) if k == -1 else (-1,),), {"order": pick(rng, "CF")}),
        (np.ravel, (), {"order": pick(rng, "CF")}),
        (np.broadcast_to, ((int(rng.integers(1, 3)), *a.shape),), {}),
        (np.pad, ([tuple(rng.integers(0, 3, size=2).tolist()) for _ in range(n)],), {}),
        (np.pad, (2,), {"mode": pick(rng, ["edge", "reflect", "symmetric", "wrap"])}),
        (np.take, (rng.integers(-length, length, size=shape_of(rng)),), {"axis": k}),
        (np.take, (rng.integers(0, 9, size=3),), {"axis": k, "mode": pick(rng, ["wrap", "clip"])}),
        (np.delete, (int(rng.integers(-length, length)),), {"axis": k}),
        (np.delete, (slice(None, None, 2),), {"axis": k}),
        (np.insert, (int(rng.integers(length)), 0.5), {"axis": k}),
        (np.atleast_3d, (), {}),
        (np.rot90, (int(rng.integers(-3, 5)),), {}) if n > 1 else (np.atleast_2d, (), {}),
        (np.tril, (int(rng.integers(-2, 3)),), {}) if n > 1 else (np.diag, (some[0],), {}),
        (np.triu, (int(rng.integers(-2, 3)),), {}) if n > 1 else (np.diagflat, (some[0],), {}),
        (np.diagonal, (int(rng.integers(-1, 2)), axes[0], axes[-1]), {})
        if n > 1
        else (np.copy, (), {}),
        (np.trace, (int(rng.integers(-1, 2)), axes[0], axes[-1]), {})
        if n > 1
        else (np.copy, (), {}),
    ]
    fun, args, how = pick(rng, forms)
    return called(fun, *args, **how), lambda a: fun(a, *args, **how), [a]


@call
def joined(rng: Rng) -> Call:
    shape = shape_of(rng, 1)
    k = one_axis(rng, len(shape))
    arrays = [array_of(rng, shape) for _ in range(rng.integers(1, 4))]
    forms: list[tuple[Any, dict[str, Any]]] = [
        (np.concatenate, {"axis": pick(rng, [k, k, None])}),
        (np.stack, {"axis": int(rng.integers(-len(shape) - 1, len(shape) + 1))}),
        *((f, {}) for f in (np.hstack, np.vstack, np.dstack, np.block)),
        *([(np.column_stack, {})] if len(shape) < 3 else []),
    ]
    fun, how = pick(rng, forms)
    return called(fun, **how), lambda *arrays: fun(list(arrays), **how), arrays


@call
def parts(rng: Rng) -> Call:
    a = array_of(rng, shape_of(rng, 1))
    k = one_axis(rng, a.ndim)
    cuts = pick(rng, [2, 3, sorted(rng.integers(0, 5, size=2).tolist())])
    fun = pick(rng, [np.array_split, np.split])
    i = int(rng.integers(2))
    return called(fun, cuts, axis=k), lambda a: fun(a, cuts, axis=k)[i], [a]


TWO = [np.add, np.subtract, np.multiply, np.divide, np.maximum, np.minimum, np.fmax, np.fmin]
TWO += [np.hypot, np.arctan2, np.logaddexp, np.logaddexp2, np.copysign, np.remainder, np.fmod]
TWO += [np.power, np.floor_divide, np.heaviside, np.greater, np.outer, np.kron, np.where, np.clip]


@call
def pairs(rng: Rng) -> Call:
    """Two arrays that are stretched to each other, or an array and a number."""
    fun = pick(rng, TWO)
    shape = shape_of(rng)
    a, b = array_of(rng, shape), array_of(rng, stretched(rng, shape))
    if fun is np.power:
        a = np.abs(a) + 0.5
    if fun in (np.where, np.clip):
        choice = rng.random(shape) < 0.5
        how = (lambda a, b: np.where(choice, a, b)) if fun is np.where else None
        return called(fun), how or (lambda a, b: np.clip(a, np.minimum(b, 0), None)), [a, b]
    number = pick(rng, [0.5, 2, -1.5, 3])
    form = rng.integers(4)
    if form == 0:
        return called(fun, number), lambda a: fun(a, number), [a]
    if form == 1:
        return called(fun, number, "left"), lambda a: fun(abs(number), a), [a]
    swap = form == 2
    return called(fun, swap), lambda a, b: fun(b, a) if swap else fun(a, b), [a, b]


@call
def products(rng: Rng) -> Call:
    """Of vectors, matrices and stacks."""
    n, m, k = rng.integers(1, 4, size=3).tolist()
    stack = shape_of(rng, 0, 3)
    a = array_of(rng, pick(rng, [(k,), (n, k), (*stack, n, k)]))
    b = array_of(rng, pick(rng, [(k,), (k, m), (*stretched(rng, stack), k, m)]))
    fun = pick(rng, [np.matmul, np.dot, L.matmul])
    if rng.random() < 0.4:
        last = array_of(rng, pick(rng, [(k,), (m, k), (*stack[:1], m, k)]))
        same = array_of(rng, (*stretched(rng, stack), k))
        rows = array_of(rng, (*stack, k))
        forms: list[Call] = [
            ("inner", np.inner, [a, last]),
            ("vecdot", np.vecdot, [rows, same]),
            ("tensordot", lambda a, b: np.tensordot(a, b, ([-1], [-1])), [a, last]),
            ("tensordot 0", lambda a, b: np.tensordot(a, b, 0), [a[..., :2], last]),
            ("einsum outer", lambda a, b: np.einsum("...i,...j->...ij", a, b), [rows, same]),
            ("einsum sum", lambda a, b: np.einsum("...k,...k", a, b), [rows, same]),
            ("einsum trace", lambda a: np.einsum("ii->i", a), [array_of(rng, (n, n))]),
            (
                "einsum three",
                lambda a, b, c: np.einsum("ij,jk,ik->k", a, b, c),
                [array_of(rng, (n, k)), array_of(rng, (k, m)), array_of(rng, (n, m))],
            ),
        ]
        return pick(rng, forms)
    return called(fun, a.shape, b.shape), fun, [a, b]


@call
def norms(rng: Rng) -> Call:
    a = array_of(rng, shape_of(rng, 1))
    if rng.random() < 0.5 or a.ndim < 2:
        how = {"axis": one_axis(rng, a.ndim), "ord": pick(rng, [None, 1, 2, 3, np.inf, -np.inf])}
    else:
        axes = rng.permutation(a.ndim)[:2].tolist()
        how = {"axis": tuple(axes), "ord": pick(rng, [None, "fro", 1, -1, np.inf, -np.inf])}
    how["keepdims"] = bool(rng.random() < 0.5)
    return called(L.norm, **how), lambda a: L.norm(a, **how), [a]


def tame(rng: Rng, stack: tuple[int, ...], n: int) -> Any:
    """Matrices that are far from singular."""
    return rng.normal(size=(*stack, n, n)) + 4 * np.diag(np.arange(1.0, n + 1))


@call
def matrices(rng: Rng) -> Call:
    """Inverses, determinants, factorisations, of matrices and of stacks of them."""
    n = int(rng.integers(1, 5))
    stack = shape_of(rng, 0, 3)
    a = tame(rng, stack, n)

    def even(a: Any) -> Any:
        return (a + np.swapaxes(a, -1, -2)) / 2

    b = array_of(rng, (*stretched(rng, stack), n, 2))
    forms: list[Call] = [
        ("inv", L.inv, [a]),
        ("det", L.det, [a]),
        ("slogdet", lambda a: L.slogdet(a)[1], [a]),
        ("solve", L.solve, [a, b]),
        ("pinv", L.pinv, [a[..., : max(n - 1, 1), :]]),
        ("cholesky", lambda a: L.cholesky(a @ np.swapaxes(a, -1, -2)), [a]),
        ("eigvalsh", lambda a: L.eigvalsh(even(a)), [a]),
        ("eigh", lambda a: np.square(L.eigh(even(a))[1]), [a]),
        ("svd", lambda a: L.svd(a, full_matrices=False)[1], [a]),
        ("svdvals", L.svdvals, [a[..., :2]]),
        ("qr", lambda a: np.square(L.qr(a)[1]), [a]),
        ("matrix_power", lambda a: L.matrix_power(a, int(n) - 2), [a]),
        (
            "multi_dot",
            lambda a, b: L.multi_dot([a, b, b.T]),
            [tame(rng, (), n), b[(0,) * (b.ndim - 2)]],
        ),
    ]
    what, fun, arrays = pick(rng, forms)
    return f"{what} {stack} {n}", fun, arrays


@call
def lines(rng: Rng) -> Call:
    """Along an axis: convolutions, differences, integrals, interpolation, quantiles, means."""
    a = array_of(rng, shape_of(rng, 1))
    v, w = array_of(rng, (int(rng.integers(1, 6)),)), array_of(rng, (int(rng.integers(1, 6)),))
    k = one_axis(rng, a.ndim)
    mode = pick(rng, ["full", "same", "valid"])
    at = np.cumsum(rng.uniform(0.3, 1, size=a.shape[k]))
    q = pick(rng, [0.3, [0.0, 0.4, 1.0], [[0.2], [0.7]]])
    weights = rng.uniform(0.5, 2, size=a.shape[k])
    knots = np.cumsum(rng.uniform(0.3, 1, size=len(v))) - 2
    keep = bool(rng.random() < 0.5)
    forms: list[Call] = [
        (f"convolve {mode}", lambda v, w: np.convolve(v, w, mode), [v, w]),
        (f"correlate {mode}", lambda v, w: np.correlate(v, w, mode), [v, w]),
        ("gradient", lambda a: np.gradient(a, at, axis=k), [a]),
        ("gradient 2", lambda a: np.gradient(a, 0.5, axis=k, edge_order=2), [a]),
        ("trapezoid", lambda a: np.trapezoid(a, at, axis=k), [a]),
        ("trapezoid dx", lambda a: np.trapezoid(a, dx=0.3, axis=k), [a]),
        ("interp", lambda v, w: np.interp(w, knots, v), [v, w]),
        ("interp ends", lambda v, w: np.interp(w, knots, v, left=-1.0, right=2.0), [v, w]),
        (f"quantile {q}", lambda a: np.quantile(a, q, axis=k, keepdims=keep), [a]),
        ("percentile", lambda a: np.percentile(a, 35.0, axis=axis_of(rng, 0)), [a]),
        ("average", lambda a: np.average(a, axis=k, weights=weights), [a]),
        ("ediff1d", np.ediff1d, [a]),
        ("unwrap", lambda a: np.unwrap(3 * a, axis=k), [a]),
        ("cov", lambda a: np.cov(a, rowvar=keep, ddof=0), [a[(0,) * max(a.ndim - 2, 0)]]),
        ("corrcoef", lambda a: np.corrcoef(a), [array_of(rng, (2, 4))]),
        ("cross", np.cross, [array_of(rng, (*a.shape[:-1], 3)), array_of(rng, (3,))]),
        (
            "take_along_axis",
            lambda a: np.take_along_axis(a, np.argsort(-np.asarray(order), axis=k), axis=k),
            [a],
        ),
        ("select", lambda a: np.select([order > 1, order > 0], [a, a * a], 0.5), [a]),
        ("choose", lambda a: np.choose(order > 0, [a, -a]), [a]),
        ("compress", lambda a: np.compress(weights > 1, a, axis=k), [a]),
        ("extract", lambda a: np.extract(order > 0, a), [a]),
        ("nan_to_num", lambda a: np.nan_to_num(np.where(order > 1, np.nan, a), nan=0.5), [a]),
    ]
    order = rng.normal(size=a.shape)
    return pick(rng, forms)
