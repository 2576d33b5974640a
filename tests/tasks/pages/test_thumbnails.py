import os
from base64 import b64decode
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.pages.thumbnails import thumbnail, thumbnails
from tests.tasks.conftest import noise

PREFIX = "data:image/webp;base64,"


def save(file: Path, height: int, width: int) -> Path:
    Image.fromarray(noise(0, height, width)).save(file)
    return file


def draw(file: Path, side: int = 112) -> Image.Image:
    address = thumbnail(file, side)
    assert address is not None
    assert address.startswith(PREFIX)
    return Image.open(BytesIO(b64decode(address.removeprefix(PREFIX))))


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [
        pytest.param(400, 300, (112, 84), id="wide"),
        pytest.param(30, 300, (11, 112), id="high"),
        pytest.param(3000, 2, (112, 1), id="a line keeps a pixel"),
        pytest.param(112, 112, (112, 112), id="of the same size"),
        pytest.param(80, 60, (80, 60), id="a little smaller"),
        pytest.param(8, 8, (112, 112), id="tiny"),
        pytest.param(10, 5, (110, 55), id="tiny, with a whole factor"),
        pytest.param(1, 1, (112, 112), id="a pixel"),
    ],
)
def test_a_thumbnail_keeps_the_aspect_ratio(tmp_path: Path, width: int, height: int, expected: tuple[int, int]) -> None:
    assert draw(save(tmp_path / "image.png", height, width)).size == expected


def test_the_pixels_of_a_tiny_image_stay_sharp_squares(tmp_path: Path) -> None:
    pixels = noise(0, 8, 8)
    Image.fromarray(pixels).save(tmp_path / "digit.png")
    enlarged = np.asarray(draw(tmp_path / "digit.png", side=40))
    np.testing.assert_array_equal(enlarged, pixels.repeat(5, axis=0).repeat(5, axis=1))


def test_a_thumbnail_is_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise(0, 100, 300)).save(tmp_path / "turned.jpg", exif=exif)
    assert draw(tmp_path / "turned.jpg", side=90).size == (30, 90)


def test_the_same_file_gives_the_same_text(tmp_path: Path) -> None:
    file = save(tmp_path / "image.png", 300, 400)
    assert thumbnail(file) == thumbnail(file)


def test_a_file_that_cannot_be_decoded_has_no_thumbnail(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    os.mkfifo(tmp_path / "pipe.jpg")
    save(tmp_path / "good.png", 9, 9)
    names = ["text.jpg", "missing.jpg", ".", "pipe.jpg", "good.png"]
    assert [address is not None for address in thumbnails(tmp_path, names)] == [False, False, False, False, True]


def test_many_thumbnails_have_the_order_of_their_paths(tmp_path: Path) -> None:
    names = [save(tmp_path / f"{size}.png", size, 9).name for size in range(1, 20)]
    assert thumbnails(tmp_path, names) == [thumbnail(tmp_path / name) for name in names]
