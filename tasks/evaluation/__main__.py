"""Door of the `evaluation` stage."""

from tasks.common import params
from tasks.common.command import ACCEPTED, IMAGES, parse_paths, run_command
from tasks.evaluation.stage import evaluate


def main() -> None:
    """Write predictions, metrics and plots into --out."""
    chosen = parse_paths(
        "evaluation",
        "Run the exported file over the test images.",
        images=IMAGES,
        accepted=ACCEPTED,
        model="exported model (.onnx)",
        out="folder to write",
    )
    section = params.load(chosen.params).evaluation
    evaluate(chosen.images, chosen.accepted, chosen.model, chosen.out, section.confidence)


if __name__ == "__main__":
    run_command("evaluation", main)
