"""Read handwriting: cross-entropy, Adam, and images that are moved anew in every epoch.

Run:  python examples/10_digits.py
"""

import time

import numpy as np

from tinygrad_mlp import MLP, Adam, Schedule, accuracy, cross_entropy, fit, no_grad
from tinygrad_mlp.data import batches, load_digits, shift
from tinygrad_mlp.optim import cosine

digits = load_digits()  # the test images were written by other people


def rows(images):
    """8 x 8 images as rows of 64 numbers from 0 to 1."""
    return images.reshape(-1, 64).astype(np.float32) / 16


def as_it_is(rng):
    return batches(rows(digits.train_images), digits.train_labels, 64, rng)


def moved(rng):
    return batches(rows(shift(digits.train_images, rng)), digits.train_labels, 64, rng)


def learn(data, epochs, seed=0):
    """A network that has learnt from the batches that data(rng) makes for each epoch."""
    rng = np.random.default_rng(seed)
    net = MLP([64, 192, 96, 10], rng=rng, dtype=np.float32)
    optimizer = Adam(net.parameters(), lr=0.004)
    schedule = Schedule(optimizer, cosine(epochs))  # the learning rate falls to 0
    fit(net, data, cross_entropy, optimizer, epochs, rng=rng, schedule=schedule, jit=True)
    return net


def show(images, texts):
    """Images side by side, in characters."""
    for lines in zip(*images):
        print("  ".join("".join(" .:-=+*#%@"[v * 9 // 16] * 2 for v in line) for line in lines))
    print("  ".join(f"{text:^16}" for text in texts), "\n")


right = {}
for data, epochs in ((as_it_is, 15), (moved, 30)):
    start = time.perf_counter()
    net = learn(data, epochs)
    with no_grad():
        logits = net(rows(digits.test_images)).data
    right[data] = accuracy(logits, digits.test_labels)
    print(f"{data.__name__:8}  {right[data]:.1%} right, {time.perf_counter() - start:.1f} s")

reads, t = logits.argmax(axis=1), digits.test_labels
wrong = np.flatnonzero(reads != t)[:4]
print("\nOf 1797 digits by people it has not met, the second network takes for something else:\n")
show(digits.test_images[wrong], [f"{t[i]}, reads {reads[i]}" for i in wrong])
assert right[moved] > right[as_it_is] > 0.96
