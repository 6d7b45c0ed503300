"""Hypothesis strategies: shapes that broadcast, indices, small graphs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

SIDES = 4
"""No axis is longer: what goes wrong goes wrong on small arrays."""


def broadcastable(n: int) -> Any:
    """Shapes of `n` arrays that broadcast, axes of length 0 and 1 among them, and the result's."""
    return npst.mutually_broadcastable_shapes(
        num_shapes=n, max_dims=3, min_side=0, max_side=SIDES
    ).map(lambda shapes: (shapes.input_shapes, shapes.result_shape))


def cotangents() -> Any:
    """Seeds of a generator: what matters about a cotangent is its shape."""
    return st.integers(0, 2**32 - 1)


def indices(shape: tuple[int, ...]) -> Any:
    """What indexes an array of `shape`: basic, integer arrays that repeat, boolean, mixed."""
    kinds = [
        npst.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True),
        npst.arrays(bool, shape),
        npst.arrays(bool, shape[:1]),
    ]
    if 0 not in shape:
        kinds += [
            npst.integer_array_indices(shape),
            st.lists(st.integers(-shape[0], shape[0] - 1), max_size=6),
            st.tuples(
                st.just(slice(None)) if len(shape) > 1 else st.just(...),
                st.lists(st.integers(-shape[-1], shape[-1] - 1), max_size=6),
            )
            if len(shape) < 3
            else st.tuples(
                st.lists(st.integers(-shape[0], shape[0] - 1), min_size=2, max_size=2),
                st.slices(shape[1]),
                st.lists(st.integers(-shape[2], shape[2] - 1), min_size=2, max_size=2),
            ),
        ]
    return st.one_of(kinds)


OPS = (
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: np.tanh(a * b),
    lambda a, b: np.tanh(a @ b),
    lambda a, b: a / (2 + np.square(np.tanh(b))),
    lambda a, _: -2.5 * a,
    lambda a, _: np.transpose(a),
    lambda a, b: a + np.sum(b, axis=0),
    lambda a, b: np.exp(np.tanh(a)) - b[0],
    lambda a, b: np.concatenate([a, b], axis=1)[:, 1:3],
    lambda a, b: np.stack([a[1], b[0]]),
    lambda a, _: a[[1, 1]],
)
"""Steps on (2, 2) matrices, analytic and of modest growth."""

Program = list[tuple[int, int, int]]


def programs() -> Any:
    """Up to ten steps: (op, argument, argument), where an argument is any earlier value."""
    step = st.tuples(st.integers(0, len(OPS) - 1), st.integers(0, 9), st.integers(0, 9))
    return st.lists(step, min_size=1, max_size=10)


def run_program(program: Program, values: Sequence[Any]) -> Any:
    """The sum of all that the program computes, from arrays or from Tensors."""
    pool = list(values)
    total: Any = 0.0
    for op, i, j in program:
        pool.append(OPS[op](pool[-1 - i % len(pool)], pool[-1 - j % len(pool)]))
        total = total + np.sum(pool[-1])
    return total
