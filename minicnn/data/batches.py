"""Batches: a data set in lanes, batch by batch, packed ahead where there is a processor for it."""

import itertools
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from minicnn import processors
from minicnn.checks import (
    check_count,
    check_dtype,
    check_flag,
    check_generator,
    check_kind,
    check_numbers,
    check_seed,
    takes,
)
from minicnn.data.augmentation import Augmentation
from minicnn.data.augmenter import Augmenter
from minicnn.data.dataset import Dataset
from minicnn.errors import ArgumentError
from minicnn.kernels.pack import gather
from minicnn.kernels.runtime.thread_pool import get_num_threads
from minicnn.lanes import LANES, group_count, zeros

THREAD_NAME = "minicnn-batches"


class Mixture(NamedTuple):
    """The second class of each sample of a batch whose images were mixed.

    Attributes
    ----------
    labels : ndarray of int64, shape (samples,)
    weights : ndarray of float64, shape (samples,)
        The share of the first class.
    """

    labels: np.ndarray
    weights: np.ndarray


class Batch(NamedTuple):
    """Some samples, normalized and in lanes.

    Attributes
    ----------
    x : ndarray, shape (G, C, H, W, 16)
        Spare lanes are 0.
    labels : ndarray of int64, shape (samples,)
    samples : int
        How many lanes hold a sample, ``G = ceil(samples / 16)``.
    mixture : Mixture or None
        What the samples were mixed with, if an augmentation mixes.
    """

    x: np.ndarray
    labels: np.ndarray
    samples: int
    mixture: Mixture | None = None

    def targets(self, classes: int) -> np.ndarray:
        """What a loss compares the scores with: the labels, or shares of each class if mixed.

        Parameters
        ----------
        classes : int

        Returns
        -------
        ndarray of int64, shape (samples,), or of float64, shape (samples, classes)
        """
        if self.mixture is None:
            return self.labels
        rows, (labels, weights) = np.arange(self.samples), self.mixture
        targets = np.zeros((self.samples, classes))
        targets[rows, self.labels] = weights
        targets[rows, labels] += 1 - weights
        return targets


