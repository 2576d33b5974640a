"""All runtimes in the order of reports; the first is the reference."""

from graft.conformance.runtimes import (
    javascript,
    litert,
    onnx_reference,
    onnxruntime_python,
    opencv,
    openvino,
    openvino_default,
)

REFERENCE = onnxruntime_python.RUNTIME
RUNTIMES = (
    REFERENCE,
    javascript.NODE,
    javascript.WEB,
    openvino.RUNTIME,
    openvino_default.RUNTIME,
    opencv.RUNTIME,
    litert.RUNTIME,
    onnx_reference.RUNTIME,
)
