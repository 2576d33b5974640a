"""The labels of images after the corrections that a person made."""

from collections.abc import Mapping, Sequence

from tasks.common.errors import QuarantineKind
from tasks.tables.corrections import Action, Correction
from tasks.tables.manifest import Row


def correct_labels(rows: Sequence[Row], corrections: Mapping[str, Correction]) -> tuple[list[Row], set[str]]:
    """Apply the corrections, which are by SHA-256, to every file of these bytes.

    Another label takes the place of the row's, which moves to `given_label`; a dropped file is set aside, whatever else
    is wrong with it. Kept labels and images that are not here change nothing.

    Returns:
        The rows in their order, and the SHA-256 of each correction whose image is here.
    """
    corrected = [_correct(row, corrections.get(row.sha256 or "")) for row in rows]
    return corrected, corrections.keys() & {row.sha256 or "" for row in rows}


def _correct(row: Row, correction: Correction | None) -> Row:
    if correction is None:
        return row
    if correction.action == Action.DROP:
        return row._replace(kind=QuarantineKind.DROPPED, reason="dropped by data/corrections.csv")
    if correction.action == Action.RELABEL and correction.label != row.label:
        return row._replace(label=correction.label, given_label=row.label)
    return row
