"""Wrong backward passes of multilayer perceptrons, as people write them."""

import numpy as np

from .registry import BATCH, MASK, MISSING, wrong


class Net:
    """A network with a forward pass that is right."""

    def __init__(self, sizes):
        rng = np.random.default_rng(0)
        self.W = [rng.normal(size=(a, b)) for a, b in zip(sizes[:-1], sizes[1:])]
        self.B = [rng.normal(size=b) for b in sizes[1:]]

    def forward(self, x):
        self.A = [x]
        self.Z = []
        for i in range(len(self.W)):
            z = self.A[-1] @ self.W[i] + self.B[i]
            self.Z.append(z)
            if i < len(self.W) - 1:
                self.A.append(np.maximum(z, 0))
        return z


def forward(W, B, x):
    A = [x]
    for w, b in zip(W[:-1], B[:-1]):
        A.append(np.maximum(0, A[-1] @ w + b))
    return A, A[-1] @ W[-1] + B[-1]


# --- the first delta ------------------------------------------------------------------------------


@wrong("two_out", "not divided by the batch", f"{BATCH} & {MISSING}|times|divid|factor|x 7")
def not_divided(W, B, x, t):
    A, y = forward(W, B, x)
    DW, DB = [None] * len(W), [None] * len(W)
    delta = 2 * (y - t)  # <--
    for i in reversed(range(len(W))):
        DW[i] = A[i].T @ delta
        DB[i] = delta.sum(axis=0)
        if i > 0:
            delta = (delta @ W[i].T) * (A[i] > 0)
    return DW, DB


@wrong("batch1", "not divided by the batch, at a batch of one", f"{BATCH} & {MISSING}|divid|factor")
def not_divided_batch_of_one(W, B, x, t):
    A, y = forward(W, B, x)
    dW, dB = [], []
    d = 2 * (y - t)  # <--
    for i in range(len(W) - 1, -1, -1):
        dW.insert(0, A[i].T @ d)
        dB.insert(0, d.sum(0))
        d = d @ W[i].T * (A[i] > 0)
    return dW, dB


@wrong(
    "plain",
    "the weights' gradients divided by the batch twice",
    f"{BATCH} & twice|again|squared|divid",
)
class DividedTwice(Net):
    def backward(self, y, t):
        n = y.shape[0]
        self.DW = [0] * len(self.W)
        self.DB = [0] * len(self.W)
        delta = 2 * (y - t) / n
        for i in range(len(self.W) - 1, -1, -1):
            self.DW[i] = self.A[i].T.dot(delta) / n  # <--
            self.DB[i] = np.sum(delta, axis=0)
            delta = delta.dot(self.W[i].T) * (self.A[i] > 0)


@wrong(
    "deep", "divided by the batch at every layer", f"{BATCH} & every|each|layer|again|step|divid"
)
def divided_at_every_layer(W, B, x, t):
    A, y = forward(W, B, x)
    m = len(x)
    grads_w, grads_b = [], []
    delta = 2 * (y - t) / m
    for i in reversed(range(len(W))):
        grads_w.append(A[i].T @ delta)
        grads_b.append(delta.sum(axis=0))
        delta = (delta @ W[i].T) * (A[i] > 0) / m  # <--
    return grads_w[::-1], grads_b[::-1]


@wrong(
    "plain",
    "divided by the number of outputs",
    "output|shape\\[1\\]|width|n_out & divid|instead|not|batch",
)
class DividedByOutputs(Net):
    def backward(self, y, t):
        delta = 2 * (y - t) / y.shape[1]  # <--
        DW, DB = [], []
        for i in reversed(range(len(self.W))):
            DW.append(self.A[i].T @ delta)
            DB.append(delta.sum(axis=0))
            if i:
                delta = delta @ self.W[i].T * (self.A[i] > 0)
        self.DW, self.DB = DW[::-1], DB[::-1]


@wrong("plain", "a mean over the outputs, too", "size|mean|output|n_out")
def mean_over_outputs(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / y.size  # <--
    DW, DB = [], []
    for i in range(len(W))[::-1]:
        DW = [A[i].T @ delta, *DW]
        DB = [delta.sum(0), *DB]
        delta = delta @ W[i].T * (A[i] > 0)
    return DW, DB


@wrong(
    "two_out",
    "a mean over two outputs, too",
    "size|mean|output|n_out",
    twins=(rf"factor|\b2\b|half|1/2 & {MISSING}|half|1/2|0\.5",),
)
def mean_over_two_outputs(W, B, x, t):
    A, y = forward(W, B, x)
    N, K = y.shape
    dz = 2.0 / (N * K) * (y - t)  # <--
    dW2, db2 = A[2].T @ dz, dz.sum(0)
    dz = np.where(A[2] > 0, dz @ W[2].T, 0)
    dW1, db1 = A[1].T @ dz, dz.sum(0)
    dz = np.where(A[1] > 0, dz @ W[1].T, 0)
    return [A[0].T @ dz, dW1, dW2], [dz.sum(0), db1, db2]


@wrong("float32", "the factor 2 is missing", rf"\b2\b|half|twice & {MISSING}|half|1/2|0\.5|twice")
def no_factor_two(W, B, x, t):
    A, y = forward(W, B, x)
    delta = (y - t) / len(y)  # <--
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=0))
        delta = delta @ W[i].T * (A[i] > 0)
    return DW[::-1], DB[::-1]


@wrong("huge", "t - y in the place of y - t", "sign|negativ|-1|t - y")
def other_sign(W, B, x, t):
    A, y = forward(W, B, x)
    error = t - y  # <--
    delta = 2 * error / len(y)
    DW, DB = [None] * len(W), [None] * len(W)
    for i in reversed(range(len(W))):
        DW[i], DB[i] = A[i].T @ delta, delta.sum(axis=0)
        delta = delta @ W[i].T * (A[i] > 0)
    return DW, DB


@wrong("plain", "the targets are forgotten", rf"targets?\b|\bt\b & {MISSING}|only|alone")
class NoTargets(Net):
    def backward(self, y, t):
        delta = 2 * y / len(y)  # <--
        self.DW, self.DB = [], []
        for i in reversed(range(len(self.W))):
            self.DW.insert(0, self.A[i].T @ delta)
            self.DB.insert(0, delta.sum(axis=0))
            delta = (delta @ self.W[i].T) * (self.A[i] > 0)


@wrong("tiny", "the slope of an absolute error", "sign|abs|absolute|mae")
def absolute_error(W, B, x, t):
    A, y = forward(W, B, x)
    delta = np.sign(y - t) / len(y)  # <--
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=0))
        delta = delta @ W[i].T * (A[i] > 0)
    return DW[::-1], DB[::-1]


