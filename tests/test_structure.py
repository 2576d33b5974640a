"""The structure of the code: what the stages depend on in dvc.yaml is what they import."""

import grimp
import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT

STAGES = YAML(typ="safe", pure=True).load(ROOT / "dvc.yaml")["stages"]


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    return grimp.build_graph("tasks")


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_in_dvc_yaml_on_exactly_the_packages_that_it_imports(
    imports: grimp.ImportGraph, stage: str
) -> None:
    modules = {f"tasks.{stage}", *imports.find_descendants(f"tasks.{stage}")}
    reached = modules.union(*(imports.find_upstream_modules(module) for module in modules))
    packages = {"/".join(module.split(".")[:2]) for module in reached if "." in module}
    assert {path for path in STAGES[stage]["deps"] if path.startswith("tasks/")} == packages


def test_every_package_under_tasks_is_a_stage_or_shared_by_stages(imports: grimp.ImportGraph) -> None:
    packages = {module.removeprefix("tasks.") for module in imports.find_children("tasks")}
    assert packages - set(STAGES) == {
        "calibration",
        "common",
        "comparison",
        "extraction",
        "images",
        "networks",
        "novelty",
        "onnx",
        "pages",
        "review",
        "store",
        "tables",
    }


def test_a_change_to_the_networks_package_makes_only_stages_that_train_or_convert_stale() -> None:
    stale = {stage for stage, definition in STAGES.items() if "tasks/networks" in definition["deps"]}
    assert stale == {"backbone", "head", "finetuning", "export"}
