"""The initialization laboratory: see, predict and prove what an initialization does."""
