"""Command of the `export` stage."""

from tasks.common import params
from tasks.common.command import IMAGES, parse_paths, run_command
from tasks.export.stage import export_model


def main() -> None:
    """Write the served file to --out."""
    arguments = parse_paths(
        "export",
        "Join preprocessing, base and head into one ONNX file and check it.",
        images=IMAGES,
        backbone="folder of the backbone stage",
        tuned="folder of the finetuning stage",
        out="model to write (.onnx)",
    )
    section = params.load(arguments.params).export
    export_model(arguments.images, arguments.backbone, arguments.tuned, arguments.out, section)


if __name__ == "__main__":
    run_command("export", main)
