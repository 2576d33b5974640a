"""Command of the `head` stage."""

from tasks.common import params
from tasks.common.command import ACCEPTED, parse_paths, quiet_imports, run_command


def main() -> None:
    """Train the head on --features and write it into --out."""
    arguments = parse_paths(
        "head",
        "Choose and train the dense classifier on the features.",
        features="features (.parquet)",
        accepted=ACCEPTED,
        out="folder to write",
    )
    sections = params.load(arguments.params)

    # TensorFlow takes seconds to import, so errors in the params are reported first.
    with quiet_imports():
        from tasks.head.stage import train_head

    # With a list of taps, the user has chosen them.
    choose_taps = sections.features.taps == "auto"
    train_head(arguments.features, arguments.accepted, arguments.out, sections.head, choose_taps=choose_taps)


if __name__ == "__main__":
    run_command("head", main)
