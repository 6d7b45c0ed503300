"""The walk: depth, sharing, memory, modes, and values overwritten between forward and backward."""

import asyncio
import contextlib
import copy
import gc
import operator
import threading
import time
import tracemalloc
import weakref

import numpy as np
import pytest
from helpers import leaves, no_cycles, vjp

from tinygrad_mlp import MLP, SGD, Tensor, mse, no_grad, relu
from tinygrad_mlp.errors import GradientError
from tinygrad_mlp.graph import (
    ALL,
    MODE,
    OFF,
    ON,
    Size,
    backward_pass,
    parents,
    record_all,
    toposort,
    wrote,
)
from tinygrad_mlp.ops import scatter

# --- sums over uses -------------------------------------------------------------------------------


def test_calling_backward_twice_adds_the_gradient_twice_and_nothing_more():
    """216 = 108 + 108; an engine that keeps the cotangent of y for the second pass says 324."""
    x = Tensor(3.0, requires_grad=True)
    y = x**2
    z = y**2  # x⁴, whose slope 4 x³ is 108
    z.backward()
    assert x.grad == 108
    z.backward()
    assert x.grad == 216
    assert y.grad is None


def test_x_squared_backward_twice():
    x = Tensor(3.0, requires_grad=True)
    y = x**2
    for expected in (6, 12, 18):
        y.backward()
        assert x.grad == expected


def test_two_losses_that_share_a_part_add_up():
    x = Tensor(2.0, requires_grad=True)
    y = x * 3
    (y * 2).backward()
    (y * 5).backward()
    assert x.grad == 6 + 15


def test_a_tensor_used_near_and_far_from_the_loss_waits_for_all_its_uses():
    x = Tensor(2.0, requires_grad=True)
    a = x * 3
    loss = a + a * a * a
    loss.backward()
    assert x.grad == 3 + 3 * 3 * 36


def test_sixty_doublings_take_no_time_and_are_exact():
    x = Tensor(1.0, requires_grad=True)
    y = x
    for _ in range(60):
        y = y + y
    start = time.process_time()
    y.backward()
    assert time.process_time() - start < 0.05  # 2^60 paths would take centuries
    assert x.grad == 2.0**60
    assert len(toposort(y)) == 60


def test_a_ladder_of_diamonds_is_walked_once():
    x = Tensor(1.0, requires_grad=True)
    a = b = x
    for _ in range(50):
        a, b = a + b, a - b
    a.backward()
    assert x.grad == 2.0**25
    assert len(toposort(a)) == 99


def test_one_tensor_in_both_places():
    assert vjp(lambda x: x * x, [np.array(3.0)])[0] == 6
    assert vjp(lambda x: x + x, [np.array(3.0)])[0] == 2
    assert vjp(lambda x: x - x, [np.array(3.0)])[0] == 0
    np.testing.assert_array_equal(
        vjp(lambda x: (x @ x).sum(), [np.ones((2, 2))])[0], np.full((2, 2), 4)
    )
    assert vjp(lambda x: np.stack([x, x, x]).sum(), [np.array(3.0)])[0] == 3


def test_only_what_requires_a_gradient_is_walked():
    x, c = Tensor(2.0, requires_grad=True), Tensor(3.0)
    constant = c * c + 1
    assert constant.op is None
    assert constant.parents == ()
    y = x * constant
    assert toposort(y) == [y]
    y.backward()
    assert c.grad is None
    assert constant.grad is None


def test_the_rule_of_an_argument_without_need_never_runs(monkeypatch):
    from tinygrad_mlp.primitives import PRIMITIVES

    def never(_g, _y, _a, _b):
        raise AssertionError("ran for nothing")

    monkeypatch.setitem(PRIMITIVES, np.multiply, (PRIMITIVES[np.multiply][0], never))
    x = Tensor(2.0, requires_grad=True)
    (x * np.float64(3.0)).backward()
    (x * Tensor(3.0)).backward()
    assert x.grad == 6


# --- the pass itself ------------------------------------------------------------------------------


