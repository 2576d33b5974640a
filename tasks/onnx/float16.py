"""Conversion of a base to half precision: half the bytes, and twice the speed where a processor computes in it.

Converters from elsewhere convert every operator and break on casts; here only operators that keep their accuracy in
half precision are converted, and casts stand where the two kinds meet.
"""

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference

from tasks.common.errors import GraftError
from tasks.images.decoding import Pixels
from tasks.onnx.canonical_form import canonical
from tasks.onnx.sessions import Array, Session

# Sums over whole maps, roots, exponentials and quotients lose accuracy or overflow, so they stay in float32.
HALF_OPERATORS = {
    "Add", "AveragePool", "Clip", "Concat", "Conv", "Flatten", "Gather", "Gemm", "HardSigmoid", "HardSwish", "Identity",
    "LeakyRelu", "MatMul", "Max", "MaxPool", "Min", "Mul", "Neg", "PRelu", "Pad", "Relu", "Reshape", "Sigmoid", "Slice",
    "Split", "Squeeze", "Sub", "Tanh", "Transpose", "Unsqueeze",
}  # fmt: skip
LARGEST = float(np.finfo(np.float16).max)
# Other images than those observed may have larger values, so tensors that come so close to the limit stay in float32.
MARGIN = 8
LARGE = 1024
SMALLEST = float(np.finfo(np.float16).smallest_subnormal)


def to_float16(base: onnx.ModelProto, images: Pixels) -> onnx.ModelProto:
    """Return a base, uint8 [N, S, S, 3] to float32 [N, D], whose layers compute in half precision.

    Input and output keep their types. A layer stays in float32 if its operator is sensitive, if one of its weights does
    not fit into half precision, or if one of its outputs for `images`, uint8 [n, S, S, 3], comes within a factor of
    MARGIN of the largest number. The graph is in canonical form.

    Raises:
        GraftError: The base has nested graphs, or no layer can be converted.
    """
    if any(attribute.HasField("g") for node in base.graph.node for attribute in node.attribute):
        message = "the base has loops or branches, which are not converted to half precision."
        raise GraftError(message)
    conversion = _Conversion(base)
    conversion.exclude_large(images)
    if not conversion.half_nodes:
        message = "no layer of the base can be computed in half precision."
        raise GraftError(message)
    graph = conversion.convert()
    output_names = [output.name for output in graph.output]
    model = helper.make_model(graph, opset_imports=base.opset_import, ir_version=base.ir_version)
    return canonical(model, "base", graph.input[0].name, output_names)


def store_in_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with its large weights stored in half precision; it computes in float32 as before.

    Weights that do not fit into half precision stay as they are.
    """
    compact = onnx.ModelProto()
    compact.CopyFrom(model)
    casts = []
    for tensor in compact.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.size >= LARGE and _fits(values):
            stored = f"{tensor.name}/half"
            casts.append(helper.make_node("Cast", [stored], [tensor.name], name=stored, to=TensorProto.FLOAT))
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), stored))
    nodes = [*casts, *compact.graph.node]
    del compact.graph.node[:]
    compact.graph.node.extend(nodes)
    return compact


class _Conversion:
    """The nodes that are converted, by the name of their first output, and the nodes of the new graph."""

    def __init__(self, base: onnx.ModelProto) -> None:
        self._base = base
        inferred = shape_inference.infer_shapes(base).graph
        values = [*inferred.input, *inferred.value_info, *inferred.output]
        self._floats = {value.name for value in values if value.type.tensor_type.elem_type == TensorProto.FLOAT}
        self._constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in base.graph.initializer}
        self._floats |= {name for name, values in self._constants.items() if values.dtype == np.float32}
        self.half_nodes = {node.output[0] for node in base.graph.node if self._is_convertible(node)}
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, TensorProto] = {}
        self._halves: set[str] = set()
        self._casts: set[str] = set()

    def exclude_large(self, images: Pixels) -> None:
        """Keep those nodes in float32 that have large outputs for the images."""
        observed = onnx.ModelProto()
        observed.CopyFrom(self._base)
        names = sorted(self.half_nodes)
        if not names:
            return
        del observed.graph.output[:]
        observed.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
        session = Session(observed, threads=1)
        largest = np.zeros(len(names))
        for image in images:
            values = [float(np.abs(output).max(initial=0)) for output in session.outputs(image[None], names)]
            largest = np.maximum(largest, values)
        # A comparison with NaN is false, so that such a node is excluded too.
        self.half_nodes = {
            name for name, value in zip(names, largest.tolist(), strict=True) if value <= LARGEST / MARGIN
        }

    def convert(self) -> onnx.GraphProto:
        """Return the new graph."""
        outputs = {output.name for output in self._base.graph.output}
        for source in self._base.graph.node:
            node = onnx.NodeProto()
            node.CopyFrom(source)
            is_half = node.output[0] in self.half_nodes
            node.input[:] = [self._typed(name, is_half=is_half) for name in node.input]
            self._nodes.append(node)
            if is_half:
                self._halves |= set(node.output)
        # The outputs of the base keep their names and their type.
        for name in sorted(outputs & self._halves):
            half = f"{name}/half"
            for node in self._nodes:
                node.input[:] = [half if value == name else value for value in node.input]
                node.output[:] = [half if value == name else value for value in node.output]
            self._nodes.append(helper.make_node("Cast", [half], [name], to=TensorProto.FLOAT))
        graph = self._base.graph
        return helper.make_graph(self._nodes, graph.name, graph.input, graph.output, list(self._initializers.values()))

    def _is_convertible(self, node: onnx.NodeProto) -> bool:
        if node.op_type not in HALF_OPERATORS or not set(node.output) <= self._floats:
            return False
        constants = [self._constants[name] for name in node.input if name in self._constants]
        return all(_fits(values) for values in constants if values.dtype == np.float32)

    def _typed(self, name: str, *, is_half: bool) -> str:
        """Return the name of a node's input in the precision of the node."""
        if name in self._constants:
            return self._constant(name, is_half=is_half)
        if name not in self._floats or is_half == (name in self._halves):
            return name
        cast = f"{name}/{'half' if is_half else 'single'}"
        if cast not in self._casts:
            self._casts.add(cast)
            target = TensorProto.FLOAT16 if is_half else TensorProto.FLOAT
            self._nodes.append(helper.make_node("Cast", [name], [cast], to=target))
        return cast

    def _constant(self, name: str, *, is_half: bool) -> str:
        values: Array = self._constants[name]
        converted = is_half and values.dtype == np.float32
        new_name = f"{name}/half" if converted else name
        if new_name not in self._initializers:
            values = values.astype(np.float16) if converted else values
            self._initializers[new_name] = numpy_helper.from_array(values, new_name)
        return new_name


def _fits(values: Array) -> bool:
    """Tell whether the numbers fit into half precision; among many weights, tiny ones may become 0."""
    magnitudes: Iterable[float] = np.abs(values).ravel()
    largest = max(magnitudes, default=0.0)
    return bool(largest <= LARGEST and (largest == 0 or largest >= SMALLEST))
