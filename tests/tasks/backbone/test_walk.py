"""Every architecture, the whole way: built, saved, served over loopback, fetched, loaded, converted, exported."""

import gc
import hashlib
import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import h5py
import keras
import numpy as np
import onnx
import pytest
from keras.src.legacy.saving import legacy_h5_format

from tasks.backbone.construction import build, randomize_batch_norm
from tasks.backbone.registry import Architecture, architectures, imagenet_file, sized
from tasks.backbone.stage import make
from tasks.common.params import Params
from tasks.networks.conversion.keras_to_onnx import convert_head, keras_forward
from tasks.onnx import graphs
from tasks.onnx.sessions import Session

# Named in the issue that the project grew from; the others walk in `make test-all`.
SEEDS = (
    "DenseNet121",
    "DenseNet169",
    "DenseNet201",
    "InceptionResNetV2",
    "InceptionV3",
    "MobileNet",
    "NASNetMobile",
    "NASNetLarge",
    "ResNet50",
    "VGG16",
    "VGG19",
    "Xception",
)
TOLERANCE = 1e-5
BATCHES = (1, 3)
CLASSES = 4


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder without a word."""

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Serve a folder as the mirror that weights are fetched from; the cache is empty."""
    served = tmp_path / "served"
    served.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=served))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("GRAFT_MIRROR", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("GRAFT_CACHE", str(tmp_path / "cache"))
    yield served
    server.shutdown()
    server.server_close()
    # Networks and their graphs refer to each other in circles: hundreds of megabytes each, which nobody else collects.
    keras.utils.clear_session()
    gc.collect()


def trained(row: Architecture) -> keras.Model:
    """Build the network as for ImageNet's weights, with random ones that no new network has."""
    size, alpha = sized(row, None, None)
    model = build(row, size, alpha, seed=1, include_top=False, imagenet=True)
    randomize_batch_norm(model, seed=2)
    return model


def publish(row: Architecture, model: keras.Model, host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the weights where the mirror has them, in keras.applications' format, with their hash in the registry."""
    size, alpha = sized(row, None, None)
    file = imagenet_file(row, alpha, size, include_top=False)
    place = host / file.url.split("/", 3)[3]
    place.parent.mkdir(parents=True)
    with h5py.File(place, "w") as opened:
        legacy_h5_format.save_weights_to_hdf5_group(opened, model)
    if row.hash_no_top:
        digest = hashlib.md5(place.read_bytes(), usedforsecurity=False).hexdigest()
        monkeypatch.setitem(architectures(), row.name, row._replace(hash_no_top={alpha: digest}))


def vectors(model: keras.Model, row: Architecture, pooling: str, pictures: list[np.ndarray]) -> list[np.ndarray]:
    """Return what Keras makes of each batch."""
    run = keras_forward(model, row.input_size, row.mode, pooling)
    return [found for batch in pictures for found in run(batch)]


def outputs(graph: onnx.ModelProto, pictures: list[np.ndarray]) -> list[np.ndarray]:
    """Return what ONNX Runtime makes of each batch; its copy of the weights goes away with the session."""
    run = Session(graph, threads=2)
    return [run(batch) for batch in pictures]


def error(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize(
    "name", [*SEEDS, *(pytest.param(name, marks=pytest.mark.thorough) for name in architectures() if name not in SEEDS)]
)
def test_an_architecture_walks_from_published_weights_to_an_exported_file_that_equals_keras(
    name: str, host: Path, tmp_path: Path, settings: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = architectures()[name]
    model = trained(row)
    publish(row, model, host, monkeypatch)
    params = settings.backbone.model_copy(update={"name": name, "weights": "imagenet", "tolerance": TOLERANCE})
    make(params, None, tmp_path / "out")
    gc.collect()  # the stage's own copy of the network

    facts = json.loads((tmp_path / "out" / "backbone.json").read_text())
    assert (facts["parameters"], facts["width"]) == (row.parameters, row.width)
    assert (facts["weights"], facts["licence"], facts["input_size"]) == ("imagenet", row.licence, row.input_size)
    graph = onnx.load(tmp_path / "out" / "backbone.onnx")
    if name in SEEDS:
        # The one from the picture's order of dimensions to the convolutions' own.
        assert sum(node.op_type == "Transpose" for node in graph.graph.node) == 1
    keras.utils.set_random_seed(3)
    head = keras.Sequential(
        [keras.Input((row.width,)), keras.layers.Dense(CLASSES, "softmax", kernel_initializer="random_normal")]
    )
    resize = Session(graphs.resize_graph(row.input_size), threads=1)
    random = np.random.default_rng(4)
    pictures = [random.integers(0, 256, (count, 61, 87, 3), dtype=np.uint8) for count in BATCHES]
    expected = vectors(model, row, params.pooling, [resize(batch) for batch in pictures])
    for found, vector in zip(outputs(graph, pictures), expected, strict=True):
        assert error(found, vector) <= TOLERANCE
    for found, vector in zip(outputs(graphs.join(graph, convert_head(head)), pictures), expected, strict=True):
        assert error(found, np.asarray(head(vector))) <= TOLERANCE
