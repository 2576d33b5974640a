import keras
import numpy as np
import numpy.typing as npt
import pytest

from tasks.common.params import Params
from tasks.head.classifier import build_head
from tasks.networks import training
from tests.tasks.head.examples import blobs

WIDTH = 6


def scaled(head: keras.Model, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.asarray(keras.Model(head.input, head.get_layer("scale").output)(features))


@pytest.mark.parametrize("factor", [1e-30, 1e-16, 1e-6, 1.0, 1e6, 1e16, 1e30])
@pytest.mark.parametrize("offset", [0.0, 50.0])
def test_features_of_any_size_are_standardised(factor: float, offset: float) -> None:
    features = ((blobs([40] * 3, apart=3.0)[0] + offset) * factor).astype(np.float32)
    values = scaled(build_head(features, 3, [4], 0.1), features)
    np.testing.assert_allclose(values.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(values.std(axis=0), 1, rtol=1e-4)


@pytest.mark.parametrize("value", [0.0, 3.0, -7.5])
def test_a_constant_feature_stays_near_zero_and_leaves_the_others_alone(value: float) -> None:
    features, _ = blobs([40] * 3, apart=3.0)
    plain = scaled(build_head(features, 3, [], 0), features)
    features[:, 2] = value
    values = scaled(build_head(features, 3, [], 0), features)
    assert np.abs(values[:, 2]).max() < 1e-2
    others = [column for column in range(WIDTH) if column != 2]
    np.testing.assert_array_equal(values[:, others], plain[:, others])


def test_features_that_are_all_zero_give_finite_probabilities() -> None:
    features = np.zeros((8, WIDTH), np.float32)
    probabilities = np.asarray(build_head(features, 3, [4], 0.1)(features))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)


def test_a_feature_that_hardly_varies_is_not_scaled_up_to_the_others() -> None:
    features, _ = blobs([40] * 3, apart=3.0)
    features[:, 0] *= 1e-7
    values = scaled(build_head(features, 3, [], 0), features)
    assert values[:, 0].std() < 1e-2


@pytest.mark.parametrize(("hidden", "widths"), [([], [3]), ([5], [5, 3]), ([8, 4], [8, 4, 3])])
def test_the_layers_are_those_of_the_params(hidden: list[int], widths: list[int]) -> None:
    head = build_head(blobs([4] * 3, apart=3.0)[0], 3, hidden, 0.25)
    assert (head.input_shape, head.output_shape) == ((None, WIDTH), (None, 3))
    assert [layer.units for layer in head.layers if isinstance(layer, keras.layers.Dense)] == widths
    dropouts = [layer.rate for layer in head.layers if isinstance(layer, keras.layers.Dropout)]
    assert dropouts == [0.25] * len(widths)


@pytest.mark.parametrize("factor", [1e-16, 1.0, 1e10])
def test_classes_that_lie_apart_are_learnt_whatever_the_scale(settings: Params, factor: float) -> None:
    keras.utils.set_random_seed(0)
    (train, targets), (val, val_targets) = blobs([40] * 3, apart=3.0), blobs([20] * 3, seed=1, apart=3.0)
    train, val = train * np.float32(factor), val * np.float32(factor)
    params = settings.head.model_copy(update={"epochs": 8, "learning_rate": 0.02})
    head = build_head(train, 3, [16], 0.1)
    history = training.fit(head, (train, targets), (val, val_targets), 3, params, "head")
    assert min(history, key=lambda row: row["val_loss"])["val_accuracy"] > 0.95
