"""Command `graft store`: how much the feature store holds, and making it smaller."""

import argparse
from datetime import timedelta
from pathlib import Path

from tasks.common import params
from tasks.common.command import run_command
from tasks.common.errors import GraftError
from tasks.store import open_store, usage

PARAMS = Path("params.yaml")


def main() -> None:
    """Show the store, or prune it and say how much was removed."""
    arguments = make_parser().parse_args()
    configured = params.load(PARAMS).features.store if not arguments.store and PARAMS.exists() else None
    store = open_store(arguments.store or configured)
    if arguments.command is None:
        usage.show(store)
        return
    if arguments.older_than is None and arguments.keep is None:
        message = "expected --older-than DAYS, --keep GB, or both; found neither, and pruned nothing."
        raise GraftError(message)
    pruned = usage.prune(
        store,
        None if arguments.older_than is None else timedelta(days=arguments.older_than),
        None if arguments.keep is None else int(arguments.keep * 1e9),
    )
    print(f"removed {pruned.segments:,} segments, {pruned.bytes / 1e6:,.1f} MB, from {store.name}")


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command's arguments."""
    parser = argparse.ArgumentParser(
        prog="graft store",
        description="The feature store: what it holds, by backbone and tap. It can be deleted at any time; what is "
        "needed is computed again.",
        epilog="Examples: graft store; graft store prune --older-than 90",
    )
    parser.add_argument("--store", help="folder or URI (default: features.store, GRAFT_STORE, or the user's cache)")
    commands = parser.add_subparsers(dest="command", title="commands")
    prune = commands.add_parser("prune", help="remove old segments", description="Remove segments, the oldest first.")
    prune.add_argument("--older-than", type=number, metavar="DAYS", help="those written earlier than that")
    prune.add_argument("--keep", type=number, metavar="GB", help="until the rest takes no more than that")
    return parser


def number(text: str) -> float:
    """Read a number of at least 0 from the command line; argparse names this function where there is none."""
    value = float(text)
    if not 0 <= value < float("inf"):
        message = f"expected a number of at least 0, found {text}"
        raise argparse.ArgumentTypeError(message)
    return value


if __name__ == "__main__":
    run_command("store", main)
