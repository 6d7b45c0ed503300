"""The compiled program: equal to the graph, without allocations, and never silently stale."""

import tracemalloc

import graphs
import numpy as np
import pytest

from tinygrad_mlp import MLP, SGD, Tensor, jit, mse, no_grad, relu
from tinygrad_mlp.errors import GradientError, ShapeError
from tinygrad_mlp.graph import changed_at

RNG = np.random.default_rng(0)


def data(sizes, batch, dtype):
    """Inputs and targets."""
    rng = np.random.default_rng(batch)
    return (
        rng.standard_normal((batch, sizes[0])).astype(dtype),
        rng.standard_normal((batch, sizes[-1])).astype(dtype),
    )


def eager(f, parameters, *args):
    """Loss and gradients by the graph."""
    for p in parameters:
        p.zero_grad()
    loss = f(*args)
    loss.backward()
    return loss.data, [p.grad.copy() for p in parameters]


def assert_close(a, b, dtype):
    """Equal up to a few roundings of the largest entry."""
    a, b = np.asarray(a), np.asarray(b)
    assert a.dtype == b.dtype
    assert a.shape == b.shape
    scale = max(float(np.max(np.abs(b), initial=0.0)), 1e-30)
    assert np.max(np.abs(a - b), initial=0.0) <= 100 * np.finfo(dtype).eps * scale


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("batch", [1, 7, 32])
@pytest.mark.parametrize(
    "sizes", [(2, 4, 1), (3, 5, 5, 2), (64, 128, 64, 10), (8,) * 9, (200, 300, 2)]
)
def test_an_mlp_compiled_equals_the_graph(sizes, batch, dtype):
    net = MLP(sizes, rng=1, dtype=dtype)

    def f(x, t):
        return mse(net(x), t)

    run = jit(f)
    for _ in range(3):
        x, t = data(sizes, batch, dtype)
        loss = run(x, t)
        got = [p.grad.copy() for p in net.parameters()]
        expected, gradients = eager(f, net.parameters(), x, t)
        assert_close(loss, expected, dtype)
        for a, b in zip(got, gradients, strict=True):
            assert_close(a, b, dtype)
        assert_close(run.value(x, t), expected, dtype)
        for p in net.parameters():
            p.data = p.data * 0.9  # another array: noticed


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", [(2, 16, 1), (64, 400, 200, 10)])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_steps_of_sgd_in_the_program_equal_eager_training(sizes, dtype, momentum):
    x, t = data(sizes, 16, dtype)
    ours, theirs = MLP(sizes, rng=3, dtype=dtype), MLP(sizes, rng=3, dtype=dtype)
    fast = SGD(ours.parameters(), 1e-3, momentum=momentum)
    slow = SGD(theirs.parameters(), 1e-3, momentum=momentum)
    run = jit(lambda x, t: mse(ours(x), t), fast)
    for step in range(6):
        fast.lr = slow.lr = 1e-3 / (1 + step)
        loss = run(x, t)
        slow.zero_grad()
        expected = mse(theirs(x), t)
        expected.backward()
        slow.step()
        assert_close(loss, expected.data, dtype)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert_close(p.data, q.data, dtype)


def test_a_graph_that_is_alive_notices_the_step_of_a_program():
    net = MLP((2, 3, 1), rng=0)
    x, t = data((2, 3, 1), 4, np.float64)
    run = jit(lambda x, t: mse(net(x), t), SGD(net.parameters(), 0.1))
    run(x, t)
    loss = mse(net(x), t)
    run(x, t)
    assert changed_at(net.W[1]) > loss.index
    with pytest.raises(GradientError, match="overwritten"):
        loss.backward()


W = Tensor(RNG.standard_normal((3, 3)), requires_grad=True, name="W[0]; import os")
B = Tensor(RNG.standard_normal(3), requires_grad=True, name="len")
S = Tensor(0.7, requires_grad=True)

