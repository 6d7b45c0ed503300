"""tinygrad_mlp: an autograd framework that a person can read, see and check."""

import sys
from typing import TYPE_CHECKING, Any

from . import data, elementary, linear_algebra, reductions, shaping  # noqa: F401
from .errors import (
    DataError,
    GradientError,
    MissingVJPError,
    NumericsError,
    RenderError,
    ShapeError,
    TinygradMLPError,
)
from .functional import (
    bce_with_logits,
    cross_entropy,
    elu,
    gelu,
    huber,
    leaky_relu,
    log_softmax,
    logsumexp,
    mae,
    sigmoid,
    silu,
    softmax,
    softplus,
)
from .graph import no_grad
from .layers import BatchNorm, Dropout, LayerNorm
from .manual import ManualMLP
from .nn import (
    ELU,
    GELU,
    MLP,
    LeakyReLU,
    Linear,
    LogSoftmax,
    Module,
    ReLU,
    Sequential,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from .ops import mse, relu, scatter
from .optim import SGD, Adam, AdamW, RMSprop, Schedule, clip_grad_norm, clip_grad_value
from .primitives import defvjp, primitive
from .scoping import scope
from .tensor import Tensor
from .transforms import grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp

if TYPE_CHECKING:
    from .anatomy import draw_anatomy
    from .checking import compare
    from .compiling import jit
    from .deriving import Program, derive
    from .drawing import draw
    from .inspecting import checked
    from .judging import Comparison
    from .marking import cmp, cmp_lines
    from .playing import Player, play
    from .probing import probe
    from .saving import load, save
    from .testing import gradcheck
    from .training import accuracy, fit, plot_history, r_squared
    from .worksheets import mark

__version__ = "0.1.0"

__all__ = [
    "ELU",
    "GELU",
    "MLP",
    "SGD",
    "Adam",
    "AdamW",
    "BatchNorm",
    "Comparison",
    "DataError",
    "Dropout",
    "GradientError",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "ManualMLP",
    "MissingVJPError",
    "Module",
    "NumericsError",
    "Player",
    "Program",
    "RMSprop",
    "ReLU",
    "RenderError",
    "Schedule",
    "Sequential",
    "ShapeError",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
    "Tensor",
    "TinygradMLPError",
    "accuracy",
    "bce_with_logits",
    "checked",
    "clip_grad_norm",
    "clip_grad_value",
    "cmp",
    "cmp_lines",
    "compare",
    "cross_entropy",
    "data",
    "defvjp",
    "derive",
    "draw",
    "draw_anatomy",
    "elu",
    "fit",
    "gelu",
    "grad",
    "gradcheck",
    "hessian",
    "huber",
    "hvp",
    "jacobian",
    "jit",
    "jvp",
    "leaky_relu",
    "load",
    "log_softmax",
    "logsumexp",
    "mae",
    "mark",
    "mse",
    "no_grad",
    "play",
    "plot_history",
    "primitive",
    "probe",
    "r_squared",
    "relu",
    "save",
    "scatter",
    "scope",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "value_and_grad",
    "vjp",
]

_READINGS = {
    "anatomy": ["draw_anatomy"],
    "checking": ["compare"],
    "compiling": ["jit"],
    "deriving": ["Program", "derive"],
    "drawing": ["draw"],
    "inspecting": ["checked"],
    "judging": ["Comparison"],
    "marking": ["cmp", "cmp_lines"],
    "playing": ["Player", "play"],
    "probing": ["probe"],
    "saving": ["load", "save"],
    "testing": ["gradcheck"],
    "training": ["accuracy", "fit", "plot_history", "r_squared"],
    "worksheets": ["mark"],
}
"""Module -> names. It is imported when one is first used: training needs none of them."""


def __getattr__(name: str) -> Any:
    module = next((m for m, names in _READINGS.items() if name in names), None)
    if module is None:
        text = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(text, name=name, obj=sys.modules[__name__])  # it suggests
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f".{module}", __name__), name)
    return value


def __dir__() -> list[str]:
    return __all__
