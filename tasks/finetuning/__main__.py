"""Command of the `finetuning` stage."""

import shutil

from tasks.common import params
from tasks.common.command import ACCEPTED, IMAGES, parse_paths, quiet_imports, run_command
from tasks.common.files import atomic_folder, require
from tasks.store import open_store


def main() -> None:
    """Write the tuned base and head into --out, or the head as it is when fine-tuning is off."""
    arguments = parse_paths(
        "finetuning",
        "Unfreeze the top of the base and train on; switched off, pass the head on.",
        images=IMAGES,
        accepted=ACCEPTED,
        backbone="folder of the backbone stage",
        head="folder of the head stage",
        out="folder to write",
    )
    sections = params.load(arguments.params)
    section = sections.finetuning
    if not section.enabled:
        # This takes no time, because TensorFlow is not imported.
        with atomic_folder(arguments.out) as folder:
            shutil.copytree(require(arguments.head, "head"), folder, dirs_exist_ok=True)
        return

    with quiet_imports():
        from tasks.finetuning.stage import finetune

    finetune(
        arguments.images,
        arguments.accepted,
        arguments.backbone,
        arguments.head,
        arguments.out,
        section,
        open_store(sections.features.store),
    )


if __name__ == "__main__":
    run_command("finetuning", main)
