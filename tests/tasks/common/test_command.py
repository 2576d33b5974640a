import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tasks.common.command import parse_paths, run_command
from tasks.common.errors import DownloadError, GateError, GraftError
from tests.tasks.conftest import ROOT

STAGES = set(YAML(typ="safe", pure=True).load(ROOT / "dvc.yaml")["stages"])
TRAINING_STAGES = {"backbone", "head", "finetuning"}


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
    assert capsys.readouterr() == ("", "graft features: error: expected this, found that\n")


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        pytest.param(errno.ENOSPC, "Make room there, then run again", id="full disk"),
        pytest.param(errno.EROFS, "Make the disk writable, then run again", id="read-only disk"),
        pytest.param(
            errno.EACCES, "Give yourself the right to read and write there, then run again", id="missing right"
        ),
        pytest.param(
            errno.EFBIG, "Raise the limit on the size of files (ulimit -f), then run again", id="limit on the size"
        ),
        pytest.param(errno.ENAMETOOLONG, "Give a shorter name", id="long name"),
    ],
)
def test_a_fault_of_the_disk_ends_in_one_line_with_the_file_and_a_remedy(
    number: int, remedy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def main() -> None:
        raise OSError(number, os.strerror(number), "artifacts/head/head.onnx")

    with pytest.raises(SystemExit) as caught:
        run_command("head", main)
    assert caught.value.code == 1
    fault = f"artifacts/head/head.onnx cannot be used: {os.strerror(number)}. {remedy}."
    assert capsys.readouterr().err == f"graft head: error: {fault}\n"


def test_an_interrupted_stage_says_so_and_ends_with_130(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as caught:
        run_command("head", main)
    assert caught.value.code == 130
    assert capsys.readouterr().err == "graft head: interrupted\n"


@pytest.mark.parametrize("length", [5, 500_000], ids=["at the end", "in the middle"])
@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
def test_a_reader_that_ends_early_ends_the_command_without_a_word(length: int, unbuffered: str) -> None:
    code = f"from tasks.common.command import run_command; run_command('head', lambda: print('a' * {length}))"
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    pipe, writer = os.pipe()
    os.close(pipe)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, check=False, env=environment
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_another_pipe_that_breaks_is_a_defect() -> None:
    def main() -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        run_command("head", main)


def test_a_defect_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run_command("head", lambda: print(1 // 0))
    with pytest.raises(FileNotFoundError):
        run_command("head", lambda: print(Path("nowhere").read_text()))


def test_a_stage_that_works_returns(capsys: pytest.CaptureFixture[str]) -> None:
    run_command("head", lambda: print("done"))
    assert capsys.readouterr() == ("done\n", "")


@pytest.mark.parametrize(
    ("options", "expected"),
    [([], "params.yaml"), (["--params", "other.yaml"], "other.yaml")],
    ids=["default params", "own params"],
)
def test_a_stage_takes_a_path_for_each_option_and_a_params_file(
    monkeypatch: pytest.MonkeyPatch, options: list[str], expected: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["head", "--features", "a/b.parquet", "--out", "c", *options])
    arguments = parse_paths("head", "Train.", features="features (.parquet)", out="folder to write")
    assert vars(arguments) == {"features": Path("a/b.parquet"), "out": Path("c"), "params": Path(expected)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param([], "the following arguments are required: --features, --out", id="no options"),
        pytest.param(["--features", "a"], "the following arguments are required: --out", id="an option is missing"),
        pytest.param(
            ["--features", "a", "--out", "b", "--more"], "unrecognized arguments: --more", id="unknown option"
        ),
    ],
)
def test_a_wrong_command_line_ends_in_an_error_that_names_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["head", *options])
    with pytest.raises(SystemExit) as caught:
        parse_paths("head", "Train.", features="features (.parquet)", out="folder to write")
    assert caught.value.code == 2
    assert capsys.readouterr().err.endswith(f"python -m tasks.head: error: {message}\n")


def loaded(libraries: set[str], *, after: list[str]) -> set[str]:
    """Return those of the libraries that are loaded in a process that has imported some modules."""
    code = f"import sys, {', '.join(after)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=True)
    return libraries & set(done.stdout.split())


def test_every_command_starts_without_heavy_libraries() -> None:
    commands = [f"tasks.{stage}.__main__" for stage in STAGES]
    assert loaded({"tensorflow", "keras", "prefect", "great_expectations"}, after=commands) == set()


@pytest.mark.parametrize(
    "stages",
    [
        pytest.param(STAGES - TRAINING_STAGES - {"validation"}, id="all but validation"),
        # Great Expectations alone takes seconds to import.
        pytest.param({"validation"}, id="validation", marks=pytest.mark.thorough),
    ],
)
def test_stages_that_neither_train_nor_convert_run_without_tensorflow(stages: set[str]) -> None:
    assert loaded({"tensorflow", "keras", "prefect"}, after=[f"tasks.{stage}.stage" for stage in stages]) == set()


def test_standard_error_is_suppressed_during_imports_and_written_only_if_an_import_fails() -> None:
    code = (
        "import os, sys\n"
        "from tasks.common.command import quiet_imports\n"
        "with quiet_imports():\n"
        "    os.write(2, b'suppressed ')\n"
        "    print('suppressed', file=sys.stderr)\n"
        "os.write(2, b'between, ')\n"
        "try:\n"
        "    with quiet_imports():\n"
        "        os.write(2, b'before the error, ')\n"
        "        raise ImportError\n"
        "except ImportError:\n"
        "    os.write(2, b'after')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=True)
    assert done.stderr == "between, before the error, after"
