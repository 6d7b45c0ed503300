"""Groups for pictures: `scope`, and how what a module computes is told to be its own."""

import threading
from contextlib import ContextDecorator
from contextvars import ContextVar, Token
from typing import Any, Self
from weakref import ref

from . import tensor
from .graph import COUNTER, Node, parents
from .tensor import Tensor

__all__ = ["place", "scope"]

MADE: ContextVar[list[Any] | None] = ContextVar("tinygrad_mlp.made", default=None)
"""References to what is made inside the innermost `scope` of this thread or task."""

_NEW = tensor.new
_open = 0  # scopes that any thread is in
_lock = threading.Lock()


def _tracked(cls: type[Tensor]) -> Tensor:
    """A new Tensor, noted down for the scope; in place of `tensor.new` while a scope is open."""
    t: Tensor = _NEW(cls)
    made = MADE.get()
    if made is not None:
        made.append(ref(t))
    return t


class scope(ContextDecorator):
    """Draw what is computed inside as one group; a context manager and a decorator.

    Sets ``.scope`` of every result made inside, and of the leaves made inside that they use, unless
    an inner scope or a module has. While no scope is open, recording an op costs nothing more.

    Parameters
    ----------
    name : str
        "layer 0", "layer 1", ... are drawn like the layers of an MLP.

    Examples
    --------
    >>> x = Tensor([[1.0, 2.0]], requires_grad=True)
    >>> with scope("norm"):
    ...     y = x / (x * x).sum()
    >>> y.scope, x.scope
    ('norm', None)
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._entered: list[tuple[int, Token[list[Any] | None]]] = []

    def _recreate_cm(self) -> Self:
        return type(self)(self.name)  # a decorated function may run in two threads at once

    def __enter__(self) -> Self:
        global _open
        with _lock:
            _open += 1
            tensor.new = _tracked  # type: ignore[assignment]  # of its type, but no method
        self._entered.append((next(COUNTER), MADE.set([])))
        return self

    def __exit__(self, *_: object) -> None:
        global _open
        start, token = self._entered.pop()
        made = MADE.get() or []
        MADE.reset(token)
        with _lock:
            _open -= 1
            if not _open:
                tensor.new = _NEW
        for reference in made:
            t = reference()
            if t is not None:
                for a in (t, *parents(t)):
                    if a.index > start and a.scope is None:
                        a.scope = self.name


def place(result: Any, start: int, name: str) -> None:
    """Set the scope of what `result` was computed from, as far as it is younger than `start`."""
    seen = set()
    stack = [result]
    while stack:
        a = stack.pop()
        if isinstance(a, Node):
            if a.index > start and a not in seen:
                seen.add(a)
                if a.scope is None:
                    a.scope = name
                stack += parents(a)
        elif isinstance(a, (list, tuple)):
            stack += a
        elif isinstance(a, dict):
            stack += a.values()
