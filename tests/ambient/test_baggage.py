"""Labels in W3C baggage: what is sent to other services, and what is taken from them."""

from __future__ import annotations

import pytest
from opentelemetry import baggage, propagate
from opentelemetry.context import attach, detach

import aiobs
from aiobs import observe, observer
from aiobs.testing import InMemoryTelemetry


@observe
def work() -> None:
    """An observed function that does nothing."""


def sent() -> dict[str, str]:
    """The headers of a request that starts now."""
    headers: dict[str, str] = {}
    propagate.inject(headers)
    return headers


def test_nothing_is_sent_by_default(signals: InMemoryTelemetry) -> None:
    """S1-91: labels may be private."""
    with observer.session("s", labels={"team": "ml"}, tracer_provider=signals.tracer_provider):
        assert "baggage" not in sent()


def test_what_the_allowlist_names_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """S1-91: as it is now, and not after the session."""
    monkeypatch.setenv("AIOBS_BAGGAGE_LABELS", "team, environment")
    with observer.session("s", labels={"team": "ml", "secret": "x"}):
        assert sent()["baggage"] == "label.team=ml"
        observer.add_label("environment", "prod")
        observer.remove_label("team")
        assert sent()["baggage"] == "label.environment=prod"
        with aiobs.context(labels={"team": "web"}):
            assert set(sent()["baggage"].split(",")) == {"label.environment=prod", "label.team=web"}
    assert "baggage" not in sent()


@pytest.mark.parametrize(
    ("header", "labels"),
    [
        ("label.team=ml,other=1", {"label.team": "ml"}),
        ("label.Team=ml", {}),
        ("label.aiobs_os=spoofed", {}),
        ("label.team=" + "x" * 300, {}),
        (",".join(f"label.l{n}=1" for n in range(100)), {f"label.l{n}": "1" for n in range(64)}),
    ],
)
def test_received_labels_are_stamped(instrumented: InMemoryTelemetry, header: str, labels: dict[str, str]) -> None:
    """S1-91: those that a user may set, and not more than a session may have."""
    token = attach(propagate.extract({"baggage": header}))
    try:
        work()
    finally:
        detach(token)
    (span,) = instrumented.spans
    found = {key: value for key, value in span.attributes.items() if key.startswith("label.")}
    assert found == labels


def test_a_session_wins_over_what_is_received(signals: InMemoryTelemetry) -> None:
    """S1-91: a caller cannot change the labels of this service."""
    with observer.session("s", labels={"team": "ml"}, tracer_provider=signals.tracer_provider):
        token = attach(baggage.set_baggage("label.team", "other", baggage.set_baggage("label.tier", "gold")))
        work()
        detach(token)
    (span,) = signals.spans
    assert (span.attributes["label.team"], span.attributes["label.tier"]) == ("ml", "gold")
