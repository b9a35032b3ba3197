"""``aiobs.context(user_id=..., tags=[...])``: what the program says of the work in a block."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any

from opentelemetry.context import detach
from opentelemetry.util.types import AttributeValue

from aiobs.ambient.current import attach_ambient, given_here
from aiobs.ambient.labels import check_labels
from aiobs.ambient.sources import clean_attributes
from aiobs.guard import guarded
from aiobs.semconv import names
from aiobs.settings import resolve


def context(
    *,
    user_id: str | int | None = None,
    session_id: str | int | None = None,
    conversation_id: str | int | None = None,
    tags: Iterable[str] | str | None = None,
    metadata: Mapping[str, Any] | None = None,
    labels: Mapping[str, str] | None = None,
) -> ContextBlock:
    """``with aiobs.context(user_id="u1", tags=["beta"]):`` every span that starts in the block says so.

    ``user_id`` → ``user.id``; ``session_id``, the application's own, → ``session.id``; ``conversation_id`` →
    ``gen_ai.conversation.id``; ``tags`` → ``aiobs.tags``, added to those of the blocks around; ``metadata`` →
    ``aiobs.metadata.<key>`` (numbers stay numbers, what is nested becomes JSON); ``labels`` → ``label.<key>``, for this
    block only. None is left as it is around the block. Works as ``with`` and ``async with``, and holds for the task or
    thread that opens it. Raises TypeError for metadata that is no mapping, InvalidLabel for a label that is not valid
    (unless ``AIOBS_LABELS_STRICT=0``).
    """
    if metadata is not None and not isinstance(metadata, Mapping):
        raise TypeError(f"metadata must be a mapping of names to values, got {type(metadata).__name__}.")
    named = {names.USER_ID: user_id, names.APPLICATION_SESSION_ID: session_id, names.CONVERSATION_ID: conversation_id}
    given: dict[str, Any] = {key: str(value) for key, value in named.items() if value is not None}
    given |= {f"{names.METADATA}.{key}": value for key, value in (metadata or {}).items()}
    checked = check_labels(labels, strict=resolve("labels_strict"))
    given |= {f"label.{key}": value for key, value in checked.items()}
    return ContextBlock(clean_attributes(given), _as_tags(tags))


def _as_tags(tags: Iterable[str] | str | None) -> tuple[str, ...]:
    if tags is None:
        return ()
    return (tags,) if isinstance(tags, str) else tuple(str(tag) for tag in tags)


class ContextBlock:
    """What ``aiobs.context`` gives; it can be entered any number of times, one after the other or nested."""

    def __init__(self, given: dict[str, AttributeValue], tags: tuple[str, ...]) -> None:
        self._given = given
        self._tags = tags
        self._tokens: list[Any] = []

    def __enter__(self) -> None:
        self._tokens.append(guarded(self._attach))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if (token := self._tokens.pop()) is not None:
            guarded(detach, token)

    async def __aenter__(self) -> None:
        self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, tb)

    def _attach(self) -> object:
        around = given_here()
        given = {**(around.given or {}), **self._given}
        if self._tags:
            given[names.TAGS] = tuple(dict.fromkeys((*self._tags_of(given), *self._tags)))
        return attach_ambient(replace(around, given=given))

    @staticmethod
    def _tags_of(given: Mapping[str, AttributeValue]) -> tuple[str, ...]:
        tags = given.get(names.TAGS, ())
        return tuple(tags) if isinstance(tags, tuple) else ()
