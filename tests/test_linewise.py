"""Lines of a derived program as cards: which ones, with which rows and numbers."""

from types import SimpleNamespace

import numpy as np
import pytest
from graphs import STEPS, arrays_for, build

from tinygrad_mlp import (
    MLP,
    SGD,
    Tensor,
    defvjp,
    derive,
    draw,
    grad,
    mse,
    no_grad,
    primitive,
    relu,
    scope,
    softmax,
)
from tinygrad_mlp.cards import Row
from tinygrad_mlp.graph import record_all
from tinygrad_mlp.linewise import line_cards


def small(backward=True):
    """A net of two layers with numbers that binary fractions hold exactly."""
    net = MLP([2, 2, 1], rng=0)
    for p, values in zip(
        net.parameters(), ([[0.5, -1.0], [0.25, 0.75]], [[2.0], [-0.5]], [0.0, 0.5], [-0.25])
    ):
        p.data = np.array(values)
    x = np.array([[1.0, 2.0], [-1.0, 0.5]])
    loss = mse(net(x), Tensor([[1.0], [0.0]], name="t"))
    if backward:
        loss.backward()
    return loss


def named(a, name):
    a.name = name
    return a


def tied():
    """One matrix, used by two layers."""
    x = Tensor([[1.0, -2.0], [0.5, 1.0]], name="x")
    w = Tensor([[0.5, -0.5], [0.25, 1.0]], True, "W")
    y = named(named(relu(named(x @ w, "Z")), "A") @ w, "y")
    return mse(y, Tensor(np.ones((2, 2)), name="t"))


def residual():
    """A block with a way around it, twice."""
    h = Tensor([[1.0, -2.0], [0.5, 1.0]], name="x")
    for i in range(2):
        w = Tensor(np.full((2, 2), 0.5), True, f"W[{i}]")
        with scope(f"block {i}"):
            h = named(h + named(relu(h @ w), f"F[{i}]"), f"h[{i + 1}]")
    return mse(h, np.zeros((2, 2)))


def cards(loss, show="grads", **options):
    """The cards by name, chips as "W'"."""
    found = line_cards(loss if isinstance(loss, list) else [loss], show, **options)[0]
    return {card.name + "'" * (card.same is not None): card for card in found}


def rows(card):
    return [row.formula for row in card.backward]


# --- which cards ----------------------------------------------------------------------------------


def test_a_card_for_every_line_and_input_in_the_order_of_the_program():
    found = cards(small())
    assert list(found) == ["A[0]", "W[0]", "B[0]", "Z[1]", "A[1]", "W[1]", "B[1]", "y", "t", "L"]
    z = found["Z[1]"]
    assert (z.formula, z.comment, z.shape) == ("A[0] @ W[0] + B[0]", "2×2 @ 2×2 + 2", "2×2")
    assert (z.parents, z.spine, z.scope) == ((0, 1, 2), 0, "layer 0")
    assert (z.line, z.slope) == ("Z[1]", "dZ[1]")
    assert found["L"].spine == 7


def test_formulas_are_those_of_the_program():
    loss = small()
    found, text = cards(loss), {row.name: row.text for row in derive(loss).lines}
    assert {card.name: card.formula for card in found.values() if card.formula} == {
        name: text[name] for name in ("Z[1]", "A[1]", "y", "L")
    }
    shown = {row.line: row.formula for card in found.values() for row in card.backward}
    assert shown == {name: f"{name} = {text[name]}" for name in text if name.startswith("d")}


def test_roles_are_words():
    roles = {card.name: card.role for card in cards(small()).values() if card.role}
    assert roles == {
        **{"W[0]": "parameter", "B[0]": "parameter", "W[1]": "parameter", "B[1]": "parameter"},
        **{"A[0]": "input", "t": "target", "L": "loss"},
    }


def test_plain_arrays_are_the_input_in_line_or_constants_beside_it():
    w = Tensor(np.ones((3, 2)), True, "w")
    loss = ((np.ones((4, 3)) @ w) * np.ones((4, 2)))[np.array([0, 1])].sum()
    roles = [card.role for card in cards(loss).values() if card.role]
    assert roles == ["input", "parameter", "constant", "constant", "loss"]


def test_what_is_compared_with_is_the_target_deep_in_a_line_too():
    x, t = Tensor(np.ones((2, 2)), True, "x"), Tensor(np.zeros((2, 2)), name="t")
    assert cards(mse(x, t) * 2.0 + mse(2.0 * x, t))["t"].role == "target"


