import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from selenium.webdriver import Chrome

from tasks.common.errors import QuarantineKind
from tasks.validation.finding import Finding, Offender, Severity
from tasks.validation.page import write_page
from tests.tasks.conftest import noise
from tests.tasks.pages.browsing import NARROW, colours, scrolls_sideways, visit

MB = 10**6
HOSTILE = "cat/<script>document.title='owned'<\\script><img src=x onerror=alert(1)>\n\"'\u202egpj.😀.png"
FEW = [("cat", 70, 10, 20, 100), ("dog", 3, 1, 1, 5)]
COLUMNS = ["label", "train", "val", "test", "images"]

Row = tuple[str, str, QuarantineKind, str]


class Outline(HTMLParser):
    """The texts of a page by their elements, and the number of its pictures."""

    def __init__(self, text: str) -> None:
        """Read a page."""
        super().__init__()
        self.pictures = 0
        self._texts: dict[str, list[str]] = {tag: [] for tag in ("h1", "h2", "h3", "li", "summary", "tr", "dl", "p")}
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, _attributes: list[tuple[str, str | None]]) -> None:
        """Count pictures and open an element."""
        self.pictures += tag == "img"
        if tag in self._texts:
            self._open.append(tag)
            self._texts[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        """Close an element."""
        if tag in self._open:
            self._open.remove(tag)

    def handle_data(self, data: str) -> None:
        """Add a text to the elements that are open."""
        for tag in self._open:
            self._texts[tag][-1] += f" {data.strip()}" if data.strip() else ""

    def read(self, tag: str) -> list[str]:
        """Return the text of each element of a kind."""
        return [text.strip() for text in self._texts[tag]]


def finding(
    severity: Severity, message: str, offenders: Sequence[Offender] = (), labels: Sequence[str] = ()
) -> Finding:
    return Finding("check", severity, message, f"Mend {message}.", offenders, labels)


def offenders(*paths: str) -> list[Offender]:
    return [Offender(path, path.split("/")[0], "train", "dark") for path in paths]


def write_images(root: Path, *paths: str) -> None:
    for number, path in enumerate(paths):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise(number, 20, 30)).save(root / path, format="PNG")


def page_text(
    root: Path,
    findings: Sequence[Finding] = (),
    classes: Sequence[tuple[str, int, int, int, int]] = FEW,
    set_aside: Sequence[Row] = (),
) -> str:
    counts = pd.DataFrame(classes, columns=COLUMNS).astype(dict.fromkeys(COLUMNS[1:], "int64"))
    rows = pd.DataFrame(set_aside, columns=["path", "label", "kind", "reason"])
    write_page(root / "report.html", root, findings, counts, rows)
    return (root / "report.html").read_bytes().decode()


def outline(root: Path, findings: Sequence[Finding] = (), **parts: Sequence[tuple[object, ...]]) -> Outline:
    return Outline(page_text(root, findings, **parts))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("findings", "verdict"),
    [
        pytest.param([], ["Fit to train on", "All checks hold."], id="nothing found"),
        pytest.param([finding("note", "n")], ["Fit to train on", "All checks hold."], id="a note"),
        pytest.param(
            [finding("note", "n"), finding("warning", "w")],
            ["Fit to train on", "All blocking checks hold; 1 warning is worth a look."],
            id="a warning",
        ),
        pytest.param(
            [finding("warning", "w")] * 2,
            ["Fit to train on", "All blocking checks hold; 2 warnings are worth a look."],
            id="warnings",
        ),
        pytest.param(
            [finding("warning", "w"), finding("blocking", "class 'dog' has 5 images")],
            ["Not fit to train on", "because class 'dog' has 5 images"],
            id="a blocking finding",
        ),
        pytest.param(
            [finding("blocking", "a"), finding("blocking", "b"), finding("blocking", "c")],
            ["Not fit to train on", "because a, and for 2 more reasons"],
            id="blocking findings",
        ),
    ],
)
def test_the_page_opens_with_the_verdict(tmp_path: Path, findings: list[Finding], verdict: list[str]) -> None:
    page = outline(tmp_path, findings)
    assert [page.read("h1")[0], page.read("p")[1]] == verdict


@pytest.mark.parametrize(
    ("severities", "steps"),
    [
        pytest.param(["note"], ["Run graft train ."], id="nothing"),
        pytest.param(["warning", "note"], ["Mend warning. check", "Run graft train ."], id="warnings"),
        pytest.param(["warning", "blocking"], ["Mend blocking. check", "Run graft data check again."], id="blocking"),
    ],
)
def test_the_page_says_what_to_do(tmp_path: Path, severities: list[Severity], steps: list[str]) -> None:
    assert outline(tmp_path, [finding(severity, severity) for severity in severities]).read("li") == steps


