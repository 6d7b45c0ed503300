"""Wrong and right backward passes, most as people write them: `compare` must tell them apart.

The set is in `mistakes/`. How many causes are named, and how well, is measured there, too.
"""

import dataclasses
import json
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from mistakes import measure as measuring
from mistakes.evaluating import judged_causes, unseen_by
from mistakes.generate import main
from mistakes.measure import (
    TRUE,
    Outcome,
    line_of,
    markdown,
    measure,
    networks,
    summary,
    verdict,
    without_each,
)
from mistakes.mutating import KINDS, fresh, plain
from mistakes.nets import NETS, oracle, upper
from mistakes.registry import PASSES, add
from mistakes.removing import needed, without
from mistakes.running import judged

from tinygrad_mlp import Comparison, compare

CAUSE_RIGHT, CAUSE_WRONG = 0.90, 0.005
TRACED = sys.gettrace() is not None or "coverage" in sys.modules

WRONG = [p for p in PASSES.values() if not p.right]
RIGHT = [p for p in PASSES.values() if p.right]


def all_measured(entries, **options):
    return [measure(entry, **options) for entry in entries]


@pytest.fixture(scope="module")
def verdicts():
    """All passes, without a search for causes."""
    return all_measured(PASSES.values(), explain=False)


# --- the set --------------------------------------------------------------------------------------


def test_the_set_is_large_and_varied():
    made = [p.made for p in WRONG]
    assert made.count("by hand") >= 80
    assert made.count("by a script") >= 80
    assert len(RIGHT) >= 25
    assert len([p for p in WRONG if p.made == "by hand" and not p.listed]) >= 20
    for entries in (WRONG, RIGHT):
        assert len({p.net for p in entries}) >= 12
    assert {p.net for p in WRONG} == set(NETS)


def test_the_networks_are_what_they_are_said_to_be():
    def largest(name):
        gradients = [g for k, g in oracle(NETS[name]).items() if k.startswith("dW")]
        return max(np.nanmax(abs(g)) for g in gradients)

    assert len(NETS["batch1"].arrays["x"]) == 1
    assert len(NETS["batch_width"].arrays["x"]) in NETS["batch_width"].sizes
    assert len(NETS["deep"].sizes) == 9
    assert NETS["float32"].arrays["W[0]"].dtype == np.float32
    assert 1e-8 < largest("tiny") < 1e-6
    assert 1e11 < largest("huge") < 1e13
    assert largest("near_fit") < 1e-7
    for name, n in (("kinks", 3), ("active", 0), ("plain", 0)):
        net = NETS[name]
        z = [v for k, v in net.forward(net.arrays, upper)[1].items() if k.startswith("Z")]
        assert sum(np.count_nonzero(v == 0) for v in z) >= n
    assert all(
        (v > 0).all()
        for k, v in NETS["active"].forward(NETS["active"].arrays, upper)[1].items()
        if k.startswith("Z")
    )


@pytest.mark.parametrize("net", NETS.values(), ids=lambda net: net.name)
def test_the_oracle_agrees_with_autograd(net):
    """They share no line of code, so both are right."""
    loss = net.loss()
    loss.backward()
    right = oracle(net)
    for node in walked(loss):
        if node.name in net.parameters:
            known = ~np.isnan(right[f"d{node.name}"])
            scale = np.max(abs(node.grad))
            error = abs(node.grad - right[f"d{node.name}"])[known]
            assert np.max(error) <= net.tolerance * scale


def walked(node):
    found, todo = {}, [node]
    while todo:
        n = todo.pop()
        if n not in found:
            found[n] = None
            todo += n.parents
    return list(found)


def test_right_passes_are_right_and_wrong_ones_are_wrong_beyond_doubt():
    for entry in PASSES.values():
        net = NETS[entry.net]
        wrong = judged(entry, net)
        assert bool(wrong) != entry.right, entry.name
        tolerance = entry.tolerance or net.tolerance
        assert wrong == judged(entry, net, 20 * tolerance), entry.name
        if entry.wrong is not None:
            assert wrong == entry.wrong, entry.name


def test_every_wrong_pass_says_where_and_why():
    for entry in WRONG:
        assert entry.lines, entry.name
        assert entry.cause, entry.name
        if entry.made == "by a script":
            assert entry.about in KINDS
            assert entry.before != entry.after
            assert len(entry.lines) == 1


