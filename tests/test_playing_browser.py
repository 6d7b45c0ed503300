"""The step player in Chromium: what a person presses, clicks and sees."""

import json
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from tinygrad_mlp import MLP, Tensor, compare, derive, mse
from tinygrad_mlp.playing import play

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        yield chromium
        chromium.close()


def net_and_loss(sizes=(2, 4, 1), batch=3):
    rng = np.random.default_rng(3)
    net = MLP(list(sizes), rng=rng)
    loss = mse(net(rng.normal(size=(batch, sizes[0]))), rng.normal(size=(batch, sizes[-1])))
    loss.backward()
    return net, loss


@pytest.fixture
def opened(browser, tmp_path):
    """Opens the page of a loss; fails at the end if it logged an error or asked for anything."""
    pages = []
    wrong = []

    def open_page(player, hash="", **options):
        path = player.write(tmp_path / f"page{len(pages)}.html")
        page = browser.new_page(**{"viewport": {"width": 1400, "height": 900}, **options})
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: wrong.append(request.url))
        pages.append(page)
        page.goto(f"file://{path}{hash}")
        wrong[:] = [text for text in wrong if not text.startswith(f"file://{path}")]
        return page

    yield open_page
    for page in pages:
        page.close()
    assert wrong == []


@pytest.fixture
def page(opened):
    return opened(play(net_and_loss()[1]), reduced_motion="reduce")


def step(page):
    return int(page.locator("#count").inner_text().split(" /")[0])


def data(page):
    return json.loads(page.locator("#data").text_content())


def test_keys_step_and_stop_at_the_ends(page):
    assert step(page) == 1
    for key, expected in [
        *(("ArrowRight", 2), ("ArrowDown", 3), ("ArrowLeft", 2), ("ArrowUp", 1)),
        *(("ArrowLeft", 1), ("End", 11), ("ArrowRight", 11), ("Home", 1)),
    ]:
        page.keyboard.press(key)
        assert step(page) == expected, key
        assert page.locator("[aria-current]").count() == 1


def test_slider_buttons_and_lines_step(page):
    page.locator("#slider").fill("7")
    assert step(page) == 7
    page.locator("#slider").press("ArrowRight")
    assert step(page) == 8  # once, not also by the key
    page.locator("#slider").press("Home")
    assert step(page) == 1
    for button, expected in [("last", 11), ("back", 10), ("on", 11), ("first", 1)]:
        page.locator(f"#{button}").click()
        assert step(page) == expected
    page.get_by_role("button", name="dW[1] = A[1].T @ dy").click()
    assert step(page) == 6
    assert page.url.endswith("#6")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.textContent") == "dB[1] = dy.sum(axis=0)"


def test_space_plays_to_the_end_and_pauses(opened):
    page = opened(play(net_and_loss()[1]))
    page.clock.install()
    page.keyboard.press("Space")
    assert page.locator("#run").get_attribute("aria-label") == "Pause"
    page.clock.run_for(4000)
    assert step(page) == 3
    page.keyboard.press("Space")
    page.clock.run_for(4000)
    assert step(page) == 3
    page.locator("#run").click()
    page.clock.run_for(60_000)
    assert step(page) == 11
    assert page.locator("#run").get_attribute("aria-label") == "Play"
    page.get_by_role("button", name="A[1] = relu(Z[1])").click()
    page.keyboard.press("Space")  # with the line in focus
    page.clock.run_for(2000)
    assert step(page) == 3
    page.keyboard.press("Space")
    page.clock.run_for(60_000)
    assert step(page) == 3
    page.keyboard.press("End")
    page.locator("#run").press("Space")  # presses the button, once: from the start again
    assert step(page) == 1
    assert page.locator("#run").get_attribute("aria-label") == "Pause"


@pytest.mark.parametrize(("hash", "expected"), [("#9", 9), ("#0", 1), ("#99", 11), ("#x", 1)])
def test_an_address_opens_its_step(opened, hash, expected):
    page = opened(play(net_and_loss()[1]), hash)
    assert step(page) == expected
    page.evaluate("location.hash = '#4'")
    page.wait_for_function("document.querySelector('#count').textContent === '4 / 11'")


