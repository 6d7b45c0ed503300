"""Change one line of a derived backward pass, as a person might have got it wrong.

The source is parsed, one assignment of the backward part is chosen and changed, and the line is
printed again. What was changed is known, and so is which gradients it spoils, by the oracle.
"""

import ast
import copy
import itertools
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from tinygrad_mlp import derive

from .nets import NETS, Net
from .registry import BATCH, MASK, MISSING, Pass
from .running import arguments, identifier, judged

KINDS = {  # kind of change -> words that say so
    "mask missing": f"{MASK} & {MISSING}",
    "mask inverted": f"{MASK}|<|> & invert|opposite|<|inactive|complement|other way|revers",
    "factor missing": (
        f"factor|times|slope|derivative|multipl|mask|d[AZ] & {MISSING}|only|alone|instead|replac"
    ),
    "not divided": f"divid|{BATCH}|factor|times|{MISSING}",
    "divided again": f"divid|{BATCH}|factor|twice|again",
    "divided by something else": "divid|batch|size|output|shape|width|mean|factor",
    "term missing": f"term|sum|add|use|path|only|{MISSING}",
    "operands swapped": "swap|order|transpos|operand|exchang|sign|t - y|negativ",
    "transpose missing": r"transpos|\.T",
    "transposed": r"transpos|\.T",
    "other constant": "factor|constant|half|twice|times|2|0.5",
    "other axis": "axis|sum",
    "axis missing": "axis|sum|total|all",
    "axis kept": "keepdims|axis|shape",
    "mean for sum": f"mean|divid|{BATCH}|average",
    "largest for sum": "max|largest",
    "other sign": r"sign|negativ|-1|minus|plus",
    "other operator": "divid|multipl|operator|add|subtract|plus|minus|instead|sign|invers|squar",
    "other index": "index|layer|instead|other|below|above|step|wrong",
    "other value": "instead|in the place|other|before|after|mask|slope|value|wrong",
}


class Mutant(NamedTuple):
    """A changed source, and what was changed."""

    net: str
    kind: str
    target: str  # the gradient whose line it is
    before: str
    after: str
    source: str


def children(node: ast.AST) -> Iterator[tuple[ast.AST, str, int | None, ast.AST]]:
    """Each expression below `node`: its parent, the field that holds it, its place, itself."""
    for parent in ast.walk(node):
        for name, value in ast.iter_fields(parent):
            members = value if isinstance(value, list) else [value]
            for i, child in enumerate(members):
                if isinstance(child, (ast.expr, ast.keyword)):
                    yield parent, name, i if isinstance(value, list) else None, child


def call_of(name: str, argument: ast.expr) -> ast.expr:
    return ast.parse(f"{name}({ast.unparse(argument)})", mode="eval").body


