"""The novelty score as an ONNX graph."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tasks.novelty.distance import LEAST_LENGTH
from tasks.novelty.score import LEAST_DISTANCE, Novelty, Refusal
from tasks.onnx import graphs


def novelty_graph(novelty: Novelty) -> onnx.ModelProto:
    """Return the graph from `features`, float32 [N, D], to `known`, float32 [N]; its metadata have the facts."""
    distance = novelty.distance
    width = sum(distance.widths)
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, np.ndarray] = {}

    def add(operator: str, output: str, *inputs: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def constant(name: str, value: object, kind: type[np.generic] = np.float32) -> str:
        constants[f"novelty/{name}"] = np.asarray(value, kind)
        return f"novelty/{name}"

    def sum_of_squares(tensor: str) -> str:
        return add("ReduceSumSquare", f"{tensor}/squares", tensor, last_axis, keepdims=1)

    last_axis = constant("last_axis", [-1], np.int64)
    taps = [f"novelty/tap_{position}" for position in range(len(distance.widths))]
    sizes = constant("widths", distance.widths, np.int64)
    nodes.append(helper.make_node("Split", ["features", sizes], taps, name="novelty/taps", axis=1))
    least_length = constant("least_length", LEAST_LENGTH)
    units = []
    for tap in taps:
        length = add("Max", f"{tap}/length", add("ReduceL2", f"{tap}/norm", tap, last_axis), least_length)
        units.append(add("Div", f"{tap}/unit", tap, length))
    joined = add("Concat", "novelty/units", *units, axis=1)
    centred = add("Sub", "novelty/centred", joined, constant("centre", distance.centre))
    directions = constant("directions", distance.directions)
    along = add("MatMul", "novelty/along", centred, directions)
    remainder = add("Gemm", "novelty/remainder", along, directions, centred, alpha=-1.0, beta=1.0, transB=1)
    rest = add("Mul", "novelty/rest", sum_of_squares(remainder), constant("rest_factor", distance.rest))
    scaled = add("Mul", "novelty/scaled", along, constant("scales", distance.scales))
    # The squared distance to each class, without the term that all classes share.
    products = add("MatMul", "novelty/products", scaled, constant("means_twice", 2 * distance.means))
    relative = add("Sub", "novelty/relative", constant("means_squared", (distance.means**2).sum(0)), products)
    nearest = add("ReduceMin", "novelty/nearest", relative, last_axis, keepdims=1)
    own = add("Add", "novelty/own", sum_of_squares(scaled), nearest)
    positive = add("Max", "novelty/positive", own, constant("zero", 0))
    squared = add("Squeeze", "novelty/squared", add("Add", "novelty/sum", positive, rest), last_axis)
    log = add("Log", "novelty/log", add("Max", "novelty/least", squared, constant("least_distance", LEAST_DISTANCE)))
    offset = add("Sub", "novelty/offset", log, constant("middle", novelty.middle))
    steps = add("Div", "novelty/steps", offset, constant("spread", novelty.spread))
    # ONNX Runtime's Sigmoid is the same for all inputs below -18; this tells them apart down to -87.
    odds = add("Add", "novelty/odds", add("Exp", "novelty/exponential", steps), constant("one", 1))
    add("Reciprocal", "known", odds)
    graph = helper.make_graph(
        nodes,
        "novelty",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", width])],
        [helper.make_tensor_value_info("known", TensorProto.FLOAT, ["N"])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = graphs.make_model(graph)
    graphs.set_metadata(model, {"novelty": json.dumps(novelty.facts())})
    return model


def write_novelty(novelty: Novelty | Refusal, path: Path, warn: Callable[[str], None]) -> None:
    """Write the graph to `path`; if there is no score, or its share of false alarms is not the wanted one, warn."""
    if isinstance(novelty, Refusal):
        warn(f"the model cannot say which pictures it does not know: {novelty.reason}")
        return
    if novelty.warning:
        warn(novelty.warning)
    graphs.save(novelty_graph(novelty), path)
