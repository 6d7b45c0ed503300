import numpy as np


def backward(W, B, A0, t):
    A = [A0] + [None] * 2
    Z = [None] * 3
    dA = [None] * 3
    dB = [None] * 3
    dW = [None] * 3
    dZ = [None] * 4
    for i in range(2):
        Z[i + 1] = A[i] @ W[i] + B[i]
        A[i + 1] = np.maximum(Z[i + 1], 0)
    y = A[2] @ W[2] + B[2]
    dy = dZ[3] = 2 * (y - t) / len(y)
    for i in reversed(range(1, 3)):
        dW[i] = A[i].T @ dZ[i + 1]
        dB[i] = dZ[i + 1].sum(axis=0)
        dA[i] = dZ[i + 1] @ W[i].T
        dZ[i] = dA[i] * (A[i] > 0)
    dW[0] = A[0].T @ dZ[1]
    dB[0] = dZ[1].sum()  # <--
    return (dW, dB)
