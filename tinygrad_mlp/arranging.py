"""A recorded graph and its gradients as a derivation: lowered, named, in order."""

import heapq
import itertools
import math
import operator
import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from .formatting import module_of
from .graph import Node, Size
from .lengths import with_batch
from .printing import Derivation, fresh, is_parameter
from .tensor import Tensor
from .values import Lowering, Number, Value, parts, reads

__all__ = ["arranged", "arranged_results", "everything"]

WEIGHT = 8
"""So many ops stand in one line at most; beyond, a part of it gets a name of its own."""


def arranged(
    loss: Tensor, targets: list[Any], grads: dict[Any, Any], longest: int = WEIGHT
) -> Derivation:
    """Lower everything, name it, and put it in order; forward lines of up to `longest` ops."""
    lowering = Lowering()
    nodes = everything([loss, *grads.values()])
    for node in nodes:
        lowering.lower(node)
        value = lowering.made[id(node)]
        if isinstance(value, Value) and value.node is node:
            value.backward = node.op is not None and node.index > loss.index
    top = as_line(lowering.made[id(loss)], loss)
    top.name = top.name or "L"
    name_inputs([*lowering.inputs, *(lowering.made[id(x)] for x in targets)])
    forward = [v for v in lowering.same.values() if v.name is not None and not v.backward]
    unique_names([*lowering.inputs, *sorted(forward, key=position)])
    slopes = slopes_of(lowering, grads)
    name_gradients(slopes)
    results: list[tuple[Value, Value]] = []
    owned: set[int] = set()
    for x in targets:
        of, value = lowering.made[id(x)], lowering.made[id(grads[x])]
        fits = isinstance(value, Value) and value.of == of.name and id(value) not in owned
        if not fits or may_share(value):
            if fits:  # the copy takes its name
                value.name, value.of = None, ""
            value = as_line(value, x, copy=True)
        owned.add(id(value))
        value.name, value.of, value.backward = f"d{of.name}", of.name, True
        results.append((of, value))
    last = [v for _, v in results]
    drafted = lines_of([top, *last], longest)
    for v in drafted:  # what was not told apart from a part of a long line may be a gradient
        if v.backward and not v.of:
            v.name = None
    finished = {id(x) for x, _ in results}
    name_gradients([(x, g) for x, g in slopes if id(x) not in finished])
    lines = scheduled(lines_of([top, *last], longest), last)
    used = {id(r) for v in lines for r in reads(v)} | {id(x) for x, _ in results}
    inputs = [v for v in lowering.inputs if id(v) in used]
    unique_names([*inputs, *lines])
    shown = {id(v) for v in [*inputs, *lines]}
    gradients: dict[str, Any] = {}
    for x, g in [*slopes, *results]:
        if id(g) not in shown:  # a number all over, as of a sum, is put in where it is read
            g = g.args[0] if isinstance(g, Value) and g.op is np.broadcast_to else g
        if id(x) in shown and (id(g) in shown or isinstance(g, Number)):
            gradients[str(x.name)] = g
    derivation = Derivation(inputs, lines, results, top, None, gradients=gradients)
    return with_batch(derivation, [n for n in nodes if n.index <= loss.index])


def arranged_results(results: list[Any], longest: int = WEIGHT) -> Derivation:
    """The same for the forward pass alone, of any results; the last of them stands for the loss."""
    lowering = Lowering()
    for node in everything(results):
        lowering.lower(node)
    for x in results:
        if x.op is None and isinstance(lowering.made[id(x)], Number):
            del lowering.made[id(x)]
            lowering.input(x, None)
    made = [lowering.made[id(x)] for x in results]
    tops = [v if isinstance(v, Value) else as_line(v, x) for v, x in zip(made, results)]
    name_inputs(lowering.inputs)
    for top in tops:
        top.name = top.name or "L"
    lines = scheduled(lines_of(tops, longest), [])
    used = {id(r) for v in lines for r in reads(v)} | set(map(id, tops))
    inputs = [v for v in lowering.inputs if id(v) in used]
    unique_names([*inputs, *lines])
    return Derivation(inputs, lines, [], tops[-1], None)


def slopes_of(lowering: Lowering, grads: dict[Any, Any]) -> list[tuple[Value, Any]]:
    """Each value and its gradient, latest first; none for what was computed in several places."""
    found: dict[int, list[tuple[Value, Any]]] = {}
    for x in sorted(grads, key=lambda node: -node.index):
        of = lowering.made[id(x)]  # a value: what requires a gradient is no number
        found.setdefault(id(of), []).append((of, lowering.made[id(grads[x])]))
    return [pairs[0] for pairs in found.values() if len(pairs) == 1]


def name_gradients(slopes: list[tuple[Value, Any]]) -> None:
    """Call the gradient of what has a name d and that name: dZ[1]."""
    for of, g in slopes:
        if of.name is not None and isinstance(g, Value) and g.backward and g.name is None:
            g.name, g.of = f"d{of.name}", of.name


VIEWS = {
    *(np.reshape, np.transpose, np.swapaxes, np.squeeze, np.expand_dims, np.broadcast_to),
    *(operator.getitem, np.einsum),
}
"""Ops whose result may share memory with what they are applied to."""


