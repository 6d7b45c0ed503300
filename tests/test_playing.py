"""The page that steps: what is in it, how large it is, and what is refused. No browser here."""

import html
import importlib.resources
import json
import os
import re
from types import SimpleNamespace

import numpy as np
import pytest
from test_styling import contrast

from tinygrad_mlp import (
    MLP,
    SGD,
    GradientError,
    Tensor,
    derive,
    grad,
    mse,
    no_grad,
    paint,
    playing,
    relu,
    softmax,
    styling,
)
from tinygrad_mlp.errors import RenderError
from tinygrad_mlp.linewise import line_cards
from tinygrad_mlp.playing import Player, play

pytestmark = pytest.mark.dot


def loss_of(sizes=(2, 4, 1), batch=3):
    rng = np.random.default_rng(3)
    net = MLP(list(sizes), rng=rng)
    loss = mse(net(rng.normal(size=(batch, sizes[0]))), rng.normal(size=(batch, sizes[-1])))
    loss.backward()
    return loss


def leaf(*shape, name):
    return Tensor(np.random.default_rng(0).normal(size=shape), True, name)


def data(loss, check=None):
    """The data of the page, as its script reads them."""
    text = play(loss, check=check).html
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text)
    return json.loads(found, parse_constant=pytest.fail)


def step(page, name):
    (found,) = [step for step in page["steps"] if step["n"] == name]
    return found


def array(page, name):
    stored = page["arrays"][name]
    return np.reshape(stored["v"], stored["s"])


# --- what is in it --------------------------------------------------------------------------------


def test_the_steps_are_the_lines_of_the_program():
    loss = loss_of()
    program = derive(loss)
    page = data(loss)
    assert [(s["n"], s["c"], s["r"]) for s in page["steps"]] == [
        (line.name, line.text, line.role) for line in program.lines
    ]
    assert [s["w"] for s in page["steps"]] == [program.why(line.name) for line in program.lines]
    assert step(page, "dW[1]")["s"] == "(4, 3) @ (3, 1) -> (4, 1)"


def test_the_arrays_are_those_of_the_program_to_the_last_bit():
    loss = loss_of()
    page = data(loss)
    values = derive(loss).values()
    assert page["arrays"].keys() == values.keys()
    for name, value in values.items():
        np.testing.assert_array_equal(array(page, name), value)


def test_every_number_of_a_result_is_the_sum_that_explain_writes():
    loss = loss_of()
    program = derive(loss)
    for s in data(loss)["steps"]:
        line = next(line for line in program.lines if line.name == s["n"])
        for (parts, _), index in zip(s["x"], np.ndindex(line.shape), strict=True):
            assert " = ".join(parts) == program.explain(line.name, index)


def test_an_entry_names_what_it_was_made_from():
    page = data(loss_of())
    _, read = step(page, "dW[0]")["x"][6]  # of row 1, column 2
    assert read == {"A[0]": [1, 3, 5], "dZ[1]": [2, 6, 10]}
    _, read = step(page, "L")["x"][0]
    assert read == {"y": [0, 1, 2], "t": [0, 1, 2]}


def test_a_line_with_numbers_is_its_code_with_arrays_in_it():
    page = data(loss_of())
    a = {"a": "A[1]", "l": "A[1].T", "s": [4, 3], "i": [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]}
    assert step(page, "dW[1]")["e"] == [a, "@", {"a": "dy"}]
    assert step(page, "dy")["e"] == ["2 * (", {"a": "y"}, "-", {"a": "t"}, ") / 3"]
    assert step(page, "dB[0]")["e"] == [{"a": "dZ[1]"}, ".sum(axis=0)"]
    first, sign, mask = step(page, "dZ[1]")["e"]
    assert (first, sign) == ({"a": "dA[1]"}, "*")
    assert (mask["l"], mask["m"]) == ("A[1] > 0", 1)
    np.testing.assert_array_equal(np.reshape(mask["v"], mask["s"]), array(page, "A[1]") > 0)


def test_sizes_stand_as_numbers_and_an_array_that_is_only_measured_is_not_shown():
    w = leaf(2, 3, name="w")
    page = data((w**2).mean())
    assert step(page, "dh1")["e"] == ["np.full((2, 3), 1) / 6"]


def test_a_mask_of_another_shape_is_not_matched_with_the_result():
    w, v = leaf(2, 3, name="w"), leaf(3, name="v")
    with np.errstate(all="ignore"):
        page = data((w * relu(v)).sum())
    masks = [t for s in page["steps"] for t in s["e"] if isinstance(t, dict) and "l" in t]
    assert masks
    stretched = data((w * (v > 0.0)).sum() + (w.max(axis=0) * v).sum())
    assert stretched["steps"]


