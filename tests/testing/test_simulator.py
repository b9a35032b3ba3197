"""Scripts, faults and the journal: what a program sees of them through the real SDK."""

from __future__ import annotations

import http.client
import json
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest

from aiobs.testing import Answer, Fault, Reply, Request, Simulator

ASK: list[Any] = [{"role": "user", "content": "What is an API?"}]
CHUNK = b'data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"m","choices":[%s]}\n\n'


def create(simulator: Simulator, **options: Any) -> Any:
    client = simulator.openai(timeout=options.pop("timeout", 10))
    return client.chat.completions.create(**{"model": "m", "messages": ASK, **options})


def post(simulator: Simulator, body: dict[str, Any], path: str = "/v1/chat/completions") -> tuple[int, Any, bytes]:
    """Status, headers and bytes, without any SDK."""
    connection = http.client.HTTPConnection(urlsplit(simulator.origin).netloc, timeout=10)
    try:
        connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
        response = connection.getresponse()
        return response.status, sorted(response.getheaders()), response.read()
    finally:
        connection.close()


# Scripts


def test_the_same_requests_get_the_same_bytes() -> None:
    """Two simulators answer the same requests in the same order byte by byte alike, headers included."""
    bodies: list[dict[str, Any]] = [
        {"model": "m", "messages": ASK},
        {"model": "m", "messages": ASK, "stream": True, "stream_options": {"include_usage": True}},
        {"model": "m"},
    ]
    runs = []
    for _ in range(2):
        with Simulator() as simulator:
            runs.append([post(simulator, body) for body in bodies])
    assert runs[0] == runs[1]
    assert [status for status, _, _ in runs[0]] == [200, 200, 400]


def test_the_queue_is_used_up_in_order(simulator: Simulator) -> None:
    """Each script is for one request; afterwards the default is back."""
    simulator.reply("one")
    simulator.fail(500)
    simulator.next(Answer("two"), Reply(body=b'{"id": "raw", "choices": []}'))
    assert create(simulator).choices[0].message.content == "one"
    with pytest.raises(openai.InternalServerError):
        create(simulator)
    assert create(simulator).choices[0].message.content == "two"
    assert create(simulator).id == "raw"
    assert create(simulator).choices[0].message.content.startswith("Here is")


def test_a_rule_goes_before_the_queue(simulator: Simulator) -> None:
    """A rule sees the request; what it leaves alone goes on to the queue."""
    simulator.on(lambda request: Answer("ruled") if request.json["model"] == "special" else None)
    simulator.reply("queued")
    assert create(simulator, model="special").choices[0].message.content == "ruled"
    assert create(simulator).choices[0].message.content == "queued"


def test_a_rule_that_fails_fails_the_test() -> None:
    """What a rule raises is answered with a 500 and raised where the block ends: no silent death of a thread."""

    def broken(request: Request) -> Answer:
        raise KeyError(request.path)

    def program() -> None:
        with Simulator() as simulator:
            simulator.on(broken)
            with pytest.raises(openai.InternalServerError, match="KeyError"):
                create(simulator)

    with pytest.raises(KeyError, match="/v1/chat/completions"):
        program()


def test_a_rule_that_finds_no_file_fails_the_test(tmp_path: Path) -> None:
    """An OSError of a rule is a failure like any other, not a client that went away."""

    def program() -> None:
        with Simulator() as simulator:
            simulator.on(lambda request: Answer((tmp_path / "answer.txt").read_text()))
            with pytest.raises(openai.InternalServerError, match="FileNotFoundError"):
                create(simulator)
            assert not simulator.requests[0].disconnected

    with pytest.raises(FileNotFoundError, match=r"answer\.txt"):
        program()


def test_a_second_block_does_not_raise_the_failure_of_the_first() -> None:
    """A simulator may be started again, and starts with nothing held against it."""
    simulator = Simulator()
    simulator.on(lambda request: {}["no answer"] if len(simulator.requests) == 1 else None)

    def program() -> None:
        with simulator, pytest.raises(openai.InternalServerError):
            create(simulator)

    with pytest.raises(KeyError, match="no answer"):
        program()
    with simulator:
        assert create(simulator).choices


