"""The verdict on an array, and the report of all of them: `Row`, `Cause`, `Mark`, `Comparison`."""

import html
import itertools
import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from .graph import no_grad
from .rounding import Truth

__all__ = ["Cause", "Comparison", "Mark", "Row", "as_array", "judge", "number", "one_line"]


class Row(NamedTuple):
    """One gradient (or the output y) as the person has it, against autograd."""

    name: str
    formula: str = ""
    shape: tuple[int, ...] | None = None  # of the person's array
    max_diff: float | None = None
    sigmas: float | None = None  # the largest difference, in standard deviations of rounding
    verdict: str = "same"  # or "same ...", or "WRONG ..."

    @property
    def ok(self) -> bool:
        """Whether it agrees."""
        return self.verdict.startswith("same")


class Cause(NamedTuple):
    """Why gradients are wrong: one change of a line that gives the person's numbers."""

    text: str
    yours: str = ""
    """The line as it must have been written to give these numbers."""
    autograd: str = ""
    """The same line of autograd's."""
    line: str = ""
    """Where in the person's file: ``net.py:24``."""
    evidence: str = ""
    same_effect: tuple[str, ...] = ()
    """Other changes that give the same numbers."""
    gradients: tuple[str, ...] = ()
    """Names of the gradients that it accounts for."""
    source: str = ""
    """The text of that line of the file."""


class Mark(NamedTuple):
    """What is known of one gradient of the graph."""

    status: str
    """"same", "wrong" for a mistake of its own, "follows" from an earlier one, or "unknown"."""
    yours: Any = None
    truth: Any = None
    text: str = ""
    """One sentence."""


