"""Weights and data that show a mistake."""

import numpy as np
import pytest

from tinygrad_mlp import MLP, probing
from tinygrad_mlp.probing import drawn, preactivations


def shapes(sizes):
    net = MLP(sizes, rng=0)
    return [w.data for w in net.W], [b.data for b in net.B]


@pytest.mark.parametrize("rng", range(20))
def test_every_layer_that_is_drawn_lets_something_through(rng):
    W, B = drawn(*shapes((2, 2, 2, 2)), rng)
    x = np.random.default_rng(100 + rng).standard_normal((64, 2))
    assert all((z > 0).mean() > 0.1 for z in preactivations(W, B, x)[:-1])
    assert all(b.all() for b in B)


def test_weights_follow_from_the_seed_and_drawing_them_ends(monkeypatch):
    W, B = shapes((3, 4, 2))
    first, again = drawn(W, B, 1), drawn(W, B, 1)
    for a, b in zip(first, again, strict=True):
        assert all(map(np.array_equal, a, b))
    monkeypatch.setattr(probing, "preactivations", lambda *_: [np.zeros(3), np.zeros(3)])
    W, B = drawn(W, B, 1)
    assert [w.shape for w in W] == [(3, 4), (4, 2)]
    assert not np.array_equal(W[0], first[0][0])