def test_a_click_shows_an_entry_as_its_sum_and_what_it_was_made_from(page):
    program = derive(net_and_loss()[1])
    page.get_by_role("button", name="dW[0] = A[0].T @ dZ[1]").click()
    page.locator(".result button").nth(6).click()
    assert " ".join(page.locator("#entry").inner_text().split()) == program.explain("dW[0]", (1, 2))
    used = page.locator("td.used")
    assert [(c.get_attribute("data-of"), c.get_attribute("data-at")) for c in used.all()] == [
        *[("A[0]", "1"), ("A[0]", "3"), ("A[0]", "5")],
        *[("dZ[1]", "2"), ("dZ[1]", "6"), ("dZ[1]", "10")],
    ]
    page.keyboard.press("ArrowLeft")  # within the table
    assert step(page) == 10
    assert page.locator("#entry").inner_text().startswith("dW[0][1,1]")
    page.keyboard.press("ArrowUp")
    assert page.locator("#entry").inner_text().startswith("dW[0][0,1]")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Escape")
    assert page.locator("#entry").inner_text() == ""
    page.keyboard.press("ArrowRight")
    assert step(page) == 11


def test_every_entry_is_the_one_that_explain_writes(page):
    program = derive(net_and_loss()[1])
    for line in data(page)["steps"]:
        shape = np.shape(program.values()[line["n"]])
        for (parts, _), index in zip(line["x"], np.ndindex(shape), strict=True):
            assert " = ".join(parts) == program.explain(line["n"], index)


def test_the_last_step_has_the_gradients_of_backward(opened):
    net, loss = net_and_loss()
    page = opened(play(loss))
    page.keyboard.press("End")
    assert page.locator(".later").count() == 0
    arrays = data(page)["arrays"]
    for p in net.parameters():
        stored = arrays[f"d{p.name}"]
        np.testing.assert_array_equal(np.reshape(stored["v"], stored["s"]), p.grad)
    # And what is seen is what is stored.
    shown = page.locator(".result td").all_inner_texts()
    assert shown == arrays["dB[0]"]["t"].split(" ")


def test_what_is_yet_to_come_is_faded_and_the_current_place_is_marked(page):
    before = page.locator(".later").count()
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    assert 0 < page.locator(".later").count() < before
    assert page.locator(".ring").count() == 1
    assert page.locator(".arrow").count() >= 1


def test_the_picture_in_its_own_size(page):
    width = page.locator("#picture svg").bounding_box()["width"]
    page.set_viewport_size({"width": 1000, "height": 700})
    fitted = page.locator("#picture svg").bounding_box()["width"]
    page.keyboard.press("f")
    assert page.locator("#size").get_attribute("aria-pressed") == "true"
    whole = page.locator("#picture svg").bounding_box()["width"]
    assert fitted < width <= whole + 1
    page.locator("#size").click()
    assert page.locator("#picture svg").bounding_box()["width"] == fitted


def test_the_current_card_and_line_are_scrolled_into_sight(page):
    page.set_viewport_size({"width": 1000, "height": 500})
    for _ in range(11):
        page.wait_for_timeout(30)
        for frame, inner in [("#picture", ".ring"), ("#code", "[aria-current]")]:
            outer, box = page.locator(frame).bounding_box(), page.locator(inner).bounding_box()
            assert outer["y"] - 1 <= box["y"] + box["height"] / 2 <= outer["y"] + outer["height"]
        page.keyboard.press("ArrowRight")


def test_what_is_read_aloud_has_the_line_and_the_reason(page):
    page.keyboard.press("End")
    said = page.locator("#live").inner_text()
    assert said.startswith("Step 11 of 11, backward: dB[0] = dZ[1].sum(axis=0). B[0] was added")
    assert page.locator("#slider").get_attribute("aria-valuetext") == "11 of 11: dB[0]"


HOSTILE = "</script><img src=x onerror=document.title='broken'><!--'\""


def test_names_stay_text(opened):
    w = Tensor(np.ones((2, 2)), True, name=HOSTILE[:39])
    v = Tensor(np.ones((2, 2)), True, name="<!--<script>")
    page = opened(play(((w @ v) ** 2).sum()))
    page.keyboard.press("End")
    page.locator(".result button").first.click()
    assert page.title() == "L, step by step"
    assert page.locator("img").count() == 0
    assert "<!--<script>" in page.locator("#code").inner_text()
    assert HOSTILE[:39] in page.locator("#code").inner_text()


