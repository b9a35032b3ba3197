"""``aiobs prompts enhance``: the analysis over session files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from aiobs import observe, observer
from aiobs.cli import app
from aiobs.testing import Simulator
from tests.versions import needs


def invoke(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["prompts", "enhance", *map(str, arguments)])


@observe(enh_prompt=True)
def summarize(ask: Any, text: str) -> None:
    ask(f"Summarize this text: {text}. Thank you.")


def exported(ask: Any, name: str, *texts: str) -> Path:
    observer.observe()
    for text in texts:
        summarize(ask, text)
    observer.end()
    return Path(str(observer.flush(name)))


def ask_openai(simulator: Simulator) -> Any:
    messages = [{"role": "system", "content": "Be brief."}]
    chat = simulator.openai().chat
    return lambda text: chat.completions.create(model="m", messages=[*messages, {"role": "user", "content": text}])


def ask_gemini(simulator: Simulator) -> Any:
    client = simulator.gemini()
    config = {"system_instruction": "Be brief."}
    return lambda text: client.models.generate_content(model="m", contents=text, config=config)


@pytest.mark.parametrize("ask", [ask_openai, pytest.param(ask_gemini, marks=needs("gemini"))])
def test_many_files(simulator: Simulator, ask: Any) -> None:
    """S1-65, S1-67: functions are found over files, each call once, with the model calls of either SDK."""
    files = [exported(ask(simulator), "a.json", "cats", "dogs"), exported(ask(simulator), "b.json", "cows")]
    done = invoke(*files, files[0], "--json", "-o", "reports.jsonl")
    assert done.exit_code == 0, done.output
    (found,) = map(json.loads, done.stdout.splitlines())
    listed = [name for file in files for name in json.loads(file.read_text())["enh_prompt_traces"]]
    assert (found["function"], found["enh_prompt_ids"]) == (f"{__name__}.summarize", listed)
    assert (found["model_calls"], found["tokens"]["input_tokens"]["min"] > 0) == (3, True)
    assert [(one["role"], one["template"]) for one in found["prompts"]] == [
        ("system", "Be brief."),
        ("user", "Summarize this text: {1}. Thank you."),
    ]
    assert json.loads(Path("reports.jsonl").read_text()) == {**found, "generated_at": found["generated_at"]}


def test_for_people(simulator: Simulator) -> None:
    """S1-67: the template and what could be done, in words; ``--function`` picks some."""
    file = exported(ask_openai(simulator), "a.json", "cats", "dogs")
    done = invoke(file)
    assert "    Summarize this text: {1}. Thank you." in done.stdout
    assert "- model call 1: does not say in what form the answer should come" in done.stdout
    assert "No marked calls" in invoke(file, "--function", "other").output


@needs("gemini")
def test_folders_gzip_and_lines(simulator: Simulator) -> None:
    """S1-67: what every command reads is read: folders, gzip, one export a line; a file of another version is not."""
    Path("runs").mkdir()
    plain = exported(ask_openai(simulator), "runs/a.json", "cats")
    packed = exported(ask_gemini(simulator), "b.json", "cows")
    Path("runs/b.json.gz").write_bytes(gzip.compress(packed.read_bytes()))
    lines = [json.dumps(json.loads(file.read_text())) for file in (plain, packed)]
    Path("lines.jsonl").write_text("\n".join(lines))
    in_a_folder, in_lines = (json.loads(invoke(path, "--json").stdout) for path in ("runs", "lines.jsonl"))
    assert (in_a_folder["calls"], in_a_folder["model_calls"]) == (2, 2)
    assert in_lines["enh_prompt_ids"] == in_a_folder["enh_prompt_ids"]
    plain.write_text(plain.read_text().replace('"version": 1', '"version": 2'))
    assert "Upgrade it" in invoke(plain).output


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "There is no file x.json"),
        ("{", "is cut short"),
        ("[]", "is not JSON"),
        ('{"a": 1}', "no session file"),
        ('{"events": [], "function_events": [{}], "version": 1}', "has an event without span_id"),
        ('{"events": [], "function_events": [7], "version": 1}', "has an event without span_id"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_a_file_that_is_none(text: str | None, said: str) -> None:
    """What cannot be read is named, with what is wrong with it, and the exit code is 2."""
    if text is not None:
        Path("x.json").write_text(text)
    done = invoke("x.json")
    assert done.exit_code == 2
    assert "x.json" in done.output
    assert said in done.output
