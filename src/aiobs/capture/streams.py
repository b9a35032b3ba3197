"""Taps on what a program reads later: streams, and responses whose body has not been read.

The SDK's own objects go to the program. A stream gets its ``_iterator`` replaced by one that looks at each chunk as it
passes; its response gets ``close``/``aclose`` shadowed on the instance, because that, and not ``Stream.close``, is what
every explicit way of closing calls. The shadow holds the original strongly (the SDK's own close during garbage
collection must still find it) and is removed when the recording ends (it is a cycle that keeps the response alive).
"""

from __future__ import annotations

import asyncio
import inspect
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from types import AsyncGeneratorType, FrameType, NoneType
from typing import Any

from aiobs.call import Response
from aiobs.capture import deferred
from aiobs.capture.callsite import is_inside
from aiobs.capture.recording import Recording
from aiobs.clock import monotonic_ns
from aiobs.guard import guarded, swallow

_GENERATOR = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
_CLOSERS = ("close", "aclose")


class Tap:
    """Stays with one stream or response until it ends. Holds everything that the program's objects must not."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.response = Response(wants_content=recording.wants_content)
        self.last_at = monotonic_ns()
        self.chunks = 0
        self._is_open = False
        self._shadowed: list[tuple[Any, str, Callable[..., Any], Any]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        guarded(deferred.opened, self)
        if recording.helper is not None:
            recording.helper.streams.append(weakref.ref(self))

    @property
    def is_stranded(self) -> bool:
        """The event loop that the async stream was opened in is closed."""
        return self._loop is not None and self._loop.is_closed()

    @property
    def has_begun(self) -> bool:
        """The provider has answered; a bare generator makes its request with its first chunk."""
        return self._is_open or self.chunks > 0 or self.recording.call.status_code is not None

    def tap_iterator(self, stream: Any) -> None:
        """Look at every chunk of an SDK stream from now on."""
        self._is_open = True
        name = "_iterator" if hasattr(stream, "_iterator") else "generator"
        inner = getattr(stream, name)
        chunks = self.over(inner)
        setattr(stream, name, chunks)
        chunks.go_over(_made_again(stream, inner))

    def over(self, inner: Any) -> Tapped:
        """The SDK's iterator with this tap on it."""
        if hasattr(inner, "__anext__"):
            self._is_open = True
            with suppress(RuntimeError):  # ``parse()`` of a raw response outside the loop; another library's loop
                self._loop = asyncio.get_running_loop()
            return AsyncChunks(self, inner)
        return Chunks(self, inner)

    def first(self) -> None:
        """The first chunk goes to the program."""
        self.recording.first_chunk(self.last_at)

    def exhausted(self) -> None:
        """The program read to the end."""
        guarded(self._release)
        self.recording.exhaust(self.response, monotonic_ns())

    def failed(self, error: BaseException) -> None:
        """Reading raised; an iterator that is closed from outside was broken off, it did not fail."""
        guarded(self._release)
        if isinstance(error, GeneratorExit):
            self.recording.abandon(self.response, self.last_at)
        else:
            self.recording.fail(error, self.response if self.has_begun else None)

    def abandon(self) -> None:
        """Closed before its end, or let go of."""
        guarded(self._release)
        self.recording.abandon(self.response, self.last_at)

    def shadow(self, owner: Any, name: str, replacement: Callable[..., Any]) -> None:
        """Put a function in front of a method, on this one instance."""
        self._shadowed.append((owner, name, replacement, vars(owner).get(name)))
        vars(owner)[name] = replacement

    def shadow_close(self, http_response: Any) -> None:
        """Learn of every explicit close of the response."""
        for name in _CLOSERS:
            original = getattr(http_response, name, None)
            if original is not None:
                self.shadow(http_response, name, partial(self._close, original, _root(type(http_response))))

    def _close(self, original: Callable[[], Any], http_package: str) -> Any:
        """Close, and end the recording if it was the program that closed."""
        if not self._is_internal(sys._getframe(1), http_package):
            guarded(self.abandon)
        return original()

    def _is_internal(self, caller: FrameType, http_package: str) -> bool:
        """Tell the SDK's own closing from the program's.

        A generator of the SDK or of its HTTP library closes when it has read to its end, or is being collected. And
        whatever closes while this stream is being read (the async SDK does, while it drains what follows the last
        chunk) is part of reading: what that comes to, reading says.
        """
        module = caller.f_globals.get("__name__", "")
        packages = (http_package, *self.recording.provider.packages)
        if caller.f_code.co_flags & _GENERATOR and is_inside(module, packages):
            return True
        frame: FrameType | None = caller
        while frame is not None:
            if frame.f_code in _READING and frame.f_locals["self"].reads_for(self):
                return True
            frame = frame.f_back
        return False

    def _release(self) -> None:
        self.recording.call.chunks = self.chunks
        deferred.closed(self)
        self._unshadow()

    def _unshadow(self) -> None:
        """Take our functions off again; one that somebody put in front of ours stays, and ours only passes on."""
        while self._shadowed:
            owner, name, ours, before = self._shadowed.pop()
            if vars(owner).get(name) is not ours:
                continue
            if before is None:
                del vars(owner)[name]
            else:
                vars(owner)[name] = before

    def __del__(self) -> None:
        self.let_go()

    def let_go(self) -> None:
        """Nobody can read on: no lock may be taken in a finaliser, so only leave word."""
        if self.recording.is_open:
            deferred.dropped.put(self._farewell())
        self._unshadow()

    def _farewell(self) -> Callable[[], None]:
        """What ends the recording later, without a reference to the tap."""
        self.recording.call.chunks = self.chunks
        return partial(self.recording.abandon, self.response, self.last_at)


