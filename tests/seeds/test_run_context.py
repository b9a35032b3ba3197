"""The blocks of 000.md that are no Python; the others need Prefect and marvin, and run in tests/orchestrators."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from tests.seeds.blocks import blocks

ROOT = Path(__file__).resolve().parents[2]


def test_the_installation() -> None:
    """S0-21: the extra is one of aiobs; nothing of it comes with the base."""
    for command in blocks("000.md")[:2]:
        extra = command.replace("marvin[", "aiobs[").partition('"')[2].partition('"')[0]
        assert extra == "aiobs[prefect]"
    assert "prefect" in (metadata.metadata("aiobs").get_all("Provides-Extra") or [])
    required = [one for one in metadata.requires("aiobs") or [] if "extra ==" not in one]
    assert not [one for one in required if one.startswith(("prefect", "marvin"))]


def test_the_example_is_where_the_text_says() -> None:
    """S0-20: ``cd examples/prefect_observability``, ``uv run example.py``; tests/orchestrators runs it."""
    folder, command = blocks("000.md")[3].splitlines()
    assert (ROOT / folder.removeprefix("cd ") / command.split()[-1]).is_file()
