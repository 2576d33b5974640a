import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from flows import cli
from flows.data.check import RESULTS, Verdict, print_findings
from flows.workspace import lock
from tests.flows.conftest import write_classes

WARNING = {"severity": "warning", "message": "class 'cat' has many\timages", "advice": "Add others.", "files": 0}
BLOCKING = {"severity": "blocking", "message": "class 'dog' has 1 usable image, needs 6", "advice": "Add some."}
NOTE = {"severity": "note", "message": "80 other files are ignored", "advice": ""}


def check(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, ["data", "check", *arguments], env={"COLUMNS": "120"})


def write_results(root: Path, findings: Sequence[dict[str, object]]) -> None:
    folder = root / "artifacts" / "validation"
    folder.mkdir(parents=True)
    rows = [{"check": "some", "success": not findings, "findings": list(findings)}]
    (folder / "results.json").write_text(json.dumps(rows))
    (folder / "summary.json").write_text(json.dumps({"images": 1234, "median_side": 8.0, "warnings": []}))


@pytest.mark.parametrize(
    ("findings", "verdict"),
    [
        pytest.param([], Verdict.GOOD, id="nothing to say"),
        pytest.param([NOTE], Verdict.GOOD, id="a note"),
        pytest.param([WARNING, NOTE], Verdict.WARNINGS, id="a warning"),
        pytest.param([NOTE, WARNING, BLOCKING], Verdict.UNFIT, id="not fit"),
    ],
)
def test_the_findings_are_printed_with_the_worst_first_and_make_the_verdict(
    tmp_path: Path, findings: list[dict[str, object]], verdict: Verdict
) -> None:
    write_results(tmp_path, findings)
    output = StringIO()
    assert print_findings(tmp_path, RESULTS, Console(file=output, width=120)) is verdict
    lines = output.getvalue().splitlines()
    assert lines[1] == "1,234 images accepted"
    assert lines[-1] == "report: artifacts/validation/report.html"
    severities = [word for word in ("blocking", "warning", "note") if any(row["severity"] == word for row in findings)]
    assert [line.split()[0] for line in lines[3:-1]] == severities


@pytest.mark.parametrize(
    ("verdict", "strict", "code"),
    [
        (Verdict.GOOD, True, 0),
        (Verdict.WARNINGS, False, 0),
        (Verdict.WARNINGS, True, 1),
        (Verdict.UNFIT, False, 2),
        (Verdict.UNFIT, True, 2),
    ],
)
def test_the_exit_code_counts_warnings_only_if_strict(verdict: Verdict, strict: bool, code: int) -> None:
    assert verdict.exit_code(strict=strict) == code


def test_another_folder_is_judged_without_a_change_of_the_params(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_classes(tmp_path / "pets", images_per_class=12)
    (tmp_path / "pets" / "cat" / "notes.txt").write_text("a note")
    shutil.rmtree(tmp_path / "pets" / "dog")
    write_classes(tmp_path / "more", images_per_class=2)
    shutil.copytree(tmp_path / "more" / "dog", tmp_path / "pets" / "dog")
    (workspace / "data").mkdir()
    (workspace / "data" / "corrections.csv").write_text("sha256,action,label,path\n")
    before = (workspace / "params.yaml").read_bytes()
    monkeypatch.chdir(workspace)
    result = check(str(tmp_path / "pets"))
    assert result.exit_code == 2, result.output
    assert "class 'dog' has 2 usable images, needs 6" in result.stdout
    assert (workspace / "artifacts" / "check" / "report.html").is_file()
    assert (workspace / "params.yaml").read_bytes() == before


def test_wrong_params_are_reported_by_the_name_of_the_users_file(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_classes(tmp_path / "pets", images_per_class=12)
    params = workspace / "params.yaml"
    params.write_text(params.read_text().replace("imbalance: warning", "imbalance: warnng"))
    monkeypatch.chdir(workspace)
    result = check(str(tmp_path / "pets"))
    assert result.exit_code == 2
    expected = "'validation.checks.imbalance' is 'warnng'; expected 'blocking', 'warning' or 'off'.\n"
    assert result.stderr == f"error: {params}: {expected}"


def test_a_check_of_a_folder_waits_for_another_one(workspace: Path, tmp_path: Path) -> None:
    write_classes(tmp_path / "pets", images_per_class=2)
    command = [sys.executable, "-m", "flows.cli", "data", "check", str(tmp_path / "pets")]
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONPATH": str(Path(cli.__file__).parents[1])}
    with lock(workspace / "artifacts" / "check", on_wait=print):
        process = subprocess.Popen(
            command, cwd=workspace, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stdout is not None
        waiting = f"another graft run (pid {os.getpid()}) is working here; waiting for it\n"
        assert process.stdout.readline() == waiting
    # The workspace lacks the corrections, so the check ends soon after it has begun.
    _, errors = process.communicate()
    assert process.returncode == 2
    assert "corrections.csv is missing" in errors


def test_a_folder_that_cannot_be_scanned_ends_in_one_line_and_code_2(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(workspace)
    result = check(str(tmp_path / "empty"))
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert result.stderr.startswith("error: ")
