"""What a file finds in its process: not the package, nor others' files, nor other programs."""

import ast
import sys
from pathlib import Path

import pytest

import tinygrad_mlp
from tinygrad_mlp.running import Process, Stopped
from tinygrad_mlp.serving import run_lines, stored

PACKAGE = Path(tinygrad_mlp.__file__).parent
NET = """
class Net:
    def forward(self, x): return x
    def backward(self, y, t): pass
"""


@pytest.fixture
def runs(tmp_path):
    """A function that runs a source text and returns what it printed; an error is a Stopped."""

    def runs(source, *others):
        path = tmp_path / "thing.py"
        path.write_text(source + NET, "utf-8")
        with Process(path, 20, others) as process:
            process.load("", (3, 2))
        return process.printed

    return runs


# --- the package ----------------------------------------------------------------------------------


def test_the_package_can_be_imported_but_not_used(runs):
    source = (
        "import tinygrad_mlp as tm, tinygrad_mlp.testing\n"
        "from tinygrad_mlp import compare, MLP\n"
        "from tinygrad_mlp.nn import Linear\n"
        "print(MLP.__name__, tm.testing.gradcheck.__name__, hasattr(tm, '__file__'))\n"
    )
    printed = runs(source)
    assert printed == "tinygrad_mlp.MLP tinygrad_mlp.testing.gradcheck False\n"
    for use in ("MLP([3, 2])", "compare()", "tm.testing.gradcheck()"):
        with pytest.raises(Stopped, match="is not there while your backward pass is compared"):
            runs(source + use)
    with pytest.raises(Stopped, match="MLP is not there"):
        runs(source + "class Mine(MLP): pass")


WAYS_ROUND = (
    "import sys; sys.meta_path.pop(0); import tinygrad_mlp",
    "import sys; sys.meta_path.pop(0); sys.path.insert(0, ROOT); import tinygrad_mlp.nn",
    "import runpy; runpy.run_path(PACKAGE + '/nn.py')",
    "exec(open(PACKAGE + '/nn.py').read())",
    "import os; os.open(PACKAGE, os.O_RDONLY)",
    "import os; os.symlink(PACKAGE, HERE + '/copy'); open(HERE + '/copy/nn.py')",
    "open(HERE + '/link/nn.py')",
    "import shutil; shutil.copytree(PACKAGE, HERE + '/mine')",
    "import zipfile; zipfile.ZipFile(HERE + '/a.zip', 'w').write(PACKAGE + '/nn.py')",
    "open(PACKAGE + '/new.py', 'w')",
    "import os; os.rename('thing.py', PACKAGE + '/checking.py')",
    "import os; os.rename(b'thing.py', PACKAGE.encode() + b'/checking.py')",
    "import os; open('/proc/%d/mem' % os.getppid(), 'rb')",
    "import os; open('/proc/%d/cmdline' % os.getppid(), 'rb')",
    "import os; open('/proc/self/../%d/cmdline' % os.getppid(), 'rb')",
    "import subprocess; subprocess.run(['true'])",
    "import os; os.system('true')",
    "import os; os.fork()",
    "import os; os.kill(os.getppid(), 15)",
    "import multiprocessing as m; m.get_context('spawn').Process(target=print).start()",
    "import os; os.chdir(PACKAGE); open('nn.py')",
)


@pytest.mark.skipif(sys.platform != "linux", reason="paths of Linux")
def test_there_is_no_easy_way_round(runs, tmp_path):
    (tmp_path / "link").symlink_to(PACKAGE)
    source = (
        f"PACKAGE, ROOT, HERE = {str(PACKAGE)!r}, {str(PACKAGE.parent)!r}, {str(tmp_path)!r}\n"
        f"import sys\nfinders = sys.meta_path.copy()\n"
        f"for way in {WAYS_ROUND!r}:\n"
        "    try:\n        exec(way)\n"
        "    except (PermissionError, ImportError) as error:\n"
        "        if ' is not there while' in str(error) or ' while the ' in str(error): continue\n"
        "        print(way, error)\n"
        "    except BaseException as error:\n        print(way, repr(error))\n"
        "    else:\n        print('open:', way)\n"
        "    finally:\n        sys.meta_path[:] = finders\n"
    )
    assert runs(source) == ""
    assert not (PACKAGE / "new.py").exists()


def test_its_own_folder_and_process_are_open_to_it(runs, tmp_path):
    (tmp_path / "helper.py").write_text("number = 7")
    source = "import helper, os\nprint(helper.number, open(__file__).read(6))\n"
    if Path("/proc/self").exists():
        source += "os.kill(os.getpid(), 0)\nopen('/proc/self/stat'); open('/proc/cpuinfo')\n"
    assert runs(source).startswith("7 import")
    assert not (tmp_path / "__pycache__").exists()


def test_the_files_of_others_are_closed(runs, tmp_path):
    other = tmp_path / "other.py"
    other.write_text("number = 7")
    assert runs("import other\nprint(other.number)") == "7\n"
    for source in ("import other", "open('other.py')", "open(b'other.py')"):
        with pytest.raises(Stopped, match=r"other\.py is not to be touched"):
            runs(f"import os\nos.chdir({str(tmp_path)!r})\n{source}", other)


def test_no_memory_of_the_package_is_in_the_process(runs):
    source = "import gc, sys\nprint([m for m in sys.modules if m.startswith('tinygrad')])\n"
    source += (
        "print([f for f in gc.get_objects() if type(f).__name__ in ('Tensor', 'Primitive')])\n"
    )
    assert runs(source) == "[]\n[]\n"


# --- a worksheet ----------------------------------------------------------------------------------

SHEET = """
def f(x):
    "Doubles, and more."
    a = x + 1
    x += 1
    b = ...
    if a > 1:
        c = {c}
    c[0] = 7
    q = {q}
    return [b, c]
"""


def lines(fills, **blanks):
    source = SHEET.format(**{"c": "[b]", "q": "1", **blanks})
    return run_lines(source, "f", {"x": 1}, ["a", "b", "c"], fills, {}, "sheet.py")


def test_a_worksheet_runs_to_its_first_blank_or_error_and_goes_on_with_what_is_filled_in():
    assert lines({}) == {"values": {"a": 2}, "stop": 3}
    done = lines({"3": {"b": 5}})
    assert done == {"values": {"a": 2, "b": 5, "c": [7]}, "returned": [5, [7]]}
    failed = lines({"3": {"b": 5}}, c="[1 / 0]")
    assert failed["stop"] == 4
    assert failed["failure"] == {"type": "ZeroDivisionError", "text": "division by zero", "line": 8}
    failed = lines({"3": {"b": 5}}, q="exit()")
    assert (failed["stop"], failed["failure"]["type"]) == (6, "SystemExit")
    assert lines({"3": {"b": 5}, "6": {}}, q="exit()") == done


def test_a_worksheet_without_a_return_returns_none():
    source = "def f():\n    a = 1"
    assert run_lines(source, "f", {}, ["a"], {}, {}, "")["returned"] is None
    assert run_lines(f"{source}\n    return", "f", {}, ["a"], {}, {}, "")["returned"] is None


def test_names_that_are_assigned_to():
    statement = ast.parse("for i in a:\n  b, c = i\n  d[i] = e").body[0]
    assert stored(statement) == {"i", "b", "c"}
