"""Wrong backward passes of other graphs: the inputs by name -> gradients by name."""

import numpy as np

from .registry import MISSING, wrong


def softmax(z, axis=-1):
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


# --- residual -------------------------------------------------------------------------------------


def residual_forward(x, W0, B0, W1, B1, W2, B2):
    A1 = np.maximum(x @ W0 + B0, 0)
    R = np.maximum(A1 @ W1 + B1, 0)
    H = A1 + R
    return A1, R, H, H @ W2 + B2


@wrong(
    "residual",
    "the way past the layer is forgotten",
    f"skip|residual|term|path|use|sum|add|dH|A\\[1\\] & {MISSING}|only|term",
    listed=False,
)
def skip_forgotten(x, t, W0, B0, W1, B1, W2, B2):
    A1, R, H, y = residual_forward(x, W0, B0, W1, B1, W2, B2)
    dy = 2 * (y - t) / len(y)
    dH = dy @ W2.T
    dZ2 = dH * (R > 0)
    dA1 = dZ2 @ W1.T  # <--
    dZ1 = dA1 * (A1 > 0)
    return {
        "dW[0]": x.T @ dZ1,
        "dB[0]": dZ1.sum(0),
        "dW[1]": A1.T @ dZ2,
        "dB[1]": dZ2.sum(0),
        "dW[2]": H.T @ dy,
        "dB[2]": dy.sum(0),
    }


@wrong(
    "residual",
    "only the way past the layer",
    f"layer|residual|branch|term|path|use|sum|add|W\\[1\\] & {MISSING}|only|term",
    listed=False,
)
def branch_forgotten(x, t, W0, B0, W1, B1, W2, B2):
    A1, R, H, y = residual_forward(x, W0, B0, W1, B1, W2, B2)
    dy = 2 * (y - t) / len(y)
    dH = dy @ W2.T
    dR = dH
    dZ2 = dR * (R > 0)
    dA1 = dH  # <--
    dZ1 = dA1 * (A1 > 0)
    return {
        "dy": dy,
        "dH": dH,
        "dZ[2]": dZ2,
        "dA[1]": dA1,
        "dZ[1]": dZ1,
        "dW[0]": x.T @ dZ1,
        "dB[0]": dZ1.sum(0),
        "dW[1]": A1.T @ dZ2,
        "dB[1]": dZ2.sum(0),
        "dW[2]": H.T @ dy,
        "dB[2]": dy.sum(0),
    }


@wrong(
    "residual",
    "the branch's mask on the way past, too",
    r"mask|relu|slope",
    listed=False,
)
def mask_on_the_skip(x, t, W0, B0, W1, B1, W2, B2):
    A1, R, H, y = residual_forward(x, W0, B0, W1, B1, W2, B2)
    dy = 2 * (y - t) / len(y)
    dZ2 = dy @ W2.T * (R > 0)
    dA1 = dZ2 + dZ2 @ W1.T  # <--
    dZ1 = dA1 * (A1 > 0)
    return {
        "dW[0]": x.T @ dZ1,
        "dB[0]": dZ1.sum(0),
        "dW[1]": A1.T @ dZ2,
        "dB[1]": dZ2.sum(0),
        "dW[2]": H.T @ dy,
        "dB[2]": dy.sum(0),
    }


# --- classes --------------------------------------------------------------------------------------


def classes_backward(x, W0, W1, A1, dz):
    dZ1 = dz @ W1.T * (A1 > 0)
    return {
        "dW[0]": x.T @ dZ1,
        "dB[0]": dZ1.sum(axis=0),
        "dW[1]": A1.T @ dz,
        "dB[1]": dz.sum(axis=0),
    }


@wrong("classes", "labels off by one", "label|class|onehot|one-hot|target|roll|shift", listed=False)
def labels_from_one(x, labels, W0, B0, W1, B1):
    A1 = np.maximum(x @ W0 + B0, 0)
    p = softmax(A1 @ W1 + B1)
    p[np.arange(len(x)), labels - 1] -= 1  # <--
    return classes_backward(x, W0, W1, A1, p / len(x))


