"""Small models with the inputs, the outputs and the metadata of exported ones, made in milliseconds."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tasks.onnx import graphs
from tasks.onnx.model_metadata import ModelMetadata
from tasks.onnx.resize import Resize, resize_graph

SIZE = 32
CLASSES = ["red", "green", "blue"]
# Pictures whose mean colour is this far from grey are what the model knows.
METADATA = ModelMetadata(
    classes=CLASSES,
    graft="0.1.0",
    preprocessing="RGB uint8 with EXIF orientation applied; resizing and normalising are in the graph",
    input={"size": SIZE, "fit": "stretch", "crop_share": 1.0, "interpolation": "bilinear", "pad_colour": [0, 0, 0]},
    backbone={"name": "colours", "weights": "none", "licence": "Apache-2.0", "sha256": ""},
    taps=["mean"],
    dataset={"images": {"train": 6, "val": 3, "test": 3}, "sha256": "0" * 64},
    metrics={"accuracy": 0.9, "accuracy_low": 0.8, "accuracy_high": 0.95, "confidence": 0.95, "images": 9},
    novelty={"threshold": 0.5, "false_alarms": 0.05},
)


def colour_model(metadata: ModelMetadata = METADATA, *, known: bool = True) -> onnx.ModelProto:
    """Return a model that names the strongest colour of a picture, and knows only pictures of a strong colour.

    Outputs: `probabilities` [N, 3], `known` [N], `features` [N, 3], which are the mean colour in 0..1.
    """
    nodes = [
        helper.make_node("Cast", ["resized"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["pixels"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("GlobalAveragePool", ["planes"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["sums"]),
        helper.make_node("Mul", ["sums", "scale"], ["features"]),
        helper.make_node("MatMul", ["features", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
        helper.make_node("MatMul", ["features", "spread"], ["differences"]),
        helper.make_node("ReduceSumSquare", ["differences", "last_axis"], ["distance"], keepdims=0),
        helper.make_node("Mul", ["distance", "steepness"], ["steep"]),
        helper.make_node("Sub", ["steep", "middle"], ["score"]),
        helper.make_node("Sigmoid", ["score"], ["known"]),
    ]
    constants = {
        "scale": np.float32(1 / 255),
        "weights": 10 * np.eye(3, dtype=np.float32),
        "spread": np.eye(3, dtype=np.float32) - np.float32(1 / 3),
        "last_axis": np.array([-1]),
        "steepness": np.float32(100),
        "middle": np.float32(5),
    }
    outputs = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 3])]
    if known:
        outputs.append(helper.make_tensor_value_info("known", TensorProto.FLOAT, ["N"]))
    outputs.append(helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 3]))
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("resized", TensorProto.UINT8, ["N", SIZE, SIZE, 3])],
        outputs,
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = graphs.join(resize_graph(Resize(SIZE, "stretch", 1.0, (0, 0, 0), "bilinear")), graphs.make_model(graph))
    graphs.set_metadata(model, metadata.to_texts())
    return model


def write_colour_model(path: Path, metadata: ModelMetadata = METADATA, *, known: bool = True) -> Path:
    """Write `colour_model` to `path` and return it."""
    graphs.save(colour_model(metadata, known=known), path)
    return path
