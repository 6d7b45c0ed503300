"""The person's code, in whatever form, as something that can be called on weights and data."""

import copy
import inspect
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from .errors import ShapeError, TinygradMLPError
from .formatting import describe
from .graph import no_grad
from .judging import one_line
from .nn import MLP
from .ops import mse, relu
from .probing import drawn, probe, weights_of, widths
from .rounding import recording
from .tensor import Tensor

__all__ = [
    "FORMS",
    "Network",
    "Raised",
    "Subject",
    "entries",
    "is_rows",
    "kind_of",
    "subject_of",
    "title_of",
    "trial",
]

SIZES = (4, 6, 5, 3)
"""The network for a class that is given without sizes. No two widths are equal, and there are more
than two outputs: with one or two, some mistakes look alike."""

FORMS = (
    "a class or factory that takes sizes or nothing; an object with W, B, forward(x), "
    "backward(y, t), DW and DB; a function (W, B, x, t) -> (DW, DB); or a dict {'dW[0]': gradient} "
    "together with the loss"
)


class Raised(Exception):
    """The person's code raised; says in which call, what, and in which line."""


def call(what: str, fun: Callable[..., Any], *args: Any) -> Any:
    """``fun(*args)``; whatever it raises is a `Raised`."""
    try:
        with np.errstate(all="ignore"):
            return fun(*args)
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)[1:]  # the first is this function
        own = [frame for frame in frames if frame.filename == frames[0].filename]
        text = f"{what} raised {one_line(error)}"
        if own:  # where it left the person's file
            text += f" ({Path(own[-1].filename).name}, line {own[-1].lineno}: {own[-1].line})"
        raise Raised(text) from error


@dataclass
class Attempt:
    """What the person's code made of one batch; None where it did not get so far."""

    y: Any = None
    DW: Any = None
    DB: Any = None
    notes: list[str] = field(default_factory=list)
    raised: "Raised | None" = None
    form: str = ""
    """What it gave in the place of lists of gradients."""


@dataclass
class Subject:
    """The person's code, with the weights of its next call: a function of (W, B, x, t)."""

    name: str
    activation: Any
    code: Any
    W: list[Any]
    B: list[Any]
    notes: list[str] = field(default_factory=list)  # for the next attempt
    unused: Any = None  # a copy, before anything was called
    turned: bool = False  # whether its W[i] are (n_out, n_in)

    def fresh(self) -> "Subject":
        """The same code, as it is before anything was called."""
        return copy.copy(self)

    def use(self, W: list[Any], B: list[Any]) -> None:
        """Take these weights."""
        self.W, self.B = W, B

    def attempt(self, x: Any, t: Any) -> Attempt:
        """One call on copies; what happens is noted, and nothing is raised."""
        out = Attempt(notes=self.notes)
        self.notes = []
        W, B = (turn(self.W), turn(self.B)) if self.turned else (self.W, self.B)
        before = {"W": W, "B": B, "x": x, "t": t}
        after = copy.deepcopy(before)
        try:
            self.run(after, out)
        except Raised as raised:
            out.raised = raised
            out.notes.append(str(raised))
        if self.turned:
            out.DW = turn(out.DW)
            out.DB = turn(out.DB) if any(b.ndim == 2 for b in self.B) else out.DB
        changed = [name for name, value in before.items() if not same(after[name], value)]
        if changed:
            out.notes.append(f"changed by your code: {', '.join(changed)}")
        return out

    def run(self, given: dict[str, Any], out: Attempt) -> None:
        """Call it with what is `given`, fill `out`, and leave in `given` what it has become."""
        result = call(self.name, self.code, *given.values())
        pairs = is_rows(result) and all(map(is_pair, result))
        if is_rows(result) and len(result) == 2 and not pairs:
            out.DW, out.DB = (listed(self.name, a) for a in result)
        else:
            what = "a list of pairs, (dW, db) of a layer" if pairs else kind_of(result)
            out.form = f"{self.name} returned {what}, not (DW, DB), lists with one array a layer"


