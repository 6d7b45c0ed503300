"""Networks: names, shapes, what a forward pass leaves behind."""

import copy
import keyword
import pickle
import re
import subprocess
import sys
import threading
import unicodedata
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers import Foreign, complex_step

from tinygrad_mlp import (
    MLP,
    SGD,
    ManualMLP,
    Tensor,
    derive,
    mse,
    nn,
    no_grad,
    relu,
    scoping,
    tensor,
)
from tinygrad_mlp.errors import DataError, ShapeError
from tinygrad_mlp.functional import cross_entropy, softplus
from tinygrad_mlp.nn import Linear, Module, Sequential, he_normal
from tinygrad_mlp.optim import Adam
from tinygrad_mlp.scoping import scope

SIZES = [3, 5, 4, 2]
rng = np.random.default_rng(0)
X, T = rng.normal(size=(7, 3)), rng.normal(size=(7, 2))


def forward(x, *parameters):
    """By hand, for real or complex arrays."""
    n = len(parameters) // 2
    for i, (w, b) in enumerate(zip(parameters[:n], parameters[n:], strict=True)):
        x = x @ w + b
        if i < n - 1:
            x = x * (x.real > 0)
    return x


def test_the_lists_hold_a_matrix_and_a_bias_for_each_layer():
    net = MLP(SIZES, rng=0)
    assert [w.shape for w in net.W] == [(3, 5), (5, 4), (4, 2)]
    assert [b.shape for b in net.B] == [(5,), (4,), (2,)]
    assert [w.name for w in net.W] == ["W[0]", "W[1]", "W[2]"]
    assert [b.name for b in net.B] == ["B[0]", "B[1]", "B[2]"]
    assert [w.scope for w in net.W] == [b.scope for b in net.B] == ["layer 0", "layer 1", "layer 2"]
    assert net.A == []
    assert net.sizes == (3, 5, 4, 2)
    parameters = net.parameters()
    assert all(p is q for p, q in zip(parameters, net.W + net.B, strict=True))
    assert all(p.requires_grad and p.op is None and p.grad is None for p in parameters)
    assert all(np.all(b.data == 0) for b in net.B)


def test_a_forward_pass_equals_the_formula_and_names_what_it_makes():
    net = MLP(SIZES, rng=0)
    y = net(X)
    np.testing.assert_array_equal(y.data, forward(X, *(p.data for p in net.parameters())))
    assert y.shape == (7, 2)
    assert y.name == "y"
    assert y.scope == "layer 2"
    assert [a.name for a in net.A] == ["A[0]", "A[1]", "A[2]"]
    assert [a.shape for a in net.A] == [(7, 3), (7, 5), (7, 4)]  # y is not among them
    for i, a in enumerate(net.A[1:], 1):
        z = a.parents[0]
        assert a.op is relu
        assert (z.name, z.op, z.scope, a.scope) == (f"Z[{i}]", np.add, f"layer {i - 1}", a.scope)
        product, b = z.parents
        assert b is net.B[i - 1]
        assert (product.name, product.op, product.scope) == (None, np.matmul, f"layer {i - 1}")
        assert product.parents == (net.A[i - 1], net.W[i - 1])
    assert net.A[0].data is X


def test_each_forward_pass_fills_a_anew():
    net = MLP(SIZES, rng=0)
    net(X)
    first = net.A
    net(X[:2])
    assert len(first) == len(net.A) == 3
    assert [len(a) for a in first] == [7, 7, 7]
    assert [len(a) for a in net.A] == [2, 2, 2]


def test_a_tensor_as_input_stays_what_it_is():
    net = MLP(SIZES, rng=0)
    x = Tensor(X, requires_grad=True, name="image")
    y = net(x)
    assert net.A[0] is x
    assert x.name == "image"
    y.backward(np.ones((7, 2)))
    assert x.grad.shape == X.shape


def test_lists_of_rows_are_an_input():
    net = MLP([2, 4, 1], rng=0)
    np.testing.assert_array_equal(
        net([[1, 2], [3, 4]]).data, net(np.array([[1.0, 2], [3, 4]])).data
    )


