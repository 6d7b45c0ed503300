"""Networks built from Tensor ops: modules, layers, initial weights, the MLP of the drawing."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Self

import numpy as np

from .errors import DataError, ShapeError
from .formatting import name_of
from .functional import elu, gelu, leaky_relu, log_softmax, sigmoid, silu, softmax, softplus
from .graph import COUNTER, no_grad
from .ops import relu
from .scoping import place
from .tensor import Tensor, as_array, plain

__all__ = [
    "ELU",
    "GELU",
    "MLP",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "Module",
    "ReLU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "uniform",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]

# --- initial weights ------------------------------------------------------------------------------


def he_normal(n_in: int, n_out: int, rng: "np.random.Generator", dtype: Any = np.float64) -> Any:
    """Weights of shape (n_in, n_out), normal with variance 2 / n_in.

    Keeps the size of activations through relu layers: K. He et al., Delving Deep into Rectifiers
    (2015), equation 10.
    """
    return (rng.standard_normal((n_in, n_out)) * (2 / n_in) ** 0.5).astype(dtype)


def he_uniform(n_in: int, n_out: int, rng: "np.random.Generator", dtype: Any = np.float64) -> Any:
    """Weights of shape (n_in, n_out), uniform within ±√(6 / n_in).

    With the variance of `he_normal`: a uniform distribution within ±b has b² / 3. It is PyTorch's
    ``kaiming_uniform_`` with its defaults; PyTorch's Linear starts within ±√(1 / n_in).
    """
    return within((6 / n_in) ** 0.5, n_in, n_out, rng, dtype)


def xavier_normal(
    n_in: int, n_out: int, rng: "np.random.Generator", dtype: Any = np.float64
) -> Any:
    """Weights of shape (n_in, n_out), normal with variance 2 / (n_in + n_out).

    A compromise between keeping the size of activations and that of gradients, for tanh: X. Glorot
    and Y. Bengio, Understanding the difficulty of training deep feedforward neural networks (2010),
    equation 12.
    """
    return (rng.standard_normal((n_in, n_out)) * (2 / (n_in + n_out)) ** 0.5).astype(dtype)


def xavier_uniform(
    n_in: int, n_out: int, rng: "np.random.Generator", dtype: Any = np.float64
) -> Any:
    """Weights of shape (n_in, n_out), uniform within ±√(6 / (n_in + n_out)).

    With the variance of `xavier_normal`: equation 16 of the same paper.
    """
    return within((6 / (n_in + n_out)) ** 0.5, n_in, n_out, rng, dtype)


def lecun_normal(n_in: int, n_out: int, rng: "np.random.Generator", dtype: Any = np.float64) -> Any:
    """Weights of shape (n_in, n_out), normal with variance 1 / n_in.

    Keeps the size of what is linear: Y. LeCun et al., Efficient BackProp (1998), equation 16.
    """
    return (rng.standard_normal((n_in, n_out)) * (1 / n_in) ** 0.5).astype(dtype)


def zeros(n_in: int, n_out: int, _rng: "np.random.Generator", dtype: Any = np.float64) -> Any:
    """Weights of shape (n_in, n_out), all 0: for a layer whose output should start at its bias."""
    return np.zeros((n_in, n_out), dtype)


def uniform(low: float, high: float) -> Callable[..., Any]:
    """An initialiser: weights of shape (n_in, n_out), uniform from `low` to `high`.

    Examples
    --------
    >>> layer = Linear(3, 2, rng=0, init=uniform(-0.1, 0.1))
    >>> bool(np.all(np.abs(layer.W.data) <= 0.1))
    True
    """
    return lambda n_in, n_out, rng, dtype=np.float64: rng.uniform(low, high, (n_in, n_out)).astype(
        dtype
    )


def within(bound: float, n_in: int, n_out: int, rng: "np.random.Generator", dtype: Any) -> Any:
    """Weights of shape (n_in, n_out), uniform within ±bound."""
    return rng.uniform(-bound, bound, (n_in, n_out)).astype(dtype)


# --- modules --------------------------------------------------------------------------------------


class Module:
    """A part of a network: parameters in its attributes, and a `forward`.

    Parameters are the Tensors that require a gradient and that no op made, found in attributes, in
    lists, tuples and dicts, and in modules among these, to any depth. One that is found twice
    counts once, under its first name. Nothing has to be declared; ``super().__init__()`` is not
    needed.

    When a module is first called, Tensors in it that have no name are named after where they are:
    "layers[0].W". What a module inside another computes is drawn as one group, of that name too.

    Attributes
    ----------
    training : bool
        For a `forward` that differs in training; set by `train` and `eval`.

    Examples
    --------
    >>> class Residual(Module):
    ...     def __init__(self, n, rng):
    ...         self.inner = Linear(n, n, rng=rng)
    ...         self.scale = Tensor(1.0, requires_grad=True)
    ...
    ...     def forward(self, x):
    ...         return x + self.scale * np.tanh(self.inner(x))
    >>> net = Residual(3, rng=0)
    >>> net(np.ones((5, 3))).shape
    (5, 3)
    >>> net
    Residual  scale ()  # 13 parameters
        inner: Linear  W (3, 3), B (3,)
    >>> [name for name, _ in net.named_parameters()]
    ['inner.W', 'inner.B', 'scale']
    """

    training = True
    _path: str | None = None  # where in the network; '' at its root, None before the first call

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; `module(x)` calls it."""
        raise NotImplementedError(f"{type(self).__name__} has no forward(self, x).")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Forward pass."""
        if self._path is None:
            self._give_names()
        if not self._path:
            return self.forward(*args, **kwargs)
        start = next(COUNTER)
        result = self.forward(*args, **kwargs)
        place(result, start, self._path)
        return result

    def parameters(self) -> list[Tensor]:
        """The parameters, each once, in the order of the attributes."""
        return [p for _, p in self.named_parameters()]

    def named_parameters(self) -> list[tuple[str, Tensor]]:
        """The parameters with the places they are found at: ``("layers[0].W", W)``."""
        return [(name, t) for name, t in self._leaves().items() if t.requires_grad]

    def zero_grad(self) -> None:
        """Forget the gradients: ``.grad`` of every parameter is None again."""
        for p in self.parameters():
            p.grad = None

    def train(self, mode: bool = True) -> Self:
        """Set `training` here and in all modules inside; returns itself."""
        for _, value, _ in walk(self):
            if isinstance(value, Module):
                value.training = mode
        return self

    def eval(self) -> Self:
        """The opposite of `train`."""
        return self.train(False)

    def state_dict(self) -> dict[str, Any]:
        """Copies of the arrays of all Tensors that no op made: parameters, frozen ones, constants.

        Returns
        -------
        dict
            Name, as in `named_parameters`, -> array. Also the states of random generators, as that
            of `Dropout`, as dicts: with them training goes on as if it had not stopped.
        """
        arrays = {name: t._data.copy() for name, t in self._leaves().items()}
        return arrays | {name: g.bit_generator.state for name, g in self._generators().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Fill in what `state_dict` returned, in place; all of it, or nothing if it does not fit.

        Parameters
        ----------
        state : mapping
            Name -> array; converted to the dtype that is there. A random generator whose state is
            not given stays as it is.

        Raises
        ------
        DataError
            If names are missing or unexpected, or a value is no array of numbers, or no state of
            that random generator.
        ShapeError
            If shapes differ.

        Examples
        --------
        >>> a, b = Linear(3, 2, rng=0), Linear(3, 2, rng=1)
        >>> b.load_state_dict(a.state_dict())
        >>> np.array_equal(a.W.data, b.W.data)
        True
        >>> b.load_state_dict({"w": a.W.data})
        Traceback (most recent call last):
        ...
        tinygrad_mlp.errors.DataError: Linear.load_state_dict: missing: W, B; unexpected: w.
        """
        caller = f"{type(self).__name__}.load_state_dict"
        leaves, generators = self._leaves(), self._generators()
        missing = [name for name in leaves if name not in state]
        unexpected = [str(name) for name in state if name not in {**leaves, **generators}]
        if missing or unexpected:
            parts = {"missing": missing, "unexpected": unexpected}
            text = "; ".join(f"{k}: {', '.join(names)}" for k, names in parts.items() if names)
            raise DataError(f"{caller}: {text}.")
        arrays = {name: array_of(state[name]) for name in leaves}
        wrong = [name for name, a in arrays.items() if a is None]
        if wrong:
            raise DataError(f"{caller}: not an array of real numbers: {', '.join(wrong)}.")
        drawn = {name: g.bit_generator for name, g in generators.items() if name in state}
        for name, bits in drawn.items():
            try:
                type(bits)().state = state[name]
            except (TypeError, ValueError, LookupError, AttributeError, OverflowError) as error:
                raise DataError(
                    f"{caller}: {name} is no state of the random generator {type(bits).__name__}."
                ) from error
        misfits = [
            f"{name} is {t._data.shape}, given {arrays[name].shape}"
            for name, t in leaves.items()
            if arrays[name].shape != t._data.shape
        ]
        if misfits:
            turned = any(
                arrays[name].shape == t._data.shape[::-1] != t._data.shape
                for name, t in leaves.items()
            )
            hint = " PyTorch's weights are (out, in): give their transposes." if turned else ""
            raise ShapeError(f"{caller}: {'; '.join(misfits)}.{hint}")
        with no_grad():
            for name, t in leaves.items():
                t[...] = arrays[name]
        for name, bits in drawn.items():
            bits.state = state[name]

    def _attributes(self) -> Mapping[str, Any]:
        """Where parameters and modules are looked for."""
        return vars(self)

    def _leaves(self) -> dict[str, Tensor]:
        """The Tensors that no op made, by name."""
        leaves: dict[str, Tensor] = {}
        for name, value, _ in walk(self):
            if isinstance(value, Tensor) and value.op is None:
                if name in leaves:
                    raise DataError(f"{type(self).__name__}: two Tensors are at {name}.")
                leaves[name] = value
        return leaves

    def _generators(self) -> dict[str, "np.random.Generator"]:
        """The random generators, by name."""
        return {name: v for name, v, _ in walk(self) if isinstance(v, np.random.Generator)}

    def _give_names(self) -> None:
        """Tell all modules inside where they are, and name Tensors that have no name."""
        for name, value, _ in walk(self):
            if isinstance(value, Module):
                value._path = name
            elif isinstance(value, Tensor) and value.op is None and value.name is None:
                value.name = name

    def __repr__(self) -> str:
        n = sum(p.size for p in self.parameters())
        rows: list[tuple[str, list[str]]] = []
        tensors: dict[int, list[str]] = {}  # of each module
        for name, value, owner in walk(self):
            if isinstance(value, Tensor):
                if value.op is None:
                    path, of_owner = tensors[id(owner)][0], tensors[id(owner)]
                    of_owner.append(f"{name[len(path) :].removeprefix('.')} {value.shape}")
            elif isinstance(value, Module):
                tensors[id(value)] = [name]
                rows.append((f"{name}: {title(value)}", tensors[id(value)]))
            elif callable(value):
                rows.append((f"{name}: {title(value)}", [name]))
        texts = ["  ".join([text, ", ".join(of)]).rstrip() for text, (_, *of) in rows]
        return "\n    ".join([f"{texts[0][2:]}  # {n:,} parameters", *texts[1:]])


