import numpy as np


def softmax(x, axis=-1):
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)


def onehot(labels, z):
    return np.expand_dims(labels, -1) == np.arange(z.shape[-1], like=z)


def backward(W, B, x, labels):
    W0, W1 = W
    B0, B1 = B
    Z1 = x @ W0 + B0
    A1 = np.maximum(Z1, 0)
    z = A1 @ W1 + B1
    dz = (softmax(z) - onehot(labels, z)) / len(z)
    dW1 = A1.T @ dz
    dB1 = dz.sum(axis=0)
    dA1 = dz @ W1.T
    dZ1 = A1 > 0  # <--
    dW0 = x.T @ dZ1
    dB0 = dZ1.sum(axis=0)
    return {
        "dz": dz,
        "dW[1]": dW1,
        "dB[1]": dB1,
        "dA[1]": dA1,
        "dZ[1]": dZ1,
        "dW[0]": dW0,
        "dB[0]": dB0,
    }
