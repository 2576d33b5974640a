"""Extraction: from JPEG files to vectors, held to plain Keras in the same run.

    python -m benchmarks.features

Each side runs in a process of its own, and its imports do not count. Keras's side is the textbook's way:
`image_dataset_from_directory` and `predict`. The ceilings are Graft's own parts, each alone on all cores: decoding and
resizing, and the forward pass on ready batches; both cannot be reached at once on the same cores, where the time of one
is added to that of the other.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx

from benchmarks import photos, results
from tasks.common import graphs, params
from tasks.common.parallel import cores
from tasks.common.sessions import Session
from tasks.features import computing
from tasks.features.engine import Engine
from tasks.features.plan import wanted
from tasks.features.runtimes import load

ROOT = Path(__file__).parents[1]
PACKAGES = ["keras", "tensorflow", "onnxruntime", "openvino", "pillow"]
# Network, photographs, and the least ratio to Keras that is asked for in each way.
NETWORKS = {"MobileNet": (3000, (2.0, 2.0, 3.0, 4.0)), "ResNet50": (1500, (1.3, 1.3, 2.5, 3.0))}
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
base = getattr(keras.applications, name)(include_top=False, weights=None, pooling="avg", input_shape=(224, 224, 3))
start = time.perf_counter()
images = keras.utils.image_dataset_from_directory(root, image_size=(224, 224), shuffle=False, verbose=False)
vectors = base.predict(images.map(lambda pixels, _: preprocess_input(pixels, mode=mode)), verbose=0)
print(json.dumps({"seconds": time.perf_counter() - start, "images": len(vectors)}))
"""
GRAFT = """
import json, sys, time
from pathlib import Path
from benchmarks.features import settings
from tasks.features.extraction import extract

folder, backbone, runtime, precision, store = sys.argv[1:]
section, views = settings(runtime, precision, store)
start = time.perf_counter()
extract(Path(folder) / "images", Path(folder) / "accepted.parquet", Path(backbone), Path(folder) / "f.parquet", section,
        views)
seconds = time.perf_counter() - start
import resource
print(json.dumps({"seconds": seconds, "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""
BACKBONE = """
import sys
from pathlib import Path
from tasks.backbone.making import make
from tasks.common import params
section = params.load(Path("params.yaml")).backbone
name, weights, out = sys.argv[1:]
make(section.model_copy(update={"name": name, "weights": weights}), None, Path(out))
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
    with ThreadPoolExecutor(cores()) as pool:
        while time.perf_counter() - start < SECONDS:
            counts += pool.map(lambda _: work(), range(4 * cores()))
    return sum(counts) / (time.perf_counter() - start)


def ceilings(folder: Path, backbone: Path, runtime: str, precision: str) -> tuple[float, float]:
    """Return images a second of decoding and resizing alone, and of the forward pass alone."""
    model = onnx.load(backbone)
    section, views = settings(runtime, precision, str(folder / "unused"))
    part = computing.setting(model, computing.views(views), section.runtime, section.precision)
    stored = onnx.load_from_string(part.model)
    size = section.batch_size
    forward = load(stored, [tap.tensor for tap in part.taps], part.runtime, part.precision, cores())
    resize = Session(graphs.part(stored, "image", "resized"), threads=1)
    need = wanted(folder / "accepted.parquet", 1)
    items = computing.Work(need, np.arange(len(need)))
    engine = Engine(folder / "images", resize, lambda batch: [np.zeros((len(batch), 1), np.float32)], part.augmentation)
    side = json.loads(graphs.metadata(model)["backbone"])["input_size"]
    batch = np.random.default_rng(0).integers(0, 256, (size, side, side, 3), dtype=np.uint8)

    def run_forward() -> int:
        forward(batch)
        return size

    start = time.perf_counter()
    done = sum(len(one) for one in engine.run(items, size, cores()))
    return done / (time.perf_counter() - start), rate(run_forward)


def speeds(scratch: Path) -> Iterator[tuple[str, ...]]:
    """Yield a row a network and precision: images a second of both sides, their ratio, the share of the ceilings."""
    for name, (count, asked) in NETWORKS.items():
        folder, backbone = scratch / name, scratch / f"{name}.base"
        photos.accept(folder / "images", photos.write(folder / "images", count), folder / "accepted.parquet")
        run(BACKBONE, name, "none", backbone)
        mode = json.loads((backbone / "backbone.json").read_text(encoding="utf-8"))["mode"]
        keras = min(run(KERAS, name, folder / "images", mode)["seconds"] for _ in range(2))
        for (runtime, precision), ratio in zip(WAYS, asked, strict=True):
            onnx_file = backbone / "backbone.onnx"
            seconds = min(
                run(GRAFT, folder, onnx_file, runtime, precision, folder / f"{runtime}{precision}{turn}")["seconds"]
                for turn in range(2)
            )
            decoding, forward = ceilings(folder, onnx_file, runtime, precision)
            added = 1 / (1 / decoding + 1 / forward)
            yield (
                name,
                runtime,
                precision,
                f"{count / keras:,.0f}",
                f"{count / seconds:,.0f}",
                f"**{keras / seconds:.2f}**",
                f"{ratio:g}",
                f"{decoding:,.0f}",
                f"{forward:,.0f}",
                f"{count / seconds / added:.0%}",
            )


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

    def one(number: int) -> str:
        pixels = random.integers(0, 256, (8, 8), dtype=np.uint8)
        path = f"0/{number:06}.png"
        Image.fromarray(pixels).save(folder / "images" / path, compress_level=1)
        return path

    paths, peaks = [one(number) for number in range(TINY)], []
    few = TINY // 10
    for count in (few, TINY):
        photos.accept(folder / "images", paths[:count], folder / "accepted.parquet")
        backbone = scratch / "starter" / "backbone.onnx"
        found = run(GRAFT, folder, backbone, "onnxruntime", "float32", folder / f"store{count}")
        peaks.append(found["megabytes"])
        yield f"{count:,} images of 8x8, starter", f"{found['megabytes']:,.0f} MB, {found['seconds']:.0f} s", ""
    yield "memory for each image more", f"{(peaks[1] - peaks[0]) * 1024 / (TINY - few):.1f} KB", "2 KB"


def main(names: Sequence[str]) -> None:
    """Measure what is named, or all, and renew the sections of RESULTS.md."""
    with TemporaryDirectory() as folder:
        scratch = Path(folder)
        if not names or "speeds" in names:
            columns = (
                *("network", "runtime", "precision", "Keras images/s", "Graft images/s", "ratio", "asked for"),
                *("decode+resize alone", "forward alone", "of both added"),
            )
            results.renew("Extraction: files to vectors", columns, list(speeds(scratch)), PACKAGES)
        if not names or "growth" in names:
            if not (scratch / "MobileNet.base").exists():
                run(BACKBONE, "MobileNet", "none", scratch / "MobileNet.base")
            rows = [*growth(scratch), *memory(scratch)]
            results.renew("Extraction: growth and memory", ("what", "measured", "bound"), rows, PACKAGES)


if __name__ == "__main__":
    main(sys.argv[1:])
