import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows import cli, params_file, promotion, registry
from flows.registry import Version
from tasks.common.errors import GraftError
from tests.conftest import call
from tests.flows.repositories import commit_empty, commit_run, shown


def tags(repository: Path) -> list[str]:
    return call("git", "tag", cwd=repository).split()


def test_the_first_version_needs_no_comparison_and_is_promoted_once(
    committed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(committed)
    first = CliRunner().invoke(cli.app, ["promote"])
    commit = call("git", "rev-parse", "HEAD", cwd=committed).strip()
    assert (first.exit_code, first.stdout) == (
        0,
        f"""\
no champion yet: the first version needs no comparison
tagged {commit[:7]} as classifier@v1.0.0 and classifier#prod#1
next: dvc push && git push --tags
""",
    )
    assert promotion.find_champion(committed) == Version("v1.0.0", commit)
    again = CliRunner().invoke(cli.app, ["promote", "--force"])
    expected = f"HEAD ({commit[:7]}) is classifier@v1.0.0, the champion: nothing to promote\n"
    assert (again.exit_code, again.stdout) == (0, expected)
    assert tags(committed) == ["classifier#prod#1", "classifier@v1.0.0"]


def test_a_better_run_is_promoted_after_the_champion_answered_for_images_that_are_new_to_it(
    committed: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    registry.promote(committed, "HEAD")
    commit_run(committed, shown(range(39)), "second", trained=range(39, 42))
    champion = promotion.find_champion(committed)
    assert promotion.decide(committed, promotion.candidate(committed), champion, force=False) == "promote"
    output = capfd.readouterr().out
    # Images 30 to 32 trained the champion; its model recognises 33 to 38.
    assert "asking v1.0.0 about 6 test images that it has not seen\n" in output
    assert "left out: v1.0.0 was trained on them.\n" in output
    assert "better: accuracy 72.2 % to 100.0 %, +27.8 points" in output
    assert "result: promote: the candidate is better than the champion\n" in output
    assert tags(committed) == ["classifier#prod#1", "classifier#prod#2", "classifier@v1.0.0", "classifier@v1.1.0"]


def test_a_worse_run_is_rejected_unless_it_is_forced(
    committed: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    registry.promote(committed, "HEAD")
    commit_run(committed, shown(range(30), wrong=range(25)), "second")
    monkeypatch.chdir(committed)
    forced = CliRunner().invoke(cli.app, ["promote", "--force"])
    assert forced.exit_code == 0, forced.stderr
    assert "worse: accuracy 66.7 % to 16.7 %" in capfd.readouterr().out
    assert "result: reject: the candidate is worse than the champion\ntagged " in forced.stdout
    assert tags(committed)[-1] == "classifier@v1.1.0"
    commit_empty(committed)
    monkeypatch.setattr(promotion, "judge", lambda *_: "reject")
    rejected = CliRunner().invoke(cli.app, ["promote"])
    assert rejected.exit_code == 1
    assert rejected.stdout.endswith("no tag was made; `graft promote --force` makes it all the same\n")
    monkeypatch.setattr(promotion, "judge", lambda *_: "tie")
    tie = CliRunner().invoke(cli.app, ["promote"])
    assert tie.exit_code == 0
    assert "result: tie: chance may explain the difference\nno tag was made" in tie.stdout
    assert len(tags(committed)) == 4


def test_a_champion_whose_files_are_gone_blocks_a_promotion_that_is_not_forced(committed: Path) -> None:
    registry.promote(committed, "HEAD")
    (committed / ".dvc" / "cache").rename(committed / "gone")
    commit_empty(committed)
    candidate, champion = promotion.candidate(committed), promotion.find_champion(committed)
    message = r"is neither in the DVC cache nor .* Without a comparison, `graft promote --force` promotes\.$"
    with pytest.raises(GraftError, match=message):
        promotion.decide(committed, candidate, champion, force=False)
    assert promotion.decide(committed, candidate, champion, force=True) == "tie"
    assert tags(committed)[-1] == "classifier@v1.1.0"


def edit_params(repository: Path) -> None:
    params_file.edit(repository / "params.yaml", [("head.epochs", 99)])


def edit_params_and_commit(repository: Path) -> None:
    edit_params(repository)
    call("git", "commit", "-q", "-a", "-m", "other params", cwd=repository)


def edit_params_and_lock(repository: Path) -> None:
    edit_params(repository)
    (repository / "dvc.lock").unlink()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (edit_params, "params.yaml has changes that are not committed, and only a committed run can be promoted. Run"),
        (edit_params_and_lock, "dvc.lock and params.yaml have changes that are not committed, and only a committed"),
        (
            edit_params_and_commit,
            "params.yaml has another head.epochs than the run in dvc.lock. Run `graft train`, then",
        ),
    ],
    ids=["edited params", "lost results", "committed params of no run"],
)
def test_only_a_committed_run_with_its_own_params_is_a_candidate(
    committed: Path, change: Callable[[Path], None], message: str
) -> None:
    change(committed)
    with pytest.raises(GraftError, match=re.escape(message)):
        promotion.candidate(committed)


def test_without_a_commit_or_a_run_there_is_no_candidate(committed: Path) -> None:
    (committed / "dvc.lock").unlink()
    call("git", "commit", "-q", "-a", "-m", "no run", cwd=committed)
    with pytest.raises(GraftError, match=re.escape("dvc.lock is missing: there is no run to promote.")):
        promotion.candidate(committed)
    shutil.rmtree(committed / ".git")
    call("git", "init", "-q", cwd=committed)
    with pytest.raises(GraftError, match=re.escape("there is no commit yet. Train, then run `git add dvc.lock")):
        promotion.candidate(committed)


def test_a_shallow_clone_without_tags_is_not_taken_for_one_without_a_champion(committed: Path, tmp_path: Path) -> None:
    registry.promote(committed, "HEAD")
    commit_empty(committed)
    clone = tmp_path / "clone"
    call("git", "clone", "-q", "--depth=1", committed.as_uri(), str(clone), cwd=tmp_path)
    with pytest.raises(GraftError, match=re.escape("Run `git fetch --unshallow --tags`.")):
        promotion.find_champion(clone)


def test_the_champion_is_the_version_in_use_and_a_version_may_be_in_use_again(committed: Path) -> None:
    first = call("git", "rev-parse", "HEAD", cwd=committed).strip()
    registry.promote(committed, first)
    second = commit_empty(committed)
    registry.promote(committed, second)
    assert registry.champion(committed) == Version("v1.1.0", second)
    registry.promote(committed, first)
    assert tags(committed) == [
        *(f"classifier#prod#{number}" for number in (1, 2, 3)),
        "classifier@v1.0.0",
        "classifier@v1.1.0",
    ]
    assert registry.champion(committed) == Version("v1.0.0", first)


def test_a_tag_of_the_same_name_is_never_replaced(committed: Path) -> None:
    call("git", "tag", "classifier@v1.0.0", cwd=committed)
    with pytest.raises(GraftError, match=r"^the version cannot be tagged: .* Tags made so far: none\.$"):
        registry.promote(committed, "HEAD")
    assert tags(committed) == ["classifier@v1.0.0"]


def test_in_a_folder_of_the_repository_the_tags_have_its_name(committed: Path) -> None:
    project = committed / "vision"
    project.mkdir()
    (committed / "dvc.yaml").rename(project / "dvc.yaml")
    assert registry.artifact_name(project) == "vision:classifier"
    assert registry.promote(project, "HEAD") == ["vision=classifier@v1.0.0", "vision=classifier#prod#1"]
    assert registry.champion(project) is not None
    (project / "dvc.yaml").write_text("stages: {}\n")
    with pytest.raises(GraftError, match="dvc.yaml has no artifact 'classifier'"):
        registry.model_path(project)
