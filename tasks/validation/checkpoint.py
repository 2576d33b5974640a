"""A Great Expectations checkpoint over data frames, with Data Docs and no trace of when or where it ran."""

import html
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")

import great_expectations as gx
import pandas as pd
from great_expectations.checkpoint import Checkpoint
from great_expectations.core.run_identifier import RunIdentifier
from great_expectations.data_context.types.base import ProgressBarsConfig

# Tracked outputs hold no timestamps: every report carries this one.
NO_TIME = datetime(2000, 1, 1, tzinfo=UTC)
# The pages state when the run and the build took place, and link their parts by random numbers.
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MOMENT = re.compile(r"\d{8}T\d{6}\.\d{6}Z")


class Result(NamedTuple):
    """The outcome of one expectation, as a row of results.json; `message` says it in a sentence."""

    expectation: str
    severity: str
    success: bool
    found: str
    message: str


def run_checkpoint(frames: dict[str, pd.DataFrame], suites: dict[str, gx.ExpectationSuite], docs: Path) -> list[Result]:
    """Check each frame against the suite of the same name and build Data Docs in the folder `docs`."""
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
    results = []
    for name, frame in frames.items():
        batch = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("all")
        suite = context.suites.add(suites[name])
        definition = context.validation_definitions.add(gx.ValidationDefinition(name=name, data=batch, suite=suite))
        checkpoint = context.checkpoints.add(Checkpoint(name=name, validation_definitions=[definition]))
        outcome = checkpoint.run(
            batch_parameters={"dataframe": frame}, run_id=RunIdentifier(run_name="graft", run_time=NO_TIME)
        )
        results += [_result(result) for report in outcome.run_results.values() for result in report.results]
    context.build_data_docs()
    for page in docs.rglob("*.html"):
        page.write_text(_make_repeatable(page.read_text(encoding="utf-8")), encoding="utf-8")
    return results


def _make_repeatable(page: str) -> str:
    """Replace times by NO_TIME and random numbers by numbers in order of appearance."""
    numbers: dict[str, str] = {}

    def number(match: re.Match[str]) -> str:
        return numbers.setdefault(match[0], f"part-{len(numbers)}")

    return UUID.sub(number, MOMENT.sub(NO_TIME.strftime("%Y%m%dT%H%M%S.%fZ"), page))


def _result(result: Any) -> Result:
    config = result.expectation_config
    settings = ", ".join(f"{key} {value}" for key, value in config.kwargs.items() if key != "batch_id")
    details = result.result
    found = details.get("observed_value", details.get("partial_unexpected_list"))
    if "unexpected_percent" in details:
        found = f"{details['unexpected_count']} of {details['element_count']}: {found}"
    expectation = f"{config.type.removeprefix('expect_')} ({settings})"
    return Result(
        expectation=expectation,
        severity=str(getattr(config.severity, "value", config.severity)),
        success=bool(result.success),
        found=str(found),
        message=html.unescape(config.description) if config.description else f"{expectation}: found {found}",
    )
