import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from onnx import TensorProto, helper
from PIL import Image

from tasks.backbone.stage import prepare_backbone
from tasks.common.errors import GraftError
from tasks.common.params import Params
from tasks.extraction import runtimes
from tasks.features.stage import extract_features
from tasks.images.decoding import decode, read
from tasks.onnx import graphs
from tasks.onnx.resize import Resize, resize_graph
from tasks.onnx.sessions import Session
from tasks.store import Store
from tasks.store.usage import usage
from tasks.tables.accepted import Accepted
from tests.tasks.conftest import ROOT, hash_file, noise, write_accepted, write_photos

SIZE = 8

# A run in a process of its own, with segments so small that it can be killed between two of them.
RUN = """
import sys
from pathlib import Path
from tasks.common import params
from tasks.extraction import extractor
from tasks.features import stage
extractor.SEGMENT_ROWS = 4
settings = params.load(Path("params.yaml"))
section = settings.features.model_copy(update={"batch_size": 2, "store": "store"})
stage.extract_features(Path("photos"), Path("accepted.parquet"), Path(sys.argv[1]), Path(sys.argv[2]), section,
                       settings.augmentation)
"""


@pytest.fixture
def rows(tmp_path: Path) -> list[Accepted]:
    """Write images of several sizes and their accepted manifest, in an order of its own."""
    rows = write_photos(tmp_path / "photos", 8)
    rows = [rows[position] for position in np.random.default_rng(0).permutation(len(rows))]
    write_accepted(tmp_path / "accepted.parquet", rows, tmp_path / "photos")
    return rows


@pytest.fixture(scope="module")
def other_backbone(tmp_path_factory: pytest.TempPathFactory, settings: Params) -> Path:
    """Prepare a base of the same input size, with vectors of its own."""
    folder = tmp_path_factory.mktemp("other") / "backbone"
    prepare_backbone(settings.backbone.model_copy(update={"pooling": "max"}), None, folder)
    return folder


class Run:
    """Extracts in a folder of the test, with a feature store there."""

    def __init__(self, folder: Path, backbone: Path, settings: Params, capsys: pytest.CaptureFixture[str]) -> None:
        """Take the folder with `photos` and `accepted.parquet`."""
        self.folder, self.backbone, self.settings, self._capsys = folder, backbone, settings, capsys
        self.output = ""

    def __call__(self, name: str = "features", augmentation: dict[str, Any] | None = None, **changed: Any) -> pa.Table:
        """Return the features, after a run with these params changed; `output` is what it printed."""
        out = self.folder / f"{name}.parquet"
        section = self.settings.features.model_copy(update={"store": str(self.folder / "store")} | changed)
        views = self.settings.augmentation.model_copy(update=augmentation or {})
        self._capsys.readouterr()
        extract_features(
            self.folder / "photos",
            self.folder / "accepted.parquet",
            self.backbone / "backbone.onnx",
            out,
            section,
            views,
        )
        self.output = self._capsys.readouterr().err
        return pq.read_table(out)

    @property
    def computed(self) -> int:
        """Tell how many vectors the last run computed."""
        pairs = re.findall(r"([\d,]+) vectors wanted, ([\d,]+) in the store", self.output)
        return sum(int(needed.replace(",", "")) - int(stored.replace(",", "")) for needed, stored in pairs)

    def bytes(self, name: str = "features") -> bytes:
        """Return the file that a run wrote."""
        return (self.folder / f"{name}.parquet").read_bytes()

    def aside(self) -> list[list[str]]:
        """Return the rows of set_aside.csv."""
        with (self.folder / "set_aside.csv").open(newline="") as file:
            return list(csv.reader(file))[1:]


@pytest.fixture
def run(
    tmp_path: Path, backbone: Path, settings: Params, rows: list[Accepted], capsys: pytest.CaptureFixture[str]
) -> Run:
    assert rows
    return Run(tmp_path, backbone, settings, capsys)


def vectors(table: pa.Table) -> npt.NDArray[np.float32]:
    return np.stack(list(table["features"].to_numpy(zero_copy_only=False)))


@pytest.mark.parametrize("batch_size", [1, 3, 16, 100])
@pytest.mark.parametrize("threads", [1, 3])
def test_each_vector_is_what_the_whole_graph_gives_for_that_image_alone(
    run: Run, rows: list[Accepted], batch_size: int, threads: int
) -> None:
    whole = Session(onnx.load(run.backbone / "backbone.onnx"), threads=1)
    expected = np.concatenate([whole(read(run.folder / "photos" / row.path)[None]) for row in rows])
    np.testing.assert_array_equal(vectors(run(batch_size=batch_size, threads=threads)), expected)


