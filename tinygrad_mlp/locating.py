"""Where in the person's file: the line that raised, and the line that first holds a wrong value."""

import ast
import inspect
import itertools
import linecache
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from . import judging
from .judging import one_line

__all__ = ["line_of", "reason", "watched"]

# --- what raised ----------------------------------------------------------------------------------


def own_frame(error: BaseException) -> tuple[Any, int] | None:
    """The last frame of the person's code that an error passed, and its line."""
    frames = list(traceback.walk_tb(error.__traceback__))[1:]  # the first is the caller
    others = [str(Path(module.__file__).parent) for module in (np, judging)]  # type: ignore[arg-type]
    own = [f for f in frames if not f[0].f_code.co_filename.startswith(tuple(others))]
    return own[-1] if own else None


def statement(frame: Any, number: int) -> ast.stmt | None:
    """The statement that is running, as a syntax tree."""
    try:
        rows, first = inspect.getsourcelines(frame.f_code)
        tree = ast.parse(textwrap.dedent("".join(rows)))
    except (OSError, SyntaxError, TypeError):  # its source is not to be had, but for this line
        try:
            line = linecache.getline(frame.f_code.co_filename, number).strip()
            return next(iter(ast.parse(line).body), None)
        except SyntaxError:
            return None
    found = None
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and hasattr(node, "lineno"):
            start, end = node.lineno + first - 1, (node.end_lineno or node.lineno) + first - 1
            here = start <= number <= end and not isinstance(node, (ast.FunctionDef, ast.ClassDef))
            if here and (found is None or node.lineno >= found.lineno):
                found = node
    return found


def look(node: ast.expr, frame: Any) -> Any:
    """The value of an expression that calls nothing; None if it has none."""
    if any(
        isinstance(n, (ast.Call, ast.Await, ast.Yield, ast.NamedExpr, ast.Lambda))
        for n in ast.walk(node)
    ):
        return None
    try:
        code = compile(ast.fix_missing_locations(ast.Expression(node)), "<look>", "eval")
        return eval(code, frame.f_globals, dict(frame.f_locals))
    except Exception:
        return None


def reason(error: BaseException) -> tuple[str, str, str]:
    """Why the person's code raised, as far as the shapes in the line tell; the line, and where.

    Returns
    -------
    text, source, place : str
        ``place`` is as in "net.py:24".
    """
    found = own_frame(error)
    told = one_line(error)
    if found is None:
        return told, "", ""
    frame, number = found
    file = frame.f_code.co_filename
    source = linecache.getline(file, number).strip()
    place = f"{Path(file).name}:{number}"
    tree = statement(frame, number)
    hints = [] if tree is None else list(hints_of(tree, frame, error))
    arrays = ((k, v) for k, v in frame.f_locals.items() if isinstance(v, np.ndarray) and v.ndim)
    shapes = [f"{k} {v.shape}" for k, v in arrays] if tree is None else [*shapes_in(tree, frame)]
    text = told
    if hints:
        text += f": {hints[0]}"
    if shapes:
        text += f" (here {', '.join(shapes)})"
    return text, source, place


def shapes_in(tree: ast.stmt, frame: Any) -> Iterator[str]:
    """Names and shapes of the arrays in a statement."""
    seen = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Name, ast.Attribute, ast.Subscript)):
            value = look(node, frame) if isinstance(getattr(node, "ctx", None), ast.Load) else None
            text = ast.unparse(node)
            if isinstance(value, (np.ndarray, list)) and text not in seen:
                seen.add(text)
                if isinstance(value, list):
                    if value and not isinstance(value[0], np.ndarray):
                        yield f"{text} is a list"
                else:
                    yield f"{text} {value.shape}"


def hints_of(tree: ast.stmt, frame: Any, error: BaseException) -> Iterator[str]:
    """What does not fit in a statement."""
    yield from stretched(frame.f_locals)
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp):
            a, b = look(node.left, frame), look(node.right, frame)
            if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
                yield from misfit(node, a, b)
    if isinstance(error, AttributeError):
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                value = look(node.value, frame)
                if isinstance(value, (list, tuple)):
                    yield f"{ast.unparse(node.value)} is a list; np.array(...) makes an array of it"


