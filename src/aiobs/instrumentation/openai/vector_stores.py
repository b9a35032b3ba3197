"""Searching a vector store: what was looked for, and what was found."""

from __future__ import annotations

from operator import methodcaller
from typing import TYPE_CHECKING, Any

from aiobs.call import Call, Document, Prompt, Request, Response
from aiobs.capture.provider import Method, Operation
from aiobs.instrumentation.fields import fields_of, get, items, text, unread
from aiobs.instrumentation.openai.requests import as_sent, config_of
from aiobs.instrumentation.records import request_record
from aiobs.semconv.serialise import to_jsonable

if TYPE_CHECKING:
    from openai.pagination import SyncPage
    from openai.types import VectorStoreSearchResponse

_MODULE = "openai.resources.vector_stores.vector_stores"
_REQUIRED = ("vector_store_id", "query")
_FILE_FIELDS = ("vector_store_id", "max_num_results", "filters", "ranking_options", "rewrite_query")


# Request


def read_request(kwargs: dict[str, Any]) -> Request:
    """Which store, and how many documents; the conventions have no name for how the query may be changed."""
    given = as_sent(kwargs)
    found = {"data_source": given.get("vector_store_id"), "retrieval_top_k": given.get("max_num_results")}
    return Request(
        params={name: value for name, value in found.items() if value is not None},
        config=config_of(given, ("rewrite_query",)),
    )


def read_prompt(kwargs: dict[str, Any]) -> Prompt:
    """The query, one or several."""
    asked = kwargs.get("query")
    texts = [asked] if isinstance(asked, str) else [item for item in items(asked) if isinstance(item, str)]
    return Prompt([], query="\n".join(texts) or None)


# Response


def read_response(result: SyncPage[VectorStoreSearchResponse] | Any) -> Response:
    """The page as it is; it is not iterated, which would ask for the next one."""
    return Response(request_id=text(getattr(result, "_request_id", None)), native=result)


def read_documents(result: SyncPage[VectorStoreSearchResponse] | Any) -> list[Document]:
    """What was found, in order."""
    return [_document(item) for item in items(fields_of(result).get("data"))]


def _document(item: Any) -> Document:
    score = get(item, "score")
    is_number = isinstance(score, (int, float)) and not isinstance(score, bool)
    found: Document = {"id": text(get(item, "file_id")), "score": score if is_number else None}
    if (name := text(get(item, "filename"))) is not None:
        found["file_name"] = name
    texts = [said for part in items(get(item, "content")) if (said := text(get(part, "text"))) is not None]
    if texts:
        found["content"] = texts
    return found


# Session file


def session_request(call: Call) -> dict[str, Any]:
    """``model`` (none), ``query, vector_store_id, max_num_results, filters, ranking_options, rewrite_query, other``."""
    asked = call.request.kwargs.get("query")
    readable = asked is None or isinstance(asked, (str, list, tuple))
    return request_record(call, _FILE_FIELDS, query=asked if readable else unread(asked))


def session_response(call: Call) -> dict[str, Any] | None:
    """``id, model, usage`` (none), and the documents; None for a call without an answer."""
    response = call.response
    if response is None:
        return None
    found = fields_of(response.native).get("data") if response.wants_content else None
    return {
        "id": None,
        "model": None,
        "usage": None,
        "documents": [
            {**document, "attributes": to_jsonable(get(item, "attributes"))}
            for document, item in zip(response.documents, items(found), strict=False)
        ],
    }


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="retrieval",
        api="vector_stores.search",
        methods=(
            Method(_MODULE, "VectorStores.search", requires=_REQUIRED),
            Method(_MODULE, "AsyncVectorStores.search", is_async=True, is_paged=True, requires=_REQUIRED),
        ),
        positional=("vector_store_id",),
        named_after=methodcaller("get", "vector_store_id"),
        read_request=read_request,
        read_response=read_response,
        read_prompt=read_prompt,
        read_documents=read_documents,
        session_request=session_request,
        session_response=session_response,
    ),
)
