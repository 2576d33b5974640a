import pytest

from tasks.common.errors import QuarantineKind
from tasks.dataset.labels import correct_labels
from tasks.tables.corrections import Action, Correction
from tasks.tables.manifest import Row

GOOD = Row("cat/1.png", "cat", sha256="1" * 64)
DAMAGED = GOOD._replace(kind=QuarantineKind.DAMAGED, reason="damaged: x")
UNREAD = Row("cat/2.png", "cat", kind=QuarantineKind.UNREADABLE, reason="cannot be read: x")
DROPPED = GOOD._replace(kind=QuarantineKind.DROPPED, reason="dropped by data/corrections.csv")


def correction(action: Action, label: str = "cat") -> dict[str, Correction]:
    return {"1" * 64: Correction("1" * 64, action, label, "elsewhere/1.png")}


@pytest.mark.parametrize(
    ("row", "corrections", "expected", "count"),
    [
        pytest.param(
            GOOD, correction(Action.RELABEL, "dog"), GOOD._replace(label="dog", given_label="cat"), 1, id="relabel"
        ),
        pytest.param(GOOD, correction(Action.RELABEL), GOOD, 1, id="relabel to the same class"),
        pytest.param(GOOD, correction(Action.DROP), DROPPED, 1, id="drop"),
        pytest.param(DAMAGED, correction(Action.DROP), DROPPED, 1, id="drop a damaged image"),
        pytest.param(GOOD, correction(Action.KEEP, "dog"), GOOD, 1, id="keep"),
        pytest.param(GOOD, {}, GOOD, 0, id="none"),
        pytest.param(UNREAD, correction(Action.DROP), UNREAD, 0, id="an image that is not here"),
    ],
)
def test_a_correction_changes_the_images_of_its_bytes(
    row: Row, corrections: dict[str, Correction], expected: Row, count: int
) -> None:
    rows, applied = correct_labels([row, row], corrections)
    assert (rows, len(applied)) == ([expected, expected], count)
