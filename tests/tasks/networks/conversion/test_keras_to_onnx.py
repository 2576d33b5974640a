import json

import keras
import numpy as np
import onnx
import pytest

from tasks.networks.conversion.keras_to_onnx import convert_base, convert_head, keras_forward, pool
from tasks.onnx import graphs
from tasks.onnx.resize import Resize
from tasks.onnx.sessions import Session

layers = keras.layers


@pytest.fixture(scope="module")
def two_taps() -> keras.Model:
    keras.utils.set_random_seed(1)
    source = keras.Input((16, 16, 3))
    low = layers.Conv2D(4, 3, name="low")(source)
    return keras.Model(source, [low, layers.Conv2D(6, 3, name="high")(low)])


def test_the_metadata_name_tensor_layer_and_width_of_each_tap(two_taps: keras.Model) -> None:
    graph = convert_base(two_taps, Resize(16), "tf", "max")
    onnx.checker.check_model(graph, full_check=True)
    assert [output.name for output in graph.graph.output] == ["features"]
    assert {key: json.loads(text) for key, text in graphs.metadata(graph).items()} == {
        "taps": [
            {"layer": "low", "tensor": "features/low", "width": 4, "depth": 0.5},
            {"layer": "high", "tensor": "features/high", "width": 6, "depth": 1.0},
        ]
    }


@pytest.mark.parametrize("mode", ["tf", "torch", "caffe", "none"])
def test_features_are_the_taps_vectors_of_keras_side_by_side(two_taps: keras.Model, mode: str) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    expected = np.concatenate(keras_forward(two_taps, 16, mode, "avg")(images), axis=1)
    features = Session(convert_base(two_taps, Resize(16), mode, "avg"), 1)(images)
    assert features.shape == (3, 10)
    assert features.dtype == np.float32
    assert np.abs(features - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        pytest.param("avg", [[1.5, 2.5]], id="avg"),
        pytest.param("max", [[3, 4]], id="max"),
        pytest.param("none", [[0, 1, 3, 4]], id="none"),
    ],
)
def test_maps_are_pooled_or_flattened_and_vectors_stay(pooling: str, expected: list[list[float]]) -> None:
    maps = np.array([[[[0, 1], [3, 4]]]], np.float32)
    assert np.asarray(pool(maps, pooling)).tolist() == expected
    vectors = np.array([[1, 2, 3]], np.float32)
    assert np.asarray(pool(vectors, pooling)).tolist() == [[1, 2, 3]]


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [("avg", [[1.5, 2.5]]), ("max", [[3, 4]]), ("none", [[0, 1, 3, 4]]), ("cls", [[0, 1]])],
)
def test_tokens_are_pooled_or_flattened_or_the_first_is_taken(pooling: str, expected: list[list[float]]) -> None:
    assert np.asarray(pool(np.array([[[0, 1], [3, 4]]], np.float32), pooling)).tolist() == expected


def test_the_graph_of_a_head_gives_the_probabilities_of_keras() -> None:
    keras.utils.set_random_seed(1)
    head = keras.Sequential([keras.Input((5,)), layers.Dropout(0.5), layers.Dense(3, "softmax")])
    features = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    graph = convert_head(head)
    assert [output.name for output in graph.graph.output] == ["probabilities"]
    np.testing.assert_allclose(Session(graph, 1)(features), np.asarray(head(features)), rtol=1e-5)
