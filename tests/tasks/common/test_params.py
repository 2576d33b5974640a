from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tasks.common import params
from tasks.common.errors import ParamsError
from tests.tasks.conftest import ROOT

CUT = "expected a layer, a block, or a fraction of depth above 0 and at most 1."
PATH = ROOT / "params.yaml"


def test_the_committed_params_are_valid() -> None:
    assert params.load(PATH).dataset.source == "data/digits"


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        pytest.param("head", "epoch", 3, "there is no key 'head.epoch'. Did you mean 'epochs'?", id="misspelt key"),
        pytest.param(
            "head", "epochs", 0, "'head.epochs' is 0; expected greater than or equal to 1.", id="out of bounds"
        ),
        pytest.param("head", "epochs", "x", "'head.epochs' is 'x'; expected integer.", id="text for a number"),
        pytest.param("head", "epochs", None, "'head.epochs' is null; expected integer.", id="null for a number"),
        pytest.param(
            "backbone",
            "pooling",
            "mean",
            "'backbone.pooling' is 'mean'; expected 'avg', 'max', 'none' or 'cls'.",
            id="none of the choices",
        ),
        *(
            pytest.param(section, "cut", value, f"'{section}.cut' is {shown}; {CUT}", id=f"{section}.cut is {shown}")
            for section in ("backbone", "finetuning")
            for value, shown in ((0, "0"), (1.5, "1.5"), ("", "''"), (True, "true"), ([1], "[1]"))
        ),
        pytest.param(
            "features",
            "taps",
            [],
            (
                "'features.taps' is []; expected auto, null, or a list of cuts: layers, blocks, or fractions of depth "
                "above 0 and at most 1."
            ),
            id="empty list",
        ),
        pytest.param(
            "backbone",
            "sha256",
            "abc",
            "'backbone.sha256' is 'abc'; expected text that matches ^[0-9a-f]{64}$",
            id="not a SHA-256",
        ),
        pytest.param(
            "dataset",
            "source",
            'a"b',
            "'dataset.source' is 'a\"b'; expected text that matches ^[^\"$`\\\\\\r\\n]+$",
            id="quote in a path",
        ),
        pytest.param(
            "finetuning", "enabled", "yes", "'finetuning.enabled' is 'yes'; expected boolean.", id="text for a flag"
        ),
    ],
)
def test_a_wrong_key_or_value_is_named_with_the_allowed_values(
    section: str, key: str, value: Any, message: str
) -> None:
    document = YAML(typ="safe", pure=True).load(PATH)
    document[section][key] = value
    with pytest.raises(ParamsError) as caught:
        params.check(document, Path("params.yaml"))
    assert str(caught.value) == f"params.yaml: {message}"


@pytest.mark.parametrize(
    ("points", "message"),
    [
        pytest.param(
            {"cat": {"precison": 0.9}},
            "there is no key 'evaluation.operating_points.cat.precison'. Did you mean 'precision'?",
            id="misspelt key",
        ),
        pytest.param(
            {"cat": {"precision": 0.9, "colour": 1}},
            "there is no key 'evaluation.operating_points.cat.colour'.",
            id="extra key",
        ),
        *(
            pytest.param(
                {"cat": point},
                (
                    f"'evaluation.operating_points.cat' is {point}; expected either precision or recall, such as "
                    "{precision: 0.95}."
                ),
                id=name,
            )
            for name, point in (("both keys", {"precision": 0.9, "recall": 0.8}), ("neither key", {}))
        ),
        pytest.param(
            {"c\nat": {"recall": 1.5}},
            "'evaluation.operating_points.c\\nat.recall' is 1.5; expected less than or equal to 1.",
            id="out of bounds, of a class with a line end in its name",
        ),
        pytest.param(
            {"cat": 0.9}, "'evaluation.operating_points.cat' is 0.9; expected a section of keys.", id="a number"
        ),
        pytest.param(
            None,
            (
                "'evaluation.operating_points' is null; expected an operating point for each class, such as {cat: "
                "{precision: 0.95}}, or {} for none."
            ),
            id="null",
        ),
        pytest.param(
            {3: {"recall": 0.9}, "cat": {"recall": 0.9}},
            (
                "'evaluation.operating_points' is {3: {'recall': 0.9}, 'cat': {'recall': 0.9}}; expected the names of "
                "the classes all in quotes, or none of them."
            ),
            id="numbers and text",
        ),
    ],
)
def test_a_wrong_operating_point_is_named_in_one_line(points: Any, message: str) -> None:
    document = YAML(typ="safe", pure=True).load(PATH)
    document["evaluation"]["operating_points"] = points
    with pytest.raises(ParamsError) as caught:
        params.check(document, Path("params.yaml"))
    assert str(caught.value) == f"params.yaml: {message}"


