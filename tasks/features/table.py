"""The features of a dataset in its order, from the store to a file: the same bytes whatever the store held before."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.common.errors import GraftError
from tasks.common.files import atomic_file
from tasks.features.recipe import Setting
from tasks.features.request import Places, Wanted
from tasks.features.store import Store
from tasks.features.store.collection import Vectors
from tasks.features.store.index import Index, Mask

BLOCK_ROWS = 1024
BLOCK_BYTES = 64 << 20
CACHE_BYTES = 128 << 20


class Part(NamedTuple):
    """Vectors that are computed in one way: places among those wanted, int64 [n], and the setting."""

    places: Places
    setting: Setting


class _Source(NamedTuple):
    """Where some vectors come from: which of those wanted, bool [n], of which part, an index for each tap."""

    which: Mask
    part: Part
    indexes: list[Index]


Repair = Callable[[Part, Places], None]


def write(out: Path, need: Wanted, kept: Places, parts: Sequence[Part], store: Store, repair: Repair) -> None:
    """Write path, label, split, view and features (float32 [D]) of the vectors at the places `kept`, in this order.

    `repair` computes vectors anew that turn out lost: pruned while they are read, or on a failing disk.
    """
    width = sum(tap.width for tap in parts[0].setting.taps)
    columns: list[tuple[str, pa.DataType]] = [
        ("path", pa.string()),
        ("label", pa.string()),
        ("split", pa.string()),
        ("view", pa.uint16()),
        ("features", pa.list_(pa.float32(), width)),
    ]
    schema = pa.schema(columns)
    step = max(1, min(BLOCK_ROWS, BLOCK_BYTES // (4 * width)))
    sources = list(_sources(need, parts, store))
    # Of numbers that hardly repeat, a dictionary and the least and greatest help no reader, and cost half of the time.
    few = ["label", "split", "view"]
    options: dict[str, Any] = {"use_dictionary": few, "write_statistics": ["path", *few]}
    with atomic_file(out) as temporary, pq.ParquetWriter(temporary, schema, **options) as writer:
        for start in range(0, len(kept), step):
            places = kept[start : start + step]
            rows = need.rows[places].tolist()
            texts = [pa.array([column[row] for row in rows]) for column in (need.paths, need.labels, need.splits)]
            vectors = _read(need, places, sources, width, repair)
            values = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), width)
            writer.write_table(pa.Table.from_arrays([*texts, pa.array(need.views[places]), values], schema=schema))


def _sources(need: Wanted, parts: Sequence[Part], store: Store) -> Iterator[_Source]:
    for part in parts:
        of_part = np.zeros(len(need), np.bool_)
        of_part[part.places] = True
        for plain in (True, False):
            which = of_part & ((need.views == 0) == plain)
            if which.any():
                spaces = part.setting.spaces(plain=plain)
                share = CACHE_BYTES // (2 * len(parts) * len(spaces))
                yield _Source(which, part, [store.index(space, share) for space in spaces])


def _read(need: Wanted, places: Places, sources: Sequence[_Source], width: int, repair: Repair) -> Vectors:
    """Return the vectors at these places, float32 [n, width]."""
    vectors = np.empty((len(places), width), np.float32)
    for which, part, indexes in sources:
        here = which[places]
        left = 0
        for index in indexes if here.any() else ():
            found, lost = index.read(*need.keys(places[here]))
            if lost.any():
                repair(part, places[here][lost])
                index.refresh()
                found, lost = index.read(*need.keys(places[here]))
            if lost.any():
                message = "the feature store loses vectors while they are read. Set features.store to another place."
                raise GraftError(message)
            vectors[here, left : left + found.shape[1]] = found
            left += found.shape[1]
    return vectors
