"""Door of the `export` stage."""

from pathlib import Path

from tasks.common import params
from tasks.common.door import open_door, parser
from tasks.export.joining import export


def main() -> None:
    """Write the served file to --out."""
    arguments = parser("export", "Join preprocessing, base and head into one ONNX file and check it.")
    arguments.add_argument("--images", type=Path, required=True, help="folder of the dataset")
    arguments.add_argument("--backbone", type=Path, required=True, help="folder of the backbone stage")
    arguments.add_argument("--tuned", type=Path, required=True, help="folder of the finetuning stage")
    arguments.add_argument("--out", type=Path, required=True, help="model to write (.onnx)")
    chosen = arguments.parse_args()
    section = params.load(chosen.params).export
    export(chosen.images, chosen.backbone, chosen.tuned, chosen.out, section)


if __name__ == "__main__":
    open_door("export", main)
