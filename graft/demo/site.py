"""The folder of the page: one static site with the model, the runtime and the training images."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from graft.classifier import Classifier
from graft.demo.facts import describe
from graft.demo.similar import SHEET, VECTORS, write_similar
from graft.demo.training_images import TrainingImage
from graft.demo.web_runtime import copy_runtime
from tasks.common.errors import GraftError
from tasks.common.files import atomic_folder
from tasks.common.text import printable

STATIC = Path(__file__).parent / "static"
MODEL, RUNTIME, DESCRIPTION = "model.onnx", "runtime", "model.json"
MARK = "graft demo"


def check_target(folder: Path) -> None:
    """Check that the folder is missing, is empty, or holds an earlier page and nothing else, since it is replaced.

    Raises:
        GraftError: It is something else.
    """
    shown = printable(str(folder))
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not _is_site(folder):
        message = f"{shown} exists and is not the folder of a page that `graft demo` made. Give another --out."
        raise GraftError(message)
    ours = {path.name for path in STATIC.iterdir()} | {MODEL, RUNTIME, DESCRIPTION, VECTORS, SHEET}
    foreign = sorted(path.name for path in folder.iterdir() if path.name not in ours)
    if foreign:
        message = (
            f"{shown} would be replaced, and holds '{printable(foreign[0])}', which `graft demo` did not make. Move it "
            "away, or give another --out."
        )
        raise GraftError(message)


def write_site(
    folder: Path, model: Path, classifier: Classifier, images: Sequence[TrainingImage], runtime: Path | None
) -> int:
    """Write the site of a model file, loaded as `classifier`, into `folder`; return the number of thumbnails in it.

    Raises:
        GraftError: `check_target` refuses the folder, or the images or the runtime cannot be used.
    """
    check_target(folder)
    # A link is followed, and the folder behind it is replaced.
    with atomic_folder(folder.resolve()) as target:
        for path in STATIC.iterdir():
            # As new files: a browser that kept those of another version must see that they changed.
            shutil.copyfile(path, target / path.name)
        (target / RUNTIME).mkdir()
        copy_runtime(target / RUNTIME, runtime)
        shutil.copyfile(model, target / MODEL)
        similar = write_similar(target, classifier, images) if images else None
        facts = {"made_by": MARK} | describe(classifier.metadata) | {"similar": similar}
        text = json.dumps(facts, ensure_ascii=False, allow_nan=False, indent=1)
        (target / DESCRIPTION).write_text(text + "\n", encoding="utf-8")
    return len(similar["items"]) if similar else 0


def _is_site(folder: Path) -> bool:
    try:
        facts = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(facts, dict) and facts.get("made_by") == MARK
