import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.common.errors import GraftError, QuarantineKind
from tasks.dataset.listing.folder import Entry, list_files
from tasks.dataset.listing.names import IGNORED
from tests.tasks.dataset.listing.test_folder import fill

NO_CLASS = (QuarantineKind.NO_CLASS, "lies in no class folder")
EMPTY = (QuarantineKind.EMPTY_FOLDER, "the folder holds no files")
UNLABELLED = QuarantineKind.UNLABELLED
FLAT_TEST = "has no label: its folder 'test' holds no class folders"


def given_split(split: str, *paths: str) -> list[Entry]:
    """Return the entries of images in class folders below split folders."""
    return [Entry(path, path.split("/")[1], split=split) for path in paths]


@pytest.mark.parametrize(
    ("files", "entries"),
    [
        pytest.param(
            ["train/cat/1.jpg", "train/dog/1.jpg", "val/cat/2.jpg", "test/dog/2.jpg"],
            [
                *given_split("test", "test/dog/2.jpg"),
                *given_split("train", "train/cat/1.jpg", "train/dog/1.jpg"),
                *given_split("val", "val/cat/2.jpg"),
            ],
            id="train, val and test",
        ),
        pytest.param(
            ["TRAIN/cat/1.jpg", "TRAIN/dog/1.jpg", "Valid/cat/2.jpg", "validation/cat/3.jpg"],
            [
                *given_split("train", "TRAIN/cat/1.jpg", "TRAIN/dog/1.jpg"),
                *given_split("val", "Valid/cat/2.jpg", "validation/cat/3.jpg"),
            ],
            id="other names and upper case",
        ),
        pytest.param(
            ["train/cat/1.jpg", "train/dog/old/1.jpg"],
            given_split("train", "train/cat/1.jpg", "train/dog/old/1.jpg"),
            id="train alone, deeper folders belong to the class",
        ),
        pytest.param(
            ["train/cat/1.jpg", "train/dog/1.jpg", "docs/deep/read me.txt", "cover.jpg"],
            [
                Entry("cover.jpg", "", *NO_CLASS),
                Entry("docs/deep/read me.txt", "", *NO_CLASS),
                *given_split("train", "train/cat/1.jpg", "train/dog/1.jpg"),
            ],
            id="a folder without pictures and a loose picture beside train",
        ),
        pytest.param(
            ["train/cat/1.jpg", "train/dog/1.jpg", "train/fish/", "val/", "docs/"],
            [
                *given_split("train", "train/cat/1.jpg", "train/dog/1.jpg"),
                Entry("train/fish/", "fish", *EMPTY, "train"),
                Entry("val/", "", *EMPTY, "val"),
            ],
            id="empty folders of a class and of a split",
        ),
        pytest.param(
            ["train/cat/1.jpg", "train/dog/1.jpg", "train/loose.jpg", "test/1.jpg", "test/labels.csv"],
            [
                Entry("test/1.jpg", "", UNLABELLED, FLAT_TEST, "test"),
                Entry("test/labels.csv", "", *NO_CLASS, "test"),
                *given_split("train", "train/cat/1.jpg", "train/dog/1.jpg"),
                Entry("train/loose.jpg", "", *NO_CLASS, "train"),
            ],
            id="a flat test set",
        ),
        pytest.param(
            ["train/cat/1.jpg", "train/dog/1.jpg", "test/unknown/1.jpg"],
            [
                Entry(
                    "test/unknown/1.jpg",
                    "",
                    UNLABELLED,
                    "has no label: its folder 'unknown' is no class of the training split",
                    "test",
                ),
                *given_split("train", "train/cat/1.jpg", "train/dog/1.jpg"),
            ],
            id="a test set in a single folder",
        ),
        pytest.param(
            ["train/cat/1.jpg", "train/dog/1.jpg", "test/cow/1.jpg", "test/dog/1.jpg"],
            [
                *given_split("test", "test/cow/1.jpg", "test/dog/1.jpg"),
                *given_split("train", "train/cat/1.jpg", "train/dog/1.jpg"),
            ],
            id="a class that only test has",
        ),
        pytest.param(
            ["cat/train/1.jpg", "cat/test/2.jpg", "dog/Train/1.jpg", "dog/notes.txt"],
            [
                Entry("cat/test/2.jpg", "cat", split="test"),
                Entry("cat/train/1.jpg", "cat", split="train"),
                Entry("dog/Train/1.jpg", "dog", split="train"),
                Entry("dog/notes.txt", "dog"),
            ],
            id="split folders below the classes",
        ),
        pytest.param(
            ["plane/1.jpg", "train/1.jpg", "train/steam/1.jpg", "test/1.jpg"],
            [
                Entry("plane/1.jpg", "plane"),
                Entry("test/1.jpg", "test"),
                Entry("train/1.jpg", "train"),
                Entry("train/steam/1.jpg", "train"),
            ],
            id="classes called train and test",
        ),
        pytest.param(
            ["train/express/1.jpg", "train/freight/1.jpg", "plane/1.jpg"],
            [
                Entry("plane/1.jpg", "plane"),
                Entry("train/express/1.jpg", "train"),
                Entry("train/freight/1.jpg", "train"),
            ],
            id="a class called train with folders of its own",
        ),
        pytest.param(
            ["animals/birds/1.png", "animals/birds/1.ogg", "animals/other/1.png", "plants/other/deep/er/1.png"],
            [
                Entry("animals/birds/1.ogg", "animals"),
                Entry("animals/birds/1.png", "animals"),
                Entry("animals/other/1.png", "animals"),
                Entry("plants/other/deep/er/1.png", "plants"),
            ],
            id="nested categories that share one name",
        ),
        pytest.param(
            ["cat/2020/1.jpg", "cat/2021-07-01/1.jpg", "dog/2020/1.jpg", "dog/2021-07-01/1.jpg"],
            [
                Entry("cat/2020/1.jpg", "cat"),
                Entry("cat/2021-07-01/1.jpg", "cat"),
                Entry("dog/2020/1.jpg", "dog"),
                Entry("dog/2021-07-01/1.jpg", "dog"),
            ],
            id="folders of dates below the classes",
        ),
        pytest.param(
            ["cat/1.jpg", "dog/1.jpg", "labels/1.xml", "labels/2.txt"],
            [
                Entry("cat/1.jpg", "cat"),
                Entry("dog/1.jpg", "dog"),
                Entry("labels/1.xml", "", *NO_CLASS),
                Entry("labels/2.txt", "", *NO_CLASS),
            ],
            id="a folder without a picture by suffix is no class",
        ),
        pytest.param(
            ["cat/1", "dog/1.data"],
            [Entry("cat/1", "cat"), Entry("dog/1.data", "dog")],
            id="no file has the suffix of a picture",
        ),
    ],
)
def test_folders_give_each_file_its_class_and_split(tmp_path: Path, files: list[str], entries: list[Entry]) -> None:
    assert list_files(fill(tmp_path, *files)) == sorted(entries, key=lambda entry: entry.path)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        pytest.param(
            ["photos/cat/1.jpg", "photos/cat/2.jpg", "photos/dog/1.jpg", "old/cat/1.jpg", "old/dog/1.jpg"],
            "pets is too high: old and photos hold subfolders of the same names (cat and dog). Expected one folder a "
            "class, pets/CLASS/IMAGE; use --data pets/photos or --data pets/old. If old and photos are the classes, "
            "move them into a folder pets/train.",
            id="two datasets with the same classes",
        ),
        pytest.param(
            [f"{letter}/{name}/1.jpg" for letter in "abcde" for name in ("1", "2", "3", "4")],
            "pets is too high: a, b, c and 2 more hold subfolders of the same names (1, 2, 3 and 1 more). Expected one "
            "folder a class, pets/CLASS/IMAGE; use --data pets/a or --data pets/b or --data pets/c (and 2 more). If a, "
            "b, c and 2 more are the classes, move them into a folder pets/train.",
            id="many datasets with many classes",
        ),
        pytest.param(
            ["my pets/cat/1.jpg", "my pets/dog/1.jpg", "docs/read me.txt", "cover.jpg"],
            "pets is too high: its class folders lie deeper. Expected one folder a class, pets/CLASS/IMAGE; "
            "use --data 'pets/my pets'.",
            id="one level too high",
        ),
        pytest.param(
            ["a/b/train/cat/1.jpg", "a/b/train/dog/1.jpg"],
            "pets is too high: its class folders lie deeper. Expected one folder a class, pets/CLASS/IMAGE; "
            "use --data pets/a/b.",
            id="two levels above split folders",
        ),
        pytest.param(
            ["test/cat/1.jpg", "test/dog/1.jpg"],
            "pets is too high: its class folders lie deeper. Expected one folder a class, pets/CLASS/IMAGE; "
            "use --data pets/test.",
            id="test alone",
        ),
        pytest.param(
            ["train/1.jpg", "test/1.jpg"],
            "pets holds split folders (test and train), but 'train' holds no class folders. Expected "
            "pets/train/CLASS/IMAGE; sort the images into a folder a class, set dataset.table if a table names their "
            "classes, or rename the folders if they are classes.",
            id="split folders without classes",
        ),
        pytest.param(
            ["val/cat/1.jpg", "test/cat/1.jpg"],
            "pets holds split folders (test and val), but none of them is named train. Expected "
            "pets/train/CLASS/IMAGE; sort the images into a folder a class, set dataset.table if a table names their "
            "classes, or rename the folders if they are classes.",
            id="split folders without train",
        ),
        pytest.param(
            ["train/cat/1.jpg", "train/dog/1.jpg", "test/cat/1.jpg", "extra/1.jpg"],
            "pets holds split folders (test and train) beside other folders with pictures (extra). "
            "Expected pets/train/CLASS/IMAGE; move the other folders elsewhere, or rename the split folders if they "
            "are classes.",
            id="split folders beside another folder",
        ),
        pytest.param(
            ["seg_train/seg_train/sea/1.jpg", "seg_test/seg_test/sea/1.jpg"],
            "pets holds folders that seem to be splits (seg_test and seg_train). Expected pets/train/CLASS/IMAGE; "
            "rename them train, val and test.",
            id="folders named like splits",
        ),
        pytest.param(
            ["train/images/1.jpg", "test/images/1.jpg"],
            "pets holds one class, 'images'. Expected pets/train/CLASS/IMAGE, with two classes or more.",
            id="split folders with one class",
        ),
        pytest.param(
            ["ca\nt/1.jpg", "docs/1.txt"],
            "pets holds one class, 'ca\\nt'. Expected one folder a class, pets/CLASS/IMAGE, with two classes or more.",
            id="a class whose name has two lines",
        ),
    ],
)
def test_a_folder_that_is_no_dataset_ends_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: list[str], message: str
) -> None:
    fill(tmp_path / "pets", *files)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GraftError) as caught:
        list_files(Path("pets"))
    assert str(caught.value) == message


