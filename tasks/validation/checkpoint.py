"""A Great Expectations checkpoint over data frames, with Data Docs and no trace of when or where it ran."""

import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")

import great_expectations as gx
import pandas as pd
from great_expectations.checkpoint import Checkpoint
from great_expectations.core.run_identifier import RunIdentifier
from great_expectations.data_context.types.base import ProgressBarsConfig

from tasks.validation.offline import make_offline

# Tracked outputs hold no timestamps: every report carries this one.
NO_TIME = datetime(2000, 1, 1, tzinfo=UTC)
# The pages state when the run and the build took place, and link their parts by random numbers.
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MOMENT = re.compile(r"\d{8}T\d{6}\.\d{6}Z")


class Verdict(NamedTuple):
    """The verdict of an expectation: whether it holds, and how many of the rows break it."""

    success: bool
    broken: int
    rows: int


def run_checkpoint(
    frames: Mapping[str, pd.DataFrame], suites: Mapping[str, gx.ExpectationSuite], docs: Path
) -> dict[str, Verdict]:
    """Check the frame of each suite, build Data Docs in the folder `docs`, and return the verdict on each column."""
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    context.add_data_docs_site(
        "local",
        {
            "class_name": "SiteBuilder",
            "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(docs.resolve())},
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
        },
    )
    source = context.data_sources.add_pandas("dataset")
    verdicts = {}
    for name, suite in suites.items():
        batch = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("all")
        definition = context.validation_definitions.add(
            gx.ValidationDefinition(name=name, data=batch, suite=context.suites.add(suite))
        )
        checkpoint = context.checkpoints.add(Checkpoint(name=name, validation_definitions=[definition]))
        outcome = checkpoint.run(
            batch_parameters={"dataframe": frames[name]}, run_id=RunIdentifier(run_name="graft", run_time=NO_TIME)
        )
        for report in outcome.run_results.values():
            for result in report.results:
                counts = result.result
                verdicts[result.expectation_config.kwargs["column"]] = Verdict(
                    bool(result.success), counts.get("unexpected_count", 0), counts.get("element_count", 0)
                )
    context.build_data_docs()
    make_offline(docs)
    for page in docs.rglob("*.html"):
        page.write_text(_make_repeatable(page.read_text(encoding="utf-8")), encoding="utf-8")
    return verdicts


def _make_repeatable(page: str) -> str:
    """Replace times by NO_TIME and random numbers by numbers in order of appearance."""
    numbers: dict[str, str] = {}

    def number(match: re.Match[str]) -> str:
        return numbers.setdefault(match[0], f"part-{len(numbers)}")

    return UUID.sub(number, MOMENT.sub(NO_TIME.strftime("%Y%m%dT%H%M%S.%fZ"), page))
