"""The blocks of 001.rst run from the text, and do what the text around them says.

``BLOCKS`` is the one table of what is changed before a block runs: substitutions in its text, a prelude for names that
it leaves undefined, and what is called after it where it only defines something.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from aiobs.testing import Simulator
from tests.seeds.blocks import blocks

ROOT = Path(__file__).resolve().parents[2]
SOURCE = "001.rst"
IMPORTS = "from aiobs import observer, observe\n"
VERTEX = ("genai.Client()", "genai.Client(vertexai=True, api_key='test')")
"""google-genai 3 has films on Vertex AI only."""
CLIENT = "from openai import OpenAI\nclient = OpenAI()\n"
SYSTEM = {
    "aiobs_sdk_version": metadata.version("aiobs"),
    "aiobs_python_version": platform.python_version(),
    "aiobs_hostname": socket.gethostname(),
    "aiobs_os": platform.system().lower(),
}


class Block(NamedTuple):
    """What a block needs to run; ``writes``: it flushes, so there is a file."""

    prelude: str = ""
    substitutions: tuple[tuple[str, str], ...] = ()
    after: str = ""
    environment: tuple[tuple[str, str], ...] = ()
    writes: bool = True


PYTHON = {
    0: Block(),
    1: Block(),
    3: Block(IMPORTS, after="observer.end(); observer.flush()", environment=(("AIOBS_LABEL_ENVIRONMENT", "staging"),)),
    4: Block(
        substitutions=(
            (
                "# Call OpenAI Chat Completions via openai>=1\n",
                CLIENT
                + 'client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Hi"}])\n',
            ),
        )
    ),
    5: Block(),
    6: Block(),
    7: Block(),
    8: Block("import time\n", substitutions=(VERTEX, ("time.sleep(10)", "time.sleep(0.01)"))),
    9: Block(
        'from google.genai import types\nimage_object = types.Image(image_bytes=b"PNG", mime_type="image/png")\n',
        substitutions=(VERTEX,),
    ),
    10: Block('results = ["a promise"]\ndata = {"fetched": True}\n'),
    11: Block(
        IMPORTS,
        substitutions=(("def get_large_dataset():\n    ...", "def get_large_dataset():\n    return ['row'] * 1_000"),),
        after="observer.observe(); login('ada', password='needle'); get_large_dataset(); observer.end(); observer.flush()",
    ),
    12: Block(
        CLIENT + "def process(data): return {**data, 'done': True}\n",
        substitutions=(("create(...)", 'create(model="gpt-4o", messages=[{"role": "user", "content": text}])'),),
        after="observer.observe()\nfor n in range(10): summarize(f'text {n}'); n < 5 and analyze({'n': n})\n"
        "observer.end(); observer.flush()",
    ),
}
SHELL = {2, 13, 14}


def test_every_block_is_run() -> None:
    """None is left out, and none is missing from the text."""
    assert sorted({*PYTHON, *SHELL}) == list(range(len(blocks(SOURCE))))


class Ran(NamedTuple):
    """What became of a block: its names, what it printed, the file."""

    names: SimpleNamespace
    printed: str
    export: dict[str, Any]

    @property
    def events(self) -> list[dict[str, Any]]:
        """The provider events."""
        return list(self.export["events"])

    @property
    def functions(self) -> list[dict[str, Any]]:
        """The function events."""
        return list(self.export["function_events"])


@pytest.fixture
def run(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[int], Ran]:
    """Run a block by its number, with the SDKs pointed at a provider on this machine."""
    for variable in simulator.environment().items():
        monkeypatch.setenv(*variable)

    def run(number: int) -> Ran:
        block, text = PYTHON[number], blocks(SOURCE)[number]
        for variable in block.environment:
            monkeypatch.setenv(*variable)
        for old, new in block.substitutions:
            assert old in text
            text = text.replace(old, new)
        program = f"{block.prelude}{text}{block.after}\n"
        space: dict[str, Any] = {"__name__": "__main__"}
        exec(compile(program, f"block-{number}.py", "exec"), space)
        return Ran(
            SimpleNamespace(**space), capsys.readouterr().out, json.loads(Path("llm_observability.json").read_text())
        )

    return run


def test_session_labels(run: Callable[[int], Ran]) -> None:
    """S1-05: a named session with its labels and the system's."""
    (session,) = run(0).export["sessions"]
    assert session["name"] == "my-session"
    assert session["labels"] == {
        "environment": "production", "team": "ml-platform", "project": "recommendation-engine", "version": "v2.3.1",
        **SYSTEM,
    }  # fmt: skip


def test_dynamic_labels(run: Callable[[int], Ran]) -> None:
    """S1-19 … S1-23: after the sequence there is one label of the user's, and those of the system."""
    ran = run(1)
    assert ran.names.labels == {"environment": "production", **SYSTEM}
    assert ran.export["sessions"][0]["labels"] == ran.names.labels
    assert ran.printed == f"{ran.names.labels}\n"


def test_explicit_labels_win(run: Callable[[int], Ran]) -> None:
    """S1-26: over the environment's."""
    assert run(3).printed == "production\n"


