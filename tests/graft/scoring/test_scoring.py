import csv
import json
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image
from pyarrow import fs

from graft.scoring import scorer
from graft.scoring.command import main
from graft.scoring.results import Results
from tasks.common.errors import DownloadError, GraftError
from tests.graft.models import write_colour_model
from tests.tasks.store.conftest import S3Server

# Red, green and blue are known. `mixed` is red with a probability of 0.68, and `grey` unknown.
COLOURS = {"red": (200, 0, 0), "green": (0, 200, 0), "mixed": (140, 120, 10), "grey": (90, 90, 90)}


def write(path: Path, colour: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 10), COLOURS[colour]).save(path)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change into a folder with a model and images, one of which is damaged."""
    write_colour_model(tmp_path / "model.onnx")
    write(tmp_path / "in" / "a.png", "red")
    write(tmp_path / "in" / "sub" / "b.png", "mixed")
    write(tmp_path / "in" / "c.png", "grey")
    (tmp_path / "in" / "d.jpg").write_text("text")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def score(images: str = "in", *options: str) -> None:
    main(["--model", "model.onnx", *options, images])


def rows() -> list[dict[str, Any]]:
    return [row for part in sorted(Path("scores/predictions").iterdir()) for row in pq.read_table(part).to_pylist()]


def review() -> list[dict[str, str]]:
    with Path("scores/review.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_image_is_scored_and_those_for_review_are_listed_with_the_reason(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    score()
    table = pq.read_table("scores/predictions")
    assert json.loads((table.schema.metadata or {})[b"classes"]) == ["red", "green", "blue"]
    assert table.column_names == [
        *("path", "class", "probability", "known", "is_known", "probabilities", "error", "bytes", "modified", "model")
    ]
    assert [(row["path"], row["class"], row["is_known"]) for row in table.to_pylist()] == [
        ("in/a.png", "red", True),
        ("in/c.png", "red", False),
        ("in/d.jpg", None, None),
        ("in/sub/b.png", "red", True),
    ]
    assert table["bytes"].to_pylist()[0] == (folder / "in" / "a.png").stat().st_size
    assert [(row["path"], row["reason"], row["class"], row["part"]) for row in review()] == [
        ("in/c.png", "unknown", "red", "part-000001"),
        ("in/d.jpg", "unreadable", "", "part-000001"),
        ("in/sub/b.png", "uncertain", "red", "part-000001"),
    ]
    assert json.loads(Path("scores/summary.json").read_text()) == {
        "location": "in",
        "images": 4,
        "scored_before": 0,
        "new": 4,
        "unknown": 1,
        "uncertain": 1,
        "unreadable": 1,
        "classes": {"red": 2},
        "for_review": 3,
    }
    assert capsys.readouterr().err.splitlines()[1:] == [
        "graft score: 4 new images of 4, 1 unknown to the model, 1 uncertain and 1 that could not be read",
        "graft score: for review: 3 images, scores/review.csv",
    ]


def test_a_second_run_scores_nothing_and_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    score()
    before = {path: path.read_bytes() for path in (folder / "scores" / "predictions").iterdir()}
    capsys.readouterr()
    score()
    assert capsys.readouterr().err.splitlines() == [
        "graft score: nothing new: 4 images of in scored before",
        "graft score: for review: 3 images, scores/review.csv",
    ]
    assert {path: path.read_bytes() for path in (folder / "scores" / "predictions").iterdir()} == before


def test_new_and_changed_images_are_scored_and_the_newest_result_of_an_image_counts(folder: Path) -> None:
    score()
    write(folder / "in" / "c.png", "green")
    write(folder / "in" / "e.png", "mixed")
    os.utime(folder / "in" / "a.png", ns=(1, 1))
    score()
    assert [row["path"] for row in rows()][4:] == ["in/a.png", "in/c.png", "in/e.png"]
    assert [(row["path"], row["part"]) for row in review()] == [
        ("in/e.png", "part-000002"),
        ("in/d.jpg", "part-000001"),
        ("in/sub/b.png", "part-000001"),
    ]


def test_an_image_that_was_moved_away_is_no_longer_for_review_and_those_of_other_folders_stay(folder: Path) -> None:
    write(folder / "other" / "x.png", "grey")
    score()
    score("other")
    (folder / "in" / "c.png").rename(folder / "c.png")
    score()
    assert [row["path"] for row in review()] == ["other/x.png", "in/d.jpg", "in/sub/b.png"]


def test_the_probability_below_which_an_image_is_uncertain_may_change_from_run_to_run(folder: Path) -> None:
    assert folder.exists()
    score()
    score("in", "--uncertain-below", "0.5")
    assert [row["reason"] for row in review()] == ["unknown", "unreadable"]


def test_an_interrupted_run_keeps_its_whole_parts_and_the_next_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scorer, "IMAGES_IN_A_PART", 2)
    write_parquet, written = Results.append, list[Path]()

    def fail_at_the_second(results: Results, *arguments: Any) -> None:
        if written:
            raise KeyboardInterrupt
        write_parquet(results, *arguments)
        written.append(results.folder)

    with monkeypatch.context() as patch:
        patch.setattr(Results, "append", fail_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            score()
    assert [path.name for path in (folder / "scores" / "predictions").iterdir()] == ["part-000001.parquet"]
    score()
    assert [row["path"] for row in rows()] == ["in/a.png", "in/c.png", "in/d.jpg", "in/sub/b.png"]


def test_a_run_waits_for_another_that_writes_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = Results(folder / "scores")
    with results.lock():
        thread = threading.Thread(target=score)
        thread.start()
        while not (text := capsys.readouterr().err):
            thread.join(0.01)
        assert text == "graft score: another run is writing to scores; waiting for its end\n"
        assert not (folder / "scores" / "predictions").exists()
    thread.join()
    assert len(rows()) == 4


def test_hostile_names_links_and_pipes_do_no_harm(folder: Path) -> None:
    for path in (folder / "in").rglob("*.*"):
        path.unlink()
    write(folder / "in" / '=1+1,"a"\nb.png', "grey")
    (folder / "in" / "broken.png").symlink_to("nowhere")
    os.mkfifo(folder / "in" / "pipe.png")
    name = os.fsencode(folder / "in") + b"/\xff.png"
    Path(os.fsdecode(name)).write_bytes((folder / "in" / '=1+1,"a"\nb.png').read_bytes())
    score()
    score()
    assert [(row["path"], row["error"]) for row in rows()] == [
        ('in/=1+1,"a"\nb.png', None),
        ("in/broken.png", "cannot be read: No such file or directory"),
        (r"in/\udcff.png", None),
    ]
    assert [row["path"] for row in review()] == ['in/=1+1,"a"\nb.png', "in/broken.png", r"in/\udcff.png"]


def test_an_empty_folder_is_no_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "empty").mkdir()
    score("empty")
    assert capsys.readouterr().err == "graft score: there are no images in empty\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["missing"],
            "missing does not exist. Expected a folder of images, or an address, s3://bucket/folder.",
        ),
        (
            ["model.onnx"],
            "model.onnx is no folder. Expected a folder of images, or an address, s3://bucket/folder.",
        ),
        ([""], "an empty name is no folder. Expected a folder of images, or an address, s3://bucket/folder."),
        (
            ["--results", "model.onnx", "in"],
            "model.onnx is not a folder, so nothing can be written there. Give another path.",
        ),
        (["--model", "x.onnx", "in"], "x.onnx is missing. Give the file that `graft train` exported with --model."),
        (
            ["ftp://key:secret@host/a"],
            (
                "ftp://host/a is no address of images: Unrecognized filesystem type in URI: ftp://host/a. Expected a "
                "folder, or s3://bucket/folder."
            ),
        ),
    ],
    ids=["no folder", "a file", "empty name", "results in a file", "no model", "no bucket"],
)
@pytest.mark.usefixtures("folder")
def test_what_cannot_be_used_is_named_in_one_line(options: list[str], message: str) -> None:
    with pytest.raises(GraftError) as caught:
        main(["--model", "model.onnx", *options])
    assert str(caught.value) == message


@pytest.mark.parametrize("content", [b"", b"PAR1 text PAR1"], ids=["empty", "damaged"])
def test_a_damaged_part_is_named(folder: Path, content: bytes) -> None:
    score()
    (folder / "scores" / "predictions" / "part-000002.parquet").write_bytes(content)
    with pytest.raises(GraftError) as caught:
        score()
    assert str(caught.value) == (
        "scores/predictions/part-000002.parquet is no part of the results of `graft score`, or is damaged. Move it "
        "away; its images are then scored again."
    )


@pytest.fixture
def bucket(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[S3Server, str]]:
    """Serve the images in a bucket; give the server and the address of their folder."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }.items():
        monkeypatch.setenv(name, value)
    server = S3Server()
    files = fs.FileSystem.from_uri(f"s3://photos{server.options}&allow_bucket_creation=true")[0]
    files.create_dir("photos")
    fs.copy_files(str(folder / "in"), "photos/in", destination_filesystem=files)
    files.create_dir("photos/in/empty.png")
    with files.open_output_stream("photos/in/.hidden/x.png") as stream:
        stream.write(b"")
    yield server, f"s3://photos/in{server.options}"
    server.stop()