@wrong("linear", "the loss itself in the place of its slope", r"squar|\*\* ?2|power|itself")
def squared_error_itself(W, B, x, t):
    y = x @ W[0] + B[0]
    delta = (y - t) ** 2 / len(y)  # <--
    return [x.T @ delta], [delta.sum(axis=0)]


@wrong("plain", "the targets in reverse order", "rows|order|revers|target|sample")
def targets_reversed(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t[::-1]) / len(y)  # <--
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=0))
        delta = delta @ W[i].T * (A[i] > 0)
    return DW[::-1], DB[::-1]


@wrong(
    "plain", "targets of the next sample", "rows|roll|order|shift|target|sample|next", listed=False
)
class TargetsOfTheNextSample(Net):
    def backward(self, y, t):
        self.DW, self.DB = [], []
        delta = y - np.roll(t, -1, axis=0)  # <--
        delta = 2 * delta / len(t)
        for i in reversed(range(len(self.W))):
            self.DW.insert(0, self.A[i].T @ delta)
            self.DB.insert(0, delta.sum(axis=0))
            delta = (delta @ self.W[i].T) * (self.A[i] > 0)


@wrong("one_out", "y (batch, 1) minus t (batch,)", "broadcast|shape|\\(7, 7\\)")
class Flattened(Net):
    def backward(self, y, t):
        t = t.ravel()  # <--
        delta = 2 * (y - t) / len(y)  # <--
        self.DW, self.DB = [None] * len(self.W), [None] * len(self.W)
        for i in reversed(range(len(self.W))):
            self.DW[i] = self.A[i].T @ delta
            self.DB[i] = delta.sum(axis=0)
            if i > 0:
                delta = (delta @ self.W[i].T) * (self.A[i] > 0)


@wrong(
    "one_out", "targets averaged by broadcasting, without an exception", "broadcast|mean|average"
)
def broadcast_and_summed(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t.ravel()).mean(axis=1, keepdims=True) / len(y)  # <--
    DW, DB = [None] * len(W), [None] * len(W)
    for i in reversed(range(len(W))):
        DW[i] = A[i].T @ delta
        DB[i] = delta.sum(axis=0)
        if i > 0:
            delta = (delta @ W[i].T) * (A[i] > 0)
    return DW, DB


@wrong(
    "two_out", "a relu mask at the output", "output|last|y > 0 & mask|relu|slope|derivative|active"
)
def mask_at_the_output(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y) * (y > 0)  # <--
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=0))
        delta = delta @ W[i].T * (A[i] > 0)
    return DW[::-1], DB[::-1]


@wrong(
    "plain",
    "divides by the number of layers",
    r"factor|multiple|constant|times 2\.3|layers|len ?\( ?W",
    listed=False,
)
class DividedByLayers(Net):
    def backward(self, y, t):
        n = len(self.W)  # <--
        delta = 2 * (y - t) / n  # <--
        DW, DB = [], []
        for i in reversed(range(len(self.W))):
            DW.append(self.A[i].T @ delta)
            DB.append(delta.sum(axis=0))
            delta = delta @ self.W[i].T * (self.A[i] > 0)
        self.DW, self.DB = DW[::-1], DB[::-1]


@wrong(
    "plain",
    "divides by batch - 1",
    r"multiple|constant|times 1\.1|1\.16|- 1|7/6",
    listed=False,
)
def sample_variance(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / (len(y) - 1)  # <--
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=0))
        delta = delta @ W[i].T * (A[i] > 0)
    return DW[::-1], DB[::-1]


@wrong("plain", "the loss has a square root", "root|constant|same factor|multiple|one factor")
def root_of_the_loss(W, B, x, t):
    A, y = forward(W, B, x)
    rmse = np.sqrt(np.sum((y - t) ** 2) / len(y))
    delta = (y - t) / (len(y) * rmse)  # <--
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=0))
        delta = delta @ W[i].T * (A[i] > 0)
    return DW[::-1], DB[::-1]


@wrong("plain", "multiplied by the learning rate", "learning|constant|factor|multiple|0\\.01")
class WithLearningRate(Net):
    lr = 0.01

    def backward(self, y, t):
        delta = 2 * (y - t) / len(y)
        DW, DB = [], []
        for i in reversed(range(len(self.W))):
            DW.append(self.lr * self.A[i].T @ delta)  # <--
            DB.append(self.lr * delta.sum(axis=0))  # <--
            delta = delta @ self.W[i].T * (self.A[i] > 0)
        self.DW, self.DB = DW[::-1], DB[::-1]


@wrong(
    "plain",
    "returns the updated weights, not gradients",
    r"updat|W\[\w\] -|minus|weights (themselves|instead|after)|learning|step",
    listed=False,
)
def returns_new_weights(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    new_W, new_B = list(W), list(B)
    for i in reversed(range(len(W))):
        new_W[i] = W[i] - 0.1 * A[i].T @ delta  # <--
        new_B[i] = B[i] - 0.1 * delta.sum(axis=0)  # <--
        delta = delta @ W[i].T * (A[i] > 0)
    return new_W, new_B


@wrong("two_out", "the gradient is clipped", "clip|limit|bound|largest", listed=False)
class Clipped(Net):
    def backward(self, y, t):
        delta = 2 * (y - t) / len(y)
        delta = np.clip(delta, -0.2, 0.2)  # <--
        DW, DB = [], []
        for i in reversed(range(len(self.W))):
            DW.append(self.A[i].T @ delta)
            DB.append(delta.sum(axis=0))
            delta = delta @ self.W[i].T * (self.A[i] > 0)
        self.DW, self.DB = DW[::-1], DB[::-1]


@wrong(
    "plain",
    "each gradient scaled to length 1",
    "norm|length|scale|multiple|factor|constant",
    listed=False,
)
def normalised(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        dw = A[i].T @ delta
        DW.append(dw / np.linalg.norm(dw))  # <--
        DB.append(delta.sum(axis=0))
        delta = delta @ W[i].T * (A[i] > 0)
    return DW[::-1], DB[::-1]


@wrong("near_fit", "rounded on the way", "round|precision|decimals|digits", listed=False)
def rounded(W, B, x, t):
    A, y = forward(W, B, x)
    delta = np.round(2 * (y - t) / len(y), 9)  # <--
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=0))
        delta = delta @ W[i].T * (A[i] > 0)
    return DW[::-1], DB[::-1]


# --- the mask -------------------------------------------------------------------------------------


@wrong("plain", "no mask", f"{MASK} & {MISSING}")
class NoMask(Net):
    def backward(self, y, t):
        delta = 2 * (y - t) / len(y)
        DW, DB = [], []
        for i in reversed(range(len(self.W))):
            DW.append(self.A[i].T @ delta)
            DB.append(delta.sum(axis=0))
            if i > 0:
                delta = delta @ self.W[i].T  # <--
        self.DW, self.DB = DW[::-1], DB[::-1]


