"""The command line: ``tinygrad-mlp``, or ``python -m tinygrad_mlp``.

Standard output holds the result, standard error progress and notes. The exit status is 0 if all is
well, 1 if a comparison failed, 2 for wrong use, 130 for Ctrl-C.
"""

import argparse
import contextlib
import errno
import importlib.util
import json
import math
import os
import re
import secrets
import sys
import textwrap
import time
import traceback
import webbrowser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from . import __version__
from .checking import compare
from .data import Digits, load_digits, one_hot
from .deriving import derive
from .drawing import draw
from .errors import DataError, RenderError, TinygradMLPError
from .formatting import nearest
from .grading import Grade, as_csv, as_page, coloured, grade, overview
from .graph import no_grad
from .manual import ManualMLP
from .nn import MLP
from .ops import mse
from .optim import SGD
from .playing import play
from .tensor import Tensor
from .training import History, accuracy, fit, plot_history

__all__ = ["main"]

PROG = "tinygrad-mlp"

OK, FAILED, MISUSE, INTERRUPTED = 0, 1, 2, 130

# --- streams --------------------------------------------------------------------------------------


def put(text: str, stream: Any) -> None:
    """Write. That nobody reads it any more (``| head``) is no error, and changes no status."""
    if stream is not None:
        try:
            stream.write(text)
            stream.flush()
        except OSError as error:  # let the rest go nowhere
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            if not isinstance(error, BrokenPipeError):
                raise


def show(text: str) -> None:
    """A part of the result."""
    put(f"{text}\n", sys.stdout)


def note(text: str) -> None:
    """Something beside the result; where it cannot be written, the result still counts."""
    with contextlib.suppress(OSError):
        put(f"{text}\n", sys.stderr)


def show_json(document: dict[str, Any]) -> None:
    """The result as the one JSON document on standard output."""
    show(json.dumps(finite(document), indent=2, allow_nan=False))


