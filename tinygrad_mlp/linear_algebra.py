"""NumPy's linear algebra: products of all kinds, norms, inverses, factorisations.

The rules of inverses and factorisations are those of M. B. Giles, Collected matrix derivative
results for forward and reverse mode algorithmic differentiation (2008), unless another source is
named. They work on stacks of matrices. A function that returns several arrays is one op for each.
"""

import functools
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from .errors import MissingVJPError, ShapeError
from .ops import stretched, transposed
from .primitives import FORWARDS, HINTS, applied, defvjp, primitive
from .shaping import arrayed, diagonal, diagonals, in_front, kept, moveaxis

__all__: list[str] = []

linalg = np.linalg

# --- products -------------------------------------------------------------------------------------


def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    """The sum over pairs of axes, as one matrix product."""
    a, b = arrayed(a), arrayed(b)
    if isinstance(axes, (int, np.integer)):
        axes = list(range(a.ndim - axes, a.ndim)), list(range(axes))
    one, two = (list(normalize_axis_tuple(i, c.ndim)) for c, i in zip((a, b), axes, strict=True))
    left, right = ([i for i in range(c.ndim) if i not in s] for c, s in ((a, one), (b, two)))
    shape = (*(a.shape[i] for i in left), *(b.shape[i] for i in right))
    n = functools.reduce(lambda n, i: n * a.shape[i], one, 1)
    rows = functools.reduce(lambda n, i: n * a.shape[i], left, 1)
    columns = functools.reduce(lambda n, i: n * b.shape[i], right, 1)
    a = np.reshape(np.transpose(a, left + one), (rows, n))
    return np.reshape(a @ np.reshape(np.transpose(b, two + right), (n, columns)), shape)


def dot(a: Any, b: Any) -> Any:
    """A matrix product, or a product with a scalar; of stacks, of each pair."""
    if not np.ndim(a) or not np.ndim(b):
        return a * b
    return tensordot(a, b, (-1, -2)) if np.ndim(b) > 2 else a @ b


def inner(a: Any, b: Any) -> Any:
    """The sum over both last axes."""
    a, b = arrayed(a), arrayed(b)
    return tensordot(a, b, (-1, -1)) if a.ndim and b.ndim else a * b


def vdot(a: Any, b: Any) -> Any:
    """The sum of the products of all entries."""
    return np.reshape(a, -1) @ np.reshape(b, -1)


def outer(a: Any, b: Any) -> Any:
    """Each entry of one with each of the other."""
    return np.reshape(a, (-1, 1)) * np.reshape(b, (1, -1))


def kron(a: Any, b: Any) -> Any:
    """Blocks of `b`, one for each entry of `a` and times it."""
    a, b = arrayed(a), arrayed(b)
    n = max(a.ndim, b.ndim)
    a, b = (np.reshape(c, (*(1,) * (n - c.ndim), *c.shape)) for c in (a, b))
    pairs = np.expand_dims(a, list(range(1, 2 * n, 2))) * np.expand_dims(
        b, list(range(0, 2 * n, 2))
    )
    return np.reshape(pairs, tuple(i * k for i, k in zip(a.shape, b.shape, strict=True)))


def cross(
    a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: Any = None
) -> Any:
    """The vector product in three dimensions."""
    axisa, axisb, axisc = (axisa, axisb, axisc) if axis is None else (axis,) * 3
    a, b = moveaxis(arrayed(a), axisa, -1), moveaxis(arrayed(b), axisb, -1)
    if a.shape[-1] != 3 or b.shape[-1] != 3:
        raise ShapeError(f"cross: {a.shape} and {b.shape}: vectors must have 3 entries.")
    forth, back = [1, 2, 0], [2, 0, 1]
    c = a[..., forth] * b[..., back] - a[..., back] * b[..., forth]
    return moveaxis(c, -1, axisc)