@wrong(
    "classes",
    "not divided by the batch",
    rf"batch|\blen\b|samples & {MISSING}|times|factor|divid",
    listed=False,
)
def classes_not_divided(x, labels, W0, B0, W1, B1):
    A1 = np.maximum(x @ W0 + B0, 0)
    dz = softmax(A1 @ W1 + B1)
    dz[np.arange(len(x)), labels] -= 1
    return classes_backward(x, W0, W1, A1, dz)  # <--


@wrong("classes", "softmax over the batch", "axis|softmax|batch", listed=False)
def softmax_over_the_batch(x, labels, W0, B0, W1, B1):
    A1 = np.maximum(x @ W0 + B0, 0)
    dz = softmax(A1 @ W1 + B1, axis=0)  # <--
    dz[np.arange(len(x)), labels] -= 1
    return {"dz": dz / len(x), **classes_backward(x, W0, W1, A1, dz / len(x))}


@wrong(
    "classes",
    "the stable softmax divides by the exponentials before the shift",
    "softmax|exp|max|normal",
    listed=False,
)
def shifted_in_one_place(x, labels, W0, B0, W1, B1):
    A1 = np.maximum(x @ W0 + B0, 0)
    z = A1 @ W1 + B1
    shifted = z - z.max(axis=1, keepdims=True)
    dz = np.exp(shifted) / np.exp(z).sum(axis=1, keepdims=True)  # <--
    dz[np.arange(len(x)), labels] -= 1
    return classes_backward(x, W0, W1, A1, dz / len(x))


@wrong(
    "classes",
    "the labels are not subtracted",
    f"label|onehot|one-hot|target|class & {MISSING}|only",
    listed=False,
)
def no_labels(x, labels, W0, B0, W1, B1):
    A1 = np.maximum(x @ W0 + B0, 0)
    dz = softmax(A1 @ W1 + B1) / len(x)  # <--
    return classes_backward(x, W0, W1, A1, dz)


@wrong(
    "classes",
    "1 is subtracted at every class",
    "label|onehot|one-hot|target|class|column|every",
    listed=False,
)
def all_classes(x, labels, W0, B0, W1, B1):
    A1 = np.maximum(x @ W0 + B0, 0)
    dz = softmax(A1 @ W1 + B1)
    dz[:, labels] -= 1  # <--
    return classes_backward(x, W0, W1, A1, dz / len(x))


@wrong(
    "classes",
    "the slope of softmax once more, of its diagonal",
    r"1 - |twice|slope of (the )?softmax|softmax \*|derivative of (the )?softmax",
    listed=False,
)
def softmax_slope_again(x, labels, W0, B0, W1, B1):
    A1 = np.maximum(x @ W0 + B0, 0)
    p = softmax(A1 @ W1 + B1)
    onehot = np.eye(4)[labels]
    dz = (p - onehot) * p * (1 - p) / len(x)  # <--
    return classes_backward(x, W0, W1, A1, dz)


@wrong("classes", "z in the place of its softmax", f"softmax & {MISSING}|instead|z", listed=False)
def logits_for_probabilities(x, labels, W0, B0, W1, B1):
    A1 = np.maximum(x @ W0 + B0, 0)
    dz = (A1 @ W1 + B1 - np.eye(4)[labels]) / len(x)  # <--
    return classes_backward(x, W0, W1, A1, dz)


# --- tied -----------------------------------------------------------------------------------------


@wrong(
    "tied",
    "the use of W in the decoder is not added",
    f"use|shared|tied|term|sum|add & {MISSING}|only|term|one",
)
def encoder_only(x, W, b, c):
    H = np.maximum(x @ W + b, 0)
    y = H @ W.T + c
    dy = 2 * (y - x) / len(x)
    dZ = dy @ W * (H > 0)
    return {"dW": x.T @ dZ, "db": dZ.sum(axis=0), "dc": dy.sum(axis=0)}  # <--


@wrong(
    "tied",
    "the use of W in the encoder is not added",
    f"use|shared|tied|term|sum|add & {MISSING}|only|term|one",
)
def decoder_only(x, W, b, c):
    H = np.maximum(x @ W + b, 0)
    y = H @ W.T + c
    dy = 2 * (y - x) / len(x)
    dH = dy @ W
    dZ = dH * (H > 0)
    dW = dy.T @ H  # <--
    return {"dy": dy, "dH": dH, "dZ": dZ, "dW": dW, "db": dZ.sum(axis=0), "dc": dy.sum(axis=0)}


