import numpy as np


def backward(W, B, A0, t):
    (W0,) = W
    (B0,) = B
    y = A0 @ W0 + B0
    dy = 2 * (y - t) / len(y)
    dW0 = A0.T @ dy
    dB0 = dy.sum(axis=0, keepdims=True)  # <--
    return ([dW0], [dB0])