def finite(value: Any) -> Any:
    """`value` with None for what JSON has no number for.

    >>> finite({"a": [1.5, float("nan")]})
    {'a': [1.5, None]}
    """
    if isinstance(value, dict):
        return {key: finite(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def reporting(quiet: bool, every: int) -> Callable[[History], None]:
    """A callback of `fit` that notes the numbers of an epoch now and then, if no bar shows them."""
    bar = sys.stderr is not None and sys.stderr.isatty() and importlib.util.find_spec("tqdm")

    def report(history: History) -> None:
        epoch = len(history["loss"])
        if not (quiet or bar) and (epoch == 1 or epoch % every == 0):
            texts = [f"{name} {values[-1]:.4f}" for name, values in history.items()]
            note(f"   epoch {epoch:2}   {'   '.join(texts)}")

    return report


# --- demo -----------------------------------------------------------------------------------------

SIZES = (64, 128, 64, 10)
EPOCHS, BATCH, LR, MOMENTUM = 30, 32, 0.02, 0.9


def demo(args: argparse.Namespace) -> int:
    """Learn, check, draw: what the package does, on real data, in a few seconds."""

    def say(text: str) -> None:
        if not args.json:
            show(f"{text}\n")

    folder = args.output or Path(f"{PROG}-demo")
    if folder.is_file():
        raise DataError(f"{folder} is a file; -o names a folder.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError as error:
        raise DataError(
            f"{folder}: no folder can be made in {Path(error.filename).parent}."
        ) from error
    digits = load_digits()
    x, t = pixels(digits.train_images), one_hot(digits.train_labels, 10, np.float32)
    rng = np.random.default_rng(args.seed)
    net = MLP(SIZES, rng=rng, dtype=np.float32)
    say(
        f"1  Learn.  A network reads handwriting, {len(x)} digits by 30 people "
        f"(seed {args.seed}):\n\n"
        f"     net = MLP({list(SIZES)})\n"
        f"     loss = mse(net(x), t)\n"
        f"     loss.backward()\n"
        f"     optimizer.step()"
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
        f"reads {100 * right:.1f} % correctly:\n\n{indented(sample(digits, read), 5)}"
    )

    say(
        f"2  Check.  Its gradients on {BATCH} digits, against the backward pass derived by hand:"
        f"\n\n     compare(ManualMLP.like(net), x, t, reference=net)"
    )
    comparison = compare(ManualMLP.like(net), x[:BATCH], t[:BATCH], reference=net)
    say(indented(str(comparison), 5))

    loss = small_loss((2, 4, 1), 3, args.seed)
    say(
        f"3  Derive.  The backward pass of a smaller network, written out from its graph:"
        f"\n\n     print(derive(loss))\n\n{indented(str(derive(loss)), 5)}"
    )

    say("4  Draw.  Values and gradients of the smaller network, and the derivation to run alone:")
    files, notes = pictures(folder, history, loss)
    say("\n".join(f"     {os.fspath(file):30}  {content}" for file, content in files))
    if not args.quiet:
        put("".join(f"     {text}\n\n" for text in notes), sys.stderr)
    say(f"Next: check a backward pass of your own,  {PROG} compare FILE --sizes 3,5,5,2")
    if args.json:
        document = {
            "sizes": SIZES,
            "epochs": EPOCHS,
            "seconds": seconds,
            "loss": history["loss"],
            "accuracy": right,
            "comparison": comparison.to_dict(),
            "files": [os.fspath(file) for file, _ in files],
            "notes": notes,
        }
        show_json({**head(args), **document})
    return OK if comparison.ok else FAILED


def head(args: argparse.Namespace) -> dict[str, Any]:
    """What every JSON document begins with."""
    return {"version": 1, "command": args.command, "seed": args.seed}


def pixels(images: Any) -> Any:
    """Images as rows of numbers from 0 to 1."""
    return (images.reshape(len(images), -1) / 16).astype(np.float32)


def learn(net: MLP, digits: Digits, rng: np.random.Generator, quiet: bool) -> History:
    """Train on the digits of some people; what `fit` returns, judged by the digits of others."""
    x, t = pixels(digits.train_images), one_hot(digits.train_labels, 10, np.float32)
    others = pixels(digits.test_images), one_hot(digits.test_labels, 10, np.float32)
    optimizer = SGD(net.parameters(), lr=LR, momentum=MOMENTUM)
    return fit(
        net,
        (x, t),
        mse,
        optimizer,
        EPOCHS,
        [reporting(quiet, 5)],
        batch_size=BATCH,
        rng=rng,
        validation=others,
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
    lines = ["  ".join(map(ink, rows)) for rows in zip(*digits.test_images[shown])]
    captions = [f"reads {read[i]}" for i in shown]
    captions[3:] = [
        f"{text}, is {digits.test_labels[i]}" for text, i in zip(captions[3:], shown[3:])
    ]
    lines.append("  ".join(f"{text:^16}" for text in captions))
    return "\n".join(line.rstrip() for line in lines)


def ink(row: Any) -> str:
    """A row of pixels, 0 to 16, as text twice as wide."""
    return "".join(" .:-=+*#%@"[int(v) * 9 // 16] * 2 for v in row)


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


# --- draw -----------------------------------------------------------------------------------------


def draw_command(args: argparse.Namespace) -> int:
    """Draw a network, or the loss that a function returns, with the gradients of one pass."""
    loss = loss_given(args, "draw")
    if args.open and args.output is None:
        raise DataError("draw: --open needs a file to open: -o net.svg.")
    drawing = draw(loss, args.level, args.direction, args.show, args.expand)
    document: dict[str, Any] = head(args)
    if args.sizes:
        document |= {"sizes": args.sizes, "batch": args.batch}
    if args.output:
        document["file"] = os.fspath(drawing.write(args.output))
    else:
        document["dot"] = drawing.source
    if args.json:
        show_json(document)
    else:
        show(document["file"] if args.output else drawing.source)
        if args.sizes and not args.quiet:
            note(f"MLP({list(args.sizes)}), batch {args.batch}, seed {args.seed}")
    if args.open:
        webbrowser.open(args.output.resolve().as_uri())
    return OK


# --- play -----------------------------------------------------------------------------------------


def play_command(args: argparse.Namespace) -> int:
    """Write a page that steps through a network, or through the loss that a function returns."""
    if args.output is None and (args.open or not args.json):
        raise DataError("play: say where the page goes: -o net.html.")
    player = play(loss_given(args, "play"), args.output)
    if args.json:
        where = {"file": os.fspath(args.output)} if args.output else {"html": player.html}
        show_json({**head(args), **where})
    else:
        show(os.fspath(args.output))
        if not args.quiet:
            note(repr(player)[1:-1])
    if args.open:
        webbrowser.open(args.output.resolve().as_uri())
    return OK


# --- derive ---------------------------------------------------------------------------------------

FORMATS = {"text": ".txt", "markdown": ".md", "latex": ".tex", "python": ".py", "json": ".json"}


def derive_command(args: argparse.Namespace) -> int:
    """Write out the backward pass of a network, or of the loss that a function returns."""
    program = derive(loss_given(args, "derive"))
    form = "json" if args.json else args.format or format_of(args)
    if form != "python" and (args.worksheet or args.loop):
        raise DataError(f"derive: --worksheet and --loop make Python, not {form}.")
    if form == "json":
        document = {**head(args), "program": program.to_dict()}
        text = json.dumps(document, indent=2, allow_nan=False)
    elif form == "python":
        text = program.worksheet() if args.worksheet else program.source(loop=args.loop)
    else:
        text = program.formulas(form)
    if args.output:
        from .rendering import write_whole

        write_whole(args.output, f"{text.rstrip()}\n".encode())
        show(os.fspath(args.output))
    else:
        show(text.rstrip())
    return OK


def format_of(args: argparse.Namespace) -> str:
    """The format, where none is asked for: by the name of the file that it goes to."""
    if args.worksheet or args.loop:
        return "python"
    suffix = args.output.suffix.lower() if args.output else ""
    return next((form for form, end in FORMATS.items() if end == suffix), "text")


def loss_given(args: argparse.Namespace, command: str) -> Any:
    """The loss of a network of the sizes that are asked for, or what a function returns."""
    if (args.file is None) == (args.sizes is None):
        raise DataError(f"{command}: give either --sizes 3,5,2 or FILE:FUNCTION.")
    if args.sizes:
        return small_loss(args.sizes, args.batch, args.seed)
    return loss_of(args.file, command)


def loss_of(file: str, command: str) -> Tensor:
    """What FUNCTION in FILE returns; it runs here, what it prints goes to standard error."""
    path, name = located(file)
    if not name:
        raise DataError(
            f"{command}: say which function of {path.name} makes the loss: {file}:FUNCTION."
        )
    scope: dict[str, Any] = {"__name__": path.stem, "__file__": str(path)}
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        with contextlib.redirect_stdout(sys.stderr):
            exec(compile(path.read_bytes(), str(path), "exec"), scope)
            if not callable(scope.get(name)):
                close = nearest(name, [k for k, v in scope.items() if callable(v)])
                hint = f" Did you mean {close}?" if close else ""
                raise DataError(f"{path.name} has no function {name}.{hint}")
            loss = scope[name]()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # it is a stranger's
        raise DataError(trouble(error, path)) from error
    finally:
        sys.path.pop(0)
    if not isinstance(loss, Tensor):
        raise DataError(f"{path.name}: {name}() must return a Tensor, not {type(loss).__name__}.")
    return loss


def trouble(error: BaseException, path: Path) -> str:
    """What went wrong in a person's file, and on which of its lines."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    if isinstance(error, SyntaxError) and error.filename == str(path):
        lines.append(error.lineno)
    if isinstance(error, DataError) and not lines:
        return str(error)
    where = f"{path.name}, line {lines[-1]}" if lines else path.name
    return f"{where}: {type(error).__name__}: {error}".rstrip(": ")


# --- compare --------------------------------------------------------------------------------------


def compare_command(args: argparse.Namespace) -> int:
    """Compare the backward passes in people's files with autograd."""
    files = [located(file) for text in args.files for file in files_in(text)]
    seed = args.seed if args.seed is not None else secrets.randbelow(2**32)
    loss = loss_of(args.loss, "compare") if args.loss else None
    grades = []
    for path, name in files:
        others = [other for other, _ in files if other != path]
        try:
            grades.append(grade(path, name, args.sizes, seed, args.timeout, others, loss))
        except TinygradMLPError as error:
            if len(files) == 1:
                raise
            grades.append(Grade(str(path), None, error=str(error)))
    sizes = f"sizes {','.join(map(str, args.sizes))}, " if args.sizes else ""
    if args.html:
        from .rendering import write_whole

        page = as_page(grades, f"{sizes}seed {seed}", args.hint)
        write_whole(args.html, page.encode("utf-8", "replace"))
    documents = [g.to_dict(args.hint) for g in grades]
    args.seed = seed
    ok = all(g.ok for g in grades)
    if args.csv:
        put(as_csv(grades, seed), sys.stdout)
    elif args.json and len(grades) == 1:
        show_json({**documents[0], **head(args)})
    elif args.json:
        show_json({**head(args), "ok": ok, "submissions": documents})
    else:
        first = grades[0]
        text = first.hint() if args.hint else first.text()
        text = f"{text}\n\n{files[0][0].name}" if len(grades) == 1 else overview(grades)
        text = f"{text}, seed {seed} (--seed {seed} repeats it)"
        show(coloured(text, os.environ, sys.stdout is not None and sys.stdout.isatty()))
    if not args.quiet and len(grades) == 1:
        put(said(grades[0].printed, files[0][0].name), sys.stderr)
    return OK if ok else FAILED


def files_in(text: str) -> list[str]:
    """The Python files of a folder; anything else as it is."""
    if not os.path.isdir(text):
        return [text]
    found = sorted(map(str, Path(text).glob("*.py")))
    if not found:
        raise DataError(f"the folder {text} has no Python files; give the files themselves.")
    return found


def located(text: str) -> tuple[Path, str]:
    """FILE[:NAME] as a file that is there, and a name or ''."""
    file, _, name = text.rpartition(":")
    if os.path.exists(text) or not (file and name.isidentifier()):  # C:\net.py has no name
        file, name = text, ""
    path = Path(file)
    if not path.exists():
        raise DataError(absent(path))
    if path.is_dir():
        raise DataError(f"{file} is a folder; give a Python file.")
    return path, name


def absent(path: Path) -> str:
    """That there is no such file, and which may be meant."""
    if not path.parent.is_dir():
        return f"there is no folder {path.parent}."
    close = nearest(path.name, sorted(os.listdir(path.parent)))
    return f"there is no file {path}." + (f" Did you mean {path.parent / close}?" if close else "")


def said(printed: str, file: str) -> str:
    """What the file printed, as its own words: set off, and unable to steer the terminal."""
    lines = printed.rstrip().splitlines()
    if not lines:
        return ""
    more = [f"... and {len(lines) - 20} more lines"] if len(lines) > 20 else []
    lines = ["".join(c if c.isprintable() else "?" for c in line) for line in lines[:20]]
    return "\n".join([f"\n{file} printed:", *(f"  | {line[:200]}" for line in lines + more), ""])


# --- train and predict ----------------------------------------------------------------------------


def train(args: argparse.Namespace) -> int:
    """Train a network on a data set, and write it into a file."""
    from . import modelling

    for file in filter(None, (args.output, args.checkpoint)):  # said before the work
        if not file.absolute().parent.is_dir():
            raise DataError(f"there is no folder {file.parent}.")
        if file.is_dir():
            raise DataError(f"{file} is a folder; give a file, such as {file / 'model.npz'}.")
        if not os.access(file if file.exists() else file.absolute().parent, os.W_OK):
            raise DataError(f"{file}: it may not be written here.")
    start = time.perf_counter()
    net, task, history, left_out = modelling.learn(
        args.data,
        args.sizes,
        args.target,
        epochs=args.epochs,
        seed=args.seed,
        jit=args.jit,
        callbacks=[reporting(args.quiet, 10)],
        checkpoint=args.checkpoint,
        resume=args.checkpoint is not None,
        progress=False if args.quiet else None,
    )
    seconds = time.perf_counter() - start
    modelling.save_model(args.output, net, task)
    *_, scores = history.values()
    if left_out and not args.quiet:
        note(f"left out, since they hold text: {', '.join(left_out)}")
    if args.json:
        document = {"data": args.data, "sizes": args.sizes, "target": task.target}
        document |= {"seconds": seconds, "history": history, "file": os.fspath(args.output)}
        show_json({**head(args), **document})
        return OK
    if task.classes:
        score = f"{100 * scores[-1]:.1f} % right"
    else:
        score = f"R² {scores[-1]:.3f}"
    show(f"{args.output}: {task.target} of {args.data}, {score} on data it has not learnt from")
    return OK


def predict(args: argparse.Namespace) -> int:
    """Apply a trained network to data."""
    import csv
    import io

    from . import modelling

    table = modelling.predict(*modelling.load_model(args.model), args.data)
    if args.json:
        document = {"model": os.fspath(args.model), "data": args.data, "predictions": table}
        show_json({**head(args), **document})
        return OK
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table)
    writer.writerows(zip(*table.values()))
    put(text.getvalue(), sys.stdout)
    return OK


# --- arguments ------------------------------------------------------------------------------------


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong, and suggests the nearest command or option."""

    def error(self, message: str) -> NoReturn:
        """Exit with status 2."""
        choice = re.search(r"(?:invalid choice: '|unrecognized arguments: )([^ ']+)", message)
        known = re.findall(r"[\w-]+", message.partition("(choose from")[2])
        options = {name.lstrip("-"): name for name in known or self._option_string_actions}
        close = nearest(choice[1].lstrip("-"), list(options)) if choice else ""
        hint = f". Did you mean {options[close]}?" if close else ""
        self.exit(MISUSE, f"{self.prog}: {message}{hint}\nSee {self.prog} --help\n")


MOST = 10**9
"""Of neurons, samples, epochs, seconds; NumPy makes no array of more than 2**63 bytes."""


def sizes_of(text: str) -> tuple[int, ...]:
    """`3,5,2` as numbers of neurons."""
    try:
        sizes = tuple(map(int, text.split(",")))
    except ValueError:
        sizes = ()
    if len(sizes) < 2 or not 0 < min(sizes) <= max(sizes) <= MOST:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a list of layer sizes: at least two whole numbers from 1 on "
            f"(to {MOST:,}), input first, such as 3,5,2"
        )
    return sizes


def positive(kind: Callable[[str], Any], what: str) -> Callable[[str], Any]:
    """A parser of numbers above 0."""

    def parse(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = 0
        if not 0 < value <= MOST:
            raise argparse.ArgumentTypeError(f"{text!r} is not {what} above 0 (up to {MOST:,})")
        return value

    return parse


def seed_of(text: str) -> int:
    """A seed: a whole number from 0 on."""
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 on")
    return int(text)


def indented(text: str, n: int) -> str:
    """`text` moved to the right."""
    return textwrap.indent(text, n * " ")


DEMO = """
Trains a network on the handwritten digits that come with the package, compares its gradients with
a backward pass derived by hand, and writes pictures of the graph and of the learning.

examples:
  tinygrad-mlp demo
  tinygrad-mlp demo -o pictures --seed 1
"""

DRAW = """
Draws both passes, a card for each line, with its value, its gradient and how the gradient goes on:
of a multilayer perceptron with random weights on random data, or of the loss (a Tensor) that
FUNCTION() in FILE returns. FILE is run. Without -o, prints the DOT text.

examples:
  tinygrad-mlp draw --sizes 2,4,1 -o net.svg --open
  tinygrad-mlp draw net.py:loss --direction LR -o net.png
  tinygrad-mlp draw --sizes 3,5,2 --batch 2 | dot -Tpdf -o net.pdf
"""

PLAY = """
Writes one HTML file that steps through the forward and the backward pass, line by line: with the
picture, the numbers, the reason for the line, and each number of a result as its sum. It shows a
multilayer perceptron with random weights on random data, or the loss (a Tensor) that FUNCTION() in
FILE returns. FILE is run.

examples:
  tinygrad-mlp play --sizes 2,4,1 -o net.html --open
  tinygrad-mlp play net.py:loss -o net.html
"""

DERIVE = """
Writes out the backward pass, line by line with its shapes, or as Python that needs only NumPy: of a
multilayer perceptron, or of the loss (a Tensor) that FUNCTION() in FILE returns. FILE is run.

examples:
  tinygrad-mlp derive --sizes 3,5,2
  tinygrad-mlp derive --sizes 3,5,5,2 --loop -o backward.py
  tinygrad-mlp derive --sizes 3,5,2 --worksheet -o exercise.py
  tinygrad-mlp derive net.py:loss --format latex
"""

COMPARE = """
Compares the backward pass in FILE with autograd, gradient by gradient. The exit status is 0 if all
agree, 1 if not or if the file fails, 2 if there is nothing to compare. Of several files, as those
of a class, each gets a line, or a row of the CSV, with the part of its gradients that is right.

FILE has a class with lists W, of shapes (in, out), and B, with forward(x), and with backward(y, t),
which fills the lists DW and DB; or a function backward(W, B, x, t) that returns (DW, DB). The loss
is the squared error, summed over outputs and averaged over the batch. NAME says which of several
is meant. A worksheet of derive --worksheet that was filled in is marked line by line. A file runs
in a process of its own, without this package, and is stopped after the time limit.

examples:
  tinygrad-mlp compare net.py --sizes 3,5,5,2
  tinygrad-mlp compare net.py:MLP --sizes 3,5,5,2 --json
  tinygrad-mlp compare homework/*.py --sizes 3,5,5,2 --csv --html reports.html > points.csv
  tinygrad-mlp compare exercise.py --hint
"""

TRAIN = """
Trains a multilayer perceptron (relu, Adam) and writes it into a file. The data are split at random:
four fifths to learn from, one to judge by; the digits, by who wrote them.

A CSV file begins with a line of names. Columns of numbers go in; text is left out. The last column
is learnt, or --target: text as classes; numbers as numbers if --sizes ends in 1, else as classes 0,
1, ... An .npz holds x, of shape (samples, inputs), and t. All is put on one scale, and back.

examples:
  tinygrad-mlp train --data digits --sizes 64,128,64,10 --jit -o digits.npz
  tinygrad-mlp train --data penguins --sizes 3,16,16,1 -o mass.npz
  tinygrad-mlp train --data birds.csv --target species --sizes 4,16,3 -o species.npz
"""

PREDICT = """
Prints what a network from `tinygrad-mlp train` says about data: a line for each row, as CSV. Of
classes, with the probability that the network gives them. Columns of a CSV file are found by name.

examples:
  tinygrad-mlp predict mass.npz --data birds.csv
  tinygrad-mlp predict digits.npz --data digits --json
"""

COMMANDS: dict[str, tuple[Callable[[argparse.Namespace], int], str, str]] = {
    "demo": (demo, "learn handwriting, check the gradients, draw the graph", DEMO),
    "draw": (draw_command, "draw the graph of a network", DRAW),
    "play": (play_command, "write a page that steps through both passes", PLAY),
    "derive": (derive_command, "write out the backward pass", DERIVE),
    "compare": (compare_command, "check the backward pass in a file", COMPARE),
    "train": (train, "train a network on data, and save it", TRAIN),
    "predict": (predict, "apply a trained network to data", PREDICT),
}


def parser() -> Parser:
    """The commands and their options."""
    main_parser = Parser(
        prog=PROG,
        description="An autograd framework on NumPy that shows its work.",
        epilog=f"examples:\n  {PROG} demo\n  {PROG} compare net.py --sizes 3,5,5,2\n"
        f"  {PROG} draw --sizes 2,4,1 -o net.svg\n\n{PROG} COMMAND --help has more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    main_parser.add_argument("--version", action="version", version=f"{PROG} {__version__}")
    commands = main_parser.add_subparsers(dest="command", metavar="COMMAND")
    added = {}
    for name, (_, summary, text) in COMMANDS.items():
        about, _, examples = text.strip().partition("\n\nexamples:")
        added[name] = commands.add_parser(
            name,
            help=summary,
            description=about,
            epilog=f"examples:{examples}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        added[name].set_defaults(parser=added[name])
        option = added[name].add_argument
        option("--json", action="store_true", help="print one JSON document")
        option("-q", "--quiet", action="store_true", help="no progress, no notes")
        what = f"of weights and data ({'a new one' if name == 'compare' else 0})"
        option("--seed", type=seed_of, default=0, metavar="N", help=what)
    for name in ("draw", "play", "derive", "compare", "train"):
        added[name].add_argument(
            "--sizes",
            type=sizes_of,
            required=name == "train",
            metavar="3,5,2",
            help="neurons of each layer, input first",
        )
    option = added["demo"].add_argument
    option("-o", "--output", type=Path, metavar="DIR", help="folder (tinygrad-mlp-demo)")
    number = positive(int, "a whole number")
    for name in ("draw", "play", "derive"):
        option = added[name].add_argument
        what = "a Python file, and the function in it that returns the loss"
        option("file", nargs="?", metavar="FILE:FUNCTION", help=what)
        option("--batch", type=number, default=3, metavar="N", help="samples in the batch (3)")
    option = added["draw"].add_argument
    option("-o", "--output", type=Path, metavar="FILE", help="net.svg, .png, .pdf or .dot")
    levels = ["auto", "layer", "line", "op"]
    option("--level", choices=levels, default="auto", help="a card per layer, line or op")
    what = "leave a layer open where others are folded: 'layer 3'; may be repeated"
    option("--expand", action="append", metavar="NAME", help=what)
    option("--direction", choices=["TB", "LR"], default="TB", help="down, or from left to right")
    what = "everything, the forward pass alone, or formulas without numbers (grads)"
    option("--show", choices=["grads", "values", "shapes"], default="grads", help=what)
    option("--open", action="store_true", help="show the file when it is written")
    option = added["play"].add_argument
    option("-o", "--output", type=Path, metavar="FILE", help="net.html")
    option("--open", action="store_true", help="show the page when it is written")
    option = added["derive"].add_argument
    option("-o", "--output", type=Path, metavar="FILE", help="backward.py, .txt, .md, .tex, .json")
    option("--format", choices=list(FORMATS), help="by default that of -o, else text")
    option("--worksheet", action="store_true", help="leave the backward lines to be filled in")
    option("--loop", action="store_true", help="write equal layers as a loop")
    option = added["compare"].add_argument
    what = "a Python file, and what in it to compare; or several, or a folder of them"
    option("files", nargs="+", metavar="FILE[:NAME]", help=what)
    option("--hint", action="store_true", help="say where it goes wrong, but not why")
    option("--csv", action="store_true", help="print a row for each file")
    option("--html", type=Path, metavar="FILE", help="write the reports as a page")
    what = "the loss that a worksheet was made from, if not that of --sizes"
    option("--loss", metavar="FILE:FUNCTION", help=what)
    added["compare"].set_defaults(seed=None)
    seconds = positive(float, "a number")
    option("--timeout", type=seconds, default=30.0, metavar="S", help="seconds to run (30)")
    for name in ("train", "predict"):
        data_help = "digits, penguins, a .csv or an .npz"
        added[name].add_argument("--data", required=True, metavar="DATA", help=data_help)
    added["predict"].add_argument("model", type=Path, metavar="MODEL", help="from train -o")
    option = added["train"].add_argument
    option("-o", "--output", type=Path, required=True, metavar="FILE", help="model.npz")
    option("--target", metavar="COLUMN", help="the column to learn (the last one)")
    option("--epochs", type=number, default=50, metavar="N", help="passes through the data (50)")
    option("--jit", action="store_true", help="compile the training step")
    what = "written after each epoch; if it is there, the training goes on from it"
    option("--checkpoint", type=Path, metavar="FILE", help=what)
    return main_parser


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments. A command's own parser says what it does not know: it knows what is near."""
    whole = parser()
    args, extra = whole.parse_known_args(argv)
    if extra:
        getattr(args, "parser", whole).error(f"unrecognized arguments: {' '.join(extra)}")
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; those of the process by default.

    Returns
    -------
    int
        The exit status.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a console that knows no × gets a ?
    try:
        status = run(parsed(argv))
    except SystemExit as done:  # argparse's: --help, --version, wrong arguments
        status = int(done.code or 0)
    except KeyboardInterrupt:
        status = INTERRUPTED
    except TinygradMLPError as error:
        status = MISUSE
        note(f"{PROG}: {error}")
    except OSError as error:
        status = MISUSE
        missing = error.strerror == os.strerror(errno.ENOENT) and error.filename
        what = (
            absent(Path(missing)) if missing else f"{error.filename or 'output'}: {error.strerror}."
        )
        note(f"{PROG}: {what}")
    except MemoryError:
        status = MISUSE
        note(f"{PROG}: there is not enough memory for a network of this size.")
    for stream in (sys.stdout, sys.stderr):
        try:
            put("", stream)  # flushes what argparse has written
        except OSError:
            status = MISUSE
    return status


def run(args: argparse.Namespace) -> int:
    """Run the command that was given; without one, say which there are."""
    if args.command is None:
        note(parser().format_help().rstrip())
        return MISUSE
    return COMMANDS[args.command][0](args)
