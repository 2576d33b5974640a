"""From the files of two runs to the summary on the terminal, the page and the document."""

import json
from pathlib import Path

from tasks.common.console import print_table
from tasks.common.errors import GraftError
from tasks.common.files import atomic_file
from tasks.common.progress import say
from tasks.common.text import printable
from tasks.comparison import page, summary
from tasks.comparison.comparison import Comparison, compare
from tasks.comparison.run import read_run
from tasks.comparison.untested import find_untested, read_answers
from tasks.images.sources import image_folder

PAGE = "report.html"


def write_comparison(
    before: tuple[Path, str],
    after: tuple[Path, str],
    answers: Path | None,
    images: Path | None,
    out: Path | None,
    document: Path | None,
    *,
    leave_out_trained: bool,
) -> None:
    """Compare two runs, each a folder and a name, print the summary, and write what is asked for.

    Args:
        before: folder and name of the older run.
        after: folder and name of the newer run.
        answers: file of `graft predict --parquet` with answers of the older model; None: there are none.
        images: folder or archive of the newer run's images; None: the page has no pictures.
        out: folder of the page; None: no page.
        document: JSON file with the verdict and its figures; None: no document.
        leave_out_trained: whether to count the images that the older run was trained on.

    Raises:
        GraftError: A file is missing or cannot be used, or the runs have no test image in common.
    """
    older, newer = read_run(*before), read_run(*after)
    more = read_answers(answers) if answers is not None else {}
    trained_on = find_untested(before[0], after[0]).trained_on if leave_out_trained else 0
    comparison = compare(older, newer, more, trained_on)
    _print(comparison)
    if out is not None:
        page.write_page(out / PAGE, comparison, _folder(images))
    if document is not None:
        with atomic_file(document) as temporary:
            text = json.dumps(summary.document(comparison), indent=1, ensure_ascii=False)
            temporary.write_text(text + "\n", encoding="utf-8")


def _folder(images: Path | None) -> Path | None:
    """Return the images' folder, or None with a warning: a comparison of figures needs no pictures."""
    if images is None:
        return None
    try:
        return image_folder(images)
    except GraftError as error:
        say(f"graft report: warning: the page has no pictures: {error}")
        return None


def _print(comparison: Comparison) -> None:
    columns = ("", f">{printable(comparison.before)}", f">{printable(comparison.after)}", ">difference", "interval")
    print_table(columns, summary.figures(comparison))
    print()
    print("\n".join(summary.text_lines(comparison)))
    print(f"\n{comparison.headline()}")
