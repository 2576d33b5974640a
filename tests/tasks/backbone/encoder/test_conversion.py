import random
import re
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from tasks.backbone.encoder.preprocessing import Preprocessing
from tasks.common.errors import GateError, GraftError
from tasks.onnx import graphs
from tasks.onnx.canonical_form import digest
from tasks.onnx.resize import Resize, resize_graph
from tasks.onnx.sessions import Session
from tests.tasks.backbone.encoder.conftest import NAME, PREPROCESSING, Convert
from tests.tasks.backbone.encoder.encoders import SIZE, Array, branching, convnet, flattening, vit
from tests.tasks.conftest import noise


def run_reference(model: onnx.ModelProto, images: Array, output: str, layout: str = "NCHW") -> Array:
    """Return the output of an encoder, image by image, on pixels normalised in double precision."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    [value] = session.get_inputs()
    values = (images * PREPROCESSING.scale - PREPROCESSING.mean) / PREPROCESSING.std
    values = values.transpose(0, 3, 1, 2) if layout == "NCHW" else values
    values = values.astype(np.float16 if "16" in value.type else np.float32)
    return np.concatenate([session.run([output], {value.name: image[None]})[0] for image in values])


def images(count: int) -> Array:
    return np.stack([noise(seed, SIZE, SIZE) for seed in range(count)])


@pytest.mark.parametrize(
    ("model", "form"),
    [
        pytest.param(vit(), "open batch", id="transformer, dynamic batch"),
        pytest.param(vit(1), "scan", id="transformer, batch of 1"),
        pytest.param(vit(opset=13), "open batch", id="transformer, opset 13"),
        pytest.param(vit(opset=18), "open batch", id="transformer, opset 18"),
        pytest.param(vit(opset=21), "open batch", id="transformer, opset 21"),
        pytest.param(convnet(opset=9), "open batch", id="convolutions, opset 9"),
        pytest.param(convnet(1), "open batch", id="convolutions, batch of 1"),
        pytest.param(convnet(layout="NHWC"), "open batch", id="convolutions, channels last"),
        pytest.param(convnet(sides=("h", "w")), "open batch", id="convolutions, open size"),
        pytest.param(flattening(), "opened shapes", id="constant shapes, batch of 1"),
        pytest.param(branching(), "scan", id="branches"),
    ],
)
def test_the_graph_equals_the_encoder_for_any_number_of_images(
    convert: Convert, model: onnx.ModelProto, form: str
) -> None:
    base = convert(model, input_size=SIZE)
    assert base.form == form
    layout = "NHWC" if model.graph.input[0].type.tensor_type.shape.dim[3].dim_value == 3 else "NCHW"
    output = run_reference(model, images(5), model.graph.output[0].name, layout)
    if output.ndim > 2:
        axes = {(3, "NCHW"): (1,), (4, "NCHW"): (2, 3), (4, "NHWC"): (1, 2)}[output.ndim, layout]
        output = output.mean(axes)
    session = Session(base.model, threads=1)
    np.testing.assert_allclose(session(images(5)), output, rtol=0, atol=1e-5 * np.abs(output).max())
    np.testing.assert_array_equal(session(images(1)), session(images(5))[:1])


@pytest.mark.parametrize("batch", ["batch", 1])
def test_an_encoder_in_float16_takes_and_gives_float32(convert: Convert, batch: int | str) -> None:
    model = vit(batch, element_type=TensorProto.FLOAT16)
    base = convert(model)
    expected = run_reference(model, images(2), "last_hidden_state").astype(np.float32).mean(1)
    vectors = Session(base.model, threads=1)(images(2))
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, expected, rtol=0, atol=2e-3 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("model", "pooling", "width"),
    [
        pytest.param(vit(), "cls", 8, id="tokens, cls"),
        pytest.param(vit(), "max", 8, id="tokens, max"),
        pytest.param(vit(), "none", 40, id="tokens, none"),
        pytest.param(convnet(), "max", 6, id="maps, max"),
        pytest.param(convnet(), "none", 294, id="maps, none"),
        pytest.param(branching(), "cls", 4, id="vectors stay"),
    ],
)
def test_an_output_is_pooled_to_vectors(convert: Convert, model: onnx.ModelProto, pooling: str, width: int) -> None:
    base = convert(model, pooling=pooling)
    output = run_reference(model, images(2), model.graph.output[0].name)
    has_tokens = output.ndim == 3
    if pooling == "cls":
        expected = output[:, 0] if has_tokens else output
    else:
        expected = output.max(1 if has_tokens else (2, 3)) if pooling == "max" else output.reshape(2, -1)
    np.testing.assert_allclose(Session(base.model, threads=1)(images(2)), expected, rtol=0, atol=1e-5)
    assert base.width == width


def test_another_output_can_be_chosen(convert: Convert) -> None:
    base = convert(vit(), output="pooler_output")
    expected = run_reference(vit(), images(2), "pooler_output")
    np.testing.assert_allclose(Session(base.model, threads=1)(images(2)), expected, rtol=0, atol=1e-5)


def test_uint8_pixels_are_passed_on_as_they_are(convert: Convert) -> None:
    model = convnet(layout="NHWC")
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    model.graph.node[0].input[0] = "float"
    model.graph.node.insert(0, helper.make_node("Cast", ["input"], ["float"], to=TensorProto.FLOAT))
    with pytest.raises(GraftError, match="takes uint8 pixels, but preprocessor_config.json states a normalisation"):
        convert(model)
    base = convert(model, with_preprocessing=Preprocessing("params", 1.0, (0.0,) * 3, (1.0,) * 3, None))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = session.run(None, {"input": images(2)})[0].mean((1, 2))
    np.testing.assert_allclose(Session(base.model, threads=1)(images(2)), expected, rtol=1e-4)


def test_functions_are_inlined(convert: Convert) -> None:
    model = convnet(opset=18)
    half = helper.make_function(
        "own", "Half", ["x"], ["y"], [helper.make_node("Mul", ["x", "x"], ["y"])], [helper.make_opsetid("", 18)]
    )
    model.functions.append(half)
    model.opset_import.append(helper.make_opsetid("own", 1))
    model.graph.node[-1].output[0] = "before"
    model.graph.node.append(helper.make_node("Half", ["before"], ["maps"], domain="own"))
    expected = run_reference(model, images(2), "maps").mean((2, 3))
    np.testing.assert_allclose(Session(convert(model).model, threads=1)(images(2)), expected, rtol=1e-4)


@pytest.mark.parametrize("batch", [None, 1], ids=["dynamic batch", "batch of 1"])
def test_a_network_exported_from_keras_with_channels_first_gives_the_features_of_keras(
    convert: Convert, batch: int | None
) -> None:
    import keras
    import tensorflow as tf
    from tf2onnx.convert import from_function

    keras.utils.set_random_seed(0)
    layers = [
        keras.layers.Conv2D(8, 3, strides=2, padding="same", activation="relu"),
        keras.layers.BatchNormalization(),
        keras.layers.DepthwiseConv2D(3, padding="same", activation="relu"),
        keras.layers.GlobalAveragePooling2D(),
    ]
    network = keras.Sequential([keras.Input((SIZE, SIZE, 3)), *layers])
    model, _ = from_function(
        tf.function(lambda x: network(x, training=False)),
        [tf.TensorSpec((batch, SIZE, SIZE, 3), tf.float32, "pixels")],
        opset=17,
        inputs_as_nchw=["pixels"],
    )
    assert [entry.dim_value for entry in model.graph.input[0].type.tensor_type.shape.dim][1:] == [3, SIZE, SIZE]
    values = (images(5) * PREPROCESSING.scale - PREPROCESSING.mean) / PREPROCESSING.std
    expected = network.predict(values.astype(np.float32), verbose=0)
    base = convert(model, input_size=SIZE)
    np.testing.assert_allclose(Session(base.model, threads=1)(images(5)), expected, rtol=1e-4, atol=1e-5)


def rename(model: onnx.ModelProto, seed: int) -> onnx.ModelProto:
    """Return the model with other names of tensors and nodes, other order of weights, and notes."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    outputs = [name for node in copy.graph.node for name in node.output]
    names = {name: f"t{number}" for number, name in enumerate(outputs)}
    names |= {tensor.name: f"w{position}" for position, tensor in enumerate(copy.graph.initializer)}
    for node in copy.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        node.doc_string = "exported today"
        node.metadata_props.add(key="stack_trace", value="/home/someone/model.py")
    for value in (*copy.graph.initializer, *copy.graph.output):
        value.name = names[value.name]
    weights = list(copy.graph.initializer)
    random.Random(seed).shuffle(weights)  # noqa: S311  not used for secrets
    del copy.graph.initializer[:]
    copy.graph.initializer.extend(weights)
    return copy


