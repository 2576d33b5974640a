"""A page of `graft demo`, and the pictures to try on it."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from PIL import Image

from graft.demo.command import main
from graft.demo.server import make_server
from tests.graft.models import METADATA, write_colour_model

HOSTILE = ["red", "<img src=x onerror=alert(1)>", "blue\n\x1b[31m"]


def paint(path: Path, *colour: int, size: tuple[int, int] = (60, 40)) -> Path:
    """Write a picture of a colour, of one to four channels, with some grain."""
    grain = np.random.default_rng(sum(colour)).integers(0, 30, (size[1], size[0], len(colour)))
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = (grain + np.array(colour)).clip(0, 255).astype(np.uint8)
    Image.fromarray(pixels[..., 0] if len(colour) == 1 else pixels).save(path)
    return path


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the page of a model whose class names are hostile, with training images, and pictures to try."""
    folder = tmp_path_factory.mktemp("demo")
    model = write_colour_model(folder / "model.onnx", dataclasses.replace(METADATA, classes=HOSTILE))
    for number in range(4):
        paint(folder / "training" / "<b>reds" / f"{number}.png", 200, number, 0)
        paint(folder / "training" / "blues" / f"{number}.png", 0, number, 200)
    pictures = folder / "pictures"
    paint(pictures / "red.png", 180, 0, 20)
    paint(pictures / "grey.png", 90, 90, 90, size=(33, 71))
    paint(pictures / "see through.png", 0, 0, 160, 128)
    paint(pictures / "one channel.png", 200, size=(9, 5))
    paint(pictures / "tiny.png", 3, 200, 3, size=(1, 1))
    (pictures / "no picture.png").write_text("no picture")
    site = str(folder / "site")
    main(["--model", str(model), "--images", str(folder / "training"), "--out", site, "--no-serve"])
    return folder


@pytest.fixture(scope="session")
def address(folder: Path) -> Iterator[str]:
    """Serve the page."""
    with make_server(folder / "site", 0) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()
