"""params.yaml as frozen, bounded models, one a section."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from tasks.common.errors import ParamsError, did_you_mean

Fraction = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Width = Annotated[int, Field(ge=1, le=65536)]


def _cut(value: object) -> str | float:
    """Check a cut by hand: of a union, pydantic would tell an error for each of its kinds."""
    if isinstance(value, str) and value:
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1:
        return value
    message = "a layer, a block, or a fraction of depth above 0 and at most 1"
    raise ValueError(message)


Cut = Annotated[str | float, PlainValidator(_cut)]


class Section(BaseModel):
    """One section of params.yaml: every key required, no other key allowed, types as written."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Dataset(Section):
    """Which images there are and how they are split."""

    # It stands between double quotes in dvc.yaml's commands.
    source: str = Field(pattern=r'^[^"$`\\\r\n]+$', description="folder of class folders")
    seed: int = Field(ge=0, description="another seed, another split")
    val_fraction: float = Field(gt=0, lt=0.5, description="share of images that choose when training stops")
    test_fraction: float = Field(gt=0, lt=0.5, description="share of images that only evaluation sees")
    near_duplicate_bits: int = Field(
        ge=0, le=16, description="images whose hashes differ by at most this share a split"
    )
    max_megapixels: Positive = Field(description="larger images are set aside")


class Validation(Section):
    """When a dataset is good enough to train on."""

    min_classes: int = Field(ge=2, description="fewer classes stop the run")
    min_images_per_class: int = Field(ge=3, description="usable images that every class needs")
    max_unusable_fraction: Fraction = Field(description="a larger share of unusable images stops the run")
    min_side: int = Field(ge=1, description="pixels; smaller images are set aside")
    max_class_ratio: float = Field(ge=1, description="largest class over smallest; above it a warning")


class Backbone(Section):
    """Which pretrained network, with which weights."""

    name: str = Field(min_length=1, description="a name of the registry, or backbones.MODULE:FUNCTION")
    weights: str = Field(min_length=1, description="starter, imagenet, none, an https URL, or the path of an .h5 file")
    sha256: str | None = Field(pattern="^[0-9a-f]{64}$", description="of the weights file; a URL or a path needs it")
    include_top: bool = Field(description="true: keep the network's own classifier, to tap its dense layers")
    input_size: int | None = Field(ge=32, le=1024, description="pixels; null: the weights' own")
    alpha: float | None = Field(gt=0, le=2, description="width multiplier; null: the weights' own")
    cut: Cut | None = Field(description="use the layers up to this one: a layer, a block, a fraction; null: all")
    pooling: Literal["avg", "max", "none"] = Field(description="how maps become one vector; none: flattened")
    seed: int = Field(ge=0, description="of random weights (weights: none)")
    tolerance: Positive = Field(description="largest relative difference between Keras and ONNX")


class Features(Section):
    """How the frozen base runs over the images."""

    taps: Annotated[list[Cut], Field(min_length=1)] | None = Field(
        description="cuts whose features are joined; null: the top alone"
    )
    views: int = Field(ge=1, le=1000, description="views of each training image, the plain one included")
    runtime: Literal["onnxruntime", "openvino"] = Field(description="what runs the base over training images")
    precision: Literal["float32", "bf16", "int8"] = Field(description="of training features; others are float32")
    batch_size: int = Field(ge=1, le=4096, description="images a forward pass")
    threads: int | None = Field(ge=1, le=1024, description="workers, or processes of a local cluster; null: one a core")
    store: str | None = Field(min_length=1, description="folder or URI of the feature store; null: the user's cache")
    cluster: str | None = Field(min_length=1, description="local, or the address of a Dask scheduler; null: none")


class Augmentation(Section):
    """How views beyond the plain image differ from it."""

    horizontal_flip: bool = Field(description="half of the views have left and right changed")
    vertical_flip: bool = Field(description="half of the views have top and bottom changed")
    crop: float = Field(gt=0, le=1, description="least share of the area that is kept")
    rotation: float = Field(ge=0, le=180, description="degrees: turned by up to this either way")
    zoom: float = Field(ge=0, le=0.9, description="magnified by 1 - zoom to 1 + zoom")
    brightness: float = Field(ge=0, le=1, description="values times 1 - brightness to 1 + brightness")
    contrast: float = Field(ge=0, le=1, description="distances from the mean grey, likewise")
    colour: float = Field(ge=0, le=1, description="distances from the pixel's own grey, likewise")
    seed: int = Field(ge=0, description="another seed, other views")


