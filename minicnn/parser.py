"""A command line's parser whose complaints are one sentence, as all others are."""

import argparse

from minicnn.errors import ArgumentError


class Parser(argparse.ArgumentParser):
    """`argparse.ArgumentParser` that raises `ArgumentError` in the place of printing its usage."""

    def error(self, message):
        """Raise what argparse would print with the whole usage."""
        raise ArgumentError(f"{message}; {self.prog} --help lists all options.")
