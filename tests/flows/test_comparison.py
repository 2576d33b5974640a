import re
import shutil
import webbrowser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows import cli, comparison, process
from flows.report import REPORT
from tasks.common.errors import GraftError
from tests.conftest import call
from tests.flows.repositories import commit_empty, name_author, record, shown, write_run


def test_a_run_is_compared_with_the_last_committed_one_once_its_results_differ(committed: Path) -> None:
    assert comparison.since_last_commit(committed) == "the same run: dvc.lock is as committed"
    write_run(committed, shown(range(30)))
    record(committed)
    assert comparison.since_last_commit(committed) == (
        "better: accuracy 66.7 % to 100.0 %, +33.3 points (95 % interval +15.2 to +51.2) on 30 images that both "
        "predicted"
    )
    (committed / ".dvc" / "cache").rename(committed / "gone")
    assert str(comparison.since_last_commit(committed)).startswith(
        "no comparison: artifacts/evaluation/predictions.parquet of 'HEAD' is neither in the DVC cache nor"
    )


def test_without_a_committed_run_the_reason_is_said(committed: Path) -> None:
    shutil.rmtree(committed / ".git")
    call("git", "init", "-q", cwd=committed)
    assert comparison.since_last_commit(committed) == "nothing to compare with: there is no commit yet"
    name_author(committed)
    commit_empty(committed)
    assert comparison.since_last_commit(committed) == "nothing to compare with: the last commit has no run"
    (committed / comparison.PREDICTIONS).unlink()
    assert comparison.since_last_commit(committed) is None


def test_two_runs_are_compared_on_a_page_and_the_page_is_opened(
    committed: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    write_run(committed, shown(range(3, 30)))
    monkeypatch.chdir(committed)
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    result = CliRunner().invoke(cli.app, ["report", "HEAD"])
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "report  artifacts/comparison/report.html\nno browser was found; open the file yourself\n"
    page = committed / "artifacts" / "comparison" / "report.html"
    assert opened == [page.as_uri()]
    assert "workspace is better than HEAD" in page.read_text()
    assert "Not compared: 3 test images of HEAD alone." in capfd.readouterr().out


def test_the_report_of_the_run_is_opened_or_its_absence_said(committed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(committed)
    missing = CliRunner().invoke(cli.app, ["report"])
    assert (missing.exit_code, missing.stderr) == (
        1,
        f"error: {REPORT} is missing: the stage 'evaluation' writes it. Run `graft train`, or `dvc pull`.\n",
    )
    (committed / REPORT).write_text("<!doctype html>")
    monkeypatch.setattr(webbrowser, "open", lambda _: pytest.fail("no browser must be opened"))
    found = CliRunner().invoke(cli.app, ["report", "--no-open"])
    assert (found.exit_code, found.stdout) == (0, f"report  {REPORT}\n")


def test_a_command_that_fails_ends_in_its_own_line(committed: Path) -> None:
    message = (
        "artifacts/evaluation/predictions.parquet is missing: stage 'evaluation' makes it. Run `dvc repro evaluation`."
    )
    options = ("--before=.", "--after=nowhere", "--images=data", "--out=out")
    with pytest.raises(GraftError, match=f"^nowhere/{re.escape(message)}$"):
        process.run_module(committed, "tasks.comparison.untested", *options, prefix="graft promote: error: ")
