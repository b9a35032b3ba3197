"""docs/observe.md is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aiobs.testing import Simulator
from tests.docs.test_readme import run

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "observe.md").read_text("utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_every_python_block_of_the_guide_runs(number: int, simulator: Simulator, tmp_path: Path) -> None:
    """Copied from the page, it runs, without a warning."""
    run(BLOCKS[number], simulator, tmp_path)
