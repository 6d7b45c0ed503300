"""Whether a program holds at other lengths is found out, not hoped."""

import numpy as np
import pytest

from tinygrad_mlp import Tensor, defvjp, derive, primitive
from tinygrad_mlp.graph import record_all
from tinygrad_mlp.lengths import from_length, same


@pytest.mark.parametrize("n", [2, 5, 7, 32, 100])
def test_numbers_that_come_from_a_length_are_recognised(n):
    for number in (n, -n, 1 / n, 2 / n, n - 1, n + 1, n / 2, n * n, n**0.5, 1 / n**0.5, np.log(n)):
        assert from_length(number, n), number
    assert from_length(n // 2, n, part=True)
    assert from_length(float("nan"), n)
    assert from_length(0.123456789, n)
    assert not any(from_length(x, n) for x in (0, True, float("inf"), 7e-4))


def leaf(*shape, name="w", grad=True):
    return Tensor(np.random.default_rng(0).normal(size=shape), grad, name)


def test_a_rule_that_takes_the_length_as_a_plain_number_is_found_out():
    @primitive
    def averaged(x):
        return x.sum(axis=0) / len(x)

    defvjp(averaged, lambda g, _y, x: np.broadcast_to(g / len(x), x.shape))
    p = derive((averaged(leaf(5, 3, name="x", grad=False) @ leaf(3, 2)) * 3.0).sum())
    assert p.batch is None


def test_a_constant_with_an_axis_as_long_as_the_batch_is_found_out():
    x = leaf(5, 5, name="x", grad=False)
    scale = Tensor(np.arange(5.0), name="scale")  # along the columns
    assert derive((x @ leaf(5, 5) * scale).sum()).batch is None


def test_a_parameter_with_a_row_for_each_sample_ties_the_program():
    assert derive((leaf(5, 3, name="x", grad=False) * leaf(5, 3)).sum()).batch is None


def test_lengths_that_were_traced_are_no_plain_numbers():
    x = leaf(5, 4, name="x", grad=False)
    w = leaf(4, 4)
    with record_all():
        y = x @ w
        n, k = y.shape
        parts = np.concatenate([y, y, y])[n : n + n]
        z = parts.reshape(n * 2, k // 2) + 0.0
        loss = (z * z).sum() / (y.size - n) + np.sum(y.reshape(k + n - k, k)[: n - 1]) / (1 + n)
        loss = loss + np.broadcast_to(w[0, 0], (2 * n, n // 2 + 1)).mean()
    p = derive(loss, wrt=w)
    assert p.batch == 5
    other = np.random.default_rng(1).normal(size=(8, 4))
    f = p(x=other)
    y = Tensor(other, name="x") @ w
    z = y.reshape(16, 2)
    total = (z * z).sum() / (32 - 8) + np.sum(y[:7]) / 9 + w[0, 0]
    total.backward()
    np.testing.assert_allclose(f, w.grad, rtol=1e-12)


def test_a_batch_of_one_is_refused_where_only_that_is_wrong():
    x = leaf(5, 3, name="x", grad=False)
    w = leaf(3, 2)
    loss = np.mean(np.squeeze(x @ w).sum(axis=1))  # of one sample squeeze takes the batch, too
    p = derive(loss)
    assert p.batch == 5
    assert p(x=np.ones((2, 3))).shape == (3, 2)
    with pytest.raises(ValueError, match="with a batch of at least 2"):
        p(x=np.ones((1, 3)))


def test_gradients_of_other_shapes_are_not_the_same():
    a = np.ones((2, 2))
    assert same(a, a)
    assert same(np.array([np.nan, np.inf]), np.array([np.nan, np.inf]))
    assert not same(a, a[0])
    assert not same(a, a + 1e-6)


def test_every_kind_of_argument_is_replayed():
    x = leaf(5, 3, name="x", grad=False)
    y = x @ leaf(3, 3)
    row = np.arange(3.0)
    z = (y * row).clip(-0.7) + np.stack([y, y], axis=0)[0] + y[..., [0, 1, 2]]
    p = derive(np.mean(z * Tensor(0.07)))
    assert p.batch is None  # a list in an index, and data of other lengths
    z = y.clip(-0.7) + np.stack([y, y], axis=0)[0] + y[:, 1:2] + y[..., None][..., 0]
    assert derive(np.mean(z * Tensor(0.07)) * np.float64(0.9)).batch == 5
    assert derive(np.mean(y * np.float64(0.2))).batch is None
    assert derive(np.mean(y * 1.0)).batch is None
