"""Every op and its rules, in plain NumPy: read top to bottom, it is the calculus of the package.

Rules never see the Tensor class. On ndarrays they simply run; on Tensors NumPy's own dispatch
records them, which is how gradients of gradients and the written-out derivation come about. See
`primitives` for the two conventions a rule follows. Broadcasting is undone by the backward pass.
"""

import operator
from typing import Any

import numpy as np

from .errors import ShapeError
from .primitives import defvjp, primitive

__all__ = ["astype", "mse", "relu", "scatter"]

ndarray = np.ndarray

# --- arithmetic ---------------------------------------------------------------------------------


def is_scalar(x: Any) -> bool:
    """Whether `x` is a plain number, which never has a gradient and never widens a dtype."""
    return isinstance(x, (int, float))


def power_base(g: Any, _y: Any, a: Any, b: Any) -> Any:
    """b a^(b - 1), and 0 for b = 0, also at a = 0."""
    if is_scalar(b):
        return 2 * g * a if b == 2 else g * b * a ** (b - 1 if b else 1)
    return g * b * a ** np.where(b == 0, 1, b - 1)


def logarithm(a: Any) -> Any:
    """ln(a) in the exponent's a^b ln(a), which is 0 at a = 0: any finite number will do there."""
    if isinstance(a, np.generic) or is_scalar(a):
        return float(np.log(float(a) or 1.0))
    return np.log(np.where(a == 0, 1, a))


defvjp(np.add, lambda g, _y, _a, _b: g, lambda g, _y, _a, _b: g)
defvjp(np.subtract, lambda g, _y, _a, _b: g, lambda g, _y, _a, _b: -g)
defvjp(np.multiply, lambda g, _y, _a, b: g * b, lambda g, _y, a, _b: g * a)
defvjp(np.divide, lambda g, _y, _a, b: g / b, lambda g, y, _a, b: -g * y / b)
defvjp(np.negative, lambda g, _y, _a: -g)
defvjp(np.positive, lambda g, _y, _a: g)
defvjp(np.power, power_base, lambda g, y, a, _b: g * y * logarithm(a))


# --- elementwise --------------------------------------------------------------------------------


def larger(g: Any, a: Any, b: Any) -> Any:
    """Cotangent of `a` in maximum(a, b): a tie is shared equally, lost against a plain number."""
    return g * (a > b) if is_scalar(b) else (g * (a > b) + g * (a >= b)) / 2


def smaller(g: Any, a: Any, b: Any) -> Any:
    """The same for minimum(a, b)."""
    return g * (a < b) if is_scalar(b) else (g * (a < b) + g * (a <= b)) / 2


def within(a: Any, low: Any, high: Any) -> Any:
    """Where low < a < high; None is no bound."""
    if high is None:
        return 1 if low is None else a > low
    return a < high if low is None else (a > low) & (a < high)


def clip(a: Any, a_min: Any = None, a_max: Any = None) -> Any:
    """np.clip, which wants both bounds or keywords."""
    return np.clip(a, a_min, a_max)


defvjp(np.exp, lambda g, y, _a: g * y)
defvjp(np.log, lambda g, _y, a: g / a)
defvjp(np.sqrt, lambda g, y, _a: g / (2 * y))
defvjp(np.square, lambda g, _y, a: 2 * g * a)
defvjp(np.absolute, lambda g, _y, a: g * np.sign(a))  # 0 at 0
defvjp(np.tanh, lambda g, y, _a: g * (1 - y * y))
defvjp(np.maximum, lambda g, _y, a, b: larger(g, a, b), lambda g, _y, a, b: larger(g, b, a))
defvjp(np.minimum, lambda g, _y, a, b: smaller(g, a, b), lambda g, _y, a, b: smaller(g, b, a))
defvjp(
    np.where,
    None,
    lambda g, _y, c, _a, _b: np.where(c, g, 0),
    lambda g, _y, c, _a, _b: np.where(c, 0, g),
)
defvjp(  # on a bound the bound gets the cotangent, the argument 0, as in maximum(x, 0)
    np.clip,
    lambda g, _y, a, a_min=None, a_max=None: g * within(a, a_min, a_max),
    lambda g, _y, a, a_min=None, _a_max=None: g * (a <= a_min),
    lambda g, _y, a, _a_min=None, a_max=None: g * (a >= a_max),
)

