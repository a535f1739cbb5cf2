"""The logic of the benchmarks: what is compared, counted and reported; never a time."""

import numpy as np
import pytest

from benchmarks import common, comparison, problem, rounds, speed, time_to_accuracy
from benchmarks.workers import BenchmarkError
from minicnn.errors import ArgumentError

BATCH, IMAGES = 32, 128
GRADIENTS = {"0.weight": np.array([[1.0, -2.0]]), "0.bias": np.array([0.5])}


class FakeWorker:
    """Answers as a worker does; `wrong(images)` gives a factor of the first gradient."""

    def __init__(self, name, wrong=lambda images: 1.0, loss=2.0, gradients=GRADIENTS, error=None):
        self.name, self.wrong, self.loss, self.gradients = name, wrong, loss, gradients
        self.error, self.closed = error, False

    def ask(self, do, path, images):
        assert do == "gradients" and len(images) == BATCH and max(images) < IMAGES
        if self.error:
            raise BenchmarkError(self.error)
        first, *others = self.gradients
        arrays = {name: self.gradients[name] for name in others}
        np.savez(path, **{first: self.gradients[first] * self.wrong(images), **arrays})
        return {"loss": self.loss}

    def close(self):
        self.closed = True


def check(tmp_path, *peers):
    workers = [FakeWorker("minicnn"), *peers]
    return comparison.check(workers, tmp_path, BATCH, IMAGES), workers


def test_equal_gradients_agree(tmp_path):
    found, _ = check(tmp_path, FakeWorker("contiguous"), FakeWorker("channels_last"))
    assert set(found.values()) == {0.0}


def test_no_peer_nothing_to_compare(tmp_path):
    assert check(tmp_path)[0] == {}


def test_differences_are_relative_to_the_largest_value_of_the_tensor(tmp_path):
    found, _ = check(tmp_path, FakeWorker("contiguous", lambda images: 1 + 5e-5))
    assert found["gradient_difference"] == pytest.approx(5e-5, rel=1e-3)


@pytest.mark.parametrize(
    "peer, message",
    [
        (FakeWorker("contiguous", lambda images: 1.001), "gradient of 0.weight differs by 1.0e-03"),
        (FakeWorker("contiguous", lambda images: np.nan), "gradient of 0.weight differs by inf"),
        (FakeWorker("contiguous", loss=2.001), "the loss differs by 5.0e-04"),
        (FakeWorker("contiguous", gradients={"0.weight": np.ones(3)}), "parameters.*0.bias"),
    ],
)
def test_a_disagreement_is_named(tmp_path, peer, message):
    with pytest.raises(BenchmarkError, match=message):
        check(tmp_path, peer)


def test_other_variants_of_the_peer_are_held_to_the_loss(tmp_path):
    good = FakeWorker("contiguous")
    check(tmp_path, good, FakeWorker("compiled", lambda images: 1.01))
    with pytest.raises(BenchmarkError, match="compiled.*the loss differs by 5.0e-04"):
        check(tmp_path, good, FakeWorker("compiled", loss=2.001))
    with pytest.raises(BenchmarkError, match="compiled.*gradient of 0.weight"):
        check(tmp_path, good, FakeWorker("compiled", lambda images: 1.3))


def few(images):
    return len(set(images)) <= comparison.FEW


def test_flips_at_kinks_are_told_from_errors(tmp_path):
    """Whole batches differ by a percent, and batches of a few images only now and then."""
    flips = FakeWorker("contiguous", lambda im: 1.0 if few(im) and 20 in im else 1.01)
    found, _ = check(tmp_path, flips)
    assert found["gradient_difference"] == 0
    assert found["whole_batch_gradient_difference"] == pytest.approx(0.01, rel=0.02)
    with pytest.raises(BenchmarkError, match="differs by 2.3e-01"):  # 1 - 1 / 1.3
        check(tmp_path, FakeWorker("contiguous", lambda im: 1.0 if few(im) else 1.3))


def test_a_variant_that_does_not_compile_is_left_out(tmp_path, capsys):
    broken = FakeWorker("compiled", error="no compiler")
    _, workers = check(tmp_path, FakeWorker("contiguous"), broken)
    assert broken.closed and broken not in workers
    assert "torch.compile is left out: no compiler" in capsys.readouterr().out
    with pytest.raises(BenchmarkError, match="no compiler"):
        check(tmp_path, FakeWorker("contiguous", error="no compiler"))


@pytest.mark.parametrize(
    "ours, theirs, expected",
    [
        ([1.0, 2.0], [1.0, 4.0], 0.5),
        ([0.0, 0.0], [0.0, 0.0], 0.0),
        ([1.0, 0.0], [0.0, 0.0], 1.0),
        ([1.0], [1.0, 1.0], np.inf),
        ([1.0], [np.nan], np.inf),
        ([np.inf], [np.inf], np.inf),
    ],
)
def test_relative_difference(ours, theirs, expected):
    assert comparison.relative_difference(ours, theirs) == expected


