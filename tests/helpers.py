"""What several tests share: derivatives by differences, and arrays that are not NumPy's."""

import copy
import gc
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_mlp import Tensor

NUMPY = tuple(map(int, np.__version__.split(".")[:2]))

H = 1e-6
"""Step of central differences: the error is about h² + 1e-16 / h = 1e-10, times the curvature."""


def golden(name: str, text: str) -> str:
    """The text kept in golden/; with REDRAW=1 in the environment, `text` is kept from now on."""
    file = Path(__file__).parent / "golden" / name
    if os.environ.get("REDRAW"):
        file.write_text(text, "utf-8")
    return file.read_text("utf-8")


def differences(f: Callable[..., float], arrays: list[Any], h: float = H) -> list[Any]:
    """The gradient of the scalar `f(*arrays)` by central differences, entry by entry."""
    gradients = []
    for i, a in enumerate(arrays):
        gradient = np.zeros(a.shape)
        for index in np.ndindex(a.shape):
            up, down = a.copy(), a.copy()
            up[index] += h
            down[index] -= h
            plus = f(*arrays[:i], up, *arrays[i + 1 :])
            minus = f(*arrays[:i], down, *arrays[i + 1 :])
            gradient[index] = (plus - minus) / (up[index] - down[index])
        gradients.append(gradient)
    return gradients


def complex_step(f: Callable[..., Any], arrays: list[Any], h: float = 1e-30) -> list[Any]:
    """The gradient of the scalar `f(*arrays)` from its imaginary part: nothing cancels."""
    gradients = []
    for i, a in enumerate(arrays):
        gradient = np.zeros(a.shape)
        for index in np.ndindex(a.shape):
            z = a.astype(complex)
            z[index] += 1j * h
            gradient[index] = np.imag(f(*arrays[:i], z, *arrays[i + 1 :])) / h
        gradients.append(gradient)
    return gradients


def leaves(*arrays: Any) -> list[Tensor]:
    """A Tensor that requires a gradient for each array, named a, b, c, ..."""
    return [Tensor(a, requires_grad=True, name=chr(97 + i)) for i, a in enumerate(arrays)]


def vjp(f: Callable[..., Tensor], arrays: list[Any], g: Any = None) -> list[Any]:
    """The gradients that `f(*tensors).backward(g)` leaves on the leaves."""
    tensors = leaves(*arrays)
    f(*tensors).backward(g)
    return [np.zeros(t.shape) if t.grad is None else t.grad for t in tensors]


@contextmanager
def no_cycles() -> Iterator[None]:
    """Fail if the block leaves something that only the cycle collector can free."""
    gc.collect()
    gc.disable()
    try:
        yield
        assert gc.collect() == 0
    finally:
        gc.enable()


COMPARISONS = {np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal}


class Foreign:
    """An array of another library: it speaks NumPy's two protocols and will not become an ndarray.

    As strict as arrays on a device are: ``np.asarray`` of one, and an ndarray as its operand, are
    errors. Numbers, NumPy's scalars included, are fine, and so are 0-d arrays in comparisons, into
    which NumPy turns numbers on its own.
    """

    def __init__(self, data: Any) -> None:
        assert type(data) is not Foreign
        self._a = np.asarray(data)

    shape = property(lambda self: self._a.shape)
    ndim = property(lambda self: self._a.ndim)
    size = property(lambda self: self._a.size)
    dtype = property(lambda self: self._a.dtype)
    T = property(lambda self: Foreign(self._a.T))

    def host(self) -> Any:
        """The numbers, for a test to look at."""
        return self._a

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("Foreign: implicit conversion to a NumPy array")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if any(hasattr(x, "_record") for x in inputs):  # a Tensor: its turn
            return NotImplemented
        if ufunc in COMPARISONS:
            inputs = tuple(
                x.item() if isinstance(x, np.ndarray) and x.ndim == 0 else x for x in inputs
            )
        return wrapped(getattr(ufunc, method)(*map(unwrapped, inputs), **unwrapped(kwargs)))

    def __array_function__(self, fun: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if any(hasattr(t, "_record") for t in types):
            return NotImplemented
        return wrapped(fun(*map(unwrapped, args), **unwrapped(kwargs)))

    def __len__(self) -> int:
        return len(self._a)

    def __getitem__(self, index: Any) -> Any:
        return wrapped(self._a[unwrapped(index)])

    def __setitem__(self, index: Any, value: Any) -> None:
        self._a[unwrapped(index)] = unwrapped(value)

    def __deepcopy__(self, memo: Any) -> "Foreign":
        return Foreign(copy.deepcopy(self._a, memo))


def unwrapped(a: Any) -> Any:
    """The array in a Foreign; an ndarray is refused."""
    if isinstance(a, Foreign):
        return a._a
    if isinstance(a, np.ndarray):
        raise TypeError("Foreign: an ndarray as operand")
    if isinstance(a, (list, tuple)):
        return type(a)(map(unwrapped, a))
    if isinstance(a, dict):
        return {k: unwrapped(v) for k, v in a.items()}
    return a


def wrapped(a: Any) -> Any:
    """A Foreign for every array, 0-d results included."""
    if isinstance(a, tuple):
        return tuple(map(wrapped, a))
    return Foreign(a) if isinstance(a, (np.ndarray, np.generic)) else a


def operator_method(ufunc: Any, swap: bool = False) -> Callable[[Any, Any], Any]:
    def method(self: Any, other: Any) -> Any:
        if hasattr(other, "_record"):  # a Tensor: its turn
            return NotImplemented
        return ufunc(other, self) if swap else ufunc(self, other)

    return method


def array_method(name: str) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = getattr(self._a, name)(*map(unwrapped, args), **unwrapped(kwargs))
        return self if result is self._a else wrapped(result)

    return method


for _name, _ufunc in {
    **{"add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.divide},
    **{"matmul": np.matmul, "pow": np.power},
}.items():
    setattr(Foreign, f"__{_name}__", operator_method(_ufunc))
    setattr(Foreign, f"__r{_name}__", operator_method(_ufunc, swap=True))
for _name, _ufunc in {
    **{"gt": np.greater, "ge": np.greater_equal, "lt": np.less, "le": np.less_equal},
    **{"eq": np.equal, "ne": np.not_equal},
}.items():
    setattr(Foreign, f"__{_name}__", operator_method(_ufunc))
for _name in ("__and__", "__or__", "__isub__", "__iadd__", "__imul__"):
    setattr(Foreign, _name, array_method(_name))
for _name in ("__neg__", "__pos__", "__abs__", "__invert__"):
    setattr(Foreign, _name, array_method(_name))
for _name in ("sum", "reshape", "ravel", "dot", "astype", "transpose", "copy", "item"):
    setattr(Foreign, _name, array_method(_name))


def unmeasured() -> dict[str, str]:
    """The environment of a child that coverage does not measure.

    It would hold a lock of its own now and then, and a Ctrl-C just there is a deadlock.
    """
    return {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}


def interrupt(child: "subprocess.Popen[Any]") -> tuple[Any, Any]:
    """Press Ctrl-C; what the child had printed. One that does not end is killed, and a failure."""
    child.send_signal(signal.SIGINT)
    try:
        return child.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        child.kill()
        raise