@wrong("tied", "one use of W counts twice", r"twice|double|two times", listed=False)
def encoder_twice(x, W, b, c):
    H = np.maximum(x @ W + b, 0)
    y = H @ W.T + c
    dy = 2 * (y - x) / len(x)
    dZ = dy @ W * (H > 0)
    dW = dy.T @ H
    dW += x.T @ dZ
    dW += x.T @ dZ  # <--
    return {"dW": dW, "db": dZ.sum(axis=0), "dc": dy.sum(axis=0)}


@wrong("tied", "a mean over the uses of W", r"half|mean|average|0\.5|1/2|by 2", listed=False)
def mean_of_uses(x, W, b, c):
    H = np.maximum(x @ W + b, 0)
    y = H @ W.T + c
    dy = 2 * (y - x) / len(x)
    dZ = dy @ W * (H > 0)
    return {
        "dW": (dy.T @ H + x.T @ dZ) / 2,  # <--
        "db": dZ.sum(axis=0),
        "dc": dy.sum(axis=0),
    }


# --- recurrent ------------------------------------------------------------------------------------


def states(x, h0, U, V, b):
    h = [h0]
    for k in range(len(x)):
        h.append(np.tanh(x[k] @ U + h[-1] @ V + b))
    return h


@wrong(
    "recurrent",
    "only the last step in time",
    f"step|use|shared|term|sum|time|add & {MISSING}|only|last|term|one",
    listed=False,
)
def last_step_only(x, h0, t, U, V, b, W):
    h = states(x, h0, U, V, b)
    y = h[-1] @ W
    dy = 2 * (y - t) / len(y)
    da = dy @ W.T * (1 - h[-1] ** 2)
    return {"dU": x[-1].T @ da, "dV": h[-2].T @ da, "db": da.sum(0), "dW": h[-1].T @ dy}  # <--


@wrong(
    "recurrent",
    "V meets the state after the step",
    r"h\[|index|state after|later|next|other step",
    listed=False,
)
def state_after_the_step(x, h0, t, U, V, b, W):
    h = states(x, h0, U, V, b)
    y = h[-1] @ W
    dy = 2 * (y - t) / len(y)
    dU, dV, db = np.zeros_like(U), np.zeros_like(V), np.zeros_like(b)
    dh = dy @ W.T
    for k in reversed(range(len(x))):
        da = dh * (1 - h[k + 1] ** 2)
        dU += x[k].T @ da
        dV += h[k + 1].T @ da  # <--
        db += da.sum(axis=0)
        dh = da @ V.T
    return {"dU": dU, "dV": dV, "db": db, "dW": h[-1].T @ dy}


@wrong("recurrent", "V is not transposed", rf"transpos|\.T & {MISSING}|transpos", listed=False)
def state_not_transposed(x, h0, t, U, V, b, W):
    h = states(x, h0, U, V, b)
    dy = 2 * (h[-1] @ W - t) / len(t)
    dU, dV, db = np.zeros_like(U), np.zeros_like(V), np.zeros_like(b)
    dh = dy @ W.T
    for k in reversed(range(len(x))):
        da = dh * (1 - h[k + 1] ** 2)
        dU += x[k].T @ da
        dV += h[k].T @ da
        db += da.sum(axis=0)
        dh = da @ V  # <--
    return {"dU": dU, "dV": dV, "db": db, "dW": h[-1].T @ dy}


@wrong(
    "recurrent",
    "the first step in time is left out",
    f"step|first|term|use|time|sum & {MISSING}|first|only|term|h0",
    listed=False,
)
def first_step_left_out(x, h0, t, U, V, b, W):
    h = states(x, h0, U, V, b)
    dy = 2 * (h[-1] @ W - t) / len(t)
    dU, dV, db = np.zeros_like(U), np.zeros_like(V), np.zeros_like(b)
    dh = dy @ W.T
    for k in range(len(x) - 1, 0, -1):  # <--
        da = dh * (1 - h[k + 1] ** 2)
        dU += x[k].T @ da
        dV += h[k].T @ da
        db += da.sum(axis=0)
        dh = da @ V.T
    return {"dU": dU, "dV": dV, "db": db, "dW": h[-1].T @ dy}