@pytest.mark.parametrize("batch", ["batch", 1], ids=["open batch", "scan"])
def test_equal_encoders_have_equal_bytes_and_digests_whatever_their_names(convert: Convert, batch: int | str) -> None:
    base, renamed = convert(vit(batch)), convert(rename(vit(batch), 1))
    assert base.model == renamed.model
    model = onnx.load_model_from_string(base.model)
    joined = graphs.join(resize_graph(Resize(SIZE)), model)
    assert digest(joined, "resized", "features") == digest(model, "resized", "features")
    changed = vit(batch)
    weights = numpy_helper.to_array(changed.graph.initializer[0]) * 2
    changed.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights, changed.graph.initializer[0].name))
    other = onnx.load_model_from_string(convert(changed).model)
    assert digest(other, "resized", "features") != digest(model, "resized", "features")


def test_a_base_of_a_newer_opset_is_joined_with_a_resize_and_a_head_of_opset_18(convert: Convert) -> None:
    base = onnx.load_model_from_string(convert(vit(opset=21)).model)
    head = graphs.make_model(
        helper.make_graph(
            [helper.make_node("Softmax", ["features"], ["probabilities"], axis=-1)],
            "head",
            [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 8])],
            [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 8])],
        )
    )
    model = graphs.join(graphs.join(resize_graph(Resize(SIZE)), base), head)
    onnx.checker.check_model(model, full_check=True)
    assert graphs.opset(model) == 21
    np.testing.assert_allclose(Session(model, threads=1)(noise(0, 40, 50)[None]).sum(), 1, rtol=1e-6)


