"""Photos with the outputs of training, and the export of these."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from tasks.common.params import Params, Variant
from tasks.export.inputs import Inputs
from tasks.export.stage import export_model
from tasks.images.decoding import read
from tasks.onnx import graphs
from tasks.onnx.sessions import Session
from tasks.tables import held_out, reference
from tasks.tables.held_out import HeldOut
from tests.tasks.conftest import write_accepted, write_photos

CLASSES = ["dark", 'with "quotes"\nand ä']


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, backbone: Path) -> Path:
    """Write photos and the outputs of training: a head, its predictions by Keras, and those for images held out."""
    import keras

    from tasks.head.classifier import build_head
    from tasks.networks import saving
    from tasks.networks.conversion.keras_to_onnx import convert_head

    folder = tmp_path_factory.mktemp("trained")
    rows = [row._replace(label=CLASSES[row.label == "light"]) for row in write_photos(folder / "photos", 5)]
    session = Session(onnx.load(backbone / "backbone.onnx"), threads=1)
    features = np.concatenate([session(read(folder / "photos" / row.path)[None]) for row in rows])
    keras.utils.set_random_seed(0)
    head = build_head(features, 2, [8], 0.2)
    tuned = folder / "tuned"
    saving.save(head, tuned, "head")
    graph = convert_head(head)
    graphs.set_metadata(graph, {"calibration": '{"temperature": 1.5, "before": 0.1, "after": 0.05}'})
    graphs.save(graph, tuned / "head.onnx")
    paths, predicted = [row.path for row in rows], head.predict(features, verbose=0)
    reference.write(tuned / "reference.parquet", paths, predicted, CLASSES)
    # Of ten images, the one that is predicted as the other class is wrong.
    probabilities = np.eye(2, dtype=np.float32)[[0] * 5 + [1] * 4 + [0]]
    labels, splits = [row.label for row in rows], [row.split for row in rows]
    held_out.write(tuned / "held_out.parquet", HeldOut(paths, labels, splits, probabilities, CLASSES))
    write_accepted(folder / "accepted.parquet", rows)
    return folder


def export(
    trained: Path,
    backbone: Path,
    out: Path,
    settings: Params,
    tuned: Path | None = None,
    *,
    variants: list[Variant] | None = None,
    images: int = 64,
) -> onnx.ModelProto:
    """Run the stage, without variants unless they are named, and return the model."""
    inputs = Inputs(trained / "photos", trained / "accepted.parquet", backbone, tuned or trained / "tuned")
    params = settings.export.model_copy(update={"variants": variants or [], "parity_images": images})
    export_model(inputs, out, params, settings.evaluation)
    return onnx.load(out / "model.onnx")
