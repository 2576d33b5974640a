"""Door of the `finetuning` stage."""

import shutil
from pathlib import Path

from tasks.common import params
from tasks.common.door import open_door, parser
from tasks.common.files import atomic_folder, require


def main() -> None:
    """Write the tuned base and head into --out, or the head as it is when fine-tuning is off."""
    arguments = parser("finetuning", "Unfreeze the top of the base and train on; switched off, pass the head on.")
    arguments.add_argument("--images", type=Path, required=True, help="folder that the manifest's paths start from")
    arguments.add_argument("--accepted", type=Path, required=True, help="accepted manifest (.parquet)")
    arguments.add_argument("--backbone", type=Path, required=True, help="folder of the backbone stage")
    arguments.add_argument("--head", type=Path, required=True, help="folder of the head stage")
    arguments.add_argument("--out", type=Path, required=True, help="folder to write")
    chosen = arguments.parse_args()
    section = params.load(chosen.params).finetuning
    if section.enabled:
        # TensorFlow is imported only where it is used: switched off, this stage takes no time.
        from tasks.finetuning.tuning import tune

        tune(chosen.images, chosen.accepted, chosen.backbone, chosen.head, chosen.out, section)
    else:
        with atomic_folder(chosen.out) as folder:
            shutil.copytree(require(chosen.head, "head"), folder, dirs_exist_ok=True)


if __name__ == "__main__":
    open_door("finetuning", main)
