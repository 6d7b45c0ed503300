"""Hypothesis profiles, and what a machine without Graphviz skips."""

import os
import shutil
import signal
import sysconfig
from collections.abc import Iterator

import pytest
from hypothesis import settings

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small products wait for threads; read once

from tinygrad_mlp.primitives import PRIMITIVES  # imports NumPy

# The default gives the same examples on every run; --hypothesis-profile=thorough looks for new.
settings.register_profile("fast", max_examples=50, deadline=None, derandomize=True)
settings.register_profile(
    "thorough", max_examples=2000, deadline=None, derandomize=False, print_blob=True
)
settings.load_profile("fast")

RENDERER = (
    shutil.which("dot")
    or shutil.which("graphviz-pure")
    or shutil.which("graphviz-pure", path=sysconfig.get_path("scripts"))
)


if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # Started in the background of a script: what tests start would not hear Ctrl-C either.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """A process for each core; none but pytest's own where a single file is tested."""
    named = [a for a in config.invocation_params.args if a.split("::")[0].endswith((".py", ".md"))]
    return 0 if len(named) == 1 else min(os.cpu_count() or 1, 8)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if not RENDERER and item.get_closest_marker("dot"):
        pytest.skip("no Graphviz renderer: pip install 'tinygrad-mlp[render]'")


@pytest.fixture(autouse=True)
def no_rule_outlives_its_test() -> Iterator[None]:
    """What a test or an example registers is gone when it ends."""
    before = dict(PRIMITIVES)
    yield
    for fun in PRIMITIVES.keys() - before.keys():
        del PRIMITIVES[fun]