class Batches:
    """The batches of a data set; to iterate over it is one epoch.

    A batch's `x` lives in a buffer that is used again: it is valid until the next batch is
    asked for; copy what must last. Every sample comes once an epoch; the last batch is smaller
    if the batch size does not divide the data set.

    Parameters
    ----------
    dataset : Dataset
    batch_size : int
        At least 1; larger than the data set gives one batch.
    rng : numpy.random.Generator, optional
        Shuffles anew for each epoch. Without it the samples come in their order.
    dtype : dtype
        Of `x`, float32 or float64.
    prefetch : bool, optional
        Whether a thread packs the next batch while this one is worked on. The batches are the
        same. The thread ends with the epoch, or when the iterator is dropped or closed. By
        default it is used where a processor is left for it: beside kernels that use them all,
        it would only make those wait.
    augmentation : Augmentation, optional
        How the images are changed, anew in each epoch.
    seed : int
        Of the augmentation.
    drop_last : bool
        Whether an epoch ends before a batch that would be smaller. The samples that are left out
        are others in each shuffled epoch.

    Raises
    ------
    ArgumentError
        If a setting cannot work, such as dropping the only batch.

    Examples
    --------
    >>> import numpy as np
    >>> from minicnn.data import Batches, Dataset
    >>> dataset = Dataset(np.zeros((100, 28, 28), np.uint8), np.zeros(100, int))
    >>> [(batch.x.shape, batch.samples) for batch in Batches(dataset, 64)]
    [((4, 1, 28, 28, 16), 64), ((3, 1, 28, 28, 16), 36)]
    """

    @takes(dataset=Dataset, rng=check_generator, dtype=check_dtype)
    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        rng: np.random.Generator | None = None,
        dtype: npt.DTypeLike = np.float32,
        prefetch: bool | None = None,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        drop_last: bool = False,
    ):
        if rng is not None and not isinstance(rng, np.random.Generator):
            raise ArgumentError(
                f"rng must be a numpy.random.Generator or None, got {rng!r}; of a seed, make"
                " numpy.random.default_rng(seed)."
            )
        self.dataset, self.rng, self.prefetch = dataset, rng, prefetch
        self.batch_size = check_count(batch_size, "batch size")
        self.dtype = np.dtype(dtype)
        if self.dtype not in (np.float32, np.float64):
            raise ArgumentError(f"batches are of float32 or float64, got {dtype}.")
        if augmentation is not None:
            check_kind(augmentation, Augmentation, "augmentation")
        self.augmentation, self.drop_last = augmentation, check_flag(drop_last, "drop_last")
        if drop_last and self.batch_size > len(dataset):
            raise ArgumentError(
                f"drop_last leaves no batch: the batch size {self.batch_size} is larger than the"
                f" data set of {len(dataset)}."
            )
        seed = check_seed(seed)
        self._augment = None if augmentation is None else Augmenter(augmentation, dataset, seed)

    def __len__(self) -> int:
        """Batches in an epoch."""
        return self._count(len(self.dataset))

    def _count(self, samples):
        return samples // self.batch_size if self.drop_last else -(-samples // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        return self.epoch(self.order())

    def order(self) -> np.ndarray:
        """The order of the samples in the next epoch, ndarray of int64; draws from `rng`."""
        if self.rng is None:
            return np.arange(len(self.dataset))
        return self.rng.permutation(len(self.dataset))

    @takes(order=check_numbers)
    def epoch(
        self, order: npt.ArrayLike, start: int = 0, number: int = 1
    ) -> Generator[Batch, None, None]:
        """Iterate over the samples of a given order, from batch number `start` on.

        With the same order and a later start an epoch that was broken off goes on.

        Parameters
        ----------
        order : array_like of int, shape (n,)
            Samples' indices, as `order` gives them.
        start : int
            Batches to leave out, 0 to as many as there are.
        number : int
            Of the epoch, from 1: images are changed in another way in each.

        Returns
        -------
        iterator of Batch

        Raises
        ------
        ArgumentError
            If an index is outside the data set, or `start` or `number` is out of range.
        """
        check_count(number, "number of the epoch")
        order = np.asarray(order)
        if order.ndim != 1 or order.dtype.kind not in "iu":
            raise ArgumentError(
                f"order must be whole numbers of shape (n,), got {order.dtype} of {order.shape}."
            )
        if order.size and not 0 <= order.min() <= order.max() < len(self.dataset):
            raise ArgumentError(
                f"order must be from 0 to {len(self.dataset) - 1}, got {order.min()} to"
                f" {order.max()}."
            )
        count = self._count(len(order))
        whole = isinstance(start, (int, np.integer)) and not isinstance(start, bool)
        if not (whole and 0 <= start <= count):
            raise ArgumentError(f"start must be from 0 to the {count} batches, got {start!r}.")
        order = np.ascontiguousarray(order, np.int64)
        parts = [order[b * self.batch_size :][: self.batch_size] for b in range(start, count)]
        ahead = _processor_left() if self.prefetch is None else self.prefetch
        terms, key = self.dataset.affine(self.dtype), self._key(number)
        return self._ahead(parts, terms, key) if ahead else self._in_turn(parts, terms, key)

    def _in_turn(self, parts, terms, key):
        buffer = self._buffer(parts)
        for part in parts:
            yield self._pack(part, terms, key, buffer)

    def _ahead(self, parts, terms, key):
        """While one buffer is out with the caller, the thread fills the other."""
        buffers = itertools.cycle([self._buffer(parts), self._buffer(parts)])
        packing: deque[Future[Batch]] = deque()
        with ThreadPoolExecutor(1, THREAD_NAME) as thread:
            for part in parts:
                packing.append(thread.submit(self._pack, part, terms, key, next(buffers)))
                if len(packing) > 1:
                    yield packing.popleft().result()
            if packing:
                yield packing.popleft().result()

    def _buffer(self, parts):
        """Room for the largest of the batches, the first."""
        groups = group_count(len(parts[0])) if parts else 0
        return zeros((groups, *self.dataset.shape, LANES), self.dtype)

    def _key(self, number):
        return None if self._augment is None else self._augment.key(number)

    def _pack(self, indices, terms, key, buffer):
        groups, dataset, mixture = group_count(len(indices)), self.dataset, None
        x = buffer if len(buffer) == groups else buffer[:groups]  # the same array, where it can be
        if self._augment is None:
            images = dataset.storage
            rows = indices if dataset.indices is None else dataset.indices[indices]
        else:
            images, partners = self._augment(indices, key)
            rows = np.arange(len(indices))
            if partners is not None:
                mixture = Mixture(dataset.labels[partners.samples], partners.weights)
        samples, channels = images.shape[:2]
        gather(
            images.reshape(samples, channels, -1), rows, *terms,
            x.reshape(len(x), channels, -1, LANES),
        )  # fmt: skip
        return Batch(x, dataset.labels[indices], len(indices), mixture)


def _processor_left():
    """Whether this process may use more processors than the kernels do."""
    return get_num_threads() < processors.usable()
