"""External data: the weights that a large ONNX file keeps in files beside it, read only from inside its folder."""

from pathlib import Path, PurePosixPath

import onnx
from onnx import TensorProto

from tasks.backbone.encoder.traversal import all_tensors
from tasks.common.errors import GraftError
from tasks.common.text import printable

LARGEST = (1 << 31) - (1 << 24)
"""Bytes of weights that one ONNX file can hold: protobuf writes less than 2 GiB, and the nodes need some of it."""


def load_external_data(graph: onnx.GraphProto, folder: Path, name: str) -> None:
    """Read the external data of all tensors into the graph, in place.

    Raises:
        GraftError: a file lies outside the folder, is missing, a link or too short, or there are more than 2 GiB.
    """
    total = 0
    for tensor in all_tensors(graph):
        if tensor.data_location == TensorProto.EXTERNAL:
            path, offset, length = _locate(tensor, folder.resolve(), name)
            total += length
            if total > LARGEST:
                raise too_large(name, total)
            with path.open("rb") as file:
                file.seek(offset)
                tensor.raw_data = file.read(length)
            tensor.ClearField("data_location")
            del tensor.external_data[:]


def too_large(name: str, size: int) -> GraftError:
    """Return the error for an encoder of so many bytes."""
    return GraftError(
        f"{name} has {size / 1e9:.1f} GB of weights or more; one ONNX file, such as the exported classifier, holds at "
        f"most {LARGEST / 1e9:.1f} GB. Export the encoder in float16, or take a smaller one."
    )


def _locate(tensor: onnx.TensorProto, folder: Path, name: str) -> tuple[Path, int, int]:
    """Return the file of a tensor, and the range of bytes in it: offset and length."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    shown = f"'{printable(location)}'"
    parts = PurePosixPath(location)
    if not parts.parts or parts.is_absolute() or ".." in parts.parts or not set(location).isdisjoint("\\:\0"):
        message = f"{name} has external data in {shown}; expected a file below its own folder."
        raise GraftError(message)
    path = folder / parts
    if path.resolve() != path:
        message = f"{name} has external data in {shown}, which is a link; put the file itself there."
        raise GraftError(message)
    if not path.is_file():
        message = f"{name} has external data in {shown}, and there is no such file. Put it beside the encoder."
        raise GraftError(message)
    size = path.stat().st_size
    offset = _whole_number(entries.get("offset", "0"))
    length = _whole_number(entries["length"]) if "length" in entries else size - (offset or 0)
    if offset is None or length is None or not 0 <= length <= size - offset:
        message = (
            f"{name} has external data in {shown} at {printable(str(entries.get('offset', 0)))[:40]}, "
            f"{printable(str(entries.get('length', 'all')))[:40]} bytes; the file has {size:,}."
        )
        raise GraftError(message)
    return path, offset, length


def _whole_number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None  # noqa: PLR2004  digits of 2**63
