"""Models of tables, for the command line: which columns go in, which comes out, on what scale."""

import io
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .data import load_csv, load_digits, load_penguins, standardize, train_test_split
from .errors import DataError
from .formatting import nearest
from .functional import cross_entropy, softmax
from .graph import no_grad
from .nn import MLP
from .ops import mse
from .optim import Adam, Schedule, cosine
from .saving import load, save
from .training import accuracy, fit, r_squared

__all__ = ["Task", "learn", "load_model", "predict", "read", "save_model"]

LR = 0.004


class Task(NamedTuple):
    """What a network has learnt to do, and on what scales."""

    columns: list[str] | None
    """The inputs by name, in order; None for the columns of a matrix x."""
    target: str
    classes: list[str] | None
    """The names of the classes; None if the target is a number."""
    mean: Any
    std: Any
    t_mean: Any
    t_std: Any


def read(source: str, test: bool = False) -> dict[str, Any]:
    """The arrays of a data set: columns by name, or a matrix x and targets t.

    Parameters
    ----------
    source : str
        "digits", "penguins", or a file: .csv or .npz.
    test : bool
        Of the digits, those to judge by.
    """
    if source == "digits":
        digits = load_digits()
        images, labels = digits[2:] if test else digits[:2]
        return {"x": images.reshape(-1, 64) / 16, "t": labels}
    if source == "penguins":
        return load_penguins()._asdict()
    suffix = Path(source).suffix.lower()
    if suffix == ".csv":
        return load_csv(source)
    if suffix != ".npz":
        raise DataError(f"--data {source}: give digits, penguins, or a file, .csv or .npz.")
    raw = io.BytesIO(Path(source).read_bytes())
    try:
        with np.load(raw, allow_pickle=False) as arrays:
            table = {name: arrays[name] for name in arrays}
    except Exception as error:  # a damaged zip raises half a dozen kinds
        raise DataError(f"{source} is no npz file, or damaged ({type(error).__name__}).") from error
    if "x" not in table or table["x"].ndim != 2 or table["x"].dtype.kind not in "fiub":
        held = ", ".join([f"{name} {a.shape}" for name, a in table.items()][:5])
        raise DataError(f"{source} must hold numbers x (samples, inputs); it holds {held}.")
    return table


def quoted(name: str) -> str:
    """A name from a table, as Python writes it where it would not be seen or break the line."""
    return name if name.isprintable() and name.strip() else repr(str(name))


def is_matrix(table: dict[str, Any]) -> bool:
    """Whether the inputs are one matrix x; else they are columns with names."""
    return "x" in table and table["x"].ndim == 2


def column(table: dict[str, Any], name: str, source: str) -> Any:
    """A column of the table."""
    if name not in table:
        close = nearest(name, list(table))
        names = ", ".join(map(quoted, table))
        hint = f" Did you mean {quoted(close)}?" if close else f" There are {names}."
        raise DataError(f"{source} has no column {quoted(name)}.{hint}")
    return table[name]


def inputs(table: dict[str, Any], columns: list[str] | None, source: str) -> Any:
    """The matrix that goes into the network, a row for each sample; whole, or an error."""
    if columns is None:
        if not is_matrix(table):
            raise DataError(f"{source}: the model takes a matrix x, which is what .npz files have.")
        x = np.asarray(table["x"], np.float64)
        names = [f"x[:, {i}]" for i in range(x.shape[1])]
    elif not columns:
        raise DataError(f"{source} has no column of numbers to learn from.")
    elif is_matrix(table):
        raise DataError(
            f"{source} holds a matrix; the model takes columns by name: "
            f"{', '.join(map(quoted, columns))}; give a .csv."
        )
    else:
        values = [column(table, name, source) for name in columns]
        for name, a in zip(columns, values):
            if a.dtype.kind not in "fiub":
                raise DataError(
                    f"{source}: the column {name} must hold numbers, not {str(a[0])!r}."
                )
        x, names = np.stack(values, axis=1), columns
    if not len(x):
        raise DataError(f"{source} has no rows.")
    check(x, names, source)
    return x


def check(a: Any, names: list[str], source: str) -> None:
    """Raise if a value in the matrix is missing or infinite."""
    bad = np.argwhere(~np.isfinite(a))
    if len(bad):
        i, j = bad[0].tolist()
        rows = len(set(bad[:, 0].tolist()))
        raise DataError(
            f"{source}, row {i + 1}: {quoted(names[j])} is {a[i, j]}; leave such rows "
            f"out, or fill them in ({rows} of {len(a)} rows)."
        )


