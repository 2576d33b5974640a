"""Graphs of an encoder that take any number of images, also where its file takes one image at a time.

Three forms are tried in this order, and the first one that computes the same is used: the graph with an open batch; the
same with the constant shapes of its Reshape nodes opened too; and a Scan, which runs the graph image by image.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tasks.backbone.encoder.nested_graphs import has_control_flow
from tasks.onnx import graphs
from tasks.onnx.canonical_form import canonical

INPUT, OUTPUT = "encoder/images", "encoder/output"


class Form(NamedTuple):
    """A graph of an encoder from `encoder/images` [N, ...] to `encoder/output` [N, ...], and what it is called."""

    name: str
    model: onnx.ModelProto


def batch_forms(model: onnx.ModelProto, *, is_open: bool) -> Iterator[Form]:
    """Yield the forms of an encoder whose one input and one output have types and shapes [1, ...].

    `is_open` says that the file itself takes any number of images. A graph with control flow, whose bodies may read any
    tensor outside them, is run image by image, because it is then a whole in itself.
    """
    if not has_control_flow(model.graph):
        model = canonical(model, "encoder", INPUT, [OUTPUT])
        yield Form("open batch", model)
        if not is_open:
            yield Form("opened shapes", _open_reshapes(model))
    yield Form("scan", _scan(model))


def _open_reshapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with constant shapes [1, ...] of Reshape nodes made shapes of any number of images."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in copy.graph.initializer}
    for node in copy.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    for position, node in enumerate(copy.graph.node):
        shape = constants.get(node.input[1]) if node.op_type == "Reshape" else None
        if shape is not None and shape.ndim == 1 and len(shape) and shape[0] == 1:
            # -1 is the number of images even if the input has another first dimension; one -1 is allowed.
            first = 0 if -1 in shape else -1
            node.input[1] = f"encoder/shape_{position}"
            opened = np.array([first, *shape[1:]], np.int64)
            copy.graph.initializer.append(numpy_helper.from_array(opened, node.input[1]))
    return copy


def _scan(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph that runs the model on one image after the other."""
    [image], [result] = model.graph.input, model.graph.output
    image_type, result_type = image.type.tensor_type, result.type.tensor_type
    image_shape, result_shape = (
        [dimension.dim_value for dimension in value.shape.dim[1:]] for value in (image_type, result_type)
    )
    axis = numpy_helper.from_array(np.array([0], np.int64), "scan/axis")
    body = helper.make_graph(
        [
            helper.make_node("Unsqueeze", ["scan/image", "scan/axis"], [image.name]),
            *model.graph.node,
            helper.make_node("Squeeze", [result.name, "scan/axis"], ["scan/result"]),
        ],
        "encoder",
        [helper.make_tensor_value_info("scan/image", image_type.elem_type, image_shape)],
        [helper.make_tensor_value_info("scan/result", result_type.elem_type, result_shape)],
        [*model.graph.initializer, axis],
    )
    graph = helper.make_graph(
        [helper.make_node("Scan", [INPUT], [OUTPUT], body=body, num_scan_inputs=1)],
        "encoder",
        [helper.make_tensor_value_info(INPUT, image_type.elem_type, ["N", *image_shape])],
        [helper.make_tensor_value_info(OUTPUT, result_type.elem_type, ["N", *result_shape])],
    )
    return graphs.make_model(graph, graphs.opset(model))