def title(part: Any) -> str:
    """The name of a function, or of the class of a module with its plain attributes."""
    if not isinstance(part, Module):
        return name_of(part)
    plain_ones = {k: v for k, v in vars(part).items() if isinstance(v, (int, float, str))}
    options = ", ".join(f"{k}={v!r}" for k, v in plain_ones.items() if not k.startswith("_"))
    return f"{type(part).__name__}{f'({options})' if options else ''}"


def array_of(value: Any) -> Any:
    """`value` as an array of real numbers, or None if it is none."""
    try:
        array = as_array(plain(value))
    except ValueError:  # rows of different lengths
        return None
    return array if array.dtype.kind in "fiub" else None


def walk(root: Module) -> Iterator[tuple[str, Any, Module]]:
    """All that a module holds: (where, what, innermost module around it), itself first.

    Modules, Tensors and containers come once, where they are found first.
    """
    seen = set()
    stack: list[tuple[str, Any, Module]] = [("", root, root)]
    while stack:
        name, value, owner = stack.pop()
        inner: list[tuple[str, Any]] = []
        if isinstance(value, (Module, Tensor, list, tuple, dict)):
            if id(value) in seen:
                continue
            seen.add(id(value))
            if isinstance(value, Module):
                owner = value
                inner = [(attribute(name, k), v) for k, v in value._attributes().items()]
            elif isinstance(value, dict):
                inner = [(f"{name}[{k!r}]", v) for k, v in value.items()]
            elif not isinstance(value, Tensor):
                inner = [(f"{name}[{i}]", v) for i, v in enumerate(value)]
        yield name, value, owner
        stack += [(k, v, owner) for k, v in reversed(inner)]


