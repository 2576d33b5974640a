import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from tasks.common import networks
from tasks.common.errors import GraftError

KERNEL = "layers/dense/vars/0"


def network(width: int = 3, depth: int = 1) -> keras.Model:
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Dense(width, name=f"layer_{number}") for number in range(depth)]
    return keras.Sequential([keras.Input((4,)), *layers], name="small")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Write the weights of a small network."""
    networks.save(network(), tmp_path, "small")
    return tmp_path / "small.weights.h5"


def refusal(path: Path, model: keras.Model | None = None) -> str:
    with pytest.raises(GraftError) as caught:
        networks.load_weights(model or network(), path)
    return str(caught.value)


def test_a_network_comes_back_as_it_was_and_is_written_as_the_same_bytes(tmp_path: Path) -> None:
    model = network(depth=2)
    networks.save(model, tmp_path / "new" / "one", "small")
    loaded = networks.load(tmp_path / "new" / "one", "small")
    networks.save(loaded, tmp_path / "two", "small")
    batch = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    np.testing.assert_array_equal(np.asarray(loaded(batch)), np.asarray(model(batch)))
    for name in ("small.json", "small.weights.h5"):
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "new" / "one" / name).read_bytes()


def test_saving_again_replaces_the_weights(tmp_path: Path) -> None:
    networks.save(network(3), tmp_path, "small")
    networks.save(network(5), tmp_path, "small")
    assert networks.load(tmp_path, "small").output_shape == (None, 5)


@pytest.mark.parametrize(
    "link", [h5py.SoftLink("/vars"), h5py.SoftLink("/nowhere"), h5py.ExternalLink("other.h5", "/"), None]
)
def test_links_to_elsewhere_are_refused_before_any_weight_is_read(
    weights: Path, link: h5py.SoftLink | h5py.ExternalLink | None
) -> None:
    with h5py.File(weights, "a") as file:
        if link is None:
            del file[KERNEL]
            link = h5py.ExternalLink(str(weights), "/layers/dense/vars/1")
        file["layers/dense/vars/link"] = link
    model = network()
    before = model.get_weights()
    expected = f"{weights} holds a link at '/layers/dense/vars/link', which is refused. Use a file without."
    assert refusal(weights, model) == expected
    for found, expected_weight in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, expected_weight)


def test_values_stored_in_another_file_are_refused(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(np.ones((4, 3), np.float32).tobytes())
    with h5py.File(weights, "a") as file:
        del file[KERNEL]
        file.create_dataset(KERNEL, (4, 3), "f4", external=[(str(tmp_path / "raw"), 0, 48)])
    assert refusal(weights) == f"{weights} stores '/{KERNEL}' in another file, which is refused."


def test_values_put_together_from_other_files_are_refused(weights: Path, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["values"] = np.ones((4, 3), np.float32)
    layout = h5py.VirtualLayout((4, 3), "f4")
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "values", (4, 3))
    with h5py.File(weights, "a") as file:
        del file[KERNEL]
        file.create_virtual_dataset(KERNEL, layout)
    model = network()
    before = model.get_weights()[0]
    assert refusal(weights, model).startswith(f"{weights} ")
    np.testing.assert_array_equal(model.get_weights()[0], before)


@pytest.mark.filterwarnings("ignore:Skipping nested container")
@pytest.mark.parametrize(("width", "depth", "parameters"), [(5, 1, 25), (3, 2, 27)])
def test_weights_of_another_architecture_are_refused_with_the_file_and_the_network_named(
    weights: Path, width: int, depth: int, parameters: int
) -> None:
    told = refusal(weights, network(width, depth))
    assert told.startswith(f"{weights} does not fit small ({parameters} parameters): ")
    assert "\n" not in told


def shape(group: h5py.Group) -> None:
    group["kernel"], group["bias"] = np.ones((9, 9)), np.ones(3)


def count(group: h5py.Group) -> None:
    group["kernel"] = np.ones((4, 3))


@pytest.mark.parametrize(
    ("fill", "reason"),
    [(shape, "Weight expects shape (4, 3). Received saved weight with shape (9, 9)"), (count, "mismatch")],
)
def test_misfits_in_the_layout_of_keras_applications_are_told_alike(
    tmp_path: Path, fill: Callable[[h5py.Group], None], reason: str
) -> None:
    path = tmp_path / "old.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array([b"layer_0"])
        group = file.create_group("layer_0")
        fill(group)
        group.attrs["weight_names"] = np.array([name.encode() for name in group])[::-1]
    told = refusal(path)
    assert told.startswith(f"{path} does not fit small (15 parameters): ")
    assert reason in told


def test_weights_in_the_layout_of_keras_applications_are_loaded(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file.attrs["layer_names"] = np.array([b"layer_0"])
        group = file.create_group("layer_0")
        group.attrs["weight_names"] = np.array([b"kernel", b"bias"])
        group["kernel"], group["bias"] = np.full((4, 3), 2.0), np.full(3, 5.0)
    model = network()
    networks.load_weights(model, tmp_path / "old.h5")
    assert [np.unique(weight).tolist() for weight in model.get_weights()] == [[2.0], [5.0]]


@pytest.mark.parametrize("content", [None, b"", b"not HDF5", b"\x89HDF\r\n\x1a\n cut off"])
def test_a_file_that_is_missing_or_no_hdf5_ends_in_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "a.weights.h5"
    if content is not None:
        path.write_bytes(content)
    assert refusal(path) == (
        f"{path} is not a readable HDF5 file. Expected Keras weights (.h5); fetch or copy the file again."
    )


def small() -> keras.Model:
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="only")], name="small")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda file: file.__setitem__("loop", file["/"]), None),
        (lambda file: file.__setitem__("kind", np.dtype("f4")), "holds something other than numbers at '/kind'"),
        (lambda file: file.__setitem__("complex", np.zeros(2, np.complex64)), "other than numbers at '/complex'"),
        (lambda file: file.__setitem__("soft", h5py.SoftLink("/layers")), "holds a link at '/soft'"),
        (lambda file: file.__setitem__("more", np.zeros(4)), "it holds 12 numbers where 8 are expected"),
    ],
    ids=["cycle", "datatype", "complex", "soft link", "more than fits"],
)
def test_a_spoilt_weights_file_is_refused_with_the_reason(tmp_path: Path, spoil: Any, told: str | None) -> None:
    path = tmp_path / "spoilt.weights.h5"
    small().save_weights(path)
    with h5py.File(path, "a") as file:
        spoil(file)
    if told is None:
        networks.load_weights(small(), path)
    else:
        with pytest.raises(GraftError, match=re.escape(told)):
            networks.load_weights(small(), path)


def test_a_legacy_file_with_senseless_layer_names_does_not_fit(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file.attrs["layer_names"] = 5
    with pytest.raises(GraftError, match="does not fit small"):
        networks.load_weights(small(), tmp_path / "old.h5")


def test_the_optimizer_of_a_trained_model_is_not_saved_and_one_in_a_file_is_passed_over(tmp_path: Path) -> None:
    model = small()
    model.compile("adam", "mse")
    model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
    networks.save(model, tmp_path, "mine")
    with h5py.File(tmp_path / "mine.weights.h5") as file:
        assert "optimizer" not in file
    model.save_weights(tmp_path / "theirs.weights.h5")
    again = small()
    networks.load_weights(again, tmp_path / "theirs.weights.h5")
    for found, expected in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)
