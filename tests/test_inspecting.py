"""checked(): the first op that does something nobody wants, with the line of the user's code."""

import inspect
import threading

import numpy as np
import pytest

from tinygrad_mlp import (
    MLP,
    GradientError,
    NumericsError,
    Tensor,
    checked,
    grad,
    mse,
    no_grad,
    relu,
    tensor,
    transforms,
)
from tinygrad_mlp.inspecting import BINARY, MADE
from tinygrad_mlp.ops import astype

RNG = np.random.default_rng(0)
LINE = r"test_inspecting\.py, line \d+"
X, T = RNG.normal(size=(5, 3)), RNG.normal(size=(5, 2))


def test_a_clean_pass_is_what_it_is_without():
    net = MLP([3, 4, 2], rng=0)
    loss = mse(net(X), T)
    loss.backward()
    expected = [p.grad for p in net.parameters()]
    for p in net.parameters():
        p.grad = None
    with checked():
        again = mse(net(X), T)
        again.backward()
        (second,) = grad(mse(net(X), T), [net.W[0]])
    assert again.item() == loss.item()
    for p, e in zip(net.parameters(), expected, strict=True):
        np.testing.assert_array_equal(p.grad, e)
    np.testing.assert_array_equal(second, expected[0])


def test_inf_out_of_finite_numbers_names_the_op_the_place_and_the_line():
    x = Tensor([[1.0, 2.0], [3.0, 0.0]], requires_grad=True, name="x")
    with (
        checked(),
        pytest.raises(NumericsError, match=rf"log made -inf at \[1, 1\]; x.*0\.0.*{LINE}"),
    ):
        np.log(x)
    with checked(), pytest.raises(NumericsError, match=rf"divide made inf at \[1, 1\].*{LINE}"):
        1 / x


def test_nan_of_a_scalar_or_a_reduction_names_what_was_given():
    with checked(), pytest.raises(NumericsError, match=r"log made nan; given were s \(\) float64"):
        np.log(Tensor(-1.0, name="s"))
    with checked(), pytest.raises(NumericsError, match=r"exp made inf at \[0\].*x \(1,\) is 1000"):
        np.exp(Tensor([1000.0], name="x"))
    with checked(), pytest.raises(NumericsError, match=r"sum made inf; given were x \(2,\)"):
        np.sum(Tensor([1e308, 1e308], name="x"))


def test_nan_in_the_data_is_named_where_it_comes_in():
    x = Tensor([[1.0, np.nan]], name="x")
    with (
        checked(),
        pytest.raises(NumericsError, match=r"matmul was given nan: x \(1, 2\) at \[0, 1\]"),
    ):
        x @ Tensor(np.ones((2, 2)), requires_grad=True)


def test_what_was_infinite_before_is_not_made_here():
    with checked():
        y = np.exp(np.where(np.array([True, False]), -np.inf, Tensor([1.0, 2.0])))
    np.testing.assert_allclose(y.data, [0, np.exp(2)])


def test_a_wider_dtype_names_both_arguments():
    w = Tensor(np.ones((2, 3), np.float32), requires_grad=True, name="w")
    with (
        checked(),
        pytest.raises(
            NumericsError,
            match=r"multiply made float64 of w.*float32; given.*array \(3,\) float64.*astype",
        ),
    ):
        w * np.ones(3)
    with checked():
        assert (w * 2.0).dtype == np.float32
        assert astype(w, np.float64).dtype == np.float64  # said aloud
        assert (Tensor(np.ones(2, int)) * np.ones(2)).dtype == np.float64


def test_a_gradient_that_is_infinite_names_the_op_and_its_line():
    x = Tensor([4.0, 0.0], requires_grad=True, name="x")
    with checked():
        y, line = np.sqrt(x), inspect.currentframe().f_lineno  # not that of the backward pass
        facts = rf"gradient of x \(2,\) through sqrt is inf at \[1\].*py, line {line}$"
        with pytest.raises(NumericsError, match=facts):
            y.sum().backward()
        with pytest.raises(NumericsError, match=r"through sqrt"):
            grad((y + 2 * x).sum(), [x])  # the other way to x is not blamed


def test_a_gradient_of_an_op_from_before_has_no_line():
    x = Tensor([0.0], requires_grad=True, name="x")
    y = np.sqrt(x).sum()
    with checked(), pytest.raises(NumericsError, match=r"through sqrt is inf at \[0\].*finite\. $"):
        y.backward()


