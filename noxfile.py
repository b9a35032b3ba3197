"""The version matrix: the suites that touch an SDK, on old and new releases of it (``make matrix``).

Each session has one release of each SDK; ``make test`` runs on the newest of both. The first has the oldest release of
everything that aiobs needs, and no google-genai: openai 1.40 needs an httpx that google-genai never worked with. What a
release lacks is skipped by ``tests/versions.py``; what of it cannot be wrapped is in ``tests/matrix/absent.json``.

The sessions ``prefect`` and ``marvin`` (``make test-orchestrators``) run ``tests/orchestrators`` with the real ones,
and ``coexistence`` (``make test-coexistence``) ``tests/coexistence`` beside other instrumentations.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import nox

nox.options.default_venv_backend = "uv"
nox.options.reuse_existing_virtualenvs = True

PAIRS = (
    ("1.40.0", None),
    ("1.66.0", "1.5.0"),
    ("1.109.1", "1.50.0"),
    ("2.54.0", "2.0.0"),
    ("3.52.0", "2.34.0"),
)
CORE = (
    "tests/matrix",
    "tests/contract",
    "tests/capture/test_function.py",
    "tests/capture/test_hooks.py",
    "tests/instrumentation/test_instrumentor.py",
    *(f"tests/instrumentation/openai/test_{name}.py" for name in ("chat", "content", "errors", "raw", "session_event")),
    *(f"tests/instrumentation/openai/test_{name}.py" for name in ("bad_input", "streams", "transparency")),
)
ALL = ("tests/matrix", "tests/contract", "tests/capture", "tests/instrumentation", "tests/corpus")
SUITES = ALL if os.environ.get("AIOBS_MATRIX") == "all" else CORE
"""What runs on every pair; ``AIOBS_MATRIX=all`` takes the tests of every operation and the recordings too."""

LONG = (
    "tests/corpus/test_transparency.py::test_a_program_sees_the_same[bytes-sync]",
    "tests/corpus/test_transparency.py::test_a_program_sees_the_same[bytes-async]",
    "tests/corpus/test_mutations.py::test_mutated_answers_shrink",
)
"""What would take as long as all the rest, and what ``make test`` asks of the newest releases."""

CASES = "100"
"""Mutated answers of a shard, of eight; ``make test`` makes 2,600."""

TOOLS = (
    *("hypothesis", "jsonschema", "pillow", "pytest", "pytest-asyncio", "pytest-timeout", "pytest-xdist"),
    "websockets>=13,<16",
)
LEFT_OPEN = {"openai", "google-genai", "anyio", "google-auth", "h11", "httpcore2", "httpx2", "tenacity", "websockets"}
"""What constraints.txt pins for the newest SDKs, and old ones need older."""

PIP_TO_UV = {"index-url": "UV_DEFAULT_INDEX", "cert": "SSL_CERT_FILE"}
"""uv does not read what pip is configured with."""


@nox.session
@nox.parametrize(
    ("openai", "genai"), PAIRS, ids=[f"openai {one}, google-genai {other or 'none'}" for one, other in PAIRS]
)
def matrix(session: nox.Session, openai: str, genai: str | None) -> None:
    """The suites on one release of each SDK, and a line that sums up."""
    started = time.monotonic()
    (install if genai else install_oldest)(session, openai, genai)
    installed = time.monotonic()
    given = session.posargs or ["--quiet", "--no-header"]
    command = [
        "pytest",
        "--numprocesses",
        "2",
        "-p",
        "no:cacheprovider",
        *given,
        *(f"--deselect={name}" for name in LONG),
        *SUITES,
    ]
    told = str(session.run(*command, silent=True, env=variables()))
    counts = re.findall(r"\d+ (?:passed|skipped|failed|xfailed|errors?)", told.splitlines()[-1])
    seconds = f"{installed - started:.0f} s to install, {time.monotonic() - installed:.0f} s to run"
    session.log(f"openai {openai}, google-genai {genai or 'none'}: {', '.join(counts)}; {seconds}")


ORCHESTRATORS = {
    # What these releases say they work with is more than they do: prefect with fastapi, marvin with pydantic-ai.
    "prefect": ("prefect==3.8.8", "fastapi<0.151"),
    "marvin": ("marvin==3.2.7", "pydantic-ai<1.75", "openai<3", "prefect==3.8.8", "fastapi<0.151"),
}
"""What each of the two sessions has besides aiobs and the tools."""


@nox.session
def prefect(session: nox.Session) -> None:
    """Real flows, tasks and a deployment on Prefect's temporary server; the example."""
    orchestrate(session, "prefect")


@nox.session
def marvin(session: nox.Session) -> None:
    """Agents of a real marvin and pydantic-ai against the simulator."""
    orchestrate(session, "marvin")