def test_a_failing_rule_is_told_beside_the_tests_own_failure() -> None:
    """The exception that ends the block stays the one that is raised; ours is a note on it."""

    def program() -> None:
        with Simulator() as simulator:
            simulator.on(lambda request: Answer(str(1 / 0)))
            create(simulator)

    with pytest.raises(openai.InternalServerError) as raised:
        program()
    assert raised.value.__notes__ == ["Simulator failed meanwhile: ZeroDivisionError('division by zero')"]


def test_an_unknown_url(simulator: Simulator) -> None:
    """A URL that the provider does not have is its 404; a raw reply works at any URL."""
    with pytest.raises(openai.NotFoundError, match=r"Invalid URL \(GET /v1/models\)"):
        simulator.openai().models.list()
    simulator.raw(b'{"object": "list", "data": []}')
    assert simulator.openai().models.list().data == []


def test_the_environment_points_an_unchanged_program_here(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client made without arguments talks to the simulator."""
    for name, value in simulator.environment().items():
        monkeypatch.setenv(name, value)
    with openai.OpenAI() as client:
        client.chat.completions.create(model="m", messages=ASK)
    assert len(simulator.requests) == 1


def test_clients_take_the_sdks_keywords(simulator: Simulator) -> None:
    """Keywords go through, and retries are off unless asked for."""
    assert simulator.openai().max_retries == 0
    assert simulator.openai(max_retries=1, api_key="sk-mine").api_key == "sk-mine"
    assert {"openai", "async_openai", "azure_openai", "async_azure_openai"} <= set(dir(simulator))
    with pytest.raises(AttributeError, match="'Simulator' object has no attribute 'opeani'"):
        simulator.opeani()


# Faults


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError),
        (409, openai.ConflictError),
        (422, openai.UnprocessableEntityError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
        (418, openai.APIStatusError),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_status(simulator: Simulator, status: int, error: type[openai.APIStatusError], stream: bool) -> None:
    """Any status comes with the provider's error body and is the SDK's own exception."""
    simulator.fail(status, code="some_code", message="Some message")
    with pytest.raises(error, match="Some message") as raised:
        create(simulator, stream=stream)
    assert (raised.value.status_code, raised.value.code) == (status, "some_code")
    assert raised.value.request_id == "req_000001"


def test_retry_after(simulator: Simulator) -> None:
    """Retry-After is sent, and a client that retries gets through after ``times`` failures."""
    simulator.fail(429, code="rate_limit_exceeded", retry_after=1.5)
    with pytest.raises(openai.RateLimitError) as raised:
        create(simulator)
    assert raised.value.response.headers["retry-after"] == "1.5"
    simulator.fail(503, times=2, retry_after=0.01)
    simulator.openai(max_retries=2).chat.completions.create(model="m", messages=ASK)
    assert [request.status for request in simulator.requests] == [429, 503, 503, 200]
    assert [request.headers["x-stainless-retry-count"] for request in simulator.requests[1:]] == ["0", "1", "2"]


@pytest.mark.parametrize("stream", [False, True])
def test_headers(simulator: Simulator, stream: bool) -> None:
    """Headers are sent with error answers and with good ones, and may replace what would be there."""
    limits = {"x-ratelimit-remaining-requests": "0", "x-request-id": "req_mine"}
    simulator.fail(429, headers=limits)
    with pytest.raises(openai.RateLimitError) as raised:
        create(simulator, stream=stream)
    simulator.fault(headers=limits)
    raw = simulator.openai().chat.completions.with_raw_response
    answer = raw.create(model="m", messages=ASK, stream=stream)
    for headers in (raised.value.response.headers, answer.headers):
        assert headers.multi_items().count(("x-ratelimit-remaining-requests", "0")) == 1
        assert headers.get_list("x-request-id") == ["req_mine"]
    answer.http_response.close()


def test_malformed_json(simulator: Simulator) -> None:
    """A body cut in half is the SDK's JSONDecodeError, and so is a broken event in a stream."""
    simulator.fault(malformed=True)
    with pytest.raises(json.JSONDecodeError):
        create(simulator)
    simulator.fault(malformed=True)
    stream = create(simulator, stream=True)
    assert next(stream).choices[0].delta.role == "assistant"
    with pytest.raises(json.JSONDecodeError):
        next(stream)
    simulator.reply("one two", fault=Fault(malformed=True))
    _, _, sent = post(simulator, {"model": "m", "messages": ASK, "stream": True})
    events = [event[6:15] for event in sent.split(b"\n\n")]
    assert events == [b'{"id": "c', b"{not json", b'{"id": "c', b'{"id": "c', b"[DONE]", b""]


def test_a_stream_that_is_cut(simulator: Simulator) -> None:
    """The connection closes after exactly that many chunks."""
    simulator.fault(cut_after=2)
    stream = create(simulator, stream=True)
    received = []
    with pytest.raises(openai.APIConnectionError):
        received.extend(iter(stream.__next__, None))
    simulator.fault(cut_after=2)
    stream = create(simulator, stream=True)
    assert [next(stream).choices[0].delta.content for _ in range(2)] == ["", "Here"]
    with pytest.raises(openai.APIConnectionError):
        next(stream)


def test_a_body_that_is_cut(simulator: Simulator) -> None:
    """A body that is not streamed breaks off in the middle."""
    simulator.fault(cut_after=0)
    with pytest.raises(openai.APIConnectionError):
        create(simulator)


def test_hanging_up(simulator: Simulator) -> None:
    """The connection closes without a word; the next request gets a new one."""
    simulator.fault(hang_up=True)
    with pytest.raises(openai.APIConnectionError) as raised:
        create(simulator)
    assert not isinstance(raised.value, openai.APITimeoutError)
    assert create(simulator).id == "chatcmpl-simulated000002"


def test_an_error_event(simulator: Simulator) -> None:
    """An error in the middle of a stream is an APIError with the provider's code, after the chunks before it."""
    simulator.fault(error_after=2, code="server_error", message="Overloaded")
    stream = create(simulator, stream=True)
    assert [next(stream).choices[0].delta.content for _ in range(2)] == ["", "Here"]
    with pytest.raises(openai.APIError, match="Overloaded") as raised:
        next(stream)
    assert (raised.value.code, type(raised.value)) == ("server_error", openai.APIError)


def test_silence(simulator: Simulator) -> None:
    """Silence is a timeout of the client, whose leaving is noticed at once."""
    simulator.fault(silence=60)
    with pytest.raises(openai.APITimeoutError):
        create(simulator, timeout=0.1)
    assert simulator.wait_for(lambda here: here.requests[0].disconnected, timeout=5)
    assert (simulator.requests[0].status, simulator.requests[0].finished) == (200, True)


def test_slow_chunks(simulator: Simulator) -> None:
    """Each chunk comes so much later; a read timeout shorter than that is hit within the stream."""
    simulator.reply("a b", fault=Fault(chunk_delay=0.05))
    started = time.monotonic()
    assert len(list(create(simulator, stream=True))) == 4
    assert time.monotonic() - started >= 5 * 0.05
    simulator.reply("a b", fault=Fault(chunk_delay=30))
    with pytest.raises((openai.APITimeoutError, openai.APIConnectionError)):
        list(create(simulator, stream=True, timeout=0.1))


@pytest.mark.parametrize("stream", [False, True])
def test_a_huge_body(simulator: Simulator, stream: bool) -> None:
    """Megabytes arrive complete."""
    simulator.fault(padding=4_000_000)
    answer = create(simulator, stream=stream)
    contents = [chunk.choices[0].delta.content for chunk in answer] if stream else [answer.choices[0].message.content]
    assert sum(len(content or "") for content in contents) > 4_000_000


def test_another_content_type(simulator: Simulator) -> None:
    """A body that neither says it is JSON nor is comes out of the SDK as a str."""
    simulator.fault(content_type="text/html", malformed=True)
    answer = create(simulator)
    assert isinstance(answer, str)
    assert answer.startswith('{"id": "chatcmpl-simulated000001"')


def test_raw_chunks(simulator: Simulator) -> None:
    """Anything at all can be sent: choices and deltas that are null, unknown fields, empty chunks."""
    simulator.raw([CHUNK % b"", b"", CHUNK % b'{"index":0,"delta":null}', b": comment\n\n", b"data: [DONE]\n\n"])
    chunks = list(create(simulator, stream=True))
    assert [len(chunk.choices) for chunk in chunks] == [0, 1]
    assert chunks[1].choices[0].delta is None


def test_a_raw_reply_can_go_wrong_too(simulator: Simulator) -> None:
    """Faults are a value of their own: they go with raw replies as with answers."""
    simulator.raw([CHUNK % b"", CHUNK % b""], cut_after=1)
    stream = create(simulator, stream=True)
    next(stream)
    with pytest.raises(openai.APIConnectionError):
        next(stream)


# The gate


def test_a_gate_lets_chunks_out_one_by_one(simulator: Simulator) -> None:
    """Chunk k is with the program before k+1 has left, and no clock says so."""
    gate = simulator.gated("one two")
    stream = create(simulator, stream=True)
    for number, content in enumerate(["", "one", " two"], start=1):
        gate.release()
        assert next(stream).choices[0].delta.content == content
        assert gate.passed == number
    gate.open()
    assert len(list(stream)) == 1
    assert gate.passed == 5  # the finish reason and [DONE]


def test_a_gate_holds_a_whole_answer(simulator: Simulator) -> None:
    """An answer that is not streamed is one chunk."""
    gate = simulator.gated("held")
    answers: list[Any] = []
    caller = threading.Thread(target=lambda: answers.append(create(simulator)))
    caller.start()
    assert simulator.wait_for(lambda here: len(here.requests) == 1)
    assert (answers, gate.passed) == ([], 0)
    gate.release()
    caller.join()
    assert answers[0].choices[0].message.content == "held"


def test_a_client_that_leaves_a_gated_stream_is_noticed(simulator: Simulator) -> None:
    """The journal says that the program went away."""
    gate = simulator.gated("one two")
    gate.release(2)
    with create(simulator, stream=True) as stream:
        next(stream)
    assert simulator.wait_for(lambda here: here.requests[0].disconnected, timeout=5)
    assert gate.passed == 2


# The journal


def test_the_journal(simulator: Simulator) -> None:
    """A request is kept as it was sent, credentials included, with what became of it."""
    before = time.time()
    simulator.azure_openai(api_key="secret").chat.completions.create(model="m", messages=ASK)
    assert simulator.wait_for(lambda here: here.requests[0].finished)
    (request,) = simulator.requests
    assert (request.number, request.method, request.query) == (1, "POST", "api-version=2024-10-21")
    assert request.path == "/openai/deployments/m/chat/completions"
    assert request.headers["api-key"] == "secret"
    assert json.loads(request.body) == request.json == {"messages": ASK, "model": "m"}
    assert before <= request.received_at <= time.time()
    assert (request.status, request.disconnected) == (200, False)


def test_a_body_that_is_no_json(simulator: Simulator) -> None:
    """It is in the journal as bytes, and refused."""
    connection = http.client.HTTPConnection(urlsplit(simulator.origin).netloc, timeout=10)
    connection.request("POST", "/v1/chat/completions", iter([b"{no", b" json"]), encode_chunked=True,
                       headers={"transfer-encoding": "chunked"})  # fmt: skip
    assert connection.getresponse().status == 400
    connection.close()
    assert (simulator.requests[0].body, simulator.requests[0].json) == (b"{no json", None)