def test_the_folders_named_in_a_message_are_absolute_where_the_choice_is(tmp_path: Path) -> None:
    fill(tmp_path, "pets/cat/1.jpg", "pets/dog/1.jpg")
    with pytest.raises(GraftError, match=f"use --data {tmp_path}/pets\\.$"):
        list_files(tmp_path)


@pytest.mark.parametrize(
    ("chosen", "files", "content", "advice"),
    [
        pytest.param("pets/cat", ["pets/cat/1.jpg", "pets/dog/1.jpg"], "files but no class folders", "pets", id="flat"),
        pytest.param(
            "pets/cat",
            ["pets/cat/1.jpg", "pets/cat/old/1.jpg", "pets/dog/1.jpg"],
            "one class, 'old'",
            "pets",
            id="deep",
        ),
        pytest.param(
            "pets/train/cat",
            ["pets/train/cat/1.jpg", "pets/train/dog/1.jpg", "pets/test/cat/1.jpg"],
            "files but no class folders",
            "pets",
            id="in a split",
        ),
    ],
)
def test_a_folder_that_is_too_low_ends_in_the_one_above_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: str, files: list[str], content: str, advice: str
) -> None:
    fill(tmp_path, *files)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GraftError) as caught:
        list_files(Path(chosen))
    assert str(caught.value) == f"{chosen} holds {content}, but its parent holds class folders: use --data {advice}."


