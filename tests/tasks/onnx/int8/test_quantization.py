import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from tasks.onnx import graphs
from tasks.onnx.canonical_form import digest
from tasks.onnx.int8.fusion import fuse
from tasks.onnx.int8.quantization import quantize, quantize_backbone, quantize_cached
from tests.tasks.conftest import ROOT
from tests.tasks.onnx.int8.small_networks import (
    SIZE,
    TAPS,
    Network,
    compute,
    cosines,
    precisions,
    serialize,
    small_network,
    unseen_images,
)

PRINT_SHA256 = """
import hashlib, sys, onnx
from tasks.onnx.int8.quantization import quantize
print(hashlib.sha256(quantize(onnx.load(sys.argv[1]), ["high"]).SerializeToString(deterministic=True)).hexdigest())
"""


@pytest.fixture(scope="module")
def quantized() -> onnx.ModelProto:
    """Return the small network, quantized with both taps."""
    return quantize(small_network(), TAPS)


@pytest.fixture(scope="module")
def quantized_high() -> bytes:
    """Return the bytes of the small network, quantized with its upper tap alone."""
    return serialize(quantize(small_network(), ["high"]))


@pytest.fixture(scope="module")
def starter(backbone: Path) -> onnx.ModelProto:
    """Return the graph of the starter backbone."""
    return onnx.load(backbone / "backbone.onnx")


@pytest.fixture(scope="module")
def quantized_starter(starter: onnx.ModelProto) -> onnx.ModelProto:
    """Return the starter backbone with a quantized base."""
    return quantize_backbone(starter)


def test_int8_vectors_of_the_starter_are_close_to_float32(
    starter: onnx.ModelProto, quantized_starter: onnx.ModelProto
) -> None:
    batch = unseen_images(64)
    (expected,) = compute(starter, ["features"], batch, "onnxruntime")
    (actual,) = compute(quantized_starter, ["features"], batch, "openvino")
    similarities = cosines(expected, actual)
    assert similarities.min() >= 0.99
    assert similarities.mean() >= 0.995


@pytest.mark.parametrize("seed", range(3), ids="seed={}".format)
def test_int8_vectors_of_every_tap_are_close_to_float32(seed: int) -> None:
    model, batch = small_network(seed), unseen_images(SIZE)
    quantized = quantize(model, TAPS)
    onnx.checker.check_model(quantized, full_check=True)
    assert [output.name for output in quantized.graph.output] == list(TAPS)
    expected = compute(model, list(TAPS), batch, "onnxruntime")
    actual = compute(quantized, list(TAPS), batch, "openvino")
    for expected_vectors, actual_vectors in zip(expected, actual, strict=True):
        assert expected_vectors.shape == actual_vectors.shape
        assert cosines(expected_vectors, actual_vectors).min() >= 0.995


@pytest.mark.parametrize("tap", TAPS)
def test_the_vectors_of_a_tap_do_not_depend_on_the_other_taps(quantized: onnx.ModelProto, tap: str) -> None:
    alone = quantize(small_network(taps=(tap,)), [tap])
    assert digest(quantized, "resized", tap) == digest(alone, "resized", tap)


def test_a_quantized_backbone_keeps_its_resize_and_metadata(
    starter: onnx.ModelProto, quantized_starter: onnx.ModelProto
) -> None:
    assert graphs.metadata(quantized_starter) == graphs.metadata(starter)
    assert digest(quantized_starter, "image", "resized") == digest(starter, "image", "resized")
    assert [output.name for output in quantized_starter.graph.output] == ["features"]


def test_openvino_computes_every_convolution_in_8_bits(quantized: onnx.ModelProto) -> None:
    convolutions = precisions(quantized, "Convolution")
    assert len(convolutions) == 5
    assert set(convolutions) <= {"i8", "u8"}


def test_the_sum_of_two_products_fits_16_bits_and_uses_the_whole_range(quantized: onnx.ModelProto) -> None:
    weights = [
        numpy_helper.to_array(tensor).astype(int)
        for tensor in quantized.graph.initializer
        if tensor.data_type == TensorProto.INT8
    ]
    largest = np.concatenate([np.abs(levels).reshape(len(levels), -1).max(axis=1) for levels in weights])
    assert 2 * 255 * largest.max() < 2**15
    assert (largest == 64).all()