def attribute(path: str, name: str) -> str:
    """Where an attribute is: ``path.name``, in brackets if its name is no identifier."""
    if not name.isidentifier():
        return f"{path}[{name!r}]"
    return f"{path}.{name}" if path else name


# --- layers ---------------------------------------------------------------------------------------


class Linear(Module):
    """A layer without activation: ``x @ W + B``.

    Parameters
    ----------
    n_in, n_out : int
    bias : bool
        Without one, `B` is None.
    rng : None, int or numpy.random.Generator
        For the initial weights; biases start at zero.
    dtype : dtype
    init : callable
        ``init(n_in, n_out, rng, dtype)`` returns the initial weights: `he_normal`,
        `xavier_uniform`, ``uniform(low, high)`` ...

    Attributes
    ----------
    W : Tensor, shape (n_in, n_out)
        PyTorch stores the transpose.
    B : Tensor, shape (n_out,), or None

    Examples
    --------
    >>> layer = Linear(3, 2, rng=0)
    >>> layer(np.ones((5, 3))).shape
    (5, 2)
    >>> layer
    Linear  W (3, 2), B (2,)  # 8 parameters
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        *,
        bias: bool = True,
        rng: "int | np.random.Generator | None" = None,
        dtype: Any = np.float64,
        init: Callable[..., Any] = he_normal,
    ) -> None:
        if n_in < 1 or n_out < 1:
            raise ShapeError(f"Linear: n_in={n_in}, n_out={n_out}: both must be 1 or more.")
        weights = init(n_in, n_out, np.random.default_rng(rng), dtype)
        if weights.shape != (n_in, n_out):
            raise ShapeError(
                f"Linear: init returned weights {weights.shape} for n_in={n_in}, n_out={n_out}; "
                f"they must be ({n_in}, {n_out})."
            )
        self.W = Tensor(weights, True)
        self.B = Tensor(np.zeros(n_out, dtype), True) if bias else None

    def forward(self, x: Any) -> Tensor:
        """``x @ W + B``, for x of shape (batch, ..., n_in)."""
        x = x if isinstance(x, Tensor) else Tensor(x, name="x")
        if x.ndim < 2:
            raise ShapeError(
                f"Linear: x {x.shape}: the first axis is the batch; for a single sample "
                f"x.reshape(1, -1)."
            )
        y: Tensor = x @ self.W
        return y if self.B is None else y + self.B


class Sequential(Module):
    """Layers one after the other; functions such as `np.tanh` are layers, too.

    Parameters
    ----------
    *layers : callables

    Examples
    --------
    >>> net = Sequential(Linear(2, 4, rng=0), ReLU(), Linear(4, 1, rng=1), np.tanh)
    >>> net([[1.0, 2.0], [0.5, -1.0], [0.0, 3.0]]).shape
    (3, 1)
    >>> net
    Sequential  # 17 parameters
        layers[0]: Linear  W (2, 4), B (4,)
        layers[1]: ReLU
        layers[2]: Linear  W (4, 1), B (1,)
        layers[3]: tanh
    """

    def __init__(self, *layers: Callable[[Any], Any]) -> None:
        for layer in layers:
            if not callable(layer) or isinstance(layer, type):
                raise TypeError(f"Sequential: {layer!r} is no layer: give modules or functions.")
        self.layers = list(layers)

    def forward(self, x: Any) -> Any:
        """The last layer of ... of the first layer of x."""
        for layer in self.layers:
            x = layer(x)
        return x

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, i: int) -> Any:
        return self.layers[i]


# --- activations as modules -----------------------------------------------------------------------


class ReLU(Module):
    """`relu` as a module.

    >>> ReLU()(np.array([-1.0, 2.0]))
    array([0., 2.])
    """

    def forward(self, x: Any) -> Any:
        """max(x, 0)."""
        return relu(x)


class LeakyReLU(Module):
    """`leaky_relu` as a module.

    >>> LeakyReLU(0.1)(np.array([-1.0, 2.0]))
    array([-0.1,  2. ])
    """

    def __init__(self, slope: float = 0.01) -> None:
        self.slope = slope

    def forward(self, x: Any) -> Any:
        """`x`, or slope x where x is negative."""
        return leaky_relu(x, self.slope)


class ELU(Module):
    """`elu` as a module.

    >>> ELU(2.0)(np.array([-1e4, 2.0]))
    array([-2.,  2.])
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def forward(self, x: Any) -> Any:
        """`x`, or alpha (exp(x) - 1) where x is negative."""
        return elu(x, self.alpha)


