"""Small, real data that travels with the package, and what feeds it to a network.

`README.md` beside this file says where each data set comes from and under which licence.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import DataError, ShapeError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike, NDArray

__all__ = ["Digits", "batches", "load_digits", "one_hot"]

_DIGITS = __file__.replace("__init__.py", "digits.npz")
_DIGITS_SHA256 = "e9355b56286ec609ffdc8a3c6fc7f04eea8b3a586ba6f8e9c87b99ab2304e565"


class Digits(NamedTuple):
    """Handwritten digits, split by writer: nobody who wrote a training image wrote a test image.

    Images are uint8 of shape (n, 8, 8), a pixel counts 0 to 16; labels are uint8 of shape (n,).
    """

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.uint8]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.uint8]


def load_digits() -> Digits:
    """Handwritten digits: 3823 training images by 30 writers, 1797 test images by 13 others.

    An image is 8 x 8. A pixel is an integer from 0 to 16, the number of black dots in a 4 x 4 block
    of the scan: divide by 16 to have the range 0 to 1.

    Returns
    -------
    Digits
        train_images (3823, 8, 8), train_labels (3823,), test_images (1797, 8, 8) and
        test_labels (1797,), all uint8.

    Raises
    ------
    DataError
        If the file is missing, or is not the one that was published with the package.

    References
    ----------
    E. Alpaydin and C. Kaynak (1998), *Optical Recognition of Handwritten Digits*, UCI Machine
    Learning Repository, doi:10.24432/C50P49, licence CC BY 4.0. Repacked, values unchanged.

    Examples
    --------
    >>> from tinygrad_mlp.data import load_digits
    >>> digits = load_digits()
    >>> x = digits.train_images.reshape(-1, 64) / 16
    >>> x.shape, x.min(), x.max()
    ((3823, 64), np.float64(0.0), np.float64(1.0))
    """
    import hashlib  # not needed by `import tinygrad_mlp`
    import io
    from pathlib import Path

    path = Path(_DIGITS)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"load_digits: {path.name} cannot be read ({error.strerror}); "
            "it is part of the package, so install tinygrad-mlp again."
        ) from error
    if hashlib.sha256(raw).hexdigest() != _DIGITS_SHA256:
        raise DataError(
            f"load_digits: {path.name} is damaged ({len(raw)} bytes, wrong checksum); "
            "install tinygrad-mlp again."
        )
    with np.load(io.BytesIO(raw), allow_pickle=False) as arrays:
        return Digits(**{name: arrays[name] for name in Digits._fields})


def one_hot(labels: ArrayLike, n_classes: int, dtype: DTypeLike = np.float64) -> NDArray[Any]:
    """A row per label: 1 in the label's column, 0 elsewhere.

    Parameters
    ----------
    labels : array of integers, shape (batch,)
        Classes, from 0 to ``n_classes - 1``. Other shapes gain a last axis likewise.
    n_classes : int
        The number of columns.
    dtype : dtype
        Of the result; take that of the network.

    Returns
    -------
    array, shape (batch, n_classes)

    Raises
    ------
    DataError
        If labels are not integers, or one of them is no class.

    Examples
    --------
    >>> from tinygrad_mlp.data import one_hot
    >>> one_hot([2, 0], 3)
    array([[0., 0., 1.],
           [1., 0., 0.]])
    """
    classes = np.asarray(labels)
    if classes.dtype.kind not in "iu":
        raise DataError(f"one_hot: labels must be integers, these are {classes.dtype}.")
    outside = classes[(classes < 0) | (classes >= n_classes)]
    if outside.size:
        raise DataError(
            f"one_hot: label {outside[0]} is no class: "
            f"n_classes = {n_classes} allows 0 to {n_classes - 1}."
        )
    rows: NDArray[Any] = classes[..., np.newaxis] == np.arange(n_classes)
    return rows.astype(dtype)


def batches(
    x: NDArray[Any],
    t: NDArray[Any],
    batch_size: int,
    rng: np.random.Generator | int | None = None,
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """One epoch: every sample once, in random order, ``batch_size`` at a time.

    Parameters
    ----------
    x, t : array, shapes (n, ...)
        Inputs and targets; row i of one belongs to row i of the other.
    batch_size : int
        Samples in a batch. The last batch holds what is left, which may be fewer.
    rng : None, int or np.random.Generator
        Where the order comes from. Pass the same Generator to each epoch: an int would give every
        epoch the same order.

    Yields
    ------
    x_batch, t_batch : array
        Copies.

    Raises
    ------
    ShapeError
        If x and t differ in length.
    DataError
        If ``batch_size`` is less than 1.

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_mlp.data import batches
    >>> x = np.arange(5)
    >>> [len(x_batch) for x_batch, t_batch in batches(x, 2 * x, 2, rng=0)]
    [2, 2, 1]
    """
    if len(x) != len(t):
        raise ShapeError(
            f"batches: x {x.shape} has {len(x)} rows, t {t.shape} has {len(t)}; "
            "they must be equal: row i of t is the target of row i of x."
        )
    if batch_size < 1:
        raise DataError(f"batches: batch_size = {batch_size}; it must be at least 1.")
    # The checks above run at the call; the body of a generator would wait for the first batch.
    order = np.random.default_rng(rng).permutation(len(x))
    starts = range(0, len(x), batch_size)
    return ((x[rows], t[rows]) for rows in (order[i : i + batch_size] for i in starts))
