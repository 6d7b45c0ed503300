"""Watch every op while it runs: `checked`, for finding where a nan comes from.

While a block is checked, the functions that record an op and run a backward pass are exchanged for
watching ones; otherwise nothing of this costs anything.
"""

import os
import sys
import threading
import zlib
from collections.abc import Iterable
from contextlib import ContextDecorator, ExitStack
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple, Self
from weakref import ref

import numpy as np

from . import tensor, transforms
from .errors import GradientError, NumericsError
from .formatting import describe, name_of
from .graph import Node, backward_pass, toposort
from .ops import astype, relu
from .primitives import PRIMITIVES, reads

__all__ = ["checked"]

WATCHING: ContextVar["checked | None"] = ContextVar("tinygrad_mlp.watching", default=None)
BINARY, MADE = tensor.binary, tensor.made
INSIDE = tuple(str(Path(file).parent) + os.sep for file in (__file__, np.__file__))

_open = 0  # blocks that any thread is in
_lock = threading.Lock()


class Origin(NamedTuple):
    """What is remembered of an op that was watched."""

    where: str
    prints: tuple[int, ...]  # of its value and its arguments
    node: Any  # a reference that takes this out of ORIGINS with the node


ORIGINS: dict[int, Origin] = {}
"""By the number of the node."""


class checked(ContextDecorator):
    """Stop at the first op that does something nobody wants; a context manager and a decorator.

    Inside, an error is raised where

    - an op makes nan or inf out of finite numbers, forward or backward, or is given data with nan;
    - the result of an op has a wider dtype than a Tensor that went in, as float64 among float32;
    - an array was changed by a write that the graph cannot see, ``t.data[...] = v``, after an op
      used it and before the backward pass reads it.

    It names the op, its arguments and the line of your code. What is only suspicious is noted:
    units that relu sets to 0 for the whole batch, numbers too small for all their digits,
    parameters that the loss does not depend on, or whose gradients are a millionth of the largest.

    NumPy's warnings about the same are silent. Everything takes a few times as long, and only ops
    made inside are watched.

    Parameters
    ----------
    parameters : iterable of Tensor
        To be looked at in each backward pass: ``net.parameters()``.

    Attributes
    ----------
    notes : list of str

    Raises
    ------
    NumericsError
        For numbers and dtypes.
    GradientError
        For a write.

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_mlp import Tensor
    >>> x = Tensor([1.0, 0.0], requires_grad=True, name="x")
    >>> with checked():  # doctest: +ELLIPSIS
    ...     y = np.log(x)
    Traceback (most recent call last):
    ...
    tinygrad_mlp.errors.NumericsError: log made -inf at [1]; x (2,) is 0.0 there. ...
    """

    def __init__(self, parameters: Iterable[tensor.Tensor] = ()) -> None:
        self.parameters = list(parameters)
        self.notes: list[str] = []
        self._stacks: list[ExitStack] = []

    def note(self, text: str) -> None:
        """Note something, once."""
        if text not in self.notes:
            self.notes.append(text)

    def _recreate_cm(self) -> Self:
        return type(self)(self.parameters)  # a decorated function may run in two threads at once

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(WATCHING.reset, WATCHING.set(self))
            exchange(1)
            stack.callback(exchange, -1)
            stack.enter_context(np.errstate(all="ignore"))
            self._stacks.append(stack.pop_all())
        return self

    def __exit__(self, *_: object) -> None:
        self._stacks.pop().close()


def exchange(step: int) -> None:
    """Watch while any block is open."""
    global _open
    with _lock:
        _open += step
        tensor.binary = watched_binary if _open else BINARY
        tensor.made = watched_made if _open else MADE
        tensor.backward_pass = transforms.backward_pass = (  # type: ignore[attr-defined]
            watched_pass if _open else backward_pass
        )


# --- forward --------------------------------------------------------------------------------------


def watched_binary(op: Any, fun: Any, a: Any, b: Any) -> Any:
    """`tensor.binary`, watched."""
    out = BINARY(op, fun, a, b)
    by = WATCHING.get()
    if by:
        watch(out, op, (a, b), by)
    return out


def watched_made(data: Any, op: Any, args: Any, values: Any, needs: Any, kwargs: Any) -> Any:
    """`tensor.made`, watched."""
    out = MADE(data, op, args, values, needs, kwargs)
    by = WATCHING.get()
    if by:
        watch(out, op, args, by)
    return out


def watch(out: Any, op: Any, args: tuple[Any, ...], by: checked) -> None:
    """Raise if this op made something of nothing; remember what it saw."""
    y = out._data
    named = [(a, tensor.plain(a)) for a in args]
    for a, value in named:
        if isinstance(a, Node) and value.dtype.kind == "f" == y.dtype.kind:
            if value.dtype.itemsize < y.dtype.itemsize and op is not astype:
                raise NumericsError(
                    f"{name_of(op)} made {y.dtype} of {described(a)}, which is {value.dtype}; "
                    f"given were {given(args)}. Use astype on what is wider. {line()}"
                )
            if a.op is None and np.isnan(value).any():
                raise NumericsError(
                    f"{name_of(op)} was given nan: {described(a)}{first(np.isnan(value))[1]} is "
                    f"nan. {line()}"
                )
    if not finite(y) and all(finite(value) for _, value in named):
        place, at = first(~np.isfinite(y))
        alike = [(a, value) for a, value in named if place and np.shape(value) == y.shape]
        there = [f"{described(a)} is {value[place]} there" for a, value in alike]
        text = ", ".join(there) or f"given were {given(args)}"
        raise NumericsError(f"{name_of(op)} made {y[place]}{at}; {text}. {line()}")
    if out.op is not None:
        suspect(y, op, args, by)
        i, prints = out.index, tuple(map(fingerprint, (y, *out.values)))
        ORIGINS[i] = Origin(line(), prints, ref(out, lambda _: ORIGINS.pop(i, None)))


