"""What the package exports: each name once, from a module that offers it, at no cost to import."""

import importlib
import inspect
import os
import pkgutil
import statistics
import subprocess
import sys

import pytest

import tinygrad_mlp

MODULES = sorted(
    module.name for module in pkgutil.walk_packages(tinygrad_mlp.__path__, "tinygrad_mlp.")
)
PUBLIC = tinygrad_mlp.__all__


def child(code: str, **environment: str) -> str:
    """What a fresh Python prints."""
    env = {**os.environ, "OPENBLAS_NUM_THREADS": "1", **environment}  # one: its time is counted
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("name", MODULES)
def test_every_module_lists_what_it_offers(name):
    module = importlib.import_module(name)
    assert isinstance(module.__all__, list)
    assert len(set(module.__all__)) == len(module.__all__)
    for offered in module.__all__:
        assert not offered.startswith("_")
        assert hasattr(module, offered), offered


@pytest.mark.parametrize("name", PUBLIC)
def test_an_exported_name_is_offered_by_the_module_it_comes_from(name):
    value = getattr(tinygrad_mlp, name)
    if not inspect.ismodule(value):
        module = importlib.import_module(value.__module__)
        assert name in module.__all__
        assert getattr(module, name) is value


def test_each_name_is_exported_once_and_can_be_listed():
    assert len(set(PUBLIC)) == len(PUBLIC)
    assert set(PUBLIC) <= set(dir(tinygrad_mlp))


def test_a_star_import_gives_what_is_exported():
    code = "from tinygrad_mlp import *; print(*sorted(n for n in dir() if n[0] != '_'))"
    assert child(code).split() == sorted(n for n in PUBLIC if not n.startswith("_"))


def test_no_function_hides_a_module():
    """`tinygrad_mlp.name` must not be a function while a module of that name can be imported."""
    modules = {name.split(".")[1] for name in MODULES}
    assert [
        n for n in PUBLIC if n in modules and not inspect.ismodule(getattr(tinygrad_mlp, n))
    ] == []


def test_a_name_that_does_not_exist_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name") as info:
        _ = tinygrad_mlp.no_such_name
    assert (info.value.name, info.value.obj) == ("no_such_name", tinygrad_mlp)  # for suggestions


def test_every_exported_function_and_class_can_be_read():
    """Docstrings in numpydoc's form: a first line that ends, and an example."""
    for name in set(PUBLIC) - {"Comparison", "Program"}:  # results, shown where they are made
        value = getattr(tinygrad_mlp, name)
        if inspect.isfunction(value) or (
            inspect.isclass(value) and not issubclass(value, Exception)
        ):
            doc = inspect.getdoc(value)
            assert doc.splitlines()[0].rstrip().endswith("."), name
            assert ">>>" in doc, name


# --- what an import costs -------------------------------------------------------------------------

OWN = """
import sys, time
import numpy
start = time.process_time()
import tinygrad_mlp
print(time.process_time() - start)
"""
LIMIT = 0.012
NOISE = 3  # on a shared machine; what is aimed at is LIMIT


def test_the_import_takes_few_milliseconds_on_top_of_numpy(tmp_path):
    compiled = {"PYTHONPYCACHEPREFIX": str(tmp_path), "PYTHONDONTWRITEBYTECODE": ""}
    child(OWN, **compiled)
    times = [float(child(OWN, **compiled)) for _ in range(5)]
    took = statistics.median(times)
    text = f"import tinygrad_mlp: {1e3 * took:.1f} ms on top of NumPy, aim {1e3 * LIMIT:.0f} ms"
    print(text)  # noqa: T201  # shown with -s, and by a failure
    assert took < LIMIT * NOISE, text


def test_the_import_loads_neither_graphviz_nor_any_other_library():
    code = """if True:
        import sys
        before = set(sys.modules)
        import tinygrad_mlp
        names = {name.split(".")[0] for name in set(sys.modules) - before}
        print(*sorted(names - sys.stdlib_module_names))
    """
    assert child(code).split() == ["numpy", "tinygrad_mlp"]


@pytest.mark.parametrize("module", ["subprocess", "importlib.metadata", "argparse", "hashlib"])
def test_the_import_adds_none_of_the_slow_standard_modules(module):
    """They are imported where they are used."""
    code = f"""if True:
        import sys
        import numpy
        before = set(sys.modules)
        import tinygrad_mlp
        print({module!r} in set(sys.modules) - before)
    """
    assert child(code).strip() == "False"