def test_a_write_that_the_graph_cannot_see_is_noticed_before_the_backward_pass():
    w = Tensor(np.ones((3, 2)), requires_grad=True, name="w")
    x = Tensor(X, requires_grad=True, name="x")
    with checked():
        y = x @ w
        w.data[0, 0] = 5.0
        with pytest.raises(GradientError, match=rf"matmul used w \(3, 2\).*changed since.*{LINE}"):
            y.sum().backward()


def test_a_write_to_what_no_rule_reads_is_fine():
    x = Tensor(np.ones(3), requires_grad=True)
    with checked():
        y = x + 1.0
        x.data[0] = 7.0
        y.sum().backward()
    np.testing.assert_array_equal(x.grad, 1)


def test_a_write_under_no_grad_is_the_error_it_always_is():
    w = Tensor(np.ones(3), requires_grad=True, name="w")
    with checked():
        y = (w * w).sum()
        with no_grad():
            w[...] = 2.0
        with pytest.raises(GradientError, match=r"changed|overwritten"):
            y.backward()


def test_intermediates_and_retained_gradients_are_those_of_a_plain_pass():
    x = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    with checked():
        h = np.exp(x)
        k = (h * h).retain_grad()
        loss = k.sum()
        loss.backward()
        (dh,) = grad((h * h).sum(), [h], create_graph=True)
        (d2,) = grad(dh.sum(), [x])
    np.testing.assert_array_equal(k.grad, 1)
    assert h.grad is None
    np.testing.assert_allclose(d2, 2 * np.exp(x.data))


def test_nothing_is_watched_outside_or_in_another_thread():
    x = Tensor([0.0], requires_grad=True)
    with checked(), np.errstate(divide="ignore"):
        done = []

        def other():
            with np.errstate(all="ignore"):
                y = np.log(x)
                (y + y).backward(np.ones(1))
                done.append(y.data[0])

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert done == [-np.inf]
        with checked():
            assert tensor.made is not MADE
        assert tensor.made is not MADE
    assert tensor.made is MADE
    assert tensor.binary is BINARY
    assert tensor.backward_pass is transforms.backward_pass
    with np.errstate(divide="ignore"):
        np.log(x)


def test_it_is_left_when_an_error_passes_through_and_decorates():
    @checked()
    def f(x):
        return np.log(x)

    for _ in range(2):
        with pytest.raises(NumericsError):
            f(Tensor([0.0]))
        assert tensor.made is MADE
    assert f(Tensor([1.0])).data == [0]


def test_what_is_suspicious_is_noted_once():
    net = MLP([3, 4, 2], rng=0)
    net.B[0].data[1] = -100.0
    spare = Tensor(np.ones(2), requires_grad=True, name="spare")
    faint = Tensor(np.ones(2), requires_grad=True, name="faint")
    with checked([*net.parameters(), spare, faint]) as found:
        for _ in range(2):
            y = net(X) + faint * 1e-9
            mse(y, T).backward()
    assert len(found.notes) == 3
    assert "relu of Z[1] (5, 4): 1 of 4 units are 0 for the whole batch" in found.notes[0]
    assert "nn.py" not in found.notes[0]
    assert found.notes[1] == "spare (2,): the loss does not depend on it."
    assert found.notes[2].startswith("faint (2,): its gradient is at most")


def test_small_numbers_are_noted():
    x = Tensor(np.array([1e-30, 1.0], np.float32), requires_grad=True)
    with checked() as found:
        (x * x * 1.5).sum()
        x + 1
    assert found.notes == []  # 1e-60 is 0
    with checked() as found:
        x * 1e-10
    assert len(found.notes) == 1
    assert found.notes[0].startswith("multiply made 1 numbers below 1.2e-38")


def test_a_healthy_network_has_no_notes():
    net = MLP([3, 16, 2], rng=1)
    with checked(net.parameters()) as found:
        mse(net(np.abs(X) + RNG.normal(size=(5, 3))), T).backward()
        relu(net(X)[0]).sum()
    assert [note for note in found.notes if "relu" not in note] == []


def test_a_mask_is_recorded_and_never_too_small():
    x = Tensor([1.0, -2.0], requires_grad=True)
    with checked() as seen:
        (dx,) = grad(relu(x).sum(), x, create_graph=True)
    assert dx.data.tolist() == [1.0, 0.0]
    assert not seen.notes
