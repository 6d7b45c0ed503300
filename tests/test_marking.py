"""Gradients line by line: what is right, what is wrong, what follows, what is said."""

import re

import numpy as np
import pytest

from tinygrad_mlp import (
    MLP,
    GradientError,
    Tensor,
    cmp,
    cmp_lines,
    cross_entropy,
    mse,
    no_grad,
    relu,
)
from tinygrad_mlp.marking import likeness, ratio_text
from tinygrad_mlp.rounding import Truth

SIZES = (3, 5, 5, 2)


def example(dtype=np.float64, sizes=SIZES):
    """A net, its loss, and the backward pass by hand: names and arrays from the loss on."""
    rng = np.random.default_rng(0)
    net = MLP(sizes, rng=rng, dtype=dtype)
    x, t = (rng.normal(size=(7, n)).astype(dtype) for n in (sizes[0], sizes[-1]))
    y = net(x)
    return net, mse(y, t), y.numpy(), t


def by_hand(net, y, t, slip=lambda _, g: g):
    """(name, gradient) in the order of working; `slip` makes a mistake, which is carried on."""
    A, W = [a.numpy() for a in net.A], [w.numpy() for w in net.W]
    delta = slip("dy", 2 * (y - t) / len(y))
    yield "dy", delta
    for i in reversed(range(len(W))):
        yield f"dW[{i}]", slip(f"dW[{i}]", A[i].T @ delta)
        yield f"dB[{i}]", slip(f"dB[{i}]", delta.sum(axis=0))
        if i:
            delta = slip(f"dZ[{i}]", delta @ W[i].T * (A[i] > 0))
            yield f"dZ[{i}]", delta


def collected(slip, sizes=SIZES):
    """What is said of each gradient, without those that are right."""
    net, loss, y, t = example(sizes=sizes)
    with cmp_lines(loss, quiet=True) as lines:
        for name, g in by_hand(net, y, t, slip):
            lines(name, g)
    return {row.name: row.verdict for row in lines.comparison.table if not row.ok}


def at(where, change):
    return lambda name, g: change(g) if name == where else g


# --- cmp ------------------------------------------------------------------------------------------


def test_each_gradient_is_one_line_same_rounding_or_wrong(capsys):
    net, loss, _y, _t = example()
    loss.backward()
    g = net.W[1].grad
    assert cmp("dW1", g, net.W[1])
    assert cmp("dW1", g * (1 + 1e-15), net.W[1])
    assert not cmp("dW1", 7 * g, net.W[1])
    same, rounding, wrong = capsys.readouterr().out.splitlines()
    assert same.split() == ["dW1", "same", "(5,", "5)", "max", "diff", "0", "0", "sigmas"]
    assert rounding.split()[1] == "rounding"
    assert wrong.split()[1] == "WRONG"
    assert wrong.endswith("sigmas  x 7")


def test_neither_grad_nor_retain_grad_matters():
    net, loss, y, t = example()
    loss.backward()
    loss.backward()  # .grad is now twice the gradient
    right = dict(by_hand(net, y, t))
    assert cmp("dW", right["dW[0]"], net.W[0])
    assert cmp("dA", right["dy"] @ net.W[2].numpy().T, net.A[2])


def test_the_loss_can_be_given_and_is_else_the_last_one():
    x = Tensor([1.0, 2.0], requires_grad=True)
    a, b = (x * 3).sum(), (x * 5).sum()
    assert cmp("dx", [3.0, 3.0], x, a)
    a.backward()
    b.backward()
    assert cmp("dx", [5.0, 5.0], x)
    assert not cmp("dx", [5.0, 5.0], x, a)
    x.backward(np.ones(2))  # with a cotangent it is no loss
    assert cmp("dx", [5.0, 5.0], x)
    del a, b
    with pytest.raises(GradientError, match=r"which loss\? Call loss.backward\(\)"):
        cmp("dx", [5.0, 5.0], x)


