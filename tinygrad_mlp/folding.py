"""Many cards as few: each layer a box, and like layers in a row one box.

Works on `Card`s alone, and so on every graph that can be drawn: what has one scope becomes a box,
and what has none is looked through for steps that repeat. Time is linear in the number of cards.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .cards import Card, spine_of
from .errors import RenderError
from .formatting import nearest
from .styling import figure

__all__ = ["Folded", "fold"]

FEW = 40
"""A scope of at most so many cards is opened with all that is in it; of more, one level."""

INPUTS = 8
"""So many inputs and targets have cards of their own; more go into the boxes that use them."""

PERIOD = 16
"""Cards without a scope are looked through for patterns of at most so many."""

TIMES = 3
"""Fewer like layers in a row are drawn one by one."""

LINES, BARS = 6, 40
"""The lines of code in a box, and the bars that stand for the layers of a run."""

NAME = re.compile(r"[^\W\d]\w*(?:\[\d+\]|\.\w+)*")
NUMBER = re.compile(r"\d+")


class Box:
    """Cards that are drawn as one."""

    def __init__(self, key: str, time: int) -> None:
        self.key = key  # the scope that its cards are in; '' for a card that stands alone
        self.time = time  # later than that of every box that it reads from
        self.read_at = math.inf  # the time of the first box that reads from it
        self.ops: list[int] = []
        self.leaves: list[int] = []  # that nothing else uses
        self.parents: dict[int, None] = {}  # boxes, in order
        self.outside: dict[int, None] = {}  # cards in other boxes or in none, in order
        self.open = False  # stays as it is


class Folded(NamedTuple):
    """What came of folding."""

    cards: list[Card]
    note: str  # what was folded, and how to open it; '' if nothing was


def fold(cards: Sequence[Card], expand: Any = ()) -> Folded:
    """Put the cards of each scope into one, and like ones in a row into one of these.

    Parameters
    ----------
    cards : sequence of Card
        Parents before their children, as they are drawn; the last is the loss.
    expand : str or sequence of str
        What is to stay open: scopes, names of cards, or what a box is called: "layer 3..22".

    Returns
    -------
    Folded

    Raises
    ------
    RenderError
        If nothing is called like a part of `expand`.

    Examples
    --------
    >>> cards = [Card("x", "1", "input")]
    >>> for i in range(100):
    ...     cards.append(Card(f"h{i}", "1", formula=f"tanh({cards[-1].name})", parents=(i,)))
    >>> cards.append(Card("L", "scalar", "loss", formula="sum(h99)", parents=(100,)))
    >>> folded = fold(cards)
    >>> [card.name for card in folded.cards]
    ['x', 'h0..99', 'L']
    >>> [card.name for card in fold(cards, expand="h50").cards]
    ['x', 'h0..49', 'h50', 'h51..99', 'L']
    """
    expand = [expand] if isinstance(expand, str) else list(expand)
    keys, alone = keys_of(cards, *asked_for(cards, expand))
    boxes, box_of = boxes_of(cards, keys, alone)
    return write(cards, runs_of(cards, boxes), boxes, box_of)


# --- what goes together ---------------------------------------------------------------------------


def asked_for(cards: Sequence[Card], expand: list[str]) -> tuple[set[str], set[int]]:
    """The scopes, and the cards without one, that are to stay open."""
    scopes = {path for card in cards for path in paths(card.scope)}
    at = {card.name: i for i, card in reversed(list(enumerate(cards)))}
    open_scopes: set[str] = set()
    alone: set[int] = set()
    for asked in expand:
        known = False
        for word in spread(asked):
            if word in scopes:
                open_scopes.add(word)
            elif word in at and (scope := home(cards, at[word])):
                open_scopes.add(scope)
            elif word in at:
                alone.add(at[word])
            else:
                continue
            known = True
        if not known:
            near = nearest(asked, [*scopes, *at])
            hint = f" Did you mean {near!r}?" if near else ""
            some = ", ".join(map(repr, sorted(scopes, key=by_number)[:4]))
            raise RenderError(
                f"draw(expand={asked!r}): nothing here is called that.{hint}"
                + (f" There are {some}{', ...' if len(scopes) > 4 else '.'}" if some else "")
            )
    return open_scopes, alone


def home(cards: Sequence[Card], k: int) -> str:
    """The scope that a card stands in; of a leaf without one, that of the first that uses it."""
    users = [] if cards[k].parents else [card for card in cards if k in card.parents]
    return next((card.scope for card in [cards[k], *users[:1]] if card.scope), "")


def paths(scope: str) -> list[str]:
    """A scope and those around it, outermost first.

    >>> paths("blocks[0].inner")
    ['blocks[0]', 'blocks[0].inner']
    """
    parts = scope.split(".") if scope else []
    return [".".join(parts[: k + 1]) for k in range(len(parts))]


def spread(asked: str) -> list[str]:
    """A name, or all those that a run is called after.

    >>> spread("layer 3..5")
    ['layer 3', 'layer 4', 'layer 5']
    """
    found = re.fullmatch(r"(.*?)(\d+)\.\.(\d+)(.*)", asked)
    if not found:
        return [asked]
    before, first, last, after = found.groups()
    stop = min(int(last), int(first) + 10**5) + 1
    return [f"{before}{k}{after}" for k in range(int(first), stop)]


def span(first: str, last: str) -> str:
    """What a run is called, from the names of its first and last.

    >>> span("layer 3", "layer 22"), span("q", "k")
    ('layer 3..22', 'q ... k')
    """
    if first == last:
        return first
    if NUMBER.sub("#", first) == NUMBER.sub("#", last):
        ends = list(zip(NUMBER.finditer(first), NUMBER.finditer(last)))
        apart = [(a, b) for a, b in ends if a[0] != b[0]]
        if len(apart) == 1:
            a, b = apart[0]
            return f"{first[: a.start()]}{a[0]}..{b[0]}{first[a.end() :]}"
    return f"{first} ... {last}"


def by_number(name: str) -> tuple[str, list[int]]:
    """For sorting: layer 2 before layer 10."""
    return NUMBER.sub("#", name), [int(n) for n in NUMBER.findall(name)]


def keys_of(
    cards: Sequence[Card], asked: set[str], alone: set[int]
) -> tuple[list[str], list[bool]]:
    """For each card what it goes together with, '' for nothing; and whether it stays as it is."""
    steps = [i for i, card in enumerate(cards) if card.parents]
    count = Counter(path for i in steps for path in paths(cards[i].scope))
    scopes = [path for path in dict.fromkeys(cards[i].scope for i in steps) if path]
    shared = 0
    if len(scopes) > 1:  # what all are in tells nothing apart
        together = zip(*(scope.split(".") for scope in scopes))
        shared = next((k for k, parts in enumerate(together) if len(set(parts)) > 1), 0)
    around = {path for scope in asked for path in paths(scope)} - asked
    unit: dict[str, str] = {"": ""}
    for scope in scopes:
        inside = [
            path
            for path in paths(scope)[shared:]
            if not (path in around or (path in asked and count[path] > FEW))
        ]
        unit[scope] = "" if not inside or inside[0] in asked else inside[0]
    keys = [unit.get(card.scope, "") if card.parents else "" for card in cards]
    stays = [
        not keys[i] and any(path in asked for path in paths(card.scope))
        for i, card in enumerate(cards)
    ]
    results = [i for i, card in enumerate(cards) if card.role in ("loss", "result")]
    for i in (*alone, *results, len(cards) - 1):
        keys[i], stays[i] = "", True
    loose = [i for i in steps if not keys[i] and not stays[i]]
    for i, key in zip(loose, patterns(cards, loose)):
        keys[i] = key
    return keys, stays


def patterns(cards: Sequence[Card], loose: list[int]) -> list[str]:
    """For each of the cards without a scope the repetition of a pattern that it is in, or ''."""
    place = {i: k for k, i in enumerate(loose)}
    number: dict[Any, int] = {}
    found = []
    for k, i in enumerate(loose):
        card = cards[i]
        said = []
        for p in card.parents:
            away = k - place[p] if p in place else 0
            if not away and p == card.spine:
                away = 1  # where the first repetition starts from
            said.append(away or cards[p].shape)
        sign = (template(cards, card, ()), card.shape, tuple(said))
        found.append(number.setdefault(sign, len(number)))
    signs = np.array(found)
    n = len(signs)
    like = []  # period - 1, place -> how many from there on come again
    for period in range(1, min(PERIOD, n // TIMES) + 1):
        apart = np.flatnonzero(np.append(signs[:-period] != signs[period:], True))
        at = np.arange(n - period + 1)
        like.append((apart[np.searchsorted(apart, at)] - at).tolist() + [0] * period)
    keys: list[str] = []
    while (k := len(keys)) < n:
        period = next((p for p, again in enumerate(like, 1) if again[k] >= (TIMES - 1) * p), 0)
        steps = like[period - 1][k] // period + 1 if period > 1 else 0
        keys += [f"\0{k}.{step}" for step in range(steps) for _ in range(period)] or [""]
    return keys


def template(cards: Sequence[Card], card: Card, places: Any) -> str:
    """The formula of a card with places, or nothing, for the names in it."""
    names = {cards[p].name: f"<{places[p]}>" if places else "<>" for p in card.parents}
    return renamed(card.formula, names)


def renamed(code: str, names: Mapping[str, str]) -> str:
    """Code with other names.

    >>> renamed("A[1].T @ net.A[1]", {"A[1]": "A[i]"})
    'A[i].T @ net.A[1]'
    """

    def other(found: re.Match[str]) -> str:
        word = found[0]
        end = len(word)
        while end > 0:
            if word[:end] in names:
                return names[word[:end]] + word[end:]
            end = max(word.rfind(".", 0, end), word.rfind("[", 0, end))
        return word

    return NAME.sub(other, code)


# --- boxes ----------------------------------------------------------------------------------------


def boxes_of(
    cards: Sequence[Card], keys: list[str], stays: list[bool]
) -> tuple[list[Box], list[int]]:
    """Boxes that read only from earlier ones, and for each card its box, -1 for none.

    A scope that is left and entered again, with something in between that needs the first part and
    is needed by the second, becomes two boxes.
    """
    boxes: list[Box] = []
    box_of = [-1] * len(cards)
    last: dict[str, int] = {}
    for i, card in enumerate(cards):
        if not card.parents:
            continue
        above = {box_of[p]: None for p in card.parents if cards[p].parents}
        at = last.get(keys[i], -1) if keys[i] else -1
        time = 1 + max((boxes[b].time for b in above if b != at), default=0)
        if at < 0 or boxes[at].time < time >= boxes[at].read_at:
            at = len(boxes)
            last[keys[i]] = at
            boxes.append(Box(keys[i], time))
            boxes[at].open = stays[i]
        box = boxes[at]
        box.time = max(box.time, time)
        for b in above:
            if b != at:
                box.parents[b] = None
                boxes[b].read_at = min(boxes[b].read_at, box.time)
        box.ops.append(i)
        box_of[i] = at
    place_leaves(cards, boxes, box_of)
    for i, card in enumerate(cards):
        for p in card.parents:
            for source in (original(cards, p), p):
                if box_of[source] != box_of[i]:
                    boxes[box_of[i]].outside[source] = None
    return boxes, box_of


def original(cards: Sequence[Card], p: int) -> int:
    """The card of an array, where `p` is the card of one more use of it."""
    same = cards[p].same
    return p if same is None else same


def place_leaves(cards: Sequence[Card], boxes: list[Box], box_of: list[int]) -> None:
    """Put what one box alone uses into it, but the few inputs that the graph starts from."""
    users: dict[int, set[int]] = defaultdict(set)
    for i, card in enumerate(cards):
        for p in card.parents:
            if not cards[p].parents:
                users[p].add(box_of[i])
                users[original(cards, p)].add(box_of[i])
    data = [p for p in users if cards[p].role in ("input", "target")]
    kept = set(data if len(data) <= INPUTS else ())
    start = len(cards) - 1
    while (above := cards[start].spine) is not None:
        start = above
    kept.add(start)
    for p, using in users.items():
        if len(using) == 1 and p not in kept:
            (at,) = using
            boxes[at].leaves.append(p)
            box_of[p] = at


def runs_of(cards: Sequence[Card], boxes: list[Box]) -> list[list[int]]:
    """Like boxes in a row: each reads from the one before, and else from nothing after the first.

    So no way leads out of a run and into it again, whatever else reads from its boxes.
    """
    number: dict[Any, int] = {}
    signs = [number.setdefault(sign_of(cards, box), len(number)) for box in boxes]
    run_at: dict[int, int] = {}  # the last box of a run -> the run
    runs: list[list[int]] = []
    for b in sorted(range(len(boxes)), key=lambda b: (boxes[b].time, b)):
        box = boxes[b]
        for p in box.parents:
            run = run_at.get(p, -1)
            if run >= 0 and signs[p] == signs[b] and not (box.open or boxes[p].open):
                start = boxes[runs[run][0]].time
                if all(boxes[q].time < start for q in box.parents if q != p):
                    del run_at[p]
                    runs[run].append(b)
                    break
        else:
            run = len(runs)
            runs.append([b])
        run_at[b] = run
    return [part for run in runs for part in ([run] if len(run) >= TIMES else [[b] for b in run])]


def sign_of(cards: Sequence[Card], box: Box) -> Any:
    """What like boxes have in common: formulas and shapes, with places for names."""
    places: dict[int, str] = {}
    for letter, group in (("in", box.outside), ("leaf", box.leaves), ("op", box.ops)):
        for i in group:
            places[i] = f"{letter}{len(places)}"
    lines = tuple((template(cards, cards[i], places), cards[i].shape) for i in box.ops)
    leaves = tuple((cards[i].role, cards[i].shape) for i in box.leaves)
    return NUMBER.sub("#", box.key), lines, leaves, tuple(cards[i].shape for i in box.outside)


# --- writing them ---------------------------------------------------------------------------------


def write(
    cards: Sequence[Card], runs: list[list[int]], boxes: list[Box], box_of: list[int]
) -> Folded:
    """The cards that are left, parents first."""
    final: dict[int, int] = {}  # card -> its place among those that are left
    units: list[list[int] | int] = []  # boxes that are one, or a card
    last = box_of[-1]
    for run in sorted(runs, key=lambda run: (run[0] == last, boxes[run[0]].time, run[0])):
        first = boxes[run[0]]
        whole = len(run) > 1 or len(first.ops) > 1 or bool(first.key and first.leaves)
        for p in (p for b in run for p in boxes[b].outside):
            if p not in final and box_of[p] < 0:
                final[p] = len(units)
                units.append(p)
        for i in (i for b in run for i in (*boxes[b].leaves, *boxes[b].ops)):
            final[i] = len(units)
            if not whole:
                units.append(i)
        if whole:
            units.append(run)
    measured = [measures(cards, boxes, unit) if isinstance(unit, list) else {} for unit in units]
    top = {
        name: max([v for found in measured for v in found.get(name, ()) if np.isfinite(v)] or [0.0])
        for name in KINDS
    } | {"zeros": 1.0}
    found: list[Card] = []
    taken: Counter[str] = Counter()
    for unit, figures in zip(units, measured):
        if isinstance(unit, list):
            card = box_card(cards, boxes, unit, figures, top)
            taken[card.name] += 1
            if taken[card.name] > 1:
                card = card._replace(name=f"{card.name} (part {taken[card.name]})")
        else:
            card = cards[unit]
            if box_of[unit] < 0 or not boxes[box_of[unit]].open:
                card = card._replace(scope="")
        found.append(moved(card, final, len(found)))
    late = [card.role == "parameter" for card in found]
    spine = spine_of([card.parents for card in found], late)
    found = [card._replace(spine=above) for card, above in zip(found, spine)]
    return Folded(found, note_of(cards, found))


def moved(card: Card, final: dict[int, int], here: int) -> Card:
    """A card with the new numbers of the cards it names."""

    def places(old: Sequence[int]) -> tuple[int, ...]:
        return tuple(dict.fromkeys(final[p] for p in old if final[p] != here))

    rows = [
        row._replace(parent=None if row.parent is None else final[row.parent])
        for row in card.backward
    ]
    return card._replace(
        parents=places(card.parents),
        carries=places(card.carries),
        backward=tuple(rows),
        same=None if card.same is None else final[card.same],
    )


def box_card(
    cards: Sequence[Card],
    boxes: list[Box],
    run: list[int],
    figures: dict[str, list[float]],
    top: dict[str, float],
) -> Card:
    """A box, or a run of them, as a card."""
    first = boxes[run[0]]
    ends = [boxes[b].key for b in (run[0], run[-1])]
    if not ends[0] or ends[0][0] == "\0":
        ends = [cards[boxes[b].ops[-1]].name for b in (run[0], run[-1])]
    names, comment = names_in(cards, boxes, run)
    pattern = boxes[run[1]] if names else first
    ops = [cards[i] for i in pattern.ops]
    lines = [written(card, names) for card in ops[:LINES]]
    if len(ops) > LINES:
        lines[LINES - 2 :] = [f"... {len(ops) - LINES + 1} lines ...", written(ops[-1], names)]
    if names:
        lines[0] += f"  # {comment}"
    inside = [cards[i] for b in run for i in (*boxes[b].leaves, *boxes[b].ops)]
    notes = [] if names or not comment else [comment]
    weights = [card for card in inside if card.role == "parameter" and card.same is None]
    if weights:
        listed = [
            f"{names.get(cards[i].name, cards[i].name)} {cards[i].shape}"
            for i in pattern.leaves
            if cards[i].role == "parameter"
        ]
        total = sum(size_of(card.shape) for card in weights)
        each = f" = {len(run)} × {total // len(run):,}" if len(weights) % len(run) == 0 else ""
        more = ", ..." * (len(listed) > 3)
        notes.append(f"{total:,} weights{each * (len(run) > 1)}: {', '.join(listed[:3])}{more}")
    faults = [fault for card in inside for fault in card.faults]
    if len(faults) > 1:
        faults = [faults[0], f"and {len(faults) - 1} more"]
    marked = [str(card.slope) for card in inside if getattr(card.mark, "status", "same") != "same"]
    if marked:
        more = f" and {len(marked) - 3} more" if len(marked) > 3 else ""
        faults.append(f"differ: {', '.join(marked[:3])}{more}")
    outside = [i for b in run for i in boxes[b].outside]
    carries = [p for b in run for i in boxes[b].ops for p in cards[i].carries]
    above = cards[first.ops[0]].spine
    into = cards[above].shape if above in first.outside else ""
    return Card(
        name=span(*ends),
        shape=" → ".join(filter(None, (into, cards[boxes[run[-1]].ops[-1]].shape))),
        role="layer",
        parents=tuple(outside),
        carries=tuple(q for p in carries for q in (p, original(cards, p))),
        notes=tuple(notes),
        faults=tuple(faults),
        times=len(run),
        lines=tuple(lines),
        bars=tuple(bar(name, values, top[name]) for name, values in figures.items()),
    )


def written(card: Card, names: dict[str, str]) -> str:
    """A line of code, with other names."""
    return f"{names.get(card.name, card.name)} = {renamed(card.formula, names)}"


def names_in(cards: Sequence[Card], boxes: list[Box], run: list[int]) -> tuple[dict[str, str], str]:
    """What the names in the second box of a run are in any of them, Z[i+1]; and what i is.

    Nothing, where one name does not count like the layers; then the lines of the first are shown.
    """
    if len(run) < TIMES:
        return {}, ""
    alike = f"the lines of {cards[boxes[run[0]].ops[-1]].name}; the others are alike"
    groups = [
        [cards[i].name for i in (*boxes[b].outside, *boxes[b].leaves, *boxes[b].ops)]
        for b in (run[1], run[2], run[-1])
    ]
    at: dict[str, tuple[int, int, int]] = {}
    for a, b, last in zip(*groups):
        places = counting([a, b, last], len(run))
        if places:
            at[a] = places
        elif not a == b == last:
            return {}, alike
    ops = {cards[i].name for i in boxes[run[1]].ops}
    base = min([n for name, (_, _, n) in at.items() if name in ops], default=0)
    scopes = counting([boxes[b].key for b in (run[1], run[2], run[-1])], len(run))
    if scopes and not boxes[run[0]].key.startswith("\0"):
        base = scopes[2]
    names = {}
    for name, (start, stop, n) in at.items():
        index = f"i{n - base:+d}" if n != base else "i"
        if name[start - 1] != "[":
            index = f"[{index}]"
        names[name] = name[:start] + index + name[stop:]
    return (names, f"i = {base}..{base + len(run) - 1}") if names else ({}, alike)


def counting(names: list[str], times: int) -> tuple[int, int, int] | None:
    """Where the number stands that counts the boxes of a run, and what it is in the first.

    From the names in the second, the third and the last.
    """
    if len({NUMBER.sub("#", name) for name in names}) > 1:
        return None
    for a, b, c in zip(*map(NUMBER.finditer, names)):
        n = int(a[0])
        if (int(b[0]), int(c[0])) == (n + 1, n + times - 2):
            return a.start(), a.end(), n - 1
    return None


def size_of(shape: str) -> int:
    """How many numbers an array of that shape has.

    >>> size_of("3×4"), size_of("scalar")
    (12, 1)
    """
    return math.prod(int(n) for n in NUMBER.findall(shape))


# --- figures --------------------------------------------------------------------------------------

KINDS = {"|A| mean": "value", "|dW| mean": "gradient", "zeros": "value"}


def measures(cards: Sequence[Card], boxes: list[Box], run: list[int]) -> dict[str, list[float]]:
    """The figures of the layers of a run, of long ones of some of them."""
    count = min(len(run), BARS)
    some = [run[k * (len(run) - 1) // max(count - 1, 1)] for k in range(count)]
    found: dict[str, list[float]] = {name: [] for name in KINDS}
    for b in some:
        box = boxes[b]
        value = cards[box.ops[-1]].value
        if measurable(value):
            found["|A| mean"].append(mean_size([value]))
            found["zeros"].append(1 - np.count_nonzero(value) / value.size)
        slopes = [cards[i].gradient for i in box.leaves if cards[i].role == "parameter"]
        slopes = [slope for slope in slopes if measurable(slope)]
        if slopes:
            found["|dW| mean"].append(mean_size(slopes))
    if not any(found["zeros"]):
        del found["zeros"]
    return {name: values for name, values in found.items() if values}


def measurable(a: Any) -> bool:
    """Whether it is an array of numbers of NumPy's, and not empty."""
    return isinstance(a, np.ndarray | np.generic) and a.dtype.kind in "fiubc" and a.size > 0


def mean_size(arrays: list[Any]) -> float:
    """The mean size of all numbers in some arrays."""
    with np.errstate(all="ignore"):
        total = sum(float(np.abs(a).sum(dtype=np.float64)) for a in arrays)
    return float(total / sum(a.size for a in arrays))


def bar(name: str, values: list[float], top: float) -> tuple[str, str, Any, str]:
    """Figures as bars, one for each layer, with the first and the last in words."""
    shares = tuple(v / top if np.isfinite(v) and top else 0.0 for v in values)
    words = [f"{v:.0%}" if name == "zeros" else figure(v) for v in (values[0], values[-1])]
    said = words[0] if len(values) == 1 else f"{words[0]} to {words[1]}"
    return name, KINDS[name], shares, said


def note_of(cards: Sequence[Card], found: list[Card]) -> str:
    """What was folded, and how to open it."""
    made = [card for card in found if card.role == "layer"]
    if not made:
        return ""
    name = max(made, key=lambda card: card.times).name
    example = spread(name.partition(" ... ")[0].partition(" (part ")[0])[0]
    rim = "a double rim is a run of like layers; " if any(card.times > 1 for card in made) else ""
    return f'{len(cards):,} cards folded into {len(found)}; {rim}open one with expand="{example}"'
