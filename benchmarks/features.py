"""Extraction: from JPEG files to vectors, held to plain Keras in the same run.

    python -m benchmarks.features

Each side runs in a process of its own, by turns, and its imports do not count. Keras's side is the textbook's way:
`image_dataset_from_directory` and `predict`. In many of its runs it waits, idle, after its last batch, for the thread
that tunes `tf.data`; both its speeds are told, with that wait and without.

The ceilings are Graft's own parts, each alone on all cores: decoding and resizing, and the forward pass on ready
batches; both cannot be reached at once on the same cores, where the time of one is added to that of the other.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx

from benchmarks import photos, results
from tasks.common import params
from tasks.common.threads import available_cores
from tasks.extraction.extractor import make_extractor
from tasks.extraction.recipe import make_recipe, read_augmentation
from tasks.extraction.request import read_request
from tasks.onnx import graphs
from tasks.store import Store

ROOT = Path(__file__).parents[1]
PACKAGES = ["keras", "tensorflow", "onnxruntime", "openvino", "pillow"]
# Network, photographs for the comparison with the ceilings, runs of each side, least ratio to Keras in each way.
NETWORKS = {"MobileNet": (3000, 7, (2.0, 2.0, 3.0, 4.0)), "ResNet50": (1500, 3, (1.3, 1.3, 2.5, 3.0))}
FEW = 1000
WAYS = (("onnxruntime", "float32"), ("openvino", "float32"), ("openvino", "bf16"), ("openvino", "int8"))
MANY = 10_000
TINY = 100_000
SECONDS = 4.0

KERAS = """
import json, sys, time
import keras
from keras.applications.imagenet_utils import preprocess_input
name, root, mode = sys.argv[1:]
keras.utils.set_random_seed(0)

class Ends(keras.callbacks.Callback):
    def on_predict_batch_end(self, batch, logs=None):
        self.last = time.perf_counter()

ends = Ends()
base = getattr(keras.applications, name)(include_top=False, weights=None, pooling="avg", input_shape=(224, 224, 3))
start = time.perf_counter()
images = keras.utils.image_dataset_from_directory(root, image_size=(224, 224), shuffle=False, verbose=False)
base.predict(images.map(lambda pixels, _: preprocess_input(pixels, mode=mode)), verbose=0, callbacks=[ends])
print(json.dumps({"seconds": time.perf_counter() - start, "busy": ends.last - start}))
"""
GRAFT = """
import json, sys, time
from pathlib import Path
from benchmarks.features import settings
from tasks.features.stage import extract_features

folder, backbone, runtime, precision, store = sys.argv[1:]
section, views = settings(runtime, precision, store)
start = time.perf_counter()
extract_features(Path(folder) / "images", Path(folder) / "accepted.parquet", Path(backbone),
                 Path(folder) / "f.parquet", section, views)
seconds = time.perf_counter() - start
# Not getrusage, whose peak includes that of the process that started this one.
status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
print(json.dumps({"seconds": seconds, "megabytes": int(status["VmHWM"].split()[0]) / 1024}))
"""
BACKBONE = """
import sys
from pathlib import Path
from tasks.backbone.stage import prepare_backbone
from tasks.common import params
section = params.load(Path("params.yaml")).backbone
name, weights, out = sys.argv[1:]
prepare_backbone(section.model_copy(update={"name": name, "weights": weights}), None, Path(out))
"""


def settings(runtime: str, precision: str, store: str) -> tuple[params.Features, params.Augmentation]:
    """Return the committed params with another runtime, precision and store."""
    committed = params.load(ROOT / "params.yaml")
    changed = {"runtime": runtime, "precision": precision, "store": store}
    return committed.features.model_copy(update=changed), committed.augmentation


def run(script: str, *arguments: object) -> Any:
    """Run a script in a process of its own and return what its last line says."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    lines = done.stdout.splitlines()
    return json.loads(lines[-1]) if lines else None


