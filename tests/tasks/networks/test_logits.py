import keras
import numpy as np
import pytest

from tasks.networks.logits import divide_by_temperature, predict_logits

INPUTS = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)


@pytest.fixture
def classifier() -> keras.Model:
    keras.utils.set_random_seed(0)
    source = keras.Input((7,))
    hidden = keras.layers.Dense(4, activation="relu")(source)
    return keras.Model(source, keras.layers.Dense(3, activation="softmax")(hidden))


def softmax(logits: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))


def test_logits_are_the_values_before_the_softmax(classifier: keras.Model) -> None:
    np.testing.assert_allclose(softmax(predict_logits(classifier, INPUTS)), classifier(INPUTS), rtol=1e-5)


def test_a_temperature_divides_the_logits(classifier: keras.Model) -> None:
    logits = predict_logits(classifier, INPUTS)
    divide_by_temperature(classifier, 2.0)
    np.testing.assert_allclose(classifier(INPUTS), softmax(logits / 2), rtol=1e-5)
