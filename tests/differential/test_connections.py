"""Connections that stay open: the same conversation with and without us, on every kind of connection of both SDKs."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from opentelemetry.context import attach

from aiobs.capture import sockets
from aiobs.capture.connections import SocketTap
from aiobs.testing import gemini_live as gemini
from aiobs.testing import openai_realtime as openai
from aiobs.testing.socket_server import Close, Drop, Pause, Script, SocketServer, Step
from tests.contract.programs import Stage
from tests.differential.engine import EVERYTHING, Bench
from tests.differential.looks import clean, look, look_at_method, outcome_of
from tests.differential.scene import Scene, at_once
from tests.instrumentation.google_genai import test_live, test_music
from tests.instrumentation.openai.sockets import api_of
from tests.instrumentation.openai.test_connected_responses import START, live_session, transcript
from tests.versions import has

pytestmark = pytest.mark.filterwarnings("ignore:.*music generation is experimental")

Steps = Sequence[Step]


@dataclass(frozen=True)
class Kind:
    """A kind of connection: how it is dialled, how the program asks in it, what the server says to that.

    ``turns`` are the same objects in every run, as the numbers of their events are.
    """

    name: str
    needs: str
    dial: Callable[[Any], Any]
    ask: Callable[[Any], Any]
    turns: tuple[Steps, ...]
    greeting: Steps = ()
    client: Callable[[SocketServer, bool], Any] = lambda server, is_async: (
        server.async_openai() if is_async else server.openai()
    )
    events: Callable[[Any], Any] = lambda connection: connection
    methods: tuple[str, ...] = ("send", "recv", "recv_bytes", "close", "parse_event")
    is_sync: bool = True

    def __str__(self) -> str:
        return self.name


def _openai(name: str, needs: str, event: Any, turns: Iterable[Steps], *greeting: Step, **connect: Any) -> Kind:
    return Kind(
        name,
        needs,
        lambda client: api_of(client, name).connect(**connect),
        lambda connection: connection.send(event),
        tuple(turns),
        list(greeting),
    )


def _gemini(name: str, turns: Iterable[Steps], **how: Any) -> Kind:
    return Kind(name, "gemini live", turns=tuple(turns), events=lambda session: session.receive(), is_sync=False, **how)


ASK = {"type": "response.create"}
SPOKEN: list[Steps] = [openai.spoken("a", "one two"), openai.spoken("b", "three")]
WRITTEN: list[Steps] = [openai.written("a", "one two"), openai.written("b", "three")]
SAID: list[Steps] = [
    [transcript("input", "Good "), transcript("output", "Buenos "), transcript("output", "días")],
    [openai.event("session.usage.updated", usage={"seconds": 1.5})],
]
CREATED = openai.event("session.created", session=openai.session())
STARTED = openai.event("session.started", session=live_session())
DELEGATED: Steps = [openai.event("response.event", event=each, delegation_id="d") for each in WRITTEN[0]]
WORDS: tuple[Steps, ...] = (
    [gemini.text("one "), gemini.text("two"), gemini.complete()],
    [gemini.text("three"), gemini.complete()],
)
MUSIC: tuple[Steps, ...] = ([gemini.played(b"ab"), gemini.played(b"cd")], [gemini.played(b"ef")])

KINDS = (
    _openai("realtime", "openai realtime", ASK, SPOKEN, CREATED, model="m"),
    _openai("beta.realtime", "openai beta realtime", ASK, SPOKEN, CREATED, model="m"),
    _openai("responses", "openai responses over a socket", {**ASK, "model": "m", "input": "Hello"}, WRITTEN),
    _openai("live", "openai live", START[1], [[STARTED, *DELEGATED], SAID[0]]),
    _openai("live.sideband", "openai further connections", ASK, [DELEGATED, SAID[1]], STARTED, session_id="live_1"),
    _openai(
        "realtime.translations",
        "openai further connections",
        {"type": "session.input_audio_buffer.append", "audio": "AAAA"},
        SAID,
        CREATED,
        model="m",
    ),
    _gemini(
        "gemini live",
        WORDS,
        dial=lambda client: client.aio.live.connect(model="m", config={"response_modalities": ["TEXT"]}),
        ask=lambda session: session.send_client_content(turns={"role": "user", "parts": [{"text": "Hello"}]}),
        client=lambda server, is_async: test_live.client_of(server),
        methods=("send_client_content", "send_realtime_input", "send_tool_response", "receive", "close"),
    ),
    _gemini(
        "gemini music",
        MUSIC,
        dial=lambda client: client.aio.live.music.connect(model="models/lyria"),
        ask=lambda session: session.set_weighted_prompts(prompts=test_music.prompts(("techno", 0.7))),
        client=lambda server, is_async: test_music.client_of(server),
        methods=("set_weighted_prompts", "set_music_generation_config", "play", "receive", "close"),
    ),
)


class Line:
    """One run: a program at one end, at the other a server that says one thing after the other.

    The server goes on when the program has what it said: ``said`` is how much it has said by then.
    """

    def __init__(self, kind: Kind, server: SocketServer, turns: tuple[Steps, ...]) -> None:
        self.kind = kind
        self.server = server
        self.said = 0
        self.turns = turns
        self._greeting = kind.greeting
        self._waiting = iter(turns)
        self._heard = threading.Event()
        self._is_over = False
        server.script = Script(self._answer, self)
        for log in (server.messages, server.headers, server.paths, server.received):
            log.clear()

    def __iter__(self) -> Iterator[Step]:
        """What greets the program, on its first connection."""
        greeting, self._greeting = self._greeting, ()
        return self._paced(greeting)

    def _answer(self, event: Any, number: int) -> Iterable[Step]:
        if "setup" in event:
            return [{"setupComplete": {"sessionId": "session-1"}}]
        return self._paced(next(self._waiting, []))

    def _paced(self, steps: Iterable[Step]) -> Iterator[Step]:
        for step in steps:
            heard = self._heard = threading.Event()
            self.said += 1
            yield step
            if isinstance(step, dict) and not self._is_over:
                yield Pause(heard)

    def hear(self) -> None:
        """The program has the last thing that the server said, and wants more."""
        self._heard.set()

    def end(self) -> list[Any]:
        """Nobody waits any more; what was sent and dialled."""
        self._is_over = True
        self._heard.set()
        for thread in threading.enumerate():
            if any(job in thread.name for job in ("conn_handler", "recv_events", "keepalive")):
                thread.join(5)
        headers = [[each for each in one if each[0].lower() != "sec-websocket-key"] for one in self.server.headers]
        return [self.server.messages[:], self.server.paths[:], headers]


class Talk(Scene):
    """What a program does in a conversation."""

    def __init__(self, stage: Stage, is_async: bool, line: Line) -> None:
        super().__init__(stage, is_async)
        self.line = line

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Any]:
        """A client of the SDK."""
        client = self.line.kind.client(self.line.server, self.is_async)
        if not hasattr(client, "__aenter__" if self.is_async else "__enter__"):
            yield client
            return
        async with self.within(client) as entered:
            yield entered

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Any]:
        """``with client.….connect() as connection``."""
        async with self.client() as client, self.within(self.line.kind.dial(client)) as connection:
            yield connection

    async def put(self, connection: Any, number: int) -> None:
        """After what the server has said already: the greeting, or the turn before."""
        if number:
            self.line.hear()
        elif self.line.kind.greeting:
            await self.listen(connection, len(self.line.kind.greeting))
            self.line.hear()
        self.note(await self.wait(self.line.kind.ask(connection)))

    async def turn(self, connection: Any, number: int, most: int | None = None) -> None:
        """Ask, and take what comes, or so much of it."""
        await self.put(connection, number)
        await self.listen(connection, len(self.line.turns[number]) if most is None else most)

    async def listen(self, connection: Any, most: int) -> None:
        """Take so many events."""
        async for event in self.chunks(self.line.kind.events(connection)):
            self.take(event)
            self.note(self.line.said)
            most -= 1
            if not most:
                return
            self.line.hear()


Text = Callable[[Talk], Coroutine[Any, Any, None]]


def play(text: Text, kind: Kind, server: SocketServer, turns: tuple[Steps, ...], is_async: bool, stage: Stage) -> Any:
    """Run a program; beside its own facts there is what it sent, and which tasks it left."""
    line = Line(kind, server, turns)

    async def awaited() -> None:
        try:
            await text(Talk(stage, is_async=True, line=line))
        finally:
            stage.facts.append(
                sorted(clean(str(task.get_coro())) for task in asyncio.all_tasks() - {asyncio.current_task()})
            )
            stage.look()

    try:
        asyncio.run(awaited()) if is_async else at_once(text(Talk(stage, is_async=False, line=line)))
    finally:
        stage.look()
        stage.facts.append(line.end())


@pytest.fixture(autouse=True)
def quiet_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the other end has to say is not the program's."""
    monkeypatch.setattr(logging.getLogger("websockets.server"), "propagate", False)