def test_toposort_lists_the_nodes_latest_first():
    x, y = leaves(np.array(2.0), np.array(3.0))
    a = x * y
    b = a + x
    c = b * a
    assert toposort(c) == [c, b, a]
    assert toposort(x) == []
    assert [t.index for t in (x, y, a, b, c)] == sorted(t.index for t in (x, y, a, b, c))


def test_parents_are_the_tensors_among_the_arguments():
    x, y = leaves(np.ones(2), np.ones(2))
    assert parents(x) == x.parents == ()
    assert (x * y).parents == (x, y)
    assert (x + x).parents == (x, x)
    assert (x * 2).parents == (x,)
    assert np.concatenate([x, np.ones(1), y]).parents == (x, y)
    assert np.stack([y, x]).parents == (y, x)
    assert np.where([True, False], x, y).parents == (x, y)


def test_a_node_remembers_what_it_was_called_with():
    x, w = leaves(np.ones((2, 3)), np.ones((3, 4)))
    y = x @ w
    assert (y.op, y.args, y.kwargs) == (np.matmul, (x, w), {})
    z = x[1:, 0]
    assert (z.op, z.args) == (operator.getitem, (x, slice(1, None), 0))
    s = np.sum(x, axis=0, keepdims=True)
    assert (s.op, s.args, s.kwargs) == (np.sum, (x, 0), {"keepdims": True})
    assert relu(x).op is relu


def test_backward_pass_returns_cotangents_and_leaves_grad_alone():
    x, y = leaves(np.array(2.0), np.array(3.0))
    a = x * y
    loss = a * a
    found = backward_pass(loss, np.float64(1))
    assert found == {x: 36, y: 24}
    found = backward_pass(loss, np.float64(1), wanted=[a, x])
    assert found[a] == 12
    assert found[x] == 36
    assert [t.grad for t in (x, y, a, loss)] == [None] * 4


def test_wanted_nodes_need_no_gradient_of_others():
    x, y = leaves(np.array(2.0), np.array(3.0))
    a = x * x
    loss = a * y
    found = backward_pass(loss, np.float64(1), wanted=[y])
    assert found[y] == 4
    assert x not in found
    found = backward_pass(loss, np.float64(1), wanted=[loss])
    assert found[loss] == 1
    other = Tensor(1.0, requires_grad=True)
    assert other not in backward_pass(loss, np.float64(1), wanted=[other])


def test_a_wanted_node_used_several_times_gets_the_whole_sum():
    x = Tensor(2.0, requires_grad=True)
    a = x * 3
    b = a * a
    loss = b + a * 5 + b * a
    found = backward_pass(loss, np.float64(1), wanted=[a, b, x])
    assert found[b] == 1 + 6
    assert found[a] == 7 * 12 + 5 + 36
    assert found[x] == 3 * found[a]


def test_create_graph_gives_second_and_third_derivatives():
    x = Tensor(2.0, requires_grad=True)
    y = x**4
    for expected in (32, 48, 48, 24):
        y = backward_pass(y.sum(), Tensor(1.0), create_graph=True)[x]
        assert y.item() == expected


# --- depth ----------------------------------------------------------------------------------------


def chain(n):
    x = Tensor(1.0, requires_grad=True, name="x")
    y = x
    for _ in range(n):
        y = y * 1.0
    return x, y


def test_a_chain_of_20_000_ops_needs_no_recursion():
    x, y = chain(20_000)
    y.backward()
    assert x.grad == 1


def test_a_deep_chain_can_be_walked_in_every_way():
    x, y = chain(20_000)
    assert backward_pass(y, np.float64(1), wanted=[x])[x] == 1
    g = backward_pass(y, Tensor(1.0), create_graph=True)[x]
    assert g.item() == 1
    assert len(repr(y)) < 200
    del y, g


@pytest.mark.slow
def test_a_chain_of_a_million_ops_takes_linear_time_and_gives_its_memory_back():
    def seconds(n):
        start = time.process_time()
        x, y = chain(n)
        y.backward()
        assert x.grad == 1
        del x, y
        return time.process_time() - start

    gc.collect()
    gc.disable()
    try:
        tracemalloc.start()
        seconds(1000)
        before, _ = tracemalloc.get_traced_memory()
        x, y = chain(1_000_000)
        y.backward()
        held, _ = tracemalloc.get_traced_memory()
        leaf = weakref.ref(x)
        del x, y
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert leaf() is None
        assert held - before > 100e6
        assert after - before < 1e6
        small = min(seconds(100_000) for _ in range(3))
        assert seconds(1_000_000) < 25 * small
    finally:
        tracemalloc.stop()
        gc.enable()


