import numpy as np


def backward(W, B, A0, t):
    A = [A0] + [None] * 7
    Z = [None] * 8
    dA = [None] * 8
    dB = [None] * 8
    dW = [None] * 8
    dZ = [None] * 9
    for i in range(7):
        Z[i + 1] = A[i] @ W[i] + B[i]
        A[i + 1] = np.maximum(Z[i + 1], 0)
    y = A[7] @ W[7] + B[7]
    dy = dZ[8] = 2 * (y - t) / len(y)
    for i in reversed(range(1, 8)):
        dW[i] = A[i].T @ dZ[i + 1]
        dB[i] = dZ[i + 1].sum(axis=0)
        dA[i] = dZ[i + 1] @ W[i].T
        dZ[i] = dA[i] * (A[i] > 0)
    dW[0] = A[0].T @ dZ[1]
    dB[0] = dZ[1].sum(axis=0, keepdims=True)  # <--
    return (dW, dB)
