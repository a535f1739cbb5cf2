"""Training: the loop, its callbacks, and the files of a run."""
