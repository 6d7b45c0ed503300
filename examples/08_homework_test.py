"""A test for homework: under pytest, a wrong backward pass fails with the whole report.

Run:  python examples/08_homework_test.py
"""

import numpy as np

from tinygrad_mlp.testing import assert_gradients_match


class Homework:
    """What was handed in."""

    def __init__(self, sizes):
        shapes = [(sizes[i], sizes[i + 1]) for i in range(len(sizes) - 1)]
        self.W = [np.zeros(shape) for shape in shapes]
        self.B = [np.zeros(n) for n in sizes[1:]]

    def forward(self, x):
        self.A = [x]
        for W, B in zip(self.W[:-1], self.B):
            self.A.append(np.maximum(self.A[-1] @ W + B, 0))
        return self.A[-1] @ self.W[-1] + self.B[-1]

    def backward(self, y, t):
        self.DW, self.DB = [], []
        delta = 2 * (y - t) / len(y)
        for i in reversed(range(len(self.W))):
            self.DW.insert(0, self.A[i].T @ delta)
            self.DB.insert(0, delta.sum(axis=0))
            delta = delta @ self.W[i].T * (self.A[i] > 0)


class Slip(Homework):
    """Handed in by somebody else."""

    def backward(self, y, t):
        super().backward(y, t)
        self.DB[0] = self.DB[0] / len(y)


def test_homework():
    """Weights and data are made up, so that they hide no mistake."""
    assert_gradients_match(Homework, sizes=(3, 5, 4, 2))


test_homework()
print("Homework: passed\n")

try:
    assert_gradients_match(Slip, sizes=(3, 5, 4, 2))
except AssertionError as failure:
    report = str(failure)
print(f"Slip: {report}")

assert "FAIL  1 of 7 differ" in report
assert "WHERE DB[0]" in report
