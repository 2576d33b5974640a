"""Description of an encoder's file for people: its inputs, its outputs, and the keys of params.yaml to set."""

from pathlib import Path
from typing import NamedTuple

import onnx
from onnx import TensorProto

from tasks.backbone.encoder.faults import run_isolated
from tasks.backbone.encoder.loading import load_encoder
from tasks.common import console
from tasks.common.errors import GraftError
from tasks.common.hashing import hash_file
from tasks.common.text import printable
from tasks.onnx import graphs

COLUMNS = ("tensor", "kind", "type", "shape")


class Description(NamedTuple):
    """Rows of the tensors, and the version of ONNX's operators."""

    rows: list[tuple[str, ...]]
    opset: int


def print_encoder(name: str) -> None:
    """Print the inputs and outputs of an encoder's file.

    Raises:
        GraftError: there is no such file, or it cannot be used.
    """
    path = Path(name).absolute()
    if not path.is_file():
        message = f"{printable(name)} is {'a folder' if path.is_dir() else 'missing'}; expected an ONNX file."
        raise GraftError(message)
    rows, opset = run_isolated(_describe, path, name)
    console.print_table(COLUMNS, rows)
    print(f"\n{printable(name)}: opset {opset}, backbone.sha256: {hash_file(path)}")
    print("no cuts; choose an output with backbone.preprocessing.output, and backbone.pooling for tokens and maps")


def _describe(path: Path) -> Description:
    model = load_encoder(path, hash_file(path), printable(path.name))
    groups = {"input": model.graph.input, "output": model.graph.output}
    rows = [_row(kind, value) for kind, values in groups.items() for value in values]
    return Description(rows, graphs.opset(model))


def _row(kind: str, value: onnx.ValueInfoProto) -> tuple[str, ...]:
    tensor = value.type.tensor_type
    shape = [printable(dimension.dim_param) or str(dimension.dim_value or "?") for dimension in tensor.shape.dim]
    return printable(value.name), kind, TensorProto.DataType.Name(tensor.elem_type).lower(), " x ".join(shape)
