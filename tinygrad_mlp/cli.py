"""The command line: ``tinygrad-mlp``, or ``python -m tinygrad_mlp``.

Standard output holds the result, standard error progress and notes. The exit status is 0 if all is
well, 1 if a comparison failed, 2 for wrong use, 130 for Ctrl-C. COMMANDS, at the end, has a row for
each command; the docstring of its function is its help.
"""

import argparse
import csv
import errno
import inspect
import io
import json
import os
import re
import secrets
import sys
import textwrap
import time
import webbrowser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from . import __version__, modelling
from .console import FAILED, INTERRUPTED, MISUSE, OK, Answer, answered, note, put, reporting
from .demo import demo, small_loss
from .deriving import derive
from .drawing import draw
from .errors import DataError, TinygradMLPError
from .files import absent, files_in, located, loss_of, said, write
from .formatting import nearest
from .grading import Grade, as_csv, as_page, coloured, grade, overview
from .playing import play

__all__ = ["main"]

PROG = "tinygrad-mlp"

# --- commands -------------------------------------------------------------------------------------


def head(args: argparse.Namespace) -> dict[str, Any]:
    """What every JSON document begins with."""
    return {"version": 1, "command": args.command, "seed": args.seed}


def draw_command(args: argparse.Namespace) -> Answer:
    """Draw the graph of a network.

    Draws both passes, a card for each line, with its value, its gradient and how the gradient goes
    on: of a multilayer perceptron with random weights on random data, or of the loss (a Tensor)
    that FUNCTION() in FILE returns. FILE is run. Without -o, prints the DOT text.

    Examples
    --------
    tinygrad-mlp draw --sizes 2,4,1 -o net.svg --open
    tinygrad-mlp draw net.py:loss --direction LR -o net.png
    tinygrad-mlp draw --sizes 3,5,2 --batch 2 | dot -Tpdf -o net.pdf
    """
    loss = loss_given(args)
    if args.open and args.output is None:
        raise DataError("draw: --open needs a file to open: -o net.svg.")
    drawing = draw(loss, args.level, args.direction, args.show, args.expand)
    made: dict[str, Any] = {"sizes": args.sizes, "batch": args.batch} if args.sizes else {}
    about = f"MLP({list(args.sizes)}), batch {args.batch}, seed {args.seed}" if args.sizes else ""
    if args.output:
        made |= {"file": os.fspath(drawing.write(args.output))}
    else:
        made |= {"dot": drawing.source}
    *_, text = made.values()
    return Answer({**head(args), **made}, text, "" if args.json else about)


def play_command(args: argparse.Namespace) -> Answer:
    """Write a page that steps through both passes.

    Writes one HTML file that steps through the forward and the backward pass, line by line: with
    the picture, the numbers, the reason for the line, and each number of a result as its sum. It
    shows a multilayer perceptron with random weights on random data, or the loss (a Tensor) that
    FUNCTION() in FILE returns. FILE is run.

    Examples
    --------
    tinygrad-mlp play --sizes 2,4,1 -o net.html --open
    tinygrad-mlp play net.py:loss -o net.html
    """
    if args.output is None and (args.open or not args.json):
        raise DataError("play: say where the page goes: -o net.html.")
    player = play(loss_given(args), args.output)
    if args.json and not args.output:
        return Answer({**head(args), "html": player.html}, "")
    file = os.fspath(args.output)
    return Answer({**head(args), "file": file}, file, "" if args.json else repr(player)[1:-1])


FORMATS = {"text": ".txt", "markdown": ".md", "latex": ".tex", "python": ".py", "json": ".json"}


