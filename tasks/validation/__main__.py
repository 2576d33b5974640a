"""Door of the `validation` stage."""

from tasks.common import params
from tasks.common.door import open_door, paths, quietly


def main() -> None:
    """Judge --manifest; write results, Data Docs, accepted images and quarantine into --out."""
    chosen = paths(
        "validation",
        "Judge the manifest and set aside what cannot be used.",
        manifest="manifest (.parquet)",
        out="folder to write",
    )
    section = params.load(chosen.params).validation

    # Great Expectations takes seconds to import: wrong params are told before.
    with quietly():
        from tasks.validation.judging import judge

    judge(chosen.manifest, chosen.out, section)


if __name__ == "__main__":
    open_door("validation", main)
