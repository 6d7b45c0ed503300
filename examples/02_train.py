"""Train a network on two spirals, with nothing but forward, backward and step.

Run:  python examples/02_train.py
"""

import numpy as np

from tinygrad_mlp import MLP, SGD, mse, no_grad
from tinygrad_mlp.data import batches, one_hot

rng = np.random.default_rng(0)


def spirals(n):
    """2 n points on two spirals that turn into each other, and which of the two each is on."""
    angle = rng.uniform(0.5, 2 * np.pi, size=2 * n)
    label = np.repeat([0, 1], n)
    turned = angle + np.pi * label
    noise = 0.1 * rng.normal(size=(2 * n, 2))
    return (np.stack([np.cos(turned), np.sin(turned)], axis=1) * angle[:, None] + noise) / 3, label


def picture(net, width=49, height=20):
    """What the network says for every place of the plane."""
    grid = np.stack(np.meshgrid(np.linspace(-2.2, 2.2, width), np.linspace(2.2, -2.2, height)), -1)
    with no_grad():
        label = net(grid.reshape(-1, 2)).argmax(axis=1)
    return "\n".join("".join(row) for row in np.array([".", "#"])[label].reshape(height, width))


x, label = spirals(200)
t = one_hot(label, 2)
net = MLP([2, 32, 32, 2], rng=rng)
optimizer = SGD(net.parameters(), lr=0.05, momentum=0.9)

for epoch in range(60):
    for x_batch, t_batch in batches(x, t, 32, rng):
        optimizer.zero_grad()
        loss = mse(net(x_batch), t_batch)
        loss.backward()  # fills .grad of every W and B
        optimizer.step()  # W -= lr * (what dW has been lately)
    if epoch % 10 == 9:
        print(f"epoch {epoch + 1:3}   loss of the last batch {loss.item():.4f}")

x_new, label_new = spirals(200)
with no_grad():  # nothing to record: no gradient is wanted
    right = net(x_new).argmax(axis=1) == label_new

print(f"\n{right.mean():.1%} of new points are on the right spiral.\n\n{picture(net)}")
assert right.mean() > 0.95