def test_a_name_that_is_taken_is_refused():
    with pytest.raises(ValueError, match="twice"):
        add(PASSES["NoMask"].code, "plain", "again", False)


# --- the verdict of compare -----------------------------------------------------------------------


def test_every_wrong_pass_is_found_and_no_right_one_is_called_wrong(verdicts):
    assert [o.entry.name for o in verdicts if not o.found] == []


ONE_SHAPE = {"vectors", "normal_equations", "tanh_from_cosh"}
COARSE = {"single_precision", "single_for_double"}  # a factor or weights in single precision


@pytest.mark.slow
@pytest.mark.parametrize(
    "net", [n for n in NETS.values() if n.is_mlp and n.name != "tanh"], ids=str
)
def test_right_passes_are_right_on_every_network(net):
    for entry in RIGHT:
        if NETS[entry.net].is_mlp and entry.name not in ONE_SHAPE | COARSE:
            outcome = measure(dataclasses.replace(entry, net=net.name, wrong=[]), explain=False)
            assert outcome.got == [], entry.name


def test_exactly_the_wrong_gradients_are_named(verdicts):
    figures = summary(verdicts)
    inexact = [(o.entry.name, o.got, o.expected) for o in verdicts if not o.exact]
    assert figures.exact >= 0.99, inexact


@pytest.fixture(scope="module")
def sample():
    """Some of the wrong passes, with their causes: with those that take longest, and odd ones."""
    more = (
        *("mask_at_least_zero", "half_precision", "deviation_constant", "first_step_left_out"),
        *("two_mistakes_apart", "integer_buffers", "rows_overwrite", "input_at_every_layer"),
    )
    return all_measured([*WRONG[::25], *(PASSES[name] for name in more)])


NOISE = 2  # on a shared machine


@pytest.mark.long
@pytest.mark.skipif(TRACED, reason="a tracer makes it slow")
def test_a_comparison_is_quick(sample):
    assert summary(sample[:-8]).median <= 0.1 * NOISE  # without those there for their time
    assert summary(sample).slowest <= 0.5 * NOISE


def test_mutants_that_nobody_has_seen_are_found():
    outcomes = all_measured(fresh(20, 22), explain=False)
    assert [o.entry.after for o in outcomes if not (o.found and o.exact)] == []


def assert_causes_hold(outcomes):
    figures = summary(outcomes)
    misled = [o.entry.name for o in outcomes if o.cause == "wrong"]
    assert figures.causes_wrong <= CAUSE_WRONG, misled
    assert figures.causes_right >= CAUSE_RIGHT, figures.cause


def test_causes_of_a_sample_are_right(sample):
    assert_causes_hold(sample)


@pytest.fixture(scope="module")
def explained():
    """All passes, with their causes."""
    return all_measured(PASSES.values())


@pytest.mark.long
def test_causes_are_right(explained):
    assert_causes_hold(explained)


@pytest.mark.long
@pytest.mark.skipif(TRACED, reason="a tracer makes it slow")
def test_every_comparison_is_quick(explained):
    assert summary(explained).slowest <= 0.5 * NOISE


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2])
def test_many_mutants_that_nobody_has_seen(seed):
    outcomes = all_measured(fresh(seed, 200))
    figures = summary(outcomes)
    assert figures.found == 1
    assert figures.exact >= 0.99
    assert figures.causes_wrong <= CAUSE_WRONG, figures.cause


# --- the measure itself ---------------------------------------------------------------------------


class Cause(NamedTuple):
    text: str
    yours: str = ""
    autograd: str = ""
    line: str = ""
    evidence: str = ""
    same_effect: tuple[str, ...] = ()
    gradients: tuple[str, ...] = ()


def said(name, *causes):
    return verdict(PASSES[name], Comparison("", [], causes=list(causes)))


MASK = Cause("the ReLU mask is missing", "dZ[1] = dA[1]", gradients=("dW[0]", "dB[0]"))
LAST = MASK._replace(yours="dZ[2] = dA[2]", gradients=("dW[1]", "dB[1]"))
SIGN = Cause("the sign is wrong", "dZ[1] = -dA[1]", gradients=("dW[0]",))
SUM = Cause("as it is", "dB[2] = dy.sum(axis=0)", gradients=("dB[2]",))
BATCH = Cause("not divided by the batch size", "dy = 2 * (y - t)", gradients=("dW[2]", "dB[2]"))
HALF = Cause("the factor 2 is missing", "dy = (y - t) / 7", gradients=("dW[2]", "dB[2]"))
FOUND = [LAST, MASK]


