"""From differences to an account of them: what is said of a comparison that failed.

The person's code is called again, fresh, on data in general position: on the same sizes, and on
others where it takes them. What `diagnosing` finds there has to hold on both. Before that come the
explanations that need no search: an exception, lists in another order, gradients that are missing.
"""

import itertools
import linecache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .deriving import derive
from .diagnosing import Diagnosis, Found, Probe, diagnose, text_of
from .graph import toposort
from .judging import Cause, Comparison, Mark, as_array
from .locating import line_of, reason, watched
from .mutating import places
from .probing import drawn, more, preactivations, probe, widths
from .rounding import coarsest, truths
from .sifting import arranged, sifted
from .simulating import Simulator, rooted, shown, value_of
from .subjects import Attempt, Network, Subject, Trial, entries, kind_of, trial
from .values import Value, reads

__all__ = ["account", "account_of_gradients", "account_of_second"]

LARGEST = 10**6
"""A network with more weights is not searched."""


# --- probes ---------------------------------------------------------------------------------------


class Case(NamedTuple):
    """A call of the person's code, as something to search an explanation for."""

    call: Trial
    probe: Probe
    orders: tuple[str, ...]
    missing: tuple[str, ...]
    """What there is no array for, and what there is instead."""
    raw: dict[str, Any]
    """What is given, by the names of gradients, as it was."""


def inputs_of(call: Trial) -> dict[str, Any]:
    """The inputs of a derivation by their names."""
    arrays = {str(p.name): p._data for p in (*call.net.W, *call.net.B)}
    return {**arrays, "A[0]": call.x, "t": call.t}


def case_of(sim: Simulator, subject: Subject, call: Trial, limit: float) -> Case:
    """What the call gave, beside what is right."""
    nodes = call.wanted
    arrays = inputs_of(call)
    env = sim.run_on(arrays)
    given: dict[Value, Any] = {}
    raw_by_name: dict[str, Any] = {}
    orders: list[str] = []
    missing: dict[str, list[str]] = {}
    L = len(subject.W)
    for letter, raw in (("W", call.out.DW), ("B", call.out.DB)):
        right = [env[sim.named[f"d{letter}[{i}]"]] for i in range(L)]
        ordered, text = arranged(f"D{letter}", entries(raw), right)
        if text and entries(raw):
            orders.append(text)
        for i, a in enumerate(ordered):
            raw_by_name[f"d{letter}[{i}]"] = a
            array, problem = as_array(a)
            if problem:
                missing[problem] = [*missing.get(problem, []), f"D{letter}[{i}]"]
            else:
                given[sim.named[f"d{letter}[{i}]"]] = array
    if isinstance(subject, Network):
        array, problem = as_array(call.out.y)
        if not problem:
            given[sim.named["y"]] = array
    dtype = coarsest(toposort(call.loss), list(given.values()))
    of = {f"d{name[1:]}": node for name, node in nodes.items()}
    wanted = [(call.y, False) if v.name == "y" else (of[str(v.name)], True) for v in given]
    found, _ = truths(call.loss, wanted, dtype, limit)
    tolerance = {}
    for v, truth in zip(given, found):
        tolerance[v] = limit * truth.sigma + truth.slack
        given[v] = np.asarray(given[v], float)
    sizes = {"batch": float(len(call.x)), "outputs": float(subject.W[-1].shape[1])}
    eps = float(np.finfo(dtype).eps)
    special = special_of(sim, env, len(call.x))
    made = Probe(env, given, tolerance, sizes, eps, special=special)
    lacking = tuple(f"{', '.join(names)}: {problem}" for problem, names in missing.items())
    return Case(call, made, tuple(orders), lacking, raw_by_name)