class Network(Subject):
    """An object with W, B, forward(x) and backward(y, t), which fills DW and DB."""

    def fresh(self) -> Subject:
        """The same code, as it is before anything was called."""
        code = copy.deepcopy(self.unused)
        return replace(self, code=code, notes=[])

    def use(self, W: list[Any], B: list[Any]) -> None:
        """Hand it these weights, in its own dtype, and its own shapes if the sizes are the same."""
        dtype = self.W[0].dtype
        shapes = [b.shape for b in (self.B if widths(W) == widths(self.W) else B)]
        W = [w.astype(dtype) for w in W]
        B = [b.astype(dtype).reshape(shape) for b, shape in zip(B, shapes)]
        theirs = (turn(W), turn(B)) if self.turned else (W, B)
        try:
            for name, arrays in zip("WB", theirs):
                call(f"setting {name}", setattr, self.code, name, copy.deepcopy(arrays))
            self.W, self.B = W, B  # not what it may say that it took
            for name, arrays in zip("WB", theirs):
                if not same(call(f"reading {name}", getattr, self.code, name), arrays):
                    self.notes.append(f"it does not take other weights: {name} is not what was set")
        except Raised as raised:
            self.notes.append(f"its own weights are used: {raised}")
            self.W, self.B = weights_of(self.code, "compare", self.name, self.turned)

    def run(self, given: dict[str, Any], out: Attempt) -> None:
        """Forward, then backward."""
        try:
            self._run(given["x"], given["t"], out)
        finally:
            given["W"], given["B"] = getattr(self.code, "W", None), getattr(self.code, "B", None)

    def _run(self, x: Any, t: Any, out: Attempt) -> None:
        y = call("forward", self.code.forward, x)
        out.y = copy.deepcopy(y)
        A: Any = getattr(self.code, "A", None)
        lists = is_rows(y) or (is_rows(A) and any(map(is_rows, A)))
        kept = copy.deepcopy(self.code) if lists else None
        before = copy.deepcopy(A)
        call("zero_grad", getattr(self.code, "zero_grad", lambda: None))
        try:
            call("backward", self.code.backward, y, t)
        except Raised as raised:
            if not lists:
                raise
            out.notes.append(f"lists of rows were made arrays after forward, because {raised}")
            self.code = kept
            y = call("making an array of y", np.array, out.y)
            if is_rows(A):
                call("making arrays of A", lambda: setattr(kept, "A", list(map(np.array, A))))
            call("backward", self.code.backward, y, t)
        else:
            if lists:
                out.notes.append("lists of rows are compared as arrays")
        after: Any = getattr(self.code, "A", None)
        changed = ["y"] if not same(y, out.y) else []
        if is_rows(before) and is_rows(after) and len(before) == len(after):
            changed += [f"A[{i}]" for i, (a, b) in enumerate(zip(before, after)) if not same(b, a)]
        if changed:
            out.notes.append(f"changed by backward: {', '.join(changed)}")
        out.DW, out.DB = (call(k, getattr, self.code, k, None) for k in ("DW", "DB"))
        out.DW, out.DB = listed("DW", out.DW), listed("DB", out.DB)


def is_pair(a: Any) -> bool:
    """Whether `a` is (dW, db), of one layer."""
    return is_rows(a) and [np.ndim(part) if hasattr(part, "shape") else 0 for part in a] == [2, 1]


def listed(what: str, a: Any) -> Any:
    """What can be gone through only once as a list; all else as it is."""
    return call(what, list, a) if isinstance(a, Iterator) else a


def kind_of(a: Any) -> str:
    """What `a` is, in a few words."""
    if is_rows(a):
        return f"{len(a)} things: {', '.join(map(kind_of, a[:4]))}{', …' if len(a) > 4 else ''}"
    if isinstance(a, Mapping):
        return f"a dict with the keys {', '.join(map(repr, list(a)[:4]))}"
    if hasattr(a, "shape"):
        return describe(a)
    return "nothing" if a is None else f"an object of type {type(a).__name__}"


def turn(matrices: Any) -> Any:
    """Each matrix of a list transposed; what is none stays."""
    if not is_rows(matrices):
        return matrices
    return [np.transpose(a) if np.ndim(a) == 2 else a for a in matrices]


@dataclass
class Trial:
    """One call of the person's code, and the graph of the network it should be."""

    net: MLP
    x: Any
    t: Any
    y: Any
    loss: Any
    out: Attempt

    @property
    def wanted(self) -> dict[str, Any]:
        """The parameters by the names of their gradients: DW[0], DB[0] ..."""
        return {
            f"D{letter}[{i}]": node
            for letter, nodes in (("W", self.net.W), ("B", self.net.B))
            for i, node in enumerate(nodes)
        }