@wrong("active", "no mask, where the data do not show it", f"{MASK} & {MISSING}")
def no_mask_all_active(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=0))
        delta = delta @ W[i].T  # <--
    return DW[::-1], DB[::-1]


@wrong("wide", "a mask A >= 0", f"{MASK}|>= & {MISSING}|>=")
def mask_at_least_zero(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=0))
        delta = delta @ W[i].T * (A[i] >= 0)  # <--
    return DW[::-1], DB[::-1]


@wrong("deep", "no mask at one layer", f"{MASK} & {MISSING}")
def no_mask_at_layer_four(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=0))
        delta = delta @ W[i].T
        if i != 4:  # <--
            delta = delta * (A[i] > 0)
    return DW[::-1], DB[::-1]


@wrong(
    "square",
    "the mask of the layer below",
    f"{MASK} & below|A\\[i ?- ?1\\]|A\\[[01]\\]|other|wrong layer|layer|index",
)
class MaskOfTheLayerBelow(Net):
    def backward(self, y, t):
        delta = 2 * (y - t) / len(y)
        DW, DB = [], []
        for i in reversed(range(len(self.W))):
            DW.append(self.A[i].T @ delta)
            DB.append(delta.sum(axis=0))
            delta = delta @ self.W[i].T * (self.A[i - 1] > 0)  # <--
        self.DW, self.DB = DW[::-1], DB[::-1]


@wrong(
    "square",
    "the mask of the layer above",
    f"{MASK} & above|index|layer|A\\[[23]\\]|Z\\[[23]\\]|y > 0|other",
)
class MaskOfTheLayerAbove(Net):
    def backward(self, y, t):
        delta = 2 * (y - t) / len(y)
        DW, DB = [], []
        for i in reversed(range(len(self.W))):
            DW.append(self.A[i].T @ delta)
            DB.append(delta.sum(axis=0))
            delta = delta @ self.W[i].T * (self.Z[i] > 0)  # <--
        self.DW, self.DB = DW[::-1], DB[::-1]


@wrong(
    "plain",
    "multiplied by relu(z), not by its slope",
    r"A\[|relu|activation & instead|value|itself|slope|derivative",
)
def activation_for_its_slope(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=0))
        delta = delta @ W[i].T * np.maximum(A[i], 0)  # <--
    return DW[::-1], DB[::-1]


@wrong(
    "plain",
    "the mask is inverted",
    f"{MASK}|<= & invert|opposite|<|inactive|complement|other way|reverse",
)
class MaskInverted(Net):
    def backward(self, y, t):
        delta = 2 * (y - t) / len(y)
        DW, DB = [], []
        for i in reversed(range(len(self.W))):
            DW.append(self.A[i].T @ delta)
            DB.append(delta.sum(axis=0))
            if i > 0:
                delta = delta @ self.W[i].T
                delta[self.A[i] > 0] = 0  # <--
        self.DW, self.DB = DW[::-1], DB[::-1]


@wrong(
    "plain",
    "the mask overwrites the gradient",
    f"{MASK} & replac|overwr|instead|only|alone|count|integer|itself|{MISSING}",
)
class MaskOverwrites(Net):
    def backward(self, y, t):
        delta = 2 * (y - t) / len(y)
        DW, DB = [], []
        for i in reversed(range(len(self.W))):
            DW.append(self.A[i].T @ delta)
            DB.append(delta.sum(axis=0))
            if i > 0:
                delta = delta @ self.W[i].T
                delta[self.A[i] > 0] = 1  # <--
                delta[self.A[i] <= 0] = 0
        self.DW, self.DB = DW[::-1], DB[::-1]


@wrong("plain", "one sample's mask for all", f"{MASK} & first|sample|row")
def mask_of_the_first_sample(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=0))
        delta = delta @ W[i].T * (A[i][0] > 0)  # <--
    return DW[::-1], DB[::-1]


@wrong(
    "plain",
    "a unit that is active for any sample counts for all",
    rf"{MASK} & \bany\b|all samples|rows?\b|mean|same for",
    listed=False,
)
def mask_of_any_sample(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=0))
        alive = A[i].mean(axis=0) > 0.5  # <--
        delta = delta @ W[i].T * alive  # <--
    return DW[::-1], DB[::-1]


@wrong(
    "deep",
    "weights' gradient taken before the mask",
    f"dW|weight|before & {MASK} & {MISSING}|before|unmasked",
)
def weights_before_the_mask(W, B, x, t):
    A, y = forward(W, B, x)
    delta = before = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ before)  # <--
        DB.append(delta.sum(axis=0))
        before = delta @ W[i].T
        delta = before * (A[i] > 0)
    return DW[::-1], DB[::-1]


@wrong(
    "two_out",
    "bias gradient from the unmasked delta",
    f"dB|bias|before & {MASK} & {MISSING}|before|unmasked",
)
class BiasBeforeTheMask(Net):
    def backward(self, y, t):
        g = 2 * (y - t) / len(y)
        n = len(self.W)
        self.DW, self.DB = [None] * n, [None] * n
        self.DW[-1], self.DB[-1] = self.A[-1].T @ g, g.sum(0)
        for i in range(n - 2, -1, -1):
            g = g @ self.W[i + 1].T
            self.DB[i] = g.sum(0)  # <--
            g = g * (self.A[i + 1] > 0)
            self.DW[i] = self.A[i].T @ g


@wrong("near_fit", "the slope of a leaky relu", r"leaky|0\.01")
def leaky(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=0))
        delta = delta @ W[i].T * np.where(A[i] > 0, 1, 0.01)  # <--
    return DW[::-1], DB[::-1]


@wrong(
    "plain",
    "relu of delta in the place of the mask",
    r"(relu|maximum)( ?\(| of)|negative|clipped at 0|positive part",
)
def relu_of_delta(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=0))
        delta = np.maximum(delta @ W[i].T, 0)  # <--
    return DW[::-1], DB[::-1]


@wrong("plain", "the slope of the sigmoid in a relu net", r"sigmoid|1 - ", listed=False)
class SigmoidHabit(Net):
    def backward(self, y, t):
        delta = 2 * (y - t) / len(y)
        DW, DB = [], []
        for i in reversed(range(len(self.W))):
            a = self.A[i]
            DW.append(a.T @ delta)
            DB.append(delta.sum(axis=0))
            delta = delta @ self.W[i].T * a * (1 - a)  # <--
        self.DW, self.DB = DW[::-1], DB[::-1]


@wrong(
    "plain",
    "z is computed again without the bias",
    rf"{MASK}|Z\[ & bias|B\[",
    listed=False,
)
def mask_without_bias(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=0))
        if i > 0:
            z = A[i - 1] @ W[i - 1]  # <--
            delta = delta @ W[i].T * (z > 0)
    return DW[::-1], DB[::-1]