def special_of(sim: Simulator, env: dict[Value, Any], batch: int) -> dict[str, float]:
    """Numbers of the data that a factor may contain."""
    loss = float(env[sim.derivation.loss])
    norm = float(np.sqrt(sum(np.sum(env[g] ** 2) for _, g in sim.derivation.results)))
    root = abs(loss) ** 0.5
    return {
        **{"(batch - 1)": batch - 1.0, "loss": loss, "sqrt(loss), the root of the loss": root},
        "norm of all gradients": norm,
    }


def elsewhere(
    subject: Subject, rng: int, sizes: list[int] | None = None, data: Any = probe
) -> tuple[Subject, Trial]:
    """A fresh call with weights and data in general position."""
    fresh = subject.fresh()
    W, B = subject.W, subject.B
    if sizes is not None:
        W = [np.empty(shape, W[0].dtype) for shape in itertools.pairwise(sizes)]
        B = [np.empty(n, B[0].dtype) for n in sizes[1:]]
    W, B = drawn(W, B, rng)
    fresh.use(W, B)
    x, t = data(fresh, rng)
    B[-1] = B[-1] - preactivations(W, B, x)[-1].mean(axis=0).astype(B[-1].dtype).reshape(
        B[-1].shape
    )
    fresh.use(W, B)  # now with outputs of either sign
    return fresh, trial(fresh, x, t, rng)


def other_sizes(sizes: list[int]) -> list[int]:
    """As many widths, no two of them equal."""
    widths = list(np.random.default_rng(len(sizes)).permutation(len(sizes)) + 4)
    return [int(n) for n in widths]


# --- the account ----------------------------------------------------------------------------------


def account(subject: Subject, call: Trial, report: Comparison, limit: float) -> None:
    """Say in `report`, which failed, why."""
    if call.out.raised is not None:
        report.causes.append(cause_of_error(call.out.raised))
        return
    if form := form_of(call):
        report.notes[:] = [note for note in report.notes if note != form]
        report.causes.append(Cause(form))
        return
    if sum(w.size for w in subject.W) > LARGEST:
        report.notes.append("the network is too large to look for a cause")
        return
    if not np.isfinite(call.loss._data):
        return
    sim = Simulator(derive(call.loss)._derivation)
    here = case_of(sim, subject, call, limit)
    cases = cases_of(sim, subject, limit)
    if not any(c.missing or c.orders or wrong_in(c.probe) for c in cases):
        cases = [here]
    report.causes += unsteady(subject, cases[0])
    if report.causes:
        return
    by_name = {str(v.name): a for v, a in here.probe.env.items()}
    below = {f"dB[{i}]": by_name[f"A[{i + 1}]"] for i in range(len(subject.W) - 1)}
    y = sim.named["y"]
    forward = not isinstance(subject, Network) or y in wrong_in(here.probe)
    result = diagnose(sim, [c.probe for c in cases], forward)
    report.causes += unexplained(sifted(here.raw, by_name, below), result)
    if result.unknown and not report.causes:
        report.causes += coarse(sim, subject, cases[0], limit) or weighted(sim, cases)
    if result.unknown and not report.causes:
        result = locally(sim, subject, cases, result, report, limit)
    if y in wrong_in(here.probe) and judge_by_forward(subject, cases[0], report):
        result.found[:] = [f for f in result.found if not f.match.change.line.backward]
    tell(sim, result, list(cases[0].orders), list(cases[0].missing), report)
    lines_of(sim, subject, cases[0], result, report)


def unexplained(causes: list[Cause], result: Diagnosis) -> list[Cause]:
    """The causes of what no change of a line explains."""
    unknown = {str(v.name) for v in result.unknown}
    return [cause for cause in causes if unknown & {*cause.gradients}]


