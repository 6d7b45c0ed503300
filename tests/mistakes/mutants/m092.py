import numpy as np


def sigmoid(x):
    e = np.exp(np.where(x < 0, x, -x))
    return np.where(x < 0, e, 1) / (1 + e)


def backward(W, B, x, t):
    W0, W1 = W
    B0, B1 = B
    h = np.tanh(x @ W0 + B0)
    z = h @ W1 + B1
    dz = (sigmoid(z) - t) / len(z)
    dW1 = h.T @ dz
    dB1 = dz.sum(axis=0)
    dh = dz @ W1.T
    h1 = dh * (1 - h * h)
    dW0 = x.T @ h1
    dB0 = dW1.sum(axis=0)  # <--
    return {"dW[1]": dW1, "dB[1]": dB1, "dW[0]": dW0, "dB[0]": dB0}
