from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tasks.common.params import Dataset, Params
from tasks.dataset.scan import IMAGE_SUFFIXES
from tasks.dataset.stage import scan_dataset
from tasks.images import decoding
from tasks.tables import manifest
from tests.tasks.conftest import ROOT, noise

CORRECTIONS = ROOT / "data" / "corrections.csv"
FORMATS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "bmp": "BMP", "gif": "GIF", "tiff": "TIFF"}


def encode(pixels: npt.NDArray[np.uint8], encoding: str) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, encoding)
    return buffer.getvalue()


OTHER = "not an image by name or content"
BAD = {
    "empty.png": (b"", "empty", "the file is empty"),
    "page.jpg": (b"<html></html>", "unknown_format", "not an image in a known format"),
    "phone.HEIC": (b"\0\0\0\x18ftypheic" + bytes(99), "unknown_format", "not an image in a known format"),
    "photo.nef": (b"raw", "unknown_format", "not an image in a known format"),
    "cut": (encode(noise(0, 30, 40), "PNG")[:1000], "damaged", "damaged: "),
    "notes.txt": (b"no image", "other_file", OTHER),
    "page.svg": (b"<svg></svg>", "other_file", OTHER),
    "box.xml": (b"<annotation/>", "other_file", OTHER),
    "sound.ogg": (b"OggS\0\2", "other_file", OTHER),
    "empty.txt": (b"", "other_file", OTHER),
    "ehthumbs.db": (bytes(8), "other_file", OTHER),
    "Icon\r": (b"", "other_file", OTHER),
}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Write two classes, each with one image of every format."""
    for class_index, label in enumerate(("ä b", "b")):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number, ending in enumerate(FORMATS):
            Image.fromarray(noise(10 * class_index + number, 30, 40)).save(tmp_path / "photos" / label / f"x.{ending}")
    return tmp_path / "photos"


def scan(photos: Path, params: Dataset) -> dict[str, dict[str, Any]]:
    out = photos.parent / "manifest.parquet"
    scan_dataset(photos, CORRECTIONS, out, params)
    table = pq.read_table(out)
    assert table.schema.equals(manifest.SCHEMA)
    return {row["path"]: row for row in table.to_pylist()}


def test_every_format_is_scanned_with_its_size_and_placed_in_a_split(photos: Path, settings: Params) -> None:
    rows = scan(photos, settings.dataset)
    assert list(rows) == sorted(f"{label}/x.{ending}" for label in ("b", "ä b") for ending in FORMATS)
    for path, row in rows.items():
        assert (row["format"], row["width"], row["height"]) == (FORMATS[path.rsplit(".", 1)[1]], 40, 30)
        assert row["bytes"] == (photos / path).stat().st_size
        assert (row["kind"], row["reason"]) == (None, None)
        assert row["label"] == path.split("/", maxsplit=1)[0]
    for label in ("b", "ä b"):
        assert {row["split"] for row in rows.values() if row["label"] == label} == {"train", "val", "test"}


def test_the_format_is_that_of_the_content_and_not_of_the_name(photos: Path, settings: Params) -> None:
    (photos / "b" / "x.bmp").write_bytes((photos / "b" / "x.png").read_bytes())
    rows = scan(photos, settings.dataset)
    assert rows["b/x.bmp"]["format"] == "PNG"
    assert rows["b/x.bmp"]["sha256"] == rows["b/x.png"]["sha256"]
    assert rows["b/x.bmp"]["split"] == rows["b/x.png"]["split"]


@pytest.mark.parametrize("name", ["photo.txt", "photo", "photo.jpg.bak"])
def test_a_picture_is_used_whatever_its_suffix(photos: Path, settings: Params, name: str) -> None:
    Image.fromarray(noise(99, 30, 40)).save(photos / "b" / name, format="PNG")
    row = scan(photos, settings.dataset)[f"b/{name}"]
    assert (row["kind"], row["format"]) == (None, "PNG")


def test_every_suffix_of_a_known_format_is_that_of_a_picture() -> None:
    known = {suffix for suffix, encoding in Image.registered_extensions().items() if encoding in decoding.FORMATS}
    assert known <= IMAGE_SUFFIXES


@pytest.mark.parametrize(
    ("name", "kind"), [("labels.csv", "other_file"), ("loose.png", "no_class")], ids=["other file", "picture"]
)
def test_a_file_in_no_class_folder_counts_only_if_it_is_meant_to_be_a_picture(
    photos: Path, settings: Params, name: str, kind: str
) -> None:
    (photos / name).write_text("path,label")
    assert scan(photos, settings.dataset)[name]["kind"] == kind


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_is_no_image_keeps_its_row_with_kind_and_reason(photos: Path, settings: Params, name: str) -> None:
    content, kind, reason = BAD[name]
    (photos / "b" / name).write_bytes(content)
    row = scan(photos, settings.dataset)[f"b/{name}"]
    assert row["kind"] == kind
    assert row["reason"].startswith(reason)
    assert row["bytes"] == len(content)
    assert [row[column] for column in ("split", "phash", "group", "format", "width", "height")] == [None] * 6


def test_bad_files_change_nothing_for_the_good_ones(photos: Path, settings: Params) -> None:
    before = scan(photos, settings.dataset)
    for name, (content, *_) in BAD.items():
        (photos / "b" / name).write_bytes(content)
    png = (photos / "b" / "x.png").read_bytes()
    (photos / "ä b" / "cut.png").write_bytes(png[: len(png) // 2])
    (photos / "b" / "broken.jpg").symlink_to(photos / "nowhere.jpg")
    after = scan(photos, settings.dataset)
    assert {path: row for path, row in after.items() if row["reason"] is None} == before
    assert after["ä b/cut.png"]["kind"] == "damaged"
    assert after["ä b/cut.png"]["reason"].startswith("damaged: ")
    assert after["b/broken.jpg"]["kind"] == "unreadable"
    assert after["b/broken.jpg"]["reason"] == "cannot be read: No such file or directory"


def test_a_dataset_without_a_usable_image_still_has_a_row_for_each_file(tmp_path: Path, settings: Params) -> None:
    for label in ("a", "b"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        (tmp_path / "photos" / label / "empty.png").touch()
    rows = scan(tmp_path / "photos", settings.dataset)
    assert [row["reason"] for row in rows.values()] == ["the file is empty"] * 2


@pytest.mark.parametrize(("orientation", "size"), [(1, (40, 30)), (3, (40, 30)), (6, (30, 40)), (8, (30, 40))])
def test_width_and_height_are_those_after_the_exif_orientation(
    photos: Path, settings: Params, orientation: int, size: tuple[int, int]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(noise(99, 30, 40)).save(photos / "b" / "turned.jpg", exif=exif)
    row = scan(photos, settings.dataset)["b/turned.jpg"]
    assert (row["width"], row["height"]) == size


def test_an_image_of_too_many_pixels_is_set_aside(photos: Path, settings: Params) -> None:
    Image.new("RGB", (200, 100)).save(photos / "b" / "large.png")
    params = settings.dataset.model_copy(update={"max_megapixels": 0.01})
    row = scan(photos, params)["b/large.png"]
    assert (row["kind"], row["reason"]) == ("too_large", "200x100 pixels are more than 0.01 megapixels")


def test_near_duplicates_share_a_group_and_a_split(photos: Path, settings: Params) -> None:
    blocks = noise(0, 8, 8) // 2 + 60
    smooth = np.asarray(Image.fromarray(blocks).resize((64, 64), Image.Resampling.BICUBIC))
    for number, ending in enumerate(("png", "jpg", "bmp")):
        Image.fromarray(smooth + np.uint8(number)).save(photos / "b" / f"smooth.{ending}")
    rows = scan(photos, settings.dataset)
    same = [rows[f"b/smooth.{ending}"] for ending in ("png", "jpg", "bmp")]
    assert len({row["sha256"] for row in same}) == 3
    assert len({row["group"] for row in same}) == len({row["split"] for row in same}) == 1


def test_the_same_images_give_the_same_manifest_byte_for_byte(photos: Path, settings: Params, tmp_path: Path) -> None:
    for name in ("first", "second"):
        scan_dataset(photos, CORRECTIONS, tmp_path / name, settings.dataset)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_the_last_line_of_progress_counts_the_files_that_cannot_be_used(
    photos: Path, settings: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "b" / "empty.png").touch()
    scan_dataset(photos, CORRECTIONS, photos.parent / "manifest.parquet", settings.dataset)
    assert capsys.readouterr().err.endswith("dataset: 12 images, 1 files that cannot be used\n")
    (photos / "b" / "notes.txt").touch()
    (photos / "fish").mkdir()
    scan_dataset(photos, CORRECTIONS, photos.parent / "manifest.parquet", settings.dataset)
    expected = "dataset: 12 images, 1 files that cannot be used, 1 other files, 1 empty class folders\n"
    assert capsys.readouterr().err.endswith(expected)