def form_of(call: Trial) -> str:
    """In which other form than that of two lists the gradients are; '' if in none."""
    out, shapes = call.out, {}
    for name, gradients in (("DW", out.DW), ("DB", out.DB)):
        shapes[name] = [np.shape(a) for a in entries(gradients) if hasattr(a, "shape")]
        if not out.form and gradients is not None and not entries(gradients):
            return f"{name} is {kind_of(gradients)}, not a list with one array a layer"
    W, B = ([p.shape for p in group] for group in (call.net.W, call.net.B))
    if shapes == {"DW": B, "DB": W}:
        return "DW and DB are exchanged: the gradients of the biases are where DW should be"
    return out.form


def account_of_second(
    subject: Subject, first: Trial, second: Trial, report: Comparison, limit: float
) -> None:
    """Say why a second call is wrong after a first one was right: what is left of the first."""
    fresh = subject.fresh()
    fresh.use(*([p._data for p in group] for group in (second.net.W, second.net.B)))
    alone = trial(fresh, second.x, second.t, 0)
    sim = Simulator(derive(second.loss)._derivation)
    case = case_of(sim, fresh, alone, limit)
    if alone.out.raised is not None or case.orders or case.missing or wrong_in(case.probe):
        account(subject, second, report, limit)
        return
    left = "what the first call left behind changes the second (a fresh object is right)"
    now = case_of(sim, subject, second, limit)
    L = len(subject.W)
    before, ours, right = (
        [as_array(a)[0] for raw in (out.DW, out.DB) for a in entries(raw)[:L]]
        for out in (first.out, second.out, alone.out)
    )
    if second.out.raised is not None:
        report.causes.append(cause_of_error(second.out.raised))
        return
    if now.orders:
        left = now.orders[0]
    elif len(ours) == len(right) == len(before):
        sums = [i for i in range(len(ours)) if differ(ours[i], right[i])]
        if all(not differ(ours[i], right[i] + before[i]) for i in sums):
            left = (
                "the gradients of the earlier call are still in it: the new ones are added to them "
                "(accumulated, not set to zero)"
            )
        elif all(not differ(ours[i], before[i]) for i in sums):
            left = "the gradients are still those of the earlier call (not computed anew)"
        else:
            left = stale(sim, first, now) or left
    report.causes.append(Cause(left, gradients=tuple(str(v.name) for v in wrong_in(now.probe))))


def stale(sim: Simulator, first: Trial, now: Case) -> str:
    """Whether forward values of the first call were used in the second."""
    old, env = sim.run_on(inputs_of(first)), dict(now.probe.env)
    for v in sim.lines:
        if not v.backward and str(v.name).startswith("A["):
            env[v] = old[v]
    env[sim.named["A[0]"]] = np.asarray(first.x, float)
    try:
        for v in sim.lines:
            if v.backward:
                env[v] = sim.of(v, env)
        if all(now.probe.fits(v, env[v]) for v in now.probe.given if v.backward):
            return "A still holds the activations of the earlier call (not emptied before forward)"
    except ValueError:
        pass
    return ""


def wrong_in(probe: Probe) -> list[Value]:
    """What differs on a probe."""
    return [v for v in probe.given if not probe.fits(v, probe.expected(v))]


def cases_of(sim: Simulator, subject: Subject, limit: float) -> list[Case]:
    """Fresh calls in general position: on the same sizes, on others, and on a larger batch.

    Those that the code takes. What is true of all is hardly so by chance.
    """
    near, first = elsewhere(subject, 11)
    if first.out.raised is not None:
        return []
    cases = [case_of(sim, near, first, limit)]
    sizes = other_sizes(widths(subject.W))
    for other, data in ((sizes, probe), (None, more)):
        try:
            far, second = elsewhere(subject, 12, other, data)
        except Exception:  # its arrays may be made for other sizes
            continue
        if second.out.raised is None and (other is None or widths(far.W) == other):
            cases.append(case_of(sim, far, second, limit))
    return cases


def gradients_of(out: Attempt) -> list[Any]:
    """All gradients, flat."""
    return [as_array(a)[0].ravel() for raw in (out.DW, out.DB) for a in entries(raw)]


