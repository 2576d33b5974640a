"""Small networks for the tests of int8, images to run through them, and ways to run and compare them."""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits

from tasks.extraction.runtimes import Runtime, load_forward
from tasks.onnx import graphs
from tasks.onnx.resize import Resize, resize_graph
from tasks.onnx.sessions import Array, Session
from tests.tasks.conftest import noise

SIZE = 16
TAPS = ("low", "high")


class Network:
    """A graph written node by node, from `resized`, uint8 [N, 16, 16, 3], through feature maps to vectors."""

    def __init__(self, seed: int) -> None:
        """Start with the pixels as feature maps, float32 [N, 3, 16, 16]."""
        self.random = np.random.default_rng(seed)
        self.channels = 3
        self.last = "resized"
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self.node("Cast", to=TensorProto.FLOAT)
        self.node("Mul", np.float32(1 / 255))
        self.node("Transpose", perm=[0, 3, 1, 2])

    def node(self, op_type: str, *operands: object, output: str | None = None, **attributes: Any) -> str:
        """Add a node that reads the last result and these operands, which are tensor names or constants."""
        names = []
        for operand in operands:
            names.append(operand if isinstance(operand, str) else f"c{len(self._constants)}")
            if not isinstance(operand, str):
                self._constants.append(numpy_helper.from_array(np.asarray(operand), names[-1]))
        output = output or f"t{len(self._nodes)}"
        self._nodes.append(helper.make_node(op_type, [self.last, *names], [output], **attributes))
        self.last = output
        return output

    def conv(
        self,
        channels: int,
        kernel: int = 3,
        *,
        depthwise: bool = False,
        bias: bool = True,
        strides: tuple[int, int] = (1, 1),
    ) -> str:
        """Add a convolution with random weights that keeps height and width, apart from its strides."""
        inputs = 1 if depthwise else self.channels
        weights = self.random.normal(0, 1.4 / kernel / inputs**0.5, (channels, inputs, kernel, kernel))
        values = [weights.astype(np.float32)]
        if bias:
            values.append(self.random.normal(0, 0.1, channels).astype(np.float32))
        group, self.channels = self.channels if depthwise else 1, channels
        return self.node(
            "Conv", *values, kernel_shape=[kernel] * 2, pads=[kernel // 2] * 4, group=group, strides=strides
        )

    def per_channel(self) -> Array:
        """Return a random value for each channel of the last maps, [1, C, 1, 1]."""
        return self.random.uniform(0.3, 2, (1, self.channels, 1, 1)).astype(np.float32)

    def tap(self, name: str) -> None:
        """Make the mean of the last maps an output, float32 [N, channels]; later nodes read the maps."""
        maps = self.last
        self.node("ReduceMean", np.array([2, 3]), output=name, keepdims=0)
        self.output(self.channels)
        self.last = maps

    def output(self, width: int) -> None:
        """Make the last result an output, float32 [N, width]."""
        self._outputs.append(helper.make_tensor_value_info(self.last, TensorProto.FLOAT, ["N", width]))

    def model(self) -> onnx.ModelProto:
        """Return the graph, checked."""
        pixels = helper.make_tensor_value_info("resized", TensorProto.UINT8, ["N", SIZE, SIZE, 3])
        graph = helper.make_graph(self._nodes, "network", [pixels], self._outputs, self._constants)
        opset = helper.make_opsetid("", graphs.OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=graphs.IR_VERSION)
        onnx.checker.check_model(model, full_check=True)
        return model


def small_network(seed: int = 0, taps: tuple[str, ...] = TAPS) -> onnx.ModelProto:
    """Return a small base with the special cases of MobileNet and ResNet, and with these taps."""
    network = Network(seed)
    network.conv(8)
    shortcut = network.node("Relu")
    network.conv(8, depthwise=True, bias=False)
    network.node("Mul", network.per_channel())
    network.node("Add", network.per_channel())
    network.node("Clip", np.float32(0), np.float32(6))
    network.conv(8, 1)
    network.node("Add", shortcut)
    network.node("Relu")
    if "low" in taps:
        network.tap("low")
    network.conv(16, 1, strides=(2, 2))
    network.node("Relu")
    network.node("Pad", np.array([0, 0, 0, 0, 0, 0, 1, 1]))
    network.node("MaxPool", kernel_shape=[3, 3], strides=[2, 2])
    network.conv(16)
    network.node("Relu")
    if "high" in taps:
        network.tap("high")
    return network.model()


def unseen_images(size: int, digits: int = 16) -> npt.NDArray[np.uint8]:
    """Return images that calibration does not use: digits, and noise from coarse to fine."""
    resize = Session(resize_graph(Resize(size)), threads=1)
    grey = np.rint(load_digits().images[:digits] * (255 / 16)).astype(np.uint8)
    images = [np.repeat(image[:, :, None], 3, axis=2) for image in grey]
    images += [noise(side, side, side) for side in range(4, 20)]
    return np.concatenate([resize(image[None]) for image in images])


def compute(model: onnx.ModelProto, tensors: list[str], batch: npt.NDArray[np.uint8], runtime: Runtime) -> list[Array]:
    """Return the vectors of each tensor, computed as extraction does."""
    if runtime == "openvino":
        pytest.importorskip("openvino")
    return load_forward(model, tensors, runtime, "float32", threads=1)(batch)


def cosines(first: Array, second: Array) -> Array:
    """Return the cosine similarity of each row of two matrices, [n]."""
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return np.asarray((first * second).sum(axis=1) / norms)


def precisions(model: onnx.ModelProto, layer_type: str) -> list[str]:
    """Return the precisions in which OpenVINO computes the layers of a type, sorted."""
    openvino = pytest.importorskip("openvino")
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(serialize(model)), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    layers: list[Any] = [node.get_rt_info() for node in compiled.get_runtime_model().get_ordered_ops()]
    return sorted(
        layer["runtimePrecision"].astype(str) for layer in layers if layer["layerType"].astype(str) == layer_type
    )


def serialize(model: onnx.ModelProto) -> bytes:
    """Return the bytes of a model, the same for the same model."""
    return bytes(model.SerializeToString(deterministic=True))