def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The sum of a diagonal."""
    return np.sum(np.diagonal(a, offset, axis1, axis2), axis=-1)


def vecdot(x1: Any, x2: Any, *, axis: int = -1) -> Any:
    """The sum of the products along an axis."""
    return np.sum(x1 * x2, axis=axis)


def multi_dot(arrays: Any) -> Any:
    """A product of matrices, in the order that multiplies the fewest numbers."""
    arrays = list(map(arrayed, arrays))
    first, last = arrays[0].ndim, arrays[-1].ndim
    arrays[0] = np.reshape(arrays[0], (1, -1)) if first == 1 else arrays[0]
    arrays[-1] = np.reshape(arrays[-1], (-1, 1)) if last == 1 else arrays[-1]
    sizes = [int(a.shape[0]) for a in arrays] + [int(arrays[-1].shape[1])]

    @functools.cache
    def best(i: int, k: int) -> tuple[int, int]:
        """The least cost of the product from i to before k, and where to part it."""
        costs = [
            (best(i, j)[0] + best(j, k)[0] + sizes[i] * sizes[j] * sizes[k], j)
            for j in range(i + 1, k)
        ]
        return min(costs, default=(0, 0))

    def product(i: int, k: int) -> Any:
        j = best(i, k)[1]
        return product(i, j) @ product(j, k) if j else arrays[i]

    y = product(0, len(arrays))
    y = y[0] if first == 1 else y
    return y[..., 0] if last == 1 else y


def matrix_power(a: Any, n: int) -> Any:
    """`a` n times, by squaring; of the inverse for n < 0."""
    if n < 1:
        return matrix_power(linalg.inv(a), -n) if n else diagonals(np.ones_like(a[..., 0]))
    if n == 1:
        return np.positive(a)
    half = matrix_power(a, n // 2) if n > 3 else a
    return half @ half @ a if n % 2 else half @ half


# --- einsum ---------------------------------------------------------------------------------------


def spelled(subscripts: str, arrays: list[Any]) -> tuple[list[str], str]:
    """The letters of each operand and of the result, with letters for dots and no blanks."""
    inputs, arrow, output = subscripts.replace(" ", "").partition("->")
    terms = inputs.split(",")
    if len(terms) != len(arrays):
        raise ShapeError(f"einsum: {subscripts!r} is for {len(terms)} operands, not {len(arrays)}.")
    spare = [c for c in map(chr, range(65, 123)) if c.isalpha() and c not in subscripts]
    more = [a.ndim - len(t.replace("...", "")) if "..." in t else 0 for t, a in zip(terms, arrays)]
    dots = "".join(spare[: max(more)])
    terms = [t.replace("...", dots[len(dots) - k :]) for t, k in zip(terms, more)]
    letters = "".join(terms)
    once = sorted(c for c in set(letters) if letters.count(c) == 1 and c not in dots)
    return terms, output.replace("...", dots) if arrow else dots + "".join(once)


def einsum(subscripts: str, *operands: Any, optimize: Any = False) -> Any:
    """A sum of products over named axes; a name twice in one operand is its diagonal."""
    if not isinstance(subscripts, str):
        raise MissingVJPError("np.einsum with Tensors takes its subscripts as text: 'ij,jk->ik'.")
    arrays = [arrayed(a) for a in operands]
    terms, output = spelled(subscripts, arrays)
    for n, term in enumerate(terms):
        for c in [c for c in dict.fromkeys(term) if term.count(c) > 1]:
            while terms[n].count(c) > 1:
                i, k = [m for m, d in enumerate(terms[n]) if d == c][:2]
                arrays[n] = np.diagonal(arrays[n], 0, i, k)
                terms[n] = terms[n][:i] + terms[n][i + 1 : k] + terms[n][k + 1 :] + c
    how = {"optimize": optimize} if optimize is not False else {}
    return applied(np.einsum, f"{','.join(terms)}->{output}", *arrays, **how)


def einsum_rule(i: int, g: Any, _y: Any, *operands: Any, optimize: Any = False) -> Any:
    """The sum with `g` in the place of operand i; an axis that only it has is stretched."""
    terms, output = operands[0].split("->")
    terms = terms.split(",")
    mine = terms[i - 1]
    rest = [*terms[: i - 1], *terms[i:]]
    arrays = [g, *operands[1:i], *operands[i + 1 :]]
    kept = [c for c in mine if c in output or any(c in t for t in rest)]
    c = np.einsum(f"{','.join([output, *rest])}->{''.join(kept)}", *arrays, optimize=optimize)
    c = np.expand_dims(c, [k for k, d in enumerate(mine) if d not in kept])
    return stretched_to(c, operands[i].shape)


def stretched_to(c: Any, shape: Any) -> Any:
    """`c` at least of this shape, where it has axes of length 1."""
    if all(n != 1 or n == k for n, k in zip(c.shape, shape, strict=True)):
        return c
    return np.broadcast_to(
        c, tuple(k if n == 1 else n for n, k in zip(c.shape, shape, strict=True))
    )


defvjp(np.einsum, each=einsum_rule)

# --- norms ----------------------------------------------------------------------------------------

defvjp(  # 0 at 0
    linalg.norm,
    lambda g, y, x, _ord=None, axis=None, *, keepdims=False: (
        stretched(g / np.where(y == 0, 1, y), x, axis, keepdims) * x
    ),
)


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """Of vectors or matrices: 2 and "fro" by a rule, the others written with sums and maxima."""
    axes = tuple(range(x.ndim)) if axis is None else normalize_axis_tuple(axis, x.ndim)
    if ord is None or (ord == 2 and len(axes) == 1) or (ord == "fro" and len(axes) == 2):
        along = () if axis is None else (None, axis)
        return applied(linalg.norm, x, *along, **({"keepdims": True} if keepdims else {}))
    if len(axes) == 2:
        y = matrix_norm_of(moveaxis(x, axes, (-2, -1)), ord)
        return np.expand_dims(y, axes) if keepdims else y
    if len(axes) != 1 or isinstance(ord, str):
        raise ShapeError(f"norm: ord={ord!r} is none for {len(axes)} axes.")
    size = np.absolute(x)
    if ord in (np.inf, -np.inf):
        return (np.max if ord > 0 else np.min)(size, axis=axes, keepdims=keepdims)
    if ord == 0:
        return np.sum(np.sign(size), axis=axes, keepdims=keepdims)
    total = np.sum(size if ord == 1 else size**ord, axis=axes, keepdims=keepdims)
    return total if ord == 1 else total ** (1 / ord)


def matrix_norm_of(x: Any, ord: Any) -> Any:
    """The norm of each matrix, other than "fro"."""
    extremum = np.max if ord == "nuc" or ord > 0 else np.min
    if ord in ("nuc", 2, -2):
        values = svdvals(x)
        return np.sum(values, axis=-1) if ord == "nuc" else extremum(values, axis=-1)
    if ord not in (1, -1, np.inf, -np.inf):
        raise ShapeError(f"norm: ord={ord!r} is none for matrices.")
    return extremum(np.sum(np.absolute(x), axis=-1 if abs(ord) == np.inf else -2), axis=-1)


def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    """`norm` of vectors; without an axis of all entries, with several of all along them."""
    y = norm(in_front(x, axis), ord, 0)
    return kept(y, x, axis) if keepdims else y


# --- inverses and determinants --------------------------------------------------------------------


def matrices(g: Any) -> Any:
    """One number for each matrix, as a factor for it."""
    return np.expand_dims(g, (-1, -2))


def solve_left(g: Any, y: Any, a: Any, _b: Any) -> Any:
    """-a⁻ᵀ g yᵀ."""
    if _b.ndim == 1:
        return -np.expand_dims(solve_right(g, y, a, _b), -1) * np.expand_dims(y, -2)
    return -solve_right(g, y, a, _b) @ transposed(y)


def solve_right(g: Any, _y: Any, a: Any, _b: Any) -> Any:
    """a⁻ᵀ g."""
    if _b.ndim == 1 < g.ndim:
        return np.squeeze(linalg.solve(transposed(a), np.expand_dims(g, -1)), -1)
    return linalg.solve(transposed(a), g)


@primitive
def log_abs_det(a: Any) -> Any:
    """ln |det a|, without under- or overflow."""
    return np.linalg.slogdet(a)[1]


@primitive
def sign_of_det(a: Any) -> Any:
    """The sign of det a."""
    return np.linalg.slogdet(a)[0]


defvjp(linalg.inv, lambda g, y, _a: -transposed(y) @ g @ transposed(y))
defvjp(linalg.solve, solve_left, solve_right)
defvjp(linalg.det, lambda g, y, a: matrices(g * y) * transposed(linalg.inv(a)))
defvjp(log_abs_det, lambda g, _y, a: matrices(g) * transposed(linalg.inv(a)))
defvjp(sign_of_det)


def pinv_rule(g: Any, y: Any, a: Any) -> Any:
    """Where the rank stays the same.

    G. H. Golub and V. Pereyra, The differentiation of pseudo-inverses and nonlinear least squares
    problems whose variables separate (1973), equation 4.12.
    """
    gt, yt = transposed(g), transposed(y)
    left = gt @ y @ yt
    right = yt @ y @ gt
    return left - a @ (y @ left) + right - (right @ y) @ a - yt @ g @ yt


defvjp(linalg.pinv, pinv_rule)


class SlogdetResult(NamedTuple):
    """What np.linalg.slogdet returns."""

    sign: Any
    logabsdet: Any


# --- factorisations -------------------------------------------------------------------------------


def halved(a: Any) -> Any:
    """The lower triangle, its diagonal halved."""
    return (np.tril(a) + np.tril(a, -1)) / 2


def cholesky_rule(g: Any, y: Any, _a: Any) -> Any:
    """L⁻ᵀ Φ(Lᵀ g) L⁻¹ made symmetric.

    I. Murray, Differentiation of the Cholesky decomposition (2016), arXiv:1602.07527, equation 10.
    """
    yt = transposed(y)
    s = linalg.solve(yt, transposed(linalg.solve(yt, transposed(halved(yt @ g)))))
    return (s + transposed(s)) / 2


def gaps(s: Any) -> Any:
    """1 / (s[j] - s[i]) at (i, j); 0 for equal ones, whose vectors have no derivative."""
    d = np.expand_dims(s, -2) - np.expand_dims(s, -1)
    return np.where(d == 0, 0, 1 / np.where(d == 0, 1, d))


@primitive
def eigenvectors(a: Any) -> Any:
    """Eigenvectors of symmetric matrices, in columns."""
    return np.linalg.eigh(a)[1]


def values_rule(g: Any, _y: Any, a: Any) -> Any:
    """V g Vᵀ, for g on the diagonal."""
    v = eigenvectors(a)
    return (v * np.expand_dims(g, -2)) @ transposed(v)


def vectors_rule(g: Any, y: Any, a: Any) -> Any:
    """V (F ∘ Vᵀ g) Vᵀ made symmetric, F from the gaps between eigenvalues."""
    vt = transposed(y)
    s = y @ (gaps(linalg.eigvalsh(a)) * (vt @ g)) @ vt
    return (s + transposed(s)) / 2


class EighResult(NamedTuple):
    """What np.linalg.eigh returns."""

    eigenvalues: Any
    eigenvectors: Any


@primitive
def svd_part(a: Any, part: int) -> Any:
    """U, the singular values, or Vᵀ: number `part` of the reduced decomposition."""
    return np.linalg.svd(a, full_matrices=False)[part]


def svdvals(a: Any) -> Any:
    """The singular values."""
    return svd_part(a, 1)


def svd_rule(g: Any, _y: Any, a: Any, part: int) -> Any:
    """J. Townsend, Differentiating the singular value decomposition (2016), one part at a time."""
    u, s, vt = (svd_part(a, i) for i in range(3))
    if part == 0:
        return left_rule(g, u, s, vt)
    if part == 1:
        return (u * np.expand_dims(g, -2)) @ vt
    # the right vectors of a are the left ones of its transpose
    return transposed(left_rule(transposed(g), transposed(vt), s, transposed(u)))


def left_rule(g: Any, u: Any, s: Any, vt: Any) -> Any:
    """(U (F ∘ (Uᵀ g - gᵀ U)) S + (1 - U Uᵀ) g S⁻¹) Vᵀ, with F from the gaps of S²."""
    ut = transposed(u)
    p = ut @ g
    row = np.expand_dims(s, -2)
    inside = u @ (gaps(s * s) * (p - transposed(p))) * row
    return (inside + (g - u @ p) / row) @ vt


class SVDResult(NamedTuple):
    """What np.linalg.svd returns."""

    U: Any
    S: Any
    Vh: Any


def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """The reduced decomposition."""
    if not compute_uv:
        return svdvals(a)
    if full_matrices and a.shape[-1] != a.shape[-2]:
        raise MissingVJPError("np.linalg.svd with Tensors needs full_matrices=False.")
    return SVDResult(*(svd_part(a, i) for i in range(3)))


@primitive
def qr_part(a: Any, part: int) -> Any:
    """Q or R: number `part` of the reduced decomposition."""
    return np.linalg.qr(a)[part]


def qr_rule(g: Any, _y: Any, a: Any, part: int) -> Any:
    """(g + Q M) R⁻ᵀ, M the lower triangle of -gᵀ Q or R gᵀ mirrored.

    S. F. Walter and L. Lehmann, Algorithmic differentiation of linear algebra functions (2010).
    """
    q, r = qr_part(a, 0), qr_part(a, 1)
    m = r @ transposed(g) if part else -transposed(g) @ q
    c = q @ (np.tril(m) + transposed(np.tril(m, -1)))
    return transposed(linalg.solve(r, transposed(c if part else g + c)))


class QRResult(NamedTuple):
    """What np.linalg.qr returns."""

    Q: Any
    R: Any


def qr(a: Any, mode: str = "reduced") -> Any:
    """The reduced decomposition of matrices that have at least as many rows as columns."""
    if mode not in ("reduced", "r") or a.shape[-2] < a.shape[-1]:
        raise MissingVJPError(
            f"np.linalg.qr with Tensors has modes reduced and r, of matrices with as many rows as "
            f"columns or more; this is {tuple(a.shape)} and mode={mode!r}."
        )
    return qr_part(a, 1) if mode == "r" else QRResult(qr_part(a, 0), qr_part(a, 1))


defvjp(linalg.cholesky, cholesky_rule)
defvjp(linalg.eigvalsh, values_rule)
defvjp(eigenvectors, vectors_rule)
defvjp(svd_part, svd_rule)
defvjp(qr_part, qr_rule)

FORWARDS |= {
    np.tensordot: tensordot,
    np.dot: dot,
    np.inner: inner,
    np.vdot: vdot,
    np.outer: outer,
    np.kron: kron,
    np.cross: cross,
    np.trace: trace,
    np.vecdot: vecdot,
    np.einsum: einsum,
    linalg.norm: norm,
    linalg.multi_dot: multi_dot,
    linalg.matrix_power: matrix_power,
    linalg.slogdet: lambda a: SlogdetResult(sign_of_det(a), log_abs_det(a)),
    linalg.eigh: lambda a: EighResult(linalg.eigvalsh(a), eigenvectors(a)),
    linalg.svd: svd,
    linalg.svdvals: svdvals,
    linalg.qr: qr,
    linalg.vector_norm: vector_norm,
    linalg.matrix_norm: lambda x, /, *, ord="fro", keepdims=False: norm(x, ord, (-2, -1), keepdims),
    linalg.matrix_transpose: np.matrix_transpose,
    linalg.tensordot: lambda x1, x2, /, *, axes=2: tensordot(x1, x2, axes),
    linalg.outer: outer,
    linalg.matmul: np.matmul,
    linalg.vecdot: vecdot,
    linalg.cross: lambda x1, x2, /, *, axis=-1: cross(x1, x2, axis=axis),
    linalg.diagonal: lambda x, /, *, offset=0: diagonal(x, offset, -2, -1),
    linalg.trace: lambda x, /, *, offset=0: trace(x, offset, -2, -1),
}
if hasattr(np, "matvec"):  # pragma: no branch  # NumPy 2.2
    FORWARDS |= {
        np.matvec: lambda x1, x2: np.squeeze(x1 @ np.expand_dims(x2, -1), -1),
        np.vecmat: lambda x1, x2: np.squeeze(np.expand_dims(x1, -2) @ x2, -2),
    }

HINTS |= {
    "lstsq": "np.linalg.pinv(a) @ b is the solution, with a gradient.",
    "eig": "np.linalg.eigh, for symmetric matrices, has a gradient.",
    "eigvals": "np.linalg.eigvalsh, for symmetric matrices, has a gradient.",
    "tensorsolve": "np.linalg.solve of reshaped arrays has a gradient.",
    "tensorinv": "np.linalg.inv of a reshaped array has a gradient.",
    "cond": "np.linalg.svdvals has a gradient.",
    "einsum_path": "np.einsum takes optimize=True.",
}
