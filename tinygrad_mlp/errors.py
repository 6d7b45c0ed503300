"""Every error this package raises on purpose, one tree.

    TinygradMLPError
    ├── ShapeError       (also a ValueError)    shapes that do not fit
    ├── GradientError    (also a RuntimeError)  a derivative that does not exist or would be wrong
    ├── MissingVJPError  (also a TypeError)     a function no rule is known for
    ├── NumericsError    (also a FloatingPointError)  nan out of nothing, a dtype that widens
    ├── RenderError      (also a RuntimeError)  a picture that could not be made
    └── DataError        (also a ValueError)    a file or data set that is not what it should be

``except TinygradMLPError`` catches all of them; each is also the builtin one would expect.
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
