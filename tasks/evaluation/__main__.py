"""Door of the `evaluation` stage."""

from pathlib import Path

from tasks.common import params
from tasks.common.door import open_door, parser
from tasks.evaluation.testing import evaluate


def main() -> None:
    """Write predictions, metrics and plots into --out."""
    arguments = parser("evaluation", "Run the exported file over the test images.")
    arguments.add_argument("--images", type=Path, required=True, help="folder that the manifest's paths start from")
    arguments.add_argument("--accepted", type=Path, required=True, help="accepted manifest (.parquet)")
    arguments.add_argument("--model", type=Path, required=True, help="exported model (.onnx)")
    arguments.add_argument("--out", type=Path, required=True, help="folder to write")
    chosen = arguments.parse_args()
    section = params.load(chosen.params).evaluation
    evaluate(chosen.images, chosen.accepted, chosen.model, chosen.out, section.confidence)


if __name__ == "__main__":
    open_door("evaluation", main)
