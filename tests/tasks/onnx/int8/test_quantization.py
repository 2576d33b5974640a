import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import given
from hypothesis import settings as given_settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits

from tasks.features import runtimes
from tasks.onnx import graphs
from tasks.onnx.int8 import quantization
from tasks.onnx.int8.calibration import grid
from tasks.onnx.int8.calibration_images import calibration_images
from tasks.onnx.int8.fusion import fuse
from tasks.onnx.int8.quantization import WEIGHT_LEVELS, quantize, quantize_cached
from tasks.onnx.sessions import Session
from tests.tasks.conftest import ROOT, noise

Array = npt.NDArray[Any]
SIZE = 16
HASH = """
import hashlib, sys, onnx
from tasks.onnx.int8.quantization import quantize
print(hashlib.sha256(quantize(onnx.load(sys.argv[1]), ["features"]).SerializeToString(deterministic=True)).hexdigest())
"""


class Net:
    """A graph that is written down node by node, from `resized`, uint8 [N, 16, 16, 3], over maps to vectors."""

    def __init__(self, seed: int) -> None:
        """Start with the pixels as maps, float32 [N, 3, 16, 16]."""
        self.random, self.nodes, self.constants = np.random.default_rng(seed), [], []
        self.channels, self.ends = 3, []
        self.last = "resized"
        self.node("Cast", to=TensorProto.FLOAT)
        self.node("Mul", np.float32(1 / 255))
        self.node("Transpose", perm=[0, 3, 1, 2])

    def node(self, kind: str, *others: object, **attributes: object) -> str:
        """Add a node that reads the last result, and other tensors by their names or values."""
        names = []
        for one in others:
            names.append(one if isinstance(one, str) else f"c{len(self.constants)}")
            if not isinstance(one, str):
                self.constants.append(numpy_helper.from_array(np.asarray(one), names[-1]))
        output = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, [self.last, *names], [output], **attributes))
        self.last = output
        return output

    def conv(
        self, channels: int, kernel: int = 3, *, depthwise: bool = False, bias: bool = True, **more: object
    ) -> str:
        """Add a convolution with random weights."""
        inside = 1 if depthwise else self.channels
        weights = self.random.normal(0, 1.4 / kernel / inside**0.5, (channels, inside, kernel, kernel))
        values = [weights.astype(np.float32)]
        if bias:
            values.append(self.random.normal(0, 0.1, channels).astype(np.float32))
        more = {"pads": [kernel // 2] * 4, "group": self.channels if depthwise else 1} | more
        self.channels = channels
        return self.node("Conv", *values, kernel_shape=[kernel, kernel], **more)

    def per_channel(self) -> Array:
        """Return a random value for each channel of the last maps."""
        return self.random.uniform(0.3, 2, (1, self.channels, 1, 1)).astype(np.float32)

    def tap(self, name: str) -> None:
        """Make the mean of the last maps a result, float32 [N, channels]; what follows reads the maps."""
        axes = numpy_helper.from_array(np.array([2, 3]), f"axes of {name}")
        self.constants.append(axes)
        self.nodes.append(helper.make_node("ReduceMean", [self.last, axes.name], [name], keepdims=0))
        self.ends.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", self.channels]))

    def model(self) -> onnx.ModelProto:
        """Return the graph."""
        pixels = helper.make_tensor_value_info("resized", TensorProto.UINT8, ["N", SIZE, SIZE, 3])
        graph = helper.make_graph(self.nodes, "net", [pixels], self.ends, self.constants)
        opset = helper.make_opsetid("", graphs.OPSET)
        made = helper.make_model(graph, opset_imports=[opset], ir_version=graphs.IR_VERSION)
        onnx.checker.check_model(made, full_check=True)
        return made


def small(seed: int = 0, taps: tuple[str, ...] = ("low", "high")) -> onnx.ModelProto:
    """Return a base like MobileNet and ResNet in small, with all that is special about them, and these taps."""
    net = Net(seed)
    net.conv(8)
    first = net.node("Relu")
    net.conv(8, depthwise=True, bias=False)
    net.node("Mul", net.per_channel())
    net.node("Add", net.per_channel())
    net.node("Clip", np.float32(0), np.float32(6))
    net.conv(8, 1)
    net.node("Add", first)
    net.node("Relu")
    if "low" in taps:
        net.tap("low")
    net.conv(16, 1, strides=[2, 2])
    net.node("Relu")
    net.node("Pad", np.array([0, 0, 0, 0, 0, 0, 1, 1]))
    net.node("MaxPool", kernel_shape=[3, 3], strides=[2, 2])
    net.conv(16)
    net.node("Relu")
    if "high" in taps:
        net.tap("high")
    return net.model()


def held_out(size: int) -> npt.NDArray[np.uint8]:
    """Return pictures that calibration does not see: digits, and noise from fine to coarse."""
    resize = Session(graphs.resize_graph(size), threads=1)
    digits = np.rint(load_digits().images[:16] * (255 / 16)).astype(np.uint8)
    some = [np.repeat(digit[:, :, None], 3, axis=2) for digit in digits]
    return np.concatenate([resize(one[None]) for one in (*some, *(noise(side, side, side) for side in range(4, 20)))])


def vectors(model: onnx.ModelProto, tensors: list[str], batch: npt.NDArray[np.uint8], runtime: Any) -> list[Array]:
    """Run a model as extraction does."""
    if runtime == "openvino":
        pytest.importorskip("openvino")
    return runtimes.load(model, tensors, runtime, "float32", threads=1)(batch)


def cosines(one: Array, two: Array) -> Array:
    """Return how alike the vectors of two matrices are, [n]."""
    return (one * two).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(two, axis=1)


def in_bytes(model: onnx.ModelProto) -> bytes:
    """Return a model as extraction would send it."""
    return model.SerializeToString(deterministic=True)


@given_settings(max_examples=40)
@given(st.data(), st.integers(0, 2**32 - 1))
def test_a_folded_graph_equals_the_one_it_was_made_of(data: st.DataObject, seed: int) -> None:
    net = Net(seed)
    for _ in range(data.draw(st.integers(1, 3))):
        pads = [
            0,
            0,
            *data.draw(st.tuples(*[st.integers(0, 2)] * 2)),
            0,
            0,
            *data.draw(st.tuples(*[st.integers(0, 2)] * 2)),
        ]
        if data.draw(st.booleans()):
            net.node("Pad", np.array(pads))
        depthwise = data.draw(st.booleans())
        channels = net.channels if depthwise else data.draw(st.integers(1, 5))
        net.conv(channels, depthwise=depthwise, bias=data.draw(st.booleans()))
        for kind in data.draw(st.lists(st.sampled_from(["Mul", "Add", "Relu", "tap"]), max_size=4)):
            if kind == "tap":
                net.tap(f"tap {len(net.ends)}")
            else:
                values = data.draw(st.sampled_from([net.per_channel(), net.per_channel()[0], np.float32(0.5)]))
                net.node(kind, *([] if kind == "Relu" else [values]))
    net.tap("features")
    model = net.model()
    ends = [end.name for end in model.graph.output]
    batch = np.stack([noise(seed % 1000 + number, SIZE, SIZE) for number in range(2)])
    pairs = zip(
        vectors(model, ends, batch, "onnxruntime"), vectors(fuse(model), ends, batch, "onnxruntime"), strict=True
    )
    for expected, found in pairs:
        np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max(), rtol=1e-5)


def test_scales_shifts_and_padding_vanish_into_convolutions() -> None:
    net = Net(0)
    net.node("Pad", np.array([0, 0, 1, 0, 0, 0, 0, 1]))
    net.conv(4)
    for kind in ("Mul", "Add", "Mul"):
        net.node(kind, net.per_channel())
    net.tap("features")
    kinds = [node.op_type for node in fuse(net.model()).graph.node]
    assert kinds == ["Cast", "Mul", "Transpose", "Conv", "ReduceMean"]


def test_what_others_read_or_what_is_no_constant_of_a_channel_stays() -> None:
    net = Net(0)
    maps = net.conv(4)
    net.node("Mul", net.per_channel())
    net.node("Add", maps)  # reads the convolution's own result, which is then needed as it is
    net.conv(16, 1)
    net.node("Mul", np.ones(16, np.float32))  # one for each column
    net.node("Pad", np.array([0, 0, 1, 1, 0, 0, 1, 1]), np.float32(1))
    net.conv(2)
    net.tap("features")
    kinds = [node.op_type for node in fuse(net.model()).graph.node]
    assert [kinds.count(kind) for kind in ("Mul", "Add", "Pad")] == [3, 1, 1]


def test_int8_vectors_of_the_starter_are_those_of_float32_but_for_little(backbone: Path) -> None:
    model = onnx.load(backbone / "backbone.onnx")
    batch = held_out(64)
    (expected,) = vectors(model, ["features"], batch, "onnxruntime")
    (found,) = vectors(quantize(model, ["features"]), ["features"], batch, "openvino")
    alike = cosines(expected, found)
    assert alike.min() >= 0.99
    assert alike.mean() >= 0.995


@pytest.mark.parametrize("seed", range(3))
def test_int8_vectors_of_every_tap_are_those_of_float32_but_for_little(seed: int) -> None:
    model, taps, batch = small(seed), ["low", "high"], held_out(SIZE)
    made = quantize(model, taps)
    onnx.checker.check_model(made, full_check=True)
    assert [end.name for end in made.graph.output] == taps
    expected, found = (
        vectors(one, taps, batch, runtime) for one, runtime in ((model, "onnxruntime"), (made, "openvino"))
    )
    for one, two in zip(expected, found, strict=True):
        assert one.shape == two.shape
        assert cosines(one, two).min() >= 0.995


def test_the_vectors_of_a_tap_do_not_depend_on_the_other_taps() -> None:
    both = quantize(small(), ["low", "high"])
    for tap in ("low", "high"):
        alone = quantize(small(taps=(tap,)), [tap])
        assert graphs.digest(both, "resized", tap) == graphs.digest(alone, "resized", tap)


def test_openvino_runs_every_convolution_in_8_bits() -> None:
    openvino = pytest.importorskip("openvino")
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(in_bytes(quantize(small(), ["low", "high"]))), "CPU")
    told = [node.get_rt_info() for node in compiled.get_runtime_model().get_ordered_ops()]
    precisions = [one["runtimePrecision"].astype(str) for one in told if one["layerType"].astype(str) == "Convolution"]
    assert len(precisions) == 5
    assert set(precisions) <= {"i8", "u8"}