def trial(subject: Subject, x: Any, t: Any, rng: int) -> Trial:
    """Call the code with its present weights; without data, on those of `probe`."""
    W, B = subject.W, subject.B
    net = MLP(widths(W), rng=0, activation=subject.activation)
    net.W = [Tensor(w, True, f"W[{i}]") for i, w in enumerate(W)]
    net.B = [Tensor(b, True, f"B[{i}]") for i, b in enumerate(B)]
    if x is None:
        x, t = probe(net, rng)
    with no_grad():
        x, t = np.asarray(x), np.asarray(t)
    with recording(), np.errstate(all="ignore"):
        y = net(x)
        loss = mse(y, t)
    return Trial(net, x, t, y, loss, subject.attempt(x, t))


def same(after: Any, before: Any) -> bool:
    """Whether an array, or each of a list, still has its values."""
    if is_rows(after) and is_rows(before) and len(after) == len(before):
        return all(map(np.array_equal, after, before))
    return np.array_equal(after, before)


def subject_of(
    manual: Any, reference: Any, sizes: Sequence[int] | None, turned: bool = False
) -> Subject:
    """`manual` in one of its forms, made and given weights, ready to run."""
    name, activation = title_of(manual), getattr(reference, "activation", relu)
    start = None
    if reference is not None:
        start = weights_of(reference, "compare", "reference")
    elif sizes is not None:
        start = start_of(sizes)
    made = None
    if isinstance(manual, type) or not is_network(manual):
        makes = callable(manual) and (isinstance(manual, type) or not hasattr(manual, "W"))
        needs, takes = arity(manual) if makes else (2, 2)
        if needs == 4 and not isinstance(manual, type):
            if start is None:
                raise ShapeError(
                    f"compare: {name}(W, B, x, t) is a function: its weights need sizes=(3, 5, 2) "
                    f"or reference=net."
                )
            return Subject(name, activation, manual, *start, turned=turned)
        if needs < 2:
            start = start_of(SIZES) if needs and start is None else start
            args = (widths(start[0]),) if start and takes else ()
            made = call(f"{name}({', '.join(map(str, args))})", manual, *args)
    else:
        try:
            made = copy.deepcopy(manual)
        except Exception as error:
            raise TinygradMLPError(
                f"compare: {name} cannot be copied ({one_line(error)}); give its class instead."
            ) from error
    if not is_network(made):
        raise TinygradMLPError(f"compare: {name} is none of the forms that it takes: {FORMS}.")
    for method, arguments in (("forward", ("x",)), ("backward", ("y", "t"))):
        try:
            signature = inspect.signature(getattr(made, method))
            signature.bind(*arguments)
        except TypeError as error:
            raise TinygradMLPError(
                f"compare: {name}.{method}{signature} cannot be called as "
                f"{method}({', '.join(arguments)}): x (batch, n_in) is the input, y (batch, n_out) "
                f"what forward returned, t (batch, n_out) the targets."
            ) from error
    W, B = weights_of(made, "compare", name, turned)
    unused = copy.deepcopy(made)
    network = Network(name, activation, made, W, B, unused=unused, turned=turned)
    if start:
        network.use(*start)
    return network


def start_of(sizes: Sequence[int]) -> tuple[list[Any], list[Any]]:
    """Weights for a network of `sizes`."""
    return drawn(*weights_of(MLP(sizes, rng=0), "compare", "sizes"), rng=0)


def title_of(manual: Any) -> str:
    """Name of a class or function, or of the class of an object."""
    return str(getattr(manual, "__name__", type(manual).__name__))


def is_network(manual: Any) -> bool:
    """Whether `manual` has the methods and weights of `ManualMLP`."""
    return all(hasattr(manual, name) for name in ("W", "B", "forward", "backward"))


def arity(fun: Callable[..., Any]) -> tuple[int, int]:
    """How many positional arguments `fun` needs, and how many it takes."""
    try:
        parameters = inspect.signature(fun).parameters.values()
    except ValueError:  # some builtins do not say
        return 0, 0
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return sum(p.default is p.empty for p in positional), len(positional)


def entries(gradients: Any) -> list[Any]:
    """The gradients of the layers as a list; empty if it is none."""
    stacked = isinstance(gradients, np.ndarray) and gradients.ndim > 0
    rows = isinstance(gradients, Sequence) and not isinstance(gradients, (str, bytes))
    return list(gradients) if stacked or rows else []


def is_rows(a: Any) -> bool:
    """Whether `a` is a list in the place of an array, or of arrays."""
    return isinstance(a, (list, tuple))
