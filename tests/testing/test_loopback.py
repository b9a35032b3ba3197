"""The life of the server: what it starts it ends, whatever clients do."""

from __future__ import annotations

import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest

from aiobs.testing import Request, Simulator

ASK: list[Any] = [{"role": "user", "content": "Hi"}]


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def use(simulator: Simulator) -> None:
    client = simulator.openai()
    client.chat.completions.create(model="m", messages=ASK)
    next(client.chat.completions.create(model="m", messages=ASK, stream=True))
    simulator.fault(silence=60)
    with pytest.raises(openai.APITimeoutError):
        client.chat.completions.create(model="m", messages=ASK, timeout=0.05)


def test_nothing_is_left_behind() -> None:
    """Threads and descriptors are as before, idle connections and half-read streams notwithstanding."""
    with Simulator() as simulator:  # what the SDK loads and opens once
        use(simulator)
    gc.collect()
    threads, files = set(threading.enumerate()), descriptors()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(5):
            with Simulator() as simulator:
                use(simulator)
        gc.collect()
    assert set(threading.enumerate()) == threads
    assert descriptors() == files


def test_it_closes_at_once_while_replies_are_held_back() -> None:
    """Silence, slow chunks and closed gates do not hold close() up; their clients get a connection error."""
    with Simulator() as simulator, ThreadPoolExecutor() as pool:
        simulator.fault(silence=60)
        simulator.fault(chunk_delay=60)
        simulator.gated()
        client = simulator.openai(timeout=60)
        calls = [
            pool.submit(lambda: list(client.chat.completions.create(model="m", messages=ASK, stream=True)))
            for _ in range(3)
        ]
        assert simulator.wait_for(lambda here: len(here.requests) == 3)
        started = time.monotonic()
        simulator._clients.clear()  # the clients are not closed under the calls
        simulator.close()
        assert time.monotonic() - started < 2
        assert [type(call.exception(10)) for call in calls] == [openai.APIConnectionError] * 3
        assert not any(request.disconnected for request in simulator.requests)
        client.close()


def test_nothing_is_left_of_a_request_that_was_asleep() -> None:
    """Closing in the middle of a silence leaves neither its thread nor its socket."""
    with Simulator() as simulator:  # what the SDK loads and opens once
        use(simulator)
    gc.collect()
    threads, files = set(threading.enumerate()), descriptors()
    client = openai.OpenAI(api_key="k", base_url="http://127.0.0.1:9", max_retries=0, timeout=60)
    with client, ThreadPoolExecutor(1) as pool:
        with Simulator() as simulator:
            simulator.fault(silence=60)
            here = client.with_options(base_url=f"{simulator.origin}/v1")
            call = pool.submit(here.chat.completions.create, model="m", messages=ASK)
            assert simulator.wait_for(lambda here: len(here.requests) == 1)
        assert isinstance(call.exception(10), openai.APIConnectionError)
    del call
    gc.collect()
    assert set(threading.enumerate()) == threads
    assert descriptors() == files


def test_it_closes_the_clients_it_gave_out() -> None:
    """Sync clients are closed with the simulator; async ones are their owner's to close."""
    with Simulator() as simulator:
        ours, theirs = simulator.openai(), simulator.async_openai()
        assert not ours.is_closed()
    assert (ours.is_closed(), theirs.is_closed()) == (True, False)


def test_closing_waits_for_a_rule_that_still_runs() -> None:
    """What a rule does is done when the block has ended."""
    ended: list[int] = []

    def slow(request: Request) -> None:
        simulator.closing.wait(10)
        time.sleep(0.1)
        ended.append(request.number)

    with openai.OpenAI(api_key="k", base_url="http://127.0.0.1:9", max_retries=0) as client:
        with ThreadPoolExecutor(1) as pool:
            with Simulator() as simulator:
                simulator.on(slow)
                here = client.with_options(base_url=f"{simulator.origin}/v1")
                call = pool.submit(here.chat.completions.create, model="m", messages=ASK)
                assert simulator.wait_for(lambda here: len(here.requests) == 1)
            assert ended == [1]
        assert isinstance(call.exception(10), openai.APIConnectionError)


