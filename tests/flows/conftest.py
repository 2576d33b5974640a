"""A real Prefect server of the tests' own."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL
from prefect.testing.utilities import prefect_test_harness


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[str]:
    """Run a temporary server with a database of its own for the whole session; yield its address."""
    with prefect_test_harness(server_startup_timeout=180):
        address = PREFECT_API_URL.value()
        assert address is not None
        yield address


def write_summary_of_validation(root: Path, median_side: int) -> None:
    """Write the summary that the stage `validation` writes, for images of that size."""
    path = root / "artifacts" / "validation" / "summary.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"images": 12, "median_side": median_side}))
