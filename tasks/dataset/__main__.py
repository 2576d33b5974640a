"""Command of the `dataset` stage."""

from tasks.common import params
from tasks.common.command import parse_paths, run_command
from tasks.dataset.stage import scan_dataset


def main() -> None:
    """Scan --images into the manifest --out."""
    arguments = parse_paths(
        "dataset",
        "Scan the images of a folder, a table or an archive: decode, hash, split.",
        images="folder or archive of the images",
        corrections="corrections of labels (.csv)",
        out="manifest to write (.parquet)",
    )
    section = params.load(arguments.params).dataset
    scan_dataset(arguments.images, arguments.corrections, arguments.out, section)


if __name__ == "__main__":
    run_command("dataset", main)