def test_equal_advice_is_one_step(tmp_path: Path) -> None:
    findings = [Finding(check, "blocking", "m", advice) for check, advice in (("a", "x"), ("b", "y"), ("a", "x"))]
    findings.append(Finding("c", "blocking", "m", "x"))
    assert outline(tmp_path, findings).read("li") == ["x a c", "y b", "Run graft data check again."]


def test_findings_stand_by_severity_in_their_order(tmp_path: Path) -> None:
    severities: list[Severity] = ["note", "warning", "blocking", "warning"]
    page = outline(tmp_path, [finding(severity, f"{number}") for number, severity in enumerate(severities)])
    assert page.read("h2") == ["What to do", "Blocking findings", "Warnings", "Notes", "Classes"]
    assert page.read("h3") == ["2", "1", "3", "0"]


def test_a_finding_shows_pictures_of_its_first_files_and_lists_the_others(tmp_path: Path) -> None:
    paths = [f"cat/{number:02}.png" for number in range(30)]
    write_images(tmp_path, *paths)
    page = outline(tmp_path, [finding("warning", "dark", offenders(*paths))])
    assert page.pictures == 24
    assert page.read("summary") == ["6 more files"]
    assert page.read("li")[2] == "cat/00.png cat · train dark"
    assert page.read("li")[-1] == "cat/29.png · cat · train · dark"


def test_files_beyond_the_lines_are_counted(tmp_path: Path) -> None:
    page = outline(tmp_path, [finding("warning", "gone", offenders(*(f"cat/{number}" for number in range(1434))))])
    assert page.read("summary") == ["1,434 files"]
    assert page.read("p")[-2] == "and 1,234 more"


def test_classes_that_a_message_leaves_out_are_listed(tmp_path: Path) -> None:
    labels = [f"class {number}" for number in range(12)]
    page = outline(tmp_path, [finding("warning", "small", labels=labels), finding("note", "n", labels=labels[:10])])
    assert page.read("summary") == ["12 classes"]
    assert page.read("li")[2:] == labels


def test_figures_count_images_classes_and_files(tmp_path: Path) -> None:
    rows = [
        ("cat/a.png", "cat", QuarantineKind.EMPTY, "the file is empty"),
        ("cat/a.txt", "cat", QuarantineKind.OTHER_FILE, "no picture"),
        ("cat/b.txt", "cat", QuarantineKind.OTHER_FILE, "no picture"),
    ]
    figures = "images 2,000 classes 1 files set aside 1 files left out 2"
    assert outline(tmp_path, classes=[("cat", 1998, 1, 1, 2000)], set_aside=rows).read("dl") == [figures]


def test_the_smallest_classes_come_first_and_many_are_folded(tmp_path: Path) -> None:
    classes = [(f"class {images:03}", images - 2, 1, 1, images) for images in range(600, 2, -1)]
    page = outline(tmp_path, classes=classes)
    assert page.read("tr")[1:3] == ["class 003 1 1 1 3", "class 004 2 1 1 4"]
    assert page.read("summary") == ["548 larger classes"]
    assert page.read("p")[-1] == "and 298 more classes"


def test_bars_are_relative_to_the_largest_class(tmp_path: Path) -> None:
    assert re.findall(r'class="stack" style="width:([^"]+)"', page_text(tmp_path)) == ["5.0%", "100.0%"]


def test_files_set_aside_or_left_out_stand_by_kind_with_an_example_or_pictures(tmp_path: Path) -> None:
    write_images(tmp_path, "cat/small.png", "cat/damaged.png")
    rows = [
        ("cat/a.png", "cat", QuarantineKind.EMPTY, "the file is empty"),
        ("cat/damaged.png", "cat", QuarantineKind.DAMAGED, "damaged: a"),
        ("cat/e.png", "cat", QuarantineKind.DAMAGED, "damaged: b"),
        ("cat/small.png", "cat", QuarantineKind.TOO_SMALL, "a side is shorter than 32 pixels"),
        ("dog/", "dog", QuarantineKind.EMPTY_FOLDER, "the folder holds no files"),
    ]
    page = outline(tmp_path, set_aside=rows)
    assert page.read("h2")[2:] == ["Set aside", "Left out"]
    assert page.read("h3") == ["damaged · 2", "empty · 1", "too small · 1", "empty folder · 1"]
    assert page.read("p")[-4:] == [
        "cat/damaged.png : damaged: a",
        "cat/a.png : the file is empty",
        "These do not count against the dataset.",
        "dog/ : the folder holds no files",
    ]
    assert page.read("li")[1:] == [
        "cat/damaged.png · cat · damaged: a",
        "cat/e.png · cat · damaged: b",
        "cat/small.png cat a side is shorter than 32 pixels",
    ]