def test_each_backward_line_stands_with_what_it_goes_back_through():
    found = cards(small())
    assert rows(found["L"]) == ["dy = 2 * (y - t) / len(y)"]
    assert [row.parent for row in found["y"].backward] == [5, 6, 4]
    assert found["y"].carries == (4, 5, 6)
    assert found["y"].backward[2].comment == "2×1 @ 1×2"
    assert rows(found["A[1]"]) == ["dZ[1] = dA[1] * (A[1] > 0)"]
    assert not found["W[0]"].backward


def test_steps_on_the_way_stand_with_the_first_line_that_reads_them():
    x = Tensor(np.eye(2), name="x")
    q, k = (named(x @ Tensor(np.ones((2, 2)), True, f"W{n}"), n) for n in "qk")
    s = named(softmax(q @ k.T), "s")
    found = cards(mse(s, np.zeros((2, 2))))
    step, dq, dk = found["s"].backward
    assert (step.parent, step.line) == (None, "h1")
    assert (dq.line, dk.line) == ("dq", "dk")
    assert found["s"].carries == (dq.parent, dk.parent)


# --- several uses ---------------------------------------------------------------------------------


def test_a_parameter_has_a_chip_beside_each_later_use_with_its_term():
    loss = tied()
    found, values = cards(loss), derive(loss).values()
    main, chip = found["W"], found["W'"]
    assert main.uses == 2
    assert main.backward == (Row(None, "dW", "dW = A.T @ dy + x.T @ dZ", "the sum"),)
    np.testing.assert_array_equal(main.gradient, values["dW"])
    assert list(found).index("W") == chip.same
    assert chip.value is None
    np.testing.assert_array_equal(chip.gradient, values["A"].T @ values["dy"])
    assert rows(found["y"]) == ["dA = dy @ W.T", "dW += A.T @ dy"]
    assert found["y"].backward[1].comment == "2×2 @ 2×2, term 1 of 2"
    assert rows(found["Z"]) == ["dW += x.T @ dZ"]
    assert found["y"].parents == (list(found).index("A"), list(found).index("W'"))
    assert set(found["y"].carries) == set(found["y"].parents)
    assert found["Z"].carries == (1,)


def test_a_long_sum_has_its_steps_on_the_card_of_the_parameter():
    w = Tensor(np.full((2, 2), 0.5), True, "W")
    h = Tensor([[1.0, -2.0]], name="h[0]")
    for i in range(5):
        h = named(np.tanh(h @ w), f"h[{i + 1}]")
    found, _ = line_cards([h.sum()], "grads")
    main = next(card for card in found if card.name == "W")
    assert [row.line for row in main.backward][-1] == "dW"
    assert [row.comment for row in main.backward] == ["a part of the sum", "the sum"]
    chips = [card.gradient for card in found if card.same is not None]
    assert len(chips) == 4
    assert all(
        "dW += " in " ".join(rows(card))
        for card in found
        if card.name.startswith("h[") and card.parents
    )
    first = next(card for card in found if card.name == "h[0]").value.T
    slope = next(card for card in found if card.name == "h[1]")
    np.testing.assert_allclose(
        sum(chips) + first @ (slope.gradient * (1 - slope.value**2)), main.gradient
    )


def test_a_line_stands_in_the_group_of_an_op_in_it_and_the_input_in_none():
    x, w = Tensor(np.ones((2, 2)), name="x"), Tensor(np.ones((2, 2)), True, "w")
    x.scope = "layer"
    with scope("layer"):
        z = x @ w
    found = cards(named(relu(z), "a").sum())
    assert {name: card.scope for name, card in found.items()} == {
        **{"x": "", "w": "", "a": "layer", "L": ""}
    }


def test_terms_that_are_lines_or_stretched_are_shared_out_too():
    w = Tensor(np.ones((2, 2)), True, "w")
    e = named(np.exp(w), "e")
    p = named(e / named(e.sum(axis=1, keepdims=True), "s"), "p")
    found = cards(mse(p, np.zeros((2, 2))))
    assert rows(found["s"]) == ["de += ds"]
    assert found["s"].backward[0].comment == "term 2 of 2"
    assert rows(found["e"]) == ["de = dp / s + ds", "dw = de * e"]


def test_a_term_that_is_a_gradient_itself_is_shown_as_it_is():
    w = Tensor([1.0, 2.0], True, "w")
    y = named(named(np.exp(w), "e") + w, "y")
    found = cards(mse(y, np.zeros(2)))
    assert rows(found["y"]) == ["de = dy", "dw += dy"]
    np.testing.assert_array_equal(found["w'"].gradient, found["y"].gradient)


