"""The stage `export`: its time when only the head changed, and the bytes of int8 files.

python -m benchmarks.export
"""

import resource
import shlex
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
from ruamel.yaml import YAML

from benchmarks import results
from benchmarks.chain import ROOT, clone, run
from flows.params_file import edit
from tasks.backbone.stage import prepare_backbone
from tasks.common import params
from tasks.onnx.int8.quantization import quantize_backbone

PACKAGES = ["onnx", "onnxruntime", "tensorflow"]
# Random weights have as many bytes as trained ones.
NETWORKS = ("MobileNet", "DenseNet121", "ResNet50")


def processor_seconds() -> float:
    """Return the processor time of all ended descendants so far."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure_stage(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Yield rows for the digits with the starter: the time of a second export with another head, and the int8 file."""
    clone(folder)
    edit(folder / "params.yaml", [("export.variants", ["fixed", "int8"])])
    run("dvc", "repro", "-q", "export", cwd=folder)
    model, quantized = (folder / "artifacts" / "export" / name for name in ("model.onnx", "model.int8.onnx"))
    share = quantized.stat().st_size / model.stat().st_size
    yield "starter: bytes of model.int8.onnx / model.onnx", f"{share:.0%}", "30 %"
    edit(folder / "params.yaml", [("export.variants", ["fixed"]), ("head.seed", 1)])
    run("dvc", "repro", "-q", "finetuning", cwd=folder)
    command = YAML(typ="safe", pure=True).load(folder / "dvc.yaml")["stages"]["export"]["cmd"]
    _, _, *words = shlex.split(command.replace("${dataset.source}", "data/digits"))
    before = processor_seconds()
    seconds = run(*words, cwd=folder)
    yield "seconds of `export` when only the head changed", f"{seconds:.1f} s", "3 s"
    yield "of these, processor time", f"{processor_seconds() - before:.1f} s", ""


def measure_networks(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Yield a row a network: the bytes of its int8 graph over those of its float32 graph."""
    section = params.load(ROOT / "params.yaml").backbone
    for name in NETWORKS:
        own = section.model_copy(update={"name": name, "weights": "none", "alpha": None})
        prepare_backbone(own, None, folder / name)
        file = folder / name / "backbone.onnx"
        quantized = quantize_backbone(onnx.load(file))
        share = len(quantized.SerializeToString()) / file.stat().st_size
        yield f"{name}: bytes of the int8 base / base", f"{share:.0%}", "30 %"


def main() -> None:
    """Measure and renew the section of RESULTS.md."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "clone").mkdir()
        rows = [*measure_stage(root / "clone"), *measure_networks(root)]
    results.renew("Export", ("", "figure", "bound"), rows, PACKAGES)


if __name__ == "__main__":
    main()
