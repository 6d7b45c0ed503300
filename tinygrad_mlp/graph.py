"""The graph and the walk over it: nodes, recording mode, overwritten values, the backward pass.

A node is made by applying an op to arguments. It points at its arguments and nothing points back,
so a graph that is no longer used is freed at once. Nodes carry the number of their making; walking
them from the highest number down is a topological order, without recursion, at any depth.
"""

import itertools
import operator
import threading
from collections.abc import Iterable
from contextlib import ContextDecorator
from contextvars import ContextVar, Token
from typing import Any, Self

from .errors import GradientError
from .formatting import describe, name_of
from .primitives import PRIMITIVES, reads

__all__ = ["Node", "backward_pass", "no_grad", "parents", "toposort", "wrote"]

OFF, ON, ALL = range(3)
"""What is recorded: nothing, what a gradient needs, everything (while a derivation is traced)."""

MODE: ContextVar[int] = ContextVar("tinygrad_mlp.mode", default=ON)
COUNTER = itertools.count(1)
NO_KWARGS: dict[str, Any] = {}


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


class grad_on(no_grad):
    """Record even inside `no_grad`: for a backward pass that will be differentiated."""

    mode = ON


def parents(node: Node) -> tuple[Node, ...]:
    """The nodes among the arguments of `node`, in order; one used twice comes twice."""
    return tuple(a for a in node.args if isinstance(a, Node))


def toposort(root: Node) -> list[Node]:
    """The nodes that `root` was computed from and that require a gradient, latest first.

    Leaves are left out: there is nothing to walk on to.
    """
    seen = {root}
    order = [root] if root.needs else []
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


def wrote(*owners: Any) -> None:
    """Note that these arrays, or the bindings of these nodes, have just changed."""
    global _last_write
    with _lock:
        _last_write = next(COUNTER)
        _WRITES.update(dict.fromkeys(map(id, map(base_of, owners)), _last_write))


def check_overwritten(order: list[Node]) -> None:
    """Raise if a value that a rule is about to read has changed since it was recorded."""
    if not order or _last_write < order[-1].index:
        return
    for node in order:
        rules = [PRIMITIVES[node.op][i] for i in node.needs]
        read = [any(of_rule) for of_rule in zip(*(reads(r, len(node.args)) for r in rules))]
        for value in itertools.compress((node, *node.args), read):
            if isinstance(value, Node) and node.index < max(
                _WRITES.get(id(value), 0), _WRITES.get(id(base_of(value._data)), 0)
            ):
                raise GradientError(
                    f"{name_of(node.op)}: the value of {describe(value)} was overwritten after "
                    f"{name_of(node.op)} used it, and its backward pass needs it. Run the forward "
                    f"pass again, or change a copy instead."
                )


# --- the backward pass ----------------------------------------------------------------------------


def unbroadcast(g: Any, shape: tuple[int, ...]) -> Any:
    """Sum `g` over the axes along which an array of `shape` was stretched to the shape of `g`."""
    if g.shape[1:] == shape:
        return g.sum(axis=0)
    extra = g.ndim - len(shape)
    axes = tuple(i for i in range(g.ndim) if i < extra or (shape[i - extra] == 1 != g.shape[i]))
    if axes:
        g = g.sum(axis=axes[0] if len(axes) == 1 else axes)
    return g if g.shape == shape else g.reshape(shape)


def backward_pass(
    root: Node, g: Any, wanted: Iterable[Node] | None = None, create_graph: bool = False
) -> dict[Node, Any]:
    """Carry the cotangent `g` of `root` back through the graph.

    Parameters
    ----------
    root : Node
    g : array, or Node if `create_graph`
        Cotangent of `root`.
    wanted : nodes, optional
        Compute only what leads to these. By default everything that requires a gradient.
    create_graph : bool
        Run the rules on nodes, so that they are recorded and can be differentiated again.

    Returns
    -------
    dict
        The cotangent of each node in `wanted` that `root` depends on; by default, of each leaf and
        each node that retains its gradient.
    """
    order = toposort(root)
    check_overwritten(order)
    path = None
    keep: Any = ()
    if wanted is not None:
        keep = set(wanted)
        path = on_path(order, keep)
        order = [node for node in order if node in path]
    cotangents = {root: g}
    get, pop = cotangents.get, cotangents.pop
    for node in order:
        g = get(node) if node.retains_grad or node in keep else pop(node)
        rules = PRIMITIVES[node.op]
        args = node.args
        kwargs = node.kwargs
        y = node if create_graph else node._data
        values = args if create_graph else node.values
        for i in node.needs if path is None else path[node]:
            c = rules[i](g, y, *values, **kwargs) if kwargs else rules[i](g, y, *values)
            a = args[i]
            shape = a._data.shape
            if c.shape != shape:
                c = unbroadcast(c, shape)
            old = get(a)
            cotangents[a] = c if old is None else old + c  # not in place: c may be shared
    return cotangents
