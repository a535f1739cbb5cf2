"""The layers: each states its equation, forward and backward, with shapes."""