class StreamTap(Tap):
    """A tap on an SDK stream."""

    def attach(self, stream: Any) -> None:
        """Look at every chunk of the stream from now on."""
        self.shadow_close(stream.response)
        if "close" in vars(stream):  # put there by an SDK whose stream goes on with other responses
            self.shadow(stream, "close", partial(self._close, stream.close, _root(type(stream.response))))
        self.tap_iterator(stream)


class ResponseTap(Tap):
    """A tap on a raw or streaming response: its ``parse()`` may yet make a stream, its body may yet be read."""

    def __init__(self, recording: Recording, finish_from_body: Callable[[Recording, Any], None]) -> None:
        self._finish_from_body = finish_from_body
        self._http_response: Any = None
        self._streams = False
        super().__init__(recording)  # last, so that the finaliser of one that is half made has what it needs

    def attach(self, response: Any) -> None:
        """Wait for ``parse()`` of a stream, or for the response to be closed."""
        self._http_response = response.http_response
        self.shadow_close(self._http_response)
        if self.recording.call.request.stream:
            parse = response.parse
            is_async = inspect.iscoroutinefunction(parse)
            self.shadow(response, "parse", partial((self._parse_async if is_async else self._parse), parse))

    def _parse(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        parsed = original(*args, **kwargs)
        guarded(self._adopt, parsed)
        return parsed

    async def _parse_async(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        parsed = await original(*args, **kwargs)
        guarded(self._adopt, parsed)
        return parsed

    def _adopt(self, parsed: Any) -> None:
        chunks = getattr(parsed, "_iterator", None) or getattr(parsed, "generator", None)
        if not isinstance(chunks, (Tapped, NoneType)):
            self._streams = True
            self.tap_iterator(parsed)

    def abandon(self) -> None:
        """Closed: as a stream if it became one, else with the body if the program has read it."""
        if self._streams:
            super().abandon()
        else:
            guarded(self._release)
            self._finish_from_body(self.recording, self._http_response)

    def _farewell(self) -> Callable[[], None]:
        if self._streams:
            return super()._farewell()
        return partial(self._finish_from_body, self.recording, self._http_response)


def _made_again(stream: Any, inner: Any) -> Any:
    """The async generator of a stream, made anew while it has not started, so that it is younger than its tap.

    A stream and its generator are a cycle, which a program that drops the stream leaves to the collector. That closes
    the generators which hold each other from the outermost inwards where each is older than what it holds. Where one is
    not, two closings meet, and asyncio reports a RuntimeError that nobody has raised.
    """
    make: Any = getattr(stream, "__stream__", None)
    if isinstance(inner, AsyncGeneratorType) and inner.ag_code is getattr(make, "__code__", None):
        again = make()
        if _position(again) == _position(inner):
            return again
    return inner


def _position(generator: Any) -> int | None:
    frame: FrameType | None = generator.ag_frame
    return frame.f_lasti if frame is not None else None


class Tapped:
    """The SDK's iterator with a tap on it; what it does not have itself, the SDK's has."""

    _advance: str

    def __init__(self, tap: Tap, inner: Any) -> None:
        self._tap = tap
        self._fold = tap.recording.operation.fold_chunk
        self.go_over(inner)

    def go_over(self, inner: Any) -> None:
        """Take the chunks from there."""
        self._inner = inner
        self._next = getattr(inner, self._advance)

    def __del__(self) -> None:
        """The stream is gone; the shadow, which keeps the response, must not wait for the collector of cycles."""
        self._tap.let_go()

    def reads_for(self, tap: Tap) -> bool:
        """This iterator is the one that the tap is on."""
        return self._tap is tap

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class Chunks(Tapped):
    """The iterator in a sync stream: hands on each chunk of the SDK's own, and shows it to the tap."""

    _advance = "__next__"

    def __iter__(self) -> Chunks:
        return self

    def __next__(self) -> Any:
        try:
            chunk = self._next()
        except StopIteration:
            guarded(self._tap.exhausted)
            raise
        except BaseException as error:
            guarded(self._tap.failed, error)
            raise
        tap = self._tap
        tap.last_at = monotonic_ns()
        if not tap.chunks:
            guarded(tap.first)
        tap.chunks += 1
        try:
            self._fold(tap.response, chunk)
        except Exception as error:
            swallow(self._fold, error)
        return chunk

    def close(self) -> None:
        """Close the SDK's generator; the stream was broken off."""
        guarded(self._tap.abandon)
        self._inner.close()


class AsyncChunks(Tapped):
    """The iterator in an async stream."""

    _advance = "__anext__"

    def __aiter__(self) -> AsyncChunks:
        return self

    async def __anext__(self) -> Any:
        try:
            chunk = await self._next()
        except StopAsyncIteration:
            guarded(self._tap.exhausted)
            raise
        except BaseException as error:
            guarded(self._tap.failed, error)
            raise
        tap = self._tap
        tap.last_at = monotonic_ns()
        if not tap.chunks:
            guarded(tap.first)
        tap.chunks += 1
        try:
            self._fold(tap.response, chunk)
        except Exception as error:
            swallow(self._fold, error)
        return chunk

    async def aclose(self) -> None:
        """Close the SDK's generator; the stream was broken off."""
        guarded(self._tap.abandon)
        await self._inner.aclose()


class LazyChunks:
    """Stands for a generator of the SDK that has not started; ``begin`` gives the iterator and its first chunk.

    A class, not a generator: one that nothing reads on is let go of, and what hangs on it says so, outside any lock.
    """

    def __init__(self, begin: Callable[[], tuple[Iterator[Any], Any]]) -> None:
        self._begin: Callable[[], tuple[Iterator[Any], Any]] | None = begin
        self._chunks: Iterator[Any] = iter(())

    def __iter__(self) -> LazyChunks:
        return self

    def __next__(self) -> Any:
        if self._begin is None:
            return next(self._chunks)
        begin, self._begin = self._begin, None
        try:
            self._chunks, first = begin()
        finally:
            del begin  # the traceback of an error keeps this frame
        return first

    def close(self) -> None:
        """Close the SDK's generator, if there is one yet."""
        self._begin = None
        if (close := getattr(self._chunks, "close", None)) is not None:
            close()


_READING = frozenset({Chunks.__next__.__code__, AsyncChunks.__anext__.__code__})


def _root(cls: type) -> str:
    return cls.__module__.partition(".")[0]
