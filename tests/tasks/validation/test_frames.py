import pandas as pd

from tasks.common.errors import QuarantineKind
from tasks.validation.frames import class_frame, image_frame, summarise


def test_copies_other_files_and_empty_folders_do_not_count_against_the_dataset() -> None:
    kinds = [None, *(kind for kind in QuarantineKind)]
    manifest = pd.DataFrame({"path": [f"a/{kind}" for kind in kinds], "label": "a"})
    manifest = manifest.assign(kind=None, reason=None, phash=1, group=1)
    verdicts = pd.DataFrame({"kind": kinds, "reason": [kind and f"because {kind}" for kind in kinds]}, dtype=object)
    frame = image_frame(manifest, verdicts)
    ignored = {QuarantineKind.COPY, QuarantineKind.OTHER_FILE, QuarantineKind.EMPTY_FOLDER}
    assert frame["path"].tolist() == [f"a/{kind}" for kind in kinds if kind not in ignored]
    assert frame["set_aside"].isna().sum() == 1


def test_every_class_of_the_manifest_has_its_counts_and_its_ratio_to_the_smallest_with_images() -> None:
    manifest = pd.DataFrame({"label": ["a", "a", "a", "a", "b", "c", "c", "c", "empty", ""]})
    splits = ["train", "train", "val", "test", "val", "train", "train", None, None, None]
    is_accepted = pd.Series([split is not None for split in splits])
    frame = class_frame(manifest.assign(split=pd.Series(splits, dtype=object)), is_accepted)
    assert frame.columns.tolist() == ["label", "train", "val", "test", "images", "times_smallest"]
    assert frame.astype(object).where(frame.notna(), None).to_numpy().tolist() == [
        ["a", 2, 1, 1, 4, 4.0],
        ["b", 0, 1, 0, 1, 1.0],
        ["c", 2, 0, 0, 2, 2.0],
        ["empty", None, None, None, 0, 0.0],
    ]


def test_classes_without_any_image_are_counted_too() -> None:
    manifest = pd.DataFrame({"label": ["a", "b"], "split": pd.Series([None, None], dtype=object)})
    frame = class_frame(manifest, pd.Series([False, False]))
    assert frame["images"].tolist() == [0, 0]
    assert frame["times_smallest"].tolist() == [0.0, 0.0]


def test_the_summary_counts_images_and_gives_the_median_of_their_shorter_sides() -> None:
    accepted = pd.DataFrame({"width": [640, 30, 100], "height": [480, 200, 90]})
    assert summarise(accepted) == {"images": 3, "median_side": 90.0}
    assert summarise(accepted.head(0)) == {"images": 0, "median_side": 0.0}
