"""Fixtures that several folders of tests share."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from selenium import webdriver

from flows.server import SERVER_ENVIRONMENT
from tasks.common import params
from tasks.common.params import Params

# A shell starts its background jobs with Ctrl-C ignored, and children inherit that: the tests of Ctrl-C need it.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parents[1]
SCRIPT = """
import pathlib, sys
name, *sources = sys.argv[1:]
print(f"{name}: at work", f"{name}: 1/4 images, 2/s, 1 s left", f"{name}: 3/4 images, 2/s, 0 s left", sep="\\n")
failure = pathlib.Path(f"{name}.failure")
if failure.exists():
    code, _, text = failure.read_text().partition(" ")
    print(f"graft {name}: error: {text}", file=sys.stderr)
    sys.exit(int(code))
with open("calls.txt", "a") as file:
    file.write(name + "\\n")
files = [file for source in map(pathlib.Path, sources) for file in ([source] if source.is_file() else source.iterdir())]
pathlib.Path(f"{name}.out").write_text(name + "".join(sorted(file.read_text() for file in files)))
"""
SOURCES = {
    "images": ["images.in"],
    "backbone": ["backbone.in"],
    "features": ["images.out", "backbone.out"],
    "evaluation": ["features.out", "photos"],
}


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep tests, and the commands that they start, from reading and filling the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRAFT_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("GRAFT_STORE", raising=False)
        yield


@pytest.fixture(scope="session")
def workspace_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a repository whose four stages are small scripts. What DVC and Prefect do with them is real.

    The folder `photos` is tracked by photos.dvc, and `evaluation` reads it.
    """
    folder = tmp_path_factory.mktemp("template")
    call("git", "init", "-q", cwd=folder)
    call(sys.executable, "-m", "dvc", "init", "-q", cwd=folder)
    (folder / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    write_pipeline(folder)
    call(sys.executable, "-m", "dvc", "add", "-q", "photos", cwd=folder)
    return folder


@pytest.fixture(scope="session")
def trained_template(workspace_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a repository with the four small stages up to date."""
    folder = tmp_path_factory.mktemp("trained") / "template"
    shutil.copytree(workspace_template, folder)
    call(sys.executable, "-m", "dvc", "repro", "-q", cwd=folder)
    (folder / "calls.txt").unlink()
    return folder


@pytest.fixture(scope="session")
def settings() -> Params:
    """Give the committed params."""
    return params.load(ROOT / "params.yaml")


@pytest.fixture(scope="session")
def backbone(tmp_path_factory: pytest.TempPathFactory, settings: Params) -> Path:
    """Prepare the committed starter base."""

    def prepare(folder: Path) -> None:
        from tasks.backbone.stage import prepare_backbone

        prepare_backbone(settings.backbone, None, folder)

    return make_once(tmp_path_factory, "backbone", prepare)


@pytest.fixture(scope="session")
def prefect_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a PREFECT_HOME with a database that is ready, since Prefect takes ten seconds to migrate a new one."""

    def start_server(home: Path) -> None:
        others = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        environment = others | SERVER_ENVIRONMENT | {"PREFECT_HOME": str(home)}
        command = [sys.executable, "-m", "flows.server"]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe) as server:
            assert server.stdout is not None
            assert server.stdout.readline().strip().isdigit()  # the port of a server that answers

    return make_once(tmp_path_factory, "prefect", start_server)


@pytest.fixture(scope="session")
def trained_clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train on the digits in a clone of this repository. Tests copy it before they run a command in it."""
    from tests.clones import train

    return make_once(tmp_path_factory, "clone", train)


def make_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder that `make` has written once for all processes of pytest-xdist, for tests that only read it."""
    parent = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        parent = parent.parent
    folder = parent / f"shared_{name}"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            unfinished = parent / f"unfinished_{name}"
            make(unfinished)
            unfinished.rename(folder)
    return folder


@pytest.fixture
def workspace(workspace_template: Path, tmp_path: Path) -> Path:
    """Copy the repository of small stages, none of which has run."""
    return shutil.copytree(workspace_template, tmp_path / "workspace")


@pytest.fixture
def trained_workspace(trained_template: Path, tmp_path: Path) -> Path:
    """Copy the repository of small stages, all of which are up to date."""
    return shutil.copytree(trained_template, tmp_path / "workspace")


def write_pipeline(folder: Path) -> None:
    """Write the four small stages, their sources and the real params.yaml into a folder."""
    (folder / "photos").mkdir()
    (folder / "photos" / "1.txt").write_text("1")
    (folder / "stage.py").write_text(SCRIPT)
    shutil.copy(ROOT / "params.yaml", folder)
    lines = ["stages:"]
    for stage, sources in SOURCES.items():
        lines += [f"  {stage}:", f"    cmd: python stage.py {' '.join([stage, *sources])}", "    deps:"]
        lines += [f"      - {source}" for source in sources] + ["    outs:", f"      - {stage}.out"]
        for source in sources:
            if source.endswith(".in"):
                (folder / source).write_text(f"{stage}\n")
    (folder / "dvc.yaml").write_text("\n".join(lines) + "\n")


def call(*command: str, cwd: Path) -> str:
    """Run a command that must succeed and return its output."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    completed = subprocess.run(
        command, cwd=cwd, env=os.environ | {"PATH": path}, text=True, capture_output=True, check=False
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
    return completed.stdout


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """Start Chromium without a screen, with loopback as its network; its logs keep every message and every request."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.fail("Pages are tested in a real browser: install the Debian packages chromium and chromium-driver.")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in (
        "--headless=new",
        "--no-sandbox",  # needs rights that containers do not have
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        f"--user-data-dir={tmp_path_factory.mktemp('browser')}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with webdriver.Chrome(options, webdriver.ChromeService(driver)) as chrome:
        yield chrome
