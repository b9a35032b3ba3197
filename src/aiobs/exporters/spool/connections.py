"""HTTP connections of an exporter that are not shared between processes.

The official exporters keep a connection open. A child of a fork has the same one: its requests and its parent's end up
between each other, and the server refuses both (400), or one reads the other's answer.
"""

from __future__ import annotations

import os
import threading
from typing import Any

import requests
from requests.adapters import HTTPAdapter


class ForkSafeSession(requests.Session):
    """A session that has connections of its own in each process."""

    def __init__(self) -> None:
        super().__init__()
        self._process = os.getpid()

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send it; the first time after a fork over a connection that is new."""
        if self._process != os.getpid():
            self._process = os.getpid()
            for prefix in [*self.adapters]:
                self.mount(prefix, HTTPAdapter())
        return super().send(request, **kwargs)


class AnsweringSession(ForkSafeSession):
    """For the official OTLP/HTTP exporters (``session=``): ``status`` tells what the backend answered this thread."""

    def __init__(self) -> None:
        super().__init__()
        self._answers = threading.local()

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """As every session does it; None is noted until an answer comes."""
        self._answers.status = None
        response = super().send(request, **options)
        self._answers.status = response.status_code
        return response

    def status(self) -> int | None:
        """The HTTP status of the last answer, told once; None if there was none."""
        status: int | None = getattr(self._answers, "status", None)
        self._answers.status = None
        return status
