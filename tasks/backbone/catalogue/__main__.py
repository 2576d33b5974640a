"""Command `graft backbones`: lists the networks, shows their layers, classifies images, and measures speed."""

import argparse
import sys
from pathlib import Path

from tasks.backbone.encoder.source import is_encoder
from tasks.backbone.registry import find_architecture, load_architectures
from tasks.common.command import quiet_imports, run_command
from tasks.common.errors import GraftError
from tasks.common.text import printable


def main() -> None:
    """Run the command that the arguments name; without one, list the networks."""
    arguments = make_parser().parse_args()
    if arguments.command is None:
        from tasks.backbone.catalogue.networks import print_networks

        print_networks()
        return
    if arguments.command == "show" and is_encoder(arguments.name):
        from tasks.backbone.encoder.description import print_encoder

        print_encoder(arguments.name)
        return
    # TensorFlow takes seconds to import, so a wrong name is reported before.
    for name in arguments.names if arguments.command == "measure" else [arguments.name]:
        if is_encoder(name):
            message = (
                f"graft backbones {arguments.command} needs the name of a network, and {printable(name)} is an "
                "encoder. See `graft backbones` for the names, or show the encoder with `graft backbones show`."
            )
            raise GraftError(message)
        if ":" not in name or arguments.command != "show":
            find_architecture(name)
    with quiet_imports():
        from tasks.backbone.catalogue import classification, layers, measurement
    if arguments.command == "show":
        layers.print_layers(arguments.name, arguments.input_size, arguments.alpha, include_top=arguments.top)
    elif arguments.command == "classify":
        failures = classification.classify_images(
            arguments.images,
            arguments.name,
            arguments.weights,
            arguments.sha256,
            arguments.alpha,
            classification.fetch_class_names(),
        )
        sys.exit(1 if failures else 0)
    else:
        measurement.measure_all([find_architecture(name) for name in arguments.names or load_architectures()])


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command's arguments."""
    parser = argparse.ArgumentParser(
        prog="graft backbones",
        description="The networks that can be grafted onto; without a command, all of them.",
        epilog="Examples: graft backbones; graft backbones show MobileNet --top",
    )
    commands = parser.add_subparsers(dest="command", title="commands")
    show = commands.add_parser("show", help="layers and cuts of a network", description="Show the layers and cuts.")
    show.add_argument("name", help="a network's name, backbones.MODULE:FUNCTION, or an .onnx file")
    show.add_argument("--top", action="store_true", help="with the network's own classifier")
    show.add_argument("--input-size", type=int, help="pixels (default: the network's own)")
    show.add_argument("--alpha", type=float, help="width multiplier (default: 1)")
    classify = commands.add_parser(
        "classify",
        help="classify images with a network's own classes",
        description="Classify images with a network's own classifier; print the five best of its 1,000 classes.",
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
