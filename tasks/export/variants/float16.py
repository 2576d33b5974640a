"""`model.float16.onnx`: half the bytes; its base computes in half precision, its head in float32."""

from tasks.common.errors import GraftError
from tasks.export.validation_sample import predict_resized
from tasks.export.variants.bases import base_of, with_base
from tasks.export.variants.variant import Product, RefusedError, Sources, Variant, check_equal
from tasks.onnx import graphs
from tasks.onnx.float16 import to_float16

TOLERANCE = 0.01


def _make(sources: Sources) -> Product:
    try:
        base = to_float16(base_of(sources.model), sources.sample.resized)
    except GraftError as error:
        raise RefusedError(str(error)) from error
    model = with_base(sources.model, base)
    outputs = [output.name for output in model.graph.output]
    predicted = predict_resized(graphs.extract(model, "resized", outputs), sources.sample.resized)
    equality = check_equal(predicted, sources.sample, TOLERANCE)
    return Product(graphs.to_bytes(model), f"opset {graphs.opset(model)}; {equality}")


FLOAT16 = Variant(
    "model.float16.onnx",
    "for graphics processors: half the bytes, and half precision where that is safe",
    _make,
)
