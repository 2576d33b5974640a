import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from tasks.store import Description, Store
from tasks.store.usage import Pruned, Usage, prune, show, usage
from tests.tasks.conftest import nobody
from tests.tasks.store.helpers import COLLECTION, DESCRIPTION, error_of, fill, make_keys, segment, stored

VIEWS = COLLECTION._replace(augmentation="3" * 64)
WIDE = COLLECTION._replace(width=1024)
TUNED = Description("tuned", "top")
OLD = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


def aged(path: Path, days: float) -> Path:
    """Make a file that many days old."""
    time = (datetime.now(UTC) - timedelta(days=days)).timestamp()
    os.utime(path, (time, time))
    return path


def file_names(store: Store) -> set[str]:
    """Return the names of all files of a store."""
    return {path.name for path in Path(store.name).rglob("*") if path.is_file()}


def test_each_collection_is_a_row_by_description(store: Store) -> None:
    plain = fill(store, make_keys(3), make_keys(4, 1))
    views = fill(store, make_keys(5), collection=VIEWS)
    wide = fill(store, make_keys(2), collection=WIDE, description=TUNED)
    for days, path in enumerate([*plain, *views, *wide]):
        time = (OLD + timedelta(days=days)).timestamp()
        os.utime(path, (time, time))
    assert usage(store) == [
        Usage(COLLECTION, DESCRIPTION, 7, 2, sum(path.stat().st_size for path in plain), OLD + timedelta(days=1)),
        Usage(VIEWS, DESCRIPTION, 5, 1, views[0].stat().st_size, OLD + timedelta(days=2)),
        Usage(WIDE, TUNED, 2, 1, wide[0].stat().st_size, OLD + timedelta(days=3)),
    ]


def test_the_newest_segment_gives_the_description(store: Store) -> None:
    aged(fill(store, make_keys(3))[0], days=2)
    aged(fill(store, make_keys(2), description=TUNED)[0], days=1)
    aged(fill(store, make_keys(1))[0], days=3)
    assert [(row.description, row.entries) for row in usage(store)] == [(TUNED, 6)]