@wrong(
    "plain",
    "z is computed again with weights that were updated",
    "updat|chang|state|step|new weights|overwr",
    twins=(rf"{MASK} & weights|W\[|updat|other",),
    listed=False,
)
class MaskAfterTheStep(Net):
    def backward(self, y, t):
        n = len(self.W)
        self.DW, self.DB = [None] * n, [None] * n
        delta = 2 * (y - t) / len(y)
        old = [w.copy() for w in self.W]
        for i in range(n):
            self.W[i] = self.W[i] - 0.5 * np.sign(self.W[i])  # <--
        for i in reversed(range(n)):
            self.DW[i] = self.A[i].T @ delta
            self.DB[i] = delta.sum(axis=0)
            if i > 0:
                z = self.A[i - 1] @ self.W[i - 1] + self.B[i - 1]  # <--
                delta = delta @ old[i].T * (z > 0)
        self.W = old


@wrong("plain", "the mask with a threshold of a half", r"threshold|0\.5", listed=False)
def mask_above_a_half(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=0))
        delta = delta @ W[i].T * (A[i] > 0.5)  # <--
    return DW[::-1], DB[::-1]


@wrong(
    "plain",
    "sign(z) for the slope: -1 where it is 0",
    r"np\.sign|sign of z|-1 (where|for|at)|is -1, not 0|sign ?\(|inactive",
    listed=False,
)
class SignForMask(Net):
    def backward(self, y, t):
        delta = 2 * (y - t) / len(y)
        DW, DB = [], []
        for i in reversed(range(len(self.W))):
            DW.append(self.A[i].T @ delta)
            DB.append(delta.sum(axis=0))
            if i > 0:
                delta = delta @ self.W[i].T * np.sign(self.Z[i - 1])  # <--
        self.DW, self.DB = DW[::-1], DB[::-1]


@wrong("kinks", "no mask at all, many z at 0", f"{MASK} & {MISSING}")
def no_mask_at_kinks(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=0))
        delta = delta @ W[i].T  # <--
    return DW[::-1], DB[::-1]


@wrong("plain", "the mask as a ratio, which is 0 / 0", "nan|finite|0 ?/ ?0|divi")
def ratio_for_mask(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=0))
        if i > 0:
            delta = delta @ W[i].T * (A[i] / np.abs(A[i]))  # <--
    return DW[::-1], DB[::-1]


@wrong(
    "plain", "another random mask at each call", "random|differ|same data|twice|nondeterm|repeat"
)
class Dropout(Net):
    def backward(self, y, t):
        delta = 2 * (y - t) / len(y)
        DW, DB = [], []
        for i in reversed(range(len(self.W))):
            DW.append(self.A[i].T @ delta)
            DB.append(delta.sum(axis=0))
            if i > 0:
                keep = np.random.rand(*self.A[i].shape) > 0.3  # <--
                delta = delta @ self.W[i].T * (self.A[i] > 0) * keep  # <--
        self.DW, self.DB = DW[::-1], DB[::-1]


@wrong(
    "plain",
    "the scale of dropout without dropout",
    r"1\.25|0\.8|dropout|constant",
    listed=False,
)
def dropout_scale_left(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    keep = 0.8
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=0))
        delta = delta @ W[i].T * (A[i] > 0) / keep  # <--
    return DW[::-1], DB[::-1]


# --- weights and activations ----------------------------------------------------------------------


@wrong(
    "square",
    "W is not transposed",
    f"transpos|\\.T & {MISSING}|transpos",
    twins=("reshape",),
)
def weights_not_transposed(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=0))
        delta = delta @ W[i] * (A[i] > 0)  # <--
    return DW[::-1], DB[::-1]


@wrong("plain", "W is not transposed, which raises", "transpos|\\.T|shape|raise|matmul")
class NotTransposedRaises(Net):
    def backward(self, y, t):
        delta = 2 * (y - t) / len(y)
        DW, DB = [], []
        for i in reversed(range(len(self.W))):
            DW.append(self.A[i].T @ delta)
            DB.append(delta.sum(axis=0))
            if i > 0:
                delta = delta @ self.W[i] * (self.A[i] > 0)  # <--
        self.DW, self.DB = DW[::-1], DB[::-1]


@wrong("plain", "W is reshaped, not transposed", "reshape")
def weights_reshaped(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=0))
        delta = delta @ W[i].reshape(W[i].shape[1], -1) * (A[i] > 0)  # <--
    return DW[::-1], DB[::-1]


@wrong("plain", "A is reshaped, not transposed", "reshape & A")
class ActivationsReshaped(Net):
    def backward(self, y, t):
        delta = 2 * (y - t) / len(y)
        DW, DB = [], []
        for i in reversed(range(len(self.W))):
            DW.append(self.A[i].reshape(-1, len(y)) @ delta)  # <--
            DB.append(delta.sum(axis=0))
            delta = delta @ self.W[i].T * (self.A[i] > 0)
        self.DW, self.DB = DW[::-1], DB[::-1]