@pytest.mark.parametrize(
    "make",
    [
        lambda: (lambda h: mse(relu(h) + h, np.zeros((3, 4))))(leaf(3, 4, name="x") * 2.0),
        lambda: np.sum(
            (softmax(leaf(2, 3, 4, name="q") @ np.swapaxes(leaf(2, 3, 4, name="k"), -1, -2))) ** 2
        ),
        lambda: (lambda w: w[0] * w[1] + np.exp(w[2:]).sum() / w.max())(leaf(5, name="w")),
        lambda: np.sum(grad(np.sum(np.tanh(z := leaf(3, name="z")) ** 3), z, create_graph=True)[0]),
        lambda: leaf(0, name="w").sum() + leaf(1, name="v").sum(),
        lambda: (leaf(2, 20, name="w").T @ leaf(2, 20, name="v")).sum(),
    ],
    ids=["residual", "attention", "indexing", "second order", "empty", "wide"],
)
def test_any_graph_can_be_played(make):
    page = data(make())
    assert [s["r"] for s in page["steps"]] == sorted((s["r"] for s in page["steps"]), reverse=True)
    for s in page["steps"]:
        assert s["n"] in page["arrays"]
        for token in s["e"]:
            assert isinstance(token, str) or "v" in token or "h" in token or token["a"]


def test_what_is_not_finite_is_a_word():
    w = Tensor(np.array([0.0, 1.0, np.nan, -np.inf, 1e300]), True, name="w")
    with np.errstate(all="ignore"):
        page = data((w * w).sum())
    assert page["arrays"]["w"]["v"] == [0, 1, "nan", "-inf", 1e300]
    assert page["arrays"]["w"]["t"] == "0 1.00 nan -inf 1.0e300"


def test_complex_and_logical_numbers_have_texts():
    assert playing.table(np.array([True, False])) == {"s": (2,), "v": [1, 0], "t": "1 0"}
    stored = playing.table(np.array([1 + 2j]))
    assert stored["v"] == ["(1+2j)"]
    assert len(stored["t"].split(" ")) == 1
    assert playing.table(np.full(100, 3 + 4j))["h"][0][0] == 5.0


def test_an_array_of_many_numbers_is_a_map_with_figures():
    a = np.arange(400.0).reshape(20, 20)
    a[0, 0] = np.nan
    stored = playing.table(a)
    assert stored["s"] == (20, 20)
    assert (len(stored["h"]), len(stored["h"][0])) == (styling.HEAT, styling.HEAT)
    assert stored["h"][0][0] == "nan"
    assert stored["f"][1] == "1 to 4e2"


def test_no_more_sums_are_written_out_than_the_limit(monkeypatch):
    monkeypatch.setattr(playing, "ENTRIES", 20)
    page = data(loss_of())
    written = [len(s["x"]) for s in page["steps"] if "x" in s]
    assert sum(written) <= 20
    left_out = [s for s in page["steps"] if "x" not in s]
    assert left_out
    assert all(f'explain("{s["n"]}", (' in s["h"] for s in left_out)


def test_a_small_network_makes_a_small_page():
    assert len(play(loss_of()).html.encode()) < 150_000


def test_a_large_network_makes_a_bounded_one():
    assert len(play(loss_of((64, 128, 64, 10), 32)).html.encode()) < 1_000_000


def test_the_same_graph_gives_the_same_page():
    assert play(loss_of()).html == play(loss_of()).html


def test_nothing_is_changed():
    loss = loss_of()
    before = [
        (a.grad.copy(), a.data.copy(), a.name)
        for a in loss.args[0].parents
        if a.requires_grad and a.grad is not None
    ]
    play(loss)
    after = [
        (a.grad, a.data, a.name)
        for a in loss.args[0].parents
        if a.requires_grad and a.grad is not None
    ]
    for (g, d, n), (h, e, m) in zip(before, after, strict=True):
        np.testing.assert_array_equal(g, h)
        np.testing.assert_array_equal(d, e)
        assert n == m


# --- the picture ----------------------------------------------------------------------------------


def test_each_line_has_its_place_in_the_picture():
    text = play(loss_of()).html
    ids = set(re.findall(r'\bid="([^"]+)"', html.unescape(text[: text.index("<aside>")])))
    page = data(loss_of())
    for s in page["steps"]:
        assert ids & {s["ids"]["ring"], f"a_{s['ids']['ring']}"}
        assert set(s["ids"]["show"] + s["ids"]["lit"] + s["ids"]["arrows"]) <= ids
        assert s["ids"]["show"]


