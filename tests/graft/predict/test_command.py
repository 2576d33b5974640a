import csv
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from graft.predict.command import main
from tasks.common.errors import GraftError
from tests.graft.models import write_colour_model

BAD = "not an image in a known format (JPEG, PNG, WEBP, BMP, GIF, TIFF, AVIF, HEIC, JPEG 2000, PPM, TGA)"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the working folder: a model, pictures in a folder and in an archive, a broken one and other files."""
    monkeypatch.chdir(tmp_path)
    write_colour_model(tmp_path / "model.onnx")
    (tmp_path / "photos" / "inner").mkdir(parents=True)
    (tmp_path / "photos" / ".hidden").mkdir()
    for name, colour in {"a.png": (200, 0, 0), "inner/b.jpg": (0, 0, 200), ".hidden/c.png": (0, 200, 0)}.items():
        Image.new("RGB", (12, 8), colour).save(tmp_path / "photos" / name)
    (tmp_path / "photos" / "notes.txt").write_text("not a picture")
    Image.new("RGB", (4, 4), (100, 100, 100)).save("grey.png")
    Path("broken.jpg").write_text("broken")
    with zipfile.ZipFile("more.zip", "w") as archive:
        archive.write("photos/a.png", "set/a.png")
        archive.write("broken.jpg", "set/broken.jpg")
        archive.write("photos/notes.txt", "set/notes.txt")
        archive.write("photos/a.png", "__MACOSX/._a.png")
    return tmp_path


def run(*arguments: str) -> int:
    """Run the command in this process and return its exit code."""
    try:
        main(["--model", "model.onnx", *arguments])
    except SystemExit as ending:
        return int(ending.code or 0)
    return 0


@pytest.mark.usefixtures("folder")
def test_a_table_names_the_class_or_unknown_or_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("photos", "grey.png", "broken.jpg") == 1
    output, errors = capsys.readouterr()
    assert output.splitlines() == [
        "photos/a.png        red 99.9%",
        "photos/inner/b.jpg  blue 99.9%",
        "grey.png            unknown (red 33.3%)",
        f"broken.jpg          error: {BAD}",
    ]
    assert errors == "graft predict: 4 images, 1 unknown to the model and 1 that could not be read\n"


@pytest.mark.usefixtures("folder")
def test_patterns_and_archives_are_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--csv", "--top", "2", "more.zip", "photos/**/*.jpg") == 1
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [(row["path"], row["class"], row["class_2"], row["is_known"], row["error"]) for row in rows] == [
        ("more.zip/set/a.png", "red", "green", "true", ""),
        ("more.zip/set/broken.jpg", "", "", "", BAD),
        ("photos/inner/b.jpg", "blue", "red", "true", ""),
    ]


@pytest.mark.parametrize("between", ["\n", "\r\n", "\0"], ids=["lines", "lines of Windows", "NUL"])
def test_names_come_from_standard_input_and_json_has_an_object_a_line(folder: Path, between: str) -> None:
    command = [sys.executable, "-m", "graft", "predict", "--model", "model.onnx", "--json", "-"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    (folder / "grey.png").rename(folder / "grey\u2028\v.png")
    result = subprocess.run(
        command,
        input=f"grey\u2028\v.png{between}{between}photos{between}",
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=environment,
    )
    rows = [json.loads(line) for line in result.stdout.strip().split("\n")]
    assert [(row["path"], row["class"], row["is_known"]) for row in rows] == [
        ("grey\u2028\v.png", "red", False),
        ("photos/a.png", "red", True),
        ("photos/inner/b.jpg", "blue", True),
    ]
    assert (result.returncode, result.stderr) == (0, "graft predict: 3 images, 1 unknown to the model\n")


@pytest.mark.usefixtures("folder")
def test_parquet_has_all_probabilities_and_the_classes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--parquet", "--out", "out/p.parquet", "photos", "broken.jpg") == 1
    table = pq.read_table("out/p.parquet")
    assert table.column_names == ["path", "class", "probability", "known", "is_known", "probabilities", "error"]
    assert table["class"].to_pylist() == ["red", "blue", None]
    assert [None if row is None else len(row) for row in table["probabilities"].to_pylist()] == [3, 3, None]
    assert json.loads(table.schema.metadata[b"classes"]) == ["red", "green", "blue"]
    assert "3 images, 1 that could not be read, written to out/p.parquet" in capsys.readouterr().err


@pytest.mark.usefixtures("folder")
def test_names_with_control_characters_are_escaped_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    name = "\x1b[31mred\n.png"
    Image.new("RGB", (4, 4), (200, 0, 0)).save(name)
    Path("grey.png").rename(os.fsdecode(b"\xff.png"))
    assert run(name, os.fsdecode(b"\xff.png")) == 0
    assert capsys.readouterr().out.splitlines() == [
        "\\x1b[31mred\\n.png  red 99.9%",
        "\\udcff.png         unknown (red 33.3%)",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(
            ["--csv", "--out", "grey.png", "photos"], "grey.png exists. Give another --out", id="output exists"
        ),
        pytest.param(
            ["--parquet", "photos"], "--parquet writes a file, not text. Give its path with --out.", id="no out"
        ),
        pytest.param(["photos/.hidden/no*.png"], "no file matches 'photos/.hidden/no*.png'.", id="no match"),
        pytest.param(["out"], "there are no images to predict. Give image files", id="empty folder"),
        pytest.param([""], "a name of images is empty. Expected a file, a folder, an archive", id="empty name"),
        pytest.param(["no.zip"], "no.zip is no complete zip or tar archive.", id="no archive"),
    ],
)
def test_bad_input_ends_in_one_line(folder: Path, arguments: list[str], message: str) -> None:
    (folder / "out").mkdir()
    (folder / "no.zip").write_text("no archive")
    with pytest.raises(GraftError) as caught:
        main(["--model", "model.onnx", *arguments])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_model_of_the_repository_is_the_default(folder: Path) -> None:
    with pytest.raises(GraftError, match=r"^artifacts/export/model.onnx is missing. Give the file that `graft train`"):
        main(["grey.png"])
    write_colour_model(folder / "artifacts" / "export" / "model.onnx")
    main(["grey.png"])
    main(["--csv", "--out", "grey.png", "--force", "photos"])
    assert Path("grey.png").read_text().startswith("path,class,")


@pytest.mark.parametrize(
    ("name", "kind"),
    [("pipe", "a device or a pipe"), ("link", "a device or a pipe"), ("photos", "a folder")],
    ids=["pipe", "link to a pipe", "folder"],
)
def test_a_pipe_and_a_folder_are_never_replaced(folder: Path, name: str, kind: str) -> None:
    os.mkfifo("pipe")
    Path("link").symlink_to("pipe")
    with pytest.raises(GraftError) as caught:
        run("--csv", "--force", "--out", name, "grey.png")
    assert str(caught.value) == f"{name} is {kind}, which a file must not replace. Give the path of a file."
    assert (folder / "pipe").is_fifo()
    assert (folder / "link").is_symlink()


@pytest.mark.usefixtures("folder")
def test_a_link_as_output_stays_a_link() -> None:
    Path("old.csv").write_text("old")
    Path("link.csv").symlink_to("old.csv")
    run("--csv", "--force", "--out", "link.csv", "grey.png")
    assert Path("link.csv").is_symlink()
    assert Path("old.csv").read_text().startswith("path,class,")


@pytest.mark.usefixtures("folder")
def test_a_pipe_that_nobody_writes_to_and_a_huge_file_have_their_reason_in_their_row(
    capsys: pytest.CaptureFixture[str],
) -> None:
    os.mkfifo("photos/pipe.png")
    with Path("photos/sparse.png").open("wb") as file:
        file.truncate(2**31)
    assert run("photos") == 1
    assert capsys.readouterr().out.splitlines()[1:3] == [
        "photos/pipe.png     error: the file is empty",
        "photos/sparse.png   error: has more than 1,073,741,824 bytes",
    ]


@pytest.mark.usefixtures("folder")
def test_an_image_may_come_through_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb") as file:
        file.write(Path("grey.png").read_bytes())
    assert run("--json", f"/dev/fd/{reader}") == 0
    os.close(reader)
    assert json.loads(capsys.readouterr().out)["class"] == "red"


def test_a_folder_that_cannot_be_listed_has_its_reason_in_its_row(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # A path of more than 4,096 characters can be made step by step, but not listed.
    monkeypatch.chdir(folder / "photos")
    for _ in range(17):
        Path("z" * 250).mkdir()
        os.chdir("z" * 250)
    os.chdir(folder)
    assert run("--csv", "photos") == 1
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [(row["path"][:20], row["error"]) for row in rows] == [
        ("photos/a.png", ""),
        ("photos/inner/b.jpg", ""),
        ("photos/zzzzzzzzzzzzz", "cannot be read: File name too long"),
    ]
