import numpy as np


def backward(W, B, A0, t):
    W0, W1, W2 = W
    B0, B1, B2 = B
    Z1 = A0 @ W0 + B0
    A1 = np.maximum(Z1, 0)
    Z2 = A1 @ W1 + B1
    A2 = np.maximum(Z2, 0)
    y = A2 @ W2 + B2
    dy = 2 * (y - t) / len(y)
    dW2 = A2.T @ dy
    dB2 = dy.sum(axis=0)
    dA2 = dy @ W2.T
    dZ2 = dA2 * (A2 > 0)
    dW1 = -(A1.T @ dZ2)  # <--
    dB1 = dZ2.sum(axis=0)
    dA1 = dZ2 @ W1.T
    dZ1 = dA1 * (A1 > 0)
    dW0 = A0.T @ dZ1
    dB0 = dZ1.sum(axis=0)
    return {"dW[2]": dW2, "dB[2]": dB2, "dW[1]": dW1, "dB[1]": dB1, "dW[0]": dW0, "dB[0]": dB0}
