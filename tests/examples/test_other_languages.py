"""The examples in other languages and with other libraries: the same pictures have the same classes."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import numpy.typing as npt
import openvino
import pytest
from PIL import Image
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from examples.opencv.predict import resize
from graft import Classifier
from tasks.onnx.resize import Resize, resize_graph
from tasks.onnx.sessions import Session
from tests.conftest import ROOT
from tests.graft.conformance.exports import ANSWERS, COLOURS, write_export, write_pictures

EXAMPLES = ROOT / "examples"
PACKAGES = Path(sys.prefix) / "node" / "node_modules"
OPENVINO = Path(openvino.__file__).parent
WEB_RUNTIME = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")


class QuietHandler(SimpleHTTPRequestHandler):
    """A handler without a log."""

    def log_message(self, *_: object) -> None:
        """Write nothing."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with an export, pictures, and a file that is no picture."""
    folder = tmp_path_factory.mktemp("examples")
    write_export(folder / "export", litert=False)
    write_pictures(folder / "pictures")
    write_pictures(folder / "ppm", "ppm")
    (folder / "broken.png").write_text("broken")
    return folder


@pytest.fixture(scope="module")
def expected(folder: Path) -> npt.NDArray[np.float32]:
    """Give Graft's probabilities for the pictures, float32 [4, 3]."""
    rows = Classifier(folder / "export" / "model.onnx").predict(paths_in(folder / "pictures"))
    assert [row.label for row in rows] == ANSWERS
    return np.array([row.probabilities for row in rows])


@pytest.fixture(scope="module")
def node_script(folder: Path) -> Path:
    """Install the example for Node.js beside its packages."""
    script = shutil.copy(EXAMPLES / "node" / "predict.mjs", folder)
    (folder / "node_modules").symlink_to(PACKAGES)
    return Path(script)


@pytest.fixture(scope="module")
def program(folder: Path) -> Path:
    """Compile the example in C++ as the README says, without its optimizations."""
    [library] = (OPENVINO / "libs").glob("libopenvino.so.*")
    command = ["g++", "-std=c++17", "-Wall", "-Wextra", "-Werror", str(EXAMPLES / "cpp" / "predict.cpp")]
    command += ["-isystem", str(OPENVINO / "include"), str(library), f"-Wl,-rpath,{library.parent}"]
    subprocess.run([*command, "-o", str(folder / "predict")], check=True)
    return folder / "predict"


@pytest.fixture
def site(folder: Path) -> Iterator[str]:
    """Serve the example for browsers as the README says, and give its address."""
    site = folder / "site"
    (site / "ort").mkdir(parents=True, exist_ok=True)
    shutil.copy(EXAMPLES / "web" / "index.html", site)
    for name in ("model.onnx", "classes.json"):
        shutil.copy(folder / "export" / name, site)
    for name in WEB_RUNTIME:
        shutil.copy(PACKAGES / "onnxruntime-web" / "dist" / name, site / "ort")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(site))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def run(*command: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True, check=False)


def paths_in(folder: Path, suffix: str = "png") -> list[str]:
    """Return the paths of the pictures in the order of ANSWERS."""
    return [str(folder / f"{name}.{suffix}") for name in COLOURS]


@pytest.mark.usefixtures("expected")
def test_python_gives_the_same_classes(folder: Path) -> None:
    paths = paths_in(folder / "pictures")
    result = run(sys.executable, EXAMPLES / "predict.py", "export/model.onnx", *paths, cwd=folder)
    assert [json.loads(line)["class"] for line in result.stdout.splitlines()] == ANSWERS


def test_nodejs_gives_the_same_classes_and_probabilities(
    folder: Path, node_script: Path, expected: npt.NDArray[np.float32]
) -> None:
    paths = paths_in(folder / "pictures")
    result = run("node", node_script, "export", *paths, cwd=folder)
    assert (result.stderr, result.returncode) == ("", 0)
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["path"] for line in lines] == paths
    assert [line["class"] for line in lines] == ANSWERS
    np.testing.assert_allclose(np.array([line["probabilities"] for line in lines]), expected, atol=1e-6)


def test_nodejs_puts_transparent_pictures_on_white_as_graft_does(folder: Path, node_script: Path) -> None:
    layer = np.random.default_rng(0).integers(0, 256, (50, 40, 4), dtype=np.uint8)
    Image.fromarray(layer).save(folder / "transparent.png")
    result = run("node", node_script, "export", "transparent.png", cwd=folder)
    [prediction] = Classifier(folder / "export" / "model.onnx").predict([folder / "transparent.png"])
    np.testing.assert_allclose(
        json.loads(result.stdout)["probabilities"], np.array(prediction.probabilities), atol=1e-3
    )


