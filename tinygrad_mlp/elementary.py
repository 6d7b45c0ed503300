"""NumPy's elementary functions: trigonometric, hyperbolic, exponentials, remainders.

They follow the conventions of `primitives`, as `ops` does. Where there is no derivative, a comment
says what stands in for it.
"""

import math
from typing import Any

import numpy as np

from .ops import larger, smaller
from .primitives import FORWARDS, HINTS, defvjp

__all__: list[str] = []

LN2, LN10 = math.log(2), math.log(10)

# --- trigonometric and hyperbolic -----------------------------------------------------------------

defvjp(np.sin, lambda g, _y, a: g * np.cos(a))
defvjp(np.cos, lambda g, _y, a: -g * np.sin(a))
defvjp(np.tan, lambda g, y, _a: g * (1 + y * y))
defvjp(np.arcsin, lambda g, _y, a: g / np.sqrt((1 - a) * (1 + a)))  # 1 - a² loses digits near ±1
defvjp(np.arccos, lambda g, _y, a: -g / np.sqrt((1 - a) * (1 + a)))
defvjp(np.arctan, lambda g, _y, a: g / (1 + a * a))
defvjp(np.sinh, lambda g, _y, a: g * np.cosh(a))
defvjp(np.cosh, lambda g, _y, a: g * np.sinh(a))
defvjp(np.arcsinh, lambda g, _y, a: g / np.sqrt(1 + a * a))
defvjp(np.arccosh, lambda g, _y, a: g / np.sqrt((a - 1) * (a + 1)))
defvjp(np.arctanh, lambda g, _y, a: g / ((1 - a) * (1 + a)))
defvjp(np.deg2rad, lambda g, _y, _a: g * (math.pi / 180))
defvjp(np.rad2deg, lambda g, _y, _a: g * (180 / math.pi))


def nonzero(x: Any) -> Any:
    """`x` to divide by: 1 where it is 0."""
    return np.where(x == 0, 1, x)


# at the origin, where neither has a derivative, both rules give 0
defvjp(
    np.hypot,
    lambda g, y, a, _b: g * a / nonzero(y),
    lambda g, y, _a, b: g * b / nonzero(y),
)
defvjp(
    np.arctan2,
    lambda g, _y, a, b: g * b / nonzero(a * a + b * b),
    lambda g, _y, a, b: -g * a / nonzero(a * a + b * b),
)

SINC = [(-1) ** k * math.pi ** (2 * k) / math.factorial(2 * k + 1) for k in range(8)]
"""Coefficients of sinc(x) in powers of x²."""


def sinc_slope(x: Any) -> Any:
    """(cos πx - sinc x) / x, and by its series where that would cancel: near 0."""
    near = np.absolute(x) < 0.1  # where the eight terms are exact to rounding
    x0, x1 = np.where(near, x, 0), np.where(near, 1, x)
    series: Any = 0
    for k in range(7, 0, -1):
        series = series * (x0 * x0) + 2 * k * SINC[k]
    return np.where(near, series * x0, (np.cos(math.pi * x1) - np.sinc(x1)) / x1)


defvjp(np.sinc, lambda g, _y, x: g * sinc_slope(x))

# --- exponentials and logarithms ------------------------------------------------------------------

defvjp(np.exp2, lambda g, y, _a: g * (y * LN2))
defvjp(np.expm1, lambda g, _y, a: g * np.exp(a))  # y + 1 would lose it at large negative a
defvjp(np.log1p, lambda g, _y, a: g / (1 + a))
defvjp(np.log2, lambda g, _y, a: g / (a * LN2))
defvjp(np.log10, lambda g, _y, a: g / (a * LN10))
defvjp(
    np.logaddexp,
    lambda g, y, a, _b: g * np.exp(a - y),
    lambda g, y, _a, b: g * np.exp(b - y),
)
defvjp(
    np.logaddexp2,
    lambda g, y, a, _b: g * np.exp2(a - y),
    lambda g, y, _a, b: g * np.exp2(b - y),
)

# --- roots, parts, remainders ---------------------------------------------------------------------

defvjp(np.cbrt, lambda g, y, _a: g / (3 * y * y))
defvjp(np.reciprocal, lambda g, y, _a: -g * y * y)
defvjp(np.fabs, lambda g, _y, a: g * np.sign(a))  # 0 at 0
defvjp(np.copysign, lambda g, y, a, _b: g * np.sign(a) * np.sign(y), None)  # 0 at 0
defvjp(np.ldexp, lambda g, _y, _a, e: np.ldexp(g, e), None)
defvjp(np.heaviside, None, lambda g, _y, a, _b: g * (a == 0))
defvjp(  # a tie is shared as in maximum; a nan gets nothing, unless both are
    np.fmax,
    lambda g, _y, a, b: larger(g, a, b) + g * (b != b),
    lambda g, _y, a, b: larger(g, b, a) + g * (a != a),
)
defvjp(
    np.fmin,
    lambda g, _y, a, b: smaller(g, a, b) + g * (b != b),
    lambda g, _y, a, b: smaller(g, b, a) + g * (a != a),
)
# a - y is a whole number of times b: a jump from one to the next has no derivative
defvjp(np.remainder, lambda g, _y, _a, _b: g, lambda g, y, a, b: -g * np.rint((a - y) / b))
defvjp(np.fmod, lambda g, _y, _a, _b: g, lambda g, y, a, b: -g * np.rint((a - y) / b))
defvjp(
    np.nan_to_num,
    lambda g, _y, x, *, nan=0.0, posinf=None, neginf=None: g * (np.absolute(x) < math.inf),  # noqa: ARG005
)
defvjp(np.round)

FORWARDS |= {
    np.degrees: np.rad2deg,
    np.radians: np.deg2rad,
    np.divmod: lambda x1, x2: (np.floor_divide(x1, x2), np.remainder(x1, x2)),
    np.modf: lambda x: (np.fmod(x, 1), np.trunc(x)),
    np.around: np.round,
    np.fix: np.trunc,  # NumPy 2.5 warns of np.fix, which is the same
    np.real: np.positive,
    np.conjugate: np.positive,
}
HINTS |= {
    "float_power": "It always computes in float64; np.power keeps the dtype.",
    "frexp": "Mantissa and exponent are t / 2.0**e and e, with e = np.frexp(t.numpy())[1].",
    "i0": "Its derivative is no function of NumPy's.",
    "angle": "Tensors are real; np.arctan2(y, x) has a gradient.",
    "imag": "Tensors are real.",
}
