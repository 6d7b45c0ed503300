"""``python -m tinygrad_mlp``, the same as ``tinygrad-mlp``."""

import sys

from .cli import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