def test_no_sum_of_two_products_overflows_16_bits() -> None:
    assert 2 * 255 * WEIGHT_LEVELS < 2**15
    weights = [
        numpy_helper.to_array(tensor)
        for tensor in quantize(small(), ["low", "high"]).graph.initializer
        if tensor.data_type == TensorProto.INT8
    ]
    assert len(weights) == 5
    for one in weights:
        assert (np.abs(one).reshape(len(one), -1).max(axis=1) == WEIGHT_LEVELS).all()


def test_the_same_bytes_are_made_in_every_process(tmp_path: Path) -> None:
    onnx.save(small(), tmp_path / "small.onnx")
    expected = hashlib.sha256(in_bytes(quantize(small(), ["high"]))).hexdigest()
    for seed in ("1", "2"):
        command = [sys.executable, "-c", HASH.replace('features"', 'high"'), str(tmp_path / "small.onnx")]
        environment = {"PYTHONHASHSEED": seed, "PATH": ""}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == expected


def test_a_graph_with_nothing_to_quantize_is_left_as_it_is() -> None:
    net = Net(0)
    net.tap("features")
    made = quantize(net.model(), ["features"])
    assert in_bytes(made) == in_bytes(fuse(net.model()))


def test_convolutions_of_a_single_pixel_stay_in_float32() -> None:
    net = Net(0)
    maps = net.conv(8)
    net.node("ReduceMean", np.array([2, 3]), keepdims=1)
    net.conv(8, 1)
    net.node("Sigmoid")
    net.node("Mul", maps)
    net.conv(8)
    net.tap("features")
    made = quantize(net.model(), ["features"])
    rounded = {name for node in made.graph.node if node.op_type == "DequantizeLinear" for name in node.output}
    convolutions = [node for node in made.graph.node if node.op_type == "Conv"]
    assert sorted(set(node.input[:2]) <= rounded for node in convolutions) == [False, False, True]


