"""The glyph world: letters and symbols rendered from free fonts, without digits and what looks like one."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from starter.warp import CANVAS, CONTENT, Warp, thicken, warp
from tasks.common.errors import GraftError

if TYPE_CHECKING:
    from numpy.typing import NDArray

FONT_FOLDERS = (
    Path("/usr/share/fonts"),
    Path("/usr/local/share/fonts"),
    Path.home() / ".fonts",
    Path.home() / ".local/share/fonts",
)

FACES: dict[str, tuple[str, ...]] = {
    "fonts-dejavu": (
        *(f"DejaVuSans{style}.ttf" for style in ("", "-Bold", "-BoldOblique", "-ExtraLight", "-Oblique")),
        *(f"DejaVuSansCondensed{style}.ttf" for style in ("", "-Bold", "-BoldOblique", "-Oblique")),
        *(f"DejaVuSansMono{style}.ttf" for style in ("", "-Bold", "-BoldOblique", "-Oblique")),
        *(f"DejaVuSerif{style}.ttf" for style in ("", "-Bold", "-BoldItalic", "-Italic")),
        *(f"DejaVuSerifCondensed{style}.ttf" for style in ("", "-Bold", "-BoldItalic", "-Italic")),
    ),
    "fonts-liberation": tuple(
        f"Liberation{family}-{style}.ttf"
        for family in ("Mono", "Sans", "Serif")
        for style in ("Regular", "Bold", "Italic", "BoldItalic")
    ),
    "fonts-freefont-ttf": (
        *(f"FreeMono{style}.ttf" for style in ("", "Bold", "BoldOblique", "Oblique")),
        *(f"FreeSans{style}.ttf" for style in ("", "Bold", "BoldOblique", "Oblique")),
        *(f"FreeSerif{style}.ttf" for style in ("", "Bold", "BoldItalic", "Italic")),
    ),
    "fonts-stix": tuple(f"STIXGeneral-{style}.otf" for style in ("Regular", "Bold", "Italic", "BoldItalic")),
}
"""The font files by the Debian package which installs them."""

CHARACTERS = (
    "ACDEFHJKLMNPRTUVWXY"  # Latin capitals, less B G I O Q S Z
    "adefhmnrt"  # small letters of a shape of their own, less b g i l o q s z
    "ÆŒÞæœþŁŋħĦ"
    "ΓΔΛΞΠΣΦΨΩαγεηλμπφω"  # less beta, delta, zeta, theta, xi, rho, sigma, omicron
    "ДЖИЙЛЦШЩЮЯЄЉЊЋЏҐ"  # less Be, Ze, Che, E, the hard and the soft sign
    "אבהחכמעפקשת"  # less what resembles a stroke, a hook or a bowl: vav, resh, lamed, tet, samekh and others
    "@#%*+<>=~¶†‡©®±×÷"  # less $ & ? ! / | ( ) { }
    "≠≈≡≤≥∇√∈∉⊂⊃∩∀∃∴∵⊥"
    "←↑→↓↔↕⇐⇒⇔"
    "■▲▼◆◊●★☆♠♣♥♫☎☼☀☂✂✈✉✓✗"
    "€£¥№™"
)
"""One class each; every one was held against the ten digits, and look-alikes (O, l, Z, S, B, ...) were left out."""

_HAND = Warp(rotation=22.0)
_NOT_A_CHARACTER = "\uffff"
_RENDER_SIZE = 72


def find_faces(folders: tuple[Path, ...] = FONT_FOLDERS) -> tuple[Path, ...]:
    """Return the path of every font file in FACES, in their order.

    Raises GraftError naming the Debian packages to install when a file is in none of the folders.
    """
    present = {path.name: path for folder in reversed(folders) for path in sorted(folder.rglob("*.[ot]tf"))}
    missing = [package for package, names in FACES.items() if any(name not in present for name in names)]
    if missing:
        packages = " ".join(missing)
        msg = f"the glyph world needs the fonts of {packages}, not found; install them: apt-get install {packages}"
        raise GraftError(msg)
    return tuple(present[name] for names in FACES.values() for name in names)


class GlyphWorld:
    """Characters as classes; a draw picks a face at random."""

    name = "glyphs"

    def __init__(self, faces: tuple[Path, ...], characters: str = CHARACTERS) -> None:
        """Take font files and the characters; GraftError when a character is in none of the faces."""
        self.classes = tuple(characters)
        self._faces = tuple(str(path) for path in faces)
        self._usable: dict[int, tuple[str, ...]] = {}

    def draw(self, label: int, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Draw one warped mask of the class, uint8 [SIDE, SIDE], 255 where there is ink."""
        character = self.classes[label]
        if label not in self._usable:
            self._usable[label] = tuple(face for face in self._faces if glyph_mask(face, character) is not None)
            if not self._usable[label]:
                msg = f"no font face has the character {character!r}; install newer fonts or drop it"
                raise GraftError(msg)
        faces = self._usable[label]
        mask = glyph_mask(faces[int(rng.integers(len(faces)))], character)
        assert mask is not None  # noqa: S101 - the usable faces were chosen by just that
        return warp(thicken(mask, int(rng.integers(-2, 4))), _HAND, rng)


@lru_cache(maxsize=20_000)
def glyph_mask(face: str, character: str) -> NDArray[np.uint8] | None:
    """Render a character to fill the content box, uint8 [CANVAS, CANVAS]; None when the face lacks it."""
    ink = _ink(face, character)
    if ink is None or ink.tobytes() == _lacking(face):
        return None
    fit = CONTENT / max(ink.size)
    size = (max(2, round(ink.width * fit)), max(2, round(ink.height * fit)))
    canvas = Image.new("L", (CANVAS, CANVAS))
    canvas.paste(ink.resize(size, Image.Resampling.BILINEAR), ((CANVAS - size[0]) // 2, (CANVAS - size[1]) // 2))
    return np.asarray(canvas)


def _ink(face: str, character: str) -> Image.Image | None:
    """Render a character and crop to its ink; None when it leaves none."""
    font = _font(face)
    canvas = Image.new("L", (3 * _RENDER_SIZE, 3 * _RENDER_SIZE))
    ImageDraw.Draw(canvas).text((_RENDER_SIZE, _RENDER_SIZE), character, fill=255, font=font)
    box = canvas.getbbox()
    return canvas.crop(box) if box else None


@lru_cache(maxsize=128)
def _lacking(face: str) -> bytes | None:
    """Return what a face shows in place of a character that it lacks; None when it shows nothing."""
    ink = _ink(face, _NOT_A_CHARACTER)
    return ink.tobytes() if ink else None


@lru_cache(maxsize=128)
def _font(face: str) -> ImageFont.FreeTypeFont:
    # The basic layout engine needs no shaping library, so the same glyphs come out wherever Pillow runs.
    return ImageFont.truetype(face, _RENDER_SIZE, layout_engine=ImageFont.Layout.BASIC)
