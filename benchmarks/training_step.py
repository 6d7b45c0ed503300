"""Time a training step against hand-written NumPy, interleaved in one process.

Run:  OPENBLAS_NUM_THREADS=1 python benchmarks/training_step.py [--help]

Contenders, each with forward, loss, backward and an SGD step of the same network on the same data:

numpy   what a person writes: fresh arrays, ``@``, ``.sum(axis=0)``, ``* (A > 0)``
out     the same with every array allocated once and filled through ``out=``
eager   ``mse(net(x), t)``, ``backward()``, ``SGD.step()`` of this package
jit     the same through ``jit(f, optimizer)``
torch   PyTorch in its leanest form, where it is installed

A round runs every contender for at least 20 ms. What is printed is the median over the rounds of
the ratio to `numpy` within the round, with the 10th and 90th percentile: the machine drifts, the
ratios do not. Time is the processor time of this process, so set one BLAS thread. Data is
scaled so that no value becomes denormal.
"""

import argparse
import importlib.util
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_mlp as tm

SIZES: dict[str, tuple[tuple[int, ...], int]] = {
    "tiny": ((2, 16, 1), 4),
    "small": ((64, 128, 10), 32),
    "medium": ((784, 512, 512, 10), 128),
    "large": ((1024, 4096, 4096, 1024), 256),
    "deep": ((64,) * 101, 32),
}
LR = 1e-4


def start(sizes: tuple[int, ...], batch: int, dtype: Any) -> tuple[Any, Any, Any, Any]:
    """Weights, biases, inputs and targets, the same for every contender."""
    net = tm.MLP(sizes, rng=0, dtype=dtype)
    rng = np.random.default_rng(1)
    x = rng.standard_normal((batch, sizes[0])).astype(dtype)
    t = rng.standard_normal((batch, sizes[-1])).astype(dtype)
    return [w.data for w in net.W], [b.data for b in net.B], x, t


def numpy_step(W: list[Any], B: list[Any], x: Any, t: Any) -> Callable[[], Any]:
    """Hand-written, as one writes it."""
    n = len(W)

    def step() -> Any:
        A = [x]
        for i in range(n - 1):
            A.append(np.maximum(A[i] @ W[i] + B[i], 0))
        y = A[-1] @ W[-1] + B[-1]
        loss = ((y - t) ** 2).sum() / len(y)
        delta = 2 * (y - t) / len(y)
        for i in reversed(range(n)):
            DW = A[i].T @ delta
            DB = delta.sum(axis=0)
            if i:
                delta = delta @ W[i].T * (A[i] > 0)
            W[i] -= LR * DW
            B[i] -= LR * DB
        return loss

    return step


def out_step(W: list[Any], B: list[Any], x: Any, t: Any) -> Callable[[], Any]:
    """Hand-written, every array allocated once."""
    n, batch = len(W), len(x)
    A = [x] + [np.empty((batch, w.shape[1]), x.dtype) for w in W]
    deltas = [np.empty_like(a) for a in A]
    masks = [np.empty(a.shape, bool) for a in A]
    DW = [np.empty_like(w) for w in W]
    DB = [np.empty_like(b) for b in B]

    def step() -> Any:
        for i in range(n):
            z = A[i + 1]
            np.matmul(A[i], W[i], out=z)
            z += B[i]
            if i < n - 1:
                np.maximum(z, 0, out=z)
        delta = deltas[n]
        np.subtract(A[n], t, out=delta)
        loss = np.vdot(delta, delta) / batch
        delta *= 2 / batch
        for i in reversed(range(n)):
            np.matmul(A[i].T, delta, out=DW[i])
            np.add.reduce(delta, axis=0, out=DB[i])
            if i:
                np.matmul(delta, W[i].T, out=deltas[i])
                delta = deltas[i]
                np.greater(A[i], 0, out=masks[i])
                delta *= masks[i]
            DW[i] *= LR
            W[i] -= DW[i]
            DB[i] *= LR
            B[i] -= DB[i]
        return loss

    return step


def eager_step(W: list[Any], B: list[Any], x: Any, t: Any) -> Callable[[], Any]:
    """This package."""
    net = tm.MLP([w.shape[0] for w in W] + [W[-1].shape[1]], dtype=x.dtype)
    for ours, theirs in zip([*net.W, *net.B], [*W, *B], strict=True):
        ours.data = theirs
    optimizer = tm.SGD(net.parameters(), LR)

    def step() -> Any:
        loss = tm.mse(net(x), t)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.data

    return step


