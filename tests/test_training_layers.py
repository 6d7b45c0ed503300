"""Dropout and the normalisations: values, gradients, what differs between training and use."""

import numpy as np
import pytest
from helpers import complex_step, differences, vjp

from tinygrad_mlp import (
    SGD,
    BatchNorm,
    DataError,
    Dropout,
    GradientError,
    LayerNorm,
    Linear,
    Sequential,
    ShapeError,
    Tensor,
    derive,
    fit,
    jit,
    load,
    mse,
    save,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 3))
G = RNG.normal(size=(6, 3))


def test_dropout_zeroes_a_share_and_keeps_the_mean():
    x = np.ones((200, 100))
    y = Dropout(0.3, rng=0)(Tensor(x)).data
    assert set(np.unique(y)) == {0, 1 / 0.7}
    assert abs(np.mean(y == 0) - 0.3) < 0.02  # four standard deviations are 0.013
    assert abs(y.mean() - 1) < 0.02


def test_dropout_passes_the_gradient_where_it_passed_the_value():
    x = Tensor(np.ones((50, 4)), requires_grad=True)
    y = Dropout(0.5, rng=1)(x)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, y.data)


def test_dropout_draws_anew_each_time_and_the_same_for_the_same_seed():
    a, b = Dropout(0.5, rng=3), Dropout(0.5, rng=3)
    x = np.ones(100)
    first, second = a(x), a(x)
    assert np.any(first != second)
    np.testing.assert_array_equal(b(x), first)
    np.testing.assert_array_equal(b(x), second)


def test_dropout_does_nothing_in_use_or_at_p_0():
    x = Tensor(X)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x


@pytest.mark.parametrize("p", [-0.1, 1, 1.5])
def test_dropout_refuses_a_share_that_is_none(p):
    with pytest.raises(ValueError, match=rf"p={p}.*from 0 to less than 1"):
        Dropout(p)


@pytest.mark.parametrize("make", [LayerNorm, BatchNorm])
@pytest.mark.parametrize("shape", [(6, 3), (2, 3, 3)])
def test_a_normalisation_is_its_formula_with_the_right_gradients(make, shape):
    layer = make(3)
    x = X.reshape(-1)[: np.prod(shape)].reshape(shape)
    g = G.reshape(-1)[: np.prod(shape)].reshape(shape)
    w, b = np.array([0.5, -2.0, 1.5]), np.array([0.1, 0.2, -0.3])
    axes = (-1,) if make is LayerNorm else tuple(range(len(shape) - 1))

    def formula(x, w, b):
        d = x - x.mean(axes, keepdims=True)
        return d / np.sqrt((d * d).mean(axes, keepdims=True) + 1e-5) * w + b

    def f(x, w, b):
        layer.W, layer.B = w, b
        return layer(x)

    np.testing.assert_allclose(f(Tensor(x), w, b).data, formula(x, w, b), rtol=1e-13, atol=1e-14)
    expected = complex_step(lambda *a: np.sum(g * formula(*a)), [x, w, b])
    for a, e in zip(vjp(f, [x, w, b], g), expected, strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-10, atol=1e-12)


def test_batchnorm_remembers_averages_as_pytorch_does():
    """torch.nn.BatchNorm1d(3): momentum 0.1, the variance over n - 1."""
    layer = BatchNorm(3)
    mean, variance = np.zeros(3), np.ones(3)
    for k in range(3):
        layer(X + k)
        mean = 0.9 * mean + 0.1 * (X + k).mean(0)
        variance = 0.9 * variance + 0.1 * X.var(0, ddof=1)
    np.testing.assert_allclose(layer.mean.data, mean, rtol=1e-13)
    np.testing.assert_allclose(layer.variance.data, variance, rtol=1e-13)
    layer.eval()
    y = layer(X[:1])  # a batch of one will do
    np.testing.assert_allclose(y.data, (X[:1] - mean) / np.sqrt(variance + 1e-5), rtol=1e-13)
    np.testing.assert_allclose(layer.mean.data, mean, rtol=1e-13)


def test_batchnorm_in_use_has_its_gradients():
    layer = BatchNorm(3)
    layer(X)
    layer.eval()
    (got,) = vjp(layer, [X], G)
    (expected,) = differences(lambda x: np.sum(G * layer(x).data), [X])
    np.testing.assert_allclose(got, expected, rtol=1e-7)


def test_the_averages_are_in_the_state_but_are_no_parameters():
    net = Sequential(Linear(3, 3, rng=0), BatchNorm(3), Dropout(0.5, rng=0), LayerNorm(3))
    net(X)
    state = net.state_dict()
    assert [n for n, _ in net.named_parameters()] == [
        *("layers[0].W", "layers[0].B", "layers[1].W", "layers[1].B"),
        *("layers[3].W", "layers[3].B"),
    ]
    assert {"layers[1].mean", "layers[1].variance"} <= set(state)
    other = Sequential(Linear(3, 3, rng=1), BatchNorm(3), Dropout(0.5, rng=1), LayerNorm(3))
    other.load_state_dict(state)
    np.testing.assert_array_equal(other.eval()(X).data, net.eval()(X).data)
    assert "BatchNorm(n=3" in repr(net)


