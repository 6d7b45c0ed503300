"""Right backward passes in styles of their own: none may be called wrong."""

import itertools
import math

import numpy as np

from .by_hand import Net, forward
from .by_hand_graphs import embedding_backward, normalised, softmax, states
from .registry import right


@right("plain", "one sample at a time")
def sample_by_sample(W, B, x, t):
    DW = [np.zeros_like(w) for w in W]
    DB = [np.zeros_like(b) for b in B]
    for n in range(len(x)):
        a = [x[n]]
        for w, b in zip(W[:-1], B[:-1]):
            a.append(np.maximum(a[-1] @ w + b, 0))
        y = a[-1] @ W[-1] + B[-1]
        delta = 2 * (y - t[n]) / len(x)
        for i in reversed(range(len(W))):
            DW[i] += np.outer(a[i], delta)
            DB[i] += delta
            delta = W[i] @ delta * (a[i] > 0)
    return DW, DB


@right("deep", "einsum throughout")
def einsum(W, B, x, t):
    A = [x]
    for w, b in zip(W, B):
        A.append(np.einsum("nj,jk->nk", np.maximum(A[-1], 0) if len(A) > 1 else x, w) + b)
    delta = 2 * (A[-1] - t) / len(x)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        a = np.maximum(A[i], 0) if i else x
        DW.append(np.einsum("nj,nk->jk", a, delta))
        DB.append(np.einsum("nk->k", delta))
        delta = np.einsum("nk,jk,nj->nj", delta, W[i], (A[i] > 0).astype(float))
    return DW[::-1], DB[::-1]


@right("two_out", "lists of rows, and loops over numbers")
class ListsOfRows(Net):
    def forward(self, x):
        rows = [list(map(float, row)) for row in x]
        self.A = [rows]
        for i, (w, b) in enumerate(zip(self.W, self.B)):
            rows = [
                [sum(r[j] * w[j][k] for j in range(len(r))) + b[k] for k in range(len(b))]
                for r in rows
            ]
            if i < len(self.W) - 1:
                rows = [[max(v, 0.0) for v in r] for r in rows]
                self.A.append(rows)
        return rows

    def backward(self, y, t):
        n = len(y)
        delta = [[2 * (a - b) / n for a, b in zip(r, s)] for r, s in zip(y, t)]
        self.DW, self.DB = [], []
        for i in reversed(range(len(self.W))):
            A, W = self.A[i], self.W[i]
            self.DW.insert(
                0,
                [
                    [sum(A[s][j] * delta[s][k] for s in range(n)) for k in range(len(W[0]))]
                    for j in range(len(W))
                ],
            )
            self.DB.insert(0, [sum(d[k] for d in delta) for k in range(len(W[0]))])
            delta = [
                [
                    sum(d[k] * W[j][k] for k in range(len(d))) if a[j] > 0 else 0.0
                    for j in range(len(W))
                ]
                for d, a in zip(delta, A)
            ]


@right("two_out", "rows as lists, in arithmetic that needs arrays, as on the sheet")
class RowsAsDrawn(Net):
    def forward(self, x):
        self.A = [[row for row in x]]
        for i in range(len(self.W)):
            rows = [a @ self.W[i] + self.B[i] for a in self.A[-1]]
            if i < len(self.W) - 1:
                self.A.append([np.maximum(r, 0) for r in rows])
        return rows

    def backward(self, y, t):
        batch = y.shape[0]
        delta = 2 * (y - t) / batch
        self.DW, self.DB = [None] * len(self.W), [None] * len(self.W)
        for i in reversed(range(len(self.W))):
            self.DW[i] = self.A[i].T @ delta
            self.DB[i] = delta.sum(axis=0)
            delta = delta @ self.W[i].T * (self.A[i] > 0)


@right("float32", "single precision")
def single_precision(W, B, x, t):
    A, y = forward(W, B, x)
    delta = np.float32(2 / len(y)) * (y - t)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=0))
        delta = delta @ W[i].T * (A[i] > 0)
    return DW[::-1], DB[::-1]


@right("float32", "double precision for single weights")
def double_for_single(W, B, x, t):
    W, B, x, t = [w.astype(float) for w in W], [b.astype(float) for b in B], x * 1.0, t * 1.0
    A, y = forward(W, B, x.astype(float))
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=0))
        delta = delta @ W[i].T * (A[i] > 0)
    return DW[::-1], DB[::-1]


