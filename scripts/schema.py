"""The published JSON Schema of the session file: made of ``aiobs.reading.format``, in two copies.

``--check`` fails when a copy differs, ``--write`` rewrites both.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from aiobs.reading.schema import NAME, made

ROOT = Path(__file__).resolve().parent.parent
COPIES = (ROOT / "src" / "aiobs" / "reading" / "schemas" / NAME, ROOT / "schemas" / NAME)


def main() -> None:
    """Check or write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--check", action="store_true")
    write = parser.parse_args().write
    text = json.dumps(made(), indent=2, ensure_ascii=False) + "\n"
    for copy in COPIES:
        if write:
            copy.parent.mkdir(exist_ok=True)
            copy.write_text(text, encoding="utf-8")
        elif not copy.exists() or copy.read_text(encoding="utf-8") != text:
            sys.exit(f"{copy.relative_to(ROOT)} is not what aiobs.reading.format says; run: make fmt")


if __name__ == "__main__":
    main()
