"""``minicnn show RUN filters|features|confusion|errors|saliency|curves``: a figure each."""

from collections.abc import Sequence
from pathlib import Path

from minicnn.cli.options import Parser
from minicnn.console.output import say

HELP = "draw what a trained run has learned, and where it errs"
KINDS = ("filters", "features", "confusion", "errors", "saliency", "curves")
IMAGES = 6  # of a saliency map


def parser() -> Parser:
    """The parser of this command."""
    made = Parser(prog="minicnn show", description="Draw a figure of a trained run.")
    made.add_argument("run", metavar="RUN", help="folder of a run")
    made.add_argument("kind", choices=KINDS, help="what to draw")
    made.add_argument("--picture", metavar="FILE", help="your own, for features and saliency")
    made.add_argument("--image", metavar="N", type=int, default=0, help="of the test set (0)")
    made.add_argument("--layer", metavar="NAME", help="of features (the last with images)")
    made.add_argument("--data", help="data set or folder (that of the run)")
    made.add_argument(
        "--out", metavar="FILE", help="PNG, SVG or PDF (KIND.png in the run's folder)"
    )
    return made


def run(words: Sequence[str]) -> int:
    """Carry the command out; returns the exit code."""
    given = parser().parse_args(words)
    from minicnn import views
    from minicnn.training.runs.files import write_atomically
    from minicnn.training.runs.trained import load_run
    from minicnn.views import canvas

    folder = Path(given.run) if Path(given.run).is_dir() else Path(given.run).parent
    out = canvas.check_ending(Path(given.out or folder / f"{given.kind}.png"))
    if given.kind == "curves":
        figure = views.curves(folder)
    else:
        trained = load_run(given.run, input_gradient=given.kind == "saliency")
        if given.kind == "filters":
            figure = views.filters(trained)
        elif given.kind == "features":
            figure = views.features(trained, _images(given, trained, 1)[0], given.layer)
        elif given.kind == "saliency":
            figure = views.saliency(trained, _images(given, trained, IMAGES))
        else:
            draw = views.confusion if given.kind == "confusion" else views.errors
            figure = draw(trained, _test_set(given, trained))
    write_atomically(out, canvas.as_file(figure, out.suffix[1:]))
    say(f"written to {out}")
    return 0


def _test_set(given, trained):
    from minicnn.data import sources

    return sources.load(given.data or trained.settings.data, **trained.settings.reading())[1]


def _images(given, trained, count):
    """The picture that was given, or some of the test set."""
    from minicnn.data.pictures import read_picture
    from minicnn.errors import ArgumentError

    if given.picture is not None:
        border = trained.about["images"].get("border")
        return read_picture(given.picture, trained.shape, border).pixels[None]
    dataset = _test_set(given, trained)
    if not 0 <= given.image < len(dataset):
        raise ArgumentError(f"--image must be from 0 to {len(dataset) - 1}, got {given.image}.")
    last = min(given.image + count, len(dataset))
    return dataset.take(range(given.image, last)).images