@wrong("plain", "np.resize in the place of a transpose", "reshape|resize", listed=False)
def activations_resized(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(np.resize(A[i], A[i].shape[::-1]) @ delta)  # <--
        DB.append(delta.sum(axis=0))
        delta = delta @ W[i].T * (A[i] > 0)
    return DW[::-1], DB[::-1]


@wrong("square", "the gradient of W is transposed", "transpos|\\.T")
def gradient_transposed(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(delta.T @ A[i])  # <--
        DB.append(delta.sum(axis=0))
        delta = delta @ W[i].T * (A[i] > 0)
    return DW[::-1], DB[::-1]


@wrong("plain", "the gradient of W has its shape reversed", "transpos|\\.T|shape")
class GradientTransposed(Net):
    def backward(self, y, t):
        delta = 2 * (y - t) / len(y)
        DW, DB = [], []
        for i in reversed(range(len(self.W))):
            DW.append(delta.T @ self.A[i])  # <--
            DB.append(delta.sum(axis=0))
            delta = delta @ self.W[i].T * (self.A[i] > 0)
        self.DW, self.DB = DW[::-1], DB[::-1]


@wrong(
    "square",
    "the weights of the layer below",
    "W\\[|layer|index|weights & below|W\\[[012]\\]|index|i ?- ?1|other|layer",
)
def weights_of_the_layer_below(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=0))
        if i > 0:
            delta = delta @ W[i - 1].T * (A[i] > 0)  # <--
    return DW[::-1], DB[::-1]


@wrong(
    "square",
    "the activations of the layer below",
    "A\\[|activation & below|A\\[[012]\\]|index|i ?- ?1|other|layer",
)
class ActivationsOfTheLayerBelow(Net):
    def backward(self, y, t):
        delta = 2 * (y - t) / len(y)
        DW, DB = [], []
        for i in reversed(range(len(self.W))):
            DW.append(self.A[max(i - 1, 0)].T @ delta)  # <--
            DB.append(delta.sum(axis=0))
            delta = delta @ self.W[i].T * (self.A[i] > 0)
        self.DW, self.DB = DW[::-1], DB[::-1]


@wrong(
    "square_batch",
    "x in the place of A[i]",
    r"A\[[01]\]|\bx\b|input|(an)?other layer|layer below",
    listed=False,
)
def input_at_every_layer(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(x.T @ delta)  # <--
        DB.append(delta.sum(axis=0))
        delta = delta @ W[i].T * (A[i] > 0)
    return DW[::-1], DB[::-1]


@wrong(
    "plain",
    "z in the place of A",
    r"Z\[|pre-?activation|before (the )?(relu|activation)",
    listed=False,
)
class BeforeTheRelu(Net):
    def backward(self, y, t):
        delta = 2 * (y - t) / len(y)
        DW, DB = [], []
        for i in reversed(range(len(self.W))):
            a = self.Z[i - 1] if i > 0 else self.A[0]  # <--
            DW.append(a.T @ delta)
            DB.append(delta.sum(axis=0))
            delta = delta @ self.W[i].T * (self.A[i] > 0)
        self.DW, self.DB = DW[::-1], DB[::-1]


@wrong("plain", "goes back through the gradient of W", r"dW|gradient of (the )?(W|weights)")
def gradient_for_weights(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        dw = A[i].T @ delta
        DW.append(dw)
        DB.append(delta.sum(axis=0))
        delta = delta @ dw.T * (A[i] > 0)  # <--
    return DW[::-1], DB[::-1]


@wrong(
    "plain",
    "weights are updated before delta is carried on",
    "updat|chang|state|already|early|before",
)
class UpdatedTooEarly(Net):
    def backward(self, y, t):
        delta = 2 * (y - t) / len(y)
        DW, DB = [], []
        for i in reversed(range(len(self.W))):
            DW.append(self.A[i].T @ delta)
            DB.append(delta.sum(axis=0))
            self.W[i] = self.W[i] - 0.1 * DW[-1]  # <--
            self.B[i] = self.B[i] - 0.1 * DB[-1]
            delta = delta @ self.W[i].T * (self.A[i] > 0)
        self.DW, self.DB = DW[::-1], DB[::-1]


@wrong(
    "plain",
    "the gradient is written into a view of W",
    r"updat|changed|overwr|view|memory|dW",
    listed=False,
)
class GradientIntoView(Net):
    def backward(self, y, t):
        self.DW = [w[:] for w in self.W]  # <--
        self.DB = [b.copy() for b in self.B]
        delta = 2 * (y - t) / len(y)
        for i in reversed(range(len(self.W))):
            self.DW[i][:] = self.A[i].T @ delta  # <--
            self.DB[i][:] = delta.sum(axis=0)
            delta = delta @ self.W[i].T * (self.A[i] > 0)


@wrong(
    "square",
    "delta is not carried on",
    r"carried|propagat|passed on|unchanged|same|without W|identity",
)
def delta_stays(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=0))
        hidden = delta @ W[i].T * (A[i] > 0)  # <--
    return DW[::-1], DB[::-1]


@wrong(
    "square", "delta is added to, not replaced", r"added|accumulat|plus|\+=|sum of", listed=False
)
def delta_accumulates(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=0))
        delta = delta + delta @ W[i].T * (A[i] > 0)  # <--
    return DW[::-1], DB[::-1]


@wrong("deep", "another sign at every layer", "sign|negativ|-1")
def sign_at_every_layer(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=0))
        delta = -delta @ W[i].T * (A[i] > 0)  # <--
    return DW[::-1], DB[::-1]


@wrong("square", "an index of einsum is slipped: transposed", "transpos|\\.T", listed=False)
def einsum_transposed(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(np.einsum("nj,nk->kj", A[i], delta))  # <--
        DB.append(delta.sum(axis=0))
        delta = np.einsum("nk,jk->nj", delta, W[i]) * (A[i] > 0)
    return DW[::-1], DB[::-1]


@wrong(
    "square",
    "an index of einsum is slipped: W not transposed",
    f"transpos|\\.T & {MISSING}|transpos",
    listed=False,
)
def einsum_weights(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(np.einsum("nj,nk->jk", A[i], delta))
        DB.append(delta.sum(axis=0))
        delta = np.einsum("nk,kj->nj", delta, W[i]) * (A[i] > 0)  # <--
    return DW[::-1], DB[::-1]


@wrong(
    "plain",
    "every sample of A meets every sample of delta",
    r"outer|pairs|all samples|means?\b|sums",
    listed=False,
)
def einsum_all_pairs(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(np.einsum("nj,mk->jk", A[i], delta))  # <--
        DB.append(delta.sum(axis=0))
        delta = np.einsum("nk,jk->nj", delta, W[i]) * (A[i] > 0)
    return DW[::-1], DB[::-1]


@wrong("plain", "the outer product of means", r"outer|means?\b|average", listed=False)
class OuterOfMeans(Net):
    def backward(self, y, t):
        delta = 2 * (y - t) / len(y)
        DW, DB = [], []
        for i in reversed(range(len(self.W))):
            DW.append(np.outer(self.A[i].mean(axis=0), delta.sum(axis=0)))  # <--
            DB.append(delta.sum(axis=0))
            delta = delta @ self.W[i].T * (self.A[i] > 0)
        self.DW, self.DB = DW[::-1], DB[::-1]


@wrong(
    "plain",
    "samples of A and delta are shifted against each other",
    "row|shift|sample|order|roll|last",
    listed=False,
)
def samples_shifted(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i][:-1].T @ delta[1:])  # <--
        DB.append(delta.sum(axis=0))
        delta = delta @ W[i].T * (A[i] > 0)
    return DW[::-1], DB[::-1]


@wrong("plain", "flipped, not transposed", r"revers|flip|::-1|order of", listed=False)
def flipped_columns(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=0))
        delta = delta @ W[i].T[:, ::-1] * (A[i] > 0)  # <--
    return DW[::-1], DB[::-1]


@wrong(
    "plain",
    "the gradient of the sum over the batch adds up row by row",
    r"cumul|cumsum|running",
    listed=False,
)
def running_sum(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=0))
        delta = np.cumsum(delta @ W[i].T * (A[i] > 0), axis=0)  # <--
    return DW[::-1], DB[::-1]


@wrong("plain", "the bias goes back, too", "bias|B\\[", listed=False)
class BiasInDelta(Net):
    def backward(self, y, t):
        delta = 2 * (y - t) / len(y)
        DW, DB = [], []
        for i in reversed(range(len(self.W))):
            DW.append(self.A[i].T @ delta)
            DB.append(delta.sum(axis=0))
            delta = (delta + self.B[i]) @ self.W[i].T * (self.A[i] > 0)  # <--
        self.DW, self.DB = DW[::-1], DB[::-1]


