"""Every error this package raises on purpose, one tree.

    TinygradMLPError
    ├── ShapeError       (also a ValueError)    shapes that do not fit
    ├── GradientError    (also a RuntimeError)  a derivative that does not exist or would be wrong
    ├── MissingVJPError  (also a TypeError)     a function no rule is known for
    ├── NumericsError    (also a FloatingPointError)  nan out of nothing, a dtype that widens
    ├── RenderError      (also a RuntimeError)  a picture that could not be made
    └── DataError        (also a ValueError)    a file or data set that is not what it should be

``except TinygradMLPError`` catches all of them; each is also the builtin one would expect. A
message says what was called, what it was given, and a way out.

>>> import numpy as np
>>> from tinygrad_mlp import Tensor, TinygradMLPError, draw
>>> w = Tensor(np.ones((4, 3)), requires_grad=True, name="w")
>>> np.ones((7, 5)) @ w
Traceback (most recent call last):
tinygrad_mlp.errors.ShapeError: matmul: a (7, 5) @ w (4, 3): a has 5 columns, w has 4 rows; they
must be equal.
>>> w.backward()
Traceback (most recent call last):
tinygrad_mlp.errors.GradientError: backward() needs a scalar loss; w (4, 3) is not one. ...
>>> np.apply_along_axis(np.sum, 0, w)
Traceback (most recent call last):
tinygrad_mlp.errors.MissingVJPError: np.apply_along_axis has no VJP rule. Write ...
>>> draw("w")
Traceback (most recent call last):
tinygrad_mlp.errors.RenderError: draw: a Tensor is drawn, usually the loss, not ...
>>> try:
...     np.ones(5) + w
... except TinygradMLPError as error:
...     print(error)
add: a (5,) + w (4, 3): axis -1 is 5 against 3; they must be equal, or one of them 1.
"""

__all__ = [
    "DataError",
    "GradientError",
    "MissingVJPError",
    "NumericsError",
    "RenderError",
    "ShapeError",
    "TinygradMLPError",
]


class TinygradMLPError(Exception):
    """The root of the tree."""


class ShapeError(TinygradMLPError, ValueError):
    """Shapes do not fit each other."""


class GradientError(TinygradMLPError, RuntimeError):
    """A derivative does not exist here, or would silently be wrong."""


class MissingVJPError(TinygradMLPError, TypeError):
    """A function, or one of its arguments, has no VJP rule."""


class NumericsError(TinygradMLPError, FloatingPointError):
    """Inside `checked`: an op made nan of finite numbers, or widened a dtype."""


class RenderError(TinygradMLPError, RuntimeError):
    """A picture could not be made or written."""


class DataError(TinygradMLPError, ValueError):
    """A file or data set is damaged, foreign, or not what it should be."""
