"""The models that params.yaml is read into: one for each section, frozen, with bounds on every value."""

import math
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args, get_origin

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from tasks.common.errors import ParamsError, did_you_mean
from tasks.common.text import count, printable

Fraction = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Level = Literal["blocking", "warning", "off"]
Width = Annotated[int, Field(ge=1, le=65536)]


def _cut(value: object) -> str | float:
    """Return a valid cut as it is; pydantic itself would report one error for each type of the union."""
    if isinstance(value, str) and value:
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1:
        return value
    message = "a layer, a block, or a fraction of depth above 0 and at most 1"
    raise ValueError(message)


Cut = Annotated[str | float, PlainValidator(_cut)]


def _taps(value: object) -> list[str | float] | str | None:
    """Return valid taps as they are; pydantic itself would report one error for each type of the union."""
    if value is None or value == "auto":
        return value if value is None else "auto"
    if isinstance(value, list) and value:
        return [_cut(cut) for cut in value]
    message = "auto, null, or a list of cuts: layers, blocks, or fractions of depth above 0 and at most 1"
    raise ValueError(message)


Taps = Annotated[list[str | float] | str | None, PlainValidator(_taps)]


def _by_class(value: dict[Any, Any]) -> dict[str, Any]:
    """Return the values by the names of classes as text; YAML reads some, such as digits, as numbers."""
    if len({type(name) for name in value}) > 1:  # DVC cannot compare the names
        message = "the names of the classes all in quotes, or none of them"
        raise ValueError(message)
    return {str(name): entry for name, entry in value.items()}


def _class_weight(value: object) -> str | dict[str, float]:
    """Return valid class weights as they are."""
    if isinstance(value, str) and value in {"auto", "none", "balanced"}:
        return value
    if isinstance(value, dict) and value:
        weights = _by_class(value)
        if all(type(weight) in {int, float} and 0 < weight < math.inf for weight in weights.values()):
            return {name: float(weight) for name, weight in weights.items()}
    message = "auto, none, balanced, or a weight above 0 for each class, such as {cat: 1, dog: 2.5}"
    raise ValueError(message)


ClassWeight = Annotated[str | dict[str, float], PlainValidator(_class_weight)]


def _near_duplicates(value: object) -> int | None:
    """Return the number of bits, or None for `off`; pydantic itself would report one error for each type."""
    if value == "off":
        return None
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 16:  # noqa: PLR2004
        return value
    message = "off, or a number of bits from 0 to 16"
    raise ValueError(message)


NearDuplicates = Annotated[int | None, PlainValidator(_near_duplicates)]


