"""Door of the `backbone` stage."""

from tasks.common import params
from tasks.common.command import parse_paths, quiet_imports, run_command


def main() -> None:
    """Write the backbone that params.yaml names into --out."""
    chosen = parse_paths("backbone", "Get the pretrained base, check it, turn it into ONNX.", out="folder to write")
    settings = params.load(chosen.params)

    from tasks.backbone.registry import architecture

    # TensorFlow takes seconds to import: a wrong name is told before.
    if ":" not in settings.backbone.name:
        architecture(settings.backbone.name)
    with quiet_imports():
        from tasks.backbone.stage import make

    make(settings.backbone, settings.features.taps, chosen.out)


if __name__ == "__main__":
    run_command("backbone", main)
