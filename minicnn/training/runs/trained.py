"""A trained model of a run's folder, ready to be asked about pictures and data sets."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minicnn.checks import check_flag, check_numbers, check_path, list_of, restoring, takes
from minicnn.data import Dataset
from minicnn.errors import ArgumentError, DataError
from minicnn.models import Sequential
from minicnn.training.runs import tensors
from minicnn.training.runs.resume import say_what_is_executed
from minicnn.training.runs.settings import Settings
from minicnn.training.runs.weights import load_weights, weights_file

PART = 1024  # images that are looked at in one go


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

    @takes(flip=check_flag, shifts=list_of(int))
    def probabilities(
        self, images: np.ndarray, flip: bool = False, shifts: Sequence[int] = (0,)
    ) -> np.ndarray:
        """The softmax of the scores; of several views of each image, the mean.

        Parameters
        ----------
        images : ndarray of uint8 or float, shape (N, C, H, W)
        flip : bool
            Whether to look at the mirrored images, too.
        shifts : sequence of int
            Pixels by which to move the images down, and right; every pair of them is a view, with
            the image's reflection at its borders.

        Returns
        -------
        ndarray of float64, shape (N, classes)
        """
        images = self._checked(images)
        total = np.zeros((len(images), len(self.class_names)))
        views = [
            (down, right, m) for down in shifts for right in shifts for m in (1, -1)[: 1 + flip]
        ]
        for start in range(0, len(images), PART):  # they may be in a file, larger than memory
            part = slice(start, start + PART)
            for down, right, mirror in views:
                seen = _moved(np.asarray(images[part]), down, right)[..., ::mirror]
                total[part] += softmax(self.model.predict(self.normalized(seen)))
        return total / len(views)


@takes(scores=check_numbers)
def softmax(scores: np.ndarray) -> np.ndarray:
    """Probabilities of the scores' last axis, in float64."""
    if not scores.ndim or not scores.shape[-1]:
        raise ArgumentError(f"expected scores of shape (N, K), got {scores.shape}.")
    wide = np.exp(scores.astype(np.float64) - scores.max(-1, keepdims=True))
    return wide / wide.sum(-1, keepdims=True)


def _moved(images, down, right):
    """The images moved, with their reflection at the borders; a border of 0 would be seen."""
    if not (down or right):
        return images
    size = max(abs(down), abs(right))
    wide = np.pad(images, ((0, 0), (0, 0), (size, size), (size, size)), mode="reflect")
    height, width = images.shape[2:]
    return wide[:, :, size - down :, size - right :][:, :, :height, :width]


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