@dataclass(repr=False)
class Comparison:
    """The outcome of :func:`compare`: true if every gradient agrees; prints as a table.

    Attributes
    ----------
    table : list of Row
        Walking backward: y first, the first layer last.
    notes : list of str
        What was noticed on the way, such as weights that the backward pass changed.
    blind_spots : list of str
        Which mistakes the data could not show.
    causes : list of Cause
        Explanations of the differences; empty where none fits.
    sigma : float
        The limit, in standard deviations of rounding.
    marks : dict of str to Mark
        What is known of each gradient, by its name in the derivation: ``"dW[0]"``, ``"dZ[1]"``.
    loss : Tensor or None
        The graph that the gradients were compared with.
    facts : list of str
        What is true of a difference that no cause was found for.
    tried : int
        How many changes of a line were simulated.
    """

    title: str
    table: list[Row]
    notes: list[str] = field(default_factory=list)
    blind_spots: list[str] = field(default_factory=list)
    causes: list[Cause] = field(default_factory=list)
    sigma: float = 10
    marks: dict[str, Mark] = field(default_factory=dict)
    loss: Any = None
    facts: list[str] = field(default_factory=list)
    tried: int = 0

    @property
    def ok(self) -> bool:
        """Whether every gradient agrees with autograd's, up to rounding."""
        return not self.wrong

    @property
    def wrong(self) -> list[str]:
        """Names of all that differ."""
        return [row.name for row in self.table if not row.ok]

    @property
    def where(self) -> str:
        """Name of the first that differs, walking backward; '' if none does."""
        return next(iter(self.wrong), "")

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        cells = [("gradient", "", "yours", "max |diff|", "in sigmas", "")]
        for row in self.table:
            shape = "" if row.shape is None else str(row.shape)
            diff, sigmas = number(row.max_diff, ".1e"), number(row.sigmas, ".1f")
            if row.sigmas == math.inf:  # without any rounding
                sigmas = "0 expected"
            cells.append((row.name, row.formula, shape, diff, sigmas, row.verdict))
        sides = [max(map(len, column)) for column in zip(*cells)]
        lines = [self.title, ""]
        for line in cells:
            padded = [f"{cell:{way}{n}}" for cell, way, n in zip(line, "<<<>><", sides) if n]
            lines.append("  ".join(["", *padded]).rstrip())
        lines.append("")
        if self.ok:
            largest = max(row.sigmas or 0 for row in self.table)
            lines.append(
                f"PASS  all {len(self.table)} agree up to rounding "
                f"(largest {largest:.1f} sigmas, limit {self.sigma:g})"
            )
        else:
            lines.append(f"FAIL  {len(self.wrong)} of {len(self.table)} differ")
            lines += self._where() + self._why()
        lines += [f"NOTE  {note}" for note in self.notes]
        lines += [f"BLIND {spot}" for spot in self.blind_spots]
        return "\n".join(lines)

    def _where(self) -> list[str]:
        """Where it goes wrong first."""
        fits = [row.name for row in itertools.takewhile(lambda row: row.ok, self.table)]
        last = f"; {fits[-1]}, before it, is right" if fits else ""
        lines = [f"WHERE {self.where} is the first that differs, walking backward{last}"]
        places = dict.fromkeys((c.line, c.source) for c in self.causes if c.line)
        return lines + [f"      {line}: {source}" for line, source in places]

    def _why(self) -> list[str]:
        """The causes; or that there is none, and what is true all the same."""
        lines = []
        for k, cause in enumerate(self.causes):
            lines.append(f"{'WHY' if k == 0 else 'AND':5} {cause.text}")
            if cause.yours and cause.autograd:
                lines.append(f"        yours      {cause.yours}")
                lines.append(f"        autograd   {cause.autograd}")
            if cause.evidence:
                lines.append(f"      {cause.evidence}")
            if cause.same_effect:
                lines.append("      Same effect:")
                lines += [f"        {text}" for text in cause.same_effect]
        unknown = [k for k, m in self.marks.items() if m.status == "unknown"]
        if self.tried and unknown:
            which = "WHY   unknown" if not lines else f"      unknown for {', '.join(unknown)}"
            lines.append(f"{which}: none of {self.tried} changes of a line gives your numbers")
        return lines + [f"TRUE  {fact}" for fact in self.facts]

    __repr__ = __str__

    def _repr_html_(self) -> str:
        lines = []
        for line in map(html.escape, str(self).splitlines()):
            wrong = "WRONG" in line or line.startswith("FAIL")
            lines.append(f'<b style="color: #b00020">{line}</b>' if wrong else line)
        return "<pre>" + "\n".join(lines) + "</pre>"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; ``version`` says which form it has. No number is None."""
        rows = [{**row._asdict(), "ok": row.ok} for row in self.table]
        for row in rows:
            row["shape"] = None if row["shape"] is None else list(row["shape"])
            row["max_diff"], row["sigmas"] = finite(row["max_diff"]), finite(row["sigmas"])
        return {
            "version": 2,
            "ok": self.ok,
            "title": self.title,
            "sigma": self.sigma,
            "wrong": self.wrong,
            "where": self.where,
            "causes": [
                {k: list(v) if isinstance(v, tuple) else v for k, v in cause._asdict().items()}
                for cause in self.causes
            ],
            "facts": self.facts,
            "tried": self.tried,
            "notes": self.notes,
            "blind_spots": self.blind_spots,
            "rows": rows,
            "marks": {k: {"status": m.status, "text": m.text} for k, m in self.marks.items()},
        }


def finite(value: float | None) -> float | None:
    """`value` if JSON has it, else None."""
    return value if value is not None and math.isfinite(value) else None


def number(value: float | None, spec: str) -> str:
    """`value` as text of a few characters, or nothing."""
    if value is None:
        return ""
    return f"{value:{spec if value < 1e5 else '.0e'}}"


# --- the verdict ----------------------------------------------------------------------------------


def judge(name: str, formula: str, given: Any, truth: Truth, limit: float) -> Row:
    """The row of one array; nothing is broadcast, and what cannot be judged is wrong."""
    a, problem = as_array(given)
    if problem:
        return Row(name, formula, verdict=f"WRONG: {problem}")
    right = truth.right
    row = Row(name, formula, a.shape)
    if not all(np.isfinite(part).all() for part in truth):
        return row._replace(verdict="WRONG: cannot be judged, autograd's own is not finite")
    if a.shape != right.shape:
        text = f"WRONG: shape {a.shape}, not {right.shape}"
        if a.size == right.size and judge("", "", a.reshape(right.shape), truth, limit).ok:
            text += "; the values are right"
        elif a.T.shape == right.shape and judge("", "", a.T, truth, limit).ok:
            text += "; its transpose is right"
        return row._replace(verdict=text)
    bad = a.size - np.count_nonzero(np.isfinite(a))
    if bad:
        return row._replace(verdict=f"WRONG: {bad} of {a.size} entries are nan or infinite")
    with np.errstate(all="ignore"):
        diff = np.abs(a - right)
        sigmas = np.max(diff / truth.sigma, initial=0)
        beyond = np.max((diff - truth.slack) / truth.sigma, initial=0)
    verdict = "same" if sigmas <= limit else "same up to the slope at 0"
    verdict = verdict if beyond <= limit else "WRONG"
    if a.dtype.kind != "f":
        verdict += f", but {a.dtype} instead of floating point"
    return row._replace(
        max_diff=float(np.max(diff, initial=0)), sigmas=float(sigmas), verdict=verdict
    )


def as_array(given: Any) -> tuple[Any, str]:
    """`given` as an array of real numbers; or an empty one, and what is wrong with it."""
    problem = "missing"
    if given is not None:
        try:
            with no_grad():
                a = np.asarray(given)
            if a.dtype.kind in "fiub":
                return a, ""
            problem = f"entries are {a.dtype}, not real numbers"
        except Exception as error:
            problem = f"no array ({one_line(error)})"
    return np.empty(0), problem


def one_line(error: BaseException) -> str:
    """Type and message of an error."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
