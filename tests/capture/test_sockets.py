"""Connections that stay open: how sessions and their responses live and end, and that the program does not notice."""

from __future__ import annotations

import asyncio
import gc
import inspect
import json
import threading
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import StatusCode

from aiobs import Instrumentor, guard
from aiobs.capture import deferred, sockets
from aiobs.errors import AiobsError
from aiobs.runtime import flush
from aiobs.testing import InMemoryTelemetry
from aiobs.testing import openai_realtime as wire
from aiobs.testing.socket_server import Close, Drop, Pause, Script, SocketServer
from tests.conformance.witness import Witness
from tests.instrumentation.openai.sockets import ASK, DONE, both, said, spans_of, talk, talk_sync
from tests.versions import has, needs

pytestmark = needs("openai realtime")


def outcomes(telemetry: InMemoryTelemetry) -> list[tuple[str, Any, Any, Any]]:
    """Operation, status, incomplete and cancelled of every span, in the order they ended."""
    found = []
    for span in telemetry.spans:
        attributes = dict(span.attributes or {})
        flags = (attributes.get("aiobs.incomplete"), attributes.get("aiobs.cancelled"))
        found.append((str(attributes["gen_ai.operation.name"]), span.status.status_code, *flags))
    return found


GOOD = ("chat", StatusCode.UNSET, None, None)
CUT = ("chat", StatusCode.UNSET, True, None)
WHOLE = ("realtime_session", StatusCode.UNSET, None, None)
HALF = wire.spoken("half", "one two three")[:4]


@pytest.fixture
def server() -> Iterator[SocketServer]:
    with SocketServer(wire.realtime()) as running:
        yield running


def scripted(*answers: Any) -> SocketServer:
    return SocketServer(wire.realtime(*answers))


# How they end


@both
async def test_many_responses_in_a_session(is_async: bool, server: SocketServer, instrumented: Any) -> None:
    """Each has its span, all below the one of the session, which ends last."""
    await talk(is_async, server, "realtime", [ASK, DONE] * 20, model="m")
    assert outcomes(instrumented) == [*[GOOD] * 20, WHOLE]
    session = instrumented.spans[-1]
    assert {span.parent.span_id for span in instrumented.spans[:-1]} == {session.context.span_id}
    assert len({span.context.trace_id for span in instrumented.spans}) == 1


@both
async def test_closed_while_a_response_is_open(is_async: bool, instrumented: Any) -> None:
    """The program leaves in the middle: the response is incomplete, its reason is error, the session is well."""
    with scripted(HALF) as server:
        last = ("until", "response.output_audio.delta")
        await talk(is_async, server, "realtime", [ASK, last], model="m")
    assert outcomes(instrumented) == [CUT, WHOLE]
    assert spans_of(instrumented, "chat")[0]["gen_ai.response.finish_reasons"] == ("error",)


@both
async def test_closed_before_a_response_began(is_async: bool, instrumented: Any) -> None:
    """One that was asked for and never answered is incomplete too."""
    with scripted([wire.event("rate_limits.updated", rate_limits=[])]) as server:
        await talk(is_async, server, "realtime", [ASK, ("until", "rate_limits.updated")], model="m")
    assert outcomes(instrumented) == [CUT, WHOLE]


def test_an_error_of_the_program_is_not_the_sessions(server: SocketServer, instrumented: Any) -> None:
    """What the program raises inside the with statement ends the session, and is no error of it."""
    with pytest.raises(ZeroDivisionError), server.openai() as client, client.realtime.connect(model="m"):
        _ = 1 / 0
    assert outcomes(instrumented) == [WHOLE]


def test_ctrl_c_is_a_cancellation(instrumented: Any) -> None:
    """Response and session are cancelled, and neither is an error."""

    def program(client: Any) -> None:
        with client.realtime.connect(model="m") as connection:
            connection.response.create()
            for event in connection:
                if event.type == "response.output_audio.delta":
                    raise KeyboardInterrupt

    with scripted(HALF) as server, server.openai() as client, pytest.raises(KeyboardInterrupt):
        program(client)
    assert outcomes(instrumented) == [(*CUT[:3], True), (*WHOLE[:3], True)]


