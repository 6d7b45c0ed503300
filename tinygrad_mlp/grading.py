"""Grade the backward passes of a class: a person's file, or many, each in a process of its own.

The verdict is reached here, from numbers: `running` says what a file can and cannot do. Weights and
data come from a seed, a new one each time, so that a file cannot know its gradients beforehand.
"""

import csv
import html
import io
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .checking import compare
from .deriving import Program, derive
from .errors import DataError, TinygradMLPError
from .judging import Comparison, Row, one_line
from .nn import MLP
from .ops import mse
from .probing import drawn, probe
from .running import Process, Stopped
from .tensor import Tensor
from .worksheets import as_type, mark_lines, sheet_of

__all__ = ["Grade", "as_csv", "as_page", "coloured", "grade", "overview"]

COLUMNS = ("file", "ok", "points", "right", "gradients", "following", "first", "wrong", "error")
"""Of the CSV."""


class Grade(NamedTuple):
    """What became of one file."""

    file: str
    comparison: Comparison | None  # None if the file gave nothing to judge
    names: Sequence[str] = ()  # of the gradients that count
    error: str = ""
    printed: str = ""  # by the file

    @property
    def ok(self) -> bool:
        """Whether all is right."""
        return self.comparison is not None and self.comparison.ok

    @property
    def rows(self) -> dict[str, Row]:
        """Of the gradients that count."""
        table = [] if self.comparison is None else self.comparison.table
        return {row.name: row for row in table if row.name in self.names}

    @property
    def right(self) -> int:
        """How many gradients are right."""
        return sum(row.ok for row in self.rows.values())

    @property
    def points(self) -> float:
        """Which part of the gradients is right, from 0 to 1."""
        return self.right / len(self.names) if self.names else 0.0

    @property
    def following(self) -> int:
        """How many are wrong only because of another one."""
        marks = getattr(self.comparison, "marks", {})
        status = {name: getattr(marks.get(f"d{name[1:]}"), "status", "") for name in self.rows}
        return sum(
            not row.ok and (status[name] == "follows" or "follows from" in row.verdict)
            for name, row in self.rows.items()
        )

    def hint(self) -> str:
        """Where the first mistake is, and not why."""
        c = self.comparison
        if c is None or c.ok:
            return self.text()
        first = next(row for row in c.table if not row.ok)
        lines = [c.title, "", f"FAIL  {len(c.wrong)} of {len(c.table)} differ"]
        lines.append(f"WHERE {c.where} is the first that differs, walking backward")
        notes = [first.verdict.removeprefix("WRONG: "), *c.notes]
        lines += [f"NOTE  {note}" for note in notes if told(note)]
        return printable("\n".join(lines))

    def text(self) -> str:
        """The whole report."""
        if self.comparison is None:
            error = self.error.replace("\n", "\n  ")  # no line of it may look like one of ours
            return printable(
                f"{error}\n\nFAIL  {Path(self.file).name} gave no gradients to compare"
            )
        return printable(str(self.comparison))

    def to_dict(self, hint: bool = False) -> dict[str, Any]:
        """Plain data for JSON."""
        c = self.comparison
        document: dict[str, Any] = {"ok": False} if c is None else c.to_dict()
        if hint and c is not None:
            for key in ("causes", "facts", "marks"):
                document.pop(key)
            document["notes"] = list(filter(told, c.notes))
            document["rows"] = [{"name": row.name, "ok": row.ok} for row in c.table]
        return {
            **document,
            "file": self.file,
            "points": self.points,
            "right": self.right,
            "gradients": len(self.names),
            "following": self.following,
            "error": self.error,
            "printed": self.printed,
        }


def told(note: str) -> bool:
    """Whether a hint may say this: what happened, not what is wrong with the formula."""
    return any(word in f" {note}" for word in (" raised ", "not filled in", "missing"))


