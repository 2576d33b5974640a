from pathlib import Path

import pytest

from tasks.tables import history

HEADER = "epoch,train_loss,train_accuracy,val_loss,val_accuracy"


@pytest.mark.parametrize(
    ("rows", "lines"),
    [
        pytest.param([], [HEADER], id="nothing was trained"),
        pytest.param(
            [{"epoch": 0, "train_loss": None, "train_accuracy": None, "val_loss": 0.5, "val_accuracy": 1.0}],
            [HEADER, "0,,,0.5,1.0"],
            id="values that were not computed",
        ),
    ],
)
def test_the_table_has_a_header_and_a_row_an_epoch(tmp_path: Path, rows: list[history.Row], lines: list[str]) -> None:
    history.write(tmp_path / "history.csv", rows)
    assert (tmp_path / "history.csv").read_text().splitlines() == lines
