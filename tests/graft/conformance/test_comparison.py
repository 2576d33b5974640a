import json
import sys
from pathlib import Path

import pytest

from graft.conformance.comparison import Comparison, Row, Verdict, advise, plan
from graft.conformance.pixels import Pixels
from graft.conformance.report import to_json, to_table, write_markdown
from graft.conformance.runtimes.runtime import Runtime
from graft.conformance.variants import TOLERANCE, Variant
from tasks.common.errors import GraftError

ANSWER = "import json, sys; request = json.load(open(sys.argv[-1])); answer = open(request['answer'], 'w'); "


def runtime(name: str, program: str) -> Runtime:
    """Return a runtime whose process runs this program in Python."""
    return Runtime(name, ".onnx", lambda _: "1.0", lambda _: "", lambda _: [sys.executable, "-S", "-c", program])


def write(outputs: str) -> str:
    """Return a program that answers with these outputs."""
    return f"{ANSWER}json.dump({{'outputs': {outputs}, 'seconds': [0.25, 0.75]}}, answer)"


REFERENCE = runtime("Reference", write("{'probabilities': [[0.75, 0.25, 0], [0, 0.5, 0.5]], 'known': [[1], [0]]}"))


def compare(folder: Path, *runtimes: Runtime, seconds: float = 20) -> list[Row]:
    """Compare runtimes with the first of them on two pictures."""
    pixels = Pixels(folder / "pixels", [[5, 4, 3], [5, 4, 3]])
    variant = Variant(folder / "model.onnx", takes_resized=False, dtype="uint8", tolerance=0.01)
    comparison = Comparison(runtimes[0], ["probabilities", "known"], {False: pixels}, folder, folder, seconds)
    return [comparison.run(job) for job in plan(runtimes, [variant], folder)]


@pytest.mark.parametrize(
    ("program", "seconds", "reason"),
    [
        pytest.param("import os; os.abort()", 20, "its process crashed (SIGABRT)", id="crash"),
        pytest.param("import threading; threading.Event().wait()", 1, "did not end within 1 s", id="hang"),
        pytest.param(
            "import sys; sys.exit('full\\nno\\x1b memory')",
            20,
            "its process ended with exit code 1: no\\x1b memory",
            id="exit code",
        ),
        pytest.param("pass", 20, "its process ended with exit code 0: without a word", id="no answer"),
        pytest.param(
            f"{ANSWER}json.dump({{'error': 'no\\n  Resize.'}}, answer)", 20, "no Resize", id="error of several lines"
        ),
        pytest.param(
            write("{'probabilities': [[1, 0], [1, 0]]}"),
            20,
            "its output 'probabilities' has 2 numbers for an image, not 3",
            id="other size",
        ),
        pytest.param(
            write("{'probabilities': [[1, 0], [1]]}"), 20, "its outputs have another size for each image", id="ragged"
        ),
        pytest.param(
            write("{'known': [[1], [0]]}"), 20, "its answer lacks the output 'probabilities'", id="output missing"
        ),
    ],
)
def test_a_runtime_that_fails_has_its_reason_on_one_line(
    tmp_path: Path, program: str, seconds: float, reason: str
) -> None:
    row = compare(tmp_path, REFERENCE, runtime("Other", program), seconds=seconds)[1]
    assert (row.verdict, row.reason, row.images) == (Verdict.DO_NOT_USE, reason, 0)
    assert f"Other fails with model.onnx: {reason}." in to_table([row], "Measured.").splitlines()


@pytest.mark.parametrize(
    ("outputs", "verdict", "agreeing", "difference"),
    [
        pytest.param("[[0.75, 0.25, 0], [0, 0.5, 0.5]]", "fit", 2, "0.0e+00", id="equal"),
        pytest.param("[[0.745, 0.255, 0], [0, 0.5, 0.5]]", "fit", 2, "5.0e-03", id="within the tolerance"),
        pytest.param("[[0.7, 0.3, 0], [0, 0.5, 0.5]]", "do not use", 2, "5.0e-02", id="beyond the tolerance"),
        pytest.param("[[0.75, 0.25, 0], [0, 0.499, 0.501]]", "do not use", 1, "1.0e-03", id="another class"),
        pytest.param("[[0.75, 0.25, 0], [0, 0.5, float('nan')]]", "do not use", 1, "nan", id="NaN"),
        pytest.param("[[0.75, 0.25, 0], [0, 0.5, None]]", "do not use", 1, "nan", id="NaN in JavaScript"),
        pytest.param("[[0.75, 0.25, 0]]", "fit", 1, "0.0e+00", id="time for one image only"),
    ],
)
def test_the_verdict_needs_the_same_classes_and_a_difference_within_the_tolerance(
    tmp_path: Path, outputs: str, verdict: str, agreeing: int, difference: str
) -> None:
    row = compare(tmp_path, REFERENCE, runtime("Other", write(f"{{'probabilities': {outputs}}}")))[1]
    assert (row.verdict, row.agreeing, f"{row.difference:.1e}") == (verdict, agreeing, difference)
    assert row.milliseconds == 500
    [cells] = json.loads(to_json([row], {}))["rows"]
    assert cells["difference"] == (None if difference == "nan" else row.difference)


def test_the_score_known_counts_like_a_probability(tmp_path: Path) -> None:
    outputs = "{'probabilities': [[0.75, 0.25, 0], [0, 0.5, 0.5]], 'known': [[0.5], [0]]}"
    row = compare(tmp_path, REFERENCE, runtime("Other", write(outputs)))[1]
    assert (row.verdict, row.agreeing, row.difference) == ("do not use", 2, 0.5)


def test_a_reference_that_fails_ends_the_comparison_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(GraftError) as raised:
        compare(tmp_path, runtime("Reference", "import os; os.abort()"), REFERENCE)
    assert str(raised.value) == "model.onnx cannot be run by Reference 1.0: its process crashed (SIGABRT)."


def test_the_advice_is_the_first_exact_file_for_which_the_runtime_is_fit() -> None:
    rows = [
        Row("A", Verdict.DO_NOT_USE, "1", "model.onnx", tolerance=TOLERANCE),
        Row("A", Verdict.FIT, "1", "model.int8.onnx", tolerance=0.05),
        Row("A", Verdict.FIT, "1", "model.fixed.onnx", tolerance=TOLERANCE),
        Row("A", Verdict.FIT, "1", "model.fixed_float.onnx", tolerance=TOLERANCE),
        Row("B", Verdict.DO_NOT_USE, "1", "model.onnx", tolerance=TOLERANCE),
        Row("B", Verdict.FIT, "1", "model.int8.onnx", tolerance=0.05),
    ]
    assert [row.advice for row in advise(rows)] == ["model.fixed.onnx", "", "", "", "", ""]


def test_names_and_reasons_cannot_change_the_layout_of_the_page(tmp_path: Path) -> None:
    row = Row("Other", Verdict.DO_NOT_USE, "1", "a|b<img>.onnx", reason="[link](x) | cell")
    write_markdown(tmp_path / "page.md", [row], "Measured.")
    assert (tmp_path / "page.md").read_text().splitlines() == [
        "<!-- conformance: begin -->",
        "Measured.",
        "",
        "| runtime | version | file | same class | largest difference | ms/image | verdict |",
        "|---|---|---|---:|---:|---:|---|",
        "| Other | 1 | a\\|b\\<img\\>.onnx |  |  |  | fails |",
        "",
        "- Other fails with a\\|b\\<img\\>.onnx: \\[link\\](x) \\| cell.",
        "<!-- conformance: end -->",
    ]