def learn(
    source: str,
    sizes: tuple[int, ...],
    target: str | None = None,
    *,
    epochs: int = 50,
    seed: int = 0,
    **how: Any,
) -> tuple[MLP, Task, dict[str, list[float]], list[str]]:
    """Train a network on a data set.

    Parameters
    ----------
    source : str
        As for `read`.
    sizes : sequence of int
        From the number of inputs to that of outputs or classes.
    target : str, optional
        The column to learn; the last one by default, or t of an .npz.
    epochs, seed : int
    **how
        For `fit`.

    Returns
    -------
    net, task, history, left_out
        The last names columns of text, which do not go in.
    """
    table = read(source)
    matrix = is_matrix(table)
    target = target or ("t" if matrix else list(table)[-1])
    t = column(table, target, source)
    rest = [name for name in table if name != target]
    columns = None if matrix else [name for name in rest if table[name].dtype.kind in "fiub"]
    x = inputs(table, columns, source)
    if t.shape[:1] != x.shape[:1] or not t.size:
        raise DataError(f"{source}: x has {len(x)} rows, the shape of {target} is {t.shape}.")
    if len(x) == 1:
        raise DataError(f"{source} has one row; it takes two, one to learn from, one to judge by.")
    t, classes = targets(t, target, source, sizes[-1])
    if sizes[0] != x.shape[1]:
        named = f": {', '.join(map(quoted, columns))}" if columns else ""
        raise DataError(
            f"--sizes begins with {sizes[0]}, but {source} has {x.shape[1]} inputs{named}."
        )
    rng = np.random.default_rng(seed)
    if source == "digits":
        test = read(source, test=True)
        x_test, t_test = test["x"], test["t"]
    else:
        x, x_test, t, t_test = train_test_split(x, t, test_size=0.2, rng=rng)
    x, mean, std = standardize(x)
    t_mean, t_std = np.zeros(1), np.ones(1)
    if not classes:
        t, t_mean, t_std = standardize(t)
    net = MLP(sizes, rng=rng)
    optimizer = Adam(net.parameters(), LR)
    history = fit(
        net,
        (x, t),
        cross_entropy if classes else mse,
        optimizer,
        epochs,
        rng=rng,
        validation=((x_test - mean) / std, t_test if classes else (t_test - t_mean) / t_std),
        metric=accuracy if classes else r_squared,
        schedule=Schedule(optimizer, cosine(epochs)),
        **how,
    )
    task = Task(columns, target, classes, mean, std, t_mean, t_std)
    return net, task, history, [name for name in rest if columns and name not in columns]


def targets(t: Any, name: str, source: str, n_out: int) -> tuple[Any, list[str] | None]:
    """What the network has to put out: classes with their names, or numbers, (samples, n_out)."""
    if t.dtype.kind not in "fiubU" or (t.dtype.kind == "U" and t.ndim > 1):
        raise DataError(
            f"{source}: {quoted(name)} must be numbers, or a column of text, "
            f"not {t.dtype} {t.shape}."
        )
    if t.dtype.kind == "U":
        names, t = np.unique(t, return_inverse=True)
        if len(names) != n_out:
            raise DataError(
                f"--sizes ends in {n_out}, but {quoted(name)} of {source} has "
                f"{len(names)} classes: "
                f"{', '.join(map(quoted, names[:9]))}{', ...' if len(names) > 9 else ''}."
            )
        return t, names.tolist()
    t = t.reshape(len(t), -1)
    check(t, t.shape[1] * [name], source)
    if t.shape[1] == n_out:
        return t.astype(np.float64), None
    bad = np.flatnonzero((t[:, 0] % 1 != 0) | (t[:, 0] < 0) | (t[:, 0] >= n_out))
    if t.shape[1] > 1 or len(bad):
        values = f"{t.shape[1]} numbers" if t.shape[1] > 1 else f"{t[bad[0], 0]:g}"
        raise DataError(
            f"--sizes ends in {n_out}, so {quoted(name)} of {source} must be {n_out} numbers, or a "
            f"class from 0 to {n_out - 1}; in row {bad[0] + 1 if len(bad) else 1} it is {values}."
        )
    return t[:, 0].astype(np.int64), [str(i) for i in range(n_out)]


def save_model(path: Any, net: MLP, task: Task) -> None:
    """Write the network with all that its predictions need."""
    save(path, net, sizes=net.sizes, **task._asdict())


def load_model(path: Any) -> tuple[MLP, Task]:
    """What `save_model` wrote, once it was tried on the mean of what it has learnt from."""
    state, extra = load(path)
    try:
        net, task = MLP(extra["sizes"]), Task(**{name: extra[name] for name in Task._fields})
        net.load_state_dict(state)
        texts = [task.target, *(task.columns or ()), *(task.classes or ())]
        if not {type(text) for text in texts} <= {str}:
            raise TypeError("a name is no text")
        with np.errstate(divide="raise", invalid="raise"):
            found = answers(net, task, np.array([task.mean]))
        if not found or len(task.classes or found) != net.sizes[-1]:
            raise ValueError("not as many names as outputs")
    except Exception as error:  # whatever else a stranger has written there
        raise DataError(f"{path} holds no model of tinygrad-mlp train.") from error
    return net, task


def predict(net: MLP, task: Task, source: str) -> dict[str, list[Any]]:
    """Predictions, a column each: of numbers, or of classes with their probabilities."""
    x = inputs(read(source, test=True), task.columns, source)
    if x.shape[1] != len(task.mean):
        raise DataError(f"{source} has {x.shape[1]} inputs, the model takes {len(task.mean)}.")
    return answers(net, task, x)


def answers(net: MLP, task: Task, x: Any) -> dict[str, list[Any]]:
    """The columns of `predict` for a matrix."""
    with no_grad():
        y = net((x - task.mean) / task.std).data
    if task.classes:
        best = y.argmax(axis=1)
        likely = softmax(y).max(axis=1)
        return {task.target: [task.classes[i] for i in best], "probability": likely.tolist()}
    y = y * task.t_std + task.t_mean
    names = [f"{task.target}[{i}]" for i in range(y.shape[1])] if y.shape[1] > 1 else [task.target]
    return {name: values.tolist() for name, values in zip(names, y.T)}
