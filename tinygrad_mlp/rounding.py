"""What is right, and how far from it another right program may be, through rounding alone.

The graph of a loss is computed again in float64. With each value and each gradient goes the
variance of its rounding errors, in the dtype of the program to be judged, as if they were
independent. A sum of n products has the error ``u max(1, √n / 2) Σ|products|``, where u is half the
distance from 1 to the next number; through a matrix product an error goes as a variance, by the
squares of the other factor. (The √n / 2 is for programs that add one after the other: without it, a
sum over a batch of 4096 was seen to be off by 35 standard deviations.)
"""

import operator
from typing import Any, NamedTuple

import numpy as np

from . import ops
from .functional import cross_entropy, onehot
from .graph import ON, Node, backward_pass, no_grad, toposort, unbroadcast
from .ops import mse, relu
from .primitives import PRIMITIVES
from .shaping import scattered_along
from .tensor import Tensor
from .values import CALLED

__all__ = ["Truth", "coarsest", "recording", "run_again", "truths"]

SAFETY = 4
"""For other ops: a standard deviation is taken to be so much larger than the largest difference of
a run in float32, which may have been lucky."""


class Truth(NamedTuple):
    """What is right, and how far a right program may be from it."""

    right: Any
    sigma: Any  # standard deviation of rounding, for each entry or for all
    slack: Any  # more, where a convention about the slope at 0 decides


class recording(no_grad):
    """Record, even inside `no_grad`."""

    mode = ON


def truths(
    loss: Node, wanted: list[tuple[Node, bool]], dtype: Any, limit: float
) -> tuple[list[Truth], str]:
    """What is right, for each wanted (node, whether its gradient), and a note on how it was found.

    Parameters
    ----------
    loss : Node
        A scalar.
    wanted : list of (Node, bool)
        Nodes of its graph that require a gradient.
    dtype : dtype
        In which the program to be judged may compute.
    limit : float
        In standard deviations: a relu unit whose z is nearer to 0 may be active or not.
    """
    info = np.finfo(dtype)
    order = toposort(loss)
    with recording(), np.errstate(all="ignore"):
        fine, gradients = run_again(loss, np.float64)
        if modelled(order):
            rounding = Rounding(fine[loss], gradients, info, limit)
            return [rounding.truth(fine[node], gradient) for node, gradient in wanted], ""
        coarse, coarse_gradients = run_again(loss, np.float32)
        note = (
            f"there are other ops than matmul, add, relu and mse: a sigma is {SAFETY} times the "
            f"difference of a run in float32, scaled to {dtype}"
        )
        return [
            measured(gradients[fine[node]], coarse_gradients[coarse[node]], info)
            if gradient
            else measured(fine[node]._data, coarse[node]._data, info)
            for node, gradient in wanted
        ], note


def coarsest(order: list[Node], arrays: list[Any]) -> Any:
    """The coarsest floating point type among the leaves of a graph and some arrays."""
    every = [node.values[i] for node in order for i in node.needs if node.args[i].op is None]
    dtypes = {a.dtype for a in [*every, *arrays] if a.dtype.kind == "f"} | {np.dtype(float)}
    return max(dtypes, key=lambda dtype: float(np.finfo(dtype).eps))


# --- again ----------------------------------------------------------------------------------------

INDEXED: set[Any] = {operator.getitem, ops.scattered, cross_entropy, onehot}
INDEXED |= {np.take_along_axis, scattered_along, np.ldexp}
"""Integers among the arguments of these are no numbers to compute with."""


def run_again(loss: Node, dtype: Any) -> tuple[dict[Node, Tensor], dict[Node, Any]]:
    """The graph of `loss` computed in `dtype`: each node with its new one, and all cotangents."""
    new: dict[Node, Tensor] = {}

    def again(a: Any, kinds: str) -> Any:
        """An argument of an op in the new graph."""
        if isinstance(a, float):
            return float(a)  # also NumPy's float64: a plain number loses ties, and widens nothing
        if isinstance(a, Node) and a in new:
            return new[a]
        value = a._data if isinstance(a, Node) else a
        if not isinstance(value, (np.ndarray, np.generic)):
            return a
        leaf = Tensor(value.astype(dtype) if value.dtype.kind in kinds else value)
        if isinstance(a, Node) and a.requires_grad:
            leaf.requires_grad = True
            new[a] = leaf
        return leaf

    for node in reversed(toposort(loss)):
        kinds = "f" if node.op in INDEXED else "fiu"
        args = [again(a, kinds) for a in node.args]
        new[node] = CALLED.get(node.op, node.op)(*args, **node.kwargs)
    root = new[loss]
    return new, backward_pass(root, np.ones_like(root._data), new.values())


def measured(fine: Any, coarse: Any, info: Any) -> Truth:
    """Rounding by the difference between float64 and float32, and at least one unit."""
    spread = np.max(abs(fine - coarse), initial=0) / float(np.finfo(np.float32).eps)
    unit = max(spread, np.max(abs(fine), initial=0)) * float(info.eps)
    return Truth(fine, SAFETY * unit + float(info.smallest_subnormal), 0.0)


