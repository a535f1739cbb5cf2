"""One thread at a time trains a model, any number predict: none spoils another's arrays."""

import copy
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from minicnn import Sequential, lanes
from minicnn.errors import ArgumentError
from minicnn.layers import Dense, Identity, NumpyLayer, Tanh
from minicnn.models import Residual
from minicnn.plan import Passes
from minicnn.plan.model_lock import ModelLock

SAMPLES = 20


def small_model(seed=0):
    model = Sequential(Dense(6), Residual(Sequential(Dense(6), Tanh())), Dense(3))
    model.initialize((4,), seed=seed)
    return model


def images(seed=0):
    return np.random.default_rng(seed).standard_normal((SAMPLES, 4)).astype(np.float32)


def packed(seed=0):
    return lanes.pack(images(seed))


def elsewhere(function, *arguments):
    """What a function gives, or raises, in another thread, which then ends."""
    with ThreadPoolExecutor(1, "second") as thread:
        return thread.submit(function, *arguments).result()


REFUSED = "thread 'second.*' cannot use this model, which thread 'MainThread' is computing with"


def backward(model):
    return model.backward(np.zeros((2, 3, 16), np.float32))


@pytest.mark.parametrize("call", [
    lambda model: model.forward(packed()),
    backward,
    lambda model: model.layers[1].body.forward(np.zeros((2, 6, 16), np.float32)),
    lambda model: Passes(model).forward(packed(), False),
    lambda model: model.predict(images()),
    lambda model: model.state_dict(),
    lambda model: model.load_state_dict(model.initial),
    lambda model: model.initialize((4,)),
])  # fmt: skip
def test_between_two_passes_no_other_thread_gets_at_the_model(call):
    model = small_model()
    model.initial = model.state_dict()
    model.forward(packed(), True)
    before = model.state_dict()
    with pytest.raises(ArgumentError, match=REFUSED):
        elsewhere(call, model)
    np.testing.assert_equal(model.state_dict(), before)
    model.backward(np.zeros((2, 3, 16), np.float32))
    model.release()
    if call is backward:  # a thread goes back through passes of its own
        with pytest.raises(ArgumentError, match="none to go back through"):
            elsewhere(call, model)
    else:
        elsewhere(call, model)


def test_the_passes_of_the_holder_are_as_if_it_were_alone():
    def gradients(disturbed):
        model = small_model()
        scores = model.forward(packed(), True)
        if disturbed:
            with pytest.raises(ArgumentError):
                elsewhere(model.forward, packed(1), True)
        model.backward(scores)
        return [parameter.grad.tobytes() for parameter in model.parameters()]

    assert gradients(True) == gradients(False)


def test_a_thread_that_has_ended_holds_nothing():
    model = small_model()
    elsewhere(model.forward, packed())
    model.forward(packed())


def test_only_the_holder_can_let_go():
    model = small_model()
    model.forward(packed())
    elsewhere(model.release)
    with pytest.raises(ArgumentError, match=REFUSED):
        elsewhere(model.forward, packed())


def test_to_predict_holds_a_model_no_longer_than_it_takes():
    model = small_model()
    scores = model.predict(images())
    np.testing.assert_array_equal(elsewhere(model.predict, images()), scores)
    model.forward(packed())
    model.predict(images())  # within a pass of its own
    with pytest.raises(ArgumentError, match=REFUSED):
        elsewhere(model.predict, images())


def test_many_threads_predict_with_one_model():
    model, inputs = small_model(), [images(seed) for seed in range(40)]
    expected = [model.predict(x) for x in inputs]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(model.predict, inputs))
    np.testing.assert_array_equal(found, expected)


def test_an_error_within_a_turn_ends_it():
    holder = ModelLock()
    with pytest.raises(ZeroDivisionError), holder.taken():
        1 / 0  # noqa: B018
    elsewhere(holder.take)


def test_of_threads_that_want_a_model_at_once_one_gets_it():
    for _ in range(20):
        holder, gate, done = ModelLock(), threading.Barrier(4), threading.Barrier(4)
        got = []

        def want(holder=holder, gate=gate, done=done, got=got):
            gate.wait()
            try:
                holder.take()
                got.append(True)
            except ArgumentError:
                pass
            done.wait()  # none ends before all have tried

        threads = [threading.Thread(target=want) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(got) == 1


def test_a_copy_is_held_by_nobody():
    model = small_model()
    scores = model.forward(packed()).copy()
    other = copy.deepcopy(model)
    np.testing.assert_array_equal(elsewhere(other.forward, packed()), scores)


def test_who_wants_to_train_waits_for_those_who_predict_and_refuses_the_next():
    lock, inside, go_on = ModelLock(), threading.Event(), threading.Event()

    def predict():
        with lock.shared():
            inside.set()
            go_on.wait()

    reader = threading.Thread(target=predict)
    reader.start()
    inside.wait()
    with ThreadPoolExecutor(1) as thread:
        taken = thread.submit(lock.take)
        with pytest.raises(TimeoutError):
            taken.result(timeout=0.05)
        go_on.set()
        taken.result(timeout=10)
        with pytest.raises(ArgumentError, match="cannot use this model"), lock.shared():
            pass
        thread.submit(lock.release).result()
    with lock.shared(), lock.shared():
        pass


def test_threads_predict_at_the_same_time():
    """Each waits in the middle of its pass until the other is there, too."""
    gate = threading.Barrier(2, timeout=30)

    class Meeting(NumpyLayer):
        def forward(self, x):
            gate.wait()
            return x

        def backward(self, dy):
            return dy

    model = Sequential(Dense(6), Meeting(), Dense(3))
    model.initialize((4,), seed=0)
    inputs = [images(seed) for seed in (1, 2)]
    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(model.predict, inputs))
    gate.abort()
    model = Sequential(Dense(6), Identity(), Dense(3))
    model.initialize((4,), seed=0)
    np.testing.assert_array_equal(found, [model.predict(x) for x in inputs])