WAYS = [(kind, is_async) for kind in KINDS for is_async in (False, True) if is_async or kind.is_sync]
every_kind = pytest.mark.parametrize(
    ("kind", "is_async"),
    [
        pytest.param(kind, is_async, marks=pytest.mark.skipif(not has(kind.needs), reason=f"no {kind.needs}"))
        for kind, is_async in WAYS
    ],
    ids=[f"{kind}-{'async' if is_async else 'sync'}" for kind, is_async in WAYS],
)


def compare(bench: Bench, text: Text, kind: Kind, is_async: bool, *turns: Steps) -> None:
    """Run it in every configuration; fail if anything differs."""
    with SocketServer(Script()) as server:
        bench.check(partial(play, text, kind, server, turns or kind.turns, is_async))


# What programs do


async def converse(talk: Talk) -> None:
    """Two turns, with a look at everything on the way."""
    async with talk.client() as client:
        manager = talk.line.kind.dial(client)
        talk.note(manager, sorted(vars(manager)), inspect.isasyncgen(manager), hasattr(manager, "__await__"))
        async with talk.within(manager) as connection:
            talk.note(connection, sorted(vars(connection)), bool(connection), outcome_of(lambda: len(connection)))
            talk.note([look_at_method(getattr(connection, name)) for name in talk.line.kind.methods if hasattr(connection, name)])  # fmt: skip
            for number in range(2):
                await talk.turn(connection, number)
        talk.note(connection, sorted(vars(connection)), sorted(vars(manager)))


