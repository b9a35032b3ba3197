"""The provider simulator: a loopback server that speaks the providers' wire formats, and goes wrong as told.

Wire formats are the modules ``wire_*`` beside this file: adding one edits nothing else.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any
from urllib.parse import urlsplit

from aiobs.testing.loopback import Exchange, LoopbackServer
from aiobs.testing.script import Answer, Fault, Gate, Reply, Request

Script = Answer | Reply
Rule = Callable[[Request], Script | None]


@dataclass(frozen=True)
class Wire:
    """One provider's wire format.

    ``answers`` says whether a path is this wire's; ``reply`` turns a request and an Answer into bytes; ``error`` makes
    the provider's error body; ``clients`` are factories of ready clients by name, given the simulator's origin.
    """

    name: str
    answers: Callable[[Request], bool]
    reply: Callable[[Request, Answer], Reply]
    error: Callable[[int, str | None, str | None], bytes]
    clients: Mapping[str, Callable[..., Any]]
    environment: Callable[[str], dict[str, str]]


@cache
def wires() -> tuple[Wire, ...]:
    """Every wire format that there is."""
    package = importlib.import_module("aiobs.testing")
    found = [module.name for module in pkgutil.iter_modules(package.__path__) if module.name.startswith("wire_")]
    return tuple(importlib.import_module(f"aiobs.testing.{name}").WIRE for name in sorted(found))


class Simulator(LoopbackServer):
    """A provider on this machine.

    Without a script every request gets a sensible answer, the same for the same request: text about the last user
    message, a call of the first tool on offer, JSON that fits a response format. ``reply``, ``fail``, ``fault`` and
    ``raw`` say what the next requests get, in order; ``on`` sets a rule for all. ``requests`` is the journal.
    """

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Request] = []
        self._script: deque[Script] = deque()
        self._rules: list[Rule] = []
        self._clients: list[Any] = []
        self._lock = threading.Lock()

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
        """Stream the next answer chunk by chunk, as the gate lets them out."""
        gate = Gate()
        self.next(Answer(text=text, fault=Fault(gate=gate), **answer))
        return gate

    def on(self, rule: Rule) -> None:
        """Ask this function first; what it returns None for goes on to the script, and then to the default."""
        self._rules.append(rule)

    # What it gives

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """``simulator.openai(**options)``: a ready client of that name, from any wire format."""
        if not name.startswith("_"):
            for wire in wires():
                if name in wire.clients:
                    return partial(self._client, wire.clients[name])
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

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
            if not hasattr(client, "__aenter__"):
                client.close()
        self._clients.clear()
        super().close()

    # How it answers

    def respond(self, exchange: Exchange, body: bytes) -> None:
        """Note the request, find its reply, send it."""
        request = self._note(exchange, body)
        reply = self._reply_to(request)
        request.status = reply.status
        try:
            self._send(exchange, reply, request)
        except OSError:
            request.disconnected = True
            exchange.close_connection = True

    def _note(self, exchange: Exchange, body: bytes) -> Request:
        url = urlsplit(exchange.path)
        headers = {name.lower(): value for name, value in exchange.headers.items()}
        with self._lock:
            number = len(self.requests) + 1
            request = Request(number, exchange.command, url.path, url.query, headers, body, _parsed(body))
            self.requests.append(request)
        return request

    def _reply_to(self, request: Request) -> Reply:
        wire = next((wire for wire in wires() if wire.answers(request)), None)
        if wire is None:
            return Reply(404, body=wires()[0].error(404, None, f"Invalid URL ({request.method} {request.path})"))
        script = self._scripted(request)
        if isinstance(script, Reply):
            return script
        fault = script.fault
        if fault.status is not None:
            headers = {"content-type": "application/json", **fault.headers}
            if fault.retry_after is not None:
                headers["retry-after"] = f"{fault.retry_after:g}"
            return Reply(fault.status, headers, wire.error(fault.status, fault.code, fault.message), fault)
        reply = wire.reply(request, script)
        return replace(reply, body=_damaged(reply.body, fault, wire), fault=fault)

    def _scripted(self, request: Request) -> Script:
        for rule in self._rules:
            if (script := rule(request)) is not None:
                return script
        with self._lock:
            return self._script.popleft() if self._script else Answer()

    def _send(self, exchange: Exchange, reply: Reply, request: Request) -> None:
        fault = reply.fault
        if fault.silence and self.closing.wait(fault.silence):
            return exchange.hang_up()
        headers = {"x-request-id": f"req_{request.number:06d}", **reply.headers}
        if fault.content_type is not None:
            headers["content-type"] = fault.content_type
        if isinstance(reply.body, bytes) and fault.cut_after is None:
            return exchange.send_whole(reply.status, headers, reply.body)
        exchange.send_head(reply.status, {**headers, "transfer-encoding": "chunked"})
        chunks = [reply.body[: len(reply.body) // 2]] if isinstance(reply.body, bytes) else reply.body
        if fault.cut_after is None:
            return exchange.send_chunks(self._paced(chunks, fault))
        for chunk in self._paced(chunks[: fault.cut_after], fault):
            exchange.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        return exchange.hang_up()

    def _paced(self, chunks: Sequence[bytes], fault: Fault) -> Iterator[bytes]:
        for chunk in chunks:
            if fault.gate is not None:
                fault.gate.wait(self.closing)
            if fault.chunk_delay:
                self.closing.wait(fault.chunk_delay)
            yield chunk


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _damaged(body: bytes | Sequence[bytes], fault: Fault, wire: Wire) -> bytes | Sequence[bytes]:
    """The body with what the fault puts into it."""
    if isinstance(body, bytes):
        return body[: len(body) // 2] if fault.malformed else body
    chunks = list(body)
    if fault.error_after is not None:
        event = wire.error(200, fault.code, fault.message)
        return [*chunks[: fault.error_after], b"data: " + event + b"\n\n"]
    if fault.malformed:
        return [*chunks[:1], b"data: {not json\n\n", *chunks[1:]]
    return chunks