def test_memory_of_a_graph_is_free_as_soon_as_it_is_dropped():
    net = MLP([3, 5, 2], rng=0)
    with no_cycles():
        loss = mse(net(np.ones((7, 3))), np.zeros((7, 2)))
        loss.backward()
        nodes = [weakref.ref(t) for t in toposort(loss)]
        assert len(nodes) == 6
        net.A.clear()
        del loss
        assert [node() for node in nodes] == [None] * len(nodes)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.concatenate([x, x]).sum(),
        lambda x: np.stack([x, x])[0, [1, 1]].sum(),
        lambda x: scatter(x, [0, 0, 1], np.ones(3)).sum(),
        lambda x: np.exp(x).max(),
        lambda x: (x.T @ x).sum(),
        lambda x: sum(x),
    ],
)
def test_no_op_makes_a_reference_cycle(f):
    x = Tensor(np.arange(3.0), requires_grad=True)
    with no_cycles():
        loss = f(x)
        loss.backward()
        del loss
        loss = f(x)
        backward_pass(loss, Tensor(1.0), create_graph=True)
        del loss


def test_an_error_leaves_no_graph_behind():
    x = Tensor(np.ones((2, 3)), requires_grad=True)
    with no_cycles():
        y = x * 2
        node = weakref.ref(y)
        with contextlib.suppress(ValueError):
            y @ np.ones((2, 3))
        del y
        assert node() is None


# --- overwritten values ---------------------------------------------------------------------------


def square_loss(x):
    return (x * x).sum()


def in_place(t):
    t.data -= 0.1


def rebind(t):
    t.data = t.data - 0.1


def setitem(t):
    with no_grad():
        t[0] = 5.0


def augmented(t):
    with no_grad():
        t -= 0.1


def step(t):
    t.grad = np.ones_like(t.data)
    SGD([t], 0.1).step()


def momentum_step(t):
    t.grad = np.ones_like(t.data)
    SGD([t], 0.1, momentum=0.9).step()


def through_a_view(t):
    view = Tensor(t.data[1:])
    view.data *= 2


def through_detach(t):
    t.detach().data += 1


def through_a_transposed_view(t):
    Tensor(t.data.reshape(-1, 1).T[:, ::-1]).data += 1


def through_a_shared_array(t):
    other = Tensor(t.data)
    with no_grad():
        other[...] = 0.0


def by_hand(t):
    t.data[...] = 7.0
    wrote([t.data])


