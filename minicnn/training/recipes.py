"""Recipes: settings that go together, by name."""

from minicnn.checks import check_text, takes
from minicnn.errors import unknown

RECIPES = {
    # The least time to 99 % on MNIST that we know: two passes over the training set.
    "fastest": {
        "model": "quick", "optimizer": "adam", "betas": (0.8, 0.95), "lr": 0.015,
        "batch_size": 128, "epochs": 2, "schedule": "one-cycle:0.2",
    },
}  # fmt: skip


@takes(name=check_text)
def recipe(name):
    """The settings of that name, as a dict.

    Raises
    ------
    ArgumentError
        For an unknown name.
    """
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES)
    return dict(RECIPES[name])
