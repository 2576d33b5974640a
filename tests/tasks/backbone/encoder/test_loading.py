import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import convert_model_to_external_data

from tasks.backbone.encoder.loading import load_encoder, parse_encoder
from tasks.common.errors import GraftError
from tests.tasks.backbone.encoder.conftest import NAME, Convert
from tests.tasks.backbone.encoder.encoders import branching, convnet, vit


def changed(change: Callable[[onnx.ModelProto], object], model: onnx.ModelProto | None = None) -> onnx.ModelProto:
    model = model or convnet()
    change(model)
    return model


def add_input(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["N", 7]))


def need_input(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["N", 6, 7, 7]))
    model.graph.node[-1].output[0] = "unmasked"
    model.graph.node.append(helper.make_node("Mul", ["unmasked", "mask"], ["maps"]))


def ignore_input(model: onnx.ModelProto) -> None:
    del model.graph.node[:]
    value = numpy_helper.from_array(np.zeros((1, 6, 7, 7), np.float32))
    model.graph.node.append(helper.make_node("Constant", [], ["maps"], value=value))


def set_operator(model: onnx.ModelProto, operator: str, domain: str = "") -> None:
    model.graph.node[1].op_type, model.graph.node[1].domain = operator, domain


def hide_operator(model: onnx.ModelProto) -> None:
    """Put an operator of another domain into a branch."""
    [body] = [attribute.g for attribute in model.graph.node[-1].attribute if attribute.name == "else_branch"]
    body.node[0].domain = "com.microsoft"


def set_dimension(model: onnx.ModelProto, position: int, length: int) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[position].dim_value = length


def add_functions(model: onnx.ModelProto, depth: int, last: str = "Relu") -> None:
    """Let the model end with the first of `depth` functions, each of which calls the next one ten times."""
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("own", 1)]
    for level in range(depth):
        is_last = level == depth - 1
        operator, domain = (last, "own" if last.startswith("F") else "") if is_last else (f"F{level + 1}", "own")
        nodes = [helper.make_node(operator, [f"t{step}"], [f"t{step + 1}"], domain=domain) for step in range(10)]
        model.functions.append(helper.make_function("own", f"F{level}", ["t0"], ["t10"], nodes, opsets))
    model.opset_import.append(opsets[1])
    model.graph.node[-1].output[0] = "before"
    model.graph.node.append(helper.make_node("F0", ["before"], ["maps"], domain="own"))


OUTSIDE = "; expected a file below its own folder. Export both there."

