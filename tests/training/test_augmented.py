"""Augmented training: the same bits on any threads, prefetched or not, and resumed in an epoch."""

import numpy as np
import pytest

from minicnn import Sequential, optimizers
from minicnn.data import Batches, Dataset, split
from minicnn.data.augmentation import from_string
from minicnn.kernels.runtime.thread_pool import get_num_threads, set_num_threads
from minicnn.layers import Conv2d, Dense, Flatten, ReLU
from minicnn.losses import MeanSquaredError
from minicnn.training import Trainer
from tests.training.same import bits
from tests.training.toys import At, toy

TEXT = "crop:1,flip,rotate:10,cutout:2,noise:0.1,mixup:0.4,cutmix"


def make(text=TEXT, callbacks=(), epochs=2, **settings):
    model = Sequential(Conv2d(4, 3, padding=1), ReLU(), Flatten(), Dense(5))
    model.initialize((1, 6, 6), seed=1)
    train = toy(70, shape=(1, 6, 6), classes=5)
    sgd = optimizers.SGD(model.parameters(), 0.05, momentum=0.9)
    return Trainer(
        model, sgd, train, toy(20, 1, shape=(1, 6, 6), classes=5), batch_size=16, epochs=epochs,
        seed=2, callbacks=callbacks, augmentation=from_string(text), **settings,
    )  # fmt: skip


def trained(**settings):
    trainer = make(**settings)
    trainer.fit()
    return bits(trainer)


def test_the_same_bits_on_any_number_of_threads():
    before, found = get_num_threads(), []
    try:
        for threads in (1, 2):
            set_num_threads(threads)
            found.append(trained())
    finally:
        set_num_threads(before)
    assert found[0] == found[1]


def test_the_same_bits_prefetched_or_not(monkeypatch):
    plain, make_batches = trained(), Batches.__init__

    def ahead(self, *arguments, **settings):
        make_batches(self, *arguments, **settings)
        self.prefetch = True

    monkeypatch.setattr(Batches, "__init__", ahead)
    assert trained() == plain


def test_the_same_bits_after_a_resume_in_the_middle_of_an_epoch():
    def end(trainer):
        raise KeyboardInterrupt

    broken = make(callbacks=[At("on_step_end", lambda t: t.step == 7, end)])
    with pytest.raises(KeyboardInterrupt):
        broken.fit()
    again = make()
    again.model.load_state_dict(broken.model.state_dict())
    again.optimizer.load_state_dict(broken.optimizer.state_dict())
    again.load_state_dict(broken.state_dict())
    again.fit()
    assert bits(again) == trained()


def test_each_epoch_is_changed_in_another_way():
    seen = []
    look = At("on_step_end", lambda t: t.step % 5 == 1, lambda t: seen.append(t.batch.x.copy()))
    trainer = make("noise:0.1", [look], epochs=2)
    trainer._batches.rng = None  # in the order of the data set
    trainer._batches.order = lambda: np.arange(70)
    trainer.fit()
    assert len(seen) == 2 and not np.array_equal(*seen)


def test_another_loss_takes_mixed_targets():
    first, *_, last = make("mixup:0.4", epochs=8, loss=MeanSquaredError()).fit()
    assert last["train_loss"] < first["train_loss"]


def test_validation_images_never_get_into_training():
    """Were one mixed in, its pixels of a million would break the training."""
    images = np.random.default_rng(0).random((80, 1, 6, 6), np.float32)
    train, held = split(Dataset(images, np.arange(80) % 5), 20)
    train.storage[held.indices] = 1e30
    trainer = make()
    mixed = Trainer(
        trainer.model, trainer.optimizer, train, toy(20, 1, shape=(1, 6, 6), classes=5),
        epochs=3, augmentation=from_string("mixup:1,cutmix"),
    )  # fmt: skip
    assert all(np.isfinite(line["train_loss"]) for line in mixed.fit())
