"""Whether a program that was derived at one length of the batch is right at any other.

Two things could tie it to the length: a number in the forward pass that was computed from it, which
the graph cannot see, and an axis that is the batch without saying so. The first is looked for among
the numbers; the second is tried, by running the graph again at other lengths.
"""

import math
import operator
from collections.abc import Iterator
from typing import Any

import numpy as np

from .errors import TinygradMLPError
from .graph import Node, Size, backward_pass
from .printing import Derivation, is_parameter
from .shaping import order
from .tensor import Tensor
from .values import evaluate

__all__ = ["with_batch"]

AXES = {
    *(np.sum, np.mean, np.max, np.min, np.transpose, np.swapaxes, np.expand_dims, np.squeeze),
    *(np.concatenate, np.stack, np.prod, np.cumsum, np.cumprod, np.take_along_axis, order),
}
"""Ops whose numbers are axes."""

NEAR = 1e-9
OTHERS = (7, 11, 13, 17, 19, 23)


def with_batch(d: Derivation, forward: list[Any]) -> Derivation:
    """The derivation with its batch, if it is right for other lengths as well.

    Data are the inputs that require no gradient; their first axis is the batch. A batch of one does
    not tell a stretched axis from the batch.
    """
    data = [v for v in d.inputs if not is_parameter(v)]
    lengths = {v.shape[0] if v.shape else 0 for v in data}
    n = lengths.pop() if len(lengths) == 1 else 0
    if n < 2 or any(tied(node, n) for node in forward):
        return d
    taken = {n, *(size for v in d.inputs for size in v.shape)}
    other = next((m for m in OTHERS if m not in taken), 29)
    free = d._replace(batch=n)
    if not holds(free, other):
        return d
    return free if holds(free, 1) else free._replace(smallest=2)


# --- numbers --------------------------------------------------------------------------------------


def tied(node: Any, n: int) -> bool:
    """Whether a number among the arguments of `node` may come from the length n."""
    if node.op in AXES:
        return False
    args = [*node.args, *node.kwargs.values()]
    if node.op in (np.multiply, np.divide, np.power):
        if any(not isinstance(a, (Node, np.ndarray)) and a == 1 for a in args):
            return True  # nobody multiplies by one but with a number that happens to be one
        args = [
            a
            for a in args
            if not (node.op is np.power and type(a) in (int, float) and a in (2, 3, 0.5))
        ]
    first: list[Any] = []  # what may say which part of the batch is meant
    if node.op is np.reshape:  # -1 is no length
        first, args = [a for a in plain_numbers(args[1:]) if a != -1], []
    elif node.op is operator.getitem:
        first, args = list(plain_numbers(args[1:2])), args[2:]
    return any(from_length(a, n, True) for a in first) or any(
        from_length(a, n) for a in plain_numbers(args)
    )


def plain_numbers(args: list[Any]) -> Iterator[Any]:
    """The numbers among arguments, also in indices; a list counts as such."""
    stack = args
    while stack:
        a = stack.pop()
        if isinstance(a, slice):
            stack += [a.start, a.stop, a.step]
        elif isinstance(a, tuple):
            stack += a
        elif isinstance(a, list):
            yield math.nan
        elif isinstance(a, Node):
            if a.op is None and a._data.ndim == 0 and not a.requires_grad and a.name is None:
                yield a._data.item()
        elif isinstance(a, (np.generic, np.ndarray)):
            if a.ndim == 0:
                yield a.item()
        elif isinstance(a, (int, float)) and not isinstance(a, (bool, Size)):
            yield a


def from_length(number: Any, n: int, part: bool = False) -> bool:
    """Whether `number` may have been computed from the length n.

    Short numbers (0.5, 3, 1e-4) may not, unless they are near to it: n - 1, n / 2, 3 / n ... A
    number that says which `part` of an array is meant may also be n // 2 or n // 3.

    >>> [from_length(x, 32) for x in (2, 0.01, 32, 1 / 32, 31, 32**-0.5)]
    [False, False, True, True, True, True]
    """
    a = abs(number)
    if a == 0 or isinstance(number, bool) or a == math.inf:
        return False
    if a != a or float(f"{a:.2g}") != a:
        return True
    close = [k * b for b in (n, n * n, n * (n - 1)) for k in (1, 2, 3, 4, 0.5, 1 / 3, 0.25)]
    close += [n + k for k in (-2, -1, 1, 2)] + [n**0.5, math.log(n), math.log2(n)]
    close += [n // 2, n // 3] if part else []
    return any(abs(r - b) <= NEAR * r for r in (a, 1 / a) for b in close)


# --- trying ---------------------------------------------------------------------------------------


def holds(d: Derivation, m: int) -> bool:
    """Whether the backward lines say what autograd says at a batch of length m."""
    arrays, tensors = {}, {}
    for v in d.inputs:
        a = np.asarray(getattr(v.node, "_data", v.node))
        arrays[id(v)] = a = a if is_parameter(v) else np.resize(a, (m, *a.shape[1:]))
        tensors[id(v)] = Tensor(a, is_parameter(v))
    with np.errstate(all="ignore"):
        try:
            graph = evaluate([v for v in d.lines if not v.backward], tensors)
            root = graph[id(d.loss)]
            grads = backward_pass(root, root._seed(), [graph[id(x)] for x, _ in d.results])
            found = evaluate(d.lines, arrays)
        except (TinygradMLPError, ValueError, TypeError, LookupError, ArithmeticError):
            return False
        pairs = [(found[id(g)], grads[graph[id(x)]]) for x, g in d.results]
        return all(same(a, np.asarray(b, a.dtype)) for a, b in pairs)


def same(a: Any, b: Any) -> bool:
    """Whether two gradients agree up to rounding."""
    if np.shape(a) != np.shape(b):
        return False
    tolerance = 1e3 * float(np.finfo(b.dtype).eps)
    size = np.max(np.abs(b), initial=0.0, where=np.isfinite(b))
    return bool(np.allclose(a, b, tolerance, tolerance * size, equal_nan=True))
