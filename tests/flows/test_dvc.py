from pathlib import Path

import psutil
import pytest

from flows import dvc
from flows.dvc import StageError, reproduce


def ignore(_line: str) -> None:
    pass


def test_a_stage_runs_once_then_is_up_to_date_then_is_restored(workspace: Path) -> None:
    lines: list[str] = []
    assert dvc.stale(workspace) == {"images", "backbone", "features", "evaluation"}
    assert reproduce(workspace, "images", lines.append).how == "ran"
    assert "images: at work" in lines
    assert dvc.stale(workspace) == {"backbone", "features", "evaluation"}
    assert reproduce(workspace, "images", ignore).how == "up to date"
    (workspace / "images.out").unlink()
    assert reproduce(workspace, "images", ignore).how == "restored"
    assert (workspace / "calls.txt").read_text() == "images\n"


@pytest.mark.parametrize(("code", "temporary"), [(1, False), (75, True)], ids=["exit code 1", "exit code 75"])
def test_a_failed_stage_fails_with_its_own_error_line(workspace: Path, code: int, *, temporary: bool) -> None:
    (workspace / "images.failure").write_text(f"{code} there is no more paper")
    with pytest.raises(StageError) as caught:
        reproduce(workspace, "images", ignore)
    assert str(caught.value) == "images: there is no more paper"
    assert caught.value.temporary is temporary
    assert not caught.value.trace


def test_a_missing_input_is_named_with_the_key_that_names_the_images(workspace: Path) -> None:
    (workspace / "images.in").unlink()
    with pytest.raises(StageError) as caught:
        reproduce(workspace, "images", ignore)
    assert str(caught.value) == (
        f"images: {workspace / 'images.in'} is missing, which the stage reads. Set dataset.source in params.yaml to "
        "the images, or run `dvc pull` to fetch what is under version control."
    )


def test_a_defect_of_a_stage_keeps_its_traceback(workspace: Path) -> None:
    (workspace / "stage.py").write_text("{}['no such key']\n")
    with pytest.raises(StageError) as caught:
        reproduce(workspace, "images", ignore)
    assert caught.value.trace.startswith("Traceback (most recent call last)")
    assert "KeyError: 'no such key'" in caught.value.trace


def test_an_interrupted_stage_leaves_no_process_behind(workspace: Path) -> None:
    (workspace / "stage.py").write_text("import time\nprint('asleep', flush=True)\ntime.sleep(600)\n")

    def interrupt(line: str) -> None:
        if line == "asleep":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reproduce(workspace, "images", interrupt)
    running = [process.cmdline() for process in psutil.Process().children(recursive=True)]
    assert [command for command in running if "stage.py" in command] == []
