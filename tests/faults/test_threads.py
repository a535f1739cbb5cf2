"""Two Python threads at once: different models, one loss, one data set."""

import threading

import numpy as np

from minicnn import lanes
from minicnn.data import Batches
from minicnn.losses import SoftmaxCrossEntropy
from tests.training.toys import At, dense_model, toy, trainer


def at_once(*functions):
    """Call each in a thread of its own, all at the same time; what they give, in their order."""
    found, gate = [None] * len(functions), threading.Barrier(len(functions))

    def work(index):
        gate.wait()
        try:
            found[index] = functions[index]()
        except Exception as error:
            found[index] = error

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_two_models_are_trained_at_once_as_each_would_be_alone():
    def train(seed):
        model = dense_model(16, 8, activation="relu", seed=seed)
        trainer(model, train=toy(200, seed=seed), epochs=5, seed=seed).fit()
        return {name: array.tobytes() for name, array in model.state_dict().items()}

    alone = [train(0), train(1)]
    assert alone[0] != alone[1]
    assert at_once(lambda: train(0), lambda: train(1)) == alone


def test_a_second_thread_cannot_train_a_model_and_the_first_does_not_notice():
    def train(disturbed):
        model = dense_model(8)
        second = trainer(model, seed=1)
        found = []
        meddle = At("on_loss", lambda t: t.step == 2, lambda t: found.extend(at_once(second.fit)))
        trainer(model, callbacks=[meddle] if disturbed else []).fit()
        assert second.step == 0 and len(found) == disturbed
        assert not disturbed or "cannot use this model" in str(found[0])
        return {name: array.tobytes() for name, array in model.state_dict().items()}

    assert train(True) == train(False)


def test_one_loss_for_two_threads():
    """Each finds its own gradient, though both arrays are kept for the next call."""
    loss, rng = SoftmaxCrossEntropy(), np.random.default_rng(0)
    scores = [lanes.pack(rng.standard_normal((16, 5)).astype(np.float32)) for _ in range(2)]
    labels = np.arange(16) % 5
    expected = [SoftmaxCrossEntropy()(s, labels)[1].copy() for s in scores]
    gate = threading.Barrier(2)

    def gradient(index):
        found = loss(scores[index], labels)[1]
        gate.wait()
        return found

    found = at_once(lambda: gradient(0), lambda: gradient(1))
    np.testing.assert_array_equal(found, expected)


def test_one_data_set_in_batches_for_two_threads():
    data = toy(100)
    whole = [batch.x.copy() for batch in Batches(data, 32)]

    def batches():
        return [batch.x.copy() for batch in Batches(data, 32, prefetch=True)]

    for found in at_once(batches, batches):
        assert all(np.array_equal(a, b) for a, b in zip(found, whole, strict=True))
