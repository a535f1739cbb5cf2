"""The worker that runs minicnn: ``python -m benchmarks.minicnn_worker FOLDER THREADS``."""

import json
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.rounds import Contestant, serve
from minicnn import optimizers
from minicnn.data import Batches, Dataset
from minicnn.kernels.pack import gather
from minicnn.kernels.runtime.thread_pool import set_num_threads
from minicnn.lanes import LANES, group_count
from minicnn.losses import SoftmaxCrossEntropy, predicted_classes
from minicnn.models import zoo
from minicnn.plan import Passes
from minicnn.plan.micro_batches import EVALUATION_BATCH, micro_batch_size
from minicnn.training.gradients import compute_gradients
from minicnn.training.step import TrainingStep


class Minicnn(Contestant):
    """minicnn on the problem in a folder."""

    def __init__(self, folder, threads):
        set_num_threads(threads)
        self.folder = Path(folder)
        about = json.loads((self.folder / "problem.json").read_text())
        self.model = zoo.build(about["model"], init=about["init"], algorithm=about["algorithm"])
        self.model.initialize(about["input_shape"])
        self.model.load_state_dict(dict(np.load(self.folder / "weights.npz")))
        self.loss = SoftmaxCrossEntropy()
        self._images = None

    def gradients(self, path, images):
        """Loss and gradients of a batch of these images; the gradients go into a file."""
        self._load()
        x, labels = self._packed(np.array(images)), self._labels.ravel()[images]
        value = compute_gradients(self.model, self.loss, x, labels)
        np.savez(path, **{p.name: p.grad for p in self.model.parameters()})
        return {"loss": float(value)}

    def begin(self, job):
        """``train``: a step of SGD with momentum; ``infer``: the scores of a batch."""
        self._load()
        return {"train": self._train_job, "infer": self._infer_job}[job]()

    def _train_job(self):
        optimizer = optimizers.create("sgd", self.model.parameters(), lr=0.01, momentum=0.9)
        make_step = TrainingStep(self.model, self.loss, optimizer)
        return lambda i: make_step(self._batch(i), self._labels[i % len(self._labels)])

    def _infer_job(self):
        size = micro_batch_size(self.model, EVALUATION_BATCH)
        passes = Passes(self.model)

        def step(i):
            x = self._batch(i)
            for start in range(0, self._size, size):
                samples = min(size, self._size - start)
                part = x[start // LANES : group_count(start + samples)]
                passes.forward(part, False, samples)

        return step

    def _load(self):
        if self._images is not None:
            return
        with np.load(self.folder / "arrays.npz") as arrays:
            images, self._labels = arrays["images"], arrays["labels"]
        count, self._size, channels = images.shape[:3]
        self._images = images.reshape(count * self._size, channels, -1)
        self._order = np.arange(len(self._images)).reshape(count, self._size)
        nothing, one = np.zeros(channels, np.float32), np.ones(channels, np.float32)
        self._terms = nothing, one, nothing  # to leave the pixels as they are
        shape = (group_count(self._size), *self.model.input_shape, LANES)
        self._x = np.empty(shape, np.float32)

    def _batch(self, i):
        return self._packed(self._order[i % len(self._order)])

    def _packed(self, images):
        """A batch of these images in lanes, in the one buffer that there is."""
        x = self._x
        planes = x.reshape(*x.shape[:2], -1, LANES)
        gather(self._images, images, *self._terms, planes)
        return x

    def accuracy(self, target, optimizer, settings):
        """Train on the recipe until an epoch ends with the target; see time_to_accuracy."""
        with np.load(self.folder / "arrays.npz") as arrays:
            recipe = dict(arrays)
        scale = {"mean": recipe["mean"], "std": recipe["std"]}
        train, test = (
            Dataset(recipe[f"{part}_images"], recipe[f"{part}_labels"], **scale)
            for part in ("train", "test")
        )
        size, rates = int(recipe["batch_size"]), recipe["rates"]
        # Packing ahead would take one thread more than the peers have.
        training = Batches(train, size, prefetch=False)
        some = micro_batch_size(self.model, EVALUATION_BATCH)
        testing = Batches(test, some, prefetch=False)

        def fit(order, rates):
            make_step = TrainingStep(self.model, self.loss, updates)
            for batch, lr in zip(training.epoch(order), rates):
                updates.lr = lr
                make_step(batch.x, batch.labels)

        evaluation = Passes(self.model)

        def evaluate(batches):
            correct = 0
            for batch in batches:
                scores = evaluation.forward(batch.x, False, batch.samples)
                correct += np.sum(predicted_classes(scores, batch.samples) == batch.labels)
            return int(correct)

        def new_optimizer():
            return optimizers.create(optimizer, self.model.parameters(), lr=1.0, **settings)

        state, updates = self.model.state_dict(), new_optimizer()
        fit(recipe["orders"][0][:size], rates)  # loads the kernels, and is then forgotten
        evaluate(testing.epoch(np.arange(min(some, len(test)))))
        self.model.load_state_dict(state)
        updates = new_optimizer()

        accuracies, start = [], time.perf_counter()
        for order, own in zip(recipe["orders"], np.split(rates, len(recipe["orders"]))):
            fit(order, own)
            accuracies.append(evaluate(testing) / len(test))
            if accuracies[-1] >= target:
                break
        return {"accuracies": accuracies, "train_seconds": time.perf_counter() - start}


if __name__ == "__main__":
    serve(lambda: Minicnn(sys.argv[1], int(sys.argv[2])))
