import os
import socket
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tasks.common.errors import GraftError
from tasks.dataset.source import require_layout, require_readable
from tests.tasks.conftest import nobody
from tests.tasks.dataset.listing.test_folder import fill


@pytest.mark.parametrize(
    ("files", "chosen", "message"),
    [
        pytest.param(
            ["graft/data/pets/cat/1.jpg", "graft/data/pets/dog/1.jpg", "graft/artifacts/a/b/1.png", "graft/docs/1.png"],
            "graft",
            "graft holds Graft itself. Expected one folder a class, graft/CLASS/IMAGE; use --data graft/data/pets.",
            id="the project",
        ),
        pytest.param(
            ["cat/1.jpg", "dog/1.jpg", "toys/train/rope/1.jpg", "toys/train/ball/1.jpg", "toys/train/ball/2.jpg"],
            ".",
            "the folder . holds Graft itself. Expected one folder a class, CLASS/IMAGE; use --data toys.",
            id="class folders beside the project are none",
        ),
        pytest.param(
            ["pets/cat/1.jpg", "pets/dog/1.jpg", "a/b/rope/1.jpg", "a/b/ball/1.jpg", "a/b/ball/2.jpg"],
            ".",
            "the folder . holds Graft itself. Expected one folder a class, CLASS/IMAGE; use --data a/b or --data pets.",
            id="several datasets, the largest first",
        ),
        pytest.param(
            [],
            "graft",
            "graft holds Graft itself. Expected one folder a class, graft/CLASS/IMAGE; put the class folders below a "
            "folder of their own.",
            id="no dataset",
        ),
    ],
)
def test_a_folder_that_holds_the_project_ends_in_the_datasets_below(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: list[str], chosen: str, message: str
) -> None:
    fill(tmp_path, "graft/dvc.yaml", *files)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GraftError) as caught:
        require_layout(Path(chosen), Path("graft"))
    assert str(caught.value) == message


def test_an_error_about_the_content_of_an_archive_names_the_archive(tmp_path: Path) -> None:
    archive = tmp_path / "pets.zip"
    with zipfile.ZipFile(archive, "w") as content:
        content.writestr("cat/1.jpg", b"")
        content.writestr("notes.txt", b"")
    with pytest.raises(GraftError) as caught:
        require_layout(archive)
    assert str(caught.value).startswith(f"{archive} holds one class, 'cat'. Expected one folder a class, {archive}/")


def test_a_dataset_and_its_links_pass_in_silence(tmp_path: Path) -> None:
    root = fill(tmp_path / "data", "cat/1.jpg", "dog/1.jpg", ".hidden/notes", "cat/Thumbs.db")
    (root / "cat" / "linked.jpg").symlink_to("1.jpg")
    (root / "cat" / "loop").symlink_to(root)
    require_layout(root, tmp_path / "graft")
    require_readable(root)


def test_a_missing_source_and_a_file_can_be_read(tmp_path: Path) -> None:
    require_readable(tmp_path / "missing")
    require_readable(fill(tmp_path, "labels.csv") / "labels.csv")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("lost.jpg", "is a symbolic link whose target is missing", id="broken link"),
        pytest.param(".lost", "is a symbolic link whose target is missing", id="hidden broken link"),
        pytest.param("pipe", "is a named pipe", id="pipe"),
        pytest.param("socket", "is a socket", id="socket"),
        pytest.param("device.jpg", "is a device", id="link to a device"),
        pytest.param("caf\udce9\n.jpg", "has a name that is not UTF-8", id="not UTF-8"),
        pytest.param(".dvcignore", "is a file of rules for DVC, which may lie only above a dataset", id="rules"),
    ],
)
def test_a_file_that_dvc_cannot_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    fill(tmp_path, "data/cat/1.jpg", "data/dog/1.jpg")
    monkeypatch.chdir(tmp_path)
    path = Path("data", "dog", name)
    if name == "pipe":
        os.mkfifo(path)
    elif name == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    elif "lost" in name or "device" in name:
        path.symlink_to("nowhere" if "lost" in name else "/dev/zero")
    else:
        path.touch()
    with pytest.raises(GraftError) as caught:
        require_readable(Path("data"))
    shown = f"data/dog/{name}".replace("\udce9", "\\udce9").replace("\n", "\\n")
    assert str(caught.value) == f"{shown} {message}, and DVC cannot read it. Remove or rename it, then run again."


def test_files_that_dvc_cannot_read_are_counted_and_the_first_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, "data/cat/1.jpg", "data/dog/1.jpg")
    monkeypatch.chdir(tmp_path)
    Path("data/dog/b.jpg").symlink_to("nowhere")
    os.mkfifo("data/cat/a.jpg")
    with pytest.raises(GraftError) as caught:
        require_readable(Path("data"))
    assert str(caught.value) == (
        "data/cat/a.jpg is a named pipe (the first of 2 such entries), and DVC cannot read them. "
        "Remove or rename them, then run again."
    )


@pytest.mark.parametrize("name", [pytest.param("cat/1.jpg", id="file"), pytest.param("cat", id="folder")])
def test_a_file_or_folder_that_may_not_be_read_is_named(name: str) -> None:
    # pytest's own folders are private to the user of the tests, whose rights `nobody` drops.
    with TemporaryDirectory() as folder:
        root = fill(Path(folder), "cat/1.jpg", "dog/1.jpg")
        root.chmod(0o755)
        (root / name).chmod(0)
        with nobody(), pytest.raises(GraftError) as caught:
            require_readable(root)
        (root / name).chmod(0o755)
    assert str(caught.value) == (
        f"{root}/{name} has permissions that do not let this user read it, and DVC cannot read it. "
        "Change the permissions of it, then run again."
    )
