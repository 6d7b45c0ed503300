"""Random graphs from every op: a step per op, and a builder that is steered by a seed alone."""

import operator
import re
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np

from tinygrad_mlp import Tensor, TinygradMLPError, functional, grad, mse, relu, scatter
from tinygrad_mlp.formatting import module_of
from tinygrad_mlp.graph import record_all
from tinygrad_mlp.linear_algebra import (
    eigenvectors,
    log_abs_det,
    qr_part,
    sign_of_det,
    svd_part,
)
from tinygrad_mlp.ops import astype, scattered
from tinygrad_mlp.primitives import FORWARDS, PRIMITIVES
from tinygrad_mlp.reductions import interval
from tinygrad_mlp.shaping import diagonals, order, scattered_along

REGISTERED = dict(PRIMITIVES)  # now, before a doctest adds one of its own

SIGNS = (np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal)
LOGIC = (np.logical_and, np.logical_or, np.bitwise_and, np.bitwise_or)
ROUND = (np.sign, np.floor, np.ceil, np.trunc, np.rint)
SMOOTH = [
    *(functional.sigmoid, functional.softplus, functional.silu, functional.gelu, functional.elu),
    *(functional.leaky_relu, functional.softmax, functional.log_softmax, relu),
]
LOSSES = [mse, functional.mae, functional.huber]
F: Any = functional


def bounded(a: Any) -> Any:
    return np.tanh(a)


def labels(a: Any) -> Any:
    return np.arange(len(a)) % a.shape[-1]


Step = Callable[[Any, Any], Any]


def chosen(f: Any) -> Step:
    return lambda a, b: np.where(f(a, b), a, bounded(a))


def combined(f: Any) -> Step:
    return lambda a, b: np.where(f(a > 0.1, b > 0.2), a, bounded(a))


def stepped(f: Any) -> Step:
    return lambda a, _: bounded(a) * f(2.5 * bounded(a))


def of_one(f: Any) -> Step:
    return lambda a, _: f(a)


def of_two(f: Any) -> Step:
    return lambda a, b: f(bounded(a), b)


def apart(a: Any) -> Any:
    """A symmetric matrix with eigenvalues that are positive and apart."""
    s = bounded(a.T @ a)
    ones = np.ones_like(s)
    return s + np.tril(np.triu(ones)) * np.cumsum(ones, axis=0) * 2.5


def last_places(a: Any) -> Any:
    """Places along the last axis, some twice."""
    return order(a, -1)[..., [0, 0, -1]]


def outside(f: Any) -> Step:
    return lambda a, _: f(bounded(a) * 0.85 + 0.05)


def beyond(f: Any) -> Step:
    return lambda a, _: f(a * a + 1.35)


L: Any = np.linalg

