"""Use an exported model: `from graft import Classifier; Classifier("model.onnx").predict(paths)`.

The package needs onnxruntime, numpy and Pillow only.
"""

from graft.classifier import Classifier, Prediction
from tasks.common.errors import GraftError

__all__ = ["Classifier", "GraftError", "Prediction"]
