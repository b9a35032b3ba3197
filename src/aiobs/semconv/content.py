"""The content of a call as attributes: bounded, on spans as JSON text, on events structured.

Bounds: a message part longer than ``Limits.part`` bytes is cut and says so; when a whole list is longer than its share
of ``Limits.call`` its parts are cut harder, and at last its oldest messages make room for a marker.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from aiobs.call import Choice, Document, Message, Part, Prompt, Tool
from aiobs.semconv import names
from aiobs.semconv.encode import Attributes, output_messages
from aiobs.semconv.serialise import clean_text, plain_to_json, to_json, to_jsonable, truncate
from aiobs.settings import Limits

SMALLEST_CUT = 1024


class Content(NamedTuple):
    """What a call said, in the shapes of the message schemas, each list bounded.

    ``words`` are what is text on spans and events alike: the variables of a prompt, the query of a search.
    """

    instructions: Sequence[Part]
    input: Sequence[Message]
    output: Sequence[Message]
    tools: Sequence[Tool]
    documents: Sequence[Document]
    words: Attributes

    def texts(self) -> Attributes:
        """As span attributes: one JSON text each; empty lists are left out."""
        return {**{key: plain_to_json(value) for key, value in self._items()}, **self.words}

    def values(self) -> dict[str, Any]:
        """As event attributes: plain values; empty lists are left out."""
        return {**{key: to_jsonable(value) for key, value in self._items()}, **self.words}

    def _items(self) -> Iterator[tuple[str, Any]]:
        pairs = (
            (names.SYSTEM_INSTRUCTIONS, self.instructions),
            (names.INPUT_MESSAGES, self.input),
            (names.OUTPUT_MESSAGES, self.output),
            (names.TOOL_DEFINITIONS, self.tools),
            (names.RETRIEVAL_DOCUMENTS, self.documents),
        )
        return ((key, value) for key, value in pairs if value)


def content_of(
    prompt: Prompt, choices: Sequence[Choice], limits: Limits, documents: Sequence[Document] = ()
) -> Content:
    """The bounded content of a call; half of ``limits.call`` is for what went in, half for what came out.

    Tool definitions carry name and type only, as the conventions ask for unless more is wanted.
    """
    half = limits.call // 2
    return Content(
        instructions=[_cut_part(part, limits.part) for part in prompt.instructions],
        input=_bounded(prompt.messages, limits.part, half),
        output=_bounded(output_messages(choices), limits.part, half),
        tools=[{"type": tool.get("type", "function"), "name": tool.get("name", "")} for tool in prompt.tools],
        documents=_cut_documents(documents, limits.part, half) if documents else (),
        words=_words(prompt, limits.part) if prompt.variables or prompt.query else {},
    )


def _words(prompt: Prompt, limit: int) -> Attributes:
    """One attribute each, as text."""
    texts = ((key, value if isinstance(value, str) else to_json(value)) for key, value in prompt.variables.items())
    words: Attributes = {
        f"{names.PROMPT_VARIABLE}.{clean_text(str(key))}": truncate(text, limit) for key, text in texts
    }
    if prompt.query:
        words[names.RETRIEVAL_QUERY] = truncate(prompt.query, limit)
    return words


def _cut_documents(documents: Sequence[Document], part: int, whole: int) -> list[Document]:
    """Each text cut to its bound; when that is too much altogether, the documents without their texts."""
    cut: list[Document] = [
        {**document, "content": [truncate(text, part) for text in document["content"]]}
        if "content" in document
        else document
        for document in documents
    ]
    if sum(_size(text) for document in cut for text in document.get("content", ())) <= whole:
        return cut
    return [{"id": document.get("id"), "score": document.get("score")} for document in cut]


def _bounded(messages: list[Message], part: int, whole: int) -> list[Message]:
    if _is_short(messages, part):
        return messages
    size = sum(_size(text) for message in messages for item in message["parts"] for text in _texts(item))
    if size <= part:
        return messages
    if size > whole:
        part = max(SMALLEST_CUT, min(part, whole // (2 * max(1, len(messages)))))
    cut: list[Message] = [
        {**message, "parts": [_cut_part(item, part) for item in message["parts"]]} for message in messages
    ]
    room = whole // (part + 256)
    return cut if size <= whole or len(cut) <= room else _newest(cut, room)


def _is_short(messages: list[Message], limit: int) -> bool:
    """Nothing but text, and so little that nothing need be cut (a character has one byte, or up to four)."""
    room = limit
    for message in messages:
        for part in message["parts"]:
            if part["type"] != "text":
                return False
            text = part["content"]
            room -= len(text) if text.isascii() else 4 * len(text)
    return room >= 0


def _newest(messages: list[Message], room: int) -> list[Message]:
    """The first message, a marker for those left out, and the newest ones."""
    left_out = len(messages) - room
    marker: Message = {
        "role": "system",
        "parts": [{"type": "text", "content": f"… [{left_out} messages left out by aiobs]"}],
    }
    return [messages[0], marker, *messages[left_out + 1 :]]


def _texts(part: Part) -> Iterator[str]:
    for key in ("content", "arguments", "response"):
        value = part.get(key)
        if value is not None:
            yield value if isinstance(value, str) else to_json(value)


def _cut_part(part: Part, limit: int) -> Part:
    if all(_size(text) <= limit for text in _texts(part)):
        return part
    cut: dict[str, Any] = dict(part)
    for key in ("content", "arguments", "response"):
        value = cut.get(key)
        if value is not None:
            cut[key] = truncate(value if isinstance(value, str) else to_json(value), limit)
    return cut  # type: ignore[return-value]  # the same keys as the part it was made of


def _size(text: str) -> int:
    """Bytes of UTF-8; exact only where it matters, as measuring costs more than the bound is worth."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
