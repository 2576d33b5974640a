from typing import Any

import pytest

from tasks.common.params import Params
from tasks.tables.manifest import Row
from tests.tasks.validation.manifests import find, image, images, paths, sentences

AB = images("a", 30) + images("b", 30)


def most(**columns: Any) -> list[Row]:
    """Return the pictures of two classes, two thirds of them with these columns."""
    return [row._replace(**columns) if n % 3 else row for n, row in enumerate(AB)]


def odd(**columns: Any) -> list[Row]:
    """Return good pictures and two odd ones."""
    return [*AB, image("a/odd1.jpg", **columns), image("b/odd2.jpg", **columns)]


def both(phrase: str) -> list[tuple[str, str]]:
    return [("warning", f"2 of 62 pictures are {phrase}, such as a/odd1.jpg and b/odd2.jpg")]


def as_most(count: int, phrase: str) -> list[tuple[str, str]]:
    return [("note", f"{count} of 60 pictures are {phrase}: as most are, none is listed")]


NIGHT = [row._replace(highlights=0.4) for row in AB]
PICTURES = {
    "thumbnails among photos": ("sizes", odd(width=64, height=48), both("of an odd size")),
    "posters among photos": ("sizes", odd(width=6400, height=4800), both("of an odd size")),
    "somewhat larger pictures": ("sizes", odd(width=1200, height=900), []),
    "sizes that vary": ("sizes", [row._replace(width=100 + 40 * n) for n, row in enumerate(AB)], []),
    "panoramas among photos": ("aspect_ratios", odd(width=4000, height=480), both("very long and narrow")),
    "upright among landscape": ("aspect_ratios", odd(width=480, height=640), []),
    "panoramas alone": ("aspect_ratios", [row._replace(width=3000) for row in AB], []),
    "few grey": ("modes", odd(is_grey=True, mode="L"), both("grey, the others are in colour")),
    "few in colour": (
        "modes",
        [row._replace(is_grey=not row.is_grey) for row in odd(is_grey=True)],
        both("in colour, the others are grey"),
    ),
    "many grey": ("modes", most(is_grey=True), []),
    "few CMYK": ("modes", odd(mode="CMYK"), both("stored in mode CMYK")),
    "few with a palette": ("modes", odd(mode="P"), []),
    "blank": ("blank", odd(contrast=0.001), both("blank (nearly a single colour)")),
    "nearly all blank": (
        "blank",
        most(contrast=0.0),
        [("warning", "40 of 60 pictures are blank (nearly a single colour), such as a/1.jpg and a/10.jpg")],
    ),
    "dark": ("dark", odd(highlights=0.3), both("dark")),
    "not quite dark": ("dark", odd(highlights=0.33), []),
    "blank, so dark": ("dark", odd(highlights=0.0, contrast=0.0), []),
    "most are dark": ("dark", most(highlights=0.2), as_most(40, "dark")),
    "dark among night photos": ("dark", NIGHT + odd(highlights=0.19)[-2:], both("dark")),
    "less dark among night photos": ("dark", NIGHT + odd(highlights=0.25)[-2:], []),
    "overexposed": ("overexposed", odd(shadows=0.97), both("overexposed")),
    "bright": ("overexposed", odd(shadows=0.9), []),
    "most are drawings on white": ("overexposed", most(shadows=0.98), as_most(40, "overexposed")),
    "little information": ("low_information", odd(entropy=0.5), both("low in information")),
    "most have little information": ("low_information", most(entropy=1.2), as_most(40, "low in information")),
    "blurred": ("blurred", odd(sharpness=0.01), both("blurred")),
    "a little blurred": ("blurred", odd(sharpness=0.04), []),
    "pale, not blurred": ("blurred", odd(sharpness=0.015, contrast=0.03), []),
}


@pytest.mark.parametrize(("check", "rows", "expected"), PICTURES.values(), ids=PICTURES)
def test_a_check_of_pictures_says_what_it_finds(
    settings: Params, check: str, rows: list[Row], expected: list[tuple[str, str]]
) -> None:
    assert sentences(find(check, rows, settings)) == expected


PROPERTIES = ("mode", "is_grey", "brightness", "shadows", "highlights", "contrast", "entropy", "sharpness")
UNKNOWN: dict[str, Any] = dict.fromkeys(PROPERTIES)


@pytest.mark.parametrize("check", sorted({check for check, _, _ in PICTURES.values()} | {"shortcuts"}))
def test_a_check_finds_nothing_where_the_properties_are_unknown_or_no_image_is_left(
    settings: Params, check: str
) -> None:
    assert find(check, [row._replace(**UNKNOWN) for row in AB], settings) == []
    assert find(check, [row._replace(width=1) for row in AB], settings) == []


@pytest.mark.parametrize(
    ("check", "column", "worst", "detail"),
    [
        ("sizes", "width", 8, "8 x 480 pixels, the median is about 554 x 554"),
        ("aspect_ratios", "width", 48000, "100.0 times as long as wide"),
        ("blank", "contrast", 0.0, "one colour, brightness 0.50"),
        ("dark", "highlights", 0.05, "the brightest hundredth has brightness 0.05"),
        ("overexposed", "shadows", 0.99, "the darkest twentieth has brightness 0.99"),
        ("low_information", "entropy", 0.25, "0.2 bits of information"),
        ("blurred", "sharpness", 0.001, "1% as sharp as the median picture"),
    ],
)
def test_the_worst_picture_is_listed_first_with_its_value(
    settings: Params, check: str, column: str, worst: float, detail: str
) -> None:
    milder = {"width": 20000, "contrast": 0.005, "highlights": 0.2, "shadows": 0.96, "entropy": 1.0, "sharpness": 0.01}
    rows = [*AB, image("a/milder.jpg", **{column: milder[column]}), image("b/worst.jpg", **{column: worst})]
    [finding] = find(check, rows, settings)
    assert paths(finding) == ["b/worst.jpg", "a/milder.jpg"]
    assert finding.offenders[0].detail == detail
