"""Threads that a program starts by itself: with the extra ``threads`` they have the context of where they were started."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry.instrumentation.threading import ThreadingInstrumentor

import aiobs
from aiobs import observer, span
from aiobs.testing import InMemoryTelemetry


@pytest.fixture
def threads() -> Iterator[None]:
    """What ``opentelemetry-instrument`` does where the extra is installed."""
    ThreadingInstrumentor().instrument()
    yield
    ThreadingInstrumentor().uninstrument()


def work() -> None:
    with span("work"):
        pass


def in_a_thread() -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def in_a_pool() -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result()


@pytest.mark.parametrize("run", [in_a_thread, in_a_pool])
def test_a_thread_has_the_context_of_its_start(signals: InMemoryTelemetry, threads: None, run) -> None:
    """S1-82: span, session and what ``aiobs.context`` says, without copy_context."""
    observer.observe("around", tracer_provider=signals.tracer_provider)
    with aiobs.context(user_id="ann"), span("outer"):
        run()
    found, outer = signals.span("work"), signals.span("outer")
    assert found.parent is not None
    assert found.parent.span_id == outer.context.span_id
    assert (found.attributes["user.id"], found.attributes["session.name"]) == ("ann", "around")


@pytest.mark.parametrize("run", [in_a_thread, in_a_pool])
def test_a_thread_without_it(signals: InMemoryTelemetry, run) -> None:
    """S1-82: a span of its own trace; the session is the process's, what the block says is not there."""
    observer.observe("around", tracer_provider=signals.tracer_provider)
    with aiobs.context(user_id="ann"), span("outer"):
        run()
    found = signals.span("work")
    assert found.parent is None
    assert found.attributes["session.name"] == "around"
    assert "user.id" not in found.attributes
