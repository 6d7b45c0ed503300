"""A derivation as the source of a function of its own: whole, or with blanks."""

import ast
import inspect
import re
import symtable
import textwrap
import types
from typing import Any

import numpy as np

from .errors import MissingVJPError, ShapeError
from .formatting import name_of
from .printing import (
    RESERVED,
    Derivation,
    Parameter,
    Printer,
    is_parameter,
    live,
    result_groups,
)
from .printing import parameters as parameters_of
from .values import Value, reads

__all__ = ["Function", "emit", "emit_worksheet", "folded"]

WIDTH = 96  # in a function, indented by four


def emit(d: Derivation, name: str) -> str:
    """The source of a function from the inputs to the gradients."""
    f = Function(d, name)
    return f.source([*f.unpacked(), *map(f.row, f.lines), *f.returned()])


def emit_worksheet(d: Derivation, name: str) -> str:
    """The same function; what the backward lines compute is left to the reader."""
    f = Function(d, name)

    def blank(v: Value) -> str:
        given = ", ".join(f"{f.ids[id(r)]} {r.shape}" for r in reads(v))
        return f"{f.ids[id(v)]} = ...  # {v.shape}{', from ' if given else ''}{given}"

    rows = [blank(v) if v.backward else f.row(v) for v in f.lines]
    return f.source([*f.unpacked(), *rows, *f.returned()])


class Function:
    """What the forms of a function have in common."""

    def __init__(self, d: Derivation, name: str) -> None:
        if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) or name in RESERVED:
            raise ShapeError(f"source: {name!r} is no name for a function.")
        self.d, self.name = d, name
        self.ids = d.identifiers()
        self.parameters = parameters_of(d, self.ids)
        self.printer = Printer(self.ids)
        self.printer.taken |= {name, *(p.name for p in self.parameters)}
        needed = live(d)
        self.lines = [v for v in d.lines if id(v) in needed]
        self.groups = result_groups(d, self.parameters)
        self.shown = {id(v): v.name for v in [*d.inputs, *d.lines]}

    def row(self, v: Value) -> str:
        """The line of `v`."""
        return f"{self.ids[id(v)]} = {self.printer.definition(v)[0]}"

    def unpacked(self) -> list[str]:
        """Statements that take the lists among the parameters apart."""
        rows = []
        for p in self.parameters:
            if p.is_list:
                targets = ", ".join(self.ids[id(v)] for v in p.inputs)
                one = f"{targets}{',' if len(p.inputs) == 1 else ''} = {p.name}"
                rows += [one] if len(one) <= WIDTH else folded(f"[{targets}] = {p.name}")
        return rows

    def returned(self) -> list[str]:
        """The return statement."""
        parts = []
        for is_list, members in self.groups:
            names = ", ".join(self.ids[id(g)] for g in members)
            parts.append(f"[{names}]" if is_list else names)
        text = ", ".join(parts)
        return [f"return {text}"] if len(text) < WIDTH - 7 else folded(f"return ({text})")

    def source(self, body: list[str]) -> str:
        """The whole module."""
        given = [", ".join(self.ids[id(g)] for g in members) for _, members in self.groups]
        rows = [
            *folded(f"def {self.name}({', '.join(p.name for p in self.parameters)}):"),
            '    """Gradients of a loss, derived from its graph.',
            "",
            *(f"    {p.name}: {shapes_text(p, self.d)}" for p in self.parameters),
            f"    Returns {'; '.join(given)}.",
            '    """',
            *(f"    {row}" for row in [*checks(self.d, self.parameters, self.ids), *body]),
        ]
        helpers = helper_sources(self.printer)
        return "\n\n\n".join(["import numpy as np", *helpers, "\n".join(rows)]) + "\n"


def folded(text: str) -> list[str]:
    """A statement in brackets, over several lines if it is long."""
    return textwrap.wrap(text, WIDTH, subsequent_indent="    ", break_long_words=False)


# --- sizes ----------------------------------------------------------------------------------------


def shape_text(v: Value, batch: Any) -> str:
    """The shape an input must have; the first axis of data is the batch."""
    sizes = [str(n) for n in v.shape]
    if batch is not None and not is_parameter(v):
        sizes[0] = str(batch)
    return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"


def shapes_text(p: Parameter, d: Derivation) -> str:
    """The shapes of a parameter, for people."""
    batch = "batch" if d.batch is not None else None
    return ("a list of " if p.is_list else "") + ", ".join(shape_text(v, batch) for v in p.inputs)


