"""Why gradients are wrong: look for changes of the derived lines that give the person's numbers.

Gradients are taken in the order of the derivation. For the first that differs, every change of
every line that it depends on, and on which no right gradient depends, is simulated; one is a cause
only if it gives the person's numbers up to rounding, on each set of data. It is then kept, and the
next gradient that still differs is explained on top of it. So a mistake is found once, what follows
from it needs no cause, and a second mistake is found by itself.

Where the person's own intermediate gradients are known, each line is judged on those it reads.
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from .mutating import Change, changes, substituted
from .rewriting import CLASSIC, LIKELY
from .simulating import Simulator, apply, computed, leaves, rooted, shown, value_of
from .values import Number, Value, reads

__all__ = ["Diagnosis", "Found", "Match", "Probe", "diagnose", "text_of"]

PAIRS = 1500
"""So many pairs of changes are tried at most."""

PATIENCE = 3000
"""After so many changes only what is near at hand is tried, and after twice as many nothing."""


@dataclass
class Probe:
    """One set of data: what is right, and what the person has."""

    env: dict[Value, Any]
    """The right value of every line; the person's own where `fixed`."""
    given: dict[Value, Any]
    """The person's arrays."""
    tolerance: dict[Value, Any]
    """How far an entry may be off through rounding."""
    sizes: dict[str, float]
    """Numbers that a factor may be made of."""
    eps: float = 2.0**-52
    fixed: frozenset[Value] = frozenset()
    special: dict[str, float] = field(default_factory=dict)
    """Numbers of the data, such as the loss, that a factor may contain."""
    due: dict[Value, Any] = field(default_factory=dict)
    """What a fixed line should be, on the person's own values above it."""
    _sizes: dict[Value, tuple[float, float]] = field(default_factory=dict)

    def expected(self, v: Value) -> Any:
        """What `v` would be without a mistake of its own."""
        return self.due.get(v, self.env[v])

    def fits(self, v: Value, simulated: Any) -> bool:
        """Whether `simulated` gives the person's array."""
        a = self.given[v]
        if np.shape(simulated) != a.shape:
            return False
        return bool((abs(a - simulated) <= self._allowed(v, simulated)).all())

    def _allowed(self, v: Value, simulated: Any) -> Any:
        """Rounding, if it is in proportion to the numbers."""
        size = abs(simulated).max() if np.size(simulated) else 0.0
        if v not in self._sizes:
            both = self.expected(v), self.tolerance[v]
            self._sizes[v] = tuple(float(np.max(abs(b), initial=0.0)) for b in both)  # type: ignore[assignment]
        right, tolerance = self._sizes[v]
        if np.shape(self.tolerance[v]) == np.shape(simulated):
            tolerance = self.tolerance[v]
        return tolerance * (size / right if size > right > 0 else 1.0) + 64 * self.eps * size

    def coefficient(self, v: Value, end: Any, start: Any = 0.0) -> tuple[float, float] | None:
        """c, and its relative error, if the person's array is start + c (end - start)."""
        a = self.given[v]
        if np.shape(end) != a.shape or np.shape(start) not in ((), a.shape):
            return None
        slope = end - start
        gap = a - start
        length = float(np.vdot(slope, slope))
        if not (0.0 < length < np.inf):
            return None
        c = float(np.vdot(slope, gap)) / length
        # What is left; most changes are far off, and this is quicker than entry by entry.
        if float(np.vdot(gap, gap)) > (1 + 2e-6 * a.size) * c * c * length:
            return None
        result = start + c * slope
        allowed = self._allowed(v, result)
        if not np.isfinite(c) or not c or not (abs(a - result) <= allowed).all():
            return None
        error = float(np.max(allowed) / np.max(abs(slope))) / abs(c)
        return None if error > 1e-3 else (c, max(error, 1e-9))


class Match(NamedTuple):
    """A change that gives the person's array for the gradient looked at."""

    change: Change
    expression: Any
    coefficient: Value | None
    names: list[str]
    """What the coefficient may be; one of these."""
    rank: float
    also: Change | None = None
    """A second change, where one alone does not do."""


