"""The commands of README and docs: cheap ones run in a clone with trained digits, the others are checked by parsing."""

import ast
import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
from ruamel.yaml import YAML

from flows import params_file
from tests.conftest import ROOT
from tests.docs.checks import CHECKS, check_graft
from tests.docs.pages import Command, Fence, divide, find_commands, find_fences, find_inline_commands

LANGUAGES = {"bash", "csv", "mermaid", "python", "text", "yaml"}

SCENARIO = [
    "graft train",
    "git add dvc.lock params.yaml && git commit -m 'More pictures'",
    "graft report --no-open",
    "dvc metrics show",
    "graft backbones",
    "graft store",
    "graft predict --model model.onnx photo.jpg",
    "graft predict --model model.onnx --csv --out predictions.csv photos/ more.zip 'other/*.png'",
    "find photos -name '*.jpg' | graft predict --model model.onnx --json --top 3 -",
    "python examples/predict.py artifacts/export/model.onnx photo.jpg",
    "graft score photos/",
    "graft demo --model model.onnx --images photos/ --out site --no-serve",
    "graft serve --triton repository",
    "graft serve --kserve s3://bucket/repository > inference-service.yaml",
    "graft data review",
    "graft data apply decisions.csv",
    "graft data add ~/photos",
    "graft data check",
]
"""The commands that run, in an order in which each finds what it needs."""

ELSEWHERE = {
    "apt-get ": "installs packages of Debian",
    "cp ": "tests/examples/test_other_languages.py serves such a folder",
    "curl ": "tests/graft/serving/test_serving.py sends such requests",
    "dask ": "tests/integration/cluster/conftest.py starts schedulers and workers",
    "export ": "sets variables",
    "g++ ": "tests/examples/test_other_languages.py compiles the program",
    "mkdir ": "tests/examples/test_other_languages.py serves such a folder",
    "node ": "tests/examples/test_other_languages.py runs the script",
    "npm ": "the Makefile installs the same packages",
    "openvino=": "tests/examples/test_other_languages.py compiles the program",
    "optimum-cli ": "is a program of others, which downloads weights",
    "pip install openvino": "is the package of the extra openvino, without Graft",
    "pip install opencv-python": "is the package of the extra conformance, with windows",
    "pre-commit ": "is a program of others",
    "source ": "is a word of the shell",
    "./predict ": "tests/examples/test_other_languages.py runs the program",
}
"""Beginnings of commands that are not checked by parsing, each with the reason or the test that covers it."""


def named(items: list[Command]) -> list[object]:
    return [pytest.param(item, id=f"{item.page}:{item.line}") for item in items]


def check(command: Command) -> None:
    """Check each part of a command by the parser of its program."""
    for words in divide(command.text):
        program = Path(words[0]).name
        assert program in CHECKS, f"no rule covers {command}"
        CHECKS[program](words[1:])


def test_every_block_says_its_language() -> None:
    assert [f"{fence.page}:{fence.line}" for fence in find_fences() if fence.language not in LANGUAGES] == []


@pytest.mark.parametrize("command", named(find_commands()))
def test_a_command_runs_or_is_understood_by_its_program(command: Command) -> None:
    if command.text in SCENARIO or command.text.startswith(tuple(ELSEWHERE)):
        return
    check(command)


def test_every_reason_and_every_command_of_the_scenario_belongs_to_a_command_on_a_page() -> None:
    texts = [command.text for command in find_commands()]
    assert [text for text in SCENARIO if text not in texts] == []
    assert [start for start in ELSEWHERE if not any(text.startswith(start) for text in texts)] == []
    named_tests = [word for reason in ELSEWHERE.values() for word in reason.split() if word.startswith("tests/")]
    assert [path for path in named_tests if not (ROOT / path).is_file()] == []


@pytest.mark.parametrize("command", named(find_inline_commands()))
def test_a_command_in_the_text_is_understood_by_its_program(command: Command) -> None:
    program, *words = command.text.split()
    if program == "graft" and "=" not in command.text:
        # The text may name a command without its arguments.
        check_graft([*words, "--help"])
    else:
        check(command)


def test_the_commands_run_in_this_order_in_a_trained_clone(trained_clone: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(trained_clone, tmp_path / "clone", symlinks=True)
    write_files_of_the_reader(folder, tmp_path / "home")
    for text in SCENARIO:
        completed = run(text, folder, tmp_path / "home")
        assert completed.returncode == 0, f"{text}\n{completed.stdout}{completed.stderr}"
        if text == "graft data review":
            shutil.copy(folder / "artifacts" / "review" / "review.csv", folder / "decisions.csv")


def write_files_of_the_reader(folder: Path, home: Path) -> None:
    """Write the photos, the model and the archive that the pages name; the photos are digits."""
    shutil.copy(folder / "artifacts" / "export" / "model.onnx", folder)
    for label in ("0", "1", "2"):
        images = sorted((folder / "data" / "digits" / label).iterdir())[:40]
        for image in images:
            target = home / "photos" / label / image.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(image, target)
    shutil.copytree(home / "photos", folder / "photos")
    other = folder / "other"
    other.mkdir()
    shutil.copy(images[0], other)
    for copy in ("photo.jpg", "other.png", "photos/3.jpg"):
        shutil.copy(images[0], folder / copy)
    with ZipFile(folder / "more.zip", "w") as archive:
        archive.write(images[1], "image.png")


def run(text: str, folder: Path, home: Path) -> subprocess.CompletedProcess[str]:
    """Run a line in bash, as a reader would who has activated the environment."""
    author = {f"GIT_{role}_{key}": "test" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | author | {"PATH": path, "HOME": str(home)}
    command = ["bash", "-c", f"set -euo pipefail; {text}"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "fence",
    [pytest.param(fence, id=f"{fence.page}:{fence.line}") for fence in find_fences() if fence.language == "python"],
)
def test_python_on_a_page_is_valid_and_imports_names_that_exist(fence: Fence) -> None:
    for node in ast.walk(ast.parse(fence.text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in {"flows", "graft", "tasks"}:
            module = importlib.import_module(str(node.module))
            assert [name.name for name in node.names if not hasattr(module, name.name)] == []


@pytest.mark.parametrize(
    "fence",
    [pytest.param(fence, id=f"{fence.page}:{fence.line}") for fence in find_fences() if fence.language == "yaml"],
)
def test_params_on_a_page_have_known_keys_and_allowed_values(fence: Fence, tmp_path: Path) -> None:
    document = YAML(typ="safe", pure=True).load(fence.text)
    if isinstance(document, list):  # a deployment of Prefect
        assert [deployment["work_pool"] for deployment in document] == [{"name": "graft"}]
        return
    path = Path(shutil.copy(ROOT / "params.yaml", tmp_path))
    changes = [(f"{section}.{key}", value) for section, keys in document.items() for key, value in keys.items()]
    params_file.edit(path, changes)
