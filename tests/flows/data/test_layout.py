from pathlib import Path

import pytest

from flows.data import layout, sources
from tasks.common.errors import GraftError


def write_pets(folder: Path) -> Path:
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        (folder / name / "1.jpg").touch()
    return folder


def test_a_folder_below_the_root_is_a_relative_source(tmp_path: Path) -> None:
    assert sources.source_of(tmp_path / "data" / "pets", tmp_path) == "data/pets"
    assert sources.source_of(tmp_path / "pets", tmp_path / "graft") == str(tmp_path / "pets")


def test_the_error_about_a_choice_is_that_of_the_stage_with_paths_as_they_were_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pets(tmp_path / "größe" / "pets")
    monkeypatch.chdir(tmp_path)
    layout.check_layout(Path("größe/pets"), tmp_path / "graft")
    with pytest.raises(GraftError) as caught:
        layout.check_layout(Path("größe"), tmp_path / "graft")
    assert str(caught.value) == (
        "größe is too high: its class folders lie deeper. Expected one folder a class, größe/CLASS/IMAGE; "
        "use --data 'größe/pets'."
    )


def test_the_error_about_a_name_has_the_path_relative_to_the_root(tmp_path: Path) -> None:
    folder = write_pets(tmp_path / "data")
    layout.check_names(tmp_path, "data")
    layout.check_names(tmp_path, "absent")
    (folder / "cat" / "lost.jpg").symlink_to("nowhere")
    with pytest.raises(GraftError) as caught:
        layout.check_names(tmp_path, "data")
    assert str(caught.value) == (
        "data/cat/lost.jpg is a symbolic link whose target is missing, and DVC cannot read it. "
        "Remove or rename it, then run again."
    )