def rate(work: Callable[[], int]) -> float:
    """Return how many images a second `work`, which returns how many it did, does on all cores for some seconds."""
    work()
    counts: list[int] = []
    start = time.perf_counter()
    with ThreadPoolExecutor(available_cores()) as pool:
        while time.perf_counter() - start < SECONDS:
            counts += pool.map(lambda _: work(), range(4 * available_cores()))
    return sum(counts) / (time.perf_counter() - start)


def ceilings(folder: Path, backbone: Path, runtime: str, precision: str) -> tuple[float, float]:
    """Return images a second of decoding and resizing alone, and of the forward pass alone."""
    section, augmentation = settings(runtime, precision, str(folder / "unused"))
    recipe = make_recipe(onnx.load(backbone), read_augmentation(augmentation), section.runtime, section.precision)
    store = Store(folder / "unused")
    extractor = make_extractor(folder / "images", recipe, store, section.batch_size, available_cores())
    without_base = extractor.inference._replace(forward=lambda batch: [np.zeros((len(batch), 1), np.float32)])
    request = read_request(folder / "accepted.parquet", 1)
    workload = request.workload(np.arange(len(request)))
    side = json.loads(graphs.metadata(onnx.load(backbone))["backbone"])["input_size"]
    batch = np.random.default_rng(0).integers(0, 256, (section.batch_size, side, side, 3), dtype=np.uint8)

    def run_forward() -> int:
        extractor.inference.forward(batch)
        return len(batch)

    start = time.perf_counter()
    images = sum(map(len, without_base.run(workload, section.batch_size, available_cores())))
    return images / (time.perf_counter() - start), rate(run_forward)


def extraction(scratch: Path, photographs: Path, backbone: Path, runtime: str, precision: str) -> float:
    """Return the seconds from files to vectors with a store that holds nothing yet."""
    with TemporaryDirectory(dir=scratch) as store:
        return float(run(GRAFT, photographs, backbone, runtime, precision, store)["seconds"])


def speeds(scratch: Path) -> Iterator[tuple[tuple[str, ...], list[tuple[str, ...]]]]:
    """Yield a row on Keras's runs, and a row a runtime and precision held to them and to the ceilings, by network."""
    for name, (many, turns, asked) in NETWORKS.items():
        few, folder, backbone = scratch / f"{name}{FEW}", scratch / name, scratch / f"{name}.base"
        for target, count in ((few, FEW), (folder, many)):
            paths = photos.write(target / "images", count)
            photos.accept(target / "images", paths, target / "accepted.parquet")
        run(BACKBONE, name, "none", backbone)
        graph = backbone / "backbone.onnx"
        mode = json.loads((backbone / "backbone.json").read_text(encoding="utf-8"))["mode"]
        keras, graft = list[Any](), dict[tuple[str, str], list[float]]()
        for _ in range(turns):
            keras.append(run(KERAS, name, few / "images", mode))
            for way in WAYS:
                graft.setdefault(way, []).append(extraction(scratch, few, graph, *way))
        whole, busy = mean(run["seconds"] for run in keras), mean(run["busy"] for run in keras)
        waits = (run["seconds"] - run["busy"] for run in keras)
        seconds = (f"{run['seconds']:.1f}" for run in keras)
        runs = (
            name,
            " ".join(seconds),
            " ".join(f"{wait:.1f}" for wait in waits),
            f"{FEW / whole:,.0f}",
            f"{FEW / busy:,.0f}",
        )
        rows: list[tuple[str, ...]] = []
        for way, ratio in zip(WAYS, asked, strict=True):
            ours = mean(graft[way])
            decoding, forward = ceilings(folder, graph, *way)
            share = many / extraction(scratch, folder, graph, *way) * (1 / decoding + 1 / forward)
            ratios = f"**{whole / ours:.2f}**", f"{ratio:g}", f"{busy / ours:.2f}"
            rows.append(
                (name, *way, f"{FEW / ours:,.0f}", *ratios, f"{decoding:,.0f}", f"{forward:,.0f}", f"{share:.0%}")
            )
        yield runs, rows


