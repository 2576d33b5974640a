import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.common.accepted import Accepted
from tasks.common.errors import GraftError
from tasks.common.images import read
from tasks.common.sessions import Session
from tasks.features.extraction import batched_forward, extract
from tests.tasks.conftest import noise, write_accepted, write_photos


@pytest.fixture
def rows(tmp_path: Path) -> list[Accepted]:
    """Write images of several sizes and their accepted manifest, in an order of its own."""
    rows = write_photos(tmp_path / "photos", 7)
    rows = [rows[place] for place in np.random.default_rng(0).permutation(len(rows))]
    write_accepted(tmp_path / "accepted.parquet", rows)
    return rows


def extracted(folder: Path, backbone: Path, batch_size: int) -> pa.Table:
    out = folder / f"features_{batch_size}.parquet"
    extract(folder / "photos", folder / "accepted.parquet", backbone / "backbone.onnx", out, batch_size)
    return pq.read_table(out)


def vectors(table: pa.Table) -> npt.NDArray[np.float32]:
    return np.stack(list(table["features"].to_numpy(zero_copy_only=False)))


@pytest.mark.parametrize("batch_size", [1, 3, 14, 100])
def test_each_vector_is_what_the_whole_graph_gives_for_that_image_alone(
    tmp_path: Path, backbone: Path, rows: list[Accepted], batch_size: int
) -> None:
    whole = Session(onnx.load(backbone / "backbone.onnx"), threads=1)
    expected = np.concatenate([whole(read(tmp_path / "photos" / row.path)[None]) for row in rows])
    np.testing.assert_array_equal(vectors(extracted(tmp_path, backbone, batch_size)), expected)


def test_the_rows_are_those_of_the_manifest_in_its_order(tmp_path: Path, backbone: Path, rows: list[Accepted]) -> None:
    table = extracted(tmp_path, backbone, 2)
    assert table.column_names == ["path", "label", "split", "features"]
    assert table.schema.field("features").type == pa.list_(pa.float32(), 256)
    assert [Accepted(**row) for row in table.drop_columns(["features"]).to_pylist()] == rows


def test_the_same_bytes_are_written_twice(tmp_path: Path, backbone: Path, rows: list[Accepted]) -> None:
    assert len(extracted(tmp_path, backbone, 3)) == len(rows)
    first = (tmp_path / "features_3.parquet").read_bytes()
    extracted(tmp_path, backbone, 3)
    assert (tmp_path / "features_3.parquet").read_bytes() == first


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "the file is empty"),
        (b"text", "not an image in a known format (JPEG, PNG, WEBP, BMP, GIF, TIFF)"),
    ],
)
def test_an_image_that_vanished_or_changed_since_the_scan_is_named_and_nothing_is_written(
    tmp_path: Path, backbone: Path, rows: list[Accepted], content: bytes | None, reason: str
) -> None:
    path = tmp_path / "photos" / rows[5].path
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    told = f"{path} changed since it was scanned: {reason}. Run `dvc repro` to scan again."
    with pytest.raises(GraftError, match=f"^{re.escape(told)}$"):
        extracted(tmp_path, backbone, 4)
    assert sorted(found.name for found in tmp_path.iterdir()) == ["accepted.parquet", "photos"]


@pytest.mark.parametrize(("missing", "stage"), [("accepted.parquet", "validation"), ("backbone.onnx", "backbone")])
@pytest.mark.usefixtures("rows")
def test_a_missing_input_names_the_stage_to_run(tmp_path: Path, backbone: Path, missing: str, stage: str) -> None:
    if missing == "accepted.parquet":
        (tmp_path / missing).unlink()
    folder = backbone if stage == "validation" else tmp_path
    with pytest.raises(GraftError, match=f"Run `dvc repro {stage}`"):
        extracted(tmp_path, folder, 4)


@pytest.mark.parametrize(("count", "expected"), [(0, []), (3, [3]), (4, [4]), (9, [4, 4, 1])])
def test_batches_are_full_but_for_the_last(backbone: Path, count: int, expected: list[int]) -> None:
    forward = Session(onnx.load(backbone / "backbone.onnx"), threads=1)
    images = (noise(seed, 8, 8) for seed in range(count))
    assert [len(batch) for batch in batched_forward(images, forward, 4)] == expected
