"""Equal layers as loops: what the plain form computes, in fewer lines."""

import numpy as np
import pytest

from tinygrad_mlp import MLP, Tensor, derive, mse


def network(sizes, batch=5, dtype=np.float64, activation=None):
    rng = np.random.default_rng(0)
    more = {"activation": activation} if activation else {}
    net = MLP(sizes, rng=rng, dtype=dtype, **more)
    x = rng.normal(size=(batch, sizes[0])).astype(dtype)
    return net, mse(net(x), rng.normal(size=(batch, sizes[-1])).astype(dtype))


def run(source, *args, name="backward"):
    scope: dict = {}
    exec(source, scope)
    return scope[name](*args)


def arguments(p):
    return [q.default() for q in p._parameters.values()]


LOOP = """\
    A = [A0] + [None] * 2
    Z = [None] * 3
    dA = [None] * 3
    dB = [None] * 3
    dW = [None] * 3
    dZ = [None] * 4
    for i in range(2):
        Z[i + 1] = A[i] @ W[i] + B[i]
        A[i + 1] = np.maximum(Z[i + 1], 0)
    y = A[2] @ W[2] + B[2]
    dy = dZ[3] = 2 * (y - t) / len(y)
    for i in reversed(range(1, 3)):
        dW[i] = A[i].T @ dZ[i + 1]
        dB[i] = dZ[i + 1].sum(axis=0)
        dA[i] = dZ[i + 1] @ W[i].T
        dZ[i] = dA[i] * (A[i] > 0)
    dW[0] = A[0].T @ dZ[1]
    dB[0] = dZ[1].sum(axis=0)
    return dW, dB
"""


def test_equal_layers_become_loops():
    source = derive(network((3, 4, 4, 2))[1]).source(loop=True)
    assert source.endswith(LOOP)


def same_as_plain(p):
    loop = p.source(loop=True)
    left, right = run(loop, *arguments(p)), run(p.source(), *arguments(p))
    flat = [left, right]
    for k, found in enumerate(flat):
        found = found if isinstance(found, tuple) else (found,)
        flat[k] = [a for part in found for a in (part if isinstance(part, list) else [part])]
    for a, b in zip(*flat, strict=True):
        np.testing.assert_array_equal(a, b)
    return loop


@pytest.mark.parametrize("sizes", [(3, 4, 4, 2), (2, 3, 4, 5, 1), (2,) * 9])
@pytest.mark.parametrize("activation", [None, np.tanh, lambda z: z * 1.5, lambda z: +z])
def test_the_loop_computes_the_same(sizes, activation):
    assert "for i in " in same_as_plain(derive(network(sizes, activation=activation)[1]))


def test_without_two_equal_layers_there_is_no_loop():
    p = derive(network((3, 4, 2))[1])
    assert p.source(loop=True) == p.source()
    w = Tensor([1.0], True, "w")
    assert "for" not in derive((w * w).sum()).source(loop=True)


def chain(n, step, first="x", name="h[{}]", start=0):
    x = y = Tensor(np.array([0.5, 1.5]), True, first)
    for i in range(start, start + n):
        y = step(y, i)
        y.name = name.format(i)
    return x, derive(np.sum(y))


def test_a_chain_is_a_loop_and_its_end_has_both_names():
    _, p = chain(5, lambda y, _: np.tanh(y))
    assert "h[i + 1] = np.tanh(h[i])" in same_as_plain(p)
    x = y = Tensor(np.array([0.5, 1.5]), True, "x")
    for i in range(4):
        y = np.tanh(y)
        y.name = f"h[{i}]" if i < 3 else "end"
    loop = same_as_plain(derive((y * y).sum(), wrt=x))
    assert "end = h[3]\n" in loop


def test_an_input_that_begins_a_list_and_one_that_ends_it():
    w = [Tensor(np.array([1.0, k + 1.0]), True, f"w[{k}]") for k in (1, 2, 3)]  # no w[0]
    x = y = Tensor(np.ones((4, 2)), name="h[0]")
    for k in range(3):
        y = y * w[k]
        y.name = f"h[{k + 1}]"
    p = derive(np.mean(y * x))
    loop = same_as_plain(p)
    assert "w = [None, w1, w2, w3]" in loop
    assert "for" in loop


def test_the_loop_variable_and_the_lists_hide_nothing():
    x = Tensor(np.ones(2), True, "i")
    y = x
    for k in range(4):
        y = np.tanh(y * x)
        y.name = f"h[{k}]"
    assert "for i_2 in" in same_as_plain(derive(np.sum(y)))
    z = Tensor(np.ones(2), True, "h")  # the name of the list is taken
    assert "for" not in same_as_plain(derive(np.sum(y * z)))


def test_indices_out_of_all_proportion_make_no_lists():
    _, p = chain(4, lambda y, _: np.tanh(y), start=900)
    assert "for" not in same_as_plain(p)


def test_groups_that_differ_make_no_loop():
    _, p = chain(4, lambda y, i: np.tanh(y) if i % 2 else y * (i + 2.5), name="h[{}]")
    same_as_plain(p)
    _, p = chain(4, lambda y, _: np.tanh(y), name="h[0][{}]")
    assert "for" not in same_as_plain(p)
    w = [Tensor(np.array([1.0, 2.0]), True, f"w[{k}]") for k in range(3)]
    p = derive((w[0] * w[2] + w[1]).sum() + (w[1] * w[2]).sum())
    same_as_plain(p)