def test_a_file_that_the_scan_refused_is_not_opened_for_a_finding(tmp_path: Path) -> None:
    write_images(tmp_path, "cat/refused.png", "cat/good.png")
    rows = [("cat/refused.png", "cat", QuarantineKind.TOO_LARGE, "30000x30000 pixels are more than 100 megapixels")]
    page = outline(tmp_path, [finding("blocking", "b", offenders("cat/refused.png", "cat/good.png"))], set_aside=rows)
    assert page.pictures == 1
    assert "cat/refused.png · cat · train · dark" in page.read("li")


def test_other_files_stand_by_suffix_with_an_example(tmp_path: Path) -> None:
    paths = ["cat/1.xml", "cat/2.XML", "cat/3.txt", "cat/Icon\r"]
    page = outline(tmp_path, set_aside=[(path, "cat", QuarantineKind.OTHER_FILE, "no picture") for path in paths])
    assert page.read("h2")[-1] == "Left out"
    assert page.read("h3") == ["other files · 4"]
    assert page.read("tr")[-3:] == [".xml 2 cat/1.xml", "none 1 cat/Icon\\r", ".txt 1 cat/3.txt"]


def test_a_dataset_without_classes_has_a_page(tmp_path: Path) -> None:
    assert outline(tmp_path, [finding("blocking", "no classes")], classes=[]).read("tr") == [
        "class train val test images"
    ]


def test_the_page_has_the_same_bytes_each_time_and_names_no_folder(tmp_path: Path) -> None:
    texts = []
    for folder in ("first", "second"):
        write_images(tmp_path / folder, "cat/0.png", "cat/1.png")
        texts.append(page_text(tmp_path / folder, [finding("note", "n", offenders("cat/0.png", "cat/1.png"))]))
    assert texts[0] == texts[1]
    assert str(tmp_path) not in texts[0]


def test_the_page_of_a_large_dataset_stays_small(tmp_path: Path) -> None:
    """Most pictures are of noise, which compresses worst, and most names are of characters that HTML escapes."""
    for number in range(20):
        Image.fromarray(np.kron(noise(number, 72, 72), np.ones((4, 4, 1), np.uint8))).save(tmp_path / f"{number}.png")
    many = [Offender(f"{number}.png", "&" * 255, "train", "<" * 255) for number in range(20)] * 50
    long = [Offender(f"{'&' * 4000}/{number}", "'" * 255, "test", "detail") for number in range(1000)]
    findings = [finding("blocking" if number < 100 else "warning", "'" * 999, many + long) for number in range(5000)]
    classes = [("&" * 251 + f"{number:04}", 800, 100, 100, 1000) for number in range(5000)]
    rows = [
        (f"{'&' * 200}{number}.{number}", "cat", list(QuarantineKind)[number % len(QuarantineKind)], "<" * 300)
        for number in range(20_000)
    ]
    assert 1 * MB < len(page_text(tmp_path, findings, classes, rows).encode()) < 2.2 * MB


def test_a_browser_shows_the_page_and_asks_for_nothing_else(tmp_path: Path, browser: Chrome) -> None:
    write_images(tmp_path, "cat/0.png", "dog/1.png", HOSTILE)
    findings = [
        finding("warning", f"is dark: {HOSTILE}", offenders("cat/0.png", "dog/1.png", HOSTILE, "cat/gone.png")),
        finding("note", "w" * 2000, offenders("dog/" + "w" * 250)),
    ]
    rows: list[Row] = [
        ("dog/" + "w" * 250, "w" * 250, QuarantineKind.EMPTY, "the file is empty"),
        (HOSTILE + ".<b>", "cat", QuarantineKind.OTHER_FILE, "no picture"),
    ]
    page_text(tmp_path, findings, [*FEW, ("<b>bird</b>" + "w" * 250, 1, 1, 1, 3)], rows)
    page = tmp_path / "report.html"

    seen = visit(browser, page)
    assert (seen.messages, seen.requests, seen.broken_images) == ([], [page.as_uri()], [])
    assert browser.title == "Dataset report"
    assert not browser.execute_script("return document.querySelectorAll('script, b, .path *').length")
    paths = browser.execute_script("return [...document.querySelectorAll('.path')].map(path => path.textContent)")
    assert paths == ["cat/0.png", "dog/1.png", HOSTILE.replace("\n", "\\n").replace("\u202e", "\\u202e")]
    assert colours(browser, tmp_path / "wide.png") > 100

    assert visit(browser, page, NARROW).broken_images == []
    assert not scrolls_sideways(browser)
    assert colours(browser, tmp_path / "narrow.png") > 100
