"""Command of the `features` stage."""

from tasks.common import params
from tasks.common.command import ACCEPTED, IMAGES, parse_paths, run_command
from tasks.features.stage import extract_features


def main() -> None:
    """Write a feature vector of every accepted image to --out."""
    arguments = parse_paths(
        "features",
        "Run the frozen base once over every accepted image.",
        images=IMAGES,
        accepted=ACCEPTED,
        backbone="backbone graph (.onnx)",
        out="features to write (.parquet)",
    )
    sections = params.load(arguments.params)
    extract_features(
        arguments.images,
        arguments.accepted,
        arguments.backbone,
        arguments.out,
        sections.features,
        sections.augmentation,
    )


if __name__ == "__main__":
    run_command("features", main)
