"""Session files on disk: where they are, whose turn it is to write, and how they are replaced, added to or printed."""

from __future__ import annotations

import gzip
import io
import os
import re
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, cast

DEFAULT_PATH = "./llm_observability.json"
LOCK_TIMEOUT = 20.0
GZIP_SUFFIX = ".gz"
PLACEHOLDER = re.compile(r"\{(session_id|session_name|date|pid)\}")


def import_for_exit() -> None:
    """Import what a flush needs and programs without sessions do not (its asyncio half makes it slow).

    Not at exit: code that is compiled there makes CPython forget that it is a KeyboardInterrupt that ends the process,
    which then says 1 to its shell in place of SIGINT.
    """
    import filelock  # noqa: F401  # for its own sake


def filled_in(path: str, session: Mapping[str, Any]) -> str:
    """The path with ``{session_id} {session_name} {date} {pid}`` filled in; a name cannot lead to another directory."""
    values = {
        "session_id": str(session.get("id", "none")),
        "session_name": re.sub(r"[^\w .-]", "_", str(session.get("name", "none")))[:100],
        "date": time.strftime("%Y-%m-%d"),
        "pid": str(os.getpid()),
    }
    return PLACEHOLDER.sub(lambda match: values[match[1]], path)


def working_directory() -> str:
    """Where relative paths start; empty where the directory was deleted."""
    try:
        return os.getcwd()
    except OSError:
        return ""


def journal_directory(file: Path) -> Path:
    """``<file>.journal``."""
    return file.with_name(file.name + ".journal")


def file_of_journal(directory: Path) -> Path:
    """The file that ``journal_directory`` belongs to."""
    return directory.with_name(directory.name.removesuffix(".journal"))


@contextmanager
def file_locks(*targets: Path, timeout: float = LOCK_TIMEOUT) -> Iterator[None]:
    """One flush at a time per file, across processes; the lock of a process that dies is free at once.

    Raises TimeoutError (an OSError) when another process holds one for longer than ``timeout`` seconds.
    """
    from filelock import FileLock  # see import_for_exit

    with ExitStack() as locks:
        for target in sorted(set(targets)):
            locks.enter_context(FileLock(f"{target}.lock", timeout=timeout, mode=0o600))
        yield


def replace_atomically(target: Path, pieces: Iterable[str]) -> None:
    """Write beside the target, sync, rename: there is the old file or the new one, never half of one."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            with _text_into(file, target) as text:
                text.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _text_into(file: IO[bytes], target: Path) -> Iterator[IO[str]]:
    """UTF-8, compressed where the target's name says so; the file stays open."""
    packed = gzip.GzipFile(fileobj=file, mode="wb", mtime=0) if target.name.endswith(GZIP_SUFFIX) else None
    text = io.TextIOWrapper(cast(IO[bytes], packed or file), encoding="utf-8", errors="replace")
    try:
        yield text
    finally:
        text.flush()
        text.detach()
        if packed is not None:
            packed.close()


def append_line(target: Path, pieces: Iterable[str]) -> None:
    """Add an export as one line; what the disk has no room for leaves the file as it was."""
    descriptor = os.open(target, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    with open(descriptor, "ab") as file:
        before = os.fstat(descriptor).st_size
        is_torn = before and target.suffix != GZIP_SUFFIX and os.pread(descriptor, 1, before - 1) != b"\n"
        try:
            with _text_into(file, target) as text:
                text.write("\n" if is_torn else "")
                text.writelines(_LINE_BREAK.sub("", piece) for piece in pieces)
                text.write("\n")
            file.flush()
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, before)
            raise


_LINE_BREAK = re.compile(r"\n *")  # JSON has none inside of texts


def print_text(pieces: Iterable[str]) -> None:
    """Write to standard output in UTF-8, whatever the terminal's encoding, where it takes bytes."""
    sys.stdout.flush()
    binary = getattr(sys.stdout, "buffer", None)
    for piece in pieces:
        if binary is None:
            sys.stdout.write(piece)
        else:
            binary.write(piece.encode("utf-8", "replace"))
    sys.stdout.flush()


def remove(paths: Iterable[Path]) -> None:
    """Remove files, those that are gone already included."""
    for path in paths:
        path.unlink(missing_ok=True)


def remove_if_empty(directory: Path) -> None:
    """Remove a directory that nobody needs any more."""
    try:
        directory.rmdir()
    except OSError:
        return
