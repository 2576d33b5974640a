from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from threading import Barrier, Lock

import pytest
from PIL import Image

from tasks.images.memory import PixelBudget, decoded_pixels


def encoded(size: tuple[int, int], name: str) -> bytes:
    """Return a grey image of that size in that format."""
    file = BytesIO()
    Image.new("RGB", size, "grey").save(file, name)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "min_side", "pixels"),
    [
        pytest.param(encoded((80, 40), "JPEG"), None, 3200, id="exact"),
        pytest.param(encoded((80, 40), "JPEG"), 20, 800, id="reduced to a half"),
        pytest.param(encoded((80, 40), "JPEG"), 21, 3200, id="too small to reduce"),
        pytest.param(encoded((80, 40), "PNG"), 20, 3200, id="a format without reduced scales"),
        pytest.param(encoded((80, 40), "JPEG")[:15], None, 0, id="damaged"),
        pytest.param(b"", None, 0, id="empty"),
    ],
)
def test_the_pixels_of_an_image_are_known_from_its_header(content: bytes, min_side: int | None, pixels: int) -> None:
    assert decoded_pixels(content, min_side) == pixels


def test_images_held_at_once_have_no_more_pixels_than_the_budget_unless_one_is_larger_by_itself() -> None:
    budget, lock = PixelBudget(10), Lock()
    held: list[int] = []
    seen: set[tuple[int, ...]] = set()

    def hold(pixels: int) -> None:
        with budget.reserve(pixels):
            with lock:
                held.append(pixels)
                seen.add(tuple(sorted(held)))
            with lock:
                held.remove(pixels)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(hold, [1, 4, 5, 6, 10, 11, 30] * 40))
    assert {(11,), (30,)} <= seen
    assert all(sum(pixels) <= 10 or len(pixels) == 1 for pixels in seen)
    assert held == []


def test_images_that_fit_together_are_held_together() -> None:
    budget, together = PixelBudget(10), Barrier(2, timeout=30)

    def hold(pixels: int) -> None:
        with budget.reserve(pixels):
            together.wait()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(hold, [4, 6]))


def test_an_error_gives_the_room_back(tmp_path: Path) -> None:
    budget = PixelBudget(10)
    with pytest.raises(FileNotFoundError), budget.reserve(10):
        (tmp_path / "missing").read_bytes()
    with budget.reserve(10):
        pass
