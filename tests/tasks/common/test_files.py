import os
import re
from pathlib import Path

import pytest

from tasks.common.errors import GraftError
from tasks.common.files import atomic_file, atomic_folder, cache_folder, require


def test_a_file_appears_under_its_name_only_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.txt"
    with atomic_file(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
        assert temporary.parent == path.parent
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_a_device_a_pipe_and_a_folder_are_not_replaced_by_a_file(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(GraftError) as caught, atomic_file(path):
        pytest.fail("nothing may be written")
    assert str(caught.value) == f"{path} is a device or a pipe, which a file must not replace. Give the path of a file."
    with pytest.raises(GraftError, match=r" is a folder, which a file must not replace\."), atomic_file(tmp_path):
        pytest.fail("nothing may be written")
    assert list(tmp_path.iterdir()) == [path]
    assert path.is_fifo()


def test_a_path_below_a_file_ends_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "folder" / "a.txt"
    with pytest.raises(GraftError) as caught, atomic_file(path):
        pytest.fail("nothing may be written")
    assert str(caught.value) == (f"{path.parent} is not a folder, so nothing can be written there. Give another path.")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failure_while_writing_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write() -> None:
        with atomic_file(path) as temporary:
            temporary.write_text("half of the n")
            raise error

    with pytest.raises(error):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_before_anything_was_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), atomic_file(tmp_path / "a.txt"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_folder_replaces_the_old_folder_and_its_content(tmp_path: Path) -> None:
    path = tmp_path / "out"
    (path / "deep").mkdir(parents=True)
    (path / "deep" / "old.txt").touch()
    with atomic_folder(path) as temporary:
        (temporary / "new.txt").write_text("new")
        assert (path / "deep" / "old.txt").exists()
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == ["out", "out/new.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failure_while_filling_a_folder_leaves_the_old_folder_and_nothing_else(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "out"
    path.mkdir()
    (path / "old.txt").write_text("old")

    def fill() -> None:
        with atomic_folder(path) as temporary:
            (temporary / "deep").mkdir()
            (temporary / "deep" / "half.txt").touch()
            raise error

    with pytest.raises(error):
        fill()
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == ["out", "out/old.txt"]


def test_a_folder_left_by_a_killed_run_is_not_mixed_into_the_next(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with atomic_folder(path) as temporary:
        pass
    temporary.mkdir()
    (temporary / "stale.txt").touch()
    with atomic_folder(path) as again:
        assert again == temporary
        assert list(again.iterdir()) == []
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_exists_is_returned_and_a_missing_one_names_the_stage_to_run(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert require(tmp_path / "a", "head") == tmp_path / "a"
    message = f"{tmp_path / 'b'} is missing: stage 'head' makes it. Run `dvc repro head`."
    with pytest.raises(GraftError, match=f"^{re.escape(message)}$"):
        require(tmp_path / "b", "head")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        pytest.param({"GRAFT_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, "/a", id="own folder"),
        pytest.param({"XDG_CACHE_HOME": "/b"}, "/b/graft", id="XDG folder"),
        pytest.param({"GRAFT_CACHE": "", "XDG_CACHE_HOME": "", "HOME": "/c"}, "/c/.cache/graft", id="home folder"),
    ],
)
def test_the_cache_folder_is_set_by_the_environment(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str
) -> None:
    monkeypatch.delenv("GRAFT_CACHE", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(expected)
