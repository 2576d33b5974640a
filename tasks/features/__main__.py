"""Door of the `features` stage."""

from tasks.common import params
from tasks.common.door import ACCEPTED, IMAGES, open_door, paths
from tasks.features.extraction import extract


def main() -> None:
    """Write a feature vector of every accepted image to --out."""
    chosen = paths(
        "features",
        "Run the frozen base once over every accepted image.",
        images=IMAGES,
        accepted=ACCEPTED,
        backbone="backbone graph (.onnx)",
        out="features to write (.parquet)",
    )
    section = params.load(chosen.params).features
    extract(chosen.images, chosen.accepted, chosen.backbone, chosen.out, section.batch_size)


if __name__ == "__main__":
    open_door("features", main)