def test_in_a_picture_of_many_cards_arrays_are_figures(monkeypatch):
    assert "mean" not in html.unescape(play(loss_of()).html).partition("<aside>")[0]
    monkeypatch.setattr(playing, "NUMBERED", 5)
    text = html.unescape(play(loss_of()).html).partition("<aside>")[0]
    assert text.count(">mean") > 10
    assert 'id="a_v-1"' in text
    page = data(loss_of())
    n = {card.name: f"n-{i}" for i, card in enumerate(line_cards([loss_of()], "shapes")[0])}
    assert step(page, "dW[0]")["ids"]["ring"] == n["W[0]"]
    assert step(page, "dZ[1]")["ids"]["ring"] == n["Z[1]"]
    monkeypatch.setattr(playing, "LIMIT", 6)
    page = data(loss_of())
    assert page["notes"][0]["text"] == "No picture: it would have 10 cards."


def test_without_a_renderer_the_page_has_no_picture_and_says_why(monkeypatch):
    def fails(*_args, **_kwargs):
        raise RenderError("No Graphviz found.")

    monkeypatch.setattr("tinygrad_mlp.rendering.render", fails)
    page = data(loss_of())
    assert page["notes"] == [{"text": "No picture: No Graphviz found.", "fault": False}]
    assert page["steps"][0]["ids"] == {"ring": "", "show": [], "lit": [], "arrows": []}


def test_an_overwritten_input_is_said():
    rng = np.random.default_rng(0)
    net = MLP([2, 3, 1], rng=rng)
    loss = mse(net(np.ones((3, 2))), np.zeros((3, 1)))
    assert data(loss)["notes"] == []
    loss.backward()
    SGD(net.parameters(), lr=0.1).step()
    (note,) = data(loss)["notes"]
    assert note["fault"]
    assert "were overwritten since L was computed: all numbers here" in note["text"]


# --- colours --------------------------------------------------------------------------------------

STYLE = importlib.resources.files("tinygrad_mlp").joinpath("player.html").read_text("utf-8")
DAY, NIGHT = (
    {k: v if len(v) == 7 else f"#{v[1] * 2}{v[2] * 2}{v[3] * 2}" for k, v in found}
    for found in [re.findall(r"--([\w-]+):(#\w+)", s) for s in re.findall(r":root{(.*?)}", STYLE)]
)


@pytest.mark.parametrize("colors", [DAY, NIGHT], ids=["day", "night"])
@pytest.mark.parametrize(
    ("texts", "grounds"),
    [
        ("ink muted fault right forward backward", "ground panel"),
        ("ink", "forward-ground backward-ground fault-ground forward-row backward-row"),
        ("backward", "backward-ground"),
        ("ink muted fault", "fault-ground"),
        ("fault right", "backward-ground forward-ground"),
    ],
)
def test_every_text_can_be_read_on_its_ground(colors, texts, grounds):
    for text in texts.split():
        for ground in grounds.split():
            assert contrast(colors[text], colors[ground]) >= 4.5, (text, ground)


def test_numbers_can_be_read_on_their_tints():
    assert "color:#111827" in STYLE
    for v in (1.0, -1.0):
        assert contrast("#111827", paint.tint(v, 1.0)) >= 4.5
    assert contrast("#b00020", "#fde8ea") >= 4.5


# --- names and texts of others --------------------------------------------------------------------

HOSTILE = ["</script><b>", "<!-- <script>", "<img src=x onerror=alert(1)>", "'\"&amp;", "{{data}}"]


def test_no_name_reaches_the_page_as_anything_but_text():
    leaves = [leaf(2, 2, name=name) for name in HOSTILE]
    loss = sum((w**2).sum() for w in leaves)
    text = play(loss).html
    assert text.count("<script") == 2
    assert text.count("</script>") == 2
    assert "<img" not in text
    assert "<!--" not in text[text.index("<aside>") :]
    page = data(loss)
    assert {w.name for w in leaves} <= page["arrays"].keys()


def test_a_name_with_a_lone_surrogate_can_be_written(tmp_path):
    w = leaf(2, name="\ud800w")
    play((w * w).sum(), tmp_path / "a.html")
    assert (tmp_path / "a.html").read_text("utf-8")


# --- a comparison ---------------------------------------------------------------------------------


def comparison(loss, marks, causes=()):
    return SimpleNamespace(marks=marks, causes=causes, loss=loss)


def mark(status, yours=None, text="a reason"):
    return SimpleNamespace(status=status, yours=yours, truth=None, text=text)


