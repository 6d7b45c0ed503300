"""Compute a gradient over two million rows, more than one would hold in memory, with Dask.

Two processes read a file in blocks; NumPy's functions hand Dask's arrays to Dask.

Needs:  pip install 'tinygrad-mlp[scale]'
Run:    python examples/12_dask.py
"""

import resource
import tempfile

import dask.array as da
import numpy as np
from distributed import Client, LocalCluster

from tinygrad_mlp import MLP, mse

ROWS, BLOCK, WIDTH = 2_000_000, 50_000, {"x": 64, "t": 10}


class Rows:  # what Dask asks of an array: rows of a file, opened by the process that reads
    ndim, dtype = 2, np.dtype(np.float32)

    def __init__(self, folder, name):
        self.path, self.shape = f"{folder}/{name}", (ROWS, WIDTH[name])

    def __getitem__(self, index):
        return np.array(np.memmap(self.path, self.dtype, "r", shape=self.shape)[index])


def gradients(x, t):
    """Loss and gradients, made of what x and t are made of: NumPy's arrays or Dask's."""
    net = MLP([64, 64, 10], rng=0, dtype=np.float32)
    loss = mse(net(x), t)
    loss.backward()
    return loss.data, *(p.grad for p in net.parameters())


def peak():  # the most memory that this process has held, in MB, on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":  # the processes of the cluster import this file
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        for name, width in WIDTH.items():
            with open(f"{folder}/{name}", "wb") as file:
                for _ in range(0, ROWS, BLOCK):
                    rng.standard_normal((BLOCK, width), np.float32).tofile(file)
        sources = [Rows(folder, name) for name in WIDTH]
        cluster = LocalCluster(2, threads_per_worker=1, dashboard_address=None)
        with cluster, Client(cluster) as client:
            blocks = da.compute(*gradients(*(da.from_array(r, (BLOCK, -1)) for r in sources)))
            least = peak() + sum(client.run(peak).values())
        whole = gradients(*(rows[:] for rows in sources))
    errors = [np.abs(a - b).max() / np.abs(a).max() for a, b in zip(whole, blocks)]
    print(f"{ROWS:,} rows: Dask held {least:,.0f} MB in 3 processes, NumPy {peak():,.0f} MB")
    print(f"largest difference of the gradients: {max(errors):.0e}, rounding of float32")
    assert max(errors) < 1e-3
    assert 2 * least < peak()