def again(subject: Subject, case: Case) -> Attempt:
    """The same call once more, from the beginning."""
    fresh = subject.fresh()
    fresh.use(*([p._data for p in group] for group in (case.call.net.W, case.call.net.B)))
    return fresh.attempt(case.call.x, case.call.t)


def unsteady(subject: Subject, case: Case) -> list[Cause]:
    """Whether further calls on the same data give something else, or raise."""
    outs = [again(subject, case) for _ in range(3)]
    for out in outs:
        if out.raised is not None:
            return [cause_of_error(out.raised)]
    one, two, three = (np.concatenate([np.zeros(0), *gradients_of(out)]) for out in outs)
    if one.shape == two.shape and not differ(one, two):
        return []
    text = "calls on the same data give different gradients: something in it is random"
    if one.shape != two.shape or not differ(two - one, three - two):
        text = (
            "every call adds to what earlier calls left behind, even in a new object "
            "(kept in the class, or in a default argument; not reset)"
        )
    return [Cause(text)]


def differ(a: Any, b: Any) -> bool:
    """Whether two arrays differ by more than rounding."""
    size = np.max(abs(b), initial=0.0)
    return bool(np.max(abs(a * 1.0 - b), initial=0.0) > 1e-6 * size)  # masks are no numbers


def cause_of_error(raised: Any) -> Cause:
    """Why the code raised."""
    text, source, place = reason(raised.__cause__)
    return Cause(f"{str(raised).split(' raised ')[0]} raised {text}", line=place, source=source)


def locally(
    sim: Simulator,
    subject: Subject,
    cases: list[Case],
    result: Diagnosis,
    report: Comparison,
    limit: float,
) -> Diagnosis:
    """What stays unknown, step by step: with one sample, DB[i] is the person's delta.

    So each step can be judged on the person's own delta above it. It is believed where DW[i], the
    product of A[i] and this delta, agrees.
    """
    case = next((c for c in cases if wrong_in(c.probe)), cases[0])
    singles = []
    some = [(case, k) for k in range(len(case.call.x))]
    for place, k in some + [(other, k) for other in cases if other is not case for k in range(3)]:
        fresh = subject.fresh()
        fresh.use(*([p._data for p in group] for group in (place.call.net.W, place.call.net.B)))
        one = trial(fresh, place.call.x[k : k + 1], place.call.t[k : k + 1], 0)
        if one.out.raised is not None:
            return result
        probe = case_of(sim, fresh, one, limit).probe
        given = dict(probe.given)
        fixed = {}
        for i in range(len(subject.W)):
            dw, db = sim.named[f"dW[{i}]"], sim.named[f"dB[{i}]"]
            [delta] = [v for v in reads(db) if v.backward]
            if dw not in given or db not in given or given[db].size != probe.env[db].size:
                continue
            d = given[db].reshape(1, -1)
            a = probe.env[sim.named[f"A[{i}]"]]
            if given[dw].shape == probe.env[dw].shape and probe.fits(dw, a.T @ d):
                fixed[delta] = d
        if not fixed:
            return result
        env, due, tolerance = probe.env, {}, dict(probe.tolerance)
        for v in sim.lines:
            env[v] = sim.of(v, env)
            if v in fixed:
                due[v], env[v] = env[v], fixed[v]
                given[v] = fixed[v]
                [db] = [w for w in sim.lines if w.of.startswith("B[") and v in reads(w)]
                tolerance[v] = probe.tolerance[db].reshape(1, -1)
        singles.append(
            Probe(
                env, given, tolerance, probe.sizes, probe.eps, frozenset(fixed), probe.special, due
            )
        )
    together = not any(map(wrong_in, singles))
    singles = [p for p in singles if p.fixed == singles[0].fixed]
    local = diagnose(sim, singles, False, "single samples")
    known = {line for f in result.found for line in f.lines}
    more = [
        f for f in local.found if not known & f.lines.keys() and singles[0].fixed & f.lines.keys()
    ]  # of the lines after them it would not show what they do with a batch
    if together:
        text = "for each sample by itself all is right: the mistake is in how they are put together"
        report.facts.append(text)
    else:
        facts(sim, singles, report)
    return Diagnosis(result.found + more, result.unknown, result.tried + local.tried, result.env)


