"""The metadata of the exported file, from what the earlier stages have stated."""

from collections import Counter
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

from tasks.export.inputs import Parts
from tasks.onnx.model_metadata import ModelMetadata
from tasks.tables.accepted import Accepted

PREPROCESSING = "RGB uint8 with EXIF orientation applied; resizing and normalising are in the graph"
RESIZE = ("size", "fit", "crop_share", "interpolation", "pad_colour")
SPLITS = ("train", "val", "test")


def describe(
    parts: Parts, classes: list[str], rows: Iterable[Accepted], accepted_sha256: str, tested: Mapping[str, Any]
) -> ModelMetadata:
    """Return the metadata of the file that joins `parts`.

    Nothing depends on the commit: the same training, exported anywhere, gives the same bytes.

    Args:
        parts: the graphs.
        classes: names in the order of the probabilities.
        rows: the accepted images.
        accepted_sha256: SHA-256 of their table, in hex.
        tested: the keys that come from predictions for images which the model had not seen (`metrics`,
            `operating_points`, `coverage`).
    """
    facts = parts.backbone
    resize = facts.get("resize", {})
    images = Counter(row.split for row in rows)
    return ModelMetadata(
        classes=classes,
        graft=version("graft"),
        preprocessing=PREPROCESSING,
        input={key: resize[key] for key in RESIZE if key in resize},
        backbone={
            "name": facts["name"],
            "weights": facts.get("weights"),
            "licence": facts.get("licence"),
            "sha256": facts.get("weights_sha256"),
        },
        taps=parts.taps,
        finetuned=parts.is_tuned,
        base_sha256=parts.base_sha256,
        head_sha256=parts.head_sha256,
        dataset={"images": {split: images[split] for split in SPLITS}, "sha256": accepted_sha256},
        calibration=parts.calibration,
        novelty=parts.novelty,
        **tested,
    )