@pytest.mark.parametrize("make", [LayerNorm, BatchNorm])
def test_float32_stays_float32(make):
    layer = make(3, dtype=np.float32)
    y = Dropout(0.5, rng=0)(layer(Tensor(X.astype(np.float32))))
    y.sum().backward()
    assert y.dtype == layer.W.grad.dtype == np.float32
    if make is BatchNorm:
        assert layer.mean.dtype == layer.variance.dtype == np.float32


@pytest.mark.parametrize("make", [LayerNorm, BatchNorm])
def test_a_shape_that_does_not_fit_is_said(make):
    for x in (X[:, :2], X[0], X[0, 0]):
        with pytest.raises(ShapeError, match=rf"{make.__name__}: x \(.*last must have 3 entries"):
            make(3)(x)


def test_a_batch_of_one_has_no_variance():
    with pytest.raises(ShapeError, match=r"BatchNorm: x \(1, 3\).*net\.eval\(\)"):
        BatchNorm(3)(X[:1])


def test_constant_features_are_finite():
    for make in (LayerNorm, BatchNorm):
        (g,) = vjp(make(3), [np.ones((4, 3))], np.ones((4, 3)))
        np.testing.assert_array_equal(g, 0)


def test_they_are_compiled_in_use_and_refused_in_training():
    net = Sequential(Linear(3, 3, rng=0), BatchNorm(3), Dropout(0.5, rng=0), LayerNorm(3))
    net(X)
    run = jit(lambda x, t: mse(net(x), t), debug=True)
    with pytest.raises(GradientError, match=r"BatchNorm: compiled.*net\.eval\(\)"):
        run(X, G)
    net.layers[1].eval()
    with pytest.raises(GradientError, match=r"Dropout: compiled.*net\.eval\(\)"):
        run(X, G)
    net.eval()
    np.testing.assert_allclose(run(X, G), mse(net(X), G).data, rtol=1e-13)


@pytest.mark.parametrize("make", [LayerNorm, BatchNorm])
def test_the_backward_pass_can_be_written_out_for_any_batch(make):
    net = Sequential(Linear(3, 3, rng=0), make(3))
    loss = mse(net(Tensor(X, name="x")), Tensor(G, name="t"))
    loss.backward()
    program = derive(loss)
    names = [name for name, _ in net.named_parameters()]
    assert list(program.results) == names
    assert program.batch == 6
    for n in (6, 4):
        for p in net.parameters():
            p.zero_grad()
        mse(net(X[:n]), G[:n]).backward()
        for p, g in zip(net.parameters(), program(x=X[:n], t=G[:n]), strict=True):
            np.testing.assert_allclose(g, p.grad, rtol=1e-10, atol=1e-13)


# --- saved and resumed ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.random.PCG64, np.random.MT19937])
def test_training_with_dropout_goes_on_bit_for_bit_from_a_file(kind, tmp_path):
    x, t = np.random.default_rng(0).normal(size=(2, 16, 3))

    def made(seed):
        dropout = Dropout(0.4, rng=np.random.Generator(kind(seed)))
        net = Sequential(Linear(3, 8, rng=seed), dropout, Linear(8, 3, rng=seed))
        return net, SGD(net.parameters(), 0.1, momentum=0.9)

    def steps(net, optimizer, n):
        for _ in range(n):
            optimizer.zero_grad()
            mse(net(x), t).backward()
            optimizer.step()

    whole, optimizer = made(0)
    steps(whole, optimizer, 6)
    first, optimizer = made(0)
    steps(first, optimizer, 3)
    save(tmp_path / "c.npz", first, optimizer=optimizer.state_dict())
    resumed, optimizer = made(5)
    optimizer.load_state_dict(load(tmp_path / "c.npz", resumed).extra["optimizer"])
    steps(resumed, optimizer, 3)
    for p, q in zip(whole.parameters(), resumed.parameters(), strict=True):
        np.testing.assert_array_equal(p.data, q.data)


@pytest.mark.parametrize("given", [None, {}, "PCG64", np.random.MT19937(0).state])
def test_what_is_no_state_of_a_random_generator_changes_nothing(given):
    layer = Dropout(rng=0)
    before = layer.rng.bit_generator.state
    message = r"Dropout\.load_state_dict: rng is no state of the random generator PCG64\."
    with pytest.raises(DataError, match=message):
        layer.load_state_dict({"rng": given})
    layer.load_state_dict({})  # weights alone: it goes on from where it is
    assert layer.rng.bit_generator.state == before


def test_the_best_weights_do_not_turn_the_random_numbers_back():
    x, t = np.random.default_rng(0).normal(size=(2, 16, 3))

    def drawn(**how):
        net = Sequential(Linear(3, 8, rng=0), Dropout(rng=0), Linear(8, 3, rng=0))
        fit(net, (x, t), mse, SGD(net.parameters(), 0.01), 4, rng=0, **how)
        return net.layers[1].rng.random()

    assert drawn(patience=9) == drawn()