class GELU(Module):
    """`gelu` as a module, in its tanh form.

    >>> GELU()(np.array([0.0, 1e4]))
    array([    0., 10000.])
    """

    def forward(self, x: Any) -> Any:
        """`x` times the normal distribution function of x."""
        return gelu(x)


class SiLU(Module):
    """`silu` as a module.

    >>> SiLU()(np.array([0.0, 1e4]))
    array([    0., 10000.])
    """

    def forward(self, x: Any) -> Any:
        """`x` sigmoid(x)."""
        return silu(x)


class Softplus(Module):
    """`softplus` as a module.

    >>> Softplus()(np.array([-1e4, 1e4]))
    array([    0., 10000.])
    """

    def forward(self, x: Any) -> Any:
        """log(1 + exp(x))."""
        return softplus(x)


class Sigmoid(Module):
    """`sigmoid` as a module.

    >>> Sigmoid()(np.array([-1e4, 0.0]))
    array([0. , 0.5])
    """

    def forward(self, x: Any) -> Any:
        """1 / (1 + exp(-x))."""
        return sigmoid(x)


class Tanh(Module):
    """`np.tanh` as a module.

    >>> Tanh()(np.array([0.0, 1e4]))
    array([0., 1.])
    """

    def forward(self, x: Any) -> Any:
        """tanh(x)."""
        return np.tanh(x)