def test_the_rows_are_those_of_the_manifest_in_its_order(run: Run, rows: list[Accepted]) -> None:
    table = run()
    assert table.column_names == ["path", "label", "split", "view", "features"]
    assert table.schema.field("features").type == pa.list_(pa.float32(), 256)
    assert [tuple(row.values()) for row in table.drop_columns(["view", "features"]).to_pylist()] == [
        (row.path, row.label, row.split) for row in rows
    ]
    assert set(table["view"].to_pylist()) == {0}
    assert run.aside() == []


def test_the_bytes_are_the_same_from_an_empty_a_half_full_and_a_complete_store(run: Run, rows: list[Accepted]) -> None:
    run("empty")
    shutil.rmtree(run.folder / "store")
    accepted = (run.folder / "accepted.parquet").read_bytes()
    write_accepted(run.folder / "accepted.parquet", rows[::2], run.folder / "photos")
    run("half")
    (run.folder / "accepted.parquet").write_bytes(accepted)
    run("full")
    assert run.computed == len(rows) // 2
    run("again")
    assert run.computed == 0
    assert run.bytes("empty") == run.bytes("full") == run.bytes("again")


def test_renaming_and_relabelling_images_computes_nothing(run: Run, rows: list[Accepted]) -> None:
    before = vectors(run())
    photos = run.folder / "photos"
    moved = []
    for number, row in enumerate(rows):
        new = Accepted(f"other/{number}.png", "other", row.split, row.sha256)
        (photos / "other").mkdir(exist_ok=True)
        (photos / row.path).rename(photos / new.path)
        moved.append(new)
    write_accepted(run.folder / "accepted.parquet", moved, photos)
    np.testing.assert_array_equal(vectors(run()), before)
    assert run.computed == 0


def test_between_validation_and_test_images_move_for_nothing_and_to_training_they_are_decoded_in_its_way(
    run: Run, rows: list[Accepted]
) -> None:
    run()
    swapped = {"train": "train", "val": "test", "test": "val"}
    write_accepted(run.folder / "accepted.parquet", [row._replace(split=swapped[row.split]) for row in rows])
    run()
    assert run.computed == 0
    write_accepted(run.folder / "accepted.parquet", [row._replace(split="train") for row in rows])
    run()
    assert run.computed == sum(row.split != "train" for row in rows)


@pytest.fixture
def photographs(run: Run) -> list[Accepted]:
    """Let the images be two photographs, of which one is for training and one for the test; return their rows."""
    rows = list[Accepted]()
    for split in ("train", "test"):
        path = run.folder / "photos" / f"{split}.jpg"
        Image.fromarray(noise(len(rows), 50, 60)).resize((600, 500), Image.Resampling.BICUBIC).save(path)
        rows.append(Accepted(path.name, "any", split, hash_file(path)))
    write_accepted(run.folder / "accepted.parquet", rows)
    return rows


def test_training_photographs_are_decoded_at_a_reduced_scale_and_test_photographs_as_they_are_served(
    run: Run, photographs: list[Accepted]
) -> None:
    whole = Session(onnx.load(run.backbone / "backbone.onnx"), threads=1)
    contents = [(run.folder / "photos" / row.path).read_bytes() for row in photographs]
    exact, reduced = (
        [whole(decode(content, min_side=side).pixels[None])[0] for content in contents] for side in (None, 128)
    )
    np.testing.assert_array_equal(vectors(run()), [reduced[0], exact[1]])
    assert not np.array_equal(reduced[0], exact[0])


@pytest.mark.usefixtures("photographs")
def test_another_backbone_of_the_same_input_size_opens_no_photograph_again(run: Run, other_backbone: Path) -> None:
    first, run.backbone = run.backbone, other_backbone
    run("alone", views=3)
    shutil.rmtree(run.folder / "store")
    run.backbone = first
    run(views=3)
    for path in (run.folder / "photos").glob("*.jpg"):
        path.unlink()
    run.backbone = other_backbone
    run("again", views=3)
    assert run.computed == 4
    assert run.bytes("again") == run.bytes("alone")
    run("openvino", views=3, runtime="openvino")
    assert (run.computed, run.aside()) == (3, [])


def test_only_new_images_are_computed(run: Run, rows: list[Accepted]) -> None:
    run()
    Image.fromarray(noise(999, 30, 30)).save(run.folder / "photos" / "dark" / "new.png")
    more = [*rows, Accepted("dark/new.png", "dark", "train", hash_file(run.folder / "photos" / "dark" / "new.png"))]
    write_accepted(run.folder / "accepted.parquet", more, run.folder / "photos")
    assert len(run()) == len(rows) + 1
    assert run.computed == 1


