"""Valid arguments: for every parameter's name a value with which a call returns.

All are real objects, small ones, made anew for each call, so that no call sees what another did.
"""

import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from minicnn import lanes, optimizers
from minicnn.data import Dataset
from minicnn.initializers import Initializer
from minicnn.kernels.conv.geometry import Convolution
from minicnn.lab.ablation import grid, results
from minicnn.lab.measure import probes
from minicnn.lab.theory import forward, maps, prediction
from minicnn.lab.theory.signal import Signal
from minicnn.layers import (
    BatchNorm,
    Conv2d,
    Dense,
    Flatten,
    GlobalAvgPool2d,
    MaxPool2d,
    NumpyLayer,
    ReLU,
    Tanh,
)
from minicnn.models import Residual, Sequential
from minicnn.training import Trainer
from minicnn.training.callbacks import base
from minicnn.training.runs.settings import Settings
from tests.data.idx_files import digits, write_folder

SHAPE, CLASSES, SAMPLES = (2, 6, 6), 4, 20


@dataclass(frozen=True)
class Own(Initializer):
    """An initializer of a user, which may draw whatever it likes."""

    name = "own"
    drawn: object = None

    def __post_init__(self):
        pass

    def moments(self, fans, shape):
        return 0.0, 1.0

    def draw(self, shape, fans, rng):
        return np.ones(shape) if self.drawn is None else self.drawn


class Through(NumpyLayer):
    """A layer of a user."""

    def forward(self, x):
        return x * 2

    def backward(self, dy):
        return dy * 2


class StopsAfterOne(base.Callback):
    """Ends a training after its first epoch."""

    def on_epoch_end(self, trainer):
        trainer.stop()


class World:
    """What one call may be handed.

    Parameters
    ----------
    rng : numpy.random.Generator
    folder : Path
        Where files may be written.
    """

    def __init__(self, rng, folder):
        self.random, self.home, self.subject = rng, Path(folder), None

    def choice(self, options):
        """One of them."""
        return options[int(self.random.integers(len(options)))]

    def floats(self, *shape, dtype=np.float32):
        """Normal numbers."""
        return self.random.standard_normal(shape).astype(dtype)

    # What several arguments of a call have in common.

    @cached_property
    def model(self):
        """Initialized, with most kinds of layers."""
        model = Sequential(
            Conv2d(4, 3, padding=1), ReLU(), Residual(Sequential(Conv2d(4, 1), Tanh())),
            MaxPool2d(2), BatchNorm(), Flatten(), Dense(CLASSES),
        )  # fmt: skip
        model.initialize(SHAPE, seed=int(self.random.integers(9)))
        model.forward(lanes.pack(self.images), True, SAMPLES)
        return model

    @cached_property
    def plain(self):
        """A model that theory and Jacobians can follow."""
        model = Sequential(Conv2d(3, 3), ReLU(), GlobalAvgPool2d(), Dense(CLASSES))
        model.initialize(SHAPE, seed=1)
        return model

    @cached_property
    def images(self):
        """Normalized images that fit `model`."""
        return self.floats(SAMPLES, *SHAPE)

    @cached_property
    def labels(self):
        """Of `images`."""
        return np.arange(SAMPLES) % CLASSES

    @cached_property
    def dataset(self):
        """One that fits `model`."""
        pixels = self.random.integers(0, 256, (SAMPLES, *SHAPE), dtype=np.uint8)
        return Dataset(pixels, self.labels, CLASSES)

    @cached_property
    def pictures(self):
        """A folder of images by class."""
        root = self.new_folder
        for name in ("cat", "dog"):
            (root / name).mkdir()
            for number in range(3):
                pixels = self.random.integers(0, 256, (6, 6, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / name / f"{number}.png")
        return root

    @cached_property
    def arrays(self):
        """A file of arrays."""
        path = self.new_folder / "arrays.npz"
        np.savez(path, images=self.dataset.images, labels=self.labels)
        return path

    @cached_property
    def optimizer(self):
        """Of `model`."""
        return optimizers.SGD(self.model.parameters(), lr=0.01, momentum=0.9)

    @cached_property
    def trainer(self):
        """Of `model`, with an epoch behind it."""
        trainer = Trainer(
            self.model, self.optimizer, self.dataset, self.dataset, epochs=2, batch_size=16
        )
        trainer.callbacks.append(StopsAfterOne())
        trainer.fit()
        trainer.callbacks.clear()
        return trainer

    @cached_property
    def layer(self):
        """One layer, built."""
        layer = Conv2d(3, 3)
        layer.build(SHAPE, np.random.default_rng(0))
        return layer

    @cached_property
    def plan(self):
        """Of a convolution."""
        return Convolution((2, 6, 6), (3, 4, 4), (3, 3), (1, 1), (0, 0), (1, 1), 1, 4)

    @cached_property
    def data(self):
        """A folder with a data set's files."""
        path = self.home / "data"
        if not path.exists():
            write_folder(path, digits(24, 12, (28, 28)))
        return path

    @cached_property
    def settings(self):
        """Of a short training."""
        return Settings(
            model="mlp:8", data=str(self.data), epochs=1, batch_size=16, threads=1, limit=20
        )

    @cached_property
    def grid(self):
        """Two arms."""
        base = dict(model="mlp:4", data=str(self.data), epochs=1, limit=20)
        return grid.Grid({"init": ["msra", "zeros"]}, seeds=1, base=base)

    @property
    def new_path(self):
        """Where nothing is."""
        return Path(tempfile.mkdtemp(dir=self.home)) / "new"

    @property
    def new_folder(self):
        """An empty one."""
        return Path(tempfile.mkdtemp(dir=self.home))

    @cached_property
    def outcomes(self):
        """Of `grid`."""
        lines = [{"epoch": 1, "step": 2, "train_loss": 2.0, "train_accuracy": 0.2,
                  "test_loss": 2.0, "test_accuracy": 0.3, "seconds": 1.0,
                  "images_per_second": 9.0}]  # fmt: skip
        summary = {"status": "finished", "classes_predicted": 3, "test_accuracy": 0.3,
                   "test_loss": 2.0, "best_test_accuracy": 0.3, "train_seconds": 1.0}  # fmt: skip
        trials = self.grid.trials()
        return [results.Outcome(t, "finished", summary, lines, "") for t in trials]

    @cached_property
    def field(self):
        """Of `images`."""
        return maps.from_images(self.images[:3])

    @cached_property
    def signal(self):
        """Behind `plain`'s first layer."""
        return Signal(self.field, SHAPE[0])

    @cached_property
    def sums(self):
        """Behind `plain`'s last layer."""
        signal = self.signal
        for layer in self.plain.layers:
            found = forward.forward(layer, signal)
            signal = found[0] if type(found) is tuple else found
        return signal

    @cached_property
    def record(self):
        """Of `plain`."""
        return probes.probe(self.plain, self.images, self.labels)

    @cached_property
    def predictions(self):
        """Of `plain`."""
        return prediction.predict(self.plain, self.images, self.labels)

    @property
    def packed(self):
        """Images in lanes."""
        return lanes.pack(self.images)
