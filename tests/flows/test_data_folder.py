import os
from pathlib import Path

import pytest

from flows import data_folder
from tasks.common.errors import GraftError

PETS = ["pets/cat/1.jpg", "pets/dog/1.JPEG"]


def write(folder: Path, files: list[str]) -> None:
    for file in files:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.fixture
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an empty working folder beside the folder of Graft, `graft`."""
    (tmp_path / "graft").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.mark.parametrize(
    ("files", "data", "message"),
    [
        pytest.param(
            ["pets/cat/1.jpg", "pets/cat/2.jpg", "pets/dog/1.png"],
            "pets/cat",
            "--data pets/cat holds no class folders, but its parent does: use --data pets.",
            id="a class folder",
        ),
        pytest.param(
            PETS,
            ".",
            "--data . is too high: the class folders lie deeper. Expected one folder a class, CLASS/IMAGE; "
            "use --data pets.",
            id="one level too high",
        ),
        pytest.param(
            ["archive/my pets/cat/1.jpg", "archive/my pets/dog/1.jpg", "archive/readme.txt"],
            ".",
            "--data . is too high: the class folders lie deeper. Expected one folder a class, CLASS/IMAGE; "
            "use --data 'archive/my pets'.",
            id="two levels too high",
        ),
        pytest.param(
            [*PETS, "toys/ball/1.png", "toys/rope/1.png"],
            ".",
            "--data . is too high: the class folders lie deeper. Expected one folder a class, CLASS/IMAGE; "
            "use --data pets or --data toys. If its own subfolders are the classes, use --set dataset.source={here}.",
            id="several datasets",
        ),
        pytest.param(
            ["train/cat/1.jpg", "train/dog/1.jpg", "test/cat/1.jpg", "val/1.jpg", "notes.txt"],
            ".",
            "--data . holds split folders (train, test), which are not read yet: the class folders must lie directly "
            "below --data. Merge the splits, or use --data train alone; Graft splits the images itself.",
            id="split folders",
        ),
        pytest.param(
            PETS,
            "..",
            "--data .. holds Graft itself. Expected one folder a class, ../CLASS/IMAGE; use --data pets.",
            id="a folder that holds Graft",
        ),
        pytest.param(
            [],
            "../graft",
            "--data ../graft holds Graft itself. Expected one folder a class, ../graft/CLASS/IMAGE; put the class "
            "folders below a folder of their own.",
            id="Graft itself, without a dataset",
        ),
    ],
)
def test_another_folder_is_suggested_in_one_line(
    working_folder: Path, files: list[str], data: str, message: str
) -> None:
    write(working_folder, files)
    with pytest.raises(GraftError) as caught:
        data_folder.check_choice(Path(data), working_folder.parent / "graft")
    assert str(caught.value) == message.replace("{here}", str(working_folder))


def test_a_suggestion_is_absolute_where_the_choice_is(working_folder: Path) -> None:
    write(working_folder, PETS)
    with pytest.raises(GraftError, match=f"use --data {working_folder}/pets\\.$"):
        data_folder.check_choice(working_folder, working_folder.parent / "graft")


@pytest.mark.parametrize(
    "files",
    [
        pytest.param(["cat/1.jpg", "dog/1.jpg"], id="class folders"),
        pytest.param(["cat/1.jpg", "animals/bird/1.jpg", "animals/fish/1.jpg"], id="one class has subfolders"),
        pytest.param(["train/1.jpg", "train/steam/1.jpg", "plane/1.jpg"], id="a class is called train"),
        pytest.param(["cat/2020/1.jpg", "dog/2021/1.jpg"], id="images deeper in every class"),
        pytest.param(["1.jpg", "2.jpg"], id="loose images and nothing to suggest"),
        pytest.param(["cat/1.txt"], id="no images"),
        pytest.param([], id="an empty folder"),
    ],
)
def test_a_dataset_and_a_folder_without_a_better_one_pass(working_folder: Path, files: list[str]) -> None:
    write(working_folder / "data", files)
    data_folder.check_choice(Path("data"), working_folder.parent / "graft")


def test_the_look_at_a_large_folder_ends_early(working_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(working_folder, [*PETS, *(f"pets/cat/{number}.txt" for number in range(20))])
    monkeypatch.setattr(data_folder, "MAX_ENTRIES", 3)
    data_folder.check_choice(Path(), working_folder.parent / "graft")


def test_entries_that_dvc_cannot_read_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    write(tmp_path, ["data/cat/1.jpg"])
    (tmp_path / "data" / "cat" / "linked.jpg").symlink_to("1.jpg")
    (tmp_path / "data" / "again").symlink_to(tmp_path / "data")
    data_folder.check_names(tmp_path, "data")
    data_folder.check_names(tmp_path, "data/absent")
    bad_name = os.fsencode(tmp_path / "data" / "cat") + b"/caf\xe9\n.jpg"
    Path(os.fsdecode(bad_name)).touch()
    with pytest.raises(GraftError) as caught:
        data_folder.check_names(tmp_path, "data")
    assert str(caught.value) == (
        "data/cat/caf\\udce9\\n.jpg has a name that is not UTF-8, and DVC cannot read it. "
        "Remove or rename it, then run again."
    )
    (tmp_path / "data" / "a link").symlink_to("nowhere")
    with pytest.raises(GraftError) as caught:
        data_folder.check_names(tmp_path, str(tmp_path / "data"))
    assert str(caught.value) == (
        "data/a link is a symbolic link whose target is missing (the first of 2 such entries), "
        "and DVC cannot read them. Remove or rename them, then run again."
    )
