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
    """Make a DVC repository with a remote and a pipeline of its own, and the small pipeline, up to date, below it.

    The pipeline above writes a source of the one below, reads its result, and has a stage with the same name.
    """
    top = tmp_path_factory.mktemp("monorepo")
    below = top / "below"
    below.mkdir()
    call("git", "init", "-q", cwd=top)
    call(sys.executable, "-m", "dvc", "init", "-q", cwd=top)
    (top / ".dvc" / "config").write_text(
        "[core]\n    analytics = false\n    remote = store\n['remote \"store\"']\n    url = ../../remote\n"
    )
    write_pipeline(below)
    (below / "images.in").unlink()
    (top / "dvc.yaml").write_text(
        "stages:\n"
        "  above: {cmd: echo 1 > below/images.in, outs: [below/images.in]}\n"
        "  evaluation: {cmd: cp below/evaluation.out all.out, deps: [below/evaluation.out], outs: [all.out]}\n"
    )
    call(sys.executable, "-m", "dvc", "add", "-q", "photos", cwd=below)
    call(sys.executable, "-m", "dvc", "repro", "-q", cwd=below)
    return top


def test_in_a_monorepo_only_the_stages_of_the_workspace_and_their_data_count(monorepo: Path) -> None:
    below = workspace.find(monorepo / "below" / "photos")
    assert sorted(pipeline.read(below)) == [
        Stage("backbone", ()),
        Stage("evaluation", ("features", "photos.dvc")),
        Stage("features", ("images", "backbone")),
        Stage("images", ()),
        Stage("photos.dvc", ()),
    ]
    assert dvc.stale(below) == set()
    (below / "photos" / "2.txt").write_text("2")
    assert dvc.stale(below) == {"photos.dvc", "evaluation"}
    assert dvc.reproduce(below, "photos.dvc", lambda _line: None).how == "ran"
    assert dvc.reproduce(below, "evaluation", lambda _line: None).how == "ran"
    assert dvc.stale(below) == set()
    assert dvc.stale(monorepo) == {"evaluation"}


def test_in_a_monorepo_the_lock_of_a_workspace_leaves_the_repository_above_with_its_remote(monorepo: Path) -> None:
    below = monorepo / "below"
    with workspace.lock(below, pytest.fail), workspace.lock(monorepo, pytest.fail):
        assert not (below / ".dvc").exists()
    assert call(sys.executable, "-m", "dvc", "remote", "list", cwd=below).startswith("store")
