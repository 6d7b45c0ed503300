import numpy as np


def sigmoid(x):
    e = np.exp(np.where(x < 0, x, -x))
    return np.where(x < 0, e, 1) / (1 + e)


def backward(U, V, b, W, x, t):
    i = sigmoid(x @ U + b)
    c = np.tanh(x @ V)
    h = i * c
    y = h @ W
    h1 = 0.1 * W
    dy = 2 * (y - t) / len(y)
    dW = h1 + h1 + h.T @ dy
    dh = dy @ W.T
    di = dh * c
    dc = dh * i
    dV = x.T @ (dc * (1 - c * c))
    h2 = di * i * (1 - i)
    dU = x.T @ h2
    db = h2.mean(axis=0)  # <--
    return {"dy": dy, "dW": dW, "dh": dh, "di": di, "dc": dc, "dV": dV, "dU": dU, "db": db}
