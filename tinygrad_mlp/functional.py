"""Functions that NumPy lacks: activations, softmax and its like, losses; each with its rules.

They follow the conventions of `primitives`, as `ops` does. All are written so that no intermediate
result overflows: at ±1e4 the value and its first and second derivatives are finite and right. The
bodies need nothing but NumPy, numbers, our errors and functions of the kind, so that a derivation
can write them out.
"""

from typing import Any

import numpy as np

from .errors import DataError, ShapeError
from .ops import batch_size
from .primitives import defvjp, primitive

__all__ = [
    "bce_with_logits",
    "cross_entropy",
    "elu",
    "gelu",
    "huber",
    "leaky_relu",
    "log_softmax",
    "logsumexp",
    "mae",
    "onehot",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
]

# --- activations ----------------------------------------------------------------------------------


@primitive
def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)) elementwise, computed without overflow.

    Parameters
    ----------
    x : array or Tensor

    Returns
    -------
    array or Tensor of the shape of `x`, between 0 and 1

    Examples
    --------
    >>> import numpy as np
    >>> sigmoid(np.array([-1e4, 0.0, 1e4]))
    array([0. , 0.5, 1. ])
    """
    e = np.exp(np.where(x < 0, x, -x))  # of -|x|, which also complex numbers take
    return np.where(x < 0, e, 1) / (1 + e)


@primitive
def softplus(x: Any) -> Any:
    """log(1 + exp(x)) elementwise, computed without overflow: a smooth max(x, 0).

    Parameters
    ----------
    x : array or Tensor

    Returns
    -------
    array or Tensor of the shape of `x`

    Examples
    --------
    >>> import numpy as np
    >>> softplus(np.array([-1e4, 0.0, 1e4]))
    array([0.00000000e+00, 6.93147181e-01, 1.00000000e+04])
    """
    return np.maximum(x, 0) + np.log1p(np.exp(np.where(x < 0, x, -x)))


@primitive
def silu(x: Any) -> Any:
    """x sigmoid(x) elementwise, also called swish.

    Parameters
    ----------
    x : array or Tensor
        At -inf the result is nan, as a product of infinity and 0.

    Returns
    -------
    array or Tensor of the shape of `x`

    Examples
    --------
    >>> import numpy as np
    >>> silu(np.array([-1e4, 0.0, 1e4]))
    array([   -0.,     0., 10000.])
    """
    return x * sigmoid(x)


@primitive
def gelu(x: Any) -> Any:
    """x times the normal distribution function of x, in its tanh form.

    ½ x (1 + tanh(√(2/π) (x + 0.044715 x³))), computed as x sigmoid(√(8/π) (x + 0.044715 x³)), which
    is the same and keeps its digits at large negative x. NumPy has no erf, which the exact form
    needs; the two differ by less than 5e-4. PyTorch calls this one ``approximate="tanh"``.

    Parameters
    ----------
    x : array or Tensor
        At -inf the result is nan, as a product of infinity and 0.

    Returns
    -------
    array or Tensor of the shape of `x`

    References
    ----------
    D. Hendrycks and K. Gimpel, Gaussian Error Linear Units (2016), arXiv:1606.08415, section 2.

    Examples
    --------
    >>> import numpy as np
    >>> gelu(np.array([-1.0, 0.0, 1.0]))
    array([-0.15880801,  0.        ,  0.84119199])
    """
    return x * sigmoid((8 / np.pi) ** 0.5 * (x + 0.044715 * x * x * x))


@primitive
def leaky_relu(x: Any, slope: float = 0.01) -> Any:
    """`x` where it is positive, else slope x; the derivative at 0 is `slope`.

    Parameters
    ----------
    x : array or Tensor
    slope : float
        A number; it has no gradient.

    Returns
    -------
    array or Tensor of the shape of `x`

    Examples
    --------
    >>> import numpy as np
    >>> leaky_relu(np.array([-2.0, 0.0, 2.0]), slope=0.1)
    array([-0.2,  0. ,  2. ])
    """
    return np.where(x > 0, x, slope * x)


@primitive
def elu(x: Any, alpha: float = 1.0) -> Any:
    """`x` where it is positive, else alpha (exp(x) - 1); the derivative at 0 is `alpha`.

    Parameters
    ----------
    x : array or Tensor
    alpha : float
        Minus the limit at -inf. A number; it has no gradient.

    Returns
    -------
    array or Tensor of the shape of `x`

    Examples
    --------
    >>> import numpy as np
    >>> elu(np.array([-1e4, 0.0, 2.0]))
    array([-1.,  0.,  2.])
    """
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def gelu_slope(g: Any, y: Any, x: Any) -> Any:
    """y = x s with s = sigmoid(u), u = √(8/π) (x + 0.044715 x³), so y' = s + y (1 - s) u'."""
    scale = (8 / np.pi) ** 0.5
    s = sigmoid(scale * (x + 0.044715 * x * x * x))
    return g * (s + y * (1 - s) * (scale + 3 * 0.044715 * scale * x * x))


def silu_slope(g: Any, y: Any, x: Any) -> Any:
    """y = x s with s = sigmoid(x), so y' = s + y (1 - s)."""
    s = sigmoid(x)
    return g * (s + y * (1 - s))