@pytest.mark.parametrize("sizes", [(2, 4, 1), (3, 5, 5, 2), (8,) * 9, (2, 1)])
@pytest.mark.parametrize("batch", [1, 7, 32])
def test_gradients_equal_those_of_a_complex_step(sizes, batch):
    rng = np.random.default_rng(1)
    net = MLP(sizes, rng=rng)
    x, t = rng.normal(size=(batch, sizes[0])), rng.normal(size=(batch, sizes[-1]))
    mse(net(x), t).backward()
    parameters = net.parameters()

    def loss(*arrays):
        return np.sum((forward(x, *arrays) - t) ** 2) / batch

    expected = complex_step(loss, [p.data for p in parameters])
    for p, gradient in zip(parameters, expected, strict=True):
        np.testing.assert_allclose(p.grad, gradient, rtol=1e-10, atol=1e-12, err_msg=p.name)


def test_the_last_layer_is_linear():
    net = MLP([3, 2], rng=0)
    y = net(X)
    assert y.op is np.add
    assert y.data.min() < 0
    assert [a.name for a in net.A] == ["A[0]"]


def test_the_activation_can_be_another_function():
    net = MLP(SIZES, rng=0, activation=np.tanh)
    net(X)
    assert [a.op for a in net.A] == [None, np.tanh, np.tanh]
    twice = MLP(SIZES, rng=0, activation=lambda z: relu(z) * 2)
    y = twice(X)
    assert [a.name for a in twice.A] == ["A[0]", "A[1]", "A[2]"]
    y.backward(np.ones(y.shape))
    assert all(p.grad is not None for p in twice.parameters())


@pytest.mark.parametrize("dtype", [np.float32, np.float64, "float32"])
def test_the_dtype_is_kept_throughout(dtype):
    net = MLP(SIZES, rng=0, dtype=dtype)
    loss = mse(net(X.astype(dtype)), T.astype(dtype))
    loss.backward()
    everything = [*net.parameters(), *net.A, loss]
    assert {a.dtype for a in everything} == {np.dtype(dtype)}
    assert {p.grad.dtype for p in net.parameters()} == {np.dtype(dtype)}


def test_the_same_seed_gives_the_same_weights():
    a, b, c = MLP(SIZES, rng=3), MLP(SIZES, rng=np.random.default_rng(3)), MLP(SIZES, rng=4)
    for v, w in zip(a.W, b.W, strict=True):
        np.testing.assert_array_equal(v.data, w.data)
    assert np.any(a.W[0].data != c.W[0].data)
    assert np.any(MLP(SIZES).W[0].data != MLP(SIZES).W[0].data)


def test_weights_do_not_depend_on_the_dtype_but_by_rounding():
    wide, narrow = MLP(SIZES, rng=3), MLP(SIZES, rng=3, dtype=np.float32)
    for v, w in zip(wide.W, narrow.W, strict=True):
        np.testing.assert_array_equal(v.data.astype(np.float32), w.data)


def test_initial_weights_have_the_variance_of_he():
    w = he_normal(200, 300, np.random.default_rng(0))
    assert w.shape == (200, 300)
    np.testing.assert_allclose(w.std(), (2 / 200) ** 0.5, rtol=0.02)
    np.testing.assert_allclose(w.mean(), 0, atol=1e-3)


@pytest.mark.parametrize("sizes", [[], [3], [3, 0, 2], [3, -1]])
def test_sizes_that_make_no_network_are_named(sizes):
    text = re.escape(f"MLP: sizes {sizes!r}: ")
    with pytest.raises(ShapeError, match=text):
        MLP(sizes)


def test_one_sample_is_no_batch():
    net = MLP(SIZES, rng=0)
    with pytest.raises(ShapeError, match=r"x \(3,\).*batch.*x\.reshape\(1, -1\)"):
        net(X[0])
    with pytest.raises(ShapeError, match=r"image \(3,\)|x \(3,\)"):
        net(Tensor(X[0], name="image"))


def test_an_input_of_the_wrong_width_is_named():
    net = MLP(SIZES, rng=0)
    with pytest.raises(ShapeError, match=r"A\[0\] \(7, 4\) @ W\[0\] \(3, 5\).*4 columns.*3 rows"):
        net(np.ones((7, 4)))


def test_no_grad_leaves_the_same_values_and_no_graph():
    net = MLP(SIZES, rng=0)
    y = net(X)
    with no_grad():
        z = net(X)
    np.testing.assert_array_equal(y.data, z.data)
    assert not z.requires_grad
    assert z.op is None
    assert [a.name for a in net.A] == ["A[0]", "A[1]", "A[2]"]


