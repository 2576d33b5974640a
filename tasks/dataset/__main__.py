"""Door of the `dataset` stage."""

from pathlib import Path

from tasks.common import params
from tasks.common.door import open_door, parser
from tasks.dataset.manifest import make


def main() -> None:
    """Scan --images into the manifest --out."""
    arguments = parser("dataset", "Scan a folder of class folders: decode, hash, split.")
    arguments.add_argument("--images", type=Path, required=True, help="folder of class folders")
    arguments.add_argument("--out", type=Path, required=True, help="manifest to write (.parquet)")
    chosen = arguments.parse_args()
    make(chosen.images, chosen.out, params.load(chosen.params).dataset)


if __name__ == "__main__":
    open_door("dataset", main)