PROGRAMS = {
    "residual": lambda x: (x + relu(x @ W + B)).sum(),
    "attention": lambda x: softened(x @ W @ x.T) @ x,
    "reused": lambda x: (x @ W @ W + B * B * B) * S,
    "mean and max": lambda x: x @ W - (x @ W).max(axis=1, keepdims=True) + (x @ W).mean(axis=0),
    "joined": lambda x: np.concatenate([x @ W, x * B], axis=1),
    "stacked": lambda x: np.stack([x @ W, x * B], axis=0)[1:, ::2],
    "indexed": lambda x: (x @ W)[[0, 0, 1], 1:] ** 3,
    "where": lambda x: np.where(x > 0, x @ W, np.tanh(B)),
    "clipped": lambda x: np.clip(x @ W, -0.5, 0.5) + np.clip(B, None, 0.3),
    "reshaped": lambda x: (x @ W).reshape(-1, 1) * S + np.expand_dims(B, 0),
    "swapped": lambda x: np.swapaxes(np.broadcast_to(B, (2, 5, 3)) * (x @ W), 0, 1),
    "numbers": lambda x: 1 / (2 + np.exp(-(x @ W) / 3)) * 4 / 5 - -B,
    "no matrix": lambda x: np.sqrt(B * B + 1).sum(axis=0) * np.abs(S) * x.mean(),
    "sizes": lambda x: x @ W * x.shape[0] + (x @ W).mean() * (len(x) - 1) * x.size,
    "copied": lambda x: np.copy(B) + (x @ W).astype(np.float64),
}


def softened(z):
    """Softmax over the last axis."""
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("name", PROGRAMS)
def test_other_graphs_compiled_equal_the_graph(name):
    def f(x):
        y = PROGRAMS[name](x)
        return (y * y).sum() / 7 + y.sum()

    run = jit(f, debug=True)
    leaves = [W, B, S]
    for _ in range(3):
        x = RNG.standard_normal((5, 3))
        loss = run(x)
        got = {id(p): p.grad.copy() for p in run._last().tensors}
        for p in leaves:
            p.zero_grad()
        expected = f(x)
        expected.backward()
        np.testing.assert_allclose(loss, expected.data, rtol=1e-12)
        for p in leaves:
            assert (p.grad is not None) == (id(p) in got)
            if p.grad is not None:
                np.testing.assert_allclose(got[id(p)], p.grad, rtol=1e-10, atol=1e-12)


def check_random_graph(seed, first=None):
    """The program of a random graph leaves the gradients of the graph, for other data too."""
    arrays = graphs.arrays_for(seed, 5)
    leaves = [Tensor(arrays[name], True, name) for name in graphs.SHAPES]
    steps = list(graphs.STEPS)

    def f(x):
        return graphs.build(seed, arrays, first or steps[seed % len(steps)], [x, *leaves])[0]

    run = jit(f)
    for x in (arrays["x"], arrays["x"] * 0.9):
        loss = run(x)
        got = [p.grad for p in leaves]
        for p in leaves:
            p.grad = None
        expected = f(Tensor(x, name="x"))
        expected.backward()
        np.testing.assert_allclose(loss, expected.data, rtol=1e-10, err_msg=str(seed))
        for a, p in zip(got, leaves, strict=True):
            assert (a is None) == (p.grad is None), seed
            if a is not None:
                scale = max(1.0, float(np.max(np.abs(p.grad))))
                np.testing.assert_allclose(
                    a, p.grad, rtol=1e-9, atol=1e-11 * scale, err_msg=f"{seed} {p.name}"
                )


@pytest.mark.parametrize("part", range(8))
def test_random_graphs_compiled_equal_the_graph(part):
    with np.errstate(all="ignore"):
        for seed in range(part, 160, 8):
            check_random_graph(seed)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_the_same_for_each_function_that_is_written_with_others(part):
    with np.errstate(all="ignore"):
        for seed, first in list(enumerate(graphs.COMPOSED_STEPS, 10**4))[part::4]:
            check_random_graph(seed, first)


@pytest.mark.slow
def test_a_thousand_random_graphs_compiled_equal_the_graph():
    with np.errstate(all="ignore"):
        for seed in range(160, 1160):
            check_random_graph(seed)


def test_parameters_of_two_dtypes_are_compiled():
    a = Tensor(np.ones(3, np.float32), requires_grad=True)
    b = Tensor(np.full(3, 2.0), requires_grad=True)
    run = jit(lambda x: (a * b * x).sum(), SGD([a, b], 0.1))
    run(np.arange(3.0))
    assert [a.grad.dtype, b.grad.dtype] == [np.float32, np.float64]
    np.testing.assert_allclose(a.data, 1 - 0.1 * 2 * np.arange(3.0), rtol=1e-6)


def test_gradients_are_replaced_and_not_added():
    w = Tensor([1.0, 2.0], requires_grad=True)
    run = jit(lambda x: (w * x).sum())
    run(np.array([3.0, 4.0]))
    run(np.array([3.0, 4.0]))
    np.testing.assert_array_equal(w.grad, [3.0, 4.0])


