import numpy as np


def backward(U, V, b, W, x0, x1, x2, x3, h0, t):
    h0_2 = np.tanh(x0 @ U + h0 @ V + b)
    h1 = np.tanh(x1 @ U + h0_2 @ V + b)
    h2 = np.tanh(x2 @ U + h1 @ V + b)
    h3 = np.tanh(x3 @ U + h2 @ V + b)
    y = h3 @ W
    dy = 2 * (y - t) / len(y)
    dW = h3.T @ dy
    dh3 = dy @ W.T
    h1_2 = dh3 * (1 - h3 * h3)
    dh2 = h1_2 @ V.T
    h2_2 = dh2 * (1 - h2 * h2)
    dh1 = h2_2 @ V.T
    h3_2 = dh1 * (1 - h1 * h1)
    dh0 = h3_2 @ V.T
    h4 = h2.T @ h1_2 + h1.T @ h2_2 + h0_2.T @ h3_2
    h5 = x3.T @ h1_2 + x2.T @ h2_2 + x1.T @ h3_2
    h6 = dh0 * (1 - h0_2 * h0_2)
    dU = h5 + x0.T @ h6
    dV = h4 + h0.T @ h6
    db = h1_2.sum(axis=0) + h2_2.sum(axis=0) + h3_2.sum(axis=0) + h6.sum()  # <--
    return {"dW": dW, "dU": dU, "dV": dV, "db": db}