def test_the_term_of_a_chip_has_its_shape_even_if_it_is_stretched():
    b = Tensor(np.ones((2, 3)), True, "b")
    h = named(b.sum(axis=1, keepdims=True), "h")
    found = cards((named(h * h, "k") * np.ones((2, 3)) + named(b * 2.0, "m")).sum())
    assert found["b'"].gradient.shape == (2, 3)
    assert "+=" in rows(found["h"])[0]


def test_a_way_around_a_block_carries_its_own_term():
    found = cards(residual())
    assert rows(found["h[2]"]) == ["dF[1] = dh[2]", "dh[1] += dh[2]"]
    assert rows(found["F[1]"])[-1] == "dh[1] += h1 @ W[1].T"
    assert rows(found["h[1]"])[0] == "dh[1] = dh[2] + h1 @ W[1].T"


def test_two_values_of_one_gradient_show_it_twice_and_say_so():
    f, h = cards(residual())["F[1]"], cards(residual())["h[2]"]
    assert (f.slope, h.slope) == ("dh[2]", "dh[2]")
    np.testing.assert_array_equal(f.gradient, h.gradient)


def test_where_terms_cannot_be_told_apart_the_whole_line_stands_with_the_last_use():
    w = Tensor([1.0, 2.0], True, "w")
    a, b = named(w * 2.0, "a"), named(w * 3.0, "b")
    found = cards(((a + b) * 2.0).sum())
    assert rows(found["b"]) == ["dw = db * 3 + db * 2"]
    assert (found["a"].carries, found["b"].carries) == ((0,), (0,))
    assert (found["w"].backward, found["w'"].gradient) == ((), None)
    a, b = named(np.tanh(w), "a"), named(np.exp(w), "b")
    found = cards((a * b).sum())  # h1 is a * b, by chance: it is no gradient of anything
    assert rows(found["b"]) == ["dw = h1 + b * (1 - a * a)"]
    assert [rows(found[n]) for n in ("h1", "L")] == [["db = a", "da = b"], ["dh1 = 1"]]


def test_a_gradient_of_one_term_is_not_shared_out():
    w = Tensor([1.0, -2.0], True, "w")
    a = named(w * 2.0, "a")
    with record_all():
        mask = named(w > 0, "m")
    found = cards((a * mask).sum())
    assert rows(found["a"]) == ["dw = da * 2"]
    assert found["w"].backward == ()


def test_gradients_that_are_numbers_have_rows_and_values():
    a, b = Tensor(3.0, True, "a"), Tensor(4.0, True, "b")
    found = cards(named(a * b, "d") + 2.0 * b)
    assert rows(found["L"])[0] == "dd = 1"
    np.testing.assert_array_equal(found["d"].gradient, 1.0)
    np.testing.assert_array_equal(found["b"].gradient, 5.0)
    assert rows(found["d"]) == ["da = np.copy(b)", "db = 2 + a"]


def test_a_gradient_that_is_one_all_over_is_shown_though_no_line_reads_it():
    x = Tensor([[1.0, 2.0]], True, "x")
    found = cards(named(np.log(x), "l").sum())
    assert rows(found["L"]) == ["dl = 1"]
    assert rows(found["l"]) == ["dx = 1 / x"]
    np.testing.assert_array_equal(found["l"].gradient, [[1.0, 1.0]])


@pytest.mark.parametrize("seed", range(24))
def test_in_a_random_graph_every_line_has_its_row_and_every_leaf_its_gradient(seed):
    with np.errstate(all="ignore"):
        loss, leaves = build(seed, arrays_for(seed, 3), list(STEPS)[2 * seed])
        found, _ = line_cards([loss], "grads")
        slopes = grad(loss, leaves, allow_unused=True)
    program = derive(loss)
    assert {row.line for card in found for row in card.backward} >= {
        line.name for line in program.lines if line.role == "backward"
    }
    shown = {card.name: card.gradient for card in found if card.same is None}
    for leaf, slope in zip(leaves, slopes):
        if slope is not None:
            np.testing.assert_allclose(shown[leaf.name], slope, rtol=1e-8, atol=1e-10)


# --- numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [small, tied, residual])
def test_gradients_are_those_of_one_pass_however_many_have_been_run(make):
    loss = make()
    for leaf in derive_leaves(loss):
        leaf.grad = None
    loss.backward()
    first = cards(loss)
    loss.backward()
    for card in cards(loss).values():
        before = first[card.name + "'" * (card.same is not None)].gradient
        np.testing.assert_array_equal(card.gradient, before)
    leaves = {n.name: n for n in derive_leaves(loss)}
    for name, leaf in leaves.items():
        np.testing.assert_allclose(2 * first[name].gradient, leaf.grad, rtol=1e-12)