@wrong("plain", "the absolute value of delta", r"abs|factor np\.sign", listed=False)
def absolute_delta(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=0))
        delta = abs(delta @ W[i].T) * (A[i] > 0)  # <--
    return DW[::-1], DB[::-1]


@wrong("plain", "a mean over the features of delta", "mean|average|feature|axis", listed=False)
def mean_of_features(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=0))
        delta = (delta @ W[i].T).mean(axis=1, keepdims=True) * (A[i] > 0)  # <--
    return DW[::-1], DB[::-1]


# --- biases ---------------------------------------------------------------------------------------


@wrong("two_out", "a mean for the biases", r"mean|divid|batch & bias|dB|B\[")
def bias_mean(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.mean(axis=0))  # <--
        delta = delta @ W[i].T * (A[i] > 0)
    return DW[::-1], DB[::-1]


@wrong("batch1", "a mean for the biases, at a batch of one", r"mean|divid|batch & bias|dB|B\[")
class BiasMean(Net):
    def backward(self, y, t):
        delta = 2 * (y - t) / len(y)
        DW, DB = [], []
        for i in reversed(range(len(self.W))):
            DW.append(self.A[i].T @ delta)
            DB.append(np.mean(delta, axis=0))  # <--
            delta = delta @ self.W[i].T * (self.A[i] > 0)
        self.DW, self.DB = DW[::-1], DB[::-1]


@wrong("plain", "the biases are not summed over the batch", "sum & bias|dB|batch|shape|B\\[")
def bias_not_summed(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta)  # <--
        delta = delta @ W[i].T * (A[i] > 0)
    return DW[::-1], DB[::-1]


@wrong("plain", "the sum keeps its axis", "keepdims|shape|\\(1, ")
class BiasKeepsAxis(Net):
    def backward(self, y, t):
        delta = 2 * (y - t) / len(y)
        DW, DB = [], []
        for i in reversed(range(len(self.W))):
            DW.append(self.A[i].T @ delta)
            DB.append(delta.sum(axis=0, keepdims=True))  # <--
            delta = delta @ self.W[i].T * (self.A[i] > 0)
        self.DW, self.DB = DW[::-1], DB[::-1]


@wrong("square_batch", "the biases are summed over the wrong axis", r"axis|transposed, in dB")
def bias_wrong_axis(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=1))  # <--
        delta = delta @ W[i].T * (A[i] > 0)
    return DW[::-1], DB[::-1]


@wrong("batch_width", "the biases are summed over the wrong axis", "axis")
class BiasWrongAxis(Net):
    def backward(self, y, t):
        delta = 2 * (y - t) / len(y)
        DW, DB = [], []
        for i in reversed(range(len(self.W))):
            DW.append(self.A[i].T @ delta)
            DB.append(np.sum(delta, 1))  # <--
            delta = delta @ self.W[i].T * (self.A[i] > 0)
        self.DW, self.DB = DW[::-1], DB[::-1]


@wrong("plain", "one number for all biases", r"total|axis|all entries|one number|whole")
def bias_total(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(np.full_like(B[i], delta.sum()))  # <--
        delta = delta @ W[i].T * (A[i] > 0)
    return DW[::-1], DB[::-1]


@wrong(
    "square", "the biases of the layer below", r"below|another|other|index|d[ZA]\[|previous|next"
)
def bias_of_the_layer_below(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        if i > 0:
            delta = delta @ W[i].T * (A[i] > 0)
        DB.append(delta.sum(axis=0))  # <--
    return DW[::-1], DB[::-1]


@wrong("plain", "the other sign in the biases only", "sign|negativ|-1 & bias|dB|B\\[", listed=False)
class BiasSign(Net):
    def backward(self, y, t):
        delta = 2 * (y - t) / len(y)
        DW, DB = [], []
        for i in reversed(range(len(self.W))):
            DW.append(self.A[i].T @ delta)
            DB.append(-delta.sum(axis=0))  # <--
            delta = delta @ self.W[i].T * (self.A[i] > 0)
        self.DW, self.DB = DW[::-1], DB[::-1]


@wrong("float32", "the bias is added to its gradient", "bias|B\\[|penalty|decay", listed=False)
def bias_added(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=0) + B[i])  # <--
        delta = delta @ W[i].T * (A[i] > 0)
    return DW[::-1], DB[::-1]


@wrong("plain", "the largest of the batch for the biases", r"max|largest", listed=False)
def bias_maximum(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.max(axis=0))  # <--
        delta = delta @ W[i].T * (A[i] > 0)
    return DW[::-1], DB[::-1]


# --- loops and lists ------------------------------------------------------------------------------


@wrong("plain", "the lists are not reversed", "revers|order|list")
class NotReversed(Net):
    def backward(self, y, t):
        delta = 2 * (y - t) / len(y)
        self.DW, self.DB = [], []
        for i in reversed(range(len(self.W))):
            self.DW.append(self.A[i].T @ delta)  # <--
            self.DB.append(delta.sum(axis=0))  # <--
            delta = delta @ self.W[i].T * (self.A[i] > 0)


@wrong("deep", "the list of biases is not reversed", "revers|order|list & bias|DB|dB|one|list")
def one_list_not_reversed(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.insert(0, A[i].T @ delta)
        DB.append(delta.sum(axis=0))  # <--
        delta = delta @ W[i].T * (A[i] > 0)
    return DW, DB


@wrong("square", "no list is reversed, in a net of equal layers", "revers|order|list")
def not_reversed_square(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=0))
        delta = delta @ W[i].T * (A[i] > 0)
    return DW, DB  # <--


@wrong(
    "plain",
    "the loop stops before the first layer",
    r"loop|first layer|layer 0|none|zero|never|not computed|stops|missing",
)
class StopsEarly(Net):
    def backward(self, y, t):
        n = len(self.W)
        self.DW = [np.zeros_like(w) for w in self.W]
        self.DB = [np.zeros_like(b) for b in self.B]
        delta = 2 * (y - t) / len(y)
        for i in range(n - 1, 0, -1):  # <--
            self.DW[i] = self.A[i].T @ delta
            self.DB[i] = delta.sum(axis=0)
            delta = delta @ self.W[i].T * (self.A[i] > 0)


@wrong(
    "deep",
    "the loop starts at the wrong end",
    r"loop|order|direction|zero|propagat|never",
    listed=False,
)
def loop_from_the_front(W, B, x, t):
    A, y = forward(W, B, x)
    DW = [np.zeros_like(w) for w in W]
    DB = [np.zeros_like(b) for b in B]
    deltas = [np.zeros((len(x), w.shape[1])) for w in W]
    deltas[-1] = 2 * (y - t) / len(y)
    for i in range(len(W) - 1):  # <--
        deltas[i] = deltas[i + 1] @ W[i + 1].T * (A[i + 1] > 0)
    for i in range(len(W)):
        DW[i], DB[i] = A[i].T @ deltas[i], deltas[i].sum(axis=0)
    return DW, DB


@wrong("plain", "each sample overwrites the one before", r"sample|overwr|row")
def samples_overwrite(W, B, x, t):
    A, y = forward(W, B, x)
    DW = [np.zeros_like(w) for w in W]
    DB = [np.zeros_like(b) for b in B]
    for n in range(len(x)):
        delta = 2 * (y[n] - t[n]) / len(x)
        for i in reversed(range(len(W))):
            DW[i] = np.outer(A[i][n], delta)  # <--
            DB[i] = delta  # <--
            delta = W[i] @ delta * (A[i][n] > 0)
    return DW, DB


@wrong("plain", "the last sample is left out", "sample|last|row|batch", listed=False)
class LastSampleLeftOut(Net):
    def backward(self, y, t):
        self.DW = [np.zeros_like(w) for w in self.W]
        self.DB = [np.zeros_like(b) for b in self.B]
        for n in range(len(y) - 1):  # <--
            delta = 2 * (y[n] - t[n]) / len(y)
            for i in reversed(range(len(self.W))):
                self.DW[i] += np.outer(self.A[i][n], delta)
                self.DB[i] += delta
                delta = self.W[i] @ delta * (self.A[i][n] > 0)


@wrong("plain", "the last output is left out", r"outputs?\b|columns?\b", listed=False)
def last_output_left_out(W, B, x, t):
    A, y = forward(W, B, x)
    delta = np.zeros_like(y)
    for k in range(y.shape[1] - 1):  # <--
        delta[:, k] = 2 * (y[:, k] - t[:, k]) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=0))
        delta = delta @ W[i].T * (A[i] > 0)
    return DW[::-1], DB[::-1]


