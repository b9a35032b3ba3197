"""Pictures, sound and files of messages: in a folder by content hash, and by their address in spans and file."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import fsspec
import pytest

from aiobs import configure, losses, observer
from aiobs.capture.sounds import LONGEST, Sound
from aiobs.errors import MissingExtra
from aiobs.exporters import media
from aiobs.exporters.media import MediaStore
from aiobs.semconv import blobs
from aiobs.testing import InMemoryTelemetry, Simulator
from tests.versions import needs

PIXELS = b"\x89PNG\r\n" + bytes(range(256)) * 4
SOUND = b"RIFF" + bytes(range(255, -1, -1)) * 4


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def in_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def at(uri: str) -> bytes:
    """What lies at a file:// address."""
    return Path(unquote(urlsplit(uri).path)).read_bytes()


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Path]:
    """A folder in which media are kept."""
    media.use(str(tmp_path / "kept"))
    yield tmp_path / "kept"
    blobs.keep = None
    losses.lost.clear()


def parts_sent(instrumented: InMemoryTelemetry, key: str = "gen_ai.input.messages") -> list[dict[str, Any]]:
    media.flush(10)
    return [part for message in json.loads(instrumented.span().attributes[key]) for part in message["parts"]]  # type: ignore[index, arg-type]  # it has attributes, and this is text


def ask_openai(simulator: Simulator, url: str, sound: str) -> None:
    content = [
        {"type": "text", "text": "what is it?"},
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "input_audio", "input_audio": {"data": sound, "format": "wav"}},
    ]
    simulator.openai().chat.completions.create(model="m", messages=[{"role": "user", "content": content}])  # type: ignore[call-overload]  # plain dicts


# From the SDKs to the folder