def test_repr_tells_sizes_and_the_number_of_parameters():
    assert repr(MLP([64, 128, 10])) == "MLP([64, 128, 10], dtype=float64)  # 9,610 parameters"


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_a_copied_net_computes_the_same_and_shares_nothing(twin):
    net = MLP(SIZES, rng=0)
    mse(net(X), T).backward()
    other = twin(net)
    assert other.sizes == net.sizes
    assert [p.name for p in other.parameters()] == [p.name for p in net.parameters()]
    assert [p.scope for p in other.parameters()] == [p.scope for p in net.parameters()]
    for p, q in zip(net.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(p.data, q.data)
        np.testing.assert_array_equal(p.grad, q.grad)
        assert q.requires_grad
        assert not np.shares_memory(p.data, q.data)
        assert not np.shares_memory(p.grad, q.grad)
    np.testing.assert_array_equal(other(X).data, net(X).data)


def test_an_mlp_is_a_module_whose_results_are_no_parameters():
    net = MLP(SIZES, rng=0)
    net(Tensor(X, requires_grad=True))
    assert [name for name, _ in net.named_parameters()] == [
        *("W[0]", "W[1]", "W[2]"),
        *("B[0]", "B[1]", "B[2]"),
    ]
    assert [p for _, p in net.named_parameters()] == net.parameters()
    assert list(net.state_dict()) == [name for name, _ in net.named_parameters()]
    other = MLP(SIZES, rng=1)
    other.load_state_dict(net.state_dict())
    np.testing.assert_array_equal(other.forward(X).data, net(X).data)
    pair = Sequential(net, np.tanh)
    y = pair(X)
    assert y.scope is None
    assert y.parents[0].scope == "layer 2"  # the groups of the drawing stay
    assert pair.named_parameters()[0] == ("layers[0].W[0]", net.W[0])


# --- modules: where parameters are found ----------------------------------------------------------


def parameter(*shape, name=None):
    return Tensor(np.ones(shape), requires_grad=True, name=name)


class Bag(Module):
    """Whatever it is given, as attributes."""

    def __init__(self, **attributes):
        vars(self).update(attributes)


def test_parameters_are_found_in_attributes_lists_tuples_dicts_and_modules_at_any_depth():
    a, b, c, d, e, f = (parameter(2) for _ in range(6))
    net = Bag(
        w=a,
        many=[b, (c, {"k": [d]})],
        inner=Bag(w=e, deeper=[Bag(w=f)]),
        number=3,
        text="W",
        nothing=None,
        array=np.ones(3),
        constant=Tensor(np.ones(3)),
        result=a * 2,
    )
    found = dict(net.named_parameters())
    assert list(found) == [
        *("w", "many[0]", "many[1][0]", "many[1][1]['k'][0]"),
        *("inner.w", "inner.deeper[0].w"),
    ]
    assert all(p is q for p, q in zip(found.values(), [a, b, c, d, e, f], strict=True))
    assert net.parameters() == [a, b, c, d, e, f]


def test_a_shared_parameter_is_found_once_under_its_first_name():
    w = parameter(2, 2)
    layer = Linear(2, 2, rng=0)
    net = Bag(first=[w], second=w, a=layer, b=Bag(again=layer, W=layer.W))
    assert [name for name, _ in net.named_parameters()] == ["first[0]", "a.W", "a.B"]
    assert [p for _, p in net.named_parameters()] == [w, layer.W, layer.B]
    assert list(net.state_dict()) == ["first[0]", "a.W", "a.B"]


def test_a_parameter_used_in_two_modules_gets_the_gradient_of_both_and_one_step():
    tied, untied = (Sequential(Linear(3, 3, rng=0), Linear(3, 3, rng=0)) for _ in range(2))
    tied.layers[1].W = tied.layers[0].W
    x = X @ np.eye(3)
    for net in (tied, untied):
        mse(net(x), x).backward()
    both = untied.layers[0].W.grad + untied.layers[1].W.grad
    np.testing.assert_allclose(tied.layers[0].W.grad, both, rtol=1e-12)
    before = tied.layers[0].W.data.copy()
    params = [p for layer in tied.layers for p in layer.parameters()]
    assert len(params) == 4
    SGD(params, 0.1).step()
    np.testing.assert_allclose(tied.layers[1].W.data, before - 0.1 * both, rtol=1e-12)


def test_modules_that_refer_to_each_other_are_walked_once():
    parent, child = Bag(w=parameter(2)), Bag(w=parameter(3))
    parent.child, child.parent = child, parent
    parent.me = [parent]
    parent.me.append(parent.me)
    assert [name for name, _ in parent.named_parameters()] == ["w", "child.w"]
    assert [name for name, _ in child.named_parameters()] == ["w", "parent.w"]
    assert child.eval().parent.training is False


def test_the_order_and_depth_of_nesting_do_not_matter_for_the_walk():
    net = Bag(w=parameter(1))
    for _ in range(3000):  # beyond the recursion limit
        net = Bag(inner=net)
    assert len(net.parameters()) == 1


def test_two_places_that_read_the_same_are_refused():
    class Key:
        def __repr__(self):
            return "key"

    net = Bag(heads={Key(): parameter(2), Key(): parameter(3)})
    with pytest.raises(DataError, match=r"two Tensors are at heads\[key\]"):
        net.parameters()


def test_zero_grad_forgets_the_gradient_of_every_parameter():
    net = Sequential(Linear(3, 4, rng=0), relu, Linear(4, 2, rng=0))
    mse(net(X), T).backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad()
    assert [p.grad for p in net.parameters()] == [None] * 4


def test_train_and_eval_reach_every_module():
    net = Sequential(Linear(3, 4), Sequential(nn.ReLU()), relu)
    modules = [net, net[0], net[1], net[1][0]]
    assert [m.training for m in modules] == [True] * 4
    assert net.eval() is net
    assert [m.training for m in modules] == [False] * 4
    net[1].train()
    assert [m.training for m in modules] == [False, False, True, True]
    assert Module.training is True
    assert "training=False" in repr(net)


def test_a_module_without_forward_says_so():
    with pytest.raises(NotImplementedError, match=r"Bag has no forward\(self, x\)"):
        Bag()(X)


# --- names and scopes -----------------------------------------------------------------------------


def test_tensors_without_a_name_are_named_after_their_place_at_the_first_call():
    net = Sequential(Linear(3, 4, rng=0), relu, Linear(4, 2, rng=0))
    net.layers[2].B.name = "bias"
    assert net.layers[0].W.name is None
    net(X)
    names = [p.name for p in net.parameters()]
    assert names == ["layers[0].W", "layers[0].B", "layers[2].W", "bias"]
    outer = Sequential(net, Linear(2, 2, rng=0))
    outer(X)
    assert [p.name for p in outer.parameters()][:5] == [*names, "layers[1].W"]


def test_a_result_is_drawn_in_the_group_of_the_innermost_module():
    class Block(Module):
        def __init__(self):
            self.inner = Linear(3, 3, rng=0)

        def forward(self, x):
            h = x * 2
            return [{"y": (h + self.inner(np.tanh(h)), 3)}, x]

    block = Block()
    x = Tensor(X)
    y, same = Sequential(block)(x)
    y = y["y"][0]
    h, z = y.parents
    assert (y.scope, h.scope, z.scope) == ("layers[0]", "layers[0]", "layers[0].inner")
    assert z.parents[0].scope == "layers[0].inner"
    assert z.parents[0].parents[0].scope == "layers[0]"  # the tanh, made outside of inner
    assert same is x
    assert x.scope is block.inner.W.scope is None
    alone = block(x)[0]["y"][0]
    assert alone.scope == "layers[0]"  # it still knows where it is


def test_a_module_that_is_called_on_its_own_groups_nothing():
    layer = Linear(3, 2, rng=0)
    y = layer(X)
    assert y.scope is None
    assert [p.name for p in layer.parameters()] == ["W", "B"]
    net = Sequential(layer)
    assert net(X).scope == "layers[0]"
    with no_grad():
        assert net(X).scope == "layers[0]"


def test_placing_visits_a_diamond_once():
    class Doubled(Module):
        def forward(self, x):
            for _ in range(200):
                x = x + x
            return x

    y = Sequential(Doubled())(Tensor(np.ones((1, 1)), requires_grad=True))
    assert y.scope == "layers[0]"


def test_what_is_made_inside_a_scope_carries_its_name():
    w = parameter(3, 2)
    before = tensor.new
    with scope("norm") as entered:
        assert entered.name == "norm"
        x = Tensor(X)
        m = x @ w
        with scope("inner"):
            h = np.tanh(m)
        y = mse(h, T)
        z = relu(h * 1)
        del z  # what is gone is passed over
    after = y * 2
    assert tensor.new is before
    assert [t.scope for t in (x, m, h, y)] == ["norm", "norm", "inner", "norm"]
    assert after.scope is w.scope is None
    assert h.op is np.tanh


def test_a_scope_leaves_the_groups_of_modules_and_reaches_past_errors():
    net = Sequential(Linear(3, 2, rng=0))
    with scope("all"):
        y = net(X) + 1
    assert (y.scope, y.parents[0].scope) == ("all", "layers[0]")
    with pytest.raises(ShapeError), scope("all"):
        net(np.ones((2, 7)))
    assert (y + 1).scope is None
    assert scoping._open == 0


def test_a_scope_decorates_functions_also_recursive_ones():
    @scope("power")
    def power(x, n):
        return x * power(x, n - 1) if n > 1 else x * 1

    x = parameter(2)
    y = power(x, 3)
    assert y.scope == y.parents[1].scope == "power"
    assert x.scope is None


def test_a_decorated_function_may_run_in_two_threads_at_once():
    first_in, second_in, first_out = (threading.Event() for _ in range(3))

    @scope("both")
    def double(x, now, wait_for):
        now.set()
        assert wait_for.wait(timeout=30)
        return x * 2

    x = parameter(2)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(double, x, first_in, second_in)
        assert first_in.wait(timeout=30)
        second = pool.submit(double, x, second_in, first_out)
        try:  # the one that entered first leaves first
            assert first.result(timeout=30).scope == "both"
        finally:
            first_out.set()
        assert second.result(timeout=30).scope == "both"


def test_a_scope_does_not_reach_into_other_threads():
    x = parameter(2)
    with scope("mine"), ThreadPoolExecutor(1) as pool:
        theirs = pool.submit(lambda: x * 2).result()
        mine = x * 3
    assert (theirs.scope, mine.scope) == (None, "mine")


# --- odd names ------------------------------------------------------------------------------------

ODD = [
    *("class", "len", "np", "it's", 'say "hi"', "a.b", "x[0]", "", "\\", "${x}", "\n"),
    *(unicodedata.normalize(form, "é") for form in ("NFC", "NFD")),
    *("ﬁ", "fi", "W", "w", "Ω", "1"),
]


def odd_net():
    """Parameters in a dict with odd keys, two Tensors of one name, attributes that are keywords."""
    net = Bag(heads={k: Tensor(np.full(2, i + 1.0), True) for i, k in enumerate(ODD)})
    setattr(net, "lambda", parameter(2))
    setattr(net, "it's", parameter(2))
    net.a, net.b = parameter(2, name="W"), parameter(2, name="W")
    return net


def test_odd_names_survive_the_way_through_a_state():
    net = odd_net()
    names = [name for name, _ in net.named_parameters()]
    assert len(set(names)) == len(names) == len(ODD) + 4
    assert names[-4:] == ["lambda", '["it\'s"]', "a", "b"]
    other = odd_net()
    for p in other.parameters():
        p.data *= 0
    other.load_state_dict(pickle.loads(pickle.dumps(net.state_dict())))
    for (m, p), (n, q) in zip(net.named_parameters(), other.named_parameters(), strict=True):
        assert m == n
        np.testing.assert_array_equal(p.data, q.data)


def odd_loss(net):
    net._give_names()
    total = 0
    for i, p in enumerate(net.parameters()):
        total = total + np.sum(p * p * (i + 2.0))
    return total


def test_odd_names_become_unique_and_stable_identifiers():
    net = odd_net()
    loss = odd_loss(net)
    program = derive(loss)
    source = program.source()
    assert source == derive(odd_loss(odd_net())).source()
    code = compile(source, "<derived>", "exec")
    space = {}
    exec(code, space)
    arguments = space["backward"].__code__.co_varnames[: space["backward"].__code__.co_argcount]
    assert len(set(arguments)) == len(arguments) == len(net.parameters())
    for name in arguments:
        assert name.isidentifier()
        assert name.isascii()
        assert not keyword.iskeyword(name)
        assert name not in ("np", "len")
    loss.backward()
    gradients = space["backward"](*(p.data for p in net.parameters()))
    for p, g in zip(net.parameters(), gradients, strict=True):
        np.testing.assert_allclose(p.grad, g, rtol=1e-14)


# --- states ---------------------------------------------------------------------------------------


def test_a_state_is_a_copy_and_is_loaded_in_place():
    a, b = (Sequential(Linear(3, 2, rng=i), Linear(2, 2, rng=i)) for i in (0, 1))
    state = a.state_dict()
    arrays = [p.data for p in b.parameters()]
    b.load_state_dict(state)
    for p, q, before in zip(a.parameters(), b.parameters(), arrays, strict=True):
        assert q.data is before
        assert not np.shares_memory(p.data, q.data)
        np.testing.assert_array_equal(p.data, q.data)
    state["layers[0].W"][...] = 7
    assert not np.any(a.layers[0].W.data == 7)
    assert not np.any(b.layers[0].W.data == 7)


def test_frozen_parameters_and_constants_are_part_of_the_state_but_no_parameters():
    net = Bag(w=parameter(2), frozen=parameter(2), constant=Tensor(np.arange(3)))
    net.frozen.requires_grad = False
    assert [name for name, _ in net.named_parameters()] == ["w"]
    assert list(net.state_dict()) == ["w", "frozen", "constant"]


def test_loading_converts_lists_tensors_and_dtypes_and_is_noticed():
    net = Bag(w=Tensor(np.ones(2, np.float32), requires_grad=True, name="w"), b=parameter(2))
    loss = (net.w * net.w).sum()
    net.load_state_dict({"b": parameter(2) * 3, "w": [1, 2]})
    assert net.w.dtype == np.float32
    np.testing.assert_array_equal(net.w.data, [1, 2])
    np.testing.assert_array_equal(net.b.data, [3, 3])
    with pytest.raises(RuntimeError, match=r"w \(2,\) was overwritten"):
        loss.backward()


@pytest.mark.parametrize(
    ("state", "error", "text"),
    [
        ({}, DataError, r"^Linear\.load_state_dict: missing: W, B\.$"),
        ({"W": 0, "B": 0, "V": 0, 3: 0}, DataError, r"load_state_dict: unexpected: V, 3\.$"),
        ({"W": 0, "weight": 0}, DataError, r"missing: B; unexpected: weight\.$"),
        (
            {"W": np.ones((2, 3)), "B": np.ones(2)},
            ShapeError,
            r"W is \(3, 2\), given \(2, 3\).*tran",
        ),
        (
            {"W": 1.0, "B": [1]},
            ShapeError,
            r"W is \(3, 2\), given \(\); B is \(2,\), given \(1,\)\.$",
        ),
        ({"W": [[1], [2, 3]], "B": ["a", "b"]}, DataError, r"no.* numbers: W, B\.$"),
        ({"W": np.ones((3, 2)), "B": [1j, 2]}, DataError, r"not an array of real numbers: B\.$"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_as_a_whole(state, error, text):
    layer = Linear(3, 2, rng=0)
    before = layer.state_dict()
    with pytest.raises(error, match=text):
        layer.load_state_dict(state)
    for name, p in layer.named_parameters():
        np.testing.assert_array_equal(p.data, before[name])


def test_arrays_of_other_libraries_stay_what_they_are():
    net = Bag(w=Tensor(Foreign(np.ones(2)), requires_grad=True))
    state = net.state_dict()
    assert type(state["w"]) is Foreign
    state["w"][0] = 5.0
    net.load_state_dict(state)
    assert type(net.w.data) is Foreign
    np.testing.assert_array_equal(net.w.data.host(), [5, 1])


def test_a_repr_shows_every_module_with_shapes_and_counts():
    net = Sequential(Linear(64, 128, bias=False), nn.LeakyReLU(0.2), np.tanh, MLP([128, 10]))
    net.scale = parameter()
    net.result = net.scale * 2
    net.training = True
    assert repr(net).splitlines() == [
        "Sequential(training=True)  scale ()  # 9,483 parameters",
        "    layers[0]: Linear  W (64, 128)",
        "    layers[1]: LeakyReLU(slope=0.2)",
        "    layers[2]: tanh",
        "    layers[3]: MLP  W[0] (128, 10), B[0] (10,)",
    ]
    assert repr(nn.ReLU()) == "ReLU  # 0 parameters"


# --- layers ---------------------------------------------------------------------------------------


def test_linear_multiplies_and_adds():
    layer = Linear(3, 2, rng=0)
    layer.B.data = np.array([1.0, -1.0])
    y = layer(X)
    np.testing.assert_array_equal(y.data, X @ layer.W.data + [1, -1])
    assert (layer.W.shape, layer.B.shape, y.op) == ((3, 2), (2,), np.add)
    assert y.parents[0].parents[0].name == "x"
    free = Linear(3, 2, rng=0, bias=False)
    assert free.B is None
    np.testing.assert_array_equal(free(X).data, X @ free.W.data)
    assert free(np.ones((5, 4, 3))).shape == (5, 4, 2)
    assert Linear(3, 2, dtype=np.float32)(X.astype(np.float32)).dtype == np.float32


def test_a_linear_layer_starts_as_a_layer_of_an_mlp():
    np.testing.assert_array_equal(Linear(3, 5, rng=7).W.data, MLP([3, 5], rng=7).W[0].data)


def test_wrong_sizes_of_a_layer_are_named():
    with pytest.raises(ShapeError, match=r"Linear: n_in=0, n_out=2"):
        Linear(0, 2)
    with pytest.raises(ShapeError, match=r"Linear: n_in=2, n_out=-1"):
        Linear(2, -1)
    with pytest.raises(ShapeError, match=r"init returned weights \(2, 3\).*must be \(3, 2\)"):
        Linear(3, 2, init=lambda n_in, n_out, _rng, _dtype: np.ones((n_out, n_in)))
    with pytest.raises(ShapeError, match=r"Linear: x \(3,\).*batch.*x\.reshape\(1, -1\)"):
        Linear(3, 2)(X[0])
    net = Sequential(Linear(3, 2))
    with pytest.raises(ShapeError, match=r"x \(7, 2\) @ layers\[0\]\.W \(3, 2\): x has 2 columns"):
        net(T)


def test_sequential_takes_modules_and_functions():
    net = Sequential(Linear(3, 4, rng=0), relu, nn.Tanh(), Linear(4, 2, rng=1), softplus)
    assert len(net) == 5
    assert net[1] is relu
    z = np.tanh(np.maximum(X @ net[0].W.data, 0)) @ net[3].W.data
    np.testing.assert_allclose(net(X).data, softplus(z), rtol=1e-14)
    assert list(net) == net.layers
    for wrong in (nn.ReLU, 3):
        with pytest.raises(TypeError, match=r"Sequential: .* is no layer"):
            Sequential(wrong)


MODULES = {
    nn.ReLU(): relu,
    nn.LeakyReLU(): lambda x: np.where(x > 0, x, 0.01 * x),
    nn.LeakyReLU(0.3): lambda x: np.where(x > 0, x, 0.3 * x),
    nn.ELU(): lambda x: np.where(x > 0, x, np.expm1(x)),
    nn.ELU(2.0): lambda x: np.where(x > 0, x, 2 * np.expm1(x)),
    nn.GELU(): lambda x: x / 2 * (1 + np.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3))),
    nn.SiLU(): lambda x: x / (1 + np.exp(-x)),
    nn.Softplus(): lambda x: np.log(1 + np.exp(x)),
    nn.Sigmoid(): lambda x: 1 / (1 + np.exp(-x)),
    nn.Tanh(): np.tanh,
    nn.Softmax(): lambda x: np.exp(x) / np.exp(x).sum(axis=1, keepdims=True),
    nn.Softmax(axis=0): lambda x: np.exp(x) / np.exp(x).sum(axis=0),
    nn.LogSoftmax(): lambda x: x - np.log(np.exp(x).sum(axis=1, keepdims=True)),
    nn.LogSoftmax(axis=0): lambda x: x - np.log(np.exp(x).sum(axis=0)),
}


@pytest.mark.parametrize("module", MODULES, ids=repr)
def test_an_activation_as_a_module_is_the_function(module):
    x = Tensor(X, requires_grad=True)
    y = module(x)
    np.testing.assert_allclose(y.data, MODULES[module](X), rtol=1e-12)
    y.backward(np.ones(y.shape))
    assert x.grad.shape == X.shape


# --- initial weights ------------------------------------------------------------------------------

N_IN, N_OUT = 300, 500


@pytest.mark.parametrize(
    ("init", "variance", "bound"),
    [
        (nn.he_normal, 2 / N_IN, None),
        (nn.he_uniform, 2 / N_IN, (6 / N_IN) ** 0.5),
        (nn.xavier_normal, 2 / (N_IN + N_OUT), None),
        (nn.xavier_uniform, 2 / (N_IN + N_OUT), (6 / (N_IN + N_OUT)) ** 0.5),
        (nn.lecun_normal, 1 / N_IN, None),
        (nn.uniform(-0.3, 0.3), 0.03, 0.3),
        (nn.zeros, 0, 0),
    ],
)
def test_initial_weights_have_their_variance_and_bounds(init, variance, bound):
    w = init(N_IN, N_OUT, np.random.default_rng(0))
    assert w.shape == (N_IN, N_OUT)
    assert abs(w.mean()) < 4 * (variance / w.size) ** 0.5 + 1e-300
    np.testing.assert_allclose(w.var(), variance, rtol=0.02)  # 4 standard errors: 4 √(2 / size)
    if bound is None:  # normal: one in 370 is beyond three standard deviations
        beyond = np.mean(np.abs(w) > 3 * variance**0.5)
        assert 1 / 500 < beyond < 1 / 280
    else:
        assert 0.999 * bound <= np.abs(w).max() <= bound
    layer = Linear(N_IN, N_OUT, rng=0, init=init, dtype=np.float32)
    assert layer.W.dtype == np.float32
    np.testing.assert_array_equal(layer.W.data, w.astype(np.float32))


def test_uniform_weights_lie_between_its_bounds():
    w = nn.uniform(2.0, 3.0)(20, 30, np.random.default_rng(0))
    assert w.min() >= 2
    assert w.max() <= 3


def test_importing_the_modules_does_not_load_numpys_random_numbers():
    code = """if True:
        import sys
        import tinygrad_mlp.nn, tinygrad_mlp.optim
        print("numpy.random" in sys.modules)
    """
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout.strip() == "False"


# --- copies and threads ---------------------------------------------------------------------------


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
@pytest.mark.parametrize("called", [False, True])
def test_a_copied_sequential_computes_the_same_and_shares_nothing(twin, called):
    net = Sequential(Linear(3, 4, rng=0), relu, nn.ELU(0.5), Linear(4, 4, rng=1), Linear(4, 2))
    net.layers[3].B = net.layers[0].B  # shared
    if called:
        mse(net(X), T).backward()
    other = twin(net)
    assert [n for n, _ in other.named_parameters()] == [n for n, _ in net.named_parameters()]
    assert other.layers[3].B is other.layers[0].B
    for p, q in zip(net.parameters(), other.parameters(), strict=True):
        assert (p.name, q.requires_grad) == (q.name, True)
        np.testing.assert_array_equal(p.data, q.data)
        assert not np.shares_memory(p.data, q.data)
        if called:
            np.testing.assert_array_equal(p.grad, q.grad)
    y, z = net(X), other(X)
    np.testing.assert_array_equal(y.data, z.data)
    assert y.scope == z.scope == "layers[4]"


def test_threads_with_nets_of_their_own_do_not_disturb_each_other():
    """Two train, one only computes, under no_grad; all of them inside scopes."""
    n_steps = 60
    labels = (T[:, 0] > 0).astype(int)

    def train(seed, meet):
        net = Sequential(Linear(3, 8, rng=seed), nn.Tanh(), Linear(8, 2, rng=seed))
        optimizer = Adam(net.parameters(), 0.01)
        losses, scopes = [], set()
        for _ in range(n_steps):
            meet()
            with scope(f"net {seed}"):
                loss = cross_entropy(net(X), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            scopes |= {loss.scope, loss.parents[0].scope}
        return losses, scopes, [p.data for p in net.parameters()]

    def compute(seed, meet):
        net = Sequential(Linear(3, 8, rng=seed), nn.Tanh(), Linear(8, 2, rng=seed))
        results, scopes = [], set()
        for _ in range(n_steps):
            meet()
            with no_grad(), scope(f"net {seed}"):
                y = net(X) * 2
            assert not y.requires_grad
            results.append(y.data.sum())
            scopes.add(y.scope)
        return results, scopes, []

    jobs = [(train, 0), (train, 1), (compute, 2)]
    alone = [job(seed, lambda: None) for job, seed in jobs]
    barrier = threading.Barrier(len(jobs), timeout=30)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(len(jobs)) as pool:
            together = [f.result() for f in [pool.submit(job, s, barrier.wait) for job, s in jobs]]
    finally:
        sys.setswitchinterval(interval)
    for (a, scopes_a, params_a), (b, scopes_b, params_b) in zip(alone, together, strict=True):
        assert a == b
        assert scopes_a == scopes_b
        for p, q in zip(params_a, params_b, strict=True):
            np.testing.assert_array_equal(p, q)
    assert together[0][0][-1] < together[0][0][0]
    assert [scopes for _, scopes, _ in together][2] == {"net 2"}


@pytest.mark.parametrize("sizes", ["3,2", [3, 2.5], [3], [3, 0], ["3", "2"], 3, None])
def test_sizes_that_are_no_sizes_are_named(sizes):
    for kind in (MLP, ManualMLP):
        with pytest.raises(ShapeError, match=r"sizes .*at least two integers from 1 on"):
            kind(sizes)


def test_an_activation_by_its_name_is_an_error_at_once():
    with pytest.raises(TypeError, match=r"activation='relu' is no function, as relu and np\.tanh"):
        MLP([3, 2], activation="relu")


def test_sizes_may_be_integers_of_numpy():
    assert MLP(np.array([3, 2])).sizes == (3, 2)
