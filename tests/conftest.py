"""Hypothesis profiles, and what a machine without Graphviz skips."""

import shutil
import sysconfig

import pytest
from hypothesis import settings

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


def pytest_runtest_setup(item: pytest.Item) -> None:
    if not RENDERER and item.get_closest_marker("dot"):
        pytest.skip("no Graphviz renderer: pip install 'tinygrad-mlp[render]'")
