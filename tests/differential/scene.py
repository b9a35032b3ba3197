"""One text of a program for both kinds of client: where the sync client does not wait, nothing is waited for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from tests.contract.programs import Program, Stage
from tests.differential.looks import look

END = "the end"


class Scene:
    """What a program does with its stage; every method waits if the client does."""

    def __init__(self, stage: Stage, is_async: bool) -> None:
        self.stage = stage
        self.is_async = is_async

    @property
    def resource(self) -> Any:
        """What the method is one of."""
        return self.stage.ask.func.__self__  # type: ignore[attr-defined]  # a partial of a bound method

    @property
    def arguments(self) -> dict[str, Any]:
        """What the method is called with."""
        return dict(self.stage.ask.keywords)  # type: ignore[attr-defined]  # a partial

    def note(self, *facts: Any) -> None:
        """Something that the program noticed."""
        self.stage.facts.append([look(fact) for fact in facts])

    def take(self, item: Any) -> Any:
        """The program has got something."""
        self.stage.take(item)
        return item

    async def ask(self) -> Any:
        """Make the call."""
        return await self.wait(self.stage.ask())

    async def by(self, kind: str) -> Any:
        """Make the call by ``with_raw_response`` or ``with_streaming_response``."""
        method = getattr(getattr(self.resource, kind), self.stage.ask.func.__name__)  # type: ignore[attr-defined]  # a partial
        called = method(**self.arguments)
        return called if hasattr(called, "__enter__") or hasattr(called, "__aenter__") else await self.wait(called)

    async def wait(self, result: Any) -> Any:
        """A result, or what is awaited to have it."""
        return await result if hasattr(result, "__await__") else result

    async def next(self, stream: Any) -> Any:
        """One more chunk, or ``END``, or the exception that it gave."""
        try:
            return await anext(stream) if self.is_async else next(stream)
        except (StopIteration, StopAsyncIteration):
            return END
        except Exception as error:
            return error

    async def chunks(self, stream: Any) -> AsyncIterator[Any]:
        """``for chunk in stream``."""
        if self.is_async:
            async for chunk in stream:
                yield chunk
        else:
            for chunk in stream:
                yield chunk

    async def rest(self, stream: Any) -> list[Any]:
        """All that is left."""
        return [self.take(chunk) async for chunk in self.chunks(stream)]

    async def close(self, stream: Any) -> Any:
        """Close it by whatever it has."""
        closer = stream.aclose if self.is_async and hasattr(stream, "aclose") else stream.close
        return await self.wait(closer())

    @asynccontextmanager
    async def within(self, manager: Any) -> AsyncIterator[Any]:
        """``with manager``."""
        if self.is_async:
            async with manager as inner:
                yield inner
        else:
            with manager as inner:
                yield inner


def both(text: Callable[[Scene], Coroutine[Any, Any, None]]) -> Program:
    """The program for a sync and for an async client."""

    def sync(stage: Stage) -> None:
        at_once(text(Scene(stage, is_async=False)))

    async def awaited(stage: Stage) -> None:
        await text(Scene(stage, is_async=True))

    return Program(text.__name__, sync, awaited)


def at_once(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run what never waits."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()
    raise AssertionError("a sync program has waited")
