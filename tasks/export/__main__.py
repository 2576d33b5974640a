"""Command of the `export` stage."""

from tasks.common import params
from tasks.common.command import ACCEPTED, IMAGES, parse_paths, run_command
from tasks.export.inputs import Inputs
from tasks.export.stage import export_model


def main() -> None:
    """Write the served file, its variants and what lies beside them into the folder --out."""
    arguments = parse_paths(
        "export",
        "Join preprocessing, base and head into one ONNX file, make its variants, and check them all.",
        images=IMAGES,
        accepted=ACCEPTED,
        backbone="folder of the backbone stage",
        tuned="folder of the finetuning stage",
        out="folder to write",
    )
    sections = params.load(arguments.params)
    inputs = Inputs(arguments.images, arguments.accepted, arguments.backbone, arguments.tuned)
    export_model(inputs, arguments.out, sections.export, sections.evaluation)


if __name__ == "__main__":
    run_command("export", main)
