"""Door of the `head` stage."""

from pathlib import Path

from tasks.common import params
from tasks.common.door import open_door, parser


def main() -> None:
    """Train the head on --features and write it into --out."""
    arguments = parser("head", "Train the dense classifier on the features.")
    arguments.add_argument("--features", type=Path, required=True, help="features (.parquet)")
    arguments.add_argument("--out", type=Path, required=True, help="folder to write")
    chosen = arguments.parse_args()
    section = params.load(chosen.params).head

    # TensorFlow takes seconds to import: wrong params are told before.
    from tasks.head.making import make

    make(chosen.features, chosen.out, section)


if __name__ == "__main__":
    open_door("head", main)