defvjp(sigmoid, lambda g, y, _x: g * y * (1 - y))
defvjp(softplus, lambda g, _y, x: g * sigmoid(x))  # 1 - exp(-y) would lose it at x < -37
defvjp(silu, silu_slope)
defvjp(gelu, gelu_slope)
defvjp(leaky_relu, lambda g, _y, x, slope=0.01: np.where(x > 0, g, slope * g))
defvjp(elu, lambda g, y, x, alpha=1.0: np.where(x > 0, g, g * (y + alpha)))  # alpha e^x = y + alpha

# --- softmax and its like -------------------------------------------------------------------------


@primitive
def softmax(x: Any, axis: Any = -1) -> Any:
    """exp(x) / Σ exp(x): positive numbers that add up to 1 along `axis`.

    Parameters
    ----------
    x : array or Tensor
        -inf gives 0, unless all along `axis` are -inf, or one is inf: these give nan.
    axis : int, tuple of int, or None for all
        Must not be of length 0.

    Returns
    -------
    array or Tensor of the shape of `x`

    Examples
    --------
    >>> import numpy as np
    >>> softmax(np.array([[1e4, 1e4], [0.0, np.log(3)]]))
    array([[0.5 , 0.5 ],
           [0.25, 0.75]])
    """
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)


@primitive
def log_softmax(x: Any, axis: Any = -1) -> Any:
    """x - log Σ exp(x), the logarithm of `softmax`; finite where that underflows.

    Parameters
    ----------
    x : array or Tensor
        -inf gives -inf, unless all along `axis` are -inf, or one is inf: these give nan.
    axis : int, tuple of int, or None for all
        Must not be of length 0.

    Returns
    -------
    array or Tensor of the shape of `x`

    Examples
    --------
    >>> import numpy as np
    >>> log_softmax(np.array([1e4, -1e4]))
    array([     0., -20000.])
    """
    x = x - np.max(x, axis=axis, keepdims=True)
    return x - np.log(np.sum(np.exp(x), axis=axis, keepdims=True))


