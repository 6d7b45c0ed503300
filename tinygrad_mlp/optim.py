"""Optimizers: change parameters in place, from their gradients; clipping and learning rates.

The updates are PyTorch's. Each is written once, so that it holds for two kinds of arrays. NumPy's
are changed in place, block by block, with one scratch buffer and nothing else allocated. An array
of another library may be unchangeable; there, what an update returns becomes the parameter's array.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from .errors import DataError, GradientError, ShapeError
from .formatting import describe
from .graph import wrote
from .tensor import Tensor

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "RMSprop",
    "Schedule",
    "clip_grad_norm",
    "clip_grad_value",
    "cosine",
    "step_decay",
    "warm_up",
]

ndarray = np.ndarray
BLOCK = 32_768
"""Entries changed at a time: they stay in the cache between the product and the subtraction. A step
of a 1024-4096-4096-1024 network took 0.45 of the time of ``W -= lr * dW``."""


class Optimizer:
    """Parameters, and a step that changes them in place: what all optimizers share.

    A subclass says how one block changes, in ``_update(k, out, data, grad, *state)``, with
    `n_state` arrays per parameter that it keeps from step to step. It is step k of this parameter,
    counted from 1. `out` is scratch of the shape of the block, or None where a ufunc has to make a
    new array. `grad` stays as it is. The result is the new data and state; for NumPy, the same
    arrays.
    """

    n_state = 0

    def __init__(self, params: Iterable[Tensor], lr: float) -> None:
        if not hasattr(params, "__iter__"):
            raise TypeError(f"{type(self).__name__}: give parameters, such as net.parameters().")
        given = list(params)
        if not given:
            raise ShapeError(f"{type(self).__name__}: there are no parameters to optimize.")
        for p in given:
            if not (isinstance(p, Tensor) and p.requires_grad and p.op is None):
                raise GradientError(
                    f"{type(self).__name__}: {p!r} is not a parameter: not a Tensor made with "
                    f"requires_grad=True."
                )
        self.params = list(dict.fromkeys(given))  # one that two modules share is changed once
        self.lr = lr
        self._demand(lr >= 0, "lr", "a learning rate is 0 or more")
        self.state = [[np.zeros_like(p._data) for _ in range(self.n_state)] for p in self.params]
        self.counts = [0] * len(self.params)
        self._scratch: dict[Any, Any] = {}  # dtype -> buffer of BLOCK entries, made when needed

    def step(self) -> None:
        """Change every parameter that has a gradient."""
        changed = []
        for i, p in enumerate(self.params):
            grad, data, state = p.grad, p._data, self.state[i]
            if grad is None:
                continue
            self.counts[i] = k = self.counts[i] + 1
            if isinstance(data, np.ndarray):
                changed.append(data)
                whole = (data, grad, *state)
                for block in (whole,) if data.size <= BLOCK else blocks(*whole):
                    self._update(k, self._like(block[0]), *block)
            else:
                p.data, *self.state[i] = self._update(k, None, data, grad, *state)
        wrote(changed)

    def zero_grad(self) -> None:
        """Forget the gradients: ``.grad`` of every parameter is None again."""
        for p in self.params:
            p.grad = None

    def state_dict(self) -> dict[str, Any]:
        """All that the next steps depend on, but for parameters and gradients; arrays are copied.

        Returns
        -------
        dict
            "kind" of the optimizer, its "settings", "counts" of steps, "state": lists of arrays.
        """
        own = ("params", "state", "counts")
        settings = {k: v for k, v in vars(self).items() if k not in own and k[0] != "_"}
        return {
            "kind": type(self).__name__,
            "settings": settings,
            "counts": list(self.counts),
            "state": [[a.copy() for a in arrays] for arrays in self.state],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken: with its settings, learning rate included.

        Parameters
        ----------
        state : mapping
            Of an optimizer of this kind, of as many parameters of the same shapes.

        Raises
        ------
        DataError
            If it is of another kind, or of other parameters; nothing has changed then.
        """
        name = type(self).__name__
        if state.get("kind") != name:
            raise DataError(f"{name}.load_state_dict: the state is of {state.get('kind')}.")
        given = [[a.shape for a in arrays] for arrays in state["state"]]
        n = state["settings"].get("n_state", self.n_state)
        wanted = [[p.shape] * n for p in self.params]
        if given != wanted:
            raise DataError(
                f"{name}.load_state_dict: the state belongs to other parameters: of shapes "
                f"{[shapes[:1] for shapes in given]}, here {[p.shape for p in self.params]}."
            )
        for setting, value in state["settings"].items():  # a file has lists for tuples
            setattr(self, setting, tuple(value) if isinstance(value, list) else value)
        self.counts = list(state["counts"])
        self.state = [[a.copy() for a in arrays] for arrays in state["state"]]

    def _update(self, k: int, out: Any, data: Any, grad: Any, *state: Any) -> tuple[Any, ...]:
        raise NotImplementedError

    def _like(self, block: Any) -> Any:
        """Scratch of the shape and dtype of `block`."""
        buffer = self._scratch.get(block.dtype)
        if buffer is None:
            buffer = self._scratch[block.dtype] = np.empty(BLOCK, block.dtype)
        return buffer[: block.size].reshape(block.shape)

    def _demand(self, fine: bool, name: str, rule: str) -> None:
        if not fine:
            raise ValueError(f"{type(self).__name__}: {name}={getattr(self, name)!r}: {rule}.")


