"""scripts/backends.py: what is there is not asked for again, what cannot be had says why, what is wrong is loud."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import backends
import pytest
from backends import BACKENDS, ROOT, Backend, Unobtainable, fetch, obtained, row


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A cache of the test's own."""
    monkeypatch.setattr(backends, "CACHE", tmp_path)


def a_backend(obtain: Callable[[Path], None], recipe: str = "1") -> Backend:
    return Backend("a-server", "bin/a", recipe, obtain)


def test_what_is_there_is_not_asked_for_again() -> None:
    """Another recipe is."""
    asked: list[str] = []
    for recipe in ("1", "1", "2"):
        assert obtained(a_backend(lambda folder: asked.append(folder.name), recipe))
    assert len(asked) == len(set(asked)) == 2


def test_what_broke_off_is_begun_anew() -> None:
    """What an interrupted run left is not taken for the backend."""
    begun: list[bool] = []

    def interrupted(folder: Path) -> None:
        begun.append((folder / "half").exists())
        (folder / "half").touch()
        if len(begun) == 1:
            raise KeyboardInterrupt

    backend = a_backend(interrupted)
    with pytest.raises(KeyboardInterrupt):
        obtained(backend)
    assert backend.path is None
    assert obtained(backend)
    assert begun == [False, False]


def test_what_cannot_be_had_says_why_until_it_can() -> None:
    """The suite skips with this; the table has it."""

    def refused(folder: Path) -> None:
        fetch(sys.executable, "-c", "import sys; sys.exit('Could not resolve the host')")

    backend = a_backend(refused)
    assert not obtained(backend)
    assert backend.reason.startswith("a-server cannot be obtained here: ")
    assert backend.reason.endswith("says: Could not resolve the host")
    assert "missing" in row(backend)
    assert backend.reason in row(backend)
    assert obtained(a_backend(lambda folder: None))
    assert not backend.folder.with_suffix(".why").exists()


def test_what_is_wrong_with_what_was_had_is_loud() -> None:
    """A build that fails is no reason to skip."""

    def broken(folder: Path) -> None:
        backends.run([sys.executable, "-c", "raise SystemExit(2)"], {})

    with pytest.raises(subprocess.CalledProcessError):
        obtained(a_backend(broken))


def test_a_command_that_is_not_there_is_a_reason() -> None:
    """No apt-get, say."""
    with pytest.raises(Unobtainable, match="no-such-command"):
        fetch("no-such-command")


def test_a_variable_names_one_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is obtained then."""
    monkeypatch.setenv("AIOBS_A_SERVER", "/opt/a")
    backend = a_backend(lambda folder: pytest.fail("asked for"))
    assert obtained(backend)
    assert backend.path == Path("/opt/a")


def test_check_looks_only() -> None:
    """A line for each backend, and nothing is downloaded."""
    command = [sys.executable, str(ROOT / "scripts" / "backends.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"AIOBS_BACKENDS": "nowhere"})
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [[name, "missing"] for name in BACKENDS]
    assert not Path("nowhere").exists()
