"""Measure `compare` on mutants that nobody has seen: `python -m tests.mistakes.generate --seed 7`.

With `--freeze` they are written to `mutants/` instead, with what is known of them.
"""

import argparse
import json

from .measure import causes_of, markdown, measure, summary
from .mutants import TRUTH
from .mutating import fresh
from .nets import NETS

# ruff: noqa: T201


def freeze(seed: int, count: int) -> None:
    """Write them down, once."""
    truth = {}
    for k, entry in enumerate(fresh(seed, count)):
        name = f"m{k:03}"
        TRUTH.with_name(f"{name}.py").write_text(entry.source, "utf-8")
        truth[name] = {
            "net": entry.net,
            "kind": entry.about,
            "target": entry.target,
            "before": entry.before,
            "after": entry.after,
            "wrong": entry.wrong,
        }
    TRUTH.write_text(json.dumps(truth, indent=1) + "\n", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--net", action="append", choices=sorted(NETS))
    parser.add_argument("--show", default="wrong unknown part", help="verdicts to list")
    parser.add_argument("--freeze", action="store_true", help="write them to mutants/")
    given = parser.parse_args()
    if given.freeze:
        freeze(given.seed, given.count)
        return
    outcomes = [measure(entry) for entry in fresh(given.seed, given.count, given.net)]
    for outcome in outcomes:
        bad = not outcome.found or not outcome.exact
        if bad or outcome.cause.split(" ")[0] in given.show.split():
            entry = outcome.entry
            print(f"{entry.name}  {entry.net}: {entry.before}   ->   {entry.after}")
            print(
                f"    {outcome.cause}; wrong {outcome.got}" + " (NOT EXACT)" * (not outcome.exact)
            )
            for line in causes_of(outcome.comparison):
                print(f"    {line}")
    print(markdown(outcomes, rows=False))
    print(summary(outcomes))


if __name__ == "__main__":
    main()
