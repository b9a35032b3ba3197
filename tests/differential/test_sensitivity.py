"""The engine would notice: aiobs is broken on purpose, in one way at a time, and the comparison reports it."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from aiobs.capture import drivers, recording
from aiobs.capture.recording import Recording
from aiobs.capture.streams import Chunks, LazyChunks, ResponseTap, Tap
from aiobs.instrumentation import openai as table
from aiobs.instrumentation.patching import Patch
from aiobs.testing import InMemoryTelemetry, Simulator
from tests.contract.drivers import DRIVERS, Driver
from tests.contract.programs import CALL, READ, Program, Stage
from tests.contract.scripts import Script, answered, cut, refused
from tests.differential.engine import EVERYTHING, Bench
from tests.differential.scene import Scene, both
from tests.differential.test_openai import ASK, streaming_unread
from tests.differential.test_programs import introspect
from tests.differential.test_streams import ask_what_it_is, let_go, mix_next_and_for

pytestmark = [pytest.mark.quiet_guard, pytest.mark.nonconforming("aiobs is broken on purpose")]

Break = Callable[[pytest.MonkeyPatch], None]
_kept: list[Any] = []
_is_over = threading.Event()


def wrap(owner: Any, name: str, change: Callable[..., Any]) -> Break:
    """Put ``change(original, *args)`` in the place of a function."""

    def apply(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(owner, name, _changed(getattr(owner, name), change))

    return apply


def _changed(original: Callable[..., Any], change: Callable[..., Any]) -> Callable[..., Any]:
    def changed(*args: Any, **kwargs: Any) -> Any:
        return change(original, *args, **kwargs)

    return changed


def at_the_end(what: Callable[[], object]) -> Break:
    """Do this at the end of every call."""

    def end(original: Callable[..., Any], self: Recording) -> None:
        what()
        original(self)

    return wrap(Recording, "_end", end)


def no_guard(patch: pytest.MonkeyPatch) -> None:
    """A reader raises, and nothing stands between it and the program."""

    def read(answer: Any) -> Any:
        raise LookupError("a reader's mistake")

    patch.setitem(table.PROVIDER.operations[0].__dict__, "read_response", read)
    for module in (drivers, recording):
        patch.setattr(module, "guarded", lambda function, *args: function(*args))
    patch.setattr(recording, "typed", lambda kind, function, *args: function(*args))


def ends_twice(original: Callable[..., Any], self: Recording, response: Any, at: int) -> None:
    original(self, response, at)
    self._open.append(True)
    original(self, response, at)


def reads_the_body(original: Callable[..., Any], self: Any, response: Any) -> None:
    response.http_response.read()
    original(self, response)


def drained(original: Callable[..., Any], kwargs: dict[str, Any]) -> Any:
    return original({key: list(value) if hasattr(value, "__next__") else value for key, value in kwargs.items()})


def with_header(original: Callable[..., Any], recording: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    return {**original(recording, kwargs), "extra_headers": {"traceparent": "00-1-1-00"}}


def into_the_programs_own(original: Callable[..., Any], recording: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    kwargs["messages"].append({"role": "user", "content": "from aiobs"})
    return kwargs


def as_generator(original: Callable[..., Any], recording: Any, result: Any) -> Any:
    return (chunk for chunk in original(recording, result))


def swallowed(original: Callable[..., Any], *args: Any) -> Any:
    try:
        return original(*args)
    except Exception:
        return None


def reworded(original: Callable[..., Any], *args: Any) -> Any:
    try:
        return original(*args)
    except Exception as error:
        error.args = ("aiobs: the call failed",)
        raise


def replaced(original: Callable[..., Any], *args: Any) -> Any:
    try:
        return original(*args)
    except Exception as error:
        raise RuntimeError(str(error)) from error


def edited(original: Callable[..., Any], self: Any) -> Any:
    chunk = original(self)
    chunk.id = "edited"
    return chunk


def read_ahead(original: Callable[..., Any], self: Any) -> Any:
    """Everything is read before the first chunk is handed on."""
    if not hasattr(self, "ahead"):
        self.ahead = iter(list(iter(partial(_next_or_none, original, self), None)))
    return next(self.ahead)


def _next_or_none(original: Callable[..., Any], self: Any) -> Any:
    try:
        return original(self)
    except StopIteration:
        return None


def kept(original: Callable[..., Any], self: Any, stream: Any) -> None:
    _kept.append(stream)
    original(self, stream)


def without_signature(self: Patch, module: Any) -> None:
    """A plain function instead of wrapt's wrapper."""
    owner = module
    for part in self.method.qualname.split(".")[:-1]:
        owner = getattr(owner, part, None)
    if self._wrapper is not None or owner is None or self._name not in vars(owner):
        return
    self._owner, self._original = owner, vars(owner)[self._name]
    original = self._original

    def wrapper(instance: Any, *args: Any, **kwargs: Any) -> Any:
        return original(instance, *args, **kwargs)

    wrapper.__name__ = self._name
    self._wrapper = wrapper
    setattr(owner, self._name, wrapper)
    self.state = "patched"


def another_thread() -> None:
    thread = threading.Thread(target=_is_over.wait, name="of-aiobs")
    _kept.append(thread)
    thread.start()


@both
async def read_and_close(scene: Scene) -> None:
    """Read to the end, then closed, as a with block does."""
    stream = await scene.ask()
    await scene.rest(stream)
    await scene.close(stream)


