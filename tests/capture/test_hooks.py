"""Hooks: what they may do to a call; and how a failure of ours is told. What else breaks: ``tests/chaos``."""

from __future__ import annotations

from typing import Any

import pytest

from aiobs import Instrumentor, guard
from aiobs.errors import AiobsError
from aiobs.testing import Simulator
from tests.versions import needs

pytestmark = pytest.mark.quiet_guard
ASK = [{"role": "user", "content": "What is an API?"}]


class Broken(Exception):
    """What a broken collaborator raises."""


def broken(*args: Any, **kwargs: Any) -> Any:
    raise Broken("broken")


class Hook:
    """A hook that raises what it is given."""

    def __init__(self, before: Exception | None = None, finish: Exception | None = None) -> None:
        self.before_error, self.finish_error = before, finish

    def before(self, call: Any) -> None:
        if self.before_error:
            raise self.before_error

    def finish(self, call: Any) -> dict[str, Any]:
        if self.finish_error:
            raise self.finish_error
        return {"aiobs.cost.usd": 0.25, "bad": object()}


@pytest.mark.nonconforming("the hook writes attributes of its own")
def test_a_broken_hook(simulator: Simulator, signals) -> None:
    """A hook that raises anything but an AiobsError is swallowed; the hooks after it run."""
    Instrumentor(**signals.providers, hooks=[Hook(Broken()), Hook(finish=Broken()), Hook()]).instrument()
    simulator.openai().chat.completions.create(model="m", messages=ASK)
    assert signals.span().attributes["aiobs.cost.usd"] == 0.25


@pytest.mark.nonconforming("the hook writes attributes of its own")
def test_a_hook_may_refuse_a_call(simulator: Simulator, signals) -> None:
    """The one thing that we raise into a program: an AiobsError of a hook. No request goes out, the span fails."""

    class Refused(AiobsError):
        pass

    Instrumentor(**signals.providers, hooks=[Hook(Refused("enough"))]).instrument()
    with pytest.raises(Refused, match="enough"):
        simulator.openai().chat.completions.create(model="m", messages=ASK)
    assert simulator.requests == []
    assert signals.span().attributes["error.type"].endswith("Refused")


@needs("openai arguments and ids of late 2024")
@pytest.mark.nonconforming("the hook writes attributes of its own")
def test_a_hook_may_add_to_the_request(simulator: Simulator, signals) -> None:
    """Additions go out; the program's own arguments are not changed."""

    class Adding(Hook):
        def before(self, call: Any) -> None:
            call.request.additions["metadata"] = {"run": "7"}

    arguments = {"model": "m", "messages": ASK}
    Instrumentor(**signals.providers, hooks=[Adding()]).instrument()
    simulator.openai().chat.completions.create(**arguments)
    assert simulator.requests[0].json["metadata"] == {"run": "7"}
    assert arguments == {"model": "m", "messages": ASK}


def test_failures_are_logged_once_per_cause_and_counted(simulator: Simulator, signals, monkeypatch, caplog) -> None:
    """S1-88: one WARNING per cause, without the text of the exception, and a count of all."""
    Instrumentor(**signals.providers).instrument()
    monkeypatch.setattr("aiobs.capture.recording.end_attributes", broken)
    for _ in range(3):
        simulator.openai().chat.completions.create(model="m", messages=ASK)
    (cause,) = guard.errors
    assert guard.errors[cause] == 3
    assert signals.metrics()["aiobs.internal.errors"][0].value == 3
    (record,) = [record for record in caplog.records if record.name == "aiobs"]
    assert record.levelname == "WARNING"
    assert "the program is not affected" in record.getMessage()