def test_the_table_shows_it_in_characters_that_can_be_printed(
    store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    paths = fill(store, make_keys(1500), collection=WIDE)
    paths += fill(store, make_keys(2), collection=VIEWS, description=Description("mine", "a\x1b[2Jb"))
    for path in paths:
        os.utime(path, (OLD.timestamp(), OLD.timestamp()))
    show(store)
    assert [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()] == [
        "backbone tap augmentation runtime precision width entries segments MB newest",
        "mine a?[2Jb yes onnxruntime 1.32.0 float32 5 2 1 0.0 2026-01-02 03:04",
        "mobilenet conv_pw_13_relu no onnxruntime 1.32.0 float32 1,024 1,500 1 6.2 2026-01-02 03:04",
        "",
        f"6.2 MB in {store.name}",
    ]


def test_resized_pixels_are_shown_and_pruned_as_vectors_are(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    pixels = COLLECTION._replace(graph="differences of neighbours", precision="uint8", width=48)
    store.write(pixels, Description("resized pixels", "4x4"), make_keys(3), np.zeros((3, 48), np.uint8))
    fill(store, make_keys(2))
    show(store)
    columns = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert columns[2][:4] == ["resized", "pixels", "4x4", "no"]
    assert columns[2][6:10] == ["uint8", "48", "3", "1"]
    assert prune(store, timedelta(0)).segments == 2
    assert usage(store) == []


def test_an_empty_store_is_shown_as_empty(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    show(store)
    assert capsys.readouterr().out == f"{store.name} holds no features.\n"
    assert usage(store) == []
    assert prune(store, timedelta(0), 0) == Pruned(0, 0)


def test_a_file_that_cannot_be_used_is_named_and_not_counted(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    path, other = fill(store, make_keys(3), make_keys(2, 1))
    path.write_bytes(b"")
    strange = Path(store.name, "4" * 64, other.name)
    strange.parent.mkdir()
    strange.write_bytes(other.read_bytes())
    (strange.parent / "notes.txt").touch()
    Path(store.name, "folder").mkdir()
    Path(store.name, "5" * 64).touch()
    store.put_marker("run")
    assert [row.entries for row in usage(store)] == [2]
    assert capsys.readouterr().err.splitlines() == [
        f"store: {strange} is ignored: it belongs to another collection",
        f"store: {path} is ignored: it is empty",
    ]


@pytest.mark.parametrize(
    ("older_than", "keep", "removed"),
    [
        pytest.param(None, None, [], id="no limit"),
        pytest.param(timedelta(days=5), None, [], id="older than all"),
        pytest.param(timedelta(days=2.5), None, [0, 1], id="older than half"),
        pytest.param(timedelta(0), None, [0, 1, 2, 3], id="older than none"),
        pytest.param(None, 4, [], id="keep all"),
        pytest.param(None, 3, [0], id="keep three"),
        pytest.param(None, 2.5, [0, 1], id="keep two and a half"),
        pytest.param(None, 0, [0, 1, 2, 3], id="keep none"),
        pytest.param(timedelta(days=2.5), 3, [0, 1], id="more are too old"),
        pytest.param(timedelta(days=3.5), 2, [0, 1], id="more are too many"),
    ],
)
def test_the_oldest_segments_go_first(
    store: Store, older_than: timedelta | None, keep: float | None, removed: list[int]
) -> None:
    """Four segments of the same size in two collections, 4, 3, 2 and 1 days old."""
    other = VIEWS._replace(augmentation="3" * 60)
    paths = [
        aged(fill(store, make_keys(9, days), collection=other if days % 2 else COLLECTION)[0], days)
        for days in (4, 3, 2, 1)
    ]
    sizes = [path.stat().st_size for path in paths]
    keep_bytes = None if keep is None else int(keep * max(sizes))
    assert prune(store, older_than, keep_bytes) == Pruned(len(removed), sum(sizes[number] for number in removed))
    assert file_names(store) == {path.name for number, path in enumerate(paths) if number not in removed}
    assert stored(store, make_keys(9, 2)) == [2 not in removed] * 9


def test_temporary_files_of_killed_writers_and_markers_go_when_they_are_a_day_old(store: Store) -> None:
    (path,) = fill(store, make_keys(3))
    for number, days in enumerate((1.01, 0.99)):
        temporary = path.with_name(f".{path.name}.{str(number) * 16}.tmp")
        temporary.write_bytes(b"half")
        aged(temporary, days)
        store.put_marker(f"run-{number}")
        aged(Path(store.name, "markers", f"run-{number}"), days)
    assert prune(store) == Pruned(0, 4)
    assert file_names(store) == {path.name, f".{path.name}.{'1' * 16}.tmp", "run-1"}
    assert not store.has_marker("run-0")
    assert store.has_marker("run-1")


def test_files_of_others_are_left_alone(store: Store) -> None:
    (path,) = fill(store, make_keys(3))
    others = [
        path.with_name("notes.txt"),
        path.with_name(".notes.txt.tmp"),
        path.with_name("6" * 63 + ".safetensors"),
        path.with_name("6" * 64 + ".parquet"),
        Path(store.name, "work", path.name),
        Path(store.name, path.name),
    ]
    for other in others:
        other.parent.mkdir(exist_ok=True)
        other.touch()
        aged(other, days=99)
    path.write_bytes(b"damaged")
    aged(path, days=98)
    assert prune(store, timedelta(0), 0) == Pruned(1, 7)
    assert all(other.exists() for other in others)


def test_a_segment_that_several_prune_at_once_is_counted_once(store: Store) -> None:
    paths = fill(store, *(make_keys(3, seed) for seed in range(40)))
    size = sum(path.stat().st_size for path in paths)
    with ThreadPoolExecutor(4) as pool:
        removed = list(pool.map(lambda _: prune(store, timedelta(0)), range(4)))
    assert sum(pruned.segments for pruned in removed) == 40
    assert sum(pruned.bytes for pruned in removed) == size
    assert file_names(store) == set()


def test_a_store_that_may_not_be_changed_is_an_error(store: Store) -> None:
    (path,) = fill(store, make_keys(3))
    for folder in [path.parent, *path.parents[1:-1]]:  # pytest's own folders let no other user in
        if folder.stat().st_uid == os.geteuid():
            folder.chmod(0o755)
    with nobody():
        message = error_of(prune, store, timedelta(0))
    assert message == (
        f"the feature store {store.name} cannot be pruned: Permission denied. "
        "Give write access there, or set features.store to another location."
    )
    assert file_names(store) == {segment(make_keys(3))[0]}
