import numpy as np


def backward(W, gamma, beta, x, t):
    W0, W1 = W
    z = x @ W0
    c = z - z.mean(axis=0)
    h1 = c * c
    s = np.sqrt(h1.mean(axis=0) + 0.001)
    n = c / s
    q = gamma * n + beta
    h = np.maximum(q, 0)
    y = h @ W1
    dy = 2 * (t - y) / len(y)  # <--
    dW1 = h.T @ dy
    dh = dy @ W1.T
    dq = dh * (h > 0)
    dgamma = (dq * n).sum(axis=0)
    dbeta = dq.sum(axis=0)
    dn = dq * gamma
    ds = (-dn * n / s).sum(axis=0)
    h2 = ds / (2 * s)
    h3 = np.broadcast_to(np.expand_dims(h2, 0), h1.shape) / (h1.size // h2.size) * c
    dc = dn / s + h3 + h3
    h4 = (-dc).sum(axis=0)
    dz = dc + np.broadcast_to(np.expand_dims(h4, 0), z.shape) / (z.size // h4.size)
    dW0 = x.T @ dz
    return {"dW[1]": dW1, "dgamma": dgamma, "dbeta": dbeta, "dW[0]": dW0}
