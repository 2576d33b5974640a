"""Door of the `backbone` stage."""

from tasks.common import params
from tasks.common.door import open_door, paths, quietly


def main() -> None:
    """Write the backbone that params.yaml names into --out."""
    chosen = paths("backbone", "Get the pretrained base, check it, turn it into ONNX.", out="folder to write")
    settings = params.load(chosen.params)

    from tasks.backbone.registry import architecture

    # TensorFlow takes seconds to import: a wrong name is told before.
    if ":" not in settings.backbone.name:
        architecture(settings.backbone.name)
    with quietly():
        from tasks.backbone.making import make

    make(settings.backbone, settings.features.taps, chosen.out)


if __name__ == "__main__":
    open_door("backbone", main)
