"""Classify three spirals: Sequential, cross-entropy, Adam, a falling learning rate.

Run:  python examples/09_spiral.py
"""

import numpy as np

from tinygrad_mlp import no_grad
from tinygrad_mlp.data import batches
from tinygrad_mlp.functional import cross_entropy
from tinygrad_mlp.nn import Linear, Sequential, Tanh
from tinygrad_mlp.optim import Adam, Schedule, cosine

rng = np.random.default_rng(0)
ARMS, EPOCHS = 3, 100


def spirals(n):
    """Points on arms that turn into each other, n on each, and the number of the arm."""
    label = np.repeat(np.arange(ARMS), n)
    radius = rng.uniform(0.1, 1, size=label.size)
    angle = 6 * radius + 2 * np.pi * label / ARMS + 0.15 * rng.normal(size=label.size)
    return radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1), label


def picture(net, width=49, height=21):
    """The arm that the network sees at every place of the plane."""
    grid = np.stack(np.meshgrid(np.linspace(-1, 1, width), np.linspace(1, -1, height)), axis=-1)
    with no_grad():
        label = net(grid.reshape(-1, 2)).argmax(axis=1)
    return "\n".join("".join(row) for row in np.array(list(".o#"))[label].reshape(height, width))


x, label = spirals(100)
net = Sequential(
    *(Linear(2, 32, rng=rng), Tanh()),
    *(Linear(32, 32, rng=rng), Tanh()),
    Linear(32, ARMS, rng=rng),
)
print(net, "\n")
optimizer = Adam(net.parameters(), lr=0.02)
schedule = Schedule(optimizer, cosine(EPOCHS))

for epoch in range(EPOCHS):
    for x_batch, label_batch in batches(x, label, 50, rng):
        optimizer.zero_grad()
        loss = cross_entropy(net(x_batch), label_batch)  # logits and the numbers of the arms
        loss.backward()
        optimizer.step()
    schedule.step()
    if epoch % 25 == 24:
        print(f"epoch {epoch + 1:3}   loss of the last batch {loss.item():.4f}")

x_new, label_new = spirals(100)
with no_grad():
    right = net(x_new).argmax(axis=1) == label_new
print(f"\n{right.mean():.1%} of new points are on the right arm.\n\n{picture(net)}")
assert right.mean() > 0.95