async def test_a_task_that_is_cancelled_while_it_receives(instrumented: Any) -> None:
    """The same of a cancellation in the middle of recv()."""
    reached = asyncio.Event()
    with scripted(HALF) as server:

        async def program() -> None:
            async with server.async_openai() as client, client.realtime.connect(model="m") as connection:
                await connection.response.create()
                async for event in connection:
                    if event.type == "response.output_audio.delta":
                        reached.set()

        task = asyncio.create_task(program())
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert outcomes(instrumented) == [(*CUT[:3], True), (*WHOLE[:3], True)]


async def test_a_recv_that_times_out_cancels_nothing(instrumented: Any) -> None:
    """Whoever polls with a timeout goes on afterwards: nothing is lost, nothing is cancelled."""
    release = threading.Event()
    with scripted([Pause(release), *wire.spoken("r", "late")]) as server:
        async with server.async_openai() as client, client.realtime.connect(model="m") as connection:
            assert (await connection.recv()).type == "session.created"
            await connection.response.create()
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(connection.recv(), 0)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(connection.recv(), 0.01)
            release.set()
            async for event in connection:
                if event.type == "response.done":
                    break
    assert outcomes(instrumented) == [GOOD, WHOLE]


def test_never_closed(instrumented: Any) -> None:
    """Let go of: the finaliser only leaves word, and the next call or flush ends response and session."""
    held = len(sockets._held)  # of other tests of this process
    with scripted(HALF) as server, server.openai() as client:
        connection = client.realtime.connect(model="m").enter()
        connection.response.create()
        for event in connection:
            if event.type == "response.output_audio.delta":
                break
        connection._connection.close()  # the socket's own thread would outlive the test
        del connection, event
        gc.collect()
        assert outcomes(instrumented) == []
        assert flush()
    assert outcomes(instrumented) == [CUT, (*WHOLE[:2], True, None)]
    assert len(sockets._held) <= held


def test_the_process_ends(server: SocketServer, instrumented: Any) -> None:
    """What is still open then is ended, response first."""
    client = server.openai()
    connection = client.realtime.connect(model="m").enter()
    connection.response.create()
    deferred.settle_all()
    assert sorted(outcomes(instrumented)) == sorted([CUT, (*WHOLE[:2], True, None)])
    connection.close()
    client.close()
    assert len(instrumented.spans) == 2


def test_an_event_loop_that_is_gone(server: SocketServer, instrumented: Any) -> None:
    """An async session whose loop was closed is ended by flush()."""
    kept = []

    async def program() -> None:
        client = server.async_openai()
        kept.append(await client.realtime.connect(model="m").enter())
        kept[0]._connection.transport.abort()

    asyncio.run(program())
    assert outcomes(instrumented) == []
    flush()
    assert outcomes(instrumented) == [(*WHOLE[:2], True, None)]