# --- batch normalisation --------------------------------------------------------------------------


def normalised(x, W0, gamma, beta, W1, t):
    z = x @ W0
    c = z - z.mean(axis=0)
    s = np.sqrt((c * c).mean(axis=0) + 1e-3)
    n = c / s
    h = np.maximum(gamma * n + beta, 0)
    dy = 2 * (h @ W1 - t) / len(t)
    return c, s, n, h, dy, dy @ W1.T * (h > 0)


@wrong(
    "batchnorm",
    "mean and deviation are taken for constants",
    f"mean|deviation|variance|term|path|\\bs\\b|\\bc\\b & {MISSING}|constant|term|only",
    listed=False,
)
def statistics_constant(x, t, W0, gamma, beta, W1):
    c, s, n, h, dy, dq = normalised(x, W0, gamma, beta, W1, t)
    dz = dq * gamma / s  # <--
    return {
        "dW[0]": x.T @ dz,
        "dgamma": (dq * n).sum(axis=0),
        "dbeta": dq.sum(axis=0),
        "dW[1]": h.T @ dy,
    }


@wrong(
    "batchnorm",
    "the deviation is taken for a constant",
    f"deviation|variance|term|path|\\bs\\b|\\bc\\b & {MISSING}|constant|term|only",
    listed=False,
)
def deviation_constant(x, t, W0, gamma, beta, W1):
    c, s, n, h, dy, dq = normalised(x, W0, gamma, beta, W1, t)
    dc = dq * gamma / s  # <--
    dz = dc - dc.mean(axis=0)
    return {
        "dW[0]": x.T @ dz,
        "dgamma": (dq * n).sum(axis=0),
        "dbeta": dq.sum(axis=0),
        "dW[1]": h.T @ dy,
    }


@wrong(
    "batchnorm",
    "gamma meets what is not normalised",
    r"gamma & \bc\b|normal|divid|\bn\b|\bs\b",
    listed=False,
)
def gamma_not_normalised(x, t, W0, gamma, beta, W1):
    c, s, n, h, dy, dq = normalised(x, W0, gamma, beta, W1, t)
    dn = dq * gamma
    dz = (dn - dn.mean(axis=0) - n * (dn * n).mean(axis=0)) / s
    return {
        "dq": dq,
        "dn": dn,
        "dz": dz,
        "dW[0]": x.T @ dz,
        "dgamma": (dq * c).sum(axis=0),  # <--
        "dbeta": dq.sum(axis=0),
        "dW[1]": h.T @ dy,
    }


@wrong(
    "batchnorm",
    "the variance of a sample: divided by batch - 1",
    "batch|n - 1|factor|variance|constant|divid|mean",
    listed=False,
)
def variance_of_a_sample(x, t, W0, gamma, beta, W1):
    c, s, n, h, dy, dq = normalised(x, W0, gamma, beta, W1, t)
    dn = dq * gamma
    dz = (dn - dn.mean(axis=0) - n * (dn * n).sum(axis=0) / (len(x) - 1)) / s  # <--
    return {
        "dW[0]": x.T @ dz,
        "dgamma": (dq * n).sum(axis=0),
        "dbeta": dq.sum(axis=0),
        "dW[1]": h.T @ dy,
    }


# --- binary ---------------------------------------------------------------------------------------


@wrong(
    "binary",
    "the slope of the sigmoid once more",
    r"1 - |twice|slope of (the )?sigmoid|derivative of (the )?sigmoid",
    listed=False,
)
def sigmoid_slope_again(x, t, W0, B0, W1, B1):
    h = np.tanh(x @ W0 + B0)
    p = 1 / (1 + np.exp(-(h @ W1 + B1)))
    dz = (p - t) * p * (1 - p) / len(x)  # <--
    da = dz @ W1.T * (1 - h * h)
    return {"dW[0]": x.T @ da, "dB[0]": da.sum(0), "dW[1]": h.T @ dz, "dB[1]": dz.sum(0)}


