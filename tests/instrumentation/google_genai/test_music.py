"""Live music: one span for a session, with what was played."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any

import pytest
from opentelemetry.trace import StatusCode

from aiobs import Instrumentor, observer
from aiobs.testing import InMemoryTelemetry
from aiobs.testing import gemini_live as wire
from aiobs.testing.socket_server import Close, Drop, Script, SocketServer
from tests.versions import needs

pytestmark = [needs("gemini live"), pytest.mark.filterwarnings("ignore:.*music generation is experimental")]

SECOND = bytes(48_000 * 2 * 2)
MOVING = ("code.", "server.port", "session.", "aiobs.session", "label.")


def client_of(server: SocketServer) -> Any:
    """With an address without TLS, which a client with a key would not dial by itself."""
    client = server.gemini()
    client._api_client._websocket_base_url = lambda http_options=None: server.origin.replace("http", "ws")
    return client


def prompts(*texts: tuple[str, float]) -> list[Any]:
    from google.genai import types

    return [types.WeightedPrompt(text=said, weight=weight) for said, weight in texts]


def config(**given: Any) -> Any:
    from google.genai import types

    return types.LiveMusicGenerationConfig(**given)


async def listen(script: Script, pieces: int = 1, *asked: Any, **settings: Any) -> list[Any]:
    """A program that asks for music, and hears so many messages."""
    got = []
    with SocketServer(script) as server:
        async with client_of(server).aio.live.music.connect(model="models/lyria") as session:
            if settings:
                await session.set_music_generation_config(config(**settings))
            await session.set_weighted_prompts(prompts=list(asked) or prompts(("techno", 0.7), ("harp", 0.3)))
            await session.play()
            async for message in session.receive():
                got.append(message)
                if len(got) == pieces:
                    break
    return got


async def test_a_session(instrumented: InMemoryTelemetry) -> None:
    """Every attribute with the gate closed: model, settings, and how long it played."""
    script = wire.music((), (), [wire.played(SECOND), wire.played(SECOND[: len(SECOND) // 2], b"")])
    got = await listen(script, 2, bpm=120, temperature=1.5, top_k=40, seed=7, density=0.5, mute_bass=True, scale="C_MAJOR_A_MINOR")  # fmt: skip
    assert len(got) == 2
    (span,) = instrumented.spans
    assert (span.name, span.status.status_code) == ("realtime_session lyria", StatusCode.UNSET)
    assert {key: value for key, value in (span.attributes or {}).items() if not key.startswith(MOVING)} == {
        "aiobs.api.name": "live.music.connect",
        "aiobs.request.config.bpm": 120,
        "aiobs.request.config.density": 0.5,
        "aiobs.request.config.mute_bass": True,
        "aiobs.request.config.scale": "C_MAJOR_A_MINOR",
        "aiobs.request.config.top_k": 40,
        "aiobs.usage.seconds": 1.5,
        "gen_ai.operation.name": "realtime_session",
        "gen_ai.provider.name": "gcp.gemini",
        "gen_ai.request.model": "lyria",
        "gen_ai.request.seed": 7,
        "gen_ai.request.temperature": 1.5,
        "server.address": "127.0.0.1",
    }


async def test_what_was_asked_for_and_played(signals: InMemoryTelemetry, tmp_path: Any) -> None:
    """Under the gate: prompts with their weights, the sound by size and hash; and in the session file."""
    observer.observe(tracer_provider=signals.tracer_provider, capture_content="span_only")
    await listen(wire.music((), [wire.played(b"ab", b"cd"), wire.played(b"ef")]), 2)
    (span,) = signals.spans
    attributes = dict(span.attributes or {})
    asked = [{"type": "text", "content": "techno", "weight": 0.7}, {"type": "text", "content": "harp", "weight": 0.3}]
    sound = {
        "type": "blob",
        "modality": "audio",
        "mime_type": "audio/l16;rate=48000;channels=2",
        "content": "",
        "size": 6,
        "sha256": hashlib.sha256(b"abcdef").hexdigest(),
    }
    assert json.loads(str(attributes["gen_ai.input.messages"])) == [{"role": "user", "parts": asked}]
    assert json.loads(str(attributes["gen_ai.output.messages"]))[0]["parts"] == [sound]
    observer.flush(str(tmp_path / "out.json"))
    (event,) = json.loads((tmp_path / "out.json").read_text())["events"]
    assert (event["api"], event["request"]["model"]) == ("live.music.connect", "lyria")
    assert event["request"]["prompts"] == [{"role": "user", "parts": asked}]
    assert event["response"]["media"] == [sound]


@pytest.mark.parametrize(
    ("mime_type", "seconds"),
    [
        ("audio/l16;rate=24000;channels=1", 8.0),
        ("audio/L16; rate=48000", 2.0),
        ("audio/pcm", 2.0),
        ("audio/l16;rate=x;channels=", 2.0),
        ("audio/l16;rate=0", None),
        ("audio/mpeg", None),
    ],
)
async def test_how_long_it_lasts(mime_type: str, seconds: float | None, instrumented: InMemoryTelemetry) -> None:
    """What the format says of rate and channels counts; of others than plain samples nobody knows."""
    await listen(wire.music((), [wire.played(SECOND, SECOND, mime_type=mime_type)]))
    (span,) = instrumented.spans
    assert (span.attributes or {}).get("aiobs.usage.seconds") == seconds


@pytest.mark.parametrize(("end", "status"), [(Close(), StatusCode.UNSET), (Drop(), StatusCode.ERROR)])
async def test_the_server_ends_it(end: Any, status: StatusCode, instrumented: InMemoryTelemetry) -> None:
    """The program gets the SDK's exception; a farewell is a good end, a connection that breaks is not."""
    with pytest.raises(Exception):  # noqa: B017, PT011  # which one differs from release to release
        await listen(wire.music((), [wire.played(SECOND), end]), 2)
    (span,) = instrumented.spans
    assert (span.status.status_code, (span.attributes or {})["aiobs.usage.seconds"]) == (status, 1.0)