def derive_leaves(loss):
    inputs = [v.node for v in derive(loss)._derivation.inputs]
    return [node for node in inputs if getattr(node, "requires_grad", False)]


def test_after_a_step_of_the_optimizer_every_card_still_agrees_with_its_formula():
    loss = small()
    SGD(derive_leaves(loss), lr=0.5).step()
    found, said = line_cards([loss], "auto")
    by_name = {card.name: card for card in found}
    a, w, b = (by_name[n].value for n in ("A[0]", "W[0]", "B[0]"))
    np.testing.assert_array_equal(by_name["Z[1]"].value, a @ w + b)
    np.testing.assert_array_equal(by_name["W[0]"].gradient, a.T @ by_name["Z[1]"].gradient)
    assert [card.name for card in found if card.notes] == ["W[0]", "B[0]", "W[1]", "B[1]"]
    assert by_name["W[0]"].notes == ("overwritten since it was used",)
    assert said == [
        "arrays were overwritten since L was computed: all numbers here are computed afresh "
        "from what they hold now"
    ]


def test_a_write_behind_our_back_is_noticed_by_the_loss():
    loss = small()
    derive_leaves(loss)[0].data[0, 0] = 9.0
    found, said = line_cards([loss], "auto")
    assert "overwritten since L" in said[0]
    assert all(not card.notes for card in found)


def test_values_leave_the_backward_pass_out_and_shapes_the_numbers():
    values, shapes = cards(small(), "values"), cards(small(), "shapes")
    assert all(c.gradient is None and not c.backward and not c.carries for c in values.values())
    assert values["Z[1]"].value is not None
    assert all(c.gradient is None and c.value is None for c in shapes.values())
    assert rows(shapes["A[1]"]) == ["dZ[1] = dA[1] * (A[1] > 0)"]


def test_before_backward_it_says_so():
    found, said = line_cards([small(backward=False)], "auto")
    assert said == ["no gradient yet: call backward()"]
    assert all(card.gradient is None for card in found)
    assert line_cards([small(backward=False)], "grads")[1] == []


def test_without_a_gradient_there_is_a_reason():
    x = Tensor(np.ones((2, 2)), True, "x")
    assert line_cards([x * 2.0], "auto")[1] == ["no gradient: Tensor (2, 2) is no scalar"]
    with no_grad():
        y = x.sum()
    plain = Tensor(2.0, name="c")
    assert line_cards([plain * y], "values")[1] == []


def test_the_backward_pass_is_a_graph_like_any_other():
    loss = small()
    w = derive_leaves(loss)
    gradients = grad(loss, w, create_graph=True)
    found, said = line_cards([loss, *gradients])
    assert said == []
    by_name = {card.name: card for card in found if card.same is None}
    assert by_name["dW[1]"].formula.startswith("A[1].T @ ")
    roles = {name: card.role for name, card in by_name.items() if card.role in ("loss", "result")}
    assert roles == {"L": "loss"} | dict.fromkeys(["dW[0]", "dB[0]", "dW[1]", "dB[1]"], "result")
    assert all(card.gradient is None for card in found)
    for name, g in zip(("dW[0]", "dB[0]", "dW[1]", "dB[1]"), gradients):
        np.testing.assert_array_equal(by_name[name].value, g.data)


def test_a_graph_of_second_order_has_gradients_of_gradients():
    loss = small()
    w = derive_leaves(loss)
    (g,) = grad(loss, w[:1], create_graph=True)
    found = cards((g * g).sum())
    assert found["dW[0]"].caption == "ddW[0]"
    assert found["W[0]"].caption == "dW[0]_2"
    expected = grad((g * g).sum(), w[:1])[0]
    np.testing.assert_allclose(found["W[0]"].gradient, expected)
    assert found["W[1]'"].scope == ""  # beside what uses it, not with the parameter


def test_a_parameter_that_no_gradient_reaches_says_so():
    @primitive
    def first(a, b):
        return a + 0 * b

    defvjp(first, lambda g, _y, _a, _b: g, None)
    w, v = Tensor([1.0, 2.0], True, "w"), Tensor([2.0, 1.0], True, "v")
    found = cards(first(w, v).sum())
    assert found["v"].notes == ("no gradient reaches it",)
    assert found["w"].notes == ()