CHANGES = [
    *(in_place, rebind, setitem, augmented, step, momentum_step, through_a_view, through_detach),
    *(through_a_transposed_view, through_a_shared_array, by_hand),
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_value_overwritten_before_backward_is_an_error_that_names_it(change):
    x = Tensor(np.arange(3.0), requires_grad=True, name="x")
    loss = square_loss(x)
    change(x)
    x.grad = None
    with pytest.raises(
        GradientError, match=r"multiply: the value of x \(3,\) was overwritten.*forward"
    ):
        loss.backward()
    assert x.grad is None
    square_loss(x).backward()  # the new value is as good as any
    np.testing.assert_array_equal(x.grad, 2 * x.data)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(
    "f",
    [
        lambda x: (x + x).sum(),
        lambda x: (x * 3).sum(),
        lambda x: (x - 1)[1:].mean(),
        lambda x: np.concatenate([x, x]).sum(),
        lambda x: x.reshape(1, 3).T.sum(),
        lambda x: relu(x).sum(),  # reads its result
        lambda x: np.exp(x).sum(),
    ],
)
def test_a_rule_that_does_not_read_the_value_does_not_mind(change, f):
    x = Tensor(np.arange(3.0), requires_grad=True, name="x")
    f(x).backward()
    expected, x.grad = x.grad, None
    loss = f(x)
    change(x)
    x.grad = None
    loss.backward()
    np.testing.assert_array_equal(x.grad, expected)


def test_a_value_that_no_gradient_needs_may_change():
    """x·w needs x for w only."""
    x, w = Tensor(np.ones(3), name="x"), Tensor(np.ones(3), requires_grad=True, name="w")
    loss = (x * w).sum()
    w.data *= 5
    loss.backward()
    np.testing.assert_array_equal(w.grad, 1)
    loss = (x * w).sum()
    x.data *= 5
    with pytest.raises(GradientError, match=r"x \(3,\) was overwritten"):
        loss.backward()


def test_an_overwritten_result_is_seen_where_the_rule_reads_it():
    x = Tensor(np.ones(3), requires_grad=True)
    y = np.exp(x)
    y.name = "y"
    loss = y.sum()
    y.data *= 2
    with pytest.raises(GradientError, match=r"exp: the value of y \(3,\) was overwritten"):
        loss.backward()


def test_a_view_in_the_graph_shares_the_fate_of_its_array():
    x = Tensor(np.ones((2, 3)), requires_grad=True, name="x")
    row = x[0]
    loss = (row * row).sum()
    x.data -= 1
    with pytest.raises(
        GradientError, match=r"multiply: the value of Tensor \(3,\) was overwritten"
    ):
        loss.backward()


def test_a_change_of_another_array_does_not_matter():
    x, other = leaves(np.ones(3), np.ones(3))
    loss = square_loss(x)
    for change in CHANGES:
        change(other)
    loss.backward()
    np.testing.assert_array_equal(x.grad, 2)


def test_a_change_before_the_forward_pass_does_not_matter():
    x = Tensor(np.ones(3), requires_grad=True)
    for change in CHANGES:
        change(x)
        x.grad = None
        square_loss(x).backward()
        np.testing.assert_array_equal(x.grad, 2 * x.data)


def test_a_deep_copy_is_independent():
    x = Tensor(np.ones(3), requires_grad=True)
    loss = square_loss(x)
    copy.deepcopy(x).data += 1
    loss.backward()
    np.testing.assert_array_equal(x.grad, 2)


def test_other_readers_of_the_graph_notice_too():
    x = Tensor(np.ones(3), requires_grad=True, name="x")
    loss = square_loss(x)
    x.data += 1
    with pytest.raises(GradientError, match=r"x .* overwritten"):
        backward_pass(loss, np.float64(1), wanted=[x])
    with pytest.raises(GradientError, match=r"x .* overwritten"):
        backward_pass(loss, Tensor(1.0), create_graph=True)
    np.testing.assert_array_equal(backward_pass(loss, np.float64(1), check=False)[x], 4)


def test_an_id_that_is_used_again_raises_no_false_alarm():
    for _ in range(200):
        t = Tensor(np.ones(3), requires_grad=True)
        in_place(t)
        rebind(t)
        del t
        x = Tensor(np.ones(3), requires_grad=True)
        square_loss(x).backward()


# --- modes ----------------------------------------------------------------------------------------


def test_no_grad_records_nothing():
    x = Tensor(2.0, requires_grad=True)
    with no_grad():
        y = x * x
    assert not y.requires_grad
    assert (y.op, y.args, y.parents) == (None, (), ())
    assert (x * x).requires_grad


def test_no_grad_decorates_a_function():
    x = Tensor(2.0, requires_grad=True)

    @no_grad()
    def f(n):
        """Deep."""
        return x * x if n == 0 else f(n - 1)

    assert not f(3).requires_grad
    assert f.__doc__ == "Deep."
    assert MODE.get() == ON


def test_no_grad_nests_and_one_object_may_be_entered_again():
    x = Tensor(2.0, requires_grad=True)
    off = no_grad()
    with off:
        with off, no_grad():
            assert not (x * x).requires_grad
        assert not (x * x).requires_grad
    assert (x * x).requires_grad


def test_no_grad_ends_with_an_exception():
    x = Tensor(2.0, requires_grad=True)

    @no_grad()
    def fail():
        raise KeyError

    with pytest.raises(KeyError):
        fail()
    with pytest.raises(KeyError), no_grad():
        raise KeyError
    assert (x * x).requires_grad


def test_no_grad_is_of_this_thread_only():
    x = Tensor(2.0, requires_grad=True)
    seen = []
    inside, done = threading.Event(), threading.Event()

    def other():
        inside.wait(5)
        seen.append((x * x).requires_grad)
        with no_grad():
            seen.append((x * x).requires_grad)
        done.set()

    thread = threading.Thread(target=other)
    thread.start()
    with no_grad():
        inside.set()
        done.wait(5)
        assert not (x * x).requires_grad
    thread.join()
    assert seen == [True, False]


def test_one_decorated_function_may_run_in_many_threads():
    x = Tensor(2.0, requires_grad=True)
    barrier = threading.Barrier(4)
    failures = []

    @no_grad()
    def f():
        barrier.wait(5)
        return (x * x).requires_grad

    def run():
        for _ in range(20):
            if f() or not (x * x).requires_grad:
                failures.append(1)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_no_grad_is_of_this_asynchronous_task_only():
    x = Tensor(2.0, requires_grad=True)

    async def off(entered, leave):
        with no_grad():
            entered.set()
            await leave.wait()
            return (x * x).requires_grad

    async def on(entered, leave):
        await entered.wait()
        recorded = (x * x).requires_grad
        leave.set()
        return recorded

    async def both():
        entered, leave = asyncio.Event(), asyncio.Event()
        return await asyncio.gather(off(entered, leave), on(entered, leave))

    assert asyncio.run(both()) == [False, True]


def test_backward_works_inside_no_grad():
    x = Tensor(3.0, requires_grad=True)
    y = x * x
    with no_grad():
        y.backward()
    assert x.grad == 6


def test_everything_is_recorded_while_a_derivation_is_traced():
    x, c = Tensor(np.ones(3), requires_grad=True), Tensor(np.ones(3))
    with record_all():
        assert MODE.get() == ALL
        y = c * 2
        mask = x > 0
    assert (y.op, y.parents, y.requires_grad) == (np.multiply, (c,), False)
    assert (mask.op, mask.parents, mask.requires_grad) == (np.greater, (x,), False)
    with no_grad():
        assert MODE.get() == OFF
    assert MODE.get() == ON


def test_a_size_read_while_tracing_is_an_int_that_knows_its_source():
    x = Tensor(np.ones((3, 4)))
    assert type(x.shape[0]) is type(x.size) is int
    with record_all():
        n, m = x.shape
        assert n.source == (x, 0)
        assert x.size.source == (x,)
    assert (n, m) == (3, 4)
    for size, value, sign in (
        (n + 1, 4, "+"),
        (1 + n, 4, "+"),
        (n * m, 12, "*"),
        (m // 2, 2, "//"),
    ):
        assert isinstance(size, Size)
        assert size == value
        assert size.source[0] == sign
        assert any(part is n or part is m for part in size.source[1:])


def test_many_threads_train_nets_of_their_own():
    def train(seed, out):
        net = MLP([3, 8, 2], rng=seed)
        optimizer = SGD(net.parameters(), 0.05)
        x, t = np.random.default_rng(seed).normal(size=(2, 16, 3)), np.ones((16, 2))
        for _ in range(50):
            optimizer.zero_grad()
            loss = mse(net(x[0]), t)
            loss.backward()
            optimizer.step()
        out[seed] = [p.data for p in net.parameters()]

    alone, together = {}, {}
    for seed in range(4):
        train(seed, alone)
    threads = [threading.Thread(target=train, args=(seed, together)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed in range(4):
        for a, b in zip(alone[seed], together[seed], strict=True):
            np.testing.assert_array_equal(a, b)


def test_results_may_wait_for_their_turn_in_any_number():
    x = Tensor(np.array([0.5, -2.0]), requires_grad=True)
    parts = [np.square(x * k) for k in range(1, 40)]
    y = np.stack(parts[::2] + parts[1::2][::-1]).sum()  # not in the order of their making
    y.backward()
    np.testing.assert_allclose(x.grad, 2 * x.data * sum(k * k for k in range(1, 40)))
