"""Small, real data that travels with the package, and what feeds it to a network.

`README.md` beside this file says where each data set comes from and under which licence.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import DataError, ShapeError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike, NDArray

__all__ = [
    "Digits",
    "Penguins",
    "batches",
    "load_csv",
    "load_digits",
    "load_penguins",
    "one_hot",
    "shift",
    "standardize",
    "train_test_split",
]

_FOLDER = os.path.dirname(__file__)
_SHA256 = {
    "digits.npz": "e9355b56286ec609ffdc8a3c6fc7f04eea8b3a586ba6f8e9c87b99ab2304e565",
    "penguins.csv": "5b7c54e41386df0d4e94499da5f45b29284899bb0202c3efa13d509082ce5a52",
}


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
    import io

    with np.load(io.BytesIO(_read("digits.npz", "load_digits")), allow_pickle=False) as arrays:
        return Digits(**{name: arrays[name] for name in Digits._fields})


class Penguins(NamedTuple):
    """342 penguins of three species: lengths in mm, mass in g; arrays of shape (342,).

    `species` is "Adelie", "Chinstrap" or "Gentoo"; the measurements are float64.
    """

    species: NDArray[np.str_]
    bill_length_mm: NDArray[np.float64]
    bill_depth_mm: NDArray[np.float64]
    flipper_length_mm: NDArray[np.float64]
    body_mass_g: NDArray[np.float64]


def load_penguins() -> Penguins:
    """Measurements of 342 penguins of three species near Palmer Station, Antarctica.

    Returns
    -------
    Penguins
        An array per column.

    Raises
    ------
    DataError
        If the file is missing, or is not the one that was published with the package.

    References
    ----------
    K. Gorman and Palmer Station Antarctica LTER; *palmerpenguins* by A. Horst, A. Hill and
    K. Gorman (2020), doi:10.5281/zenodo.3960218, licence CC0 1.0.

    Examples
    --------
    >>> from tinygrad_mlp.data import load_penguins
    >>> penguins = load_penguins()
    >>> x = np.stack(penguins[1:4], axis=1)  # bill length, bill depth, flipper length
    >>> x.shape, penguins.body_mass_g.mean().round(1)
    ((342, 3), np.float64(4201.8))
    """
    return Penguins(**_columns(_read("penguins.csv", "load_penguins").decode(), "penguins.csv"))


def load_csv(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    r"""The columns of a CSV file by their names, which its first line gives.

    Parameters
    ----------
    path : path
        Of a text file in UTF-8, with commas between the values.

    Returns
    -------
    dict
        Name -> array of shape (rows,): of float64 if all values are numbers, where an empty one is
        nan, else of text.

    Raises
    ------
    DataError
        If it is no table: not text, without rows, rows of different lengths, names twice.

    Examples
    --------
    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/heights.csv"
    >>> with open(path, "w") as file:
    ...     _ = file.write("name,height\nAda,1.65\nAlan,1.8\n")
    >>> load_csv(path)["height"]
    array([1.65, 1.8 ])
    """
    with open(path, encoding="utf-8-sig", newline="") as file:
        try:
            return _columns(file.read(), os.fspath(path))
        except UnicodeDecodeError as error:
            raise DataError(f"{os.fspath(path)} is no CSV file: it is not text.") from error


def _columns(text: str, file: str) -> dict[str, NDArray[Any]]:
    """The columns of the CSV table `text`."""
    import csv
    import io

    try:
        names, *rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row] or [[]]
    except csv.Error as error:
        raise DataError(f"{file} is no CSV file: {error}.") from error
    names = [name.strip() for name in names]
    if not rows:
        raise DataError(f"{file} has no rows: a line of names and a line for each sample.")
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        raise DataError(f"{file}: two columns are named {twice[0]!r}.")
    for i, row in enumerate(rows, 1):
        if len(row) != len(names):
            raise DataError(
                f"{file}, row {i} has {len(row)} values, the first line names {len(names)} "
                f"columns: {', '.join(names)}."
            )
    columns: dict[str, NDArray[Any]] = {}
    for name, values in zip(names, zip(*rows)):
        try:
            columns[name] = np.array([float(v) if v.strip() else np.nan for v in values])
        except ValueError:
            columns[name] = np.array([v.strip() for v in values])
    return columns


def _read(name: str, caller: str) -> bytes:
    """A file of this folder, as it was published."""
    import hashlib  # not needed by `import tinygrad_mlp`

    try:
        with open(os.path.join(_FOLDER, name), "rb") as file:
            raw = file.read()
    except OSError as error:
        raise DataError(
            f"{caller}: {name} cannot be read ({error.strerror}); "
            "it is part of the package, so install tinygrad-mlp again."
        ) from error
    if hashlib.sha256(raw).hexdigest() != _SHA256[name]:
        raise DataError(
            f"{caller}: {name} is damaged ({len(raw)} bytes, wrong checksum); "
            "install tinygrad-mlp again."
        )
    return raw


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

    Returns
    -------
    iterator of (x_batch, t_batch)
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


def train_test_split(
    *arrays: NDArray[Any],
    test_size: float = 0.25,
    rng: np.random.Generator | int | None = None,
) -> list[NDArray[Any]]:
    """Split samples at random: part to learn from, part to judge by.

    Parameters
    ----------
    *arrays : arrays, shapes (n, ...)
        Row i of each belongs to the same sample.
    test_size : float
        The share of samples to judge by, rounded up to whole samples.
    rng : None, int or np.random.Generator

    Returns
    -------
    list of arrays
        The training part and the test part of the first array, of the second, and so on. Copies.

    Raises
    ------
    ShapeError
        If the arrays differ in length.
    DataError
        If one of the parts would be empty.

    Examples
    --------
    >>> x = np.arange(8.0)
    >>> x_train, x_test, t_train, t_test = train_test_split(x, 2 * x, rng=0)
    >>> len(x_train), len(x_test), bool(np.all(t_test == 2 * x_test))
    (6, 2, True)
    """
    n = len(arrays[0])
    if any(len(a) != n for a in arrays):
        raise ShapeError(
            f"train_test_split: arrays of {', '.join(str(len(a)) for a in arrays)} rows; "
            "they must be equal: row i of each belongs to sample i."
        )
    n_test = int(np.ceil(n * test_size))
    if not 0 < n_test < n:
        raise DataError(
            f"train_test_split: test_size = {test_size} of {n} samples leaves "
            f"{n - n_test} to learn from and {n_test} to judge by; both must be 1 or more."
        )
    order = np.random.default_rng(rng).permutation(n)
    return [part for a in arrays for part in (a[order[n_test:]], a[order[:n_test]])]


def standardize(x: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Columns with mean 0 and standard deviation 1, the scale on which networks learn well.

    Other data must go through the same step, not one of their own:
    ``x_test = (x_test - mean) / std``.

    Parameters
    ----------
    x : array, shape (n, ...)

    Returns
    -------
    z, mean, std : arrays
        ``z = (x - mean) / std``; the std of a constant column is given as 1.

    Raises
    ------
    DataError
        If there are no rows, or a column holds nan or infinity.

    Examples
    --------
    >>> z, mean, std = standardize(np.array([[1.0, 7.0], [3.0, 7.0]]))
    >>> z
    array([[-1.,  0.],
           [ 1.,  0.]])
    """
    if len(x) == 0:
        raise DataError(f"standardize: x {x.shape} has no rows.")
    bad = np.argwhere(~np.isfinite(x))
    if len(bad):
        row, *column = bad[0].tolist()
        where = f" of column {', '.join(map(str, column))}" if column else ""
        raise DataError(f"standardize: row {row}{where} (from 0) is {x[tuple(bad[0])]}.")
    mean, std = x.mean(axis=0), x.std(axis=0)
    # rounding leaves a constant column a trace of spread, which must not be blown up
    std = np.where(std > 10 * np.finfo(std.dtype).eps * np.abs(mean), std, 1).astype(std.dtype)
    return (x - mean) / std, mean, std


