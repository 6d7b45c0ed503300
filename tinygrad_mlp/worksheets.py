"""Mark a worksheet that was filled in, line by line.

A worksheet (`Program.worksheet`) leaves open what each backward line computes. Its statements are
run one by one. A line that is not filled in, or that fails, gets autograd's value, so that those
below it are marked all the same; a line that is wrong keeps its value, and what goes wrong below it
for no other reason is said to follow.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .deriving import Program, derive
from .emitting import Function
from .errors import DataError
from .judging import Comparison, Row, as_array, judge
from .marking import LIMIT, hint, noted
from .rounding import Truth, measured
from .serving import run_lines, stored
from .values import Value, applied, reads

__all__ = ["Sheet", "mark", "mark_lines", "sheet_of"]

MARK = "Gradients of a loss, derived from its graph."
"""How the docstring of a worksheet begins."""

Run = Callable[[list[str], dict[str, Any]], dict[str, Any]]


class Sheet(NamedTuple):
    """A function in a source text that is to be marked."""

    source: str
    name: str

    @property
    def sizes(self) -> tuple[int, ...] | None:
        """The network that it was made for, as its docstring says; None if it says none."""
        text = ast.get_docstring(function_in(self.source, self.name)) or ""
        shapes = re.search(r"^W: a list of (.*)$", text, re.MULTILINE)
        pairs = re.findall(r"\((\d+), (\d+)\)", shapes[1]) if shapes else []
        return (int(pairs[0][0]), *(int(n) for _, n in pairs)) if pairs else None


def function_in(source: str, name: str) -> ast.FunctionDef:
    """The function of that name, or without a name the last one."""
    functions = [f for f in ast.parse(source).body if isinstance(f, ast.FunctionDef)]
    return next(f for f in reversed(functions) if name in ("", f.name))


def sheet_of(source: str, name: str = "") -> Sheet | None:
    """The worksheet in a source text, or None if there is none.

    Examples
    --------
    >>> from tinygrad_mlp import MLP, mse
    >>> p = derive(mse(MLP([3, 4, 2], rng=0)(np.ones((5, 3))), np.ones((5, 2))))
    >>> sheet = sheet_of(p.worksheet("mine"))
    >>> sheet.name, sheet.sizes
    ('mine', (3, 4, 2))
    """
    try:
        functions = [f for f in ast.parse(source).body if isinstance(f, ast.FunctionDef)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None  # whoever runs it will say so
    for f in functions:
        if (ast.get_docstring(f) or "").startswith(MARK) and name in ("", f.name):
            return Sheet(source, f.name)
    return None


def mark(sheet: Any, loss: Any) -> Comparison:
    """Mark a worksheet that was filled in: which lines are right, and which is the first wrong one.

    The sheet is run here. ``tinygrad-mlp compare`` marks one in a process of its own.

    Parameters
    ----------
    sheet : function, str or path
        The function that was filled in, its source text, or its file.
    loss : Tensor or Program
        What the worksheet was made from, or anything with the same names and shapes.

    Returns
    -------
    Comparison
        A row for each backward line, in the order of the sheet: same, not filled in, or wrong, also
        because it follows from a line above. A forward line has a row if it was changed.

    Raises
    ------
    DataError
        If there is no function in it, or its parameters are not those of the worksheet.

    Examples
    --------
    >>> from tinygrad_mlp import MLP, mse
    >>> rng = np.random.default_rng(0)
    >>> x, t = rng.normal(size=(5, 3)), rng.normal(size=(5, 2))
    >>> p = derive(mse(MLP([3, 4, 2], rng=0)(x), t))
    >>> text = p.worksheet().replace("dy = ...", "dy = 2 * (y - t)")
    >>> text = text.replace("dB1 = ...", "dB1 = dy.sum(axis=0)")
    >>> for row in mark(text, p).table[:3]:
    ...     print(row.name, row.verdict)
    dy WRONG: x 5
    dW[1] not filled in
    dB[1] WRONG: follows from dy
    """
    program = loss if isinstance(loss, Program) else derive(loss)
    scope: dict[str, Any] = {}
    file = "<worksheet>"
    try:
        if callable(sheet):
            scope, file = sheet.__globals__, sheet.__code__.co_filename
            text = textwrap.dedent(inspect.getsource(sheet))
            above = "\n" * (sheet.__code__.co_firstlineno - 1)  # so that lines have their numbers
            found = Sheet(above + text, sheet.__name__)
        else:
            source = sheet if isinstance(sheet, str) else Path(sheet).read_text("utf-8")
            found = sheet_of(source) or Sheet(source, function_in(source, "").name)
            exec(compile(source, file, "exec"), scope)
    except (SyntaxError, ValueError, AttributeError, StopIteration, OSError) as error:
        what = str(error) or "it defines none"
        raise DataError(
            f"mark: there is no function to be read in the worksheet: {what}."
        ) from error
    arrays = as_type({key: p.default() for key, p in program._parameters.items()}, np.float64)

    def run(wanted: list[str], fills: dict[str, Any]) -> dict[str, Any]:
        return run_lines(found.source, found.name, arrays, wanted, fills, scope, file)

    return mark_lines(found, program, arrays, run)


def as_type(arrays: Mapping[str, Any], dtype: Any) -> dict[str, Any]:
    """The inputs of a program, floating point ones in `dtype`."""

    def cast(a: Any) -> Any:
        if isinstance(a, list):
            return [cast(b) for b in a]
        a = np.asarray(a)
        return a.astype(dtype) if a.dtype.kind == "f" else a

    return {key: cast(a) for key, a in arrays.items()}


# --- line by line ---------------------------------------------------------------------------------


def mark_lines(sheet: Sheet, program: Program, arrays: Mapping[str, Any], run: Run) -> Comparison:
    """Mark `sheet` with the inputs `arrays`; ``run(wanted, fills)`` runs it as `run_lines` does."""
    taken = [arg.arg for arg in function_in(*sheet).args.args]
    if taken != list(program._parameters):
        raise DataError(
            f"mark: {sheet.name}({', '.join(taken)}) is no worksheet of this program, whose "
            f"arguments are {', '.join(program._parameters)}."
        )
    f = Function(program._derivation, "backward")
    ids = {str(v.name): f.ids[id(v)] for v in [*program._derivation.inputs, *f.lines]}
    fine = program.values(**as_type(arrays, np.float64))
    coarse = program.values(**as_type(arrays, np.float32))
    info = np.finfo(np.float64)
    right = {ids[k]: measured(fine[k], coarse[k], info) for k in (str(v.name) for v in f.lines)}
    known = {name: fine[shown] for shown, name in ids.items()}
    values, problems, returned = run_through(sheet, right, known, run)

    def value(v: Value) -> Any:  # what the person has, as far as we are
        return known[f.ids[id(v)]] if v.name is not None else applied(v, value)

    others = {str(v.name): fine[str(v.name)] for v in f.lines if v.backward}
    rows: dict[str, Row] = {}
    for v in f.lines:
        name, shown = f.ids[id(v)], str(v.name)
        if name in problems:
            rows[shown] = Row(shown, verdict=problems.pop(name))
            continue
        given, truth = values.get(name), right[name]
        row = judge(shown, written(sheet, name), given, truth, LIMIT)
        if not row.ok:
            sources = [
                r
                for r in (str(r.name) for r in reads(v))
                if r in rows and rows[r].shape and not rows[r].ok
            ]
            rest = {other: g for other, g in others.items() if other != shown}
            try:
                wanted = np.asarray(applied(v, value)) if sources else truth.right
            except Exception:
                row = noted(row, f"not judged, for your {' and '.join(sources)} does not fit")
            else:
                row = noted(row, hint(given, truth, wanted, sources, rest))
        if row.shape is not None:
            known[name] = as_array(given)[0]
        rows[shown] = row
    table = [rows[str(v.name)] for v in f.lines if v.backward or not rows[str(v.name)].ok]
    table += [Row(where, verdict=text) for where, text in problems.items()]
    results = [values.get(f.ids[id(g)]) for _, members in f.groups for g in members]
    if not problems and not alike(returned, results):
        table.append(Row("return", verdict="WRONG: not what the lines above have"))
    return Comparison(f"worksheet   {sheet.name}", table, sigma=LIMIT)


def run_through(
    sheet: Sheet, right: dict[str, Truth], known: dict[str, Any], run: Run
) -> tuple[dict[str, Any], dict[str, str], Any]:
    """The values of the lines, what is wrong with those that have none, and what is returned."""
    problems: dict[str, str] = {}
    fills: dict[str, Any] = {}
    body = function_in(*sheet).body
    while "stop" in (reply := run(list(right), fills)):
        stop, error = reply["stop"], reply.get("failure")
        text = "not filled in"
        if error:
            text = f"WRONG: raised {error['type']}: {error['text']} (line {error['line']})"
        if (
            error
            and error["type"] == "ValueError"
            and re.search("mismatch|broadcast", error["text"])
        ):
            arrays = {**known, **reply["values"]}
            here = [n.id for n in ast.walk(body[stop]) if isinstance(n, ast.Name)]
            read = [n for n in dict.fromkeys(here) if n in arrays and n not in stored(body[stop])]
            shapes = ", ".join(f"{n} {np.shape(arrays[n])}" for n in read)
            text = f"WRONG: raised ValueError: shapes do not fit: {shapes} (line {error['line']})"
        names = stored(body[stop]).intersection(right)
        fills[str(stop)] = {name: right[name].right for name in names}
        problems |= dict.fromkeys(names or [f"line {body[stop].lineno}"], text)
    return reply["values"], problems, reply["returned"]


def written(sheet: Sheet, name: str) -> str:
    """The right-hand side of the line, as it was filled in."""
    found = [s for s in function_in(*sheet).body if name in stored(s)]
    value = getattr(found[-1], "value", None) if found else None
    return textwrap.shorten(ast.unparse(value), 40) if value else ""


def alike(returned: Any, results: list[Any]) -> bool:
    """Whether the lists that were returned hold these arrays."""
    flat = [b for a in rows_of(returned) for b in rows_of(a)]
    return len(flat) == len(results) and all(map(np.array_equal, flat, results))


def rows_of(a: Any) -> list[Any]:
    """A list or tuple as it is, anything else in a list."""
    return list(a) if isinstance(a, (list, tuple)) else [a]
