"""Command of the `evaluation` stage."""

from tasks.common import params
from tasks.common.command import ACCEPTED, IMAGES, parse_paths, run_command
from tasks.evaluation.inputs import Inputs
from tasks.evaluation.stage import evaluate_model
from tasks.store import open_store


def main() -> None:
    """Write predictions, metrics, plots and the report into --out."""
    arguments = parse_paths(
        "evaluation",
        "Run the exported file over the test images, and report.",
        images=IMAGES,
        manifest="manifest of the dataset (.parquet)",
        accepted=ACCEPTED,
        quarantine="files that were set aside (.csv)",
        validation="summary of the validation (.json)",
        backbone="description of the base (.json)",
        features="features (.parquet)",
        head="folder of the head",
        finetuning="folder of the fine-tuning",
        export="folder of the exported model",
        out="folder to write",
    )
    sections = params.load(arguments.params)
    inputs = Inputs(**{name: getattr(arguments, name) for name in Inputs._fields})
    evaluate_model(inputs, arguments.out, sections, open_store(sections.features.store))


if __name__ == "__main__":
    run_command("evaluation", main)
