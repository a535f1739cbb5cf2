"""The same seed gives the same bits: on any number of threads, and whoever looks on."""

import numba
import numpy as np
import pytest

from minicnn import Sequential
from minicnn.kernels.runtime.thread_pool import get_num_threads, set_num_threads
from minicnn.lab.measure.probes import Probes
from minicnn.layers import Dense, Dropout, Flatten
from minicnn.models import zoo
from minicnn.optimizers import SGD, Adam
from minicnn.training.callbacks.base import MetricsLog
from minicnn.training.callbacks.gradient_watch import GradientWatch
from minicnn.training.callbacks.nan_guard import NanGuard
from minicnn.training.callbacks.profile import Profile
from minicnn.training.callbacks.progress import Progress
from minicnn.training.trainer import Trainer
from tests.layers.cases import CASES
from tests.training.toys import CLASSES, toy

TIMES = ("seconds", "images_per_second")
SAMPLES, BATCH = 53, 32  # the last batch is smaller, and fills no group of lanes
MODELS = (
    "lenet5",
    "convnet",
    "mnist-example",
    "vgg-small",
    "quick",
    "plain5",
    "resnet8",
    "mobilenetv2",
    "mlp:20x2",
)


def zoo_model(name, seed, **settings):
    shape = (1, 16, 16)
    model = zoo.build(name, CLASSES, **settings)
    model.initialize(shape, seed)
    return model, shape


def model_around(case, seed):
    """The layer with a dropout and a dense layer behind it."""
    vectors = [Flatten()] if len(case.shape) == 1 else []
    shape = (*case.shape, 1, 1)[:3]
    model = Sequential(*vectors, case.make(), Dropout(0.2), Flatten(), Dense(CLASSES))
    model.initialize(shape, seed)
    return model, shape


def train(make, *, threads=1, prefetch=False, seed=0, callbacks=(), optimizer=SGD, epochs=1):
    """The bits of everything that a training leaves: weights, statistics, history, classes."""
    model, shape = make(seed)
    data = toy(SAMPLES, shape=shape)
    run = Trainer(
        model, optimizer(model.parameters(), 0.01), data, data,
        batch_size=BATCH, epochs=epochs, seed=seed, callbacks=callbacks,
    )  # fmt: skip
    run._batches.prefetch = run.test_batches.prefetch = prefetch
    before = get_num_threads()
    set_num_threads(threads)
    try:
        run.fit()
    finally:
        set_num_threads(before)
    history = [{k: v for k, v in line.items() if k not in TIMES} for line in run.history]
    state = {name: array.tobytes() for name, array in model.state_dict().items()}
    return state, history, run.predicted.tobytes()


def check_on_threads(make):
    one = train(make)
    assert train(make) == one
    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("needs two threads")
    assert train(make, threads=2, prefetch=True) == one


@pytest.mark.parametrize("name", MODELS)
def test_a_model_of_the_zoo(name):
    check_on_threads(lambda seed: zoo_model(name, seed))


def test_the_seed_does_decide_something():
    def make(seed):
        return model_around(CASES["conv"], seed)

    assert train(make, seed=1) != train(make)


@pytest.mark.parametrize("name", CASES)
def test_a_layer_with_dropout_behind_it(name):
    check_on_threads(lambda seed: model_around(CASES[name], seed))


@pytest.mark.parametrize("algorithm", ["direct", "winograd"])
def test_an_algorithm(algorithm):
    check_on_threads(lambda seed: zoo_model("plain5", seed, algorithm=algorithm))


@pytest.mark.parametrize("init", ["rezero", "fixup"])
def test_gates_and_shifts(init):
    check_on_threads(lambda seed: zoo_model("resnet8", seed, init=init))


@pytest.mark.parametrize("optimizer", [SGD, Adam])
@pytest.mark.parametrize("prefetch", [False, True])
def test_whoever_looks_on_changes_nothing(prefetch, optimizer, tmp_path):
    """Probes at every step, the profile, files, the progress bar: none of them touches a bit."""

    def make(seed):
        layers = zoo.build("quick", CLASSES).layers
        model = Sequential(*layers[:-1], Dropout(0.5), layers[-1])
        model.initialize((1, 16, 16), seed)
        return model, (1, 16, 16)

    alone = train(make, optimizer=optimizer, epochs=3)
    data = toy(20, seed=9, shape=(1, 16, 16))
    images = data.images.astype(np.float32)
    watchers = [
        Progress(), Profile(), MetricsLog(tmp_path / "metrics.jsonl"), GradientWatch(), NanGuard(),
        Probes(images, data.labels, every=1),
    ]  # fmt: skip
    watched = train(make, prefetch=prefetch, callbacks=watchers, optimizer=optimizer, epochs=3)
    assert watched == alone
    assert len(watchers[-1].records) == 7 and (tmp_path / "metrics.jsonl").exists()
