"""Door of the `backbone` stage."""

from tasks.common import params
from tasks.common.door import open_door, paths, quietly


def main() -> None:
    """Write the backbone that params.yaml names into --out."""
    chosen = paths("backbone", "Get the pretrained base, check it, turn it into ONNX.", out="folder to write")
    section = params.load(chosen.params).backbone

    from tasks.backbone.registry import architecture

    found = architecture(section.name)

    # TensorFlow takes seconds to import: a wrong name is told before.
    with quietly():
        from tasks.backbone.making import make

    make(found, chosen.out, section)


if __name__ == "__main__":
    open_door("backbone", main)
