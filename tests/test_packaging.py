"""setup.cfg and pyproject.toml say the same, and README holds the two commands that CI runs."""

import configparser
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SETUP = configparser.RawConfigParser()
SETUP.read(ROOT / "setup.cfg", encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

# Where setup.cfg keeps what pyproject.toml calls dynamic.
PLACES = {
    "version": ("metadata", "version"),
    "description": ("metadata", "description"),
    "readme": ("metadata", "long_description"),
    "license": ("metadata", "license_expression"),
    "authors": ("metadata", "author"),
    "keywords": ("metadata", "keywords"),
    "classifiers": ("metadata", "classifiers"),
    "dependencies": ("options", "install_requires"),
    "optional-dependencies": ("options.extras_require", "test"),
    "scripts": ("options.entry_points", "console_scripts"),
}


def test_name_and_python_version_stand_equal_in_both_files():
    assert PROJECT["name"] == SETUP["metadata"]["name"]
    assert PROJECT["requires-python"] == SETUP["options"]["python_requires"]


@pytest.mark.parametrize("field", PROJECT["dynamic"])
def test_every_dynamic_field_has_a_value(field):
    """The build stops at one without."""
    section, key = PLACES[field]
    assert SETUP[section][key].strip()


def test_the_lint_target_is_the_oldest_python_supported():
    ruff = tomllib.loads((ROOT / "ruff.toml").read_text("utf-8"))
    oldest = SETUP["options"]["python_requires"].removeprefix(">=")
    assert ruff["target-version"] == "py" + oldest.replace(".", "")


def test_the_readme_holds_one_command_for_the_demo_and_one_for_the_tests():
    lines = (ROOT / "README.md").read_text("utf-8").splitlines()
    demo, test = [line for line in lines if line.startswith("python3 -m venv .venv")]
    assert demo.endswith("tinygrad-mlp demo")
    assert test.endswith("-m pytest")