@pytest.mark.parametrize(
    ("name", "causes", "expected"),
    [
        ("NoMask", [], "unknown"),
        ("NoMask", [Cause("unknown: none of 77 changes")], "unknown"),
        ("NoMask", [LAST, MASK], "right"),
        ("NoMask", [LAST, MASK._replace(text="odd", autograd="dA, a mask left out")], "right"),
        ("NoMask", [LAST._replace(text="odd"), MASK._replace(text="odd")], "other words"),
        ("NoMask", [SIGN], "wrong"),
        ("NoMask", [MASK], "wrong"),  # it is missing at another layer, too
        ("NoMask", [LAST, MASK._replace(yours="dZ[1] = 1.0001 * dA[1]")], "wrong"),
        ("NoMask", [LAST, MASK._replace(yours="dZ[1] = nothing(dA[1])")], "wrong"),
        ("NoMask", [Cause("the ReLU mask is missing")], "wrong"),  # of which no formula is given
        ("NoMask", [c._replace(text="odd", same_effect=("no mask",)) for c in FOUND], "one of"),
        ("NoMask", [LAST, MASK, SUM], "one of"),
        ("mean_over_two_outputs", [HALF], "wrong"),  # a batch may have another size
        ("TwoMistakes", [BATCH], "part"),
        ("TwoMistakes", [BATCH, LAST, MASK], "right"),
    ],
)
def test_causes_are_judged(name, causes, expected):
    assert said(name, *causes) == expected


def test_a_formula_of_the_changed_line_counts_whatever_the_words():
    entry = next(
        p for p in WRONG if p.made == "by a script" and p.target == "dy" and "len" in p.after
    )
    yours = entry.after.replace("dy =", "dy  = ")
    assert measuring.same_line(entry, Cause("something", yours=yours))
    assert not measuring.same_line(entry, Cause("something", yours=entry.before))
    assert not measuring.same_line(entry, Cause("something", yours="dy = nothing(y)"))
    assert not measuring.same_line(entry, Cause("something", yours="dW[0] = y"))
    cause = Cause("something", yours=yours, gradients=tuple(entry.wrong))
    assert verdict(entry, Comparison("", [], causes=[cause])) == "right"


def test_a_cause_in_another_line_of_a_derived_source_does_not_say_what_is_wrong(monkeypatch):
    monkeypatch.setattr(measuring, "judged_causes", lambda *_: ([], []))
    entry = fresh(1, 1, ["two_out"])[0]
    entry = dataclasses.replace(entry, target="dZ[1]", cause="mask & missing", after="dZ1 = dA1")
    for yours, expected in (
        ("dZ[1] = dA[1]", "right"),
        ("dA[1] = dZ[2] @ W[1].T", "right"),  # the step to the same layer
        ("dZ[2] = dA[2]", "other words"),
        ("delta = delta @ W.T", "right"),  # does not say which
    ):
        cause = Cause("the mask is missing", yours=yours)
        assert verdict(entry, Comparison("", [], causes=[cause])) == expected, yours
    cause = Cause("the mask is missing in dZ[2]")
    assert verdict(entry, Comparison("", [], causes=[cause])) == "other words"
    cause = cause._replace(line=f"x.py:{entry.lines[0]}")
    assert verdict(entry, Comparison("", [], causes=[cause])) == "right"
    loop = dataclasses.replace(entry, target="dZ[i]")
    cause = Cause("the mask is missing in dZ[2]")
    assert verdict(loop, Comparison("", [], causes=[cause])) == "right"


def test_a_line_without_a_number_is_a_place_too():
    """Of m018 db is wrong, and the names in a text are no places if a formula says which it is."""
    yours = "db = h1.sum(axis=0) + h2.sum(axis=0) + h3.sum(axis=0) + h6.max(axis=0)"
    largest = Cause("the max, not the sum of h6", yours, gradients=("db",))
    assert said("m018", largest) == "right"
    assert said("m018", largest._replace(yours="dV = h1.max(axis=0)")) == "wrong"
    outputs = Cause("a size", yours="dy = 2 * (y - t) / y.shape[1]", gradients=("dW[0]",))
    assert said("m059", outputs) == "right"


