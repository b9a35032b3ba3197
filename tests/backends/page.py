"""Pictures of Phoenix's page with a few calls on it, to look at: by hand, no test.

    PYTHONPATH=.:scripts python -m tests.backends.page OUT

It needs ``playwright`` and a Chromium (``CHROMIUM``, else what the path has), and writes ``spans.png`` and ``call.png``
into the folder OUT.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from aiobs import flush
from aiobs.exporters.registry import Exporter
from tests.backends.load import expected_spans, make_calls, observed
from tests.backends.servers import get, phoenix, until

CALLS = 60
WAIT = 3_000  # milliseconds that the page has to draw itself


def main() -> None:
    """Calls, and two pictures: the list of spans, and one call."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work, phoenix(Path(work)) as address:
        with observed([Exporter("phoenix", endpoint=address)], capture_content="span_only"):
            make_calls(CALLS)
            flush()
        spans = f"{address}/v1/projects/default/spans"
        found = until(
            lambda: data if len(data := get(spans, limit=1_000)["data"]) >= expected_spans(CALLS) else [], 60, "spans"
        )
        project = get(f"{address}/v1/projects/default")["data"]["id"]
        take(f"{address}/projects/{project}", found[0], folder)


def take(project: str, span: dict[str, Any], folder: Path) -> None:
    """The two pictures."""
    from playwright.sync_api import sync_playwright  # type: ignore[import-not-found]  # only who takes pictures has it

    with sync_playwright() as browsers:
        program = os.environ.get("CHROMIUM") or shutil.which("chromium")
        browser = browsers.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        for name, path in (("spans", "spans"), ("call", f"spans/{span['context']['trace_id']}")):
            page.goto(f"{project}/{path}")
            page.wait_for_load_state("networkidle")
            page.wait_for_timeout(WAIT)
            page.screenshot(path=folder / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    main()
