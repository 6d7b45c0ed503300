import numpy as np


def softmax(x, axis=-1):
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)


def onehot(labels, z):
    return np.expand_dims(labels, -1) == np.arange(z.shape[-1], like=z)


def scattered(g, like, *index):
    out = np.zeros_like(like, dtype=g.dtype)
    if all((i is None or i is Ellipsis or isinstance(i, (int, slice)) for i in index)):
        out[index] = g
    else:
        np.add.at(out, index, g)
    return out


def backward(E, W, b, words, labels):
    e = E[words]
    h = np.tanh(e @ W + b)
    dh = (softmax(h) - onehot(labels, h)) / len(h)
    h1 = dh * (1 - h * h)
    dW = e.T @ h1
    db = h1.sum(axis=1)  # <--
    de = h1 @ W.T
    dE = scattered(de, E, words)
    return {"dW": dW, "db": db, "dE": dE}
