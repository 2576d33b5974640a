"""Photographs as phones make them: from JPEG files of 12 megapixels to vectors, held to plain Keras in the same run.

    python -m benchmarks.large_photos [COUNT]

Each side runs in a process of its own, and its imports do not count. Keras's side is that of `benchmarks.features`.
Graft runs with an empty store, once over training images, which are decoded at a reduced scale, and once over all
splits; with another backbone of the same input size, for which the store has the resized pixels; and for another head,
for which it has the vectors.

Besides, the memory of a run on photographs of 48 megapixels, the speed on photographs of 500x375, and the effect of
reduced decoding on vectors are measured.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from benchmarks import photos, results
from benchmarks.features import BACKBONE, GRAFT, KERAS, PACKAGES, run

COUNT = 300
FIRST, SECOND = "MobileNet", "MobileNetV2"
WAY = ("onnxruntime", "float32")
# The committed params divide 20 photographs in this way.
ALL_SPLITS = ["train"] * 14 + ["val"] * 3 + ["test"] * 3
SMALL, TURNS = 1000, 3
HUGE = 12


class Photographs:
    """A folder of photographs, extracted with a store that each call names."""

    def __init__(self, folder: Path, paths: list[str]) -> None:
        """Take the folder, which has the files below `images`."""
        self.folder, self._paths = folder, paths

    def extract(self, base: Path, store: str, splits: Sequence[str] = ("train",)) -> dict[str, float]:
        """Return the seconds and the peak memory of a run over the photographs, which are of these splits by turns."""
        photos.accept(self.folder / "images", self._paths, self.folder / "accepted.parquet", splits)
        backbone, location = base / "backbone.onnx", self.folder / store
        measured: dict[str, float] = run(GRAFT, self.folder, backbone, *WAY, location)
        return measured

    def vectors(self) -> npt.NDArray[np.float32]:
        """Return the vectors that the last run wrote."""
        table = pq.read_table(self.folder / "f.parquet")
        return np.stack(list(table["features"].to_numpy(zero_copy_only=False)))


def large(folder: Path, count: int, size: tuple[int, int]) -> Photographs:
    """Write photographs of that width and height."""
    return Photographs(folder, photos.write_large(folder / "images", count, size))


def speeds(photographs: Photographs, bases: dict[str, Path]) -> Iterator[tuple[str, ...]]:
    """Yield rows of both sides' times for photographs of 12 megapixels."""
    ways: list[tuple[str, str, Sequence[str], str, str]] = [
        (FIRST, "first", ["train"], "nothing", "3"),
        (SECOND, "first", ["train"], "the resized pixels", "10"),
        (FIRST, "first", ["train"], "the vectors", "10"),
        (FIRST, "all", ALL_SPLITS, "nothing", ""),
        (SECOND, "all", ALL_SPLITS, "the resized pixels", ""),
    ]
    keras = {
        name: run(KERAS, name, photographs.folder / "images", json.loads((base / "backbone.json").read_text())["mode"])
        for name, base in bases.items()
    }
    for name, store, splits, content, bound in ways:
        ours, theirs = photographs.extract(bases[name], store, splits)["seconds"], keras[name]
        ratios = (f"**{theirs['seconds'] / ours:.1f}**", bound, f"{theirs['busy'] / ours:.1f}")
        images = "training" if splits == ["train"] else "all splits"
        yield (images, name, content, f"{theirs['seconds']:.1f} s", f"{ours:.1f} s", *ratios)


def sizes(scratch: Path, base: Path) -> Iterator[tuple[str, str, str]]:
    """Yield rows on photographs of 500x375 and of 48 megapixels."""
    small = Photographs(scratch / "small", photos.write(scratch / "small" / "images", SMALL))
    exact, reduced = (
        median(small.extract(base, f"{split}{turn}", [split])["seconds"] for turn in range(TURNS))
        for split in ("test", "train")
    )
    yield f"{SMALL:,} photographs of 500x375: time of exact over reduced decoding", f"{exact / reduced:.2f}", "1"
    huge = large(scratch / "huge", HUGE, photos.MEGAPIXELS_48)
    for split, images in (("train", "for training"), ("test", "for the test")):
        peak = huge.extract(base, split, [split])["megabytes"]
        yield f"peak memory, {HUGE} photographs of 48 megapixels {images}", f"{peak:,.0f} MB", "1,000 MB"


def effect(photographs: Photographs, base: Path) -> Iterator[tuple[str, str, str]]:
    """Yield rows on the difference between vectors of images decoded at a reduced scale and exactly."""
    photographs.extract(base, "first", ["train"])
    reduced = photographs.vectors()
    photographs.extract(base, "exact", ["test"])
    exact = photographs.vectors()
    lengths, exact_lengths = (np.linalg.norm(vectors, axis=1) for vectors in (reduced, exact))
    differences = np.linalg.norm(reduced - exact, axis=1) / exact_lengths
    cosines = (reduced * exact).sum(axis=1) / (lengths * exact_lengths)
    # Vectors of random weights are alike, so the distance to other photographs is the scale to compare with.
    others = np.linalg.norm(exact - np.roll(exact, photos.CLASSES, axis=0), axis=1) / exact_lengths
    yield "difference of vectors, reduced to exact decoding: mean", f"{differences.mean():.2%}", ""
    yield "the largest", f"{differences.max():.2%}", ""
    yield "to another photograph of the same class: mean", f"{others.mean():.2%}", ""
    yield "least cosine, reduced to exact decoding", f"{cosines.min():.6f}", ""


def main(count: int) -> None:
    """Measure all, and renew the sections of RESULTS.md."""
    with TemporaryDirectory() as folder:
        scratch = Path(folder)
        bases = {name: scratch / f"{name}.base" for name in (FIRST, SECOND)}
        for name, base in bases.items():
            run(BACKBONE, name, "none", base)
        photographs = large(scratch / "large", count, photos.MEGAPIXELS_12)
        columns = (
            "images",
            "network",
            "store has",
            "Keras",
            "Graft",
            "ratio to Keras",
            "bound",
            "without Keras's wait",
        )
        title = f"Photographs: {count} of 12 megapixels, files to vectors"
        results.renew(title, columns, list(speeds(photographs, bases)), PACKAGES)
        figures = [*sizes(scratch, bases[FIRST]), *effect(photographs, bases[FIRST])]
        results.renew("Photographs: sizes and decoding", ("what", "measured", "bound"), figures, PACKAGES)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else COUNT)
