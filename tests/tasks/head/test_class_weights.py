import numpy as np
import pytest

from tasks.common.errors import GraftError
from tasks.head.class_weights import resolve

CLASSES = ["cat", "dog"]
TARGETS = np.array([0, 0, 0, 1])


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("none", {"none": [1, 1]}),
        ("balanced", {"balanced": [2 / 3, 2]}),
        ("auto", {"none": [1, 1], "balanced": [2 / 3, 2]}),
        ({"cat": 1.0, "dog": 5.0}, {"given": [0.5, 2.5]}),
    ],
)
def test_weights_follow_the_setting(setting: str | dict[str, float], expected: dict[str, list[float]]) -> None:
    weights = resolve(setting, TARGETS, CLASSES)
    assert list(weights) == list(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(weights[name], values)


def test_classes_of_about_the_same_size_are_not_weighed() -> None:
    assert list(resolve("auto", np.array([0] * 11 + [1] * 10), CLASSES)) == ["none"]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            {"cat": 1.0, "dgo": 2.0},
            "head.class_weight names the class 'dgo', which does not exist. Did you mean 'dog'?",
        ),
        ({"cat": 1.0}, "head.class_weight leaves out 'dog'. Give every class a weight, such as 1."),
    ],
)
def test_weights_that_do_not_fit_the_classes_are_refused(setting: dict[str, float], message: str) -> None:
    with pytest.raises(GraftError) as error:
        resolve(setting, TARGETS, CLASSES)
    assert str(error.value) == message
