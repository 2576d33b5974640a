"""Command of the `backbone` stage."""

from tasks.common import params
from tasks.common.command import parse_paths, quiet_imports, run_command


def main() -> None:
    """Write the backbone that params.yaml names into --out."""
    arguments = parse_paths("backbone", "Get the pretrained base, check it, turn it into ONNX.", out="folder to write")
    settings = params.load(arguments.params)

    from tasks.backbone.encoder.source import is_encoder
    from tasks.backbone.registry import find_architecture

    if is_encoder(settings.backbone.name):
        from tasks.backbone.encoder.stage import prepare_encoder

        prepare_encoder(settings.backbone, settings.features.taps, arguments.out)
        return
    # TensorFlow takes seconds to import, so a wrong name is reported before.
    if ":" not in settings.backbone.name:
        find_architecture(settings.backbone.name)
    with quiet_imports():
        from tasks.backbone.stage import prepare_backbone

    prepare_backbone(settings.backbone, settings.features.taps, arguments.out)


if __name__ == "__main__":
    run_command("backbone", main)
