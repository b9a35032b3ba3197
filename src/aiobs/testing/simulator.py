"""The provider simulator: a loopback server that speaks the providers' wire formats, and goes wrong as told."""

from __future__ import annotations

import inspect
import json
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from aiobs.testing.loopback import Exchange, LoopbackServer
from aiobs.testing.script import Answer, Fault, Gate, Reply, Request
from aiobs.testing.wire import Wire, find_route, wires

Script = Answer | Reply
Rule = Callable[[Request], Script | None]


class Simulator(LoopbackServer):
    """A provider on this machine.

    Without a script every request gets a sensible answer, the same for the same request: text about the last user
    message, a call of the first tool on offer, JSON that fits a response format. ``reply``, ``fail``, ``fault`` and
    ``raw`` say what the next requests get, in order; ``on`` sets a rule for all. ``requests`` is the journal.

    Ready clients are methods named after them: ``simulator.openai()``, ``async_openai()``, ``azure_openai()``,
    ``async_azure_openai()``, ``gemini()``, ``vertex()``, with the SDK's own keywords; they do not retry unless asked
    to. ``close()`` closes the sync ones; use the others in ``async with``.
    """

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self.requests: list[Request] = []
        self._script: deque[Script] = deque()
        self._rules: list[Rule] = []
        self._clients: list[Any] = []

    # What it is told

    def next(self, *scripts: Script) -> None:
        """Answer the next requests with these, one each."""
        self._script.extend(scripts)

    def reply(self, text: str | None = None, **answer: Any) -> None:
        """Answer the next request with this text, or other fields of ``Answer``."""
        self.next(Answer(text=text, **answer))

    def fail(
        self,
        status: int = 500,
        *,
        code: str | None = None,
        message: str | None = None,
        retry_after: float | None = None,
        times: int = 1,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Answer the next ``times`` requests with the provider's error body."""
        fault = Fault(status=status, code=code, message=message, retry_after=retry_after, headers=headers or {})
        self.next(*[Answer(fault=fault)] * times)

    def fault(self, **fault: Any) -> None:
        """Let the next request's answer go wrong in the ways of ``Fault``."""
        self.next(Answer(fault=Fault(**fault)))

    def raw(
        self, body: bytes | Sequence[bytes], status: int = 200, headers: Mapping[str, str] | None = None, **fault: Any
    ) -> None:
        """Send these bytes for the next request; a list is streamed, one chunk a piece."""
        streamed = not isinstance(body, bytes)
        default = {"content-type": "text/event-stream" if streamed else "application/json"}
        self.next(Reply(status, {**default, **(headers or {})}, body, Fault(**fault)))

    def gated(self, text: str | None = None, **answer: Any) -> Gate:
        """Send the next answer chunk by chunk, as the gate lets them out."""
        gate = Gate()
        self.next(Answer(text=text, fault=Fault(gate=gate), **answer))
        return gate

    def on(self, rule: Rule) -> None:
        """Ask this function first; what it returns None for goes on to the script, and then to the default."""
        self._rules.append(rule)

    def forget(self) -> None:
        """Drop what was scripted and not asked for, and the journal; rules and clients stay."""
        with self._changed:
            self._script.clear()
            self.requests.clear()

    # What it gives

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """``simulator.openai(**options)``: a ready client of that name, from any wire format."""
        if not name.startswith("_"):
            for wire in wires():
                if name in wire.clients:
                    return partial(self._client, wire.clients[name])
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(name for wire in wires() for name in wire.clients)]

    def _client(self, factory: Callable[..., Any], **options: Any) -> Any:
        client = factory(self.origin, **options)
        self._clients.append(client)
        return client

    def environment(self) -> dict[str, str]:
        """Variables that point an unchanged program at this simulator."""
        return {name: value for wire in wires() for name, value in wire.environment(self.origin).items()}

    def close(self) -> None:
        """Close the sync clients it handed out, every connection, every thread."""
        for client in self._clients:
            close = getattr(client, "close", None)  # google-genai 1.5 keeps nothing open
            if close is not None and not inspect.iscoroutinefunction(close):
                close()
        self._clients.clear()
        super().close()

    # How it answers

    def respond(self, exchange: Exchange, body: bytes) -> None:
        """Note the request, find its reply, send it."""
        request = self._note(exchange, body)
        try:
            reply = self._reply_to(request)
            request.status = reply.status
            self._send(exchange, reply, request)
        except ConnectionError:
            request.disconnected = not self.closing.is_set()
            raise
        finally:
            request.finished = True

    def _note(self, exchange: Exchange, body: bytes) -> Request:
        url = urlsplit(exchange.path)
        headers = {name.lower(): value for name, value in exchange.headers.items()}
        with self._changed:
            number = len(self.requests) + 1
            request = Request(
                number, exchange.command, url.path, url.query, headers, body, parsed(body), received_at=time.time()
            )
            self.requests.append(request)
            self._changed.notify_all()
        return request

    def _reply_to(self, request: Request) -> Reply:
        wire, handler = find_route(request)
        script = self._scripted(request)
        if isinstance(script, Reply):
            return _damaged(script, script.fault, wire)
        if script.fault.status is not None:
            return _refusal(script.fault.status, script.fault, wire)
        if handler is None:
            return _refusal(404, Fault(message=f"Invalid URL ({request.method} {request.path})"), wire)
        reply = handler(request, script)
        if isinstance(reply, Fault):
            return _refusal(reply.status or 400, reply, wire)
        return _damaged(reply, script.fault, wire)

    def _scripted(self, request: Request) -> Script:
        for rule in self._rules:
            if (script := rule(request)) is not None:
                return script
        with self._changed:
            return self._script.popleft() if self._script else Answer()

    def _send(self, exchange: Exchange, reply: Reply, request: Request) -> None:
        fault, body = reply.fault, reply.body
        exchange.pause(fault.silence)
        if fault.hang_up:
            return exchange.hang_up()
        headers = {"x-request-id": f"req_{request.number:06d}", **reply.headers, **fault.headers}
        if fault.content_type is not None:
            headers["content-type"] = fault.content_type
        if isinstance(body, bytes) and fault.cut_after is None:
            _hold(exchange, fault)
            return exchange.send_whole(reply.status, headers, body)
        exchange.send_head(reply.status, {**headers, "transfer-encoding": "chunked"})
        for chunk in [body[: len(body) // 2]] if isinstance(body, bytes) else body[: fault.cut_after]:
            _hold(exchange, fault)
            exchange.send_chunk(chunk)
        return exchange.end_chunks() if fault.cut_after is None else exchange.hang_up()


def _hold(exchange: Exchange, fault: Fault) -> None:
    """Wait as long as the next chunk has to."""
    if fault.gate is not None and not fault.gate.wait(exchange.abandoned):
        raise ConnectionAbortedError
    exchange.pause(fault.chunk_delay)


def _refusal(status: int, fault: Fault, wire: Wire) -> Reply:
    """An error answer in the provider's words."""
    headers = {"content-type": "application/json"}
    if fault.retry_after is not None:
        headers["retry-after"] = f"{fault.retry_after:g}"
    return _damaged(Reply(status, headers, wire.error(status, fault)), fault, wire)


def _damaged(reply: Reply, fault: Fault, wire: Wire) -> Reply:
    """The reply with its fault, and with what that puts into the body."""
    if isinstance(reply.body, bytes):
        body = reply.body[: len(reply.body) // 2] if fault.malformed else reply.body
        return replace(reply, body=body, fault=fault)
    chunks = list(reply.body)
    if fault.error_after is not None:
        event = b"data: " + wire.error(500, fault) + b"\n\n"
        chunks = [*chunks[: fault.error_after], event]
    if fault.malformed:
        chunks = [*chunks[:1], b"data: {not json\n\n", *chunks[2:]]
    return replace(reply, body=chunks, fault=fault)


def parsed(body: bytes) -> Any:
    """A body as the JSON that it is, None if it is none."""
    try:
        return json.loads(body)
    except ValueError:
        return None
