"""ONNX Runtime for Node.js, and ONNX Runtime Web, whose WebAssembly runs in Node.js as it does in a browser."""

import json
import shutil
from pathlib import Path

from graft.conformance.runtimes.runtime import ONNX, Runtime
from tasks.common.text import printable

WORKER = Path(__file__).with_name("worker.mjs")


def javascript_runtime(name: str, package: str) -> Runtime:
    """Return the runtime of an npm package."""

    def find(folder: Path) -> str | None:
        description = folder / "node_modules" / package / "package.json"
        if shutil.which("node") is None or not description.exists():
            return None
        return str(json.loads(description.read_text(encoding="utf-8"))["version"])

    def install(folder: Path) -> str:
        node = "" if shutil.which("node") else "install Node.js 20 or newer, then "
        return f"{node}npm install --ignore-scripts --prefix {printable(str(folder))} {package}"

    def command(folder: Path) -> list[str]:
        return ["node", str(WORKER), package, str(folder.resolve())]

    return Runtime(name, ONNX, find, install, command)


NODE = javascript_runtime("ONNX Runtime for Node.js", "onnxruntime-node")
WEB = javascript_runtime("ONNX Runtime Web (wasm)", "onnxruntime-web")
