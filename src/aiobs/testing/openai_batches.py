"""OpenAI's ``/batches``, and ``/files`` as far as batches need them.

A batch is finished when it is asked for the second time. Its requests are answered by the routes that they name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiobs.testing import wire
from aiobs.testing.improvise import as_dict
from aiobs.testing.openai_common import CREATED, JSON_HEADERS, bad_request, missing
from aiobs.testing.script import Answer, Fault, Reply, Request
from aiobs.testing.stored import Store

_NEEDED = ("input_file_id", "endpoint", "completion_window")
_COUNTED = ("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens")


@dataclass
class Kept:
    """A batch as it ends, and how many times yet it is not finished when somebody asks."""

    batch: dict[str, Any]
    polls: int = 1


_files: Store[bytes] = Store()
_batches: Store[Kept] = Store()


# Files


def upload(request: Request, answer: Answer) -> Reply:
    """``POST /files``: the part called ``file`` of the form is kept."""
    content = _file_in(request)
    name = f"file-simulated{request.number:06d}"
    _files.keep(request, name, content)
    return _whole({"id": name, "object": "file", "bytes": len(content), "created_at": CREATED,
                   "filename": "batch.jsonl", "purpose": "batch", "status": "processed", **answer.fields})  # fmt: skip


def _file_in(request: Request) -> bytes:
    found = re.search(r"boundary=\"?([^\";]+)", request.headers.get("content-type", ""))
    parts = request.body.split(b"--" + found[1].encode()) if found else []
    for part in parts:
        head, _, body = part.partition(b"\r\n\r\n")
        if b'name="file"' in head:
            return body.removesuffix(b"\r\n")
    return b""


def content(request: Request, answer: Answer) -> Reply | Fault:
    """``GET /files/{id}/content``."""
    kept = _files.find(request, name := _id_in(request, "files"))
    if kept is None:
        return Fault(404, message=f"No such File object: {name}")
    return Reply(200, {"content-type": "application/octet-stream"}, kept)


# Batches


def create(request: Request, answer: Answer) -> Reply | Fault:
    """``POST /batches``: the requests are answered at once, and nobody hears of it yet."""
    asked = as_dict(request.json)
    for name in _NEEDED:
        if not asked.get(name):
            return missing(name)
    batch = {
        "id": f"batch_simulated{request.number:06d}",
        "object": "batch",
        "endpoint": asked["endpoint"],
        "errors": None,
        "input_file_id": asked["input_file_id"],
        "completion_window": asked["completion_window"],
        "status": "completed",
        "created_at": CREATED,
        "metadata": asked.get("metadata"),
    }
    kept = _batches.keep(request, batch["id"], Kept({**batch, **_outcome(request, batch), **answer.fields}))
    return _whole(_unfinished(kept.batch, "validating"))


def retrieve(request: Request, answer: Answer) -> Reply | Fault:
    """``GET /batches/{id}``."""
    kept = _batches.find(request, _id_in(request, "batches"))
    if kept is None:
        return _unknown(request)
    if kept.polls:
        kept.polls -= 1
        return _whole({**_unfinished(kept.batch, "in_progress"), **answer.fields})
    return _whole({**kept.batch, **answer.fields})


def cancel(request: Request, answer: Answer) -> Reply | Fault:
    """``POST /batches/{id}/cancel``."""
    kept = _batches.find(request, _id_in(request, "batches"))
    if kept is None:
        return _unknown(request)
    if not kept.polls:
        return bad_request("Cannot cancel a batch that has completed.")
    kept.batch, kept.polls = _unfinished(kept.batch, "cancelled"), 0
    return _whole({**kept.batch, "status": "cancelling", **answer.fields})


def _unfinished(batch: Mapping[str, Any], status: str) -> dict[str, Any]:
    known = {key: value for key, value in batch.items() if key not in ("output_file_id", "error_file_id", "usage")}
    counts = {**as_dict(batch.get("request_counts")), "completed": 0, "failed": 0}
    return {**known, "status": status, "request_counts": counts}


def _unknown(request: Request) -> Fault:
    return Fault(404, message=f"No batch found with id '{_id_in(request, 'batches')}'.")


def _outcome(request: Request, batch: Mapping[str, Any]) -> dict[str, Any]:
    """The files with what came of each request, the counts and what all of it used."""
    lines = (_files.find(request, batch["input_file_id"]) or b"").splitlines()
    results = [_answered(request, number, json.loads(line)) for number, line in enumerate(lines) if line.strip()]
    good = [result for result in results if result["response"]["status_code"] == 200]
    bad = [result for result in results if result["response"]["status_code"] != 200]
    usages = [as_dict(result["response"]["body"].get("usage")) for result in good]
    spent, made = (sum(usage.get(name, 0) for usage in usages for name in names) for names in _COUNTED)
    return {
        "output_file_id": _file_of(request, "output", good),
        "error_file_id": _file_of(request, "error", bad),
        "request_counts": {"total": len(results), "completed": len(good), "failed": len(bad)},
        "usage": {"input_tokens": spent, "output_tokens": made, "total_tokens": spent + made,
                  "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}},
    }  # fmt: skip


def _file_of(request: Request, kind: str, results: list[dict[str, Any]]) -> str | None:
    if not results:
        return None
    name = f"file-simulated-{kind}{request.number:06d}"
    _files.keep(request, name, "".join(f"{json.dumps(result)}\n" for result in results).encode())
    return name


def _answered(request: Request, number: int, line: Mapping[str, Any]) -> dict[str, Any]:
    """One line of results: what the route says that the request names."""
    body = line.get("body")
    inner = Request(number + 1, str(line.get("method")), str(line.get("url")), "", request.headers,
                    json.dumps(body).encode(), body)  # fmt: skip
    found, handler = wire.find_route(inner)
    reply = handler(inner, Answer()) if handler is not None else Fault(404, message="Invalid URL")
    if isinstance(reply, Fault):
        reply = Reply(reply.status or 400, body=found.error(reply.status or 400, reply))
    assert isinstance(reply.body, bytes)
    response = {
        "status_code": reply.status,
        "request_id": f"req_batch{number:03d}",
        "body": json.loads(reply.body),
    }
    return {"id": f"batch_req_{number:03d}", "custom_id": line.get("custom_id"), "response": response, "error": None}


def _id_in(request: Request, what: str) -> str:
    return request.path.partition(f"/{what}/")[2].partition("/")[0]


def _whole(body: Mapping[str, Any]) -> Reply:
    return Reply(200, JSON_HEADERS, json.dumps(body).encode())


_PLACE = r"(?:/v1|/openai/v1|/openai)?"
ROUTES: tuple[tuple[re.Pattern[str], wire.Handler], ...] = (
    (re.compile(f"POST {_PLACE}/files"), upload),
    (re.compile(f"GET {_PLACE}/files/[^/]+/content"), content),
    (re.compile(f"POST {_PLACE}/batches"), create),
    (re.compile(f"GET {_PLACE}/batches/[^/]+"), retrieve),
    (re.compile(f"POST {_PLACE}/batches/[^/]+/cancel"), cancel),
)
