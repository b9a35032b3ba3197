"""Sessions of agents that the provider runs: what is asked of them, and what the session file has of it.

Input for a session is ``invoke_agent``: the provider's agent acts on it for one turn. It goes on after the call has
returned, unless that streams the turn itself; asking after the session, and listening to its events, is
``fetch_response``. ``agent_events`` reads what comes back.
"""

from __future__ import annotations

from typing import Any

from aiobs.call import Call, Choice, Message, Prompt, Request, Response
from aiobs.capture.provider import Method, Operation
from aiobs.instrumentation.fields import fields_of, get, text
from aiobs.instrumentation.fields import items as listed
from aiobs.instrumentation.openai import items
from aiobs.instrumentation.openai.agent_events import (
    fold_event,
    read_accepted,
    read_opened,
    read_session,
    read_state,
    settle_listened,
    settle_opened,
)
from aiobs.instrumentation.openai.requests import as_sent, config_of
from aiobs.instrumentation.openai.responses import usage_of
from aiobs.instrumentation.records import answer_record, called_record, usage_record, with_extras
from aiobs.semconv.serialise import to_jsonable

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