def test_a_dense_layer_is_quantized_too() -> None:
    net = Net(0)
    net.conv(8)
    net.tap("pooled")
    net.last = "pooled"
    net.node("MatMul", net.random.normal(size=(8, 4)).astype(np.float32))
    net.nodes[-1].output[0] = "features"
    net.ends = [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 4])]
    made, batch = quantize(net.model(), ["features"]), held_out(SIZE)
    assert [node.op_type for node in made.graph.node].count("QuantizeLinear") == 2
    (expected,) = vectors(net.model(), ["features"], batch, "onnxruntime")
    (found,) = vectors(made, ["features"], batch, "openvino")
    assert cosines(expected, found).min() >= 0.995


@given(st.integers(0, 2**32 - 1), st.floats(1e-12, 1e12), st.booleans())
def test_a_grid_holds_zero_and_is_wide_enough(seed: int, size: float, signed: bool) -> None:
    samples = size * np.random.default_rng(seed).normal(size=(6, 200))
    samples = samples if signed else np.abs(samples)
    scale, zero = grid(samples, float(samples.min()), float(samples.max()))
    assert 0 <= zero <= 255
    assert zero > 0 or not signed
    rounded = (np.clip(np.rint(samples / scale) + zero, 0, 255) - zero) * scale
    assert np.abs(rounded - samples).mean() <= 0.02 * np.abs(samples).mean()


