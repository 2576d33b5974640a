"""From the manifest to a verdict, its report, and the images that may be used."""

import json
from pathlib import Path

from tasks.common.errors import GateError, QuarantineKind
from tasks.common.files import atomic_file
from tasks.common.params import Validation
from tasks.common.progress import say
from tasks.images.sources import image_folder
from tasks.tables import accepted, manifest, quarantine
from tasks.tables.quarantine import Quarantined
from tasks.validation.checkpoint import run_checkpoint
from tasks.validation.findings import describe_classes, describe_images, describe_set_aside, list_reasons
from tasks.validation.frames import class_frame, image_frame, summarise
from tasks.validation.quarantine import judge_images
from tasks.validation.report import print_failures
from tasks.validation.suite import BLOCKING, class_suite, image_suite


def validate_dataset(images: Path, manifest_file: Path, out: Path, params: Validation) -> None:
    """Write results, Data Docs, `accepted.parquet`, `quarantine.csv` and `summary.json` into the folder `out`.

    Raises:
        GateError: A blocking expectation fails; the report is written all the same.
    """
    images = image_folder(images)
    table = manifest.read(manifest_file)
    frame = table.to_pandas()
    verdicts = judge_images(frame, params.min_side)
    is_accepted = verdicts["kind"].isna()
    set_aside = frame[["path", "label"]].join(verdicts)[~is_accepted]
    quarantined = [Quarantined(*row) for row in set_aside.itertuples(index=False)]
    out.mkdir(parents=True, exist_ok=True)
    quarantine.write(out / "quarantine.csv", quarantined)
    accepted.write(out / "accepted.parquet", table, is_accepted.to_numpy())

    frames = {"images": image_frame(frame, verdicts), "classes": class_frame(frame, is_accepted)}
    suites = {
        "images": image_suite(params, describe_images(frame, set_aside, params)),
        "classes": class_suite(params, describe_classes(frames["classes"], set_aside, params)),
    }
    results = run_checkpoint(frames, suites, out / "docs")
    with atomic_file(out / "results.json") as temporary:
        rows = [result._asdict() for result in results]
        temporary.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")

    failures = [result for result in results if not result.success]
    counts = describe_set_aside(set_aside)
    warnings = [failure.message for failure in failures if failure.severity != BLOCKING] + counts
    with atomic_file(out / "summary.json") as temporary:
        summary = summarise(frame[is_accepted]) | {"warnings": warnings}
        temporary.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")

    is_other = set_aside["kind"] == QuarantineKind.OTHER_FILE
    say(f"validation: {is_accepted.sum():,} images accepted, {(~is_other).sum():,} set aside (quarantine.csv)")
    for reason in list_reasons(set_aside[~is_other]):
        say(f"validation: set aside {reason}")
    if is_other.any():
        say(f"validation: {counts[0]}")
    if failures:
        print_failures(failures)
    blocking = [failure for failure in failures if failure.severity == BLOCKING]
    if blocking:
        reasons = "; ".join(failure.message for failure in blocking)
        message = f"the dataset is not fit to train on: {reasons}. See {out / 'docs' / 'index.html'}."
        raise GateError(message)
