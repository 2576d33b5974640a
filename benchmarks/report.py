"""The report of a run: its bytes, the time to make it, and the time until a browser shows it.

    python -m benchmarks.report

Two sets: the digits, and 10,000 photographs in 200 classes, each of which is a place in one of two pictures, so that
neighbouring classes are mistaken for each other. Each runs the whole chain in a clone of its own.
"""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
from PIL import Image
from selenium import webdriver
from sklearn.datasets import load_sample_images

from benchmarks import results
from benchmarks.chain import clone, run
from flows.params_file import edit
from tasks.common.threads import available_cores

PACKAGES = ["matplotlib", "jinja2", "pillow"]
PLACES = 10
IMAGES_OF_A_CLASS = 50
CUT = 120  # pixels of the side of a square cut, which is then stored at SIDE pixels
SIDE = 160
SHIFT = 24  # pixels by which a cut lies beside the place of its class at most
REPORT = Path("artifacts/evaluation/report.html")
MEGABYTE = 1_000_000
OPENINGS = 3


def write_places(root: Path) -> None:
    """Write 10,000 JPEG files in 200 class folders below `root`."""
    sources = [Image.fromarray(photo) for photo in load_sample_images().images]

    def write_class(number: int) -> None:
        source = sources[number // PLACES**2]
        row, column = divmod(number % PLACES**2, PLACES)
        folder = root / f"place {number:03}"
        folder.mkdir(parents=True)
        for image in range(IMAGES_OF_A_CLASS):
            random = np.random.default_rng((number, image))
            left, top = (
                int(np.clip(step * (length - CUT) / (PLACES - 1) + random.integers(-SHIFT, SHIFT + 1), 0, length - CUT))
                for step, length in ((column, source.width), (row, source.height))
            )
            pixels = np.asarray(source.crop((left, top, left + CUT, top + CUT)).resize((SIDE, SIDE)), np.float32)
            noisy = (pixels * random.uniform(0.7, 1.2) + random.normal(0, random.uniform(2, 20), pixels.shape)).clip(
                0, 255
            )
            Image.fromarray(noisy.astype(np.uint8)).save(folder / f"{image}.jpg", quality=85)

    with ThreadPoolExecutor(available_cores()) as pool:
        list(pool.map(write_class, range(2 * PLACES**2)))


def open_page(page: Path) -> float:
    """Return the seconds until Chromium has loaded the page from its file, the median of some times."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    seconds = []
    with webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver"))) as browser:
        browser.set_window_size(1200, 900)
        for _ in range(OPENINGS):
            browser.get("about:blank")
            start = perf_counter()
            browser.get(page.as_uri())
            # The picture waits until the page is laid out and painted.
            browser.get_screenshot_as_png()
            seconds.append(perf_counter() - start)
    return float(np.median(seconds))


def measure(name: str, folder: Path) -> Iterator[tuple[str, str, str]]:
    """Yield a row a figure: its name, the figure, and its bound."""
    run("dvc", "repro", "-q", cwd=folder)
    seconds = run("dvc", "repro", "-q", "--single-item", "--force", "evaluation", cwd=folder)
    is_large = name != "digits"
    size = (folder / REPORT).stat().st_size / MEGABYTE
    yield f"{name}: bytes of the page", f"{size:.2f} MB", "15 MB" if is_large else ""
    yield f"{name}: seconds of the stage `evaluation`", f"{seconds:.1f} s", ""
    yield (
        f"{name}: seconds until Chromium shows the page",
        f"{open_page(folder / REPORT):.2f} s",
        "2 s" if is_large else "",
    )


def main() -> None:
    """Measure both sets and write the section."""
    rows: list[tuple[str, str, str]] = []
    with TemporaryDirectory() as temporary:
        for name in ("digits", "10,000 images, 200 classes"):
            folder = Path(temporary) / name.replace(",", "").replace(" ", "-")
            folder.mkdir()
            clone(folder)
            if name != "digits":
                write_places(folder / "data" / "places")
                edit(folder / "params.yaml", [("dataset.source", "data/places")])
            rows += measure(name, folder)
    results.renew("The report", ["", "figure", "bound"], rows, PACKAGES)


if __name__ == "__main__":
    main()