MORE_STEPS: dict[Any, Step] = {
    **{f: of_one(f) for f in (np.sin, np.cos, np.arctan, np.arcsinh, np.cbrt, np.fabs, np.sinc)},
    **{f: outside(f) for f in (np.tan, np.sinh, np.cosh, np.exp2, np.expm1)},
    **{f: outside(f) for f in (np.arcsin, np.arccos, np.arctanh)},
    **{f: beyond(f) for f in (np.arccosh, np.log1p, np.log2, np.log10, np.reciprocal)},
    **{f: of_one(f) for f in (np.deg2rad, np.rad2deg, np.nan_to_num)},
    **{f: of_two(f) for f in (np.hypot, np.arctan2, np.logaddexp, np.logaddexp2)},
    **{f: of_two(f) for f in (np.fmax, np.fmin, np.copysign)},
    **{f: lambda a, b, f=f: f(a, b * b + 1.35) for f in (np.remainder, np.fmod)},
    np.ldexp: lambda a, _: np.ldexp(bounded(a), 2),
    np.heaviside: lambda a, b: np.heaviside(np.sign(a) * 0.0, b),
    np.round: lambda a, _: bounded(a) * np.round(a, 1),
    np.cumsum: lambda a, _: np.cumsum(bounded(a), axis=-1) + np.cumsum(bounded(a))[-1],
    np.cumprod: lambda a, _: np.cumprod(bounded(a) + 1.1, axis=0),
    np.prod: lambda a, _: np.prod(bounded(a) + 1.1, axis=-1),
    np.convolve: lambda a, b: np.convolve(bounded(a[0]), bounded(b[0])),
    order: lambda a, _: bounded(a) * order(a),
    np.take_along_axis: lambda a, _: np.take_along_axis(a, last_places(a), -1),
    scattered_along: lambda a, _: scattered_along(a[..., :3], a, last_places(a), -1),
    diagonals: lambda a, _: diagonals(a, 1),
    np.tril: lambda a, _: np.tril(a, -1) + np.triu(a),
    np.triu: lambda a, _: np.triu(a, 1),
    np.roll: lambda a, _: np.roll(a, 1, axis=-1) * bounded(np.roll(a, 2)),
    np.pad: lambda a, _: np.pad(a, ((0, 1), (2, 0))),
    interval: lambda a, b: np.interp(bounded(a), np.sort(b[0] * 2.5), b[0]),
    np.einsum: lambda a, b: bounded(np.einsum("ij,jk->ki", a, b)),
    L.norm: lambda a, _: a / (L.norm(a, axis=-1, keepdims=True) + 1.5),
    L.inv: lambda a, _: L.inv(apart(a)),
    L.det: lambda a, _: bounded(L.det(apart(a)) / 8),
    log_abs_det: lambda a, _: L.slogdet(apart(a)).logabsdet,
    sign_of_det: lambda a, _: bounded(a) * L.slogdet(apart(a)).sign,
    L.solve: lambda a, b: L.solve(apart(a), b),
    L.pinv: lambda a, _: L.pinv(apart(a)),
    L.cholesky: lambda a, _: L.cholesky(apart(a)),
    L.eigvalsh: lambda a, _: L.eigvalsh(apart(a)),
    eigenvectors: lambda a, _: np.square(eigenvectors(apart(a))),
    svd_part: lambda a, _: np.square(L.svd(apart(a))[0]) + svd_part(apart(a), 1),
    qr_part: lambda a, _: np.square(L.qr(apart(a)).R),
}
"""Steps for the ops that networks are not made of."""