def test_a_comparison_marks_the_lines_and_shows_yours():
    loss = loss_of()
    values = derive(loss).values()
    yours = values["dZ[1]"].copy()
    yours[0, 1] += 1
    cause = SimpleNamespace(
        text="The mask is missing.",
        yours="dA[1]",
        autograd="dA[1] * (A[1] > 0)",
        line="net.py:24",
        evidence="",
        same_effect=("one", "two"),
        gradients=("dZ[1]",),
    )
    marks = {
        "dZ[1]": mark("wrong", yours),
        "dW[0]": mark("follows", [[1.0, 2.0]]),
        "dB[0]": mark("follows", object()),
        "dW[1]": mark("same", values["dW[1]"]),
        "dB[1]": mark("unknown"),
    }
    page = data(loss, comparison(loss, marks, [cause]))
    assert "m" not in step(page, "dy")
    wrong = step(page, "dZ[1]")["m"]
    assert (wrong["status"], wrong["text"]) == ("wrong", "a reason")
    assert wrong["yours"]["off"] == [1]
    assert wrong["causes"] == [
        {
            "text": "The mask is missing.",
            "yours": "dA[1]",
            "autograd": "dA[1] * (A[1] > 0)",
            "line": "net.py:24",
            "evidence": "",
            "also": "one; two",
        }
    ]
    follows = step(page, "dW[0]")["m"]
    assert follows["yours"]["s"] == [1, 2]
    assert "off" not in follows["yours"]
    assert follows["causes"] == []
    for name in ("dB[0]", "dW[1]", "dB[1]"):
        assert "yours" not in step(page, name)["m"]


def test_a_cause_is_told_at_its_line_and_what_has_none_above_the_steps():
    loss = loss_of()
    cause = {"text": "Too much.", "line": "", "gradients": ("dW[0]", "dB[0]")}
    at = {**cause, "yours": "dZ[1] = 2", "autograd": "dZ[1] = 1"}
    error = {**cause, "gradients": (), "yours": "", "autograd": "", "line": "net.py:3"}
    check = comparison(loss, {"dZ[1]": mark("wrong"), "dW[0]": mark("follows")})
    check.causes = [SimpleNamespace(**at), SimpleNamespace(**error)]
    page = data(loss, check)
    assert [c["text"] for c in step(page, "dZ[1]")["m"]["causes"]] == ["Too much."]
    assert step(page, "dW[0]")["m"]["causes"] == []
    assert page["notes"] == [{"text": "net.py:3: Too much.", "fault": True}]


# --- writing --------------------------------------------------------------------------------------


def test_it_is_written_to_a_file_and_shown_in_a_frame(tmp_path):
    path = tmp_path / "net.html"
    player = play(loss_of(), path)
    assert isinstance(player, Player)
    assert path.read_text("utf-8") == player.html
    assert player.write(os.fspath(tmp_path / "again.HTM")) == tmp_path / "again.HTM"
    assert repr(player) == "<Player: L in 11 steps, 4 forward and 7 backward>"
    frame = player._repr_html_()
    assert frame.startswith('<iframe srcdoc="&lt;!doctype html&gt;')
    assert '"' not in re.search(r'srcdoc="(.*?)" sandbox', frame, re.S)[1]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("net.svg", r"'.*net\.svg' does not end in \.html"),
        ("net", r"does not end in \.html"),
        ("no/net.html", r"there is no folder .*no\."),
    ],
)
def test_where_no_page_can_be_written_is_said_before_the_work(tmp_path, monkeypatch, path, words):
    monkeypatch.setattr(playing, "derive", pytest.fail)
    with pytest.raises(RenderError, match=words):
        play(loss_of(), tmp_path / path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_to_is_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    def refuses(*_args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refuses)
    with pytest.raises(RenderError, match=r"net\.html could not be written: Permission denied\.$"):
        play(loss_of(), tmp_path / "net.html")
    assert list(tmp_path.iterdir()) == []


def test_more_lines_than_a_page_can_bear_are_refused(monkeypatch):
    monkeypatch.setattr(playing, "LINES", 10)
    words = r"the program of loss \(\) has 11 lines; at most 10 are played"
    with pytest.raises(RenderError, match=words):
        play(loss_of())


def test_what_is_no_loss_is_refused():
    with pytest.raises(RenderError, match=r"play: a loss is played, a Tensor, not \[1, 2\]"):
        play([1, 2])
    with pytest.raises(RenderError, match=r"play\(check='net.py'\): give what compare\(\) returns"):
        play(leaf(2, name="w").sum(), check="net.py")
    with pytest.raises(GradientError, match=r"^play\(\) needs a scalar loss"):
        play(leaf(2, 2, name="w") * 2.0)
    with no_grad(), pytest.raises(GradientError):
        play(leaf(2, name="w").sum())
