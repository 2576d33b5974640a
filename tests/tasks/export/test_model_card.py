from dataclasses import replace

import pytest

from tasks.export.model_card import File, escape, write_card
from tests.graft.models import METADATA


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("tabby cat", "tabby cat", id="plain"),
        pytest.param("a|b", "a\\|b", id="cell"),
        pytest.param("a\n# b", "a\\\\n\\# b", id="line break"),
        pytest.param("<img src=x>", "&lt;img src=x&gt;", id="HTML"),
        pytest.param("[a](b)", "\\[a\\](b)", id="link"),
        pytest.param("`*_~", "\\`\\*\\_\\~", id="emphasis"),
        pytest.param("www.example.org", "www\\.example\\.org", id="host"),
        pytest.param("https://a", "https:\\/\\/a", id="address"),
    ],
)
def test_names_are_shown_as_they_are(name: str, expected: str) -> None:
    assert escape(name) == expected


def test_the_card_names_what_is_missing_and_the_limits_of_the_figures() -> None:
    metadata = replace(METADATA, metrics=METADATA.metrics | {"macro_f1": 0.89})
    card = write_card(metadata, [File("model.onnx", 1234, "for ONNX Runtime")], ["model.int8.onnx was not written"])
    assert "| `model.onnx` | 1,234 | for ONNX Runtime |" in card
    assert "- model\\.int8\\.onnx was not written" in card
    assert "- accuracy 90.0% (95% interval 80.0% to 95.0%) and macro F1 89.0% on 9 images, each" in card
    assert "- a picture with `known` below 0.5 is unknown; so are 5.0% of the pictures" in card
    assert "- images: 6 train, 3 val, 3 test" in card
