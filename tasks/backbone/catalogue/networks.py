"""All networks in one table."""

from collections.abc import Iterator

from tasks.backbone.catalogue import speeds
from tasks.backbone.registry import architectures
from tasks.common import console

COLUMNS = ("name", ">parameters", ">input", ">features", ">weights MB", ">images/s here", "licence")
BYTES_A_WEIGHT = 4


def rows() -> Iterator[tuple[str, ...]]:
    """Yield a row a network: parameters, input size, features and weights' size without top, speed, licence."""
    measured = speeds.load()
    for row in architectures().values():
        yield (
            row.name,
            f"{row.parameters:,}",
            f"{row.input_size}",
            f"{row.width:,}",
            f"{row.parameters * BYTES_A_WEIGHT / 1e6:,.0f}",
            f"{measured[row.name]:,.0f}" if row.name in measured else "",
            row.licence,
        )


def show_all() -> None:
    """Print the table and what to do with it."""
    console.print_table(COLUMNS, rows())
    print(
        "\nParameters, features and weights are those without top, at alpha 1. Next:\n"
        "  graft backbones show NAME            layers and cuts\n"
        "  graft backbones measure NAME         images/s on this machine\n"
        "  graft train --backbone NAME          graft onto it"
    )
