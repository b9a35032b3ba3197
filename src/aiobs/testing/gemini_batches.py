"""Gemini's ``:batchGenerateContent`` and ``:asyncBatchEmbedContent``, and the batches that they make.

A batch is finished when it is asked for the second time. Requests that come with it are answered by their own routes;
for those in a file, which nobody has uploaded here, there is a file with one answer and one error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from aiobs.testing import gemini_content, gemini_embeddings
from aiobs.testing.gemini_request import model_of
from aiobs.testing.gemini_usage import JSON_HEADERS
from aiobs.testing.improvise import as_dict, as_dicts
from aiobs.testing.script import Answer, Fault, Reply, Request
from aiobs.testing.stored import Store
from aiobs.testing.wire import Handler

_REFUSED = {"code": 3, "message": "Request contains an invalid argument."}


@dataclass
class Kept:
    """A batch as it ends, and how many times yet it is not finished when somebody asks."""

    batch: dict[str, Any]
    polls: int = 1


_batches: Store[Kept] = Store()
_files: Store[bytes] = Store()


def create(request: Request, answer: Answer) -> Reply | Fault:
    """``POST {model}:batchGenerateContent``."""
    return _created(request, answer, _answer_content)


def create_embeddings(request: Request, answer: Answer) -> Reply | Fault:
    """``POST {model}:asyncBatchEmbedContent``."""
    return _created(request, answer, _answer_embedding)


def _created(request: Request, answer: Answer, respond: Any) -> Reply | Fault:
    source = as_dict(as_dict(as_dict(request.json).get("batch")).get("inputConfig"))
    inline = as_dicts(as_dict(source.get("requests")).get("requests"))
    if not inline and not source.get("fileName"):
        return Fault(400, message="* BatchGenerateContentRequest.batch.input_config: must be set\n")
    name = f"batches/simulated{request.number:06d}"
    if inline:
        results = [_result(request, number, each, respond) for number, each in enumerate(inline)]
        output: dict[str, Any] = {"inlinedResponses": {"inlinedResponses": results}}
    else:
        output = {"responsesFile": _answers_in_file(request, respond)}
    metadata = {"model": f"models/{model_of(request)}", "state": "BATCH_STATE_SUCCEEDED", "output": output}
    kept = _batches.keep(request, name, Kept({"name": name, "done": True, "metadata": metadata}))
    return _whole(_unfinished(kept.batch, "BATCH_STATE_PENDING"))


def _result(request: Request, number: int, asked: Mapping[str, Any], respond: Any) -> dict[str, Any]:
    body = as_dict(asked.get("request"))
    named = {"metadata": asked["metadata"]} if "metadata" in asked else {}
    reply = respond(replace(request, number=number + 1, json=body, body=json.dumps(body).encode()))
    if isinstance(reply, Fault) or not isinstance(reply.body, bytes):
        return {**named, "error": _REFUSED}
    return {**named, "response": _single(json.loads(reply.body))}


def _single(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer; of vectors, the only one."""
    vectors = answer.get("embeddings")
    return {"embedding": vectors[0], "tokenCount": "3"} if vectors else answer


def _answer_content(request: Request) -> Reply | Fault:
    return gemini_content.generate(request, Answer())


def _answer_embedding(request: Request) -> Reply | Fault:
    body = {"requests": [request.json]}
    return gemini_embeddings.embed_batch(replace(request, json=body, body=json.dumps(body).encode()), Answer())


def _answers_in_file(request: Request, respond: Any) -> str:
    asked = {"request": {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}}
    good = {"key": "a", **_result(request, 0, asked, respond)}
    name = f"files/simulated{request.number:06d}"
    lines = [good, {"key": "b", "error": _REFUSED}]
    _files.keep(request, name, "".join(f"{json.dumps(line)}\n" for line in lines).encode())
    return name


def fetch(request: Request, answer: Answer) -> Reply | Fault:
    """``GET /batches/{id}``."""
    kept = _batches.find(request, _name_in(request))
    if kept is None:
        return Fault(404, message=f"{_name_in(request)} not found.")
    if kept.polls:
        kept.polls -= 1
        return _whole({**_unfinished(kept.batch, "BATCH_STATE_RUNNING"), **answer.fields})
    return _whole({**kept.batch, **answer.fields})


def cancel(request: Request, answer: Answer) -> Reply | Fault:
    """``POST /batches/{id}:cancel``."""
    kept = _batches.find(request, _name_in(request))
    if kept is None:
        return Fault(404, message=f"{_name_in(request)} not found.")
    kept.batch, kept.polls = _unfinished(kept.batch, "BATCH_STATE_CANCELLED"), 0
    return _whole({})


def download(request: Request, answer: Answer) -> Reply | Fault:
    """``GET /files/{id}:download``."""
    kept = _files.find(request, _name_in(request))
    return Fault(404, message=f"{_name_in(request)} not found.") if kept is None else Reply(200, JSON_HEADERS, kept)


def _unfinished(batch: Mapping[str, Any], state: str) -> dict[str, Any]:
    metadata = {key: value for key, value in batch["metadata"].items() if key != "output"}
    return {"name": batch["name"], "metadata": {**metadata, "state": state}}


def _name_in(request: Request) -> str:
    return "/".join(request.path.split("/")[-2:]).partition(":")[0]


def _whole(body: Mapping[str, Any]) -> Reply:
    return Reply(200, JSON_HEADERS, json.dumps(body).encode())


_VERSION = r"/v1(?:alpha|beta|beta1)?"
ROUTES: tuple[tuple[re.Pattern[str], Handler], ...] = (
    (re.compile(rf"POST {_VERSION}/models/[^/]+:batchGenerateContent"), create),
    (re.compile(rf"POST {_VERSION}/models/[^/]+:asyncBatchEmbedContent"), create_embeddings),
    (re.compile(rf"GET {_VERSION}/batches/(?!batch_)[^/:]+"), fetch),  # OpenAI's have the same place, and that name
    (re.compile(rf"POST {_VERSION}/batches/[^/:]+:cancel"), cancel),
    (re.compile(rf"GET {_VERSION}/files/[^/:]+:download"), download),
)
