"""The command line."""

from minicnn.cli.main import main

__all__ = ["main"]
