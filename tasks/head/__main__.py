"""Door of the `head` stage."""

from tasks.common import params
from tasks.common.door import open_door, paths, quietly


def main() -> None:
    """Train the head on --features and write it into --out."""
    chosen = paths(
        "head", "Train the dense classifier on the features.", features="features (.parquet)", out="folder to write"
    )
    section = params.load(chosen.params).head

    # TensorFlow takes seconds to import: wrong params are told before.
    with quietly():
        from tasks.head.making import make

    make(chosen.features, chosen.out, section)


if __name__ == "__main__":
    open_door("head", main)
