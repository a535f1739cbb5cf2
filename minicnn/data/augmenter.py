"""An augmentation at work: which kernels change a batch, and in which order.

For the package itself: it checks nothing of what it is handed, but indices.
"""

from typing import NamedTuple

import numpy as np

from minicnn.checks import described, is_array
from minicnn.data.augmentation import Augmentation
from minicnn.data.dataset import Dataset
from minicnn.errors import ArgumentError
from minicnn.kernels import augment as kernels

AUGMENT = 5  # keeps these random numbers apart from those of other parts of the seed


class Partners(NamedTuple):
    """What the samples of a batch were mixed with.

    Attributes
    ----------
    samples : ndarray of int64, shape (n,)
        The other sample of each.
    weights : ndarray of float64, shape (n,)
        The share of the first.
    """

    samples: np.ndarray
    weights: np.ndarray


class Augmenter:
    """An augmentation at work on one data set; random numbers are keyed by seed, epoch and sample.

    Parameters
    ----------
    augmentation : Augmentation
    dataset : Dataset
    seed : int
    """

    def __init__(self, augmentation: Augmentation, dataset: Dataset, seed: int):
        self.augmentation, self.dataset, self.seed = augmentation, dataset, seed
        self._by_name = augmentation.settings(dataset)
        self._fill = dataset.mean * dataset.unit
        self._rows = np.empty(0, np.int64) if dataset.indices is None else dataset.indices
        self._room: list[np.ndarray] = []

    def key(self, epoch: int) -> np.uint64:
        """What decides how the images are changed in an epoch."""
        sequence = np.random.SeedSequence([self.seed, AUGMENT, epoch])
        return sequence.generate_state(1, np.uint64)[0]

    def __call__(self, indices: np.ndarray, key: np.uint64) -> tuple[np.ndarray, Partners | None]:
        """Samples as they look in an epoch.

        Parameters
        ----------
        indices : ndarray of int64, shape (n,)
        key : uint64
            That of the epoch.

        Returns
        -------
        images : ndarray, shape (n, C, H, W)
            Of the dtype of the data set's; overwritten by the next call.
        partners : Partners or None
            None if no images are mixed.
        """
        # The kernels read whatever is at these places.
        if not is_array(indices, (len(indices),), np.int64) or not indices.size:
            raise ArgumentError(f"expected indices of int64, got {described(indices)}.")
        if indices.min() < 0 or indices.max() >= len(self.dataset):
            raise ArgumentError(f"expected indices from 0 to {len(self.dataset) - 1}.")
        if not self._room or len(self._room[0]) < len(indices):
            shape, dtype = (len(indices), *self.dataset.shape), self.dataset.storage.dtype
            self._room = [np.empty(shape, dtype) for _ in range(3)]
        first, second, spare = (array[: len(indices)] for array in self._room)
        images, spare = self._change(indices, key, first, spare)
        if not self.augmentation.mixes:
            return images, None
        partners, weights = np.empty(len(indices), np.int64), np.empty(len(indices))
        kernels.choose_partners(indices, key, len(self.dataset), partners)
        others, _ = self._change(partners, key, second, spare)
        sizes = self._by_name
        kernels.mix(images, others, indices, key, sizes["mixup"], sizes["cutmix"], weights)
        return images, Partners(partners, weights)

    def _change(self, indices, key, images, spare):
        """Samples with all changes but mixing in one of two arrays; that one and the other."""
        sizes = self._by_name
        storage, crop = self.dataset.storage, int(sizes["crop"])
        reflect = self.augmentation.reflects
        kernels.take(storage, self._rows, indices, key, crop, reflect, sizes["flip"], images)
        turn = [float(sizes[name]) for name in ("rotate", "scale", "translate")]
        if any(turn):
            kernels.warp(images, indices, key, *turn, spare)
            images, spare = spare, images
        if sizes["cutout"]:
            kernels.cut_out(images, indices, key, int(sizes["cutout"]), self._fill)
        if sizes["noise"]:
            kernels.add_noise(images, indices, key, sizes["noise"])
        return images, spare
