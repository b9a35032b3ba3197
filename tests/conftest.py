"""What holds for every test: failures of ours are loud, nothing leaks from one test into the next."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.context import get_current

from aiobs.capture import guard
from aiobs.facade import observer


@pytest.fixture(autouse=True)
def loud_guard(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard raises instead of swallowing, but for tests marked ``quiet_guard`` (which break things on purpose)."""
    monkeypatch.setattr(guard, "loud", request.node.get_closest_marker("quiet_guard") is None)
    guard.errors.clear()


@pytest.fixture(autouse=True)
def clean_process(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Each test has its own working directory and environment, and leaves no session, patch, span or context behind."""
    for variable in list(os.environ):
        if variable.startswith(("AIOBS_", "OTEL_", "LLM_OBS_", "OPENAI_")) and variable != "AIOBS_CASSETTES":
            monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))
    yield
    monkeypatch.setattr(guard, "loud", False)
    observer.reset()
    assert trace.get_current_span(get_current()) is trace.INVALID_SPAN, "a span is still current"