def test_openais_images_and_sound_have_their_address(
    kept: Path, simulator: Simulator, instrumented: InMemoryTelemetry
) -> None:
    """A uri part with type, size and hash, and the bytes lie there, for nobody else to read."""
    configure(tracer_provider=instrumented.tracer_provider, capture_content="span_only")
    ask_openai(simulator, f"data:image/png;base64,{in_base64(PIXELS)}", in_base64(SOUND))
    text, image, sound = parts_sent(instrumented)
    assert text == {"type": "text", "content": "what is it?"}
    assert {**image, "uri": ""} == {
        "type": "uri", "modality": "image", "mime_type": "image/png", "size": len(PIXELS), "sha256": digest(PIXELS), "uri": "",
    }  # fmt: skip
    assert image["uri"] == f"{kept.as_uri()}/{digest(PIXELS)[:2]}/{digest(PIXELS)}.png"
    assert at(image["uri"]) == PIXELS
    assert (sound["mime_type"], at(sound["uri"])) == ("audio/wav", SOUND)
    files = [path for path in kept.rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert len(files) == 2


@needs("openai realtime")
def test_the_sound_of_a_session_has_its_address(kept: Path, instrumented: InMemoryTelemetry, tmp_path: Path) -> None:
    """What was heard and what was said over a socket, each whole though it came in pieces; in the session file, too."""
    from aiobs.testing import openai_realtime as wire
    from aiobs.testing.socket_server import SocketServer
    from tests.instrumentation.openai.sockets import ASK, DONE, spans_of, talk_sync

    observer.observe("spoken", tracer_provider=instrumented.tracer_provider, capture_content="span_only")
    heard = [{"type": "input_audio_buffer.append", "audio": in_base64(SOUND[at : at + 400])} for at in (0, 400, 800)]
    with SocketServer(wire.realtime(wire.spoken("r", "Here now", audio=PIXELS))) as server:
        talk_sync(server, "realtime", [*(("send", event) for event in heard), ASK, DONE], model="m")
    observer.flush(str(tmp_path / "out.json"))
    (answered,) = spans_of(instrumented, "chat")
    [asked] = json.loads(answered["gen_ai.input.messages"])[0]["parts"]
    _, said = json.loads(answered["gen_ai.output.messages"])[0]["parts"]
    assert (asked["type"], asked["size"], at(asked["uri"])) == ("uri", len(SOUND), SOUND)
    assert (said["type"], said["sha256"], at(said["uri"])) == ("uri", digest(PIXELS * 2), PIXELS * 2)
    written = json.loads((tmp_path / "out.json").read_text("utf-8"))["events"][0]
    assert [part["uri"] for part in written["response"]["media"]] == [said["uri"]]
    assert written["request"]["input"][0]["parts"] == [asked]


@pytest.mark.parametrize(
    ("size", "is_kept"), [(LONGEST, True), (LONGEST + 1, False)], ids=["as long as may be", "longer"]
)
def test_sound_is_held_up_to_a_bound(kept: Path, size: int, is_kept: bool) -> None:
    """A session that listens for hours costs no more memory than that; size and hash are of all of it."""
    sound, piece = Sound("audio/wav"), bytes(2**20)
    for begin in range(0, size, 2**20):
        sound.add(piece[: min(2**20, size - begin)])
    part: Any = sound.part()
    assert (part["size"], part["sha256"]) == (size, digest(bytes(size)))
    assert ("uri" in part) is is_kept


@needs("gemini")
def test_geminis_inline_data_has_its_address(kept: Path, simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """As bytes and as a dict with base64: one file."""
    from google.genai import types

    configure(tracer_provider=instrumented.tracer_provider, capture_content="span_only")
    contents = [
        types.Part.from_bytes(data=PIXELS, mime_type="image/png"),
        {"inline_data": {"mime_type": "image/png", "data": in_base64(PIXELS)}},
    ]
    simulator.gemini().models.generate_content(model="m", contents=contents)  # type: ignore[arg-type]  # dicts too
    parts = parts_sent(instrumented)
    assert [at(part["uri"]) for part in parts] == [PIXELS, PIXELS]
    assert len({part["uri"] for part in parts}) == 1


def test_the_session_file_has_the_address(kept: Path, simulator: Simulator) -> None:
    """Of an image and of sound, which it has in its own shapes; the bytes are there when the file is."""
    observer.observe("s")
    ask_openai(simulator, f"data:image/png;base64,{in_base64(PIXELS)}", in_base64(SOUND))
    observer.end()
    observer.flush()
    written = Path("llm_observability.json").read_text("utf-8")
    _, image, sound = json.loads(written)["events"][0]["request"]["messages"][0]["content"]
    assert f"kept as {kept.as_uri()}/{digest(PIXELS)[:2]}/{digest(PIXELS)}.png" in image["image_url"]["url"]
    assert at(sound["input_audio"]["uri"]) == SOUND
    assert in_base64(SOUND)[:64] not in written


@needs("gemini")
def test_the_session_file_has_geminis_address(kept: Path, simulator: Simulator) -> None:
    """Of inline data, whoever wrote it."""
    from google.genai import types

    observer.observe("s")
    simulator.gemini().models.generate_content(
        model="m", contents=[types.Part.from_bytes(data=PIXELS, mime_type="image/png")]
    )
    observer.end()
    observer.flush()
    (part,) = json.loads(Path("llm_observability.json").read_text("utf-8"))["events"][0]["request"]["contents"]
    assert at(part["inline_data"]["uri"]) == PIXELS
    assert part["inline_data"]["bytes"] == len(PIXELS)


def test_with_the_gate_closed_nothing_is_kept(
    kept: Path, simulator: Simulator, instrumented: InMemoryTelemetry
) -> None:
    """Content that goes nowhere does not go into the folder either."""
    for gate in (None, "no_content"):
        configure(tracer_provider=instrumented.tracer_provider, capture_content=gate)
        ask_openai(simulator, f"data:image/png;base64,{in_base64(PIXELS)}", in_base64(SOUND))
    media.flush(10)
    assert [path for path in kept.rglob("*") if path.is_file()] == []


def test_without_a_store_nothing_has_changed(simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """Type, size and hash."""
    configure(tracer_provider=instrumented.tracer_provider, capture_content="span_only")
    ask_openai(simulator, f"data:image/png;base64,{in_base64(PIXELS)}", in_base64(SOUND))
    _, image, _ = parts_sent(instrumented)
    assert list(image) == ["type", "modality", "mime_type", "content", "size", "sha256"]
    assert (image["type"], image["content"], image["sha256"]) == ("blob", "", digest(PIXELS))


def test_broken_base64_is_described_and_not_kept(
    kept: Path, simulator: Simulator, instrumented: InMemoryTelemetry
) -> None:
    """What is no picture does not lie there as one."""
    configure(tracer_provider=instrumented.tracer_provider, capture_content="span_only")
    ask_openai(simulator, "data:image/png;base64,abc\N{SNOWMAN}", "A")
    _, image, sound = parts_sent(instrumented)
    assert (image["type"], image["content"], sound["type"]) == ("blob", "", "blob")
    assert [path for path in kept.rglob("*") if path.is_file()] == []


def test_fifty_megabytes_of_base64(kept: Path, simulator: Simulator, instrumented: InMemoryTelemetry) -> None:
    """They are kept whole, and the span has only their address."""
    configure(tracer_provider=instrumented.tracer_provider, capture_content="span_only")
    data = os.urandom(1_048_576) * 36
    ask_openai(simulator, f"data:image/png;base64,{in_base64(data)}", in_base64(SOUND))
    _, image, _ = parts_sent(instrumented)
    assert (image["size"], digest(at(image["uri"]))) == (len(data), digest(data))
    assert len(instrumented.span().attributes["gen_ai.input.messages"]) < 2_000  # type: ignore[index, arg-type]  # text


# The store


class Gate:
    """A place that writes when it is let."""

    def __init__(self, store: MediaStore) -> None:
        self.open, self.entered, self.threads = threading.Event(), threading.Event(), set[str]()
        self._write, store._write = store._write, self

    def __call__(self, name: str, data: bytes) -> None:
        self.threads.add(threading.current_thread().name)
        self.entered.set()
        assert self.open.wait(30)
        self._write(name, data)


def test_nobody_waits_for_the_disk(tmp_path: Path) -> None:
    """While it hangs, an address comes at once; another thread writes."""
    store = MediaStore(str(tmp_path))
    gate = Gate(store)
    uri = store.keep(PIXELS, "image/png", digest(PIXELS))
    assert gate.entered.wait(30)
    assert uri is not None
    assert not store.flush(0.01)
    gate.open.set()
    assert store.flush(30)
    assert (at(uri), gate.threads) == (PIXELS, {"aiobs-media"})


def test_what_there_is_no_room_for_is_counted_and_has_no_address(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kept: Path
) -> None:
    """In number and in bytes; one line says so, what is to come is taken again when there is room."""
    store = MediaStore(str(tmp_path), most=3, most_bytes=2_000)
    gate = Gate(store)
    given = [bytes([number]) * size for number, size in enumerate((10, 10, 1_990, 10, 10, 10))]
    uris = [store.keep(data, None, digest(data)) for data in given]
    assert [uri is not None for uri in uris] == [True, True, False, True, False, False]
    assert losses.lost[losses.Loss("media", "file", "queue_full")] == 3
    assert len([record for record in caplog.records if "queue" in record.message or "takes" in record.message]) == 1
    gate.open.set()
    assert store.flush(30)
    assert store.keep(given[4], None, digest(given[4])) is not None
    assert store.flush(30)
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 4


def test_a_flush_of_the_file_waits_for_what_it_names(kept: Path, simulator: Simulator) -> None:
    """Whoever reads the file finds the pictures."""
    store = getattr(blobs.keep, "__self__")  # noqa: B009  # a method's own
    gate, flush = Gate(store), store.flush
    store.flush = lambda timeout: (gate.open.set(), flush(timeout))[1]
    observer.observe("s")
    ask_openai(simulator, f"data:image/png;base64,{in_base64(PIXELS)}", in_base64(SOUND))
    observer.end()
    observer.flush()
    assert len([path for path in kept.rglob("*") if path.is_file()]) == 2


def test_the_same_bytes_are_written_once(tmp_path: Path) -> None:
    """From many threads at once, and by another store to the same folder: one file, whole."""
    store = MediaStore(str(tmp_path))
    written: list[str] = []
    write = store._write
    store._write = lambda name, data: (written.append(name), write(name, data))[1]  # type: ignore[func-returns-value]  # in order
    datas = [bytes([number]) * 50_000 for number in range(8)]
    threads = [
        threading.Thread(target=lambda: [store.keep(data, "image/png", digest(data)) for data in datas])
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.flush(30)
    assert sorted(written) == sorted(f"{digest(data)[:2]}/{digest(data)}.png" for data in datas)
    other = MediaStore(str(tmp_path))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.png")}
    assert [at(str(other.keep(data, "image/png", digest(data)))) for data in datas] == datas
    assert other.flush(30)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.png")} == before


def test_an_unwritable_folder_is_told_once_with_the_remedy(
    tmp_path: Path, kept: Path, caplog: pytest.LogCaptureFixture, simulator: Simulator, instrumented: InMemoryTelemetry
) -> None:
    """Messages have type, size and hash as without a store, and each is counted."""
    (tmp_path / "file").write_text("no folder")
    media.use(str(tmp_path / "file" / "folder"))
    configure(tracer_provider=instrumented.tracer_provider, capture_content="span_only")
    for _ in range(2):
        ask_openai(simulator, f"data:image/png;base64,{in_base64(PIXELS)}", in_base64(SOUND))
    for span in instrumented.spans:
        (message,) = json.loads(span.attributes["gen_ai.input.messages"])  # type: ignore[index, arg-type]  # it is text
        assert [part["type"] for part in message["parts"]] == ["text", "blob", "blob"]
        assert message["parts"][1]["sha256"] == digest(PIXELS)
    (line,) = [record.message for record in caplog.records if "media" in record.message]
    assert "cannot be written (NotADirectoryError" in line
    assert "Set AIOBS_MEDIA to a folder or URL that can be written" in line
    assert losses.lost[losses.Loss("media", "file", "unwritable")] == 5


def test_a_folder_that_can_be_written_again_is_used_again(
    tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a pause; what failed is not remembered as written."""
    store = MediaStore(str(tmp_path / "gone"))
    write = store._write

    def fails(name: str, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    store._write = fails
    store.keep(PIXELS, None, digest(PIXELS))
    assert store.flush(30)
    store._write = write
    assert store.keep(PIXELS, None, digest(PIXELS)) is None
    monkeypatch.setattr(media, "PAUSE", 0.0)
    uri = store.keep(PIXELS, None, digest(PIXELS))
    assert store.flush(30)
    assert at(str(uri)) == PIXELS
    assert list(tmp_path.rglob("*.tmp")) == []


def test_a_child_of_a_fork_keeps_its_own(tmp_path: Path) -> None:
    """Its thread is gone, and a lock may be held: it begins anew, in the middle of a write of the parent's."""
    store = MediaStore(str(tmp_path))
    gate = Gate(store)
    store.keep(PIXELS, None, digest(PIXELS))
    assert gate.entered.wait(30)
    child = os.fork()
    if child == 0:
        gate.open.set()
        store.keep(SOUND, None, digest(SOUND))
        os._exit(0 if store.flush(10) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [digest(SOUND)]
    gate.open.set()
    assert store.flush(30)
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 2


def test_a_url_of_fsspec(kept: Path) -> None:
    """Any file system that fsspec knows; a password in the URL is in no address."""
    store = MediaStore("memory://bucket/media")
    uri = store.keep(PIXELS, "image/png", digest(PIXELS))
    assert store.flush(30)
    assert uri == f"memory://bucket/media/{digest(PIXELS)[:2]}/{digest(PIXELS)}.png"
    assert fsspec.filesystem("memory").cat_file(uri) == PIXELS
    assert "secret" not in str(MediaStore("memory://user:secret@host/x").keep(PIXELS, None, digest(PIXELS)))


def test_without_fsspec_the_message_has_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """When it is configured, not when the first picture comes."""
    monkeypatch.setitem(__import__("sys").modules, "fsspec", None)
    with pytest.raises(MissingExtra, match=r"pip install 'aiobs\[media\]'"):
        configure(media="s3://bucket/media")


@pytest.mark.parametrize(
    ("mime_type", "extension"),
    [("image/png", ".png"), ("audio/wav", ".wav"), ("IMAGE/JPEG; q=1", ".jpg"), ("../../etc", ""), ("a/\0", ""), (None, ""), ("", "")],
)  # fmt: skip
def test_a_type_is_no_path(tmp_path: Path, mime_type: str | None, extension: str) -> None:
    """It comes from the request: only types that are known have an extension."""
    store = MediaStore(str(tmp_path))
    assert str(store.keep(PIXELS, mime_type, digest(PIXELS))).endswith(digest(PIXELS) + extension)
    assert store.flush(30)


def test_the_environment_says_where(tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """AIOBS_MEDIA, and ``configure(media=)`` over it."""
    for url in (str(tmp_path / "one"), str(tmp_path / "two")):
        monkeypatch.setenv("AIOBS_MEDIA", str(tmp_path / "one"))
        configure(media=None if url.endswith("one") else url)
        assert getattr(blobs.keep, "__self__").url == url  # noqa: B009  # a method's own
