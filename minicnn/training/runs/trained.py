"""A trained model of a run's folder, ready to be asked about pictures and data sets."""

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from minicnn.checks import check_count, check_flag, check_numbers, check_path, restoring, takes
from minicnn.data import Dataset
from minicnn.errors import ArgumentError, DataError
from minicnn.models import Sequential
from minicnn.training.runs import tensors
from minicnn.training.runs.resume import say_what_is_executed
from minicnn.training.runs.settings import Settings
from minicnn.training.runs.weights import load_weights, weights_file
from minicnn.training.views import check_views, views

PART = 1024  # images that are looked at in one go
check_shift = partial(check_count, least=0)


@dataclass(frozen=True)
class Trained:
    """A model with what is needed to show it pictures.

    Attributes
    ----------
    model : Sequential
    settings : Settings
        Of its run.
    shape : tuple of int
        Of an image, ``(C, H, W)``.
    class_names : tuple of str
    mean, std : ndarray of float64, shape (C,)
        With which images are normalized, see `Dataset`.
    path : Path
        The file of the weights.
    about : dict
        What that file says of itself.
    """

    model: Sequential
    settings: Settings
    shape: tuple[int, ...]
    class_names: tuple[str, ...]
    mean: np.ndarray
    std: np.ndarray
    path: Path
    about: dict[str, Any]

    def normalized(self, images: np.ndarray) -> np.ndarray:
        """Images as the model takes them.

        Parameters
        ----------
        images : ndarray of uint8 or float, shape (N, C, H, W)
            In the units of its training images.

        Returns
        -------
        ndarray of float32, shape (N, C, H, W)
        """
        images = self._checked(images)
        labels = np.zeros(len(images), np.int64)
        classes = len(self.class_names)
        dataset = Dataset(images, labels, classes, self.mean, self.std, channels_first=True)
        return dataset.normalized(slice(None))

    def _checked(self, images):
        images = check_numbers(images, "images")
        if images.shape[1:] != self.shape or not images.size:
            raise ArgumentError(
                f"expected images of shape (N, {', '.join(map(str, self.shape))}), at least one,"
                f" got {images.shape}."
            )
        return images

    @takes(flip=check_flag, shift=check_shift)
    def probabilities(
        self, images: np.ndarray, flip: bool | None = None, shift: int | None = None
    ) -> np.ndarray:
        """The softmax of the scores; of several views of each image, of the scores' mean.

        Parameters
        ----------
        images : ndarray of uint8 or float, shape (N, C, H, W)
        flip : bool, optional
            Whether to look at the mirror images, too; as the run was evaluated by default.
        shift : int, optional
            By how many pixels images are moved for further views, see
            :func:`minicnn.training.views.views`; as the run was evaluated by default.

        Returns
        -------
        ndarray of float64, shape (N, classes)

        Raises
        ------
        ArgumentError
            If the images do not fit the model, or are no larger than the shift.
        """
        images, (flip, shift) = self._checked(images), self.views(flip, shift)
        found = np.empty((len(images), len(self.class_names)))
        for start in range(0, len(images), PART):  # they may be in a file, larger than memory
            part = slice(start, start + PART)
            total: Any = 0
            for weight, view in views(np.asarray(images[part]), flip, shift):
                scores = self.model.predict(self.normalized(view))
                total = total + scores.dtype.type(weight) * scores
            found[part] = softmax(total)
        return found

    @takes(flip=check_flag, shift=check_shift)
    def views(self, flip: bool | None = None, shift: int | None = None) -> tuple[bool, int]:
        """`flip` and `shift` for `probabilities`, those of the run's settings where they are None.

        An ArgumentError if its images are no larger than the shift.
        """
        flip = self.settings.eval_flip if flip is None else flip
        return check_views(self.shape, flip, self.settings.eval_shift if shift is None else shift)


@takes(scores=check_numbers)
def softmax(scores: np.ndarray) -> np.ndarray:
    """Probabilities of the scores' last axis, in float64."""
    if not scores.ndim or not scores.shape[-1]:
        raise ArgumentError(f"expected scores of shape (N, K), got {scores.shape}.")
    wide = np.exp(scores.astype(np.float64) - scores.max(-1, keepdims=True))
    return wide / wide.sum(-1, keepdims=True)


@takes(run=check_path, input_gradient=check_flag)
def load_run(run: str | os.PathLike[str], input_gradient: bool = False) -> Trained:
    """The trained model of a run's folder, or of one file of weights in it.

    Parameters
    ----------
    run : str or Path
        A folder, of which ``best.safetensors`` is taken if it is there, else
        ``model.safetensors``; or such a file.
    input_gradient : bool
        Whether ``model.backward`` gives dE/dx, as saliency needs.

    Returns
    -------
    Trained

    Raises
    ------
    DataError
        If there are no weights, they are damaged, or no run wrote them.
    ArgumentError
        If a file of the user's that the model was made of has changed.
    """
    path = weights_file(run)
    _, about = tensors.read(path)
    images, values = about.get("images"), about.get("settings")
    if not isinstance(images, dict) or not isinstance(values, dict):
        raise DataError(
            f"{path} does not say of what model it is: give a folder or file that a run wrote."
        )
    values = {**values, "threads": None}
    say_what_is_executed(path.parent, values, ())
    with restoring(images, str(path)):
        shape, classes = tuple(map(int, images["shape"])), int(images["classes"])
        mean, std = (np.asarray(images[name], np.float64) for name in ("mean", "std"))
        names = tuple(map(str, images.get("class_names") or range(classes)))
    settings = Settings.from_dict(values)
    model = settings.build_model(classes)
    model.initialize(shape, seed=settings.seed, input_gradient=input_gradient)
    load_weights(model, path)
    return Trained(model, settings, shape, names, mean, std, path, about)


@takes(runs=list)
def load_runs(runs: list[Any]) -> list[Trained]:
    """Several runs that know the same classes and images of one shape.

    Raises
    ------
    ArgumentError
        If there is none, or two differ in this.
    """
    if not runs:
        raise ArgumentError("give at least one run.")
    found = [load_run(run) for run in runs]
    for other in found[1:]:
        if (other.shape, other.class_names) != (found[0].shape, found[0].class_names):
            raise ArgumentError(
                f"{other.path} and {found[0].path} are of other images or classes: {other.shape}"
                f" and {found[0].shape}, {len(other.class_names)} and"
                f" {len(found[0].class_names)}."
            )
    return found
