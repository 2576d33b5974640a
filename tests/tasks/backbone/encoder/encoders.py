"""Small encoders as other tools would export them: vision transformers and convolutional nets."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE, PATCH, WIDTH, HEADS = 32, 16, 8, 2
TOKENS = (SIZE // PATCH) ** 2 + 1
Array = npt.NDArray[Any]


def vit(batch: int | str = "batch", opset: int = 17, element_type: int = TensorProto.FLOAT) -> onnx.ModelProto:
    """Return a vision transformer from `pixel_values` [batch, 3, 32, 32] to tokens [batch, 5, 8] and a vector.

    It has patches by convolution, a class token, position embeddings, and a block of attention. With a batch of 1, its
    shapes are constants, as tracing writes them.
    """
    graph = _Builder(np.random.default_rng(1), element_type)
    count = batch if isinstance(batch, int) else 0
    graph.node("Conv", ["pixel_values", graph.weights(WIDTH, 3, PATCH, PATCH)], "patches", strides=[PATCH, PATCH])
    graph.node("Reshape", ["patches", graph.shape(count, WIDTH, TOKENS - 1)], "columns")
    graph.node("Transpose", ["columns"], "rows", perm=[0, 2, 1])
    first = graph.weights(1, 1, WIDTH)
    if isinstance(batch, str):
        graph.node("Shape", ["rows"], "rows_shape")
        graph.node("Slice", ["rows_shape", graph.shape(0), graph.shape(1)], "count")
        graph.node("Concat", ["count", graph.shape(1, WIDTH)], "token_shape", axis=0)
        graph.node("Expand", [first, "token_shape"], "class_token")
        first = "class_token"
    graph.node("Concat", [first, "rows"], "tokens", axis=1)
    graph.node("Add", ["tokens", graph.weights(1, TOKENS, WIDTH)], "embedded")
    last = graph.block("embedded", count)
    graph.node("LayerNormalization" if opset >= 17 else "Identity", _norm(graph, last, opset), "last_hidden_state")
    graph.node("Gather", ["last_hidden_state", graph.scalar(0)], "first", axis=1)
    graph.node("Tanh", ["first"], "pooler_output")
    return graph.model(
        [("pixel_values", [batch, 3, SIZE, SIZE])],
        [("last_hidden_state", [batch, TOKENS, WIDTH]), ("pooler_output", [batch, WIDTH])],
        opset,
    )


def convnet(
    batch: int | str = "N", opset: int = 13, layout: str = "NCHW", sides: Sequence[int | str] = (SIZE, SIZE)
) -> onnx.ModelProto:
    """Return a convolutional net from `input` to maps of 6 channels, in either order of dimensions."""
    graph = _Builder(np.random.default_rng(2), TensorProto.FLOAT)
    name = "input"
    if layout == "NHWC":
        graph.node("Transpose", [name], "channels_first", perm=[0, 3, 1, 2])
        name = "channels_first"
    graph.node("Conv", [name, graph.weights(6, 3, 3, 3), graph.weights(6)], "conv", strides=[2, 2], pads=[1, 1, 1, 1])
    graph.node("Relu", ["conv"], "relu")
    graph.node("Conv", ["relu", graph.weights(6, 1, 3, 3)], "depthwise", group=6, strides=[2, 2])
    graph.node("Sigmoid", ["depthwise"], "maps" if layout == "NCHW" else "last")
    if layout == "NHWC":
        graph.node("Transpose", ["last"], "maps", perm=[0, 2, 3, 1])
    shape = [batch, 3, *sides] if layout == "NCHW" else [batch, *sides, 3]
    return graph.model([("input", shape)], [("maps", [batch, "a", "b", "c"])], opset)


def flattening() -> onnx.ModelProto:
    """Return an encoder of one image that flattens maps by a constant shape, as tracing writes it."""
    graph = _Builder(np.random.default_rng(4), TensorProto.FLOAT)
    graph.node("AveragePool", ["input"], "pooled", kernel_shape=[8, 8], strides=[8, 8])
    graph.node("Reshape", ["pooled", graph.shape(1, 48)], "flat")
    graph.node("Gemm", ["flat", graph.weights(48, 4)], "vector")
    return graph.model([("input", [1, 3, SIZE, SIZE])], [("vector", [1, 4])], 14)


def branching() -> onnx.ModelProto:
    """Return an encoder of one image whose `If` reads tensors outside its branches."""
    graph = _Builder(np.random.default_rng(3), TensorProto.FLOAT)
    weights = graph.weights(3, 4)
    graph.node("ReduceMean", ["input"], "means", axes=[2, 3], keepdims=0)
    graph.node("ReduceMax", ["means"], "brightness", keepdims=0)
    graph.node("Greater", ["brightness", graph.constant(np.float32(0.5))], "is_bright")
    branches = {
        f"{branch}_branch": helper.make_graph(
            [helper.make_node("MatMul", ["means", weights], [f"{branch}/product"]), helper.make_node(*operation)],
            branch,
            [],
            [helper.make_tensor_value_info(f"{branch}/result", TensorProto.FLOAT, [1, 4])],
        )
        for branch, operation in {
            "then": ("Relu", ["then/product"], ["then/result"]),
            "else": ("Neg", ["else/product"], ["else/result"]),
        }.items()
    }
    graph.node("If", ["is_bright"], "vector", **branches)
    return graph.model([("input", [1, 3, SIZE, SIZE])], [("vector", [1, 4])], 13)


def _norm(graph: "_Builder", name: str, opset: int) -> list[str]:
    return [name, graph.weights(WIDTH), graph.weights(WIDTH)] if opset >= 17 else [name]


class _Builder:
    """Collects nodes and constants; weights are random numbers of the element type."""

    def __init__(self, random: np.random.Generator, element_type: int) -> None:
        self._random, self._type = random, element_type
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def node(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> None:
        self._nodes.append(helper.make_node(operator, inputs, [output], **attributes))

    def weights(self, *shape: int) -> str:
        values = self._random.normal(size=shape) / math.sqrt(math.prod(shape[1:]))
        return self.constant(values.astype(helper.tensor_dtype_to_np_dtype(self._type)))

    def shape(self, *sizes: int) -> str:
        return self.constant(np.array(sizes, np.int64))

    def scalar(self, value: int) -> str:
        return self.constant(np.array(value, np.int64))

    def constant(self, values: Any) -> str:
        name = f"constant.{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def block(self, name: str, count: int) -> str:
        """Add attention of two heads with a residual."""
        heads = {}
        for role in ("query", "key", "value"):
            self.node("MatMul", [name, self.weights(WIDTH, WIDTH)], role)
            self.node("Reshape", [role, self.shape(count, TOKENS, HEADS, WIDTH // HEADS)], f"{role}_split")
            heads[role] = f"{role}_heads"
            order = [0, 2, 3, 1] if role == "key" else [0, 2, 1, 3]
            self.node("Transpose", [f"{role}_split"], heads[role], perm=order)
        self.node("MatMul", [heads["query"], heads["key"]], "scores")
        self.node("Softmax", ["scores"], "attention", axis=-1)
        self.node("MatMul", ["attention", heads["value"]], "mixed")
        self.node("Transpose", ["mixed"], "mixed_rows", perm=[0, 2, 1, 3])
        self.node("Reshape", ["mixed_rows", self.shape(count, TOKENS, WIDTH)], "joined")
        self.node("Add", ["joined", name], "residual")
        return "residual"

    def model(
        self,
        inputs: Sequence[tuple[str, Sequence[int | str]]],
        outputs: Sequence[tuple[str, Sequence[int | str]]],
        opset: int,
    ) -> onnx.ModelProto:
        values, results = (
            [helper.make_tensor_value_info(name, self._type, shape) for name, shape in group]
            for group in (inputs, outputs)
        )
        graph = helper.make_graph(self._nodes, "torch-export", values, results, self._constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], producer_name="another tool")
