"""The connections of the SDK: which methods dial, send, receive and close them, and which readers each has."""

from __future__ import annotations

from typing import Any

from aiobs.call import Response
from aiobs.capture.provider import Method, Operation, Seam, Socket
from aiobs.capture.sockets import close
from aiobs.instrumentation.fields import text
from aiobs.instrumentation.openai import (
    connected,
    decisions,
    live,
    realtime,
    realtime_events,
    realtime_sessions,
    responses,
)

_SESSION = Operation(
    name="realtime_session",
    api="realtime.connect",
    methods=(),
    read_request=realtime.read_session,
    read_response=lambda result: Response(),
    fold_chunk=realtime_sessions.fold_session,
    session_request=realtime_sessions.session_request,
    session_response=realtime_sessions.session_response,
)
_RESPONSE = Operation(
    name="chat",
    api="realtime.connect",
    methods=(),
    read_request=realtime.read_request,
    read_response=lambda result: Response(),
    read_prompt=realtime.read_prompt,
    fold_chunk=realtime.fold_chunk,
    settle=realtime.settle,
    session_request=realtime_sessions.session_request,
    session_response=realtime_sessions.session_response,
)


def _operation(of: Operation, api: str, **changes: Any) -> Operation:
    return Operation(**{**vars(of), "api": api, **changes})


def _socket(api: str, module: str, resource: str, connection: str, **readers: Any) -> Socket:
    """The methods of one resource and its two connections, sync and async."""

    def methods(name: str, *, asyncs: bool = True, manager: bool = False) -> tuple[Method, ...]:
        owner = f"{connection}ConnectionManager" if manager else f"{connection}Connection"
        return (
            Method(module, f"{owner}.{name}"),
            Method(module, f"Async{owner}.{name.replace('__enter', '__aenter')}", is_async=asyncs),
        )

    return Socket(
        api=api,
        connects=(Method(module, f"{resource}.connect"), Method(module, f"Async{resource}.connect")),
        enters=(*methods("enter", manager=True), *methods("__enter__", manager=True)),
        sends=methods("send"),
        receives=methods("recv"),
        closes=methods("close"),
        read_ending=realtime_events.read_ending,
        initial=realtime_events.initial,
        **readers,
    )


_OF_REALTIME = {"read_sent": realtime_events.read_sent, "read_received": realtime_events.read_received}
_OF_RESPONSE = _operation(
    _RESPONSE,
    "responses.connect",
    read_request=connected.read_request,
    read_prompt=connected.read_prompt,
    fold_chunk=connected.fold_response,
    settle=responses.settle,
    session_request=connected.session_request,
    session_response=responses.session_response,
)
_OF_RESPONSES = {
    "read_sent": connected.read_sent,
    "read_received": connected.read_received,
    "session": _operation(_SESSION, "responses.connect"),
    "response": _OF_RESPONSE,
    "since": "2.54",
}

_OF_LIVE = _operation(_SESSION, "live.connect", read_prompt=realtime_sessions.read_session_prompt)


def _live(api: str, module: str, resource: str, **readers: Any) -> Socket:
    """A connection to a session of Live."""
    delegated = _operation(
        _RESPONSE, api, read_request=live.read_delegated, fold_chunk=connected.fold_response, settle=responses.settle
    )
    decided = _operation(
        decisions.OPERATIONS[0],
        api,
        methods=(),
        read_request=live.read_decided,
        read_prompt=live.read_questions,
        session_request=live.session_request_of_decision,
    )
    common = {"read_sent": realtime_events.read_sent, "read_received": live.read_received, "session": _OF_LIVE}
    return _socket(api, module, resource, resource, response=delegated, whole=decided, **{**common, **readers})


SOCKETS = (
    _socket(
        "realtime.connect",
        "openai.resources.realtime.realtime",
        "Realtime",
        "Realtime",
        session=_SESSION,
        response=_RESPONSE,
        **_OF_REALTIME,
    ),
    _socket(
        "beta.realtime.connect",
        "openai.resources.beta.realtime.realtime",
        "Realtime",
        "Realtime",
        session=_operation(_SESSION, "beta.realtime.connect"),
        response=_operation(_RESPONSE, "beta.realtime.connect"),
        **_OF_REALTIME,
    ),
    _socket("responses.connect", "openai.resources.responses.responses", "Responses", "Responses", **_OF_RESPONSES),
    _socket(
        "beta.responses.connect",
        "openai.resources.beta.responses.responses",
        "Responses",
        "Responses",
        **{
            **_OF_RESPONSES,
            "session": _operation(_SESSION, "beta.responses.connect"),
            "response": _operation(_OF_RESPONSE, "beta.responses.connect"),
        },
    ),
    _live("live.connect", "openai.resources.live.live", "Live"),
    _live(
        "live.forks.connect",
        "openai.resources.live.forks",
        "Forks",
        session=_operation(_OF_LIVE, "live.forks.connect", read_request=live.read_fork),
        since="3.52",
    ),
    _live(
        "live.sideband.connect",
        "openai.resources.live.sideband",
        "Sideband",
        session=_operation(_OF_LIVE, "live.sideband.connect", read_request=live.read_sideband),
        attached_to=lambda kwargs: text(kwargs.get("session_id")),
        since="3.52",
    ),
    _socket(
        "realtime.translations.connect",
        "openai.resources.realtime.translations.translations",
        "Translations",
        "Translations",
        read_sent=realtime_events.read_sent,
        read_received=live.read_received,
        session=_operation(_OF_LIVE, "realtime.translations.connect", positional=("model",)),
        response=_operation(_RESPONSE, "realtime.translations.connect"),
        since="3.52",
    ),
)

_BASE = "openai._websocket_connection"

# In openai 3 all connections have one base, which closes them.
CLOSES = (
    Seam(
        name="close",
        api="end of realtime sessions",
        methods=(Method(_BASE, "WebSocketConnectionBase.close"),),
        drive=close[False],
    ),
    Seam(
        name="close",
        api="end of realtime sessions",
        methods=(Method(_BASE, "AsyncWebSocketConnectionBase.close", is_async=True),),
        drive=close[True],
    ),
)
