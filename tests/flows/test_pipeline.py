import shutil
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from flows import dvc, pipeline, workspace
from flows.pipeline import Stage
from tests.conftest import ROOT, call, write_pipeline


def test_the_stages_are_those_of_dvc_yaml_in_its_order() -> None:
    stages = [stage.name for stage in pipeline.read(ROOT) if not stage.is_data]
    assert stages == list(YAML(typ="safe", pure=True).load(ROOT / "dvc.yaml")["stages"])


def test_a_stage_comes_after_its_upstream_wherever_it_stands_in_dvc_yaml(trained_workspace: Path) -> None:
    yaml = YAML()
    document = yaml.load(trained_workspace / "dvc.yaml")
    document["stages"] = dict(reversed(list(document["stages"].items())))
    yaml.dump(document, trained_workspace / "dvc.yaml")
    stages = pipeline.read(trained_workspace)
    names = [stage.name for stage in stages]
    assert sorted(names) == ["backbone", "evaluation", "features", "images", "photos.dvc"]
    assert all(names.index(before) < names.index(stage.name) for stage in stages for before in stage.upstream)


@pytest.fixture(scope="module")
def monorepo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a DVC repository with a remote, a pipeline of its own and two folders with the small pipeline below.

    The pipeline above makes what the stage `images` of both reads, and reads what they make.
    """
    top = tmp_path_factory.mktemp("monorepo")
    call("git", "init", "-q", cwd=top)
    call(sys.executable, "-m", "dvc", "init", "-q", cwd=top)
    (top / ".dvc" / "config").write_text(
        "[core]\n    analytics = false\n    remote = store\n['remote \"store\"']\n    url = ../../remote\n"
    )
    for folder in (top / "left", top / "right"):
        folder.mkdir()
        write_pipeline(folder)
        call(sys.executable, "-m", "dvc", "add", "-q", "photos", cwd=folder)
        (folder / "images.in").unlink()
    (top / "dvc.yaml").write_text(
        "stages:\n"
        "  above: {cmd: echo 1 > left/images.in; echo 1 > right/images.in, outs: [left/images.in, right/images.in]}\n"
        "  evaluation: {cmd: cat left/evaluation.out > all.out, deps: [left/evaluation.out], outs: [all.out]}\n"
    )
    call(sys.executable, "-m", "dvc", "repro", "-q", "above", cwd=top)
    return top


def test_in_a_monorepo_only_the_stages_of_the_workspace_and_their_data_count(monorepo: Path, tmp_path: Path) -> None:
    top = shutil.copytree(monorepo, tmp_path / "top")
    left = workspace.find(top / "left" / "photos")
    assert pipeline.read(left) == [
        Stage("images", ()),
        Stage("backbone", ()),
        Stage("features", ("images", "backbone")),
        Stage("photos.dvc", ()),
        Stage("evaluation", ("features", "photos.dvc")),
    ]
    assert dvc.stale(left) == {"images", "backbone", "features", "evaluation"}
    for stage in pipeline.read(left):
        dvc.reproduce(left, stage.name, lambda _line: None)
    assert dvc.stale(left) == set()
    (left / "photos" / "2.txt").write_text("2")
    assert dvc.stale(left) == {"photos.dvc", "evaluation"}
    assert [stage.name for stage in pipeline.read(top)] == ["above", "evaluation"]


def test_in_a_monorepo_the_lock_of_a_workspace_leaves_the_repository_above_with_its_remote(
    monorepo: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    left, right = monorepo / "left", monorepo / "right"
    with workspace.lock(left, pytest.fail), workspace.lock(right, pytest.fail), workspace.lock(monorepo, pytest.fail):
        assert call("git", "status", "--porcelain", "--ignored", "left/.dvc", cwd=monorepo) == ""
    assert not (left / ".dvc").exists()
    assert call(sys.executable, "-m", "dvc", "root", cwd=left).strip() == ".."
    assert call(sys.executable, "-m", "dvc", "remote", "list", cwd=left).startswith("store")
