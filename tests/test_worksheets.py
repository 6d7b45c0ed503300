"""A worksheet that was filled in: right, wrong, follows, not filled in, fails, changed."""

import numpy as np
import pytest

from tinygrad_mlp import MLP, Tensor, cross_entropy, derive, mark, mse
from tinygrad_mlp.errors import DataError
from tinygrad_mlp.worksheets import sheet_of

RIGHT = {
    "dy": "2 * (y - t) / len(t)",
    "dW2": "A2.T @ dy",
    "dB2": "dy.sum(0)",
    "dA2": "dy @ W2.T",
    "dZ2": "dA2 * (Z2 > 0)",
    "dW1": "A1.T.dot(dZ2)",
    "dB1": "np.einsum('ni->i', dZ2)",
    "dA1": "dZ2 @ W1.T",
    "dZ1": "np.where(Z1 > 0, dA1, 0)",
    "dW0": "A0.T @ dZ1",
    "dB0": "np.sum(dZ1, axis=0)",
}


@pytest.fixture(scope="module")
def program():
    rng = np.random.default_rng(0)
    net = MLP((3, 5, 5, 2), rng=rng)
    for b in net.B:
        b.data = rng.normal(size=b.shape)
    return derive(mse(net(rng.normal(size=(7, 3))), rng.normal(size=(7, 2))))


def filled(program, **changes):
    """The worksheet with these right-hand sides; None leaves one open."""
    text = program.worksheet()
    for name, code in {**RIGHT, **changes}.items():
        if code is not None:
            text = text.replace(f"{name} = ...", f"{name} = {code}")
    return text


def wrong(comparison):
    return {row.name: row.verdict for row in comparison.table if not row.ok}


def test_a_right_sheet_passes_however_it_is_written(program):
    result = mark(filled(program), program)
    assert result.ok
    names = ["dy", "dW[2]", "dB[2]", "dA[2]", "dZ[2]", "dW[1]", "dB[1]", "dA[1]", "dZ[1]"]
    assert [row.name for row in result.table] == [*names, "dW[0]", "dB[0]"]
    assert result.table[1].formula == "A2.T @ dy"
    assert mark(program.source(), program).ok


def test_a_wrong_line_is_found_and_what_follows_from_it(program):
    result = mark(filled(program, dZ2="dA2 * A2"), program)
    assert result.where == "dZ[2]"
    assert wrong(result) == {
        "dZ[2]": "WRONG",
        **dict.fromkeys(("dW[1]", "dB[1]", "dA[1]"), "WRONG: follows from dZ[2]"),
        "dZ[1]": "WRONG: follows from dA[1]",
        **dict.fromkeys(("dW[0]", "dB[0]"), "WRONG: follows from dZ[1]"),
    }


def test_a_second_mistake_is_told_from_what_follows_from_the_first(program):
    found = wrong(mark(filled(program, dy="2 * (y - t)", dB1="-dZ2.sum(0)"), program))
    assert found["dy"] == "WRONG: x 7"
    assert found["dB[1]"] == "WRONG: x -1, given your dZ[2]"
    assert found["dW[1]"] == "WRONG: follows from dZ[2]"
    found = wrong(mark(filled(program, dy="2 * (y - t)", dW1="A1.T @ dZ2 + np.eye(5)"), program))
    assert found["dW[1]"] == "WRONG"


def test_below_a_line_that_is_not_filled_in_the_others_are_marked_all_the_same(program):
    result = mark(filled(program, dA2=None, dB1="dZ2.mean(0)"), program)
    assert wrong(result) == {"dA[2]": "not filled in", "dB[1]": "WRONG: x 1/7"}
    result = mark(program.worksheet(), program)
    assert set(wrong(result).values()) == {"not filled in"}
    assert len(wrong(result)) == 11


def test_below_a_line_that_raises_too(program):
    sheet = filled(program, dA2="dy @ W2", dW0="A0.T @ dZ")
    number = 1 + sheet.splitlines().index("    dA2 = dy @ W2  # (7, 5), from dy (7, 2), W2 (5, 2)")
    found = wrong(mark(sheet, program))
    assert set(found) == {"dA[2]", "dW[0]"}
    shapes = "dy (7, 2), W2 (5, 2)"
    assert found["dA[2]"] == (
        f"WRONG: raised ValueError: shapes do not fit: {shapes} (line {number})"
    )
    assert found["dW[0]"].startswith("WRONG: raised NameError: name 'dZ' is not defined")


def test_a_shape_that_is_wrong_is_named(program):
    found = wrong(mark(filled(program, dB2="dy", dW1="dZ2.T @ A1", dB0="7"), program))
    assert found == {
        "dB[2]": "WRONG: shape (7, 2), not (2,); its sum over the first axis is right",
        "dW[1]": "WRONG: transposed",
        "dB[0]": "WRONG: shape (), not (5,)",
    }