def parsed(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def variants(node: Any, names: list[str]) -> Iterator[tuple[str, Any]]:
    """What could stand in the place of `node`, with the kind of change; None deletes it."""
    match node:
        case ast.BinOp(left, op, right):
            masks = [isinstance(side, ast.Compare) for side in (left, right)]
            if isinstance(op, ast.Mult):
                for keep, lost in ((left, right), (right, left)):
                    mask = isinstance(lost, ast.Compare)
                    yield "mask missing" if mask else "factor missing", keep
                if not any(masks):
                    yield "other operator", ast.BinOp(left, ast.Add(), right)
                    yield "other operator", ast.BinOp(left, ast.Div(), right)
            if isinstance(op, ast.Div):
                yield "not divided", left
                yield "divided again", ast.BinOp(node, ast.Div(), right)
                yield "other operator", ast.BinOp(left, ast.Mult(), right)
            if isinstance(op, (ast.Add, ast.Sub)):
                yield "term missing", left
                yield "term missing", right
                other = ast.Sub() if isinstance(op, ast.Add) else ast.Add()
                yield "other operator", ast.BinOp(left, other, right)
            if isinstance(op, (ast.Sub, ast.MatMult)):
                yield "operands swapped", ast.BinOp(right, op, left)
        case ast.Attribute(value, "T"):
            yield "transpose missing", value
        case ast.Constant(value) if isinstance(value, (int, float)) and value == 2:
            for other in (1, 0.5, 4):
                yield "other constant", ast.Constant(other)
        case ast.keyword("axis", ast.Constant(0)):
            yield "other axis", ast.keyword("axis", ast.Constant(1))
            yield "axis missing", None
        case ast.keyword("axis", ast.UnaryOp(ast.USub(), ast.Constant(1))):
            yield "other axis", ast.keyword("axis", ast.Constant(0))
        case ast.Call(ast.Attribute(value, "sum"), arguments, keywords):
            mean = ast.Attribute(value, "mean", ast.Load())
            yield "mean for sum", ast.Call(mean, arguments, keywords)
            largest = ast.Attribute(value, "max", ast.Load())
            yield "largest for sum", ast.Call(largest, arguments, keywords)
            kept = ast.keyword("keepdims", ast.Constant(True))
            if len(keywords) == 1:
                yield "axis kept", ast.Call(node.func, arguments, [*keywords, kept])
        case ast.Call(ast.Name("len"), [argument]):
            text = ast.unparse(argument)
            yield "divided by something else", parsed(f"{text}.size")
            yield "divided by something else", parsed(f"{text}.shape[-1]")
            yield "divided by something else", parsed(f"(len({text}) - 1)")
        case ast.Compare(left, [ast.Gt()], right):
            yield "mask inverted", ast.Compare(left, [ast.LtE()], right)
        case ast.UnaryOp(ast.USub(), operand):
            yield "other sign", operand
        case ast.Subscript(value, ast.Name("i"), context):
            for index in ("i + 1", "i - 1"):
                yield "other index", ast.Subscript(value, parsed(index), context)
        case ast.Name(name):
            split = re.fullmatch(r"([A-Za-z]+?)(\d+)", name)
            for other in names:
                same = re.fullmatch(r"([A-Za-z]+?)(\d+)", other)
                if other != name and split and same:
                    if split[1] == same[1]:
                        yield "other index", ast.Name(other)
                    elif split[2] == same[2]:
                        yield "other value", ast.Name(other)
            yield "transposed", parsed(f"{name}.T")


def rewritten(statement: ast.Assign, names: list[str]) -> list[tuple[str, str]]:
    """All changed forms of an assignment, with the kind of change."""
    found = []
    whole = statement.value
    found += [(kind, ast.unparse(new)) for kind, new in variants(whole, names) if new is not None]
    found.append(("other sign", ast.unparse(ast.UnaryOp(ast.USub(), whole))))
    places = list(children(whole))
    for k, (_, _, _, child) in enumerate(places):
        for kind, new in variants(child, names):
            again = copy.deepcopy(whole)
            parent, name, i, _ = list(children(again))[k]
            if new is None:
                del getattr(parent, name)[i]
            elif i is None:
                setattr(parent, name, new)
            else:
                getattr(parent, name)[i] = new
            found.append((kind, ast.unparse(ast.fix_missing_locations(again))))
    return sorted({pair for pair in found if pair[1] != ast.unparse(whole)})


def plain(net: Net, loop: bool, give: str) -> tuple[list[str], dict[str, str]]:
    """The derived source as rows without its checks, and identifier -> name of a gradient.

    `give` is "lists" as derived, "results" for a dict of these, "lines" for all gradients.
    """
    program = derive(net.loss())
    text = program.source(loop=loop)
    tree = ast.parse(text)
    function = next(d for d in tree.body if getattr(d, "name", "") == "backward")
    body = [s for s in function.body[1:] if not isinstance(s, ast.If)]
    function.body = body
    gradient = {identifier(row.name): row.name for row in program.lines if row.role == "backward"}
    known = {f"d{name}" for name in [*net.parameters, *net.forward(net.arrays, np.abs)[1]]}
    if give != "lists":
        kept = [
            (i, name)
            for i, name in gradient.items()
            if name in (set(program.results.values()) if give == "results" else known)
        ]
        pairs = ", ".join(f'"{name}": {i}' for i, name in kept)
        function.body[-1] = ast.parse(f"return {{{pairs}}}").body[0]
    return ast.unparse(tree).splitlines(), gradient


def mutants(net: Net, rng: Any, loop: bool, give: str) -> Iterator[Mutant]:
    """Changed sources without end, kinds in turn, in an order that `rng` draws."""
    rows, gradient = plain(net, loop, give)
    names = sorted(set(re.findall(r"^    (\w+) = ", "\n".join(rows), re.M)) | {"W0", "W1", "A0"})
    names = [n for n in names if any(re.search(rf"\b{n}\b", row) for row in rows)]
    choices: dict[str, list[tuple[int, str, str]]] = {}
    first = 0 if loop else len(rows) - 1 - len(gradient)  # of the backward part
    for k, row in enumerate(rows[first:], first):
        try:
            statement = ast.parse(row.strip()).body[0]
        except (SyntaxError, IndexError):
            continue
        if not isinstance(statement, ast.Assign) or "None" in row:
            continue
        target = ast.unparse(statement.targets[-1])
        if not (target in gradient or (loop and target.startswith("d"))):
            continue
        for kind, new in rewritten(statement, names):
            left = " = ".join(ast.unparse(t) for t in statement.targets)
            choices.setdefault(kind, []).append(
                (k, gradient.get(target, target), f"{left} = {new}")
            )
    kinds = sorted(choices)
    while True:
        kind = kinds[rng.integers(len(kinds))]
        k, target, new = choices[kind][rng.integers(len(choices[kind]))]
        indent = rows[k][: len(rows[k]) - len(rows[k].lstrip())]
        changed = [*rows[:k], f"{indent}{new}  # <--", *rows[k + 1 :]]
        yield Mutant(net.name, kind, target, rows[k].strip(), new, "\n".join(changed) + "\n")


def as_pass(mutant: Mutant, name: str) -> Pass:
    """A mutant as an entry of the set."""
    scope: dict[str, Any] = {}
    exec(compile(mutant.source, f"{name}.py", "exec"), scope)
    return Pass(
        name,
        mutant.net,
        scope["backward"],
        mutant.kind,
        False,
        cause=KINDS[mutant.kind],
        listed=False,
        made="by a script",
        target=mutant.target,
        before=mutant.before,
        after=mutant.after,
        file=f"{name}.py",
        first=1,
        source=mutant.source,
    )


def runs(entry: Pass, net: Net) -> bool:
    """Whether it gets to its end."""
    try:
        with np.errstate(all="ignore"):
            entry.code(*arguments(entry.code, net))
    except Exception:
        return False
    return True


def fresh(seed: int, count: int, names: list[str] | None = None) -> list[Pass]:
    """`count` mutants that are wrong beyond doubt, net after net; the same for the same seed.

    Of those that raise, few are kept, and none that is to give a dict.
    """
    rng = np.random.default_rng(seed)
    nets = [net for net in NETS.values() if net.name not in ("wide", "active")]
    if names:
        nets = [NETS[name] for name in names]
    found: list[Pass] = []
    seen = set()
    used: Counter[str] = Counter()
    for k in itertools.count():
        if len(found) == count:
            return found
        net = nets[k % len(nets)]
        loop = net.is_mlp and len(net.sizes) > 3 and rng.random() < 0.3
        give = "lists" if loop else ["results", "lines", "lists"][rng.integers(3)]
        give = "results" if give == "lists" and not net.is_mlp else give
        some = itertools.islice(mutants(net, rng, loop, give), 40)
        for mutant in sorted(some, key=lambda m: used[m.kind]):  # so that no kind is rare
            entry = as_pass(mutant, f"s{seed}_{len(found):03}")
            if not runs(entry, net) and (give != "lists" or rng.random() < 0.9):
                continue
            entry.wrong = judged(entry, net)
            beyond = judged(entry, net, 20 * net.tolerance)
            if entry.wrong and entry.wrong == beyond and (net.name, mutant.after) not in seen:
                seen.add((net.name, mutant.after))
                used[mutant.kind] += 1
                found.append(entry)
                break
    raise AssertionError("never reached")
