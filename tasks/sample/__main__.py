"""Door of the `sample` stage."""

from tasks.common.door import open_door, paths
from tasks.sample.digits import write


def main() -> None:
    """Write the digits into the folder named by --out."""
    chosen = paths(
        "sample", "Write scikit-learn's handwritten digits as PNG files into class folders.", out="folder to write"
    )
    write(chosen.out)


if __name__ == "__main__":
    open_door("sample", main)
