"""Derivatives of Tensors, and of functions of arrays."""

from collections.abc import Sequence
from typing import Any

from .errors import GradientError
from .formatting import describe
from .graph import backward_pass, grad_on
from .tensor import Tensor, owned

__all__ = ["grad"]


def grad(
    y: Tensor,
    xs: Tensor | Sequence[Tensor],
    grad_y: Any = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> list[Any]:
    """Gradients of `y` with respect to `xs`, without touching any ``.grad``.

    Parameters
    ----------
    y : Tensor
        A scalar, unless `grad_y` is given.
    xs : Tensor or sequence of Tensor
        Leaves or intermediates.
    grad_y : array, optional
        Cotangent of `y`, of its shape.
    create_graph : bool
        Return Tensors that can be differentiated again.
    allow_unused : bool
        Return None for an x that `y` does not depend on, instead of raising.

    Returns
    -------
    list
        For each x an array of its shape and dtype, or a Tensor with `create_graph`.

    Raises
    ------
    GradientError
        If `y` does not depend on one of `xs`, and wherever :meth:`Tensor.backward` does.

    Examples
    --------
    >>> x = Tensor(2.0, requires_grad=True)
    >>> (dx,) = grad(x**3, x, create_graph=True)
    >>> dx.item(), grad(dx, x)[0]
    (12.0, array(12.))
    """
    wanted = [xs] if isinstance(xs, Tensor) else list(xs)
    seed = y._seed(grad_y)
    if create_graph:
        with grad_on():
            start = grad_y if isinstance(grad_y, Tensor) else Tensor(seed)
            cotangents = backward_pass(y, start, wanted, create_graph=True)
    else:
        cotangents = backward_pass(y, seed, wanted)
    taken = {id(seed)}
    result: list[Any] = []
    for x in wanted:
        g = cotangents.get(x)
        if g is None and not allow_unused:
            raise GradientError(
                f"grad: {describe(y, 'y')} does not depend on {describe(x, 'x')}, or x requires no "
                f"gradient; with allow_unused=True its gradient is None."
            )
        if g is None or not create_graph:
            result.append(None if g is None else owned(g, x._data, taken))
        else:
            result.append(g if g.dtype == x.dtype else g.astype(x.dtype))
    return result
