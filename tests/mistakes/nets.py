"""The networks, their data, and their gradients by an oracle that shares nothing with the package.

The oracle is a complex step through a forward pass in plain NumPy, written down once more here. A
relu looks at the real part, so no kink is crossed.
"""

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tinygrad_mlp import MLP, Tensor, cross_entropy, mse, probe, relu, sigmoid, softmax
from tinygrad_mlp.functional import bce_with_logits
from tinygrad_mlp.probing import drawn

STEP = 1e-30
ENTRIES = 60  # of a gradient that has more, so many are looked at


@dataclass
class Net:
    """A network with its data: an MLP (`sizes`), or a graph (`build` and `inputs`)."""

    name: str
    about: str
    arrays: dict[str, Any]  # of all inputs, "W[0]", ... "x", "t"
    forward: Callable[..., Any]  # (arrays, relu) -> loss and values by name, in NumPy
    parameters: list[str]
    sizes: tuple[int, ...] = ()
    activation: Any = relu
    build: Callable[..., Any] | None = None  # the same with Tensors -> loss
    data: Callable[..., Any] | None = None  # (rng, batch) -> all but the parameters of a graph
    tolerance: float = 1e-9  # relative, for the oracle
    kinks: bool = False
    cache: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name

    @property
    def is_mlp(self) -> bool:
        return self.build is None

    @property
    def batch(self) -> int:
        """How many samples there are."""
        return len(next(a for k, a in self.arrays.items() if k not in self.parameters))

    @property
    def weights(self) -> tuple[list[Any], list[Any]]:
        """W and B of an MLP."""
        n = range(len(self.sizes) - 1)
        return [self.arrays[f"W[{i}]"] for i in n], [self.arrays[f"B[{i}]"] for i in n]

    def reference(self) -> MLP:
        """An MLP with these weights."""
        net = MLP(self.sizes, rng=0, activation=self.activation)
        W, B = self.weights
        net.W = [Tensor(w, True, f"W[{i}]") for i, w in enumerate(W)]
        net.B = [Tensor(b, True, f"B[{i}]") for i, b in enumerate(B)]
        return net

    def loss(self) -> Tensor:
        """The recorded loss."""
        if self.build is None:
            x, t = Tensor(self.arrays["x"], name="A[0]"), Tensor(self.arrays["t"], name="t")
            return mse(self.reference()(x), t)
        tensors = {k: Tensor(a, k in self.parameters, k) for k, a in self.arrays.items()}
        return self.build(tensors)

    def elsewhere(self) -> "Net":
        """The same MLP at other weights and data, that are special in nothing."""
        if "elsewhere" not in self.cache:
            rng = np.random.default_rng(99)
            W = [rng.normal(size=w.shape) * (2 / len(w)) ** 0.5 for w in self.weights[0]]
            B = [rng.normal(size=b.shape) * 0.5 for b in self.weights[1]]
            W, B = ([a.astype(self.arrays["x"].dtype) for a in c] for c in (W, B))
            net = mlp(self.name, self.about, self.sizes, 0, weights=(W, B))
            net.arrays["x"], net.arrays["t"] = probe(net.reference(), 3)
            net.activation, net.forward = self.activation, self.forward
            self.cache["elsewhere"] = net
        return self.cache["elsewhere"]

    def unseen(self, batch: int = 11) -> "Net":
        """The same network with other weights, on a batch of another size; drawn anew.

        Nothing about it is special, and its data are none on which `compare` tries its causes.
        """
        key = f"unseen {batch}"
        if key not in self.cache:
            rng = np.random.default_rng(2024)
            if self.data is None:
                W, B = drawn(*self.weights, rng=2024)
                net = mlp(self.name, self.about, self.sizes, batch, seed=2024, weights=(W, B))
                dtype = self.arrays["x"].dtype
                net.arrays |= {k: net.arrays[k].astype(dtype) for k in "xt"}
            else:
                some = {k: rng.normal(size=self.arrays[k].shape) * 0.7 for k in self.parameters}
                net = replace(self, arrays={**some, **self.data(rng, batch)}, cache={})
            net.activation, net.forward = self.activation, self.forward
            self.cache[key] = net
        return self.cache[key]

    def sample(self, k: int) -> "Net":
        """One sample of an MLP."""
        some = {name: self.arrays[name][k : k + 1] for name in "xt"}
        return replace(self, arrays=self.arrays | some, cache={})


# --- the oracle -----------------------------------------------------------------------------------


def lower(z: Any) -> Any:
    """Relu whose slope at 0 is 0."""
    return np.where(np.real(z) > 0, z, 0)


