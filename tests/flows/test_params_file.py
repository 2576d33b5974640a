import shutil
from pathlib import Path

import pytest

from flows.params_file import edit, parse_assignment
from tests.tasks.conftest import ROOT

LINE = "  variants: [fixed]             # files beside"
NOTE = "or []\n"
BLOCK = "  variants:                     # files beside"
ITEMS = """or []
  - fixed   # the first
  - int8

  # on the comparison
"""
THRESHOLDS = "  operating_points: {}          # "
REACHED = "thresholds that reach these\n"
BLOCK_OF_THRESHOLDS = "  operating_points:             # "
CLASSES = """thresholds that reach these
    '8':
      precision: 0.9

  # on what follows
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return Path(shutil.copy(ROOT / "params.yaml", tmp_path))


def test_a_list_stays_in_brackets_with_its_comment(path: Path) -> None:
    before = path.read_text()
    for value in ("[fixed, fixed_float, float16, int8, litert]", "[]", "[fixed]"):
        edit(path, [parse_assignment(f"export.variants={value}")])
        assert f"  variants: {value} " in path.read_text()
    assert path.read_text().split() == before.split()
    assert path.read_text().count("\n") == before.count("\n")


@pytest.mark.parametrize(
    ("before", "assignment", "after"),
    [
        pytest.param(
            [(LINE, BLOCK), (NOTE, ITEMS)],
            "export.variants=[]",
            [(LINE, "  variants: []                  # files beside"), (NOTE, f"{NOTE}\n  # on the comparison\n")],
            id="list",
        ),
        pytest.param(
            [(THRESHOLDS, BLOCK_OF_THRESHOLDS), (REACHED, CLASSES)],
            "evaluation.operating_points={'1': {recall: 0.5}}",
            [
                (THRESHOLDS, "  operating_points: {'1': {recall: 0.5}} # "),
                (REACHED, f"{REACHED}\n  # on what follows\n"),
            ],
            id="mapping",
        ),
    ],
)
def test_comments_behind_a_block_that_is_replaced_stay(
    path: Path, before: list[tuple[str, str]], assignment: str, after: list[tuple[str, str]]
) -> None:
    original = path.read_text()
    texts = {}
    for name, changes in (("before", before), ("after", after)):
        texts[name] = original
        for old, new in changes:
            assert old in original
            texts[name] = texts[name].replace(old, new)
    path.write_text(texts["before"])
    edit(path, [parse_assignment(assignment)])
    assert path.read_text() == texts["after"]