def test_what_only_has_the_same_effect_is_beside_a_cause():
    entry = PASSES["NoMask"]
    told = [[{"dZ[2]": "dA[2]"}], [{"dZ[1]": "2 * dA[1]"}, {"dZ[1]": "dA[1]"}]]
    causes = [LAST, MASK._replace(yours="dZ[1] = 2 * dA[1]")]
    args = entry, NETS[entry.net], Comparison("", [], causes=causes)
    assert judged_causes(*args, told) == ([], causes[1:])
    assert judged_causes(*args, [told[0], told[1][:1]]) == (causes[1:], [])
    assert verdict(entry, args[2], told) == "one of"


def test_a_step_that_single_samples_show_is_judged_on_these():
    """The person's mistakes below it are not in the way."""
    entry = PASSES["NoMask"]

    def steps(W, B, x, t):
        A, y = [x], x
        for w, b in zip(W, B):
            y = A[-1] @ w + b
            A.append(np.maximum(y, 0))
        delta, DW, DB = 2 * (y - t) / len(y) ** 2 * np.arange(1, len(y) + 1)[:, None], [], []
        for i in reversed(range(len(W))):
            DW.append(A[i].T @ delta)
            DB.append(delta.sum(axis=0))
            delta = 3 * (delta @ W[i].T) * (A[i] > 0)
        return DW[::-1], DB[::-1]

    entry = dataclasses.replace(entry, code=steps)
    cause = Cause("three times", "dZ[1] = 3 * dA[1] * (A[1] > 0)", gradients=("dZ[1]",))
    args = entry, NETS[entry.net]
    assert judged_causes(*args, Comparison("", [], causes=[cause]), []) == ([], [])
    cause = cause._replace(yours="dZ[1] = dA[1] * (A[1] > 0)")
    assert judged_causes(*args, Comparison("", [], causes=[cause]), []) == ([cause], [])


def test_code_that_takes_one_size_of_batch_is_judged_on_that():
    def fixed(W, B, x, t):
        return PASSES["NoMask"].code(W, B, x + np.zeros((7, 4)), t)

    net = NETS["plain"]
    entry = dataclasses.replace(PASSES["not_divided"], code=fixed, net="plain")
    assert unseen_by(entry, net).batch == 7
    assert unseen_by(PASSES["not_divided"], net).batch == 11


def test_the_line_that_a_cause_names_is_judged():
    entry = PASSES["NoMask"]
    for line, expected in (
        ("", ""),
        (f"by_hand.py:{entry.lines[0]}", "right"),
        ("x.py:1", "other"),
    ):
        assert line_of(entry, Comparison("", [], causes=[Cause("no", line=line)])) == expected


def test_the_oracle_sees_an_error_of_a_millionth():
    entry = PASSES["where_for_the_mask"]

    def off(W, B, x, t):
        DW, DB = entry.code(W, B, x, t)
        DB[1][2] *= 1 + 1e-6
        return DW, DB

    assert judged(dataclasses.replace(entry, code=off), NETS["plain"]) == ["dB[1]"]


def test_figures_count_what_was_not_found():
    wrong, right = PASSES["NoMask"], PASSES["einsum"]
    outcomes = [
        Outcome(wrong, None, ["dW[0]"], ["dW[0]"], "right", "right", 0.1),
        Outcome(wrong, None, ["dW[0]"], ["dW[1]"], "one of", "", 0.2),
        Outcome(wrong, None, ["dW[0]"], [], "unknown", "", 0.2),
        Outcome(wrong, None, ["dW[0]"], ["dW[0]"], "wrong", "other", 0.2),
        Outcome(right, None, [], ["dW[0]"], "", "", 0.9),
    ]
    figures = summary(outcomes)
    assert (figures.found, figures.exact) == (0.75, 0.5)
    assert (figures.causes_right, figures.causes_wrong) == (0.5, 0.25)
    assert figures.false_alarms == ["einsum"]
    assert (figures.median, figures.slowest) == (0.2, 0.9)
    assert "false alarms ['einsum']" in str(figures)


def test_a_comparison_that_passes_everything_is_measured_as_bad(monkeypatch):
    monkeypatch.setattr(measuring, "compared", lambda *_, **__: Comparison("", []))
    figures = summary(all_measured([*WRONG[:5], *RIGHT[:5]]))
    assert (figures.found, figures.exact, figures.false_alarms) == (0, 0, [])


