"""Scoring: the images that are new since the last run are predicted, part by part."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from graft.classifier import Classifier, Prediction
from graft.scoring.images import list_images
from graft.scoring.results import Results, reason_for_review
from tasks.common.files import atomic_file
from tasks.common.hashing import hash_file
from tasks.common.progress import track
from tasks.common.text import readable

IMAGES_IN_A_PART = 10_000
"""An interrupted run loses at most the work on so many images."""


class Summary(NamedTuple):
    """The numbers of images of a run.

    Attributes:
        location: folder or bucket, without credentials.
        images: there.
        scored_before: of these, in the results already.
        new: of these, scored in this run.
        unknown: new ones that the model does not know.
        uncertain: new ones that it knows, whose class is not probable enough.
        unreadable: new ones that could not be read.
        classes: new ones by their class, those that are unknown and unreadable left out.
        for_review: in review.csv, new and old.
    """

    location: str
    images: int
    scored_before: int
    new: int
    unknown: int
    uncertain: int
    unreadable: int
    classes: dict[str, int]
    for_review: int


def score(model: Path, location: str, results: Results, uncertain_below: float) -> Summary:
    """Predict the new and changed images below a folder or an address, and add them to the results.

    An image counts as scored if the results have its name with the same size and time of change. The list of images for
    review is written anew, and so is `summary.json`.

    Raises:
        GraftError: The model, the folder of images or a part of the results cannot be used.
        DownloadError: The bucket cannot be used at the moment.
    """
    classifier = Classifier(model)
    listing = list_images(location)
    with results.lock():
        scored = {result.path: result.version for result in results.latest()}
        new = [image for image in listing.images if scored.get(readable(image.source.name)) != image.version]
        reasons, classes = Counter[str](), Counter[str]()

        def count(predictions: Iterable[Prediction]) -> Iterator[Prediction]:
            for prediction in predictions:
                reason = reason_for_review(prediction, uncertain_below)
                reasons[reason or ""] += 1
                if reason in {None, "uncertain"}:
                    classes[str(prediction.label)] += 1
                yield prediction

        predictions = count(classifier.stream(image.source for image in new))
        tracked = track(predictions, len(new), "graft score") if new else predictions
        sha256 = hash_file(model)
        for start in range(0, len(new), IMAGES_IN_A_PART):
            versions = [image.version for image in new[start : start + IMAGES_IN_A_PART]]
            part = (next(tracked) for _ in versions)
            results.append(part, versions, classifier.classes, sha256)
        # The line of progress that follows the last image.
        next(tracked, None)
        summary = Summary(
            location=readable(listing.location),
            images=len(listing.images),
            scored_before=len(listing.images) - len(new),
            new=len(new),
            unknown=reasons["unknown"],
            uncertain=reasons["uncertain"],
            unreadable=reasons["unreadable"],
            classes={name: classes[name] for name in classifier.classes if classes[name]},
            for_review=results.write_review(listing, uncertain_below),
        )
        with atomic_file(results.folder / "summary.json") as temporary:
            text = json.dumps(summary._asdict(), indent=1, ensure_ascii=False)
            temporary.write_text(text + "\n", encoding="utf-8")
    return summary
