"""``python -m tinygrad_mlp``, the same as ``tinygrad-mlp``."""

import sys

__all__ = ["main"]


def main() -> int:
    """Run the command line; Ctrl-C ends it without a traceback, also while it is loaded."""
    try:
        from . import cli

        return cli.main()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
