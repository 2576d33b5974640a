"""Command of the `validation` stage."""

from tasks.common import params
from tasks.common.command import IMAGES, parse_paths, quiet_imports, run_command


def main() -> None:
    """Judge --manifest; write results, pages, accepted images and quarantine into --out."""
    arguments = parse_paths(
        "validation",
        "Judge the manifest and set aside what cannot be used.",
        images=IMAGES,
        manifest="manifest (.parquet)",
        out="folder to write",
    )
    settings = params.load(arguments.params)

    # Great Expectations takes seconds to import, so errors in the params are reported first.
    with quiet_imports():
        from tasks.validation.stage import validate_dataset

    validate_dataset(arguments.images, arguments.manifest, arguments.out, settings.validation, settings.dataset)


if __name__ == "__main__":
    run_command("validation", main)
