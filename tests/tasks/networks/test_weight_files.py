import math
import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tasks.common.errors import GraftError
from tasks.networks.weight_files import open_weights, read_weight

SUFFIX = ", which is refused. Use a file without."
DAMAGED = "is not a readable HDF5 file. Expected Keras weights (.h5); fetch or copy the file again."
MANY = 100_000
TOO_MANY = "holds more than 100,000 groups, datasets and weights" + SUFFIX
KERNEL = "layers/dense/vars/0"
PATHS = {KERNEL: (4, 3), "layers/dense/vars/1": (3,)}
Spoil = Callable[[h5py.File], None]


def write_by_path(path: Path, shapes: dict[str, tuple[int, ...]] = PATHS) -> Path:
    """Write weights of ones in Keras 3's layout."""
    with h5py.File(path, "w") as file:
        for name, shape in shapes.items():
            file[name] = np.ones(shape, np.float32)
    return path


def write_in_order(root: h5py.Group, layers: dict[str, dict[str, tuple[int, ...]]], dtype: str | None = None) -> None:
    """Write weights of ones in the layout of keras.applications, the names in attributes of that dtype."""

    def names(strings: Iterable[str]) -> Any:
        return list(strings) if dtype is None else np.array(list(strings), dtype)

    root.attrs["layer_names"] = names(layers)
    for layer, weights in layers.items():
        group = root.create_group(layer)
        group.attrs["weight_names"] = names(weights) if weights else np.zeros(0)
        for name, shape in weights.items():
            group[name] = np.ones(shape, np.float32)


def contents(path: Path) -> tuple[list[tuple[str | None, str, list[tuple[int, ...]]]], bool]:
    with open_weights(path) as stored:
        layers = [(key, name, [weight.shape for weight in weights]) for key, name, weights in stored.layers]
        return layers, stored.in_order


def refusal(path: Path, seconds: float = 60) -> str:
    with pytest.raises(GraftError) as caught, open_weights(path, seconds):
        pass
    message = str(caught.value)
    assert message.startswith(f"{path} ")
    assert "\n" not in message
    return message.removeprefix(f"{path} ")


@pytest.mark.parametrize("name", ["a.weights.h5", "a.h5", "a.hdf5"])
def test_the_content_decides_the_layout_whatever_the_name(tmp_path: Path, name: str) -> None:
    path = write_by_path(tmp_path / name)
    assert contents(path) == ([("layers/dense", "layers/dense", [(4, 3), (3,)])], False)
    with h5py.File(path, "w") as file:
        write_in_order(file, {"dense": {"kernel": (4, 3), "bias": (3,)}})
    assert contents(path) == ([("dense", "dense", [(4, 3), (3,)])], True)


def test_a_layer_s_weights_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    path = write_by_path(tmp_path / "a.h5", {f"vars/{number}": (number,) for number in range(1, 13)})
    assert contents(path) == ([("", "vars", [(number,) for number in range(1, 13)])], False)


def test_the_state_of_training_is_ignored_and_a_dataset_that_is_no_weight_is_a_layer_of_its_own(tmp_path: Path) -> None:
    shapes = {"optimizer/vars/0": (), "metrics/mean/vars/0": (), "more": (2,), "layers/vars/x/0": (3,)}
    layers, _ = contents(write_by_path(tmp_path / "a.h5", PATHS | shapes))
    assert [name for _, name, _ in layers] == ["more", "layers/vars/x/0", "layers/dense"]


def test_a_file_of_tf_keras_2_13_has_the_same_layers_though_their_list_has_another_name(tmp_path: Path) -> None:
    path = write_by_path(
        tmp_path / "a.h5", {f"_layer_checkpoint_dependencies/dense/vars/{number}": (3,) for number in (0, 1)}
    )
    assert contents(path) == ([("layers/dense", "layers/dense", [(3,), (3,)])], False)


@pytest.mark.parametrize("dtype", [None, "S"], ids=["strings of variable length", "strings of fixed length"])
def test_layers_of_the_older_layout_come_in_their_order_without_those_that_have_no_weights(
    tmp_path: Path, dtype: str | None
) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        write_in_order(file, {"z": {"z/k:0": (2,), "z/b:0": (1,)}, "relu": {}, "a/bn": {"beta": (3,)}}, dtype)
    assert contents(tmp_path / "a.h5") == ([("z", "z", [(2,), (1,)]), ("a_bn", "a/bn", [(3,)])], True)


