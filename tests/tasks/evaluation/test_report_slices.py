import pytest

from tasks.evaluation.report.slices import MAX_ROWS, describe_slices
from tasks.evaluation.slices import Slice, Slices

WORSE = Slice("camera", "<b>", "table", 40, 0.6, 0.45, 0.74, 200, 0.9, -0.3, -0.4, -0.1, 1e-5, 1e-4, "worse")
UNCLEAR = Slice(
    "brightness", "up to 0.3", "image", 60, 0.85, 0.74, 0.92, 180, 0.9, -0.05, -0.15, 0.05, 0.3, 1, "unclear"
)
NOTHING = Slices([], 0, 0, [("file format", "PNG")], 0.95)


def test_a_set_whose_images_do_not_differ_has_no_such_part() -> None:
    assert describe_slices(NOTHING, 100, 0.9) is None


@pytest.mark.parametrize(
    ("slices", "headline"),
    [
        pytest.param(
            NOTHING._replace(rows=[WORSE, UNCLEAR]),
            "1 kind of image is recognised clearly less often than the rest.",
            id="worse",
        ),
        pytest.param(
            NOTHING._replace(rows=[WORSE] * 12),
            "12 kinds of images are recognised clearly less often than the rest.",
            id="many are worse",
        ),
        pytest.param(
            NOTHING._replace(rows=[UNCLEAR]),
            "No kind of image is recognised clearly less often than the rest.",
            id="none is worse",
        ),
        pytest.param(
            NOTHING._replace(small=3), "No kind of image has 10 test images or more, too few to compare.", id="small"
        ),
    ],
)
def test_the_headline_says_whether_a_kind_is_clearly_worse(slices: Slices, headline: str) -> None:
    part = describe_slices(slices, 240, 0.85)
    assert part is not None
    assert part.headline == headline
    assert part.worse == [row for row in slices.rows if row.verdict == "worse"][:6]
    assert part.more_worse == max(0, len(slices.rows) - 6 if len(slices.rows) > 2 else 0)


def test_bars_lie_within_their_scale_and_long_tables_are_cut() -> None:
    part = describe_slices(NOTHING._replace(rows=[UNCLEAR] * (MAX_ROWS + 5)), 240, 0.85)
    assert part is not None
    assert (len(part.rows), part.more, part.tests) == (MAX_ROWS, 5, MAX_ROWS + 5)
    row = part.rows[0]
    assert (part.scale_low, part.line) == pytest.approx((0.7, 50))
    assert (row.left, row.width, row.mark) == pytest.approx((100 * 0.04 / 0.3, 60, 50))


@pytest.mark.parametrize("accuracy", [0.0, 1.0])
def test_shares_of_all_or_nothing_are_on_the_scale(accuracy: float) -> None:
    row = UNCLEAR._replace(accuracy=accuracy, accuracy_low=accuracy, accuracy_high=accuracy)
    part = describe_slices(NOTHING._replace(rows=[row]), 240, accuracy)
    assert part is not None
    assert (part.rows[0].mark, part.line) == (100 * accuracy, 100 * accuracy)


def test_notes_say_what_was_not_compared_and_what_is_the_same_everywhere() -> None:
    part = describe_slices(NOTHING._replace(rows=[UNCLEAR], small=1, rare=1200), 90, 0.9)
    assert part is not None
    assert part.notes == [
        "With 90 test images, only large differences can be told from chance.",
        "The same in all test images: file format: PNG.",
        (
            "Not compared: 1 kind with fewer than 10 images in it or outside it and 1,200 rarer values of columns with "
            "many values."
        ),
    ]