# --- the model ------------------------------------------------------------------------------------


def modelled(order: list[Node]) -> bool:
    """Whether `Rounding` knows all the ops."""
    loss, *rest = order
    return loss.op is mse and len(loss.args) == 2 and not loss.kwargs and all(map(known, rest))


def known(node: Node) -> bool:
    """Whether `Rounding` knows the op of `node`."""
    if node.op is np.matmul:
        return all(value.ndim == 2 for value in node.values)
    return node.op in (np.add, relu)


class Rounding:
    """Variances of values and cotangents, in units of u²; None where a value is exact."""

    def __init__(self, loss: Node, gradients: dict[Node, Any], info: Any, limit: float) -> None:
        self.u, self.tiny = float(info.eps) / 2, float(info.smallest_subnormal)
        self.gradients = gradients
        self.of_value: dict[Any, Any] = {}
        self.of_gradient: dict[Any, Any] = {loss: np.zeros(loss._data.shape)}
        self.undecided: dict[Any, Any] = {}  # relu -> where its slope may be 0 or 1
        self.slack: dict[Any, Any] = {}
        order = toposort(loss)
        for node in reversed(order[1:]):
            self.of_value[node] = self._forward(node, limit)
        for node in order:
            for i in node.needs:
                a: Any = node.args[i]
                self.of_gradient[a] = self._backward(node, i) + self.of_gradient.get(a, 0.0)
                if self.undecided:
                    self.slack[a] = self._slack(node, i) + self.slack.get(a, 0.0)

    def truth(self, node: Node, gradient: bool) -> Truth:
        if not gradient:
            return Truth(node._data, self._sigma(self.of_value[node]), 0.0)
        sigma = self._sigma(self.of_gradient[node])
        return Truth(self.gradients[node], sigma, self.slack.get(node, 0.0))

    def _sigma(self, variance: Any) -> Any:
        return self.u * np.sqrt(variance) + self.tiny

    def _sum(self, terms: int, size: Any) -> Any:
        """Variance of a sum of `terms` rounded numbers whose absolute values add up to `size`."""
        size = size + terms * self.tiny / self.u  # the error of a subnormal number does not shrink
        return (max(1.0, terms**0.5 / 2) * size) ** 2

    def _product(self, a: Any, va: Any, b: Any, vb: Any) -> Any:
        """Variance of a @ b."""
        v = self._sum(a.shape[1], abs(a) @ abs(b))
        v = v if va is None else v + va @ (b * b)
        return v if vb is None else v + (a * a) @ vb

    def _arguments(self, node: Node) -> tuple[list[Any], list[Any]]:
        """The arguments as numbers, and their variances."""
        return [np.asarray(v, float) for v in node.values], list(map(self.of_value.get, node.args))

    def _added(self, node: Node) -> Any:
        """Variance of the sum, or difference, of the arguments."""
        args, variances = self._arguments(node)
        return self._sum(1, sum(map(abs, args))) + sum(v for v in variances if v is not None)

    def _open(self, node: Node) -> Any:
        """Where the slope of a relu is, or may be, 1."""
        return (node._data > 0) | self.undecided.get(node, False)

    def _forward(self, node: Node, limit: float) -> Any:
        """Variance of the value of `node`."""
        if node.op is np.add:
            return self._added(node)
        args, variances = self._arguments(node)
        if node.op is np.matmul:
            return self._product(args[0], variances[0], args[1], variances[1])
        v = 0.0 if variances[0] is None else variances[0]
        near = abs(args[0]) <= limit * self.u * np.sqrt(v)
        if near.any():
            self.undecided[node] = near
        return v * self._open(node)

    def _backward(self, node: Node, i: int) -> Any:
        """Variance of the cotangent that `node` hands to its argument i."""
        args, variances = self._arguments(node)
        v, g, shape = self.of_gradient[node], self.gradients[node], args[i].shape
        if node.op is mse:  # 2 (y - t) / batch
            return self._added(node) * (2 / (args[0].shape or (1,))[0]) ** 2
        if node.op is relu:
            return v * self._open(node)
        if node.op is np.add:
            terms = g.size // args[i].size
            v = unbroadcast(v, shape)
            return v if terms == 1 else v + self._sum(terms, unbroadcast(abs(g), shape))
        a, b = args
        va, vb = (None if variance is None else variance.T for variance in variances)
        return self._product(g, v, b.T, vb) if i == 0 else self._product(a.T, va, g, v)

    def _slack(self, node: Node, i: int) -> Any:
        """How far the undecided units can move the cotangent that argument i gets from `node`."""
        args, _ = self._arguments(node)
        if node.op is mse:
            return np.zeros(args[i].shape)
        slack = self.slack[node]
        if node.op is relu:
            return slack * self._open(node) + abs(self.gradients[node]) * self.undecided.get(
                node, 0
            )
        rule: Any = PRIMITIVES[node.op][i]
        return unbroadcast(rule(slack, node._data, *map(abs, args)), args[i].shape)