class Same(NamedTuple):
    """Another explanation of the same numbers."""

    match: Match
    lines: dict[Value, Any]
    only_here: bool
    """Whether other data would tell the two apart."""


class Found(NamedTuple):
    """An explanation: lines written otherwise."""

    match: Match
    lines: dict[Value, Any]
    """Every line that is changed, with its expression."""
    same: tuple[Same, ...]
    explained: tuple[Value, ...]
    """Gradients that it makes right, the one looked at first."""
    rivals: bool
    """Whether another line may be at fault, for the gradient looked at first."""
    data: str
    """What it was found on: "3 sets of data"."""


@dataclass
class Diagnosis:
    """What was found, in order; what stays unexplained; how many changes were tried."""

    found: list[Found]
    unknown: list[Value]
    tried: int
    env: dict[Value, Any]
    """All lines on the first probe, as they have been found to be."""


# --- a factor by its name -------------------------------------------------------------------------


def names_of(
    found: Sequence[tuple[float, float]],
    probes: Sequence[Probe],
    dims: Sequence[dict[str, float]] = (),
) -> list[str]:
    """What a factor may be that was found to be c (to a relative error) on each of the probes.

    The simplest names; none if it is another number on each and no size of the data explains that.
    """

    def fits(values: Iterable[float]) -> bool:
        return all(abs(c - v) <= error * abs(v) for (c, error), v in zip(found, values))

    def constant(divisors: Sequence[float]) -> float | None:
        """What is left, if it is the same on all, of a factor with these in it."""
        rest = [c / d for (c, _), d in zip(found, divisors)]
        least = min(range(len(rest)), key=lambda k: found[k][1])
        same = all(abs(r - rest[least]) <= 2 * e * abs(r) for r, (_, e) in zip(rest, found))
        return rest[least] if same else None

    numbers = [{**d, **p.special} for d, p in zip(dims or [{}] * len(probes), probes)]
    tables = [{**p.sizes, **more} for p, more in zip(probes, numbers)]
    best: list[str] = []
    least = 99.0
    for cost, number, powers in candidates(numbers[0]):
        if cost <= least and fits(number * product(powers, table) for table in tables):
            text = factor_text(number, powers)
            best = [*best, text] if cost == least else [text]
            least = cost
    if best:
        return sorted(best, key=lambda text: ("batch" in text) + ("outputs" in text))
    c = constant([1.0] * len(probes))
    if c is not None:
        return [f"{c:.6g}"] if len(probes) > 1 or is_round(c) else []
    parts = [*itertools.product(["batch"], (-1, 1, -2, 2, -0.5, 0.5))]
    for name, k in [*parts, *itertools.product(numbers[0], (1, -1))]:
        c = constant([product({name: k}, table) for table in tables])
        if c is not None:
            return [factor_text(1, {f"{c:.6g}": 1, name: k})]
    return []


def is_round(c: float) -> bool:
    """Whether a number has so few digits that a person may have written it."""
    return float(f"{c:.2g}") == float(f"{c:.9g}")


def candidates(special: Iterable[str]) -> Iterator[tuple[float, float, dict[str, float]]]:
    """Simple factors: how far-fetched, a number, and the powers of sizes and the like."""
    for c, b, n in itertools.product(
        (1, 2, 0.5, 4, 0.25, -1, -2, -0.5, -4, -0.25), (0, 1, -1, -2, 2, 0.5, -0.5), (0, 1, -1)
    ):
        if (abs(c) != 1) + abs(b) + abs(n) <= 3:
            cost = (c < 0) + (abs(c) != 1) + abs(b) + 2 * (abs(b) % 1) + abs(n)
            yield cost, c, {"batch": b, "outputs": n}
    for name, k, b, c in itertools.product(special, (1, -1), (0, 1, -1), (1, 2, 0.5)):
        size = "shape" in name
        if not size or (c == 1 and b != k):
            yield 1 + (c != 1) + abs(b) + 0.5 * size, c, {"batch": b, name: k}


