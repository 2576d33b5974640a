from pathlib import Path

import h5py
import numpy as np
import pytest

from tasks.common.errors import GraftError
from tasks.networks import saving
from tests.tasks.networks.small_models import nested_model


def test_a_model_comes_back_as_it_was_and_is_written_as_the_same_bytes(tmp_path: Path) -> None:
    model = nested_model()
    saving.save(model, tmp_path / "new" / "folder", "small")
    loaded = saving.load(tmp_path / "new" / "folder", "small")
    saving.save(loaded, tmp_path / "again", "small")
    batch = np.random.default_rng(0).normal(size=(5, 3, 3, 4)).astype(np.float32)
    np.testing.assert_array_equal(np.asarray(loaded(batch)), np.asarray(model(batch)))
    for name in ("small.json", "small.weights.h5"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "new" / "folder" / name).read_bytes()


def test_saving_again_replaces_the_weights(tmp_path: Path) -> None:
    saving.save(nested_model(3), tmp_path, "small")
    saving.save(nested_model(5), tmp_path, "small")
    assert saving.load(tmp_path, "small").output_shape[-1] == 5


def test_the_optimizer_of_a_trained_model_is_not_saved(tmp_path: Path) -> None:
    model = nested_model()
    saving.save(model, tmp_path, "untrained")
    model.compile("adam", "mse", run_eagerly=True)
    model.fit(np.ones((4, 3, 3, 4)), np.ones((4, 2, 2, 3)), verbose=0)
    saving.save(model, tmp_path, "trained")
    assert (tmp_path / "trained.json").read_bytes() == (tmp_path / "untrained.json").read_bytes()
    with h5py.File(tmp_path / "trained.weights.h5") as file:
        assert "optimizer" not in file


def test_a_damaged_file_of_weights_is_refused(tmp_path: Path) -> None:
    saving.save(nested_model(), tmp_path, "small")
    (tmp_path / "small.weights.h5").write_bytes(b"not HDF5")
    with pytest.raises(GraftError, match="small.weights.h5 is not a readable HDF5 file"):
        saving.load(tmp_path, "small")
