"""Command of the `finetuning` stage."""

from tasks.common import params
from tasks.common.command import ACCEPTED, IMAGES, parse_paths, quiet_imports, run_command
from tasks.common.summary import Summary
from tasks.finetuning.inputs import Inputs
from tasks.finetuning.unchanged_head import pass_head_on


def main() -> None:
    """Write the tuned base and head into --out, or the head as it is when fine-tuning is off."""
    arguments = parse_paths(
        "finetuning",
        "Unfreeze the top of the base and train on; switched off, pass the head on.",
        images=IMAGES,
        accepted=ACCEPTED,
        backbone="folder of the backbone stage",
        head="folder of the head stage",
        features="features (.parquet)",
        out="folder to write",
    )
    sections = params.load(arguments.params)
    if not sections.finetuning.enabled:
        # This takes no time, because TensorFlow is not imported.
        pass_head_on(arguments.head, arguments.out, Summary("finetuning"))
        return

    with quiet_imports():
        from tasks.finetuning.stage import finetune

    finetune(
        Inputs(arguments.images, arguments.accepted, arguments.backbone, arguments.head, arguments.features),
        arguments.out,
        sections.finetuning,
        sections.features,
        sections.augmentation,
        sections.head.false_alarms,
    )


if __name__ == "__main__":
    run_command("finetuning", main)