STEPS: dict[Any, Step] = {
    np.add: lambda a, b: a + b,
    np.subtract: lambda a, b: a - b,
    np.multiply: lambda a, b: bounded(a) * b,
    np.divide: lambda a, b: a / (b * b + 1.5),
    np.negative: lambda a, _: -a,
    np.positive: lambda a, _: +a,
    np.power: lambda a, b: bounded(a) ** 3 + (a * a + 1.5) ** bounded(b),
    np.exp: lambda a, _: np.exp(-a * a),
    np.log: lambda a, _: np.log(np.absolute(a) + 1.5),
    np.sqrt: lambda a, _: np.sqrt(a * a + 1.25),
    np.square: lambda a, _: np.square(bounded(a)),
    np.absolute: lambda a, _: np.absolute(a),
    np.tanh: lambda a, _: np.tanh(a),
    np.maximum: lambda a, b: np.maximum(a, b),
    np.minimum: lambda a, b: np.minimum(a, 0.25) + np.minimum(b, a),
    np.where: lambda a, b: np.where(a > 0.1, a, b),
    np.clip: lambda a, b: (
        np.clip(a, -0.7, 0.9) + np.clip(b, 0.3, None) + np.clip(b, None, bounded(a))
    ),
    np.matmul: lambda a, b: bounded(a @ b),
    np.sum: lambda a, _: bounded(a.sum(axis=-1, keepdims=True)),
    np.mean: lambda a, _: a.mean(axis=0) + np.mean(a),
    np.max: lambda a, _: a - a.max(axis=-1, keepdims=True),
    np.min: lambda a, _: a.min(axis=-1),
    astype: lambda a, _: astype(a, np.float64),
    np.copy: lambda a, _: np.copy(a),
    np.reshape: lambda a, _: a.reshape(-1)[None],
    np.expand_dims: lambda a, _: np.expand_dims(a, -1),
    np.squeeze: lambda a, _: np.squeeze(a[..., :1], -1),
    np.transpose: lambda a, _: a.T,
    np.swapaxes: lambda a, _: np.swapaxes(a, -1, -2),
    np.broadcast_to: lambda a, _: np.broadcast_to(a, (2, *a.shape)),
    np.concatenate: lambda a, b: np.concatenate([a, b, a], axis=-1),
    np.stack: lambda a, _: np.stack([a, bounded(a) * 2.25], axis=0).sum(axis=0),
    operator.getitem: lambda a, _: a[..., [0, 0, -1]] + a[..., :1] + a[0],
    scattered: lambda a, _: scatter(a, (Ellipsis, None), a[..., None]) + scatter(a[0], 0, a),
    relu: lambda a, _: relu(a),
    mse: lambda a, b: mse(a, b),
    **{f: chosen(f) for f in SIGNS},
    **{f: combined(f) for f in LOGIC},
    **{f: stepped(f) for f in ROUND},
    np.logical_not: lambda a, b: np.where(np.logical_not(a > b), a, bounded(a)),
    np.invert: lambda a, b: np.where(~(a > b), bounded(a), a),
    np.floor_divide: lambda a, _: bounded(a) * (a // 0.75),
    np.zeros_like: lambda a, _: a + np.zeros_like(a),
    np.ones_like: lambda a, _: a * np.ones_like(a),
    **{f: of_one(f) for f in SMOOTH},
    **{f: of_two(f) for f in LOSSES},
    F.logsumexp: lambda a, _: F.logsumexp(a, axis=-1, keepdims=True) + F.logsumexp(a),
    F.bce_with_logits: lambda a, b: F.bce_with_logits(a, F.sigmoid(b)),
    F.cross_entropy: lambda a, _: F.cross_entropy(a, labels(a)),
    F.onehot: lambda a, _: a * F.onehot(labels(a), a),
    **MORE_STEPS,
}

COMPOSED_STEPS: dict[Any, Step] = {
    np.divmod: lambda a, b: np.divmod(a, b * b + 1.5)[1],
    np.modf: lambda a, _: np.modf(a)[0],
    **{f: of_one(f) for f in (np.degrees, np.radians, np.real, np.conjugate)},
    np.around: lambda a, _: a * np.around(a),
    np.fix: lambda a, _: bounded(a) * (np.fix if isinstance(a, Tensor) else np.trunc)(a),
    np.average: lambda a, b: np.average(a, weights=b * b + 1.5, axis=0),
    np.var: lambda a, _: np.var(a, axis=0) + np.var(a, ddof=1),
    np.std: lambda a, _: np.std(a, axis=-1, keepdims=True),
    np.ptp: lambda a, _: np.ptp(a, axis=0),
    np.cov: lambda a, _: np.cov(a),
    np.corrcoef: lambda a, _: np.corrcoef(a, rowvar=False),
    np.median: lambda a, _: np.median(a, axis=0) + np.median(a),
    np.quantile: lambda a, _: np.quantile(a, [0.25, 0.7], axis=-1),
    np.percentile: lambda a, _: np.percentile(a, 30),
    **{
        f: lambda a, _, f=f: f(np.stack([np.where(a > 0.8, np.nan, a), a]), axis=0)
        for f in (np.nansum, np.nanprod, np.nanmax, np.nanmin, np.nanmean, np.nanvar)
    },
    **{f: lambda a, _, f=f: f(a, axis=0) for f in (np.nanstd, np.nancumsum, np.nancumprod)},
    np.diff: lambda a, _: np.diff(a, axis=0, prepend=0.5),
    np.ediff1d: lambda a, _: np.ediff1d(a),
    np.gradient: lambda a, _: np.gradient(a, axis=-1),
    np.trapezoid: lambda a, _: np.trapezoid(a, dx=0.5),
    np.unwrap: lambda a, _: np.unwrap(4 * a),
    np.correlate: lambda a, b: np.correlate(a[0], b[0], "same"),
    np.interp: lambda a, b: np.interp(a, np.sort(b[0]), b[0] * 1.5),
    np.moveaxis: lambda a, _: np.moveaxis(a, 0, -1),
    np.rollaxis: lambda a, _: np.rollaxis(a, 1),
    np.matrix_transpose: lambda a, _: np.matrix_transpose(a),
    **{f: of_one(f) for f in (np.atleast_1d, np.atleast_2d, np.atleast_3d)},
    **{f: of_one(f) for f in (np.flip, np.fliplr, np.flipud, np.rot90, np.ravel)},
    **{f: lambda a, _, f=f: f([a, bounded(a)]) for f in (np.hstack, np.vstack, np.dstack)},
    np.column_stack: lambda a, _: np.column_stack([a[0], a[-1]]),
    np.concatenate: lambda a, b: np.concatenate([a, b], axis=-1),
    np.stack: lambda a, _: np.stack([a, a]),
    np.append: lambda a, b: np.append(a, b),
    np.block: lambda a, _: np.block([[a, a], [bounded(a), a]]),
    **{f: lambda a, _, f=f: f(a, [1])[0] for f in (np.array_split, np.split, np.vsplit)},
    **{f: lambda a, _, f=f: f(a, [1])[1] for f in (np.hsplit, np.dsplit)},
    np.repeat: lambda a, _: np.repeat(a, 2, axis=-1),
    np.tile: lambda a, _: np.tile(a, (2, 1)),
    np.resize: lambda a, _: np.resize(a, (2, 3)),
    np.broadcast_arrays: lambda a, b: np.broadcast_arrays(a, b)[0],
    np.meshgrid: lambda a, b: np.meshgrid(a[0], b[0])[0],
    np.full_like: lambda a, _: np.full_like(a, 2.5) * a,
    np.take: lambda a, _: np.take(a, [0, -1, 0], axis=-1),
    np.sort: lambda a, _: np.sort(a, axis=0),
    np.delete: lambda a, _: np.delete(a, 1, axis=-1),
    np.insert: lambda a, _: np.insert(a, 1, 0.5, axis=-1),
    np.compress: lambda a, _: np.compress([True, False, True], a, axis=-1),
    np.extract: lambda a, _: np.extract(np.arange(a.size) % 2, a),
    np.select: lambda a, b: np.select([a > 0.5, b > 0.5], [a, b], 0.25),
    np.choose: lambda a, b: np.choose(a > 0.5, [a, b]),
    np.diagonal: lambda a, _: np.diagonal(a, 1),
    np.diag: lambda a, _: np.diag(a[0]),
    np.diagflat: lambda a, _: np.diagflat(a),
    np.tensordot: lambda a, b: bounded(np.tensordot(a, b, 1)),
    np.inner: lambda a, b: bounded(np.inner(a, b)),
    np.dot: lambda a, b: bounded(np.dot(a, b)),
    np.vdot: lambda a, _: bounded(np.vdot(a, a)),
    np.outer: lambda a, b: bounded(np.outer(a, b)),
    np.kron: lambda a, b: bounded(np.kron(a, b)),
    np.cross: lambda a, _: bounded(np.cross(a[..., :3], a[..., [1, 0, -1]])),
    np.trace: lambda a, _: bounded(np.trace(a)),
    np.vecdot: lambda a, _: bounded(np.vecdot(a, a)),
    **({np.matvec: lambda a, b: bounded(np.matvec(a, b[0]))} if hasattr(np, "matvec") else {}),
    **({np.vecmat: lambda a, b: bounded(np.vecmat(a[0], b))} if hasattr(np, "vecmat") else {}),
    **({np.unstack: lambda a, _: np.unstack(a)[0]} if hasattr(np, "unstack") else {}),
    **{f: lambda a, _, f=f: f(a, axis=0) for f in (np.amax, np.amin)},
    L.multi_dot: lambda a, b: bounded(L.multi_dot([a, b, b.T])),
    L.matrix_power: lambda a, _: bounded(L.matrix_power(apart(a), 3)),
    L.slogdet: lambda a, _: L.slogdet(apart(a))[1],
    L.eigh: lambda a, _: L.eigh(apart(a))[0],
    L.svd: lambda a, _: L.svd(apart(a)).S,
    L.svdvals: lambda a, _: L.svdvals(apart(a)),
    L.qr: lambda a, _: L.qr(apart(a), "r") ** 2,
    L.vector_norm: lambda a, _: L.vector_norm(a, axis=0),
    L.matrix_norm: lambda a, _: L.matrix_norm(a, ord=1),
    **{f: of_one(f) for f in (L.matrix_transpose, L.diagonal, L.trace)},
    L.tensordot: lambda a, b: bounded(L.tensordot(a, b, axes=1)),
    L.outer: lambda a, b: bounded(L.outer(a[0], b[0])),
    L.matmul: lambda a, b: bounded(L.matmul(a, b)),
    L.cross: lambda a, _: bounded(L.cross(a[..., :3], a[..., [1, 0, -1]])),
    L.vecdot: lambda a, _: bounded(L.vecdot(a, a)),
}
"""Steps for the functions that are written with others; REGISTERED has no place for them."""

ALL_STEPS = STEPS | COMPOSED_STEPS
LINALG = {f for f in ALL_STEPS if re.search("linalg|linear_algebra", module_of(f))}
"""These know no extended precision, which the differences are taken in."""
WITHOUT_A_NODE = dict(FORWARDS)

SHAPES = {"W[0]": (3, 4), "W[1]": (4, 3), "b": (3,), "g": (1, 4), "s": (), "q": (4, 1)}


def arrays_for(seed: int, n: int, dtype: Any = np.float64) -> dict[str, Any]:
    """The data x and the parameters of a graph; the latter are the same for every n."""
    rng = np.random.default_rng(seed)
    arrays = {name: rng.normal(size=shape).astype(dtype) for name, shape in SHAPES.items()}
    return {"x": np.random.default_rng(seed + n).normal(size=(n, 3)).astype(dtype), **arrays}


def build(
    seed: int, arrays: dict[str, Any], first: Any = None, given: list[Tensor] | None = None
) -> tuple[Any, list[Tensor]]:
    """A loss and its leaves: what is built follows from the seed, and from what shapes allow.

    `given` are x and the leaves, if there are some already. Every second graph records constants
    too; two of five hold a gradient and what is made of it.
    """
    rng = np.random.default_rng(seed)
    x, *leaves = given or [
        Tensor(arrays["x"], name="x"),
        *(Tensor(arrays[name], True, name) for name in SHAPES),
    ]
    pool: list[Any] = [x, *leaves]
    steps = [step for step in STEPS if step not in LINALG]
    plan = [first] if first else []
    plan += [steps[i] for i in rng.integers(len(steps), size=rng.integers(3, 9))]
    shared = rng.integers(len(pool))
    with record_all() if seed % 2 else nullcontext():
        for k, step in enumerate(plan):
            for _ in range(12 if k == 0 else 4):  # until shapes fit
                pair = [rng.integers(len(pool)) if rng.random() > 0.3 else shared for _ in "ab"]
                new = applied(ALL_STEPS[step], *(pool[i] for i in pair))
                if new is not None:
                    if rng.random() < 0.4 and new.name is None:
                        new.name = f"h[{k}]"
                    pool.append(new)
                    break
        loss = total(rng, pool)
        if first and pool[len(leaves) + 1 :]:  # what comes first is not lost
            loss = loss + np.mean(np.tanh(pool[len(leaves) + 1]))
        if seed % 5 < 2:
            w = leaves[rng.integers(2)]
            (g,) = grad(loss, [w], create_graph=True, allow_unused=True)
            if g is not None and g.requires_grad:
                loss = np.sum(np.tanh(g) * 1.25) + loss
    return loss, leaves


def applied(step: Step, a: Any, b: Any) -> Any:
    """The result of a step, or None if the shapes do not allow it."""
    try:
        new = step(a, b)
    except (TinygradMLPError, ValueError, IndexError, TypeError):
        return None
    return new if 0 < new._data.size <= 400 and new.requires_grad else None


def total(rng: np.random.Generator, pool: list[Any]) -> Any:
    """A scalar that depends on the last few values and on every parameter of the first layer."""
    loss = np.sum(np.tanh(pool[0] @ pool[1]) * 0.75)
    for v in [v for v in pool if v.op is not None][-4:]:
        loss = loss + (np.sum(np.tanh(v)) if rng.random() < 0.5 else np.mean(v * v))
    return loss
