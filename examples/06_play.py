"""Step through a backward pass in the browser: a page with the picture, the lines, the numbers.

Run:  python examples/06_play.py
"""

import numpy as np

from tinygrad_mlp import MLP, derive, mse, play

rng = np.random.default_rng(3)
net = MLP((2, 4, 1), rng=rng)
loss = mse(net(rng.normal(size=(3, 2))), rng.normal(size=(3, 1)))

# One file, which asks for nothing from anywhere: player.write("net.html") makes it, and
# tinygrad-mlp play --sizes 2,4,1 -o net.html --open shows it. In a notebook it shows itself.
player = play(loss)
print(player, end="\n\n")

# What the page says at each step: the line, and in one sentence why it looks as it does.
program = derive(loss)
for line in program.lines:
    if line.role == "backward":
        print(f"{line.name} = {line.text}\n    {program.why(line.name)}")

# And for each number of a result, the sum that it is.
print(f"\n{program.explain('dW[1]', (2, 0))}")

assert program.explain("dW[1]", (2, 0)).startswith("dW[1][2,0] = Σ_n A[1][n,2] * dy[n,0] = ")
assert "sums over the 3 rows of the batch" in program.why("dW[1]")
assert len(player.html) < 150_000
print(f"\none page of {len(player.html) // 1000} kB")
