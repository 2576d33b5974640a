import numpy as np
import pytest

from tasks.finetuning.batches import StoredBatches, epoch_order, one_hot

INPUTS = [np.arange(20, dtype=np.float32).reshape(10, 2), np.arange(10, dtype=np.float32)[:, None]]
TARGETS = one_hot(np.arange(10) % 3, 3)
ROWS = np.array([1, 2, 3, 5, 7, 8, 9])


def batches() -> StoredBatches:
    return StoredBatches(INPUTS, TARGETS, ROWS, batch_size=3, seed=5)


def test_an_epoch_has_every_row_once_with_its_target() -> None:
    epoch = list(batches().epoch(1))
    assert [len(batch.targets) for batch in epoch] == [3, 3, 1]
    assert len(batches()) == 3
    rows = np.concatenate([batch.inputs[1][:, 0] for batch in epoch]).astype(int)
    assert sorted(rows.tolist()) == ROWS.tolist()
    np.testing.assert_array_equal(np.concatenate([batch.inputs[0] for batch in epoch]), INPUTS[0][rows])
    np.testing.assert_array_equal(np.concatenate([batch.targets for batch in epoch]), TARGETS[rows])


def test_the_order_of_an_epoch_depends_on_seed_and_number_alone() -> None:
    orders = [epoch_order(50, seed, epoch).tolist() for seed, epoch in ((0, 1), (0, 2), (1, 1), (0, 1))]
    assert orders[0] == orders[3]
    assert orders[0] != orders[1] != orders[2] != orders[0]
    assert sorted(orders[0]) == list(range(50))


def test_validation_rows_come_in_their_own_order() -> None:
    values = np.concatenate([batch.inputs[1][:, 0] for batch in batches().in_order()])
    assert values.tolist() == ROWS.tolist()
    np.testing.assert_array_equal(batches().targets, TARGETS[ROWS])


@pytest.mark.parametrize("epochs", [(1, 2, 3), (3,)], ids=["from the first", "resumed"])
def test_an_epoch_is_the_same_whatever_was_read_before(epochs: tuple[int, ...]) -> None:
    source = batches()
    last = [list(source.epoch(epoch)) for epoch in epochs][-1]
    expected = list(batches().epoch(3))
    assert [batch.inputs[1].tolist() for batch in last] == [batch.inputs[1].tolist() for batch in expected]
