"""Ours and the peers held against each other: first what they compute, then how fast."""

import numpy as np

from benchmarks import common
from benchmarks.workers import BenchmarkError

OURS = "minicnn"
TOLERANCE = 1e-4
# Where a number is so close to the kink of a ReLU, or two so close to a tie in a pool, that
# rounding decides, one flip changes a deep net's gradient by a percent; PyTorch's own two
# memory formats differ so, too. This is what many flips may do, and a blunder exceeds.
KINKS = 0.2
FEW, TRIALS = 4, 16


def check(workers, folder, batch_size, images):
    """Hold every peer's loss and gradients against minicnn's, in training mode.

    On the whole of the first batch the losses have to agree within `TOLERANCE`, and the
    gradients within `KINKS`, relative to the largest value of each tensor. The gradients of
    the first peer have to agree within `TOLERANCE`: on that batch, or else on one of
    `TRIALS` batches that repeat a few images over and over, because among few numbers a flip
    is rare. The other peers are the first in another memory format or compiled.

    Where ``torch.compile`` does not work, its worker is closed and leaves the list.

    Parameters
    ----------
    workers : list of Worker
        minicnn first.
    folder : Path
        For the gradients' files.
    batch_size, images : int
        How many images a batch and the whole data hold.

    Returns
    -------
    dict
        The largest relative differences, empty without peers: ``loss_difference`` and
        ``whole_batch_gradient_difference`` on the first batch, over all peers, and
        ``gradient_difference`` to the first peer on the batch that decided.

    Raises
    ------
    BenchmarkError
        If they disagree: which tensor and by how much.
    """
    drop_uncompiled(workers, folder, batch_size)
    ours, peers = workers[0], workers[1:]
    if not peers:
        return {}
    whole = differences(ours, peers, folder, range(batch_size))
    for name, each in whole.items():
        judge(name, {"loss": each["loss"]}, TOLERANCE)
        judge(name, each, KINKS)
    first = peers[0]
    best, trial = whole[first.name], 0
    while worst(best) > TOLERANCE and trial < TRIALS:
        few = np.resize(np.arange(trial * FEW, (trial + 1) * FEW) % images, batch_size)
        best = min(best, differences(ours, [first], folder, few)[first.name], key=worst)
        trial += 1
    judge(first.name, best, TOLERANCE)
    return {
        "loss_difference": max(each["loss"] for each in whole.values()),
        "gradient_difference": worst(best),
        "whole_batch_gradient_difference": max(worst(each) for each in whole.values()),
    }


def drop_uncompiled(workers, folder, batch_size):
    """Close the compiled variant, with a sentence, if it does not compute a gradient."""
    for worker in [worker for worker in workers if worker.name == "compiled"]:
        try:
            computed(worker, folder, range(batch_size))
        except BenchmarkError as error:
            print(f"torch.compile is left out: {error}", flush=True)
            worker.close()
            workers.remove(worker)


def computed(worker, folder, images):
    """Loss and gradients of a batch of these images, by name."""
    path = folder / "gradients.npz"
    loss = worker.ask("gradients", path=str(path), images=[int(i) for i in images])["loss"]
    with np.load(path) as gradients:
        return {"loss": loss, **{f"gradient of {name}": gradients[name] for name in gradients}}


def differences(ours, peers, folder, images):
    """For every peer, the relative difference of each tensor."""
    mine, result = computed(ours, folder, images), {}
    for peer in peers:
        theirs = computed(peer, folder, images)
        if mine.keys() != theirs.keys():
            odd = ", ".join(sorted(mine.keys() ^ theirs.keys()))
            raise BenchmarkError(f"PyTorch ({peer.name}) has not the parameters of minicnn: {odd}.")
        result[peer.name] = {name: relative_difference(mine[name], theirs[name]) for name in mine}
    return result


def worst(each):
    """The largest difference."""
    return max(each.values())


def judge(peer, each, tolerance):
    """Raise a BenchmarkError that names the worst tensor, if that is beyond the tolerance."""
    name = max(each, key=each.get)
    if each[name] > tolerance:
        raise BenchmarkError(
            f"minicnn and PyTorch ({peer}) disagree: the {name} differs by {each[name]:.1e} of"
            f" its largest value, at most {tolerance:.0e} was expected."
        )


def relative_difference(ours, theirs):
    """Largest difference, relative to the largest absolute value of `theirs`.

    Infinite if the shapes differ, or if something is NaN or infinite.
    """
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if ours.shape != theirs.shape or not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        return np.inf
    difference, scale = np.abs(ours - theirs).max(), np.abs(theirs).max()
    return float(difference / scale) if scale > 0 else float(difference)


def compared(batch_size, seconds):
    """Images per second of everyone, and the ratio of ours to the best peer's.

    Parameters
    ----------
    batch_size : int
    seconds : dict of str to list of float
        By contestant, of a step in each round.

    Returns
    -------
    dict
        ``best_peer`` and ``ratio`` are None without peers; ``rounds`` has all the numbers
        that the others are the medians of.
    """
    rounds, speeds = {}, {}
    for name, each in seconds.items():
        rounds[name], speeds[name] = common.rates(batch_size, each)
    ours = speeds.pop(OURS)
    best = max(speeds, key=speeds.get, default=None)
    return {
        "images_per_second": ours,
        "peers": speeds,
        "best_peer": best,
        "ratio": None if best is None else ours / speeds[best],
        "rounds": rounds,
    }