@wrong("binary", "1 - h for the slope of tanh", r"squar|1 - |\*\* ?2|\* h", listed=False)
def binary_tanh(x, t, W0, B0, W1, B1):
    h = np.tanh(x @ W0 + B0)
    dz = (1 / (1 + np.exp(-(h @ W1 + B1))) - t) / len(x)
    dh = dz @ W1.T
    da = dh * (1 - h)  # <--
    return {
        "dz": dz,
        "dh": dh,
        "dW[0]": x.T @ da,
        "dB[0]": da.sum(0),
        "dW[1]": h.T @ dz,
        "dB[1]": dz.sum(0),
    }


@wrong(
    "binary",
    "the slope of tanh at tanh: of the output, once more",
    r"tanh|twice|1 - ",
    listed=False,
)
def tanh_twice(x, t, W0, B0, W1, B1):
    h = np.tanh(x @ W0 + B0)
    dz = (1 / (1 + np.exp(-(h @ W1 + B1))) - t) / len(x)
    da = dz @ W1.T * (1 - np.tanh(h) ** 2)  # <--
    return {"dW[0]": x.T @ da, "dB[0]": da.sum(0), "dW[1]": h.T @ dz, "dB[1]": dz.sum(0)}


@wrong(
    "binary",
    "the step function in the place of the sigmoid",
    "sigmoid|round|step|> 0|prediction",
    listed=False,
)
def prediction_for_probability(x, t, W0, B0, W1, B1):
    h = np.tanh(x @ W0 + B0)
    dz = ((h @ W1 + B1 > 0) - t) / len(x)  # <--
    da = dz @ W1.T * (1 - h * h)
    return {"dW[0]": x.T @ da, "dB[0]": da.sum(0), "dW[1]": h.T @ dz, "dB[1]": dz.sum(0)}


# --- attention ------------------------------------------------------------------------------------


@wrong(
    "attention",
    "not divided by the root of the width",
    rf"scale|root|2\.2|factor|sqrt|divid & {MISSING}|factor|divid|constant|scale",
    listed=False,
)
def attention_scale(x, t, Q, K, V):
    q, k, v = x @ Q, x @ K, x @ V
    a = softmax(q @ k.T / 5**0.5)
    dy = 2 * (a @ v - t) / len(x)
    da = dy @ v.T
    ds = a * (da - (da * a).sum(axis=1, keepdims=True))  # <--
    return {"dQ": x.T @ (ds @ k), "dK": x.T @ (ds.T @ q), "dV": x.T @ (a.T @ dy)}


@wrong(
    "attention",
    "softmax's sum is missing from its slope",
    f"softmax|sum|term & {MISSING}|term|only|sum",
    listed=False,
)
def attention_softmax_diagonal(x, t, Q, K, V):
    q, k, v = x @ Q, x @ K, x @ V
    a = softmax(q @ k.T / 5**0.5)
    dy = 2 * (a @ v - t) / len(x)
    da = dy @ v.T
    ds = a * da / 5**0.5  # <--
    return {"dQ": x.T @ (ds @ k), "dK": x.T @ (ds.T @ q), "dV": x.T @ (a.T @ dy)}


@wrong(
    "attention",
    "scores are not transposed for the keys",
    rf"transpos|\.T & {MISSING}|transpos",
    listed=False,
)
def attention_keys(x, t, Q, K, V):
    q, k, v = x @ Q, x @ K, x @ V
    a = softmax(q @ k.T / 5**0.5)
    dy = 2 * (a @ v - t) / len(x)
    da = dy @ v.T
    ds = a * (da - (da * a).sum(axis=1, keepdims=True)) / 5**0.5
    return {
        "da": da,
        "dq": ds @ k,
        "dk": ds @ q,  # <--
        "dQ": x.T @ (ds @ k),
        "dK": x.T @ (ds @ q),  # <--
        "dV": x.T @ (a.T @ dy),
    }


@wrong("attention", "the sum in softmax's slope over the wrong axis", r"axis", listed=False)
def attention_axis(x, t, Q, K, V):
    q, k, v = x @ Q, x @ K, x @ V
    a = softmax(q @ k.T / 5**0.5)
    dy = 2 * (a @ v - t) / len(x)
    da = dy @ v.T
    ds = a * (da - (da * a).sum(axis=0, keepdims=True)) / 5**0.5  # <--
    return {"dQ": x.T @ (ds @ k), "dK": x.T @ (ds.T @ q), "dV": x.T @ (a.T @ dy)}


