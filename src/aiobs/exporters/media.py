"""Pictures, sound and files by content hash, in a folder or where an fsspec URL leads, moved there in the background.

The caller's thread hands the bytes over and gets the address that they will have; it never waits. What there is no
room for is counted, and its part of the message has its type, size and hash only, as without a store.
"""

from __future__ import annotations

import atexit
import mimetypes
import os
import re
import threading
import time
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from aiobs.errors import MissingExtra
from aiobs.guard import guarded
from aiobs.losses import lose
from aiobs.semconv import blobs
from aiobs.semconv.blobs import described_base64
from aiobs.semconv.serialise import SHORTEST_DATA_URL, to_jsonable
from aiobs.settings import resolve

MOST_WAITING = 128
MOST_BYTES_WAITING = 268_435_456
MOST_REMEMBERED = 65_536
PAUSE = 30.0
"""Seconds after a failure until the next attempt."""

Write = Callable[[str, bytes], None]


class _Waiting(NamedTuple):
    name: str
    digest: str
    data: bytes


class MediaStore:
    """Keeps bytes under ``<url>/<first two digits>/<sha256>.<extension>``; ``url`` is a folder, or one of fsspec's.

    At most 128 files and 256 MiB wait to be written. Raises MissingExtra for a URL without fsspec.
    """

    def __init__(self, url: str, *, most_bytes: int = MOST_BYTES_WAITING, most: int = MOST_WAITING) -> None:
        self.url = url
        self._most_bytes, self._most = most_bytes, most
        self._base, self._write = _place(url)
        self._failed_at: float | None = None
        self.after_fork()
        guarded(self._probe)
        _stores.add(self)

    def _probe(self) -> None:
        """A folder that cannot be made is told at once: no message gets an address in it."""
        if self._base.startswith("file://"):
            folder = Path(unquote(urlsplit(self._base).path))
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                if not os.access(folder, os.W_OK | os.X_OK):
                    raise PermissionError(13, "Permission denied", str(folder))
            except OSError as error:
                self._fail(error)

    def after_fork(self) -> None:
        """In a child: the thread is the parent's, and so is what waits for it."""
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0
        self._known: OrderedDict[str, str] = OrderedDict()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def keep(self, data: bytes, mime_type: str | None, digest: str) -> str | None:
        """The address that the bytes will have; None if they have none: no room, or the place cannot be written."""
        if self._failed_at is not None and time.monotonic() - self._failed_at < PAUSE:
            self._lose("unwritable", "it was not writable a moment ago")
            return None
        with self._changed:
            name = self._known.get(digest)
            if name is None:
                name = f"{digest[:2]}/{digest}{_extension(mime_type)}"
                if not self._take(_Waiting(name, digest, data)):
                    return None
            self._known.move_to_end(digest)
        return f"{self._base}/{name}"

    def _take(self, item: _Waiting) -> bool:
        if len(self._waiting) >= self._most or self._bytes + len(item.data) > self._most_bytes:
            self._lose("queue_full", "more come than it takes")
            return False
        self._waiting.append(item)
        self._bytes += len(item.data)
        self._known[item.digest] = item.name
        if len(self._known) > MOST_REMEMBERED:
            self._known.popitem(last=False)
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="aiobs-media", daemon=True)
            thread.start()  # raises where the interpreter goes down, and then nobody waits for it
            self._thread = thread
        self._changed.notify_all()
        return True

    def flush(self, timeout: float = 30.0) -> bool:
        """Wait until all that was handed over is written; False if that takes longer than ``timeout`` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting or self._thread is None, timeout)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                item = self._waiting[0]  # stays there until it is written, so that flush() waits for it
            self._move(item)
            with self._changed:
                self._waiting.popleft()
                self._bytes -= len(item.data)
                self._changed.notify_all()

    def _move(self, item: _Waiting) -> None:
        try:
            self._write(item.name, item.data)
            self._failed_at = None
        except Exception as error:  # whatever a file system of fsspec raises
            with self._changed:
                self._known.pop(item.digest, None)
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._failed_at = time.monotonic()
        self._lose("unwritable", f"it cannot be written ({type(error).__name__}: {error})")

    def _lose(self, reason: str, why: str) -> None:
        """Counted, and logged once for each reason."""
        advice = (
            f"{_without_userinfo(self.url)}: {why}. Messages have their type, size and hash instead. Set AIOBS_MEDIA "
            "to a folder or URL that can be written; the metric aiobs.exporter.dropped has their number."
        )
        guarded(lose, "media", "file", reason, 1, advice)


_stores: weakref.WeakSet[MediaStore] = weakref.WeakSet()


def _after_fork() -> None:
    for store in list(_stores):
        store.after_fork()


def _at_exit() -> None:
    """What waits has as long as exporters have."""
    given = guarded(resolve, "AIOBS_EXIT_TIMEOUT")
    ends = time.monotonic() + (2.0 if given is None else given)
    for store in list(_stores):
        guarded(store.flush, max(0.0, ends - time.monotonic()))


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)


def use(url: str | None) -> None:
    """Keep media there from now on; None: nowhere. Raises MissingExtra."""
    current = getattr(blobs.keep, "__self__", None)
    if url is None:
        blobs.keep = None
    elif not isinstance(current, MediaStore) or current.url != url:
        blobs.keep = MediaStore(url).keep


def flush(timeout: float = 30.0) -> None:
    """Wait for every store, as long as that together."""
    ends = time.monotonic() + timeout
    for store in list(_stores):
        store.flush(max(0.0, ends - time.monotonic()))


# Where


def _place(url: str) -> tuple[str, Write]:
    """The beginning of every address, and what writes."""
    parts = urlsplit(url)
    if len(parts.scheme) < 2 or parts.scheme == "file":
        folder = Path(unquote(parts.path) if parts.scheme == "file" else os.path.expanduser(url)).absolute()
        return folder.as_uri(), _into_folder(folder)
    try:
        import fsspec  # type: ignore[import-untyped]  # it has no types
    except ImportError:
        raise MissingExtra(f"AIOBS_MEDIA={_without_userinfo(url)} needs fsspec: pip install 'aiobs[media]'") from None
    return _without_userinfo(url).rstrip("/"), _into_file_system(fsspec, url.rstrip("/"))


def _into_folder(folder: Path) -> Write:
    """Only the user may read it; there is the whole file, or none."""

    def write(name: str, data: bytes) -> None:
        target = folder / name
        if target.is_file() and target.stat().st_size == len(data):
            return
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}.tmp")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with open(descriptor, "wb") as file:
                file.write(data)
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)

    return write


def _into_file_system(fsspec: Any, url: str) -> Write:
    """Made when it is first written: an object store asks the network for its credentials."""
    made: list[Any] = []

    def write(name: str, data: bytes) -> None:
        if not made:
            made.extend(fsspec.core.url_to_fs(url))
        system, root = made
        path = f"{root}/{name}"
        if not system.exists(path):
            system.makedirs(path.rpartition("/")[0], exist_ok=True)
            system.pipe_file(path, data)

    return write


_KNOWN_EXTENSIONS = {"audio/wav": ".wav", "audio/mp3": ".mp3", "audio/pcm16": ".pcm", "image/jpg": ".jpg"}
_USERINFO = re.compile(r"(?<=://)[^/@\s]+@")


def _extension(mime_type: str | None) -> str:
    """``.png`` of image/png; none for a type that nobody knows, as it comes from the request."""
    kind = (mime_type or "").partition(";")[0].strip().lower()
    return _KNOWN_EXTENSIONS.get(kind) or mimetypes.guess_extension(kind) or ""


def _without_userinfo(url: str) -> str:
    return _USERINFO.sub("", url)


# What the program passed, for the session file


def with_media_kept(event: dict[str, Any]) -> dict[str, Any]:
    """The event, made plain, with the addresses of bytes, data URLs and base64 in it instead of what they hold."""
    if blobs.keep is None:
        return event
    return {key: _kept(value) for key, value in to_jsonable(event, _described).items()}


def _described(data: Any, mime_type: str | None) -> dict[str, Any]:
    return blobs.described(bytes(data), mime_type)


def _kept(value: Any) -> Any:
    if isinstance(value, list):
        return [_kept(item) for item in value]
    if not isinstance(value, dict):
        return value
    for field, mime_type in _base64_fields(value):
        described = described_base64(value[field], mime_type)
        if "uri" in described:
            value = {**value, field: f"[left out by aiobs: {described['uri']}]", **described}
    return {key: _kept(item) for key, item in value.items()}


def _base64_fields(value: dict[str, Any]) -> Iterator[tuple[str, str | None]]:
    """The fields of a part of a message that are base64, with their type."""
    kind = value.get("mime_type") or value.get("mimeType")
    kind = (
        kind if isinstance(kind, str) else f"audio/{value['format']}" if isinstance(value.get("format"), str) else None
    )
    if kind is not None and _is_long(value.get("data")):
        yield "data", kind
    if _is_long(value.get("b64_json")):
        yield "b64_json", "image/png"


def _is_long(text: Any) -> bool:
    return isinstance(text, str) and len(text) >= SHORTEST_DATA_URL and not text.startswith("data:")
