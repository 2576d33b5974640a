"""Configuration with which Triton and KServe serve the same model file."""

import json
import shutil
from pathlib import Path

from graft.model_file import FEATURES, IMAGE, KNOWN, PROBABILITIES, ModelFile
from tasks.common.errors import GraftError
from tasks.common.files import atomic_folder
from tasks.common.text import printable

NAME = "graft"


def write_triton(model: Path, folder: Path) -> None:
    """Write a model repository of NVIDIA Triton into `folder`: the model as version 1, its configuration, its labels.

    Raises:
        GraftError: The model cannot be used, takes resized pixels, or the folder exists.
    """
    file = ModelFile(model)
    if file.input != IMAGE:
        message = f"{file.name} takes resized pixels. Give the variant that takes images of any size: model.onnx."
        raise GraftError(message)
    if folder.exists():
        message = f"{printable(str(folder))} exists. Give a folder that does not exist yet."
        raise GraftError(message)
    with atomic_folder(folder) as temporary:
        (temporary / NAME / "1").mkdir(parents=True)
        shutil.copyfile(model, temporary / NAME / "1" / "model.onnx")
        (temporary / NAME / "config.pbtxt").write_text(triton_config(file), encoding="utf-8")
        labels = "".join(f"{printable(label)}\n" for label in file.metadata.classes)
        (temporary / NAME / "labels.txt").write_text(labels, encoding="utf-8")


def triton_config(file: ModelFile) -> str:
    """Return the text of config.pbtxt.

    The batch is a dimension of the tensors (max_batch_size 0), because images of one request may differ in size from
    those of another.
    """
    classes = len(file.metadata.classes)
    shapes = {PROBABILITIES: f"-1, {classes}", KNOWN: "-1", FEATURES: "-1, -1"}
    outputs = [name for name in file.outputs if name in shapes]
    lines = [
        f"name: {json.dumps(NAME)}",
        'backend: "onnxruntime"',
        "max_batch_size: 0",
        f"input [ {{ name: {json.dumps(IMAGE)} data_type: TYPE_UINT8 dims: [ -1, -1, -1, 3 ] }} ]",
        "output [",
        ",\n".join(
            f"  {{ name: {json.dumps(name)} data_type: TYPE_FP32 dims: [ {shapes[name]} ]"
            + (' label_filename: "labels.txt" }' if name == PROBABILITIES else " }")
            for name in outputs
        ),
        "]",
    ]
    return "\n".join(lines) + "\n"


def kserve_manifest(storage: str) -> dict[str, object]:
    """Return the InferenceService of KServe for a Triton repository at the URI `storage`; JSON is valid YAML."""
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": NAME},
        "spec": {
            "predictor": {
                "model": {
                    "modelFormat": {"name": "triton"},
                    "protocolVersion": "v2",
                    "storageUri": storage,
                }
            }
        },
    }
