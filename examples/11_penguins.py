"""Guess the mass of a penguin: cross-validation of a small network and of least squares.

Run:  python examples/11_penguins.py
"""

import numpy as np

from tinygrad_mlp import MLP, AdamW, Schedule, fit, mse, no_grad, r_squared
from tinygrad_mlp.data import load_penguins, standardize
from tinygrad_mlp.optim import cosine

EPOCHS, FOLDS = 60, 5
penguins = load_penguins()
x = np.stack(penguins[1:4], axis=1)  # length and depth of the bill, length of the flippers, in mm
t = penguins.body_mass_g[:, np.newaxis]  # in g


def network(x, t, x_new, rng):
    """The guesses of a network that has learnt from (x, t)."""
    x, mean, std = standardize(x)
    t, t_mean, t_std = standardize(t)
    net = MLP([3, 16, 16, 1], rng=rng, activation=np.tanh)
    optimizer = AdamW(net.parameters(), lr=0.01, weight_decay=0.1)
    schedule = Schedule(optimizer, cosine(EPOCHS))
    fit(net, (x, t), mse, optimizer, EPOCHS, rng=rng, schedule=schedule, jit=True)
    with no_grad():
        return net((x_new - mean) / std).data * t_std + t_mean


def least_squares(x, t, x_new, _rng):
    """The guesses of the plane that fits (x, t) best."""
    x, x_new = (np.column_stack([a, np.ones(len(a))]) for a in (x, x_new))
    return x_new @ np.linalg.lstsq(x, t)[0]


def picture(guess, width=62, height=20):
    """Guess, upward, over mass, to the right; the dots are where both are equal."""
    low, high = t.min(), t.max()
    cells = np.full((height, width), " ")
    column = np.arange(width)
    cells[column * height // width, column] = "."
    scaled = (np.hstack([guess, t]) - low) / (high - low)
    i, j = (np.clip(scaled, 0, 0.999) * [height, width]).astype(int).T
    cells[i, j] = [name[0] for name in penguins.species]
    return "\n".join("".join(line).rstrip() for line in cells[::-1])


rng = np.random.default_rng(0)
folds = np.array_split(rng.permutation(len(x)), FOLDS)
guesses = {network: np.empty_like(t), least_squares: np.empty_like(t)}
for fold in folds:
    rest = np.setdiff1d(np.arange(len(x)), fold)
    for method, guess in guesses.items():
        guess[fold] = method(x[rest], t[rest], x[fold], rng)  # of birds that it has not seen
scores = {method.__name__: r_squared(guess, t) for method, guess in guesses.items()}

print(f"{picture(guesses[network])}\n\nAdelie, Chinstrap and Gentoo, {t.min():g} to {t.max():g} g")
print("R²: " + ", ".join(f"{name} {score:.3f}" for name, score in scores.items()))
assert scores["network"] > scores["least_squares"] > 0.7
