"""The resize of a graph: a session that runs it, and the identity of the pixels that it makes."""

import onnx
import onnxruntime

from tasks.images.preprocessing import Preprocessing
from tasks.onnx import graphs
from tasks.onnx.canonical_form import digest
from tasks.onnx.resize import read_crop_share
from tasks.onnx.sessions import Session


def resize_session(model: onnx.ModelProto) -> Session:
    """Return the part of `model` from `image`, uint8 [N, H, W, 3], to `resized`, uint8 [N, S, S, 3]."""
    return Session(graphs.extract(model, "image", "resized"), threads=1)


def read_preprocessing(model: onnx.ModelProto, augmentation: str = "") -> Preprocessing:
    """Return the preprocessing of `model`, with the SHA-256 of the making of views, if there are any."""
    resized = graphs.extract(model, "image", "resized").graph.output[0]
    size = int(resized.type.tensor_type.shape.dim[1].dim_value)
    runtime = f"onnxruntime {onnxruntime.__version__}"
    return Preprocessing(size, digest(model, "image", "resized"), augmentation, runtime, read_crop_share(model))