def test_another_backbone_and_back_computes_nothing_the_second_time(run: Run, other_backbone: Path) -> None:
    first, run_of_first = run(), run.computed
    backbone, run.backbone = run.backbone, other_backbone
    assert not np.array_equal(vectors(run("other")), vectors(first))
    assert run.computed == run_of_first
    run.backbone = backbone
    run("back")
    assert run.computed == 0
    assert run.bytes("back") == run.bytes()


def test_several_depths_come_in_one_pass_and_one_more_finds_the_others_in_the_store(
    run: Run, tmp_path: Path, settings: Params
) -> None:
    top = vectors(run())
    prepare_backbone(settings.backbone, ["conv_pw_5_relu", "conv_pw_13_relu"], tmp_path / "deep")
    run.backbone = tmp_path / "deep"
    both = vectors(run("both"))
    assert both.shape[1] == 64 + 256
    np.testing.assert_array_equal(both[:, -256:], top)
    run("first")
    assert run.computed == 0


def test_training_images_have_further_views_each_a_key_of_its_own_and_the_others_the_plain_one_alone(
    run: Run, rows: list[Accepted]
) -> None:
    plain = {row["path"]: row["features"] for row in run("plain").to_pylist()}
    table = run("views", views=3).to_pylist()
    train = [row.path for row in rows if row.split == "train"]
    assert run.computed == 2 * len(train)
    expected = [(row.path, view) for row in rows for view in range(3 if row.split == "train" else 1)]
    assert [(row["path"], row["view"]) for row in table] == expected
    for row in table:
        assert (row["features"] == plain[row["path"]]) == (row["view"] == 0)
    assert len({tuple(row["features"]) for row in table}) == len(table)
    run("more", views=4)
    assert run.computed == len(train)


def test_other_augmentation_makes_other_views_and_leaves_the_plain_ones_alone(run: Run, rows: list[Accepted]) -> None:
    first = run("first", views=2)
    train = sum(row.split == "train" for row in rows)
    second = run("second", {"seed": 1}, views=2)
    assert run.computed == train
    views = np.array(first["view"].to_pylist())
    same = (vectors(first) == vectors(second)).all(axis=1)
    np.testing.assert_array_equal(same, views == 0)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda path: path.unlink(), "cannot be read: No such file or directory"),
        (lambda path: path.write_bytes(path.read_bytes() + b"!"), "changed since it was scanned"),
    ],
    ids=["vanished", "changed"],
)
def test_an_image_that_vanished_or_changed_since_the_scan_is_set_aside_named_and_counted(
    run: Run, rows: list[Accepted], spoil: Any, reason: str
) -> None:
    spoil(run.folder / "photos" / rows[3].path)
    table = run(views=2)
    assert rows[3].path not in table["path"].to_pylist()
    assert len(set(table["path"].to_pylist())) == len(rows) - 1
    assert run.aside() == [[rows[3].path, reason]]
    assert f"{rows[3].path} is set aside: {reason}" in run.output
    assert ", 1 images set aside" in run.output


