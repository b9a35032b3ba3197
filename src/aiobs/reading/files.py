"""Session files as JSON: opened (plain or gzip), read whole or entry by entry, and refused with a reason."""

from __future__ import annotations

import gzip
import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import IO, Any

from aiobs.errors import UnreadableFile

FORMAT_VERSION = 1
LISTS = ("sessions", "events", "function_events")

_CHUNK = 1 << 18
_TREE = "trace_tree"
_JOURNAL = "aiobs_journal"
_GZIP = b"\x1f\x8b"


def iter_events(path: str | PathLike[str]) -> Iterator[dict[str, Any]]:
    """The events of a session file of any size, calls and functions, as they lie there; one is in memory at a time.

    Raises UnreadableFile as ``ObservabilityExport.load`` does, for a file that is cut short after its last whole event.
    """
    return (value for name, value in entries(path) if name in ("events", "function_events"))


def entries(path: str | PathLike[str]) -> Iterator[tuple[str, Any]]:
    """Field and value of everything in a session file but its tree; of the three lists, each item by itself.

    A file with one export a line gives the entries of all of them.
    """
    with _explained(path), opened(path) as file:
        text = _Text(file)
        while True:
            names, version = set(), None
            for name, value in _document(text):
                names.add(name)
                version = value if name == "version" else version
                yield name, value
            _check_names(path, names)
            _check_version(path, version)
            if not text.peek():
                return


def lists_of(path: str | PathLike[str]) -> dict[str, Any]:
    """A session file as one object; without ``trace_tree`` where the tree is deeper than Python can parse.

    Of a file with one export a line: all of them merged, the last record of a session and of a span counts.
    """
    try:
        with _explained(path), opened(path) as file:
            value = json.loads(file.read())
    except (UnreadableFile, RecursionError):
        return _merged(path)  # which says what is wrong, if something is
    if not isinstance(value, dict):
        raise UnreadableFile(_NO_EXPORT.format(path=path))
    _check_names(path, value.keys())
    _check_version(path, value.get("version"))
    return value


def _merged(path: str | PathLike[str]) -> dict[str, Any]:
    found: dict[str, dict[Any, Any]] = {name: {} for name in LISTS}
    others: dict[str, Any] = {"enh_prompt_traces": []}
    for name, value in entries(path):
        if name in LISTS:
            key = value.get("id" if name == "sessions" else "span_id")
            found[name][len(found[name]) if key is None else key] = value
        elif name == "enh_prompt_traces":
            others[name] += value or ()
        else:
            others[name] = value
    others["enh_prompt_traces"] = others["enh_prompt_traces"] or None
    return {**{name: [*items.values()] for name, items in found.items()}, **others}


@contextmanager
def opened(path: str | PathLike[str]) -> Iterator[IO[str]]:
    """The text of a file; gzip is known by its first bytes, whatever the name."""
    with open(path, "rb") as file:
        packed = file.peek(2)[:2] == _GZIP
        binary: Any = gzip.GzipFile(fileobj=file) if packed else file
        with io.TextIOWrapper(binary, encoding="utf-8-sig") as text:
            yield text


