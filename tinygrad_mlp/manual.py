"""The same network by hand: forward and backward pass in plain NumPy, without Tensor or graph.

Read it beside `nn.MLP`: what the graph works out there is written down here, line by line. The two
do the same floating point operations, so their gradients are equal to the last bit.

Every line of the backward pass is the chain rule, with a shape that leaves no choice: the gradient
of a matrix has its shape, and only one product of the two factors at hand does.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from .errors import GradientError, ShapeError
from .graph import no_grad

__all__ = ["ManualMLP"]


class ManualMLP:
    """A multilayer perceptron with relu layers and squared error, derived by hand.

    Parameters
    ----------
    sizes : sequence of int
        Number of neurons of each layer, input first: ``[3, 5, 2]``.
    rng : None, int or numpy.random.Generator
        For the initial weights; the same `rng` gives the same weights as in `MLP`.
    dtype : dtype

    Attributes
    ----------
    W : list of array
        ``W[i]``, shape (n_in, n_out), connects layer i with layer i+1; ``W[0][1, 2]`` is the weight
        from neuron 1 of layer 0 to neuron 2 of layer 1.
    B : list of array
        ``B[i]``, shape (n_out,), the biases of layer i+1.
    A : list of array
        Filled by a forward pass: ``A[0]`` is x as it came in, ``A[i]`` the activation of layer i,
        shape (batch, neurons). The output y is not in it.
    DW, DB : list of array
        Filled by `backward`, in the order and with the shapes of `W` and `B`.

    Examples
    --------
    >>> import numpy as np
    >>> net = ManualMLP([2, 4, 1], rng=0)
    >>> x, t = np.ones((3, 2)), np.zeros((3, 1))
    >>> y = net.forward(x)
    >>> net.backward(y, t)
    >>> [dw.shape for dw in net.DW], [db.shape for db in net.DB]
    ([(2, 4), (4, 1)], [(4,), (1,)])
    """

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        rng: "int | np.random.Generator | None" = None,
        dtype: Any = np.float64,
    ) -> None:
        n_layers = len(sizes) if hasattr(sizes, "__len__") else 0
        if n_layers < 2 or not all(isinstance(n, (int, np.integer)) and n > 0 for n in sizes):
            raise ShapeError(f"ManualMLP: sizes {sizes!r}: give at least two integers from 1 on.")
        rng = np.random.default_rng(rng)
        self.W: list[Any] = []
        self.B: list[Any] = []
        self.A: list[Any] = []
        self.DW: list[Any] = []
        self.DB: list[Any] = []
        for n_in, n_out in itertools.pairwise(sizes):
            # variance 2 / n_in: relu halves the size of a signal, this doubles it again
            w = rng.standard_normal((n_in, n_out)) * (2 / n_in) ** 0.5
            self.W.append(w.astype(dtype))
            self.B.append(np.zeros(n_out, dtype))

    @classmethod
    def like(cls, net: Any) -> "ManualMLP":
        """A network of the same sizes, with copies of the weights and biases of `net`.

        Parameters
        ----------
        net : MLP, ManualMLP, or anything with lists `W` and `B`

        Returns
        -------
        ManualMLP

        Raises
        ------
        GradientError
            If `net` has another activation than relu; the backward pass here is derived for relu.
        """
        signs = np.array([-2.0, 0.0, 3.0])
        activation = getattr(net, "activation", None)
        if activation and not np.array_equal(activation(signs), np.maximum(signs, 0)):
            raise GradientError(
                f"ManualMLP.like: the activation is {getattr(activation, '__name__', activation)}; "
                f"the backward pass of ManualMLP is derived for relu."
            )
        manual = cls((1, 1), rng=0)
        with no_grad():  # or np.array of a parameter would be refused, as it cuts the graph
            manual.W = [np.array(w) for w in net.W]
            manual.B = [np.array(b) for b in net.B]
        return manual

    def forward(self, x: Any) -> Any:
        """Compute y for a whole batch, layer by layer; every layer's activation is kept in `A`.

        Parameters
        ----------
        x : array, shape (batch, n_in)

        Returns
        -------
        array, shape (batch, n_out)
        """
        self.A = [self._input("forward", x)]
        last = len(self.W) - 1
        for i, (w, b) in enumerate(zip(self.W, self.B)):
            # (batch, n_in) @ (n_in, n_out) -> (batch, n_out): row n holds, for each neuron k of the
            # next layer, the sum of A[i][n, j] * w[j, k] over j. Each row gets the biases (n_out,).
            z = self.A[i] @ w + b
            if i < last:
                self.A.append(np.maximum(z, 0))  # relu, (batch, n_out)
        return z  # no relu: an output may be negative

    def forward_by_sample(self, x: Any) -> Any:
        """`forward`, one sample after the other: slower, and nothing is hidden in a matrix product.

        Equal to `forward` within rounding, since a product of matrices may add in another order.

        Parameters
        ----------
        x : array, shape (batch, n_in)

        Returns
        -------
        array, shape (batch, n_out)
        """
        self.A = [self._input("forward_by_sample", x)]
        last = len(self.W) - 1
        for i, (w, b) in enumerate(zip(self.W, self.B)):
            # a is one sample as layer i sees it: (n_in,) @ (n_in, n_out) -> (n_out,)
            rows = np.stack([a @ w + b for a in self.A[i]])  # and a sample per row: (batch, n_out)
            if i < last:
                self.A.append(np.maximum(rows, 0))
        return rows

    def backward(self, y: Any, t: Any) -> None:
        """Fill `DW` and `DB` with the gradients of L = Σ (y - t)² / batch.

        Parameters
        ----------
        y : array, shape (batch, n_out)
            What the last forward pass returned.
        t : array, shape (batch, n_out)
            Targets.
        """
        y, t = self._targets(y, t)
        DW, DB = [], []

        # delta is the gradient of L with respect to the z of one layer, (batch, n_out). It begins
        # at the output, where z is y, with ∂(y - t)² / ∂y = 2 (y - t).
        delta = 2 * (y - t) / len(y)

        for i in reversed(range(len(self.W))):  # from the last layer to the first
            # z = A[i] @ W[i] + B[i]. The weight from j to k met the activation of neuron j once per
            # sample n, so its gradient is the sum of A[i][n, j] * delta[n, k] over n, which is
            # the inner axis: (n_in, batch) @ (batch, n_out) -> (n_in, n_out), the shape of W[i].
            DW.append(self.A[i].T @ delta)
            # A bias was added to every sample as it is: (batch, n_out) -> (n_out,), as B[i].
            DB.append(delta.sum(axis=0))

            if i > 0:  # nobody asks for the gradient of x
                # Neuron j went to every k with weight W[i][j, k], so here the sum is over k:
                # (batch, n_out) @ (n_out, n_in) -> (batch, n_in), as A[i]. Then relu: its slope is
                # 1 where it let the value pass and 0 where it did not, and A[i] still shows which.
                delta = delta @ self.W[i].T * (self.A[i] > 0)

        self.DW, self.DB = DW[::-1], DB[::-1]  # collected from back to front

    def _input(self, method: str, x: Any) -> Any:
        """`x` as an array, if it is a batch of inputs."""
        x = np.asarray(x)
        n_in = self.W[0].shape[0]
        if x.ndim != 2:
            raise ShapeError(
                f"ManualMLP.{method}: x {x.shape}: needs (batch, {n_in}); the first axis is the "
                f"batch, a batch of one is x.reshape(1, -1)."
            )
        if x.shape[1] != n_in:
            raise ShapeError(
                f"ManualMLP.{method}: x {x.shape} @ W[0] {self.W[0].shape}: x has "
                f"{x.shape[1]} columns, W[0] has {n_in} rows; they must be equal."
            )
        if len(x) == 0:
            raise ShapeError(f"ManualMLP.{method}: x {x.shape}: the batch is empty.")
        return x

    def _targets(self, y: Any, t: Any) -> tuple[Any, Any]:
        """`y` and `t` as arrays, if they belong to the last forward pass."""
        if not self.A:
            raise ShapeError("ManualMLP.backward: A is empty; call forward(x) first, it fills A.")
        y, t = np.asarray(y), np.asarray(t)
        expected = (len(self.A[0]), self.W[-1].shape[1])
        for name, a in (("y", y), ("t", t)):
            if a.shape != expected:
                fits = (
                    f"; {name}.reshape{expected} would fit" if a.size == np.prod(expected) else ""
                )
                raise ShapeError(
                    f"ManualMLP.backward: {name} {a.shape}: needs (batch, n_out) = {expected}, as "
                    f"the last forward pass gave it; nothing is broadcast{fits}."
                )
        return y, t

    def __repr__(self) -> str:
        sizes = [self.W[0].shape[0], *(w.shape[1] for w in self.W)]
        return f"ManualMLP({sizes}, dtype={self.W[0].dtype})"
