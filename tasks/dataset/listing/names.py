"""Names in a dataset's folder: those of splits, and those that are not looked at."""

import re

# Names of split folders in lower case, and of splits in tables.
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}

# Operating systems and storage devices leave these behind; as classes without images, the folders would stop the run.
IGNORED = frozenset({"thumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin", "system volume information"})
# Folders of a project that hold pictures but no dataset.
PROJECT_FOLDERS = frozenset({"artifacts", "node_modules", "__pycache__", "site-packages"})

DATE = re.compile(r"(19|20)\d\d([-_. ]?\d\d){0,2}")


def split_of(folder: str) -> str | None:
    """Return train, val or test for the name of a split folder, in upper or lower case; None for any other name."""
    return SPLIT_NAMES.get(folder.lower())


def split_meant_by(folder: str) -> str | None:
    """Return the split that a name such as `training_set` or `seg_test` speaks of, or None."""
    return next((SPLIT_NAMES[word] for word in re.split(r"[^a-z]+", folder.lower()) if word in SPLIT_NAMES), None)


def is_date(folder: str) -> bool:
    """Say whether a folder is named after a year, a month or a day, as no class is."""
    return DATE.fullmatch(folder) is not None
