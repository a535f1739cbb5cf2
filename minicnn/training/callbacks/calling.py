"""How a trainer calls its callbacks, in the order in which they were given.

For the package itself: it checks nothing of what it is handed.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from minicnn.training.callbacks.base import Callback

if TYPE_CHECKING:
    from minicnn.training.trainer import Trainer


def tell(trainer: "Trainer", hook: str) -> None:
    """Call a hook of every callback; an exception ends it."""
    for callback in trainer.callbacks:
        getattr(callback, hook)(trainer)


def tell_all(trainer: "Trainer", hook: str) -> None:
    """Tell every callback, even after one has raised; then raise the first error."""
    errors = []
    for callback in trainer.callbacks:
        try:
            getattr(callback, hook)(trainer)
        except BaseException as error:
            errors.append(error)
    if errors:
        raise errors[0]


def look_at_gradients(callbacks: Iterable[Callback]) -> bool:
    """Whether one of them has something to do between gradients and update."""
    return any(
        type(callback).on_loss is not Callback.on_loss or "on_loss" in vars(callback)
        for callback in callbacks
    )
