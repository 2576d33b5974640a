import os
from pathlib import Path

import pytest

from tasks.common.errors import GraftError
from tasks.dataset.folder import Entry, entries


def fill(root: Path, *files: str) -> Path:
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_the_first_folder_is_the_class_and_the_order_is_that_of_the_paths(tmp_path: Path) -> None:
    root = fill(tmp_path, "b/2.png", "b/10.png", "a/deep/er/x.png", "a/z.PNG", "Z/ä ö.jpg")
    assert entries(root) == [
        Entry("Z/ä ö.jpg", "Z"),
        Entry("a/deep/er/x.png", "a"),
        Entry("a/z.PNG", "a"),
        Entry("b/10.png", "b"),
        Entry("b/2.png", "b"),
    ]


@pytest.mark.parametrize(
    "hidden", ["a/.DS_Store", "a/Thumbs.db", "a/desktop.INI", ".git/x.png", "a/.cache/y.png", ".gitignore"]
)
def test_hidden_files_and_what_systems_leave_behind_are_not_listed(tmp_path: Path, hidden: str) -> None:
    root = fill(tmp_path, "a/1.png", "b/1.png", hidden)
    assert [entry.path for entry in entries(root)] == ["a/1.png", "b/1.png"]


def test_a_file_in_no_class_folder_is_listed_with_the_reason(tmp_path: Path) -> None:
    root = fill(tmp_path, "a/1.png", "b/1.png", "loose.png")
    assert entries(root)[-1] == Entry("loose.png", "", "lies in no class folder")


def test_a_linked_folder_is_not_followed_but_listed_with_the_reason(tmp_path: Path) -> None:
    root = fill(tmp_path / "root", "a/1.png", "b/1.png")
    fill(tmp_path / "elsewhere", "secret.png")
    (root / "a" / "link").symlink_to(tmp_path / "elsewhere")
    reason = "a folder behind a symbolic link is not followed"
    assert entries(root) == [Entry("a/1.png", "a"), Entry("a/link", "a", reason), Entry("b/1.png", "b")]


def test_a_linked_file_is_an_image_like_any_other(tmp_path: Path) -> None:
    root = fill(tmp_path, "a/1.png", "b/1.png")
    (root / "a" / "2.png").symlink_to(root / "a" / "1.png")
    assert [entry.path for entry in entries(root)] == ["a/1.png", "a/2.png", "b/1.png"]


def test_a_name_that_is_no_text_is_listed_readably_with_the_reason(tmp_path: Path) -> None:
    root = fill(tmp_path, "a/1.png", "b/1.png")
    Path(os.fsdecode(os.fsencode(root / "a") + b"/\xff.png")).touch()
    assert entries(root)[1] == Entry("a/\\udcff.png", "a", "the name is not valid UTF-8")


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ((), "holds no images"),
        ((".hidden", "a/.hidden"), "holds no images"),
        (("loose.png",), "holds files but no class folders"),
        (("only/1.png", "only/deep/2.png", "loose.png"), "holds one class, 'only'"),
    ],
)
def test_a_folder_without_two_classes_is_refused(tmp_path: Path, files: tuple[str, ...], told: str) -> None:
    with pytest.raises(GraftError) as caught:
        entries(fill(tmp_path, *files))
    assert str(caught.value).startswith(f"{tmp_path} {told}. Expected one folder a class, {tmp_path}/CLASS/IMAGE")


@pytest.mark.parametrize("name", ["missing", "file"])
def test_what_is_no_folder_is_refused(tmp_path: Path, name: str) -> None:
    fill(tmp_path, "file")
    with pytest.raises(GraftError) as caught:
        entries(tmp_path / name)
    assert str(caught.value) == (
        f"{tmp_path / name} is not a folder. Expected one folder a class, {tmp_path / name}/CLASS/IMAGE; "
        "set dataset.source in params.yaml."
    )
