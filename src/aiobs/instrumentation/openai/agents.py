"""Sessions of agents that the provider runs: how requests, answers and events are read.

Input for a session is ``invoke_agent``: the provider's agent acts on it for one turn. It goes on after the call has
returned, unless that streams the turn itself; asking after the session, and listening to its events, is
``fetch_response``. What a turn used is told by the event that ends it: of a stream that the call itself returned it
is the call's, of one that was opened beside it, the job's. What a session says of its usage is the sum of its turns,
and is in the session file only. Turns of subagents are part of the turn that made them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aiobs.call import Call, Choice, Job, Message, Prompt, Request, Response
from aiobs.capture.provider import Method, Operation
from aiobs.errors import answered_error
from aiobs.instrumentation.fields import fields_of, get, text
from aiobs.instrumentation.fields import items as listed
from aiobs.instrumentation.openai import items
from aiobs.instrumentation.openai.requests import as_sent, config_of
from aiobs.instrumentation.openai.responses import usage_of
from aiobs.instrumentation.records import answer_record, called_record, usage_record, with_extras
from aiobs.semconv.serialise import to_json, to_jsonable

if TYPE_CHECKING:
    from openai.types.beta import AgentSession
    from openai.types.beta.agent_session_event import AgentSessionEvent

_CONFIG = ("review",)
_RECORDED = ("agent_id", "input", "events", "metadata", "review")


# Requests


def read_create(kwargs: dict[str, Any]) -> Request:
    """Whom is asked to act, and with which model."""
    sent = as_sent(kwargs)
    agent = sent.get("agent")
    kind = get(get(get(agent, "text"), "format"), "type")
    found = {
        "agent_id": text(sent.get("agent_id")),
        "output_type": "json" if kind == "json_schema" or sent.get("output_type") is not None else None,
    }
    return Request(
        model=text(get(agent, "model")),
        params={name: value for name, value in found.items() if value is not None},
        stream=sent.get("stream") is True,
        config=config_of(sent, _CONFIG),
    )


def read_events(kwargs: dict[str, Any]) -> Request:
    """Which session goes on."""
    session = text(kwargs.get("session_id"))
    return Request(params={"conversation": session} if session is not None else {}, starts=session)


def read_asked(kwargs: dict[str, Any]) -> Request:
    """Which session is asked after."""
    session = text(kwargs.get("session_id"))
    return Request(params={"response": session} if session is not None else {}, job=session)


def read_listened(kwargs: dict[str, Any]) -> Request:
    """The same of a stream of events."""
    request = read_asked(kwargs)
    request.stream = True
    return request


def read_prompt(kwargs: dict[str, Any]) -> Prompt:
    """Instructions and tools that the agent is given, and the input."""
    sent = as_sent(kwargs)
    agent = sent.get("agent")
    given = {"instructions": get(agent, "instructions"), "tools": get(agent, "tools"), "input": sent.get("input")}
    return items.read_prompt(given)


def read_prompt_of_events(kwargs: dict[str, Any]) -> Prompt:
    """Messages, and results of tools."""
    return Prompt([message for event in listed(as_sent(kwargs).get("events")) for message in _messages(event)])


def _messages(event: Any) -> list[Message]:
    kind = get(event, "type")
    if kind == _MESSAGE:
        return items.read_messages(get(event, "input"))
    if kind == _RESULT:
        answer = to_jsonable(get(event, "output") if get(event, "success") is not False else get(event, "error"))
        call_id = text(get(event, "call_id"))
        return [{"role": "tool", "parts": [{"type": "tool_call_response", "id": call_id, "response": answer}]}]
    return []


_MESSAGE, _RESULT = "agent.session.input.message", "agent.session.input.tool_result"


def kind_of_events(kwargs: dict[str, Any]) -> Operation | None:
    """A message begins a turn; all else is about one that has begun."""
    kinds = {get(event, "type") for event in listed(as_sent(kwargs).get("events"))}
    if _MESSAGE in kinds or not kinds:
        return None
    return _CANCEL if kinds == {"agent.session.input.cancel"} else _GO_ON


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


# Session file


def session_request(call: Call) -> dict[str, Any]:
    """``model, session_id, agent`` and what else was asked for; of an environment only its type, of tools the names."""
    sent = as_sent(call.request.kwargs)
    prompt = read_prompt(sent)
    other = {key: value for key in _RECORDED if (value := sent.get(key)) is not None}
    extra = {
        "instructions": get(sent.get("agent"), "instructions"),
        "tools": [tool["name"] for tool in prompt.tools],
        "environment": text(get(sent.get("environment"), "type")),
    }
    return {
        "model": call.request.model,
        "session_id": text(sent.get("session_id")),
        **{key: to_jsonable(value) for key, value in other.items()},
        **{key: value for key, value in extra.items() if value},
    }


def session_response(call: Call) -> dict[str, Any] | None:
    """``id, model, agent, status, text, usage, finish_reason``, calls of tools; None without an answer."""
    response = call.response
    if response is None:
        return None
    choice = response.choices.get(0, Choice())
    whole = {} if isinstance(response.native, set) else fields_of(response.native)
    record = answer_record(
        response,
        choice.said("text"),
        usage=usage_record(response.usage or call.job_usage),
        status=text(whole.get("status")) or response.status,
    )
    return with_extras(
        record,
        call,
        agent=_actor(call.request.params.get("agent_id"), response),
        session_usage=usage_record(usage_of(whole.get("usage"))) if whole.get("usage") is not None else None,
        tool_calls=[called_record(called) for called in choice.calls.values()],
        reasoning=choice.said("reasoning"),
    )


def _actor(asked: Any, response: Response) -> dict[str, Any] | None:
    found = {"id": response.agent_id or asked, "name": response.agent_name}
    return found if found["id"] else None


# The table

_SESSIONS = "openai.resources.beta.agents.sessions.sessions"
_EVENTS_MODULE = "openai.resources.beta.agents.sessions.events"
_ID = ("session_id",)


def _methods(module: str, name: str, *requires: str) -> tuple[Method, ...]:
    return (
        Method(module, name, requires=requires),
        Method(module, f"Async{name}", is_async=True, requires=requires),
    )


def _operation(name: str, call: str, methods: tuple[Method, ...] = (), **readers: Any) -> Operation:
    return Operation(
        name=name,
        api=f"beta.agents.sessions.{call}",
        methods=methods,
        session_request=session_request,
        session_response=session_response,
        since="3.52",
        **readers,
    )


def _about_events(name: str) -> Operation:
    return _operation(
        name,
        "events.create",
        read_request=lambda kwargs: Request(params=read_events(kwargs).params),
        read_response=read_accepted,
        read_prompt=read_prompt_of_events,
        positional=_ID,
    )


_CANCEL = _about_events("cancel_response")
_GO_ON = _about_events("update_response")
_OPEN = _operation(
    "create_conversation",
    "create",
    read_request=lambda kwargs: Request(model=read_create(kwargs).model, stream=read_create(kwargs).stream),
    read_response=read_opened,
    read_prompt=read_prompt,
    fold_chunk=fold_event,
    settle=settle_opened,
)

OPERATIONS: tuple[Operation, ...] = (
    _operation(
        "invoke_agent",
        "create",
        _methods(_SESSIONS, "Sessions.create", "input", "stream"),
        read_request=read_create,
        read_response=read_session,
        read_prompt=read_prompt,
        fold_chunk=fold_event,
        named_after=lambda kwargs: None,
        has_jobs=True,
        instead=lambda kwargs: None if as_sent(kwargs).get("input") else _OPEN,
    ),
    _operation(
        "fetch_response",
        "retrieve",
        _methods(_SESSIONS, "Sessions.retrieve", *_ID),
        read_request=read_asked,
        read_response=read_state,
        positional=_ID,
        has_jobs=True,
    ),
    _operation(
        "fetch_response",
        "events.stream",
        _methods(_EVENTS_MODULE, "Events.stream", *_ID),
        read_request=read_listened,
        read_response=read_state,
        fold_chunk=fold_event,
        settle=settle_listened,
        positional=_ID,
        has_jobs=True,
    ),
    _operation(
        "invoke_agent",
        "events.create",
        _methods(_EVENTS_MODULE, "Events.create", *_ID, "events"),
        read_request=read_events,
        read_response=read_accepted,
        read_prompt=read_prompt_of_events,
        named_after=lambda kwargs: None,
        positional=_ID,
        has_jobs=True,
        instead=kind_of_events,
    ),
)
