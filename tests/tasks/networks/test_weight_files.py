import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tasks.common.errors import GraftError
from tasks.networks import weight_files

DAMAGED = "is not a readable HDF5 file. Expected Keras weights (.h5); fetch or copy the file again."
KERNEL = "layers/dense/vars/0"
PATHS = {KERNEL: (4, 3), "layers/dense/vars/1": (3,)}
Spoil = Callable[[h5py.File], None]


def by_path(path: Path, shapes: dict[str, tuple[int, ...]] = PATHS) -> Path:
    """Write weights of ones in Keras 3's layout."""
    with h5py.File(path, "w") as file:
        for name, shape in shapes.items():
            file[name] = np.ones(shape, np.float32)
    return path


def in_order(root: h5py.Group, layers: dict[str, dict[str, tuple[int, ...]]], kind: str | None = None) -> None:
    """Write weights of ones in the layout of keras.applications, the names in attributes of that dtype."""

    def names(words: Any) -> Any:
        return list(words) if kind is None else np.array(list(words), kind)

    root.attrs["layer_names"] = names(layers)
    for layer, weights in layers.items():
        group = root.create_group(layer)
        group.attrs["weight_names"] = names(weights) if weights else np.zeros(0)
        for name, shape in weights.items():
            group[name] = np.ones(shape, np.float32)


def found(path: Path) -> tuple[list[tuple[str | None, str, list[tuple[int, ...]]]], bool]:
    with weight_files.open_weights(path) as stored:
        layers = [(key, name, [weight.shape for weight in weights]) for key, name, weights in stored.layers]
        return layers, stored.in_order


def refusal(path: Path) -> str:
    with pytest.raises(GraftError) as caught, weight_files.open_weights(path):
        pass
    told = str(caught.value)
    assert told.startswith(f"{path} ")
    assert "\n" not in told
    return told.removeprefix(f"{path} ")


@pytest.mark.parametrize("name", ["a.weights.h5", "a.h5", "a.hdf5"])
def test_the_layout_is_told_by_the_content_whatever_the_name(tmp_path: Path, name: str) -> None:
    path = by_path(tmp_path / name)
    assert found(path) == ([("layers/dense", "layers/dense", [(4, 3), (3,)])], False)
    with h5py.File(path, "w") as file:
        in_order(file, {"dense": {"kernel": (4, 3), "bias": (3,)}})
    assert found(path) == ([("dense", "dense", [(4, 3), (3,)])], True)


def test_a_layer_s_weights_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    path = by_path(tmp_path / "a.h5", {f"vars/{number}": (number,) for number in range(1, 13)})
    assert found(path) == ([("", "vars", [(number,) for number in range(1, 13)])], False)


def test_what_training_leaves_is_passed_over_and_what_is_no_weight_stands_alone(tmp_path: Path) -> None:
    shapes = {"optimizer/vars/0": (), "metrics/mean/vars/0": (), "more": (2,), "layers/vars/x/0": (3,)}
    layers, _ = found(by_path(tmp_path / "a.h5", PATHS | shapes))
    assert [name for _, name, _ in layers] == ["more", "layers/vars/x/0", "layers/dense"]


def test_the_list_of_layers_of_tf_keras_2_13_has_another_name(tmp_path: Path) -> None:
    path = by_path(
        tmp_path / "a.h5", {f"_layer_checkpoint_dependencies/dense/vars/{number}": (3,) for number in (0, 1)}
    )
    assert found(path) == ([("layers/dense", "layers/dense", [(3,), (3,)])], False)


@pytest.mark.parametrize("kind", [None, "S"], ids=["strings of any length", "strings of one length"])
def test_layers_of_the_older_layout_come_in_their_order_without_those_that_have_no_weights(
    tmp_path: Path, kind: str | None
) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        in_order(file, {"z": {"z/k:0": (2,), "z/b:0": (1,)}, "relu": {}, "a/bn": {"beta": (3,)}}, kind)
    assert found(tmp_path / "a.h5") == ([("z", "z", [(2,), (1,)]), ("a_bn", "a/bn", [(3,)])], True)


