import copy
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tasks.common import params
from tasks.common.errors import ParamsError

CUT = "expected a layer, a block, or a fraction of depth above 0 and at most 1."
PATH = Path(__file__).parents[3] / "params.yaml"


def test_the_committed_params_are_valid() -> None:
    assert params.load(PATH).dataset.source == "data/digits"


@pytest.mark.parametrize(
    ("section", "key", "value", "told"),
    [
        ("head", "epoch", 3, "there is no key 'head.epoch'. Did you mean 'epochs'?"),
        ("head", "epochs", 0, "'head.epochs' is 0; expected greater than or equal to 1."),
        ("head", "epochs", "x", "'head.epochs' is 'x'; expected integer."),
        ("backbone", "pooling", "mean", "'backbone.pooling' is 'mean'; expected 'avg', 'max' or 'none'."),
        *(
            (
                section,
                key,
                value,
                f"'{section}.{key}' is {shown}; {CUT}",
            )
            for section, key in (("backbone", "cut"), ("finetuning", "cut"))
            for value, shown in ((0, "0"), (1.5, "1.5"), ("", "''"), (True, "true"), ([1], "[1]"))
        ),
        (
            "features",
            "taps",
            [],
            "'features.taps' is []; expected List should have at least 1 item after validation, not 0.",
        ),
        ("backbone", "sha256", "abc", "'backbone.sha256' is 'abc'; expected text that matches ^[0-9a-f]{64}$"),
        ("dataset", "source", 'a"b', "'dataset.source' is 'a\"b'; expected text that matches ^[^\"$`\\\\\\r\\n]+$"),
        ("finetuning", "enabled", "yes", "'finetuning.enabled' is 'yes'; expected boolean."),
    ],
)
def test_a_wrong_key_or_value_is_named_with_what_is_allowed(section: str, key: str, value: Any, told: str) -> None:
    document = copy.deepcopy(YAML(typ="safe", pure=True).load(PATH))
    document[section][key] = value
    with pytest.raises(ParamsError) as caught:
        params.check(document, Path("params.yaml"))
    assert str(caught.value) == f"params.yaml: {told}"


def test_a_misspelt_section_is_named_with_its_nearest_match() -> None:
    document = YAML(typ="safe", pure=True).load(PATH)
    document["heads"] = {}
    with pytest.raises(ParamsError, match=r"there is no key 'heads'\. Did you mean 'head'\?"):
        params.check(document, Path("params.yaml"))