@right("wide", "single precision for double weights", tolerance=3e-5)
def single_for_double(W, B, x, t):
    W, B = [w.astype(np.float32) for w in W], [b.astype(np.float32) for b in B]
    A, y = forward(W, B, x.astype(np.float32))
    delta = 2 * (y - t.astype(np.float32)) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=0))
        delta = delta @ W[i].T * (A[i] > 0)
    return DW[::-1], DB[::-1]


@right("near_fit", "samples in reverse order")
def reverse_order(W, B, x, t):
    A, y = forward(W, B, x[::-1])
    delta = 2 * (y - t[::-1]) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=0))
        delta = delta @ W[i].T * (A[i] > 0)
    return DW[::-1], DB[::-1]


@right("near_fit", "biases as another row of the weights")
def biases_as_a_row(W, B, x, t):
    one = np.ones((len(x), 1))
    M = [np.vstack([b, w]) for w, b in zip(W, B)]
    A = [x]
    for m in M:
        z = np.hstack([one, A[-1]]) @ m
        A.append(np.maximum(z, 0))
    delta = 2 * (z - t) / len(x)
    G = []
    for i in reversed(range(len(M))):
        G.append(np.hstack([one, A[i]]).T @ delta)
        delta = delta @ M[i][1:].T * (A[i] > 0)
    return [g[1:] for g in reversed(G)], [g[0] for g in reversed(G)]


@right("huge", "the mask applied twice")
class MaskTwice(Net):
    def backward(self, y, t):
        delta = 2 * (y - t) / len(y)
        self.DW, self.DB = [], []
        for i in reversed(range(len(self.W))):
            self.DW.insert(0, self.A[i].T @ delta)
            self.DB.insert(0, delta.sum(axis=0))
            delta = (delta @ self.W[i].T) * (self.A[i] > 0)
            delta = delta * (self.A[i] > 0)


@right("deep", "the mask at the top of the loop")
def mask_at_the_top(W, B, x, t):
    A, y = forward(W, B, x)
    A = [*A, y]
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        if i + 1 < len(W):
            delta = delta * (A[i + 1] > 0)
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=0))
        delta = delta @ W[i].T
    return DW[::-1], DB[::-1]


@right("tiny", "divided by the batch at the end")
class DividedAtTheEnd(Net):
    def backward(self, y, t):
        delta = y - t
        self.DW, self.DB = [], []
        for i in reversed(range(len(self.W))):
            self.DW.insert(0, 2 * (self.A[i].T @ delta) / len(y))
            self.DB.insert(0, 2 * delta.mean(axis=0))
            delta = (delta @ self.W[i].T) * (self.A[i] > 0)


@right("plain", "where for the mask")
def where_for_the_mask(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 / len(y) * (y - t)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=0))
        delta = np.where(A[i] > 0, delta @ W[i].T, 0)
    return DW[::-1], DB[::-1]


@right("wide", "blocks of five samples")
def in_blocks(W, B, x, t):
    DW = [np.zeros_like(w) for w in W]
    DB = [np.zeros_like(b) for b in B]
    for s in range(0, len(x), 5):
        A, y = forward(W, B, x[s : s + 5])
        delta = 2 * (y - t[s : s + 5]) / len(x)
        for i in reversed(range(len(W))):
            DW[i] += A[i].T @ delta
            DB[i] += delta.sum(axis=0)
            delta = delta @ W[i].T * (A[i] > 0)
    return DW, DB


