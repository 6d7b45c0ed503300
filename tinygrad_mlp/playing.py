"""A page that steps through a program, forward and backward: `play`.

The picture, the listing, and for each line its numbers, the reason for it, and every entry of its
result as a sum. The page is one file with a script of its own; it asks for nothing from anywhere.
"""

import html
import importlib.resources
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from . import paint
from .charting import cause_text, svg_ids, to_dot
from .deriving import Program, derive
from .drawing import LIMIT, checkable, told_at, with_causes
from .errors import RenderError
from .explaining import evaluated, explained
from .formatting import describe
from .linewise import line_cards
from .printing import ATOM, INFIX, Printer, shape_comment
from .reasons import reasons
from .styling import block_means, figures, is_small, number_text
from .tensor import Tensor
from .values import Value

__all__ = ["Player", "play"]

LINES = 1000
"""So many lines are played: the page would become as large as no browser likes it."""

ENTRIES = 4000
"""So many entries of results are written out as sums; about 200 bytes each."""

NUMBERED = 40
"""In a picture of more cards arrays are four figures; their numbers stand beside it."""

SUFFIXES = (".html", ".htm")


class Player:
    """A page that steps through a program.

    Attributes
    ----------
    html : str
        The whole page.

    Examples
    --------
    >>> x = Tensor([1.0, 2.0], requires_grad=True, name="x")
    >>> player = play((x * x).sum())
    >>> player.html[:15], player
    ('<!doctype html>', <Player: L in 2 steps, 1 forward and 1 backward>)
    """

    def __init__(self, text: str, summary: str) -> None:
        self.html = text
        self._summary = summary

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the page; the file is there in full or not at all.

        Parameters
        ----------
        path : path
            Ends in .html or .htm.

        Raises
        ------
        RenderError
            If the suffix is another, or the folder is missing or read-only.
        """
        from .rendering import write_whole

        path = fitting(path)
        write_whole(path, self.html.encode())
        return path

    def __repr__(self) -> str:
        return self._summary

    def _repr_html_(self) -> str:
        """In a frame, so that neither the page nor the notebook gets the styles of the other."""
        return (
            f'<iframe srcdoc="{html.escape(self.html)}" sandbox="allow-scripts" '
            f'title="{html.escape(self._summary)}" '
            f'style="width:100%;height:720px;border:1px solid #cbd5e1"></iframe>'
        )


def play(loss: Any, path: str | os.PathLike[str] | None = None, check: Any = None) -> Player:
    """Make a page that steps through the forward and the backward pass of `loss`.

    Each step is a line of :func:`derive`, with its numbers, the reason for it, and its place in the
    picture. A click on a number of a result shows it as the sum that it is.

    Parameters
    ----------
    loss : Tensor
        A scalar that requires a gradient.
    path : path, optional
        Where to write the page; ends in .html.
    check : Comparison, optional
        What :func:`compare` has found of a backward pass written by hand: which of its gradients
        are wrong, which only follow, and what they are.

    Returns
    -------
    Player
        ``.html`` is the page, ``.write("net.html")`` writes it, a notebook shows it.

    Raises
    ------
    RenderError
        If `loss` is no Tensor, has more than 1,000 lines, or the page cannot be written.
    GradientError
        If `loss` requires no gradient or is no scalar.

    Examples
    --------
    >>> from tinygrad_mlp import MLP, mse
    >>> import numpy as np
    >>> net = MLP([2, 3, 1], rng=0)
    >>> play(mse(net(np.ones((5, 2))), np.zeros((5, 1))))
    <Player: L in 11 steps, 4 forward and 7 backward>
    """
    if not isinstance(loss, Tensor):
        raise RenderError(f"play: a loss is played, a Tensor, not {describe(loss)[:60]}.")
    if check is not None:
        checkable("play", [loss], check)
    if path is not None:
        path = fitting(path)  # said before the work is done
    loss._seed(call="play()")  # complains where there is nothing to play
    program = derive(loss)
    if len(program.lines) > LINES:
        raise RenderError(
            f"play: the program of {describe(loss, 'loss')} has {len(program.lines):,} lines; at "
            f"most {LINES:,} are played. Play a net with fewer layers, or print(derive(loss))."
        )
    data, svg = page_data(loss, program, check)
    forward = sum(step["r"] == "forward" for step in data["steps"])
    count = len(data["steps"])
    name = str(program._derivation.loss.name)
    summary = f"{name} in {count} steps, {forward} forward and {count - forward} backward"
    parts = {
        "title": html.escape(f"{name}, step by step"),
        "label": html.escape(f"The graph of {summary}"),
        "picture": svg,
        "data": embedded(data),
    }
    template = importlib.resources.files(__package__).joinpath("player.html").read_text("utf-8")
    text = re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)
    player = Player(text, f"<Player: {summary}>")
    if path is not None:
        player.write(path)
    return player


def fitting(path: str | os.PathLike[str]) -> Path:
    """`path`, if a page can be written there."""
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise RenderError(f"play: {os.fspath(path)!r} does not end in .html.")
    if not path.parent.is_dir():
        raise RenderError(f"play: {os.fspath(path)!r}: there is no folder {path.parent}.")
    return path


def embedded(data: Any) -> str:
    r"""JSON that can stand in a script element, whatever names and texts it holds.

    >>> embedded({"name": "</script>"})
    '{"name":"\\u003c/script\\u003e"}'
    """
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return re.sub("[<>&]", lambda match: f"\\u{ord(match[0]):04x}", text)


# --- what the page shows --------------------------------------------------------------------------


def page_data(loss: Tensor, program: Program, check: Any) -> tuple[dict[str, Any], str]:
    """The steps and arrays of the page as plain data, and the picture."""
    d = program._derivation
    arrays = program.values()
    said = reasons(d)
    svg, ids, notes = picture(loss, program, check)
    marks = getattr(check, "marks", {})
    shown: dict[str, Any] = {}
    steps = []
    left = ENTRIES
    for v, line in zip(d.lines, program.lines, strict=True):
        tokens, names = equation(v, arrays)
        for name in (*names, line.name):
            shown.setdefault(name, table(arrays[name]))
        step = {
            "n": line.name,
            "c": line.text,
            "r": line.role,
            "s": shape_comment(v),
            "w": said[line.name],
            "e": tokens,
            "ids": places(line.name, ids),
        }
        size = np.size(arrays[line.name])
        if "v" in shown[line.name] and size <= left:
            left -= size
            step["x"] = [entry(v, arrays, place) for place in np.ndindex(line.shape)]
        else:
            first = ", ".join("0" for _ in line.shape)
            step["h"] = (
                f"Too many numbers to write each as a sum here; derive(loss).explain("
                f'"{line.name}", ({first})) does it for any one.'
            )
        if line.name in marks:
            step["m"] = verdict(line.name, marks[line.name], arrays[line.name], check)
        steps.append(step)
    data = {"plus": paint.PLUS, "minus": paint.MINUS, "arrays": shown, "steps": steps}
    return {**data, "notes": notes}, svg


def numbers(a: Any) -> list[Any]:
    """The entries of an array for JSON, which has no word for what is not finite."""
    return [v if np.isreal(v) and np.isfinite(v) else str(v) for v in a.ravel().tolist()]


def table(array: Any) -> dict[str, Any]:
    """An array for the page: its entries and their texts, or block means and figures."""
    a = np.asarray(array)
    a = a.astype(int) if a.dtype == bool else a
    if is_small(a):
        texts = " ".join(map(number_text, a.ravel().tolist()))
        return {"s": a.shape, "v": numbers(a), "t": texts}
    if a.dtype.kind == "c":
        a = np.abs(a)
    with np.errstate(all="ignore"):
        matrix = a.reshape(-1, a.shape[-1]).astype(np.float64)
        means = [numbers(np.array([float(f"{v:.3g}") for v in row])) for row in block_means(matrix)]
        return {"s": a.shape, "h": means, "f": figures(matrix[np.isfinite(matrix)])}


MOVED = (np.transpose, np.swapaxes)


class Tables(Printer):
    """Expressions with a mark in place of each array, and with the numbers of lengths."""

    def __init__(self, arrays: dict[str, Any]) -> None:
        super().__init__()
        self.arrays = arrays
        self.found: list[Value] = []

    def expression(self, a: Any) -> tuple[str, int]:
        """The text of `a` and how tightly it binds."""
        if isinstance(a, Value):
            compares = INFIX.get(a.op, ("", 0))[1] == 1
            moves = a.op in MOVED and isinstance(a.args[0], Value) and a.args[0].name is not None
            if a.name is not None or compares or moves:
                self.found.append(a)
                return "\0", ATOM
        return super().expression(a)

    def length(self, a: Any) -> str:
        """A size as a number."""
        return str(evaluated(a, self.arrays))

    def shape(self, a: tuple[Any, ...]) -> str:
        """A tuple of sizes as numbers."""
        return str(evaluated(a, self.arrays))

    def like(self, shape: Any) -> None:  # noqa: ARG002  # an array that is only measured is no operand
        """No array is shown for its shape alone."""
        return


def equation(v: Value, arrays: dict[str, Any]) -> tuple[list[Any], list[str]]:
    """The definition of a line as texts and arrays in turn, and the names of the arrays."""
    printer = Tables(arrays)
    texts = printer.definition(v)[0].split("\0")
    tokens: list[Any] = [texts[0].strip()]
    names = []
    for a, text in zip(printer.found, texts[1:], strict=True):
        if a.name is not None:
            names.append(a.name)
            tokens.append({"a": a.name})
        else:
            tokens.append(part(a, v, arrays))
            names += [tokens[-1]["a"]] if "a" in tokens[-1] else []
        tokens.append(text.strip())
    return [token for token in tokens if token != ""], names


def part(a: Value, v: Value, arrays: dict[str, Any]) -> dict[str, Any]:
    """A transposed array, as the places that its entries come from, or a comparison."""
    value = np.asarray(evaluated(a, arrays))
    label = Printer().text(a)
    if a.op in MOVED and is_small(value) and is_small(source := arrays[a.args[0].name]):
        numbered = np.arange(source.size).reshape(source.shape)
        places = evaluated(Value(a.op, (numbered, *a.args[1:]), a.kwargs, numbered), arrays)
        return {"a": a.args[0].name, "l": label, "s": value.shape, "i": places.ravel().tolist()}
    same = {"m": 1} if value.shape == np.shape(arrays[str(v.name)]) else {}
    return {"l": label, **table(value), **same}


def entry(v: Value, arrays: dict[str, Any], place: tuple[int, ...]) -> list[Any]:
    """An entry as its sum, and the entries that stand in it, by name and number."""
    parts, read = explained(v, arrays, place)
    used: dict[str, list[int]] = {}
    for name, index in read:
        shape = np.shape(arrays[name])
        at = int(np.ravel_multi_index(index, shape)) if shape else 0
        if at not in used.setdefault(name, []):
            used[name].append(at)
    return [parts, used]


# --- a comparison ---------------------------------------------------------------------------------


CAUSE = ("text", "yours", "autograd", "line", "evidence")
"""What is said of a cause."""


def verdict(name: str, mark: Any, truth: Any, check: Any) -> dict[str, Any]:
    """What a comparison says about one gradient."""
    said: dict[str, Any] = {
        "name": name,
        "status": mark.status,
        "text": mark.text,
        "causes": [
            {
                **{word: getattr(cause, word, "") for word in CAUSE},
                "also": "; ".join(getattr(cause, "same_effect", ())),
            }
            for cause in check.causes
            if name in told_at(cause, check.marks)
        ],
    }
    if mark.status == "same" or mark.yours is None:
        return said
    yours, truth = np.asarray(mark.yours), np.asarray(truth)
    if yours.dtype.kind in "fiubc":
        said["yours"] = table(yours)
        if yours.shape == truth.shape:
            near = np.isclose(yours, truth, rtol=1e-6, atol=1e-9, equal_nan=True)
            said["yours"]["off"] = np.flatnonzero(~near).tolist()
    return said


# --- the picture ----------------------------------------------------------------------------------


def picture(
    loss: Tensor, program: Program, check: Any
) -> tuple[str, dict[str, list[str]], list[Any]]:
    """The SVG, the ids in it that belong to each line, and what must be said."""
    marks = getattr(check, "marks", {})
    causes = check.causes if marks else ()
    cards, said = line_cards([loss], "grads", marks, program)
    notes = [{"text": text, "fault": True} for text in said]
    for cause in causes:
        if not told_at(cause, marks):
            notes.append({"text": cause_text(cause), "fault": True})
    try:
        if len(cards) > LIMIT:
            raise RenderError(f"it would have {len(cards):,} cards.")
        cards = with_causes(cards, causes)
        detail = "figures" if len(cards) > NUMBERED else ""
        drawing = to_dot(cards, [], check=check if marks else None, detail=detail)
        svg = drawing.pipe("svg", encoding="utf-8")
    except RenderError as error:
        return "", {}, [*notes, {"text": f"No picture: {error}", "fault": False}]
    return svg[svg.index("<svg") :], svg_ids(cards), notes


def places(name: str, ids: dict[str, list[str]]) -> dict[str, Any]:
    """Where a line stands in the picture: what appears with it, is lit, ringed, and its arrows."""
    mine = ids.get(name, [])
    kinds = {"n-": 1, "a_g-": 1, "b-": 2, "a_r-": 1}  # and which number in it is that of the card
    cards = [i.split("-")[at] for kind, at in kinds.items() for i in mine if i.startswith(kind)]
    return {
        "ring": f"n-{cards[0]}" if cards else "",
        "show": mine,
        "lit": [i for i in mine if i.startswith(("a_h", "a_r", "a_s"))],
        "arrows": [i for i in mine if i.startswith(("f-", "b-"))],
    }
