import numpy as np


def softmax(x, axis=-1):
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)


def backward(Q, K, V, x, t):
    q = x @ Q
    k = x @ K
    v = x @ V
    s = q @ k.T / 2.23606797749979
    a = softmax(s)
    y = a @ v
    dy = 2 * (y - t) / len(y)
    da = dy @ v.T
    dv = a.T @ dy
    dV = x.T @ dv
    ds = a * (da - (da * a).mean(axis=-1, keepdims=True))  # <--
    h1 = ds / 2.23606797749979
    dq = h1 @ k
    dQ = x.T @ dq
    dk = (q.T @ h1).T
    dK = x.T @ dk
    return {"dV": dV, "dQ": dQ, "dK": dK}
