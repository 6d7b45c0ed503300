"""The training loop: epochs, validation, early stopping, checkpoints; metrics and a plot.

`fit` is what a person would write, plus care for what goes wrong. It moves from the end of one
epoch to the end of the next: whatever interrupts it, the network, the optimizer and the random
generator are as they were after the last whole epoch, which is also what a checkpoint holds.
"""

import importlib.util
import math
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from .compiling import jit as compiled
from .data import batches
from .errors import DataError, GradientError, RenderError, ShapeError
from .formatting import name_of
from .graph import no_grad
from .nn import Module
from .optim import Optimizer, Schedule
from .saving import Saved, load, save, write_whole

__all__ = ["accuracy", "fit", "plot_history", "r_squared"]

History = dict[str, list[float]]


def fit(
    net: Module,
    data: tuple[Any, Any] | Callable[[np.random.Generator], Iterable[tuple[Any, Any]]],
    loss: Callable[[Any, Any], Any],
    optimizer: Optimizer,
    epochs: int = 10,
    callbacks: Sequence[Callable[[History], Any]] = (),
    *,
    batch_size: int = 32,
    rng: "int | np.random.Generator | None" = None,
    validation: tuple[Any, Any] | None = None,
    metric: Callable[[Any, Any], float] | None = None,
    schedule: Schedule | None = None,
    patience: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = False,
    jit: bool = False,
    progress: bool | None = None,
) -> History:
    """Train a network.

    If it is interrupted, by Ctrl-C or by an error, the network, the optimizer and `rng` are as they
    were after the last whole epoch, and so is the checkpoint.

    Parameters
    ----------
    net : Module
    data : (x, t), or a function
        Inputs and targets; or ``data(rng)``, which returns the batches of an epoch, as pairs.
    loss : callable
        ``loss(net(x), t)``, a mean over the batch: `mse`, `cross_entropy` ...
    optimizer : Optimizer
        Made with ``net.parameters()``.
    epochs : int
        Passes through the data, those before a resume counted.
    callbacks : sequence of callables
        Each is called as ``callback(history)`` after every epoch; True ends the training.
    batch_size : int
        Of batches from (x, t).
    rng : None, int or np.random.Generator
        For the order of the samples, and what ``data(rng)`` does.
    validation : (x, t), optional
        Data that are not learnt from; judged as a whole after each epoch.
    metric : callable, optional
        ``metric(y, t)`` of the validation data, as arrays: `accuracy`, `r_squared` ...
    schedule : Schedule, optional
        Stepped after each epoch.
    patience : int, optional
        Stop after this many epochs in which the loss (of the validation data, if there are any) was
        never lower than before. The net ends with the weights of its best epoch.
    checkpoint : path, optional
        A file that is written after each epoch.
    resume : bool
        Go on from `checkpoint` if the file is there: equal, bit for bit, to not having stopped.
    jit : bool
        Compile the step: the same numbers within rounding, faster for small networks.
    progress : bool, optional
        Show a bar, which needs tqdm; by default if standard error is a terminal.

    Returns
    -------
    dict
        "loss" (the mean over the epoch, while the network learnt), "val_loss" and "val_accuracy"
        (or how the metric is called) -> a number for each epoch.

    Raises
    ------
    GradientError
        If the loss is nan or infinite, or `net` has random numbers of its own and `jit` is set.
    DataError
        If there are no data, or the checkpoint belongs to something else.

    Examples
    --------
    >>> from tinygrad_mlp import MLP, Adam, mse
    >>> x = np.linspace(-1, 1, 64)[:, None]
    >>> net = MLP([1, 16, 1], rng=0)
    >>> history = fit(net, (x, x**2), mse, Adam(net.parameters(), lr=0.01), epochs=40, rng=0)
    >>> len(history["loss"]), history["loss"][-1] < 0.01 < history["loss"][0]
    (40, True)
    """
    rng = np.random.default_rng(rng)
    if not callable(data):
        x, t = map(np.asarray, data)
    if metric is not None and validation is None:
        raise DataError("fit: metric= is measured on validation data: give validation=(x, t).")
    if resume and checkpoint is None:
        raise DataError("fit: resume=True goes on from a file: give checkpoint=path.")
    history: History = {"loss": []}
    best: dict[str, Any] | None = None
    if jit and net._generators():
        raise GradientError(
            "fit: jit=True fixes what the step does, but a module here draws new numbers "
            "each time: leave jit=True out."
        )

    def snapshot() -> Saved:
        extra = {
            "optimizer": optimizer.state_dict(),
            "rng": rng.bit_generator.state,
            "schedule": schedule.k if schedule else 0,
            "history": {name: list(values) for name, values in history.items()},
            "best": best,
        }
        return Saved(net.state_dict(), extra)

    def restore(saved: Saved) -> None:
        nonlocal best
        optimizer.load_state_dict(saved.extra["optimizer"])
        net.load_state_dict(saved.state)
        rng.bit_generator.state = saved.extra["rng"]
        if schedule:
            schedule.k = saved.extra["schedule"]
        history.clear()
        history.update({name: list(values) for name, values in saved.extra["history"].items()})
        best = saved.extra["best"]

    def eager(x: Any, t: Any) -> Any:
        optimizer.zero_grad()
        value = loss(net(x), t)
        value.backward()
        optimizer.step()
        return value.item()

    step = compiled(lambda x, t: loss(net(x), t), optimizer) if jit else eager
    mode = net.training
    last = snapshot()
    try:
        if resume and os.path.exists(str(checkpoint)):
            restore(read(str(checkpoint)))
            last = snapshot()
        with bar(epochs, len(history["loss"]), progress) as shown:
            stop = tired(history, patience)
            while not stop and len(history["loss"]) < epochs:
                net.train()
                pairs = data(rng) if callable(data) else batches(x, t, batch_size, rng)
                results = {"loss": mean_loss(step, pairs, len(history["loss"]) + 1)}
                if validation is not None:
                    net.eval()
                    results |= judge(net, loss, metric, *validation)
                for name, value in results.items():
                    history.setdefault(name, []).append(value)
                if patience is not None and since_best(history) == 0:
                    best = {k: a for k, a in net.state_dict().items() if not isinstance(a, dict)}
                if schedule:
                    schedule.step()
                answers = [callback(history) for callback in callbacks]
                stop = tired(history, patience) or any(answer is True for answer in answers)
                last = snapshot()
                if checkpoint is not None:
                    save(checkpoint, last.state, **last.extra)
                if shown is not None:
                    texts = [f"{name} {value:.4g}" for name, value in results.items()]
                    shown.set_postfix_str(", ".join(texts), refresh=False)
                    shown.update()
        if best is not None:
            net.load_state_dict(best)
    except BaseException:
        restore(last)
        raise
    finally:
        net.train(mode)
    return history