@dataclass(frozen=True)
class Breakage:
    """One way to break aiobs, what to run, and where the comparison has to differ."""

    name: str
    apply: Break
    seen_in: str
    driver: str = "openai-chat-sync-whole"
    program: Program = CALL
    script: Script = answered

    def __str__(self) -> str:
        return self.name


CHAT_STREAM = "openai-chat-sync-stream"
BREAKAGES = (
    Breakage("remove the guard", no_guard, "/error: None without, {'type': 'builtins.LookupError'"),
    Breakage("end twice", wrap(Recording, "exhaust", ends_twice), "Calling end() on an ended span", CHAT_STREAM, read_and_close),
    Breakage("keep a context attached", wrap(drivers, "detach", lambda *_: None), "/current spans"),
    Breakage("keep a context, seen in the process", wrap(drivers, "detach", lambda *_: None), "/process/context"),
    Breakage("read a body early", wrap(ResponseTap, "attach", reads_the_body), "/facts/0/2/1: False without, True with", program=streaming_unread),
    Breakage("change a header", wrap(drivers, "admit", with_header), "/requests/0/headers"),
    Breakage("change an argument", wrap(drivers, "admit", into_the_programs_own), "/facts/0/2"),
    Breakage("replace the stream by a generator", wrap(drivers, "_watched", as_generator), "/facts/0/0: 'Stream' without, 'generator' with", CHAT_STREAM, ask_what_it_is),
    Breakage("swallow an exception", wrap(Patch, "_call", swallowed), "/error", script=refused(500)),
    Breakage("reword an exception", wrap(Patch, "_call", reworded), "/error/str", script=refused(500)),
    Breakage("replace an exception", wrap(Patch, "_call", replaced), "/error/type", script=refused(500)),
    Breakage("leave the shadowed close", wrap(Tap, "_unshadow", lambda *_: None), "of which the other has not ['aclose', 'close']", CHAT_STREAM, ask_what_it_is),
    Breakage("emit a warning", at_the_end(lambda: warnings.warn("odd", stacklevel=2)), "/warnings"),
    Breakage("write a log record", at_the_end(lambda: logging.getLogger("aiobs").info("done")), "/log"),
    Breakage("print", at_the_end(lambda: print("done")), "/printed/0"),
    Breakage("print an error", at_the_end(lambda: sys.stderr.write("odd")), "/printed/1"),
    Breakage("change the environment", at_the_end(lambda: os.environ.update(OTEL_X="1")), "/process/environ"),
    Breakage("start a thread", at_the_end(another_thread), "/process/threads"),
    Breakage("leave a task", at_the_end(lambda: _kept.append(asyncio.ensure_future(asyncio.sleep(0.01)))), "['sleep']", "openai-chat-async-whole"),
    Breakage("change a chunk", wrap(Chunks, "__next__", edited), "/taken/0/fields", CHAT_STREAM, READ),
    Breakage("keep a stream alive", wrap(Tap, "tap_iterator", kept), "/facts/2/0: True without, False with", CHAT_STREAM, let_go),
    Breakage("lose a chunk", wrap(Chunks, "__next__", lambda original, self: original(self) and original(self)), "/taken", CHAT_STREAM, mix_next_and_for),
    Breakage("read ahead", wrap(Chunks, "__next__", read_ahead), "/taken: 1 items", CHAT_STREAM, READ, cut),
    Breakage("lose a signature", wrap(Patch, "_wrap", lambda _, self, module: without_signature(self, module)), "/signature", program=introspect),
    Breakage("hold up Google's generator", wrap(LazyChunks, "__next__", lambda _, self: None), "/error", "gemini-sync-stream", READ),
)  # fmt: skip


@pytest.fixture
def bench(simulator: Simulator, capfd: pytest.CaptureFixture[str]) -> Iterator[Bench]:
    """A bench whose spans need not end, as some breakages keep them from it."""
    with InMemoryTelemetry() as signals:
        yield Bench(simulator, signals, capfd.readouterr)
    _is_over.set()
    for thread in _kept:
        if isinstance(thread, threading.Thread):
            thread.join()
    _is_over.clear()
    _kept.clear()
    os.environ.pop("OTEL_X", None)


def driver_of(one: Breakage) -> Driver:
    return next(driver for driver in DRIVERS if str(driver) == one.driver)


def reported(bench: Bench, monkeypatch: pytest.MonkeyPatch, one: Breakage) -> list[str]:
    """What the comparison says of a broken aiobs."""
    one.apply(monkeypatch)
    return bench.differences(one.program, driver_of(one), one.script, [EVERYTHING])


@pytest.mark.parametrize("one", BREAKAGES, ids=str)
def test_a_breakage_is_reported(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, one: Breakage
) -> None:
    """Each breakage makes a difference, in the place where it is."""
    found = contextvars.copy_context().run(reported, bench, monkeypatch, one)
    caplog.clear()
    assert any(one.seen_in in line for line in found), "\n".join(found) or "no difference"


def test_a_drained_argument_is_reported(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A generator that telemetry has read is empty when the SDK reads it."""
    wrap(recording, "_snapshot", drained)(monkeypatch)

    def ask(stage: Stage) -> None:
        with bench.simulator.openai() as client:
            stage.take(client.chat.completions.create(model="m", messages=(message for message in ASK)))

    found = bench.apart(partial(bench.alone, ask), [EVERYTHING])
    assert any("/requests/0/body" in line for line in found), "\n".join(found) or "no difference"


def test_nothing_is_reported_of_what_works(bench: Bench) -> None:
    """The control: the same programs, nothing broken."""
    for one in BREAKAGES:
        assert bench.differences(one.program, driver_of(one), one.script, [EVERYTHING]) == []
