"""Find the mistake in a backward pass, line by line, as it is worked out.

Run:  python examples/07_find_the_bug.py
"""

import numpy as np

from tinygrad_mlp import MLP, cmp_lines, derive, mark, mse

rng = np.random.default_rng(0)
x, t = rng.normal(size=(7, 3)), rng.normal(size=(7, 2))
net = MLP((3, 5, 4, 2), rng=rng)
y = net(x)
loss = mse(y, t)
A, W = [a.numpy() for a in net.A], [w.numpy() for w in net.W]

# Each line is held against autograd's gradient; what only follows from a mistake above says so.
with cmp_lines(loss) as cmp:
    dy = 2 * (y.numpy() - t) / len(t)
    cmp("dy", dy)
    cmp("dW[2]", A[2].T @ dy)
    cmp("dB[2]", dy.sum(axis=0))
    dZ2 = dy @ W[2].T  # relu forgotten
    cmp("dZ[2]", dZ2)
    cmp("dW[1]", A[1].T @ dZ2)
    cmp("dB[1]", dZ2.mean(axis=0))  # a mean where a sum belongs
    dZ1 = dZ2 @ W[1].T * (A[1] > 0)
    cmp("dZ[1]", dZ1)
    cmp("dW[0]", A[0].T @ dZ1)
    cmp("dB[0]", dZ1.sum(axis=0))

verdicts = {row.name: row.verdict for row in cmp.comparison.table}
own = [name for name, text in verdicts.items() if "WRONG" in text and "follows" not in text]
print(f"\nmistakes were made in {' and '.join(own)}\n")

# The same as a worksheet: the backward lines are left open, and marked when they are filled in.
program = derive(loss)
sheet = program.worksheet()
print(sheet[sheet.index("    dy = ") :])
report = mark(sheet.replace("dy = ...", "dy = 2 * (y - t)"), program)
print(report)

assert own == ["dZ[2]", "dB[1]"]
assert verdicts["dW[1]"] == "WRONG: follows from dZ[2]"
assert verdicts["dB[1]"] == "WRONG: x 1/7, given your dZ[2]"
assert report.where == "dy"
assert report.table[0].verdict == "WRONG: x 7"  # the batch size
