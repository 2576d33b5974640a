"""Door of the `validation` stage."""

from pathlib import Path

from tasks.common import params
from tasks.common.door import open_door, parser


def main() -> None:
    """Judge --manifest; write results, Data Docs, accepted images and quarantine into --out."""
    arguments = parser("validation", "Judge the manifest and set aside what cannot be used.")
    arguments.add_argument("--manifest", type=Path, required=True, help="manifest (.parquet)")
    arguments.add_argument("--out", type=Path, required=True, help="folder to write")
    chosen = arguments.parse_args()
    section = params.load(chosen.params).validation

    # Great Expectations takes seconds to import: wrong params are told before.
    from tasks.validation.judging import judge

    judge(chosen.manifest, chosen.out, section)


if __name__ == "__main__":
    open_door("validation", main)