def test_one_strange_picture_does_not_make_the_grid_coarse_for_the_others() -> None:
    samples = np.abs(np.random.default_rng(0).normal(size=(48, 1000)))
    samples[7] *= 1e4
    scale, _ = grid(samples, 0, float(samples.max()))
    assert scale * 255 < 500


@pytest.mark.parametrize("value", [0.0, 3.0, -3.0])
def test_a_tensor_that_is_constant_has_a_grid(value: float) -> None:
    scale, zero = grid(np.full((4, 10), value), value, value)
    assert (np.clip(np.rint(value / scale) + zero, 0, 255) - zero) * scale == pytest.approx(value)


@pytest.mark.parametrize("size", [8, 33, 64])
def test_the_pictures_are_many_and_always_the_same(size: int) -> None:
    found = calibration_images(size)
    assert (found.shape, found.dtype) == ((48, size, size, 3), np.uint8)
    np.testing.assert_array_equal(found, calibration_images(size))
    assert len({picture.tobytes() for picture in found}) >= 45
    assert (found.min(), found.max()) == (0, 255)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the user's cache be an empty folder."""
    monkeypatch.setenv("GRAFT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_what_was_quantized_is_taken_from_the_cache(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = in_bytes(quantize(small(), ["high"]))
    assert in_bytes(quantize_cached(small(), ["high"])) == expected
    assert [path.suffix for path in (cache / "int8").iterdir()] == [".onnx"]
    assert "quantized" in capsys.readouterr().err
    monkeypatch.setattr(quantization, "quantized", None)
    assert in_bytes(quantize_cached(small(), ["high"])) == expected
    assert capsys.readouterr().err == ""


def test_another_graph_other_taps_or_another_version_are_quantized_anew(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quantize_cached(small(), ["high"])
    quantize_cached(small(1), ["high"])
    quantize_cached(small(), ["low"])
    monkeypatch.setattr(quantization, "VERSION", -1)
    quantize_cached(small(), ["high"])
    assert len(list((cache / "int8").iterdir())) == 4


@pytest.mark.parametrize("spoil", ["empty", "cut", "changed", "another"])
def test_a_spoilt_file_in_the_cache_is_made_again(cache: Path, spoil: str) -> None:
    expected = in_bytes(quantize_cached(small(), ["high"]))
    (path,) = (cache / "int8").iterdir()
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(
        {
            "empty": b"",
            "cut": content[:middle],
            "changed": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
            "another": in_bytes(small()),
        }[spoil]
    )
    assert in_bytes(quantize_cached(small(), ["high"])) == expected
    assert path.read_bytes() == content


def test_without_a_place_for_the_cache_it_is_made_each_time(cache: Path) -> None:
    cache.write_bytes(b"a file where the folder should be")
    assert in_bytes(quantize_cached(small(), ["high"])) == in_bytes(quantize(small(), ["high"]))