def test_each_hypothesis_is_removed_in_turn():
    removed = []

    @contextmanager
    def without(name):
        removed.append(name)
        yield
        removed.append("")

    entries = [PASSES[name] for name in ("NoMask", "leaky")]
    found = without_each(["mask", "sign"], without, entries, sample=1)
    assert removed == ["mask", "", "sign", ""]
    seen = {name: [o.entry.net for o in outcomes] for name, outcomes in found.items()}
    assert set(seen) == {"mask", "sign"}
    assert all(len(nets) == 1 for nets in seen.values())


@pytest.mark.long
def test_without_one_of_the_explanations_nothing_misleading_is_said():
    """Each is taken away in turn; passes that need it are tried, and others; seed 0."""
    right = [o.entry for o in all_measured(WRONG) if o.cause in TRUE]
    kinds = needed(right)
    assert len(kinds) >= 50
    hard = [o for k, passes in kinds.items() for o in without_each([k], without, passes)[k]]
    easy = [o for some in without_each([*kinds], without, right, sample=4).values() for o in some]
    wrong = [o for o in hard + easy if o.cause == "wrong"]
    assert sum(o.cause == "unknown" for o in hard) > len(hard) / 4  # it is gone indeed
    assert len(wrong) <= 0.01 * len(hard), [o.entry.name for o in wrong]


def test_mutants_follow_from_the_seed_and_change_one_line():
    one, again, other = (fresh(seed, 6, ["square", "gated"]) for seed in (3, 3, 4))
    assert [p.source for p in one] == [p.source for p in again]
    assert [p.source for p in one] != [p.source for p in other]
    for entry in one:
        assert entry.after in entry.source
        assert entry.before not in entry.source.splitlines()


def test_an_unchanged_source_is_right():
    """So what is wrong with a mutant is the change."""
    for name in ("two_out", "recurrent"):
        net = NETS[name]
        give = "results" if net.build else "lists"
        source = "\n".join(plain(net, False, give)[0])
        scope = {}
        exec(source, scope)
        entry = dataclasses.replace(WRONG[0], code=scope["backward"], net=name, source=source)
        assert judged(entry, net) == []


def test_the_set_is_printed_as_tables_and_as_data(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["measure", "--markdown", "NoMask", "m000", "einsum"])
    measuring.main()
    table = capsys.readouterr().out
    assert "| no mask | plain |" in table
    monkeypatch.setattr("sys.argv", ["measure", "--json", "NoMask"])
    measuring.main()
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["found"], row["exact"], row["about"]) == (True, True, "no mask")
    monkeypatch.setattr("sys.argv", ["measure", "NoMask"])
    measuring.main()
    assert "1 wrong: found 100.0%" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["generate", "--seed", "9", "--count", "3", "--net", "plain"])
    main()
    assert "3 wrong: found 100.0%" in capsys.readouterr().out


def test_options_reach_compare(monkeypatch):
    given = {}

    def noted(*args, **options):
        given.update(options)
        return compare(*args, **{**options, "explain": True})

    monkeypatch.setattr("mistakes.running.compare", noted)
    measure(PASSES["NoMask"], explain=False)
    assert given["explain"] is False


# --- the page -------------------------------------------------------------------------------------

PAGE = (Path(__file__).parent.parent / "docs" / "mistakes.md").read_text("utf-8")
AGAIN = "paste what `python -m tests.mistakes.measure --markdown` prints"


def cells(table, columns=3):
    """The first columns of each row."""
    return [row.split("|")[1 : columns + 1] for row in table.splitlines() if row.startswith("|")]


def test_the_page_has_every_mistake(verdicts):
    assert networks() in PAGE, AGAIN
    rows = cells(PAGE)
    assert all(row in rows for row in cells(markdown(verdicts))), AGAIN  # but for the causes
    assert len(rows) == len(cells(networks() + markdown(verdicts))), AGAIN


@pytest.mark.long
def test_the_page_is_what_was_measured(explained):
    tables = markdown(explained).strip().split("\n\n")
    assert len(tables) == 2
    assert all(table in PAGE for table in tables), AGAIN


def test_the_table_has_a_row_for_every_mistake(verdicts):
    table = markdown(verdicts)
    for entry in WRONG:
        assert f"| {entry.about} |" in table
    assert "| cause named |" in table
