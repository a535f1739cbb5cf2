"""Runs: the folder of a training, its settings, checkpoints, and how it goes on."""
