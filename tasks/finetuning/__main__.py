"""Door of the `finetuning` stage."""

import shutil

from tasks.common import params
from tasks.common.command import ACCEPTED, IMAGES, parse_paths, quiet_imports, run_command
from tasks.common.files import atomic_folder, require


def main() -> None:
    """Write the tuned base and head into --out, or the head as it is when fine-tuning is off."""
    chosen = parse_paths(
        "finetuning",
        "Unfreeze the top of the base and train on; switched off, pass the head on.",
        images=IMAGES,
        accepted=ACCEPTED,
        backbone="folder of the backbone stage",
        head="folder of the head stage",
        out="folder to write",
    )
    section = params.load(chosen.params).finetuning
    if section.enabled:
        # TensorFlow is imported only where it is used: switched off, this stage takes no time.
        with quiet_imports():
            from tasks.finetuning.stage import tune

        tune(chosen.images, chosen.accepted, chosen.backbone, chosen.head, chosen.out, section)
    else:
        with atomic_folder(chosen.out) as folder:
            shutil.copytree(require(chosen.head, "head"), folder, dirs_exist_ok=True)


if __name__ == "__main__":
    run_command("finetuning", main)
