"""Glyphs: each class is a letter or symbol, rendered from free fonts; no class is or looks like a digit."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from starter.warp import CANVAS, CONTENT, Warp, thicken, warp
from tasks.common.errors import GraftError

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
"""Names of the font files by the Debian package that installs them."""

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
"""One class each. Characters that look like one of the ten digits (O, l, Z, S, B, ...) are left out."""

GEOMETRY = Warp(rotation=22.0)
NOT_A_CHARACTER = "\uffff"
RENDER_SIZE = 72


def find_faces(folders: tuple[Path, ...] = FONT_FOLDERS) -> tuple[Path, ...]:
    """Return the path of every font file in FACES, in their order.

    Raises:
        GraftError: A file is in none of the folders; the message names the Debian packages to install.
    """
    present = {path.name: path for folder in reversed(folders) for path in sorted(folder.rglob("*.[ot]tf"))}
    missing = [package for package, names in FACES.items() if any(name not in present for name in names)]
    if missing:
        packages = " ".join(missing)
        message = f"the glyphs need the fonts of {packages}, not found; install them: apt-get install {packages}"
        raise GraftError(message)
    return tuple(present[name] for names in FACES.values() for name in names)


class GlyphGenerator:
    """Classes that are characters; each draw picks a font face at random."""

    name = "glyphs"

    def __init__(self, faces: tuple[Path, ...], characters: str = CHARACTERS) -> None:
        """Make a class of each character, to be drawn with these font files."""
        self.classes = tuple(characters)
        self._faces = tuple(str(path) for path in faces)

    def draw(self, class_index: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        """Draw the character of a class, warped, uint8 [SIDE, SIDE], 255 where there is ink.

        Raises:
            GraftError: None of the faces has the character.
        """
        character = self.classes[class_index]
        masks = [mask for face in self._faces if (mask := glyph_mask(face, character)) is not None]
        if not masks:
            message = f"no font face has the character {character!r}; install newer fonts or drop it"
            raise GraftError(message)
        mask = masks[int(rng.integers(len(masks)))]
        return warp(thicken(mask, int(rng.integers(-2, 4))), GEOMETRY, rng)


@lru_cache(maxsize=20_000)
def glyph_mask(face: str, character: str) -> npt.NDArray[np.uint8] | None:
    """Render a character to fill the content box, uint8 [CANVAS, CANVAS]; None when the face lacks it."""
    ink = _ink(face, character)
    if ink is None or ink.tobytes() == _placeholder(face):
        return None
    fit = CONTENT / max(ink.size)
    size = (max(2, round(ink.width * fit)), max(2, round(ink.height * fit)))
    canvas = Image.new("L", (CANVAS, CANVAS))
    canvas.paste(ink.resize(size, Image.Resampling.BILINEAR), ((CANVAS - size[0]) // 2, (CANVAS - size[1]) // 2))
    return np.asarray(canvas)


def _ink(face: str, character: str) -> Image.Image | None:
    """Render a character and crop to its ink; None when it leaves none."""
    font = _font(face)
    canvas = Image.new("L", (3 * RENDER_SIZE, 3 * RENDER_SIZE))
    ImageDraw.Draw(canvas).text((RENDER_SIZE, RENDER_SIZE), character, fill=255, font=font)
    box = canvas.getbbox()
    return canvas.crop(box) if box else None


@lru_cache(maxsize=128)
def _placeholder(face: str) -> bytes | None:
    """Return the ink that a face shows instead of a character that it lacks; None when it shows nothing."""
    ink = _ink(face, NOT_A_CHARACTER)
    return ink.tobytes() if ink else None


@lru_cache(maxsize=128)
def _font(face: str) -> ImageFont.FreeTypeFont:
    # The basic layout engine needs no shaping library, so the same glyphs come out wherever Pillow runs.
    return ImageFont.truetype(face, RENDER_SIZE, layout_engine=ImageFont.Layout.BASIC)