def suspect(y: Any, op: Any, args: tuple[Any, ...], by: checked) -> None:
    """Note units that are off and numbers that are too small."""
    if op is relu and y.ndim > 1 and len(y) > 1:
        off = ~(y > 0).any(axis=0)
        if off.any():
            by.note(
                f"relu of {described(args[0])}: {off.sum()} of {off.size} units are 0 for the "
                f"whole batch, and learn nothing from it. {line()}"
            )
    if y.dtype.kind == "f":
        small = (y != 0) & (abs(y) < np.finfo(y.dtype).tiny)
        if small.any():
            by.note(
                f"{name_of(op)} made {small.sum()} numbers below {np.finfo(y.dtype).tiny:.1e}, "
                f"which have fewer digits and are slow. {line()}"
            )


def first(where: Any) -> tuple[tuple[int, ...], str]:
    """The first place where it is so, and how to say it."""
    place = tuple(map(int, np.argwhere(where)[0]))
    return place, f" at {list(place)}" if place else ""


def finite(value: Any) -> bool:
    """Whether there is no nan and no inf in it."""
    numbers = isinstance(value, float) or getattr(value, "dtype", np.dtype(int)).kind in "fc"
    return not numbers or bool(np.isfinite(value).all())


def described(a: Any) -> str:
    """An argument by name, shape and dtype."""
    return describe(a, "array")


def given(args: tuple[Any, ...]) -> str:
    """The arguments with their dtypes."""
    return ", ".join(f"{described(a)}{f' {a.dtype}' if hasattr(a, 'dtype') else ''}" for a in args)


def line() -> str:
    """The line of the user's code that is running: ``net.py, line 24``."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(INSIDE):
        frame = frame.f_back
    return f"{Path(frame.f_code.co_filename).name}, line {frame.f_lineno}"


def fingerprint(value: Any) -> int:
    """A number that changes when the array does."""
    return zlib.crc32(value.tobytes()) if isinstance(value, np.ndarray) else 0


# --- backward -------------------------------------------------------------------------------------


def watched_pass(
    root: Any, g: Any = None, wanted: Any = None, create_graph: bool = False, check: bool = True
) -> dict[Node, Any]:
    """`backward_pass`, watched."""
    by = WATCHING.get()
    if not by:
        return backward_pass(root, g, wanted, create_graph, check)
    roots = dict(root) if isinstance(root, dict) else {root: g}
    order = toposort(*roots)
    for node in order:
        unchanged(node)
    every = {*roots, *(node.args[i] for node in order for i in node.needs)}
    found = backward_pass(roots, None, every, create_graph, check)
    for node in order:
        for i in node.needs:
            if not finite(tensor.plain(found[node.args[i]])):
                blame(node, i, tensor.plain(found[node]))
    look_at_gradients(found, by)
    keep = (
        set(wanted) if wanted is not None else {n for n in every if n.retains_grad or not n.needs}
    )
    return {node: c for node, c in found.items() if node in keep}


def look_at_gradients(found: dict[Node, Any], by: checked) -> None:
    """Note parameters that the loss does not depend on, or hardly."""
    sizes = {p: float(abs(tensor.plain(found[p])).max()) for p in by.parameters if p in found}
    most = max(sizes, key=sizes.__getitem__, default=None)
    for p in by.parameters:
        if p not in sizes:
            by.note(f"{described(p)}: the loss does not depend on it.")
        elif most is not None and sizes[p] < 1e-6 * sizes[most]:
            by.note(
                f"{described(p)}: its gradient is at most {sizes[p]:.1e}, that of "
                f"{described(most)} {sizes[most]:.1e}."
            )


def unchanged(node: Node) -> None:
    """Raise if a value that a rule of `node` is about to read is another than it was."""
    origin = ORIGINS.get(node.index)
    if origin is None:
        return
    rules = [PRIMITIVES[node.op][i] for i in node.needs]
    read = [any(of_rule) for of_rule in zip(*(reads(r, len(node.args)) for r in rules))]
    seen = ((node, node._data), *zip(node.args, node.values))
    for (a, value), old, is_read in zip(seen, origin.prints, read):
        if is_read and fingerprint(value) != old:
            raise GradientError(
                f"{name_of(node.op)} used {described(a)}, whose numbers have changed since, by a "
                f"write that the graph cannot see. Write t[...] = v under no_grad, or change a "
                f"copy. {origin.where}"
            )


def blame(node: Node, i: int, g: Any) -> None:
    """Raise if the rule of argument i makes nan or inf out of a finite cotangent."""
    c = PRIMITIVES[node.op][i](g, node._data, *node.values, **node.kwargs)
    if finite(g) and not finite(c):
        place, at = first(~np.isfinite(c))
        origin = ORIGINS.get(node.index)
        where = origin.where if origin else ""
        raise NumericsError(
            f"the gradient of {described(node.args[i])} through {name_of(node.op)} is {c[place]}"
            f"{at}, that of {describe(node, 'the result')} is finite. {where}"
        )
