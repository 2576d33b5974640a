import contextlib
import os
import re
import sys

import pytest

from tasks.common import progress
from tasks.common.progress import say, track


def test_short_work_is_reported_in_a_single_closing_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track(range(1234), 1234, "dataset")) == list(range(1234))
    output = capsys.readouterr()
    assert output.out == ""
    assert re.fullmatch(r"dataset: 1,234/1,234 images in \d+\.\d s\n", output.err)


def test_long_work_is_reported_in_lines_with_rate_and_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0)
    assert list(track("abc", 3, "download", "MiB")) == ["a", "b", "c"]
    first, second, last = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"download: 1/3 MiB, [\d,]+/s, [\d,]+ s left", first)
    assert re.fullmatch(r"download: 2/3 MiB, [\d,]+/s, [\d,]+ s left", second)
    assert re.fullmatch(r"download: 3/3 MiB in \d+\.\d s", last)


def test_items_are_taken_only_when_the_consumer_asks_for_them() -> None:
    source = iter(range(5))
    tracked = track(source, 5, "dataset")
    assert next(tracked) == 0
    assert list(source) == [1, 2, 3, 4]


def test_an_unknown_total_does_not_stop_the_work(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track(range(3), 0, "download", "MiB")) == [0, 1, 2]
    assert capsys.readouterr().err.startswith("download: 3/0 MiB in ")


def test_on_a_terminal_a_bar_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.openpty()
    monkeypatch.setenv("TERM", "xterm")
    with os.fdopen(writer, "w") as terminal, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)
        assert list(track(range(7), 7, "dataset")) == list(range(7))
    output = ""
    # The output arrives in pieces, and reading at the end of a closed terminal raises an error.
    with contextlib.suppress(OSError):
        while piece := os.read(reader, 65536).decode(errors="replace"):
            output += piece
    os.close(reader)
    assert "dataset" in output
    assert "7/7" in output


def test_a_message_is_a_line_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    say("dataset: 3 images")
    assert capsys.readouterr() == ("", "dataset: 3 images\n")


def test_items_count_for_their_size(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track(["ab", "c"], 3, "features", size=len)) == ["ab", "c"]
    assert capsys.readouterr().err.startswith("features: 3/3 images in ")
