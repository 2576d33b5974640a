"""A real Prefect server of the tests' own."""

from collections.abc import Iterator

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