def blocks(*arrays: Any) -> Iterator[tuple[Any, ...]]:
    """Views of at most `BLOCK` entries at the same places of all `arrays`, which have one shape."""
    size = arrays[0].size
    if size <= BLOCK:
        yield arrays
        return
    if all(a.flags.c_contiguous for a in arrays):
        arrays = tuple([a.reshape(-1) for a in arrays])
    length = len(arrays[0])
    rows = BLOCK * length // size  # as many as fit
    for i in range(0, length, rows or 1):
        if rows:
            yield tuple([a[i : i + rows] for a in arrays])
        else:
            yield from blocks(*[a[i] for a in arrays])


def decayed(decay: float, out: Any, data: Any, grad: Any) -> Any:
    """The gradient of the loss with decay / 2 times the sum of squares of `data` added to it."""
    if not decay:
        return grad
    total = np.multiply(data, decay, out=out)
    total += grad
    return total


class SGD(Optimizer):
    """Stochastic gradient descent: ``v = momentum * v + dW``, ``W -= lr * v``.

    The update is PyTorch's, which has the learning rate outside of v. With Nesterov's momentum it
    is ``W -= lr * (dW + momentum * v)``: one more move along v, before it is made.

    Parameters
    ----------
    params : iterable of Tensor
        Leaves that require a gradient. One without a gradient is left as it is.
    lr : float
        Learning rate; may be changed between steps.
    momentum : float
    weight_decay : float
        This times W is added to dW.
    nesterov : bool
        Needs a momentum.

    Raises
    ------
    GradientError
        If something among `params` is not a parameter.

    References
    ----------
    I. Sutskever et al., On the importance of initialization and momentum in deep learning (2013),
    equations 1 to 4, with the learning rate moved.

    Examples
    --------
    >>> w = Tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = SGD([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.data
    array([0.8, 1.6])
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.nesterov = nesterov
        self._demand(0 <= momentum < 1, "momentum", "give a number from 0 to below 1")
        self._demand(weight_decay >= 0, "weight_decay", "give 0 or more")
        self._demand(momentum > 0 or not nesterov, "nesterov", "it needs a momentum above 0")
        self.n_state = 1 if momentum else 0
        self._rates: tuple[float, dict[str, Any]] = (-1.0, {})
        super().__init__(params, lr)

    def step(self) -> None:
        """Change every parameter that has a gradient."""
        if self.momentum or self.weight_decay:
            return super().step()
        lr = self.lr  # the rest is the same with less around it: small networks step often
        changed = []
        if lr != self._rates[0]:  # a product with an array of the same dtype takes half the time
            self._rates = lr, {d: np.array(lr, d) for d in "efd"}
        rates = self._rates[1]
        for p in self.params:
            grad = p.grad
            if grad is not None:
                data = old = p._data
                if type(data) is not ndarray:
                    data -= lr * grad
                    if data is not old:
                        p.data = data
                elif data.size > BLOCK:
                    for block, g in blocks(data, grad):
                        block -= lr * g
                else:
                    data -= rates.get(data.dtype.char, lr) * grad
                changed.append(data)
        wrote(changed)

    def _update(self, _k: int, out: Any, data: Any, grad: Any, *state: Any) -> tuple[Any, ...]:
        lr, momentum = self.lr, self.momentum
        g = decayed(self.weight_decay, out, data, grad)
        if momentum:
            (v,) = state
            v *= momentum
            v += g
            state = (v,)
        if self.nesterov or not momentum:
            data -= np.multiply(g, lr, out=out)
        if momentum:
            data -= np.multiply(v, lr * momentum if self.nesterov else lr, out=out)
        return data, *state


class Adam(Optimizer):
    """Steps of about the learning rate, whatever the size of the gradients.

    ``m`` and ``v`` are running means of dW and dW², k the number of the step:

        m = β₁ m + (1 - β₁) dW
        v = β₂ v + (1 - β₂) dW²
        W -= lr * m / (1 - β₁ᵏ) / (√(v / (1 - β₂ᵏ)) + eps)

    Parameters
    ----------
    params : iterable of Tensor
        Leaves that require a gradient. One without a gradient is left as it is, and so is its k.
    lr : float
        Learning rate; may be changed between steps.
    betas : (float, float)
    eps : float
    weight_decay : float
        This times W is added to dW, and scaled with it; `AdamW` does not scale it.

    References
    ----------
    D. P. Kingma and J. Ba, Adam: a method for stochastic optimization (2015), algorithm 1.

    Examples
    --------
    >>> w = Tensor([1.0, 200.0], requires_grad=True)
    >>> optimizer = Adam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.data.round(6)
    array([  0.9, 199.9])
    """

    n_state = 2
    decoupled = False

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        self.betas = betas
        self.eps = eps
        self.weight_decay = weight_decay
        self._demand(
            len(betas) == 2 and all(0 <= b < 1 for b in betas),
            "betas",
            "give two numbers from 0 to below 1",
        )
        self._demand(eps >= 0, "eps", "give 0 or more")
        self._demand(weight_decay >= 0, "weight_decay", "give 0 or more")
        super().__init__(params, lr)

    def _update(self, k: int, out: Any, data: Any, grad: Any, *state: Any) -> tuple[Any, ...]:
        m, v = state
        b1, b2 = self.betas
        decay = 0.0 if self.decoupled else self.weight_decay
        s = np.subtract(decayed(decay, out, data, grad), m, out=out)
        s *= 1 - b1
        m += s
        g = decayed(decay, out, data, grad)  # once more: there is room for one only
        s = np.multiply(g, g, out=out)
        s *= 1 - b2
        v *= b2
        v += s
        s = np.sqrt(v, out=out)
        s /= math.sqrt(1 - b2**k)
        s += self.eps
        s = np.divide(m, s, out=out)
        s *= self.lr / (1 - b1**k)
        if self.decoupled:
            data *= 1 - self.lr * self.weight_decay
        data -= s
        return data, m, v


class AdamW(Adam):
    """`Adam`, with a weight decay of its own: ``W *= 1 - lr * weight_decay`` before each step.

    Parameters
    ----------
    params, lr, betas, eps
        As of `Adam`.
    weight_decay : float

    References
    ----------
    I. Loshchilov and F. Hutter, Decoupled weight decay regularization (2019), algorithm 2, with the
    decay multiplied by the learning rate, as in PyTorch.

    Examples
    --------
    >>> w = Tensor([1.0, 200.0], requires_grad=True)
    >>> optimizer = AdamW([w], lr=0.1, weight_decay=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.data.round(6)
    array([  0.85, 189.9 ])
    """

    decoupled = True

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)


class RMSprop(Optimizer):
    """Gradients divided by the root of a running mean of their squares.

        v = α v + (1 - α) dW²
        b = momentum * b + dW / (√v + eps)
        W -= lr * b

    Parameters
    ----------
    params : iterable of Tensor
        Leaves that require a gradient. One without a gradient is left as it is.
    lr : float
        Learning rate; may be changed between steps.
    alpha : float
    eps : float
        Added to the root, as in PyTorch.
    momentum : float
    weight_decay : float
        This times W is added to dW.

    References
    ----------
    G. Hinton, Neural networks for machine learning (2012), lecture 6e, which has no eps.

    Examples
    --------
    >>> w = Tensor([1.0, 200.0], requires_grad=True)
    >>> optimizer = RMSprop([w], lr=0.1, alpha=0.75)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.data.round(6)
    array([  0.8, 199.8])
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float,
        alpha: float = 0.99,
        eps: float = 1e-8,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None:
        self.alpha = alpha
        self.eps = eps
        self.momentum = momentum
        self.weight_decay = weight_decay
        self._demand(0 <= alpha < 1, "alpha", "give a number from 0 to below 1")
        self._demand(eps >= 0, "eps", "give 0 or more")
        self._demand(0 <= momentum < 1, "momentum", "give a number from 0 to below 1")
        self._demand(weight_decay >= 0, "weight_decay", "give 0 or more")
        self.n_state = 2 if momentum else 1
        super().__init__(params, lr)

    def _update(self, _k: int, out: Any, data: Any, grad: Any, *state: Any) -> tuple[Any, ...]:
        v, *rest = state
        decay, lr = self.weight_decay, self.lr
        g = decayed(decay, out, data, grad)
        s = np.multiply(g, g, out=out)
        s *= 1 - self.alpha
        v *= self.alpha
        v += s
        target = rest[0] if rest else data
        if rest:
            target *= self.momentum
        # dW + decay * W, each divided by the root on its own: there is room for one array only
        for part, factor in ((data, decay), (grad, 1.0)):
            if factor:
                s = np.sqrt(v, out=out)
                s += self.eps
                s = np.divide(part, s, out=out)
                s *= factor if rest else -lr * factor
                target += s
        if not rest:
            return target, v
        data -= np.multiply(target, lr, out=out)
        return data, v, target


# --- gradients that are too large -----------------------------------------------------------------


def clip_grad_norm(params: Iterable[Tensor], max_norm: float) -> float:
    """Scale all gradients down, together, if their norm is above `max_norm`.

    ``dW *= max_norm / (norm + 1e-6)``, where norm is the root of the sum of squares of all of them.
    Call it between ``backward()`` and ``step()``.

    Parameters
    ----------
    params : iterable of Tensor
        Those without a gradient are passed over.
    max_norm : float

    Returns
    -------
    float
        The norm before clipping.

    Raises
    ------
    GradientError
        If a gradient holds NaN or infinity: scaled, it would spoil all others.

    References
    ----------
    R. Pascanu et al., On the difficulty of training recurrent neural networks (2013), algorithm 1.

    Examples
    --------
    >>> w = Tensor([3.0, 4.0], requires_grad=True)
    >>> w.sum().backward(), clip_grad_norm([w], 100.0)
    (None, 1.4142135623730951)
    >>> norm = clip_grad_norm([w], 0.1)
    >>> w.grad.round(6)
    array([0.070711, 0.070711])
    """
    with_grad = [p for p in dict.fromkeys(params) if p.grad is not None]
    total = 0.0
    for p in with_grad:
        squares = sum_of_squares(p.grad)
        if not math.isfinite(squares):
            raise GradientError(
                f"clip_grad_norm: the gradient of {describe(p)} has no finite norm: it holds NaN, "
                f"infinity or what is too large to be squared. Find out where it comes from, or "
                f"skip this step."
            )
        total += squares
    norm = math.sqrt(total)
    factor = max_norm / (norm + 1e-6)
    if factor < 1:
        for p in with_grad:
            p.grad *= factor
    return norm


def sum_of_squares(a: Any) -> float:
    """The squares of all entries, added up; of a NumPy array in float64, block by block."""
    if isinstance(a, np.ndarray):
        wide = (block.astype(np.float64, copy=False) for (block,) in blocks(a))
        return sum(float(np.vdot(block, block)) for block in wide)
    return float(np.sum(a * a))


def clip_grad_value(params: Iterable[Tensor], max_value: float) -> None:
    """Limit every entry of every gradient to the range from ``-max_value`` to ``max_value``.

    Parameters
    ----------
    params : iterable of Tensor
        Those without a gradient are passed over.
    max_value : float

    Examples
    --------
    >>> w = Tensor([3.0, -4.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> clip_grad_value([w], 7.0)
    >>> w.grad
    array([ 6., -7.])
    """
    for p in params:
        g = p.grad
        if g is not None:
            p.grad = np.clip(g, -max_value, max_value, out=g if isinstance(g, np.ndarray) else None)


# --- learning rates -------------------------------------------------------------------------------


class Schedule:
    """Sets the learning rate of an optimizer: its first one, times a factor for each step.

    Parameters
    ----------
    optimizer : Optimizer
    factor : callable
        The factor for step k, counted from 0: `step_decay`, `cosine`, `warm_up`, or a function of
        one's own. ``factor(0)`` is set at once.

    Examples
    --------
    >>> w = Tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = SGD([w], lr=0.1)
    >>> schedule = Schedule(optimizer, warm_up(2, then=step_decay(2, 0.1)))
    >>> rates = []
    >>> for _ in range(6):  # forward, backward and optimizer.step() come first
    ...     rates.append(round(optimizer.lr, 6))
    ...     schedule.step()
    >>> rates
    [0.05, 0.1, 0.1, 0.1, 0.01, 0.01]
    """

    def __init__(self, optimizer: Optimizer, factor: Callable[[int], float]) -> None:
        self.optimizer = optimizer
        self.factor = factor
        self.lr = optimizer.lr
        self.k = -1
        self.step()

    def step(self) -> None:
        """Set the learning rate of the next step."""
        self.k += 1
        self.optimizer.lr = self.lr * self.factor(self.k)


def step_decay(every: int, factor: float = 0.1) -> Callable[[int], float]:
    """``factor ** (k // every)``: once in a while the rate becomes smaller.

    Examples
    --------
    >>> [step_decay(2, 0.5)(k) for k in range(6)]
    [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    """
    if every < 1:
        raise ValueError(f"step_decay: every={every!r}: give a number of steps, 1 or more.")
    return lambda k: float(factor ** (k // every))


def cosine(steps: int, floor: float = 0.0) -> Callable[[int], float]:
    """``floor + (1 - floor) * (1 + cos(π k / steps)) / 2``, and `floor` after that.

    References
    ----------
    I. Loshchilov and F. Hutter, SGDR: stochastic gradient descent with warm restarts (2017),
    equation 5, without restarts.

    Examples
    --------
    >>> [round(cosine(4)(k), 3) for k in range(6)]
    [1.0, 0.854, 0.5, 0.146, 0.0, 0.0]
    """
    if steps < 1:
        raise ValueError(f"cosine: steps={steps!r}: give a number of steps, 1 or more.")
    return lambda k: floor + (1 - floor) * (1 + math.cos(math.pi * min(k, steps) / steps)) / 2


def warm_up(steps: int, then: Callable[[int], float] | None = None) -> Callable[[int], float]:
    """``(k + 1) / steps`` up to 1, then ``then(k - steps)``, or 1.

    Examples
    --------
    >>> [round(warm_up(4, then=cosine(2))(k), 3) for k in range(7)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 0.5, 0.0]
    """
    if steps < 1:
        raise ValueError(f"warm_up: steps={steps!r}: give a number of steps, 1 or more.")

    def factor(k: int) -> float:
        if k < steps:
            return (k + 1) / steps
        return 1.0 if then is None else then(k - steps)

    return factor