def test_dark_narrow_and_still(opened):
    dark = opened(
        play(net_and_loss()[1]),
        "#6",
        color_scheme="dark",
        reduced_motion="reduce",
        viewport={"width": 760, "height": 1000},
    )
    assert dark.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(13, 17, 23)"
    assert dark.evaluate("getComputedStyle(document.querySelector('.later')).transitionDuration")
    picture, aside = (dark.locator(name).bounding_box() for name in ("#picture", "aside"))
    assert picture["width"] == aside["width"] == 760
    assert aside["y"] >= picture["y"] + picture["height"] - 1
    assert dark.evaluate("document.documentElement.scrollWidth") == 760
    ring = dark.locator(".ring").bounding_box()  # scrolled to where it can be seen
    assert (
        picture["y"] <= ring["y"] <= ring["y"] + ring["height"] <= picture["y"] + picture["height"]
    )


def test_large_arrays_are_maps_without_entries(opened):
    page = opened(play(net_and_loss((12, 20, 3), 10)[1]))
    assert page.locator(".heat").count() >= 2
    assert page.locator(".result button").count() == 0
    assert 'explain("Z[1]", (0, 0))' in page.locator("#numbers").inner_text()
    page.get_by_role("button", name=re.compile("^dB.1. = ")).click()
    page.locator(".result button").first.click()
    assert page.locator("#entry").inner_text().startswith("dB[1][0]\n= Σ_n dy[n,0]\n= ")


def test_what_is_not_finite_is_shown_as_that(opened):
    w = Tensor(np.array([0.0, 1.0, np.inf]), True, name="w")
    with np.errstate(all="ignore"):
        page = opened(play(np.log(w).sum()))
    page.keyboard.press("End")
    assert page.locator("td.bad").all_inner_texts() == ["inf", "inf"]


def test_a_notebook_shows_it_in_a_frame(browser):
    page = browser.new_page()
    page.set_content(play(net_and_loss()[1])._repr_html_())
    frame = page.frame_locator("iframe")
    frame.locator("#last").click()
    assert frame.locator("#count").inner_text() == "11 / 11"
    page.close()


def test_a_comparison_marks_its_lines(opened):
    _, loss = net_and_loss()
    right = derive(loss).values()
    mark = {"status": "wrong", "yours": 2 * right["dZ[1]"], "text": "Two of a kind."}
    mark["truth"] = right["dZ[1]"]
    cause = {"text": "Twice too much.", "yours": "2 * dZ[1]", "autograd": "", "line": "net.py:7"}
    check = SimpleNamespace(
        marks={
            "dZ[1]": SimpleNamespace(**mark),
            "dW[0]": SimpleNamespace(status="follows", yours=None, truth=None, text="It follows."),
            "dW[1]": SimpleNamespace(status="same", yours=None, truth=None, text="It is right."),
        },
        causes=[SimpleNamespace(**cause, gradients=("dZ[1]",))],
        loss=loss,
    )
    page = opened(play(loss, check=check))
    assert page.locator("#marks button").all_inner_texts() == ["dZ[1]: wrong", "dW[0]: follows"]
    page.locator("#marks button").first.click()
    assert step(page) == 9
    said = page.locator("#verdict").inner_text()
    for words in ("wrong: Two of a kind.", "Twice too much. (net.py:7)", "yours: 2 * dZ[1]"):
        assert words in said
    assert page.locator("td.off").count() == np.count_nonzero(right["dZ[1]"])
    assert "wrong." in page.locator("#live").inner_text()
    page.get_by_role("button", name="dW[1] = A[1].T @ dy").click()
    assert "✓ same: It is right." in page.locator("#verdict").inner_text()


def test_what_compare_found_is_told_at_its_line(opened):
    _, loss = net_and_loss()
    right = derive(loss).values()
    mine = {name: right[name] for name in ("dW[1]", "dB[1]")}
    mine["dW[0]"] = right["A[0]"].T @ right["dA[1]"]  # relu forgotten
    mine["dB[0]"] = right["dA[1]"].sum(axis=0)
    check = compare(mine, loss)
    page = opened(play(check.loss, check=check))
    marked = page.locator("#marks button").all_inner_texts()
    assert marked == ["dZ[1]: wrong", "dW[0]: follows", "dB[0]: follows"]
    page.locator("#marks button").first.click()
    said = page.locator("#verdict").inner_text()
    assert said.startswith("wrong")
    assert said.count("the ReLU mask A[1] > 0, the derivative of relu, is missing") == 1
    for words in ("yours: dZ[1] = dA[1]\n", "autograd: dZ[1] = dA[1] * (A[1] > 0)"):
        assert words in said
    zeros = (right["A[1]"] == 0) & (right["dA[1]"] != 0)
    assert page.locator("#verdict td.off").count() == np.count_nonzero(zeros)
    page.locator("#marks button").nth(1).click()
    assert "follows: follows from dZ[1]" in page.locator("#verdict").inner_text()
