"""Door of the `export` stage."""

from tasks.common import params
from tasks.common.command import IMAGES, parse_paths, run_command
from tasks.export.stage import export


def main() -> None:
    """Write the served file to --out."""
    chosen = parse_paths(
        "export",
        "Join preprocessing, base and head into one ONNX file and check it.",
        images=IMAGES,
        backbone="folder of the backbone stage",
        tuned="folder of the finetuning stage",
        out="model to write (.onnx)",
    )
    section = params.load(chosen.params).export
    export(chosen.images, chosen.backbone, chosen.tuned, chosen.out, section)


if __name__ == "__main__":
    run_command("export", main)
