"""Arrays that are not NumPy's: every op on a strict double, and Dask's, if it is installed."""

import numpy as np
import pytest
from helpers import Foreign, leaves
from test_ops import CASES

from tinygrad_mlp import MLP, SGD, Tensor, cross_entropy, mse
from tinygrad_mlp.graph import backward_pass
from tinygrad_mlp.ops import scatter, scattered


def there_too(a):
    """Arrays that a row gives beside those it is differentiated by, as arrays of that library."""
    if isinstance(a, (np.ndarray, np.generic)):
        return Foreign(a)
    return type(a)(map(there_too, a)) if type(a) in (tuple, list) else a


def applied(case, tensors):
    def fun(*args, **kwargs):
        return case.fun(*map(there_too, args), **kwargs)

    return case.call(fun, *tensors) if case.call else fun(*tensors)


def is_all_theirs(case):
    """Whether a row brings no list or number that only NumPy makes an array of."""
    if case.fun is cross_entropy:
        return not case.note.endswith("list") and len(case.shapes[0]) > 1
    return case.fun is not scattered


OURS = [case for case in CASES if is_all_theirs(case)]


@pytest.mark.parametrize("case", OURS, ids=str)
def test_no_op_and_no_rule_leaks_to_numpy(case):
    """Value, gradient and gradient of the gradient stay arrays of the other library."""
    arrays, g = case.arrays(), case.cotangent()
    here = leaves(*arrays)
    there = leaves(*map(Foreign, arrays))
    y, z = case(*here), applied(case, there)
    assert type(z.data) is Foreign
    np.testing.assert_array_equal(z.data.host(), y.data, strict=True)
    ours, theirs = backward_pass(y, g), backward_pass(z, Foreign(g))
    for p, q in zip(here, there, strict=True):
        assert (p in ours) == (q in theirs)
        if p in ours:
            assert type(theirs[q]) is Foreign
            np.testing.assert_array_equal(theirs[q].host(), ours[p])
    again = applied(case, there)
    seed = Tensor(Foreign(g), requires_grad=True)
    for gradient in backward_pass(again, seed, create_graph=True).values():
        assert type(gradient.data) is Foreign
        if gradient.requires_grad:
            for second in backward_pass(gradient, Foreign(np.ones(gradient.shape))).values():
                assert type(second) is Foreign


def test_an_index_and_what_it_is_scattered_into_can_be_theirs():
    g, index, like = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([2, 2]), np.zeros((4, 2))
    here, there = (Tensor(a, requires_grad=True) for a in (g, Foreign(g)))
    y, z = scatter(here, index, like), scatter(there, Foreign(index), Foreign(like))
    np.testing.assert_array_equal(z.data.host(), y.data, strict=True)
    (y * y).sum().backward()
    (z * z).sum().backward()
    np.testing.assert_array_equal(there.grad.host(), here.grad)


# --- Dask -----------------------------------------------------------------------------------------


def gradients(x, t, loss=mse):
    net = MLP([8, 6, 3], rng=0)
    value = loss(net(x), t)
    value.backward()
    return [value.data, *(p.grad for p in net.parameters())]


@pytest.mark.parametrize(("loss", "numbers"), [(mse, 0), (cross_entropy, 0), (cross_entropy, 1)])
def test_a_net_runs_block_by_block_on_dask_and_is_equal(loss, numbers):
    """Nothing is computed before it is asked for, and no rule turns blocks into one array."""
    da = pytest.importorskip("dask.array")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 8))
    t = rng.integers(0, 3, size=200)
    t = t if numbers else np.eye(3)[t]  # also as probabilities of classes
    seen = []

    def looked_at(block):
        seen.append(len(block))
        return block

    lazy = da.from_array(x, chunks=(30, -1)).map_blocks(looked_at, meta=x[:0])
    theirs = gradients(lazy, da.from_array(t, chunks=(30, -1)[: t.ndim]), loss)
    assert seen == []
    assert all(type(a) is da.Array for a in theirs)
    with_numpy = gradients(x, t, loss)
    for a, b in zip(da.compute(*theirs, scheduler="sync"), with_numpy, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)
    assert max(seen) == 30


def test_labels_from_dask_may_be_numbers_beside_an_array_of_either_kind():
    """They are not looked at before they are computed; one that is no class has the loss inf."""
    da = pytest.importorskip("dask.array")
    z, labels = np.random.default_rng(0).normal(size=(5, 3)), np.array([0, 2, 1, 1, 0])
    right = cross_entropy(z, labels)
    for data in (z, da.from_array(z, chunks=2)):
        for given in (labels, da.from_array(labels, chunks=2)):
            np.testing.assert_allclose(np.asarray(cross_entropy(data, given)), right, rtol=1e-15)
        wrong = cross_entropy(data, da.from_array(labels + 1, chunks=2), "none")
        assert np.isinf(np.asarray(wrong)).tolist() == [False, True, False, False, False]


def test_steps_on_gradients_from_dask_are_those_of_numpy():
    da = pytest.importorskip("dask.array")
    x, t = np.random.default_rng(0).normal(size=(2, 200, 3))
    nets = [MLP([3, 4, 3], rng=0), MLP([3, 4, 3], rng=0)]
    for net, lazy in zip(nets, (False, True)):
        optimizer = SGD(net.parameters(), 0.05, momentum=0.9)
        for _ in range(4):
            optimizer.zero_grad()
            data = [da.from_array(a, chunks=(64, -1)) for a in (x, t)] if lazy else [x, t]
            mse(net(data[0]), data[1]).backward()
            if lazy:  # all at once: one pass through the data
                grads = da.compute(*(p.grad for p in optimizer.params), scheduler="sync")
                for p, grad in zip(optimizer.params, grads):
                    p.grad = grad
            optimizer.step()
    for a, b in zip(*(net.parameters() for net in nets)):
        assert type(b.data) is np.ndarray
        np.testing.assert_allclose(b.data, a.data, rtol=1e-12, atol=1e-14)