def checks(d: Derivation, taken: list[Parameter], ids: dict[int, str]) -> list[str]:
    """Statements that refuse a shape that the program was not derived for."""
    rows = []
    data = next((v for v in d.inputs if not is_parameter(v)), None)
    batch = None if d.batch is None or data is None else f"*np.shape({ids[id(data)]})[:1]"
    for p in taken:
        wanted = ", ".join(shape_text(v, batch) for v in p.inputs)
        if batch and wanted == f"({batch},)":
            wanted = batch[1:]
        test, more = f"np.shape({p.name}) != {wanted}", ""
        if p.is_list:
            test = f"[np.shape(w) for w in {p.name}] != [{wanted}]"
        elif batch and data is p.inputs[0]:
            test += f" or len({p.name}) < {d.smallest}"
            more = f" with a batch of at least {d.smallest}" if d.smallest > 1 else ""
        rows += [
            f"if {test}:",
            f'    raise ValueError("{p.name}: the shape must be {shapes_text(p, d)}{more}")',
        ]
    return rows


# --- functions that NumPy has not -----------------------------------------------------------------


def helper_sources(printer: Printer) -> list[str]:
    """The sources of the functions that the code calls, and of those that they call."""
    found: list[str] = []
    done = 0
    while done < len(printer.helpers):  # grows while it is walked
        op, name = list(printer.helpers.items())[done]
        found.append(helper(op, name, printer))
        done += 1
    return found


def helper(op: Any, name: str, printer: Printer) -> str:
    """The source of a function, without decorator, annotations and docstring."""
    fun = getattr(op, "__wrapped__", op)
    try:
        function = ast.parse(textwrap.dedent(inspect.getsource(fun))).body[0]
    except (OSError, TypeError, SyntaxError) as error:
        raise unwritable(op, "its source is not to be had") from error
    if not isinstance(function, ast.FunctionDef):
        raise unwritable(op, "it is no def")
    function.decorator_list, function.returns = [], None
    every = function.args
    for arg in [*every.posonlyargs, *every.args, *every.kwonlyargs, every.vararg, every.kwarg]:
        if arg is not None:
            arg.annotation = None
    if ast.get_docstring(function) is not None:
        function.body = function.body[1:] or [ast.Pass()]
    scope = {**fun.__globals__, **inspect.getclosurevars(fun).nonlocals}
    own = function.name
    function.name = name
    table = symtable.symtable(ast.unparse(function), "<helper>", "exec")
    new = {}
    for free in sorted(free_names(table) - {name}):
        if free in scope:
            new[free] = replacement(scope[free], free, op, printer)
        elif free not in printer.taken or free not in RESERVED:
            raise unwritable(op, f"it uses {free}, which is not defined")
    new[own] = ast.Name(name)
    return ast.unparse(ast.fix_missing_locations(Renaming(new).visit(function)))


def unwritable(op: Any, why: str) -> MissingVJPError:
    """The error for a function that no source can be written for."""
    return MissingVJPError(f"derive: {name_of(op)} cannot be written out, {why}.")


def free_names(table: symtable.SymbolTable) -> set[str]:
    """The names that a piece of source takes from outside."""
    found = {s.get_name() for s in table.get_symbols() if s.is_global() and s.is_referenced()}
    if table.get_type() == "module":
        found = {s.get_name() for s in table.get_symbols() if s.is_referenced()}
    return found.union(*map(free_names, table.get_children()))


def replacement(value: Any, free: str, op: Any, printer: Printer) -> ast.expr:
    """What stands in a helper for `value`, which its module calls `free`."""
    if value is np:
        return ast.Name("np")
    if getattr(np, name_of(value), None) is value:
        return ast.Attribute(ast.Name("np"), name_of(value))
    if isinstance(value, (bool, int, float, str, type(None))):
        return ast.Constant(value)
    if isinstance(value, type) and issubclass(value, Exception):  # ours: the builtin it is
        return ast.Name(next(c.__name__ for c in value.__mro__ if c.__module__ == "builtins"))
    if isinstance(value, types.FunctionType):
        return ast.Name(printer.function(value))
    raise unwritable(op, f"it uses {free}, a {type(value).__name__}")


class Renaming(ast.NodeTransformer):
    """Puts expressions in the place of names that come from outside."""

    def __init__(self, new: dict[str, ast.expr]) -> None:
        self.new = new

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """One name."""
        return self.new.get(node.id, node)
