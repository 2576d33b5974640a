"""Make the starter weights: draw the images, pretrain, save the base, try it.

python -m starter                 remakes the committed file (about an hour on two cores)
python -m starter --trial-only    measures the file that is there
python -m starter --samples FILE  writes a contact sheet of training images
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from starter.contact_sheet import contact_sheet
from starter.drawing import all_worlds, class_names, draw_images
from starter.half_precision import COMMITTED, save_half
from tasks.common.command import run_command
from tasks.common.errors import GraftError

if TYPE_CHECKING:
    import keras

_CONSOLE = Console(stderr=True)
_STEPS_BETWEEN_LINES = 500
_FADE = 0.99


def main() -> None:
    """Read the arguments and do what they ask for; GraftError when fonts or weights are missing."""
    arguments = _parser().parse_args()
    for name in ("images", "steps", "threads", "batch", "splits"):
        if getattr(arguments, name) < 1:
            msg = f"--{name}: expected 1 or more, found {getattr(arguments, name)}; give a larger number"
            raise GraftError(msg)
    if arguments.samples:
        contact_sheet(all_worlds(), arguments.seed).save(arguments.samples, optimize=True)
        return
    if not arguments.trial_only:
        _make(arguments)
    if not arguments.no_trial:
        _try(arguments.out, arguments.splits)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m starter", description="Make the starter weights.")
    parser.add_argument("--out", type=Path, default=COMMITTED, help="weights file (default: the committed one)")
    parser.add_argument(
        "--images", type=int, default=200_000, help="images to draw; 12 kB of memory each (%(default)s)"
    )
    parser.add_argument("--steps", type=int, default=60_000, help="training steps (%(default)s)")
    parser.add_argument("--batch", type=int, default=32, help="images a step (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of images and training (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="cores to use; the bytes depend on it (%(default)s)")
    parser.add_argument("--splits", type=int, default=20, help="random splits of the trial (%(default)s)")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--trial-only", action="store_true", help="train nothing, try the weights at --out")
    what.add_argument("--no-trial", action="store_true", help="train and save, try nothing")
    what.add_argument("--samples", type=Path, help="only write a contact sheet of training images to this PNG file")
    return parser


def _make(arguments: argparse.Namespace) -> None:
    # TensorFlow takes seconds to import and is not needed for the images, whose processes must not load it either.
    from starter.pretraining import Recipe, pretrain, set_up

    classes = len(class_names(all_worlds()))
    with _progress() as progress:
        drawing = progress.add_task("drawing images", total=arguments.images, rate="")
        pictures, labels = draw_images(
            arguments.images, arguments.seed, arguments.threads, lambda done: progress.advance(drawing, done)
        )
        training = progress.add_task("pretraining", total=arguments.steps, rate="")
        faded = [0.0, 0.0, 0.0]

        def report(step: int, loss: float, accuracy: float, _: keras.Model) -> None:
            for place, value in enumerate((loss, accuracy, 1.0)):
                faded[place] = _FADE * faded[place] + (1 - _FADE) * value
            text = f"loss {faded[0] / faded[2]:.2f}, accuracy {100 * faded[1] / faded[2]:.0f} %"
            progress.update(training, completed=step, rate=text)
            if step % _STEPS_BETWEEN_LINES == 0 and not _CONSOLE.is_terminal:
                _CONSOLE.print(f"step {step:,} of {arguments.steps:,}: {text}")

        set_up(arguments.seed, arguments.threads)
        recipe = Recipe(arguments.steps, arguments.batch, seed=arguments.seed, threads=arguments.threads)
        base = pretrain(pictures, labels, classes, recipe, report)
    save_half(base, arguments.out)
    _CONSOLE.print(f"wrote {arguments.out} ({arguments.out.stat().st_size / 1000:.0f} kB)")


def _try(path: Path, splits: int) -> None:
    from starter.trial import SHOTS, load_base, trial

    base = load_base(path)
    with _CONSOLE.status(f"trying the features, {splits} splits"):
        rows = trial(base, splits)
    table = Table("target", "features", *(f"k={shots}" for shots in SHOTS), title="accuracy in %, k labels per class")
    for row in rows:
        table.add_row(row.target, row.features, *(f"{100 * row.accuracy[shots]:.1f}" for shots in SHOTS))
    Console().print(table)


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    return Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=_CONSOLE)


if __name__ == "__main__":
    run_command("starter", main)