def derive_command(args: argparse.Namespace) -> Answer:
    """Write out the backward pass.

    Writes out the backward pass, line by line with its shapes, or as Python that needs only NumPy:
    of a multilayer perceptron, or of the loss (a Tensor) that FUNCTION() in FILE returns. FILE is
    run.

    Examples
    --------
    tinygrad-mlp derive --sizes 3,5,2
    tinygrad-mlp derive --sizes 3,5,5,2 --loop -o backward.py
    tinygrad-mlp derive --sizes 3,5,2 --worksheet -o exercise.py
    tinygrad-mlp derive net.py:loss --format latex
    """
    program = derive(loss_given(args))
    python = "python" if args.worksheet or args.loop else None
    suffix = args.output.suffix.lower() if args.output else ""
    by_name = next((form for form, end in FORMATS.items() if end == suffix), "text")
    shown = "json" if args.json and not args.output else None
    form = shown or args.format or python or by_name
    if form != "python" and python:
        raise DataError(f"derive: --worksheet and --loop make Python, not {form}.")
    document = {**head(args), "program": program.to_dict()}
    if form == "json":
        text = json.dumps(document, indent=2, allow_nan=False)
    elif form == "python":
        text = program.worksheet() if args.worksheet else program.source(loop=args.loop)
    else:
        text = program.formulas(form)
    if args.output:
        write(args.output, f"{text.rstrip()}\n")
        text = document["file"] = os.fspath(args.output)
    return Answer(document, text.rstrip())


def compare_command(args: argparse.Namespace) -> Answer:
    """Check the backward pass in a file.

    Compares the backward pass in FILE with autograd, gradient by gradient. The exit status is 0 if
    all agree, 1 if not or if the file fails, 2 if there is nothing to compare. Of several files, as
    those of a class, each gets a line, or a row of the CSV, with the part of its gradients that is
    right.

    FILE has a class with lists W, of shapes (in, out), and B, with forward(x), and with
    backward(y, t), which fills the lists DW and DB; or a function backward(W, B, x, t) that returns
    (DW, DB). The loss is the squared error, summed over outputs and averaged over the batch. NAME
    says which of several is meant. A worksheet of derive --worksheet that was filled in is marked
    line by line. A file runs in a process of its own, without this package, and is stopped after
    the time limit.

    Examples
    --------
    tinygrad-mlp compare net.py --sizes 3,5,5,2
    tinygrad-mlp compare net.py:MLP --sizes 3,5,5,2 --json
    tinygrad-mlp compare homework/*.py --sizes 3,5,5,2 --csv --html reports.html > points.csv
    tinygrad-mlp compare exercise.py --hint
    """
    files = [located(file) for text in args.files for file in files_in(text)]
    if args.seed is None:
        args.seed = secrets.randbelow(2**32)
    loss = loss_of(args.loss, "compare") if args.loss else None
    grades = []
    for path, name in files:
        others = [other for other, _ in files if other != path]
        try:
            grades.append(grade(path, name, args.sizes, args.seed, args.timeout, others, loss))
        except TinygradMLPError as error:
            if len(files) == 1:
                raise
            grades.append(Grade(str(path), None, error=str(error)))
    if args.html:
        sizes = f"sizes {','.join(map(str, args.sizes))}, " if args.sizes else ""
        write(args.html, as_page(grades, f"{sizes}seed {args.seed}", args.hint))
    documents = [g.to_dict(args.hint) for g in grades]
    ok = all(g.ok for g in grades)
    status, printed = OK if ok else FAILED, ""
    if len(grades) == 1:
        document = {**documents[0], **head(args)}
        text = grades[0].hint() if args.hint else grades[0].text()
        text = f"{text}\n\n{files[0][0].name}"
        printed = said(grades[0].printed, files[0][0].name)
    else:
        document = {**head(args), "ok": ok, "submissions": documents}
        text = overview(grades)
    if args.csv:
        return Answer({}, as_csv(grades, args.seed).rstrip("\n"), printed, status)
    text = f"{text}, seed {args.seed} (--seed {args.seed} repeats it)"
    text = coloured(text, os.environ, sys.stdout is not None and sys.stdout.isatty())
    return Answer(document, text, printed, status)


