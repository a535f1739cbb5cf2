"""Train a network from a clone: ``python train.py --init msra``; see ``--help``."""

import sys

from minicnn.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