def read(path: str) -> Saved:
    """A checkpoint."""
    saved = load(path)
    missing = {"optimizer", "rng", "schedule", "history", "best"} - saved.extra.keys()
    if missing:
        raise DataError(f"fit: {path} is no checkpoint of fit(): it has no {min(missing)}.")
    return saved


def mean_loss(step: Callable[..., Any], pairs: Iterable[tuple[Any, Any]], epoch: int) -> float:
    """Learn from the batches of an epoch; the mean of their losses, each by its length."""
    total, n = 0.0, 0
    for i, (x, t) in enumerate(pairs, 1):
        total += finite(float(step(x, t)), f"epoch {epoch}, batch {i}") * len(x)
        n += len(x)
    if not n:
        raise DataError("fit: there are no data to learn from: an epoch has no samples.")
    return total / n


def judge(net: Module, loss: Any, metric: Any, x: Any, t: Any) -> dict[str, float]:
    """Loss and metric of data that are not learnt from."""
    with no_grad():
        y = net(x)
        results = {"val_loss": finite(float(loss(y, t).item()), "the validation data")}
    if metric is not None:
        results[f"val_{name_of(metric)}"] = float(metric(y.data, t))
    return results


def finite(value: float, where: str) -> float:
    """`value`, unless it is nan or infinite."""
    if not math.isfinite(value):
        raise GradientError(
            f"fit: the loss of {where} is {value}; the network is as it was after the last whole "
            f"epoch. A lower learning rate helps, or inputs of mean 0 and deviation 1."
        )
    return value


def since_best(history: History) -> int:
    """The number of epochs since the loss was lowest."""
    losses = history.get("val_loss", history["loss"])
    return len(losses) - 1 - losses.index(min(losses))


