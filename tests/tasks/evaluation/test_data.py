import json
from pathlib import Path

import pytest

from tasks.common.errors import GraftError, QuarantineKind
from tasks.evaluation.inputs import Inputs
from tasks.evaluation.report.data import describe_data
from tasks.pages.gallery import Gallery
from tasks.tables import quarantine
from tasks.tables.accepted import Accepted
from tasks.tables.quarantine import Quarantined
from tests.tasks.evaluation.projects import write_inputs


def rows_of(label: str, images: int, split: str = "train") -> list[Accepted]:
    return [Accepted(f"{label}/{split}{number}.png", label, split, "0") for number in range(images)]


def gallery(folder: Path, limit: int = 1000) -> Gallery:
    return Gallery(folder / "photos", limit)


@pytest.fixture
def inputs(tmp_path: Path) -> Inputs:
    return write_inputs(tmp_path, [*rows_of("b", 3), *rows_of("a", 20), *rows_of("a", 2, "test")])


def test_classes_have_their_images_of_each_split_the_smallest_first(tmp_path: Path, inputs: Inputs) -> None:
    data = describe_data(inputs, gallery(tmp_path))
    assert data.headline == "25 images in 2 classes"
    assert [(row.label, row.train, row.val, row.test, row.images) for row in data.classes] == [
        ("b", 3, 0, 0, 3),
        ("a", 20, 0, 2, 22),
    ]
    assert (data.totals, data.largest, data.more) == ({"train": 23, "val": 0, "test": 2}, 22, 0)


def test_each_class_has_samples_from_its_beginning_to_its_end(tmp_path: Path, inputs: Inputs) -> None:
    pictures = gallery(tmp_path)
    data = describe_data(inputs, pictures)
    paths = [[path for path, _ in row.samples] for row in data.classes]
    assert paths == [
        ["b/train0.png", "b/train1.png", "b/train2.png"],
        ["a/train0.png", "a/train4.png", "a/train8.png", "a/train13.png", "a/train17.png"],
    ]
    assert [tile for _, tile in data.classes[0].samples] == [pictures.add(path) for path in paths[0]]


@pytest.mark.parametrize(
    ("classes", "samples", "shown"), [(60, 5, 60), (100, 3, 100), (400, 1, 300)], ids=["60", "100", "400"]
)
def test_many_classes_have_fewer_samples_each(tmp_path: Path, classes: int, samples: int, shown: int) -> None:
    inputs = write_inputs(tmp_path, [row for number in range(classes) for row in rows_of(f"{number:03}", 6)])
    data = describe_data(inputs, gallery(tmp_path))
    assert [len(row.samples) for row in data.classes] == [samples] * shown
    assert data.more == classes - shown


def test_a_full_gallery_leaves_samples_out(tmp_path: Path, inputs: Inputs) -> None:
    data = describe_data(inputs, gallery(tmp_path, 4))
    assert [len(row.samples) for row in data.classes] == [3, 1]


def test_files_that_were_set_aside_are_counted_by_kind_with_an_example(tmp_path: Path, inputs: Inputs) -> None:
    copy, damaged = QuarantineKind.COPY, QuarantineKind.UNKNOWN_FORMAT
    rows = [
        Quarantined("a/x.png", "a", damaged, "a web page"),
        *(Quarantined(f"a/{n}.png", "a", copy, "copy") for n in "12"),
    ]
    quarantine.write(inputs.quarantine, rows)
    data = describe_data(inputs, gallery(tmp_path))
    assert data.set_aside == 3
    assert data.kinds == [("copy", 2, "a/1.png", "copy"), ("unknown format", 1, "a/x.png", "a web page")]


def test_sentences_of_the_validation_are_warnings_or_notes(tmp_path: Path, inputs: Inputs) -> None:
    inputs.validation.write_text(json.dumps({"errors": ["e"], "warnings": ["w"] * 30, "notes": ["n"]}))
    data = describe_data(inputs, gallery(tmp_path))
    assert (data.findings, data.more_findings, data.notes) == (["e", *["w"] * 19], 11, ["n"])


def test_a_missing_input_names_the_stage_to_run(tmp_path: Path, inputs: Inputs) -> None:
    inputs.quarantine.unlink()
    with pytest.raises(GraftError, match="Run `dvc repro validation`"):
        describe_data(inputs, gallery(tmp_path))
