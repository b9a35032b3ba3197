"""OpenAI's vector stores: a search of one, which finds as much as it is asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from aiobs.testing.improvise import as_count, sentence
from aiobs.testing.openai_common import JSON_HEADERS, PREFIX, bad_request, missing
from aiobs.testing.script import Answer, Reply, Request

_MOST = 50
_USUAL = 2


def search(request: Request, answer: Answer) -> Reply:
    """``POST /vector_stores/{id}/search``; ``Answer.text`` is what each document says."""
    asked: Mapping[str, Any] = request.json if isinstance(request.json, dict) else {}
    query, wanted = asked.get("query"), asked.get("max_num_results")
    if not query:
        return missing("query")
    if isinstance(wanted, int) and not 0 < wanted <= _MOST:
        return bad_request(f"Invalid 'max_num_results': expected 1 to {_MOST}.", "max_num_results", "invalid_value")
    queries = [str(each) for each in query] if isinstance(query, list) else [str(query)]
    text = sentence(queries[0], []) if answer.text is None else answer.text
    found = [_document(number, text) for number in range(as_count(wanted, _MOST) or _USUAL)]
    page = {"object": "vector_store.search_results.page", "search_query": queries, "data": found}
    body = {**page, "has_more": False, "next_page": None, **answer.fields}
    return Reply(200, JSON_HEADERS, json.dumps(body).encode())


def _document(number: int, text: str) -> dict[str, Any]:
    return {
        "file_id": f"file-simulated{number}",
        "filename": f"document{number}.txt",
        "score": round(0.95 / (number + 1), 4),
        "attributes": {"number": number},
        "content": [{"type": "text", "text": text}],
    }


ROUTES = ((re.compile(f"POST {PREFIX}/vector_stores/[^/]+/search"), search),)
