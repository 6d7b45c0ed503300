"""Derive the backward pass of a network, and run it as NumPy that needs nothing else.

Run:  python examples/04_derive_and_run_alone.py
"""

import numpy as np

from tinygrad_mlp import MLP, derive, mse

rng = np.random.default_rng(0)
net = MLP((3, 4, 4, 2), rng=rng)
loss = mse(net(rng.normal(size=(5, 3))), rng.normal(size=(5, 2)))

# What a person would write on paper, with the names of the code and a shape for every line.
program = derive(loss)
print(program, end="\n\n")

# Any number in it can be asked for.
print(program.explain("dW[0]", (1, 2)), end="\n\n")

# The same as a function: no library but NumPy; layers that are alike become a loop.
source = program.source(loop=True)
print(source)

alone = {}
exec(source, alone)

# It was derived from a batch of 5, and holds for a batch of 7.
x, t = rng.normal(size=(7, 3)), rng.normal(size=(7, 2))
DW, DB = alone["backward"]([w.data for w in net.W], [b.data for b in net.B], x, t)
mse(net(x), t).backward()

assert "tinygrad_mlp" not in source
assert all(np.array_equal(d, w.grad) for d, w in zip(DW + DB, net.W + net.B))
print("equal to backward(), bit for bit")
