import os
import socket
from pathlib import Path

import pytest
from PIL import Image

from tasks.common.errors import QuarantineKind
from tasks.common.processes import Failure
from tasks.dataset import scan
from tasks.dataset.listing.folder import Entry
from tasks.dataset.scan import scan_file, scan_files, set_aside
from tasks.images import formats
from tasks.tables.manifest import Row
from tests.tasks.conftest import noise


def write_photo(path: Path, height: int = 30, width: int = 40) -> Path:
    Image.fromarray(noise(0, height, width)).save(path, "PNG")
    return path


def check(path: Path) -> tuple[QuarantineKind | None, str | None]:
    row = scan_file(path.parent, Entry(path.name, "cat"), 100)
    return row.kind, row.reason


def test_rows_come_in_the_order_of_the_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [
        Entry(f"{number}.png", "cat", split="val", group="g", attributes={"number": str(number)})
        for number in range(20)
    ]
    for entry in entries:
        write_photo(tmp_path / entry.path, 3000 if entry.path == "0.png" else 30)
    monkeypatch.chdir(tmp_path)
    rows = list(scan_files(Path(), entries, 100))
    assert [(row.path, row.label, row.given_split, row.given_group, row.attributes) for row in rows] == [
        (entry.path, "cat", "val", "g", entry.attributes) for entry in entries
    ]
    assert [row.height for row in rows] == [3000] + [30] * 19


def test_a_row_holds_the_properties_of_the_whole_file_and_statistics_of_its_pixels(tmp_path: Path) -> None:
    Image.effect_noise((1600, 1200), 40).save(tmp_path / "a.jpg")
    row = scan_file(tmp_path, Entry("a.jpg", "cat"), 100)
    assert (row.format, row.mode, row.width, row.height, row.is_grey) == ("JPEG", "L", 1600, 1200, True)
    assert row.bytes == (tmp_path / "a.jpg").stat().st_size
    assert row.brightness == pytest.approx(0.5, abs=0.01)
    assert None not in (row.sha256, row.phash, row.shadows, row.highlights, row.contrast, row.entropy, row.sharpness)


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (Failure.CRASHED, "the decoder crashed"),
        (Failure.TOO_SLOW, "decoding took longer than 60 seconds"),
    ],
)
def test_a_file_whose_process_ends_is_damaged(failure: Failure, reason: str) -> None:
    entry = Entry("a.jpg", "cat", split="test", group="g")
    expected = Row("a.jpg", "cat", given_split="test", given_group="g", kind=QuarantineKind.DAMAGED, reason=reason)
    assert set_aside(entry, failure) == expected


@pytest.mark.parametrize("name", ["pipe.png", "pipe.txt"])
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    assert check(tmp_path / name) == (QuarantineKind.SPECIAL_FILE, "is a named pipe")


def test_devices_sockets_and_folders_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "folder.png").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket.png"))
        assert check(tmp_path / "socket.png")[0] == QuarantineKind.UNREADABLE
    assert check(tmp_path / "zero.png") == (QuarantineKind.SPECIAL_FILE, "is a device")
    assert check(tmp_path / "folder.png") == (QuarantineKind.UNREADABLE, "cannot be read: Is a directory")


def test_a_file_that_vanished_is_unreadable(tmp_path: Path) -> None:
    assert check(tmp_path / "gone.png") == (QuarantineKind.UNREADABLE, "cannot be read: No such file or directory")


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "huge.png").open("wb") as file:
        file.truncate(3 * 10**9)
    reason = "3,000,000,000 bytes are more than 2,000,000,000"
    assert check(tmp_path / "huge.png") == (QuarantineKind.TOO_LARGE, reason)


def test_a_file_that_changes_while_it_is_read_is_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_photo(tmp_path / "a.txt")

    def change_and_identify(head: bytes, tail: bytes) -> str | None:
        with path.open("ab") as file:
            file.write(b"more")
        return formats.identify(head, tail)

    monkeypatch.setattr(scan, "identify", change_and_identify)
    assert check(path) == (QuarantineKind.UNREADABLE, "changed while it was read")
