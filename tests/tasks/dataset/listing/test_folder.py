import os
import socket
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tasks.common.errors import GraftError, QuarantineKind
from tasks.dataset.listing.folder import Entry, list_files
from tests.tasks.conftest import nobody

OUTSIDE = "a symbolic link to a file outside the dataset's folder; put a copy of the file in its place"


def fill(root: Path, *files: str) -> Path:
    """Make empty files, and empty folders where a name ends in a slash."""
    root.mkdir(parents=True, exist_ok=True)
    for name in files:
        folder = root / name if name.endswith("/") else (root / name).parent
        folder.mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            (root / name).touch()
    return root


def test_the_first_folder_is_the_class_and_the_order_is_that_of_the_paths(tmp_path: Path) -> None:
    root = fill(tmp_path, "b/2.png", "b/10.png", "a/deep/er/x.png", "a/z.PNG", "Z/ä ö.jpg")
    assert list_files(root) == [
        Entry("Z/ä ö.jpg", "Z"),
        Entry("a/deep/er/x.png", "a"),
        Entry("a/z.PNG", "a"),
        Entry("b/10.png", "b"),
        Entry("b/2.png", "b"),
    ]


@pytest.mark.parametrize(
    "name",
    ["two\nlines.png", "\"quotes'.png", "🐈.png", "=1+1.png", f"{'x' * 251}.png", "bell\a.png", "\u202egnp.x.png"],
    ids=["line break", "quotes", "emoji", "formula", "255 bytes", "control character", "writing direction"],
)
def test_unusual_names_are_listed_as_they_are(tmp_path: Path, name: str) -> None:
    root = fill(tmp_path, f"a/{name}", "b/1.png")
    assert list_files(root) == [Entry(f"a/{name}", "a"), Entry("b/1.png", "b")]


@pytest.mark.parametrize(
    "hidden",
    ["a/.DS_Store", "a/Thumbs.db", "a/desktop.INI", ".git/x.png", "a/.cache/y.png", ".gitignore", "__MACOSX/._x.png"],
)
def test_hidden_files_and_files_of_operating_systems_are_not_listed(tmp_path: Path, hidden: str) -> None:
    root = fill(tmp_path, "a/1.png", "b/1.png", hidden)
    assert [entry.path for entry in list_files(root)] == ["a/1.png", "b/1.png"]


def test_a_file_in_no_class_folder_is_listed_with_the_reason(tmp_path: Path) -> None:
    root = fill(tmp_path, "a/1.png", "b/1.png", "loose.png")
    assert list_files(root)[-1] == Entry("loose.png", "", QuarantineKind.NO_CLASS, "lies in no class folder")


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        pytest.param("b/1.png", None, id="a file of the dataset"),
        pytest.param("../cache/files/md5/d4/1d8cd98f00b204e9800998ecf8427e", None, id="a file of DVC's cache"),
        pytest.param("../secret.png", OUTSIDE, id="a file outside"),
        pytest.param("../root twin/1.png", OUTSIDE, id="a file in a folder whose name begins alike"),
        pytest.param("nowhere.png", "a symbolic link whose target is missing", id="nothing"),
        pytest.param("b/1.png/x", "a symbolic link whose target is missing", id="a path through a file"),
        pytest.param(
            "a/link.png", "a symbolic link that cannot be followed: Too many levels of symbolic links", id="itself"
        ),
    ],
)
def test_a_link_to_a_file_counts_as_that_file_if_the_dataset_holds_it(
    tmp_path: Path, target: str, reason: str | None
) -> None:
    root = fill(tmp_path / "root", "a/1.png", "b/1.png")
    fill(tmp_path, "secret.png", "root twin/1.png", "cache/files/md5/d4/1d8cd98f00b204e9800998ecf8427e")
    (root / "a" / "link.png").symlink_to(root / target)
    link = Entry("a/link.png", "a", QuarantineKind.LINK if reason else None, reason)
    assert list_files(root) == [Entry("a/1.png", "a"), link, Entry("b/1.png", "b")]


def test_links_count_as_files_where_the_folder_is_behind_a_link_itself(tmp_path: Path) -> None:
    root = fill(tmp_path / "root", "a/1.png", "b/1.png")
    (root / "a" / "2.png").symlink_to("1.png")
    (tmp_path / "link").symlink_to(root)
    assert list_files(tmp_path / "link") == [Entry("a/1.png", "a"), Entry("a/2.png", "a"), Entry("b/1.png", "b")]


def test_a_linked_folder_is_not_followed_but_listed_with_the_reason(tmp_path: Path) -> None:
    root = fill(tmp_path / "root", "a/1.png", "b/1.png")
    (root / "a" / "loop").symlink_to(root)
    link = Entry("a/loop", "a", QuarantineKind.LINK, "a folder behind a symbolic link is not followed")
    assert list_files(root) == [Entry("a/1.png", "a"), link, Entry("b/1.png", "b")]


