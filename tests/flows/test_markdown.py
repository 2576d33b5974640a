from pathlib import Path

import pytest

from flows import markdown
from tests.flows.conftest import write_evaluation, write_summary_of_validation

HOSTILE = "a|b\n# <img src=x> [link](javascript:alert(1)) `code`"


def test_the_document_has_figures_verdict_classes_and_warnings_and_says_where_the_page_is(tmp_path: Path) -> None:
    write_evaluation(tmp_path, {"circle": (1.0, 1199), "square": (0.0, 1)})
    write_summary_of_validation(tmp_path, median_side=8, warnings=["classes are uneven: 900 against 12"])
    assert markdown.document(tmp_path, "better: accuracy 88.0 % to 90.0 %") == (
        r"""# Test accuracy 90.0 % \(95 % interval 80.0 to 95.0, 1,200 images\), macro F1 70.0 %

Against the last commit: better: accuracy 88.0 % to 90.0 %.

| figure | value |
|---|---:|
| accuracy | 0.9 |
| confidence | 0.95 |
| macro f1 | 0.7 |
| images | 1,200 |

## Classes, the worst first

| class | images | precision | recall | F1 |
|---|---:|---:|---:|---:|
| circle | 1,199 | 50.0 % | 100.0 % | 50.0 % |
| square | 1 | 50.0 % | 0.0 % | 50.0 % |

## Warnings

- classes are uneven: 900 against 12
- class 'square' has recall 0 over 1 test image

The whole report, with pictures, is `artifacts/evaluation/report.html` on the machine of the run: `graft report`.
"""
    )


def test_of_many_classes_the_worst_are_listed_and_classes_without_images_are_not(tmp_path: Path) -> None:
    write_evaluation(tmp_path, {f"class {number:03}": (0.5, 9) for number in range(200)} | {"empty": (0.0, 0)})
    text = markdown.document(tmp_path, None)
    assert text.count("\n| class 0") == markdown.MAX_CLASSES
    assert "\nand 180 classes more.\n" in text
    assert "\n| empty |" not in text
    assert "Against the last commit" not in text


def test_names_from_data_cannot_leave_their_cell_or_become_markup(tmp_path: Path) -> None:
    write_evaluation(tmp_path, {HOSTILE: (0.5, 9)})
    cell = next(line for line in markdown.document(tmp_path, None).splitlines() if line.startswith(r"| a\|b"))
    assert (
        cell
        == r"| a\|b\\n\# &lt;img src=x&gt; \[link\]\(javascript:alert\(1\)\) \`code\` | 9 | 50.0 % | 50.0 % | 50.0 % |"
    )


@pytest.mark.parametrize("text", ["plain, 3.5 % and text", "class 'cat'"])
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert markdown.escape(text) == text