# --- matmul: 1-D, 2-D, stacks ---------------------------------------------------------------------


SMALL = 16_384
"""Up to this size `dot` is used for a matrix product: 0.4 us less than `@`, the same bits. Beyond,
it would lose, since it fills its output with zeros first."""


def product(a: Any, b: Any) -> Any:
    """a @ b."""
    if type(a) is ndarray is type(b) and a.ndim == 2 == b.ndim and a.size + b.size < SMALL:
        return a.dot(b)
    return a @ b


def transposed(a: Any) -> Any:
    """Each matrix of the stack `a` transposed."""
    return np.swapaxes(a, -1, -2)


def matmul_left(g: Any, _y: Any, _a: Any, b: Any) -> Any:
    """(n, m) @ (m, k), for a of shape (n, k) and b of shape (k, m)."""
    if b.ndim == 2 == _a.ndim:
        return g.dot(b.T) if type(g) is ndarray and _a.size < SMALL else g @ b.T
    if b.ndim == 1:
        return np.expand_dims(g, -1) * b
    if _a.ndim == 1:
        return np.squeeze(b @ np.expand_dims(g, -1), -1)
    return g @ transposed(b)


def matmul_right(g: Any, _y: Any, a: Any, _b: Any) -> Any:
    """(k, n) @ (n, m), for a of shape (n, k) and b of shape (k, m)."""
    if a.ndim == 2 == _b.ndim:
        return a.T.dot(g) if type(g) is ndarray and _b.size < SMALL else a.T @ g
    if a.ndim == 1:
        return a * g if _b.ndim == 1 else np.expand_dims(a, -1) * np.expand_dims(g, -2)
    if _b.ndim == 1:
        return np.squeeze(transposed(a) @ np.expand_dims(g, -1), -1)
    return transposed(a) @ g


defvjp(np.matmul, matmul_left, matmul_right)


# --- reductions -----------------------------------------------------------------------------------


def stretched(g: Any, a: Any, axis: Any, keepdims: bool) -> Any:
    """`g`, a reduction of `a` over `axis`, stretched back over the shape of `a`."""
    if axis is not None and not keepdims and a.ndim:
        g = np.expand_dims(g, axis)
    return np.broadcast_to(g, a.shape)