async def leave(talk: Talk) -> None:
    """In the middle of an answer."""
    async with talk.connected() as connection:
        await talk.turn(connection, 0, most=1)


async def leave_by_an_exception(talk: Talk) -> None:
    """Of the program's own."""
    async with talk.connected() as connection:
        await talk.turn(connection, 0, most=1)
        raise LookupError("the program's own")


async def close_and_go_on(talk: Talk) -> None:
    """Closed twice by hand; what is done afterwards fails as it does without us."""
    async with talk.connected() as connection:
        await talk.turn(connection, 0)
        for _ in range(2):
            talk.note(await talk.wait(connection.close()))
        talk.note(await outcome(talk, lambda: talk.line.kind.ask(connection)))
        talk.note(await outcome(talk, lambda: talk.listen(connection, 1)))


async def outcome(talk: Talk, call: Callable[[], Any]) -> Any:
    """What a call gives, or the exception that it raises."""
    try:
        return look(await talk.wait(call()))
    except Exception as error:
        return look(error)


async def two_at_once(talk: Talk) -> None:
    """Another connection of the same client, in which nothing is said."""
    async with talk.client() as client, talk.within(talk.line.kind.dial(client)) as one:
        await talk.turn(one, 0)
        async with talk.within(talk.line.kind.dial(client)) as other:
            talk.note(one is other, outcome_of(lambda: one == other), isinstance(hash(one), int))
            await talk.turn(one, 1)


async def make_and_forget(talk: Talk) -> None:
    """A manager that nobody enters dials nobody."""
    async with talk.client() as client:
        talk.note(talk.line.kind.dial(client))


async def read_elsewhere(talk: Talk) -> None:
    """In a task or a thread, in a context of its own; nothing is left in either."""
    elsewhere = contextvars.Context()
    async with talk.connected() as connection:
        await talk.put(connection, 0)
        rest = talk.listen(connection, len(talk.line.turns[0]))
        if talk.is_async:
            await asyncio.create_task(rest, context=elsewhere)
        else:
            reader = threading.Thread(target=elsewhere.run, args=(at_once, rest), name="reader")
            reader.start()
            reader.join()
        talk.note(sorted(variable.name for variable in elsewhere))
        talk.note(sorted(variable.name for variable in contextvars.copy_context()))


PROGRAMS: tuple[Text, ...] = (
    converse, leave, leave_by_an_exception, close_and_go_on, two_at_once, make_and_forget, read_elsewhere,
)  # fmt: skip


@pytest.mark.parametrize("text", PROGRAMS, ids=lambda text: text.__name__)
@every_kind
def test_what_programs_do(bench: Bench, kind: Kind, is_async: bool, text: Text) -> None:
    """Values, types, attributes, exceptions, the order of events, the bytes that go out, tasks, threads, contexts.

    breaks-apps #13, #29, #31, #70
    """
    compare(bench, text, kind, is_async)


