"""Many cards as few: each layer a box, and like layers in a row one box.

Works on `Card`s alone, and so on every graph that can be drawn: what has one scope becomes a box,
and what has none is looked through for steps that repeat. Time is linear in the number of cards.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from .boxing import TIMES, Box, box_cards, hashed, original, template
from .cards import Card, spine_of
from .errors import RenderError
from .formatting import nearest

__all__ = ["fold"]

FEW = 40
"""A scope of at most so many cards is opened with all that is in it; of more, one level."""

INPUTS = 8
"""So many inputs and targets have cards of their own; more go into the boxes that use them."""

PERIOD = 16
"""Cards without a scope are looked through for patterns of at most so many."""


def fold(cards: Sequence[Card], expand: Any = ()) -> tuple[list[Card], str]:
    """Put the cards of each scope into one, and like ones in a row into one of these.

    Parameters
    ----------
    cards : sequence of Card
        Parents before their children, as they are drawn; the last is the loss.
    expand : str or sequence of str
        What is to stay open: scopes, names of cards, or what a box is called: "layer 3..22".

    Returns
    -------
    list of Card
        Those that are left.
    str
        What was folded, and how to open it; '' if nothing was.

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
    >>> [card.name for card in fold(cards)[0]]
    ['x', 'h0..99', 'L']
    >>> [card.name for card in fold(cards, expand="h50")[0]]
    ['x', 'h0..49', 'h50', 'h51..99', 'L']
    """
    expand = [expand] if isinstance(expand, str) else list(expand)
    keys, alone = keys_of(cards, *asked_for(cards, expand))
    boxes, box_of = boxes_of(cards, keys, alone)
    return write(cards, runs_of(cards, boxes), boxes, box_of)


# --- what goes together ---------------------------------------------------------------------------


def asked_for(cards: Sequence[Card], expand: list[str]) -> tuple[set[str], set[int]]:
    """The scopes, and the cards without one, that are to stay open."""
    scopes = {path for card in cards for path in paths(card.scope)} - {""}
    at = {card.name: i for i, card in reversed(list(enumerate(cards)))}
    open_scopes: set[str] = set()
    alone: set[int] = set()
    for asked in expand:
        known = [word for word in spread(asked) if word in scopes or word in at]
        for word in known:
            if word in scopes:
                open_scopes.add(word)
            elif scope := home(cards, at[word]):
                open_scopes.add(scope)
            else:
                alone.add(at[word])
        if not known:
            near = nearest(asked, [*scopes, *at])
            hint = f" Did you mean {near!r}?" if near else ""
            some = ", ".join(map(repr, sorted(scopes, key=by_number)[:4]))
            there = f" There are {some}{', ...' if len(scopes) > 4 else '.'}" if some else ""
            raise RenderError(f"draw(expand={asked!r}): nothing here is called that.{hint}{there}")
    return open_scopes, alone


def by_number(name: str) -> tuple[str, list[int]]:
    """For sorting: layer 2 before layer 10."""
    return hashed(name), [int(n) for n in re.findall(r"\d+", name)]


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
            at = last[keys[i]] = len(boxes)
            boxes.append(Box(keys[i], time, stays[i]))
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
    return hashed(box.key), lines, leaves, tuple(cards[i].shape for i in box.outside)


# --- writing them ---------------------------------------------------------------------------------


def write(
    cards: Sequence[Card], runs: list[list[int]], boxes: list[Box], box_of: list[int]
) -> tuple[list[Card], str]:
    """The cards that are left, parents first, and what was folded."""
    final: dict[int, int] = {}  # card -> its place among those that are left
    units: list[list[Box] | int] = []  # boxes that are one, or a card
    last = box_of[-1]
    for run in sorted(runs, key=lambda run: (run[0] == last, boxes[run[0]].time, run[0])):
        like = [boxes[b] for b in run]
        first = like[0]
        whole = len(run) > 1 or len(first.ops) > 1 or bool(first.key and first.leaves)
        for p in (p for box in like for p in box.outside):
            if p not in final and box_of[p] < 0:
                final[p] = len(units)
                units.append(p)
        for i in (i for box in like for i in box.cards):
            final[i] = len(units)
            if not whole:
                units.append(i)
        if whole:
            units.append(like)
    made = iter(box_cards(cards, [unit for unit in units if isinstance(unit, list)]))
    found: list[Card] = []
    for unit in units:
        if isinstance(unit, list):
            card = next(made)
        else:
            card = cards[unit]
            if box_of[unit] < 0 or not boxes[box_of[unit]].open:
                card = card._replace(scope="")
        found.append(moved(card, final, len(found)))
    late = [card.role == "parameter" for card in found]
    spine = spine_of([card.parents for card in found], late)
    return [card._replace(spine=p) for card, p in zip(found, spine)], note_of(cards, found)


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


def note_of(cards: Sequence[Card], found: list[Card]) -> str:
    """What was folded, and how to open it."""
    made = [card for card in found if card.role == "layer"]
    if not made:
        return ""
    name = max(made, key=lambda card: card.times).name
    example = spread(name.partition(" ... ")[0].partition(" (part ")[0])[0]
    rim = "a double rim is a run of like layers; " if any(card.times > 1 for card in made) else ""
    return f'{len(cards):,} cards folded into {len(found)}; {rim}open one with expand="{example}"'
