"""Write out the backward pass of a graph as a person would derive it: `derive`.

The VJP rules run on Tensors while everything is recorded. What they recorded becomes values
(`values`), which are named here, put in order, and printed (`printing`). Pictures, pages, reports
and compiled code take their names and formulas from the `Program` that results.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .arranging import arranged
from .emitting import emit, emit_worksheet
from .errors import GradientError, ShapeError
from .explaining import explain, found
from .formatting import describe, name_of
from .forms import as_dict, as_html, formulas, listing
from .graph import backward_pass, on_path, record_all, toposort
from .looping import emit_loops
from .printing import Derivation, Line, Printer, parameters
from .reasons import reasons
from .tensor import Tensor
from .values import Value, evaluate, reads

__all__ = ["Line", "Program", "derive", "derived"]


class Program:
    """A derived backward pass: forward lines, then backward lines.

    ``str(p)`` shows it with the names of the code, :meth:`source` is a function that needs nothing
    but NumPy, and calling ``p(**arrays)`` runs that function.

    Attributes
    ----------
    lines : list of Line
        Forward, then backward.
    inputs : list of str
        Names of what comes from outside: parameters, data, targets.
    results : dict
        Name of what a gradient is of -> name of the gradient: ``{"W[0]": "dW[0]"}``.
    gradients : dict
        The same for every value that has one, those on the way included. Two values may have one
        gradient: of ``y = M + B``, dM is dy.
    batch : int or None
        Length of the batch when derived, if the program is right for other lengths, too. None if it
        is only known to be right for the shapes it was derived for; with others it is refused.

    Notes
    -----
    Names are kept to one line and 40 characters, and of two that are the same the later one gets a
    number: W, W_2.
    """

    def __init__(self, derivation: Derivation) -> None:
        self._derivation = derivation
        self._code: Any = None
        shown, ids = Printer(), derivation.identifiers()
        coded = Printer(ids)
        self.lines = [line(v, shown, coded) for v in derivation.lines]
        self.inputs = [str(v.name) for v in derivation.inputs]
        self.results = {str(x.name): str(g.name) for x, g in derivation.results}
        slopes = derivation.gradients.items()
        self.gradients = {name: str(g.name) for name, g in slopes if isinstance(g, Value)}
        self.batch = derivation.batch
        self._parameters = {p.name: p for p in parameters(derivation, ids)}

    def __str__(self) -> str:
        return listing(self._derivation, self.lines)

    def __repr__(self) -> str:
        return f"<Program: {len(self.lines)} lines, gradients of {', '.join(self.results)}>"

    def _repr_html_(self) -> str:
        return as_html(self._derivation, self.lines)

    def source(self, name: str = "backward", loop: bool = False) -> str:
        """The program as a Python function of its own.

        Parameters
        ----------
        name : str
            Name of the function.
        loop : bool
            Write a run of equal layers as a loop over lists. Where there is no run of at least two
            layers, the source is the plain one.

        Returns
        -------
        str
            Source that imports NumPy and nothing else. Lists such as W and B come in as lists, and
            gradients go out grouped in the same way. The function raises ValueError for a shape
            that it was not derived for. Where the program holds for any length of the batch, that
            is left open.

        Raises
        ------
        ShapeError
            If `name` is no name for a function.
        MissingVJPError
            If an op cannot be written out: its source is not to be had, or it uses what is neither
            NumPy nor a function nor a number.

        Examples
        --------
        >>> x = Tensor([1.0, 2.0], requires_grad=True, name="x")
        >>> p = derive((x * x).sum())
        >>> for row in p.source("gradient").splitlines()[-2:]:
        ...     print(row.strip())
        dx = x + x
        return dx
        """
        return (emit_loops if loop else emit)(self._derivation, name)

    def worksheet(self, name: str = "backward") -> str:
        """The same function, with the right-hand sides of the backward lines left to be filled in.

        Each has a comment with its shape and the names, with their shapes, that it is made from.

        Examples
        --------
        >>> x = Tensor([1.0, 2.0], requires_grad=True, name="x")
        >>> print(derive((x * x).sum()).worksheet().splitlines()[-2].strip())
        dx = ...  # (2,), from x (2,)
        """
        return emit_worksheet(self._derivation, name)

    def __call__(self, **arrays: Any) -> Any:
        """Run the program.

        An input that is not given is what its Tensor holds now; given one, all inputs that have no
        name of their own (c, c2 ...) must be given, for they may have been computed from it.

        Raises
        ------
        ShapeError
            For an input that the program does not have, or a missing one.
        ValueError
            For a shape that it was not derived for.
        """
        for k in arrays:
            if k not in self._parameters:
                raise ShapeError(f"Program: no input {k!r}; it has {', '.join(self._parameters)}.")
        for k, p in self._parameters.items():
            if arrays and k not in arrays and p.inputs[0].unnamed:
                raise ShapeError(
                    f"Program: {k} has no name of its own and may depend on what you gave; give it "
                    f"as well, {k}=..."
                )
        if self._code is None:
            self._code = compile(self.source(), "<derived>", "exec")
        given = {
            k: (list(map(np.asarray, arrays[k])) if p.is_list else np.asarray(arrays[k]))
            if k in arrays
            else p.default()
            for k, p in self._parameters.items()
        }
        scope: dict[str, Any] = {}
        exec(self._code, scope)
        try:
            return scope["backward"](**given)
        finally:
            scope.clear()  # its functions hold it and it holds them

    def values(self, **arrays: Any) -> dict[str, Any]:
        """What every input and every line holds, by name, in order; arguments as in a call.

        Examples
        --------
        >>> x = Tensor([1.0, 2.0], requires_grad=True, name="x")
        >>> derive((x * x).sum()).values()["dx"]
        array([2., 4.])
        """
        if arrays:
            self(**arrays)  # refuses what does not fit
        given: dict[int, Any] = {}
        for k, p in self._parameters.items():
            value = arrays.get(k, p.default())
            members = value if p.is_list else [value]
            given |= {id(v): np.asarray(a) for v, a in zip(p.inputs, members)}
        d = self._derivation
        values = evaluate(d.lines, given)
        return {str(v.name): values[id(v)] for v in [*d.inputs, *d.lines]}

    def explain(self, name: str, index: Sequence[int] = (), **arrays: Any) -> str:
        """Write one entry of a line as its sum, with the numbers.

        Parameters
        ----------
        name : str
            Of a line or an input: ``"dW[0]"``.
        index : sequence of int
            Which entry; nothing for a scalar.
        **arrays
            As in a call.

        Returns
        -------
        str
            Of a long sum the first three and the last two terms, and always the total. Where an op
            has no such form, its formula and the value.

        Raises
        ------
        ShapeError
            If there is no such line or no such entry.

        Examples
        --------
        >>> x = Tensor([1.0, 2.0], requires_grad=True, name="x")
        >>> p = derive((x * x).sum())
        >>> p.explain("L"), p.explain("dx", (1,))
        ('L = Σ_n x[n] * x[n] = 1*1 + 2*2 = 5', 'dx[1] = x[1] + x[1] = 2 + 2 = 4')
        """
        return explain(self._derivation, self.values(**arrays), name, index)

    def why(self, name: str) -> str:
        """One sentence on a line: what it does, or what makes it this gradient.

        Parameters
        ----------
        name : str
            Of a line: ``"dW[0]"``.

        Raises
        ------
        ShapeError
            If there is no such line.

        Examples
        --------
        >>> x = Tensor([1.0, 2.0], requires_grad=True, name="x")
        >>> derive((x * x).sum()).why("dx")
        'Starting from dL = 1: x is used 2 times in L, so its gradient is the sum of 2 terms.'
        """
        sentence: str = found("why: no line", name, reasons(self._derivation))
        return sentence

    def formulas(self, form: str = "text") -> str:
        r"""The lines as "text", as a "markdown" table, or as aligned equations for "latex".

        Examples
        --------
        >>> x = Tensor([1.0, 2.0], requires_grad=True, name="x")
        >>> print(derive((x * x).sum()).formulas("latex"))
        \begin{aligned}
        L &= \sum x \odot x \\
        \frac{\partial L}{\partial x} &= x + x
        \end{aligned}
        """
        return formulas(self._derivation, self.lines, form)

    def to_dict(self) -> dict[str, Any]:
        """The program as plain data, for JSON: version, inputs, lines, results, batch.

        Examples
        --------
        >>> x = Tensor([1.0, 2.0], requires_grad=True, name="x")
        >>> document = derive((x * x).sum()).to_dict()
        >>> document["version"], document["results"], document["lines"][1]["text"]
        (1, {'x': 'dx'}, 'x + x')
        """
        return as_dict(self._derivation, self.lines, self.results)


def line(v: Value, shown: Printer, coded: Printer) -> Line:
    """The line that defines `v`."""
    return Line(
        name=str(v.name),
        text=shown.definition(v)[0],
        code=coded.definition(v)[0],
        op=name_of(v.op),
        args=tuple(str(r.name) for r in reads(v)),
        shape=v.shape,
        dtype=str(v.dtype),
        role="backward" if v.backward else "forward",
        of=v.of,
    )


def derive(loss: Tensor, wrt: Iterable[Tensor] | Tensor | None = None) -> Program:
    """Write out the backward pass of `loss` as NumPy.

    Parameters
    ----------
    loss : Tensor
        A scalar that requires a gradient.
    wrt : Tensor or iterable of Tensor, optional
        What to derive by; by default every leaf that requires a gradient, in the order of making.

    Returns
    -------
    Program

    Raises
    ------
    GradientError
        If `loss` requires no gradient, is no scalar, or does not depend on something in `wrt`.

    Examples
    --------
    >>> from tinygrad_mlp import MLP, mse
    >>> net = MLP([2, 3, 1], rng=0)
    >>> loss = mse(net(np.ones((5, 2))), np.zeros((5, 1)))
    >>> print(derive(loss))
    forward
        Z[1] = A[0] @ W[0] + B[0]   # (5, 3)
        A[1] = relu(Z[1])           # (5, 3)
        y = A[1] @ W[1] + B[1]      # (5, 1)
        L = mse(y, t)               # ()
    backward
        dy = 2 * (y - t) / len(y)   # (5, 1)
        dW[1] = A[1].T @ dy         # (3, 5) @ (5, 1) -> (3, 1)
        dB[1] = dy.sum(axis=0)      # (5, 1) -> (1,)
        dA[1] = dy @ W[1].T         # (5, 1) @ (1, 3) -> (5, 3)
        dZ[1] = dA[1] * (A[1] > 0)  # (5, 3)
        dW[0] = A[0].T @ dZ[1]      # (2, 5) @ (5, 3) -> (2, 3)
        dB[0] = dZ[1].sum(axis=0)   # (5, 3) -> (3,)
    """
    if not isinstance(loss, Tensor):
        raise GradientError(f"derive: a loss is derived, a Tensor, not {describe(loss)}.")
    return derived(loss, wrt)


def derived(loss: Tensor, wrt: Iterable[Tensor] | Tensor | None = None, **options: Any) -> Program:
    """The same, with options for `arranged`."""
    loss._seed(call="derive()")  # complains where there is nothing to derive
    order = toposort(loss)
    reached = {loss, *(n.args[i] for n in order for i in n.needs)}
    if wrt is None:
        targets = sorted((a for a in reached if a.op is None), key=lambda a: a.index)
    else:
        targets = [wrt] if isinstance(wrt, Tensor) else list(dict.fromkeys(wrt))
    for x in targets:
        if x not in reached:
            raise GradientError(
                f"derive: {describe(loss, 'loss')} does not depend on {describe(x, 'x')}, or that "
                f"requires no gradient."
            )
    with record_all():
        seed: Any = Tensor(np.ones((), loss.dtype))
        seed = np.broadcast_to(seed, loss.shape) if loss.ndim else seed
        path = on_path(order, set(targets))
        grads = backward_pass(loss, seed, path, create_graph=True, check=False)
        for x in targets:  # the gradient of a leaf has the dtype of the leaf
            if grads[x].dtype != x.dtype:
                grads[x] = grads[x].astype(x.dtype)
    return Program(arranged(loss, targets, grads, **options))