@contextmanager
def _explained(path: str | PathLike[str]) -> Iterator[None]:
    """Every way in which a file cannot be read, in a reader's words."""
    try:
        yield
    except FileNotFoundError:
        raise UnreadableFile(
            f"There is no file {path}. A program writes one when it calls observer.flush(), or at its exit; "
            "what a killed one left behind is written by `aiobs recover`."
        ) from None
    except IsADirectoryError:
        raise UnreadableFile(f"{path} is a folder, not a session file; name the file in it.") from None
    except EOFError:  # of gzip
        raise UnreadableFile(_CUT_SHORT.format(path=path)) from None
    except OSError as error:
        raise UnreadableFile(f"{path} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise UnreadableFile(f"{path} is not a session file: it is not UTF-8 text (byte {error.start}).") from None
    except RecursionError:
        raise UnreadableFile(f"{path} has an event that is nested too deeply to be read.") from None
    except _Cut:
        raise UnreadableFile(_CUT_SHORT.format(path=path)) from None
    except json.JSONDecodeError as error:
        raise UnreadableFile(f"{path} is not a session file: it is not JSON ({error}).") from None


_CUT_SHORT = (
    "{path} is cut short: it ends in the middle. It was not written by aiobs, which replaces files whole, or it was "
    "copied while something wrote it; copy it again."
)
_NO_EXPORT = "{path} is JSON, but no session file: it has no sessions and events."
_SEGMENT = (
    "{path} is a segment of a journal, in which a running program keeps its events until it flushes. To make a session "
    "file of what a dead program left, call: aiobs recover {file}"
)


def _segment_text(path: str | PathLike[str]) -> str:
    folder = Path(path).absolute().parent
    return _SEGMENT.format(path=path, file=folder.with_name(folder.name.removesuffix(".journal")))


def _check_names(path: str | PathLike[str], names: Any) -> None:
    if _JOURNAL in names:
        raise UnreadableFile(_segment_text(path))
    if not names >= {"version"} or not names & {*LISTS, "generated_at"}:
        raise UnreadableFile(_NO_EXPORT.format(path=path))


def _check_version(path: str | PathLike[str], version: Any) -> None:
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise UnreadableFile(
            f"{path} is version {version} of the format, and this aiobs reads version {FORMAT_VERSION}. "
            "Upgrade it: pip install --upgrade aiobs"
        )


# Entry by entry


class _Cut(ValueError):
    """The text ends inside a value."""


class _Text:
    """JSON text read piece by piece; ``peek`` and ``value`` go on from where the last one stopped."""

    _decoder = json.JSONDecoder()

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._text = ""
        self._at = 0

    def _more(self) -> bool:
        """Read on: as much again as is waiting, so that a long value is not looked at too often."""
        rest = self._text[self._at :]
        piece = self._file.read(max(_CHUNK, len(rest)))
        self._text, self._at = rest + piece, 0
        return bool(piece)

    def peek(self) -> str:
        """The next character that is no space, or "" at the end."""
        while True:
            found = _NO_SPACE.search(self._text, self._at)
            self._at = found.start() if found else len(self._text)
            if found or not self._more():
                return self._text[self._at] if found else ""

    def take(self, characters: str) -> str:
        """The next character, one of these."""
        found = self.peek()
        if not found:
            raise _Cut
        if found not in characters:
            raise json.JSONDecodeError(f"expected {' or '.join(characters)}", self._text, self._at)
        self._at += 1
        return found

    def value(self) -> Any:
        """The next value, whole."""
        self.peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if not self._may_go_on(error):
                    raise
                if not self._more():
                    raise _Cut from None
                continue
            length = end - self._at
            if end + 2 < len(self._text) or not self._more():  # a number may go on, like 1e+5 after 1
                self._at += length
                return value

    def _may_go_on(self, error: json.JSONDecodeError) -> bool:
        """What is missing may be what was not read yet: the fault is at the end, or a string has none."""
        return error.msg.startswith("Unterminated string") or error.pos > len(self._text) - 16

    def skip(self) -> None:
        """Pass over the next value, however deep and long it is."""
        if self.peek() not in ("[", "{"):
            self.value()
            return
        depth = 0
        while True:
            for token in _STRUCTURE.finditer(self._text, self._at):
                if token[0] == '"':  # a string that goes on in the next piece
                    self._at = token.start()
                    break
                self._at = token.end()
                depth += _STEP.get(token[0], 0)
                if depth == 0:
                    return
            else:
                self._at = len(self._text)
            if not self._more():
                raise _Cut


_NO_SPACE = re.compile(r"\S")
_STRUCTURE = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|["\[\]{}]', re.DOTALL)
_STEP = {"[": 1, "{": 1, "]": -1, "}": -1}


def _document(text: _Text) -> Iterator[tuple[str, Any]]:
    """One export; entries of its lists one by one."""
    text.take("{")
    if text.peek() == "}":
        text.take("}")
        return
    while True:
        name = text.value()
        text.take(":")
        yield from _field(text, name)
        if text.take(",}") == "}":
            return


def _field(text: _Text, name: str) -> Iterator[tuple[str, Any]]:
    if name in LISTS and text.peek() == "[":
        yield from ((name, item) for item in _list(text))
    elif name == _TREE:
        text.skip()
    else:
        yield name, text.value()


def _list(text: _Text) -> Iterator[Any]:
    text.take("[")
    if text.peek() == "]":
        text.take("]")
        return
    while True:
        yield text.value()
        if text.take(",]") == "]":
            return
