"""HTTP connections of an exporter: not shared between processes, and their answers noted.

The official exporters keep a connection open. A child of a fork has the same one: its requests and its parent's end up
between each other, and the server refuses both (400), or one reads the other's answer.
"""

from __future__ import annotations

import os
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from aiobs.exporters.replies.answers import Answers, Reply
from aiobs.exporters.replies.untraced import TRACEPARENT

_LONGEST_BODY = 65_536


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
    """For the official OTLP/HTTP exporters (``session=``): ``status`` tells what the backend answered this thread.

    Its requests say that they are not part of any trace, and follow no redirect.
    """

    def __init__(self, answers: Answers | None = None) -> None:
        super().__init__()
        self.answers = answers or Answers()

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """As every session does it; nothing is noted until an answer comes."""
        self.answers.asked()
        if isinstance(self.verify, str):  # a certificate that is given for OTLP wins over REQUESTS_CA_BUNDLE
            options["verify"] = self.verify
        request.headers.setdefault("traceparent", TRACEPARENT)
        try:
            response = super().send(request, **{**options, "allow_redirects": False})
        except Exception as error:
            self.answers.note(Reply(error=error))
            raise
        self.answers.note(reply_of(response))
        return response

    def status(self) -> int | None:
        """The HTTP status of the last answer, told once; None if there was none."""
        return self.answers.status()


def reply_of(response: requests.Response) -> Reply:
    """What came back over HTTP."""
    return Reply(
        status=response.status_code,
        content_type=response.headers.get("content-type", ""),
        body=response.content[:_LONGEST_BODY],
        detail=response.reason or "",
        retry_after=response.headers.get("retry-after", ""),
    )
