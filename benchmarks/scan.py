"""The scan of a dataset: its cost an image and its memory, for many small files and for photographs.

    python -m benchmarks.scan

Each scan runs in a process of its own, without its imports and without the time to list the files. Its workers count
too: memory is the sum over all its processes, where pages that they share count several times.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil
from PIL import Image

from benchmarks import photos, results

ROOT = Path(__file__).parents[1]
FEW, MANY = 10_000, 100_000
SMALL_SIDE = 32
PHOTOS, LARGE_PHOTOS = 2000, 100
SECONDS_BETWEEN_SAMPLES = 0.05

SCAN = """
import json, sys, time
from pathlib import Path
from tasks.dataset.listing.folder import Entry
from tasks.dataset.scan import scan_files

root, count = Path(sys.argv[1]), int(sys.argv[2])
entries = [Entry(path.relative_to(root).as_posix(), path.parent.name) for path in sorted(root.rglob("*.*"))[:count]]
start = time.perf_counter()
assert all(row.kind is None for row in scan_files(root, entries, 100))
print(json.dumps({"images": len(entries), "seconds": time.perf_counter() - start}))
"""


def write_small(root: Path, count: int) -> None:
    """Write distinct PNG files of 32x32 pixels, each of noise."""
    random = np.random.default_rng(0)
    (root / "0").mkdir(parents=True)
    for number in range(count):
        pixels = random.integers(0, 256, (SMALL_SIDE, SMALL_SIDE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / "0" / f"{number:06}.png", compress_level=1)


def scan(root: Path, count: int) -> dict[str, float]:
    """Scan the first files below `root`; return images, seconds, and CPU seconds and peak bytes of all."""
    command = [sys.executable, "-c", SCAN, str(root), str(count)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        parent, peak, cpu = psutil.Process(process.pid), 0, dict[int, float]()
        while process.poll() is None:
            memory = 0
            for member in (parent, *parent.children(recursive=True)):
                try:
                    memory += member.memory_info().rss
                    times = member.cpu_times()
                    cpu[member.pid] = times.user + times.system
                except psutil.Error:
                    continue
            peak = max(peak, memory)
            time.sleep(SECONDS_BETWEEN_SAMPLES)
        if process.returncode or process.stdout is None:
            sys.exit(f"The scan ended with exit code {process.returncode}.")
        measured: dict[str, float] = json.loads(process.stdout.read())
    return measured | {"cpu": sum(cpu.values()), "peak": peak}


def describe(title: str, measured: dict[str, float]) -> tuple[str, ...]:
    """Return a row of the table."""
    images = measured["images"]
    speed = f"{images / measured['seconds']:,.0f}"
    return title, f"{images:,}", speed, f"{measured['cpu'] / images * 1e3:.2f}", f"{measured['peak'] / 1e6:,.0f} MB", ""


def main() -> None:
    """Measure and renew the section of RESULTS.md."""
    with TemporaryDirectory() as folder:
        scratch = Path(folder)
        write_small(scratch / "small", MANY)
        few, many = scan(scratch / "small", FEW), scan(scratch / "small", MANY)
        growth = (many["peak"] - few["peak"]) / (MANY - FEW)
        photos.write(scratch / "photos", PHOTOS)
        photos.write_large(scratch / "large", LARGE_PHOTOS, photos.MEGAPIXELS_12)
        title = f"PNG of {SMALL_SIDE}x{SMALL_SIDE}"
        rows = [
            describe(title, few),
            (*describe(title, many)[:-1], f"{growth / 1e3:.1f} KB"),
            describe("JPEG of about 500x375", scan(scratch / "photos", PHOTOS)),
            describe("JPEG of 12 megapixels", scan(scratch / "large", LARGE_PHOTOS)),
        ]
    columns = ("files", "images", "images/s", "CPU ms an image", "peak memory", "memory an additional image")
    results.renew("Scan of a dataset", columns, rows, ["pillow", "numpy", "imagehash"])


if __name__ == "__main__":
    main()
