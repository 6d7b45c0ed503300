"""The demo: a network learns handwriting, its gradients are checked, its graph is drawn."""

import argparse
import importlib.util
import os
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .checking import compare
from .console import FAILED, OK, Answer, note, put, reporting, show
from .data import Digits, load_digits, one_hot
from .deriving import derive
from .drawing import draw
from .errors import DataError, RenderError
from .graph import no_grad
from .manual import ManualMLP
from .nn import MLP
from .ops import mse
from .optim import SGD
from .playing import play
from .tensor import Tensor
from .training import History, accuracy, fit, plot_history

__all__ = ["demo", "small_loss"]

SIZES = (64, 128, 64, 10)
EPOCHS, BATCH, LR, MOMENTUM = 30, 32, 0.02, 0.9


def demo(args: argparse.Namespace) -> Answer:
    """Learn handwriting, check the gradients, draw the graph.

    Trains a network on the handwritten digits that come with the package, compares its gradients
    with a backward pass derived by hand, and writes pictures of the graph and of the learning.

    Examples
    --------
    tinygrad-mlp demo
    tinygrad-mlp demo -o pictures --seed 1
    """

    def say(text: str, more: str = "") -> None:
        if not args.json:
            show(f"{text}\n\n{textwrap.indent(more, 5 * ' ')}\n" if more else f"{text}\n")

    folder = args.output or Path("tinygrad-mlp-demo")
    if folder.is_file():
        raise DataError(f"{folder} is a file; -o names a folder.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError as error:
        raise DataError(
            f"{folder}: no folder can be made in {Path(error.filename).parent}."
        ) from error
    digits = load_digits()
    rng = np.random.default_rng(args.seed)
    net = MLP(SIZES, rng=rng, dtype=np.float32)
    say(
        f"1  Learn.  A network reads handwriting, {len(digits.train_labels)} digits by 30 people "
        f"(seed {args.seed}):",
        f"net = MLP({list(SIZES)})\nloss = mse(net(x), t)\nloss.backward()\noptimizer.step()",
    )
    start = time.perf_counter()
    history = learn(net, digits, rng, args.quiet)
    seconds = time.perf_counter() - start
    read = guess(net, digits.test_images)
    right = float(np.mean(read == digits.test_labels))
    if not args.quiet:
        note("")
    say(
        f"   {EPOCHS} epochs took {seconds:.1f} s. Of {len(read)} digits by 13 other people it "
        f"reads {100 * right:.1f} % correctly:",
        sample(digits, read),
    )
    say(
        f"2  Check.  Its gradients on {BATCH} digits, against the backward pass derived by hand:",
        "compare(ManualMLP.like(net), x, t, reference=net)",
    )
    x, t = rows(digits.train_images[:BATCH], digits.train_labels[:BATCH])
    comparison = compare(ManualMLP.like(net), x, t, reference=net)
    say(textwrap.indent(str(comparison), 5 * " "))
    loss = small_loss((2, 4, 1), 3, args.seed)
    say(
        "3  Derive.  The backward pass of a smaller network, written out from its graph:",
        f"print(derive(loss))\n\n{derive(loss)}",
    )
    say("4  Draw.  Values and gradients of the smaller network, and the derivation to run alone:")
    files, notes = pictures(folder, history, loss)
    say("\n".join(f"     {os.fspath(file):30}  {content}" for file, content in files))
    if not args.quiet:
        put("".join(f"     {text}\n\n" for text in notes), sys.stderr)
    document = {
        "version": 1,
        "command": "demo",
        "seed": args.seed,
        "sizes": SIZES,
        "epochs": EPOCHS,
        "seconds": seconds,
        "loss": history["loss"],
        "accuracy": right,
        "comparison": comparison.to_dict(),
        "files": [os.fspath(file) for file, _ in files],
        "notes": notes,
    }
    text = "Next: check a backward pass of your own,  tinygrad-mlp compare FILE --sizes 3,5,5,2\n"
    return Answer(document, text, status=OK if comparison.ok else FAILED)


def pixels(images: Any) -> Any:
    """Images as rows of numbers from 0 to 1."""
    return (images.reshape(len(images), -1) / 16).astype(np.float32)


def rows(images: Any, labels: Any) -> tuple[Any, Any]:
    """Inputs, and their labels one-hot."""
    return pixels(images), one_hot(labels, 10, np.float32)


def learn(net: MLP, digits: Digits, rng: np.random.Generator, quiet: bool) -> History:
    """Train on the digits of some people; what `fit` returns, judged by the digits of others."""
    return fit(
        net,
        rows(digits.train_images, digits.train_labels),
        mse,
        SGD(net.parameters(), lr=LR, momentum=MOMENTUM),
        EPOCHS,
        [reporting(quiet, 5)],
        batch_size=BATCH,
        rng=rng,
        validation=rows(digits.test_images, digits.test_labels),
        metric=accuracy,
        progress=False if quiet else None,
    )


def guess(net: MLP, images: Any) -> Any:
    """The digit that the network takes each image for."""
    with no_grad():
        return net(pixels(images)).data.argmax(axis=1)


def sample(digits: Digits, read: Any) -> str:
    """Test images as text: the first three that were read correctly, and the first that was not."""
    right = read == digits.test_labels
    shown = [*np.flatnonzero(right)[:3], *np.flatnonzero(~right)[:1]]
    lines = ["  ".join(map(ink, line)) for line in zip(*digits.test_images[shown])]
    wrong = {i: f", is {digits.test_labels[i]}" for i in shown[3:]}
    lines.append("  ".join(f"{f'reads {read[i]}{wrong.get(i, str())}':^16}" for i in shown))
    return "\n".join(line.rstrip() for line in lines)


def ink(line: Any) -> str:
    """A row of pixels, 0 to 16, as text twice as wide."""
    return "".join(" .:-=+*#%@"[int(v) * 9 // 16] * 2 for v in line)


def pictures(
    folder: Path, history: History, loss: Tensor
) -> tuple[list[tuple[Path, str]], list[str]]:
    """Write what can be shown: the files, and a line for each thing that is missing for more."""
    try:
        drawing = draw(loss)
    except ImportError:
        return [], ["No pictures without the package graphviz: pip install graphviz."]
    from .rendering import write_whole

    files: list[tuple[Path, str]] = []
    notes: list[str] = []
    try:
        for suffix in ("svg", "png"):
            files.append((drawing.write(folder / f"graph.{suffix}"), "the graph"))
    except RenderError as error:
        files.append((drawing.write(folder / "graph.dot"), "the graph, as text for Graphviz"))
        notes.append(str(error))
    files.append((play(loss).write(folder / "play.html"), "both passes, step by step: open it"))
    source = folder / "backward.py"
    write_whole(source, derive(loss).source().encode())
    files.append((source, "its backward pass, as NumPy alone"))
    if importlib.util.find_spec("matplotlib"):
        plot_history(history, folder / "loss.png")
        files.append((folder / "loss.png", "how the loss went down"))
    else:
        notes.append("No curve of the loss without matplotlib: pip install matplotlib.")
    return files, notes


def small_loss(sizes: Sequence[int], batch: int, seed: int) -> Any:
    """The loss of a network with random weights on random data, after a backward pass."""
    rng = np.random.default_rng(seed)
    net = MLP(sizes, rng=rng)
    x, t = rng.standard_normal((batch, sizes[0])), rng.standard_normal((batch, sizes[-1]))
    loss = mse(net(x), t)
    loss.backward()
    return loss
