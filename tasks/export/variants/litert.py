"""`model.tflite`: LiteRT, for phones and small devices."""

from typing import Any

import numpy as np

from tasks.common.command import quiet_imports
from tasks.common.errors import GraftError
from tasks.common.text import printable
from tasks.export.variants.variant import Product, RefusedError, Sources, Variant, check_equal
from tasks.onnx.sessions import Array


def _make(sources: Sources) -> Product:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        message = (
            "export.variants names litert, and its check needs the package ai-edge-litert, which is not installed. Run "
            "`pip install 'graft[conformance]'`."
        )
        raise GraftError(message) from error
    backbone = sources.inputs.read_parts().backbone
    keras_folder = sources.inputs.base_folder / "keras"
    if not (keras_folder / "base.json").exists():
        message = "the base is an ONNX encoder, and LiteRT files are made from Keras networks"
        raise RefusedError(message)
    size = sources.sample.resized.shape[1]
    failure = None
    # The interpreter too reports on standard error how it starts.
    with quiet_imports():
        from tasks.networks import saving
        from tasks.networks.conversion.litert import convert_to_litert

        base, head = saving.load(keras_folder, "base"), saving.load(sources.inputs.tuned, "head")
        try:
            content = convert_to_litert(base, head, sources.metadata.taps, size, backbone["mode"], backbone["pooling"])
            predicted = _predict(Interpreter(model_content=content, num_threads=1), sources.sample.resized)
        except Exception as error:  # noqa: BLE001  # TensorFlow raises errors without a common base
            failure = printable(str(error).strip().splitlines()[0])
    if failure is not None:
        message = f"TensorFlow cannot convert the network: {failure}"
        raise RefusedError(message)
    return Product(content, check_equal(predicted, sources.sample, sources.params.tolerance))


def _predict(interpreter: Any, resized: Array) -> dict[str, Array]:
    run = interpreter.get_signature_runner()
    return {"probabilities": np.concatenate([run(resized=image[None])["probabilities"] for image in resized])}


LITERT = Variant(
    "model.tflite", "for phones and small devices (LiteRT): takes one image of uint8 pixels, already resized", _make
)
