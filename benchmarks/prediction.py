"""The exported file in use: latency of one image beside Keras, and the rate of `graft predict` beside extraction.

    python -m benchmarks.prediction

Both networks are MobileNet at 224 pixels with random weights and a dense head over ten classes; random weights compute
as long as trained ones. All sides start from decoded pixels of a photograph, of 500x375, and include the resize. Keras
uses all cores in its own way.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import mean, median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks import photos, results
from benchmarks.features import BACKBONE, GRAFT, run
from tasks.onnx import graphs
from tasks.onnx.model_metadata import ModelMetadata

ROOT = Path(__file__).parents[1]
PACKAGES = ["keras", "tensorflow", "onnxruntime", "pillow"]
CLASSES = 10
PHOTOGRAPHS = 1000
TURNS = 3

LATENCY = """
import json, sys, time
from pathlib import Path
from statistics import median
import numpy as np
pixels = np.random.default_rng(0).integers(0, 256, (1, 375, 500, 3), np.uint8)

def latency(call, times):
    for _ in range(5):
        call()
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return 1000 * median(seconds)

if sys.argv[1] == "graft":
    from graft import Classifier
    classifier = Classifier(sys.argv[2])
    print(json.dumps({"call": latency(lambda: classifier.run(pixels), 60)}))
else:
    import keras, tensorflow as tf
    base = keras.applications.MobileNet(weights=None, include_top=False, pooling="avg", input_shape=(224, 224, 3))
    model = keras.Sequential([base, keras.layers.Dense(10, activation="softmax")])
    def prepare():
        return tf.image.resize(pixels, (224, 224)) / 127.5 - 1
    print(json.dumps({
        "call": latency(lambda: model(prepare(), training=False).numpy(), 30),
        "predict": latency(lambda: model.predict(prepare(), verbose=0), 30),
    }))
"""
PREDICT = """
import json, sys, time
from graft import Classifier
from graft.sources import find_images
from graft.predict.formats import write_csv
classifier = Classifier(sys.argv[1])
start = time.perf_counter()
with open(sys.argv[3], "w") as file:
    write_csv(classifier.stream(find_images([sys.argv[2]])), classifier.classes, 1, file)
print(json.dumps({"seconds": time.perf_counter() - start}))
"""


def write_classifier(base: Path, path: Path) -> None:
    """Write a classifier of a base's ONNX file and a random dense layer."""
    backbone = onnx.load(base)
    width = graphs.output_width(backbone)
    weights = np.random.default_rng(0).normal(0, 0.1, (width, CLASSES)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["features", "weights"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
        ],
        "head",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", width])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", CLASSES])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = graphs.join(backbone, graphs.make_model(graph))
    graphs.set_metadata(model, ModelMetadata([str(number) for number in range(CLASSES)]).to_texts())
    graphs.save(model, path)


def start_seconds(model: Path, image: Path) -> float:
    """Return the seconds of a whole process of `graft predict` with one image."""
    command = [sys.executable, "-m", "graft", "predict", "--model", str(model), str(image)]
    start = time.perf_counter()
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    return time.perf_counter() - start


def main() -> None:
    """Measure, and renew the section of RESULTS.md."""
    with TemporaryDirectory() as folder:
        scratch = Path(folder)
        run(BACKBONE, "MobileNet", "none", scratch / "base")
        base, model = scratch / "base" / "backbone.onnx", scratch / "model.onnx"
        write_classifier(base, model)
        paths = photos.write(scratch / "photos" / "images", PHOTOGRAPHS)
        photos.accept(scratch / "photos" / "images", paths, scratch / "photos" / "accepted.parquet")
        sides: dict[str, list[Any]] = {"graft": [], "keras": [], "extraction": [], "predict": [], "start": []}
        for turn in range(TURNS):
            for side in ("graft", "keras"):
                sides[side].append(run(LATENCY, side, model))
            store = scratch / f"store{turn}"
            extraction = run(GRAFT, scratch / "photos", base, "onnxruntime", "float32", store)
            sides["extraction"].append(extraction["seconds"])
            predicted = run(PREDICT, model, scratch / "photos" / "images", scratch / "predictions.csv")
            sides["predict"].append(predicted["seconds"])
            sides["start"].append(start_seconds(model, scratch / "photos" / "images" / paths[0]))
    ours = median(row["call"] for row in sides["graft"])
    call, predict = (median(row[way] for row in sides["keras"]) for way in ("call", "predict"))
    rates = [PHOTOGRAPHS / mean(sides[side]) for side in ("extraction", "predict")]
    rows = [
        ("one image, `model(x)` of Keras", f"{call:.1f} ms", f"{ours:.1f} ms", f"**{call / ours:.1f}**", "3"),
        ("one image, `predict` of Keras", f"{predict:.1f} ms", f"{ours:.1f} ms", f"**{predict / ours:.1f}**", "10"),
        (
            "1,000 JPEG files, extraction and `graft predict`",
            f"{rates[0]:.0f}/s",
            f"{rates[1]:.0f}/s",
            f"**{rates[1] / rates[0]:.2f}**",
            "0.9",
        ),
        ("`graft predict` with one image, the whole process", "", f"{median(sides['start']):.2f} s", "", "below 1 s"),
    ]
    results.renew("Prediction", ["work", "beside", "Graft", "ratio", "asked"], rows, PACKAGES)
    print(json.dumps(sides, indent=1))


if __name__ == "__main__":
    main()