def test_a_bucket_is_scored_as_a_folder_is(bucket: tuple[S3Server, str], capsys: pytest.CaptureFixture[str]) -> None:
    server, address = bucket
    score(address)
    assert [(row["path"], row["class"], row["is_known"]) for row in rows()] == [
        ("s3://photos/in/a.png", "red", True),
        ("s3://photos/in/c.png", "red", False),
        ("s3://photos/in/d.jpg", None, None),
        ("s3://photos/in/sub/b.png", "red", True),
    ]
    score(address)
    assert capsys.readouterr().err.splitlines()[-2:] == [
        "graft score: nothing new: 4 images of s3://photos/in scored before",
        "graft score: for review: 3 images, scores/review.csv",
    ]
    score(address.replace("photos/in", "photos/out"))
    assert capsys.readouterr().err.startswith("graft score: there are no images in s3://photos/out\n")
    with pytest.raises(GraftError) as caught:
        score(address.replace("photos/in", "others/in"))
    assert str(caught.value) == "there is no bucket for s3://others/in. Create it, or give another address."
    server.denied = re.compile("GET /photos/in/a.png")
    with pytest.raises(DownloadError, match=r"^s3://photos/in/a\.png cannot be read: .*\. Check the address, "):
        score(address, "--results", "others")
    assert list(Path("others/predictions").iterdir()) == []
    server.denied = re.compile("GET .*")
    with pytest.raises(DownloadError, match=r"^s3://photos/in cannot be listed: .*\. Check the address, "):
        score(address)
