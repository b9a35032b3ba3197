"""What is put into a session between two responses: messages, and sound."""

from __future__ import annotations

from collections import deque

from aiobs.call import Message
from aiobs.capture.sounds import Sound

MOST = 256
"""Messages that are kept for the next response; the oldest ones are forgotten first."""

LONGEST = 65_536
"""Characters of a transcript that comes in pieces."""


_SPOKEN = "spoken"
"""What the message is called that holds a transcript of no particular sound."""


class Inputs:
    """The input of one response, bounded; what is no content is not kept here at all."""

    __slots__ = ("_messages", "_sound")

    def __init__(self) -> None:
        self._messages: deque[tuple[str | None, Message]] = deque(maxlen=MOST)
        self._sound: Sound | None = None

    def add(self, message: Message, item: str | None = None) -> None:
        """One message, and what it will be called."""
        self._messages.append((item, message))

    def hear(self, mime_type: str | None, data: str | bytes) -> None:
        """A piece of sound."""
        if self._sound is None:
            self._sound = Sound(mime_type)
        self._sound.add(data)

    def commit(self, item: str | None = None) -> None:
        """The sound so far is one message."""
        if self._sound is not None:
            self.add({"role": "user", "parts": [self._sound.part()]}, item)
            self._sound = None

    def clear(self) -> None:
        """The sound so far is thrown away."""
        self._sound = None

    def has(self, item: str | None) -> bool:
        """There is a message that is called so."""
        return any(name == item for name, _ in self._messages)

    def transcribe(self, item: str | None, text: str) -> None:
        """What was said in a message of sound, whole or the next piece of it."""
        called = item or _SPOKEN
        parts = next((message["parts"] for name, message in self._messages if name == called), None)
        if parts is None:
            parts = []
            self.add({"role": "user", "parts": parts}, called)
        if parts and parts[-1]["type"] == "text":
            said = parts[-1]["content"]
            parts[-1]["content"] = said + text[: max(0, LONGEST - len(said))]
        else:
            parts.append({"type": "text", "content": text[:LONGEST]})

    @property
    def messages(self) -> list[Message]:
        """All of it, in the order it came."""
        self.commit()
        return [message for _, message in self._messages]