CASES = [
    pytest.param(
        changed(add_input),
        "has 2 inputs: input and input_ids. Set backbone.preprocessing.input to that of the images.",
        {},
        id="two inputs",
    ),
    pytest.param(
        changed(need_input),
        "the output 'maps' of NAME needs mask besides 'input'; an encoder takes images "
        "alone. Export the vision tower by itself, or set backbone.preprocessing.output.",
        {"input": "input"},
        id="needs another input",
    ),
    pytest.param(
        changed(ignore_input),
        "the output 'maps' of NAME does not depend on its input 'input'.",
        {},
        id="constant output",
    ),
    pytest.param(
        changed(lambda model: set_operator(model, "Gelu", "com.microsoft")),
        "NAME uses the operator com.microsoft.Gelu, which is not of the ONNX standard: other runtimes could not "
        "run the exported classifier. Export the encoder without optimizations for one runtime.",
        {},
        id="custom operator",
    ),
    pytest.param(
        changed(hide_operator, branching()),
        "NAME uses the operator com.microsoft.MatMul, which is not",
        {},
        id="custom operator in a branch",
    ),
    pytest.param(
        changed(lambda model: set_operator(model, "RandomNormalLike")),
        "NAME uses the operator RandomNormalLike, which is random. Export the encoder in evaluation mode.",
        {},
        id="random operator",
    ),
    pytest.param(
        changed(lambda model: set_operator(model, "Rectify")),
        "NAME cannot be used, because it is not valid ONNX: No Op registered for Rectify",
        {},
        id="no operator",
    ),
    pytest.param(
        changed(lambda model: set_dimension(model, 1, 4)),
        "the input 'input' of NAME does not tell whether channels come first or last; set "
        "backbone.preprocessing.layout.",
        {},
        id="four channels",
    ),
    pytest.param(
        changed(lambda model: set_dimension(model, 2, 64)),
        "the input 'input' of NAME takes images of 64x32 pixels; expected squares.",
        {},
        id="oblong",
    ),
    pytest.param(
        convnet(8),
        "the input 'input' of NAME takes batches of 8 images; export the encoder with a dynamic "
        "batch, or a batch of 1.",
        {},
        id="batch of 8",
    ),
    pytest.param(
        convnet(sides=(1 << 40, 1 << 40)),
        "NAME takes images of 1,099,511,627,776 pixels; expected at most 4,096.",
        {"input_size": None},
        id="absurd size",
    ),
    pytest.param(
        changed(lambda model: model.graph.initializer[0].dims.append(1 << 40)),
        "NAME cannot be used, because of its tensor 'constant.0' of shape [6, 3, 3, 3, 1099511627776]: ",
        {},
        id="shape without bytes",
    ),
    pytest.param(
        changed(lambda model: model.graph.initializer[0].dims.append(-1)),
        "NAME cannot be used, because of its tensor 'constant.0' of shape [6, 3, 3, 3, -1]: a length is negative.",
        {},
        id="negative length",
    ),
    pytest.param(
        changed(lambda model: model.graph.input[0].type.tensor_type.shape.dim.add(dim_value=3)),
        "the input 'input' of NAME has 5 dimensions; expected 4, [N, 3, H, W] or [N, H, W, 3].",
        {},
        id="video",
    ),
    pytest.param(
        changed(lambda model: setattr(model.opset_import[0], "version", 99)),
        "NAME uses opset 99; expected 7 to ",
        {},
        id="opset of the future",
    ),
    pytest.param(
        changed(lambda model: model.graph.ClearField("node")),
        "NAME cannot be read as ONNX: it has no operators.",
        {},
        id="no nodes",
    ),
    pytest.param(
        changed(lambda model: model.graph.ClearField("output")),
        "NAME has no output; export it again.",
        {},
        id="no outputs",
    ),
    pytest.param(
        convnet().SerializeToString().replace(b"maps", b"\xff\xfe\xfd\xfc"),
        "NAME cannot be read as ONNX: it has names that are not UTF-8. Export it again.",
        {},
        id="names that are not UTF-8",
    ),
    pytest.param(
        changed(lambda model: add_functions(model, 10)),
        "NAME cannot be freed of its functions: they stand for more than 1,000,000 operators. Export it without "
        "functions.",
        {},
        id="functions of functions of functions",
    ),
    pytest.param(
        changed(lambda model: add_functions(model, 1, last="F0")),
        "NAME cannot be freed of its functions: Cycle detected in",
        {},
        id="function that calls itself",
    ),
    pytest.param(b"\x89HDF\r\n\x1a\n" + bytes(100), "NAME cannot be read as ONNX: ", {}, id="HDF5"),
    pytest.param(b"", "NAME cannot be read as ONNX: it has no operators.", {}, id="empty"),
    pytest.param(vit().SerializeToString()[:5000], "NAME cannot be read as ONNX: ", {}, id="cut"),
]


@pytest.mark.parametrize(("model", "problem", "changes"), CASES)
def test_a_file_that_cannot_be_used_ends_in_one_line(
    convert: Convert, model: onnx.ModelProto | bytes, problem: str, changes: dict[str, Any]
) -> None:
    with pytest.raises(GraftError, match=re.escape(problem.replace("NAME", NAME))) as raised:
        convert(model, **changes)
    assert "\n" not in str(raised.value)


def test_another_hash_is_refused_before_the_file_is_parsed(tmp_path: Path) -> None:
    (tmp_path / "encoder.onnx").write_bytes(b"anything")
    actual = "ee0874170b7f6f32b8c2ac9573c428d35b575270a66b757c2c0185d2bd09718d"
    expected = (
        f"backbone.sha256 is {'0' * 64}, but '{NAME}' has {actual}. Restore the file, or set backbone.sha256 to that "
        "if the change is wanted."
    )
    with pytest.raises(GraftError, match=f"^{re.escape(expected)}$"):
        load_encoder(tmp_path / "encoder.onnx", "0" * 64, NAME)