def test_lists_that_keras_cut_into_pieces_are_joined(tmp_path: Path) -> None:
    names = [f"layer_{number}" for number in range(30)]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        write_in_order(file, {name: {"kernel": (1,)} for name in names})
        del file.attrs["layer_names"]
        for piece in range(3):
            file.attrs[f"layer_names{piece}"] = names[10 * piece : 10 * piece + 10]
    assert [name for _, name, _ in contents(tmp_path / "a.h5")[0]] == names


def test_a_whole_model_of_the_older_layout_has_its_weights_one_level_down(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        write_in_order(file.create_group("model_weights"), {"dense": {"kernel": (2,)}})
        file["optimizer_weights/kernel"] = np.ones(2)
    assert contents(tmp_path / "a.h5") == ([("dense", "dense", [(2,)])], True)


def test_weights_of_the_model_itself_count_as_a_layer(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        write_in_order(file, {"dense": {"kernel": (2,)}, "top_level_model_weights": {"scale": (1,)}})
        file.attrs["layer_names"] = ["dense"]
    assert [name for _, name, _ in contents(tmp_path / "a.h5")[0]] == ["dense", "top_level_model_weights"]


def store_in_another_file(file: h5py.File) -> None:
    raw = Path(file.filename).with_name("raw")
    raw.write_bytes(np.ones((4, 3), np.float32).tobytes())
    file.create_dataset("x", (4, 3), "f4", external=[(str(raw), 0, 48)])


def store_virtually(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((4, 3), "f4")
    layout[:] = h5py.VirtualSource(str(Path(file.filename).with_name("other.h5")), "values", (4, 3))
    file.create_virtual_dataset("x", layout)


def store_in_large_chunks(file: h5py.File) -> None:
    file.create_dataset("x", (4, 3), "f4", chunks=(1024, 1024), maxshape=(None, None), compression="gzip")


def add(value: Any, name: str = "x") -> Spoil:
    return lambda file: file.__setitem__(name, value)


def add_empty(dtype: np.dtype[Any]) -> Spoil:
    return lambda file: file.create_dataset("x", (2,), dtype)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        pytest.param(add(h5py.SoftLink("/layers")), "holds a link at '/x'", id="a soft link"),
        pytest.param(add(h5py.SoftLink("/nowhere")), "holds a link at '/x'", id="a soft link to nothing"),
        pytest.param(add(h5py.ExternalLink("other.h5", "/")), "holds a link at '/x'", id="an external link"),
        pytest.param(store_in_another_file, "stores '/x' in another file", id="external data"),
        pytest.param(store_virtually, "stores '/x' in another file", id="a virtual dataset"),
        pytest.param(store_in_large_chunks, "stores '/x' in chunks larger than itself", id="large chunks"),
        pytest.param(add(np.dtype("f4")), "holds something other than numbers at '/x'", id="a named type"),
        pytest.param(
            add(np.zeros(2, np.complex64)), "holds something other than numbers at '/x'", id="complex numbers"
        ),
        pytest.param(add(np.zeros(2, [("a", "f4")])), "holds something other than numbers at '/x'", id="records"),
        pytest.param(add(np.zeros(2, np.bool_)), "holds something other than numbers at '/x'", id="booleans"),
        pytest.param(add("text"), "holds something other than numbers at '/x'", id="a string"),
        pytest.param(
            add(np.array([b"text"])), "holds something other than numbers at '/x'", id="strings of fixed length"
        ),
        pytest.param(add(h5py.Empty("f4")), "holds something other than numbers at '/x'", id="no values"),
        pytest.param(add_empty(h5py.ref_dtype), "holds something other than numbers at '/x'", id="references"),
        pytest.param(
            add_empty(h5py.vlen_dtype("f4")),
            "holds something other than numbers at '/x'",
            id="lists of variable length",
        ),
        pytest.param(
            add("text", "two\nlines"), r"holds something other than numbers at '/two\nlines'", id="a name of two lines"
        ),
        pytest.param(
            add("text", "x" * 200), f"holds something other than numbers at '/{'x' * 99}...'", id="a long name"
        ),
    ],
)
def test_links_and_anything_but_plain_numbers_are_refused_in_both_layouts(
    tmp_path: Path, spoil: Spoil, reason: str
) -> None:
    path = write_by_path(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        spoil(file)
    assert refusal(path) == reason + SUFFIX
    with h5py.File(path, "w") as file:
        write_in_order(file, {"dense": {"kernel": (4, 3)}})
        spoil(file)
    assert refusal(path) == reason + SUFFIX


def test_a_group_that_contains_itself_is_read_once(tmp_path: Path) -> None:
    path = write_by_path(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        file["layers/loop"] = file["/"]
    assert contents(path)[0] == [("layers/dense", "layers/dense", [(4, 3), (3,)])]


def test_a_file_of_more_objects_than_any_network_has_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", libver="latest") as file:
        group = file.create_group("vars")
        empty = group.create_group("0")
        for number in range(1, MANY + 1):
            h5py.h5o.link(empty.id, group.id, str(number).encode())
    assert refusal(path) == TOO_MANY


def test_a_file_that_lists_more_weights_than_any_network_has_is_refused_though_few_are_stored(tmp_path: Path) -> None:
    path, names = tmp_path / "a.h5", [str(number) for number in range(math.isqrt(MANY) + 1)]
    with h5py.File(path, "w") as file:
        write_in_order(file, {names[0]: {names[0]: ()}})
        layer = file[names[0]]
        for name in names[1:]:
            layer[name], file[name] = layer[names[0]], layer
        layer.attrs["weight_names"], file.attrs["layer_names"] = names, names
    assert refusal(path) == TOO_MANY


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        pytest.param(5, "holds something other than names in 'layer_names'", id="a number"),
        pytest.param(np.zeros((2, 2), np.float32), "holds something other than names in 'layer_names'", id="numbers"),
        pytest.param(
            np.array([b"x" * 40_000] * 30), "holds something other than names in 'layer_names'", id="more than 1 MB"
        ),
        pytest.param(["dense", "dense"], "lists a name twice in 'layer_names'", id="a name twice"),
        pytest.param(["a/b", "a_b"], "lists a name twice in 'layer_names'", id="names that become equal"),
        pytest.param(["dense", "other"], "lists 'other' but does not hold it", id="a name of nothing"),
        pytest.param(["dense/kernel"], "lists 'dense/kernel' but does not hold it", id="a name of no group"),
        pytest.param(["two\nlines"], r"lists 'two\nlines' but does not hold it", id="a name of two lines"),
    ],
)
def test_an_invalid_list_of_layers_is_refused(tmp_path: Path, names: Any, reason: str) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", libver="latest") as file:
        write_in_order(file, {"dense": {"kernel": (4, 3)}})
        file.attrs["layer_names"] = names
    assert refusal(path) == reason + SUFFIX


def test_a_file_that_lacks_a_listed_weight_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        write_in_order(file, {"dense": {"kernel": (4, 3), "bias": (3,)}})
        del file["dense/bias"]
    assert refusal(tmp_path / "a.h5") == "lists 'bias' but does not hold it" + SUFFIX


@pytest.mark.parametrize(
    "content",
    [None, b"", b"not HDF5", b"\x89HDF\r\n\x1a\n cut off"],
    ids=["missing", "empty", "another format", "cut off"],
)
def test_a_file_that_is_missing_or_not_hdf5_is_refused_in_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "a.weights.h5"
    if content is not None:
        path.write_bytes(content)
    assert refusal(path) == DAMAGED


def test_a_file_whose_names_hdf5_never_finishes_to_read_is_refused_after_a_while(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        write_in_order(file, {"dense": {"kernel": (4, 3)}})
    content = bytearray(path.read_bytes())
    size = content.index(b"GCOL") + 24
    content[size : size + 8] = struct.pack("<Q", 2**64 - 16)  # with its header, an object of length 0
    path.write_bytes(content)
    assert refusal(path, seconds=1) == DAMAGED


def test_a_weight_is_read_in_the_requested_dtype(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["vars/0"] = np.array([1, 2.5], np.float16)
    with open_weights(tmp_path / "a.h5") as stored:
        values = read_weight(tmp_path / "a.h5", stored.layers[0].weights[0], "float32", "dense", "kernel")
    assert values.dtype == np.float32
    assert values.tolist() == [1, 2.5]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300], ids=["nan", "inf", "-inf", "inf once cast"])
def test_values_that_are_not_finite_are_refused_with_layer_and_weight_named(tmp_path: Path, value: float) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["vars/0"] = np.array([1, value])
    with open_weights(path) as stored, pytest.raises(GraftError) as caught:
        read_weight(path, stored.layers[0].weights[0], "float32", "conv1", "kernel")
    assert str(caught.value) == f"{path} holds NaN or infinity in 'kernel' of layer 'conv1'{SUFFIX}"


def test_values_with_a_wrong_checksum_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("vars/0", data=np.full((8, 8), 1 / 3), chunks=(8, 8), fletcher32=True)
    content = path.read_bytes()
    path.write_bytes(content.replace(np.float64(1 / 3).tobytes(), np.float64(2 / 3).tobytes(), 1))
    with open_weights(path) as stored, pytest.raises(GraftError) as caught:
        read_weight(path, stored.layers[0].weights[0], "float32", "conv1", "kernel")
    assert str(caught.value) == f"{path} {DAMAGED}"
