"""Rows of the table of ops, and how the usual ones are made."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_mlp.primitives import PRIMITIVES


@dataclass(frozen=True)
class Case:
    """A call of an op whose derivative is checked with respect to arrays of these shapes."""

    fun: Callable[..., Any]
    shapes: tuple[tuple[int, ...], ...]
    call: Callable[..., Any] | None = None  # (fun, *arrays) -> result; fun(*arrays) if not given
    expected: Callable[..., Any] | None = None  # (*arrays) -> result, for functions NumPy lacks
    values: Callable[[np.random.Generator, tuple[int, ...]], Any] | None = None
    is_complex: bool = True  # runs, and is analytic, on complex numbers
    note: str = ""

    def __str__(self) -> str:
        note = f"-{self.note}" if self.note else ""
        return f"{self.fun.__name__}-{'-'.join(map(str, self.shapes))}{note}".replace(" ", "")

    def __call__(self, *arrays: Any) -> Any:
        return self.call(self.fun, *arrays) if self.call else self.fun(*arrays)

    def arrays(self, dtype: Any = float, seed: int = 0) -> list[Any]:
        rng = np.random.default_rng(seed)
        values = self.values or spread
        return [np.asarray(values(rng, shape), dtype) for shape in self.shapes]

    def cotangent(self, dtype: Any = float, seed: int = 1) -> Any:
        shape = np.shape(self(*self.arrays()))
        return np.asarray(np.random.default_rng(seed).uniform(0.5, 1.5, shape), dtype)

    @property
    def empty(self) -> bool:
        return any(0 in shape for shape in self.shapes)

    @property
    def rules(self) -> tuple[Any, ...]:
        return PRIMITIVES[self.fun]


def spread(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Values between -2 and 2, each at least 0.02 away from 0, from ±1 and from each other."""
    n = int(np.prod(shape))
    grid = np.linspace(-1.97, 1.97, 61)
    grid = grid[(abs(grid) > 0.02) & (abs(abs(grid) - 1) > 0.02)]
    return rng.permutation(grid)[:n].reshape(shape) + rng.uniform(-0.01, 0.01)


def positive(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    return rng.uniform(0.3, 2.0, shape)


# Shapes that every elementwise function is tried with: (), empty, a matrix, and what broadcasts.
UNARY: tuple[Any, ...] = (((2, 3),), ((),), ((0, 3),))
BINARY: tuple[Any, ...] = (
    *(
        ((2, 3), (2, 3)),
        ((), ()),
        ((0, 3), (0, 3)),
        ((2, 3), (3,)),
        ((3,), (2, 3)),
        ((2, 1), (1, 3)),
    ),
    *(((2, 3), ()), ((), (2, 3)), ((1, 2, 1), (2, 3)), ((0, 3), (1, 3)), ((0, 3), ())),
    *(((1, 1), (3,)), ((2, 2, 3), (2, 1, 3)), ((1,), (0,))),
)


def unary(fun: Any, **kwargs: Any) -> list[Case]:
    return [Case(fun, shapes, **kwargs) for shapes in UNARY]


def binary(fun: Any, **kwargs: Any) -> list[Case]:
    """Two arrays, and a plain number on either side."""
    numbers = [
        Case(fun, ((2, 3),), lambda f, a: f(a, 1.25), note="number", **kwargs),
        Case(fun, ((2, 3),), lambda f, a: f(1.25, a), note="number on the left", **kwargs),
        Case(fun, ((2, 3),), lambda f, a: f(a, 2), note="int", **kwargs),
        Case(fun, ((),), lambda f, a: f(a, 1.25), note="number", **kwargs),
        Case(fun, ((2,),), lambda f, a: f(a, a), note="both", **kwargs),
    ]
    return [Case(fun, shapes, **kwargs) for shapes in BINARY] + numbers


def reduction(fun: Any, empty: bool, **kwargs: Any) -> list[Case]:
    """Over no, one, several and negative axes; `empty`: also over an axis of length 0."""

    def over(shape: tuple[int, ...], **how: Any) -> Case:
        note = ",".join(f"{k}={v}" for k, v in how.items())
        return Case(fun, (shape,), lambda f, a: f(a, **how), note=note, **kwargs)

    cases = [
        *(
            over((2, 3)),
            over(()),
            over((2, 3), axis=0),
            over((2, 3), axis=1),
            over((2, 3), axis=-1),
        ),
        *(over((2, 3), axis=1, keepdims=True), over((2, 3), keepdims=True), over((5,), axis=0)),
        *(over((2, 3, 2), axis=(0, 2)), over((2, 3, 2), axis=(-1, 0), keepdims=True)),
        *(over((2, 3, 2), axis=1), over((2, 1), axis=1), over((0, 3), axis=1)),
        *(over((2, 3), axis=()), over((3, 1, 2), axis=(1,))),
    ]
    return cases + ([over((0, 3)), over((0, 3), axis=0)] if empty else [])