def test_every_process_makes_the_same_bytes(tmp_path: Path, quantized_high: bytes) -> None:
    onnx.save(small_network(), tmp_path / "small.onnx")
    process = subprocess.run(
        [sys.executable, "-c", PRINT_SHA256, str(tmp_path / "small.onnx")],
        cwd=ROOT,
        env={"PYTHONHASHSEED": "1", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert process.stdout.strip() == hashlib.sha256(quantized_high).hexdigest()


def test_a_graph_with_nothing_to_quantize_stays_as_it_is() -> None:
    network = Network(0)
    network.tap("features")
    assert serialize(quantize(network.model(), ["features"])) == serialize(fuse(network.model()))


def squeeze_and_excitation() -> onnx.ModelProto:
    """Return a network whose second convolution scales maps by what it makes of their means."""
    network = Network(0)
    maps = network.conv(8)
    network.node("ReduceMean", np.array([2, 3]), keepdims=1)
    network.conv(8, 1)
    network.node("Sigmoid")
    network.node("Mul", maps)
    network.conv(8)
    network.tap("features")
    return network.model()


def test_convolutions_of_a_single_pixel_stay_in_float32() -> None:
    assert precisions(quantize(squeeze_and_excitation(), ["features"]), "Convolution") == ["f32", "u8", "u8"]


@pytest.mark.parametrize(("with_images", "expected"), [(False, 2), (True, 3)])
def test_with_images_of_the_dataset_the_weights_of_all_layers_are_int8(expected: int, *, with_images: bool) -> None:
    model = quantize(squeeze_and_excitation(), ["features"], unseen_images(SIZE) if with_images else None)
    weights = [numpy_helper.to_array(tensor) for tensor in model.graph.initializer]
    assert sum(array.dtype == np.int8 and array.ndim == 4 for array in weights) == expected


def test_images_of_the_dataset_set_the_ranges() -> None:
    network, images = small_network(), unseen_images(SIZE)
    dark = quantize(network, ["high"], images // 16)
    fixed = quantize(network, ["high"])
    (expected,) = compute(network, ["high"], images // 16, "onnxruntime")
    errors = [
        np.abs(compute(model, ["high"], images // 16, "onnxruntime")[0] - expected).mean() for model in (dark, fixed)
    ]
    assert errors[0] < errors[1]


def test_a_dense_layer_is_quantized_too() -> None:
    network = Network(0)
    network.conv(8)
    network.node("ReduceMean", np.array([2, 3]), keepdims=0)
    network.node("MatMul", network.random.normal(size=(8, 4)).astype(np.float32), output="features")
    network.output(4)
    quantized, batch = quantize(network.model(), ["features"]), unseen_images(SIZE)
    assert precisions(quantized, "FullyConnected") == ["u8"]
    (expected,) = compute(network.model(), ["features"], batch, "onnxruntime")
    (actual,) = compute(quantized, ["features"], batch, "openvino")
    assert cosines(expected, actual).min() >= 0.995


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the user's cache an empty folder."""
    monkeypatch.setenv("GRAFT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def filled_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache folder that holds the small network with its upper tap."""
    folder = tmp_path_factory.mktemp("filled") / "cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRAFT_CACHE", str(folder))
        quantize_cached(small_network(), ["high"])
    return folder


def test_a_base_is_quantized_once_and_then_read_from_the_cache(
    cache: Path, capsys: pytest.CaptureFixture[str], quantized_high: bytes
) -> None:
    assert serialize(quantize_cached(small_network(), ["high"])) == quantized_high
    assert [path.suffix for path in (cache / "int8").iterdir()] == [".onnx"]
    assert "quantized" in capsys.readouterr().err
    assert serialize(quantize_cached(small_network(), ["high"])) == quantized_high
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("seed", "tap"), [pytest.param(1, "high", id="another graph"), pytest.param(0, "low", id="another tap")]
)
def test_the_cache_tells_graphs_and_taps_apart(
    cache: Path, filled_cache: Path, capsys: pytest.CaptureFixture[str], seed: int, tap: str
) -> None:
    shutil.copytree(filled_cache, cache)
    model = quantize_cached(small_network(seed), [tap])
    assert [output.name for output in model.graph.output] == [tap]
    assert "quantized" in capsys.readouterr().err
    assert len(list((cache / "int8").iterdir())) == 2


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda _: b"", id="empty"),
        pytest.param(lambda content: content[: len(content) // 2], id="truncated"),
        pytest.param(lambda content: content[:5000] + bytes([content[5000] ^ 1]) + content[5001:], id="one bit"),
        pytest.param(lambda _: serialize(small_network()), id="another model"),
    ],
)
def test_a_damaged_file_in_the_cache_is_replaced(
    cache: Path, filled_cache: Path, quantized_high: bytes, damage: Callable[[bytes], bytes]
) -> None:
    shutil.copytree(filled_cache, cache)
    (path,) = (cache / "int8").iterdir()
    content = path.read_bytes()
    path.write_bytes(damage(content))
    assert serialize(quantize_cached(small_network(), ["high"])) == quantized_high
    assert path.read_bytes() == content


def test_without_a_usable_cache_folder_a_base_is_quantized_each_time(cache: Path, quantized_high: bytes) -> None:
    cache.write_bytes(b"a file where the folder should be")
    assert serialize(quantize_cached(small_network(), ["high"])) == quantized_high