@primitive
def logsumexp(x: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    """log Σ exp(x) over `axis`: a smooth maximum.

    Parameters
    ----------
    x : array or Tensor
        If all over `axis` are -inf, so is the result, and the gradient is nan.
    axis : int, tuple of int, or None for all
        Must not be of length 0.
    keepdims : bool
        Keep the axes, with length 1.

    Returns
    -------
    array or Tensor of the shape of `x` without `axis`

    Examples
    --------
    >>> import numpy as np
    >>> logsumexp(np.array([[1e4, -1e4], [0.0, 0.0]]), axis=1)
    array([1.00000000e+04, 6.93147181e-01])
    """
    top = np.max(x, axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)  # inf - inf would be nan
    with np.errstate(divide="ignore", over="ignore"):  # only where the result is infinite
        y = np.log(np.sum(np.exp(x - top), axis=axis, keepdims=keepdims))
    return y + np.reshape(top, np.shape(y))


def logsumexp_slope(g: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """g softmax(x), which exp(x - y) is too, but with fewer digits at large x."""
    return (g if axis is None or keepdims else np.expand_dims(g, axis)) * softmax(x, axis)


defvjp(softmax, lambda g, y, _x, axis=-1: y * (g - np.sum(g * y, axis=axis, keepdims=True)))
defvjp(log_softmax, lambda g, y, _x, axis=-1: g - np.exp(y) * np.sum(g, axis=axis, keepdims=True))
defvjp(
    logsumexp,
    lambda g, _y, x, axis=None, *, keepdims=False: logsumexp_slope(g, x, axis, keepdims),
)

# --- losses: what they have in common -------------------------------------------------------------


def check_shapes(loss: str, y: Any, t: Any, name: str = "y") -> None:
    """Raise if predictions and targets would broadcast."""
    if np.shape(y) != np.shape(t):
        fits = f"; t.reshape{np.shape(y)} would fit" if np.size(y) == np.size(t) else ""
        raise ShapeError(
            f"{loss}: {name} {np.shape(y)} and t {np.shape(t)}: the shapes must be equal, "
            f"targets are never broadcast{fits}."
        )


def looked_up(loss: str, y: Any, reduction: str, counts: dict[str, int]) -> int:
    """What the sum of a loss is divided by, for this of its reductions."""
    if reduction not in counts:
        raise ValueError(f"{loss}: reduction={reduction!r}: use one of {', '.join(counts)}.")
    if counts[reduction] == 0:
        raise ShapeError(
            f"{loss}: shape {y.shape}: the batch is empty; there is nothing to average. "
            f'reduction="sum" gives 0.'
        )
    return counts[reduction]


def divisor(loss: str, y: Any, reduction: str) -> int:
    """What the sum over all entries of `y` is divided by."""
    counts = {"batchmean": batch_size(y), "mean": y.size, "sum": 1, "none": 1}
    return looked_up(loss, y, reduction, counts)


def reduced(losses: Any, n: int, reduction: str) -> Any:
    """All of the losses, or their sum divided by n."""
    return losses if reduction == "none" else np.sum(losses) / n


# --- losses: absolute differences -----------------------------------------------------------------


@primitive
def mae(y: Any, t: Any, reduction: str = "batchmean") -> Any:
    """Absolute error, summed over outputs and averaged over the batch.

    ``L = (1 / batch) Σ_n Σ_k |y[n, k] - t[n, k]|``,   ∂L/∂y = sign(y - t) / batch, 0 where y = t

    Parameters
    ----------
    y : array or Tensor, shape (batch, n_out)
        Predictions. The first axis is the batch; a scalar counts as a batch of one, and further
        axes are summed over like outputs.
    t : array or Tensor, shape (batch, n_out)
        Targets, in the unit of `y`; no gradient unless it asks for one.
    reduction : {"batchmean", "mean", "sum", "none"}
        "batchmean", the default, as for `mse`. "mean" also divides by n_out, which is PyTorch's
        default; "none" returns every absolute difference.

    Returns
    -------
    scalar, or for "none" the shape of `y`; in the unit of `y`

    Raises
    ------
    ShapeError
        If the shapes differ (targets are never broadcast), or the batch is empty.

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_mlp import Tensor
    >>> y = Tensor([[1.0, -2.0]], requires_grad=True)
    >>> loss = mae(y, np.zeros((1, 2)))
    >>> loss.backward()
    >>> loss.item(), y.grad
    (3.0, array([[ 1., -1.]]))
    """
    check_shapes("mae", y, t)
    return reduced(np.abs(y - t), divisor("mae", y, reduction), reduction)


@primitive
def huber(y: Any, t: Any, delta: float = 1.0, *, reduction: str = "batchmean") -> Any:
    """Squared error where it is small, absolute where it is large; averaged over the batch.

    It is summed over outputs. With e = y - t: ``½ e²`` where ``|e| ≤ delta``, else
    ``delta (|e| - ½ delta)``; ∂L/∂y = e / batch, with e cut off at ±delta. The second derivative is
    0 where ``|e| = delta``.

    Parameters
    ----------
    y : array or Tensor, shape (batch, n_out)
        Predictions; axes as for `mae`.
    t : array or Tensor, shape (batch, n_out)
        Targets, in the unit of `y`; no gradient unless it asks for one.
    delta : float
        Where the square ends, in the unit of `y`; a positive number without a gradient.
    reduction : {"batchmean", "mean", "sum", "none"}
        "batchmean", the default, as for `mse`. "mean" also divides by n_out, which is PyTorch's
        default; "none" returns the loss of every entry.

    Returns
    -------
    scalar, or for "none" the shape of `y`; in the unit of `y` squared

    Raises
    ------
    ShapeError
        If the shapes differ (targets are never broadcast), or the batch is empty.

    References
    ----------
    P. J. Huber, Robust estimation of a location parameter, Annals of Mathematical Statistics 35
    (1964), 73-101.

    Examples
    --------
    >>> import numpy as np
    >>> huber(np.array([0.5, 3.0]), np.zeros(2), reduction="none")
    array([0.125, 2.5  ])
    """
    check_shapes("huber", y, t)
    if not delta > 0:
        raise ValueError(f"huber: delta={delta!r}: it must be positive.")
    e = np.abs(y - t)
    low = np.minimum(e, delta)
    return reduced(low * (e - low / 2), divisor("huber", y, reduction), reduction)


def mae_slope(g: Any, y: Any, t: Any, reduction: str) -> Any:
    """g sign(y - t) / batch."""
    return g * np.sign(y - t) / divisor("mae", y, reduction)


def huber_slope(g: Any, y: Any, t: Any, delta: float, reduction: str) -> Any:
    """g (y - t) / batch, the difference cut off at ±delta."""
    return g * np.clip(y - t, -delta, delta) / divisor("huber", y, reduction)


defvjp(
    mae,
    lambda g, _y, y, t, reduction="batchmean": mae_slope(g, y, t, reduction),
    lambda g, _y, y, t, reduction="batchmean": -mae_slope(g, y, t, reduction),
)
defvjp(
    huber,
    lambda g, _y, y, t, delta=1.0, *, reduction="batchmean": huber_slope(g, y, t, delta, reduction),
    lambda g, _y, y, t, delta=1.0, *, reduction="batchmean": (
        -huber_slope(g, y, t, delta, reduction)
    ),
)

# --- losses: classes ------------------------------------------------------------------------------


@primitive
def bce_with_logits(z: Any, t: Any, reduction: str = "batchmean") -> Any:
    """Binary cross-entropy of sigmoid(z), summed over outputs and averaged over the batch.

    L = -(1 / batch) Σ t log sigmoid(z) + (1 - t) log(1 - sigmoid(z)),
    ∂L/∂z = (sigmoid(z) - t) / batch

    Parameters
    ----------
    z : array or Tensor, shape (batch, n_out)
        Logits: any numbers, not yet put through `sigmoid`. Axes as for `mae`.
    t : array or Tensor, shape (batch, n_out)
        0 or 1, or the probability of 1; no gradient unless it asks for one. Integers make the
        loss of a float32 `z` float64, as they do in NumPy.
    reduction : {"batchmean", "mean", "sum", "none"}
        "batchmean", the default, as for `mse`. "mean" also divides by n_out, which is PyTorch's
        default; "none" returns the loss of every entry.

    Returns
    -------
    scalar, or for "none" the shape of `z`; in nats

    Raises
    ------
    ShapeError
        If the shapes differ (targets are never broadcast), or the batch is empty.

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_mlp import Tensor
    >>> z = Tensor([0.0, 1e4], requires_grad=True)
    >>> bce_with_logits(z, np.array([1.0, 0.0]), reduction="sum").backward()
    >>> z.grad
    array([-0.5,  1. ])
    """
    check_shapes("bce_with_logits", z, t, "z")
    losses = t * softplus(-z) + np.subtract(1, t) * softplus(z)  # t may be a list
    return reduced(losses, divisor("bce_with_logits", z, reduction), reduction)


def bce_slope(g: Any, z: Any, t: Any, reduction: str) -> Any:
    """g (sigmoid(z) - t) / batch."""
    return g * (sigmoid(z) - t) / divisor("bce_with_logits", z, reduction)


defvjp(
    bce_with_logits,
    lambda g, _y, z, t, reduction="batchmean": bce_slope(g, z, t, reduction),
    lambda g, _y, z, _t, reduction="batchmean": -g * z / divisor("bce_with_logits", z, reduction),
)


@primitive
def onehot(labels: Any, z: Any) -> Any:
    """Where, in an array of the shape of `z`, the classes `labels` stand: True there, else False.

    Parameters
    ----------
    labels : array or Tensor of integers, shape (batch,)
    z : array or Tensor, shape (batch, n_classes)
        Only its shape is used, and which library it is of.

    Returns
    -------
    array or Tensor of bool, shape (batch, n_classes)

    Examples
    --------
    >>> import numpy as np
    >>> onehot(np.array([2, 0]), np.zeros((2, 3)))
    array([[False, False,  True],
           [ True, False, False]])
    """
    return np.expand_dims(labels, -1) == np.arange(z.shape[-1], like=z)


@primitive
def cross_entropy(z: Any, labels: Any, reduction: str = "mean") -> Any:
    """Cross-entropy of softmax(z) with the true classes, averaged over the batch.

    L = -(1 / batch) Σ_n log softmax(z[n])[labels[n]],   ∂L/∂z = (softmax(z) - onehot) / batch

    Parameters
    ----------
    z : array or Tensor, shape (batch, n_classes)
        Logits: any numbers, not yet put through `softmax`. The classes are the last axis, also of
        one sample (n_classes,) and of sequences (batch, steps, n_classes).
    labels : array or Tensor
        Integers from 0 to n_classes - 1, of the shape of `z` without its last axis; or one-hot rows
        or probabilities p of the shape of `z`, in its dtype (others widen the result, as in NumPy).
        Then L = -(1 / batch) Σ_n Σ_k p[n, k] log softmax(z[n])[k], also where they do not add up
        to 1, and p gets a gradient if it asks for one.
    reduction : {"mean", "sum", "none"}
        "mean" is over every sample, of sequences over every step; "none" returns the loss of each.

    Returns
    -------
    scalar, or for "none" the shape of `z` without its last axis; in nats

    Raises
    ------
    ShapeError
        If `labels` has neither of the two shapes, there is no class, or the batch is empty.
    DataError
        If a label is out of range, or labels of the first shape are no integers. Labels that are
        not computed yet, as those of Dask, are not looked at: one out of range has the loss inf.

    References
    ----------
    C. M. Bishop, Pattern Recognition and Machine Learning (2006), equations 4.108 and 4.109, which
    do not average.

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_mlp import Tensor
    >>> z = Tensor([[0.0, 0.0], [1e4, -1e4]], requires_grad=True)
    >>> loss = cross_entropy(z, np.array([1, 0]))
    >>> loss.backward()
    >>> z.grad
    array([[ 0.25, -0.25],
           [ 0.  ,  0.  ]])
    """
    check_labels(z, labels)
    logs = log_softmax(z)
    if np.ndim(labels) < z.ndim:
        losses = -np.max(np.where(onehot(labels, z), logs, -np.inf), axis=-1)
    else:  # a class of probability 0 does not count, even where the logarithm is -inf
        losses = -np.sum(np.where(np.equal(labels, 0), 0, logs) * labels, axis=-1)
    return reduced(losses, n_samples(z, reduction), reduction)


def check_labels(z: Any, labels: Any) -> None:
    """Raise if `labels` are neither class numbers nor probabilities for the logits `z`."""
    shape, n_classes = np.shape(labels), z.shape[-1] if z.ndim else 0
    if not n_classes:
        raise ShapeError(f"cross_entropy: z {z.shape}: the last axis must be the classes.")
    if shape == z.shape:
        return
    if shape != z.shape[:-1]:
        fits = np.size(labels) == z.size // n_classes
        raise ShapeError(
            f"cross_entropy: z {z.shape} and labels {shape}: labels must be integers of shape "
            f"{z.shape[:-1]}, or probabilities of shape {z.shape}"
            f"{f'; labels.reshape{z.shape[:-1]} would fit' if fits else ''}."
        )
    flat = np.ravel(labels)
    if flat.dtype.kind not in "iu":
        raise DataError(
            f"cross_entropy: labels {shape} of {flat.dtype}: the numbers of classes must be "
            f"integers, as labels.astype(int) are; probabilities have the shape of z {z.shape}."
        )
    wrong = flat[(flat < 0) | (flat >= n_classes)]
    if wrong.size > 0:  # it is nan of an array that is not computed yet: there the loss is inf
        raise DataError(
            f"cross_entropy: label {wrong[0]} ({wrong.size} of {flat.size} are out of range): "
            f"z {z.shape} has the classes 0 to {n_classes - 1}."
        )


def n_samples(z: Any, reduction: str) -> int:
    """What the sum over all samples is divided by."""
    n = batch_size(z) if z.ndim > 1 else 1
    for length in z.shape[1:-1]:
        n = n * length
    return looked_up("cross_entropy", z, reduction, {"mean": n, "sum": 1, "none": 1})


def cross_entropy_slope(g: Any, z: Any, labels: Any, reduction: str) -> Any:
    """g (softmax(z) - onehot) / batch; for probabilities, g (softmax(z) Σ p - p) / batch."""
    if np.ndim(labels) < z.ndim:
        slope = each(g, reduction) * (softmax(z) - onehot(labels, z))
    else:
        p = each(g, reduction) * labels
        slope = softmax(z) * np.sum(p, axis=-1, keepdims=True) - p
    return slope / n_samples(z, reduction)


def each(g: Any, reduction: str) -> Any:
    """The cotangent of each sample, beside its classes."""
    return np.expand_dims(g, -1) if reduction == "none" else g


defvjp(
    cross_entropy,
    lambda g, _y, z, labels, reduction="mean": cross_entropy_slope(g, z, labels, reduction),
    lambda g, _y, z, _labels, reduction="mean": (
        -each(g, reduction) * log_softmax(z) / n_samples(z, reduction)
    ),
)
defvjp(onehot)