def may_share(v: Value) -> bool:
    """Whether the array of `v` may share memory with another: a user's own op may do anything."""
    if v.op in VIEWS:
        return any(isinstance(a, Value) for a in v.args)
    return module_of(v.op).partition(".")[0] not in ("numpy", __package__)


def as_line(value: Any, like: Any, copy: bool = False) -> Value:
    """`value` as a value with a line of its own: a number stretched, an array copied."""
    if isinstance(value, Number):
        return Value(np.broadcast_to, (value, tuple(Number(n) for n in like.shape)), {}, like._data)
    if copy or value.op is None:
        return Value(np.copy, (value,), {}, like._data)
    return value  # type: ignore[no-any-return]  # it is a Value


def everything(roots: Iterable[Any]) -> list[Any]:
    """All nodes that the roots were computed from, earliest first."""
    stack = list(dict.fromkeys(roots))
    seen = set(stack)
    for node in stack:  # grows while it is walked
        for a in [*node.args, *node.kwargs.values()]:
            fresh = [b for b in sources(a) if b not in seen]
            seen.update(fresh)
            stack += dict.fromkeys(fresh)
    return sorted(stack, key=lambda n: n.index)


def sources(a: Any) -> list[Node]:
    """The nodes in one argument, those whose length it is included."""
    found: list[Node] = []
    stack = [a]
    while stack:
        a = stack.pop()
        if isinstance(a, Node):
            found.append(a)
        elif isinstance(a, Size):
            stack += a.source
        elif isinstance(a, tuple):
            stack += a
        elif isinstance(a, slice):
            stack += [a.start, a.stop, a.step]
    return found


def name_inputs(values: list[Any]) -> None:
    """Names for those that have none: w, w2 ... for parameters, v for what was computed, c else."""
    taken = {v.name for v in values if isinstance(v, Value)}
    last: dict[str, int] = {}
    for v in values:
        if isinstance(v, Value) and v.name is None:
            base = "v" if v.op is not None else "w" if is_parameter(v) else "c"
            v.name = fresh(base, taken, last, "")
            v.unnamed = True
            taken.add(v.name)


def lines_of(roots: list[Value], longest: int) -> list[Value]:
    """The values with lines of their own: named ones, some used twice, parts of long ones."""
    seen = {id(v): v for v in roots}
    stack = list(roots)
    uses: dict[int, int] = {}
    for v in stack:  # grows while it is walked
        for b in parts(v):
            if isinstance(b, Value):
                uses[id(b)] = uses.get(id(b), 0) + 1
                if id(b) not in seen:
                    seen[id(b)] = b
                    stack.append(b)
    taken = {v.name for v in seen.values()}
    weight: dict[int, int] = {}
    lines: list[Value] = []
    names = (name for n in itertools.count(1) if (name := f"h{n}") not in taken)
    for v in sorted((v for v in stack if v.op is not None), key=position):
        inner = [b for b in parts(v) if isinstance(b, Value) and b.op and b.name is None]
        weight[id(v)] = 1 + sum(weight[id(b)] for b in inner)
        if v.name is None and (
            weight[id(v)] >= (WEIGHT if v.backward else longest)
            or (uses.get(id(v), 0) > 1 and not is_cheap(v))
        ):
            layer = re.fullmatch(r"layer (\d+)", getattr(v.node, "scope", None) or "")
            if layer and v.op is np.matmul:
                v.name = fresh(f"M[{int(layer[1]) + 1}]", taken)  # of Z[i+1] = M[i+1] + B[i]
            else:
                v.name = next(names)
            taken.add(v.name)
        if v.name is not None:
            lines.append(v)
    return lines


def position(v: Value) -> tuple[bool, float]:
    """When a value is made: forward before backward, then by the number of its node."""
    return (bool(v.backward), math.inf if v.node is None else v.node.index)


def is_cheap(v: Value) -> bool:
    """Whether a value may stand in several lines: the transpose of something named."""
    return v.op in (np.transpose, np.swapaxes) and v.args[0].name is not None


def scheduled(lines: list[Value], results: list[Value]) -> list[Value]:
    """The order of the lines: forward, then each result as soon as what it needs is there."""
    place = {id(v): i for i, v in enumerate(results)}

    def urgency(v: Value) -> tuple[int, float]:
        if id(v) in place:
            return 1, place[id(v)]
        backward, i = position(v)
        return 2 * backward, i

    made = sorted(lines, key=urgency)
    rank = {id(v): i for i, v in enumerate(made)}
    missing: dict[int, int] = {}
    needed_by: dict[int, list[int]] = {}
    for i, v in enumerate(made):
        before = [id(r) for r in reads(v) if id(r) in rank]
        missing[i] = len(before)
        for r in before:
            needed_by.setdefault(r, []).append(i)
    ready = [i for i in missing if not missing[i]]  # a heap, for it is sorted
    order: list[Value] = []
    while ready:
        v = made[heapq.heappop(ready)]
        order.append(v)
        for i in needed_by.get(id(v), ()):
            missing[i] -= 1
            if not missing[i]:
                heapq.heappush(ready, i)
    return order


def unique_names(values: list[Value]) -> None:
    """Of values with one name, the later ones get a number."""
    taken: set[str] = set()
    last: dict[str, int] = {}
    for v in values:
        v.name = fresh(str(v.name), taken, last)
        taken.add(v.name)