def test_a_linked_class_folder_keeps_its_class(tmp_path: Path) -> None:
    root = fill(tmp_path / "root", "a/1.png", "b/1.png")
    fill(tmp_path / "elsewhere", "1.png")
    (root / "c").symlink_to(tmp_path / "elsewhere")
    link = Entry("c", "c", QuarantineKind.LINK, "a folder behind a symbolic link is not followed")
    assert list_files(root) == [Entry("a/1.png", "a"), Entry("b/1.png", "b"), link]


def test_pipes_sockets_and_devices_are_listed_with_the_reason_and_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = fill(tmp_path, "a/1.png", "b/1.png")
    os.mkfifo(root / "b" / "2.jpg")
    (root / "b" / "3.jpg").symlink_to("/dev/zero")
    # The path of a socket may have 108 bytes at most.
    monkeypatch.chdir(root / "b")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("4.jpg")
    assert list_files(root)[2:] == [
        Entry("b/2.jpg", "b", QuarantineKind.SPECIAL_FILE, "a named pipe, not a file with content"),
        Entry("b/3.jpg", "b", QuarantineKind.SPECIAL_FILE, "a device, not a file with content"),
        Entry("b/4.jpg", "b", QuarantineKind.SPECIAL_FILE, "a socket, not a file with content"),
    ]


@pytest.mark.parametrize("content", ["", "deep/er/", ".hidden", "Thumbs.db"])
def test_a_class_folder_without_files_is_listed_with_the_reason(tmp_path: Path, content: str) -> None:
    root = fill(tmp_path, "a/1.png", "a/nothing/", "b/1.png", f"fish/{content}")
    empty = Entry("fish/", "fish", QuarantineKind.EMPTY_FOLDER, "the folder holds no files")
    assert list_files(root) == [Entry("a/1.png", "a"), Entry("b/1.png", "b"), empty]


def test_a_folder_that_may_not_be_read_is_listed_with_the_reason() -> None:
    # pytest's own folders are private to the user of the tests, whose rights `nobody` drops.
    with TemporaryDirectory() as folder:
        root = fill(Path(folder), "a/1.png", "b/1.png", "b/deep/2.png", "c/1.png")
        root.chmod(0o755)
        closed = [root / "c", root / "b" / "deep"]
        for path in closed:
            path.chmod(0)
        with nobody():
            entries = list_files(root)
        for path in closed:
            path.chmod(0o755)
    reason = (QuarantineKind.UNREADABLE, "cannot be read: Permission denied")
    unreadable = [Entry("b/deep/", "b", *reason), Entry("c/", "c", *reason)]
    assert entries == [Entry("a/1.png", "a"), Entry("b/1.png", "b"), *unreadable]


def test_a_name_that_is_not_utf8_is_listed_escaped_with_the_reason(tmp_path: Path) -> None:
    root = fill(tmp_path, "a/1.png", "b/1.png")
    Path(os.fsdecode(os.fsencode(root / "a") + b"/\xff.png")).touch()
    assert list_files(root)[1] == Entry("a/\\udcff.png", "a", QuarantineKind.BAD_NAME, "the name is not valid UTF-8")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ((), "holds no images"),
        ((".hidden", "a/.hidden"), "holds no images"),
        (("empty/.hidden", "hollow/.hidden"), "holds no images"),
        (("loose.png",), "holds files but no class folders"),
        (("only/1.png", "only/deep/2.png", "loose.png"), "holds one class, 'only'"),
    ],
    ids=["nothing", "hidden files", "empty class folders", "no class folder", "one class"],
)
def test_a_folder_without_two_classes_is_refused(tmp_path: Path, files: tuple[str, ...], message: str) -> None:
    root = fill(tmp_path / "root", *files)
    with pytest.raises(GraftError) as caught:
        list_files(root)
    assert str(caught.value).startswith(f"{root} {message}. Expected one folder a class, {root}/CLASS/IMAGE")


@pytest.mark.parametrize("name", ["missing", "file"])
def test_a_root_that_is_not_a_folder_is_refused(tmp_path: Path, name: str) -> None:
    fill(tmp_path, "file")
    with pytest.raises(GraftError) as caught:
        list_files(tmp_path / name)
    assert str(caught.value) == (
        f"{tmp_path / name} is not a folder. Expected one folder a class, {tmp_path / name}/CLASS/IMAGE; "
        "set dataset.source in params.yaml."
    )


def test_a_root_that_may_not_be_read_is_refused() -> None:
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0)
        with nobody(), pytest.raises(GraftError) as caught:
            list_files(Path(folder))
    assert str(caught.value) == (
        f"{folder} cannot be read: Permission denied. Give yourself the right to read it, or use another folder."
    )
