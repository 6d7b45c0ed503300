"""The graph and the walk over it: nodes, recording mode, overwritten values, the backward pass.

A node is made by applying an op to arguments. It points at its arguments and nothing points back,
so a graph that is no longer used is freed at once. Nodes carry the number of their making; walking
them from the highest number down is a topological order, without recursion, at any depth.
"""

import itertools
import operator
import threading
from collections.abc import Iterable, Sequence
from contextlib import ContextDecorator
from contextvars import ContextVar, Token
from heapq import heapify, heappop, heappush
from typing import Any, Self

import numpy as np

from .errors import GradientError
from .formatting import describe, name_of
from .primitives import PRIMITIVES, reads

__all__ = ["Node", "backward_pass", "no_grad", "parents", "toposort", "wrote"]

OFF, ON, ALL, SEALED = range(4)
"""What is recorded: nothing; what a gradient needs; everything; everything, and nobody may look
at a value, because what is traced will run again with others."""

MODE: ContextVar[int] = ContextVar("tinygrad_mlp.mode", default=ON)
LAST: ContextVar[Any] = ContextVar("tinygrad_mlp.last", default=None)
"""A weak reference to what `backward()` was last called on: the loss, for whoever asks."""

COUNTER = itertools.count(1)
NO_KWARGS: dict[str, Any] = {}
ndarray, add_reduce = np.ndarray, np.add.reduce


class Node:
    """A value and how it was made; the part of a Tensor that the walks see."""

    __slots__ = (
        *("_data", "op", "args", "kwargs", "values", "needs", "index", "requires_grad"),
        *("retains_grad", "grad", "name", "scope", "__weakref__"),
    )

    _data: Any  # an array
    op: Any  # the function applied; None on a leaf
    args: tuple[Any, ...]  # what the op was applied to: nodes, arrays, numbers, slices ...
    values: tuple[Any, ...]  # the same with the arrays behind the nodes
    needs: tuple[int, ...]  # positions of the arguments that a cotangent goes to
    kwargs: dict[str, Any]
    index: int  # number of its making
    requires_grad: bool
    retains_grad: bool
    grad: Any  # an array like _data, or None
    shape: Any
    name: str | None
    scope: str | None  # the group it is drawn in


class no_grad(ContextDecorator):
    """Record nothing: results require no gradient, and ``t[...] = v`` may change a parameter.

    A context manager and a decorator, per thread and per asynchronous task.

    Examples
    --------
    >>> from tinygrad_mlp import Tensor, no_grad
    >>> w = Tensor([1.0, 2.0], requires_grad=True)
    >>> with no_grad():
    ...     y = w * 2
    >>> y.requires_grad
    False
    """

    mode = OFF

    def __init__(self) -> None:
        self._tokens: list[Token[int]] = []

    def _recreate_cm(self) -> Self:
        return type(self)()  # a decorated function may run in two threads at once

    def __enter__(self) -> None:
        self._tokens.append(MODE.set(self.mode))

    def __exit__(self, *_: object) -> None:
        MODE.reset(self._tokens.pop())


class record_all(no_grad):
    """Record constants and the sources of sizes too: what a derivation of this pass needs."""

    mode = ALL


class sealed(no_grad):
    """Record everything and let nothing depend on a value: for a compiled function."""

    mode = SEALED


def unsealed(node: Node) -> Any:
    """The array of `node`, for use outside the graph; refused while a function is compiled."""
    if MODE.get() == SEALED:
        raise GradientError(
            f"jit: the function looks at {describe(node, 'a traced value')}, which is another at "
            f"each call. Use np.where instead of if; or compute it outside and pass it in."
        )
    return node._data


