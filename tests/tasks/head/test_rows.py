import numpy as np
import pytest

from tasks.common.errors import GraftError
from tasks.head.rows import collect_rows
from tasks.tables.features import Features
from tests.tasks.head.examples import make_table

LABELS = ["a", "b"] * 4
SPLITS = ["train", "train", "val", "val"] * 2
VECTORS = np.arange(32, dtype=np.float32).reshape(8, 4)


def with_value(value: float) -> np.ndarray:
    vectors = VECTORS.copy()
    vectors[3, 2] = value
    return vectors


@pytest.mark.parametrize(
    ("table", "message"),
    [
        pytest.param(
            make_table(LABELS, SPLITS, with_value(np.nan), [1, 3]),
            "The features of 1 view, first of '3.png' at the tap 'tap_1', are not finite. The weights of the base may "
            "be damaged, or too large for features.precision.",
            id="not a number",
        ),
        pytest.param(
            make_table(LABELS, SPLITS, with_value(np.inf), [3, 1]),
            "The features of 1 view, first of '3.png' at the tap 'tap_0', are not finite. The weights of the base may "
            "be damaged, or too large for features.precision.",
            id="infinite",
        ),
        pytest.param(
            make_table(LABELS, SPLITS, np.ones((8, 4), np.float32)),
            "The features of all 8 training and validation images are equal, so no head can tell the classes apart. "
            "Look at the images, and choose another backbone, or another backbone.cut.",
            id="all equal",
        ),
        pytest.param(
            make_table(["a"] * 8, SPLITS, VECTORS),
            "All images are of the class 'a'; a head needs two classes or more.",
            id="one class",
        ),
        pytest.param(
            make_table(["a", "b", "\x1b[1m", "d"] * 2, ["train", "train", "val", "val"] * 2, VECTORS),
            "No training image is of the class '\\x1b[1m' and 'd'. Add images of it, or give it another split.",
            id="classes without training images",
        ),
        pytest.param(
            make_table(LABELS, ["train"] * 8, VECTORS),
            "There is no validation image, so no head can be trained. Add images, or set dataset.val_fraction.",
            id="no validation images",
        ),
        pytest.param(
            make_table(LABELS, ["test"] * 4 + ["val"] * 4, VECTORS),
            "There is no training image, so no head can be trained. Add images, or set dataset.val_fraction.",
            id="no training images",
        ),
    ],
)
def test_rows_that_no_head_can_be_trained_on_end_in_a_line(table: Features, message: str) -> None:
    with pytest.raises(GraftError) as error:
        collect_rows(table, {})
    assert str(error.value) == message


def test_test_images_are_left_out_and_views_follow_their_image() -> None:
    table = make_table(["a", "a", "a", "b", "b", "b"], ["train", "train", "test", "train", "val", "test"], VECTORS[:6])
    table = table._replace(
        paths=np.array(["x", "x", "t", "y", "z", "u"]), views=np.array([0, 1, 0, 0, 0, 0], np.uint16)
    )
    rows = collect_rows(table, {"x": 7, "y": None})
    assert rows.paths == ["x", "y", "z"]
    assert rows.images.tolist() == [0, 0, 1, 2]
    assert rows.plain.tolist() == [0, 2, 3]
    assert rows.training.tolist() == [True, True, False]
    assert rows.groups == [7, None, None]
    assert rows.weights.tolist() == [0.5, 0.5, 1, 1]
    np.testing.assert_array_equal(rows.vectors, VECTORS[[0, 1, 3, 4]])