def shift(
    images: NDArray[Any], rng: np.random.Generator | int | None = None, by: float = 0.6
) -> NDArray[Any]:
    """Each image moved at random, by up to `by` pixels in each direction; zeros come in.

    A network that sees its images moved anew in every epoch learns not to care where they are. They
    move by fractions of a pixel, too, which is then shared among its neighbours: on digits of 8 x 8
    pixels, whole ones would cut off too much.

    Parameters
    ----------
    images : array, shape (n, height, width)
    rng : None, int or np.random.Generator
    by : float
        The largest move; all from ``-by`` to ``by`` are equally likely.

    Returns
    -------
    array, of the shape of `images`
        Of their dtype if that is float32 or wider, else float32.

    Raises
    ------
    ShapeError
        If `images` have another number of axes.

    Examples
    --------
    >>> image = np.array([[[0, 0, 0], [0, 16, 0], [0, 0, 0]]], np.float32)
    >>> shift(image, rng=0).round(1)
    array([[[0. , 1.9, 0.7],
            [0. , 9.7, 3.7],
            [0. , 0. , 0. ]]], dtype=float32)
    """
    if images.ndim != 3:
        raise ShapeError(f"shift: images {images.shape}: the shape must be (n, height, width).")
    rng = np.random.default_rng(rng)
    moved = images.astype(np.result_type(images, np.float32))
    margin = int(by) + 2
    for axis in (1, 2):
        start = margin + rng.uniform(-by, by, size=(len(images), 1, 1))
        whole = start.astype(int)
        part = (start - whole).astype(moved.dtype)
        places = np.arange(images.shape[axis]).reshape((1, -1, 1) if axis == 1 else (1, 1, -1))
        padded = np.pad(moved, [(margin, margin) if i == axis else (0, 0) for i in range(3)])
        near = np.take_along_axis(padded, places + whole, axis)
        moved = near + part * (np.take_along_axis(padded, places + whole + 1, axis) - near)
    return moved
