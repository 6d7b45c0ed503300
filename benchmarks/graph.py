"""Time and memory of long graphs, peak memory of training, and the cost of the import.

Run:  OPENBLAS_NUM_THREADS=1 python benchmarks/graph.py [chain] [memory] [import]

chain   ``y = y * c; y = y + c`` on 16 floats: microseconds and bytes per op, forward and backward
memory  peak memory of a training step above the start of the process, beside hand-written NumPy
import  milliseconds of ``import tinygrad_mlp`` on top of NumPy, and to the first gradient
"""

import gc
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

import tinygrad_mlp as tm


def chain() -> None:
    """Build, walk and free chains of growing length."""
    x = tm.Tensor(np.ones(16), requires_grad=True)
    for n in (1_000, 10_000, 100_000, 1_000_000):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        begin = time.perf_counter()
        y = x
        for _ in range(n // 2):
            y = y * 0.999
            y = y + 0.001
        y.backward(np.ones(16))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        gc.disable()
        del y
        gc.enable()
        x.zero_grad()
        seconds = time.perf_counter() - begin
        each = f"{seconds / n * 1e6:.2f} us/op  {peak * 1024 / n:.0f} bytes/op at peak"
        print(f"chain {n:>9,} ops  {each}")


MEMORY = """
import re, sys
sys.path.insert(0, "benchmarks")
import numpy as np
import training_step as bench
sizes, batch = {sizes}, {batch}
def peak():  # KiB; getrusage would begin with the peak of the process that started this one
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
before = peak()
step = bench.{make}(*bench.start(sizes, batch, np.dtype("float32")))
open("/proc/self/clear_refs", "w").write("5")  # the peak of training, not of drawing the weights
for _ in range(4):
    step()
print((peak() - before) / 1024)
"""


def memory() -> None:
    """Peak memory, each in a process of its own; on Linux."""
    for name, sizes, batch in (
        ("large", (1024, 4096, 4096, 1024), 256),
        ("rows", (256,) * 9, 8192),
    ):
        peaks = {}
        for make in ("numpy_step", "out_step", "eager_step"):
            code = MEMORY.format(sizes=sizes, batch=batch, make=make)
            run = subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True, check=True
            )
            peaks[make] = float(run.stdout)
        ratio = peaks["eager_step"] / peaks["numpy_step"]
        cells = "  ".join(f"{make[:-5]} {peak:.0f} MiB" for make, peak in peaks.items())
        print(f"memory {name:6} {cells}  eager/numpy {ratio:.2f}")


def fresh(code: str, runs: int = 15) -> float:
    """Median milliseconds that `code` prints, in fresh processes."""
    outputs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        for _ in range(runs)
    ]
    return statistics.median(float(run.stdout) for run in outputs)


def imports() -> None:
    """What the package adds to the start of a program."""
    timed = (
        "import time, numpy; t = time.perf_counter(); {}; print((time.perf_counter() - t) * 1e3)"
    )
    print(f"import {fresh(timed.format('import tinygrad_mlp')):.1f} ms on top of NumPy")
    first = (
        "import tinygrad_mlp as tm; net = tm.MLP([64, 128, 10], rng=0); "
        "tm.mse(net(numpy.ones((32, 64))), numpy.ones((32, 10))).backward()"
    )
    print(f"first gradient {fresh(timed.format(first)):.1f} ms on top of NumPy")


PARTS: dict[str, Callable[[], None]] = {"chain": chain, "memory": memory, "import": imports}

if __name__ == "__main__":
    for part in sys.argv[1:] or PARTS:
        PARTS[part]()