@pytest.mark.parametrize(
    "upload",
    [
        b"content-length: 100\r\n\r\n{",
        b"transfer-encoding: chunked\r\n\r\n",
        b"transfer-encoding: chunked\r\n\r\n1",
        b"transfer-encoding: chunked\r\n\r\n10\r\n{",
        b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n",
    ],
)
def test_half_a_request_is_none(upload: bytes) -> None:
    """A client that leaves while it sends is not in the journal, uses no script up, and fails no test."""
    with Simulator() as simulator:
        simulator.reply("for a whole one")
        address = ("127.0.0.1", int(simulator.origin.rpartition(":")[2]))
        with socket.create_connection(address, timeout=5) as connection:
            connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\n" + upload)
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(1) == b""
        answer = simulator.openai().chat.completions.create(model="m", messages=ASK)
        assert (answer.choices[0].message.content, len(simulator.requests)) == ("for a whole one", 1)


def test_it_closes_with_connections_that_never_sent_anything() -> None:
    """A connection that was accepted but has said nothing is closed as well."""
    with Simulator() as simulator:
        idle = [socket.create_connection(("127.0.0.1", int(simulator.origin.rpartition(":")[2]))) for _ in range(5)]
    for connection in idle:
        connection.settimeout(5)
        with connection:
            try:
                assert connection.recv(1) == b""
            except ConnectionResetError:
                """It was still in the queue of the listening socket."""


def test_fifty_threads() -> None:
    """Fifty threads at once, each with answers of its own."""
    with Simulator() as simulator, ThreadPoolExecutor(50) as pool:
        client = simulator.openai()
        start = threading.Barrier(50)

        def ask(number: int) -> bool:
            start.wait(20)
            messages: list[Any] = [{"role": "user", "content": f"<{number}>"}]
            whole = client.chat.completions.create(model="m", messages=messages)
            stream = client.chat.completions.create(model="m", messages=messages, stream=True)
            streamed = "".join(choice.delta.content or "" for chunk in stream for choice in chunk.choices)
            return f"<{number}>" in streamed and whole.choices[0].message.content == streamed

        assert all(pool.map(ask, range(50)))
        assert sorted(request.number for request in simulator.requests) == list(range(1, 101))


def test_start_and_close() -> None:
    """Without a block: start and close, close again, start again; what makes no sense says so."""
    simulator = Simulator()
    with pytest.raises(RuntimeError, match="not running"):
        _ = simulator.origin
    simulator.start()
    assert simulator.origin.startswith("http://127.0.0.1:")
    with pytest.raises(RuntimeError, match="running already"):
        simulator.start()
    simulator.close()
    simulator.close()
    with simulator:
        simulator.openai().chat.completions.create(model="m", messages=ASK)


def test_no_name_is_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting asks no resolver for anything."""
    for name in ("getfqdn", "gethostbyaddr", "gethostbyname"):
        monkeypatch.setattr(socket, name, lambda *_: pytest.fail("asked the resolver"))
    with Simulator() as simulator:
        simulator.openai().chat.completions.create(model="m", messages=ASK)


def test_a_forgotten_simulator_does_not_keep_the_process() -> None:
    """A program that never closes it still ends."""
    program = (
        "import http.client, aiobs.testing as t; s = t.Simulator().start();"
        "c = http.client.HTTPConnection(s.origin[7:]); c.request('GET', '/v1/x'); print(c.getresponse().status)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout == "404\n"


def test_as_a_server_of_its_own() -> None:
    """``python -m aiobs.testing`` prints where it is, answers, and ends on SIGTERM."""
    process = subprocess.Popen([sys.executable, "-m", "aiobs.testing"], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        variables: dict[str, str] = {}
        while "OPENAI_BASE_URL" not in variables or "OPENAI_API_KEY" not in variables:
            name, found, value = process.stdout.readline().strip().removeprefix("export ").partition("=")
            variables[name] = value if found else ""
        with openai.OpenAI(base_url=variables["OPENAI_BASE_URL"], api_key=variables["OPENAI_API_KEY"]) as client:
            assert client.chat.completions.create(model="m", messages=ASK).id == "chatcmpl-simulated000001"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