def train(args: argparse.Namespace) -> Answer:
    """Train a network on data, and save it.

    Trains a multilayer perceptron (relu, Adam) and writes it into a file. The data are split at
    random: four fifths to learn from, one to judge by; the digits, by who wrote them.

    A CSV file begins with a line of names. Columns of numbers go in; text is left out. The last
    column is learnt, or --target: text as classes; numbers as numbers if --sizes ends in 1, else as
    classes 0, 1, ... An .npz holds x, of shape (samples, inputs), and t. All is put on one scale,
    and back.

    Examples
    --------
    tinygrad-mlp train --data digits --sizes 64,128,64,10 --jit -o digits.npz
    tinygrad-mlp train --data penguins --sizes 3,16,16,1 -o mass.npz
    tinygrad-mlp train --data birds.csv --target species --sizes 4,16,3 -o species.npz
    """
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
    document = {"data": args.data, "sizes": args.sizes, "target": task.target}
    document |= {"seconds": seconds, "history": history, "file": os.fspath(args.output)}
    *_, scores = history.values()
    score = f"{100 * scores[-1]:.1f} % right" if task.classes else f"R² {scores[-1]:.3f}"
    return Answer(
        {**head(args), **document},
        f"{args.output}: {task.target} of {args.data}, {score} on data it has not learnt from",
        f"left out, since they hold text: {', '.join(left_out)}" if left_out else "",
    )


def predict(args: argparse.Namespace) -> Answer:
    """Apply a trained network to data.

    Prints what a network from `tinygrad-mlp train` says about data: a line for each row, as CSV. Of
    classes, with the probability that the network gives them. Columns of a CSV file are found by
    name.

    Examples
    --------
    tinygrad-mlp predict mass.npz --data birds.csv
    tinygrad-mlp predict digits.npz --data digits --json
    """
    table = modelling.predict(*modelling.load_model(args.model), args.data)
    document = {"model": os.fspath(args.model), "data": args.data, "predictions": table}
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([list(table), *zip(*table.values())])
    return Answer({**head(args), **document}, text.getvalue().rstrip("\n"))


def loss_given(args: argparse.Namespace) -> Any:
    """The loss of a network of the sizes that are asked for, or what a function returns."""
    if (args.file is None) == (args.sizes is None):
        raise DataError(f"{args.command}: give either --sizes 3,5,2 or FILE:FUNCTION.")
    if args.sizes:
        return small_loss(args.sizes, args.batch, args.seed)
    return loss_of(args.file, args.command)


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


Option = tuple[list[str], dict[str, Any]]


def option(flags: str, text: str, **settings: Any) -> Option:
    """An option, as `argparse` takes it."""
    return flags.split(), {"help": text, **settings}


def switch(flags: str, text: str) -> Option:
    """An option without a value."""
    return option(flags, text, action="store_true")


def one_of(flags: str, text: str, *choices: str) -> Option:
    """An option with a few values, the first by default."""
    return option(flags, text, choices=list(choices), default=choices[0])


NUMBER, SECONDS = positive(int, "a whole number"), positive(float, "a number")
COMMON = [
    switch("--json", "print one JSON document"),
    switch("-q --quiet", "no progress, no notes"),
]
SEED = option("--seed", "of weights and data (0)", type=seed_of, default=0, metavar="N")
NEW_SEED = option("--seed", "of weights and data (a new one)", type=seed_of, metavar="N")
SIZES = option("--sizes", "neurons of each layer, input first", type=sizes_of, metavar="3,5,2")
NEEDED_SIZES = (SIZES[0], {**SIZES[1], "required": True})
FUNCTION = "a Python file, and the function in it that returns the loss"
LOSS = [
    SEED,
    SIZES,
    option("file", FUNCTION, nargs="?", metavar="FILE:FUNCTION"),
    option("--batch", "samples in the batch (3)", type=NUMBER, default=3, metavar="N"),
]
DATA = option("--data", "digits, penguins, a .csv or an .npz", required=True, metavar="DATA")
FILE = {"type": Path, "metavar": "FILE"}
EXPAND = "leave a layer open where others are folded: 'layer 3'; may be repeated"
SHOW = "everything, the forward pass alone, or formulas without numbers (grads)"
FILES = "a Python file, and what in it to compare; or several, or a folder of them"
SHEET_LOSS = "the loss that a worksheet was made from, if not that of --sizes"
CHECKPOINT = "written after each epoch; if it is there, the training goes on from it"