def test_every_set_of_shapes_has_a_program_of_its_own():
    net = MLP((3, 4, 2), rng=0)
    run = jit(lambda x, t: mse(net(x), t))
    for batch in (2, 5, 2, 1):
        x, t = data((3, 4, 2), batch, np.float64)
        np.testing.assert_allclose(run(x, t), mse(net(x), t).data, rtol=1e-12)
    assert len(run._plans) == 3
    assert run._plan is run._plans[((1, 3), np.dtype(float)), ((1, 2), np.dtype(float))]


def test_arguments_may_be_lists_and_constant_tensors():
    w = Tensor([1.0, 2.0], requires_grad=True)
    run = jit(lambda x: (w * x).sum())
    assert float(run([3.0, 4.0])) == 11.0
    assert float(run.value(Tensor([1.0, 1.0]))) == 3.0
    with pytest.raises(GradientError, match=r"jit: w \(2,\) requires a gradient"):
        run(Tensor([1.0, 1.0], requires_grad=True, name="w"))


def test_a_closure_number_that_changes_is_noticed():
    w = Tensor([1.0, 2.0], requires_grad=True)
    factor = 2.0
    offset, one = np.array(1.0), Tensor(1.0)

    def f(x):
        return (w * x * factor).sum() * one + offset * w.sum()

    run = jit(f)
    x = np.ones(2)
    assert float(run(x)) == 9.0
    factor = 3.0
    assert float(run(x)) == 12.0
    offset[...] = 2.0  # a 0-d array is a number of the program
    assert float(run(x)) == 15.0


GLOBAL = 2.0


def test_a_global_number_that_changes_is_noticed(monkeypatch):
    w = Tensor([1.0], requires_grad=True)
    run = jit(lambda x: (w * x * GLOBAL).sum())
    assert float(run(np.ones(1))) == 2.0
    monkeypatch.setitem(globals(), "GLOBAL", 5.0)
    assert float(run(np.ones(1))) == 5.0


def test_an_array_the_function_reads_is_read_at_each_call():
    w = Tensor([1.0, 2.0], requires_grad=True)
    scale = np.array([1.0, 1.0])
    run = jit(lambda x: (w * x * scale).sum())
    assert float(run(np.ones(2))) == 3.0
    scale *= 10
    assert float(run(np.ones(2))) == 30.0


def test_debug_notices_what_is_baked_in():
    w = Tensor([1.0], requires_grad=True)
    settings = {"scale": 2.0}
    run = jit(lambda x: (w * x * settings["scale"]).sum(), debug=True)
    run(np.ones(1))
    settings["scale"] = 3.0
    with pytest.raises(GradientError, match="the compiled program and the graph differ"):
        run(np.ones(1))


LOOKS = {
    "bool": lambda y: 1.0 if y.sum() > 0 else 2.0,
    "float": lambda y: float(y.sum()),
    "int": lambda y: int(y.sum()),
    "item": lambda y: y.sum().item(),
    "data": lambda y: y.data.sum(),
    "numpy": lambda y: y.numpy().sum(),
    "asarray": lambda y: np.asarray(y.detach()).sum(),
    "argmax": lambda y: y.argmax(),
    "query": lambda y: np.isnan(y).any(),
    "tolist": lambda y: y.tolist()[0],
}


@pytest.mark.parametrize("look", LOOKS)
def test_a_function_that_looks_at_a_traced_value_is_refused(look):
    w = Tensor([1.0, 2.0], requires_grad=True, name="w")
    run = jit(lambda x: (w * x).sum() * LOOKS[look](w * x))
    with no_grad(), pytest.raises(GradientError, match=r"jit: the function looks at"):
        run(np.ones(2))


def test_shapes_of_a_traced_value_may_be_looked_at():
    w = Tensor([1.0, 2.0], requires_grad=True)
    run = jit(lambda x: (w * x).sum() * len(x) * np.ndim(x) * np.size(x))
    assert float(run(np.ones(2))) == 12.0