def upper(z: Any) -> Any:
    """Relu whose slope at 0 is 1."""
    return np.where(np.real(z) >= 0, z, 0)


def entries_of(a: Any) -> list[tuple[int, ...]]:
    """Indices of `a`, some of them if there are many."""
    every = list(np.ndindex(a.shape))
    return every if len(every) <= ENTRIES else every[:: len(every) // ENTRIES]


def oracle(net: Net, kink: Callable[[Any], Any] = lower) -> dict[str, Any]:
    """Name of a gradient -> the right entries, nan where none was looked at; and y."""
    key = f"oracle {kink.__name__}"
    if key not in net.cache:
        wide = {k: a.astype(float) if a.dtype.kind == "f" else a for k, a in net.arrays.items()}
        _, values = net.forward(wide, kink)
        right = {"y": values["y"]} if "y" in values else {}
        for name in net.parameters:
            gradient = np.full(wide[name].shape, np.nan)
            for index in entries_of(gradient):
                moved = wide[name].astype(complex)
                moved[index] += 1j * STEP
                gradient[index] = np.imag(net.forward({**wide, name: moved}, kink)[0]) / STEP
            right[f"d{name}"] = gradient
        for name, value in values.items():  # an intermediate: a bump is added where it is made
            gradient = np.full(np.shape(value), np.nan)
            for index in entries_of(gradient):
                bump = np.zeros(np.shape(value), complex)
                bump[index] = 1j * STEP
                gradient[index] = (
                    np.imag(net.forward({**wide, "bump": {name: bump}}, kink)[0]) / STEP
                )
            right[f"d{name}"] = gradient
        net.cache[key] = right
    return net.cache[key]


def agree(given: Any, right: Any, tolerance: float) -> bool:
    """Whether `given` has the shape of `right` and its entries, where these are known."""
    try:
        given = np.asarray(given, float)
    except (TypeError, ValueError):
        return False
    if given.shape != right.shape or not np.isfinite(given).all():
        return False
    known = ~np.isnan(right)
    largest = np.max(abs(right[known]), initial=0)
    return bool(np.all(abs(given - right)[known] <= tolerance * largest))


def wrong_of(net: Net, given: dict[str, Any], tolerance: float | None = None) -> list[str]:
    """Names in `given` that the oracle finds wrong, in the order of `given`."""
    tolerance = net.tolerance if tolerance is None else tolerance
    slopes = [lower, upper] if net.kinks else [lower]
    return [
        name
        for name, a in given.items()
        if not any(agree(a, oracle(net, slope)[name], tolerance) for slope in slopes)
    ]


# --- multilayer perceptrons -----------------------------------------------------------------------


def bumped(arrays: dict[str, Any], values: dict[str, Any], name: str, value: Any) -> Any:
    """`value`, kept under its name; with a bump if the oracle asks for its gradient."""
    values[name] = value
    return value + arrays.get("bump", {}).get(name, 0)


def mlp_forward(arrays: dict[str, Any], kink: Any, activation: Any = None) -> Any:
    """Loss and values of an MLP."""
    a, values = arrays["x"], {}
    last = sum(name.startswith("W") for name in arrays) - 1
    for i in range(last + 1):
        z = a @ arrays[f"W[{i}]"] + arrays[f"B[{i}]"]
        z = bumped(arrays, values, "y" if i == last else f"Z[{i + 1}]", z)
        if i < last:
            a = bumped(arrays, values, f"A[{i + 1}]", (activation or kink)(z))
    return ((z - arrays["t"]) ** 2).sum() / len(z), values


def mlp(
    name: str,
    about: str,
    sizes: tuple[int, ...],
    batch: int,
    seed: int = 0,
    dtype: Any = float,
    scale: float = 1.0,
    weights: Any = None,
) -> Net:
    """An MLP whose biases are not zero, with data of size `scale`."""
    rng = np.random.default_rng(seed)
    arrays: dict[str, Any] = {}
    for i, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
        w, b = rng.normal(size=(n_in, n_out)) * (2 / n_in) ** 0.5, rng.normal(size=n_out) * 0.4
        arrays[f"W[{i}]"], arrays[f"B[{i}]"] = w, b * scale
        if weights:
            arrays[f"W[{i}]"], arrays[f"B[{i}]"] = weights[0][i], weights[1][i]
    parameters = list(arrays)
    arrays["x"] = rng.normal(size=(batch, sizes[0])) * scale
    arrays["t"] = rng.normal(size=(batch, sizes[-1])) * scale
    arrays = {k: a.astype(a.dtype if weights else dtype) for k, a in arrays.items()}
    wide = dtype is float and arrays["W[0]"].dtype == float
    tolerance = 1e-9 if wide else 3e-5
    return Net(name, about, arrays, mlp_forward, parameters, sizes, tolerance=tolerance)


def near_fit() -> Net:
    net = mlp("near_fit", "targets within 1e-8 of the output", (4, 6, 5, 3), 7, seed=3)
    noise = np.random.default_rng(4).normal(size=(7, 3))
    net.arrays["t"] = mlp_forward(net.arrays, lower)[1]["y"] + 1e-8 * noise
    net.tolerance = 1e-5
    return net


def kinks() -> Net:
    """Small integers everywhere, so that many z are exactly 0."""
    net = mlp("kinks", "several z are exactly 0", (3, 5, 4, 2), 7)
    rng = np.random.default_rng(15)
    for name, a in net.arrays.items():
        net.arrays[name] = rng.integers(-2, 3, size=a.shape).astype(float)
    net.arrays["t"] += 0.5
    net.kinks = True
    return net


def active() -> Net:
    net = mlp("active", "all units are active: no mask shows", (3, 5, 4, 2), 7, seed=6)
    net.arrays["B[0]"] += 20
    net.arrays["B[1]"] += 200
    return net


def tanh() -> Net:
    net = mlp("tanh", "tanh in the place of relu", (3, 5, 4, 2), 7, seed=7)
    net.activation = np.tanh
    net.forward = functools.partial(mlp_forward, activation=np.tanh)
    return net


# --- other graphs ---------------------------------------------------------------------------------


def graph(
    name: str, about: str, shapes: dict[str, Any], data: Any, build: Any, forward: Any, batch: int
) -> Net:
    """A network that `build` records and `forward` computes; `data` draws the data."""
    rng = np.random.default_rng(len(name))
    arrays = {k: rng.normal(size=shape) * 0.7 for k, shape in shapes.items()}
    arrays |= data(rng, batch)
    return Net(name, about, arrays, forward, list(shapes), build=build, data=data)


def named(name: str, tensor: Any) -> Any:
    tensor.name = name
    return tensor


def regression(n_in: int, n_out: int) -> Any:
    return lambda rng, batch: {
        "x": rng.normal(size=(batch, n_in)),
        "t": rng.normal(size=(batch, n_out)),
    }


def squared(y: Any, t: Any) -> Any:
    return ((y - t) ** 2).sum() / len(y)


def softmax_of(z: Any) -> Any:
    e = np.exp(z - np.max(np.real(z), axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def residual() -> Net:
    def build(p: Any) -> Any:
        A1 = named("A[1]", relu(named("Z[1]", p["x"] @ p["W[0]"] + p["B[0]"])))
        R = named("R", relu(named("Z[2]", A1 @ p["W[1]"] + p["B[1]"])))
        H = named("H", A1 + R)
        return mse(named("y", H @ p["W[2]"] + p["B[2]"]), p["t"])

    def forward(p: Any, kink: Any) -> Any:
        v: dict[str, Any] = {}
        keep = functools.partial(bumped, p, v)
        A1 = keep("A[1]", kink(keep("Z[1]", p["x"] @ p["W[0]"] + p["B[0]"])))
        R = keep("R", kink(keep("Z[2]", A1 @ p["W[1]"] + p["B[1]"])))
        H = keep("H", A1 + R)
        return squared(keep("y", H @ p["W[2]"] + p["B[2]"]), p["t"]), v

    shapes = {"W[0]": (3, 5), "B[0]": 5, "W[1]": (5, 5), "B[1]": 5, "W[2]": (5, 2), "B[2]": 2}
    return graph("residual", "h + relu(h W + b)", shapes, regression(3, 2), build, forward, 7)


def classes() -> Net:
    def build(p: Any) -> Any:
        A1 = named("A[1]", relu(named("Z[1]", p["x"] @ p["W[0]"] + p["B[0]"])))
        return cross_entropy(named("z", A1 @ p["W[1]"] + p["B[1]"]), p["labels"])

    def forward(p: Any, kink: Any) -> Any:
        v: dict[str, Any] = {}
        keep = functools.partial(bumped, p, v)
        A1 = keep("A[1]", kink(keep("Z[1]", p["x"] @ p["W[0]"] + p["B[0]"])))
        z = keep("z", A1 @ p["W[1]"] + p["B[1]"])
        rows = np.arange(len(z))
        return -np.log(softmax_of(z)[rows, p["labels"]]).sum() / len(z), v

    def data(rng: Any, batch: int) -> Any:
        labels = np.resize([0, 3, 1, 1, 2, 0, 3], batch)
        return {"x": rng.normal(size=(batch, 3)), "labels": labels}

    shapes = {"W[0]": (3, 5), "B[0]": 5, "W[1]": (5, 4), "B[1]": 4}
    return graph("classes", "softmax and cross-entropy", shapes, data, build, forward, 7)


def tied() -> Net:
    def build(p: Any) -> Any:
        H = named("H", relu(named("Z", p["x"] @ p["W"] + p["b"])))
        return mse(named("y", H @ p["W"].T + p["c"]), p["x"])

    def forward(p: Any, kink: Any) -> Any:
        v: dict[str, Any] = {}
        keep = functools.partial(bumped, p, v)
        H = keep("H", kink(keep("Z", p["x"] @ p["W"] + p["b"])))
        return squared(keep("y", H @ p["W"].T + p["c"]), p["x"]), v

    def data(rng: Any, batch: int) -> Any:
        return {"x": rng.normal(size=(batch, 4))}

    shapes = {"W": (4, 3), "b": 3, "c": 4}
    return graph("tied", "autoencoder with one W for both ways", shapes, data, build, forward, 7)


def recurrent() -> Net:
    steps = 4

    def build(p: Any) -> Any:
        h = p["h0"]
        for k in range(steps):
            h = named(f"h[{k}]", np.tanh(p[f"x[{k}]"] @ p["U"] + h @ p["V"] + p["b"]))
        return mse(named("y", h @ p["W"]), p["t"])

    def forward(p: Any, _kink: Any) -> Any:
        v: dict[str, Any] = {}
        h = p["h0"]
        for k in range(steps):
            h = bumped(p, v, f"h[{k}]", np.tanh(p[f"x[{k}]"] @ p["U"] + h @ p["V"] + p["b"]))
        return squared(bumped(p, v, "y", h @ p["W"]), p["t"]), v

    def data(rng: Any, batch: int) -> Any:
        x = {f"x[{k}]": rng.normal(size=(batch, 3)) for k in range(steps)}
        return {**x, "h0": rng.normal(size=(batch, 4)), "t": rng.normal(size=(batch, 2))}

    shapes = {"U": (3, 4), "V": (4, 4), "b": 4, "W": (4, 2)}
    return graph("recurrent", "weights shared by 4 steps in time", shapes, data, build, forward, 5)


def batchnorm() -> Net:
    def build(p: Any) -> Any:
        z = named("z", p["x"] @ p["W[0]"])
        c = named("c", z - z.mean(axis=0))
        s = named("s", np.sqrt((c * c).mean(axis=0) + 1e-3))
        n = named("n", c / s)
        h = named("h", relu(named("q", p["gamma"] * n + p["beta"])))
        return mse(named("y", h @ p["W[1]"]), p["t"])

    def forward(p: Any, kink: Any) -> Any:
        v: dict[str, Any] = {}
        keep = functools.partial(bumped, p, v)
        z = keep("z", p["x"] @ p["W[0]"])
        c = keep("c", z - z.mean(axis=0))
        s = keep("s", np.sqrt((c * c).mean(axis=0) + 1e-3))
        n = keep("n", c / s)
        h = keep("h", kink(keep("q", p["gamma"] * n + p["beta"])))
        return squared(keep("y", h @ p["W[1]"]), p["t"]), v

    shapes = {"W[0]": (3, 5), "gamma": 5, "beta": 5, "W[1]": (5, 2)}
    return graph("batchnorm", "batch normalisation", shapes, regression(3, 2), build, forward, 8)


def binary() -> Net:
    def build(p: Any) -> Any:
        h = named("h", np.tanh(p["x"] @ p["W[0]"] + p["B[0]"]))
        return bce_with_logits(named("z", h @ p["W[1]"] + p["B[1]"]), p["t"])

    def forward(p: Any, _kink: Any) -> Any:
        v: dict[str, Any] = {}
        h = bumped(p, v, "h", np.tanh(p["x"] @ p["W[0]"] + p["B[0]"]))
        z = bumped(p, v, "z", h @ p["W[1]"] + p["B[1]"])
        s = 1 / (1 + np.exp(-z))
        return -(p["t"] * np.log(s) + (1 - p["t"]) * np.log(1 - s)).sum() / len(z), v

    def data(rng: Any, batch: int) -> Any:
        x = rng.normal(size=(batch, 3))
        return {"x": x, "t": (rng.random((batch, 1)) > 0.5).astype(float)}

    shapes = {"W[0]": (3, 5), "B[0]": 5, "W[1]": (5, 1), "B[1]": 1}
    return graph("binary", "tanh, then sigmoid and cross-entropy", shapes, data, build, forward, 6)


def attention() -> Net:
    def build(p: Any) -> Any:
        q, k, v = (named(n, p["x"] @ p[n.upper()]) for n in "qkv")
        s = named("s", q @ k.T / 5**0.5)
        a = named("a", softmax(s))
        return mse(named("y", a @ v), p["t"])

    def forward(p: Any, _kink: Any) -> Any:
        v: dict[str, Any] = {}
        keep = functools.partial(bumped, p, v)
        q, k, w = (keep(n, p["x"] @ p[n.upper()]) for n in "qkv")
        a = keep("a", softmax_of(keep("s", q @ k.T / 5**0.5)))
        return squared(keep("y", a @ w), p["t"]), v

    shapes = {"Q": (3, 5), "K": (3, 5), "V": (3, 4)}
    return graph("attention", "one head of attention", shapes, regression(3, 4), build, forward, 7)


def embedding() -> Net:
    def build(p: Any) -> Any:
        e = named("e", p["E"][p["words"]])
        h = named("h", np.tanh(e @ p["W"] + p["b"]))
        return cross_entropy(h, p["labels"])

    def forward(p: Any, _kink: Any) -> Any:
        v: dict[str, Any] = {}
        e = bumped(p, v, "e", p["E"][p["words"]])
        h = bumped(p, v, "h", np.tanh(e @ p["W"] + p["b"]))
        rows = np.arange(len(h))
        return -np.log(softmax_of(h)[rows, p["labels"]]).sum() / len(h), v

    def data(_rng: Any, batch: int) -> Any:
        words, labels = [2, 0, 2, 5, 1, 2, 0], [0, 1, 3, 2, 1, 0, 3]
        return {"words": np.resize(words, batch), "labels": np.resize(labels, batch)}

    shapes = {"E": (6, 3), "W": (3, 4), "b": 4}
    return graph("embedding", "rows of a table, some used twice", shapes, data, build, forward, 7)


def gated() -> Net:
    def build(p: Any) -> Any:
        i = named("i", sigmoid(p["x"] @ p["U"] + p["b"]))
        c = named("c", np.tanh(p["x"] @ p["V"]))
        h = named("h", i * c)
        return mse(named("y", h @ p["W"]), p["t"]) + 0.1 * (p["W"] * p["W"]).sum()

    def forward(p: Any, _kink: Any) -> Any:
        v: dict[str, Any] = {}
        i = bumped(p, v, "i", 1 / (1 + np.exp(-(p["x"] @ p["U"] + p["b"]))))
        c = bumped(p, v, "c", np.tanh(p["x"] @ p["V"]))
        h = bumped(p, v, "h", i * c)
        y = bumped(p, v, "y", h @ p["W"])
        return squared(y, p["t"]) + 0.1 * (p["W"] ** 2).sum(), v

    shapes = {"U": (3, 4), "V": (3, 4), "b": 4, "W": (4, 2)}
    return graph("gated", "a gate, and a penalty on W", shapes, regression(3, 2), build, forward, 7)


NETS = {
    net.name: net
    for net in [
        mlp("plain", "no two sizes are equal", (4, 6, 5, 3), 7),
        mlp("batch1", "a batch of one", (3, 5, 4, 2), 1, seed=5),
        mlp("one_out", "one output", (4, 5, 3, 1), 7, seed=2),
        mlp("two_out", "two outputs", (3, 5, 4, 2), 7, seed=2),
        mlp("batch_width", "as many samples as neurons in a layer", (4, 5, 6, 3), 5, seed=2),
        mlp("square", "all widths equal", (4, 4, 4, 4), 7, seed=3),
        mlp("square_batch", "all widths equal to the batch", (5, 5, 5, 5), 5, seed=4),
        mlp("deep", "eight layers", (3, 5, 4, 6, 5, 4, 6, 5, 2), 7, seed=5),
        mlp("float32", "single precision", (4, 6, 5, 3), 7, seed=1, dtype=np.float32),
        mlp("tiny", "gradients of about 1e-7", (4, 6, 5, 3), 7, seed=6, scale=2e-4),
        mlp("huge", "gradients of about 1e12", (4, 6, 5, 3), 7, seed=7, scale=1e6),
        mlp("linear", "one layer, no relu", (3, 2), 5, seed=8),
        mlp("wide", "64-128-64-10, batch 32", (64, 128, 64, 10), 32, seed=9),
        near_fit(),
        kinks(),
        active(),
        tanh(),
        residual(),
        classes(),
        tied(),
        recurrent(),
        batchnorm(),
        binary(),
        attention(),
        embedding(),
        gated(),
    ]
}
