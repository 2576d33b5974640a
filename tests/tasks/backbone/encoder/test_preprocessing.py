import json
import re
from pathlib import Path
from typing import Any

import pytest

from tasks.backbone.encoder.preprocessing import choose_resize, read_preprocessing
from tasks.common.errors import GraftError
from tasks.common.params import EncoderPreprocessing, Params
from tasks.onnx.resize import Resize

IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
HALF = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
CLIP = {
    "crop_size": {"height": 224, "width": 224},
    "do_center_crop": True,
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_processor_type": "CLIPImageProcessor",
    "resample": 3,
    "rescale_factor": 1 / 255,
    "size": {"shortest_edge": 224},
    **IMAGENET,
}
VIT = {"do_normalize": True, "do_resize": True, "resample": 2, "size": 224, **HALF}
CONVNEXT = {
    "image_processor_type": "ConvNextImageProcessor",
    "crop_pct": 0.875,
    "resample": 3,
    "size": {"shortest_edge": 224},
    **IMAGENET,
}
TIMM = {
    "crop_mode": "center",
    "crop_pct": 0.95,
    "input_size": [3, 224, 224],
    "interpolation": "bicubic",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
}


def write(folder: Path, document: object, name: str = "preprocessor_config.json") -> Path:
    (folder / name).write_text(json.dumps(document))
    return folder / "encoder.onnx"


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        pytest.param(VIT, Resize(224), id="ViT, size is a number"),
        pytest.param(VIT | {"size": {"height": 384, "width": 384}}, Resize(384), id="ViT"),
        pytest.param(
            VIT
            | {"image_processor_type": "SiglipImageProcessorFast", "do_center_crop": None, "crop_size": None}
            | {"size": {"height": 384, "width": 384, "shortest_edge": None}},
            Resize(384),
            id="fast processor, whose steps that are off are null",
        ),
        pytest.param(CLIP, Resize(224, "crop", interpolation="bicubic"), id="CLIP"),
        pytest.param(
            CLIP | {"size": 224, "crop_size": 224, "feature_extractor_type": "CLIPFeatureExtractor"},
            Resize(224, "crop", interpolation="bicubic"),
            id="CLIP of 2022",
        ),
        pytest.param(
            CLIP | {"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 256}},
            Resize(224, "crop", 0.875, interpolation="bicubic"),
            id="DINOv2",
        ),
        pytest.param(
            VIT | {"image_processor_type": "SiglipImageProcessor", "resample": 3},
            Resize(224, interpolation="bicubic"),
            id="SigLIP",
        ),
        pytest.param(
            VIT | {"image_processor_type": "DeiTImageProcessor", "size": 256, "do_center_crop": True, "crop_size": 224},
            Resize(224, "stretch", 0.875),
            id="DeiT stretches, then crops",
        ),
        pytest.param(CONVNEXT, Resize(224, "crop", 0.875, interpolation="bicubic"), id="ConvNeXt"),
        pytest.param(
            CONVNEXT | {"size": {"shortest_edge": 384}},
            Resize(384, interpolation="bicubic"),
            id="ConvNeXt of 384 pixels stretches",
        ),
    ],
)
def test_the_resize_is_that_of_the_image_processor(
    tmp_path: Path, settings: Params, document: object, expected: Resize
) -> None:
    preprocessing = read_preprocessing(settings.backbone, write(tmp_path, document))
    assert preprocessing.size == expected.size
    assert choose_resize(settings.backbone, preprocessing, expected.size) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, Resize(224, "crop", 224 / 235, interpolation="bicubic"), id="center"),
        pytest.param({"crop_mode": "squash", "crop_pct": 1}, Resize(224, interpolation="bicubic"), id="squash"),
    ],
)
def test_the_resize_is_that_of_timm(
    tmp_path: Path, settings: Params, changes: dict[str, Any], expected: Resize
) -> None:
    encoder = write(tmp_path, {"architecture": "vit", "pretrained_cfg": TIMM | changes}, "config.json")
    preprocessing = read_preprocessing(settings.backbone, encoder)
    assert choose_resize(settings.backbone, preprocessing, 224) == expected
    assert (preprocessing.scale, preprocessing.mean, preprocessing.std) == (1 / 255, (0.5,) * 3, (0.5,) * 3)


def test_params_that_are_no_defaults_replace_the_published_resize(tmp_path: Path, settings: Params) -> None:
    params = settings.backbone.model_copy(update={"fit": "pad", "pad_colour": [9, 9, 9]})
    preprocessing = read_preprocessing(params, write(tmp_path, CLIP))
    assert choose_resize(params, preprocessing, 64) == Resize(64, "pad", 1.0, (9, 9, 9), "bicubic")


