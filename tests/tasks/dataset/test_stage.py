import re
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tasks.common import endings
from tasks.common.params import Dataset, Params
from tasks.dataset.stage import scan_dataset
from tasks.images import formats
from tasks.tables import corrections, manifest
from tasks.tables.corrections import Action, Correction
from tests.tasks.conftest import ROOT, noise

CORRECTIONS = ROOT / "data" / "corrections.csv"
SIX_SPLITS = ("train", "val", "test", "train", "val", "test")
FORMATS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "bmp": "BMP", "gif": "GIF", "tiff": "TIFF"}


def encode(pixels: npt.NDArray[np.uint8], encoding: str) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, encoding)
    return buffer.getvalue()


OTHER = "not an image by name or content"
BAD = {
    "empty.png": (b"", "empty", "the file is empty"),
    "page.jpg": (b"<html></html>", "unknown_format", "a web page instead of an image"),
    "phone.HEIC": (b"\0\0\0\x18ftypheic" + bytes(99), "damaged", "damaged: "),
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
    return write_images(tmp_path / "photos")


@pytest.fixture(scope="module")
def with_bad_files(tmp_path_factory: pytest.TempPathFactory, settings: Params) -> dict[str, dict[str, Any]]:
    """Scan the two classes with all bad files in one of them, once, because each scan starts processes."""
    photos = write_images(tmp_path_factory.mktemp("bad") / "photos")
    for name, (content, *_) in BAD.items():
        (photos / "b" / name).write_bytes(content)
    return scan(photos, settings.dataset)


def write_images(root: Path) -> Path:
    for class_index, label in enumerate(("ä b", "b")):
        (root / label).mkdir(parents=True)
        for number, ending in enumerate(FORMATS):
            Image.fromarray(noise(10 * class_index + number, 30, 40)).save(root / label / f"x.{ending}")
    return root


def scan(photos: Path, params: Dataset, corrections_file: Path = CORRECTIONS) -> dict[str, dict[str, Any]]:
    out = photos.parent / "manifest.parquet"
    scan_dataset(photos, corrections_file, out, params)
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


def test_a_picture_is_used_whatever_its_suffix(photos: Path, settings: Params) -> None:
    for name in ("photo.txt", "photo", "photo.jpg.bak"):
        Image.fromarray(noise(99, 30, 40)).save(photos / "b" / name, format="PNG")
    rows = scan(photos, settings.dataset)
    for name in ("photo.txt", "photo", "photo.jpg.bak"):
        assert (rows[f"b/{name}"]["kind"], rows[f"b/{name}"]["format"]) == (None, "PNG")


def test_every_suffix_of_a_known_format_is_that_of_a_picture() -> None:
    known = {suffix for suffix, encoding in Image.registered_extensions().items() if encoding in formats.FORMATS}
    assert known <= endings.IMAGES


@pytest.mark.parametrize(
    ("name", "kind"), [("labels.csv", "other_file"), ("loose.png", "no_class")], ids=["other file", "picture"]
)
def test_a_file_in_no_class_folder_counts_only_if_it_is_meant_to_be_a_picture(
    photos: Path, settings: Params, name: str, kind: str
) -> None:
    (photos / name).write_text("path,label")
    assert scan(photos, settings.dataset)[name]["kind"] == kind


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_is_no_image_keeps_its_row_with_kind_and_reason(
    with_bad_files: dict[str, dict[str, Any]], name: str
) -> None:
    content, kind, reason = BAD[name]
    row = with_bad_files[f"b/{name}"]
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
    assert after["b/broken.jpg"]["kind"] == "link"
    assert after["b/broken.jpg"]["reason"] == "a symbolic link whose target is missing"


def test_a_dataset_without_a_usable_image_still_has_a_row_for_each_file(tmp_path: Path, settings: Params) -> None:
    for label in ("a", "b"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        (tmp_path / "photos" / label / "empty.png").touch()
    rows = scan(tmp_path / "photos", settings.dataset)
    assert [row["reason"] for row in rows.values()] == ["the file is empty"] * 2


def test_width_and_height_are_those_after_the_exif_orientation(photos: Path, settings: Params) -> None:
    sizes = {1: (40, 30), 3: (40, 30), 6: (30, 40), 8: (30, 40)}
    for orientation in sizes:
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(noise(99, 30, 40)).save(photos / "b" / f"{orientation}.jpg", exif=exif)
    rows = scan(photos, settings.dataset)
    for orientation, size in sizes.items():
        row = rows[f"b/{orientation}.jpg"]
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


def test_a_table_gives_labels_splits_and_groups(photos: Path, settings: Params) -> None:
    lines = [f"b/x.{ending},1,{split},p{split}" for ending, split in zip(FORMATS, SIX_SPLITS, strict=True)]
    lines += [f"ä b/x.{ending},007,," for ending in list(FORMATS)[1:]]
    (photos / "labels.csv").write_text("path,label,split,group\n" + "\n".join(lines), encoding="utf-8")
    rows = scan(photos, settings.dataset.model_copy(update={"table": "labels.csv"}))
    for ending, split in zip(FORMATS, SIX_SPLITS, strict=True):
        row = rows[f"b/x.{ending}"]
        assert (row["label"], row["split"], row["given_split"], row["given_group"]) == ("1", split, split, f"p{split}")
    others = [rows[f"ä b/x.{ending}"] for ending in list(FORMATS)[1:]]
    columns = ("label", "split", "given_split", "given_group")
    assert {tuple(row[column] for column in columns) for row in others} == {("007", "train", None, None)}
    assert rows["ä b/x.jpg"]["reason"] == "not listed in labels.csv"
    assert "labels.csv" not in rows


def test_given_splits_of_folders_are_kept(photos: Path, settings: Params) -> None:
    folders = {"train": "train", "val": "Valid", "test": "test"}
    root = photos.parent / "given"
    for ending, split in zip(FORMATS, SIX_SPLITS, strict=True):
        for label in ("b", "ä b"):
            (root / folders[split] / label).mkdir(parents=True, exist_ok=True)
            (photos / label / f"x.{ending}").rename(root / folders[split] / label / f"x.{ending}")
    rows = scan(root, settings.dataset)
    splits = {path: row["split"] for path, row in rows.items()}
    assert splits == {
        f"{folders[split]}/{label}/x.{ending}": split
        for ending, split in zip(FORMATS, SIX_SPLITS, strict=True)
        for label in ("b", "ä b")
    }
    assert all((row["label"], row["given_split"]) == (path.split("/")[1], splits[path]) for path, row in rows.items())


def test_the_pictures_of_a_fixed_camera_stay_in_train_or_are_split_if_near_duplicates_are_off(
    tmp_path: Path, settings: Params
) -> None:
    scene = np.asarray(Image.fromarray(noise(0, 4, 4)).resize((64, 64), Image.Resampling.BICUBIC)) // 2
    for label in ("good", "scratched"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(20):
            Image.fromarray(scene + np.uint8(number + 20 * (label == "good"))).save(
                tmp_path / "photos" / label / f"{number}.png"
            )
    together = scan(tmp_path / "photos", settings.dataset).values()
    assert {(row["group"], row["split"]) for row in together} == {(0, "train")}
    apart = scan(tmp_path / "photos", settings.dataset.model_copy(update={"near_duplicates": None})).values()
    assert len({row["group"] for row in apart}) == 40
    assert {row["split"] for row in apart if row["label"] == "good"} == {"train", "val", "test"}


def test_corrections_relabel_and_drop_images_and_are_counted(
    photos: Path, settings: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    relabelled, dropped = (sha256((photos / "b" / name).read_bytes()).hexdigest() for name in ("x.png", "x.bmp"))
    decisions = [
        Correction(relabelled, Action.RELABEL, "new", "x.png"),
        Correction(dropped, Action.DROP, "b", ""),
        Correction("0" * 64, Action.DROP, "b", ""),
    ]
    corrections.write(photos.parent / "corrections.csv", decisions)
    rows = scan(photos, settings.dataset, photos.parent / "corrections.csv")
    png, bmp = rows["b/x.png"], rows["b/x.bmp"]
    assert (png["label"], png["given_label"], png["kind"]) == ("new", "b", None)
    assert (bmp["kind"], bmp["reason"], bmp["split"]) == ("dropped", "dropped by data/corrections.csv", None)
    counts = ", 1 dropped file; 2 corrections applied, 1 for images that are not here\n"
    assert re.search(
        rf"dataset: 11 images in 3 classes \(\d train, \d val, \d test\){counts}$", capsys.readouterr().err
    )


def test_the_last_line_of_progress_counts_classes_splits_and_files_that_are_not_used(
    photos: Path, settings: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "b" / "empty.png").touch()
    (photos / "b" / "notes.txt").touch()
    (photos / "b" / "page.svg").touch()
    (photos / "fish").mkdir()
    scan(photos, settings.dataset)
    expected = (
        "dataset: 12 images in 2 classes (7 train, 2 val, 3 test), 1 file that cannot be used, 2 other files, "
        "1 empty class folder\n"
    )
    assert capsys.readouterr().err.endswith(expected)