OPTIONS: dict[str, list[Option]] = {
    "demo": [
        SEED,
        option("-o --output", "folder (tinygrad-mlp-demo)", type=Path, metavar="DIR"),
    ],
    "draw": [
        *LOSS,
        option("-o --output", "net.svg, .png, .pdf or .dot", **FILE),
        one_of("--level", "a card per layer, line or op", "auto", "layer", "line", "op"),
        option("--expand", EXPAND, action="append", metavar="NAME"),
        one_of("--direction", "down, or from left to right", "TB", "LR"),
        one_of("--show", SHOW, "grads", "values", "shapes"),
        switch("--open", "show the file when it is written"),
    ],
    "play": [
        *LOSS,
        option("-o --output", "net.html", **FILE),
        switch("--open", "show the page when it is written"),
    ],
    "derive": [
        *LOSS,
        option("-o --output", "backward.py, .txt, .md, .tex, .json", **FILE),
        option("--format", "by default that of -o, else text", choices=list(FORMATS)),
        switch("--worksheet", "leave the backward lines to be filled in"),
        switch("--loop", "write equal layers as a loop"),
    ],
    "compare": [
        NEW_SEED,
        SIZES,
        option("files", FILES, nargs="+", metavar="FILE[:NAME]"),
        switch("--hint", "say where it goes wrong, but not why"),
        switch("--csv", "print a row for each file"),
        option("--html", "write the reports as a page", **FILE),
        option("--loss", SHEET_LOSS, metavar="FILE:FUNCTION"),
        option("--timeout", "seconds to run (30)", type=SECONDS, default=30.0, metavar="S"),
    ],
    "train": [
        SEED,
        NEEDED_SIZES,
        DATA,
        option("-o --output", "model.npz", required=True, **FILE),
        option("--target", "the column to learn (the last one)", metavar="COLUMN"),
        option("--epochs", "passes through the data (50)", type=NUMBER, default=50, metavar="N"),
        switch("--jit", "compile the training step"),
        option("--checkpoint", CHECKPOINT, **FILE),
    ],
    "predict": [SEED, DATA, option("model", "from train -o", type=Path, metavar="MODEL")],
}

COMMANDS: dict[str, Callable[[argparse.Namespace], Answer]] = {
    "demo": demo,
    "draw": draw_command,
    "play": play_command,
    "derive": derive_command,
    "compare": compare_command,
    "train": train,
    "predict": predict,
}


def parser() -> Parser:
    """The commands and their options."""
    style: Any = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}
    whole = Parser(
        prog=PROG,
        description="An autograd framework on NumPy that shows its work.",
        epilog=f"examples:\n  {PROG} demo\n  {PROG} compare net.py --sizes 3,5,5,2\n"
        f"  {PROG} draw --sizes 2,4,1 -o net.svg\n\n{PROG} COMMAND --help has more.",
        **style,
    )
    whole.add_argument("--version", action="version", version=f"{PROG} {__version__}")
    commands = whole.add_subparsers(dest="command", metavar="COMMAND")
    for name, command in COMMANDS.items():
        text, _, examples = str(inspect.getdoc(command)).partition("\n\nExamples\n--------\n")
        summary, *about = text.split("\n\n")
        added = commands.add_parser(
            name,
            help=f"{summary[0].lower()}{summary[1:-1]}",
            description="\n\n".join(textwrap.fill(part, 100) for part in about),
            epilog=f"examples:\n{textwrap.indent(examples, '  ')}",
            **style,
        )
        added.set_defaults(parser=added)
        for flags, settings in [*COMMON, *OPTIONS[name]]:
            added.add_argument(*flags, **settings)
    return whole


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
    status, trouble = MISUSE, ""
    try:
        status = run(parsed(argv))
    except SystemExit as done:  # argparse's: --help, --version, wrong arguments
        status = int(done.code or 0)
    except KeyboardInterrupt:
        status = INTERRUPTED
    except TinygradMLPError as error:
        trouble = str(error)
    except OSError as error:
        trouble = f"{error.filename or 'output'}: {error.strerror}."
        if error.strerror == os.strerror(errno.ENOENT) and error.filename:
            trouble = absent(Path(error.filename))
    except MemoryError:
        trouble = "there is not enough memory for a network of this size."
    if trouble:
        note(f"{PROG}: {trouble}")
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
    status = answered(COMMANDS[args.command](args), args.json, args.quiet)
    if getattr(args, "open", False):
        webbrowser.open(args.output.resolve().as_uri())
    return status
