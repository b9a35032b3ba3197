"""Providers that a program lets go of are gone, whatever aiobs remembers of them."""

from __future__ import annotations

import gc
import weakref

import pytest
from opentelemetry.sdk.trace import TracerProvider

import aiobs
from aiobs import Instrumentor, configure, observer
from aiobs.seen import Seen


class Thing:
    """Anything."""


class Slotted:
    """What no weak reference leads to."""

    __slots__ = ()


@pytest.mark.parametrize("kind", [Thing, Slotted])
def test_seen_until_discarded(kind: type) -> None:
    """By identity: another one of the same kind is another one."""
    seen, thing = Seen(), kind()
    assert thing not in seen
    seen.add(thing)
    assert thing in seen
    assert kind() not in seen
    seen.discard(thing)
    seen.discard(thing)
    assert thing not in seen


def test_what_is_gone_leaves_nothing_behind() -> None:
    """Nor is another object taken for it that lies in the same place."""
    seen = Seen()
    for _ in range(100):
        thing = Thing()
        assert thing not in seen
        seen.add(thing)
    del thing
    assert not seen._found


@pytest.mark.parametrize("way", ["instrument", "configure", "session"])
def test_providers_of_the_program_die(way: str) -> None:
    """A program that makes one per test, or per tenant, keeps the newest at most."""
    made = []
    for _ in range(5):
        provider = TracerProvider(shutdown_on_exit=False)
        if way == "instrument":
            Instrumentor(tracer_provider=provider).instrument()
        elif way == "configure":
            configure(exporters=["memory"], tracer_provider=provider)
        else:
            observer.observe(tracer_provider=provider)
            observer.end()
        made.append(weakref.ref(provider))
    del provider
    aiobs.shutdown()
    gc.collect()
    assert [reference() for reference in made if reference() is not None] == []
