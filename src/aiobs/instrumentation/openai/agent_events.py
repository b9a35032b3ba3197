"""Sessions of agents that the provider runs: what their answers and their events tell.

What a turn used is told by the event that ends it: of a stream that the call itself returned it is the call's, of one
that was opened beside it, the job's. What a session says of its usage is the sum of its turns, and is in the session
file only. Turns of subagents are part of the turn that made them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aiobs.call import Choice, Job, Response
from aiobs.errors import answered_error
from aiobs.instrumentation.fields import fields_of, get, text
from aiobs.instrumentation.openai import items
from aiobs.instrumentation.openai.responses import usage_of
from aiobs.semconv.serialise import to_json

if TYPE_CHECKING:
    from openai.types.beta import AgentSession
    from openai.types.beta.agent_session_event import AgentSessionEvent


# Answers


def read_session(result: AgentSession | Any) -> Response:
    """Who acts, and how far it is."""
    response = Response(request_id=text(getattr(result, "_request_id", None)), native=result)
    _read(response, result)
    return response


def read_state(result: AgentSession | Any) -> Response:
    """The same of a session that was asked after."""
    response = read_opened(result)
    response.conversation, response.status = None, text(fields_of(result).get("status"))
    return response


def read_opened(result: AgentSession | Any) -> Response:
    """The same of a session in which nobody acts yet."""
    response = read_session(result)
    response.agent_id = response.agent_name = None
    return response


def read_accepted(result: Any) -> Response:
    """What was sent was accepted; there is no answer."""
    return Response()


def _read(response: Response, session: Any) -> None:
    fields = fields_of(session)
    agent, status = fields.get("agent"), text(fields.get("status"))
    response.id = response.conversation = text(fields.get("id")) or response.id
    response.model = text(get(agent, "model")) or response.model
    response.agent_id = text(get(agent, "id")) or response.agent_id
    response.agent_name = text(get(agent, "name")) or response.agent_name
    if response.id is not None and status is not None:
        usage = response.job.usage if response.job is not None else None
        response.job = Job(response.id, status not in _GOES_ON, usage=usage)
    if status == "failed":
        response.failure = answered_error(None, text(fields.get("error")))


_GOES_ON = ("in_progress", "requires_action")


# Events


def fold_event(response: Response, event: AgentSessionEvent | Any) -> None:
    """Add one event of a session."""
    kind = text(get(event, "type")) or ""
    if (read := _EVENTS.get(kind)) is not None:
        read(response, event)
    elif response.wants_content and (say := _SAID.get(kind)) is not None:
        delta = get(event, "delta")
        if isinstance(delta, str) and not _is_of_subagent(response, event):
            response.choices.setdefault(0, Choice()).say(say, delta)


_SAID = {
    "agent.session.turn.output_text.delta": "text",
    "agent.session.turn.reasoning_summary_text.delta": "reasoning",
}


def _is_of_subagent(response: Response, event: Any) -> bool:
    turn = text(get(event, "turn_id"))
    return isinstance(response.native, set) and turn in response.native


def _about_session(response: Response, event: Any) -> None:
    session = get(event, "session")
    if response.job is None or get(session, "status") == "failed":
        _read(response, session)
    if get(session, "status") == "failed":
        _end(response, "error")


def _turn_began(response: Response, event: Any) -> None:
    """A new turn of the agent, or of one that it has made, whose turns are remembered: ``native`` are their ids."""
    if get(get(event, "turn"), "subagent_id") is not None:
        if not isinstance(response.native, set):
            response.native = set()
        if len(response.native) < _MOST:
            response.native.add(text(get(event, "turn_id")))
        return
    response.choices.setdefault(0, Choice()).finish_reason = None


_MOST = 1024
"""Turns of subagents of one turn."""


def _turn_ended(response: Response, event: Any) -> None:
    turn = get(event, "turn")
    if get(turn, "subagent_id") is not None:
        return
    status = text(get(turn, "status")) or (text(get(event, "type")) or "").rpartition(".")[2]
    response.id = response.id or text(get(event, "session_id"))
    response.conversation = response.conversation or response.id
    response.agent_id = text(get(turn, "agent_id")) or response.agent_id
    response.usage = usage_of(get(event, "usage") or get(turn, "usage")) or response.usage
    error = get(turn, "error")
    is_failed = status == "failed"
    response.failure = answered_error(text(get(error, "code")), text(get(error, "message"))) if is_failed else None
    if response.id is not None:
        response.job = Job(response.id, is_done=True, usage=response.usage)
    _end(response, {"completed": "stop", "failed": "error"}.get(status, status))


def _end(response: Response, reason: str) -> None:
    response.choices.setdefault(0, Choice()).finish_reason = reason


def _needs_action(response: Response, event: Any) -> None:
    _end(response, "tool_calls")


def _called(response: Response, event: Any) -> None:
    """An item is complete; what was said in messages came piece by piece already."""
    item = get(event, "item")
    if not response.wants_content or _is_of_subagent(response, event) or get(item, "type") in ("message", "reasoning"):
        return
    choice = response.choices.setdefault(0, Choice())
    items.fold_item(choice, item)
    if get(item, "type") == "function_call" and not isinstance(arguments := get(item, "arguments"), (str, type(None))):
        choice.call(text(get(item, "id")) or text(get(item, "call_id"))).arguments = [to_json(arguments)]


def _trouble(response: Response, event: Any) -> None:
    """An error that the program gets as an event; what follows may be good."""
    error = get(event, "error")
    response.failure = answered_error(text(get(error, "code")), text(get(error, "message")))


_EVENTS: dict[str, Callable[[Response, Any], None]] = {
    "agent.session.created": _about_session,
    "agent.session.in_progress": _about_session,
    "agent.session.failed": _about_session,
    "agent.session.requires_action": _needs_action,
    "agent.session.turn.created": _turn_began,
    "agent.session.turn.completed": _turn_ended,
    "agent.session.turn.failed": _turn_ended,
    "agent.session.turn.cancelled": _turn_ended,
    "agent.session.turn.item.done": _called,
    "error": _trouble,
}


def settle_listened(response: Response) -> None:
    """Of a stream that was opened beside the turn: what that used belongs to the job."""
    response.usage = response.conversation = response.agent_id = response.agent_name = None
    if response.job is not None:
        response.status = response.choices[0].finish_reason if response.choices else None


def settle_opened(response: Response) -> None:
    """Of a stream in which nobody was asked to act."""
    response.agent_id = response.agent_name = None
