"""Write a backward pass by hand, and have it checked, gradient by gradient.

Run:  python examples/03_compare_by_hand.py
"""

import numpy as np

from tinygrad_mlp import MLP, ManualMLP, compare, mse


class Mine(ManualMLP):
    """A backward pass with a mistake: the gradients are not divided by the batch size."""

    def backward(self, y, t):
        self.DW, self.DB = [], []
        delta = 2 * (y - t)
        for i in reversed(range(len(self.W))):
            self.DW.insert(0, self.A[i].T @ delta)
            self.DB.insert(0, delta.sum(axis=0))
            delta = delta @ self.W[i].T * (self.A[i] > 0)


class Repaired(Mine):
    """The same, with the mistake mended where it comes in."""

    def backward(self, y, t):
        super().backward(y, t)
        self.DW = [dW / len(y) for dW in self.DW]
        self.DB = [dB / len(y) for dB in self.DB]


# Without data, compare() makes some on which mistakes show, and a network of these sizes.
report = compare(Mine, sizes=(3, 5, 5, 2))
print(report)

# How wrong it is can be seen from one gradient: the batch size was 7.
net = MLP((3, 5, 5, 2), rng=0)
rng = np.random.default_rng(0)
x, t = rng.normal(size=(7, 3)), rng.normal(size=(7, 2))
mse(net(x), t).backward()
mine = Mine.like(net)
mine.backward(mine.forward(x), t)
print(f"\nmine / right, all entries of dB[2]: {mine.DB[2] / net.B[2].grad}\n")

repaired = compare(Repaired, sizes=(3, 5, 5, 2))
print(repaired)

assert not report
assert set(report.wrong) == {f"D{name}[{i}]" for name in "WB" for i in range(3)}
np.testing.assert_allclose(mine.DB[2], 7 * net.B[2].grad)
assert repaired
