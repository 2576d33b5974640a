"""A real Prefect server of the tests' own."""

from collections.abc import Iterator

import pytest
from prefect.testing.utilities import prefect_test_harness


@pytest.fixture(scope="session", autouse=True)
def prefect_server() -> Iterator[None]:
    """Run a temporary server with a database of its own for the whole session."""
    with prefect_test_harness(server_startup_timeout=60):
        yield
