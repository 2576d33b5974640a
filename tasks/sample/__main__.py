"""Command of the `sample` stage."""

from tasks.common.command import parse_paths, run_command
from tasks.sample.stage import write_sample


def main() -> None:
    """Write the digits into the folder named by --out."""
    arguments = parse_paths(
        "sample", "Write scikit-learn's handwritten digits as PNG files into class folders.", out="folder to write"
    )
    write_sample(arguments.out)


if __name__ == "__main__":
    run_command("sample", main)
