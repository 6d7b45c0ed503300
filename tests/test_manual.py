"""The hand-derived pass equals autograd to the last bit, and both equal derivatives of the loss.

The oracle is a forward pass written here, in complex numbers: it shares no code with either.
"""

import numpy as np
import pytest

from tinygrad_mlp import MLP, SGD, mse
from tinygrad_mlp.errors import GradientError, ShapeError
from tinygrad_mlp.manual import ManualMLP

SIZES = [(2, 4, 1), (3, 5, 5, 2), (64, 128, 64, 10), (8,) * 9]
BATCHES = [1, 7, 32]
DTYPES = [np.float32, np.float64]


def loss_by_hand(weights, biases, x, t):
    """Σ (y - t)² / batch, for complex weights as well."""
    a = x
    for i, (w, b) in enumerate(zip(weights, biases)):
        a = np.einsum("nj,jk->nk", a, w) + b
        if i < len(weights) - 1:
            a = np.where(a.real > 0, a, 0)
    return np.sum((a - t) ** 2) / len(x)


def slope(weights, biases, x, t, kind, i, index):
    """The derivative by one entry of weights[i] or biases[i], with no difference being taken."""
    both = [[w.astype(complex) for w in weights], [b.astype(complex) for b in biases]]
    both[kind][i][index] += 1e-30j
    return loss_by_hand(*both, x, t).imag / 1e-30


def trained(net, x, t, steps):
    optimizer = SGD(net.parameters(), lr=0.01, momentum=0.9)
    for _ in range(steps):
        optimizer.zero_grad()
        mse(net(x), t).backward()
        optimizer.step()
    optimizer.zero_grad()


def both_backward(net, x, t):
    """The hand-derived network after its backward pass; the gradients of `net` are in .grad."""
    manual = ManualMLP.like(net)
    manual.backward(manual.forward(x), t)
    mse(net(x), t).backward()
    return manual


def batch_of(sizes, batch, dtype, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(batch, sizes[0])).astype(dtype)
    return x, rng.normal(size=(batch, sizes[-1])).astype(dtype)


CASES = pytest.mark.parametrize(
    ("sizes", "batch", "dtype", "steps"),
    [(s, n, d, steps) for s in SIZES for n in BATCHES for d in DTYPES for steps in (0, 5)],
    ids=lambda p: "-".join(map(str, p)) if isinstance(p, tuple) else getattr(p, "__name__", str(p)),
)


@CASES
def test_every_gradient_equals_autograds_to_the_last_bit(sizes, batch, dtype, steps):
    net = MLP(sizes, rng=1, dtype=dtype)
    x, t = batch_of(sizes, batch, dtype)
    trained(net, x, t, steps)
    manual = both_backward(net, x, t)
    for parameter, gradient in zip(net.parameters(), manual.DW + manual.DB, strict=True):
        np.testing.assert_array_equal(gradient, parameter.grad, strict=True)
        assert gradient.dtype == dtype
    for ours, theirs in zip(manual.A, net.A, strict=True):
        np.testing.assert_array_equal(ours, theirs.data, strict=True)


@CASES
def test_gradients_are_the_derivatives_of_the_loss(sizes, batch, dtype, steps):
    """To 1e-12 of the largest entry; in float32 to 1e-4, its rounding through eight layers."""
    net = MLP(sizes, rng=1, dtype=dtype)
    x, t = batch_of(sizes, batch, dtype)
    trained(net, x, t, steps)
    manual = both_backward(net, x, t)
    rng = np.random.default_rng(2)
    exact = [x.astype(float), t.astype(float)]
    weights = [w.astype(float) for w in manual.W], [b.astype(float) for b in manual.B]
    for kind, gradients in enumerate((manual.DW, manual.DB)):
        for i, gradient in enumerate(gradients):
            assert gradient.shape == weights[kind][i].shape
            indices = list(np.ndindex(gradient.shape))
            if len(indices) > 12:
                indices = [indices[j] for j in rng.choice(len(indices), 12, replace=False)]
            for index in indices:
                expected = slope(*weights, *exact, kind, i, index)
                error = abs(gradient[index] - expected)
                largest = max(np.abs(gradient).max(), abs(expected))
                assert error <= (1e-12 if dtype is np.float64 else 1e-4) * largest