def test_opencv_gives_the_same_classes_and_probabilities(folder: Path, expected: npt.NDArray[np.float32]) -> None:
    paths = paths_in(folder / "pictures")
    result = run(sys.executable, EXAMPLES / "opencv" / "predict.py", "export", *paths, cwd=folder)
    assert (result.stderr, result.returncode) == ("", 0)
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["class"] for line in lines] == ANSWERS
    np.testing.assert_allclose(np.array([line["probabilities"] for line in lines]), expected, atol=1e-3)


@pytest.mark.parametrize(("height", "width"), [(40, 50), (17, 90), (500, 375), (1, 1)])
def test_the_resize_of_the_opencv_example_differs_from_the_models_by_one_level_at_most(height: int, width: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    [expected] = Session(resize_graph(Resize(96)), threads=1)(pixels[None])
    difference = np.abs(resize(pixels, 96).astype(int) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.05


def test_opencv_refuses_a_model_whose_resize_it_does_not_have(folder: Path) -> None:
    (folder / "cropped").mkdir()
    shutil.copy(folder / "export" / "classes.json", folder / "cropped")
    content = (folder / "export" / "model.fixed.onnx").read_bytes()
    (folder / "cropped" / "model.fixed.onnx").write_bytes(content.replace(b'"fit": "stretch"', b'"fit": "crop"'))
    result = run(sys.executable, EXAMPLES / "opencv" / "predict.py", "cropped", "pictures/red.png", cwd=folder)
    assert (result.stdout, result.returncode) == ("", 1)
    assert result.stderr.startswith("error: this example only stretches images with a bilinear filter, and the model ")
    assert result.stderr.count("\n") == 1


def test_cpp_gives_the_same_classes(folder: Path, program: Path, expected: npt.NDArray[np.float32]) -> None:
    paths = paths_in(folder / "ppm", "ppm")
    result = run(program, "export", *paths, cwd=folder)
    assert (result.stderr, result.returncode) == ("", 0)
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    assert [line[:2] for line in lines] == [list(pair) for pair in zip(paths, ANSWERS, strict=True)]
    np.testing.assert_allclose(np.array([float(line[2]) for line in lines]), expected.max(axis=1), atol=0.03)


def test_a_web_page_gives_the_same_classes_and_asks_nobody_else(
    folder: Path, site: str, browser: Chrome, expected: npt.NDArray[np.float32]
) -> None:
    for log in ("browser", "performance"):
        browser.get_log(log)  # type: ignore[no-untyped-call]
    browser.get(site)
    files = browser.find_element(By.ID, "files")
    WebDriverWait(browser, 60).until(lambda _: files.is_enabled())
    paths = [*paths_in(folder / "pictures"), str(folder / "broken.png")]
    files.send_keys("\n".join(paths))
    WebDriverWait(browser, 60).until(lambda _: browser.find_element(By.ID, "state").text == "Ready.")
    lines = browser.find_elements(By.CSS_SELECTOR, "#results li")
    assert [line.text for line in lines[:-1]] == [
        f"{name}.png: {answer} {100 * best:.1f} %"
        for name, answer, best in zip(COLOURS, ANSWERS, expected.max(axis=1), strict=True)
    ]
    assert lines[-1].text.startswith("broken.png cannot be read: ")
    assert browser.get_log("browser") == []  # type: ignore[no-untyped-call]
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]  # type: ignore[no-untyped-call]
    requests = [
        entry["params"]["request"]["url"] for entry in messages if entry["method"] == "Network.requestWillBeSent"
    ]
    assert {address for address in requests if not address.startswith((site, "data:", "chrome:"))} == set()


@pytest.mark.parametrize(
    ("image", "message"),
    [
        pytest.param("none", "none cannot be read as an image\n", id="missing"),
        pytest.param("broken.png", "broken.png cannot be read as an image\n", id="not an image"),
    ],
)
def test_opencv_says_which_image_cannot_be_read(folder: Path, image: str, message: str) -> None:
    result = run(sys.executable, EXAMPLES / "opencv" / "predict.py", "export", image, cwd=folder)
    assert (result.returncode, result.stderr.splitlines()[-1]) == (1, f"error: {message.strip()}")


def test_nodejs_and_cpp_end_in_one_line_on_a_broken_image(folder: Path, node_script: Path, program: Path) -> None:
    for command in (["node", node_script], [program]):
        result = run(*command, "export", "broken.png", cwd=folder)
        assert (result.returncode, result.stdout) == (1, "")
        assert result.stderr.startswith("error: ")
        assert result.stderr.count("\n") == 1
        assert run(*command, cwd=folder).stderr.startswith("usage: ")