def orchestrate(session: nox.Session, name: str) -> None:
    """``tests/orchestrators/test_<name>.py`` where the orchestrator is installed; that it cannot be is a failure."""
    started = time.monotonic()
    try:
        into(session, loose_pins(session), "--editable", ".[openai]", *ORCHESTRATORS[name], *TOOLS)
    except nox.command.CommandFailed:
        wanted = " ".join(ORCHESTRATORS[name])
        session.error(f"{wanted} could not be installed (see above): nothing was tested. Is the package index there?")
    installed = time.monotonic()
    home = session.create_tmp()
    environment = {
        "AIOBS_ORCHESTRATOR": name,
        "HOME": home,  # marvin keeps a database there
        "PREFECT_HOME": f"{home}/prefect",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "150",
        "DO_NOT_TRACK": "1",
    }
    given = session.posargs or ["--quiet", "--no-header"]
    session.run("pytest", "-p", "no:cacheprovider", *given, "tests/orchestrators", env=environment)
    seconds = f"{installed - started:.0f} s to install, {time.monotonic() - installed:.0f} s to run"
    session.log(f"{' '.join(ORCHESTRATORS[name])}: {seconds}")


@nox.session
def coexistence(session: nox.Session) -> None:
    """Other instrumentations of the same SDKs in one process with ours; that they cannot be installed is a failure."""
    others = (
        *("opentelemetry-instrumentation-genai-openai", "openinference-instrumentation-openai"),
        *("openinference-instrumentation-google-genai", "langfuse"),
    )
    try:
        ours = ("--prerelease", "allow", "--editable", ".[openai,google-genai]")
        into(session, "constraints.txt", *ours, *others, *TOOLS)
    except nox.command.CommandFailed:
        session.error(f"{' '.join(others)} could not be installed (see above): nothing was tested.")
    given = session.posargs or ["--quiet", "--no-header"]
    environment = {"AIOBS_COEXISTENCE": "1"}
    session.run("pytest", "-p", "no:cacheprovider", *given, "tests/coexistence", env=environment)


def loose_pins(session: nox.Session) -> str:
    """constraints.txt, but for what orchestrators have an opinion about: the tools and OpenTelemetry are today's."""
    lines = Path("constraints.txt").read_text("utf-8").splitlines()
    kept = [line for line in lines if line.startswith(("opentelemetry-", "pytest", "hypothesis", "wrapt"))]
    return written(session, "constraints.txt", kept)


def variables() -> dict[str, str]:
    """What tests are told: where the recordings are, if anybody says so, how many mutations to make, what to cross."""
    asked = {name: os.environ[name] for name in ("AIOBS_CASSETTES",) if name in os.environ}
    crossed = {"AIOBS_OPERATIONS": "core"} if SUITES is CORE else {}
    return {"AIOBS_CORPUS_CASES": os.environ.get("AIOBS_CORPUS_CASES", CASES), **crossed, **asked}


def install(session: nox.Session, openai: str, genai: str | None) -> None:
    """These SDKs, and of everything else what constraints.txt says."""
    sdks = (f"openai=={openai}", f"google-genai=={genai}")
    into(session, pins(session), "--editable", ".[threads]", *TOOLS, *sdks)


def install_oldest(session: nox.Session, openai: str, genai: str | None) -> None:
    """The oldest release of each requirement in pyproject.toml; the tools of the tests are today's."""
    oldest = written(session, "oldest.txt", [f"openai=={openai}", "httpx<0.28"])
    into(session, oldest, "--resolution", "lowest-direct", "--editable", ".[openai,threads]")
    into(session, pins(session), *TOOLS)


def pins(session: nox.Session) -> str:
    """constraints.txt without the SDKs and what they bring."""
    lines = Path("constraints.txt").read_text("utf-8").splitlines()
    return written(session, "constraints.txt", [line for line in lines if line.partition("==")[0] not in LEFT_OPEN])


def written(session: nox.Session, name: str, lines: list[str]) -> str:
    """A file of the session's own."""
    path = Path(session.create_tmp()) / name
    path.write_text("\n".join(lines), "utf-8")
    return str(path)


def into(session: nox.Session, constraints: str, *what: str) -> None:
    """Install into the session's environment, from where pip would."""
    session.install("--quiet", "--constraint", constraints, *what, env=as_pip_is_configured())


def as_pip_is_configured() -> dict[str, str]:
    """pip's index and certificates as variables of uv; what the environment says already stands."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    settings = {line.partition("=")[0].rpartition(".")[2]: line.partition("=")[2] for line in lines}
    found = {PIP_TO_UV[name]: "".join(shlex.split(value)) for name, value in settings.items() if name in PIP_TO_UV}
    return {name: value for name, value in found.items() if name not in os.environ}