def tired(history: History, patience: int | None) -> bool:
    """Whether the loss has not become lower for long enough."""
    return patience is not None and history["loss"] != [] and since_best(history) >= patience


def bar(epochs: int, done: int, wanted: bool | None) -> Any:
    """A progress bar, or a context of None."""
    if wanted is None:
        wanted = sys.stderr is not None and sys.stderr.isatty()
    if not wanted or not importlib.util.find_spec("tqdm"):
        return nullcontext()
    from tqdm import tqdm

    return tqdm(total=epochs, initial=done, unit="epoch", ascii=" -#", dynamic_ncols=True)


# --- metrics --------------------------------------------------------------------------------------


def accuracy(y: Any, t: Any) -> float:
    """The share of samples whose largest output is that of their class.

    Parameters
    ----------
    y : array, shape (batch, n_classes)
        Logits or probabilities.
    t : array, shape (batch,) or (batch, n_classes)
        Classes, or one-hot rows.

    Returns
    -------
    float, from 0 to 1

    Examples
    --------
    >>> accuracy(np.array([[0.1, 2.0], [3.0, 1.0]]), np.array([1, 1]))
    0.5
    """
    t = np.asarray(t)
    return float(np.mean(np.argmax(y, axis=1) == (t if t.ndim == 1 else np.argmax(t, axis=1))))


def r_squared(y: Any, t: Any) -> float:
    """The share of the variance of the targets that the predictions explain: 1 is all of it.

    Of several outputs, the mean of their shares. It is below 0 where the mean of the targets would
    have been a better guess, and nan where all targets are equal.

    Parameters
    ----------
    y, t : array, shape (batch,) or (batch, n_out)
        Predictions and targets.

    Returns
    -------
    float, at most 1

    Raises
    ------
    ShapeError
        If the shapes differ.

    Examples
    --------
    >>> t = np.array([1.0, 2.0, 3.0])
    >>> r_squared(t, t), r_squared(0 * t + 2, t), r_squared(t + 1, t)
    (1.0, 0.0, -0.5)
    """
    y, t = np.asarray(y), np.asarray(t)
    if y.shape != t.shape:
        raise ShapeError(f"r_squared: y {y.shape} and t {t.shape} must have one shape.")
    rest, whole = np.sum((y - t) ** 2, axis=0), np.sum((t - t.mean(axis=0)) ** 2, axis=0)
    return float(np.mean(1 - rest / np.where(whole == 0, np.nan, whole)))


# --- plot -----------------------------------------------------------------------------------------

COLORS = {"loss": "#c2410c", "val_loss": "#0072b2"}


def plot_history(history: History, path: str | os.PathLike[str] | None = None) -> Any:
    """Plot what `fit` returned: losses to the left, metrics to the right.

    Parameters
    ----------
    history : dict
    path : path, optional
        Where to write the picture: .png, .svg or .pdf.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    RenderError
        If matplotlib is not installed, or knows no such format.

    Examples
    --------
    >>> figure = plot_history({"loss": [2.0, 0.5, 0.3], "val_loss": [1.5, 0.6, 0.5]})
    >>> [line.get_label() for line in figure.axes[0].lines]
    ['loss', 'val_loss']
    """
    if not importlib.util.find_spec("matplotlib"):
        raise RenderError("plot_history: there is no matplotlib: pip install 'tinygrad-mlp[demo]'.")
    import io

    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(6.4, 3.6), dpi=120, layout="constrained")
    axes = figure.subplots()
    right = None
    for name, values in history.items():
        epochs = range(1, len(values) + 1)
        if name in COLORS:
            axes.semilogy(epochs, values, color=COLORS[name], label=name)
            continue
        right = right or axes.twinx()
        right.plot(epochs, values, "--", color="#4d7c0f", label=name)
        right.set_ylabel(name)
    axes.set(xlabel="epoch", ylabel="loss")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    lines = [line for part in figure.axes for line in part.lines]
    axes.legend(handles=lines, loc="center right", frameon=False)
    if path is not None:
        buffer = io.BytesIO()
        try:
            figure.savefig(buffer, format=Path(path).suffix[1:] or "png")
        except ValueError as error:
            raise RenderError(f"plot_history: {error}") from error
        write_whole(path, buffer.getvalue())
    return figure
