"""From the vectors that are wanted to a store that has them: what is missing is computed, and nothing else."""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, overload

import numpy as np
import numpy.typing as npt
import onnx

from tasks.common import params
from tasks.common.files import cache_folder
from tasks.common.progress import say, track
from tasks.common.threads import available_cores
from tasks.features.extractor import Augmentation, Batch, Engine, Item
from tasks.features.request import Wanted
from tasks.features.runtimes import Precision, Runtime, load, name
from tasks.features.store import Store
from tasks.features.store.collection import Collection, Description, Keys
from tasks.images import augmentation
from tasks.onnx import graphs
from tasks.onnx.int8 import quantization
from tasks.onnx.sessions import Session

SEGMENT_BYTES = 8 << 20
SEGMENT_ROWS = 1024


class Tap(NamedTuple):
    """An output of the base: the layer that it comes from, its tensor in the graph, the length of its vectors."""

    layer: str
    tensor: str
    width: int


class Setting(NamedTuple):
    """What computes vectors: the graph from `image` to its taps, and what runs it.

    `plain` and `augmented` are the spaces of the taps' vectors, of plain images and of further views.
    """

    backbone: str
    model: bytes
    taps: tuple[Tap, ...]
    runtime: Runtime
    precision: Precision
    augmentation: Augmentation
    plain: tuple[Collection, ...]
    augmented: tuple[Collection, ...]

    def run_by(self, runtime: Runtime, precision: Precision) -> "Setting":
        """Return the same graph run in another way; raises GraftError when the runtime is missing."""
        made = [
            tuple(space._replace(runtime=name(runtime), precision=precision) for space in spaces)
            for spaces in (self.plain, self.augmented)
        ]
        return self._replace(runtime=runtime, precision=precision, plain=made[0], augmented=made[1])

    def spaces(self, *, plain: bool) -> tuple[Collection, ...]:
        """Return the space of each tap."""
        return self.plain if plain else self.augmented

    def labels(self) -> list[Description]:
        """Return what people are shown of each tap's space."""
        return [Description(self.backbone, tap.layer) for tap in self.taps]


def views(section: params.Augmentation) -> Augmentation:
    """Return how views beyond the plain one are made."""
    return Augmentation(augmentation.AugmentationSpec(**section.model_dump(exclude={"seed"})), section.seed)


def setting(model: onnx.ModelProto, by: Augmentation, runtime: Runtime, precision: Precision) -> Setting:
    """Return how the vectors of a backbone graph are computed, and the spaces that they lie in."""
    version = name(runtime)  # before the work that int8 is
    if precision == "int8":
        model = quantization.quantize_backbone(model)
    facts = graphs.metadata(model)
    taps = tuple(Tap(**row) for row in json.loads(facts["taps"]))
    resize = graphs.digest(model, "image", "resized")
    plain = tuple(
        Collection(resize, graphs.digest(model, "resized", tap.tensor), "", version, precision, tap.width)
        for tap in taps
    )
    identity = augmentation.identity(by.spec, by.seed)
    augmented = tuple(space._replace(augmentation=identity) for space in plain)
    backbone = json.loads(facts["backbone"])["name"]
    return Setting(backbone, model.SerializeToString(), taps, runtime, precision, by, plain, augmented)


def where(store: str | None) -> str:
    """Return the place of the feature store: `features.store`, GRAFT_STORE, or a folder in the user's cache."""
    return store or os.environ.get("GRAFT_STORE") or str(cache_folder() / "features")


