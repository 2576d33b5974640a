import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tasks.common.errors import GraftError
from tasks.features.store import Store
from tasks.features.store.collection import Description
from tasks.features.store.usage import Pruned, Usage, prune, show, usage
from tests.tasks.features.stores import LABEL, SPACE, Files, fill, holds, keys, segment

VIEWS = SPACE._replace(augmentation="3" * 64)
WIDE = SPACE._replace(width=1024)
TUNED = Description("tuned", "top")
OLD = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def aged(path: Path, days: float) -> Path:
    """Make a file that many days old."""
    time = (datetime.now(UTC) - timedelta(days=days)).timestamp()
    os.utime(path, (time, time))
    return path


def left(store: Store) -> set[str]:
    """Return the names of all files of a store."""
    return {path.name for path in Path(store.place.name).rglob("*") if path.is_file()}


def test_each_space_is_a_row_by_label_with_what_it_holds(store: Store) -> None:
    some = fill(store, keys(3), keys(4, 1))
    views = fill(store, keys(5), space=VIEWS)
    wide = fill(store, keys(2), space=WIDE, label=TUNED)
    for number, path in enumerate([*some, *views, *wide]):
        time = (OLD + timedelta(days=number)).timestamp()
        os.utime(path, (time, time))
    assert usage(store) == [
        Usage(SPACE, LABEL, 7, 2, sum(path.stat().st_size for path in some), OLD + timedelta(days=1)),
        Usage(VIEWS, LABEL, 5, 1, views[0].stat().st_size, OLD + timedelta(days=2)),
        Usage(WIDE, TUNED, 2, 1, wide[0].stat().st_size, OLD + timedelta(days=3)),
    ]


def test_the_newest_segment_says_the_label(store: Store) -> None:
    aged(fill(store, keys(3))[0], days=2)
    aged(fill(store, keys(2), label=TUNED)[0], days=1)
    aged(fill(store, keys(1))[0], days=3)
    assert [(row.label, row.entries) for row in usage(store)] == [(TUNED, 6)]