def extremum(g: Any, y: Any, a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    """The cotangent goes to where the extremum is; ties share it equally."""
    hit = astype(a == stretched(y, a, axis, keepdims), g.dtype)
    return stretched(g, a, axis, keepdims) * hit / np.sum(hit, axis=axis, keepdims=True)


defvjp(np.sum, lambda g, _y, _a, axis=None, *, keepdims=False: stretched(g, _a, axis, keepdims))
defvjp(
    np.mean,
    lambda g, _y, _a, axis=None, *, keepdims=False: (
        stretched(g, _a, axis, keepdims) / (_a.size // max(g.size, 1))
    ),
)
defvjp(np.max, extremum)
defvjp(np.min, extremum)

# --- shape and index ------------------------------------------------------------------------------


def along(axis: int, part: Any) -> tuple[Any, ...]:
    """The index that takes `part` of `axis` (counted from the front) and all of the axes before."""
    return (slice(None),) * axis + (part,)


def concatenate(*arrays: Any, axis: int | None = 0) -> Any:
    """np.concatenate, with the arrays as arguments of their own."""
    return np.concatenate(arrays, axis=axis)


def concatenated(i: int, g: Any, _y: Any, *_arrays: Any, axis: int | None = 0) -> Any:
    """The part of `g` that came from array number i."""
    a = _arrays[i]
    if axis is None:
        start = sum(b.size for b in _arrays[:i])
        return np.reshape(g[start : start + a.size], a.shape)
    start = sum(b.shape[axis] for b in _arrays[:i])
    return g[along(axis % g.ndim, slice(start, start + a.shape[axis]))]


def stack(*arrays: Any, axis: int = 0) -> Any:
    """np.stack, with the arrays as arguments of their own."""
    return np.stack(arrays, axis=axis)


def getitem(a: Any, *index: Any) -> Any:
    """a[index], with the parts of the index as arguments of their own."""
    return a[index]


def inverse(axes: Any) -> Any:
    """The permutation that undoes `axes`."""
    if axes is None:
        return None
    order = [axis % len(axes) for axis in axes]
    return [order.index(i) for i in range(len(order))]


def scatter(g: Any, index: Any, like: Any) -> Any:
    """Add the entries of `g` into zeros of the shape of `like`, at `index`.

    The inverse of ``like[index]``: an entry that `index` names twice receives both.

    Parameters
    ----------
    g : array or Tensor, of the shape of ``like[index]``
    index : anything that indexes an array
    like : array or Tensor
        Only its shape is used.

    Returns
    -------
    array or Tensor, of the shape of `like` and the dtype of `g`

    Examples
    --------
    >>> import numpy as np
    >>> scatter(np.array([1.0, 2.0, 4.0]), [0, 2, 2], np.zeros(4))
    array([1., 0., 6., 0.])
    """
    return scattered(g, like, *(index if isinstance(index, tuple) else (index,)))


@primitive
def scattered(g: Any, like: Any, *index: Any) -> Any:
    """`scatter`, with the parts of the index as arguments of their own."""
    out = np.zeros_like(like, dtype=g.dtype)
    if all(i is None or i is Ellipsis or isinstance(i, (int, slice)) for i in index):
        out[index] = g
    else:
        np.add.at(out, index, g)
    return out


@primitive
def astype(x: Any, dtype: Any) -> Any:
    """`x` in another dtype; its cotangent returns in the dtype of `x`."""
    return x.astype(dtype)


defvjp(astype, lambda g, _y, _x, _dtype: astype(g, _x.dtype))
defvjp(np.copy, lambda g, _y, _a: g)
defvjp(np.reshape, lambda g, _y, _a, _shape: np.reshape(g, _a.shape))
defvjp(np.expand_dims, lambda g, _y, _a, _axis: np.reshape(g, _a.shape))
defvjp(np.squeeze, lambda g, _y, _a, _axis=None: np.reshape(g, _a.shape))
defvjp(np.transpose, lambda g, _y, _a, axes=None: np.transpose(g, inverse(axes)))
defvjp(np.swapaxes, lambda g, _y, _a, axis1, axis2: np.swapaxes(g, axis1, axis2))
defvjp(np.broadcast_to, lambda g, _y, _array, _shape: g)
defvjp(np.concatenate, each=concatenated)
defvjp(np.stack, each=lambda i, g, _y, *_arrays, axis=0: g[along(axis % g.ndim, i)])
defvjp(operator.getitem, lambda g, _y, _a, *index: scatter(g, index, _a))
defvjp(scattered, lambda g, _y, _g, _like, *index: g[index], None)

# --- our own --------------------------------------------------------------------------------------

ZEROS: dict[str, Any] = {d: np.zeros((), d) for d in "efd"}  # one for each float dtype


def zero(x: Any) -> Any:
    """0 in the dtype of `x`, kept at hand: to compare with it costs 0.37 us, with a number 0.68."""
    return ZEROS.get(x.dtype.char, 0) if type(x) is ndarray else 0


@primitive
def relu(x: Any) -> Any:
    """max(x, 0) elementwise; the derivative at 0 is 0.

    Parameters
    ----------
    x : array or Tensor

    Returns
    -------
    array or Tensor of the shape and dtype of `x`

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_mlp import Tensor
    >>> x = Tensor([-1.0, 0.0, 2.0], requires_grad=True)
    >>> relu(x).backward(np.ones(3))
    >>> x.grad
    array([0., 0., 1.])
    """
    return np.maximum(x, zero(x))


defvjp(relu, lambda g, y, _x: g * (y > zero(y)))


@primitive
def mse(y: Any, t: Any, reduction: str = "batchmean") -> Any:
    """Squared error, summed over outputs and averaged over the batch.

    L = (1 / batch) Σ_n Σ_k (y[n, k] - t[n, k])²,   ∂L/∂y = 2 (y - t) / batch

    Parameters
    ----------
    y : array or Tensor, shape (batch, n_out)
        Predictions. The first axis is the batch; a scalar counts as a batch of one, and further
        axes are summed over like outputs.
    t : array or Tensor, shape (batch, n_out)
        Targets, in the unit of `y`; no gradient unless it asks for one.
    reduction : {"batchmean", "mean", "sum", "none"}
        "mean" also divides by n_out, which is PyTorch's default; "none" returns every square.

    Returns
    -------
    scalar, or for "none" the shape of `y`; in the unit of `y` squared

    Raises
    ------
    ShapeError
        If the shapes differ (targets are never broadcast), or the batch is empty.

    References
    ----------
    C. M. Bishop, Pattern Recognition and Machine Learning (2006), equation 5.11, which has a factor
    ½ and no average.

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_mlp import Tensor
    >>> y = Tensor([[1.0, 2.0]], requires_grad=True)
    >>> mse(y, np.zeros((1, 2))).backward()
    >>> y.grad
    array([[2., 4.]])
    """
    if y.shape != getattr(t, "shape", None) and np.shape(y) != np.shape(t):
        fits = f"; t.reshape{np.shape(y)} would fit" if np.size(y) == np.size(t) else ""
        raise ShapeError(
            f"mse: y {np.shape(y)} and t {np.shape(t)}: the shapes must be equal, "
            f"targets are never broadcast{fits}."
        )
    e = y - t
    if reduction == "none":
        return e * e
    e = e.ravel()
    total = e.dot(e)
    return total if reduction == "sum" else total / mse_count(y, reduction)


def batch_size(y: Any) -> Any:
    """Length of the first axis, the batch; 1 for a scalar."""
    return y.shape[0] if y.ndim else 1


def mse_count(y: Any, reduction: str) -> Any:
    """What `mse` divides the sum by."""
    if reduction == "batchmean":
        count = y.shape[0] if y.ndim else 1
    elif reduction == "mean":
        count = y.size
    else:
        raise ValueError(f"mse: reduction={reduction!r}: use one of batchmean, mean, sum, none.")
    if count == 0:
        raise ShapeError(f"mse: y {y.shape}: the batch is empty; there is nothing to average.")
    return count


def mse_slope(g: Any, y: Any, t: Any, reduction: str) -> Any:
    """2 g (y - t) / batch."""
    slope = 2 * g * (y - t)
    return slope / mse_count(y, reduction) if reduction in ("batchmean", "mean") else slope


defvjp(
    mse,
    lambda g, _y, y, t, reduction="batchmean": mse_slope(g, y, t, reduction),
    lambda g, _y, y, t, reduction="batchmean": -mse_slope(g, y, t, reduction),
)

# --- piecewise constant: recorded while a derivation is traced, never a gradient ----------------

for _fun in (
    *(np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal),
    *(np.logical_and, np.logical_or, np.logical_not, np.bitwise_and, np.bitwise_or, np.invert),
    *(np.sign, np.floor, np.ceil, np.trunc, np.rint, np.floor_divide),
    *(np.zeros_like, np.ones_like),
):
    defvjp(_fun)