@wrong(
    "plain",
    "divided by the batch again with every sample",
    r"sample|geometric|rows?\b|weighted",
    listed=False,
)
def divided_inside_the_loop(W, B, x, t):
    A, y = forward(W, B, x)
    DW = [np.zeros_like(w) for w in W]
    DB = [np.zeros_like(b) for b in B]
    for n in range(len(x)):
        delta = 2 * (y[n] - t[n])
        for i in reversed(range(len(W))):
            DW[i] += np.outer(A[i][n], delta)
            DB[i] += delta
            delta = W[i] @ delta * (A[i][n] > 0)
        DW = [dw / len(x) for dw in DW]  # <--
        DB = [db / len(x) for db in DB]  # <--
    return DW, DB


@wrong(
    "plain",
    "gradients of the step before are still there",
    r"second call|previous|earlier|reset|zero|accumul|left (behind|over)|state|call",
)
class NeverZeroed(Net):
    def __init__(self, sizes):
        super().__init__(sizes)
        self.DW = [np.zeros_like(w) for w in self.W]
        self.DB = [np.zeros_like(b) for b in self.B]

    def backward(self, y, t):
        delta = 2 * (y - t) / len(y)
        for i in reversed(range(len(self.W))):
            self.DW[i] = self.DW[i] + self.A[i].T @ delta  # <--
            self.DB[i] = self.DB[i] + delta.sum(axis=0)  # <--
            delta = delta @ self.W[i].T * (self.A[i] > 0)


@wrong(
    "plain",
    "lists that grow with every call",
    r"second call|previous|earlier|reset|grow|longer|too many|state|call",
    listed=False,
)
class ListsGrow(Net):
    def __init__(self, sizes):
        super().__init__(sizes)
        self.DW, self.DB = [], []  # <--

    def backward(self, y, t):
        delta = 2 * (y - t) / len(y)
        for i in reversed(range(len(self.W))):
            self.DW.insert(0, self.A[i].T @ delta)  # <--
            self.DB.insert(0, delta.sum(axis=0))  # <--
            delta = delta @ self.W[i].T * (self.A[i] > 0)


@wrong(
    "plain",
    "momentum from the step before",
    r"momentum|second call|previous|earlier|state|velocity|call",
    listed=False,
)
class Momentum(Net):
    def __init__(self, sizes):
        super().__init__(sizes)
        self.v = [0.0 for _ in self.W]

    def backward(self, y, t):
        delta = 2 * (y - t) / len(y)
        self.DW, self.DB = [None] * len(self.W), [None] * len(self.W)
        for i in reversed(range(len(self.W))):
            self.v[i] = 0.9 * self.v[i] + self.A[i].T @ delta  # <--
            self.DW[i] = self.v[i]
            self.DB[i] = delta.sum(axis=0)
            delta = delta @ self.W[i].T * (self.A[i] > 0)


# --- memory, dtypes, forward ----------------------------------------------------------------------


@wrong("plain", "A is changed in place", "A\\[|activation|chang|in place|overwr|state")
class ChangesActivations(Net):
    def backward(self, y, t):
        delta = 2 * (y - t) / len(y)
        DW, DB = [], []
        for i in reversed(range(len(self.W))):
            mask = self.A[i]
            mask[mask > 0] = 1  # <--
            DW.append(self.A[i].T @ delta)
            DB.append(delta.sum(axis=0))
            delta = delta @ self.W[i].T * mask
        self.DW, self.DB = DW[::-1], DB[::-1]


@wrong(
    "plain",
    "the sum for the bias is added up in a row of delta itself",
    "in place|alias|view|chang|memory|state|overwr|first sample|row",
    listed=False,
)
class SumInARowOfDelta(Net):
    def backward(self, y, t):
        delta = 2 * (y - t) / len(y)
        DW, DB = [], []
        for i in reversed(range(len(self.W))):
            DW.append(self.A[i].T @ delta)
            db = delta[0]  # <--
            for n in range(1, len(y)):
                db += delta[n]  # <--
            DB.append(db)
            delta = delta @ self.W[i].T * (self.A[i] > 0)
        self.DW, self.DB = DW[::-1], DB[::-1]


@wrong(
    "plain",
    "one array for all gradients",
    r"same array|memory|alias|shared|one array|same object|overwr",
    listed=False,
)
class OneArrayForAll(Net):
    def backward(self, y, t):
        widest = max(b.size for b in self.B)
        buffer = np.zeros(widest)  # <--
        delta = 2 * (y - t) / len(y)
        self.DW, self.DB = [None] * len(self.W), [None] * len(self.W)
        for i in reversed(range(len(self.W))):
            self.DW[i] = self.A[i].T @ delta
            self.DB[i] = buffer[: self.B[i].size]  # <--
            self.DB[i][:] = delta.sum(axis=0)
            delta = delta @ self.W[i].T * (self.A[i] > 0)