def facts(sim: Simulator, singles: list[Probe], report: Comparison) -> None:
    """What can be said of the steps of which no cause is known."""
    wrong, reached = {}, {}
    for v in singles[0].fixed:
        reached[v] = [p for p in singles if np.any(p.expected(v)) or np.any(p.given[v])]
        wrong[v] = [p for p in reached[v] if not p.fits(v, p.expected(v))]
    for v in sorted(wrong, key=sim.number.__getitem__):
        step = f"the step that makes {v.name}"
        if not wrong[v]:
            report.facts.append(f"{step} is right for single samples, given your own values")
        else:
            some = "every sample" if len(wrong[v]) == len(reached[v]) else "some samples"
            report.facts.append(f"{step} is wrong for {some}, given your own values")


COARSE = {"float32": "single", "float16": "half"}


def coarse(sim: Simulator, subject: Subject, case: Case, limit: float) -> list[Cause]:
    """Whether the difference is that of a coarser number format, and vanishes where that is exact.

    On small integers, with a batch that is a power of two, such a format makes no error.
    """
    call = case.call
    of = {f"d{name[1:]}": node for name, node in call.wanted.items()}
    given = [v for v in case.probe.given if v.backward]
    for name, word in COARSE.items():
        if np.finfo(name).eps <= case.probe.eps:
            continue
        found, _ = truths(
            call.loss, [(of[str(v.name)], True) for v in given], np.dtype(name), limit
        )
        fits = all(
            case.probe.given[v].shape == truth.right.shape
            and (abs(case.probe.given[v] - truth.right) <= 4 * truth.sigma + truth.slack).all()
            for v, truth in zip(given, found)
        ) and shows_rounding(case.probe)
        if fits:
            rng = np.random.default_rng(1)
            fresh = subject.fresh()
            W = [
                (rng.integers(-1, 2, w.shape) * (rng.random(w.shape) < 2 / len(w))).astype(w.dtype)
                for w in subject.W
            ]
            B = [rng.integers(-1, 2, b.shape).astype(b.dtype) for b in subject.B]
            fresh.use(W, B)
            x = rng.integers(-2, 3, (8, len(W[0]))).astype(W[0].dtype)
            t = rng.integers(-2, 3, (8, W[-1].shape[1])).astype(W[0].dtype)
            exact = case_of(sim, fresh, trial(fresh, x, t, 0), limit)
            if exact.missing or exact.call.out.raised is not None or wrong_in(exact.probe):
                return []
            text = (
                f"precision: {word} precision ({name}), or rounding as coarse, on the way. "
                f"The differences have no pattern, are of that size, and vanish for small integers"
            )
            return [Cause(text, gradients=tuple(str(v.name) for v in wrong_in(case.probe)))]
    return []


def shows_rounding(probe: Probe) -> bool:
    """Whether something differs here, and in so many entries as rounding makes differ."""
    wrong = wrong_in(probe)
    for v in wrong:
        right = probe.expected(v)
        differ = abs(probe.given[v] - right) > probe.tolerance[v]
        if np.count_nonzero(differ) < np.count_nonzero(right) / 2:
            return False
    return bool(wrong)