@both
async def test_a_dial_that_fails(is_async: bool, instrumented: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No server: the session is an error, the exception is the SDK's."""
    server = SocketServer(wire.realtime())
    monkeypatch.setattr(SocketServer, "origin", server.origin)
    server.close()
    with pytest.raises(ConnectionRefusedError):
        await talk(is_async, server, "realtime", [], model="m")
    ((operation, status, *_),) = outcomes(instrumented)
    assert (operation, status) == ("realtime_session", StatusCode.ERROR)
    assert spans_of(instrumented, operation)[0]["aiobs.error.code"] == "CONNECTION"


@needs("openai live")
@both
async def test_a_connection_that_the_sdk_dials_again(is_async: bool, instrumented: Any) -> None:
    """The SDK's own reconnection: the broken session is an error, the new connection is a session of its own."""
    greetings: list[list[Any]] = [[wire.event("session.created", session=wire.session()), Drop()], [wire.event("session.created", session=wire.session(id="sess_2"))]]  # fmt: skip
    script = wire.realtime()

    class Greeting:
        def __iter__(self) -> Iterator[Any]:
            greeting: list[Any] = greetings.pop(0)
            return iter(greeting)

    script.greeting = Greeting()
    options: Any = {"on_reconnecting": lambda event: None, "initial_delay": 0.001, "model": "m"}
    created = ("until", "session.created")
    with SocketServer(script) as server:
        await talk(is_async, server, "realtime", [created, created, ASK, DONE], **options)
    broken, response, session = instrumented.spans
    assert (broken.status.status_code, session.status.status_code) == (StatusCode.ERROR, StatusCode.UNSET)
    assert response.parent.span_id == session.context.span_id
    assert [dict(span.attributes)["gen_ai.response.id"] for span in (broken, session)] == ["sess_1", "sess_2"]


# Several at once


async def test_sessions_at_once_in_one_loop(instrumented: Any) -> None:
    """Responses are below their own session, whoever speaks first."""
    with SocketServer(wire.realtime()) as server:
        async with server.async_openai() as client:

            async def program(name: str) -> None:
                async with client.realtime.connect(model=name) as connection:
                    for _ in range(3):
                        await connection.response.create()
                        async for event in connection:
                            if event.type == "response.done":
                                break

            await asyncio.gather(*map(program, "abcd"))
    check_families(instrumented)


def test_sessions_at_once_in_threads(instrumented: Any) -> None:
    """The same in threads."""
    with SocketServer(wire.realtime()) as server:
        steps = [ASK, DONE] * 3
        threads = [threading.Thread(target=talk_sync, args=(server, "realtime", steps), kwargs={"model": name}) for name in "abcd"]  # fmt: skip
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    check_families(instrumented)


def check_families(telemetry: InMemoryTelemetry) -> None:
    sessions = {span.context.span_id: span.name[-1] for span in telemetry.spans if span.name[:3] == "rea"}
    responses = [span for span in telemetry.spans if span.name[:3] != "rea"]
    assert Counter((sessions[span.parent.span_id], span.name[-1]) for span in responses if span.parent) == {
        (name, name): 3 for name in "abcd"
    }
    assert set(sessions.values()) == set("abcd")


def test_one_thread_sends_while_another_receives(instrumented: Any) -> None:
    """The usual shape of a program with a microphone."""
    with SocketServer(wire.realtime()) as server, server.openai() as client:
        with client.realtime.connect(model="m") as connection:
            done = threading.Semaphore(0)

            def receive() -> None:
                for event in connection:
                    if event.type == "response.done":
                        done.release()

            reader = threading.Thread(target=receive)
            reader.start()
            for _ in range(50):
                connection.response.create()
                assert done.acquire(timeout=30)
            connection.close()
            reader.join()
    assert outcomes(instrumented) == [*[GOOD] * 50, WHOLE]


# What the program sees


@both
async def test_nothing_is_current_in_the_programs_code(is_async: bool, server: SocketServer, instrumented: Any) -> None:
    """Neither the session's span nor a response's, inside the with statement and after it."""
    seen = []
    script = server.script

    def answer(event: Any, number: int) -> Any:
        return wire.spoken("r", "x")

    script.answer = answer
    if is_async:
        async with server.async_openai() as client, client.realtime.connect(model="m") as connection:
            seen.append(trace.get_current_span())
            await connection.response.create()
            async for event in connection:
                seen.append(trace.get_current_span())
                if event.type == "response.done":
                    break
    else:
        with server.openai() as client, client.realtime.connect(model="m") as connection:
            seen.append(trace.get_current_span())
            connection.response.create()
            for event in connection:
                seen.append(trace.get_current_span())
                if event.type == "response.done":
                    break
    assert set(seen) == {trace.INVALID_SPAN}
    assert len(instrumented.spans) == 2


async def looks(is_async: bool, server: SocketServer) -> list[Any]:
    """Everything that a program could look at, in order."""
    seen: list[Any] = []
    client = server.async_openai() if is_async else server.openai()
    manager = client.realtime.connect(model="m")
    seen += [type(manager), sorted(vars(manager)), dir(manager)]
    connection = await manager.enter() if is_async else manager.enter()
    seen += [type(connection), sorted(vars(connection)), dir(connection), connection.__class__.__mro__]
    seen += [inspect.iscoroutinefunction(getattr(connection, name)) for name in ("recv", "send", "close", "recv_bytes")]
    seen += [str(inspect.signature(getattr(connection, name))) for name in ("recv", "send", "close")]
    seen += [
        connection.recv.__name__,
        connection.recv.__doc__,
        manager.enter.__name__,
        type(manager).enter.__qualname__,
    ]
    for sent in ({"type": "response.create"}, {"type": "response.create", "response": {"instructions": "x"}}):
        result = connection.send(sent)
        seen.append(await result if is_async else result)
    while len([event for event in seen if getattr(event, "type", "") == "response.done"]) < 2:
        seen.append(await connection.recv() if is_async else connection.recv())
    seen = [(type(each), each.to_dict()) if hasattr(each, "to_dict") else each for each in seen]
    try:
        result = connection.send(sorted)
        seen.append(await result if is_async else result)
    except Exception as error:
        seen.append((type(error), str(error)))
    result = connection.close()
    seen.append(await result if is_async else result)
    for method in (connection.recv, lambda: connection.send({"type": "x"}), connection.close):
        try:
            result = method()
            seen.append(await result if is_async else result)
        except Exception as error:
            seen.append((type(error), str(error)))
    await client.close() if is_async else client.close()
    return seen


@both
async def test_with_and_without_us(is_async: bool, signals: InMemoryTelemetry) -> None:
    """Types, attributes, order, results and exceptions are the same, and so is what goes over the wire."""
    found, wires = [], []
    for instrumented in (False, True):
        if instrumented:
            Instrumentor(capture_content="span_and_event", **signals.providers).instrument()
        with scripted(wire.spoken("a", "one two"), wire.spoken("b", "three")) as server:
            found.append([_without_ids(each) for each in await looks(is_async, server)])
            wires.append((server.received, server.paths))
    assert found[0] == found[1]
    assert wires[0] == wires[1]
    assert len(signals.spans) >= 3


def _without_ids(seen: Any) -> Any:
    if isinstance(seen, tuple) and len(seen) == 2 and isinstance(seen[1], dict):
        return seen[0], {key: value for key, value in seen[1].items() if key != "event_id"}
    return seen


@both
async def test_dispatched_events_are_recorded(is_async: bool, server: SocketServer, instrumented: Any) -> None:
    """Handlers get their events through recv() too."""
    if not has("openai live"):
        pytest.skip("dispatch_events came late in openai 2")
    got: list[str] = []
    if is_async:
        async with server.async_openai() as client, client.realtime.connect(model="m") as connection:

            async def stop(event: Any) -> None:
                got.append(event.type)
                await connection.close()

            connection.on("response.done", stop)
            await connection.response.create()
            await connection.dispatch_events()
    else:
        with server.openai() as client, client.realtime.connect(model="m") as connection:

            def stop_here(event: Any) -> None:
                got.append(event.type)
                connection.close()

            connection.on("response.done", stop_here)
            connection.response.create()
            connection.dispatch_events()
    assert got == ["response.done"]
    assert outcomes(instrumented) == [GOOD, WHOLE]


def test_bytes_pass_by(server: SocketServer, instrumented: Any) -> None:
    """docs/sockets.md: who reads recv_bytes() gets events that we do not see: the response is incomplete."""
    with server.openai() as client, client.realtime.connect(model="m") as connection:
        connection.response.create()
        while json.loads(connection.recv_bytes())["type"] != "response.done":
            """Read on."""
    assert outcomes(instrumented) == [CUT, WHOLE]


def test_uninstrumented_in_the_middle(server: SocketServer, instrumented: Any) -> None:
    """The methods are the SDK's again; what was open is ended when the process ends."""
    with server.openai() as client, client.realtime.connect(model="m") as connection:
        Instrumentor().uninstrument()
        connection.response.create()
        for event in connection:
            if event.type == "response.done":
                break
    assert outcomes(instrumented) == []
    deferred.settle_all()
    assert outcomes(instrumented) == [(*WHOLE[:2], True, None)]


def test_nothing_listens(server: SocketServer) -> None:
    """Not instrumented into anything: the SDK's own, and nothing is kept."""
    Instrumentor().instrument()
    gc.collect()
    before = len(sockets._held), len(sockets._dials)
    assert talk_sync(server, "realtime", [ASK, DONE], model="m")
    assert (len(sockets._held), len(sockets._dials)) == before


def test_sampled_out() -> None:
    """No span, but metrics of every response."""
    with InMemoryTelemetry(sampler=ALWAYS_OFF) as signals, SocketServer(wire.realtime()) as server:
        Instrumentor(**signals.providers).instrument()
        talk_sync(server, "realtime", [ASK, DONE, ASK, DONE], model="m")
        assert signals.spans == ()
        assert sum(point.count for point in signals.metrics()["gen_ai.client.inference.duration"]) == 2


# Hooks


class Refusal(AiobsError):
    """A hook's."""


class Hook:
    """Refuses what is named so."""

    def __init__(self, refused: str) -> None:
        self.refused = refused
        self.seen: list[str] = []

    def before(self, call: Any) -> None:
        self.seen.append(f"before {call.operation}")
        if call.operation == self.refused:
            raise Refusal("no")

    def finish(self, call: Any) -> None:
        self.seen.append(f"finish {call.operation}")


@both
async def test_a_hook_refuses(is_async: bool, server: SocketServer, signals: InMemoryTelemetry) -> None:
    """Refused when it is dialled, or when a response is asked for: nothing goes out by that."""
    for refused, paths, sent in (("realtime_session", 0, 0), ("chat", 1, 0)):
        Instrumentor(hooks=[hook := Hook(refused)], **signals.providers).instrument()
        with pytest.raises(Refusal):
            await talk(is_async, server, "realtime", [ASK, DONE], model="m")
        assert (len(server.paths), len(server.received)) == (paths, sent)
        assert hook.seen.count(f"finish {refused}") == 1


def test_a_hook_cannot_refuse_what_the_provider_began(signals: InMemoryTelemetry) -> None:
    """It sees the response; the program gets it."""
    Instrumentor(hooks=[hook := Hook("chat")], **signals.providers).instrument()
    script = Script(
        lambda event, number: wire.spoken("r", "x"), [wire.event("session.created", session=wire.session())]
    )
    with SocketServer(script) as server:
        talk_sync(server, "realtime", [said("x"), DONE], model="m")
    assert hook.seen == ["before realtime_session", "before chat", "finish chat", "finish realtime_session"]


# Failures of ours


@pytest.mark.quiet_guard
@pytest.mark.parametrize("broken", ["read_sent", "read_received", "read_ending", "initial"])
@both
async def test_readers_that_fail(
    is_async: bool, broken: str, server: SocketServer, instrumented: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program gets everything, the session is recorded, and the failure is counted."""
    from aiobs.instrumentation.openai import PROVIDER

    def fail(*args: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setitem(PROVIDER.sockets[0].__dict__, broken, fail)
    script = wire.realtime(wire.spoken("a", "one"), [*wire.spoken("b", "two"), Close(1000)])
    with SocketServer(script) as running:
        events = await talk(is_async, running, "realtime", [ASK, DONE, ASK, DONE, ("all", None)], model="m")
    assert [event.type for event in events].count("response.done") == 2
    assert ("realtime_session", StatusCode.UNSET) in [each[:2] for each in outcomes(instrumented)]
    assert sum(guard.errors.values()) > 0


# Memory


def test_ten_thousand_events(instrumented: Any, conforming: Witness) -> None:
    """A long session keeps nothing of its events, of responses that ended, or of sound that went by."""
    burst = wire.spoken("r", " ".join(["word"] * 200))  # 400 deltas and more
    with SocketServer(Script(lambda event, number: burst if event["type"] == "response.create" else ())) as server:
        with server.openai() as client, client.realtime.connect(model="m") as connection:

            def forget() -> None:
                instrumented.clear()
                conforming.spans.clear()
                conforming.logs.clear()

            def round_trip() -> int:
                got = 0
                connection.input_audio_buffer.append(audio="AAAA" * 1000)
                connection.response.create()
                for event in connection:
                    got += 1
                    if event.type == "response.done":
                        return got
                return got

            tracemalloc.start()
            for _ in range(20):  # what caches and free lists take once is not growth
                round_trip()
            forget()
            gc.collect()
            before = tracemalloc.take_snapshot()
            events = 0
            while events < 10_000:
                events += round_trip()
                forget()
            gc.collect()
            grown = [
                difference
                for difference in tracemalloc.take_snapshot().compare_to(before, "lineno")
                if "/aiobs/capture/" in str(difference.traceback)
                or "/aiobs/instrumentation/" in str(difference.traceback)
            ]
            tracemalloc.stop()
    assert sum(difference.size_diff for difference in grown) < 5_000, grown