def stretched(variables: dict[str, Any]) -> Iterator[str]:
    """A difference of (n, 1) and (n,), which is (n, n)."""
    arrays = {k: v for k, v in variables.items() if isinstance(v, np.ndarray)}
    for (column, u), (row, v) in itertools.product(arrays.items(), repeat=2):
        if u.ndim == 2 and u.shape[1] == 1 and v.shape == u.shape[:1] and len(v) > 1:
            for name, a in arrays.items():
                if a.shape == (len(v), len(v)) and np.linalg.matrix_rank(np.stack(
                    [a.ravel(), (u - v).ravel()])) == 1:  # fmt: skip
                    yield (
                        f"{name} is {a.shape}: {column} {u.shape} and {row} {v.shape} were "
                        f"broadcast against each other; reshape one of them"
                    )


def misfit(node: ast.BinOp, a: Any, b: Any) -> Iterator[str]:
    """Why two arrays do not go together, and which transpose would fit."""
    left, right = ast.unparse(node.left), ast.unparse(node.right)
    if isinstance(node.op, ast.MatMult):
        if not a.ndim or not b.ndim or a.shape[-1] == b.shape[0 if b.ndim == 1 else -2]:
            return
        text = f"{left} {a.shape} @ {right} {b.shape} do not fit"
        ways = []
        if b.ndim == 2 and a.shape[-1] == b.shape[1]:
            ways.append(bare(right) or f"{right}.T (its transpose is missing)")
        if a.ndim == 2 and b.ndim and a.shape[0] == b.shape[0]:
            ways.append(bare(left) or f"{left}.T (its transpose is missing)")
        yield text + (f"; {' or '.join(ways)} would" if ways else "")
    else:
        try:
            np.broadcast_shapes(a.shape, b.shape)
        except ValueError:
            yield f"{left} {a.shape} and {right} {b.shape} do not fit, entry by entry"


def bare(text: str) -> str:
    """The name without its transpose, if it has one."""
    return f"{text[:-2]} (not transposed)" if text.endswith(".T") else ""


# --- which line makes a value ---------------------------------------------------------------------


def watched(file: str, run: Callable[[], Any]) -> list[tuple[int, Any]]:
    """Call `run`; each array that the functions of `file` make or change, with the line that did.

    Arrays are found among the local variables, and in lists and attributes they hold.
    """
    found: list[tuple[int, Any]] = []
    seen: dict[int, tuple[Any, Any]] = {}  # the array, which stays alive, and what it held

    # What a tracer runs, coverage cannot see.
    def note(values: Iterator[Any], number: int | None) -> None:  # pragma: no cover
        for value in values:
            old = seen.get(id(value))
            if old is None or not np.array_equal(old[1], value, equal_nan=True):
                seen[id(value)] = value, np.array(value)
                if number is not None:
                    found.append((number, seen[id(value)][1]))

    def trace(frame: Any, _event: str, _argument: Any) -> Any:  # pragma: no cover
        if frame.f_code.co_filename != file:
            return None
        last = frame.f_lineno
        note(arrays_of(frame.f_locals), None)

        def local(frame: Any, event: str, argument: Any) -> Any:
            nonlocal last
            note(arrays_of(frame.f_locals), last)
            if event == "return":
                note(arrays_of({"": argument}), last)
            last = frame.f_lineno
            return local

        return local

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(before)
    return found


def arrays_of(variables: dict[str, Any]) -> Iterator[Any]:  # pragma: no cover
    """The arrays in variables, in lists, and in the attributes of ``self``."""
    stack = list(variables.values())
    owner = variables.get("self")
    if hasattr(owner, "__dict__"):
        stack += vars(owner).values()
    while stack:
        value = stack.pop()
        if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
            yield value
        elif isinstance(value, (list, tuple)) and len(value) < 100:
            stack += value


def line_of(found: list[tuple[int, Any]], wanted: list[Any]) -> int | None:
    """The line after which one of the `wanted` arrays was first there, up to rounding."""
    for number, a in found:
        for w in wanted:
            if a.shape == np.shape(w) and a.dtype.kind in "fiub":
                size = np.max(np.abs(w), initial=0)
                if np.max(np.abs(a - w * 1.0), initial=0.0) <= 1e-9 * size:
                    return number
    return None