def timed(*arguments: object) -> tuple[float, float]:
    """Return the seconds that extraction takes with its process, and without."""
    start = time.perf_counter()
    inside = run(GRAFT, *arguments)["seconds"]
    return time.perf_counter() - start, inside


def growth(scratch: Path) -> Iterator[tuple[str, str, str]]:
    """Yield rows of what 1 % more images cost at 10,000, and none."""
    folder, backbone = scratch / "many", scratch / "MobileNet.base" / "backbone.onnx"
    paths = photos.write(folder / "images", MANY)
    photos.accept(folder / "images", paths, folder / "accepted.parquet")
    arguments = (folder, backbone, "onnxruntime", "float32", folder / "store")
    scratch_run = run(GRAFT, *arguments)
    paths += photos.write(folder / "images", MANY // 100, first=MANY)
    photos.accept(folder / "images", paths, folder / "accepted.parquet")
    more = run(GRAFT, *arguments)
    whole, inside = min(timed(*arguments) for _ in range(3))
    yield f"{MANY:,} photographs, MobileNet, from scratch", f"{scratch_run['seconds']:.1f} s", ""
    yield "1 % more", f"{more['seconds']:.2f} s", ""
    yield "from scratch / 1 % more", f"{scratch_run['seconds'] / more['seconds']:.0f}", "at least 30"
    yield "nothing new, with the start of Python", f"{whole:.1f} s ({inside:.2f} s)", "3 s"


def memory(scratch: Path) -> Iterator[tuple[str, str, str]]:
    """Yield rows of the peak memory of extraction from few and from many images."""
    folder = scratch / "tiny"
    run(BACKBONE, "MobileNet", "starter", scratch / "starter")
    (folder / "images" / "0").mkdir(parents=True)
    from PIL import Image

    random = np.random.default_rng(0)

    def write_image(number: int) -> str:
        pixels = random.integers(0, 256, (8, 8), dtype=np.uint8)
        path = f"0/{number:06}.png"
        Image.fromarray(pixels).save(folder / "images" / path, compress_level=1)
        return path

    paths, peaks = [write_image(number) for number in range(TINY)], list[float]()
    few = TINY // 10
    for count in (few, TINY):
        photos.accept(folder / "images", paths[:count], folder / "accepted.parquet")
        backbone = scratch / "starter" / "backbone.onnx"
        result = run(GRAFT, folder, backbone, "onnxruntime", "float32", folder / f"store{count}")
        peaks.append(result["megabytes"])
        yield f"{count:,} images of 8x8, starter", f"{result['megabytes']:,.0f} MB, {result['seconds']:.0f} s", ""
    yield "memory an additional image", f"{(peaks[1] - peaks[0]) * 1024 / (TINY - few):.1f} KB", "2 KB"


def main(names: Sequence[str]) -> None:
    """Measure what is named, or all, and renew the sections of RESULTS.md."""
    with TemporaryDirectory() as folder:
        scratch = Path(folder)
        if not names or "speeds" in names:
            runs, rows = zip(*speeds(scratch), strict=True)
            speed_columns = (
                *("network", "runtime", "precision", "images/s", "ratio to Keras", "bound"),
                *("to Keras without its wait", "decode+resize alone", "forward alone", "of both added"),
            )
            results.renew("Extraction: files to vectors", speed_columns, list(chain.from_iterable(rows)), PACKAGES)
            columns = ("network", "seconds", "of these, waiting", "images/s", "images/s without the wait")
            results.renew(f"Extraction: Keras's runs on {FEW:,} photographs", columns, runs, PACKAGES)
        if not names or "growth" in names:
            if not (scratch / "MobileNet.base").exists():
                run(BACKBONE, "MobileNet", "none", scratch / "MobileNet.base")
            figures = [*growth(scratch), *memory(scratch)]
            results.renew("Extraction: growth and memory", ("what", "measured", "bound"), figures, PACKAGES)


if __name__ == "__main__":
    main(sys.argv[1:])
