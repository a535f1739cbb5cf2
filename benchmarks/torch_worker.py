"""The worker that runs PyTorch: ``python -m benchmarks.torch_worker FOLDER THREADS VARIANT``.

It imports PyTorch, NumPy and the standard library only. The variant is ``contiguous``,
``channels_last`` or ``compiled``.
"""

import copy
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks import torch_twin
from benchmarks.rounds import Contestant, serve

EVALUATION_BATCH = 1000


class Torch(Contestant):
    """PyTorch on the problem in a folder."""

    def __init__(self, folder, threads, variant):
        torch.set_num_threads(threads)
        torch.set_num_interop_threads(1)
        self.folder = Path(folder)
        about = json.loads((self.folder / "problem.json").read_text())
        channels_last = variant == "channels_last"
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        with np.load(self.folder / "weights.npz") as weights:
            module, self.named = torch_twin.build(about["layers"], weights)
        self.module = module.to(memory_format=self.format)
        self.net = torch.compile(self.module) if variant == "compiled" else self.module
        self.loss = torch.nn.CrossEntropyLoss()
        self._batches = None

    def gradients(self, path, images):
        """Loss and gradients of a batch of these images; the gradients go into a file."""
        x, labels = (array.flatten(0, 1)[images] for array in self._arrays())
        self.net.train()
        self.net.zero_grad()
        loss = self.loss(self.net(self._formatted(x)), labels)
        loss.backward()
        np.savez(path, **{name: p.grad.numpy() for name, p in self.named.items()})
        return {"loss": loss.item()}

    def begin(self, job):
        """``train``: a step of SGD with momentum; ``infer``: the scores of a batch."""
        self._load()
        return {"train": self._train_job, "infer": self._infer_job}[job]()

    def _train_job(self):
        self.net.train()
        optimizer = self._optimizer("sgd", 0.01, {"momentum": 0.9})

        def step(i):
            x, labels = self._batches[i % len(self._batches)]
            optimizer.zero_grad(set_to_none=True)
            loss = self.loss(self.net(x), labels)
            loss.backward()
            optimizer.step()
            return loss.detach()

        return step

    def _infer_job(self):
        self.net.eval()

        def step(i):
            with torch.inference_mode():
                self.net(self._batches[i % len(self._batches)][0])

        return step

    def _load(self):
        if self._batches is None:
            self._batches = [(self._formatted(x), y) for x, y in zip(*self._arrays())]

    def _arrays(self):
        """Images and labels of all batches."""
        with np.load(self.folder / "arrays.npz") as arrays:
            return [torch.from_numpy(arrays[name]) for name in ("images", "labels")]

    def _formatted(self, images):
        return images.contiguous(memory_format=self.format)

    def _optimizer(self, name, lr, settings):
        rule = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[name]
        return rule(self.module.parameters(), lr=lr, **settings)

    def accuracy(self, target, optimizer, settings):
        """Train on the recipe until an epoch ends with the target; see time_to_accuracy."""
        with np.load(self.folder / "arrays.npz") as arrays:
            recipe = dict(arrays)
        train, test = (self._normalized(recipe, part) for part in ("train", "test"))
        size, rates = int(recipe["batch_size"]), recipe["rates"]
        orders = torch.from_numpy(recipe["orders"])

        def fit(order, rates):
            self.net.train()
            for chosen, lr in zip(order.split(size), rates):
                updates.param_groups[0]["lr"] = lr
                x, labels = self._formatted(train[0][chosen]), train[1][chosen]
                updates.zero_grad(set_to_none=True)
                self.loss(self.net(x), labels).backward()
                updates.step()

        def evaluate(images, labels):
            self.net.eval()
            batches = zip(images.split(EVALUATION_BATCH), labels.split(EVALUATION_BATCH))
            with torch.inference_mode():
                return sum(int((self.net(x).argmax(1) == y).sum()) for x, y in batches)

        state = copy.deepcopy(self.module.state_dict())
        updates = self._optimizer(optimizer, 1.0, settings)
        fit(orders[0][:size], rates)  # warms up, and is then forgotten
        evaluate(test[0][:EVALUATION_BATCH], test[1][:EVALUATION_BATCH])
        self.module.load_state_dict(state)
        updates = self._optimizer(optimizer, 1.0, settings)

        accuracies, start = [], time.perf_counter()
        for order, own in zip(orders, np.split(rates, len(orders))):
            fit(order, own)
            accuracies.append(evaluate(*test) / len(test[1]))
            if accuracies[-1] >= target:
                break
        return {"accuracies": accuracies, "train_seconds": time.perf_counter() - start}

    def _normalized(self, recipe, part):
        """Images, normalized once and for all, and labels."""
        mean, std = (recipe[name].reshape(-1, 1, 1) for name in ("mean", "std"))
        pixels = recipe[f"{part}_images"].astype(np.float32)
        pixels *= (1 / (255 * std)).astype(np.float32)
        pixels -= (mean / std).astype(np.float32)
        images, labels = torch.from_numpy(pixels), torch.from_numpy(recipe[f"{part}_labels"])
        return self._formatted(images), labels


if __name__ == "__main__":
    serve(lambda: Torch(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