@wrong("plain", "a relu at the output, forward", r"forward|relu.*(output|last)|output.*relu")
class ReluAtTheOutput(Net):
    def forward(self, x):
        self.A = [x]
        for w, b in zip(self.W, self.B):
            self.A.append(np.maximum(self.A[-1] @ w + b, 0))  # <--
        return self.A[-1]

    def backward(self, y, t):
        delta = 2 * (y - t) / len(y)
        self.DW, self.DB = [], []
        for i in reversed(range(len(self.W))):
            delta = delta * (self.A[i + 1] > 0)
            self.DW.insert(0, self.A[i].T @ delta)
            self.DB.insert(0, delta.sum(axis=0))
            delta = delta @ self.W[i].T


@wrong("plain", "no bias, forward", r"forward|bias")
class NoBiasForward(Net):
    def forward(self, x):
        self.A = [x]
        for w in self.W[:-1]:
            self.A.append(np.maximum(self.A[-1] @ w, 0))  # <--
        return self.A[-1] @ self.W[-1]  # <--

    def backward(self, y, t):
        delta = 2 * (y - t) / len(y)
        self.DW, self.DB = [], []
        for i in reversed(range(len(self.W))):
            self.DW.insert(0, self.A[i].T @ delta)
            self.DB.insert(0, delta.sum(axis=0))
            delta = delta @ self.W[i].T * (self.A[i] > 0)


@wrong(
    "two_out",
    "z is stored in A",
    r"Z\[|pre-?activation|forward|before (the )?relu|A\[\d\] (is|differs|has)",
)
class StoresZ(Net):
    def forward(self, x):
        self.A = [x]
        h = x
        for i, (w, b) in enumerate(zip(self.W, self.B)):
            z = h @ w + b
            if i < len(self.W) - 1:
                self.A.append(z)  # <--
                h = np.maximum(z, 0)
        return z

    def backward(self, y, t):
        delta = 2 * (y - t) / len(y)
        self.DW, self.DB = [], []
        for i in reversed(range(len(self.W))):
            self.DW.insert(0, self.A[i].T @ delta)
            self.DB.insert(0, delta.sum(axis=0))
            delta = delta @ self.W[i].T * (self.A[i] > 0)


@wrong("plain", "gradients in integer arrays", "integer|int|dtype|truncat")
def integer_buffers(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    DW = [np.zeros(w.shape, int) for w in W]  # <--
    DB = [np.zeros(b.shape, int) for b in B]  # <--
    for i in reversed(range(len(W))):
        DW[i][:] = (A[i].T @ delta).astype(int)
        DB[i][:] = delta.sum(axis=0).astype(int)
        delta = delta @ W[i].T * (A[i] > 0)
    return DW, DB


@wrong("plain", "targets are made integers", r"integer|\bint\b|truncat|rounded")
class IntegerTargets(Net):
    def backward(self, y, t):
        t = np.array(t, dtype=int)  # <--
        delta = 2 * (y - t) / len(y)
        self.DW, self.DB = [], []
        for i in reversed(range(len(self.W))):
            self.DW.insert(0, self.A[i].T @ delta)
            self.DB.insert(0, delta.sum(axis=0))
            delta = delta @ self.W[i].T * (self.A[i] > 0)


@wrong("wide", "half precision on the way", r"precision|float16|\bhalf\b")
def half_precision(W, B, x, t):
    A, y = forward(W, B, x)
    delta = (2 * (y - t) / len(y)).astype(np.float16).astype(float)  # <--
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=0))
        delta = delta @ W[i].T * (A[i] > 0)
    return DW[::-1], DB[::-1]


@wrong("plain", "a penalty on the weights", "penalty|decay|W\\[|weights|lambda|parallel")
class WeightDecay(Net):
    def backward(self, y, t):
        delta = 2 * (y - t) / len(y)
        DW, DB = [], []
        for i in reversed(range(len(self.W))):
            DW.append(self.A[i].T @ delta + 0.01 * self.W[i])  # <--
            DB.append(delta.sum(axis=0))
            delta = delta @ self.W[i].T * (self.A[i] > 0)
        self.DW, self.DB = DW[::-1], DB[::-1]


# --- two mistakes, other activations --------------------------------------------------------------


@wrong(
    "plain",
    "not divided by the batch, and no mask",
    f"{BATCH} & {MISSING}|divid|factor",
    also=f"{MASK} & {MISSING}",
)
class TwoMistakes(Net):
    def backward(self, y, t):
        delta = 2 * (y - t)  # <--
        DW, DB = [], []
        for i in reversed(range(len(self.W))):
            DW.append(self.A[i].T @ delta)
            DB.append(delta.sum(axis=0))
            delta = delta @ self.W[i].T  # <--
        self.DW, self.DB = DW[::-1], DB[::-1]


@wrong(
    "deep",
    "a mean for the biases, and no mask at one layer",
    "mean|divid|batch & bias|dB|B\\[",
    also=f"{MASK} & {MISSING}",
)
def two_mistakes_apart(W, B, x, t):
    A, y = forward(W, B, x)
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.mean(axis=0))  # <--
        delta = delta @ W[i].T
        if i != 3:  # <--
            delta = delta * (A[i] > 0)
    return DW[::-1], DB[::-1]


@wrong("tanh", "1 - a for the slope of tanh", r"squar|1 - |\*\* ?2|\* A", listed=False)
def tanh_not_squared(W, B, x, t):
    A = [x]
    for w, b in zip(W[:-1], B[:-1]):
        A.append(np.tanh(A[-1] @ w + b))
    y = A[-1] @ W[-1] + B[-1]
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=0))
        delta = delta @ W[i].T * (1 - A[i])  # <--
    return DW[::-1], DB[::-1]


@wrong("tanh", "the mask of a relu in a tanh net", r"mask|relu", listed=False)
def relu_habit(W, B, x, t):
    A = [x]
    for w, b in zip(W[:-1], B[:-1]):
        A.append(np.tanh(A[-1] @ w + b))
    y = A[-1] @ W[-1] + B[-1]
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=0))
        delta = delta @ W[i].T * (A[i] > 0)  # <--
    return DW[::-1], DB[::-1]


@wrong("tanh", "no slope of tanh", f"tanh|slope|derivative|factor & {MISSING}")
def tanh_slope_missing(W, B, x, t):
    A = [x]
    for w, b in zip(W[:-1], B[:-1]):
        A.append(np.tanh(A[-1] @ w + b))
    y = A[-1] @ W[-1] + B[-1]
    delta = 2 * (y - t) / len(y)
    DW, DB = [], []
    for i in reversed(range(len(W))):
        DW.append(A[i].T @ delta)
        DB.append(delta.sum(axis=0))
        delta = delta @ W[i].T  # <--
    return DW[::-1], DB[::-1]