def test_chat(run: Callable[[int], Ran]) -> None:
    """S1-32: what is called between observe and end is an event."""
    (event,) = run(4).events
    assert (event["provider"], event["api"], event["request"]["model"]) == (
        "openai",
        "chat.completions.create",
        "gpt-4o",
    )


@pytest.mark.parametrize(("number", "inputs"), [(5, 1), (6, 3)])
def test_embeddings(run: Callable[[int], Ran], number: int, inputs: int) -> None:
    """S1-41, S1-43: one event, with as many vectors as inputs, dimensions, usage and times."""
    (event,) = run(number).events
    asked, answered = event["request"], event["response"]
    assert (event["api"], asked["model"]) == ("embeddings.create", "text-embedding-3-small")
    assert len(asked["input"] if isinstance(asked["input"], list) else [asked["input"]]) == inputs
    assert [item["index"] for item in answered["data"]] == list(range(inputs))
    assert answered["embedding_dimensions"] > 0
    assert answered["usage"]["prompt_tokens"] > 0
    assert event["ended_at"] >= event["started_at"]


def test_gemini(run: Callable[[int], Ran]) -> None:
    """S1-45 … S1-47: contents as given, text, usage."""
    ran = run(7)
    (event,) = ran.events
    assert (event["provider"], event["api"]) == ("gemini", "models.generate_content")
    assert event["request"]["contents"] == "Explain quantum computing"
    assert event["response"]["text"] == ran.names.response.text
    assert event["response"]["usage"]["total_token_count"] > 0


@pytest.mark.filterwarnings(
    "ignore:The generate_videos method:DeprecationWarning"
)  # the text is older than google-genai 3
def test_veo(run: Callable[[int], Ran]) -> None:
    """S1-48 … S1-53: the one event of the call says what the last poll found."""
    ran = run(8)
    (event,) = ran.events
    assert (event["api"], event["request"]["prompt"][:11]) == ("models.generate_videos", "A cinematic")
    assert event["response"]["operation_name"] == ran.names.operation.name
    assert event["response"]["done"] is True
    assert event["response"]["generated_videos"]
    assert event["response"]["poll_count"] > 0


@pytest.mark.filterwarnings(
    "ignore:The generate_videos method:DeprecationWarning"
)  # the text is older than google-genai 3
def test_image_to_video(run: Callable[[int], Ran]) -> None:
    """S1-49: the picture by size and hash, the options as given."""
    (event,) = run(9).events
    assert event["request"]["config"] == {"aspect_ratio": "16:9", "resolution": "720p"}
    assert event["request"]["image"]["bytes"] == 3
    assert "UE5H" not in json.dumps(event)


def test_function_tracing(run: Callable[[int], Ran]) -> None:
    """S1-55, S1-56: sync and async functions, and a name of one's own."""
    ran = run(10)
    (event,) = ran.functions
    assert (event["name"], event["args"], event["result"]) == ("research", ["What is an API?"], ["a promise"])
    assert event["callsite"]["function"] == "research"


def test_decorator_options(run: Callable[[int], Ran]) -> None:
    """S1-57, S1-58: what is not to be captured is nowhere."""
    ran = run(11)
    login, dataset = ran.functions
    assert (login["args"], login["kwargs"], login["result"]) == (None, None, None)
    assert (dataset["args"], dataset["result"]) == ([], None)
    assert "needle" not in json.dumps(ran.export)


def test_enhanced_prompts(run: Callable[[int], Ran]) -> None:
    """S1-63 … S1-66: an id per call, the threshold of each function, and the list of all."""
    ran = run(12)
    found = {name: [event for event in ran.functions if event["name"] == name] for name in ("summarize", "analyze")}
    assert {name: {event["auto_enhance_after"] for event in events} for name, events in found.items()} == {
        "summarize": {10}, "analyze": {5},
    }  # fmt: skip
    ids = [event["enh_prompt_id"] for event in ran.functions]
    assert len(set(ids)) == 15
    assert sorted(ran.export["enh_prompt_traces"]) == sorted(ids)


# Blocks that are no Python


def shell(script: str) -> str:
    """What a script prints; ``python`` is this one."""
    search = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [shutil.which("bash") or "bash", "-euc", script],
        capture_output=True, text=True, check=False, timeout=50,
        env={**os.environ, "PATH": search, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_labels_from_the_environment() -> None:
    """S1-25: exported in a shell, they are on the session."""
    program = "from aiobs import observer; observer.observe(); print(observer.get_labels()); observer.flush(end=True)"
    said = shell(f'{blocks(SOURCE)[2]}\npython -c "{program}"')
    for label in ("'environment': 'production'", "'team': 'ml-platform'", "'service': 'api-gateway'"):
        assert label in said


def test_the_pipeline_example() -> None:
    """S1-70: the command, with the package where the repository has it."""
    said = shell(blocks(SOURCE)[13].replace("example.", "examples."))
    assert "Observability written to:" in said
    assert len(json.loads(Path("llm_observability.json").read_text())["events"]) == 3


def test_another_place_for_the_file() -> None:
    """S1-72: LLM_OBS_OUT."""
    Path("your_script.py").write_text(blocks(SOURCE)[0])
    shell(blocks(SOURCE)[14].replace("/path/to/", "deep/er/"))
    assert json.loads(Path("deep/er/output.json").read_text())["sessions"][0]["name"] == "my-session"