@right("plain", "running sums, of which the last counts")
def running_sums(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(np.cumsum(A[i][:, :, None] * delta[:, None, :], axis=0)[-1])
        DB.append(np.cumsum(delta, axis=0)[-1])
        delta = delta @ W[i].T * (A[i] > 0)
    return DW[::-1], DB[::-1]


@right("square", "arrays in column order")
class ColumnOrder(Net):
    def backward(self, y, t):
        delta = np.asfortranarray(2 * (y - t) / len(y))
        self.DW, self.DB = [], []
        for i in reversed(range(len(self.W))):
            self.DW.insert(0, np.asfortranarray(self.A[i].T @ delta))
            self.DB.insert(0, np.asfortranarray(delta).sum(axis=0))
            delta = np.asfortranarray(delta @ self.W[i].T * (self.A[i] > 0))


@right("plain", "weights kept as (out, in), samples in columns")
def samples_in_columns(W, B, x, t):
    M = [w.T.copy() for w in W]
    A = [x.T]
    for m, b in zip(M, B):
        z = m @ A[-1] + b[:, None]
        A.append(np.maximum(z, 0))
    delta = 2 * (z - t.T) / len(x)
    DW, DB = [], []
    for i in reversed(range(len(M))):
        DW.append((delta @ A[i].T).T)
        DB.append(delta.sum(axis=1))
        delta = M[i].T @ delta * (A[i] > 0)
    return DW[::-1], DB[::-1]


@right("batch_width", "sums as products with ones")
def products_with_ones(W, B, x, t):
    A, y = forward(W, B, x)
    one = np.ones(len(y))
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append((delta.T @ A[i]).T)
        DB.append(one @ delta)
        delta = (W[i] @ delta.T).T * (A[i] > 0)
    return DW[::-1], DB[::-1]


@right("kinks", "the slope at 0 is 1")
class SlopeOneAtZero(Net):
    def backward(self, y, t):
        delta = 2 * (y - t) / len(y)
        self.DW, self.DB = [], []
        for i in reversed(range(len(self.W))):
            self.DW.insert(0, self.A[i].T @ delta)
            self.DB.insert(0, delta.sum(axis=0))
            if i > 0:
                delta = (delta @ self.W[i].T) * (self.Z[i - 1] >= 0)


@right("kinks", "the slope at 0 is 0")
def slope_zero_at_zero(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=0))
        delta = delta @ W[i].T * np.ceil(A[i] / (1 + abs(A[i])))
    return DW[::-1], DB[::-1]


@right("one_out", "vectors where there is one output")
def vectors(W, B, x, t):
    A, y = forward(W, B, x)
    error = (2 / len(y)) * (y[:, 0] - t[:, 0])
    DW, DB = [A[-1].T.dot(error)[:, None]], [np.array([error.sum()])]
    delta = np.outer(error, W[-1][:, 0]) * (A[-1] > 0)
    for i in reversed(range(len(W) - 1)):
        DW.insert(0, A[i].T @ delta)
        DB.insert(0, delta.sum(axis=0))
        delta = delta @ W[i].T * (A[i] > 0)
    return DW, DB


@right("batch1", "one sample, as vectors")
def one_sample(W, B, x, t):
    DW = [np.zeros_like(w) for w in W]
    DB = [np.zeros_like(b) for b in B]
    for row, target in zip(x, t):
        a = [row]
        for w, b in zip(W[:-1], B[:-1]):
            a.append(np.maximum(w.T @ a[-1] + b, 0))
        g = 2 * (W[-1].T @ a[-1] + B[-1] - target)
        for i in range(len(W) - 1, -1, -1):
            DW[i] += a[i][:, None] * g[None, :] / len(x)
            DB[i] += g / len(x)
            g = W[i].dot(g)
            g[a[i] <= 0] = 0
    return DW, DB


