import io
import os
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from tasks.common.errors import GraftError
from tasks.images import archive as archives
from tasks.images.archive import extract
from tasks.images.sources import image_folder

FILES = {"photos/cat/1.png": b"one", "photos/dog/2.png": b"two" * 1000, "photos/dog/ä\n'.png": b""}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRAFT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return path


def write_tar(path: Path, files: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as packed:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            packed.addfile(member, io.BytesIO(content))
    return path


def list_content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_an_archive_of_any_name_is_extracted_once_and_its_single_folder_is_returned(
    kind: str, tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "data.any"
    if kind == "zip":
        write_zip(source, FILES)
    else:
        write_tar(source, FILES, f"w:{kind.partition('.')[2]}")
    folder = image_folder(source)
    assert (folder.name, folder.parent.parent) == ("photos", cache / "archives")
    assert list_content(folder.parent) == FILES
    assert capsys.readouterr().err.endswith("extraction: 3 files of data.any\n")
    assert image_folder(source) == folder
    assert capsys.readouterr().err == ""


def test_a_folder_is_its_own_source(tmp_path: Path) -> None:
    assert image_folder(tmp_path) == tmp_path


def test_an_archive_without_a_single_folder_is_returned_whole(tmp_path: Path) -> None:
    folder = image_folder(write_zip(tmp_path / "a.zip", {"cat/1.png": b"1", "dog/2.png": b"2", "__MACOSX/x": b""}))
    assert list_content(folder) == {"cat/1.png": b"1", "dog/2.png": b"2", "__MACOSX/x": b""}
    folder = image_folder(write_zip(tmp_path / "b.zip", {"all/cat/1.png": b"1", "__MACOSX/x": b"", ".DS_Store": b""}))
    assert list_content(folder) == {"cat/1.png": b"1"}
    folder = image_folder(write_zip(tmp_path / "c.zip", {"a/b/c/cat/1.png": b"1", "a/b/c/dog/2.png": b"2"}))
    assert list_content(folder) == {"cat/1.png": b"1", "dog/2.png": b"2"}


EXPECTED = (
    "Expected a folder of images or an archive (.zip, .tar, .tar.gz, .tgz, .tar.bz2, .tbz2, .tar.xz, .txz): "
    "set dataset.source in params.yaml."
)


def test_a_source_that_is_neither_folder_nor_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("notes")
    os.mkfifo(tmp_path / "pipe")
    for name, problem in (
        ("missing", "is missing"),
        ("notes.txt", "is neither a folder nor an archive"),
        ("pipe", "is neither a folder nor an archive"),
    ):
        with pytest.raises(GraftError) as error:
            image_folder(tmp_path / name)
        assert str(error.value) == f"{tmp_path / name} {problem}. {EXPECTED}"


def test_folders_with_backslashes_in_a_zip_archive_are_folders(tmp_path: Path) -> None:
    folder = image_folder(write_zip(tmp_path / "a.zip", {"cat\\1.png": b"1", "dog\\2.png": b"2"}))
    assert list_content(folder) == {"cat/1.png": b"1", "dog/2.png": b"2"}


def tar_of(kind: bytes, link: str) -> Callable[[Path], Path]:
    def write(path: Path) -> Path:
        with tarfile.open(path, "w") as packed:
            member = tarfile.TarInfo("cat/odd")
            member.type, member.linkname = kind, link
            packed.addfile(member)
            member = tarfile.TarInfo("cat/odd/1.png")
            packed.addfile(member)
        return path

    return write


@pytest.mark.parametrize(
    ("kind", "link"),
    [
        (tarfile.SYMTYPE, "/etc"),
        (tarfile.SYMTYPE, "../.."),
        (tarfile.LNKTYPE, "/etc/passwd"),
        (tarfile.CHRTYPE, ""),
        (tarfile.BLKTYPE, ""),
        (tarfile.FIFOTYPE, ""),
    ],
    ids=["absolute link", "link upwards", "hard link", "character device", "block device", "named pipe"],
)
def test_links_and_special_files_are_skipped_and_counted(
    kind: bytes, link: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    extract(tar_of(kind, link)(tmp_path / "a.tar"), folder)
    assert list_content(folder) == {"cat/odd/1.png": b""}
    assert not any(path.is_symlink() for path in folder.rglob("*"))
    assert capsys.readouterr().err.endswith("extraction: 1 file of a.tar, 1 link or special file skipped\n")


def test_links_in_a_zip_archive_are_skipped_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr(link, "/etc/passwd")
        packed.writestr("cat/1.png", b"1")
    (tmp_path / "out").mkdir()
    extract(tmp_path / "a.zip", tmp_path / "out")
    assert list_content(tmp_path / "out") == {"cat/1.png": b"1"}
    assert "1 file of a.zip, 1 link or special file skipped" in capsys.readouterr().err


def overlapping_zip(path: Path) -> Path:
    """Point two names at the same bytes, as the bombs of quoted overlap do."""
    write_zip(path, {"a": bytes(1000), "b": bytes(1000)})
    content = bytearray(path.read_bytes())
    second = content.rindex(b"PK\1\2")
    content[second + 42 : second + 46] = (0).to_bytes(4, "little")
    path.write_bytes(content)
    return path


def encrypted_zip(path: Path) -> Path:
    write_zip(path, {"a": b"secret"})
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)
    return path


def lying_zip(path: Path) -> Path:
    """State a size of one byte for a member that expands to more."""
    write_zip(path, {"a": bytes(100_000)})
    content = bytearray(path.read_bytes())
    for start in (22, content.index(b"PK\1\2") + 24):
        content[start : start + 4] = (1).to_bytes(4, "little")
    path.write_bytes(content)
    return path


def cut(write: Callable[[Path], Path], length: int) -> Callable[[Path], Path]:
    def shorten(path: Path) -> Path:
        path.write_bytes(write(path).read_bytes()[:length])
        return path

    return shorten


def doubled(name: str, other: str) -> Callable[[Path], Path]:
    def write(path: Path) -> Path:
        with tarfile.open(path, "w") as packed:
            packed.addfile(tarfile.TarInfo(name))
            packed.addfile(tarfile.TarInfo(other))
        return path

    return write


OUTSIDE = "which would lie outside the folder. Rename the file and pack it again."
TOO_DEEP = "which has a path of more than 2,000 characters. Rename the file and pack it again."
AGAIN = "Fetch or pack it again."
HOSTILE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "zip upwards": (lambda path: write_zip(path, {"../a": b""}), f"holds '../a', {OUTSIDE}"),
    "zip upwards by backslash": (lambda path: write_zip(path, {"x\\..\\..\\a": b""}), f"holds 'x/../../a', {OUTSIDE}"),
    "tar upwards": (lambda path: write_tar(path, {"x/../../a": b""}), f"holds 'x/../../a', {OUTSIDE}"),
    "tar absolute": (lambda path: write_tar(path, {"/a": b""}), f"holds '/a', {OUTSIDE}"),
    "Windows drive": (lambda path: write_zip(path, {"C:\\a": b""}), f"holds 'C:/a', {OUTSIDE}"),
    "newline upwards": (lambda path: write_tar(path, {"\n/../..": b""}), f"holds '\\n/../..', {OUTSIDE}"),
    "long name": (
        lambda path: write_zip(path, {"ä" * 128: b""}),
        f"holds '{'ä' * 60}...{'ä' * 30}', which has a name of more than 255 bytes. Rename the file and pack it again.",
    ),
    "deep folders": (
        lambda path: write_tar(path, {"a/" * 2000 + "b": b""}),
        f"holds '{'a/' * 30}...{'/a' * 14}/b', {TOO_DEEP}",
    ),
    "same name twice": (doubled("cat/1.png", "cat/1.png"), "holds 'cat/1.png' twice. Pack each file once."),
    "a file and a folder of one name": (
        doubled("cat", "cat/1.png"),
        "holds 'cat/1.png' in a folder whose name is also that of a file. Rename the file and pack it again.",
    ),
    "encrypted": (encrypted_zip, "is encrypted. Extract it yourself and set dataset.source to the folder."),
    "overlap": (overlapping_zip, f"is damaged: 'b' overlaps 'a'. {AGAIN}"),
    "wrong size": (lying_zip, f"is damaged: Bad CRC-32 for file 'a'. {AGAIN}"),
    "cut tar": (cut(lambda path: write_tar(path, FILES), 1900), f"is damaged: unexpected end of data. {AGAIN}"),
    "cut gzip": (
        cut(lambda path: write_tar(path, {"a": os.urandom(5000)}, "w:gz"), 3000),
        f"is damaged: Compressed file ended before the end-of-stream marker was reached. {AGAIN}",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_archive_is_refused_and_leaves_nothing(case: str, tmp_path: Path, cache: Path) -> None:
    write, message = HOSTILE[case]
    source = write(tmp_path / "data.bin")
    with pytest.raises(GraftError) as error:
        image_folder(source)
    assert str(error.value) == f"{source} {message}"
    assert [path for path in (cache / "archives").glob("*") if path.suffix != ".lock"] == []
    assert {path.name for path in tmp_path.iterdir()} == {"cache", "data.bin"}


def pax_tar(path: Path) -> Path:
    """Give a member an extended header of many megabytes, which tarfile would read at once."""
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as packed:
        member = tarfile.TarInfo("a")
        member.pax_headers = {"comment": "x" * (17 * 2**20)}
        packed.addfile(member)
    return path


def tar_with_large_device(path: Path) -> Path:
    """Hide much content behind a member that is skipped."""
    with tarfile.open(path, "w:gz") as packed:
        member = tarfile.TarInfo("device")
        member.type, member.size = b"Z", 3 * 10**6
        packed.addfile(member, io.BytesIO(bytes(member.size)))
        packed.addfile(tarfile.TarInfo("a"))
    return path


BOMBS: dict[str, Callable[[Path], Path]] = {
    "zip": lambda path: write_zip(path, {"a": bytes(2 * 10**6), "b": bytes(10)}),
    "many in a zip": lambda path: write_zip(path, {name: bytes(400_000) for name in "abcd"}),
    "gzip": lambda path: write_tar(path, {"a": bytes(3 * 10**6)}, "w:gz"),
    "xz": lambda path: write_tar(path, {"a": bytes(3 * 10**6)}, "w:xz"),
    "header": pax_tar,
    "skipped member": tar_with_large_device,
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_decompression_bomb_is_refused(
    bomb: str, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MAX_BYTES_OF_SMALL_ARCHIVES", 10**6)
    source = BOMBS[bomb](tmp_path / "data.bin")
    with pytest.raises(GraftError) as error:
        image_folder(source)
    assert str(error.value).startswith(f"{source} expands to more than ")
    assert str(error.value).endswith(
        " GB, as decompression bombs do. If it is none, extract it yourself and set dataset.source to the folder."
    )
    assert [path for path in (cache / "archives").glob("*") if path.suffix != ".lock"] == []


def test_an_archive_that_does_not_fit_the_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100))
    source = write_zip(tmp_path / "a.zip", {"a": bytes(101)})
    with pytest.raises(GraftError) as error:
        image_folder(source)
    assert str(error.value) == (
        f"{source} holds 'a', which cannot be extracted: No space left on device. "
        "Make room, or set GRAFT_CACHE to a folder on a larger disk, then run again."
    )


def test_too_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_MEMBERS", 2)
    with pytest.raises(GraftError, match="holds more than 2 members. Split it."):
        image_folder(write_tar(tmp_path / "a.tar", FILES))


@pytest.mark.parametrize("name", ["a.zip", "a.TAR"])
def test_a_file_that_only_its_suffix_makes_an_archive_is_called_incomplete(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"PK")
    with pytest.raises(GraftError) as error:
        image_folder(tmp_path / name)
    assert str(error.value) == f"{tmp_path / name} is no complete zip or tar archive. Fetch or pack it again."
