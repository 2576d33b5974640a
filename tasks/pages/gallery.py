"""The small pictures of a page: each is in the page once, on a sheet of many, and shown at any number of places."""

from base64 import b64encode
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from tasks.common.threads import available_cores, ordered_map
from tasks.pages.thumbnails import draw_file

SIDE = 64
COLUMNS = 20
ROWS = 25
QUALITY = 60
TILES = COLUMNS * ROWS


class Tile(NamedTuple):
    """A place on a sheet: the number of the sheet, and the offset of the tile in pixels."""

    sheet: int
    x: int
    y: int


class Gallery:
    """Collects the images that a page shows small, and draws them.

    A part of a page calls `add` with a path and keeps the tile. When all parts are done, the page writes the `sheets`.
    """

    def __init__(self, root: Path, limit: int) -> None:
        """Take the images below `root`; after `limit` different ones, further ones get no tile."""
        self._root = root
        self._limit = limit
        self._tiles: dict[str, Tile] = {}

    def add(self, path: str) -> Tile | None:
        """Return the tile of an image, the same one each time, or None if the gallery is full."""
        if path not in self._tiles:
            number = len(self._tiles)
            if number == self._limit:
                return None
            sheet, position = divmod(number, TILES)
            row, column = divmod(position, COLUMNS)
            self._tiles[path] = Tile(sheet, column * SIDE, row * SIDE)
        return self._tiles[path]

    def sheets(self) -> list[str]:
        """Return the sheets as data: addresses of WebP pictures; a file that cannot be decoded leaves its tile empty.

        The longer side of an image has SIDE pixels; smaller images are enlarged by a whole factor, as sharp squares.
        """
        sheets: list[Image.Image] = []
        workers = available_cores()
        drawn = ordered_map(lambda path: draw_file(self._root / path, SIDE), list(self._tiles), workers, 2 * workers)
        for tile, drawing in zip(self._tiles.values(), drawn, strict=True):
            if tile.sheet == len(sheets):
                rows = min(ROWS, -(-(len(self._tiles) - tile.sheet * TILES) // COLUMNS))
                sheets.append(Image.new("RGBA", (COLUMNS * SIDE, rows * SIDE)))
            if drawing is not None:
                left, top = (SIDE - drawing.image.width) // 2, (SIDE - drawing.image.height) // 2
                sheets[tile.sheet].paste(drawing.image, (tile.x + left, tile.y + top))
        return [_encode(sheet) for sheet in sheets]


def _encode(sheet: Image.Image) -> str:
    buffer = BytesIO()
    sheet.save(buffer, "WEBP", quality=QUALITY, method=4)
    return f"data:image/webp;base64,{b64encode(buffer.getvalue()).decode()}"