def weighted(sim: Simulator, cases: list[Case]) -> list[Cause]:
    """Whether the samples count with different weights, which are solved for."""
    if sim.outputs < 2:
        return []  # every change of delta is one of weights
    shown = []
    for case in cases:
        p = case.probe
        env = dict(p.env)
        dy = sim.gradient[sim.named["y"]]
        given = [v for v in p.given if v.backward]
        n = len(case.call.x)
        terms: list[list[Any]] = []
        for k in range(n):  # what each sample contributes
            env[dy] = np.where(np.arange(n)[:, None] == k, p.env[dy], 0.0)
            for v in sim.lines:
                if v.backward and v is not dy:
                    env[v] = sim.of(v, env)
            terms.append([env[v] for v in given])
        if any(p.given[v].shape != p.env[v].shape for v in given):
            return []
        columns = np.stack([np.concatenate([a.ravel() for a in row]) for row in terms], axis=1)
        theirs = np.concatenate([p.given[v].ravel() for v in given])
        scale = np.max(abs(columns), initial=0.0) or 1.0
        weights, *_ = np.linalg.lstsq(columns / scale, theirs / scale, rcond=None)
        for i, v in enumerate(given):
            if not p.fits(v, sum(w * row[i] for w, row in zip(weights, terms))):
                return []
        if np.ptp(weights) < 1e-6:
            return []
        shown.append(", ".join(f"{w:.4g}" for w in weights.round(9) + 0.0))
    text = f"the samples count with different weights: {shown[0]} instead of 1 each"
    return [Cause(text, gradients=tuple(str(v.name) for v in wrong_in(cases[0].probe)))]


def judge_by_forward(subject: Subject, case: Case, report: Comparison) -> bool:
    """The forward pass differs: whether the backward pass is right for it, by its differences."""
    call, rng = case.call, np.random.default_rng(0)
    W, B = ([np.array(p._data, float) for p in group] for group in (call.net.W, call.net.B))
    gradients = [as_array(a)[0] for raw in (call.out.DW, call.out.DB) for a in entries(raw)]
    if [a.shape for a in gradients] != [a.shape for a in (*W, *B)]:
        return False

    def loss() -> float:
        fresh = subject.fresh()
        fresh.use([w.copy() for w in W], [b.copy() for b in B])
        y = as_array(fresh.attempt(call.x, call.t).y)[0]
        return float(np.sum((y - call.t) ** 2) / len(call.x))

    worst = 0.0
    for a, g in zip((*W, *B), gradients):
        index = tuple(int(rng.integers(n)) for n in a.shape)
        value, h, sides = a[index], 1e-5, []
        for way in (h, -h):
            a[index] = value + way
            sides.append(loss())
        a[index] = value
        slope = (sides[0] - sides[1]) / (2 * h)
        worst = max(worst, abs(slope - g[index]) / (np.max(abs(g)) or 1.0))
    right = worst < 1e-5
    report.facts.append(
        f"your forward pass computes another y; the backward pass is "
        f"{'right' if right else 'wrong'} for the forward pass that you wrote (by differences)"
    )
    return right


def lines_of(
    sim: Simulator, subject: Subject, case: Case, result: Diagnosis, report: Comparison
) -> None:
    """Which line of the person's file makes the wrong value, where one does."""
    run = subject.code if type(subject) is Subject else getattr(subject.code, "backward", None)
    code = getattr(run, "__code__", None)
    if code is None or hasattr(subject.code, "_owner") or not result.found:
        return
    made = watched(code.co_filename, lambda: again(subject, case))
    causes = {id(f): c for f, c in zip(result.found, report.causes[-len(result.found) :])}
    for found in result.found:
        v, expression = found.match.change.line, found.lines[found.match.change.line]
        if expression.name is not None and (v in case.probe.given or expression not in v.args):
            continue  # the value of another line, which has its own place
        below = [w for w in sim.lines if w.backward and v in reads(w)]
        right = {shown(node) for _, node in places(rooted(v))}
        parts = [node for _, node in places(expression) if shown(node) not in right]
        try:
            with np.errstate(all="ignore"):
                new = [np.asarray(value_of(node, result.env)) for node in parts]
        except Exception:  # found on single samples, with a coefficient that is not known here
            continue
        new = [a for a in new if a.dtype.kind == "f"]  # a mask may be one of the forward pass
        for wanted in ([*new, result.env[v]], *([result.env[w]] for w in below)):
            number = line_of(made, wanted)
            if number is not None:
                cause = causes[id(found)]
                k = next(k for k, c in enumerate(report.causes) if c is cause)
                source = linecache.getline(code.co_filename, number).strip()
                place = f"{Path(code.co_filename).name}:{number}"
                report.causes[k] = cause._replace(line=place, source=source)
                break