ENDS: dict[str, Step] = {
    "closes well": Close(),
    "closes, and says why": Close(1011, "no capacity"),
    "refuses": Close(1008, "policy"),
    "is gone": Drop(),
    "says what is no JSON": "{not json",
    "says what is no event": "[1, 2]",
    "says an unknown event": {"type": "a.new.kind", "new": {"x": 1}},
    "says an error": {"type": "error", "error": {"type": "x", "code": "y", "message": "z"}},
}


async def stay(talk: Talk) -> None:
    """Listen to the end, whatever it is."""
    async with talk.connected() as connection:
        await talk.turn(connection, 0)


@pytest.mark.quiet_guard
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
@every_kind
def test_what_servers_do(bench: Bench, kind: Kind, is_async: bool, end: Step) -> None:
    """In the middle of an answer: the program gets what it gets without us, or the exception with its cause."""
    compare(bench, stay, kind, is_async, [kind.turns[0][0], end])


@every_kind
def test_a_dial_that_nobody_answers(bench: Bench, kind: Kind, is_async: bool) -> None:
    """The exception is the one that the SDK raises."""
    with SocketServer(Script()) as server:
        pass
    bench.check(partial(play, leave, kind, server, kind.turns, is_async))


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=pytest.mark.skipif(not has(kind.needs), reason=f"no {kind.needs}")) for kind in KINDS], ids=str)  # fmt: skip
def test_a_task_that_is_cancelled(bench: Bench, kind: Kind) -> None:
    """While it waits for the next event: cancelled is what it is, and the connection is closed."""

    async def cancelled(talk: Talk) -> None:
        task = asyncio.ensure_future(leave_never(talk))
        while len(talk.stage.taken) < len(kind.greeting) + 1:
            await asyncio.sleep(0.001)
        task.cancel()
        talk.note(await outcome(talk, lambda: asyncio.wait([task])), task.cancelled())

    async def leave_never(talk: Talk) -> None:
        async with talk.connected() as connection:
            await talk.turn(connection, 0, most=-1)

    compare(bench, cancelled, kind, True, kind.turns[0][:1])


# That it would be noticed


def changes_the_event(self: SocketTap, event: Any) -> None:
    vars(event)["mark"] = 1


def attaches_a_context(self: SocketTap, event: Any) -> None:
    attach(self.context)


def starts_a_thread(self: SocketTap, event: Any) -> None:
    threading.Thread(target=_is_over.wait, name="aiobs-received", daemon=True).start()


def rewords_the_error(self: SocketTap, error: BaseException) -> None:
    error.args = ("aiobs: the session is over",)


def marks_the_connection(connection: Any, tap: SocketTap, hold: Any = sockets._hold) -> Any:
    connection.session_of_aiobs = True
    return hold(connection, tap)


def puts_a_task_aside(self: SocketTap, event: Any) -> None:
    _kept.append(asyncio.get_running_loop().create_task(asyncio.sleep(30)))


_is_over = threading.Event()
_kept: list[Any] = []
BREAKAGES: dict[str, tuple[Any, str, Callable[..., Any], bool, Steps, str]] = {
    "an event is changed": (SocketTap, "received", changes_the_event, False, (), "taken"),
    "a context stays": (SocketTap, "received", attaches_a_context, True, (), "current spans"),
    "a thread stays": (SocketTap, "received", starts_a_thread, False, (), "process/threads"),
    "an error is reworded": (SocketTap, "refused", rewords_the_error, False, (Drop(),), "error"),
    "a connection is marked": (sockets, "_hold", marks_the_connection, False, (), "facts"),
    "a task stays": (SocketTap, "received", puts_a_task_aside, True, (), "facts"),
}


@pytest.mark.quiet_guard
@pytest.mark.nonconforming("aiobs is broken on purpose")
@pytest.mark.parametrize(("owner", "name", "instead", "is_async", "end", "place"), BREAKAGES.values(), ids=BREAKAGES)
def test_it_would_be_noticed(
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
    owner: Any,
    name: str,
    instead: Callable[..., Any],
    is_async: bool,
    end: Steps,
    place: str,
) -> None:
    """aiobs is broken in one way at a time: the comparison says where."""
    kind = KINDS[0]
    _is_over.clear()
    text = stay if end else converse
    turns = ([kind.turns[0][0], *end], kind.turns[1])
    with SocketServer(Script()) as server:
        run = partial(bench.alone, partial(play, text, kind, server, turns, is_async))
        assert bench.apart(run, [EVERYTHING]) == []
        monkeypatch.setattr(owner, name, instead)
        found = bench.apart(run, [EVERYTHING])
    _is_over.set()
    assert found
    assert any(f"everything/{place}" in line for line in found)