def test_the_project_above_a_flat_folder_is_no_advice(tmp_path: Path) -> None:
    fill(tmp_path, "dvc.yaml", "photos/1.jpg", "docs/1.png")
    with pytest.raises(GraftError, match=r"holds files but no class folders\. Expected one folder a class"):
        list_files(tmp_path / "photos")


NAMES = st.one_of(
    st.sampled_from(["train", "VAL", "test", "cat", "dog", "2020", "__MACOSX", ".hidden", "Thumbs.db", "b" * 255]),
    st.text(st.characters(exclude_characters="/\0", exclude_categories=()), min_size=1, max_size=6),
).filter(lambda name: name not in {".", ".."} and len(os.fsencode(name.encode("utf-8", "replace"))) <= 255)
FILE_NAMES = st.tuples(NAMES, st.sampled_from(["", ".jpg", ".PNG", ".txt"])).map("".join)
PATHS = st.tuples(st.lists(NAMES, max_size=3), FILE_NAMES).map(lambda parts: "/".join([*parts[0], parts[1]]))


def is_visible(path: str) -> bool:
    # Hypothesis draws names from the code too, so each of those that are ignored may come.
    return not any(name.startswith(".") or name.lower() in IGNORED for name in PurePosixPath(path).parts)


def write_those_that_can_exist(root: Path, paths: Iterable[str]) -> set[str]:
    written = set()
    for path in paths:
        try:
            fill(root, path)
        except (OSError, UnicodeError):
            continue
        if (root / path).is_file():
            written.add(path)
    return written


@given(paths=st.sets(PATHS, max_size=12))
def test_every_visible_file_of_any_tree_is_listed_once(
    tmp_path_factory: pytest.TempPathFactory, paths: set[str]
) -> None:
    root = tmp_path_factory.mktemp("tree")
    # Two classes, so that most trees are datasets.
    written = write_those_that_can_exist(root, {*paths, "first class/1.jpg", "second class/1.jpg"})
    try:
        entries = list_files(root)
    except GraftError as error:
        message = str(error)
        if not message.isprintable():
            pytest.fail(f"a message of several lines: {message!r}")
        return
    files = [entry.path for entry in entries if not entry.path.endswith("/")]
    assert files == sorted(path.encode("utf-8", "backslashreplace").decode() for path in written if is_visible(path))
    assert all(entry.label or entry.kind for entry in entries)