def make_nan(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].CopyFrom(
        numpy_helper.from_array(np.full((6, 3, 3, 3), np.nan, np.float32), model.graph.initializer[0].name)
    )


def test_values_that_are_not_finite_are_refused(convert: Convert) -> None:
    model = convnet()
    make_nan(model)
    expected = f"{NAME} gives values that are not finite; its weights, or the preprocessing, are not as it needs them."
    with pytest.raises(GraftError, match=f"^{re.escape(expected)}$"):
        convert(model)


def test_an_output_of_whole_numbers_is_refused(convert: Convert) -> None:
    model = convnet()
    model.graph.node.append(helper.make_node("ArgMax", ["maps"], ["best"], axis=1))
    model.graph.output.add().CopyFrom(helper.make_tensor_value_info("best", TensorProto.INT64, ["N", 1, "a", "b"]))
    expected = (
        f"the output 'best' of {NAME} has the type int64; expected float32 or float16. Set "
        "backbone.preprocessing.output to another output."
    )
    with pytest.raises(GraftError, match=f"^{re.escape(expected)}$"):
        convert(model, output="best")


def test_an_absurd_number_of_features_is_refused(convert: Convert) -> None:
    model = convnet()
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 1, 60, 60], np.int64), "repeats"))
    model.graph.node.append(helper.make_node("Tile", ["maps", "repeats"], ["tiles"]))
    model.graph.output.add().CopyFrom(helper.make_tensor_value_info("tiles", TensorProto.FLOAT, ["N", 6, "a", "b"]))
    expected = (
        f"{NAME} gives 1,058,400 features an image; expected at most 1,000,000. Set backbone.pooling to avg, or "
        "backbone.preprocessing.output to another output."
    )
    with pytest.raises(GraftError, match=f"^{re.escape(expected)}$"):
        convert(model, output="tiles", pooling="none")


def test_a_difference_above_the_tolerance_stops_the_run(convert: Convert) -> None:
    message = rf"^the ONNX graph made of {NAME} differs from it by \S+ of the largest value; expected at most 1.0e-12"
    with pytest.raises(GateError, match=message):
        convert(convnet(), tolerance=1e-12)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param(
            {"input_size": 64},
            f"{NAME} takes images of 32 pixels, but backbone.input_size says 64. Set backbone.input_size to 32.",
            id="size",
        ),
        pytest.param(
            {"pooling": "cls"},
            f"backbone.pooling is cls, but the output of {NAME} has maps of the shape [1, 6, 7, 7], which have no "
            "class token; set it to avg, max or none.",
            id="class token of maps",
        ),
        pytest.param(
            {"input": "pixels"}, f"backbone.preprocessing.input is 'pixels', but {NAME} has input.", id="unknown input"
        ),
        pytest.param(
            {"layout": "NHWC"},
            f"the input 'input' of {NAME} takes 32 channels in the layout NHWC; expected 3: red, green and blue.",
            id="other layout",
        ),
    ],
)
def test_params_that_do_not_fit_the_encoder_end_in_one_line(
    convert: Convert, changes: dict[str, Any], expected: str
) -> None:
    with pytest.raises(GraftError, match=f"^{re.escape(expected)}$"):
        convert(convnet(), **changes)


def test_an_open_size_has_to_be_stated(convert: Convert) -> None:
    expected = f"{NAME} takes images of any size, and none is stated; set backbone.input_size."
    with pytest.raises(GraftError, match=f"^{re.escape(expected)}$"):
        convert(convnet(sides=("h", "w")), input_size=None)
