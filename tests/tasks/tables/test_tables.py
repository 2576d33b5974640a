import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tasks.common.errors import GraftError, QuarantineKind
from tasks.tables import accepted, manifest, predictions, quarantine, reference
from tasks.tables.predictions import Predictions

CLASSES = ["dark", 'with "quotes"\nand ä']
PROBABILITIES = np.random.default_rng(0).random((3, 2), np.float32)
GOOD = manifest.Row(
    "a/1.png", "a", "train", sha256="0" * 64, phash=2**64 - 1, group=3, format="PNG", width=20, height=30, bytes=400,
    attributes={"site": "ä", "camera": "1"},
)  # fmt: skip
BAD = manifest.Row("a/2.txt", "a", sha256="1" * 64, bytes=3, kind=QuarantineKind.DAMAGED, reason="damaged: x")


def test_the_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    manifest.write(tmp_path / "manifest.parquet", [GOOD, BAD])
    table = manifest.read(tmp_path / "manifest.parquet")
    assert table.schema == manifest.SCHEMA
    assert table.to_pylist(maps_as_pydicts="strict") == [GOOD._asdict(), BAD._asdict()]


def test_a_row_of_the_manifest_has_the_columns_of_its_schema() -> None:
    assert list(manifest.Row._fields) == manifest.SCHEMA.names


def test_accepted_images_are_the_chosen_rows_of_the_manifest_without_their_attributes(tmp_path: Path) -> None:
    manifest.write(tmp_path / "manifest.parquet", [BAD, GOOD])
    table = manifest.read(tmp_path / "manifest.parquet")
    accepted.write(tmp_path / "accepted.parquet", table, np.array([False, True]))
    assert accepted.read(tmp_path / "accepted.parquet") == [accepted.Accepted("a/1.png", "a", "train", "0" * 64, 3)]
    assert pq.read_schema(tmp_path / "accepted.parquet").names == manifest.SCHEMA.names[:-3]


def test_names_with_commas_quotes_and_line_ends_are_quoted_in_the_quarantine(tmp_path: Path) -> None:
    rows = [
        quarantine.Quarantined('a/x,"y"\nä.png', "a", QuarantineKind.COPY, "copy of a/1.png"),
        quarantine.Quarantined("a/Icon\r", "a", QuarantineKind.OTHER_FILE, "not an image by name or content"),
        quarantine.Quarantined("loose.png", "", QuarantineKind.NO_CLASS, "lies in no class folder"),
    ]
    quarantine.write(tmp_path / "quarantine.csv", rows)
    with (tmp_path / "quarantine.csv").open(newline="", encoding="utf-8") as file:
        header, *lines = csv.reader(file)
    assert header == ["path", "label", "kind", "reason"]
    assert lines == [
        ['a/x,"y"\nä.png', "a", "copy", "copy of a/1.png"],
        ["a/Icon\r", "a", "other_file", "not an image by name or content"],
        ["loose.png", "", "no_class", "lies in no class folder"],
    ]
    assert quarantine.read(tmp_path / "quarantine.csv") == rows


def test_reference_predictions_are_read_as_they_were_written(tmp_path: Path) -> None:
    reference.write(tmp_path / "reference.parquet", ["1", "2", "3"], PROBABILITIES, CLASSES)
    paths, probabilities, classes = reference.read(tmp_path / "reference.parquet")
    assert (paths, classes) == (["1", "2", "3"], CLASSES)
    assert probabilities.dtype == np.float32
    np.testing.assert_array_equal(probabilities, PROBABILITIES)
    assert pq.read_schema(tmp_path / "reference.parquet").names == ["path", "probabilities"]


def test_predictions_are_read_as_they_were_written(tmp_path: Path) -> None:
    file = tmp_path / "predictions.parquet"
    known = np.array([1, 0.5, 0], np.float32)
    table = Predictions(
        ["1", "2", "3"], ["x", "y", "z"], ["a", "b", "b"], ["b", "b", "a"], PROBABILITIES, CLASSES, known
    )
    predictions.write(file, table)
    *texts, probabilities, classes, scores = predictions.read(file)
    assert texts == list(table[:4])
    assert classes == CLASSES
    np.testing.assert_array_equal(probabilities, PROBABILITIES)
    np.testing.assert_array_equal(scores, known)
    assert pq.read_table(file).drop_columns(["probabilities"]).to_pylist()[0] == {
        "path": "1", "sha256": "x", "label": "a", "predicted": "b", "known": 1.0,
    }  # fmt: skip


def test_predictions_of_a_file_that_does_not_say_what_it_knows_have_nulls_there(tmp_path: Path) -> None:
    file = tmp_path / "predictions.parquet"
    predictions.write(file, Predictions(["1"], ["x"], ["a"], ["b"], PROBABILITIES[:1], CLASSES))
    assert pq.read_table(file)["known"].to_pylist() == [None]
    assert str(pq.read_schema(file).field("known").type) == "float"
    assert predictions.read(file).known is None


@pytest.mark.parametrize(
    ("read", "stage"),
    [(manifest.read, "dataset"), (accepted.read, "validation"), (quarantine.read, "validation")],
    ids=["manifest", "accepted", "quarantine"],
)
def test_a_missing_table_names_the_stage_to_run(tmp_path: Path, read: Callable[[Path], object], stage: str) -> None:
    with pytest.raises(GraftError, match=f"Run `dvc repro {stage}`"):
        read(tmp_path / "missing.parquet")
