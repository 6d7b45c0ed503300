"""Draw a network: its values, its gradients, and how each gradient comes from the next.

Run:  python examples/05_draw.py
"""

import numpy as np

from tinygrad_mlp import MLP, Tensor, derive, draw, grad, mse, relu

net = MLP((2, 4, 1), rng=3)
rng = np.random.default_rng(3)
loss = mse(net(rng.normal(size=(3, 2))), Tensor(rng.normal(size=(3, 1)), name="t"))

before = draw(loss)
loss.backward()
after = draw(loss)
print(after, "\n", sep="")

# A matrix that is used twice has one card, and a chip with its second term of the gradient.
W = Tensor([[0.5, -0.5], [0.25, 1.0]], requires_grad=True, name="W")
y = relu(np.array([[1.0, -2.0], [0.5, 1.0]]) @ W) @ W
tied = draw(mse(y, np.ones((2, 2))), show="grads")

# The backward pass is a graph as well, if it is recorded.
slopes = draw([loss, *grad(loss, net.parameters(), create_graph=True)], direction="LR")

for name, picture in (("net", after), ("tied", tied), ("backward", slopes)):
    print(f"{name + '.dot':12}  {len(picture.pipe('dot')) / 1000:5.1f} kB")
    # picture.write(f"{name}.svg") writes it, as .png, .pdf or .dot as well

# Formulas are those of derive(), and the gradients appear when there are some.
formulas = [row.text for row in derive(loss).lines]
assert all(text.replace(">", "&gt;") in after.source for text in formulas)
assert "dW[0]" in after.source
assert "dW[0]" not in before.source
assert "call backward()" in before.source
assert "dW += " in tied.source