def test_float32_is_judged_as_float32():
    net, loss, y, t = example(np.float32)
    for name, g in by_hand(net, y, t):
        lines = cmp_lines(loss)
        assert lines(name, g), name
        assert not lines(name, g + 1e-3), name


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda _: None, "missing"),
        (lambda g: g.T, "transposed"),
        (lambda g: g[:3], r"shape \(3, 5\), not \(5, 5\)"),
        (lambda g: g * np.nan, "25 of 25 entries are nan"),
        (lambda g: -g, "x -1$"),
        (lambda g: g / 7, "x 1/7$"),
        (lambda g: g * 0.3217, "x 0.3217$"),
        (lambda g: g * 0, "all zero$"),
        (lambda g: g * [1, -1, 1, -1, 1], "only signs differ$"),
        (lambda g: g + np.eye(5)[2], "only in columns 2$"),
        (lambda g: g + np.eye(5)[:, [1]] + np.eye(5)[:, [3]], "only in rows 1, 3$"),
        (lambda g: g + 1, r"sigmas$"),
        (lambda _: "no", "entries are <U2"),
    ],
)
def test_a_hint_says_what_is_true_of_the_difference(change, words, capsys):
    net, loss, _, _ = example()
    loss.backward()
    assert not cmp("g", change(net.W[1].grad), net.W[1])
    assert re.search(words, capsys.readouterr().out.strip())


def test_a_vector_a_tensor_of_three_axes_and_a_scalar_get_their_hints():
    x = Tensor(np.arange(24.0).reshape(2, 3, 4), requires_grad=True)
    v = Tensor(np.arange(1.0, 5.0), requires_grad=True)
    loss = (x * x * v).sum()
    lines = cmp_lines(loss)
    g = 2 * x.numpy() * v.numpy()
    wrong = g + np.eye(4)[1]
    assert lines.row(lines.claim("dx", wrong, x)).verdict == "WRONG"
    dv = (x.numpy() ** 2).sum(axis=(0, 1)) + np.eye(4)[3]
    assert lines.row(lines.claim("dv", dv, v)).verdict == "WRONG: only in entries 3"
    assert lines.row(lines.claim("dL", 2.0, loss)).verdict == "WRONG: x 2"


def test_nothing_is_said_where_the_right_one_is_zero():
    assert likeness(np.ones(3), Truth(np.zeros(3), 1e-16, 0.0), {}, None) == ""


def test_the_gradient_of_another_tensor_is_recognised():
    net, loss, y, t = example()
    lines = cmp_lines(loss)
    row = lines.row(lines.claim("dB[1]", dict(by_hand(net, y, t))["dB[0]"], net.B[1]))
    assert row.verdict == "WRONG: equals dB[0]"


def test_another_gradient_is_recognised_in_spite_of_its_shape():
    net, loss, y, t = example()
    lines = cmp_lines(loss)
    claim = lines.claim("dW[1]", dict(by_hand(net, y, t))["dW[0]"], net.W[1])
    assert lines.row(claim).verdict == "WRONG: shape (3, 5), not (5, 5); equals dW[0]"


def test_a_mask_that_is_missing_shows_at_inactive_units():
    rng = np.random.default_rng(0)
    w = Tensor(rng.normal(size=(3, 4)), requires_grad=True)
    net_z = rng.normal(size=(6, 3)) @ w
    a = np.maximum(net_z, 0)
    net_z.name = "Z"
    loss = mse(relu(net_z), np.ones((6, 4)))
    lines = cmp_lines(loss)
    # 2 (a - 1) / 6 without the mask, and halved so that it is no other gradient
    g = 2 * (a.numpy() - 1) / 6
    g[net_z.numpy() <= 0] += 0.1
    verdict = lines.row(lines.claim("dZ", g, net_z)).verdict
    assert verdict.startswith("WRONG: only inactive units differ (")


@pytest.mark.parametrize(
    ("ratio", "text"), [(7.0, "7"), (-1 / 3, "-1/3"), (2 / 3, "0.666667"), (0.1234567, "0.123457")]
)
def test_a_factor_is_written_as_people_do(ratio, text):
    assert ratio_text(ratio) == text


