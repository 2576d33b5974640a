"""The stages from images to a trained classifier, run as commands in a folder of their own."""

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from ruamel.yaml import YAML

from benchmarks.image_sets import ImageSet
from tasks.common import params

Sections = Mapping[str, Mapping[str, Any]]
"""Values of params by section and key."""

ROOT = Path(__file__).parents[1]
SECONDS_BETWEEN_LOOKS = 0.01
STAGES = {
    "backbone": "--out {backbone}",
    "features": (
        "--images images --accepted accepted.parquet --backbone {backbone}/backbone.onnx --out features.parquet"
    ),
    "head": "--features features.parquet --accepted accepted.parquet --out head",
    "finetuning": (
        "--images images --accepted accepted.parquet --backbone {backbone} --head head --features features.parquet "
        "--out finetuning"
    ),
}


def write_images(image_set: ImageSet, folder: Path) -> None:
    """Write the images as PNG files below `folder`/images, and `folder`/accepted.parquet with their splits."""
    rows = []
    for number, (image, label, split) in enumerate(
        zip(image_set.images, image_set.labels.tolist(), image_set.splits.tolist(), strict=True)
    ):
        # The number of the class is its name, so that the order of the names is that of the labels.
        name = f"{label:02}"
        path = folder / "images" / name / f"{number:05}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path, compress_level=1)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        rows.append({"path": f"{name}/{path.name}", "label": name, "split": split, "sha256": digest, "group": None})
    types = [(column, pa.int64() if column == "group" else pa.string()) for column in rows[0]]
    pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema(types)), folder / "accepted.parquet")


class TrainingRun:
    """Runs stages in `folder`, which has feature store, cache and params of its own."""

    def __init__(self, folder: Path, backbone: Path | None = None) -> None:
        """Make the folder; `backbone` is the output of the stage `backbone`, by default inside it."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.backbone = folder, backbone or folder / "backbone"
        self._environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "GRAFT_STORE": str(folder / "store"),
            "GRAFT_CACHE": str(folder / "cache"),
        }

    def set_params(self, changes: Sections) -> None:
        """Write params.yaml: the committed params with changes, a mapping a section."""
        document = params.load(ROOT / "params.yaml").model_dump()
        for section, values in changes.items():
            document[section] |= values
        path = self.folder / "params.yaml"
        params.check(document, path)
        YAML(typ="safe", pure=True).dump(document, path)

    def stage(self, name: str) -> None:
        """Run a stage, or stop with its error."""
        self.python("-m", f"tasks.{name}", *self._arguments(name))

    def python(self, *arguments: str) -> str:
        """Run Python in the folder and return its output, or stop with its error."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(done.stderr)
        return done.stdout

    def finetune(self) -> tuple[list[float], str]:
        """Run the stage `finetuning`.

        Returns:
            When each epoch ended, in seconds, which is when its checkpoint was written; and the lines of progress.
        """
        command = [sys.executable, "-m", "tasks.finetuning", *self._arguments("finetuning")]
        messages, ends = self.folder / "finetuning.txt", list[int]()
        with messages.open("w", encoding="utf-8") as file:
            process = subprocess.Popen(command, cwd=self.folder, env=self._environment, stdout=file, stderr=file)
            while process.poll() is None:
                for checkpoint in (self.folder / "cache" / "finetuning").glob("*.safetensors"):
                    written = _written(checkpoint)
                    if written and written not in ends:
                        ends.append(written)
                time.sleep(SECONDS_BETWEEN_LOOKS)
        text = messages.read_text(encoding="utf-8")
        if process.returncode:
            sys.exit(text)
        return [end / 1e9 for end in ends], text

    def _arguments(self, name: str) -> list[str]:
        return [argument.format(backbone=self.backbone) for argument in STAGES[name].split()]


def _written(file: Path) -> int:
    """Return when the file was written, in nanoseconds, or 0 if it has vanished."""
    try:
        return file.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