def missing(store: Store, setting: Setting, wanted: Wanted, places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return those of `places` whose vector the store lacks at one tap or more."""
    lacking = np.zeros(len(places), np.bool_)
    for plain in (True, False):
        here = (wanted.views[places] == 0) == plain
        if here.any():
            for space in setting.spaces(plain=plain):
                lacking[here] |= store.index(space).missing(*wanted.keys(places[here]))
    return places[lacking]


@dataclass(frozen=True, eq=False)
class Work(Sequence[Item]):
    """The vectors at some places among those wanted. They become items when they are taken: there may be millions."""

    wanted: Wanted
    places: npt.NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of vectors."""
        return len(self.places)

    @overload
    def __getitem__(self, chosen: int) -> Item: ...

    @overload
    def __getitem__(self, chosen: slice) -> list[Item]: ...

    def __getitem__(self, chosen: int | slice) -> Item | list[Item]:
        """Return an item, or a list of some; raises IndexError."""
        if isinstance(chosen, int):
            return self._items(self.places[[chosen]])[0]
        return self._items(self.places[chosen])

    def _items(self, places: npt.NDArray[np.int64]) -> list[Item]:
        found = self.wanted
        rows, views = found.rows[places].tolist(), found.views[places].tolist()
        return [
            Item(found.paths[row], image.tobytes().hex(), view)
            for row, image, view in zip(rows, found.images[places], views, strict=True)
        ]


class Means(NamedTuple):
    """What a run computes with: the images' folder, the store, images a pass, threads (None: one a core).

    `label` stands before what the run tells.
    """

    root: Path
    store: Store
    batch_size: int
    threads: int | None
    label: str


def compute(work: Sequence[Item], setting: Setting, means: Means) -> dict[str, str]:
    """Compute the vectors of `work` and write them into the store, a segment at a time; return what was refused.

    What was written stays when the process ends early: at most one segment of work is lost.
    """
    workers = means.threads or available_cores()
    made = engine(means.root, setting, workers)
    refused: dict[str, str] = {}
    for batch in track(
        fill(made, work, setting, means.store, means.batch_size, workers), len(work), means.label, size=len
    ):
        refused |= batch.refused
    for path, reason in refused.items():
        say(f"{means.label}: {path} is set aside: {reason}")
    return refused


def engine(root: Path, setting: Setting, threads: int) -> Engine:
    """Return what computes a setting's vectors of the images below `root` in `threads` threads; raises GraftError."""
    model = onnx.load_from_string(setting.model)
    return Engine(
        root,
        Session(graphs.extract(model, "image", "resized"), threads=1),
        load(model, [tap.tensor for tap in setting.taps], setting.runtime, setting.precision, threads),
        setting.augmentation,
    )


def fill(
    made: Engine, work: Sequence[Item], setting: Setting, store: Store, batch_size: int, threads: int
) -> Iterator[Batch]:
    """Compute the vectors of `work` into the store, a segment at a time; yield each batch when it is done."""
    writer = _Writer(store, setting)
    for batch in made.run(work, batch_size, threads):
        writer.add(batch)
        yield batch
    writer.flush()


def segment_rows(setting: Setting) -> int:
    """Return how many vectors make a segment: quick to read, and quick to compute again when they are lost."""
    return max(1, min(SEGMENT_ROWS, SEGMENT_BYTES // (4 * max(tap.width for tap in setting.taps))))


class _Writer:
    """Collects vectors to segments of a size that is quick to read and quick to have lost."""

    def __init__(self, store: Store, setting: Setting) -> None:
        self._store = store
        self._spaces = {plain: setting.spaces(plain=plain) for plain in (True, False)}
        self._labels = setting.labels()
        self._rows = segment_rows(setting)
        self._waiting: list[Batch] = []

    def add(self, batch: Batch) -> None:
        self._waiting.append(batch)
        if sum(len(one.items) for one in self._waiting) >= self._rows:
            self.flush()

    def flush(self) -> None:
        batches = [batch for batch in self._waiting if batch.items]
        self._waiting = []
        if not batches:
            return
        found = [item for batch in batches for item in batch.items]
        keys = Keys(
            np.frombuffer(b"".join(bytes.fromhex(item.sha256) for item in found), np.uint8).reshape(-1, 32),
            np.array([item.view for item in found], np.uint16),
        )
        for tap, label in enumerate(self._labels):
            vectors = np.concatenate([batch.vectors[tap] for batch in batches]).astype(np.float32, copy=False)
            for plain, spaces in self._spaces.items():
                here = (keys.views == 0) == plain
                self._store.write(spaces[tap], label, keys.images[here], keys.views[here], vectors[here])
