"""Door of `graft backbones`: which networks there are, how they are built, what they say, how fast they are here."""

import argparse
import sys
from pathlib import Path

from tasks.backbone.registry import architecture, architectures
from tasks.common.command import quiet_imports, run_command


def main() -> None:
    """Run the command of the command line; without one, list the networks."""
    chosen = _parser().parse_args()
    if chosen.command is None:
        from tasks.backbone.catalogue.networks import show_all

        show_all()
        return
    # TensorFlow takes seconds to import: a wrong name is told before.
    for name in chosen.names if chosen.command == "measure" else [chosen.name]:
        if ":" not in name or chosen.command != "show":
            architecture(name)
    with quiet_imports():
        from tasks.backbone.catalogue import classification, layers, measurement
    if chosen.command == "show":
        layers.show(chosen.name, chosen.input_size, chosen.alpha, include_top=chosen.top)
    elif chosen.command == "classify":
        bad = classification.classify(chosen.name, chosen.images, chosen.weights, chosen.sha256, chosen.alpha)
        sys.exit(1 if bad else 0)
    else:
        measurement.measure_all([architecture(name) for name in chosen.names or architectures()])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="graft backbones", description="The networks that can be grafted onto; without a command, all of them."
    )
    commands = parser.add_subparsers(dest="command", title="commands")
    show = commands.add_parser("show", help="layers and cuts of a network", description="Show the layers and cuts.")
    show.add_argument("name", help="a network's name, or backbones.MODULE:FUNCTION")
    show.add_argument("--top", action="store_true", help="with the network's own classifier")
    show.add_argument("--input-size", type=int, help="pixels (default: the network's own)")
    show.add_argument("--alpha", type=float, help="width multiplier (default: 1)")
    classify = commands.add_parser(
        "classify",
        help="classify images with a network as it came",
        description="Classify images with a network as it came, by its own 1,000 classes; five best names an image.",
    )
    classify.add_argument("name", help="a network's name")
    classify.add_argument("images", type=Path, nargs="+", metavar="IMAGE")
    classify.add_argument("--weights", default="imagenet", help="imagenet, none, an https URL or a file (with its top)")
    classify.add_argument("--sha256", help="of the weights; a URL or a file needs it")
    classify.add_argument("--alpha", type=float, help="width multiplier (default: 1)")
    measure = commands.add_parser(
        "measure",
        help="measure conversion and speed on this machine",
        description="Measure conversion and speed on this machine, quiet if possible; the list then shows images/s.",
    )
    measure.add_argument("names", nargs="*", metavar="NAME", help="networks (default: all, which takes long)")
    return parser


if __name__ == "__main__":
    run_command("backbones", main)
