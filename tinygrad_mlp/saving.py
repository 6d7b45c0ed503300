"""Save and load networks and checkpoints: npz files without pickle, written whole or not at all."""

import io
import json
import os
import secrets
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .errors import DataError
from .formatting import describe

__all__ = ["Saved", "load", "save", "write_whole"]

FORMAT = 1
"""The version of what is in a file: a reader refuses what is newer than itself."""

HEADER = "tinygrad_mlp"
"""The entry that marks our files: JSON about all others."""


class Saved(NamedTuple):
    """What is in a file."""

    state: dict[str, Any]
    """Name -> array or state of a random generator, as `Module.state_dict` returned it."""
    extra: dict[str, Any]
    """What was saved beside it."""


def save(path: str | os.PathLike[str], net: Any, **extra: Any) -> None:
    """Write a network, and what else is given, into one npz file.

    Whenever it is interrupted, even by ``kill -9``, the file is the old one or the new one.

    Parameters
    ----------
    path : path
        Taken as it is; ``model.npz`` is usual.
    net : Module or mapping
        A network, or what its ``state_dict()`` returned.
    **extra
        Arrays, numbers, text, None, and lists and dicts of these: ``optimizer.state_dict()``,
        ``rng.bit_generator.state``, the number of the epoch. A tuple comes back as a list. The
        random generators of the network itself are saved with it.

    Raises
    ------
    DataError
        If something given cannot be saved without pickle.

    Examples
    --------
    >>> import tempfile
    >>> from tinygrad_mlp import MLP
    >>> path = Path(tempfile.mkdtemp()) / "model.npz"
    >>> net = MLP([2, 4, 1], rng=0)
    >>> save(path, net, sizes=net.sizes, note="not trained yet")
    >>> other = MLP(load(path).extra["sizes"])
    >>> load(path, other).extra["note"]
    'not trained yet'
    >>> np.array_equal(net.W[0].data, other.W[0].data)
    True
    """
    state = net.state_dict() if hasattr(net, "state_dict") else dict(net)
    arrays: dict[str, Any] = {}
    document: dict[str, Any] = {
        "format": FORMAT,
        "state": {name: pack(a, f"net/{name}", arrays) for name, a in state.items()},
        "extra": {name: pack(value, f"extra/{name}", arrays) for name, value in extra.items()},
    }
    numbers = [n for n, a in document["state"].items() if not isinstance(a, dict)]
    if numbers:
        raise DataError(f"save: of the network, no arrays: {', '.join(map(str, numbers))}.")
    document["arrays"] = {name: kind(a) for name, a in arrays.items()}
    text = json.dumps(document, ensure_ascii=False)  # as \u, two surrogates would become one letter
    arrays[HEADER] = np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    write_whole(path, buffer.getvalue())


def load(path: str | os.PathLike[str], net: Any = None) -> Saved:
    """Read what `save` wrote; nothing in the file is run.

    Parameters
    ----------
    path : path
    net : Module, optional
        Filled in: all of it, or nothing if it does not fit.

    Returns
    -------
    Saved
        ``.state``, which ``net.load_state_dict`` takes, and ``.extra``, a dict of the rest.

    Raises
    ------
    DataError
        If the file is damaged or was not written by `save`, or if `net` has other parameters.
    ShapeError
        If parameters of `net` have other shapes.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "model.npz"
    >>> save(path, {"w": np.arange(3.0)}, epoch=7)
    >>> state, extra = load(path)
    >>> state, extra
    ({'w': array([0., 1., 2.])}, {'epoch': 7})
    """
    raw = Path(path).read_bytes()
    file = os.fspath(path)
    try:
        with np.load(io.BytesIO(raw), allow_pickle=False) as entries:
            arrays = {name: entries[name] for name in entries}
        document = json.loads(arrays.pop(HEADER).tobytes()) if HEADER in arrays else {}
        version = document.get("format", 0)
        if version == FORMAT:
            if document["arrays"] != {name: kind(a) for name, a in arrays.items()}:
                raise ValueError("it holds other arrays than it lists")
            state = {name: unpack(a, arrays) for name, a in document["state"].items()}
            saved = Saved(state, {k: unpack(v, arrays) for k, v in document["extra"].items()})
    except Exception as error:  # a damaged zip raises half a dozen kinds
        raise DataError(
            f"load: {file} is damaged, or was never written by tinygrad_mlp.save()."
        ) from error
    if not version:
        raise DataError(
            f"load: {file} was not written by tinygrad_mlp.save(); numpy.load() reads any npz."
        )
    if version != FORMAT:
        raise DataError(
            f"load: {file} has format {version}, this version of tinygrad-mlp reads {FORMAT}: "
            f"upgrade it."
        )
    if net is not None:
        net.load_state_dict(saved.state)
    return saved


def kind(a: Any) -> list[Any]:
    """Shape and dtype of an array, for JSON."""
    return [list(a.shape), a.dtype.str]


def pack(value: Any, where: str, arrays: dict[str, Any]) -> Any:
    """`value` for JSON; an array in it goes into `arrays`, under the path that leads to it."""
    value = getattr(value, "_data", value)  # of a Tensor
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [pack(v, f"{where}/{i}", arrays) for i, v in enumerate(value)]
    if isinstance(value, dict) and all(isinstance(k, str) for k in value):
        return {"dict": {k: pack(v, f"{where}/{k}", arrays) for k, v in value.items()}}
    try:
        array = np.asarray(value) if hasattr(value, "dtype") else None
    except TypeError:  # an array on a device
        array = None
    if array is None or array.dtype.hasobject:
        raise DataError(
            f"save: {where} is {describe(value)}: give NumPy arrays, numbers, text, None, and "
            f"lists or dicts (of text -> value) of these; nothing is pickled."
        )
    if where in arrays or "\\" in where or not where.isprintable():  # no name for an entry of a zip
        where = str(len(arrays))
    arrays[where] = array
    return {"array": where}


def unpack(value: Any, arrays: dict[str, Any]) -> Any:
    """What `pack` was given."""
    if isinstance(value, list):
        return [unpack(v, arrays) for v in value]
    if not isinstance(value, dict):
        return value
    if "dict" in value:
        return {k: unpack(v, arrays) for k, v in value["dict"].items()}
    return arrays[value["array"]]


def write_whole(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file through a temporary one beside it, so that no half of it is ever seen.

    What is there is on the disk before it takes the place of the old file: the name never leads to
    less, not after a power cut either. A device or a pipe is written to as it is.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        Path(path).write_bytes(data)
        return
    target = Path(os.path.realpath(path))  # a link stays a link
    beside = target.with_name(f".{secrets.token_hex(6)}.tmp")
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, target)
    except OSError as error:
        error.filename = os.fspath(path)  # not the one beside it
        del error.filename2
        if isinstance(error, FileNotFoundError):
            folder = Path(path).parent
            folder = target.parent if folder.is_dir() else folder
            reason = "no file can be made in" if folder.is_dir() else "there is no folder"
            error.strerror = f"{reason} {folder}"  # none can be made in /proc
        raise
    finally:
        beside.unlink(missing_ok=True)
