"""Door of the `features` stage."""

from pathlib import Path

from tasks.common import params
from tasks.common.door import open_door, parser
from tasks.features.extraction import extract


def main() -> None:
    """Write a feature vector of every accepted image to --out."""
    arguments = parser("features", "Run the frozen base once over every accepted image.")
    arguments.add_argument("--images", type=Path, required=True, help="folder that the manifest's paths start from")
    arguments.add_argument("--accepted", type=Path, required=True, help="accepted manifest (.parquet)")
    arguments.add_argument("--backbone", type=Path, required=True, help="backbone graph (.onnx)")
    arguments.add_argument("--out", type=Path, required=True, help="features to write (.parquet)")
    chosen = arguments.parse_args()
    section = params.load(chosen.params).features
    extract(chosen.images, chosen.accepted, chosen.backbone, chosen.out, section.batch_size)


if __name__ == "__main__":
    open_door("features", main)
