"""Door of the `sample` stage."""

from pathlib import Path

from tasks.common.door import open_door, parser
from tasks.sample.digits import write


def main() -> None:
    """Write the digits into the folder named by --out."""
    arguments = parser("sample", "Write scikit-learn's handwritten digits as PNG files into class folders.")
    arguments.add_argument("--out", type=Path, required=True, help="folder to write")
    write(arguments.parse_args().out)


if __name__ == "__main__":
    open_door("sample", main)
