"""tinygrad_mlp: an autograd framework that a person can read, see and check."""

from typing import TYPE_CHECKING, Any

from . import data
from .errors import (
    DataError,
    GradientError,
    MissingVJPError,
    RenderError,
    ShapeError,
    TinygradMLPError,
)
from .graph import no_grad
from .manual import ManualMLP
from .nn import MLP
from .ops import mse, relu, scatter
from .optim import SGD
from .primitives import defvjp, primitive
from .tensor import Tensor
from .transforms import grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp

if TYPE_CHECKING:
    from .checking import Comparison, compare, probe
    from .compiling import jit
    from .deriving import Program, derive
    from .drawing import draw
    from .testing import gradcheck

__version__ = "0.1.0"

__all__ = [
    "MLP",
    "SGD",
    "Comparison",
    "DataError",
    "GradientError",
    "ManualMLP",
    "MissingVJPError",
    "Program",
    "RenderError",
    "ShapeError",
    "Tensor",
    "TinygradMLPError",
    "compare",
    "data",
    "defvjp",
    "derive",
    "draw",
    "grad",
    "gradcheck",
    "hessian",
    "hvp",
    "jacobian",
    "jit",
    "jvp",
    "mse",
    "no_grad",
    "primitive",
    "probe",
    "relu",
    "scatter",
    "value_and_grad",
    "vjp",
]

_READINGS = {
    "Comparison": "checking",
    "compare": "checking",
    "probe": "checking",
    "Program": "deriving",
    "derive": "deriving",
    "draw": "drawing",
    "jit": "compiling",
    "gradcheck": "testing",
}
"""Name -> module that is imported when the name is first used: training needs none of them."""


def __getattr__(name: str) -> Any:
    if name not in _READINGS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f".{_READINGS[name]}", __name__), name)
    return value


def __dir__() -> list[str]:
    return __all__
