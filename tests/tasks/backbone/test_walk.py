"""Every architecture from end to end: published weights are downloaded, loaded, converted and joined with a head."""

import gc
import hashlib
import json
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import h5py
import keras
import numpy as np
import numpy.typing as npt
import onnx
import pytest
from keras.src.legacy.saving import legacy_h5_format

from tasks.backbone.construction import build, randomize_batch_norm
from tasks.backbone.registry import Architecture, find_imagenet_file, load_architectures, resolve_size
from tasks.backbone.stage import prepare_backbone
from tasks.common.params import Params
from tasks.networks.conversion.keras_to_onnx import convert_head, keras_forward
from tasks.onnx import graphs
from tasks.onnx.resize import Resize, resize_graph
from tasks.onnx.sessions import Session

# A network of each way of preprocessing that converts in seconds, at a size that keeps it cheap but leaves the last
# maps larger than one pixel. `make test-all` runs all networks.
SMALL_SIZES = {
    "MobileNet": 224,
    "DenseNet121": 96,
    "VGG16": 96,
}
# The convolutions of these networks need a single Transpose node, from the image's order of dimensions to their own.
ONE_TRANSPOSE = {
    *("DenseNet121", "DenseNet169", "DenseNet201", "InceptionResNetV2", "InceptionV3", "MobileNet", "NASNetMobile"),
    *("NASNetLarge", "ResNet50", "VGG16", "VGG19", "Xception"),
}
TOLERANCE = 1e-5
BATCH_SIZES = (1, 3)
CLASSES = 4

CASES = [
    *(pytest.param(name, size, id=f"{name}-{size}") for name, size in SMALL_SIZES.items()),
    *(
        pytest.param(name, architecture.input_size, id=name, marks=pytest.mark.thorough)
        for name, architecture in load_architectures().items()
        if SMALL_SIZES.get(name) != architecture.input_size
    ),
]


class SilentHandler(SimpleHTTPRequestHandler):
    """Serves a folder without logging."""

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Serve a folder as the mirror that weights are fetched from; the cache is empty."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SilentHandler, directory=folder))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("GRAFT_MIRROR", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("GRAFT_CACHE", str(tmp_path / "cache"))
    yield folder
    server.shutdown()
    server.server_close()
    # Networks and their graphs form reference cycles of hundreds of megabytes.
    keras.utils.clear_session()
    gc.collect()


def build_trained(architecture: Architecture, size: int) -> keras.Model:
    """Build the network as for ImageNet's weights, with random weights that differ from those of a new network."""
    _, alpha = resolve_size(architecture, size, None)
    model = build(architecture, size, alpha, seed=1, include_top=False, imagenet=True)
    randomize_batch_norm(model, seed=2)
    return model


def publish(
    architecture: Architecture, size: int, model: keras.Model, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Write the weights to the mirror in keras.applications' format, and their hash to the registry."""
    _, alpha = resolve_size(architecture, size, None)
    file = find_imagenet_file(architecture, alpha, size, include_top=False)
    path = mirror / file.url.split("/", 3)[3]
    path.parent.mkdir(parents=True)
    with h5py.File(path, "w") as group:
        legacy_h5_format.save_weights_to_hdf5_group(group, model)
    if architecture.hash_no_top:
        digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        changed = architecture._replace(hash_no_top={alpha: digest})
        monkeypatch.setitem(load_architectures(), architecture.name, changed)


def run_batches(graph: onnx.ModelProto, batches: Sequence[npt.NDArray[np.uint8]]) -> list[npt.NDArray[np.float32]]:
    """Return the graph's output for each batch; the session's copy of the weights is freed."""
    run = Session(graph, threads=2)
    return [run(batch) for batch in batches]


def relative_error(actual: npt.NDArray[np.float32], expected: npt.NDArray[np.float32]) -> float:
    return float(np.abs(actual - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize(("name", "size"), CASES)
def test_published_weights_become_an_exported_file_that_equals_keras(
    name: str, size: int, mirror: Path, tmp_path: Path, settings: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    architecture = load_architectures()[name]
    model = build_trained(architecture, size)
    publish(architecture, size, model, mirror, monkeypatch)
    changes = {"name": name, "weights": "imagenet", "tolerance": TOLERANCE}
    if size != architecture.input_size:
        changes["input_size"] = size
    params = settings.backbone.model_copy(update=changes)
    prepare_backbone(params, None, tmp_path / "out")
    gc.collect()  # frees the stage's own copy of the network

    facts = json.loads((tmp_path / "out" / "backbone.json").read_text())
    assert (facts["parameters"], facts["width"]) == (architecture.parameters, architecture.width)
    assert (facts["weights"], facts["licence"], facts["input_size"]) == ("imagenet", architecture.licence, size)
    graph = onnx.load(tmp_path / "out" / "backbone.onnx")
    if name in ONE_TRANSPOSE:
        assert sum(node.op_type == "Transpose" for node in graph.graph.node) == 1
    keras.utils.set_random_seed(3)
    head = keras.Sequential(
        [
            keras.Input((architecture.width,)),
            keras.layers.Dense(CLASSES, "softmax", kernel_initializer="random_normal"),
        ]
    )
    resize = Session(resize_graph(Resize(size)), threads=1)
    run_keras = keras_forward(model, size, architecture.mode, params.pooling)
    random = np.random.default_rng(4)
    images = [random.integers(0, 256, (count, 61, 87, 3), dtype=np.uint8) for count in BATCH_SIZES]
    expected = [vectors for batch in images for vectors in run_keras(resize(batch))]
    for features, vectors in zip(run_batches(graph, images), expected, strict=True):
        assert relative_error(features, vectors) <= TOLERANCE
    exported = graphs.join(graph, convert_head(head))
    for probabilities, vectors in zip(run_batches(exported, images), expected, strict=True):
        assert relative_error(probabilities, np.asarray(head(vectors))) <= TOLERANCE