def test_what_cannot_be_compiled_is_refused():
    with pytest.raises(ShapeError, match="not a Python function"):
        jit(3)
    w = Tensor([1.0, 2.0], requires_grad=True, name="w")
    with pytest.raises(GradientError, match=r"must return a scalar loss, not a Tensor \(2,\)"):
        jit(lambda x: w * x)(np.ones(2))
    with pytest.raises(GradientError, match="must return a scalar loss"):
        jit(lambda x: float(len(x)))(np.ones(2))
    run = jit(lambda x: (w * x).sum())
    with pytest.raises(GradientError, match="nothing is compiled before the first call"):
        run.source  # noqa: B018  # the property is what is tested
    with pytest.raises(TypeError, match="argument"):
        run(np.ones(2), np.ones(2))
    run(np.ones(2))
    with pytest.raises(TypeError, match="argument"):
        run()


def test_source_and_program_are_the_text_that_ran():
    net = MLP((2, 3, 1), rng=0)
    run = jit(lambda x, t: mse(net(x), t), SGD(net.parameters(), 0.1))
    run(*data((2, 3, 1), 4, np.float64))
    assert run.source.startswith("def run(x, t):\n    x.dot(W0, ")
    assert "multiply(dA1, " in run.source
    assert "subtract(parameters, step, parameters)" in run.source
    assert str(run.program).startswith("forward\n    Z[1] = x @ W[0] + B[0]")


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_call_allocates_nothing_large_and_nothing_grows(momentum):
    sizes, batch = (256, 256, 256), 64
    net = MLP(sizes, rng=0, dtype=np.float32)
    x, t = data(sizes, batch, np.float32)
    run = jit(lambda x, t: mse(net(x), t), SGD(net.parameters(), 1e-3, momentum=momentum))
    for _ in range(3):
        run(x, t)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        run(x, t)
        _, peak = tracemalloc.get_traced_memory()
        smallest = batch * 256 * 4
        limit = max(64_000, smallest) if not momentum else 2 * 256 * 256 * 4
        assert peak - before < limit
        for _ in range(1000):
            run(x, t)
        after, _ = tracemalloc.get_traced_memory()
        assert after - before < 10_000
    finally:
        tracemalloc.stop()


def test_constants_take_no_name_of_an_array():
    """Arrays without a name are c, c2, c3 ...; so are objects that the text cannot spell."""
    arrays = [np.arange(3.0) + k for k in range(15)]
    indices = [np.array([0, 1, k % 3]) for k in range(15)]

    def f(x):
        y = np.tanh(x @ W)[:, :3]
        for a, i in zip(arrays, indices, strict=True):
            y = np.transpose(y[:, i], [1, 0]).T * 0.5 + np.reshape(a, (1, 3))
        return np.where(y > 0.5, np.nan_to_num(np.where(y > 1e9, np.inf, y)), y[()]).sum()

    x = RNG.standard_normal((5, 3))
    np.testing.assert_allclose(jit(f, debug=True)(x), f(x).data, rtol=1e-12)


@pytest.mark.parametrize(
    "mask",
    [
        lambda w: relu(w) > 0.5,  # no slope of relu, though it compares one
        lambda w: np.tanh(w) > 0,  # below 0, where a sign is -1
        lambda w: relu(w) > 0,
    ],
)
def test_a_product_with_a_mask_is_that_with_its_truth_values(mask):
    w = Tensor([-2.0, 0.0, 0.25, 3.0], requires_grad=True, name="w")

    def f(x):
        return (x * mask(w)).sum() + w.sum()  # a mask that is used once has no line

    x = np.array([1.0, 2.0, 3.0, 4.0])
    loss, (dw,) = eager(f, [w], x)
    assert jit(f)(x) == loss
    np.testing.assert_array_equal(w.grad, dw)


@pytest.mark.parametrize(
    "combined",
    [
        lambda m: m & (W[:, 0] > 0),
        lambda m: np.invert(m),
        lambda m: m + (W[:, 0] > 0),  # of truth values: or
        lambda m: m * (W[:, 0] > 0),
    ],
)
def test_masks_are_combined_as_truth_values(combined):
    w = Tensor([-2.0, 1.0, 0.5], requires_grad=True, name="w")

    def f(x):
        return (w * combined(relu(x) > 0)).sum()

    x = np.array([1.0, -1.0, 2.0])
    loss, (dw,) = eager(f, [w], x)
    assert jit(f)(x) == loss
    np.testing.assert_array_equal(w.grad, dw)


def test_a_relu_of_one_number_is_compiled():
    w = Tensor(-2.0, requires_grad=True, name="w")
    loss = jit(lambda x: relu(w * x) + w)(np.array(-3.0))
    assert (float(loss), float(w.grad)) == (4.0, -2.0)
