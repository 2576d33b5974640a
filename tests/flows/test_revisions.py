import re
import shutil
from pathlib import Path

import pytest

from flows import params_file, revisions
from tasks.common.errors import GraftError
from tests.conftest import call
from tests.flows.repositories import commit_empty, name_author, record

METRICS = Path("artifacts/evaluation/metrics.json")
PARAMS = Path("params.yaml")


def test_files_come_from_the_cache_by_commit_tag_or_experiment_while_the_workspace_has_others(
    committed: Path, tmp_path: Path
) -> None:
    call("git", "tag", "v1", cwd=committed)
    before = (committed / METRICS).read_text()
    params_file.edit(committed / PARAMS, [("head.epochs", 99)])
    (committed / METRICS).write_text("{}")
    record(committed)
    call("dvc", "exp", "save", "-q", "-n", "longer", cwd=committed)
    (committed / METRICS).write_text("later")
    for revision, metrics, epochs in (("v1", before, "60"), ("HEAD", before, "60"), ("longer", "{}", "99")):
        folder = revisions.fetch(committed, revision, [METRICS, PARAMS], tmp_path / revision)
        assert (folder / METRICS).read_text() == metrics
        assert f"  epochs: {epochs} " in (folder / PARAMS).read_text()


def test_a_file_that_the_cache_lacks_comes_from_the_remote_or_ends_in_one_line(committed: Path, tmp_path: Path) -> None:
    cache, remote = committed / ".dvc" / "cache", tmp_path / "remote"
    shutil.move(cache, tmp_path / "away")
    message = (
        f"{METRICS} of 'HEAD' is neither in the DVC cache nor in a remote that can be reached (`dvc remote list`). Run "
        "`dvc push` where it was trained."
    )
    with pytest.raises(GraftError, match=re.escape(message)):
        revisions.fetch(committed, "HEAD", [METRICS], tmp_path / "out")
    shutil.move(tmp_path / "away", remote)
    (committed / ".dvc" / "config").write_text(f"[core]\n    remote = disk\n['remote \"disk\"']\n    url = {remote}\n")
    folder = revisions.fetch(committed, "HEAD", [METRICS], tmp_path / "out")
    assert (folder / METRICS).read_bytes() == (committed / METRICS).read_bytes()


@pytest.mark.parametrize(
    ("revision", "file", "message"),
    [
        pytest.param(
            "no\nwhere", METRICS, r"'no\nwhere' is no commit, tag, branch or DVC experiment. `git log`,", id="name"
        ),
        pytest.param(
            "HEAD",
            Path("artifacts/other.json"),
            "'HEAD' has no artifacts/other.json: it holds no finished run",
            id="file",
        ),
    ],
)
def test_an_unknown_revision_and_a_file_that_it_lacks_are_named(
    committed: Path, tmp_path: Path, revision: str, file: Path, message: str
) -> None:
    with pytest.raises(GraftError, match=re.escape(message)):
        revisions.fetch(committed, revision, [file], tmp_path)


def test_uncommitted_records_and_a_param_that_the_run_did_not_use_are_found(committed: Path) -> None:
    assert revisions.uncommitted(committed) == []
    assert revisions.param_not_in_run(committed) is None
    assert revisions.is_committed(committed)
    params_file.edit(committed / PARAMS, [("head.epochs", 99)])
    assert revisions.uncommitted(committed) == ["params.yaml"]
    assert revisions.param_not_in_run(committed) == "head.epochs"
    (committed / "dvc.lock").write_text("stages: {}\n")
    assert revisions.uncommitted(committed) == ["dvc.lock", "params.yaml"]
    assert not revisions.is_committed(committed)


def test_a_repository_below_the_top_of_git_is_read_at_its_own_paths(committed_template: Path, tmp_path: Path) -> None:
    top = tmp_path / "top"
    project = shutil.copytree(committed_template, top / "vision", ignore=shutil.ignore_patterns(".git"))
    call("git", "init", "-q", cwd=top)
    name_author(top)
    call("git", "add", "--all", cwd=top)
    commit_empty(top)
    assert revisions.has_file(project, "HEAD", "dvc.lock")
    folder = revisions.fetch(project, "HEAD", [METRICS], tmp_path / "out")
    assert (folder / METRICS).read_bytes() == (project / METRICS).read_bytes()
