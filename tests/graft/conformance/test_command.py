import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from graft.conformance.command import NODE, main
from tasks.common.errors import GraftError
from tests.graft.conformance.exports import write_export, write_pictures

BOTH = ("model.onnx", "model.fixed.onnx")


class Run:
    """A run of the command with every runtime: its object, its page, and its words on standard error."""

    def __init__(self, text: str, page: str, errors: str) -> None:
        """Read the object."""
        self.facts: dict[str, Any] = json.loads(text)
        self.rows = {(row["runtime"], row["variant"]): row for row in self.facts["rows"]}
        self.page = page
        self.errors = errors


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with an export, pictures, and a file that is no picture."""
    folder = tmp_path_factory.mktemp("conformance")
    write_export(folder / "export")
    write_pictures(folder / "pictures")
    (folder / "pictures" / "broken.png").write_text("broken")
    return folder


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    page = folder / "page.md"
    page.write_text("before\n<!-- conformance: begin -->\nold\n<!-- conformance: end -->\nafter\n")
    with pytest.MonkeyPatch.context() as patch, (folder / "out").open("w+") as out, (folder / "err").open("w+") as err:
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        main(["--model", str(folder / "export"), "--json", "--markdown", str(page), str(folder / "pictures")])
    return Run((folder / "out").read_text(), page.read_text(), (folder / "err").read_text())


@pytest.mark.parametrize("variant", BOTH)
@pytest.mark.parametrize("runtime", ["ONNX Runtime for Node.js", "ONNX Runtime Web (wasm)"])
def test_onnx_runtime_for_javascript_is_fit_for_every_file(run: Run, runtime: str, variant: str) -> None:
    row = run.rows[runtime, variant]
    assert (row["verdict"], row["images"], row["agreeing"]) == ("fit", 4, 4)
    assert row["difference"] < 1e-6


@pytest.mark.parametrize(
    ("runtime", "variant"),
    [
        ("OpenVINO in float32", "model.fixed.onnx"),
        ("OpenCV DNN", "model.fixed.onnx"),
        ("ONNX reference evaluator", "model.fixed.onnx"),
        ("LiteRT", "model.tflite"),
    ],
)
def test_other_runtimes_are_fit_for_the_file_that_starts_at_resized_pixels(
    run: Run, runtime: str, variant: str
) -> None:
    row = run.rows[runtime, variant]
    assert (row["verdict"], row["images"], row["agreeing"]) == ("fit", 4, 4)
    assert row["difference"] < 1e-6


def test_opencv_resizes_only_the_width_so_it_is_not_to_be_used_with_the_file_that_resizes(run: Run) -> None:
    row = run.rows["OpenCV DNN", "model.onnx"]
    assert (row["verdict"], row["advice"]) == ("do not use", "model.fixed.onnx")
    assert row["agreeing"] <= 1
    assert row["difference"] > 0.5


def test_the_reference_has_a_row_for_each_onnx_file(run: Run) -> None:
    rows = [run.rows["ONNX Runtime", variant] for variant in BOTH]
    assert [(row["verdict"], row["difference"], row["agreeing"]) for row in rows] == [("reference", 0, 4)] * 2


def test_every_row_with_an_answer_has_a_latency_and_a_version(run: Run) -> None:
    assert all(row["milliseconds"] > 0 and row["version"] for row in run.rows.values())
    assert run.facts["images"] == 4


def test_an_image_that_cannot_be_read_is_left_out_with_its_reason(run: Run, folder: Path) -> None:
    assert run.errors.startswith(f"graft conformance: {folder / 'pictures' / 'broken.png'} is left out: not an image")


def test_the_page_keeps_its_text_and_has_the_new_table(run: Run) -> None:
    assert run.page.startswith("before\n<!-- conformance: begin -->\nMeasured ")
    assert run.page.endswith("\n<!-- conformance: end -->\nafter\n")
    assert "\nold\n" not in run.page
    assert "| LiteRT | 2" in run.page
    assert "| do not use: take model.fixed.onnx |" in run.page


def test_what_is_not_installed_is_listed_with_the_command_that_installs_it(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "graft.conformance.command.RUNTIMES", _some("ONNX Runtime", "ONNX Runtime Web (wasm)", "LiteRT")
    )
    model = folder / "export" / "model.fixed.onnx"
    main(["--model", str(model), "--node", str(folder / "none"), "--limit", "2", str(folder / "pictures" / "red.png")])
    output, errors = capsys.readouterr()
    lines = output.splitlines()
    assert [line.split() for line in lines[:6]] == [
        ["runtime", "version", "file", "same", "class", "largest", "difference", "ms/image", "verdict"],
        ["ONNX", "Runtime", lines[1].split()[2], "model.onnx", "1", "of", "1", "0.0e+00", *lines[1].split()[-2:]],
        ["ONNX", "Runtime", lines[2].split()[2], "model.fixed.onnx", "1", "of", "1", "0.0e+00", *lines[2].split()[-2:]],
        ["ONNX", "Runtime", "Web", "(wasm)", "not", "installed"],
        ["LiteRT", lines[4].split()[1], "no", "file"],
        [],
    ]
    assert lines[6] == (
        f"ONNX Runtime Web (wasm) is not installed: npm install --ignore-scripts --prefix {folder / 'none'} "
        "onnxruntime-web."
    )
    assert lines[7] == "LiteRT has no file to read: name the variant litert in export.variants."
    assert lines[8].endswith(", one thread, 1 image. The verdict allows differences up to 0.005.")
    assert errors.endswith(
        "graft conformance: ONNX Runtime names one class for all images, which proves little. Give more classes.\n"
    )


def _some(*names: str) -> tuple[Any, ...]:
    from graft.conformance.runtimes.registry import RUNTIMES

    return tuple(runtime for runtime in RUNTIMES if runtime.name in names)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        pytest.param(
            "artifacts/export",
            "artifacts/export is missing. Give the folder that `graft train` exported, or a model file, with --model.",
            id="nothing exported",
        ),
        pytest.param(
            "pictures",
            "pictures/model.onnx is missing: it has the resize that images need. Give the folder that `graft train` "
            "exported, or a model file in it, with --model.",
            id="folder without a model",
        ),
        pytest.param(
            "alone.tflite",
            "model.onnx is missing: it has the resize that images need. Give the folder that `graft train` exported, "
            "or a model file in it, with --model.",
            id="variant without its model",
        ),
    ],
)
def test_a_model_that_cannot_be_used_ends_in_one_line(
    folder: Path, model: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    shutil.copy("export/model.tflite", "alone.tflite")
    with pytest.raises(GraftError) as raised:
        main(["--model", model, "pictures/red.png"])
    assert str(raised.value) == message


def test_a_page_without_a_place_for_the_table_is_not_touched(folder: Path) -> None:
    page = folder / "other.md"
    page.write_text("# My page\n")
    with pytest.raises(GraftError) as raised:
        main(["--model", str(folder / "export"), "--markdown", str(page), str(folder / "pictures")])
    assert str(raised.value) == (
        f"{page} exists without the lines '<!-- conformance: begin -->' and '<!-- conformance: end -->', between which "
        "the table belongs. Add them, or give another file."
    )
    assert page.read_text() == "# My page\n"


def test_a_page_that_is_no_text_or_no_file_is_not_touched(folder: Path) -> None:
    (folder / "bytes.md").write_bytes(b"\xff\xfe")
    os.mkfifo(folder / "pipe.md")
    for name, found in {
        "bytes.md": "exists and is no text in UTF-8. Give a page in Markdown, or another file.",
        "pipe.md": "is a device or a pipe, which a file must not replace. Give the path of a file.",
    }.items():
        with pytest.raises(GraftError) as raised:
            main(["--model", str(folder / "export"), "--markdown", str(folder / name), str(folder / "pictures")])
        assert str(raised.value) == f"{folder / name} {found}"
    assert (folder / "bytes.md").read_bytes() == b"\xff\xfe"
    assert (folder / "pipe.md").is_fifo()


def test_without_any_readable_image_the_command_ends_in_one_line(folder: Path) -> None:
    with pytest.raises(GraftError) as raised:
        main(["--model", str(folder / "export"), str(folder / "pictures" / "broken.png")])
    assert str(raised.value) == "none of the images can be read. Give images that `graft predict` reads."


def test_javascript_packages_are_looked_for_beside_the_python_environment() -> None:
    assert Path(sys.prefix) / "node" == NODE
