"""The model with another base: the resize before it and the computation of the head behind it stay as they are."""

import onnx

from tasks.onnx import graphs
from tasks.onnx.float16 import store_in_half


def base_of(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the base: the part from `resized` to `features`."""
    return graphs.extract(model, "resized", "features")


def with_base(model: onnx.ModelProto, base: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with another, smaller graph from `resized` to `features`; outputs and metadata stay as they are.

    The weights of the head and of the novelty score are stored in half precision, so that they do not decide the size.
    """
    names = [output.name for output in model.graph.output if output.name != "features"]
    front = graphs.join(graphs.extract(model, "image", "resized"), base)
    joined = graphs.join(front, store_in_half(graphs.extract(model, "features", names)))
    joined.graph.output.extend(value for value in model.graph.output if value.name == "features")
    graphs.set_metadata(joined, graphs.metadata(model))
    return joined
