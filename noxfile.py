"""The version matrix: the suites that touch an SDK, run on old and new releases of it (``make matrix``).

Each session has one release of each SDK; the newest of both is what ``make test`` runs on. openai 1.40 needs an httpx
that google-genai never worked with, so it is alone.
"""

from __future__ import annotations

from pathlib import Path

import nox

nox.options.default_venv_backend = "venv"
nox.options.reuse_existing_virtualenvs = True

PAIRS = (
    ("1.40.0", None),
    ("1.66.0", "1.5.0"),
    ("1.109.1", "1.50.0"),
    ("2.54.0", "2.0.0"),
    ("3.52.0", "2.34.0"),
)
SUITES = ("tests/contract", "tests/corpus", "tests/instrumentation", "tests/test_errors.py")
TOOLS = ("hypothesis", "jsonschema", "pillow", "pytest", "pytest-asyncio", "pytest-timeout", "pytest-xdist")
LEFT_OPEN = ("openai", "google-genai", "httpx")


@nox.session
@nox.parametrize(("openai", "genai"), PAIRS, ids=[f"openai-{one}, google-genai-{two}" for one, two in PAIRS])
def matrix(session: nox.Session, openai: str, genai: str | None) -> None:
    """The core suites on one release of each SDK."""
    constraints = Path(session.create_tmp()) / "constraints.txt"
    lines = Path("constraints.txt").read_text("utf-8").splitlines()
    constraints.write_text("\n".join(line for line in lines if line.partition("==")[0] not in LEFT_OPEN), "utf-8")
    sdks = [f"openai=={openai}", *([f"google-genai=={genai}"] if genai else ["httpx<0.28"])]
    session.install("--quiet", "--constraint", str(constraints), "--editable", ".[threads]", *TOOLS, *sdks)
    only_openai = [] if genai else ["--ignore=tests/instrumentation/google_genai"]
    suites = session.posargs or SUITES
    session.run("pytest", "--numprocesses", "2", "-q", *suites, *only_openai)