# --- embedding ------------------------------------------------------------------------------------


def embedding_backward(words, labels, E, W, b):
    e = E[words]
    h = np.tanh(e @ W + b)
    dh = (softmax(h) - np.eye(4)[labels]) / len(words)
    da = dh * (1 - h * h)
    return e, da, da @ W.T


@wrong(
    "embedding",
    "a row used twice keeps one of its gradients",
    r"twice|repeat|accumul|overwr|np\.add\.at|scatter|several",
    listed=False,
)
def rows_overwrite(words, labels, E, W, b):
    e, da, de = embedding_backward(words, labels, E, W, b)
    dE = np.zeros_like(E)
    dE[words] += de  # <--
    return {"dE": dE, "dW": e.T @ da, "db": da.sum(0)}


@wrong(
    "embedding",
    "a row used twice gets a mean",
    "mean|twice|repeat|row|index|count|average",
    listed=False,
)
def rows_average(words, labels, E, W, b):
    e, da, de = embedding_backward(words, labels, E, W, b)
    dE = np.zeros_like(E)
    for w in set(words.tolist()):
        dE[w] = de[words == w].mean(axis=0)  # <--
    return {"de": de, "dE": dE, "dW": e.T @ da, "db": da.sum(0)}


# --- gated ----------------------------------------------------------------------------------------


@wrong(
    "gated",
    "gate and candidate are mixed up",
    r"\bc\b|\bi\b|swap|exchang|mixed|other factor",
    listed=False,
)
def product_rule(x, t, U, V, b, W):
    i = 1 / (1 + np.exp(-(x @ U + b)))
    c = np.tanh(x @ V)
    h = i * c
    dy = 2 * (h @ W - t) / len(x)
    dh = dy @ W.T
    di, dc = dh * i, dh * c  # <--
    du, dv = di * i * (1 - i), dc * (1 - c * c)
    return {"dU": x.T @ du, "db": du.sum(0), "dV": x.T @ dv, "dW": h.T @ dy + 0.2 * W}


@wrong("gated", "the penalty's factor 2 is missing", r"penalty|decay|half|0\.1|0\.2", listed=False)
def penalty_halved(x, t, U, V, b, W):
    i = 1 / (1 + np.exp(-(x @ U + b)))
    c = np.tanh(x @ V)
    h = i * c
    dy = 2 * (h @ W - t) / len(x)
    dh = dy @ W.T
    du, dv = dh * c * i * (1 - i), dh * i * (1 - c * c)
    return {"dU": x.T @ du, "db": du.sum(0), "dV": x.T @ dv, "dW": h.T @ dy + 0.1 * W}  # <--


@wrong(
    "gated",
    "the penalty is forgotten",
    rf"penalty|term|decay|0\.2 & {MISSING}|term|only",
    listed=False,
)
def penalty_forgotten(x, t, U, V, b, W):
    i = 1 / (1 + np.exp(-(x @ U + b)))
    c = np.tanh(x @ V)
    h = i * c
    dy = 2 * (h @ W - t) / len(x)
    dh = dy @ W.T
    di, dc = dh * c, dh * i
    du, dv = di * i * (1 - i), dc * (1 - c * c)
    return {
        "dy": dy,
        "dh": dh,
        "di": di,
        "dc": dc,
        "dU": x.T @ du,
        "db": du.sum(0),
        "dV": x.T @ dv,
        "dW": h.T @ dy,  # <--
    }


@wrong(
    "gated",
    "the penalty is divided by the batch",
    r"penalty|decay|0\.2|0\.1|0\.0\d",
    listed=False,
)
def penalty_divided(x, t, U, V, b, W):
    i = 1 / (1 + np.exp(-(x @ U + b)))
    c = np.tanh(x @ V)
    h = i * c
    d = h @ W - t
    dy = 2 * d / len(x)
    dh = dy @ W.T
    du, dv = dh * c * i * (1 - i), dh * i * (1 - c * c)
    dW = 2 * (h.T @ d + 0.1 * W) / len(x)  # <--
    return {"dU": x.T @ du, "db": du.sum(0), "dV": x.T @ dv, "dW": dW}
