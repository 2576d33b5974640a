"""`graft serve` under load: requests a second beside calls one after the other, and hostile bodies.

    python -m benchmarks.serving

The model is that of `benchmarks.prediction`, the images are JPEG files of about 500x375. Clients are threads of another
process, so that they take some of the same cores.
"""

import json
import random
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import httpx

from benchmarks import photos, results
from benchmarks.features import BACKBONE, run
from benchmarks.prediction import ROOT, write_classifier

PACKAGES = ["fastapi", "uvicorn", "onnxruntime", "pillow"]
IMAGES = 200
CLIENTS = 8
HOSTILE = 1000

ONE_BY_ONE = """
import json, sys, time
from graft import Classifier
classifier = Classifier(sys.argv[1])
files = sys.argv[2:]
classifier.predict(files[:1])
start = time.perf_counter()
for file in files:
    classifier.predict([file])
print(json.dumps({"seconds": time.perf_counter() - start}))
"""


def load(address: str, bodies: list[bytes], clients: int) -> tuple[float, list[float]]:
    """Return the seconds for a request for each body by so many clients, and the seconds of each request."""

    def ask(part: list[bytes]) -> list[float]:
        seconds = []
        with httpx.Client(base_url=address, timeout=60) as client:
            for body in part:
                start = time.perf_counter()
                client.post("/predict", content=body).raise_for_status()
                seconds.append(time.perf_counter() - start)
        return seconds

    start = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        waits = [
            seconds for part in pool.map(ask, [bodies[index::clients] for index in range(clients)]) for seconds in part
        ]
    return time.perf_counter() - start, waits


def ask_hostile(address: str, bodies: list[bytes]) -> dict[int, int]:
    """Return how many of 1,000 damaged bodies got which status."""
    generator = random.Random(0)  # noqa: S311
    counts: dict[int, int] = {}
    with httpx.Client(base_url=address, timeout=60) as client:
        for _ in range(HOSTILE):
            body = bytearray(generator.choice(bodies))
            for _ in range(generator.randint(1, 40)):
                body[generator.randrange(len(body))] = generator.randrange(256)
            content = bytes(body[: generator.randint(0, len(body))])
            kind = generator.choice(["image/jpeg", "multipart/form-data; boundary=x", "text/plain"])
            status = client.post("/predict", content=content, headers={"content-type": kind}).status_code
            counts[status] = counts.get(status, 0) + 1
    return counts


def main() -> None:
    """Measure, and renew the section of RESULTS.md."""
    with TemporaryDirectory() as folder:
        scratch = Path(folder)
        run(BACKBONE, "MobileNet", "none", scratch / "base")
        model = scratch / "model.onnx"
        write_classifier(scratch / "base" / "backbone.onnx", model)
        paths = [scratch / "images" / path for path in photos.write(scratch / "images", IMAGES)]
        bodies = [path.read_bytes() for path in paths]
        alone = run(ONE_BY_ONE, model, *paths)["seconds"]
        command = [sys.executable, "-m", "graft", "serve", "--model", str(model), "--port", "0"]
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
            line = process.stderr.readline() if process.stderr else ""
            match = re.search(r"http://\S+", line)
            address = match[0] if match else sys.exit(line)
            load(address, bodies[:20], 2)
            rows = []
            for clients in (1, CLIENTS):
                seconds, waits = load(address, bodies, clients)
                ratio = alone / seconds
                name = f"{clients} client{'s' if clients > 1 else ''}"
                rows.append((name, f"{IMAGES / seconds:.0f}", f"{1000 * median(waits):.0f} ms", f"**{ratio:.2f}**"))
            counts = ask_hostile(address, bodies)
            alive = httpx.get(f"{address}/health").status_code == httpx.codes.OK
            process.terminate()
        answers = ", ".join(f"{number} answers {status}" for status, number in sorted(counts.items()))
        rows.insert(
            0, ("`Classifier.predict` image by image", f"{IMAGES / alone:.0f}", f"{1000 * alone / IMAGES:.0f} ms", "1")
        )
        rows.append((f"{HOSTILE:,} damaged bodies", answers, "", "alive" if alive else "**dead**"))
        results.renew("Serving", ["clients", "images/s", "median wait", "ratio"], rows, PACKAGES)
        print(json.dumps(counts))


if __name__ == "__main__":
    main()