def printable(text: str) -> str:
    """`text` without what could steer a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)


# --- one file -------------------------------------------------------------------------------------


def grade(
    path: Path,
    name: str,
    sizes: Sequence[int] | None,
    seed: int,
    timeout: float,
    others: Sequence[Path] = (),
    loss: Tensor | None = None,
) -> Grade:
    """Run a file, and judge its backward pass or its worksheet.

    Parameters
    ----------
    path : path
    name : str
        What in the file is meant; "" for the only thing that looks right.
    sizes : sequence of int or None
        Of the network. A worksheet says what it was made for, if nobody else does.
    seed : int
        Of weights and data.
    timeout : float
        Seconds to run.
    others : sequence of path
        Files that it may not read.
    loss : Tensor, optional
        What a worksheet was made from, if that is no MLP.

    Raises
    ------
    TinygradMLPError
        If there is nothing in the file that could be judged.
    """
    sheet = sheet_of(path.read_text("utf-8", "replace"), name)
    sizes = sizes or (sheet and sheet.sizes)
    if loss is not None and sheet is None:
        raise DataError(f"{path.name} has no worksheet for --loss; derive --worksheet makes one.")
    if loss is None and not sizes:
        raise DataError(f"{path.name}: for which network? Say --sizes 3,5,2 (input first).")
    process = Process(path, timeout, others)
    comparison, error = None, ""
    names: list[str] = []
    try:
        with process:
            if sheet:
                program = derive(loss_for(sizes, seed) if loss is None else loss)
                names = [row.name for row in program.lines if row.role == "backward"]
                comparison = filled_in(process, sheet, program)
            else:
                net = network(sizes, seed)
                names = [f"D{letter}[{i}]" for i in range(len(net.W)) for letter in "WB"]
                manual = process.load(name, net.sizes)
                comparison = compare(manual, *probe(net, seed), reference=net)
    except Stopped as stopped:  # whatever was right before, there is no verdict
        error = str(stopped)
    except TinygradMLPError:
        raise
    except Exception as problem:  # a forged answer
        error = f"{path.name}: its answers make no sense ({one_line(problem)})."
    return Grade(str(path), comparison, names, error, process.printed)


def network(sizes: Any, seed: int) -> MLP:
    """A network with random weights and biases."""
    net = MLP(sizes, rng=seed)
    W, B = drawn([w.numpy() for w in net.W], [b.numpy() for b in net.B], seed)
    net.W = [Tensor(w, True, f"W[{i}]") for i, w in enumerate(W)]
    net.B = [Tensor(b, True, f"B[{i}]") for i, b in enumerate(B)]
    return net


def loss_for(sizes: Any, seed: int) -> Any:
    """The loss of a random network on random data."""
    net = network(sizes, seed)
    x, t = probe(net, seed)
    return mse(net(x), t)


def filled_in(process: Process, sheet: Any, program: Program) -> Comparison:
    """A worksheet, run there and marked here."""
    arrays = as_type({key: p.default() for key, p in program._parameters.items()}, float)
    process.load(None)

    def run(wanted: list[str], fills: dict[str, Any]) -> dict[str, Any]:
        parts = {"source": sheet.source, "function": sheet.name, "inputs": arrays}
        return process.lines(**parts, wanted=wanted, fills=fills)

    return mark_lines(sheet, program, arrays, run)


# --- many files -----------------------------------------------------------------------------------


def overview(grades: Sequence[Grade]) -> str:
    """A line for each file."""
    side = max(len(g.file) for g in grades)
    lines = []
    for g in grades:
        first = g.comparison.where if g.comparison is not None else g.error.splitlines()[-1]
        verdict = "PASS" if g.ok else "FAIL"
        count = f"{g.right} of {len(g.names)}" if g.names else ""
        lines.append(f"{g.file:{side}}  {verdict}  {count:8}  {first}".rstrip())
    passed = sum(g.ok for g in grades)
    return printable("\n".join([*lines, "", f"{passed} of {len(grades)} pass"]))


def as_csv(grades: Sequence[Grade], seed: int) -> str:
    """A row for each file, below a row with the names of the columns."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*COLUMNS, "seed"])
    for g in grades:
        wrong = [name for name in g.names if name not in g.rows or not g.rows[name].ok]
        first = "" if g.comparison is None else g.comparison.where
        counts = (f"{g.points:.4g}", g.right, len(g.names), g.following)
        error = " ".join(g.error.split())
        texts = [safe(text) for text in (first, " ".join(wrong), error)]
        writer.writerow([safe(g.file), int(g.ok), *counts, *texts, seed])
    return printable(buffer.getvalue())


def safe(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem }
pre { overflow-x: auto; background: #f6f6f4; padding: 1rem; font-size: 14px }
table { border-collapse: collapse } td, th { padding: .2rem 1rem .2rem 0; text-align: left }
.fail { color: #b00020 } .pass { color: #00663d }
@media print { section { break-before: page } }
"""


def as_page(grades: Sequence[Grade], about: str, hint: bool = False) -> str:
    """A page of its own with a table of the files and the report of each."""
    rows, sections = [], []
    for i, g in enumerate(grades):
        kind, file = ("pass" if g.ok else "fail"), html.escape(printable(g.file))
        counts = f"{g.right} of {len(g.names)}"
        rows.append(
            f'<tr><td><a href="#f{i}">{file}</a><td class="{kind}">{kind.upper()}<td>{counts}'
        )
        report = f"<pre>{html.escape(g.hint() if hint else g.text())}</pre>"
        if g.comparison is not None and not hint:
            report = printable(g.comparison._repr_html_())
        if g.printed:
            printed = html.escape(textwrap.indent(printable(g.printed), "| "))
            report += (
                f"<details><summary>printed by the file</summary><pre>{printed}</pre></details>"
            )
        sections.append(f'<section id="f{i}"><h2>{file}</h2>\n{report}\n</section>')
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>Backward passes</title>\n<style>{STYLE}</style>",
            f"<h1>Backward passes</h1>\n<p>{html.escape(about)}</p>",
            "<table><tr><th>file<th>verdict<th>gradients right",
            *rows,
            "</table>",
            *sections,
            "</html>\n",
        ]
    )


def coloured(text: str, environment: Mapping[str, str], terminal: bool) -> str:
    """`text` with verdicts in colour, if it goes to a terminal of a person who wants colours."""
    if not terminal or environment.get("NO_COLOR") or environment.get("TERM") == "dumb":
        return text
    lines = []
    for line in text.split("\n"):
        words = line.split()
        red = "WRONG" in line or "FAIL" in words[:2]
        code = 31 if red else 32 if "PASS" in words[:2] else 0
        lines.append(f"\x1b[{code}m{line}\x1b[0m" if code else line)
    return "\n".join(lines)