def jit_step(W: list[Any], B: list[Any], x: Any, t: Any) -> Callable[[], Any]:
    """This package, the derived program compiled, with the optimizer's step in it."""
    net = tm.MLP([w.shape[0] for w in W] + [W[-1].shape[1]], dtype=x.dtype)
    for ours, theirs in zip([*net.W, *net.B], [*W, *B], strict=True):
        ours.data = theirs
    run = tm.jit(lambda x, t: tm.mse(net(x), t), tm.SGD(net.parameters(), LR))
    return lambda: run(x, t)


def torch_step(W: list[Any], B: list[Any], x: Any, t: Any) -> Callable[[], Any]:
    """PyTorch in its leanest form: addmm, autograd.grad, one fused update."""
    import torch

    torch.set_num_threads(1)
    n = len(W)
    parameters = [torch.from_numpy(a.copy()).requires_grad_() for a in (*W, *B)]
    inputs, targets = torch.from_numpy(x), torch.from_numpy(t)

    def step() -> Any:
        y = inputs
        for i in range(n):
            y = torch.addmm(parameters[n + i], y, parameters[i])
            if i < n - 1:
                y = torch.relu(y)
        loss = (y - targets).square().sum() / len(y)
        gradients = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            torch._foreach_add_(parameters, gradients, alpha=-LR)
        return loss.detach()

    return step


CONTENDERS = {"numpy": numpy_step, "out": out_step, "eager": eager_step, "jit": jit_step}
if importlib.util.find_spec("torch"):
    CONTENDERS["torch"] = torch_step


def measure(sizes: tuple[int, ...], batch: int, dtype: Any, rounds: int) -> dict[str, Any]:
    """Seconds per step of each contender, a list over the rounds."""
    steps = {name: make(*start(sizes, batch, dtype)) for name, make in CONTENDERS.items()}
    losses = {name: float(step()) for name, step in steps.items()}
    if max(losses.values()) > 1.001 * min(losses.values()):
        raise SystemExit(f"the contenders do not compute the same loss: {losses}")
    begin = time.process_time()
    repeats = 0
    while time.process_time() - begin < 0.02:
        steps["numpy"]()
        repeats += 1
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            begin = time.process_time()
            for _ in range(repeats):
                step()
            seconds[name].append((time.process_time() - begin) / repeats)
    return seconds


def row(size: str, microseconds: dict[str, list[float]]) -> list[str]:
    """What is printed of one size: the median of `numpy`, then the ratios to it."""
    cells = [size, f"{statistics.median(microseconds['numpy']):.1f}"]
    for name, times in microseconds.items():
        if name != "numpy":
            ratios = sorted(a / b for a, b in zip(times, microseconds["numpy"], strict=True))
            low, high = ratios[len(ratios) // 10], ratios[-1 - len(ratios) // 10]
            cells.append(f"{statistics.median(ratios):.2f} ({low:.2f}-{high:.2f})")
    return cells


def table(raw: dict[str, dict[str, list[float]]]) -> str:
    """The results as a Markdown table."""
    names = [name for name in next(iter(raw.values())) if name != "numpy"]
    rows = [["size", "numpy, us", *names], ["---"] * (len(names) + 2)]
    rows += [row(size, microseconds) for size, microseconds in raw.items()]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default=",".join(SIZES), help="default: all five")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--json", help="write the microseconds of every round to this file")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    args = parser.parse_args()
    print(
        f"Python {platform.python_version()}, NumPy {np.__version__}, {args.dtype}, "
        f"{args.rounds} rounds",
        file=sys.stderr,
    )
    raw: dict[str, Any] = {}
    for size in args.sizes.split(","):
        seconds = measure(*SIZES[size], np.dtype(args.dtype), args.rounds)
        raw[size] = {name: [round(s * 1e6, 2) for s in times] for name, times in seconds.items()}
        if not args.markdown:
            names = ["", *raw[size]]
            cells = zip(names, row(size, raw[size]), strict=True)
            print("   ".join(f"{name} {cell}".strip() for name, cell in cells), flush=True)
    if args.markdown:
        print(table(raw))
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(raw, file)


if __name__ == "__main__":
    main()
