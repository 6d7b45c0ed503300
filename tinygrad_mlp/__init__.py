"""tinygrad_mlp: an autograd framework that a person can read, see and check."""

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
from .nn import MLP
from .ops import astype, mse, relu, scatter
from .optim import SGD
from .primitives import defvjp, primitive
from .tensor import Tensor
from .transforms import grad

__version__ = "0.1.0"

__all__ = [
    "MLP",
    "SGD",
    "DataError",
    "GradientError",
    "MissingVJPError",
    "RenderError",
    "ShapeError",
    "Tensor",
    "TinygradMLPError",
    "astype",
    "data",
    "defvjp",
    "grad",
    "mse",
    "no_grad",
    "primitive",
    "relu",
    "scatter",
]
