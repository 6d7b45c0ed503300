"""Data and weights in general position, on which mistakes show."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from .errors import ShapeError
from .graph import no_grad
from .judging import one_line

__all__ = ["batches", "drawn", "more", "plain", "preactivations", "probe", "weights_of", "widths"]


def probe(net: Any, rng: "int | np.random.Generator | None" = 0) -> tuple[Any, Any]:
    """Input and targets that are special in nothing, so that mistakes show.

    The batch size is a prime of at least 5 that is no width of a layer. No z is near 0, and every
    relu layer has active and inactive units, other ones for other samples and in other layers, as
    far as the weights allow. Targets are no integers, and about as far from y as y is from 0.

    Parameters
    ----------
    net : MLP, ManualMLP, or anything with lists `W` and `B`
    rng : None, int or numpy.random.Generator

    Returns
    -------
    x : array, shape (batch, n_in)
    t : array, shape (batch, n_out)
        Both in the dtype of the weights.

    Examples
    --------
    >>> from tinygrad_mlp import MLP
    >>> x, t = probe(MLP((3, 5, 2), rng=0))
    >>> x.shape, t.shape
    ((7, 3), (7, 2))
    """
    rng = np.random.default_rng(rng)
    W, B = weights_of(net, "probe", type(net).__name__)
    sizes, dtype = widths(W), W[0].dtype
    batch = next(batches(sizes))
    most = -1
    for i in range(20):
        # ever larger inputs, in case that the biases outweigh them
        x = (rng.standard_normal((16 * batch, sizes[0])) * 1.5**i).astype(dtype)
        y, *Z = reversed(preactivations(W, B, x))
        distances = [abs(z).min(axis=1) / (abs(z).mean() or 1.0) for z in Z]
        best = np.argsort(-np.min([np.ones(len(x)), *distances], axis=0))[:batch]
        masks = [z[best] > 0 for z in Z]
        alike = any(np.array_equal(m, n) for m, n in itertools.pairwise(masks))
        good = sum(bool((mask != mask[0]).any()) for mask in masks) + (not alike)
        if good > most:
            most, chosen, scale = good, x[best], abs(y[best]).mean() or 1.0
        if good > len(masks):
            break
    t = rng.standard_normal((batch, sizes[-1])) * scale
    return chosen, t.astype(dtype)


def more(net: Any, rng: int) -> tuple[Any, Any]:
    """The data of `probe` and as many again that nobody chose: some z are near 0."""
    x, t = probe(net, rng)
    W, _ = weights_of(net, "probe", type(net).__name__)
    n = next(n for n in itertools.count(len(x) - 1) if n + len(x) not in widths(W))
    generator = np.random.default_rng([rng, n])
    rows = generator.standard_normal((n, x.shape[1])) * x.std()
    targets = generator.standard_normal((n, t.shape[1])) * t.std()
    return np.append(x, rows.astype(x.dtype), 0), np.append(t, targets.astype(t.dtype), 0)


def batches(sizes: list[int]) -> Iterator[int]:
    """Sizes of a batch: primes from 5 on that are no width."""
    primes = (n for n in itertools.count(5) if all(n % d for d in range(2, n)))
    return (n for n in primes if n not in sizes)


def plain(net: Any, batch: int) -> tuple[Any, Any]:
    """Input and targets in no special position: there may be any z, also near 0.

    So they show what those of `probe` do not: where a mask has its threshold.
    """
    W, B = weights_of(net, "probe", type(net).__name__)
    rng = np.random.default_rng(batch)
    x, t = (rng.standard_normal((batch, n)) for n in (len(W[0]), W[-1].shape[1]))
    t *= abs(preactivations(W, B, x)[-1]).mean()
    return x.astype(W[0].dtype), t.astype(W[0].dtype)


def preactivations(W: list[Any], B: list[Any], x: Any) -> list[Any]:
    """Z of every layer, the last of which is y; in float64."""
    Z: list[Any] = []
    for w, b in zip(W, B):
        a = np.maximum(Z[-1], 0) if Z else x.astype(float)
        Z.append(a @ w.astype(float) + b)
    return Z


def drawn(W: list[Any], B: list[Any], rng: int) -> tuple[list[Any], list[Any]]:
    """Weights and biases of the shapes and dtypes of `W` and `B`; no bias is zero.

    They are drawn again where a layer of relu would hardly let anything through: with gradients of
    zero a wrong pass looks right.
    """
    generator = np.random.default_rng(rng)
    x = np.random.default_rng(0).standard_normal((16, len(W[0])))

    def like(a: Any, scale: float) -> Any:
        return (generator.standard_normal(a.shape) * scale).astype(a.dtype)

    for _ in range(50):
        weights, biases = [like(w, (2 / len(w)) ** 0.5) for w in W], [like(b, 0.5) for b in B]
        if all((z > 0).mean() >= 0.25 for z in preactivations(weights, biases, x)[:-1]):
            break
    return weights, biases


def widths(W: list[Any]) -> list[int]:
    """Number of neurons of each layer."""
    return [W[0].shape[0], *(w.shape[1] for w in W)]


def weights_of(
    owner: Any, call: str, name: str, turned: bool = False
) -> tuple[list[Any], list[Any]]:
    """Copies of the weights and biases of `owner`, as floating point arrays that fit together.

    Where they are `turned`, (n_out, n_in), the copies are transposed; so are biases (n_out, 1).
    """
    try:
        with no_grad():
            W, B = ([np.array(a) for a in arrays] for arrays in (owner.W, owner.B))
        W, B = ([a if a.dtype.kind == "f" else a.astype(float) for a in c] for c in (W, B))
        W, B = ([a.T for a in arrays] for arrays in (W, B)) if turned else (W, B)
    except Exception as error:
        raise ShapeError(
            f"{call}: {name} needs lists of arrays W and B ({one_line(error)})."
        ) from error
    fits = len(W) == len(B) > 0 and all(w.ndim == 2 and w.size for w in W)
    fits = fits and all(w.shape[1] == after.shape[0] for w, after in itertools.pairwise(W))
    if not fits or any(b.shape not in ((w.shape[1],), (1, w.shape[1])) for w, b in zip(W, B)):
        raise ShapeError(
            f"{call}: {name}: W {[w.shape for w in W]}, B {[b.shape for b in B]} make no network. "
            f"W[i] is (n_in, n_out), with inputs in rows, B[i] is (n_out,) or (1, n_out), and n_in "
            f"of W[i+1] is n_out of W[i]. layout='out,in' is for the transposes of all of them."
        )
    return W, B