@right("two_out", "exact sums")
def exact_sums(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(
            np.array([[math.fsum(a * d) for d in delta.T] for a in A[i].T]).reshape(W[i].shape)
        )
        DB.append(np.array([math.fsum(d) for d in delta.T]))
        delta = delta @ W[i].T * (A[i] > 0)
    return DW[::-1], DB[::-1]


@right("square_batch", "a jacobian for each sample")
def jacobians(W, B, x, t):
    A, y = forward(W, B, x)
    DW = [np.zeros_like(w) for w in W]
    DB = [np.zeros_like(b) for b in B]
    for n in range(len(x)):
        J = np.eye(y.shape[1])
        for i in reversed(range(len(W))):
            g = 2 * (y[n] - t[n]) @ J / len(x)
            DW[i] += np.multiply.outer(A[i][n], g)
            DB[i] += g
            J = J @ W[i].T @ np.diag((A[i][n] > 0).astype(float))
    return DW, DB


@right("active", "weights of active units only")
class ActiveUnitsOnly(Net):
    def backward(self, y, t):
        delta = 2 * (y - t) / len(y)
        n = len(self.W)
        self.DW, self.DB = [0] * n, [0] * n
        for i in range(n - 1, -1, -1):
            self.DW[i] = np.matmul(np.transpose(self.A[i]), delta)
            self.DB[i] = np.add.reduce(delta)
            back = np.zeros_like(self.A[i])
            for s, mask in enumerate(self.A[i] > 0):
                back[s, mask] = self.W[i][mask] @ delta[s]
            delta = back


@right("linear", "normal equations")
def normal_equations(W, B, x, t):
    G, n = x.T @ x, len(x)
    dw = 2 * (G @ W[0] + np.outer(x.sum(0), B[0]) - x.T @ t) / n
    return [dw], [2 * (x.mean(0) @ W[0] + B[0] - t.mean(0))]


@right("plain", "a product of masks made beforehand, in float")
class MasksBeforehand(Net):
    def backward(self, y, t):
        masks = [(a > 0) * 1.0 for a in self.A]
        deltas = [2 * (y - t) / y.shape[0]]
        for w, mask in zip(self.W[:0:-1], masks[:0:-1]):
            deltas.append(np.multiply(deltas[-1].dot(w.transpose()), mask))
        deltas = deltas[::-1]
        self.DW = [np.dot(a.T, d) for a, d in zip(self.A, deltas)]
        self.DB = [np.sum(d, axis=0) for d in deltas]


@right("plain", "it also trains: weights are changed after all gradients are there")
class TrainsAfterwards(Net):
    def backward(self, y, t):
        delta = 2 * (y - t) / len(y)
        self.DW, self.DB = [], []
        for i in reversed(range(len(self.W))):
            self.DW.insert(0, self.A[i].T @ delta)
            self.DB.insert(0, delta.sum(axis=0))
            delta = (delta @ self.W[i].T) * (self.A[i] > 0)
        for i in range(len(self.W)):
            self.W[i] = self.W[i] - 0.1 * self.DW[i]
            self.B[i] = self.B[i] - 0.1 * self.DB[i]


@right("deep", "pairs of layers, and arrays that are written again")
def in_place(W, B, x, t):
    A, y = forward(W, B, x)
    delta = np.empty_like(y)
    np.subtract(y, t, out=delta)
    delta *= 2
    delta /= len(y)
    DW, DB = [np.empty_like(w) for w in W], [np.empty_like(b) for b in B]
    for i in reversed(range(len(W))):
        np.matmul(A[i].T, delta, out=DW[i])
        np.sum(delta, axis=0, out=DB[i])
        delta = delta @ W[i].T
        delta[A[i] <= 0] = 0
    return DW, DB


@right("tanh", "the slope of tanh from cosh")
def tanh_from_cosh(W, B, x, t):
    Z, a = [], x
    for w, b in zip(W, B):
        Z.append(a @ w + b)
        a = np.tanh(Z[-1])
    delta = 2 * (Z[-1] - t) / len(x)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        a = np.tanh(Z[i - 1]) if i else x
        DW.append(a.T @ delta)
        DB.append(delta.sum(axis=0))
        if i:
            delta = delta @ W[i].T / np.cosh(Z[i - 1]) ** 2
    return DW[::-1], DB[::-1]


@right("residual", "the skip as a matrix of its own")
def skip_as_matrix(x, t, W0, B0, W1, B1, W2, B2):
    A1 = np.maximum(x @ W0 + B0, 0)
    R = np.maximum(A1 @ W1 + B1, 0)
    H = np.hstack([A1, R]) @ np.vstack([np.eye(5), np.eye(5)])
    dy = 2 * (H @ W2 + B2 - t) / len(x)
    dH = dy @ W2.T
    dZ2 = dH * (R > 0)
    dA1 = np.hstack([dH, dZ2]) @ np.vstack([np.eye(5), W1.T])
    dZ1 = dA1 * (A1 > 0)
    return {
        "dA[1]": dA1,
        "dH": dH,
        "dW[0]": x.T @ dZ1,
        "dB[0]": dZ1.sum(0),
        "dW[1]": A1.T @ dZ2,
        "dB[1]": dZ2.sum(0),
        "dW[2]": H.T @ dy,
        "dB[2]": dy.sum(0),
    }


@right("classes", "the whole jacobian of softmax")
def softmax_jacobian(x, labels, W0, B0, W1, B1):
    A1 = np.maximum(x @ W0 + B0, 0)
    z = A1 @ W1 + B1
    dz = np.zeros_like(z)
    for n, label in enumerate(labels):
        p = softmax(z[n])
        jacobian = np.diag(p) - np.outer(p, p)
        dp = np.zeros(len(p))
        dp[label] = -1 / p[label] / len(x)
        dz[n] = jacobian @ dp
    dA1 = dz @ W1.T
    dZ1 = dA1 * (A1 > 0)
    return {
        "dz": dz,
        "dA[1]": dA1,
        "dZ[1]": dZ1,
        "dW[0]": x.T @ dZ1,
        "dB[0]": dZ1.sum(axis=0),
        "dW[1]": A1.T @ dz,
        "dB[1]": dz.sum(axis=0),
    }


@right("tied", "both uses in one product")
def both_uses(x, W, b, c):
    H = np.maximum(x @ W + b, 0)
    dy = 2 * (H @ W.T + c - x) / len(x)
    dZ = dy @ W * (H > 0)
    dW = np.concatenate([x, dy]).T @ np.concatenate([dZ, H])
    return {"dW": dW, "db": dZ.sum(axis=0), "dc": dy.sum(axis=0)}


@right("recurrent", "forward in time, by sensitivities")
def sensitivities(x, h0, t, U, V, b, W):
    h = states(x, h0, U, V, b)
    dy = 2 * (h[-1] @ W - t) / len(t)
    dh = [dy @ W.T]
    for k in range(len(x) - 1, 0, -1):
        dh.insert(0, (dh[0] * (1 - h[k + 1] * h[k + 1])) @ V.T)
    da = [g * (1 - s * s) for g, s in zip(dh, h[1:])]
    return {
        "dU": np.tensordot(x, da, ([0, 1], [0, 1])),
        "dV": np.tensordot(h[:-1], da, ([0, 1], [0, 1])),
        "db": np.sum(da, axis=(0, 1)),
        "dW": h[-1].T @ dy,
    }


@right("batchnorm", "the closed form")
def closed_form(x, t, W0, gamma, beta, W1):
    c, s, n, h, dy, dq = normalised(x, W0, gamma, beta, W1, t)
    N = len(x)
    dz = gamma / (N * s) * (N * dq - dq.sum(axis=0) - n * (dq * n).sum(axis=0))
    return {
        "dz": dz,
        "dW[0]": x.T @ dz,
        "dgamma": np.einsum("nk,nk->k", dq, n),
        "dbeta": dq.sum(axis=0),
        "dW[1]": h.T @ dy,
    }


@right("binary", "the sigmoid as a tanh")
def sigmoid_as_tanh(x, t, W0, B0, W1, B1):
    h = np.tanh(x @ W0 + B0)
    dz = (0.5 + 0.5 * np.tanh((h @ W1 + B1) / 2) - t) / len(x)
    da = np.outer(dz, W1) * (1 - h) * (1 + h)
    return {"dW[0]": x.T @ da, "dB[0]": da.sum(0), "dW[1]": h.T @ dz, "dB[1]": dz.sum(0)}


@right("attention", "one query at a time")
def query_by_query(x, t, Q, K, V):
    q, k, v = x @ Q, x @ K, x @ V
    dq, dk, dv = np.zeros_like(q), np.zeros_like(k), np.zeros_like(v)
    for n in range(len(x)):
        a = softmax(k @ q[n] / 5**0.5)
        g = 2 * (a @ v - t[n]) / len(x)
        dv += np.outer(a, g)
        da = v @ g
        ds = a * (da - a @ da) / 5**0.5
        dq[n] = ds @ k
        dk += np.outer(ds, q[n])
    return {"dQ": x.T @ dq, "dK": x.T @ dk, "dV": x.T @ dv, "dq": dq, "dk": dk}


@right("embedding", "a product with ones and zeros")
def onehot_product(words, labels, E, W, b):
    e, da, de = embedding_backward(words, labels, E, W, b)
    onehot = words[:, None] == np.arange(len(E))
    return {"dE": onehot.T @ de, "dW": (onehot @ E).T @ da, "db": da.sum(0), "de": de}


@right("gated", "everything by finite sums over pairs")
def pair_by_pair(x, t, U, V, b, W):
    i = 1 / (1 + np.exp(-(x @ U + b)))
    c = np.tanh(x @ V)
    dU, dV, db, dW = np.zeros_like(U), np.zeros_like(V), np.zeros_like(b), 0.2 * W
    for n, k in itertools.product(range(len(x)), range(W.shape[1])):
        d = 2 * ((i[n] * c[n]) @ W[:, k] - t[n, k]) / len(x)
        gate, value = d * W[:, k] * c[n] * i[n] * (1 - i[n]), d * W[:, k] * i[n] * (1 - c[n] ** 2)
        dU += np.outer(x[n], gate)
        dV += np.outer(x[n], value)
        db += gate
        dW[:, k] += d * i[n] * c[n]
    return {"dU": dU, "dV": dV, "db": db, "dW": dW}
