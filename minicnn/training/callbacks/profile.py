"""Where the time of training goes: seconds and GFLOP/s of every layer and pass."""

import time
from collections import defaultdict
from contextlib import ExitStack
from typing import Any

from minicnn.console import terminal
from minicnn.console.table import as_text
from minicnn.kernels.peak import measure_peak
from minicnn.training.callbacks.base import Callback
from minicnn.training.trainer import Trainer


class Profile(Callback):
    """Times the forward and backward pass of every layer of the model in training.

    The first step is left out. Operations are those of the layers' equations, two for each
    multiply-add, so Winograd's algorithm can go beyond the machine's peak. What a layer does
    for the ReLU beside it is counted as its own. Layers that are clocked are called one by one: a
    step of a small batch takes longer than without a profile, where kernels are replayed
    (:mod:`minicnn.plan.passes`). Which layers Python calls even then stands below the table.

    Attributes
    ----------
    peak : float
        Floating-point operations a second of the machine, measured at the end.
    """

    def __init__(self) -> None:
        self.peak: Any = None
        self._seconds: dict[tuple[str, str], float] = defaultdict(float)
        self._layers: list[Any] = []
        self._called: list[str] = []
        self._steps = self._samples = 0
        self._start = self._whole = 0.0
        self._timing, self._clock = False, ExitStack()

    def on_train_begin(self, trainer: Trainer) -> None:
        """Put a clock around the passes of every layer."""
        self._layers = trainer.model.all_layers()
        plan = trainer.model.plan()
        self._called = [layer.name for layer in plan.called()]
        self._clock.enter_context(plan.observed(self._timed))

    def on_epoch_begin(self, trainer: Trainer) -> None:
        """Start the clock of the epoch's steps."""
        self._timing, self._start = trainer.step > 0, time.perf_counter()

    def on_step_end(self, trainer: Trainer) -> None:
        """Count the step, and begin to time after the first one."""
        now = time.perf_counter()
        if self._timing:
            self._whole += now - self._start
            self._steps += 1
            self._samples += trainer.batch.samples
        last = trainer.totals.samples == len(trainer.train)
        self._timing, self._start = not last, now

    def on_train_end(self, trainer: Trainer) -> None:
        """Take the clocks away, and measure what the machine can do."""
        self._clock.close()
        self._timing = False
        self.peak = measure_peak()

    def _timed(self, layer, which, arrays, compute):
        start = time.perf_counter()
        result = compute()
        if self._timing:
            self._seconds[layer.name, which] += time.perf_counter() - start
        return result

    def table(self) -> str:
        """The times as text: a row for each layer and pass, the rest, and the whole step."""
        if not self._steps:
            return "profile: no step was timed; train for more than one step."
        rows = []
        for which in ("forward", "backward"):
            for layer in self._layers:
                passes = 1 if which == "forward" else 1 + layer.needs_input_gradient
                flops = 2 * layer.multiply_adds() * passes
                seconds = self._seconds[layer.name, which]
                rows.append(self._row(f"{layer.name} {which}", flops, seconds))
        rest = self._whole - sum(self._seconds.values())
        rows.append(self._row("batches, loss, update", 0, rest))
        flops = sum(layer.training_flops() for layer in self._layers)
        rows.append(self._row("step", flops, self._whole))
        header = ["", "ms a step", "share", "GFLOP/s", "of peak"]
        peak = f"peak of the machine on these threads: {self.peak / 1e9:.0f} GFLOP/s"
        python = ", ".join(self._called) or "none"
        replayed = f"called by Python in each step; all others are replayed: {python}"
        return f"{as_text(header, rows, terminal.width(), keys=1)}\n{peak}\n{replayed}"

    def _row(self, name, flops, seconds):
        rate = flops * self._samples / seconds if seconds else 0.0
        speed = (f"{rate / 1e9:.0f}", f"{100 * rate / self.peak:.0f} %") if flops else ("", "")
        per_step, share = 1e3 * seconds / self._steps, 100 * seconds / self._whole
        return name, f"{per_step:.3f}", f"{share:.1f} %", *speed
