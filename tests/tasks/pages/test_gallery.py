from base64 import b64decode
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.pages.gallery import COLUMNS, SIDE, TILES, Gallery, Tile

PREFIX = "data:image/webp;base64,"


def save(folder: Path, name: str, colour: tuple[int, int, int], size: tuple[int, int] = (100, 100)) -> str:
    Image.new("RGB", size, colour).save(folder / name)
    return name


def open_sheets(gallery: Gallery) -> list[Image.Image]:
    sheets = gallery.sheets()
    assert all(sheet.startswith(PREFIX) for sheet in sheets)
    return [Image.open(BytesIO(b64decode(sheet.removeprefix(PREFIX)))).convert("RGBA") for sheet in sheets]


def test_an_image_has_the_same_tile_each_time_and_is_drawn_there(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path, 10)
    red, blue = save(tmp_path, "red.png", (255, 0, 0)), save(tmp_path, "blue.png", (0, 0, 255))
    assert [gallery.add(path) for path in (red, blue, red)] == [Tile(0, 0, 0), Tile(0, SIDE, 0), Tile(0, 0, 0)]
    (sheet,) = open_sheets(gallery)
    assert sheet.size == (COLUMNS * SIDE, SIDE)
    middles = np.asarray(sheet)[SIDE // 2, [SIDE // 2, SIDE + SIDE // 2]]
    np.testing.assert_allclose(middles, [(255, 0, 0, 255), (0, 0, 255, 255)], atol=8)
    assert sheet.getpixel((3 * SIDE, 10)) == (0, 0, 0, 0)


def test_a_full_gallery_gives_no_further_tiles(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path, 2)
    assert [gallery.add(path) is None for path in ("a", "b", "c", "a")] == [False, False, True, False]


def test_tiles_continue_in_the_next_row_and_on_the_next_sheet(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path, TILES + 1)
    tiles = [gallery.add(str(number)) for number in range(TILES + 1)]
    assert (tiles[COLUMNS], tiles[TILES]) == (Tile(0, 0, SIDE), Tile(1, 0, 0))


@pytest.mark.parametrize(
    ("size", "box"),
    [
        pytest.param((200, 100), (0, 16, 64, 48), id="wide"),
        pytest.param((8, 8), (0, 0, 64, 64), id="tiny"),
        pytest.param((50, 40), (7, 12, 57, 52), id="a little smaller"),
    ],
)
def test_an_image_lies_in_the_middle_of_its_tile(
    tmp_path: Path, size: tuple[int, int], box: tuple[int, int, int, int]
) -> None:
    gallery = Gallery(tmp_path, 1)
    gallery.add(save(tmp_path, "a.png", (0, 200, 0), size))
    (sheet,) = open_sheets(gallery)
    assert sheet.getchannel("A").getbbox() == box


def test_a_file_that_cannot_be_drawn_leaves_its_tile_empty(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path, 10)
    (tmp_path / "broken.png").write_bytes(b"no image")
    for path in ("missing.png", "broken.png", save(tmp_path, "a.png", (0, 200, 0))):
        gallery.add(path)
    (sheet,) = open_sheets(gallery)
    assert sheet.getchannel("A").getbbox() == (2 * SIDE, 0, 3 * SIDE, SIDE)


def test_an_empty_gallery_has_no_sheets_and_equal_ones_equal_sheets(tmp_path: Path) -> None:
    assert Gallery(tmp_path, 1).sheets() == []
    path = save(tmp_path, "a.png", (10, 20, 30))
    galleries = [Gallery(tmp_path, 1), Gallery(tmp_path, 1)]
    for gallery in galleries:
        gallery.add(path)
    assert galleries[0].sheets() == galleries[1].sheets()
