"""Checks of the source of a dataset before any stage runs: its layout, and whether DVC can read it."""

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from tasks.common.errors import GraftError
from tasks.common.text import printable, readable
from tasks.dataset.listing.folder import list_files
from tasks.dataset.listing.suggestions import refuse_project
from tasks.dataset.listing.tree import describe_special_file

FORBIDDEN = "has permissions that do not let this user read it"


def main() -> int:
    """Check --images; print nothing and return 0, or print the error in one line and return 1."""
    parser = argparse.ArgumentParser(
        prog="python -m tasks.dataset.source", description="Check the layout and the names of a dataset's files."
    )
    parser.add_argument("--images", type=Path, required=True, help="folder or archive of the images")
    parser.add_argument("--project", type=Path, help="folder of Graft, which is no dataset")
    parser.add_argument("--only", choices=["layout", "names"], help="check one of them (default: both)")
    arguments = parser.parse_args()
    try:
        if arguments.only != "names":
            require_layout(arguments.images, arguments.project)
        if arguments.only != "layout":
            require_readable(arguments.images)
    except GraftError as error:
        print(error)
        return error.exit_code
    return 0


def require_layout(images: Path, project: Path | None = None) -> None:
    """Raise a GraftError if this folder or archive is no dataset, or holds the folder `project`."""
    if images.is_file():
        # An import of the code for archives costs time that a folder need not pay.
        from tasks.images.sources import errors_with_source, image_folder

        folder = image_folder(images)
        with errors_with_source(images, folder):
            list_files(folder)
        return
    if project is not None and images.is_dir() and project.resolve().is_relative_to(images.resolve()):
        refuse_project(images, project)
    list_files(images)


def require_readable(folder: Path) -> None:
    """Raise a GraftError if DVC, which hashes hidden files too, could not read a file below `folder`.

    Without a file's name it fails at names that are not UTF-8 and at links without a target; it waits for ever at a
    named pipe and reads a device without end. A missing folder passes, because DVC may restore it.
    """
    unreadable = sorted(_unreadable_entries(str(folder)))
    if unreadable:
        path, reason = unreadable[0]
        many = len(unreadable) > 1
        count, pronoun = (f" (the first of {len(unreadable):,} such entries)", "them") if many else ("", "it")
        remedy = "Change the permissions of" if reason == FORBIDDEN else "Remove or rename"
        message = (
            f"{printable(path)} {reason}{count}, and DVC cannot read {pronoun}. {remedy} {pronoun}, then run again."
        )
        raise GraftError(message)


def _unreadable_entries(folder: str) -> Iterator[tuple[str, str]]:
    pending = [folder]
    while pending:
        path = pending.pop()
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    if reason := _describe_unreadable(entry):
                        yield entry.path, reason
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
        except PermissionError:
            # DVC passes over such a folder in silence, so a copy of the dataset would lack it.
            yield path, FORBIDDEN
        except OSError:
            # A missing folder, or a file: both pass.
            continue


def _describe_unreadable(entry: "os.DirEntry[str]") -> str | None:
    if readable(entry.name) != entry.name:
        return "has a name that is not UTF-8"
    if entry.name == ".dvcignore":
        return "is a file of rules for DVC, which may lie only above a dataset"
    if entry.is_file(follow_symlinks=False):
        return None if os.access(entry.path, os.R_OK, effective_ids=True) else FORBIDDEN
    if entry.is_dir(follow_symlinks=False):
        return None
    try:
        mode = entry.stat().st_mode
    except OSError:
        return "is a symbolic link whose target is missing"
    special = describe_special_file(mode)
    return f"is {special}" if special else None


if __name__ == "__main__":
    sys.exit(main())
