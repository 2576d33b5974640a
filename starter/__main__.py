"""Make the starter weights: draw the images, pretrain, save the base, measure it.

python -m starter                 remakes the committed file (about an hour on two cores)
python -m starter --trial-only    measures the file that is there
python -m starter --samples FILE  writes a contact sheet of training images
"""

import argparse
from pathlib import Path

from starter.contact_sheet import contact_sheet
from starter.drawing import all_generators, class_names, draw_images
from tasks.backbone.weight_source import STARTER
from tasks.common.command import quiet_imports, run_command
from tasks.common.console import print_table
from tasks.common.errors import GraftError
from tasks.common.progress import say


def main() -> None:
    """Run the command with the arguments of the process.

    Raises:
        GraftError: A number is below 1, a font is missing, or the weights cannot be loaded.
    """
    arguments = _parser().parse_args()
    for name in ("images", "steps", "threads", "batch", "splits"):
        if getattr(arguments, name) < 1:
            message = f"--{name}: expected 1 or more, found {getattr(arguments, name)}; give a larger number"
            raise GraftError(message)
    if arguments.samples:
        contact_sheet(all_generators(), arguments.seed).save(arguments.samples, optimize=True)
        return
    if not arguments.trial_only:
        _make(arguments)
    if not arguments.no_trial:
        _measure(arguments.out, arguments.splits)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m starter", description="Make the starter weights.")
    parser.add_argument("--out", type=Path, default=STARTER, help="weights file (default: the committed one)")
    parser.add_argument(
        "--images", type=int, default=200_000, help="images to draw; 12 kB of memory each (%(default)s)"
    )
    parser.add_argument("--steps", type=int, default=60_000, help="training steps (%(default)s)")
    parser.add_argument("--batch", type=int, default=32, help="images a step (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of images and training (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="cores to use; the bytes depend on it (%(default)s)")
    parser.add_argument("--splits", type=int, default=20, help="random splits of the trial (%(default)s)")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--trial-only", action="store_true", help="train nothing, measure the weights at --out")
    mode.add_argument("--no-trial", action="store_true", help="train and save, measure nothing")
    mode.add_argument("--samples", type=Path, help="only write a contact sheet of training images to this PNG file")
    return parser


def _make(arguments: argparse.Namespace) -> None:
    generators = all_generators()
    images, class_indexes = draw_images(generators, arguments.images, arguments.seed, arguments.threads)
    # Imported here because the processes that draw import this module too, and TensorFlow takes seconds to import.
    with quiet_imports():
        from starter.half_precision import save_half
        from starter.pretraining import TrainingSettings, pretrain, set_up

    set_up(arguments.seed, arguments.threads)
    settings = TrainingSettings(arguments.steps, arguments.batch, seed=arguments.seed)
    save_half(pretrain(images, class_indexes, len(class_names(generators)), settings), arguments.out)
    say(f"wrote {arguments.out} ({arguments.out.stat().st_size / 1000:.0f} kB)")


def _measure(path: Path, splits: int) -> None:
    with quiet_imports():
        from starter.trial import SHOTS, load_base, trial

    base = load_base(path)
    say(f"trial of the features, {splits} splits")
    rows = [
        (row.dataset, row.features, *(f"{100 * row.accuracy[shots]:.1f}" for shots in SHOTS))
        for row in trial(base, splits)
    ]
    print("accuracy in %, k labelled images per class")
    print_table(["dataset", "features", *(f">k={shots}" for shots in SHOTS)], rows)


if __name__ == "__main__":
    run_command("starter", main)
