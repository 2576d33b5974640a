"""Door of the `dataset` stage."""

from tasks.common import params
from tasks.common.door import open_door, paths
from tasks.dataset.manifest import make


def main() -> None:
    """Scan --images into the manifest --out."""
    chosen = paths(
        "dataset",
        "Scan a folder of class folders: decode, hash, split.",
        images="folder of class folders",
        out="manifest to write (.parquet)",
    )
    make(chosen.images, chosen.out, params.load(chosen.params).dataset)


if __name__ == "__main__":
    open_door("dataset", main)
