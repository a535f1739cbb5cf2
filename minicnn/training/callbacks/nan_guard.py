"""NanGuard: stops at the first loss that is not a number, and says where that began."""

import math

import numpy as np

from minicnn.checks import check_flag, takes
from minicnn.data.batches import Batch
from minicnn.errors import DivergedError
from minicnn.layers.base import Layer
from minicnn.models.sequential import Sequential, initialized
from minicnn.plan import NEVER, Plan
from minicnn.training.callbacks.base import Callback
from minicnn.training.trainer import Trainer


class NanGuard(Callback):
    """Ends training at the first NaN or infinite loss, naming the step and the layer.

    A step costs one ``math.isfinite``; the search for the layer runs only when all is lost
    anyway. It looks at the parameters first: what an update has made NaN spoils every
    output after it. If they are all finite, the same batch goes through the layers once
    more, and the first whose output is not finite is named.

    At the end of an epoch the parameters are looked at too, since an activation such as
    ReLU may turn a NaN into a finite number and so keep it out of the loss.

    Raises
    ------
    DivergedError
        From within ``Trainer.fit``.
    """

    def on_loss(self, trainer: Trainer) -> None:
        """Check the loss of this step, before it changes anything."""
        loss = trainer.loss_value
        if not math.isfinite(loss):
            what = f"the loss is {loss} in step {trainer.step + 1}"
            raise _diverged(trainer, what, [trainer.batch], training=True)

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Check the test loss and the parameters."""
        loss = trainer.history[-1].get("test_loss")
        if trainer.evaluated and loss is not None and not math.isfinite(loss):
            what = f"the test loss is {loss} after step {trainer.step}"
            raise _diverged(trainer, what, trainer.test_batches, training=False)
        if _broken_parameter(trainer.model) is not None:
            raise _diverged(trainer, f"training broke down by step {trainer.step}", [], False)


def _diverged(trainer, what, batches, training):
    where = (
        _parameter_sentence(trainer)
        or _output_sentence(trainer.model, batches, training)
        or "all parameters and all layers' outputs are finite, so it starts in the loss itself"
    )
    return DivergedError(
        f"{what} (epoch {trainer.epoch}): {where}. Use a smaller learning rate than"
        f" {trainer.base_lr:g}, or another initializer."
    )


def _parameter_sentence(trainer):
    parameter = _broken_parameter(trainer.model)
    if parameter is None:
        return None
    layer, _, name = parameter.name.rpartition(".")
    since = f"after the update of step {trainer.step}" if trainer.step else "from the start"
    return f"it starts in layer {layer}, whose {name} holds {_kind(parameter.value)} {since}"


def _broken_parameter(model):
    """The last parameter that is not finite: what breaks in backward breaks all before it."""
    broken = [p for p in model.parameters() if not np.isfinite(p.value).all()]
    return broken[-1] if broken else None


def _output_sentence(model, batches, training):
    for batch in batches:
        if not np.isfinite(batch.x).all():
            return f"it starts in the images, which hold {_kind(batch.x)}"
        found = first_broken_output(model, batch, training)
        if found is not None:
            layer, output = found
            return (
                f"it starts in layer {layer.name} {layer.describe()}".rstrip()
                + f", whose output holds {_kind(output)} while all parameters are finite"
            )
    return None


@takes(model=initialized, batch=Batch, training=check_flag)
def first_broken_output(
    model: Sequential, batch: Batch, training: bool
) -> tuple[Layer, np.ndarray] | None:
    """The first layer, in the order in which outputs are done, with one that is not finite.

    Parameters
    ----------
    model : Sequential
        Its running statistics and dropout masks move on, as in any forward pass.
    batch : Batch
    training : bool
        Whether to compute as in training.

    Returns
    -------
    (Layer, ndarray of shape (samples, *output_shape)) or None
        The layer with its output.
    """
    plan = Plan(model, keeps=True)  # in which no layer hides another's output behind a ReLU
    with model.lock.taken():
        plan.forward(batch.x, training, batch.samples, backward=NEVER)
    outputs = ((node.layer, plan.value(node)) for node in plan.graph.nodes[1:])
    return next((pair for pair in outputs if not np.isfinite(pair[1]).all()), None)


def _kind(array):
    return "NaN" if np.isnan(array).any() else "infinity"
