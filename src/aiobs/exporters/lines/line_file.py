"""A file of lines that is rotated by size and time; what is closed is compressed, in the background.

The first process holds the file (``flock``); every other one writes ``<stem>.<pid><suffix>`` beside it, so that none
rotates or compresses under another. The kernel lets go of the file when its process dies.
"""

from __future__ import annotations

import gzip
import itertools
import os
import shutil
import threading
import time
from glob import escape
from pathlib import Path

from aiobs.errors import ConfigurationError
from aiobs.exporters.lines.writer import FLAGS, LineWriter, Tail, ends_torn, lock
from aiobs.guard import guarded

FSYNC = ("never", "close", "batch")

_TEMPORARY = ".tmp"
_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC


class LineFile(LineWriter):
    """Lines in ``path``, mode 0600.

    A line that would make the file larger than ``rotate_bytes``, or that comes ``rotate_seconds`` after the file was
    opened, goes to a new one; the old one is renamed to ``<stem>.<UTC time>-<number><suffix>`` and, with ``compress``,
    replaced by its ``.gz``. ``fsync``: after each batch, before a file is closed, or never.
    """

    def __init__(
        self,
        path: Path,
        *,
        rotate_bytes: int | None = None,
        rotate_seconds: float | None = None,
        compress: bool = True,
        fsync: str = "never",
    ) -> None:
        self.path = path.absolute()  # a program may change its directory
        self._rotate_bytes = rotate_bytes
        self._rotate_seconds = rotate_seconds
        self._compress = compress
        self._fsync = fsync
        super().__init__(f"file {path}")

    def _forget(self) -> None:
        super()._forget()
        self._own_path: Path | None = None
        self._opened = 0.0
        self._has_adopted = False
        self._packers: list[threading.Thread] = []

    def check(self) -> None:
        """Raise ConfigurationError for a place where no file can be written."""
        if self.path.is_dir():
            raise ConfigurationError(
                f"path={str(self.path)!r} is a folder; name a file in it, e.g. {self.path}/otlp.jsonl."
            )
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"The folder of {self.path} cannot be made ({error.strerror}); make it, or use another path."
            ) from None
        if not os.access(self.path if self.path.exists() else self.path.parent, os.W_OK):
            raise ConfigurationError(
                f"{self.path} cannot be written by this user; change its permissions, or use another path."
            )

    def end_batch(self) -> bool:
        """What belongs together is written; False if some of it waits for room on the disk."""
        with self._lock:
            if self._tail is not None and self._fsync == "batch":
                os.fsync(self._tail.descriptor)
            return not self._backlog

    def close(self, timeout: float = 2.0) -> bool:
        """Close the file, and wait for what is being compressed; False if that takes longer."""
        until = time.monotonic() + timeout
        with self._lock:
            self._retry()
            self._finish()
            packers, self._packers = self._packers, []
        for packer in packers:
            packer.join(max(0.0, until - time.monotonic()))
        return not any(packer.is_alive() for packer in packers)

    # Opening and rotating

    def _open(self, coming: int) -> Tail:
        tail = self._tail
        if tail is not None and tail.is_deleted():  # what somebody deleted stays deleted
            self._finish()
        elif tail is not None and self._is_due(tail, coming):
            self._rotate(tail)
        if self._tail is None:
            self._tail = self._opened_tail()
            if self._is_due(self._tail, coming):  # what an earlier process left is full already
                self._rotate(self._tail)
        if self._tail is None:
            self._tail = self._opened_tail()
        return self._tail

    def _is_due(self, tail: Tail, coming: int) -> bool:
        if not tail.size:
            return False
        full = self._rotate_bytes is not None and tail.size + coming > self._rotate_bytes
        return full or (self._rotate_seconds is not None and time.monotonic() - self._opened >= self._rotate_seconds)

    def _opened_tail(self) -> Tail:
        """The file itself, or, where another process holds it, one of our own."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        path, descriptor = self.path, _locked(self.path)
        if descriptor is None:
            path = self.path.with_name(f"{self.path.stem}.{os.getpid()}{self.path.suffix}")
            descriptor = os.open(path, FLAGS, 0o600)
            lock(descriptor)
        elif self._compress and not self._has_adopted:
            self._has_adopted = True
            guarded(self._adopt)
        self._own_path, self._opened = path, time.monotonic()
        return Tail(descriptor, is_torn=ends_torn(path))

    def _rotate(self, tail: Tail) -> None:
        """Close the file under a new name; named first, as whoever locks a file under the old one takes it for his."""
        path = self._own_path or self.path
        closed = guarded(_renamed, path)
        if closed is None:  # nothing may be renamed in this folder: better one large file than none
            self._rotate_bytes = self._rotate_seconds = None
            return
        self._finish()
        if self._compress:
            self._pack(closed)

    def _finish(self) -> None:
        if self._tail is not None and self._fsync != "never":
            os.fsync(self._tail.descriptor)
        self._close_tail()
        self._own_path = None

    # Compressing

    def _adopt(self) -> None:
        """Compress what a process that died had closed."""
        for closed in self.path.parent.glob(f"{escape(self.path.stem)}.*T*Z-*{self.path.suffix}"):
            self._pack(closed)

    def _pack(self, closed: Path) -> None:
        thread = threading.Thread(target=guarded, args=(pack, closed), name="aiobs-gzip", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the interpreter is going down
            return
        self._packers = [*(packer for packer in self._packers if packer.is_alive()), thread]


def _locked(path: Path) -> int | None:
    """The file, open and ours alone; None if another process has it. Locks are no condition where there are none."""
    while True:
        descriptor = os.open(path, FLAGS, 0o600)
        if lock(descriptor) is False:
            os.close(descriptor)
            return None
        if _is_at(path, descriptor):
            return descriptor
        os.close(descriptor)  # its process has rotated it between our opening and locking it


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _renamed(path: Path) -> Path:
    """As ``<stem>.<UTC time>-<number><suffix>``; the number tells apart what one second closes, or a clock set back."""
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    for number in itertools.count(1):
        name = path.with_name(f"{path.stem}.{now}-{number:03d}{path.suffix}")
        if not name.exists() and not name.with_name(f"{name.name}.gz").exists():
            return path.rename(name)
    raise AssertionError("numbers do not end")


def pack(path: Path) -> None:
    """Replace a file by its ``.gz``: a crash at any moment leaves the whole of one of them."""
    temporary, done = path.with_name(f"{path.name}.gz{_TEMPORARY}"), path.with_name(f"{path.name}.gz")
    with path.open("rb") as source:
        if lock(source.fileno()) is False or not _is_at(path, source.fileno()):
            return  # another process compresses it, or has
        with os.fdopen(os.open(temporary, _NEW, 0o600), "wb") as file:
            with gzip.GzipFile(filename=path.name, mode="wb", fileobj=file, compresslevel=6) as packed:
                shutil.copyfileobj(source, packed, 1 << 18)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, done)
        path.unlink()
