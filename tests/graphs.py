"""Random graphs from every op: a step per op, and a builder that is steered by a seed alone."""

import operator
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np

from tinygrad_mlp import Tensor, TinygradMLPError, functional, grad, mse, relu, scatter
from tinygrad_mlp.graph import record_all
from tinygrad_mlp.ops import astype, scattered
from tinygrad_mlp.primitives import PRIMITIVES

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
    np.clip: lambda a, b: np.clip(a, -0.7, 0.9) + np.clip(b, 0.3) + np.clip(b, None, bounded(a)),
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
}

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
    steps = list(STEPS)
    plan = [first] if first else []
    plan += [steps[i] for i in rng.integers(len(steps), size=rng.integers(3, 9))]
    shared = rng.integers(len(pool))
    with record_all() if seed % 2 else nullcontext():
        for k, step in enumerate(plan):
            for _ in range(12 if k == 0 else 4):  # until shapes fit
                pair = [rng.integers(len(pool)) if rng.random() > 0.3 else shared for _ in "ab"]
                new = applied(STEPS[step], *(pool[i] for i in pair))
                if new is not None:
                    if rng.random() < 0.4:
                        new.name = f"h[{k}]"
                    pool.append(new)
                    break
        loss = total(rng, pool)
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