def test_lists_that_keras_cut_into_pieces_are_joined(tmp_path: Path) -> None:
    names = [f"layer_{number}" for number in range(30)]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        in_order(file, {name: {"kernel": (1,)} for name in names})
        del file.attrs["layer_names"]
        for piece in range(3):
            file.attrs[f"layer_names{piece}"] = names[10 * piece : 10 * piece + 10]
    assert [name for _, name, _ in found(tmp_path / "a.h5")[0]] == names


def test_a_whole_model_of_the_older_layout_has_its_weights_one_level_down(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        in_order(file.create_group("model_weights"), {"dense": {"kernel": (2,)}})
        file["optimizer_weights/kernel"] = np.ones(2)
    assert found(tmp_path / "a.h5") == ([("dense", "dense", [(2,)])], True)


def test_weights_of_the_model_itself_count_as_a_layer(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        in_order(file, {"dense": {"kernel": (2,)}, "top_level_model_weights": {"scale": (1,)}})
        file.attrs["layer_names"] = ["dense"]
    assert [name for _, name, _ in found(tmp_path / "a.h5")[0]] == ["dense", "top_level_model_weights"]


def in_another_file(file: h5py.File) -> None:
    raw = Path(file.filename).with_name("raw")
    raw.write_bytes(np.ones((4, 3), np.float32).tobytes())
    file.create_dataset("x", (4, 3), "f4", external=[(str(raw), 0, 48)])


def put_together(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((4, 3), "f4")
    layout[:] = h5py.VirtualSource(str(Path(file.filename).with_name("other.h5")), "values", (4, 3))
    file.create_virtual_dataset("x", layout)


def large_chunks(file: h5py.File) -> None:
    file.create_dataset("x", (4, 3), "f4", chunks=(1024, 1024), maxshape=(None, None), compression="gzip")


def hold(value: Any) -> Spoil:
    return lambda file: file.__setitem__("x", value)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (hold(h5py.SoftLink("/layers")), "holds a link at '/x'"),
        (hold(h5py.SoftLink("/nowhere")), "holds a link at '/x'"),
        (hold(h5py.ExternalLink("other.h5", "/")), "holds a link at '/x'"),
        (in_another_file, "stores '/x' in another file"),
        (put_together, "stores '/x' in another file"),
        (large_chunks, "stores '/x' in chunks larger than itself"),
        (hold(np.dtype("f4")), "holds something other than numbers at '/x'"),
        (hold(np.zeros(2, np.complex64)), "holds something other than numbers at '/x'"),
        (hold(np.zeros(2, [("a", "f4")])), "holds something other than numbers at '/x'"),
        (hold(np.zeros(2, np.bool_)), "holds something other than numbers at '/x'"),
        (hold("text"), "holds something other than numbers at '/x'"),
        (hold(np.array([b"text"])), "holds something other than numbers at '/x'"),
        (hold(h5py.Empty("f4")), "holds something other than numbers at '/x'"),
        (lambda file: file.create_dataset("x", (2,), h5py.ref_dtype), "holds something other than numbers at '/x'"),
        (
            lambda file: file.create_dataset("x", (2,), h5py.vlen_dtype("f4")),
            "holds something other than numbers at '/x'",
        ),
        (lambda file: file.__setitem__("two\nlines", "text"), r"holds something other than numbers at '/two\nlines'"),
        (lambda file: file.__setitem__("x" * 200, "text"), f"holds something other than numbers at '/{'x' * 99}...'"),
    ],
)
def test_links_and_what_is_not_plain_numbers_are_refused_in_both_layouts(
    tmp_path: Path, spoil: Spoil, reason: str
) -> None:
    path = by_path(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        spoil(file)
    assert refusal(path) == f"{reason}, which is refused. Use a file without."
    with h5py.File(path, "w") as file:
        in_order(file, {"dense": {"kernel": (4, 3)}})
        spoil(file)
    assert refusal(path) == f"{reason}, which is refused. Use a file without."


def test_a_group_that_holds_itself_is_walked_once(tmp_path: Path) -> None:
    path = by_path(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        file["layers/loop"] = file["/"]
    assert found(path)[0] == [("layers/dense", "layers/dense", [(4, 3), (3,)])]


def test_a_file_of_very_many_things_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weight_files, "MOST_OBJECTS", 10)
    expected = "holds more than 100,000 groups, datasets and weights, which is refused. Use a file without."
    path = by_path(tmp_path / "a.h5", {f"vars/{number}": () for number in range(10)})
    assert refusal(path) == expected
    with h5py.File(path, "w") as file:
        in_order(file, {"a": {"b": (), "c": (), "d": ()}})
        for name in "efg":
            file[name] = file["a"]
        file.attrs["layer_names"] = list("aefg")
    assert refusal(path) == expected


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (5, "holds something other than names in 'layer_names'"),
        (np.zeros((2, 2), np.float32), "holds something other than names in 'layer_names'"),
        (np.array([b"x" * 40_000] * 30), "holds something other than names in 'layer_names'"),
        (["dense", "dense"], "lists a name twice in 'layer_names'"),
        (["a/b", "a_b"], "lists a name twice in 'layer_names'"),
        (["dense", "other"], "lists 'other' but does not hold it"),
        (["dense/kernel"], "lists 'dense/kernel' but does not hold it"),
        (["two\nlines"], r"lists 'two\nlines' but does not hold it"),
    ],
)
def test_a_senseless_list_of_names_is_refused(tmp_path: Path, names: Any, reason: str) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", libver="latest") as file:
        in_order(file, {"dense": {"kernel": (4, 3)}})
        file.attrs["layer_names"] = names
    assert refusal(path) == f"{reason}, which is refused. Use a file without."


