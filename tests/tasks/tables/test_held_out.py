from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tasks.common.errors import GraftError
from tasks.tables import held_out
from tasks.tables.held_out import HeldOut

PROBABILITIES = np.random.default_rng(0).random((3, 2), np.float32)
CLASSES = ["dark", 'with "quotes"\nand ä']


@pytest.mark.parametrize("images", [3, 0], ids=["images", "no images"])
def test_held_out_predictions_are_read_as_they_were_written(tmp_path: Path, images: int) -> None:
    file = tmp_path / "held_out.parquet"
    texts = ["1", "2", "3"][:images], CLASSES[:1] * images, ["train", "val", "val"][:images]
    held_out.write(file, HeldOut(*texts, PROBABILITIES[:images], CLASSES))
    table = held_out.read(file)
    assert (table.paths, table.labels, table.splits) == texts
    assert table.classes == CLASSES
    assert table.probabilities.dtype == np.float32
    np.testing.assert_array_equal(table.probabilities, PROBABILITIES[:images])
    assert pq.read_schema(file).names == ["path", "label", "split", "probabilities"]


def test_missing_held_out_predictions_name_the_stage_to_run(tmp_path: Path) -> None:
    with pytest.raises(GraftError, match="Run `dvc repro head`"):
        held_out.read(tmp_path / "head" / "held_out.parquet")
