"""The page of `graft demo` in a real browser, beside `Classifier` on the same pictures."""

import dataclasses
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from graft import Classifier, GraftError
from graft.demo.command import main
from graft.demo.server import make_server
from graft.demo.similar import MOST_IMAGES, TrainingImage, choose
from tests.conftest import ROOT
from tests.graft.models import METADATA, write_colour_model
from tests.tasks.pages.browsing import colours, read_log, requests_of, scrolls_sideways

HOSTILE = ["red", "<img src=x onerror=alert(1)>", "blue\n\x1b[31m"]
SECONDS = 60


def paint(path: Path, *colour: int, size: tuple[int, int] = (60, 40)) -> Path:
    """Write a picture of a colour with some grain, so that places differ."""
    grain = np.random.default_rng(sum(colour)).integers(0, 30, (size[1], size[0], len(colour)))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((grain + np.array(colour)).clip(0, 255).astype(np.uint8)).save(path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the page of a model whose class names are hostile, with training images, and pictures to try."""
    folder = tmp_path_factory.mktemp("demo")
    write_colour_model(folder / "model.onnx", dataclasses.replace(METADATA, classes=HOSTILE))
    for number in range(4):
        paint(folder / "training" / "<b>reds" / f"{number}.png", 200, number, 0)
        paint(folder / "training" / "blues" / f"{number}.png", 0, number, 200)
    paint(folder / "pictures" / "red.png", 180, 0, 20)
    paint(folder / "pictures" / "grey.png", 90, 90, 90, size=(33, 71))
    paint(folder / "pictures" / "see through.png", 0, 0, 160, 128)
    (folder / "pictures" / "no picture.png").write_text("no picture")
    main(
        [
            "--model",
            str(folder / "model.onnx"),
            "--images",
            str(folder / "training"),
            "--out",
            str(folder / "site"),
            "--no-serve",
        ]
    )
    return folder


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with make_server(folder / "site", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


def open_page(browser: Chrome, address: str, width: int = 1200, scheme: str = "light") -> None:
    for log in ("browser", "performance"):
        read_log(browser, log)
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    browser.get(address)
    wait(browser, "return document.body.dataset.state === 'ready'")


def wait(browser: Chrome, script: str) -> None:
    WebDriverWait(browser, SECONDS, poll_frequency=0.05).until(lambda _: browser.execute_script(script))


def show(browser: Chrome, pictures: list[Path]) -> None:
    browser.find_element(By.ID, "choose").send_keys("\n".join(map(str, pictures)))
    wait(browser, f"return document.querySelectorAll('.result').length === {len(pictures)}")


def test_the_page_answers_as_the_library_does_and_asks_nobody_else(browser: Chrome, address: str, folder: Path) -> None:
    pictures = [folder / "pictures" / name for name in ("red.png", "grey.png", "see through.png")]
    open_page(browser, address)
    show(browser, pictures)
    cards = browser.find_elements(By.CLASS_NAME, "result")[::-1]
    expected = Classifier(folder / "model.onnx").predict(pictures)
    for card, prediction in zip(cards, expected, strict=True):
        assert prediction.probabilities is not None
        ours = json.loads(card.get_attribute("data-probabilities") or "")
        np.testing.assert_allclose(ours, prediction.probabilities, atol=1e-5)
        assert float(card.get_attribute("data-known") or "nan") == pytest.approx(prediction.known, abs=1e-5)
        assert ("Unknown" in card.text) == (not prediction.is_known)
    assert [prediction.is_known for prediction in expected] == [True, False, True]
    assert {request.startswith(address) for request in requests_of(browser)} == {True}
    assert read_log(browser, "browser") == []


def test_names_stay_text(browser: Chrome, address: str, folder: Path) -> None:
    open_page(browser, address)
    show(browser, [folder / "pictures" / "red.png"])
    labels = {label.text for label in browser.find_elements(By.CLASS_NAME, "label")}
    assert labels == {"red", "<img src=x onerror=alert(1)>", "blue\\n\\x1b[31m"}
    assert "<img src=x onerror=alert(1)>" in browser.find_element(By.ID, "facts").text
    assert browser.find_elements(By.TAG_NAME, "img") == []


def test_the_most_similar_training_images_are_shown_with_their_class(
    browser: Chrome, address: str, folder: Path
) -> None:
    open_page(browser, address)
    show(browser, [folder / "pictures" / "red.png"])
    items = browser.find_elements(By.CSS_SELECTOR, ".similar li")
    assert [item.text for item in items[:4]] == ["<b>reds"] * 4
    assert {item.text for item in items[4:]} == {"blues"}


def test_the_heatmap_is_drawn_on_request_and_can_be_hidden(browser: Chrome, address: str, folder: Path) -> None:
    open_page(browser, address)
    show(browser, [folder / "pictures" / "red.png"])
    button, heat = (browser.find_element(By.CLASS_NAME, name) for name in ("explain", "heat"))
    assert not heat.is_displayed()
    button.click()
    wait(browser, "return !document.querySelector('.heat').hidden")
    opaque = (
        "const c = document.querySelector('.heat'); const d = c.getContext('2d').getImageData(0, 0, c.width, c.height)"
    )
    assert browser.execute_script(f"{opaque}; return d.data.some((value, place) => place % 4 === 3 && value > 100)")
    button.click()
    assert not heat.is_displayed()


def test_a_file_that_is_no_picture_is_named_and_the_others_are_answered(
    browser: Chrome, address: str, folder: Path
) -> None:
    open_page(browser, address)
    pictures = [folder / "pictures" / name for name in ("no picture.png", "red.png")]
    browser.find_element(By.ID, "choose").send_keys("\n".join(map(str, pictures)))
    wait(browser, "return document.getElementById('message').textContent || document.querySelector('.result')")
    wait(browser, "return document.querySelectorAll('.result').length === 1")
    open_page(browser, address)
    browser.find_element(By.ID, "choose").send_keys(str(pictures[0]))
    wait(browser, "return document.getElementById('message').textContent !== ''")
    expected = "no picture.png has no answer: this browser cannot read it as an image."
    assert browser.find_element(By.ID, "message").text == expected


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (1200, "dark"), (390, "light"), (390, "dark")])
def test_the_page_fits_laptops_and_phones_in_light_and_dark(
    browser: Chrome, address: str, folder: Path, width: int, scheme: str
) -> None:
    open_page(browser, address, width, scheme)
    show(browser, [folder / "pictures" / "red.png"])
    assert not scrolls_sideways(browser)
    assert colours(browser, folder / f"{width}-{scheme}.png") > 100
    background = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(251, 251, 249)", "dark": "rgb(22, 24, 26)"}[scheme]


def test_the_folder_has_all_that_a_static_host_needs(folder: Path, address: str) -> None:
    types = {
        "model.onnx": "application/octet-stream",
        "runtime/ort.wasm.min.mjs": "text/javascript",
        "runtime/ort-wasm-simd-threaded.wasm": "application/wasm",
    }
    for name, kind in types.items():
        answer = httpx.get(address + name)
        assert answer.headers["content-type"] == kind
        assert answer.content == (folder / "site" / name).read_bytes()


def test_training_images_are_taken_evenly_from_the_classes() -> None:
    images = [
        TrainingImage(Path(f"{label}{number}"), label, "")
        for label, count in {"a": 900, "b": 40}.items()
        for number in range(count)
    ]
    chosen = choose(images)
    assert len(chosen) == MOST_IMAGES
    assert [image.label for image in chosen].count("b") == 40
    assert choose(images[-3:]) == images[-3:]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--out", "pictures"], "is not the folder of a page that `graft demo` made", id="other folder"),
        pytest.param(["--runtime", "pictures"], "is not the package onnxruntime-web: it has no dist/ort", id="runtime"),
        pytest.param(["--model", "pictures/no picture.png"], "cannot be loaded by ONNX Runtime", id="no model"),
        pytest.param(["--images", "nothing*.png"], "no file matches 'nothing*.png'", id="no images"),
    ],
)
def test_bad_input_ends_in_one_line_and_writes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(GraftError) as caught:
        main(["--model", "model.onnx", "--out", "new", "--no-serve", *arguments])
    assert message in str(caught.value)
    assert not (folder / "new").exists()


def test_the_command_serves_on_a_free_port_until_it_is_interrupted(folder: Path) -> None:
    command = [sys.executable, "-m", "graft", "demo", "--model", str(folder / "model.onnx"), "--port", "0"]
    process = subprocess.Popen([*command, "--out", str(folder / "served")], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    lines: list[Any] = []
    while not lines or "open http" not in lines[-1]:
        lines.append(process.stderr.readline())
    address = lines[-1].split()[3]
    assert httpx.get(address + "model.json").json()["similar"] is None
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    assert process.stderr.read() == "graft demo: interrupted\n"


def test_a_port_in_use_is_named(folder: Path) -> None:
    with make_server(folder, 0) as server, pytest.raises(GraftError) as caught:
        make_server(folder, server.server_address[1])
    assert str(caught.value) == (
        f"port {server.server_address[1]} is in use. Choose another --port, or 0 for any that is free."
    )
