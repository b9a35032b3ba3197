"""The tests of this folder need the recordings; without them one skip stands for all."""

from __future__ import annotations

from tests.corpus.recordings import VARIABLE, folder

collect_ignore_glob: list[str] = [] if folder() else ["test_[!r]*.py"]

MISSING = f"set {VARIABLE} to the folder of recorded provider exchanges to replay them through the real SDKs"