class Section(BaseModel):
    """A section of params.yaml: every key is required, other keys are refused, values are not converted."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Columns(Section):
    """The names of the columns of the table of images; a table may lack the columns of splits and of groups."""

    path: str = Field(min_length=1, description="path of the image, relative to the folder of the table")
    label: str = Field(min_length=1, description="class of the image")
    split: str = Field(min_length=1, description="train, val or test; empty cells are split by Graft")
    group: str = Field(min_length=1, description="images of a group, such as a patient or a video, share a split")


class Dataset(Section):
    """The images and how they are split."""

    # dvc.yaml puts this value between double quotes in shell commands.
    source: str = Field(pattern=r'^[^"$`\\\r\n]+$', description="folder or archive of the images")
    table: str | None = Field(min_length=1, description="CSV or Parquet file below the source; null: class folders")
    columns: Columns
    seed: int = Field(ge=0, description="seed of the split")
    val_fraction: float = Field(gt=0, lt=0.5, description="share of images that decide when training stops")
    test_fraction: float = Field(gt=0, lt=0.5, description="share of images that only evaluation uses")
    near_duplicates: NearDuplicates = Field(
        description="images whose hashes differ by at most this many bits are in the same split; off: only copies are"
    )
    max_megapixels: Positive = Field(description="larger images are set aside")


class Checks(Section):
    """The checks of a dataset: blocking ones stop the run, warnings are reported, and `off` leaves a check out."""

    images_per_class: Level = Field(description="every class has min_images_per_class usable images")
    classes: Level = Field(description="there are min_classes classes")
    expected_classes: Level = Field(description="the classes are those of expected_classes")
    usable: Level = Field(description="at most max_unusable_fraction of the pictures cannot be used")
    splits: Level = Field(description="every class has training, validation and test images")
    split_shares: Level = Field(description="no class has far more or fewer images in a split than wanted")
    imbalance: Level = Field(description="no class is more than max_class_ratio times as large as another")
    class_names: Level = Field(description="class names differ in more than case, spaces or Unicode form")
    duplicates: Level = Field(description="no image is in two classes")
    near_duplicates: Level = Field(description="no image looks the same as one of another class")
    leakage: Level = Field(description="given splits share no image, no near-duplicates and no group")
    shortcuts: Level = Field(description="format, size and greyness do not tell the classes apart")
    modes: Level = Field(description="no few pictures are grey or stored in another mode than the others")
    sizes: Level = Field(description="no picture is far larger or smaller than the others")
    aspect_ratios: Level = Field(description="no picture is far longer than wide, or wider than long")
    blank: Level = Field(description="no picture is of a single colour")
    dark: Level = Field(description="no picture is nearly black")
    overexposed: Level = Field(description="no picture is nearly white")
    blurred: Level = Field(description="no picture is far less sharp than the others")
    low_information: Level = Field(description="no picture has few different values")


class Validation(Section):
    """The conditions under which a dataset is good enough to train on."""

    min_classes: int = Field(ge=2, description="least number of classes")
    expected_classes: list[str] | None = Field(description="names of all classes; null: any")
    min_images_per_class: int = Field(ge=3, description="least number of usable images in every class")
    max_unusable_fraction: Fraction = Field(description="largest share of the pictures that cannot be used")
    min_side: int = Field(ge=1, description="pixels; images with a shorter side are set aside")
    max_class_ratio: float = Field(ge=1, description="largest class size over smallest")
    max_share_difference: float = Field(gt=0, le=1, description="of a class's share of a split from the wanted share")
    rare_fraction: float = Field(gt=0, lt=0.5, description="a mode is rare if a smaller share of the pictures has it")
    size_factor: Positive = Field(description="quartile ranges; sizes farther outside the quartiles are odd")
    max_aspect_ratio: float = Field(ge=1, description="longer over shorter side, and over that of the median picture")
    min_contrast: Fraction = Field(description="standard deviation of brightness, 0 to 1; a picture below it is blank")
    min_highlights: Fraction = Field(description="brightness of the brightest hundredth; a picture below it is dark")
    max_shadows: Fraction = Field(description="brightness of the darkest twentieth; a picture above it is overexposed")
    min_sharpness: Fraction = Field(description="relative to the median picture; a picture below it is blurred")
    min_entropy: float = Field(ge=0, le=8, description="bits; a picture below it has little information")
    checks: Checks


Three = Annotated[list[float], Field(min_length=3, max_length=3)]


class EncoderPreprocessing(Section):
    """The preprocessing that an ONNX encoder expects; null: as the file preprocessor_config.json beside it says."""

    input: str | None = Field(min_length=1, description="name of the graph's input; null: its only input")
    output: str | None = Field(min_length=1, description="name of the graph's output; null: its first output")
    layout: Literal["NCHW", "NHWC"] | None = Field(
        description="order of the input's dimensions; null: as its shape says"
    )
    mean: Three | None = Field(description="of red, green and blue in 0..1, subtracted")
    std: Three | None = Field(description="of red, green and blue in 0..1, by which the difference is divided")
    scale: float | None = Field(gt=0, description="factor of the pixels 0..255 before the mean; null: 1/255")


class Backbone(Section):
    """The pretrained network and its weights."""

    name: str = Field(min_length=1, description="a name in the registry, backbones.MODULE:FUNCTION, or an .onnx file")
    weights: str = Field(min_length=1, description="starter, imagenet, none, an https URL, or the path of an .h5 file")
    sha256: str | None = Field(
        pattern="^[0-9a-f]{64}$", description="of the file of weights, or of the encoder; required for these"
    )
    include_top: bool = Field(description="true: keep the network's own classifier and its dense layers")
    input_size: int | None = Field(ge=32, le=1024, description="pixels; null: the size that the weights are for")
    alpha: float | None = Field(gt=0, le=2, description="width multiplier; null: that of the weights")
    cut: Cut | None = Field(description="last layer in use: a layer, a block or a fraction of depth; null: all")
    pooling: Literal["avg", "max", "none", "cls"] = Field(
        description="how feature maps or tokens become a vector; none: flattened, cls: the first token"
    )
    fit: Literal["stretch", "crop", "pad"] = Field(description="how images that are not square become square")
    crop_share: float = Field(
        gt=0, le=1, description="share of the sides of the square that is used; below 1: the centre"
    )
    pad_colour: Annotated[list[Annotated[int, Field(ge=0, le=255)]], Field(min_length=3, max_length=3)] = Field(
        description="red, green and blue of the border"
    )
    interpolation: Literal["bilinear", "bicubic"] = Field(description="filter of the resize; both are antialiased")
    preprocessing: EncoderPreprocessing | None = Field(description="what an ONNX encoder expects")
    seed: int = Field(ge=0, description="seed of random weights (weights: none)")
    tolerance: Positive = Field(description="largest relative difference allowed between Keras and ONNX")


class Features(Section):
    """The computation of features by the frozen base."""

    taps: Taps = Field(description="cuts whose features are joined; auto: several depths; null: the last layer")
    views: int = Field(ge=1, le=1000, description="views of each training image, including the plain image")
    runtime: Literal["onnxruntime", "openvino"] = Field(description="runs the base over training images")
    precision: Literal["float32", "bf16", "int8"] = Field(description="for training images; others use float32")
    batch_size: int = Field(ge=1, le=4096, description="images in a forward pass")
    threads: int | None = Field(
        ge=1, le=1024, description="threads, or processes of a local cluster; null: one for each core"
    )
    store: str | None = Field(min_length=1, description="folder or URI of the feature store; null: the user's cache")
    cluster: str | None = Field(min_length=1, description="local, or the address of a Dask scheduler; null: none")


class Augmentation(Section):
    """The differences between an image and its augmented views."""

    horizontal_flip: bool = Field(description="mirror half of the views left to right")
    vertical_flip: bool = Field(description="mirror half of the views top to bottom")
    crop: float = Field(gt=0, le=1, description="smallest share of the area that a crop keeps")
    rotation: float = Field(ge=0, le=180, description="degrees; views are rotated by up to this in either direction")
    zoom: float = Field(ge=0, le=0.9, description="views are magnified by 1 - zoom to 1 + zoom")
    brightness: float = Field(ge=0, le=1, description="values are multiplied by 1 - brightness to 1 + brightness")
    contrast: float = Field(ge=0, le=1, description="differences from the mean grey are multiplied likewise")
    colour: float = Field(ge=0, le=1, description="differences from each pixel's own grey are multiplied likewise")
    seed: int = Field(ge=0, description="seed of the views")


class Training(Section):
    """The parameters that training the head and fine-tuning share."""

    learning_rate: float = Field(gt=0, le=10, description="highest learning rate of AdamW")
    weight_decay: float = Field(ge=0, lt=1, description="decoupled weight decay of AdamW")
    label_smoothing: Fraction = Field(description="share of the target that is spread over all classes")
    batch_size: int = Field(ge=1, le=65536, description="images in a training step")
    epochs: int = Field(ge=1, le=100_000, description="largest number of epochs")
    patience: int = Field(ge=1, description="training stops after this many epochs without a lower validation loss")
    seed: int = Field(ge=0, description="seed of all that training draws at random, such as the order of images")
    threads: int = Field(ge=1, le=256, description="of TensorFlow; the number affects the last bits of results")


Variant = Literal["fixed", "fixed_float", "int8", "float16", "litert"]


class OperatingPoint(Section):
    """The precision or the recall that the threshold of a class should reach; one of the two."""

    precision: float | None = Field(default=None, gt=0, le=1, description="share of the class among its predictions")
    recall: float | None = Field(default=None, gt=0, le=1, description="share of the class that is predicted")

    @model_validator(mode="after")
    def _check_single(self) -> Self:
        if (self.precision is None) == (self.recall is None):
            message = "either precision or recall, such as {precision: 0.95}"
            raise ValueError(message)
        return self


def _operating_points(value: object) -> dict[str, Any]:
    """Return the operating points by the names of classes as text."""
    if isinstance(value, dict):
        return _by_class(value)
    message = "an operating point for each class, such as {cat: {precision: 0.95}}, or {} for none"
    raise ValueError(message)


OperatingPoints = Annotated[dict[str, OperatingPoint], BeforeValidator(_operating_points)]


class Head(Training):
    """The choice and the training of the classifier on the features."""

    search: Literal["grid", "off"] = Field(description="grid: candidates are compared; off: the keys below say all")
    criterion: Literal["accuracy", "macro_f1", "log_loss"] = Field(description="by which the best candidate is chosen")
    folds: int = Field(
        ge=2, le=20, description="parts of the training and validation images, each predicted by the others"
    )
    class_weight: ClassWeight = Field(description="auto: none, and balanced if the search finds it better")
    hidden: list[Width] = Field(description="widths of the dense layers before the output")
    dropout: Fraction = Field(description="share of values dropped before each dense layer")
    false_alarms: float = Field(gt=0, le=0.5, description="share of images like these that may be called unknown")


class Finetuning(Training):
    """Training of the last layers of the base together with the head."""

    enabled: bool = Field(description="false: the head is exported unchanged")
    cut: Cut = Field(description="layers after this one are trained: a layer, a block or a fraction of depth")
    live: bool = Field(description="true: every image is computed from its pixels in every epoch, in a new view")
    warmup: Fraction = Field(description="share of the steps in which the learning rate rises from 0")
    layer_decay: float = Field(gt=0, le=1, description="factor of the learning rate from one layer to the one below it")
    refit: bool = Field(description="true: train once more, on training and validation images")


class Export(Section):
    """The exported files and their comparison with the models that were trained."""

    variants: list[Variant] = Field(description="files beside model.onnx")
    parity_images: int = Field(ge=1, description="validation images that the comparison uses")
    tolerance: Positive = Field(description="largest difference allowed between probabilities")
    max_accuracy_loss: Fraction = Field(description="of a variant of lower precision, on validation images")


class Evaluation(Section):
    """The test of the exported file."""

    confidence: float = Field(gt=0.5, lt=1, description="confidence level of the intervals")
    operating_points: OperatingPoints = Field(description="by class, the precision or recall to reach")
    coverage: float | None = Field(gt=0.5, lt=1, description="of the sets of classes; null: none")


class Params(Section):
    """All sections of params.yaml."""

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
    """Read and check the whole file, so that the first stage that runs reports every mistake in it.

    Raises:
        ParamsError: in one line, each wrong key with its value and the allowed values.
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
    """Turn a parsed document into Params, or raise a ParamsError that names `path` as its file."""
    try:
        return Params.model_validate(document)
    except ValidationError as error:
        message = f"{path}: " + " ".join(_explain(details) for details in error.errors())
        raise ParamsError(message) from error