class Training(Section):
    """What training the head and fine-tuning share."""

    learning_rate: float = Field(gt=0, le=10, description="peak of AdamW's learning rate")
    weight_decay: float = Field(ge=0, lt=1, description="AdamW's decoupled weight decay")
    label_smoothing: Fraction = Field(description="share of the target spread over all classes")
    batch_size: int = Field(ge=1, le=65536, description="images a step")
    epochs: int = Field(ge=1, le=100_000, description="upper limit")
    patience: int = Field(ge=1, description="epochs without a better validation loss before training stops")
    seed: int = Field(ge=0, description="of initial weights, order and dropout")
    threads: int = Field(ge=1, le=256, description="of TensorFlow; another count, other last bits")


class Head(Training):
    """The dense classifier on the features."""

    hidden: list[Width] = Field(description="widths of the dense layers before the output")
    dropout: Fraction = Field(description="share of values dropped before each dense layer")


class Finetuning(Training):
    """Training the top of the base too."""

    enabled: bool = Field(description="false: the head is passed on unchanged")
    cut: Cut = Field(description="layers above this one are trained on: a layer, a block, a fraction of depth")


class Export(Section):
    """How closely the exported file is held to the training side."""

    parity_images: int = Field(ge=1, description="validation images that are compared")
    tolerance: Positive = Field(description="largest difference of a probability")


class Evaluation(Section):
    """What is said of the exported file."""

    confidence: float = Field(gt=0.5, lt=1, description="of the accuracy interval")


class Params(Section):
    """The whole of params.yaml."""

    dataset: Dataset
    validation: Validation
    backbone: Backbone
    features: Features
    augmentation: Augmentation
    head: Head
    finetuning: Finetuning
    export: Export
    evaluation: Evaluation


def load(path: Path) -> Params:
    """Read and check the whole file, so that a typo anywhere is found by the first stage that runs.

    Raises ParamsError with one line that names every wrong key, what was found, and what is allowed.
    """
    try:
        document = YAML(typ="safe", pure=True).load(path)
    except FileNotFoundError as error:
        message = f"{path} is missing. Run from the root of the repository, where {path.name} lies."
        raise ParamsError(message) from error
    except MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        message = f"{path}{line} is not valid YAML: {error.problem}."
        raise ParamsError(message) from error
    except (YAMLError, UnicodeDecodeError) as error:
        message = f"{path} is not valid YAML: {' '.join(str(error).split())}"
        raise ParamsError(message) from error
    return check(document, path)


def check(document: object, path: Path) -> Params:
    """Turn a parsed document into Params; `path` is only named in errors. Raises ParamsError."""
    try:
        return Params.model_validate(document)
    except ValidationError as error:
        message = f"{path}: " + " ".join(_explain(details) for details in error.errors())
        raise ParamsError(message) from error


def _explain(details: ErrorDetails) -> str:
    location = details["loc"]
    key = ".".join(str(part) for part in location)
    if details["type"] == "extra_forbidden":
        return f"there is no key '{key}'.{did_you_mean(str(location[-1]), _keys_beside(location))}"
    if details["type"] == "missing":
        return f"'{key}' is missing."
    if details["type"] in {"model_type", "model_attributes_type"}:
        return f"'{key or 'the file'}' is {_shown(details['input'])}; expected a section of keys."
    if details["type"] == "string_pattern_mismatch":
        return f"'{key}' is {_shown(details['input'])}; expected text that matches {details['ctx']['pattern']}"
    expected = details["msg"].removeprefix("Value error, ").removeprefix("Input should be ").removeprefix("a valid ")
    return f"'{key}' is {_shown(details['input'])}; expected {expected}."


def _keys_beside(location: tuple[int | str, ...]) -> list[str]:
    model: Any = Params
    for part in location[:-1]:
        model = model.model_fields[part].annotation
    return list(model.model_fields)


def _shown(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f"'{value}'" if isinstance(value, str) else str(value)
