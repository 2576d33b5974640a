"""Fine-tuning: its epochs beside plain Keras (benchmarks/finetuning_speed.py), and its gain in accuracy over the head.

    python -m benchmarks.finetuning [--only speed | accuracy] [--quick]

The accuracy is that of the exported graphs on the test images of each image set, with the starter and the committed
params. `--quick` runs everything in small and prints the tables instead of renewing RESULTS.md.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import onnx

from benchmarks import finetuning_speed, image_sets, results
from benchmarks.finetuning_speed import NETWORKS, SpeedExtent, measure_speed
from benchmarks.image_sets import ImageSet
from benchmarks.intervals import CONFIDENCE, paired_interval
from benchmarks.training_run import Sections, TrainingRun, write_images
from tasks.common.console import print_table
from tasks.onnx import graphs
from tasks.onnx.sessions import Session

PACKAGES = ["keras", "tensorflow", "onnxruntime"]
BATCH_SIZE = 64
CHANGES: Sections = {"finetuning": {"enabled": True}}
ACCURACY_COLUMNS = (
    *("images", "tested", "seeds", "head alone", "after fine-tuning", "difference, points"),
    *(f"{CONFIDENCE:.0%} interval", "a mixture above 0 won"),
)


class Extent(NamedTuple):
    """How much is measured: for the speed, and the image sets and seeds for the accuracy."""

    speed: SpeedExtent
    sets: Sequence[str]
    seeds: Sequence[int]


FULL = Extent(SpeedExtent(list(NETWORKS), 224, 50, 6, range(3)), list(image_sets.SETS), range(3))
QUICK = Extent(SpeedExtent(["MobileNet"], 96, 10, 3, range(2)), ["digits_5", "imbalanced"], range(2))


def measure_accuracy(scratch: Path, extent: Extent) -> Iterator[tuple[str, ...]]:
    """Yield a row an image set, and one of all, on the test accuracy of the head and of the tuned network."""
    start = TrainingRun(scratch / "starter")
    start.set_params(CHANGES)
    start.stage("backbone")
    everything: list[tuple[float, ...]] = []
    for name in extent.sets:
        figures = [
            _accuracies(TrainingRun(scratch / f"{name}{seed}", start.folder / "backbone"), name, seed)
            for seed in extent.seeds
        ]
        tests = int((image_sets.SETS[name](0).splits == "test").sum())
        yield name, str(tests), *_texts(figures)
        everything += figures
    yield "all", "", *_texts(everything)


def _accuracies(run: TrainingRun, name: str, seed: int) -> tuple[float, ...]:
    """Return the test accuracy of the head alone and after fine-tuning, and the mixture that won."""
    image_set = image_sets.SETS[name](seed)
    write_images(image_set, run.folder)
    run.set_params(CHANGES)
    for stage in ("features", "head", "finetuning"):
        run.stage(stage)
    tuned = run.folder / "finetuning"
    metrics = json.loads((tuned / "metrics.json").read_text(encoding="utf-8"))
    base = run.backbone / "backbone.onnx"
    tuned_base = tuned / "backbone.onnx"
    head = _accuracy(image_set, base, run.folder / "head" / "head.onnx")
    both = _accuracy(image_set, tuned_base if tuned_base.exists() else base, tuned / "head.onnx")
    return head, both, float(metrics.get("mixture", 0))


def _accuracy(image_set: ImageSet, base: Path, head: Path) -> float:
    """Return the share of the test images that base and head get right together."""
    head_graph = onnx.load(head)
    layers = json.loads(graphs.metadata(head_graph)["taps"])
    model = graphs.join(graphs.select_taps(onnx.load(base), layers), head_graph)
    classify = Session(model, threads=1)
    in_test = image_set.splits == "test"
    images = image_set.images[in_test]
    starts = range(0, len(images), BATCH_SIZE)
    predicted = np.concatenate([classify(images[start : start + BATCH_SIZE]).argmax(axis=1) for start in starts])
    return float((predicted == image_set.labels[in_test]).mean())


def _texts(figures: Sequence[tuple[float, ...]]) -> Iterator[str]:
    heads, tuned, mixtures = zip(*figures, strict=True)
    points = [100 * (after - before) for before, after in zip(heads, tuned, strict=True)]
    difference, low, high = paired_interval(points)
    yield from (str(len(points)), f"{mean(heads):.2%}", f"{mean(tuned):.2%}", f"**{difference:+.2f}**")
    yield f"{low:+.2f} to {high:+.2f}"
    yield f"{sum(map(bool, mixtures))} of {len(points)}"


def main() -> None:
    """Measure speed and accuracy, or one of them, and renew the sections of RESULTS.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.finetuning")
    parser.add_argument("--only", choices=["speed", "accuracy"], help="measure one part instead of both")
    parser.add_argument("--quick", action="store_true", help="measure little, print it and leave RESULTS.md")
    arguments = parser.parse_args()
    extent = QUICK if arguments.quick else FULL

    def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        if arguments.quick:
            print_table(columns, rows)
        else:
            results.renew(title, columns, rows, PACKAGES)

    with TemporaryDirectory() as folder:
        if arguments.only != "accuracy":
            speeds, curves = zip(*measure_speed(Path(folder), extent.speed), strict=True)
            show("Fine-tuning: an epoch beside plain Keras", finetuning_speed.COLUMNS, speeds)
            epochs = [f"epoch {number}" for number in range(extent.speed.epochs + 1)]
            rows = [row for network_rows in curves for row in network_rows]
            show("Fine-tuning: validation loss (accuracy)", ("network", "side", "seed", *epochs), rows)
        if arguments.only != "speed":
            accuracies = list(measure_accuracy(Path(folder), extent))
            show("Fine-tuning: test accuracy with the starter", ACCURACY_COLUMNS, accuracies)


if __name__ == "__main__":
    main()
