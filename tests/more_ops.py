"""Rows of the table of ops: the functions of NumPy beyond those that networks are made of."""

from typing import Any

import numpy as np
from table import Case, positive, reduction, spread, unary

from tinygrad_mlp.linear_algebra import (
    eigenvectors,
    log_abs_det,
    qr_part,
    sign_of_det,
    svd_part,
)
from tinygrad_mlp.reductions import interval
from tinygrad_mlp.shaping import diagonals, order, scattered_along

L: Any = np.linalg


def inside(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    return rng.uniform(-0.9, 0.9, shape)


def above_one(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    return rng.uniform(1.2, 3.0, shape)


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    return rng.normal(size=shape)


def pairs(fun: Any, **kwargs: Any) -> list[Case]:
    """Two arrays that broadcast, scalars, nothing, and a number on either side."""
    shapes: Any = (((2, 3), (3,)), ((2, 1), (1, 3)), ((), ()), ((0, 3), (3,)))
    return [
        *(Case(fun, both, **kwargs) for both in shapes),
        Case(fun, ((2, 3),), lambda f, a: f(a, 1.25), note="number", **kwargs),
        Case(fun, ((2, 3),), lambda f, a: f(1.25, a), note="number on the left", **kwargs),
    ]


def case(fun: Any, *shapes: tuple[int, ...], how: Any = (), note: str = "", **kwargs: Any) -> Case:
    """A call with settings after the arrays, or by keyword if they are a dict."""
    if isinstance(how, dict):
        return Case(fun, shapes, lambda f, *a: f(*a, **how), note=note or str(how), **kwargs)
    return Case(fun, shapes, lambda f, *a: f(*a, *how), note=note or str(how), **kwargs)


def steps(a: Any) -> Any:
    """The diagonal matrix of 1, 2, 3 ... of the shape and kind of `a`."""
    ones = np.ones_like(a)
    return np.tril(np.triu(np.cumsum(ones, axis=-1)))


def spd(a: Any) -> Any:
    """A symmetric positive definite matrix made from `a`."""
    s = a @ np.swapaxes(a, -1, -2)
    return s + steps(s)


def sym(a: Any) -> Any:
    """A symmetric matrix made from `a`, its eigenvalues apart."""
    return a + np.swapaxes(a, -1, -2) + 6 * steps(a)


def regular(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Matrices that are far from singular."""
    eye = np.eye(*shape[-2:]) if len(shape) > 1 else 0
    return rng.uniform(-0.9, 0.9, shape) + 3 * eye * (1 + np.arange(shape[-1]))


INDEX = np.array([[2, 0, 0], [1, 1, 2]])
REAL = {"is_complex": False}

MORE: list[Case] = [
    *(c for f in (np.sin, np.cos, np.tan, np.sinh, np.cosh) for c in unary(f, values=inside)),
    *(c for f in (np.arctan, np.arcsinh, np.exp2, np.expm1) for c in unary(f, values=inside)),
    *(c for f in (np.arcsin, np.arccos, np.arctanh) for c in unary(f, values=inside)),
    *unary(np.arccosh, values=above_one),
    *(c for f in (np.log1p, np.log2, np.log10) for c in unary(f, values=positive)),
    *(c for f in (np.deg2rad, np.rad2deg, np.fabs) for c in unary(f, **REAL)),
    *unary(np.cbrt, **REAL),
    *unary(np.reciprocal),
    *unary(np.sinc),
    *unary(np.nan_to_num, **REAL),
    *(c for f in (np.hypot, np.arctan2, np.logaddexp, np.logaddexp2) for c in pairs(f, **REAL)),
    *(c for f in (np.fmax, np.fmin, np.remainder, np.fmod) for c in pairs(f, **REAL)),
    *(c for f in (np.remainder, np.fmod) for c in pairs(f, values=above_one, **REAL)),
    *unary(np.copysign, call=lambda f, a: f(a, -1.0), **REAL),
    case(np.copysign, (2, 3), how=(np.array([-1.0, 2.0, -3.0], np.float32),), **REAL),
    *unary(np.ldexp, call=lambda f, a: f(a, 3), **REAL),
    case(np.ldexp, (2, 3), how=(np.array([-1, 2, 0]),), **REAL),
    *unary(np.heaviside, call=lambda f, a: f(0.0, a), **REAL),
    # --- along an axis
    *(c for f in (np.cumsum, np.cumprod) for c in unary(f)),
    *(case(f, (5, 2), how={"axis": i}) for f in (np.cumsum, np.cumprod) for i in (0, -1)),
    *reduction(np.prod, empty=True),
    case(np.convolve, (4,), (3,)),
    case(np.convolve, (2,), (5,)),
    # --- places
    *(
        case(np.take_along_axis, (2, 3), how=(INDEX % (i % 2 + 2), i), note=f"axis {i}")
        for i in (0, 1, -1)
    ),
    case(np.take_along_axis, (2, 3), how=(np.array([5, 0, 0]), None), note="flat"),
    case(np.take_along_axis, (0, 3), how=(np.zeros((0, 2), int), 1), note="empty"),
    Case(
        scattered_along,
        ((2, 3),),
        lambda f, g: f(g, np.zeros((2, 4)), INDEX, 1),
        lambda g: (
            g @ np.zeros((3, 4))
            + np.stack(
                [
                    [g[0, 1] + g[0, 2], 0 * g[0, 0], g[0, 0], 0 * g[0, 0]],
                    [0 * g[0, 0], g[1, 0] + g[1, 1], g[1, 2], 0 * g[0, 0]],
                ]
            )
        ),
    ),
    Case(
        scattered_along,
        ((0, 3),),
        lambda f, g: f(g, np.zeros((0, 4)), INDEX[:0], 1),
        lambda g: np.zeros((0, 4), g.dtype),
    ),
    *(
        Case(
            diagonals, ((3,),), lambda f, v, k=k: f(v, k), lambda v, k=k: np.diag(v, k), note=str(k)
        )
        for k in (0, 1, -2)
    ),
    Case(diagonals, ((2, 3),), expected=lambda v: np.stack([np.diag(v[0]), np.diag(v[1])])),
    Case(diagonals, ((0,),), expected=lambda v: np.zeros((0, 0), v.dtype)),
    *(case(f, (3, 4), how=how) for f in (np.tril, np.triu) for how in ((), (1,), (-1,))),
    *(case(f, (2, 3, 3)) for f in (np.tril, np.triu)),
    *(case(f, (0, 3)) for f in (np.tril, np.triu)),
    *(case(np.roll, (3, 4), how=how) for how in ((2,), (1, 0), ((1, -2), (0, 1)))),
    *(case(np.roll, shape, how=(1,)) for shape in ((), (0,))),
    *(case(np.pad, (2, 3), how=how) for how in ((1,), ((1, 2),), (((0, 1), (2, 0)),))),
    *(case(np.pad, shape, how=(0,)) for shape in ((), (0,))),
    # --- linear algebra
    *(
        Case(np.einsum, shapes, lambda f, *a, s=s: f(s, *a), note=s)
        for s, *shapes_ in (
            *(
                ("ij,jk->ik", (2, 3), (3, 4)),
                ("ij->ji", (2, 3)),
                ("ij->i", (2, 3)),
                ("i,i", (3,), (3,)),
            ),
            *(("ij,kl->il", (2, 3), (4, 2)), ("...ij,...jk", (2, 2, 3), (3, 2)), ("ij->", (0, 3))),
            *(
                ("i,ij,j", (2,), (2, 3), (3,)),
                (",ij->ij", (), (2, 3)),
                ("ij,ij->ij", (1, 3), (2, 3)),
            ),
        )
        for shapes in (tuple(shapes_),)
    ),
    *(case(L.norm, (2, 3), how=how, **REAL) for how in ({}, {"axis": 1}, {"axis": (0, 1)})),
    *(
        case(L.norm, (2, 3), how={"axis": 0, "keepdims": True}, **REAL),
        case(L.norm, (0, 3), **REAL),
    ),
    case(L.norm, (), **REAL),
    *(case(L.inv, shape, values=regular) for shape in ((3, 3), (2, 2, 2), (0, 0))),
    *(case(L.det, shape, values=regular) for shape in ((3, 3), (2, 2, 2))),
    case(L.det, (0, 0)),
    *(
        Case(log_abs_det, (shape,), expected=lambda a: L.slogdet(a)[1], values=regular, **REAL)
        for shape in ((3, 3), (2, 2, 2), (0, 0))
    ),
    *(
        case(L.solve, *shapes, values=regular)
        for shapes in (((3, 3), (3,)), ((3, 3), (3, 2)), ((2, 2, 2), (2, 3)), ((2, 2, 2), (2,)))
    ),
    case(L.solve, (2, 2), (3, 2, 1), values=regular),
    case(L.solve, (0, 0), (0,)),
    *(case(L.pinv, shape, values=normal, **REAL) for shape in ((3, 2), (2, 3), (2, 2, 2), (0, 2))),
    *(
        Case(L.cholesky, (shape,), lambda f, a: f(spd(a)), values=normal, **REAL)
        for shape in ((3, 3), (2, 2, 2), (0, 0))
    ),
    *(
        Case(L.eigvalsh, (shape,), lambda f, a: f(sym(a)), values=inside, **REAL)
        for shape in ((3, 3), (2, 2, 2), (0, 0))
    ),
    *(
        Case(
            eigenvectors,
            (shape,),
            lambda f, a: f(sym(a)),
            lambda a: L.eigh(sym(a))[1],
            inside,
            **REAL,
        )
        for shape in ((3, 3), (2, 2, 2), (0, 0))
    ),
    *(
        Case(
            svd_part,
            (shape,),
            lambda f, a, k=k: f(a, k),
            lambda a, k=k: L.svd(a, full_matrices=False)[k],
            values=regular,
            note=str(k),
            **REAL,
        )
        for shape in ((3, 2), (2, 3), (2, 2, 2))
        for k in range(3)
    ),
    Case(svd_part, ((0, 2),), lambda f, a: f(a, 1), lambda a: np.zeros(0, a.dtype), **REAL),
    *(
        Case(
            qr_part,
            (shape,),
            lambda f, a, k=k: f(a, k),
            lambda a, k=k: L.qr(a)[k],
            regular,
            note=str(k),
            **REAL,
        )
        for shape in ((3, 2), (2, 2), (2, 3, 2), (2, 0))
        for k in range(2)
    ),
]

MORE_CONSTANT: list[tuple[Any, tuple[Any, ...]]] = [
    (np.round, (np.array([[1.5, -0.5], [2.0, -2.5]]),)),
    (order, (np.array([[1.5, -0.5], [2.0, 2.0]]),)),
    (sign_of_det, (np.array([[1.5, -0.5], [2.0, 2.0]]),)),
    (interval, (np.array([1.5, -0.5]), np.array([-1.0, 0.0, 2.0]))),
]


def parts(f: Any) -> Any:
    """All results of `f` in one vector."""
    return lambda *a, **k: np.concatenate([np.reshape(b, -1) for b in f(*a, **k)])


def several(fun: Any, *shapes: tuple[int, ...], how: Any = (), **kwargs: Any) -> Case:
    """A function that returns several arrays."""
    return Case(fun, shapes, lambda f, *a: parts(f)(*a, *how), note=str(how), **kwargs)


HOLES = np.zeros((3, 4), bool)
HOLES[[0, 1], [0, 3]] = True


def nans(fun: Any, *hows: Any) -> list[Case]:
    """Of an array with some nan."""
    return [
        Case(
            fun,
            ((3, 4),),
            lambda f, a, how=how: f(np.where(HOLES, np.nan, a), **how),
            note=str(how),
            **REAL,
        )
        for how in hows
    ]


OVER = ({}, {"axis": 0}, {"axis": (0, 1), "keepdims": True})
MASK = np.array([True, False, True])
NUMBERS = np.array([[0, 2, 1], [1, 0, 2]])
WEIGHTS = np.array([1.0, 3.0, 0.5], np.float32)

COMPOSED: list[Case] = [
    several(np.divmod, (2, 3), (3,), **REAL),
    several(np.modf, (2, 3), **REAL),
    *(case(f, (2, 3), **REAL) for f in (np.degrees, np.radians, np.real, np.conjugate)),
    # --- reductions
    case(np.average, (2, 3)),
    case(np.average, (2, 3), how={"axis": 1, "weights": WEIGHTS, "keepdims": True}, note="weights"),
    Case(np.average, ((2, 3), (2, 3)), lambda f, a, w: f(a, 0, w), None, positive, note="both"),
    *(case(f, (3, 4), how=how, **REAL) for f in (np.var, np.std) for how in OVER),
    *(case(f, (3, 4), how={"axis": 1, "ddof": 1}, **REAL) for f in (np.var, np.std)),
    case(np.var, (3,), how={"correction": 1}, **REAL),
    *(case(np.ptp, (3, 4), how=how) for how in OVER),
    *(
        case(np.cov, (3, 4), how=how, **REAL)
        for how in ({}, {"rowvar": False}, {"bias": True}, {"ddof": 0})
    ),
    *(
        case(np.cov, (4,), **REAL),
        case(np.cov, (4,), (4,), **REAL),
        case(np.cov, (4, 2), (4, 1), how=(False,), **REAL),
    ),
    *(
        case(np.corrcoef, (3, 4), **REAL),
        case(np.corrcoef, (4,), (4,), **REAL),
        case(np.corrcoef, (4,), **REAL),
    ),
    *(
        case(f, shape, how=how, **REAL)
        for f in (np.median,)
        for shape in ((3, 4), (4, 3))
        for how in OVER
    ),
    *(case(np.quantile, (3, 4), how={"q": 0.3, **how}, **REAL) for how in OVER),
    case(np.quantile, (3, 4), how={"q": 1.0, "axis": 0}, **REAL),
    Case(np.quantile, ((3, 4),), lambda f, a: f(a, [[0.1, 0.5]], axis=1), note="several", **REAL),
    case(np.percentile, (3, 4), how={"q": 30, "axis": 1}, **REAL),
    *nans(np.nansum, *OVER),
    *nans(np.nanprod, *OVER),
    *nans(np.nanmax, *OVER),
    *nans(np.nanmin, *OVER),
    *nans(np.nanmean, *OVER),
    *nans(np.nanvar, *OVER, {"axis": 0, "ddof": 1}),
    *nans(np.nanstd, *OVER),
    *nans(np.nancumsum, {}, {"axis": 1}),
    *nans(np.nancumprod, {}, {"axis": 0}),
    # --- neighbours
    *(case(np.diff, (3, 4), how=how) for how in ({}, {"n": 2}, {"axis": 0}, {"n": 0})),
    Case(np.diff, ((3, 4), (3, 1)), lambda f, a, b: f(a, prepend=b, append=0), note="ends"),
    case(np.ediff1d, (2, 3)),
    Case(np.ediff1d, ((3,), (2,)), lambda f, a, b: f(a, [1.0], b), note="ends", **REAL),
    case(np.gradient, (5,)),
    several(np.gradient, (3, 4)),
    several(np.gradient, (3, 4), how=(0.5, 2.0)),
    case(np.gradient, (3, 4), how={"axis": 1}),
    case(np.trapezoid, (3, 4)),
    case(np.trapezoid, (3, 4), how={"dx": 0.5, "axis": 0}),
    *(case(np.trapezoid, (3, 4), shape, note=str(shape)) for shape in ((4,), (3, 4))),
    case(np.unwrap, (5,), values=lambda rng, s: 4 * spread(rng, s), **REAL),
    case(np.unwrap, (3, 4), how={"axis": 0, "period": 1.0, "discont": 0.8}, **REAL),
    *(case(np.convolve, (4,), (3,), how=(m,)) for m in ("same", "valid")),
    *(
        case(np.correlate, *s, how=(m,), **REAL)
        for m in ("full", "same", "valid")
        for s in (((4,), (3,)), ((3,), (4,)))
    ),
    Case(
        np.interp, ((2, 3), (4,), (4,)), lambda f, x, a, y: f(x, np.cumsum(abs(a)) - 2, y), **REAL
    ),
    Case(
        np.interp,
        ((5,), (3,)),
        lambda f, x, y: f(x, [-1, 0, 1], y, left=3.0, right=y[0]),
        note="ends",
        **REAL,
    ),
    # --- axes
    *(case(np.moveaxis, (2, 3, 4), how=how) for how in ((0, -1), ((0, 1), (-1, 0)))),
    *(case(np.rollaxis, (2, 3, 4), how=how) for how in ((2,), (0, 3), (-1, 1))),
    case(np.matrix_transpose, (2, 3, 4)),
    *(
        case(f, s)
        for f in (np.atleast_1d, np.atleast_2d, np.atleast_3d)
        for s in ((), (3,), (2, 3))
    ),
    several(np.atleast_2d, (3,), ()),
    *(case(np.flip, (2, 3), how=how) for how in ((), (0,), (-1,), ((0, 1),))),
    *(case(f, (2, 3)) for f in (np.fliplr, np.flipud)),
    *(case(np.rot90, (2, 3), how=how) for how in ((0,), (1,), (2,), (3, (1, 0)), (-1,))),
    # --- joins and pieces
    *(
        Case(f, s, lambda f, *a: f(a))
        for f in (np.hstack, np.vstack, np.dstack, np.column_stack)
        for s in (((2, 3), (2, 3)), ((3,), (3,)))
    ),
    *(case(np.append, (2, 3), (2, 2), how=(1,)), case(np.append, (2, 3), (2,))),
    Case(np.block, ((2, 2), (2, 1), (1, 3)), lambda f, a, b, c: f([[a, b], [c]])),
    Case(np.block, ((3,), ()), lambda f, a, b: f([a, b]), note="vectors"),
    *(several(np.array_split, (7, 2), how=how) for how in ((3,), ([2, 5],), (2, 1))),
    *(several(np.split, (6, 2), how=how) for how in ((3,), ([2, 5],), (2, 1))),
    *(several(f, (2, 4, 2), how=(2,)) for f in (np.hsplit, np.vsplit, np.dsplit)),
    several(np.hsplit, (4,), how=(2,)),
    *(
        (
            several(np.unstack, (2, 3)),
            Case(np.unstack, ((2, 3),), lambda f, a: parts(f)(a, axis=1), note="1"),
        )
        if hasattr(np, "unstack")
        else ()
    ),
    # --- repeats
    *(case(np.repeat, (2, 3), how=how) for how in ((2,), (2, 0), (3, -1), ([1, 2, 0], 1), (0,))),
    *(case(np.tile, (2, 3), how=how) for how in ((2,), ((2, 1),), ((2, 1, 3),), (0,))),
    *(case(np.resize, (2, 3), how=(s,)) for s in (4, (3, 3))),
    several(np.broadcast_arrays, (2, 1), (3,)),
    *(
        Case(np.meshgrid, ((2,), (3,)), lambda f, *a, how=how: parts(f)(*a, **how), note=str(how))
        for how in ({}, {"indexing": "ij"}, {"sparse": True})
    ),
    several(np.meshgrid, (2,)),
    Case(np.full_like, ((3,),), lambda f, v: f(np.zeros_like(v)[None], v)),
    # --- entries
    *(
        case(np.take, (3, 4), how=how)
        for how in ((1,), ([0, 5, 5],), ([[0, 1], [3, 3]], 1), (2, -2))
    ),
    *(case(np.sort, (3, 4), how=how, **REAL) for how in ((), (0,), (None,))),
    *(case(np.delete, (3, 4), how=how) for how in ((1,), ([0, 2], 0), (slice(1, 3), 1))),
    case(np.insert, (3, 4), how=(1, 5.0), **REAL),
    *(
        Case(np.insert, s, lambda f, a, v, how=how: f(a, how[0], v, how[1]), note=str(how), **REAL)
        for s, how in (
            (((3, 4), (4,)), (1, 0)),
            (((3, 4), (3,)), (1, 1)),
            (((3, 4), (3, 2)), ([1, 3], 1)),
            (((3, 4), ()), ([0, 0], -1)),
            (((4,), (2,)), (slice(1, 3), None)),
        )
    ),
    *(
        Case(np.compress, ((2, 3),), lambda f, a, i=i: f(MASK, a, axis=i), note=str(i))
        for i in (1, None)
    ),
    Case(np.extract, ((2, 3),), lambda f, a: f(NUMBERS > 0, a)),
    Case(np.select, ((2, 3), (3,)), lambda f, a, b: f([NUMBERS == 1, NUMBERS > 0], [a, b], 4.0)),
    Case(np.choose, ((2, 3), (3,), ()), lambda f, *a: f(NUMBERS, a)),
    *(
        case(np.diagonal, s, how=how)
        for s, how in (
            ((3, 4), ()),
            ((3, 4), (1,)),
            ((4, 3), (-2,)),
            ((2, 3, 4), (0, 2, 0)),
            ((3, 3), (5,)),
        )
    ),
    *(case(np.diag, s, how=how) for s in ((3,), (3, 3)) for how in ((), (-1,))),
    *(case(np.diagflat, s) for s in ((3,), (2, 2))),
    *(
        Case(np.pad, ((3, 4),), lambda f, a, m=m: f(a, ((1, 2), (0, 2)), m), note=m)
        for m in ("edge", "reflect", "symmetric", "wrap")
    ),
    Case(np.pad, ((3, 4),), lambda f, a: f(a, {-1: (1, 2), 0: 1}), note="dict")
    if np.lib.NumpyVersion(np.__version__) >= "2.2.0"
    else case(np.pad, (3,), how=(1,)),
    # --- products
    *(
        case(np.dot, *s)
        for s in (((2, 3), (3,)), ((3,), (2, 3, 2)), ((2, 3), (2, 3, 2)), ((), (2,)))
    ),
    *(
        case(np.tensordot, *s, how=how)
        for s, how in (
            (((2, 3), (3, 4)), (1,)),
            (((2, 3), (4,)), (0,)),
            (((2, 3, 4), (4, 3)), (([1, 2], [1, 0]),)),
            (((2, 3), (2, 3)), (2,)),
        )
    ),
    *(case(np.inner, *s) for s in (((3,), (3,)), ((2, 3), (4, 3)), ((), (2,)))),
    *(case(np.vdot, *s, **REAL) for s in (((3,), (3,)), ((2, 3), (3, 2)), ((), ()))),
    *(case(np.outer, *s) for s in (((3,), (2,)), ((2, 2), (3,)), ((0,), (2,)))),
    *(case(np.kron, *s) for s in (((2,), (3,)), ((2, 3), (3, 2)), ((2, 3), (2,)), ((), (3,)))),
    *(case(np.cross, *s) for s in (((3,), (3,)), ((2, 3), (3,)))),
    *(
        case(np.cross, (3, 2), (3, 2), how={"axis": 0}),
        case(np.cross, (3, 2), (2, 3), how=(0, 1, 0)),
    ),
    *(
        case(np.trace, s, how=how)
        for s, how in (((3, 4), ()), ((3, 4), (1,)), ((2, 3, 3), (0, 1, 2)))
    ),
    *(Case(np.vecdot, s, lambda f, *a: f(*a), **REAL) for s in (((3,), (3,)), ((2, 3), (3,)))),
    case(np.vecdot, (3, 2), (3, 1), how={"axis": 0}, **REAL),
    *(
        Case(np.einsum, s, lambda f, *a, t=t: f(t, *a), note=t)
        for t, s in (
            ("ii->i", ((3, 3),)),
            ("ii", ((3, 3),)),
            ("iij->j", ((2, 2, 3),)),
            ("ij,jk,kl", ((2, 3), (3, 2), (2, 4))),
            ("b...,b", ((2, 3), (2,))),
        )
    ),
    *(case(f, (2, 3), (3,)) for f in ((np.matvec,) if hasattr(np, "matvec") else ())),
    *(case(f, (2,), (2, 3), **REAL) for f in ((np.vecmat,) if hasattr(np, "vecmat") else ())),
    # --- linear algebra
    *(
        case(L.norm, (2, 3), how={"ord": o, "axis": 1, "keepdims": k}, **REAL)
        for o, k in ((1, False), (2, True), (3, False), (np.inf, True), (-np.inf, False))
    ),
    *(
        case(L.norm, (4, 3), how={"ord": o}, values=regular, **REAL)
        for o in (1, -1, np.inf, -np.inf, "fro", "nuc", 2, -2)
    ),
    case(L.norm, (2, 3, 2), how={"ord": 1, "axis": (0, 2), "keepdims": True}, **REAL),
    *(
        Case(L.multi_dot, s, lambda f, *a: f(a))
        for s in (
            ((2, 3), (3, 4), (4, 1)),
            ((3,), (3, 4), (4, 2)),
            ((2, 3), (3, 4), (4,)),
            ((3,), (3, 2), (2, 4), (4,)),
            ((2, 3), (3, 4)),
        )
    ),
    *(
        case(L.matrix_power, s, how=(n,), values=regular)
        for s, n in (((3, 3), 1), ((3, 3), 2), ((3, 3), 3), ((3, 3), 7), ((2, 2, 2), -2))
    ),
    several(L.slogdet, (3, 3), values=regular, **REAL),
    Case(L.eigh, ((3, 3),), lambda f, a: parts(f)(sym(a)), values=inside, **REAL),
    Case(L.svd, ((3, 2),), lambda f, a: parts(f)(a, full_matrices=False), values=regular, **REAL),
    Case(L.svd, ((3, 3),), lambda f, a: parts(f)(a), values=regular, note="square", **REAL),
    Case(
        L.svd, ((3, 2),), lambda f, a: f(a, compute_uv=False), values=regular, note="values", **REAL
    ),
    case(L.svdvals, (2, 3), values=regular, **REAL),
    several(L.qr, (3, 2), values=regular, **REAL),
    case(L.qr, (3, 2), how=("r",), values=regular, **REAL),
    *(
        case(L.vector_norm, (2, 3, 2), how=how, **REAL)
        for how in (
            {},
            {"ord": 3, "axis": 1},
            {"axis": (0, 2), "keepdims": True},
            {"keepdims": True},
        )
    ),
    *(
        case(L.matrix_norm, (2, 3, 2), how=how, **REAL)
        for how in ({}, {"ord": 1, "keepdims": True})
    ),
    *(case(f, (2, 3, 3)) for f in (L.matrix_transpose, L.diagonal, L.trace)),
    Case(L.tensordot, ((2, 3), (3, 4)), lambda f, *a: f(*a, axes=1)),
    *(
        case(L.outer, (2,), (3,)),
        case(L.matmul, (2, 3), (3, 2)),
        case(L.cross, (2, 3), (2, 3)),
        case(L.vecdot, (2, 3), (2, 3), **REAL),
    ),
]