@pytest.mark.parametrize("sizes", [(2, 4, 1), (3, 5, 5, 2), (8,) * 9])
def test_gradients_equal_differences_in_extended_precision(sizes):
    """Along one weight the loss is a parabola: a central difference has no error but rounding."""
    net = MLP(sizes, rng=1)
    x, t = batch_of(sizes, 7, np.float64)
    manual = both_backward(net, x, t)
    wide = [[np.asarray(a, np.longdouble) for a in arrays] for arrays in (manual.W, manual.B)]
    h = np.longdouble(2) ** -20
    for kind, gradients in enumerate((manual.DW, manual.DB)):
        for i, gradient in enumerate(gradients):
            index = tuple(n // 2 for n in gradient.shape)
            losses = []
            for step in (h, -h):
                changed = [[a.copy() for a in arrays] for arrays in wide]
                changed[kind][i][index] += step
                losses.append(loss_by_hand(*changed, x, t))
            expected = (losses[0] - losses[1]) / (2 * h)
            np.testing.assert_allclose(float(expected), gradient[index], rtol=1e-9, atol=1e-10)


def test_a_wrong_backward_pass_fails_these_tests(monkeypatch):
    """The oracle can say no: a mask left out is found by both comparisons."""

    def without_mask(self, y, t):
        delta = 2 * (y - t) / len(y)
        self.DW, self.DB = [None] * len(self.W), [None] * len(self.W)
        for i in reversed(range(len(self.W))):
            self.DW[i], self.DB[i] = self.A[i].T @ delta, delta.sum(axis=0)
            delta = delta @ self.W[i].T

    monkeypatch.setattr(ManualMLP, "backward", without_mask)
    with pytest.raises(AssertionError):
        test_every_gradient_equals_autograds_to_the_last_bit((3, 5, 5, 2), 7, np.float64, 0)
    with pytest.raises(AssertionError):
        test_gradients_are_the_derivatives_of_the_loss((3, 5, 5, 2), 7, np.float64, 0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_same_rng_gives_the_same_weights_as_the_mlp(dtype):
    manual, net = ManualMLP((3, 5, 2), rng=4, dtype=dtype), MLP((3, 5, 2), rng=4, dtype=dtype)
    for ours, theirs in zip(manual.W + manual.B, net.parameters(), strict=True):
        np.testing.assert_array_equal(ours, theirs.data, strict=True)


@pytest.mark.parametrize("source", [MLP, ManualMLP])
def test_like_copies_the_weights_and_shares_none(source):
    net = source((3, 5, 2), rng=0, dtype=np.float32)
    manual = ManualMLP.like(net)
    assert repr(manual) == "ManualMLP([3, 5, 2], dtype=float32)"
    for ours, theirs in zip(manual.W + manual.B, net.W + net.B, strict=True):
        theirs = getattr(theirs, "_data", theirs)
        np.testing.assert_array_equal(ours, theirs, strict=True)
        assert not np.shares_memory(ours, theirs)


def test_like_refuses_an_activation_that_it_was_not_derived_for():
    with pytest.raises(GradientError, match=r"tanh.*derived for relu"):
        ManualMLP.like(MLP((2, 3, 1), activation=np.tanh))
    ManualMLP.like(MLP((2, 3, 1), activation=lambda z: np.maximum(z, 0)))  # relu by another name


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", [*SIZES, (3, 2)], ids=str)
def test_forward_by_sample_equals_the_batched_forward_within_rounding(sizes, dtype):
    manual = ManualMLP(sizes, rng=0, dtype=dtype)
    x, t = batch_of(sizes, 7, dtype)
    y = manual.forward(x)
    A = manual.A
    rtol = 50 * np.finfo(dtype).eps
    by_sample = manual.forward_by_sample(x)
    assert by_sample.dtype == dtype
    np.testing.assert_allclose(by_sample, y, rtol=rtol, atol=rtol * np.abs(y).max())
    assert len(manual.A) == len(A) == len(manual.W)
    for ours, theirs in zip(manual.A, A):
        assert isinstance(ours, np.ndarray)
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=rtol * np.abs(theirs).max())
    manual.backward(by_sample, t)  # it filled A, so a backward pass can follow
    assert [g.shape for g in manual.DW] == [w.shape for w in manual.W]


def test_gradients_stand_in_the_order_of_the_weights_and_start_afresh():
    manual = ManualMLP((3, 5, 2), rng=0)
    x, t = batch_of((3, 5, 2), 4, np.float64)
    for _ in range(2):
        manual.backward(manual.forward(x), t)
        assert [g.shape for g in manual.DW] == [(3, 5), (5, 2)]
        assert [g.shape for g in manual.DB] == [(5,), (2,)]


def test_inputs_are_kept_as_they_came_and_nothing_is_changed():
    manual = ManualMLP((3, 5, 2), rng=0)
    x, t = batch_of((3, 5, 2), 4, np.float64)
    before = [a.copy() for a in (x, t, *manual.W, *manual.B)]
    y = manual.forward(x)
    assert manual.A[0] is x
    y_before = y.copy()
    manual.backward(y, t)
    for a, b in zip((x, t, *manual.W, *manual.B, y), (*before, y_before), strict=True):
        np.testing.assert_array_equal(a, b)
    assert manual.forward(x.tolist()).shape == (4, 2)  # lists of rows are arrays, too


@pytest.mark.parametrize("method", ["forward", "forward_by_sample"])
@pytest.mark.parametrize(
    ("x", "match"),
    [
        (np.zeros((7, 4)), r"x \(7, 4\) @ W\[0\] \(3, 5\): x has 4 columns, W\[0\] has 3 rows"),
        (np.zeros(3), r"x \(3,\): needs \(batch, 3\).*reshape\(1, -1\)"),
        (np.zeros((0, 3)), r"x \(0, 3\): the batch is empty"),
    ],
)
def test_an_input_that_does_not_fit_is_an_error_with_the_shapes(method, x, match):
    with pytest.raises(ShapeError, match=rf"ManualMLP\.{method}: {match}"):
        getattr(ManualMLP((3, 5, 2)), method)(x)


@pytest.mark.parametrize(
    ("sizes", "y", "t", "match"),
    [
        ((3, 1), (7, 1), (7,), r"t \(7,\): needs.*\(7, 1\).*t\.reshape\(7, 1\) would fit"),
        ((3, 1), (7,), (7, 1), r"y \(7,\): needs.*\(7, 1\)"),
        ((3, 2), (7, 2), (7, 3), r"t \(7, 3\): needs.*\(7, 2\).*broadcast\.$"),
        ((3, 2), (6, 2), (6, 2), r"y \(6, 2\): needs.*\(7, 2\)"),
    ],
)
def test_targets_that_do_not_fit_are_an_error_with_the_shapes(sizes, y, t, match):
    manual = ManualMLP(sizes)
    manual.forward(np.zeros((7, 3)))
    with pytest.raises(ShapeError, match=rf"ManualMLP\.backward: {match}"):
        manual.backward(np.zeros(y), np.zeros(t))


def test_backward_before_forward_is_an_error_that_names_forward():
    with pytest.raises(ShapeError, match=r"A is empty; call forward\(x\) first"):
        ManualMLP((3, 2)).backward(np.zeros((7, 2)), np.zeros((7, 2)))


@pytest.mark.parametrize("sizes", [(), (3,), (3, 0, 2)])
def test_sizes_that_make_no_network_are_an_error(sizes):
    with pytest.raises(ShapeError, match="at least two integers from 1 on"):
        ManualMLP(sizes)
