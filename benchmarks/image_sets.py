"""Sets of labelled images that the project can make, and the starter's features of them, to compare classifiers.

The generated sets show classes that the starter weights were not trained on: defects of metal, textures that combine
two patterns, and letters of an alphabet that the pretraining leaves out. Every seed gives other images, or, of the
bundled digits, other splits.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
from sklearn.datasets import load_digits

from starter.appearance import paint
from starter.defects import draw_surface
from starter.glyphs import GlyphGenerator
from starter.textures import GRADES, PATTERNS, TextureGenerator
from tasks.common import params
from tasks.common.command import quiet_imports
from tasks.common.threads import available_cores
from tasks.onnx.sessions import Session

ROOT = Path(__file__).parents[1]
VAL_SHARE = 0.2
BATCH_SIZE = 64
DIGIT_LEVELS = 16
DIGIT_TEST_SHARE = 0.25
DEFECTS = ("clean", "scratches", "pits", "crack", "stain", "inclusions", "dent", "crazing")
LETTERS = "აბგდევზთიკლმნოპჟრსტუფქღყ"  # Georgian, which the pretraining leaves out
TEXTURES = TextureGenerator()
TEXTURE_PAIRS = tuple(combinations(range(len(PATTERNS)), 2))[::3]
TEXTURE_NAMES = tuple(" of ".join(tuple(PATTERNS)[position] for position in pair) for pair in TEXTURE_PAIRS)

Draw = Callable[[int, np.random.Generator], npt.NDArray[np.uint8]]
Cut = str | float


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images, uint8 [N, S, S, 3], their class indexes, int64 [N], their splits, train, val or test, str [N].

    `names` are those of the classes. Two sets are equal only if they are the same object, so that results are cached.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    splits: npt.NDArray[np.str_]
    names: tuple[str, ...]


class Vectors(NamedTuple):
    """Features of images, float32 [N, D]: the taps side by side, from the input up, each of that many columns."""

    vectors: npt.NDArray[np.float32]
    widths: tuple[int, ...]


def draw_digits(seed: int, images_per_class: int | None) -> ImageSet:
    """Return the 1,797 bundled digits of 8x8 pixels as `tasks/sample` writes them, in splits of that seed.

    So many images of a class are for training and validation, all others for testing; None: three quarters.
    """
    bunch = load_digits()
    grey = np.rint(bunch.images * (255 / DIGIT_LEVELS)).astype(np.uint8)
    labels = bunch.target.astype(np.int64)
    random = np.random.default_rng((seed, images_per_class or 0))
    splits = np.full(len(labels), "test", "<U5")
    for label in np.unique(labels):
        rows = random.permutation(np.flatnonzero(labels == label))
        known = images_per_class or round(len(rows) * (1 - DIGIT_TEST_SHARE))
        splits[rows[:known]] = _split_known(known)
    return ImageSet(np.repeat(grey[..., None], 3, axis=-1), labels, splits, tuple("0123456789"))


def generate(
    seed: int, kind: int, names: Sequence[str], draw: Draw, known: Sequence[int], unknown: Sequence[int]
) -> ImageSet:
    """Return generated images of the named classes.

    `known` images of each class are for training and validation, `unknown` for testing. `kind` tells sets of the same
    seed apart.
    """
    images, labels, splits = [], [], list[str]()
    for index, (known_count, test_count) in enumerate(zip(known, unknown, strict=True)):
        for number in range(known_count + test_count):
            images.append(draw(index, np.random.default_rng((1, kind, seed, index, number))))
            labels.append(index)
        splits += [*_split_known(known_count), *["test"] * test_count]
    return ImageSet(np.stack(images), np.array(labels, np.int64), np.array(splits), tuple(names))


def _split_known(count: int) -> list[str]:
    """Return the splits of a class's images for training and validation: a fifth, but at least one, validates."""
    validating = max(1, round(count * VAL_SHARE))
    return ["train"] * (count - validating) + ["val"] * validating


def _draw_defect(index: int, random: np.random.Generator) -> npt.NDArray[np.uint8]:
    return draw_surface(DEFECTS[index], random)


def _draw_texture_pair(index: int, random: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Draw a fine pattern inside the bright parts of a coarse one."""
    coarse, fine = (pattern * GRADES + grade for pattern, grade in zip(TEXTURE_PAIRS[index], (0, 2), strict=True))
    product = np.multiply(TEXTURES.draw(coarse, random), TEXTURES.draw(fine, random) / 255)
    return np.repeat(product.astype(np.uint8)[..., None], 3, axis=-1)


def _draw_letter(index: int, random: np.random.Generator) -> npt.NDArray[np.uint8]:
    face = Path(str(files("ziafont") / "fonts" / "DejaVuSans.ttf"))
    return paint(GlyphGenerator((face,), LETTERS).draw(index, random), random)


def _draw_defects(seed: int) -> ImageSet:
    return generate(seed, 0, DEFECTS, _draw_defect, [30] * 8, [60] * 8)


def _draw_textures(seed: int) -> ImageSet:
    return generate(seed, 1, TEXTURE_NAMES, _draw_texture_pair, [30] * len(TEXTURE_NAMES), [30] * len(TEXTURE_NAMES))


def _draw_glyphs(seed: int) -> ImageSet:
    return generate(seed, 2, LETTERS, _draw_letter, [20] * len(LETTERS), [25] * len(LETTERS))


def _draw_imbalanced(seed: int) -> ImageSet:
    known = (200, 80, 30, 12, 6)
    return generate(seed, 3, DEFECTS[:5], _draw_defect, known, [3 * count for count in known])


SETS: dict[str, Callable[[int], ImageSet]] = {
    "digits_5": partial(draw_digits, images_per_class=5),
    "digits_20": partial(draw_digits, images_per_class=20),
    "digits": partial(draw_digits, images_per_class=None),
    "defects": _draw_defects,
    "textures": _draw_textures,
    "glyphs": _draw_glyphs,
    "imbalanced": _draw_imbalanced,
}
"""The sets by name, each a function of a seed (>= 0)."""


def features(image_set: ImageSet, taps: Sequence[Cut] | None = None) -> Vectors:
    """Return the starter's features of all images at these cuts (None: the last layer), cached in the process."""
    return _features(image_set, None if taps is None else tuple(taps))


def read_taps(taps: Sequence[Cut]) -> list[dict[str, Any]]:
    """Return layer, width and depth of these taps of the starter network."""
    return list(json.loads(_session(tuple(taps)).metadata["taps"]))


@cache
def _features(image_set: ImageSet, taps: tuple[Cut, ...] | None) -> Vectors:
    session = _session(taps)
    widths = tuple(int(tap["width"]) for tap in json.loads(session.metadata["taps"]))
    batches = range(0, len(image_set.images), BATCH_SIZE)
    vectors = [session(image_set.images[start : start + BATCH_SIZE]) for start in batches]
    return Vectors(np.concatenate(vectors), widths)


@cache
def _session(taps: tuple[Cut, ...] | None) -> Session:
    """Return the graph that the stage `backbone` makes from the committed params."""
    with quiet_imports():
        from tasks.backbone.stage import prepare_backbone
    with TemporaryDirectory() as folder:
        prepare_backbone(params.load(ROOT / "params.yaml").backbone, taps, Path(folder) / "backbone")
        return Session(onnx.load(Path(folder) / "backbone" / "backbone.onnx"), available_cores())