def _explain(details: ErrorDetails) -> str:
    location = details["loc"]
    key = printable(".".join(str(part) for part in location))
    if details["type"] == "extra_forbidden":
        return f"there is no key '{key}'.{did_you_mean(str(location[-1]), _keys_beside(location))}"
    if details["type"] == "missing":
        return f"'{key}' is missing."
    if details["type"] in {"model_type", "model_attributes_type"}:
        return f"'{key or 'the file'}' is {_shown(details['input'])}; expected a section of keys."
    if details["type"] == "string_pattern_mismatch":
        return f"'{key}' is {_shown(details['input'])}; expected text that matches {details['ctx']['pattern']}"
    for kind, bound, limit in (("too_short", "at least", "min_length"), ("too_long", "at most", "max_length")):
        if details["type"].endswith(kind):
            unit = "character" if details["type"].startswith("string") else "item"
            return f"'{key}' is {_shown(details['input'])}; expected {bound} {count(details['ctx'][limit], unit)}."
    expected = details["msg"].removeprefix("Value error, ").removeprefix("Input should be ").removeprefix("a valid ")
    return f"'{key}' is {_shown(details['input'])}; expected {expected}."


def _keys_beside(location: tuple[int | str, ...]) -> list[str]:
    """Return the keys of the section that the last part of the location is in; a section may be the value of a dict."""
    kind: Any = Params
    for part in location[:-1]:
        kind = get_args(kind)[1] if get_origin(kind) is dict else kind.model_fields[part].annotation
        if get_origin(kind) is not dict:
            # The annotation of a key that may be null is a union.
            kind = next((choice for choice in get_args(kind) if hasattr(choice, "model_fields")), kind)
    return list(kind.model_fields)


def _shown(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f"'{value}'" if isinstance(value, str) else str(value)
