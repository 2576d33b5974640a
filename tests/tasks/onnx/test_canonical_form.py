import random
from collections.abc import Callable

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from tasks.onnx import graphs
from tasks.onnx.canonical_form import canonical, digest
from tasks.onnx.resize import Resize, resize_graph
from tasks.onnx.sessions import Session
from tests.tasks.conftest import noise
from tests.tasks.onnx.small_graphs import SIZE, canonical_base, small_backbone, small_base


@settings(max_examples=30)
@given(st.integers(0, 2**32))
def test_equal_models_with_other_names_and_orders_become_equal_bytes(seed: int) -> None:
    shuffled = small_base(random.Random(seed))  # noqa: S311  not used for secrets
    actual = canonical(shuffled, "base", "resized", ["features"])
    onnx.checker.check_model(actual, full_check=True)
    expected = canonical_base().SerializeToString(deterministic=True)
    assert actual.SerializeToString(deterministic=True) == expected


def test_canonical_names_start_with_the_prefix_and_values_stay_the_same() -> None:
    model, renamed = small_base(), canonical_base()
    assert [value.name for value in (*renamed.graph.input, *renamed.graph.output)] == ["resized", "features"]
    assert {tensor.name.split("/")[0] for tensor in renamed.graph.initializer} == {"base"}
    assert {node.name.split("/")[0] for node in renamed.graph.node} == {"base"}
    batch = np.stack([noise(seed, SIZE, SIZE) for seed in range(3)])
    np.testing.assert_array_equal(Session(renamed, threads=1)(batch), Session(model, threads=1)(batch))


def test_another_weight_gives_other_bytes() -> None:
    changed = small_base()
    changed.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.ones((3, 4), np.float32), "left"))
    actual = canonical(changed, "base", "resized", ["features"]).SerializeToString(deterministic=True)
    assert actual != canonical_base().SerializeToString(deterministic=True)


def test_nodes_that_no_output_needs_are_dropped() -> None:
    model = small_base()
    model.graph.node.append(helper.make_node("Neg", ["b"], ["unused"]))
    assert canonical(model, "base", "resized", ["features"]) == canonical_base()


def test_a_digest_ignores_names_orders_and_how_weights_are_stored() -> None:
    backbone = small_backbone()
    with_lists = small_backbone()
    for tensor in with_lists.graph.initializer:
        values = numpy_helper.to_array(tensor)
        tensor.CopyFrom(helper.make_tensor(tensor.name, tensor.data_type, values.shape, values.ravel().tolist()))
    shuffled = small_base(random.Random(1))  # noqa: S311  not used for secrets
    renamed = graphs.join(resize_graph(Resize(SIZE)), canonical(shuffled, "b", "resized", ["y"]))
    expected = digest(backbone, "resized", "features")
    assert digest(with_lists, "resized", "features") == expected
    assert digest(renamed, "resized", "y") == expected


def transpose_weights(model: onnx.ModelProto) -> None:
    weights = model.graph.initializer[-1]
    weights.dims[:] = reversed(weights.dims)


def change_type(model: onnx.ModelProto) -> None:
    model.graph.initializer[-1].data_type = TensorProto.INT32


def change_last_bit(model: onnx.ModelProto) -> None:
    weights = model.graph.initializer[-1]
    values = numpy_helper.to_array(weights).copy()
    values.flat[-1] = np.nextafter(values.flat[-1], 2, dtype=np.float32)
    weights.CopyFrom(numpy_helper.from_array(values, weights.name))


def change_operator(model: onnx.ModelProto) -> None:
    model.graph.node[-1].op_type = "Add"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(transpose_weights, id="shape"),
        pytest.param(change_type, id="type"),
        pytest.param(change_last_bit, id="last bit of a weight"),
        pytest.param(change_operator, id="operator"),
    ],
)
def test_a_digest_changes_with_everything_that_computes(change: Callable[[onnx.ModelProto], None]) -> None:
    changed = small_backbone()
    change(changed)
    assert digest(changed, "resized", "features") != digest(small_backbone(), "resized", "features")
