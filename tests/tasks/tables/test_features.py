from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.common.errors import GraftError
from tasks.tables import features
from tasks.tables.features import Block

WIDTH = 3
TAPS = [features.Tap("top", WIDTH, 1.0)]
ROWS = 100
VECTORS = np.random.default_rng(0).standard_normal((ROWS, WIDTH), np.float32)


def make_block(first: int, last: int) -> Block:
    """Return the rows from `first` to before `last` of a table in which every row is different."""
    numbers = range(first, last)
    return Block(
        [f"ä {number}.png" for number in numbers],
        [f"class {number % 3}" for number in numbers],
        [("train", "val", "test")[number % 3] for number in numbers],
        np.arange(first, last, dtype=np.uint16),
        VECTORS[first:last],
    )


def write(path: Path, ends: Sequence[int] = (ROWS,)) -> Path:
    """Write the table in blocks that end at these rows."""
    features.write(path, TAPS, [make_block(*bounds) for bounds in zip((0, *ends), ends, strict=False)])
    return path


@pytest.mark.parametrize(
    "ends",
    [
        pytest.param([ROWS], id="one block"),
        pytest.param([1, 2, 50, ROWS], id="blocks of several sizes"),
        pytest.param([0, 7, 7, ROWS], id="empty blocks"),
    ],
)
def test_rows_are_read_in_the_order_of_their_blocks(tmp_path: Path, ends: list[int]) -> None:
    table = features.read(write(tmp_path / "features.parquet", ends))
    expected = make_block(0, ROWS)
    assert table.paths.tolist() == expected.paths
    assert table.labels.tolist() == expected.labels
    assert table.splits.tolist() == expected.splits
    np.testing.assert_array_equal(table.views, expected.views, strict=True)
    np.testing.assert_array_equal(table.vectors, VECTORS, strict=True)


def test_a_table_larger_than_a_batch_of_the_reader_is_read_whole(tmp_path: Path) -> None:
    rows = 2**16 + 1
    vectors = np.arange(rows, dtype=np.float32)[:, None]
    block = Block(["a"] * rows, ["b"] * rows, ["train"] * rows, np.zeros(rows, np.uint16), vectors)
    features.write(tmp_path / "features.parquet", [features.Tap("top", 1, 1.0)], [block])
    np.testing.assert_array_equal(features.read(tmp_path / "features.parquet").vectors, vectors, strict=True)


def test_no_blocks_are_a_table_without_rows(tmp_path: Path) -> None:
    features.write(tmp_path / "features.parquet", TAPS, [])
    table = features.read(tmp_path / "features.parquet")
    assert [len(column) for column in table[:-1]] == [0] * len(table[:-1])
    assert table.vectors.shape == (0, WIDTH)
    assert table.taps == tuple(TAPS)


def test_the_same_blocks_are_the_same_bytes(tmp_path: Path) -> None:
    first, second = (write(tmp_path / name, [30, ROWS]).read_bytes() for name in ("1.parquet", "2.parquet"))
    assert first == second


def test_other_programs_find_a_row_for_each_vector_under_named_columns(tmp_path: Path) -> None:
    table = pq.read_table(write(tmp_path / "features.parquet"))
    columns: list[tuple[str, pa.DataType]] = [
        ("path", pa.string()),
        ("label", pa.string()),
        ("split", pa.string()),
        ("view", pa.uint16()),
        ("features", pa.list_(pa.float32(), WIDTH)),
    ]
    assert table.schema == pa.schema(columns)
    assert table.num_rows == ROWS


def test_a_failure_between_blocks_leaves_the_earlier_table_and_no_other_file(tmp_path: Path) -> None:
    def fail_after_a_block() -> Iterator[Block]:
        yield make_block(0, 10)
        message = "the store is gone"
        raise GraftError(message)

    path = write(tmp_path / "features.parquet")
    before = path.read_bytes()
    with pytest.raises(GraftError, match="^the store is gone$"):
        features.write(path, TAPS, fail_after_a_block())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_vectors_that_fit_twice_into_the_free_memory_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "features.parquet")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=2 * VECTORS.nbytes))
    assert len(features.read(path).vectors) == ROWS


def test_vectors_that_do_not_fit_twice_into_the_free_memory_are_refused_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "features.parquet")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=2 * VECTORS.nbytes - 1))
    with pytest.raises(GraftError) as caught:
        features.read(path)
    assert str(caught.value) == (
        f"{path} holds 100 vectors of 3 numbers: training needs 0.0 GB of memory, and 0.0 GB are free. "
        "Set backbone.pooling to avg, or take fewer features.views."
    )


def test_a_missing_table_is_an_error_that_names_the_command_to_run(tmp_path: Path) -> None:
    path = tmp_path / "features.parquet"
    with pytest.raises(GraftError) as caught:
        features.read(path)
    assert str(caught.value) == f"{path} is missing: stage 'features' makes it. Run `dvc repro features`."
