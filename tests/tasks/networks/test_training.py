import keras
import numpy as np
import pytest

from tasks.common.errors import GraftError
from tasks.common.params import Head, Params
from tasks.networks.training import fit
from tasks.tables.history import COLUMNS

TARGETS = np.arange(12, dtype=np.int64) % 2
INPUTS = np.random.default_rng(0).normal(TARGETS[:, None], 0.3, (12, 3)).astype(np.float32)


def classifier() -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, activation="softmax")])


@pytest.fixture
def params(settings: Params) -> Head:
    return settings.head.model_copy(update={"epochs": 3, "learning_rate": 0.05})


def test_a_row_an_epoch_says_how_training_went(params: Head) -> None:
    history = fit(classifier(), (INPUTS, TARGETS), (INPUTS, TARGETS), 2, params, "head")
    assert [tuple(row) for row in history] == [COLUMNS] * 3
    assert history[2]["val_loss"] < history[0]["val_loss"]
    assert [row["epoch"] for row in history] == [0, 1, 2]


def test_a_loss_that_is_not_finite_is_an_error_that_names_epoch_and_rate(params: Head) -> None:
    with pytest.raises(GraftError) as caught:
        fit(classifier(), (INPUTS * np.float32(np.nan), TARGETS), (INPUTS, TARGETS), 2, params, "head")
    assert str(caught.value) == (
        "head: the loss is not finite in epoch 1 at a learning rate of up to 0.05. Lower head.learning_rate, or check "
        "the features for values that are not finite."
    )
