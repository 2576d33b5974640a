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
    """Return the decisions of the lines with an action, by SHA-256; of several about an image the last counts.

    `file` is named in errors. A decision that `corrections`, by SHA-256, already has is accepted without its image.

    Raises:
        GraftError: A line has an unknown action or image, a label that the image does not have now, or lacks its new
            label; the message names the line.
    """
    labels = {row.sha256: row.label for row in accepted}
    decisions = {}
    for line in lines:
        if not line.action:
            continue
        wrong = None
        if line.action not in set(Action):
            wrong = f"action is '{printable(line.action)}'; expected keep, relabel, drop or nothing"
        elif line.action == Action.RELABEL and not line.new_label.strip():
            wrong = "new label is empty; expected the new class"
        elif line.action == Action.RELABEL and line.new_label == line.label:
            wrong = f"new label is '{printable(line.label)}', which the image has already; expected another, or keep"
        if wrong is None:
            action = Action(line.action)
            label = line.new_label if action == Action.RELABEL else line.label
            decision, recorded = Correction(line.sha256, action, label, line.path), corrections.get(line.sha256)
            if not _is_recorded(decision, recorded):
                wrong = _compare_with_present(line, labels.get(line.sha256))
            if action == Action.KEEP and recorded and (recorded.action, recorded.label) == (Action.RELABEL, label):
                decision = recorded  # to keep a corrected label is to keep its correction
            decisions[line.sha256] = decision
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
    return [f"there is no class '{printable(name)}' yet.{did_you_mean(name, classes)}" for name in new]


def _is_recorded(decision: Correction, recorded: Correction | None) -> bool:
    return recorded is not None and decision[:3] == recorded[:3]


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
