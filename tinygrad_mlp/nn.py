"""Networks built from Tensor ops."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from .errors import ShapeError
from .ops import relu
from .tensor import Tensor

__all__ = ["MLP", "he_normal"]


def he_normal(n_in: int, n_out: int, rng: np.random.Generator, dtype: Any = np.float64) -> Any:
    """Weights of shape (n_in, n_out), normal with variance 2 / n_in.

    Keeps the size of activations through relu layers: K. He et al., Delving Deep into Rectifiers
    (2015), equation 10.
    """
    return (rng.standard_normal((n_in, n_out)) * (2 / n_in) ** 0.5).astype(dtype)


class MLP:
    """A multilayer perceptron, as lists of matrices: ``A[i+1] = relu(A[i] @ W[i] + B[i])``.

    The last layer is linear; its result is the output y, which is not in `A`.

    Parameters
    ----------
    sizes : sequence of int
        Number of neurons of each layer, input first: ``[3, 5, 2]``.
    rng : None, int or numpy.random.Generator
        For the initial weights (He); biases start at zero.
    dtype : dtype
    activation : callable
        Applied after every layer but the last.

    Attributes
    ----------
    W : list of Tensor
        ``W[i]``, shape (n_in, n_out), connects layer i with layer i+1; ``W[0][1, 2]`` is the weight
        from neuron 1 of layer 0 to neuron 2 of layer 1. (PyTorch stores the transpose.)
    B : list of Tensor
        ``B[i]``, shape (n_out,), the biases of layer i+1.
    A : list of Tensor
        Filled by each forward pass: ``A[0]`` is x as it came in, ``A[i]`` what layer i puts out.

    Examples
    --------
    >>> net = MLP([2, 4, 1], rng=0)
    >>> net([[1.0, 2.0], [0.5, -1.0], [0.0, 3.0]]).shape
    (3, 1)
    >>> [w.shape for w in net.W], len(net.A)
    ([(2, 4), (4, 1)], 2)
    """

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        rng: int | np.random.Generator | None = None,
        dtype: Any = np.float64,
        activation: Callable[[Any], Any] = relu,
    ) -> None:
        if len(sizes) < 2 or any(n < 1 for n in sizes):
            raise ShapeError(f"MLP: sizes {tuple(sizes)}: give at least two, each 1 or more.")
        rng = np.random.default_rng(rng)
        self.activation = activation
        self.W: list[Tensor] = []
        self.B: list[Tensor] = []
        self.A: list[Tensor] = []
        for i, (n_in, n_out) in enumerate(pairwise(sizes)):
            self.W.append(Tensor(he_normal(n_in, n_out, rng, dtype), True, f"W[{i}]"))
            self.B.append(Tensor(np.zeros(n_out, dtype), True, f"B[{i}]"))
            self.W[i].scope = self.B[i].scope = f"layer {i}"
        self._names = [(f"Z[{i}]", f"A[{i}]", f"layer {i - 1}") for i in range(1, len(sizes))]
        self._names[-1] = ("y", "", f"layer {len(sizes) - 2}")

    def __call__(self, x: Any) -> Tensor:
        """Forward pass.

        Parameters
        ----------
        x : array or Tensor, shape (batch, n_in)

        Returns
        -------
        Tensor, shape (batch, n_out)
        """
        self.A = []  # the graph of the last pass is free before the next one is built
        a = x if isinstance(x, Tensor) else Tensor(x, name="A[0]")
        if a.ndim < 2:
            raise ShapeError(
                f"MLP: x {a.shape}: the first axis is the batch; for a single sample x.reshape(1, -1)."
            )
        A = [a]
        activation = self.activation
        last = len(self.W) - 1
        for i, w in enumerate(self.W):
            m = a @ w
            z = m + self.B[i]
            z.name, a_name, z.scope = self._names[i]
            m.scope = z.scope
            if i < last:
                a = activation(z)
                a.name = a_name
                a.scope = z.scope
                A.append(a)
        self.A = A
        return z

    def parameters(self) -> list[Tensor]:
        """All of W, then all of B."""
        return [*self.W, *self.B]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of neurons of each layer."""
        return (self.W[0].shape[0], *(w.shape[1] for w in self.W))

    def __repr__(self) -> str:
        n = sum(p.size for p in self.parameters())
        return f"MLP({list(self.sizes)}, dtype={self.W[0].dtype})  # {n:,} parameters"