class Softmax(Module):
    """`softmax` as a module; `cross_entropy` wants what comes before it.

    >>> Softmax()(np.array([[0.0, 0.0]]))
    array([[0.5, 0.5]])
    """

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: Any) -> Any:
        """exp(x) / Σ exp(x)."""
        return softmax(x, self.axis)


class LogSoftmax(Module):
    """`log_softmax` as a module.

    >>> LogSoftmax()(np.array([[0.0, 0.0]])).round(6)
    array([[-0.693147, -0.693147]])
    """

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: Any) -> Any:
        """`x` - log Σ exp(x)."""
        return log_softmax(x, self.axis)


# --- the network of the drawing -------------------------------------------------------------------


class MLP(Module):
    """A multilayer perceptron, as lists of matrices: ``A[i+1] = relu(A[i] @ W[i] + B[i])``.

    The last layer is linear; its result is the output y, which is not in `A`.

    Parameters
    ----------
    sizes : sequence of int
        Number of neurons of each layer, input first: ``[3, 5, 2]``.
    rng : None, int or numpy.random.Generator
        For the initial weights (He); biases start at zero.
    dtype : dtype
    activation : callable
        Applied after every layer but the last.

    Attributes
    ----------
    W : list of Tensor
        ``W[i]``, shape (n_in, n_out), connects layer i with layer i+1; ``W[0][1, 2]`` is the weight
        from neuron 1 of layer 0 to neuron 2 of layer 1. (PyTorch stores the transpose.)
    B : list of Tensor
        ``B[i]``, shape (n_out,), the biases of layer i+1.
    A : list of Tensor
        Filled by each forward pass: ``A[0]`` is x as it came in, ``A[i]`` what layer i puts out.

    Examples
    --------
    >>> net = MLP([2, 4, 1], rng=0)
    >>> net([[1.0, 2.0], [0.5, -1.0], [0.0, 3.0]]).shape
    (3, 1)
    >>> [w.shape for w in net.W], len(net.A)
    ([(2, 4), (4, 1)], 2)
    """

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        rng: "int | np.random.Generator | None" = None,
        dtype: Any = np.float64,
        activation: Callable[[Any], Any] = relu,
    ) -> None:
        n_layers = len(sizes) if hasattr(sizes, "__len__") else 0
        if n_layers < 2 or not all(isinstance(n, (int, np.integer)) and n > 0 for n in sizes):
            raise ShapeError(f"MLP: sizes {sizes!r}: give at least two integers from 1 on.")
        if not callable(activation):
            raise TypeError(
                f"MLP: activation={activation!r} is no function, as relu and np.tanh are."
            )
        rng = np.random.default_rng(rng)
        self.activation = activation
        self.W: list[Tensor] = []
        self.B: list[Tensor] = []
        self.A: list[Tensor] = []
        for i, (n_in, n_out) in enumerate(pairwise(sizes)):
            self.W.append(Tensor(he_normal(n_in, n_out, rng, dtype), True, f"W[{i}]"))
            self.B.append(Tensor(np.zeros(n_out, dtype), True, f"B[{i}]"))
            self.W[i].scope = self.B[i].scope = f"layer {i}"
        self._names = [(f"Z[{i}]", f"A[{i}]", f"layer {i - 1}") for i in range(1, len(sizes))]
        self._names[-1] = ("y", "", f"layer {len(sizes) - 2}")

    def __call__(self, x: Any) -> Tensor:
        """Forward pass.

        Parameters
        ----------
        x : array or Tensor, shape (batch, n_in)

        Returns
        -------
        Tensor, shape (batch, n_out)
        """
        self.A = []  # the graph of the last pass is free before the next one is built
        a = x if isinstance(x, Tensor) else Tensor(x, name="A[0]")
        if a._data.ndim < 2:
            raise ShapeError(
                f"MLP: x {a.shape}: the first axis is the batch; for a single sample "
                f"x.reshape(1, -1)."
            )
        A = [a]
        activation = self.activation
        last = len(self.W) - 1
        for i, w in enumerate(self.W):
            m = a @ w
            z = m + self.B[i]
            z.name, a_name, z.scope = self._names[i]
            m.scope = z.scope
            if i < last:
                a = activation(z)
                a.name = a_name
                a.scope = z.scope
                A.append(a)
        self.A = A
        return z

    forward = __call__

    def parameters(self) -> list[Tensor]:
        """All of W, then all of B."""
        return [*self.W, *self.B]

    def _attributes(self) -> Mapping[str, Any]:
        return {"W": self.W, "B": self.B}  # A holds results

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of neurons of each layer."""
        return (self.W[0].shape[0], *(w.shape[1] for w in self.W))

    def __repr__(self) -> str:
        n = sum(p.size for p in self.parameters())
        return f"MLP({list(self.sizes)}, dtype={self.W[0].dtype})  # {n:,} parameters"