def test_the_table_shows_it_in_characters_that_can_be_printed(
    store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    paths = fill(store, keys(1500), space=WIDE) + fill(
        store, keys(2), space=VIEWS, label=Description("mine", "a\x1b[2Jb")
    )
    for path in paths:
        os.utime(path, (OLD.timestamp(), OLD.timestamp()))
    show(store)
    assert [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()] == [
        "backbone tap augmentation runtime precision width entries segments MB newest",
        "mine a?[2Jb yes onnxruntime 1.32.0 float32 5 2 1 0.0 2026-01-02 03:04",
        "mobilenet conv_pw_13_relu no onnxruntime 1.32.0 float32 1,024 1,500 1 6.2 2026-01-02 03:04",
        "",
        f"6.2 MB in {store.place.name}",
    ]


def test_an_empty_store_is_said_to_be_empty(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    show(store)
    assert capsys.readouterr().out == f"{store.place.name} holds no features.\n"
    assert usage(store) == []
    assert prune(store, timedelta(0), 0) == Pruned(0, 0)


def test_what_cannot_be_used_is_named_and_not_counted(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    path, other = fill(store, keys(3), keys(2, 1))
    path.write_bytes(b"")
    strange = Path(store.place.path("4" * 64, other.name))
    strange.parent.mkdir()
    strange.write_bytes(other.read_bytes())
    (strange.parent / "notes.txt").touch()
    Path(store.place.name, "folder").mkdir()
    Path(store.place.name, "5" * 64).touch()
    assert [row.entries for row in usage(store)] == [2]
    assert capsys.readouterr().err.splitlines() == [
        f"features: {strange} is ignored: it belongs to another space",
        f"features: {path} is ignored: it is empty",
    ]


def test_a_segment_that_vanishes_while_they_are_counted_is_not_counted(store: Store) -> None:
    path, _ = fill(store, keys(3), keys(2, 1))
    real = store.place.files

    def open_input_file(name: str) -> object:
        path.unlink(missing_ok=True)
        return real.open_input_file(name)

    store.place.files = Files(real, open_input_file=open_input_file)
    assert [(row.entries, row.segments) for row in usage(store)] == [(2, 1)]


@pytest.mark.parametrize(
    ("older_than", "keep", "removed"),
    [
        (None, None, []),
        (timedelta(days=5), None, []),
        (timedelta(days=2.5), None, [0, 1]),
        (timedelta(0), None, [0, 1, 2, 3]),
        (None, 4, []),
        (None, 3, [0]),
        (None, 2.5, [0, 1]),
        (None, 0, [0, 1, 2, 3]),
        (timedelta(days=2.5), 3, [0, 1]),
        (timedelta(days=3.5), 2, [0, 1]),
    ],
)
def test_the_oldest_segments_go_first(
    store: Store, older_than: timedelta | None, keep: float | None, removed: list[int]
) -> None:
    """Four segments of the same size in two spaces, 4, 3, 2 and 1 days old."""
    spaces = [SPACE, VIEWS._replace(augmentation="3" * 60), SPACE, VIEWS._replace(augmentation="3" * 60)]
    paths = [aged(fill(store, keys(9, days), space=spaces[days - 1])[0], days) for days in (4, 3, 2, 1)]
    sizes = [path.stat().st_size for path in paths]
    budget = None if keep is None else int(keep * max(sizes))
    names = [path.name for path in paths]
    assert prune(store, older_than, budget) == Pruned(len(removed), sum(sizes[number] for number in removed))
    assert left(store) == set(names) - {names[number] for number in removed}
    assert holds(store, keys(9, 2), SPACE)


def test_what_a_killed_writer_left_goes_when_it_is_a_day_old(store: Store) -> None:
    path = fill(store, keys(3))[0]
    old = path.with_name(f".{path.name}.{'0' * 16}.tmp")
    new = path.with_name(f".{path.name}.{'1' * 16}.tmp")
    for temporary in (old, new):
        temporary.write_bytes(b"half")
    aged(old, days=1.01)
    aged(new, days=0.99)
    assert prune(store) == Pruned(0, 4)
    assert left(store) == {path.name, new.name}


def test_what_is_not_the_stores_is_left_alone(store: Store) -> None:
    path = fill(store, keys(3))[0]
    others = [
        path.with_name("notes.txt"),
        path.with_name(".notes.txt.tmp"),
        path.with_name("6" * 63 + ".parquet"),
        Path(store.place.name, "work", path.name),
        Path(store.place.name, path.name),
    ]
    for other in others:
        other.parent.mkdir(exist_ok=True)
        aged_file = other
        aged_file.touch()
        aged(aged_file, days=99)
    damaged = aged(path, days=98)
    damaged.write_bytes(b"damaged")
    assert prune(store, timedelta(0), 0) == Pruned(1, 7)
    assert all(other.exists() for other in others)


def test_a_segment_that_another_one_pruned_is_not_counted(store: Store) -> None:
    path, other = fill(store, keys(3), keys(3, 1))
    real = store.place.files

    def delete_file(name: str) -> None:
        if name == str(path):
            path.unlink()
        real.delete_file(name)

    size = other.stat().st_size
    store.place.files = Files(real, delete_file=delete_file)
    assert prune(store, timedelta(0)) == Pruned(1, size)
    assert left(store) == set()


def test_a_store_that_may_not_be_changed_is_told(store: Store) -> None:
    fill(store, keys(3))
    real = store.place.files

    def delete_file(name: str) -> None:
        raise PermissionError(13, "Permission denied", name)

    store.place.files = Files(real, delete_file=delete_file)
    with pytest.raises(GraftError) as caught:
        prune(store, timedelta(0))
    assert str(caught.value) == (
        f"the feature store {store.place.name} cannot be pruned: Permission denied. "
        "Give write access there, or set features.store to another place."
    )
    assert left(store) == {segment(keys(3))[0]}