def test_ratio_is_that_of_the_medians_to_the_best_peer():
    seconds = {"minicnn": [0.5, 1.0, 9.0], "slow": [4.0, 4.0, 1.0], "fast": [2.0, 2.5, 3.0]}
    found = comparison.compared(10, seconds)
    assert found["images_per_second"] == 10
    assert found["peers"] == {"slow": 2.5, "fast": 4.0}
    assert (found["best_peer"], found["ratio"]) == ("fast", 2.5)
    assert found["rounds"]["fast"] == [5.0, 4.0, 10 / 3]
    alone = comparison.compared(10, {"minicnn": [0.5]})
    assert (alone["best_peer"], alone["ratio"]) == (None, None)


def test_operations_of_a_training_step():
    first, second = 6 * 28 * 28 * 25, 16 * 10 * 10 * 6 * 25
    dense = 400 * 120 + 120 * 84 + 84 * 10
    expected = 2 * (2 * first + 3 * (second + dense))
    assert problem.training_flops(problem.build("lenet5")) == expected


@pytest.mark.parametrize("name", ["lenet5", "resnet8", "densenet7", "unet", "mlp:30x2"])
def test_description_names_every_parameter_once(name):
    model = problem.build(name)
    found = []

    def walk(layer):
        found.extend(layer["parameters"].values())
        for child in layer["layers"]:
            walk(child)

    walk(problem.describe(model))
    assert found == [parameter.name for parameter in model.parameters()]


def test_description_holds_the_settings():
    layers = problem.describe(problem.build("resnet8"))["layers"]
    block = next(layer for layer in layers if len(layer["layers"]) == 2)
    body, shortcut = block["layers"]
    assert block["kind"] == "Residual" and body["kind"] == "Sequential"
    assert shortcut["kind"] == "Conv2d" and shortcut["input_shape"] == (16, 32, 32)
    assert shortcut["settings"]["stride"] == (2, 2) and shortcut["settings"]["bias"] is False
    assert body["layers"][1]["settings"] == {"eps": 1e-5, "momentum": 0.1}


def test_batches_are_several_and_differ():
    batches = problem.random_batches((1, 2, 2), 128)
    assert batches["images"].shape == (8, 128, 1, 2, 2) and batches["labels"].shape == (8, 128)
    assert len(np.unique(batches["images"].reshape(8, -1), axis=0)) == 8
    assert len(problem.random_batches((1, 2, 2), 2048)["images"]) == 2


def test_a_round_wakes_up_before_it_counts():
    calls = []
    _, last = rounds.timed(lambda i: calls.append(i) or len(calls), 5)
    assert calls == [0, 1, 2, 3, 4, 5] and last == 6


def run_of(reached, train, wall):
    return {"reached": reached, "train_seconds": train, "wall_seconds": wall}


def test_time_to_accuracy_compares_means_of_those_that_arrived():
    runs = [
        {"seed": 0, "minicnn": run_of(True, 1.0, 4.0), "contiguous": run_of(True, 4.0, 6.0),
         "channels_last": run_of(True, 1.0, 1.0)},
        {"seed": 1, "minicnn": run_of(True, 3.0, 6.0), "contiguous": run_of(True, 6.0, 14.0),
         "channels_last": run_of(False, 1.0, 1.0)},
    ]  # fmt: skip
    found = time_to_accuracy.summarize(runs)
    assert (found["train_ratio"], found["wall_ratio"]) == (0.4, 0.5)
    assert found["mean"]["train_seconds"] == {
        "minicnn": 2.0, "contiguous": 5.0, "channels_last": None,
    }  # fmt: skip
    runs[0]["minicnn"]["reached"] = False
    assert time_to_accuracy.summarize(runs)["train_ratio"] is None


def test_lists_of_counts():
    assert common.counts("--batches", "16, 32") == [16, 32]
    for text in ("", "16,", "-1", "1.5", "x"):
        with pytest.raises(ArgumentError, match="--batches takes whole numbers"):
            common.counts("--batches", text)


def test_table_is_markdown():
    table = common.table(("model", "ratio"), [("lenet5", "2.50")])
    assert table == "| model | ratio |\n| --- | ---: |\n| lenet5 | 2.50 |"


def test_sizes_in_turn_are_processes_of_their_own_that_alternate(monkeypatch):
    """Each with its own problem; the speed is the median of the rounds'."""
    written, alive = [], []

    class Worker:
        def __init__(self, name, module, arguments, threads):
            self.name, (folder, self.threads) = name, arguments
            with np.load(f"{folder}/arrays.npz") as arrays:
                written.append(arrays["images"].shape[1])

        def __enter__(self):
            alive.append(self)
            return self

        def __exit__(self, *_):
            alive.remove(self)

    def alternate(workers, job, count):
        assert alive == workers and job == "train" and count == 7
        return {"batch 16": [1.0, 4.0, 2.0], "batch 64": [32.0, 8.0, 16.0]}

    monkeypatch.setattr(speed, "Worker", Worker)
    monkeypatch.setattr(speed, "alternate", alternate)
    options = speed.make_parser().parse_args(["--model", "mlp:9x1", "--rounds", "7"])
    cases = [("mlp:9x1", 16, 2), ("mlp:9x1", 64, 2)]
    assert speed.in_turn(cases, options) == [8.0, 4.0]
    assert written == [16, 64] and not alive
