"""The tables and figures that the stage writes for people: candidates, depth, choice, metrics."""

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tasks.calibration.calibration_error import calibration_error
from tasks.calibration.temperature import probabilities
from tasks.head.rows import Rows
from tasks.head.search import choice
from tasks.head.search.candidate import KINDS, Candidate
from tasks.head.search.scores import Scored
from tasks.head.search.search import Search

CANDIDATES = (
    "rank", "chosen", "kind", "taps", "strength", "hidden", "dropout", "class_weight", "members", "accuracy",
    "standard_error", "macro_f1", "log_loss", "temperature",
)  # fmt: skip
DEPTH = ("tap", "depth", "width", "accuracy", "standard_error", "lasso_rank")


def candidate_row(rows: Rows, scored: Scored, rank: int, *, chosen: bool) -> dict[str, Any]:
    """Return a row of candidates.csv; the strength of Ledoit and Wolf's shrinkage is `auto`."""
    candidate = scored.candidate
    strength = "" if candidate.members else candidate.strength
    return {
        "rank": rank,
        "chosen": "yes" if chosen else "",
        "kind": KINDS[candidate.kind],
        "taps": "+".join(rows.layers(candidate.taps)),
        "strength": "auto" if strength is None else strength,
        "hidden": "x".join(map(str, candidate.hidden)),
        "dropout": candidate.dropout if candidate.hidden else "",
        "class_weight": _class_weight(candidate),
        "members": len(candidate.members) or "",
        "accuracy": _rounded(scored.accuracy),
        "standard_error": _rounded(scored.standard_error),
        "macro_f1": _rounded(scored.macro_f1),
        "log_loss": _rounded(float(scored.losses.mean())),
        "temperature": _rounded(scored.temperature),
    }


def depth_rows(search: Search) -> list[dict[str, Any]]:
    """Return the rows of depth.csv: each tap alone, then taps joined, then the choice.

    A row has the scores of the best single candidate on these taps; a joined row has the depth of its deepest tap.
    """
    rows = search.rows
    result: list[dict[str, Any]] = []
    for taps in search.spaces:
        result.append(_depth_row(rows, taps, best_on_taps(search, taps), "+".join(rows.layers(taps))))
        result[-1]["lasso_rank"] = search.ranking.index(taps[0]) + 1 if len(taps) == 1 else ""
    taps = search.winner.candidate.taps
    result.append(_depth_row(rows, taps, search.winner, f"choice: {'+'.join(rows.layers(taps))}"))
    return result


def best_on_taps(search: Search, taps: tuple[int, ...]) -> Scored:
    """Return the best candidate on these taps that is no average."""
    single = [row for row in search.scored if row.candidate.taps == taps and not row.candidate.members]
    return choice.best(single, "accuracy", search.image_weights)


def choice_facts(rows: Rows, scored: Scored, reason: str, folds: int) -> dict[str, Any]:
    """Return the content of choice.json."""
    candidate = scored.candidate
    return {
        "winner": candidate.title,
        "reason": reason,
        "taps": rows.layers(candidate.taps),
        "folds": folds,
        "temperature": scored.temperature,
        "class_weight": _class_weight(candidate),
        "members": [
            {
                "kind": KINDS[member.kind],
                "taps": rows.layers(member.taps),
                "strength": "auto" if member.strength is None else member.strength,
                "class_weight": member.class_weight,
                "share": share,
            }
            for member, share in zip(candidate.members, candidate.shares, strict=True)
        ],
    }


def metrics(scored: Scored, targets: Any, folds: int) -> dict[str, float]:
    """Return the content of metrics.json, from predictions for images that the head was not fitted on.

    The calibration errors are those before and after the logits are divided by the temperature. The weights of an
    average are a temperature too: before it, they add up to 1.
    """
    before, after = (
        calibration_error(probabilities(scored.logits / divisor), targets)
        for divisor in (sum(scored.candidate.shares) or 1.0, scored.temperature)
    )
    return {
        "accuracy": scored.accuracy,
        "standard_error": scored.standard_error,
        "macro_f1": scored.macro_f1,
        "log_loss": float(scored.losses.mean()),
        "calibration_error_before": before,
        "calibration_error_after": after,
        "temperature": scored.temperature,
        "folds": folds,
    }


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
    """Write rows as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write an object as JSON."""
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _class_weight(candidate: Candidate) -> str:
    return candidate.members[0].class_weight if candidate.members else candidate.class_weight


def _depth_row(rows: Rows, taps: Sequence[int], scored: Scored, title: str) -> dict[str, Any]:
    return {
        "tap": title,
        "depth": rows.taps[taps[-1]].depth,
        "width": sum(rows.taps[tap].width for tap in taps),
        "accuracy": _rounded(scored.accuracy),
        "standard_error": _rounded(scored.standard_error),
        "lasso_rank": "",
    }


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
