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
    settings = params.load(chosen.params)
    extract(chosen.images, chosen.accepted, chosen.backbone, chosen.out, settings.features, settings.augmentation)


if __name__ == "__main__":
    open_door("features", main)