@pytest.fixture
def external(tmp_path: Path) -> onnx.ModelProto:
    """Give a model whose weights are in the file `weights.data` of the temporary folder."""
    model = convnet()
    convert_model_to_external_data(model, location="weights.data", size_threshold=0)
    onnx.save(model, tmp_path / "encoder.onnx")
    return onnx.load(tmp_path / "encoder.onnx", load_external_data=False)


def test_external_data_is_read_from_the_folder_of_the_encoder(convert: Convert, external: onnx.ModelProto) -> None:
    assert convert(external).model == convert(convnet()).model


def set_entry(model: onnx.ModelProto, key: str, value: str) -> None:
    for entry in model.graph.initializer[0].external_data:
        if entry.key == key:
            entry.value = value


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        pytest.param("location", "../x", f"in '../x'{OUTSIDE}", id="above"),
        pytest.param(
            "location",
            "/etc/passwd",
            f"in '/etc/passwd'{OUTSIDE}",
            id="absolute",
        ),
        pytest.param("location", "a\\..\\x", OUTSIDE, id="backslashes"),
        pytest.param("location", "", f"in ''{OUTSIDE}", id="no name"),
        pytest.param("location", ".", f"in '.'{OUTSIDE}", id="the folder"),
        pytest.param(
            "location", "gone", "in 'gone', and there is no such file. Put it beside the encoder.", id="missing"
        ),
        pytest.param("location", "link", "in 'link', which is a link; put the file itself there.", id="link"),
        pytest.param("location", "sub/link", "in 'sub/link', which is a link; put the file", id="link to a folder"),
        pytest.param("offset", "800", "in 'weights.data' at 800, 648 bytes; the file has ", id="offset beyond the end"),
        pytest.param("offset", "-8", "in 'weights.data' at -8, 648 bytes; the file has ", id="negative offset"),
        pytest.param("length", "9" * 30, f"at 0, {'9' * 30} bytes; the file has ", id="absurd length"),
        pytest.param("length", "8", "because of its tensor 'constant.0' of shape [6, 3, 3, 3]: ", id="length of less"),
    ],
)
def test_external_data_from_elsewhere_is_refused(
    tmp_path: Path, external: onnx.ModelProto, key: str, value: str, problem: str
) -> None:
    (tmp_path / "link").symlink_to("weights.data")
    (tmp_path / "sub").symlink_to("/etc")
    set_entry(external, key, value)
    with pytest.raises(GraftError, match=re.escape(problem)):
        parse_encoder(external.SerializeToString(), tmp_path, NAME)


def test_weights_beyond_one_file_are_refused_with_a_figure(tmp_path: Path, external: onnx.ModelProto) -> None:
    with (tmp_path / "weights.data").open("ab") as file:
        file.truncate(3_000_000_000)  # without blocks on the disk
    set_entry(external, "length", "2900000000")
    message = (
        rf"^{NAME} has 2.9 GB of weights or more; one ONNX file, such as the exported classifier, holds at most 2.1"
    )
    with pytest.raises(GraftError, match=message):
        parse_encoder(external.SerializeToString(), tmp_path, NAME)


def structure(model: onnx.ModelProto) -> tuple[bytes, list[int]]:
    """Return the bytes of a file, and the positions of those that are no weights."""
    content = model.SerializeToString()
    is_weight = np.zeros(len(content), np.bool_)
    for tensor in model.graph.initializer:
        start = content.index(tensor.raw_data)
        is_weight[start : start + len(tensor.raw_data)] = len(tensor.raw_data) > 64
    return content, np.flatnonzero(~is_weight).tolist()


FILES = [structure(model) for model in (vit(), vit(1), convnet(1), branching())]


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(FILES), st.lists(st.tuples(st.integers(0, 2**12), st.integers(0, 255)), min_size=1, max_size=3))
def test_changed_bytes_give_a_base_or_one_line(
    convert: Convert, file: tuple[bytes, list[int]], changes: list[tuple[int, int]]
) -> None:
    content, positions = bytearray(file[0]), file[1]
    for index, value in changes:
        content[positions[index % len(positions)]] = value
    try:
        convert(bytes(content), input_size=32)
    except GraftError as error:
        message = str(error)
        assert "\n" not in message