def tell(
    sim: Simulator, result: Diagnosis, orders: list[str], missing: list[str], report: Comparison
) -> None:
    """Put what was found into the report."""
    report.tried += result.tried
    texts = [text.split(" ", 1) for text in orders]
    if len(texts) == 2 and texts[0][1] == texts[1][1]:
        orders = [f"DW and DB: each {texts[0][1]}"]
    report.causes += [Cause(text) for text in orders]
    if missing and not orders:
        report.causes += [Cause(text) for text in missing]
    result.found[:] = merged(sim, result.found)
    report.causes += [cause_of(sim, found) for found in result.found]
    mark(sim, result, report)


def merged(sim: Simulator, every: list[Found]) -> list[Found]:
    """The same mistake, found at one layer after the other, as one."""
    kept: list[Found] = []
    for found in every:
        for i, one in enumerate(kept):
            line, other = found.match.change.line, one.match.change.line
            same = (one.match.change.key, one.match.names) == (
                found.match.change.key,
                found.match.names,
            )
            if same and sim.alike(line, other):
                kept[i] = one._replace(
                    lines={**one.lines, **found.lines}, explained=one.explained + found.explained
                )
                break
        else:
            kept.append(found)
    return kept


def cause_of(sim: Simulator, found: Found) -> Cause:
    """An explanation in words."""
    line = found.match.change.line
    text = text_of(found.match)
    if str(line.name) not in text:
        text += f", in {line.name}"
    if not line.backward:
        text = f"in the forward pass: {text}"
    text += scope_text(sim, found)
    if "single" in found.data:  # what is done with a batch would not show
        text = f"of one sample at a time: {text}"
    others = [text_of(found.match, k) for k in range(1, len(found.match.names))]
    if others:
        text = f"one of: {text}; or {'; or '.join(others)}"
        text += ". Another number of outputs, or size of the batch, would tell"
    return Cause(
        text,
        f"{line.name} = {shown(found.lines[line])}",
        f"{line.name} = {shown(rooted(line))}",
        evidence=(
            f"with this, autograd's formulas give your numbers, up to rounding, on {found.data}"
        ),
        same_effect=tuple(
            f"on these data, {text_of(same.match)}" if same.only_here else text_of(same.match)
            for same in found.same
        ),
        gradients=tuple(str(v.name) for v in found.explained),
    )


def scope_text(sim: Simulator, found: Found) -> str:
    """In which other lines the same is wrong."""
    if len(found.lines) == 1:
        return ""
    line = found.match.change.line
    every = {v for v in sim.lines if v is line or sim.alike(v, line)}
    if found.lines.keys() == every:
        return " (at every layer)"
    return f" (also in {', '.join(str(v.name) for v in found.lines if v is not line)})"


def mark(sim: Simulator, result: Diagnosis, report: Comparison) -> None:
    """Tell a mistake of its own from what follows from another."""
    changed = {v: f for f in result.found for v in f.lines}
    told = {name for c in report.causes for name in c.gradients}
    made = supposed(sim, result, report)
    for name, m in report.marks.items():
        v = sim.named.get(name)
        if m.status == "same" or v is None:
            continue
        if v in changed:
            m = m._replace(status="wrong", text=text_at(v, changed[v]))
        elif v in result.unknown and name not in told:
            m = m._replace(status="unknown", text=f"{m.text}; the cause is unknown")
        elif sources := [str(line.name) for line in changed if v in sim.below[line]]:
            more = f" and {len(sources) - 2} more" if len(sources) > 2 else ""
            text = f"follows from {(', ' if more else ' and ').join(sources[:2])}{more}"
            m = m._replace(status="follows", text=text)
        report.marks[name] = m
    for v, found in changed.items():  # a step that nobody was asked about
        if v.backward and str(v.name) not in report.marks:
            report.marks[str(v.name)] = Mark("wrong", made.get(v), text=text_at(v, found))


