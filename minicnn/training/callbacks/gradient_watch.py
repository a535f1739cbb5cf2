"""GradientWatch: notices a network whose weights get no gradient at all."""

from minicnn.metrics import predicted_classes
from minicnn.training.callbacks.base import Callback
from minicnn.training.trainer import Trainer


class GradientWatch(Callback):
    """Tells whether every weight gradient was exactly 0 in every step.

    Weights are the parameters with ``decay``; biases, slopes and scales may learn. With the
    first weight gradient that is not 0 the question is answered and nothing is looked at
    any more, so an ordinary run pays for one step.

    Attributes
    ----------
    steps : int
        How many steps have been watched.
    all_zero : bool
        Whether every weight gradient was exactly 0 in all of them.
    learned : list of str
        Names of the other parameters that had a gradient in any step, while `all_zero`.
    """

    STATE = {"steps": int, "all_zero": bool, "learned": lambda names: list(map(str, names))}

    def __init__(self) -> None:
        self.steps, self.all_zero = 0, True
        self.learned: list[str] = []

    def on_step_end(self, trainer: Trainer) -> None:
        """Look at this step's gradients, which the update leaves as they are."""
        if not self.all_zero:
            return
        self.steps += 1
        for parameter in trainer.model.parameters():
            if parameter.decay:
                self.all_zero = self.all_zero and not parameter.grad.any()
            elif parameter.name not in self.learned and parameter.grad.any():
                self.learned = [*self.learned, parameter.name]

    def explanation(self, trainer: Trainer) -> str | None:
        """Why nothing but biases learned; None if a weight had a gradient or there was no step."""
        if not self.all_zero or self.steps == 0:
            return None
        text = [f"Every weight gradient was exactly 0 in all {self.steps} steps."]
        learned = " and ".join(self.learned)
        if any(p.value.any() for p in trainer.model.parameters() if p.decay):
            text.append(
                "The weights are still what the initializer made them: somewhere between the"
                " images and the loss every path is cut, as by a layer of units that are all 0"
                " and pass no gradient on."
            )
        elif learned:
            text.append(
                "All weights are zero, so the last layer gets x = 0, which makes its dE/dW ="
                " delta x^T zero, and every layer before it gets delta = W^T delta = 0, which"
                " makes theirs zero: no weight can ever leave 0."
            )
        else:
            text.append(
                "All weights are zero, so every layer before the last gets delta = W^T delta = 0,"
                " and in the last the samples of each batch cancel."
            )
        if learned:
            text.append(
                f"Only {learned} learned, and with it the network can learn how frequent each"
                " class is but nothing about an image."
            )
        else:
            text.append("Nothing learned.")
        if trainer.predicted is not None:
            classes = predicted_classes(trainer.predicted)
            text.append(f"On the test set it predicts {classes} class{'es' * (classes > 1)}.")
        return " ".join(text)