def product(powers: Mapping[str, float], table: Mapping[str, float]) -> float:
    """Powers of numbers of the data; nan if one is 0."""
    return math.prod(math.pow(table[name] or math.nan, k) for name, k in powers.items())


def factor_text(c: float, powers: Mapping[str, float]) -> str:
    """A product of a number and of sizes."""
    size = abs(c)
    above = [f"{size:g}"] if size > 1 else []
    below = [f"{1 / size:g}"] if size < 1 else []
    for name, k in powers.items():
        if k:
            power = "" if abs(k) == 1 else f"^{abs(k):g}"
            (above if k > 0 else below).append(f"{name}{power}")
    text = " * ".join(above) or "1"
    if below:
        text += f" / {below[0]}" if len(below) == 1 else f" / ({' * '.join(below)})"
    return f"-{text}" if c < 0 else text


# --- the search -----------------------------------------------------------------------------------


class Search:
    """The search for explanations, one after the other."""

    def __init__(self, sim: Simulator, probes: list[Probe], forward: bool, kind: str) -> None:
        self.sim, self.probes, self.forward = sim, probes, forward
        self.base: dict[Value, Any] = {}
        self.envs = [p.env for p in probes]
        self.tried = 0
        self.pairs_left = PAIRS
        self.kind = kind
        self.given = sorted(probes[0].given, key=sim.number.__getitem__)
        self.made: dict[Value, dict[Any, Change]] = {}
        self.read: dict[Value, list[Value]] = {}
        self.paths: dict[tuple[Value, Value], list[Value]] = {}
        self.generic = [dict(env) for env in self.envs]
        if len(probes) == 1:  # these data may be special
            inputs = {v: self.envs[0][v] for v in sim.derivation.inputs}
            self.generic = [sim.run(shuffled(inputs, seed)) for seed in range(3)]

    def changes(self, line: Value) -> dict[Any, Change]:
        """The changes of a line, made once."""
        if line not in self.made:
            self.made[line] = changes(line, self.sim, self.given)
        return self.made[line]

    def reads(self, v: Value) -> list[Value]:
        """The named values that a line reads, as it has been found to be."""
        if v not in self.read:
            self.read[v] = leaves(self.base[v]) if v in self.base else reads(v)
        return self.read[v]

    def path(self, line: Value, target: Value) -> list[Value]:
        """The lines from `line` to `target`, in order, not through what is fixed."""
        key = (line, target)
        if key not in self.paths:
            fixed = self.probes[0].fixed
            reached = {line}
            for v in self.sim.lines[self.sim.number[line] + 1 :]:
                if any(a in reached and (a is line or a not in fixed) for a in self.reads(v)):
                    reached.add(v)
            if line is not target and line in fixed:
                reached = {line}
            leads = {target} & reached
            for v in reversed(self.sim.lines[: self.sim.number[target]]):
                passed = v in reached and (v is line or v not in fixed)
                if passed and any(v in self.reads(w) for w in leads):
                    leads.add(v)
            self.paths[key] = sorted(leads & reached, key=self.sim.number.__getitem__)
        return self.paths[key]

    def value(self, i: int, target: Value, lines: Mapping[Value, Any]) -> Any:
        """`target` on probe i with `lines` rewritten; None if that cannot be computed."""
        env = self.envs[i]
        if len(lines) == 1:
            [path] = (self.path(line, target) for line in lines)
        else:  # a rewritten line may read what another one changes
            found = {v for line in lines for v in self.path(line, target)}
            more = {a for new in lines.values() for a in leaves(new) if a in self.sim.number}
            found |= {v for a in more for line in lines for v in self.path(line, a)}
            path = sorted(found, key=self.sim.number.__getitem__)
        new = dict(env)
        try:
            for v in path:
                expression = lines.get(v, self.base.get(v))
                if expression is None:
                    new[v] = computed(v, new)
                else:
                    new[v] = value_of(expression, new)
            result = np.asarray(new[target], float)
        except Exception:  # shapes that do not fit, and whatever a made up program may run into
            return None
        return result if np.isfinite(result).all() else None

    def now(self, i: int, target: Value) -> Any:
        """`target` on probe i with what has been found so far."""
        p = self.probes[i]
        if target in p.fixed:
            expression, env = self.base.get(target), self.envs[i]
            return computed(target, env) if expression is None else value_of(expression, env)
        return self.envs[i][target]

    def right(self, target: Value, lines: Mapping[Value, Any] = {}) -> bool:
        """Whether the person's array comes out on all probes."""
        for i, p in enumerate(self.probes):
            value = self.value(i, target, lines) if lines else self.now(i, target)
            if value is None or not p.fits(target, value):
                return False
        return True

    def all_right(self, lines: Mapping[Value, Any]) -> set[Value]:
        """All gradients that come out on all probes, with `lines` rewritten."""
        fits = set(self.given)
        for i, p in enumerate(self.probes):
            env, expected = dict(self.envs[i]), dict(p.due)
            changed = set(lines)
            try:
                for v in self.sim.lines:
                    expression = lines.get(v, self.base.get(v))
                    if v not in changed and not changed.intersection(self.reads(v)):
                        continue
                    value = computed(v, env) if expression is None else value_of(expression, env)
                    if v in p.fixed:
                        expected[v] = value
                    else:
                        env[v] = value
                        changed.add(v)
            except Exception:  # shapes that do not fit
                return set()
            for o in list(fits):
                value = expected[o] if o in p.fixed else env[o]
                if not p.fits(o, value):
                    fits.discard(o)
        return fits

    # --- one gradient ---

    def sites(self, target: Value, fitting: set[Value]) -> tuple[list[Value], list[Value]]:
        """The lines where a mistake may be that shows at `target`.

        First those that nothing that fits depends on; then those that something later, which fits,
        depends on: a sign may cancel there, and a sum need not change when its terms do.
        """
        found, others = [], []
        for line in self.sim.lines:
            if line in self.base or not (line.backward or self.forward) or line.dtype.kind != "f":
                continue
            if line is self.sim.derivation.loss or not self.path(line, target):
                continue
            on_it = [o for o in fitting if self.path(line, o)]
            if not on_it:
                found.append(line)
            elif line.backward and any(o.backward for o in on_it):
                others.append(line)
        return found, others

    def matches(self, target: Value, sites: list[Value], only: str = "") -> list[Match]:
        """The changes of one line that give the person's array for `target`."""
        found = []
        before = self.now(0, target)
        for line in sites:
            found += self.in_all_layers(target, line, sites)
            known: dict[Any, tuple[float, float] | None] = {}  # many changes are equal
            for change in self.changes(line).values():
                if only and change.key[-1] != only:
                    continue
                self.tried += 1
                if change.make is not None:
                    found += self.with_coefficient(target, change, before)
                    continue
                try:
                    new = np.asarray(value_of(change.new, self.envs[0]))
                except Exception:  # shapes that do not fit
                    continue
                key = new.shape, new.tobytes()
                if key not in known:
                    known[key] = self.factor(target, self.value(0, target, {line: new}), before)
                factor = known[key]
                if factor == (1.0, 0.0):
                    if self.right(target, {line: change.new}) and not self.vanishes(change):
                        found.append(Match(change, change.new, None, [], change.rank))
                elif factor is not None:
                    found += self.with_factor(target, change, factor)
        return found

    def factor(self, target: Value, value: Any, before: Any) -> tuple[float, float] | None:
        """What a value is to be multiplied with on the first probe, and the error; if anything."""
        if value is None:
            return None
        if self.probes[0].fits(target, value):
            return 1.0, 0.0
        if value.size < 2 or not moved(value, before):
            return None
        return self.probes[0].coefficient(target, value)

    def vanishes(self, change: Change) -> bool:
        """Whether a change is but another word for zero."""
        if {"zero", "drop", "total", "totals", "axis"} & {*map(str, change.key)}:
            return False
        env, pairs = self.generic[0], [(change.new, change.line)]
        if change.leaf is not None and change.make is None:
            pairs.append((change.put, change.leaf))
        return any(
            np.max(np.abs(value_of(new, env)), initial=0)
            <= 1e-9 * np.max(np.abs(env[old]), initial=0)
            for new, old in pairs
        )

    def in_all_layers(self, target: Value, line: Value, sites: list[Value]) -> list[Match]:
        """Changes that only together give `target`: the same in all layers."""
        alike = [v for v in sites if self.sim.alike(v, line)]
        if not alike or any(self.sim.number[v] > self.sim.number[line] for v in alike):
            return []  # looked at with the last of them
        found = []
        for change in self.changes(line).values():
            if change.make is not None or change.rank > LIKELY:
                continue
            lines = {v: self.sim.moved(change.new, line, v) for v in alike}
            lines = {v: new for v, new in lines.items() if new is not None}
            lines[line] = change.new
            self.tried += 1
            if len(lines) > 1 and self.right(target, lines) and not self.vanishes(change):
                found.append(Match(change, change.new, None, [], change.rank))
        return found

    def with_factor(self, target: Value, change: Change, c: tuple[float, float]) -> list[Match]:
        """A change, and a factor whose name is simple, together."""
        cs = [c]
        for i, p in enumerate(self.probes[1:], 1):
            value = self.value(i, target, {change.line: change.new})
            more = None if value is None else p.coefficient(target, value)
            if more is None:
                return []
            cs.append(more)
        names = names_of(cs, self.probes)
        simple = [n for n in names if n in ("2", "1 / 2", "-1") or n[-1].isalpha()]
        if not simple or any("." in n for n in names):
            return []
        new = apply(np.multiply, self.constant(names[0], [c for c, _ in cs]), change.new)
        return [Match(change, new, new.args[0], names, change.rank + 2)]

    def with_coefficient(self, target: Value, change: Change, before: Any) -> list[Match]:
        """A change with a coefficient, which is solved for."""
        cs: list[tuple[float, float]] = []
        scale = "scale" in change.key
        if "clip" in change.key:
            return self.clipped(target, change)
        for i, p in enumerate(self.probes):
            start = self.now(i, target) if i else before
            if {"updated", "term", "number"} & {*map(str, change.key)}:
                start = self.value(i, target, {change.line: change.make(Number(0.0))})  # type: ignore[misc]
            end = self.value(i, target, {change.line: change.make(Number(1.0))})  # type: ignore[misc]
            if start is None or end is None:
                return []
            solved = p.coefficient(target, end, 0.0 if scale else start)
            if solved is None and not (p.fits(target, start) and not moved(end, start)):
                return []
            cs.append(solved or (1.0, math.inf))  # or any number will do, on this probe
        exact = min(cs, key=lambda c: c[1])
        if exact[1] == math.inf or (scale and abs(cs[0][0] - 1) < 1e-12):
            return []
        names = names_of(cs, self.probes, self.dims(change.line))
        if not names or "0" in names:
            return []
        c = self.constant(names[0], [(c if error < math.inf else exact[0]) for c, error in cs])
        new = change.make(c)  # type: ignore[misc]
        return [Match(change, new, c, names, change.rank)]

    def dims(self, line: Value) -> list[dict[str, float]]:
        """Sizes of the arrays in a line, on each probe; of equal ones the first.

        Where the probes have different sizes, of all that comes in: none fits by chance.
        """
        names: dict[tuple[float, ...], str] = {}
        arrays = reads(line) + (self.sim.derivation.inputs if len(self.probes) > 1 else [])
        for a in arrays:
            for k in range(1, len(a.shape)):
                sizes = tuple(float(np.shape(env[a])[k]) for env in self.envs)
                names.setdefault(sizes, f"{a.name}.shape[{k}]")
        return [{name: sizes[i] for sizes, name in names.items()} for i in range(len(self.envs))]

    def clipped(self, target: Value, change: Change) -> list[Match]:
        """A gradient whose entries are cut off at a limit."""
        limits = []
        for p in self.probes:
            a = abs(p.given[target])
            limits.append(float(np.max(a, initial=0.0)))
            if np.count_nonzero(a == limits[-1]) < 2 or limits[-1] != limits[0]:
                return []
        c = self.constant(f"{limits[0]:.6g}", limits)
        new = change.make(c)  # type: ignore[misc]
        if not self.right(target, {change.line: new}):
            return []
        return [Match(change, new, c, [str(c.name)], change.rank)]

    def constant(self, name: str, cs: Sequence[float]) -> Value:
        """A number that has a name, and its value on each probe."""
        c = Value(None, (), {}, np.empty(()))
        c.name = name if name.replace(".", "").isalnum() else f"({name})"
        for env, number in zip([*self.envs, *self.generic], itertools.cycle(cs)):
            env[c] = np.asarray(number)
        return c

    def pairs(self, target: Value, sites: list[Value]) -> list[Match]:
        """Two changes at once, of two lines that `target` depends on."""
        found = []
        near = [v for v in sites if v.backward][-4:]
        for one, other in itertools.combinations(near, 2):
            singles = [
                [c for c in self.changes(v).values() if c.make is None and pairable(c)]
                for v in (one, other)
            ]
            for a, b in itertools.islice(itertools.product(*singles), self.pairs_left):
                self.pairs_left -= 1
                self.tried += 1
                lines = {one: a.new, other: b.new}
                if self.right(target, lines) and not (self.vanishes(a) or self.vanishes(b)):
                    found.append(Match(a, a.new, None, [], a.rank + b.rank + 1, b))
        return found

    # --- further lines ---

    def scopes(self, match: Match) -> list[dict[Value, Any]]:
        """The lines of a match alone; the same lines of all layers; and wherever it could be."""
        line, change, sim = match.change.line, match.change, self.sim
        alone = {line: match.expression}
        if match.also is not None:
            alone[match.also.line] = match.also.new
        layers = dict(alone)
        others = [v for v in sim.lines if v not in self.base and v.backward == line.backward]
        for v in others:
            for one, new in alone.items():
                if sim.alike(v, one):
                    layers[v] = sim.moved(new, one, v)
        layers = {v: new for v, new in layers.items() if new is not None}
        result = [alone]
        every = dict(layers)
        if change.leaf is not None:
            base, k = sim.layer(change.leaf)
            put = change.put if change.make is None else change.put(match.coefficient)
            for v in others:
                for a in self.reads(v) if v not in every else ():
                    other, m = sim.layer(a)
                    if other == base and (k is None) == (m is None):
                        new = sim.carried(put, (m or 0) - (k or 0))
                        if new is not None and new is not v and v not in leaves(new):
                            every[v] = substituted(rooted(v), a, new)
        results = {g for _, g in sim.derivation.results}
        final = {v: new for v, new in every.items() if v in results}
        for lines in (layers, final, every):
            if line in lines and all(lines.keys() != other.keys() for other in result):
                result.append(lines)
        return result

    def best(self, target: Value, matches: list[Match], fitting: set[Value]) -> Found | None:
        """Of the changes that give `target`, one that explains the most."""
        rated: list[Any] = []
        for match in matches:
            for wide, lines in enumerate(self.scopes(match)):
                fits = self.all_right(lines)
                if wide:  # not where it does not fit
                    lines = {v: new for v, new in lines.items() if v in fits or v not in self.given}
                if target in fits and fitting <= fits:
                    rated.append(
                        (-len(fits), match.rank + 0.1 * wide, len(rated), match, lines, fits)
                    )
        if not rated:
            return None
        rated.sort(key=lambda r: r[:3])
        score, _, _, match, lines, fits = rated[0]
        explained = tuple(o for o in self.given if o in fits - fitting)
        if not self.evidence(match, explained):
            return None
        same: list[Same] = []
        written = {shown(match.expression)}
        for score_too, rank, _, other, otherwise, fits_too in rated[1:]:
            far = rank - match.rank
            if far >= 2 or len(same) == 3:
                break
            if (score_too, fits_too) == (score, fits) and shown(other.expression) not in written:
                written.add(shown(other.expression))
                here = self.differ(lines, otherwise, target)
                others = [s.lines for s in same if s.only_here]
                likely = here and other.rank <= LIKELY + 0.5
                if far < 1 or (likely and all(self.differ(o, otherwise, target) for o in others)):
                    same.append(Same(other, otherwise, here))
        rivals = any(
            (m.change.line is target) != (match.change.line is target) and m.coefficient is None
            for m in matches
        )
        return Found(match, lines, tuple(same), explained, rivals, self.kind)

    def differ(self, one: Mapping[Value, Any], other: Mapping[Value, Any], target: Value) -> bool:
        """Whether two changes, which are the same on these data, are not on others."""
        if len(self.probes) > 1:
            return False
        for env in self.generic:
            a, b = (self.sim.run(env, {**self.base, **lines}) for lines in (one, other))
            if moved(a[target], b[target]):
                return True
        return False

    def evidence(self, match: Match, explained: Sequence[Value]) -> bool:
        """Whether so many numbers came out right that it cannot be by chance."""
        numbers = min(sum(p.given[o].size for o in explained) for p in self.probes)
        return bool(numbers > (0 if match.coefficient is None else 2))

    def accept(self, found: Found) -> None:
        """Keep an explanation."""
        self.base |= found.lines
        self.paths.clear()
        self.read.clear()
        new = []
        for env, p in zip(self.envs, self.probes):
            env = dict(env)
            for v in self.sim.lines:
                if v in self.base and v not in p.fixed:
                    env[v] = value_of(self.base[v], env)
                elif v not in p.fixed:
                    env[v] = computed(v, env)
            new.append(env)
        self.envs = new

    def empty(self) -> Iterator[Value]:
        """What is not finite, or zero where it should not be: nothing can be solved for there."""
        first = self.probes[0]
        for o in self.given:
            a = first.given[o]
            if not np.isfinite(a).all() or (not a.any() and np.any(first.expected(o))):
                yield o

    def beside(self, target: Value, waiting: list[Value]) -> list[Value]:
        """Other gradients made from the same lines."""
        above = {v for v in reads(target) if v.backward}
        return [o for o in waiting if o is not target and above & set(reads(o))]

    def explain(self, target: Value, fitting: set[Value], first: bool = True) -> Found | None:
        """The best explanation of one gradient."""
        sites, others = self.sites(target, fitting)
        matches = self.matches(target, sites) + self.matches(target, others, only="scale")
        one = self.best(target, matches, fitting)
        first = first and self.tried < PATIENCE
        if one is None and first:
            near = {a for v in (target, *reads(target)) for a in reads(v)}
            one = self.best(target, self.matches(target, [v for v in others if v in near]), fitting)
        if one is None and first:
            one = self.best(target, self.pairs(target, sites), fitting)
        return one

    def run(self) -> Diagnosis:
        """Explain one gradient after the other."""
        found: list[Found] = []
        unknown = list(self.empty())
        while True:
            fitting = {o for o in self.given if self.right(o)}
            waiting = [o for o in self.given if o not in fitting and o not in unknown]
            if not waiting or len(found) > 2 * len(self.given):
                break
            target = waiting[0]
            one = self.explain(target, fitting) if self.tried < 2 * PATIENCE else None
            if one is None or one.match.rank > 2.9:  # what lies beside it may have a simpler cause
                for other in self.beside(target, waiting):
                    simpler = self.explain(other, fitting, first=False)
                    least = 99 if one is None else one.match.rank
                    if simpler is not None and simpler.match.rank < least:
                        reaches = any(self.path(line, target) for line in simpler.lines)
                        one = simpler if reaches else one
            if one is None:
                unknown.append(target)
                above = [line for line in self.sites(target, fitting)[0] if line is not target]
                unknown += [  # what else may come from there cannot be judged
                    o for o in waiting[1:] if any(self.path(line, o) for line in above)
                ]
            else:
                found.append(one)
                self.accept(one)
        for one in list(found):  # what stands beside an unknown one may have its cause
            beside = {v for line in one.lines for v in (line, *reads(line)) if v.backward}
            below = {o for line in one.lines for o in unknown if self.path(line, o)}
            near = below & {*self.beside(one.explained[0], unknown)}
            if near or (below and one.rivals) or any(beside & set(reads(o)) for o in unknown):
                found.remove(one)
                unknown += [o for o in one.explained if o not in unknown]
        unknown.sort(key=self.sim.number.__getitem__)
        return Diagnosis(found, unknown, self.tried, self.envs[0])