def test_an_operating_point_of_a_class_whose_name_yaml_reads_as_a_number_is_that_of_the_name() -> None:
    document = YAML(typ="safe", pure=True).load(PATH)
    document["evaluation"]["operating_points"] = {7: {"recall": 0.9}}
    evaluation = params.check(document, Path("params.yaml")).evaluation
    assert evaluation.operating_points == {"7": params.OperatingPoint(recall=0.9)}


@pytest.mark.parametrize(
    ("mean", "message"),
    [
        ([0.5], "'backbone.preprocessing.mean' is [0.5]; expected at least 3 items."),
        ([0.5] * 4, "'backbone.preprocessing.mean' is [0.5, 0.5, 0.5, 0.5]; expected at most 3 items."),
        ([0.5, 0.5, float("nan")], "'backbone.preprocessing.mean.2' is nan; expected a finite number."),
    ],
    ids=["one number", "four numbers", "not a number"],
)
def test_wrong_numbers_for_the_channels_are_named(mean: list[float], message: str) -> None:
    document = YAML(typ="safe", pure=True).load(PATH)
    document["backbone"]["preprocessing"] = dict.fromkeys(params.EncoderPreprocessing.model_fields) | {"mean": mean}
    with pytest.raises(ParamsError) as caught:
        params.check(document, Path("params.yaml"))
    assert str(caught.value) == f"params.yaml: {message}"


def test_an_extra_key_of_a_section_that_may_be_null_is_named_with_its_nearest_match() -> None:
    document = YAML(typ="safe", pure=True).load(PATH)
    keys = dict.fromkeys(params.EncoderPreprocessing.model_fields)
    document["backbone"]["preprocessing"] = keys | {"layuot": "NCHW"}
    with pytest.raises(ParamsError) as caught:
        params.check(document, Path("params.yaml"))
    assert str(caught.value) == "params.yaml: there is no key 'backbone.preprocessing.layuot'. Did you mean 'layout'?"


def test_a_misspelt_section_is_named_with_its_nearest_match() -> None:
    document = YAML(typ="safe", pure=True).load(PATH)
    document["heads"] = {}
    with pytest.raises(ParamsError, match=r"there is no key 'heads'\. Did you mean 'head'\?"):
        params.check(document, Path("params.yaml"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(
            None, "{path} is missing. Run from the root of the repository, where params.yaml lies.", id="missing"
        ),
        pytest.param(
            b"head: [1", "{path}, line 1 is not valid YAML: expected ',' or ']', but got '<stream end>'.", id="YAML"
        ),
        pytest.param(b"- 1", "{path}: 'the file' is [1]; expected a section of keys.", id="a list"),
        pytest.param(b"", "{path}: 'the file' is null; expected a section of keys.", id="empty"),
    ],
)
def test_a_file_without_sections_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "params.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ParamsError) as caught:
        params.load(path)
    assert str(caught.value) == message.format(path=path)


def test_bytes_that_are_not_utf_8_are_refused(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_bytes(b"head: \xff")
    with pytest.raises(ParamsError, match="is not valid YAML: "):
        params.load(tmp_path / "params.yaml")


def test_every_missing_key_is_named() -> None:
    document = YAML(typ="safe", pure=True).load(PATH)
    del document["head"]["epochs"], document["export"]
    with pytest.raises(ParamsError, match=r"^params.yaml: 'head.epochs' is missing\. 'export' is missing\.$"):
        params.check(document, Path("params.yaml"))