def test_a_damaged_segment_is_computed_again(run: Run, rows: list[Accepted]) -> None:
    run()
    for path in (run.folder / "store").rglob("*.safetensors"):
        content = bytearray(path.read_bytes())
        content[len(content) // 3] ^= 1
        path.write_bytes(content)
    run("again")
    assert f"{len(rows)} vectors were lost from the store and are computed again" in run.output
    assert run.bytes("again") == run.bytes()
    run("third")
    assert "are computed again" not in run.output


def test_features_that_do_not_fit_on_the_disk_are_refused_beforehand_with_the_figure(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(GraftError, match="features of 16 vectors take 0.0 GB, but .* has 0.0 GB free. Make room"):
        run()


def test_features_that_are_not_finite_are_refused_with_image_and_tap_named(
    run: Run, rows: list[Accepted], tmp_path: Path
) -> None:
    dark = [row for row in rows if row.label == "dark"]
    Image.new("RGB", (20, 20)).save(tmp_path / "photos" / dark[1].path)
    write_accepted(tmp_path / "accepted.parquet", dark, tmp_path / "photos")
    run.backbone = tmp_path / "divides"
    run.backbone.mkdir()
    graphs.save(reciprocal_of_the_mean(), run.backbone / "backbone.onnx")
    with pytest.raises(GraftError) as caught:
        run()
    assert str(caught.value) == (
        f"the features of {dark[1].path} at 'reciprocal' are not finite (inf). "
        "Take the image out of the dataset, or use other weights."
    )
    assert not (tmp_path / "features.parquet").exists()


def reciprocal_of_the_mean() -> onnx.ModelProto:
    """Return a backbone with two taps: the mean of each channel, and its reciprocal, which black pixels do not have."""
    nodes = [
        helper.make_node("Cast", ["resized"], ["values"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["values", "axes"], ["features/mean"], keepdims=0),
        helper.make_node("Reciprocal", ["features/mean"], ["features/reciprocal"]),
    ]
    names = ["features/mean", "features/reciprocal"]
    graph = helper.make_graph(
        nodes,
        "base",
        [helper.make_tensor_value_info("resized", TensorProto.UINT8, ["N", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3]) for name in names],
        [helper.make_tensor("axes", TensorProto.INT64, [2], [1, 2])],
    )
    opset = helper.make_opsetid("", graphs.OPSET)
    base = helper.make_model(graph, opset_imports=[opset], ir_version=graphs.IR_VERSION)
    model = graphs.concatenate_outputs(graphs.join(resize_graph(Resize(SIZE)), base), "features")
    taps = [
        {"layer": name.partition("/")[2], "tensor": name, "width": 3, "depth": depth}
        for name, depth in zip(names, (0.5, 1.0), strict=True)
    ]
    graphs.set_metadata(model, {"taps": json.dumps(taps), "backbone": json.dumps({"name": "mine"})})
    return model


def test_onnxruntime_computes_in_float32_alone(run: Run) -> None:
    with pytest.raises(GraftError) as caught:
        run(precision="bf16")
    assert str(caught.value) == (
        "features.precision is bf16; onnxruntime is float32. Set features.runtime to openvino."
    )


def test_the_error_for_a_missing_runtime_names_the_command_that_installs_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(name: str) -> str:
        if name == "openvino":
            raise PackageNotFoundError(name)
        return "1"

    monkeypatch.setattr(runtimes, "version", version)
    with pytest.raises(GraftError) as caught:
        run(runtime="openvino")
    assert str(caught.value) == (
        "features.runtime is openvino, which is not installed. Run `pip install 'graft[openvino]'`."
    )


@pytest.mark.parametrize(("precision", "error"), [("float32", 1e-5), ("int8", 0.1)])
def test_another_runtime_is_for_training_images_alone_and_close_to_the_first(
    run: Run, rows: list[Accepted], precision: str, error: float
) -> None:
    expected = vectors(run("first"))
    others = vectors(run("second", runtime="openvino", precision=precision))
    train = np.array([row.split == "train" for row in rows])
    assert run.computed == train.sum()
    np.testing.assert_array_equal(others[~train], expected[~train])
    assert 0 < np.abs(others - expected).max() < error * np.abs(expected).max()


def process(folder: Path, backbone: Path, out: str) -> subprocess.Popen[str]:
    shutil.copy(ROOT / "params.yaml", folder)
    command = [sys.executable, "-c", RUN, str(backbone / "backbone.onnx"), out]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)


def segments(folder: Path) -> int:
    return len(list((folder / "store").rglob("*.safetensors")))


def test_a_run_killed_at_any_instant_loses_at_most_a_segment_and_the_next_one_writes_the_same_bytes(
    run: Run, rows: list[Accepted]
) -> None:
    undisturbed = vectors(run("undisturbed"))
    shutil.rmtree(run.folder / "store")
    random = np.random.default_rng(5)
    for killed_after in random.integers(0, 3, 4).tolist():
        shutil.rmtree(run.folder / "store", ignore_errors=True)
        killed = process(run.folder, run.backbone, "killed.parquet")
        while killed.poll() is None and segments(run.folder) < killed_after:
            pass
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        assert segments(run.folder) >= killed_after
        stored = sum(row.entries for row in usage(Store(run.folder / "store")))
        np.testing.assert_array_equal(vectors(run("after")), undisturbed)
        assert run.computed == len(rows) - stored
        assert run.bytes("after") == run.bytes("undisturbed")


def test_two_runs_that_fill_one_store_are_both_right(run: Run) -> None:
    runs = [process(run.folder, run.backbone, f"{name}.parquet") for name in ("one", "two")]
    assert [process.communicate()[1] and process.returncode for process in runs] == [0, 0]
    run("alone")
    assert run.computed == 0
    assert run.bytes("one") == run.bytes("two") == run.bytes("alone")
