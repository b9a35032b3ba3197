"""Real backends: ``make test-backends`` obtains them and sets ``AIOBS_BACKENDS``; elsewhere nothing here is collected."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

import aiobs
from aiobs.exporters import prometheus as scraped
from tests.backends import servers

collect_ignore_glob = [] if os.environ.get("AIOBS_BACKENDS") else ["test_*.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Servers need their time to start, and ten thousand calls theirs."""
    for item in items:
        if "/backends/" in item.path.as_posix():
            item.add_marker(pytest.mark.timeout(400))


@pytest.fixture
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Collector]:
    """A collector that runs, and writes what arrives."""
    made = servers.collector(tmp_path_factory.mktemp("collector"))
    with made.running():
        yield made


@pytest.fixture(scope="session")
def phoenix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Phoenix, which is slow to start: one for all tests, each in a project of its own."""
    with servers.phoenix(tmp_path_factory.mktemp("phoenix")) as address:
        yield address


@pytest.fixture
def nothing_served() -> Iterator[None]:
    """The address for scrapes goes with the test."""
    yield
    aiobs.shutdown()
    for server, _ in scraped._served.values():
        server.shutdown()
        server.server_close()
    scraped._served.clear()