async def test_a_cancelled_listener(instrumented: InMemoryTelemetry) -> None:
    """Cancelled, and no error."""
    playing = asyncio.Event()

    async def program() -> None:
        with SocketServer(wire.music((), ())) as server:
            async with client_of(server).aio.live.music.connect(model="m") as session:
                await session.play()
                playing.set()
                await session._receive()

    task = asyncio.create_task(program())
    await playing.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (span,) = instrumented.spans
    assert (span.status.status_code, (span.attributes or {})["aiobs.cancelled"]) == (StatusCode.UNSET, True)


BAD = (
    {},
    {"serverContent": {}},
    {"serverContent": {"audioChunks": []}},
    {"serverContent": {"audioChunks": [{}]}},
    {"serverContent": {"audioChunks": [{"mimeType": "audio/l16"}]}},
    {"filteredPrompt": {"text": "no", "filteredReason": "why"}},
    {"somethingNew": 5},
)


@pytest.mark.parametrize("bad", BAD, ids=range(len(BAD)))
async def test_messages_that_say_little(bad: Any, signals: InMemoryTelemetry) -> None:
    """The program gets them; what comes after them counts."""
    Instrumentor(capture_content="span_and_event", **signals.providers).instrument()
    assert len(await listen(wire.music((), [bad, wire.played(SECOND)]), 2)) == 2
    (span,) = signals.spans
    assert (span.attributes or {})["aiobs.usage.seconds"] == 1.0


async def test_odd_prompts(signals: InMemoryTelemetry) -> None:
    """They go out as the SDK makes them; surrogates and missing texts lose nothing."""
    from google.genai import types

    Instrumentor(capture_content="span_only", **signals.providers).instrument()
    await listen(wire.music((), [wire.played(SECOND)]), 1, types.WeightedPrompt(weight=1.0), *prompts(("\ud800", 0.5)))
    (span,) = signals.spans
    (message,) = json.loads(str((span.attributes or {})["gen_ai.input.messages"]))
    assert [part["weight"] for part in message["parts"]] == [1.0, 0.5]