def text_at(line: Value, found: Found) -> str:
    """What is wrong in a line; of like ones it is said of the first."""
    first = found.match.change.line
    text = text_of(found.match)
    return text if line is first else f"as in {first.name}: {text}"


def supposed(sim: Simulator, result: Diagnosis, report: Comparison) -> dict[Value, Any]:
    """The lines as the causes make them, on the data of the report; {} if not all is as given."""
    changed = {v: new for found in result.found for v, new in found.lines.items()}
    try:
        env = sim.run({v: getattr(v.node, "_data", v.node) for v in sim.derivation.inputs}, changed)
    except Exception:  # a coefficient is known for other data only
        return {}
    given = [(env[sim.named[k]], m.yours) for k, m in report.marks.items() if k in sim.named]
    fits = all(
        yours is not None and np.shape(a) == np.shape(yours) and not differ(a, yours)
        for a, yours in given
    )
    return env if fits else {}


def account_of_gradients(
    loss: Any, given: dict[Any, Any], report: Comparison, limit: float
) -> None:
    """Say in `report`, which failed, why gradients worked out by hand differ.

    Parameters
    ----------
    loss : Tensor
    given : dict of Node to array
        What the person has as the gradient of a node.
    report : Comparison
    limit : float
    """
    try:
        sim = Simulator(derive(loss)._derivation)
        env = sim.run({v: getattr(v.node, "_data", v.node) for v in sim.derivation.inputs})
    except Exception:  # an op that cannot be written out, or be run again
        report.notes.append("this graph cannot be simulated, so no cause is looked for")
        return
    every = [*sim.derivation.inputs, *sim.lines]
    of = {v.node: sim.gradient[v] for v in every if v in sim.gradient}
    theirs = {of[node]: a for node, a in given.items() if node in of}
    nodes = {of[node]: node for node in given if node in of}
    dtype = coarsest(toposort(loss), list(theirs.values()))
    found, _ = truths(loss, [(nodes[v], True) for v in theirs], dtype, limit)
    tolerance = {v: limit * truth.sigma + truth.slack for v, truth in zip(theirs, found)}
    for v, truth in zip(theirs, found):
        if env[v].shape != truth.right.shape or (abs(env[v] - truth.right) > tolerance[v]).any():
            report.notes.append("this graph cannot be simulated, so no cause is looked for")
            return
    results = {g for _, g in sim.derivation.results}
    fixed, due = set(), {}
    for v in sim.lines:
        env[v] = sim.of(v, env)
        inner = v in theirs and v not in results and theirs[v].shape == env[v].shape
        if inner and np.isfinite(theirs[v]).all():
            due[v] = env[v]
            fixed.add(v)
            env[v] = np.asarray(theirs[v], float)
    probe = Probe(
        env,
        {v: np.asarray(a, float) for v, a in theirs.items()},
        tolerance,
        {"batch": float(sim.batch), "outputs": float(sim.outputs)},
        float(np.finfo(dtype).eps),
        frozenset(fixed),
        special_of(sim, env, sim.batch),
        due,
    )
    given_by = {str(v.name): a for v, a in theirs.items()}
    right = {str(v.name): probe.expected(v) for v in theirs}
    result = diagnose(sim, [probe], False)
    report.causes += unexplained(sifted(given_by, right, {}), result)
    tell(sim, result, [], [], report)
