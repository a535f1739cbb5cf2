"""Draw the headline: LeNet-5 on MNIST from five initializations, three seeds each.

Trains what is not in the folder yet, draws ``docs/headline.svg`` and prints the table of the
README. Needs the `plot` extra: ``pip install -e '.[plot]'``.
"""

import json
import sys
from pathlib import Path

from minicnn.cli import main

INITS = ["zeros", "constant:0.01", "normal:0.01", "xavier", "msra"]
SEEDS = range(3)
ENTROPY = 2.30116  # of the class frequencies of MNIST: all that a dead network can learn
COLOURS = ["#000000", "#D55E00", "#E69F00", "#0072B2", "#009E73"]  # Okabe & Ito: colour-blind safe
HERE = Path(__file__).parent
RUNS = HERE.parent / "runs" / "headline"


def train(init, seed):
    """The folder of a finished run."""
    folder = RUNS / f"{init.replace(':', '-')}-{seed}"
    if not (folder / "summary.json").exists():
        lr = ["--lr", "0.01"] if init == "zeros" else []
        code = main(["--init", init, "--seed", str(seed), "--out", str(folder), *lr, "--quiet"])
        if code:
            sys.exit(code)
    return folder


def read(folder):
    """The lines of a run's metrics, and its summary."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return lines, json.loads((folder / "summary.json").read_text())


def draw(runs):
    """Write the picture: a line for each seed."""
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        sys.exit("The picture needs matplotlib: pip install -e '.[plot]'")
    plt.rcParams["svg.hashsalt"] = "minicnn"
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for (init, seeds), colour in zip(runs.items(), COLOURS):
        for number, (lines, _) in enumerate(seeds):
            style = dict(color=colour, alpha=0.8, lw=1.5, label=None if number else init)
            epochs = [line["epoch"] for line in lines]
            left.plot(epochs, [line["train_loss"] for line in lines], **style)
            right.plot(epochs, [100 * line["test_accuracy"] for line in lines], **style)
    left.axhline(ENTROPY, color="grey", ls=":", lw=1)
    left.text(5, ENTROPY * 1.02, "entropy of the classes", color="grey", va="bottom", ha="right")
    left.set(xlabel="epoch", ylabel="training loss (nats)", ylim=(0, 2.6))
    right.set(xlabel="epoch", ylabel="test accuracy (%)", ylim=(0, 100))
    figure.legend(*right.get_legend_handles_labels(), frameon=False, loc="outside right")
    for axes in (left, right):
        axes.set_xticks([line["epoch"] for line in lines])
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(HERE / "headline.svg", metadata={"Date": None})
    figure.savefig(RUNS / "headline.png", dpi=110)


def table(runs):
    """The README's table."""
    rows = ["| `--init` | test accuracy, seeds 0 to 2 (%) | training loss | classes predicted |"]
    rows += ["|---|---|---|---|"]
    for init, seeds in runs.items():
        accuracy = ", ".join(f"{100 * summary['test_accuracy']:.2f}" for _, summary in seeds)
        losses = ", ".join(f"{summary['train_loss']:.3f}" for _, summary in seeds)
        classes = ", ".join(str(summary["predicted_classes"]) for _, summary in seeds)
        shown = f"{init} --lr 0.01" if init == "zeros" else init
        rows.append(f"| `{shown}` | {accuracy} | {losses} | {classes} |")
    return "\n".join(rows)


if __name__ == "__main__":
    runs = {init: [read(train(init, seed)) for seed in SEEDS] for init in INITS}
    draw(runs)
    print(table(runs))
