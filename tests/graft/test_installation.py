"""The small installation: Graft's wheel with onnxruntime, numpy and Pillow, and nothing else."""

import re
import subprocess
import sys
import zipfile
from importlib.metadata import distribution, requires
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import ROOT
from tests.graft.models import write_colour_model

RUN = "import sys; sys.path[:0] = sys.argv.pop(1).split(';'); from graft.__main__ import main; main()"


def site(folder: Path, names: list[str]) -> Path:
    """Make a folder of packages that has only the files of these distributions."""
    folder.mkdir()
    for name in names:
        files = distribution(name).files or []
        for top in sorted({file.parts[0] for file in files if not file.parts[0].startswith("..")}):
            if not (folder / top).exists():
                (folder / top).symlink_to(Path(str(distribution(name).locate_file(top))))
    return folder


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Build the wheel, unpack it, and give the folders to import from."""
    folder = tmp_path_factory.mktemp("installation")
    build = "from hatchling.build import build_wheel; import sys; build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(folder)], cwd=ROOT, check=True, capture_output=True)
    [wheel] = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "wheel")
    small = [re.split("[<>=]", name)[0] for name in requires("graft") or [] if "extra ==" not in name]
    assert sorted(small) == ["numpy", "onnxruntime", "pillow"]
    return f"{folder / 'wheel'};{site(folder / 'site', [*small, 'flatbuffers', 'packaging', 'protobuf'])}"


def graft(installation: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    # -S and -I: nothing of the environment that runs the tests can be imported.
    command = [sys.executable, "-I", "-S", "-c", RUN, installation, *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_the_wheel_with_three_packages_predicts(installation: str, tmp_path: Path) -> None:
    write_colour_model(tmp_path / "model.onnx")
    Image.new("RGB", (12, 8), (200, 0, 0)).save(tmp_path / "red.png")
    result = graft(installation, "predict", "--model", "model.onnx", "red.png", cwd=tmp_path)
    assert (result.stdout, result.stderr, result.returncode) == ("red.png  red 99.9%\n", "", 0)


@pytest.mark.parametrize("arguments", [["train"], []])
def test_the_other_commands_say_which_extra_they_need(installation: str, tmp_path: Path, arguments: list[str]) -> None:
    result = graft(installation, *arguments, cwd=tmp_path)
    assert (result.stdout, result.returncode) == ("", 2)
    assert result.stderr == (
        "graft: error: here only these commands are installed: predict, score, serve, demo, conformance. The others "
        "need the extra 'train': pip install 'graft[train]'.\n"
    )
