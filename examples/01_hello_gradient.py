"""What a Tensor remembers, and how a gradient comes back: by the chain rule, once per operation.

Run:  python examples/01_hello_gradient.py
"""

import numpy as np

from tinygrad_mlp import Tensor

# A Tensor is an array that remembers how it was computed.
a = Tensor(2.0, requires_grad=True, name="a")
b = Tensor(3.0, requires_grad=True, name="b")
c = a * b
d = c + a  # a is used a second time
loss = d * d

# The graph is there already: each result has an operation and the Tensors it came from.
node = loss
while node.op is not None:
    print(f"{node.op.__name__:10} of {[p.item() for p in node.parents]} is {node.item()}")
    node = node.parents[0]

# By hand, from the loss down. A value that is used twice gets the sum of what comes back.
d_d = 2 * d.item()  # loss = d * d
d_c = d_d  # d = c + a
d_a = d_d + d_c * b.item()  # d = c + a  and  c = a * b
d_b = d_c * a.item()

loss.backward()
print(f"\nby hand:    d loss / d a = {d_a},  d loss / d b = {d_b}")
print(f"backward(): d loss / d a = {a.grad},  d loss / d b = {b.grad}")

# NumPy's functions are recorded as well, and arrays work like numbers.
x = Tensor(np.linspace(-2, 2, 5), requires_grad=True)
np.tanh(x).sum().backward()
print(f"\nslope of tanh at {x.numpy()}: {x.grad.round(3)}")

# The slope by its definition: move a little to both sides.
h = 1e-5
differences = (np.tanh(x.numpy() + h) - np.tanh(x.numpy() - h)) / (2 * h)

assert (a.grad, b.grad) == (d_a, d_b) == (64.0, 32.0)
np.testing.assert_allclose(x.grad, differences, atol=1e-9)
print("\nAll of it agrees.")
