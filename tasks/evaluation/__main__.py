"""Command of the `evaluation` stage."""

from tasks.common import params
from tasks.common.command import ACCEPTED, IMAGES, parse_paths, run_command
from tasks.evaluation.stage import evaluate_model
from tasks.store import open_store


def main() -> None:
    """Write predictions, metrics and plots into --out."""
    arguments = parse_paths(
        "evaluation",
        "Run the exported file over the test images.",
        images=IMAGES,
        accepted=ACCEPTED,
        model="exported model (.onnx)",
        out="folder to write",
    )
    sections = params.load(arguments.params)
    evaluate_model(
        arguments.images,
        arguments.accepted,
        arguments.model,
        arguments.out,
        sections.evaluation,
        open_store(sections.features.store),
    )


if __name__ == "__main__":
    run_command("evaluation", main)