def test_a_listed_weight_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        in_order(file, {"dense": {"kernel": (4, 3), "bias": (3,)}})
        del file["dense/bias"]
    assert refusal(tmp_path / "a.h5") == "lists 'bias' but does not hold it, which is refused. Use a file without."


@pytest.mark.parametrize("content", [None, b"", b"not HDF5", b"\x89HDF\r\n\x1a\n cut off"])
def test_a_file_that_is_missing_or_no_hdf5_ends_in_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "a.weights.h5"
    if content is not None:
        path.write_bytes(content)
    assert refusal(path) == DAMAGED


def test_names_over_which_hdf5_never_ends_are_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        in_order(file, {"dense": {"kernel": (4, 3)}})
    content = bytearray(path.read_bytes())
    size = content.index(b"GCOL") + 24
    content[size : size + 8] = struct.pack("<Q", 2**64 - 16)  # with its head, an object of no length
    path.write_bytes(content)
    monkeypatch.setattr(weight_files, "REHEARSAL_SECONDS", 2)
    assert refusal(path) == DAMAGED


def test_values_come_in_the_dtype_asked_for(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["vars/0"] = np.array([1, 2.5], np.float16)
    with weight_files.open_weights(tmp_path / "a.h5") as stored:
        values = weight_files.read_weight(tmp_path / "a.h5", stored.layers[0].weights[0], "float32", "dense")
    assert (values.dtype, values.tolist()) == (np.float32, [1, 2.5])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_values_that_are_not_finite_are_refused_with_the_layer_s_name(tmp_path: Path, value: float) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["vars/0"] = np.array([1, value])
    with weight_files.open_weights(path) as stored, pytest.raises(GraftError) as caught:
        weight_files.read_weight(path, stored.layers[0].weights[0], "float32", "conv1")
    assert str(caught.value) == f"{path} holds NaN or infinity in layer 'conv1', which is refused. Use a file without."


def test_values_whose_checksum_is_wrong_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("vars/0", data=np.full((8, 8), 1 / 3), chunks=(8, 8), fletcher32=True)
    content = path.read_bytes()
    path.write_bytes(content.replace(np.float64(1 / 3).tobytes(), np.float64(2 / 3).tobytes(), 1))
    with weight_files.open_weights(path) as stored, pytest.raises(GraftError) as caught:
        weight_files.read_weight(path, stored.layers[0].weights[0], "float32", "conv1")
    assert str(caught.value) == f"{path} {DAMAGED}"
