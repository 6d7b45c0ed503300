"""Train on several processes at once: each has its share of the data, gradients are averaged.

Needs:  pip install 'tinygrad-mlp[scale]'
Run:    mpiexec -n 2 python examples/13_mpi.py
"""

import numpy as np
from mpi4py import MPI

from tinygrad_mlp import MLP, Adam, cross_entropy, no_grad
from tinygrad_mlp.data import load_digits

STEPS = 60
world = MPI.COMM_WORLD
digits = load_digits()
x = digits.train_images.reshape(-1, 64) / 16
t = digits.train_labels


def average(gradient):
    """The mean over all processes, each of which ends with the same numbers."""
    total = np.empty_like(gradient)
    world.Allreduce(gradient, total)
    return total / world.size


def train(rows, reduce):
    """A network after some steps on batches of `rows`, which all processes make likewise."""
    net = MLP([64, 64, 10], rng=0)  # the same weights everywhere
    optimizer = Adam(net.parameters(), lr=0.003)
    rng = np.random.default_rng(0)  # the same order everywhere
    for _ in range(STEPS):
        batch = rng.choice(len(x), 64 * 2 * 3, replace=False)[rows]
        optimizer.zero_grad()
        cross_entropy(net(x[batch]), t[batch]).backward()
        for p in optimizer.params:
            p.grad = reduce(p.grad)
        optimizer.step()
    return net


share = slice(world.rank, None, world.size)  # every second row, if there are two processes
net = train(share, average)
with no_grad():
    right = net(digits.test_images.reshape(-1, 64) / 16).argmax(axis=1) == digits.test_labels

alone = train(slice(None), lambda gradient: gradient)  # one process, with all rows of each batch
errors = [np.abs(a.data - b.data).max() for a, b in zip(net.parameters(), alone.parameters())]
if world.rank == 0:
    print(f"{world.size} processes: {right.mean():.1%} right after {STEPS} steps")
    print(f"weights differ from those of one process by at most {max(errors):.0e}")
assert max(errors) < 1e-9
assert right.mean() > 0.9
