from pathlib import Path

import pytest
from PIL import Image

from tasks.pages.album import MAX_LINE, Album, Item
from tests.tasks.conftest import noise

PLENTY = 10**6


@pytest.fixture
def album(tmp_path: Path) -> Album:
    """Give an album over three images and a file that is none."""
    return make_album(tmp_path, PLENTY, PLENTY)


def make_album(root: Path, picture_bytes: int, line_bytes: int) -> Album:
    for number in range(3):
        Image.fromarray(noise(number, 200, 200)).save(root / f"{number}.png")
    (root / "text.png").write_text("no picture")
    return Album(root, picture_bytes, line_bytes)


def arranged(album: Album, items: list[Item], pictures: int) -> tuple[list[str], list[str], int]:
    """Return the paths of the pictures, the lines, and the number of other items."""
    listing = album.arrange(items, pictures)
    return [picture.path for picture in listing.pictures], listing.lines, listing.more


@pytest.mark.parametrize(
    ("items", "pictures", "expected"),
    [
        pytest.param([], 4, ([], [], 0), id="nothing"),
        pytest.param([Item("0.png"), Item("1.png")], 4, (["0.png", "1.png"], [], 0), id="all are pictures"),
        pytest.param(
            [Item("0.png"), Item("1.png", "cat", "val", "dark"), Item("2.png", detail="far")],
            1,
            (["0.png"], ["1.png · cat · val · dark", "2.png · far"], 0),
            id="those after the first are lines",
        ),
        pytest.param(
            [Item("text.png", "cat"), Item("0.png")],
            2,
            (["0.png"], ["text.png · cat"], 0),
            id="a file that is no picture is a line",
        ),
        pytest.param(
            [Item("0.png", drawable=False), Item("1.png")],
            1,
            (["1.png"], ["0.png"], 0),
            id="a file that may not be opened is a line",
        ),
        pytest.param(
            [Item(f"{number}") for number in range(1234)],
            0,
            ([], [str(number) for number in range(200)], 1034),
            id="many lines",
        ),
    ],
)
def test_items_become_pictures_then_lines_then_a_number(
    album: Album, items: list[Item], pictures: int, expected: tuple[list[str], list[str], int]
) -> None:
    assert arranged(album, items, pictures) == expected


def test_pictures_that_no_longer_fit_are_lines(tmp_path: Path) -> None:
    items = [Item(f"{number}.png") for number in range(3)]
    cost = len(make_album(tmp_path, PLENTY, PLENTY).arrange(items, 1).pictures[0].source)
    album = make_album(tmp_path, cost + 300, PLENTY)
    assert arranged(album, items, 3) == (["0.png"], ["1.png", "2.png"], 0)
    assert arranged(album, items, 3) == ([], ["0.png", "1.png", "2.png"], 0)


def test_lines_that_no_longer_fit_are_a_number(tmp_path: Path) -> None:
    album = make_album(tmp_path, PLENTY, 100)
    items = [Item("a" * 30), Item("b" * 30), Item("&" * 30)]
    assert arranged(album, items, 0) == ([], ["a" * 30], 2)


def test_a_long_line_is_shortened(album: Album) -> None:
    assert [len(line) for line in album.arrange([Item("a" * 4000)], 0).lines] == [MAX_LINE]
