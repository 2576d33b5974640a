import subprocess
import sys
from pathlib import Path

import pytest

from tasks.common.command import parse_paths, run_command
from tasks.common.errors import DownloadError, GateError, GraftError
from tests.tasks.conftest import ROOT

LIGHT = ("dataset", "validation", "features", "export", "evaluation", "sample", "finetuning", "head", "backbone")


@pytest.mark.parametrize(("error", "code"), [(GraftError, 1), (GateError, 1), (DownloadError, 75)])
def test_bad_input_ends_in_one_line_and_the_exit_code_of_the_error(
    error: type[GraftError], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def main() -> None:
        message = "expected this, found that"
        raise error(message)

    with pytest.raises(SystemExit) as caught:
        run_command("features", main)
    assert caught.value.code == code
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "graft features: error: expected this, found that\n")


def test_an_interrupted_stage_says_so_and_ends_with_130(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as caught:
        run_command("head", main)
    assert caught.value.code == 130
    assert capsys.readouterr().err == "graft head: interrupted\n"


def test_a_defect_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run_command("head", lambda: print(1 // 0))


def test_a_stage_that_works_returns(capsys: pytest.CaptureFixture[str]) -> None:
    run_command("head", lambda: print("done"))
    assert capsys.readouterr() == ("done\n", "")


@pytest.mark.parametrize(("options", "expected"), [([], "params.yaml"), (["--params", "other.yaml"], "other.yaml")])
def test_a_stage_takes_a_path_for_each_word_and_a_params_file(
    monkeypatch: pytest.MonkeyPatch, options: list[str], expected: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["head", "--features", "a/b.parquet", "--out", "c", *options])
    found = parse_paths("head", "Train.", features="features (.parquet)", out="folder to write")
    assert vars(found) == {"features": Path("a/b.parquet"), "out": Path("c"), "params": Path(expected)}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "the following arguments are required: --features, --out"),
        (["--features", "a"], "the following arguments are required: --out"),
        (["--features", "a", "--out", "b", "--more"], "unrecognized arguments: --more"),
    ],
)
def test_a_wrong_command_line_is_told_with_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], options: list[str], told: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["head", *options])
    with pytest.raises(SystemExit) as caught:
        parse_paths("head", "Train.", features="features (.parquet)", out="folder to write")
    assert caught.value.code == 2
    assert capsys.readouterr().err.endswith(f"python -m tasks.head: error: {told}\n")


def test_stages_start_without_tensorflow_and_prefect() -> None:
    names = ", ".join(f"tasks.{name}.__main__" for name in LIGHT)
    heavy = "{'tensorflow', 'keras', 'prefect', 'great_expectations'}"
    code = f"import sys, {names}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=True)
    assert done.stdout == "[]\n"


def test_the_core_of_validation_prediction_and_features_runs_without_tensorflow() -> None:
    code = (
        "import sys, tasks.validation.stage, tasks.features.stage, tasks.export.stage, "
        "tasks.evaluation.stage; print(sorted({'tensorflow', 'keras', 'prefect'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=True)
    assert done.stdout == "[]\n"


def test_what_an_import_writes_is_held_back_and_shown_only_if_it_fails() -> None:
    code = (
        "import os\nfrom tasks.common.command import quietly\n"
        "with quietly(): os.write(2, b'hello ')\n"
        "os.write(2, b'between ')\n"
        "try:\n    with quietly():\n        os.write(2, b'before the fall ')\n        raise ImportError\n"
        "except ImportError: os.write(2, b'after')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=True)
    assert done.stderr == "between before the fall after"