def test_below_a_wrong_shape_a_line_that_cannot_be_judged_says_so(program):
    found = wrong(mark(filled(program, dZ1="dA1.T", dW0="dZ1[:3]", dB0="np.zeros(5)"), program))
    assert found["dZ[1]"] == "WRONG: shape (5, 7), not (7, 5)"
    assert found["dW[0]"].endswith("not judged, for your dZ[1] does not fit")
    assert found["dB[0]"] == "WRONG"


def test_what_is_no_array_is_said_to_be_none(program):
    found = wrong(mark(filled(program, dZ1="'mask'", dB0="dA1.sum(0)", dW0="None"), program))
    assert "entries are <U4" in found["dZ[1]"]
    assert found["dW[0]"] == "WRONG: missing"


def test_helper_lines_count_and_in_place_changes_are_seen(program):
    mask = "dA2.copy()\n    dZ2[Z2 <= 0] = 0\n    n = len(y)"
    assert mark(filled(program, dZ2=mask, dB1="dZ2.mean(0) * n"), program).ok
    changed = filled(program, dZ2="dA2\n    dZ2 *= Z2 > 0")
    assert mark(changed, program).ok
    broken = filled(program, dW2="A2.T @ dy\n    q = nothing")
    found = wrong(mark(broken, program))
    assert [name for name in found if name.startswith("line ")]
    assert len(found) == 1


def test_a_changed_forward_line_and_a_changed_return_are_seen(program):
    sheet = filled(program).replace("Z1 = A0 @ W0 + B0", "Z1 = A0 @ W0")
    result = mark(sheet, program)
    assert result.where == "Z[1]"
    assert wrong(result)["A[1]"] == "WRONG: follows from Z[1]"
    for other in ("[dW0, dW1], [dB0, dB1]", "[dW0, dW1, dW2], [dB0, dB1, dB0]", "None"):
        sheet = filled(program).replace(
            "return [dW0, dW1, dW2], [dB0, dB1, dB2]", f"return {other}"
        )
        assert wrong(mark(sheet, program)) == {"return": "WRONG: not what the lines above have"}
    sheet = filled(program).replace("return ", "return 1 / 0, ")
    assert "raised ZeroDivisionError" in str(wrong(mark(sheet, program)))


def test_the_function_itself_can_be_given_and_has_its_line_numbers():
    w = Tensor([1.0, 2.0], requires_grad=True, name="w")
    loss = (w * w).sum()

    def backward(w):
        dw = w[7]
        return dw

    [row] = mark(backward, loss).table
    assert row.verdict.endswith(f"(line {backward.__code__.co_firstlineno + 1})")

    def right(w):
        dw = 2 * w
        return dw

    sheet = derive(loss).worksheet()
    assert "dw = " in sheet
    assert mark(right, loss).ok


def test_any_graph_has_a_worksheet(tmp_path):
    rng = np.random.default_rng(0)
    w = Tensor(rng.normal(size=(3, 2)).astype(np.float32), requires_grad=True, name="w")
    h = np.tanh(rng.normal(size=(4, 3)).astype(np.float32) @ w)
    h.name = "h"
    program = derive(cross_entropy(h, np.array([0, 1, 1, 0])))
    assert mark(program.source(), program).ok
    path = tmp_path / "sheet.py"
    path.write_text(program.worksheet().replace("dh = ...", "dh = (np.exp(h) - 1) / 4"))
    found = wrong(mark(path, program))
    assert found["dh"].startswith("WRONG")


def test_a_rule_that_calls_a_function_of_ours_is_run_again_for_followers():
    rng = np.random.default_rng(0)
    w = Tensor(rng.normal(size=(3, 2)), requires_grad=True, name="w")
    h = rng.normal(size=(4, 3)) @ w
    h.name = "h"
    program = derive(cross_entropy(h, np.array([0, 1, 1, 0])))
    code = {row.name: row.code for row in program.lines}
    source = program.source().replace(f"dh = {code['dh']}", f"dh = 5 * ({code['dh']})")
    assert wrong(mark(source, program)) == {"dh": "WRONG: x 5", "dw": "WRONG: follows from dh"}


@pytest.mark.parametrize(
    ("sheet", "words"),
    [
        ("", "no function to be read in the worksheet: it defines none"),
        ("def f(:", "no function"),
        ("x = 3", "no function"),
        ("def f(x): pass", r"f\(x\) is no worksheet of this program, whose arguments are W, B, A0"),
        (len, "no function to be read.*has no attribute"),
    ],
)
def test_what_is_no_worksheet_is_refused(program, sheet, words):
    with pytest.raises(DataError, match=words):
        mark(sheet, program)


def test_a_worksheet_is_recognised_by_its_docstring(program):
    sheet = sheet_of("import os\n" + program.worksheet("mine") + "\ndef other(): pass\n")
    assert (sheet.name, sheet.sizes) == ("mine", (3, 5, 5, 2))
    assert sheet_of(program.worksheet("mine"), "other") is None
    assert sheet_of("def backward(W, B, A0, t): pass") is None
    assert sheet_of("f(") is None
    w = Tensor(1.0, requires_grad=True, name="w")
    assert sheet_of(derive(w * w).worksheet()).sizes is None
