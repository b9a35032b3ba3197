"""Other instrumentations of the same SDKs, in an environment that has them: ``make test-coexistence``.

There ``AIOBS_COEXISTENCE`` is set; elsewhere nothing here is collected.
"""

from __future__ import annotations

import os

import pytest

collect_ignore_glob = [] if os.environ.get("AIOBS_COEXISTENCE") else ["test_*.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Their spans are theirs, and their libraries warn."""
    for item in items:
        item.add_marker(pytest.mark.filterwarnings("ignore"))
        item.add_marker(pytest.mark.nonconforming("spans of others"))
