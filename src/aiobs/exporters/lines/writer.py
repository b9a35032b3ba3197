"""Writing lines so that what is there is whole: the writer of the journal, of OTLP/JSON files and of the spool.

One ``write`` a line. After a short write a newline comes first, so that the torn half is a line of its own. What a full
disk refuses is kept (to a bound) and tried again.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import threading
import weakref
from collections import deque
from pathlib import Path

from aiobs.guard import guarded

BACKLOG_BYTES = 1_048_576

FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
_log = logging.getLogger("aiobs")


class Tail:
    """The open end of a file."""

    def __init__(self, descriptor: int, *, is_torn: bool = False) -> None:
        self.descriptor = descriptor
        self.size = os.fstat(descriptor).st_size
        self._is_torn = is_torn

    def write(self, line: bytes) -> None:
        """Write one line (without its newline).

        Raises OSError for what is not whole; what was written of it is passed over by readers.
        """
        data = b"\n" + line + b"\n" if self._is_torn else line + b"\n"
        written = os.write(self.descriptor, data)
        self._is_torn = (self._is_torn and not written) or 0 < written < len(data)
        self.size += written
        if written < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def is_deleted(self) -> bool:
        """Somebody deleted the file under us."""
        return not os.fstat(self.descriptor).st_nlink

    def is_cut(self) -> bool:
        """Somebody made it shorter under us, or wrote to it."""
        return os.fstat(self.descriptor).st_size != self.size

    def close(self) -> None:
        """Close the file, and with it its lock."""
        os.close(self.descriptor)


class LineWriter:
    """Lines to a file that ``_open`` opens when one comes; ``append`` never raises.

    ``dropped`` counts the lines that neither the disk nor the backlog had room for.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._forget()
        _writers.add(self)

    def _forget(self) -> None:
        """As new, without touching what is on disk."""
        self._lock = threading.RLock()  # a finaliser may write in the middle of a write
        self._tail: Tail | None = None
        self._backlog: deque[bytes] = deque()
        self._backlog_bytes = 0
        self.dropped = 0
        self._told = False

    def after_fork(self) -> None:
        """In a child: the lock, the file and the backlog are the parent's."""
        inherited = self._tail
        self._forget()
        if inherited is not None:
            inherited.close()

    def append(self, line: bytes) -> bool:
        """Write one line (without its newline). What cannot be written is kept; False: it was dropped."""
        with self._lock:
            if self._retry() and self._write(line):
                return True
            return self._keep(line)

    def retry(self) -> None:
        """Try what was kept once more."""
        with self._lock:
            self._retry()

    def _retry(self) -> bool:
        while self._backlog:
            if not self._write(self._backlog[0]):
                return False
            self._backlog_bytes -= len(self._backlog.popleft())
        return True

    def _keep(self, line: bytes) -> bool:
        if self._backlog_bytes + len(line) > BACKLOG_BYTES:
            self.dropped += 1
            return False
        self._backlog.append(line)
        self._backlog_bytes += len(line)
        return True

    def _write(self, line: bytes) -> bool:
        try:
            self._open(len(line) + 1).write(line)
        except OSError as error:
            if not self._told:
                self._told = True
                text = "aiobs: the %s cannot be written (%s); kept in memory"
                guarded(_log.warning, text, self._title, error)  # a handler of the program's may raise
            return False
        self._told = False
        return True

    def _open(self, coming: int) -> Tail:
        """The file to write the next line of so many bytes to. Raises OSError."""
        raise NotImplementedError

    def _close_tail(self) -> None:
        tail, self._tail = self._tail, None
        if tail is not None:
            tail.close()


def lock(descriptor: int, mode: int = fcntl.LOCK_EX) -> bool | None:
    """Lock an open file; False if another process has it, None where the file system has no locks."""
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def ends_torn(path: Path) -> bool:
    """The file does not end with a newline: whoever wrote it last was killed, or had no room."""
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


_writers: weakref.WeakSet[LineWriter] = weakref.WeakSet()


def _after_fork() -> None:
    for writer in list(_writers):
        writer.after_fork()


os.register_at_fork(after_in_child=_after_fork)
