"""Table of all networks in the registry."""

from collections.abc import Iterator

from tasks.backbone.catalogue import speeds
from tasks.backbone.registry import load_architectures
from tasks.common import console

COLUMNS = ("name", ">parameters", ">input", ">features", ">weights MB", ">images/s here", "licence")
BYTES_PER_WEIGHT = 4


def print_networks() -> None:
    """Print a row for each network, and the commands to go on with."""
    console.print_table(COLUMNS, _network_rows())
    print(
        "\nParameters, features and weights are those without top, at alpha 1. Next:\n"
        "  graft backbones show NAME            layers and cuts\n"
        "  graft backbones measure NAME         images/s on this machine\n"
        "  graft train --backbone NAME          graft onto it"
    )


def _network_rows() -> Iterator[tuple[str, ...]]:
    """Yield a row for each network; numbers are those without the top, the speed only where it was measured."""
    measured_speeds = speeds.load()
    for architecture in load_architectures().values():
        speed = measured_speeds.get(architecture.name)
        yield (
            architecture.name,
            f"{architecture.parameters:,}",
            f"{architecture.input_size}",
            f"{architecture.width:,}",
            f"{architecture.parameters * BYTES_PER_WEIGHT / 1e6:,.0f}",
            "" if speed is None else f"{speed:,.0f}",
            architecture.licence,
        )