def test_a_classifier_with_labels_is_checked_at_every_step(capsys):
    rng = np.random.default_rng(1)
    x, labels = rng.normal(size=(8, 6)), rng.integers(0, 4, 8)
    w1, w2 = (Tensor(rng.normal(size=s), requires_grad=True) for s in ((6, 5), (5, 4)))
    h = np.tanh(x @ w1)
    z = h @ w2
    cross_entropy(z, labels).backward()  # the loss itself is gone now
    with pytest.raises(GradientError, match="which loss"):
        cmp("dz", 0.0, z)
    loss = cross_entropy(z, labels)
    loss.backward()
    p = np.exp(z.numpy())
    p /= p.sum(axis=1, keepdims=True)
    dz = (p - np.eye(4)[labels]) / 8
    dh = dz @ w2.numpy().T
    assert cmp("dz", dz, z)
    assert cmp("dh", dh, h)
    assert cmp("dW1", x.T @ (dh * (1 - h.numpy() ** 2)), w1)
    assert not cmp("dz", p / 8, z)
    assert not cmp("dW1", x.T @ (dh * (1 - h.numpy())), w1)
    assert capsys.readouterr().out.count("WRONG") == 2


# --- cmp_lines ------------------------------------------------------------------------------------


def test_all_right_is_a_pass_in_the_order_of_the_graph_whatever_the_order_given(capsys):
    net, loss, y, t = example()
    given = list(by_hand(net, y, t))
    with cmp_lines(loss) as lines:
        assert all(lines(name, g) for name, g in reversed(given))
    assert lines.comparison.ok
    rows = [row.name for row in lines.comparison.table]
    assert rows == [
        *("dy", "dB[2]", "dW[2]", "dZ[2]", "dB[1]", "dW[1]", "dZ[1]", "dB[0]", "dW[0]"),
    ]
    assert "PASS  all 9 agree" in capsys.readouterr().out


def test_a_mistake_is_marked_where_it_is_made_and_what_comes_after_follows():
    assert collected(at("dZ[2]", lambda g: 3 * g)) == {
        "dZ[2]": "WRONG: x 3",
        "dW[1]": "WRONG: follows from dZ[2]",
        "dB[1]": "WRONG: follows from dZ[2]",
        "dZ[1]": "WRONG: follows from dZ[2]",
        "dW[0]": "WRONG: follows from dZ[1]",
        "dB[0]": "WRONG: follows from dZ[1]",
    }


def test_two_mistakes_are_told_apart():
    def slip(name, g):
        return g * {"dy": 7, "dB[1]": 1 / 5, "dW[0]": -1}.get(name, 1)

    net, loss, y, t = example()
    with cmp_lines(loss, quiet=True) as lines:
        for name, g in by_hand(net, y, t, slip):
            lines(name, g)
    found = {row.name: row.verdict for row in lines.comparison.table}
    assert found["dy"] == "WRONG: x 7"
    assert found["dB[1]"] == "WRONG: x 1/5, given your dZ[2]"
    assert found["dW[0]"] == "WRONG: x -1, given your dZ[1]"
    own = [name for name, verdict in found.items() if "follows" not in verdict]
    assert own == ["dy", "dB[1]", "dW[0]"]
    assert lines.comparison.where == "dy"


def test_a_mistake_of_its_own_without_a_hint_is_still_no_follower():
    found = collected(lambda name, g: g + 1 if name in ("dy", "dZ[1]") else g)
    assert found["dZ[1]"] == "WRONG"


def test_a_wrong_shape_is_not_carried_on():
    found = collected_rows({"dZ[2]": np.ones(3)})
    assert found["dZ[2]"] == "WRONG: shape (3,), not (7, 5)"
    assert "dW[1]" not in found


