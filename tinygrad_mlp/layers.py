"""Layers that behave one way in training and another in use: dropout and normalisation."""

from typing import Any

import numpy as np

from .errors import GradientError, ShapeError
from .graph import MODE, SEALED, no_grad
from .nn import Module
from .tensor import Tensor

__all__ = ["BatchNorm", "Dropout", "LayerNorm"]


class Dropout(Module):
    """Zeros in the place of a random share of the entries, in training; nothing in use.

    What is left is divided by 1 - p, so that the mean stays. `train` and `eval` of a network set
    which it is.

    Parameters
    ----------
    p : float
        The share that becomes 0, from 0 to less than 1.
    rng : None, int or numpy.random.Generator
        Each call draws from it.

    References
    ----------
    N. Srivastava et al., Dropout: a simple way to prevent neural networks from overfitting (2014).

    Examples
    --------
    >>> layer = Dropout(0.5, rng=0)
    >>> layer(np.ones(6))
    array([2., 0., 0., 0., 2., 2.])
    >>> layer.eval()(np.ones(6))
    array([1., 1., 1., 1., 1., 1.])
    """

    def __init__(self, p: float = 0.5, *, rng: "int | np.random.Generator | None" = None) -> None:
        if not 0 <= p < 1:
            raise ValueError(f"Dropout: p={p}: the share must be from 0 to less than 1.")
        self.p = p
        self.rng = np.random.default_rng(rng)

    def forward(self, x: Any) -> Any:
        """`x`, in training with zeros."""
        if not self.training or not self.p:
            return x
        if MODE.get() == SEALED:
            raise GradientError(
                "Dropout: compiled, it would drop the same entries at every call. Compile the "
                "network after net.eval(), or train it without jit."
            )
        return x * ((self.rng.random(x.shape) >= self.p) / (1 - self.p)).astype(x.dtype)


class LayerNorm(Module):
    """Each sample with mean 0 and variance 1 over its last axis, then ``* W + B``.

    Parameters
    ----------
    n : int
        Length of the last axis.
    eps : float
        Added to the variance.
    dtype : dtype

    Attributes
    ----------
    W, B : Tensor, shape (n,)
        Ones and zeros at first.

    References
    ----------
    J. L. Ba, J. R. Kiros and G. E. Hinton, Layer normalization (2016), arXiv:1607.06450.

    Examples
    --------
    >>> LayerNorm(2, eps=0)([[1.0, 3.0], [5.0, -5.0]]).data
    array([[-1.,  1.],
           [ 1., -1.]])
    """

    def __init__(self, n: int, *, eps: float = 1e-5, dtype: Any = np.float64) -> None:
        self.n, self.eps = n, eps
        self.W = Tensor(np.ones(n, dtype), True)
        self.B = Tensor(np.zeros(n, dtype), True)

    def forward(self, x: Any) -> Any:
        """(x - mean) / √(variance + eps) * W + B."""
        x = fitting(self, x)
        d = x - np.mean(x, axis=-1, keepdims=True)
        return d / np.sqrt(np.mean(d * d, axis=-1, keepdims=True) + self.eps) * self.W + self.B


class BatchNorm(Module):
    """Each feature, on the last axis, with mean 0 and variance 1 over the batch, ``* W + B``.

    In training mean and variance are those of the batch, and running averages of them are kept;
    in use these take their place, so that a sample does not depend on the others. `train` and
    `eval` of a network set which it is; `state_dict` has the running averages too.

    Parameters
    ----------
    n : int
        Number of features.
    momentum : float
        Weight of the batch in the running averages, as in PyTorch.
    eps : float
        Added to the variance.
    dtype : dtype

    Attributes
    ----------
    W, B : Tensor, shape (n,)
        Ones and zeros at first.
    mean, variance : Tensor, shape (n,)
        The running averages, without a gradient; the variance over n - 1, as in PyTorch.

    References
    ----------
    S. Ioffe and C. Szegedy, Batch normalization (2015), arXiv:1502.03167, algorithms 1 and 2.

    Examples
    --------
    >>> layer = BatchNorm(2, eps=0)
    >>> layer([[1.0, 3.0], [5.0, -5.0]]).data
    array([[-1.,  1.],
           [ 1., -1.]])
    >>> layer.mean.data, layer.variance.data
    (array([ 0.3, -0.1]), array([1.7, 4.1]))
    """

    def __init__(
        self, n: int, *, momentum: float = 0.1, eps: float = 1e-5, dtype: Any = np.float64
    ) -> None:
        self.n, self.momentum, self.eps = n, momentum, eps
        self.W = Tensor(np.ones(n, dtype), True)
        self.B = Tensor(np.zeros(n, dtype), True)
        self.mean = Tensor(np.zeros(n, dtype))
        self.variance = Tensor(np.ones(n, dtype))

    def forward(self, x: Any) -> Any:
        """(x - mean) / √(variance + eps) * W + B."""
        x = fitting(self, x)
        if not self.training:
            return (x - self.mean) / np.sqrt(self.variance + self.eps) * self.W + self.B
        axes = tuple(range(x.ndim - 1)) if x.ndim > 2 else 0
        count = x.size // self.n
        if count < 2:
            raise ShapeError(
                f"BatchNorm: x {x.shape}: a variance needs a batch of two or more; net.eval() "
                f"takes the running averages."
            )
        mean = np.mean(x, axis=axes)
        d = x - mean
        variance = np.mean(d * d, axis=axes)
        self._remember(mean, variance * (count / (count - 1)))
        return d / np.sqrt(variance + self.eps) * self.W + self.B

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        """Bring the running averages up to date."""
        if MODE.get() == SEALED:
            raise GradientError(
                "BatchNorm: compiled, it could not keep its running averages. Compile the network "
                "after net.eval(), or train it without jit."
            )
        with no_grad():
            for old, new in ((self.mean, mean), (self.variance, variance)):
                old[...] = old.data + self.momentum * (new.data - old.data)


def fitting(layer: Any, x: Any) -> Any:
    """`x` as a Tensor, if it has the layer's number of features on its last axis."""
    x = x if isinstance(x, Tensor) else Tensor(x, name="x")
    if x.ndim < 2 or x.shape[-1] != layer.n:
        raise ShapeError(
            f"{type(layer).__name__}: x {x.shape}: the first axis must be the batch, the last must "
            f"have {layer.n} entries."
        )
    return x
