import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from graft import Classifier, GraftError
from graft.sources import ContentSource
from tasks.onnx import graphs
from tests.graft.models import METADATA, colour_model, write_colour_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_colour_model(tmp_path_factory.mktemp("model") / "model.onnx")


def save(path: Path, *colour: int, size: tuple[int, int] = (50, 30)) -> Path:
    Image.new("RGB", size, colour).save(path)
    return path


def test_each_file_gets_a_prediction_in_order_and_broken_ones_their_reason(model: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("no picture")
    paths = [save(tmp_path / "red.png", 200, 10, 10), tmp_path / "missing.png", tmp_path / "notes.jpg"]
    paths += [save(tmp_path / "grey.png", 90, 100, 90), save(tmp_path / "blue.jpg", 0, 0, 255, size=(7, 9))]
    predictions = Classifier(model).predict(paths, features=True)
    assert [prediction.path for prediction in predictions] == [str(path) for path in paths]
    assert [prediction.label for prediction in predictions] == ["red", None, None, "green", "blue"]
    assert [prediction.is_known for prediction in predictions] == [True, None, None, False, True]
    assert [prediction.error for prediction in predictions][:3] == [
        None,
        "cannot be read: No such file or directory",
        "not an image in a known format (JPEG, PNG, WEBP, BMP, GIF, TIFF, AVIF, HEIC, JPEG 2000, PPM, TGA)",
    ]
    red = predictions[0]
    assert red.probabilities is not None
    assert red.features is not None
    assert red.probability == red.probabilities[0] == red.probabilities.max()
    np.testing.assert_allclose(red.features, np.array([200, 10, 10]) / 255, atol=1e-6)


@pytest.mark.parametrize(
    ("image", "label"),
    [
        pytest.param(Image.new("RGB", (1, 1), (0, 200, 0)), "green", id="1x1"),
        pytest.param(Image.new("RGB", (3000, 2), (0, 200, 0)), "green", id="long"),
        pytest.param(Image.new("L", (9, 9), 90), "red", id="grey"),
        pytest.param(Image.new("RGBA", (9, 9), (0, 0, 200, 0)), "red", id="transparent, so white"),
        pytest.param(Image.new("I;16", (9, 9), 30000), "red", id="16 bit"),
    ],
)
def test_images_of_every_size_and_mode_are_predicted(
    model: Path, tmp_path: Path, image: Image.Image, label: str
) -> None:
    image.save(tmp_path / "image.png")
    [prediction] = Classifier(model).predict([tmp_path / "image.png"])
    assert (prediction.label, prediction.error) == (label, None)


def test_an_image_with_too_many_pixels_is_refused(model: Path, tmp_path: Path) -> None:
    path = save(tmp_path / "large.png", 0, 0, 0, size=(2000, 1001))
    [prediction] = Classifier(model, max_megapixels=2).predict([path])
    assert prediction.error == "2000x1001 pixels are more than 2 megapixels"


def test_a_model_without_known_says_nothing_about_it(tmp_path: Path) -> None:
    model = write_colour_model(tmp_path / "model.onnx", known=False)
    [prediction] = Classifier(model).predict([save(tmp_path / "red.png", 200, 10, 10)])
    assert (prediction.label, prediction.known, prediction.is_known) == ("red", None, None)


def test_no_images_give_no_predictions(model: Path) -> None:
    assert Classifier(model).predict([]) == []


def test_pixels_are_classified_in_a_batch_as_one_by_one(model: Path) -> None:
    classifier = Classifier(model)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 40, 60, 3), np.uint8)
    together = classifier.run(pixels, features=True)
    alone = [classifier.run(image[None], features=True) for image in pixels]
    np.testing.assert_array_equal(together.probabilities, np.concatenate([row.probabilities for row in alone]))
    assert together.features is not None
    assert [prediction.path for prediction in classifier.predictions(["a", "b", "c"], together)] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        pytest.param(np.zeros((2, 2, 3), np.uint8), "found uint8 [2, 2, 3].", id="one image"),
        pytest.param(np.zeros((1, 2, 2, 3), np.float32), "found float32 [1, 2, 2, 3].", id="floats"),
        pytest.param(np.zeros((0, 2, 2, 3), np.uint8), "found uint8 [0, 2, 2, 3].", id="none"),
    ],
)
def test_pixels_of_another_form_are_refused(model: Path, pixels: np.ndarray, message: str) -> None:
    with pytest.raises(GraftError) as caught:
        Classifier(model).run(pixels)
    assert str(caught.value) == f"expected pixels uint8 [N, H, W, 3], {message}"


