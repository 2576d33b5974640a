"""The decisions of a person about reviewed images, checked and merged into the corrections."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tasks.common.errors import GraftError, did_you_mean
from tasks.common.text import printable
from tasks.review.table import Line
from tasks.tables.accepted import Accepted
from tasks.tables.corrections import Action, Correction


def check_decisions(
    file: Path, lines: Iterable[Line], accepted: Sequence[Accepted], corrections: Mapping[str, Correction]
) -> dict[str, Correction]:
    """Return the decisions of the lines with an action, by SHA-256.

    `file` is named in errors. A decision that `corrections`, by SHA-256, already has is accepted without its image.

    Raises:
        GraftError: A line has an unknown action or image, a label that the image does not have now, no new label where
            it needs one, or contradicts an earlier line; the message names the line.
    """
    labels = {row.sha256: row.label for row in accepted}
    decisions: dict[str, Correction] = {}
    numbers: dict[str, int] = {}
    for line in lines:
        if not line.action:
            continue
        wrong = _check_cells(line)
        if wrong is None:
            recorded = corrections.get(line.sha256)
            decision = _decide(line, recorded)
            if recorded is None or decision[:3] != recorded[:3]:
                wrong = _compare_with_present(line, labels.get(line.sha256))
            number = numbers.setdefault(line.sha256, line.number)
            if decisions.setdefault(line.sha256, decision)[:3] != decision[:3]:
                wrong = f"{printable(line.path)} has another decision in line {number:,}; remove one of the two"
        if wrong:
            message = f"{file}, line {line.number:,}: {wrong}."
            raise GraftError(message)
    return decisions


def describe_new_classes(
    decisions: Mapping[str, Correction], accepted: Sequence[Accepted], corrections: Mapping[str, Correction]
) -> list[str]:
    """Return a sentence for each new label that no image has, with the nearest class."""
    classes = {row.label for row in accepted}
    classes |= {row.label for row in corrections.values() if row.action == Action.RELABEL}
    new = sorted({row.label for row in decisions.values() if row.action == Action.RELABEL} - classes)
    names = sorted(map(printable, classes))
    return [f"there is no class '{name}' yet.{did_you_mean(name, names)}" for name in map(printable, new)]


def _check_cells(line: Line) -> str | None:
    if line.action not in set(Action):
        return f"action is '{printable(line.action)}'; expected keep, relabel, drop or nothing"
    if line.action == Action.RELABEL and not line.new_label.strip():
        return "new label is empty; expected the new class"
    if line.action == Action.RELABEL and line.new_label == line.label:
        return f"new label is '{printable(line.label)}', which the image has already; expected another, or keep"
    return None


def _decide(line: Line, recorded: Correction | None) -> Correction:
    action = Action(line.action)
    label = line.new_label if action == Action.RELABEL else line.label
    # To keep a corrected label is to keep its correction.
    if action == Action.KEEP and recorded and (recorded.action, recorded.label) == (Action.RELABEL, label):
        return recorded
    return Correction(line.sha256, action, label, line.path)


def _compare_with_present(line: Line, label: str | None) -> str | None:
    if label is None:
        digest = printable(line.sha256[:12])
        return f"{printable(line.path)} (sha256 {digest}...) is not among the accepted images. Run `graft data review`"
    if label != line.label:
        return (
            f"the label of {printable(line.path)} is '{printable(label)}', but '{printable(line.label)}' was reviewed. "
            "Run `graft data review`"
        )
    return None