class Size(int):
    """A length that remembers the node and axis it was read from, or how it was computed."""

    source: tuple[Any, ...]

    def __new__(cls, value: int, *source: Any) -> Self:
        size = int.__new__(cls, value)
        size.source = source
        return size

    def __add__(self, n: int) -> "Size":
        return Size(int(self) + n, "+", self, n)

    def __radd__(self, n: int) -> "Size":
        return Size(n + int(self), "+", n, self)

    def __mul__(self, n: int) -> "Size":
        return Size(int(self) * n, "*", self, n)

    def __rmul__(self, n: int) -> "Size":
        return Size(n * int(self), "*", n, self)

    def __sub__(self, n: int) -> "Size":
        return Size(int(self) - n, "-", self, n)

    def __floordiv__(self, n: int) -> "Size":
        return Size(int(self) // n, "//", self, n)


def parents(node: Node) -> tuple[Node, ...]:
    """The nodes among the arguments of `node`, in order; one used twice comes twice."""
    return tuple(a for a in node.args if isinstance(a, Node))


def toposort(*roots: Node) -> list[Node]:
    """The nodes that `roots` were computed from and that require a gradient, latest first.

    Leaves are left out: there is nothing to walk on to.
    """
    seen = set(roots)
    order = [root for root in seen if root.needs]
    for node in order:  # grows while it is walked
        args = node.args
        for i in node.needs:
            a = args[i]
            if a not in seen:
                seen.add(a)
                if a.needs:
                    order.append(a)
    order.sort(key=by_index, reverse=True)
    return order


by_index = operator.attrgetter("index")


def on_path(order: list[Node], wanted: set[Node]) -> dict[Node, tuple[int, ...]]:
    """The nodes that lead to `wanted`, each with the positions of the arguments that do."""
    path: dict[Node, tuple[int, ...]] = dict.fromkeys(wanted, ())
    for node in reversed(order):
        needs = tuple([i for i in node.needs if node.args[i] in path])
        if needs:
            path[node] = needs
    return path


# --- overwritten values ---------------------------------------------------------------------------

_WRITES: dict[int, int] = {}
"""id of a base array, or of a node for its binding -> number of the last change. An id that is used
again does no harm: whatever reads the new array is younger than the change of the old one."""
_last_write = 0
_lock = threading.Lock()


def base_of(array: Any) -> Any:
    """The array that owns the memory of `array`; of anything else, itself."""
    while getattr(array, "base", None) is not None:
        array = array.base
    return array


def wrote(owners: Sequence[Any]) -> None:
    """Note that these arrays, or the bindings of these nodes, have just changed."""
    global _last_write
    with _lock:
        _last_write = number = next(COUNTER)
        for a in owners:
            _WRITES[id(a)] = number
            if getattr(a, "base", None) is not None:
                _WRITES[id(base_of(a))] = number


def changed_at(item: Any) -> int:
    """The number of the last change to an array, or to a node or the array behind it; 0: none."""
    array = item._data if isinstance(item, Node) else item
    return max(_WRITES.get(id(item), 0), _WRITES.get(id(base_of(array)), 0))


def check_overwritten(order: Iterable[Node]) -> None:
    """Raise if a value that a rule is about to read has changed since it was recorded."""
    for node in order:
        if node.index > _last_write:
            continue
        rules = [PRIMITIVES[node.op][i] for i in node.needs]
        read = [any(of_rule) for of_rule in zip(*(reads(r, len(node.args)) for r in rules))]
        for value in itertools.compress((node, *node.args), read):
            if isinstance(value, Node) and changed_at(value) > node.index:
                raise GradientError(
                    f"{name_of(node.op)}: the value of {describe(value)} was overwritten after "
                    f"{name_of(node.op)} used it, and its backward pass needs it. Run the forward "
                    f"pass again, or change a copy instead."
                )


# --- the backward pass ----------------------------------------------------------------------------


def unbroadcast(g: Any, shape: tuple[int, ...]) -> Any:
    """Sum `g` over the axes along which an array of `shape` was stretched to the shape of `g`."""
    if g.shape[1:] == shape:
        return add_reduce(g) if type(g) is ndarray else g.sum(axis=0)  # 0.25 us less
    if g.ndim > len(shape):
        g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    ones = tuple([i for i, n in enumerate(shape) if n == 1 != g.shape[i]])
    return g.sum(axis=ones[0] if len(ones) == 1 else ones, keepdims=True) if ones else g


def backward_pass(
    root: Node | dict[Node, Any],
    g: Any = None,
    wanted: Iterable[Node] | None = None,
    create_graph: bool = False,
    check: bool = True,
) -> dict[Node, Any]:
    """Carry the cotangent `g` of `root` back through the graph.

    Parameters
    ----------
    root : Node, or a dict from several to their cotangents
    g : array, or Node if `create_graph`
        Cotangent of `root`.
    wanted : nodes, optional
        Compute only what leads to these. By default everything that requires a gradient.
    create_graph : bool
        Run the rules on nodes, so that they are recorded and can be differentiated again.
    check : bool
        Raise where a value that a rule reads was overwritten.

    Returns
    -------
    dict
        The cotangent of each node in `wanted` that `root` depends on; by default, of each leaf and
        each node that retains its gradient.
    """
    cotangents = dict(root) if isinstance(root, dict) else {root: g}
    keep: Any = ()
    path = None
    if wanted is not None:
        keep = set(wanted)
        path = on_path(toposort(*cotangents), keep)
    last_write = _last_write if check else 0
    waiting = [(-node.index, node) for node in cotangents]  # whatever used a node comes before it
    heapify(waiting)
    while waiting:
        node = heappop(waiting)[1]
        needs = node.needs if path is None else path.get(node, ())
        if not needs:
            continue
        if node.index < last_write:
            check_overwritten((node,))
        g = cotangents[node]
        if not node.retains_grad and node not in keep:
            del cotangents[node]
        rules = PRIMITIVES[node.op]
        args, kwargs = node.args, node.kwargs
        if create_graph:
            y, values = node, args
        else:
            y, values = node._data, node.values
        two = len(values) == 2 and not kwargs
        if two:  # a call without a star takes 0.15 us less
            u, v = values
        for i in needs:
            c = rules[i](g, y, u, v) if two else rules[i](g, y, *values, **kwargs)
            a = args[i]
            if c.shape != a._data.shape:
                c = unbroadcast(c, a.shape if create_graph else a._data.shape)
            if a in cotangents:
                cotangents[a] = cotangents[a] + c  # not in place: c may be shared
            else:
                cotangents[a] = c
                if a.needs:
                    heappush(waiting, (-a.index, a))
    return cotangents
