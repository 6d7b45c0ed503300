"""Whether a cause is true: what it says is computed, on data that the diagnosis has not seen.

A cause names lines, and what they must have been written as. So the derived program is run line by
line from its text, with these lines in the place of its own, on other weights and on a batch of
another size; it is true if the person's code gives the same there. No list of words is asked.

What a cause says without a line ("zero everywhere", a list in another order, an exception) has to
be said again of a comparison on those data.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np

from tinygrad_mlp import accounting, derive, elementary, functional, ops, reductions, rewriting
from tinygrad_mlp.printing import Line
from tinygrad_mlp.sifting import arranged
from tinygrad_mlp.simulating import shown

from .nets import Net
from .registry import Pass
from .running import compared, gradients, is_mapping

__all__ = ["Lines", "judged_causes", "listening", "unseen_by"]

EXACT = 1e-5
"""How far off a true formula may be, relative to the largest entry: a cause prints six digits."""


Lines = dict[str, str]
"""Lines that are written otherwise, by their names."""


@contextmanager
def listening() -> Iterator[list[list[Lines]]]:
    """Note what `compare` finds: of each cause the lines, and those of what may be instead.

    The report prints the first line only, and one name of a factor.
    """
    told: list[list[Lines]] = []
    tell = accounting.tell

    def noted(sim: Any, result: Any, *args: Any) -> None:
        tell(sim, result, *args)
        for found in result.found:
            options = []
            for match, lines, *_ in ((found.match, found.lines), *found.same):
                c = match.coefficient
                before = None if c is None else c.name
                for name in match.names or [""]:
                    if c is not None:
                        c.name = f"({name})"
                    options.append({str(v.name): shown(new) for v, new in lines.items()})
                if c is not None:
                    c.name = before
            told.append(options)

    with patch.object(accounting, "tell", noted):
        yield told


# --- a program from its text ----------------------------------------------------------------------


def identifier(name: str) -> str:
    """W[0] -> W__0; h[1] is another value than h1."""
    return re.sub(r"\W+", "__", name).strip("_")


def functions() -> dict[str, Any]:
    """What the text of a line may call."""
    scope: dict[str, Any] = {"np": np, "norm": np.linalg.norm, "sqrt": np.sqrt}
    modules: list[ModuleType] = [ops, elementary, reductions, functional, rewriting]
    for module in modules:
        scope |= {k: v for k, v in vars(module).items() if callable(v) and k not in scope}
    return scope


SCOPE = functions()
PHRASES = {", the root of the loss": "", "norm of all gradients": "whole_norm", "^": "**"}
"""Parts of the text that are no Python."""


class Text:
    """The lines of a program, some of them written otherwise, on the data of a network."""

    def __init__(self, net: Net) -> None:
        program = derive(net.loss())
        self.lines: list[Line] = program.lines
        self.results = {*program.results.values()}
        self.right = program.values()
        self.known = set(self.right)
        norm = np.sqrt(sum(np.sum(np.square(self.right[name])) for name in self.results))
        last = next(row.args[0] for row in self.lines if row.role == "forward" and row.shape == ())
        y = np.asarray(self.right.get("y", self.right[last]))
        self.numbers = {"whole_norm": norm, "batch": len(y), "outputs": y.shape[-1]}
        self.numbers["loss"] = float(next(self.right[r.name] for r in self.lines if r.shape == ()))

    def code(self, text: str) -> str:
        """The text of a line, or a name, as Python."""
        for phrase, python in PHRASES.items():
            text = text.replace(phrase, python)
        return re.sub(
            r"(?<![.\w])\w+\[\d+\]",
            lambda m: identifier(m[0]) if m[0] in self.known else m[0],
            text,
        )

    def run(self, changed: dict[str, str], own: dict[str, Any]) -> dict[str, Any]:
        """All lines, each from what the person has above it where that is among their `own`."""
        values = {name: np.asarray(a) for name, a in self.right.items()}
        scope = {**SCOPE, **self.numbers, **{identifier(k): a for k, a in values.items()}}
        for row in self.lines:
            code = self.code(changed.get(row.name, row.text))
            with np.errstate(all="ignore"):
                values[row.name] = np.asarray(eval(compile(code.strip(), "line", "eval"), scope))
            used = own.get(row.name, values[row.name])
            scope[identifier(row.name)] = np.asarray(used)
        return values


# --- the judge ------------------------------------------------------------------------------------


def judged_causes(
    entry: Pass, net: Net, comparison: Any, told: list[list[Lines]]
) -> tuple[list[Any], list[Any]]:
    """The causes that are false, and those of which only something beside them is true.

    What is said to have the same effect, or to be one of several, is beside a cause.
    """
    false, beside = [], []
    unseen = unseen_by(entry, net)
    written = [c for c in comparison.causes if "=" in c.yours]
    rest = [c for c in comparison.causes if c not in written]
    if rest:
        again = [plain_text(c) for c in compared(entry, unseen).causes]
        false += [c for c in rest if plain_text(c) not in again]
    options = told or [[dict([map(str.strip, c.yours.split("=", 1))])] for c in written]
    every: Lines = {}
    for lines, *_ in options:
        every |= lines
    for cause, (first, *others) in zip(written, options):
        if not reproduced(entry, unseen, every, cause):
            without = {k: text for k, text in every.items() if k not in first}
            some = any(reproduced(entry, unseen, without | lines, cause) for lines in others)
            (beside if some else false).append(cause)
    return false, beside


def unseen_by(entry: Pass, net: Net) -> Net:
    """Other data of the network; on a batch of the same size if the code takes no other."""
    for batch in (11, net.batch):
        place = net.unseen(batch)
        try:
            if any(a is not None for k, a in given_on(entry, place).items() if k != "y"):
                return place
        except Exception:
            pass
    return place


def given_on(entry: Pass, net: Net) -> dict[str, Any]:
    """What the person has on the data of a network."""
    code = entry.code(net.sizes) if isinstance(entry.code, type) else entry.code
    return gradients(code, net, is_mapping(entry, net))


def plain_text(cause: Any) -> str:
    """What a cause says without its numbers."""
    return re.sub(r"\d+", "#", cause.text)


def reproduced(entry: Pass, net: Net, changed: dict[str, str], cause: Any) -> bool:
    """Whether the gradients that a cause explains are what the changed lines give."""
    try:
        for place, given in places(entry, net, {*cause.gradients}):
            text = Text(place)
            inner = given.keys() - text.results - {"y"}
            own = {k: np.asarray(given[k]) for k in inner if k in text.known}
            values = text.run(changed, own)
            given = in_order(given, values)
            wanted = [name for name in cause.gradients if name in values]
            tolerance = max(EXACT, 10 * net.tolerance, 10 * (entry.tolerance or 0))
            if not wanted or not all(near(given[k], values[k], tolerance) for k in wanted):
                return False
    except Exception:  # a line that is no Python, or shapes that do not fit
        return False
    return True


def places(entry: Pass, net: Net, wanted: set[str]) -> Iterator[tuple[Net, dict[str, Any]]]:
    """Data, and what the person has on them.

    A step that only single samples show is looked at on these: with one, dB is the delta.
    """
    given = given_on(entry, net)
    if wanted <= given.keys():
        yield net, given
        return
    of = {row.name: row.args[0] for row in derive(net.loss()).lines if row.name.startswith("dB")}
    for k in range(3):
        single = net.sample(k)
        given = given_on(entry, single)
        deltas = {of[name]: np.reshape(a, (1, -1)) for name, a in given.items() if name in of}
        yield single, given | deltas


def in_order(given: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """The person's gradients with lists in the order of the weights."""
    result = dict(given)
    for letter in ("W", "B"):
        names = [name for name in given if re.fullmatch(rf"d{letter}\[\d+\]", name)]
        arrays, _ = arranged(letter, [given[k] for k in names], [values[k] for k in names])
        result |= dict(zip(names, arrays))
    return result


def near(given: Any, value: Any, tolerance: float) -> bool:
    """Whether two arrays are equal up to rounding."""
    given = np.asarray(given, float)
    scale = np.max(abs(given), initial=0.0)
    return given.shape == np.shape(value) and bool((abs(given - value) <= tolerance * scale).all())
