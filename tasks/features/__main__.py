"""Door of the `features` stage."""

from tasks.common import params
from tasks.common.command import ACCEPTED, IMAGES, parse_paths, run_command
from tasks.features.stage import extract


def main() -> None:
    """Write a feature vector of every accepted image to --out."""
    chosen = parse_paths(
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
    run_command("features", main)