@pytest.mark.parametrize(
    ("changes", "scale", "mean"),
    [
        pytest.param({}, 1 / 255, (0.485, 0.456, 0.406), id="all steps"),
        pytest.param({"do_rescale": False}, 1.0, (0.485, 0.456, 0.406), id="without rescaling"),
        pytest.param({"image_mean": 0.5}, 1 / 255, (0.5, 0.5, 0.5), id="one mean for all channels"),
        pytest.param({"do_normalize": False, "rescale_factor": 0.5}, 0.5, (0.0, 0.0, 0.0), id="without normalising"),
    ],
)
def test_steps_that_are_off_are_left_out(
    tmp_path: Path, settings: Params, changes: dict[str, Any], scale: float, mean: tuple[float, ...]
) -> None:
    preprocessing = read_preprocessing(settings.backbone, write(tmp_path, CLIP | changes))
    assert (preprocessing.scale, preprocessing.mean) == (scale, mean)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        pytest.param({"resample": 1}, "'resample' is 1; expected 2 (bilinear) or 3 (bicubic)", id="Lanczos"),
        pytest.param({"resample": None}, "'resample' is missing; expected 2 (bilinear) or 3 (bicubic)", id="no filter"),
        pytest.param(
            {"do_flip_channel_order": True},
            "'do_flip_channel_order' is True; expected a step that Graft knows, or false",
            id="unknown step",
        ),
        pytest.param(
            {"do_\x1b[31m\n": True},
            "'do_\\x1b[31m\\n' is True; expected a step that Graft knows, or false",
            id="control characters",
        ),
        pytest.param(
            {"do_resize": False},
            "'do_resize' is False; expected true, because the network has one input size",
            id="off",
        ),
        pytest.param(
            {"do_center_crop": False},
            "'do_center_crop' is False; expected true, since size is a shortest_edge",
            id="contradiction",
        ),
        pytest.param(
            {"crop_size": 300}, "'crop_size' is 300; expected at most the 224 pixels of size", id="large crop"
        ),
        pytest.param(
            {"size": {"longest_edge": 224}},
            "'size' is {'longest_edge': 224}; expected a number, height and width, or shortest_edge alone",
            id="longest edge",
        ),
        pytest.param(
            {"size": {"height": 224, "width": 384}},
            "'size' is {'height': 224, 'width': 384}; expected a height that equals the width",
            id="oblong",
        ),
        pytest.param(
            {"size": {"shortest_edge": 10**9}},
            "'size' is 1000000000; expected pixels, from 1 to 4,096",
            id="absurd size",
        ),
        pytest.param(
            {"size": 256, "image_processor_type": None},
            "'size' is 256; expected height and width, or shortest_edge, since no image_processor_type is named",
            id="unclear size",
        ),
        pytest.param(
            {"image_std": [1, 0, 1]}, "'image_std' is [1, 0, 1]; expected three numbers above 0", id="std of 0"
        ),
        pytest.param({"image_mean": "x"}, "'image_mean' is 'x'; expected three numbers", id="mean of text"),
        pytest.param({"image_mean": None}, "'image_mean' is missing; expected three numbers", id="no mean"),
        pytest.param({"do_rescale": "no"}, "'do_rescale' is 'no'; expected true or false", id="flag of text"),
    ],
)
def test_what_is_unknown_or_contradictory_is_named_with_its_key_and_file(
    tmp_path: Path, settings: Params, changes: dict[str, Any], problem: str
) -> None:
    encoder = write(tmp_path, CLIP | changes)
    advice = "State the preprocessing in backbone.preprocessing of params.yaml instead."
    with pytest.raises(GraftError, match=f"^preprocessor_config.json: {re.escape(problem)}. {advice}$"):
        read_preprocessing(settings.backbone, encoder)


@pytest.mark.parametrize("text", ["", "[", "[" * 100_000, "3", "\xff"], ids=["empty", "cut", "deep", "number", "bytes"])
def test_a_file_that_is_no_object_of_json_is_refused(tmp_path: Path, settings: Params, text: str) -> None:
    (tmp_path / "preprocessor_config.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(
        GraftError, match="^preprocessor_config.json is (not valid JSON: |JSON, but no object with keys)"
    ):
        read_preprocessing(settings.backbone, tmp_path / "encoder.onnx")


def test_a_missing_file_is_asked_for(tmp_path: Path, settings: Params) -> None:
    encoder = write(tmp_path, {"hidden_size": 768}, "config.json")
    expected = (
        "there is no preprocessor_config.json and no config.json of timm beside encoder.onnx. Put the one there that "
        "the network was published with, or set backbone.preprocessing (mean, std, scale)."
    )
    with pytest.raises(GraftError, match=f"^{re.escape(expected)}$"):
        read_preprocessing(settings.backbone, encoder)


def section(**changes: object) -> EncoderPreprocessing:
    keys = dict.fromkeys(("input", "output", "layout", "mean", "std", "scale"))
    return EncoderPreprocessing.model_validate(keys | changes)


def test_a_section_with_values_replaces_the_file(tmp_path: Path, settings: Params) -> None:
    params = settings.backbone.model_copy(update={"preprocessing": section(scale=1.0), "fit": "stretch"})
    preprocessing = read_preprocessing(params, write(tmp_path, CLIP))
    assert preprocessing == ("backbone.preprocessing", 1.0, (0, 0, 0), (1, 1, 1), None)
    assert choose_resize(params, preprocessing, 32) == Resize(32)


def test_a_section_that_names_tensors_alone_leaves_the_values_to_the_file(tmp_path: Path, settings: Params) -> None:
    params = settings.backbone.model_copy(update={"preprocessing": section(input="pixel_values")})
    assert read_preprocessing(params, write(tmp_path, CLIP)).origin == "preprocessor_config.json"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param(
            {"mean": [0.5, 0.5, 0.5]},
            "backbone.preprocessing.std is null, but backbone.preprocessing.mean is set; set both, or neither.",
            id="mean without std",
        ),
        pytest.param(
            {"mean": [0.5, 0.5, 0.5], "std": [1.0, 0.0, 1.0]},
            "backbone.preprocessing.std is [1.0, 0.0, 1.0]; expected three numbers above 0.",
            id="std of 0",
        ),
    ],
)
def test_a_section_that_is_incomplete_is_refused(
    tmp_path: Path, settings: Params, values: dict[str, object], expected: str
) -> None:
    params = settings.backbone.model_copy(update={"preprocessing": section(**values)})
    with pytest.raises(GraftError, match=f"^{re.escape(expected)}$"):
        read_preprocessing(params, tmp_path / "encoder.onnx")