def test_a_reason_is_passed_on_as_a_prediction(model: Path) -> None:
    [prediction] = Classifier(model).stream([ContentSource("a.zip/1.png", b"", "is encrypted")])
    assert (prediction.path, prediction.error) == ("a.zip/1.png", "is encrypted")


def set_metadata(key: str, value: str | None) -> bytes:
    model = colour_model()
    texts = graphs.metadata(model)
    model.ClearField("metadata_props")
    if value is None:
        del texts[key]
    else:
        texts[key] = value
    graphs.set_metadata(model, texts)
    return bytes(model.SerializeToString())


def set_opset(version: int) -> bytes:
    model = colour_model()
    model.opset_import[0].version = version
    return bytes(model.SerializeToString())


def rename_output() -> bytes:
    model = colour_model()
    next(node for node in model.graph.node if node.output[0] == "probabilities").output[0] = "scores"
    model.graph.output[0].name = "scores"
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(lambda: b"", "m.onnx cannot be loaded by ONNX Runtime", id="empty"),
        pytest.param(lambda: b"no model", "m.onnx cannot be loaded by ONNX Runtime", id="not ONNX"),
        pytest.param(
            lambda: colour_model().SerializeToString()[:-400], "m.onnx cannot be loaded by ONNX Runtime", id="truncated"
        ),
        pytest.param(lambda: set_opset(99), "m.onnx cannot be loaded by ONNX Runtime", id="unknown opset"),
        pytest.param(
            lambda: set_metadata("classes", None), "its metadata name no classes. Give the model.onnx", id="not ours"
        ),
        pytest.param(lambda: set_metadata("classes", "[1]"), "expected a list of class names", id="numbers"),
        pytest.param(lambda: set_metadata("classes", "[red"), "m.onnx has damaged metadata", id="damaged"),
        pytest.param(
            lambda: set_metadata("classes", '["red"]'),
            "m.onnx has damaged metadata: expected 3 classes, one for each of its probabilities, found 1. Export it",
            id="too few classes",
        ),
        pytest.param(lambda: set_metadata("metrics", "[" * 100_000), "m.onnx has damaged metadata", id="nested"),
        pytest.param(
            lambda: set_metadata("novelty", '{"threshold": "0.5"}'),
            "expected a number as the threshold of 'novelty'",
            id="text as the threshold",
        ),
        pytest.param(lambda: set_metadata("novelty", "[1]"), "expected an object as 'novelty'", id="list as an object"),
        pytest.param(
            lambda: set_metadata("format", "2"),
            "by Graft 0.1.0, whose files have format 2; this Graft reads formats up to 1. Update Graft.",
            id="newer",
        ),
        pytest.param(
            rename_output, "expected an input 'image' or 'resized', and an output 'probabilities'.", id="outputs"
        ),
    ],
)
def test_a_file_that_is_no_model_of_ours_ends_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: Callable[[], bytes], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.onnx").write_bytes(content())
    with pytest.raises(GraftError) as caught:
        Classifier("m.onnx")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_model_and_one_of_a_fixed_size_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GraftError, match=r"^no.onnx cannot be read: No such file or directory. Expected a model"):
        Classifier("no.onnx")
    fixed = graphs.extract(colour_model(), "resized", "probabilities")
    graphs.set_metadata(fixed, METADATA.to_texts())
    onnx.save(fixed, "fixed.onnx")
    with pytest.raises(
        GraftError, match=r"^fixed.onnx takes resized pixels. Give the variant that takes images of any"
    ):
        Classifier("fixed.onnx")


def test_a_file_of_an_earlier_graft_is_read() -> None:
    from tasks.onnx.model_metadata import read_metadata

    texts = {"classes": json.dumps(["a", "b"]), "preprocessing": "RGB", "backbone": json.dumps({"name": "MobileNet"})}
    metadata = read_metadata(texts, "m.onnx")
    assert (metadata.format, metadata.classes, metadata.backbone) == (0, ["a", "b"], {"name": "MobileNet"})
    assert metadata.novelty == {}


def test_metadata_are_read_as_they_were_written() -> None:
    from tasks.onnx.model_metadata import read_metadata

    assert read_metadata(METADATA.to_texts(), "m.onnx") == METADATA
