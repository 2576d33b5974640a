import pandas as pd

from tasks.common.errors import QuarantineKind
from tasks.validation.frames import class_frame, image_frame, summarise


def test_only_images_whose_kind_is_copy_do_not_count_against_the_dataset() -> None:
    manifest = pd.DataFrame({"path": ["a/1", "a/2", "a/3", "b/1"], "label": list("aaab")})
    manifest = manifest.assign(kind=None, reason=None, phash=1, group=1)
    verdicts = pd.DataFrame(
        {
            "kind": [None, QuarantineKind.COPY, QuarantineKind.DAMAGED, QuarantineKind.CONFLICTING_LABEL],
            "reason": [None, "copy of a/1", "copy of a/1", "the same image is a/9, of another class"],
        },
        dtype=object,
    )
    frame = image_frame(manifest, verdicts)
    assert frame["path"].tolist() == ["a/1", "a/3", "b/1"]
    assert frame["set_aside"].dropna().tolist() == ["copy of a/1", "the same image is a/9, of another class"]


def test_a_class_has_its_counts_and_its_ratio_to_the_smallest() -> None:
    accepted = pd.DataFrame({"label": list("aaaabc"), "split": ["train", "train", "val", "test", "val", "train"]})
    assert class_frame(accepted).to_dict("records") == [
        {"label": "a", "train": 2, "val": 1, "test": 1, "images": 4, "times_smallest": 4.0},
        {"label": "b", "train": 0, "val": 1, "test": 0, "images": 1, "times_smallest": 1.0},
        {"label": "c", "train": 1, "val": 0, "test": 0, "images": 1, "times_smallest": 1.0},
    ]


def test_the_summary_counts_images_and_gives_the_median_of_their_shorter_sides() -> None:
    accepted = pd.DataFrame({"width": [640, 30, 100], "height": [480, 200, 90]})
    assert summarise(accepted) == {"images": 3, "median_side": 90.0}
    assert summarise(accepted.head(0)) == {"images": 0, "median_side": 0.0}
