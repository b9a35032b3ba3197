"""Whether an endpoint is a port on which this very process listens."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from aiobs.exporters.replies.urls import split

_LISTEN = "0A"
_LOCAL = ("localhost", "::1", "0.0.0.0", "::")  # names to look for, nothing is bound


def listens(url: str) -> bool:
    """The URL is of this machine, and a socket of this process listens at its port; False where nobody can tell."""
    parts = split(url)
    if parts is None or not parts.port or not parts.hostname:
        return False
    if not (parts.hostname in _LOCAL or parts.hostname.startswith("127.")):
        return False
    listening = {inode for port, inode in _listening() if port == parts.port}
    return bool(listening & _own_sockets()) if listening else False


def _listening() -> list[tuple[int, str]]:
    """Port and inode of every socket of the machine that listens (Linux: ``/proc/self/net``)."""
    found = []
    for name in ("tcp", "tcp6"):
        with suppress(OSError):
            rows = [line.split() for line in Path("/proc/self/net", name).read_text("ascii").splitlines()[1:]]
            found += [(int(row[1].rpartition(":")[2], 16), row[9]) for row in rows if row[3] == _LISTEN]
    return found


def _own_sockets() -> set[str]:
    found = set()
    with suppress(OSError):
        for name in os.listdir("/proc/self/fd"):
            with suppress(OSError):  # closed meanwhile
                found.add(os.readlink(f"/proc/self/fd/{name}"))
    return {link.removeprefix("socket:[").removesuffix("]") for link in found if link.startswith("socket:[")}
