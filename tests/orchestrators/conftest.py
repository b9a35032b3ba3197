"""Real orchestrators, each in an environment of its own: ``make test-orchestrators``.

There ``AIOBS_ORCHESTRATOR`` names the one that is installed; elsewhere nothing here is collected.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

ORCHESTRATOR = os.environ.get("AIOBS_ORCHESTRATOR", "")
collect_ignore_glob = [f"test_{name}.py" for name in ("prefect", "marvin") if name != ORCHESTRATOR]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Their libraries warn of each other, and need their time to start."""
    for item in items:
        item.add_marker(pytest.mark.filterwarnings("ignore"))
        item.add_marker(pytest.mark.timeout(180))


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """Prefect's temporary server, with a database of its own."""
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=150):
        yield
