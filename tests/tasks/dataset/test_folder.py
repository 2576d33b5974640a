import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tasks.common.errors import GraftError, QuarantineKind
from tasks.dataset.folder import Entry, list_files
from tests.tasks.conftest import nobody


def fill(root: Path, *files: str) -> Path:
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
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
    "hidden",
    ["a/.DS_Store", "a/Thumbs.db", "a/desktop.INI", ".git/x.png", "a/.cache/y.png", ".gitignore", "__MACOSX/._x.png"],
)
def test_hidden_files_and_files_of_operating_systems_are_not_listed(tmp_path: Path, hidden: str) -> None:
    root = fill(tmp_path, "a/1.png", "b/1.png", hidden)
    assert [entry.path for entry in list_files(root)] == ["a/1.png", "b/1.png"]


def test_a_file_in_no_class_folder_is_listed_with_the_reason(tmp_path: Path) -> None:
    root = fill(tmp_path, "a/1.png", "b/1.png", "loose.png")
    assert list_files(root)[-1] == Entry("loose.png", "", QuarantineKind.NO_CLASS, "lies in no class folder")


def test_a_linked_folder_is_not_followed_but_listed_with_the_reason(tmp_path: Path) -> None:
    root = fill(tmp_path / "root", "a/1.png", "b/1.png")
    fill(tmp_path / "elsewhere", "secret.png")
    (root / "a" / "link").symlink_to(tmp_path / "elsewhere")
    link = Entry("a/link", "a", QuarantineKind.LINK, "a folder behind a symbolic link is not followed")
    assert list_files(root) == [Entry("a/1.png", "a"), link, Entry("b/1.png", "b")]


def test_a_linked_class_folder_keeps_its_class(tmp_path: Path) -> None:
    root = fill(tmp_path / "root", "a/1.png", "b/1.png")
    fill(tmp_path / "elsewhere", "1.png")
    (root / "c").symlink_to(tmp_path / "elsewhere")
    link = Entry("c", "c", QuarantineKind.LINK, "a folder behind a symbolic link is not followed")
    assert list_files(root) == [Entry("a/1.png", "a"), Entry("b/1.png", "b"), link]


@pytest.mark.parametrize("content", ["", "deep/er", ".hidden", "Thumbs.db"])
def test_a_class_folder_without_files_is_listed_with_the_reason(tmp_path: Path, content: str) -> None:
    root = fill(tmp_path, "a/1.png", "b/1.png")
    if "." in content:
        fill(root, f"fish/{content}")
    else:
        (root / "fish" / content).mkdir(parents=True)
    (root / "a" / "nothing").mkdir()
    empty = Entry("fish/", "fish", QuarantineKind.EMPTY_FOLDER, "the folder holds no files")
    assert list_files(root) == [Entry("a/1.png", "a"), Entry("b/1.png", "b"), empty]


def test_a_class_folder_that_may_not_be_read_is_listed_with_the_reason() -> None:
    # pytest's own folders are private to the user of the tests, whose rights `nobody` drops.
    with TemporaryDirectory() as folder:
        root = fill(Path(folder), "a/1.png", "b/1.png", "c/1.png")
        root.chmod(0o755)
        (root / "c").chmod(0)
        with nobody():
            entries = list_files(root)
        (root / "c").chmod(0o755)
    unreadable = Entry("c/", "c", QuarantineKind.UNREADABLE, "cannot be read: Permission denied")
    assert entries == [Entry("a/1.png", "a"), Entry("b/1.png", "b"), unreadable]


def test_a_linked_file_is_an_image_like_any_other(tmp_path: Path) -> None:
    root = fill(tmp_path, "a/1.png", "b/1.png")
    (root / "a" / "2.png").symlink_to(root / "a" / "1.png")
    assert [entry.path for entry in list_files(root)] == ["a/1.png", "a/2.png", "b/1.png"]


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
    with pytest.raises(GraftError) as caught:
        list_files(fill(tmp_path, *files))
    assert str(caught.value).startswith(f"{tmp_path} {message}. Expected one folder a class, {tmp_path}/CLASS/IMAGE")


@pytest.mark.parametrize("name", ["missing", "file"])
def test_a_root_that_is_not_a_folder_is_refused(tmp_path: Path, name: str) -> None:
    fill(tmp_path, "file")
    with pytest.raises(GraftError) as caught:
        list_files(tmp_path / name)
    assert str(caught.value) == (
        f"{tmp_path / name} is not a folder. Expected one folder a class, {tmp_path / name}/CLASS/IMAGE; "
        "set dataset.source in params.yaml."
    )
