"""Pictures, sound and files by content hash, in a folder or where an fsspec URL leads, moved there in the background.

The caller's thread hands the bytes over and gets the address that they will have; it never waits. What there is no
room for is counted, and its part of the message has its type, size and hash only, as without a store.
"""

from __future__ import annotations

import atexit
import logging
import mimetypes
import os
import re
import threading
import time
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from aiobs.errors import MissingExtra
from aiobs.guard import guarded
from aiobs.losses import lose
from aiobs.settings import resolve

MOST_WAITING = 128
MOST_BYTES_WAITING = 268_435_456
MOST_REMEMBERED = 65_536
PAUSE = 30.0
"""Seconds after a failure until the next attempt."""

_UNWRITABLE = "AIOBS_MEDIA cannot be written. Make it writable, or set it to another folder or URL; tried again now and then."
_FULL = "more come than can be written. They have their type, size and hash; the metric aiobs.exporter.dropped counts them."

_log = logging.getLogger("aiobs")

Write = Callable[[str, bytes], None]


class _Waiting(NamedTuple):
    name: str
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
        self._has_warned = False
        self.after_fork()
        _stores.add(self)

    def after_fork(self) -> None:
        """In a child: the thread is the parent's, and so is what waits for it."""
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0
        self._known: OrderedDict[str, None] = OrderedDict()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def keep(self, data: bytes, mime_type: str | None, digest: str) -> str | None:
        """The address that the bytes will have; None if they have none: no room, or the place cannot be written."""
        if self._failed_at is not None and time.monotonic() - self._failed_at < PAUSE:
            lose("media", "file", "unwritable", 1, _UNWRITABLE)
            return None
        name = f"{digest[:2]}/{digest}{_extension(mime_type)}"
        with self._changed:
            if name in self._known:
                self._known.move_to_end(name)
            elif not self._take(_Waiting(name, data)):
                return None
        return f"{self._base}/{name}"

    def _take(self, item: _Waiting) -> bool:
        if len(self._waiting) >= self._most or self._bytes + len(item.data) > self._most_bytes:
            lose("media", "file", "queue_full", 1, _FULL)
            return False
        self._waiting.append(item)
        self._bytes += len(item.data)
        self._known[item.name] = None
        if len(self._known) > MOST_REMEMBERED:
            self._known.popitem(last=False)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="aiobs-media", daemon=True)
            self._thread.start()
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
            self._failed_at = time.monotonic()
            with self._changed:
                self._known.pop(item.name, None)
            lose("media", "file", "unwritable", 1, _UNWRITABLE)
            guarded(self._warn, error)

    def _warn(self, error: Exception) -> None:
        if not self._has_warned:
            self._has_warned = True
            _log.warning(
                "aiobs: pictures, sound and files are not kept, as %s cannot be written (%s: %s); messages have their "
                "type, size and hash. Make it writable, or set AIOBS_MEDIA to another folder or URL. Tried again every "
                "%d seconds; the metric aiobs.exporter.dropped counts them.",
                _without_userinfo(self.url), type(error).__name__, error, int(PAUSE),
            )  # fmt: skip


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
        import fsspec
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