def shuffled(inputs: Mapping[Value, Any], seed: int) -> dict[Value, Any]:
    """Other data: the same numbers in another order; if they are no integers, scaled, too.

    So what is an index or a label stays one, and what is positive stays so.
    """
    rng = np.random.default_rng(seed)
    new = {}
    for v, before in inputs.items():
        a = rng.permutation(np.ravel(before)).reshape(np.shape(before))
        if (a != np.round(a)).any():
            way = np.sign(rng.standard_normal(a.shape)) if a.min() < 0 else 1
            a = a * way * rng.uniform(0.5, 2, a.shape)
        new[v] = a
    return new


def moved(value: Any, before: Any) -> bool:
    """Whether a change makes a difference, beyond what another rounding does."""
    if np.shape(value) != np.shape(before):
        return True
    return bool(
        np.max(abs(value * 1.0 - before), initial=0) > 1e-6 * np.max(abs(before), initial=0)
    )


def pairable(change: Change) -> bool:
    """Whether a change is plain enough to be one of two."""
    if "zero" in change.key:
        return True
    return change.rank <= CLASSIC and not {"for", "leaf", "one"} & {*map(str, change.key)}


def text_of(match: Match, which: int = 0) -> str:
    """A change in words, with a name of its coefficient."""
    text = match.change.text
    if match.also is not None:
        return f"{text}; and {match.also.text}"
    if match.coefficient is None:
        return text
    name = match.names[which]
    if match.change.key[-1] == "scale":
        return scaled_text(str(match.change.line.name), name)
    if "term" in match.change.key:
        twice = " (twice)" if name == "2" else ""
        return text.replace("another number of times", f"{name} times{twice}")
    if "number" in match.change.key:
        return text.replace("another number", name)
    if "{rate}" in text:  # a step against the gradient
        return text.replace("{rate}", name[1:] if name[0] == "-" else f"-{name}")
    if "leak" in match.change.key:
        return text.replace("is not 0", f"is {name}, not 0")
    if match.change.make is None:
        return f"{text}, and the result is multiplied by {name}"
    return f"{text}, times {name}"


WORDS = {
    "-1": "the sign is wrong, {line} is -1 times what it should be",
    "2": "{line} is twice what it should be: a factor 2 too many",
    "1 / 2": "{line} is half of what it should be: the factor 2 is missing",
    "batch": "{line} is batch times what it should be: the division by the batch size is missing",
    "1 / batch": "{line} is divided by the batch size once too often (a mean, not a sum)",
    "1 / outputs": "{line} is divided by the number of outputs, too (a mean over the outputs)",
    "batch / outputs": "{line} is divided by the number of outputs instead of the batch size",
}


def scaled_text(line: str, name: str) -> str:
    """A factor in words."""
    words = WORDS.get(name)
    return words.format(line=line) if words else f"{line} is multiplied by a factor {name}"


def diagnose(sim: Simulator, probes: list[Probe], forward: bool, kind: str = "") -> Diagnosis:
    """Explain the gradients of the first probe, by changes that hold on all that have the same.

    The `kind` is what the probes are, in words.
    """
    probes = [p for p in probes if p.given.keys() == probes[0].given.keys()]
    with np.errstate(all="ignore"):
        sets = "1 set of data" if len(probes) == 1 else f"{len(probes)} sets of data"
        return Search(sim, probes, forward, kind or sets).run()