def test_mistakes_of_two_branches_are_both_named():
    x = Tensor([1.0, 2.0], requires_grad=True, name="x")
    a, b = x * 3, x * 5
    with cmp_lines((a + b).sum(), quiet=True) as lines:
        lines("da", [2.0, 2.0], a)
        lines("db", [3.0, 3.0], b)
        lines("dx", [21.0, 21.0])
    assert lines.comparison.table[-1].verdict == "WRONG: follows from db and da"


def collected_rows(changed):
    net, loss, y, t = example()
    with cmp_lines(loss, quiet=True) as lines:
        for name, g in by_hand(net, y, t):
            lines(name, changed.get(name, g))
    return {row.name: row.verdict for row in lines.comparison.table if not row.ok}


def test_what_is_given_is_kept_as_it_was():
    _net, loss, y, t = example()
    with cmp_lines(loss, quiet=True) as lines:
        delta = 2 * (y - t) / 7
        lines("dy", delta)
        delta *= 100
    assert lines.comparison.ok


def test_an_exception_in_the_block_leaves_what_there_is_and_goes_on(capsys):
    _net, loss, y, _t = example()

    def broken():
        with cmp_lines(loss) as lines:
            lines("dy", y)
            raise KeyError

    with pytest.raises(KeyError):
        broken()
    assert "FAIL  1 of 1 differ" in capsys.readouterr().out
    with cmp_lines(loss):
        pass
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        *(("DW[1]", "W[1]"), ("dW1", "W[1]"), ("W[1]", "W[1]"), ("delta2", "Z[2]")),
        *(("delta[1]", "Z[1]"), ("delta3", "y"), ("dy", "y"), ("Z[2]", "Z[2]")),
    ],
)
def test_names_can_be_spelled_as_people_spell_them(spelling, name):
    _, loss, _, _ = example()
    assert cmp_lines(loss).claim(spelling, None, None).node.name == name


def test_the_only_delta_of_a_net_of_one_layer_is_dy():
    _, loss, _, _ = example(sizes=(3, 2))
    assert cmp_lines(loss).claim("delta1", None, None).node.name == "y"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("dZ[3]", r"no Tensors are called so. Did you mean dZ\[\d\]\? Known are dA\[1\], dA\[2\]"),
        ("delta4", "no Tensors"),
        ("q", r"Others need a name, t.name = 'h'"),
    ],
)
def test_a_name_that_is_not_there_gets_the_nearest(name, words):
    _, loss, _, _ = example()
    with pytest.raises(GradientError, match=words), cmp_lines(loss) as lines:
        lines(name, 1)


def test_a_name_twice_is_no_name_and_no_names_are_said_to_be_none():
    a, b = (Tensor(1.0, requires_grad=True, name="w") for _ in range(2))
    with pytest.raises(GradientError, match=r"2 Tensors are called so\. Known are dw\. Others"):
        cmp_lines(a * b)("dw", 1.0)
    x = Tensor(1.0, requires_grad=True)
    with pytest.raises(GradientError, match=r"no Tensors are called so\. Others"):
        cmp_lines(x * x)("dw", 1.0)


@pytest.mark.parametrize(
    ("tensor", "words"),
    [(3.0, "a Tensor, not of a float"), (Tensor(1.0, requires_grad=True), "does not depend on")],
)
def test_what_is_no_part_of_the_graph_is_refused(tensor, words):
    _, loss, _, _ = example()
    with pytest.raises(GradientError, match=words):
        cmp("dh", 1.0, tensor, loss)


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (3.0, "not a float"),
        (Tensor([1.0]), r"not Tensor \(1,\)"),
        (Tensor([1.0, 2.0], requires_grad=True), r"not Tensor \(2,\)"),
    ],
)
def test_what_is_no_loss_is_refused(loss, words):
    with pytest.raises(GradientError, match=words):
        cmp_lines(loss)


def test_after_the_optimizers_step_the_gradient_is_another():
    net, loss, _, _ = example()
    loss.backward()
    with no_grad():
        net.W[0][0, 0] = 5.0
    with pytest.raises(GradientError, match="was overwritten"):
        cmp("dW0", net.W[0].grad, net.W[0])
