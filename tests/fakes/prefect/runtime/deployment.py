"""What the program has asked for already."""

from __future__ import annotations

from typing import Any

CACHED_DEPLOYMENT: dict[str, Any] = {}