def test_what_is_no_number_is_a_fault():
    x = Tensor([0.0, 1.0], True, "x")
    with np.errstate(divide="ignore"):
        loss = named(np.log(x), "l").sum()
    found = cards(loss)
    assert found["x"].faults == ("dx: 1 inf",)
    assert found["l"].faults == ("l: 1 inf",)


def test_marks_are_laid_on_the_cards_of_their_gradients():
    mark = SimpleNamespace(status="wrong", yours=None, truth=None, text="")
    found = cards(tied(), marks={"dW": mark, "dZ": mark})
    assert [name for name, card in found.items() if card.mark] == ["W", "Z"]


# --- a card for each op, and graphs that are too large to derive ----------------------------------


def test_a_line_of_one_op_each_has_all_the_rest_as_well():
    found = cards(small(), longest=1)
    assert {name: card.formula for name, card in found.items() if card.formula} == {
        "M[1]": "A[0] @ W[0]",
        "Z[1]": "M[1] + B[0]",
        "A[1]": "relu(Z[1])",
        "M[2]": "A[1] @ W[1]",
        "y": "M[2] + B[1]",
        "L": "mse(y, t)",
    }
    assert rows(found["Z[1]"]) == ["dM[1] = dZ[1]", "dB[0] = dZ[1].sum(axis=0)"]
    assert rows(found["M[1]"]) == ["dW[0] = A[0].T @ dZ[1]"]
    np.testing.assert_array_equal(found["M[1]"].gradient, found["Z[1]"].gradient)
    assert list(cards(residual(), longest=1))[:4] == ["x", "W[0]", "h1", "F[0]"]


def test_a_large_graph_has_the_gradients_without_their_lines():
    loss = tied()
    exact, found = cards(loss, longest=1), cards(loss, longest=1, large=True)
    assert list(found) == list(exact)
    for name, card in found.items():
        assert (card.value is None) == (exact[name].value is None)
        np.testing.assert_array_equal(card.value, exact[name].value)
        assert card.parents == exact[name].parents
        assert set(card.carries) == set(exact[name].carries)
        assert card.backward == ()
        if card.same is None:
            np.testing.assert_array_equal(card.gradient, exact[name].gradient)
    values = cards(loss, "values", large=True)
    assert all(card.gradient is None and not card.carries for card in values.values())
    assert all(card.value is None for card in cards(loss, "shapes", large=True).values())


def test_a_large_graph_that_was_overwritten_has_no_gradients_and_says_so():
    loss = small()
    SGD(derive_leaves(loss), lr=0.5).step()
    found, (note,) = line_cards([loss], large=True)
    assert note.startswith("no gradient: ")
    assert "overwritten" in note
    assert all(card.gradient is None for card in found)
    assert next(card.name for card in found if card.notes) == "W[0]"


def test_a_large_graph_where_a_gradient_ends_carries_it_no_further():
    @primitive
    def first(a, b):
        return a + 0 * b

    defvjp(first, lambda g, _y, _a, _b: g, None)
    w, v = Tensor([1.0, 2.0], True, "w"), Tensor([2.0, 1.0], True, "v")
    found = cards(named(first(w, named(np.exp(v), "e")), "f").sum(), large=True)
    assert (found["e"].gradient, found["e"].carries) == (None, ())


def test_a_leaf_is_one_card_and_what_nothing_leads_to_says_so():
    w = Tensor([1.0, 2.0], True, "w")
    with no_grad():
        y = w.sum()
    for leaf, role in ((w, "parameter"), (y, "input")):
        (card,), (note,) = line_cards([leaf], "grads")
        assert card.role == role
        assert note == "no gradient: nothing requires one, or it was computed under no_grad"
    found, _ = line_cards([w, small()], "values")
    assert found[-1].name == "w"


def test_a_backward_pass_that_cannot_be_written_out_is_drawn_with_its_gradients():
    @primitive
    def odd(x):
        return np.tanh(x)

    defvjp(odd, lambda g, y, _x: g * np.asarray(y).sum())
    x = Tensor([[1.0, 2.0]], True, "x")
    loss = odd(x).sum()
    loss.backward()
    cards, notes = line_cards([loss], "auto")
    assert notes[0].startswith("the backward pass is not written out: Tensor (1, 2) would leave")
    (card,) = [card for card in cards if card.name == "x"]
    np.testing.assert_array_equal(card.gradient, x.grad)
    for level in ("auto", "op", "line"):
        assert draw(loss, level).source
