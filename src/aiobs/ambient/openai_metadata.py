"""What travels with a call in the metadata of a request to OpenAI, so that its logs lead back to the run and the trace.

OpenAI takes 16 pairs of at most 64 and 512 characters, and takes them only with a request whose answer it stores; to
anything else it answers 400. So a request that would be refused is left as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from aiobs.ambient.sources import clean_attributes
from aiobs.call import Call
from aiobs.errors import ConfigurationError
from aiobs.semconv import names
from aiobs.semconv.serialise import attribute_value, clean_text, to_json

MAX_PAIRS = 16
MAX_KEY = 64
MAX_VALUE = 512

RUN = (
    names.FLOW_RUN_ID, names.TASK_RUN_ID, names.DEPLOYMENT_ID, names.DEPLOYMENT_NAME, names.FLOW_NAME,
    names.TASK_NAME, names.FLOW_RUN_NAME, names.TASK_RUN_NAME,
)  # fmt: skip
"""What is sent of a Prefect run, the most important first; the rest of it is on the span only."""

TRACE_ID = "trace_id"
_STORED = {"chat.completions.create": False, "responses.create": True, "beta.responses.create": True}
"""The methods whose request has metadata, and whether OpenAI stores the answer where the request does not say."""
_SERVERS = ("openai", "azure.ai.openai")
_METADATA = f"{names.METADATA}."
_CAUSES = {
    "key": (f"a key has more than {MAX_KEY} characters", "it is left out"),
    "value": (f"a value has more than {MAX_VALUE} characters", "it is cut"),
    "pairs": (f"there are more than {MAX_PAIRS} pairs", "the least important are left out"),
    "store": ("the request does not have its answer stored (store=True)", "it gets none, OpenAI would refuse it"),
}

_log = logging.getLogger("aiobs")
_warned: set[str] = set()


class Marked(dict[str, Any]):
    """An ``extra_body`` or ``metadata`` made by ``aiobs.compat.marvin.openai``: a plain dict as it is sent, which knows
    what of its metadata the program has ``said``, and what was there ``before``.

    Where aiobs records the call, its metadata is made anew then, of the run that is current at the call.
    """

    said: Mapping[str, Any]
    before: Mapping[str, Any]

    def __init__(self, sent: Mapping[str, Any], said: Mapping[str, Any], before: Mapping[str, Any]) -> None:
        super().__init__(sent)
        self.said = said
        self.before = before

    def __reduce__(self) -> tuple[Any, ...]:
        return Marked, (dict(self), dict(self.said), dict(self.before))


def fit(pairs: Mapping[str, Any], *, room: int = MAX_PAIRS, strict: bool = False) -> tuple[dict[str, str], int]:
    """What of the pairs OpenAI would take, and how many were left out; the most important come first.

    Scalars become text, what is nested becomes JSON, None is no pair. Values are cut, pairs with keys that are too
    long and pairs that find no ``room`` are left out, each with one warning in the log of a process; with ``strict``
    ConfigurationError (a ValueError) says so instead.
    """
    fitting: dict[str, str] = {}
    left_out = 0
    for key, value in pairs.items():
        if value is None:
            continue
        if not (cause := "key" if len(key) > MAX_KEY else "pairs" if len(fitting) >= room else None):
            fitting[clean_text(key)] = _cut(_as_text(value), strict)
            continue
        _complain(cause, strict)
        left_out += 1
    return fitting, left_out


def _as_text(value: Any) -> str:
    if isinstance(value, (Mapping, list, tuple, set, frozenset)):
        return to_json(value)
    usable = value if isinstance(value, (str, int, float)) else attribute_value(value)
    return clean_text(str(value if usable is None else usable))


def _cut(text: str, strict: bool) -> str:
    if len(text) > MAX_VALUE:
        _complain("value", strict)
    return text[:MAX_VALUE]


def _complain(cause: str, strict: bool) -> None:
    fact, consequence = _CAUSES[cause]
    if strict:
        raise ConfigurationError(f"Metadata for OpenAI does not fit: {fact}. Make it fit, or do without strict.")
    if cause not in _warned:
        _warned.add(cause)
        _log.warning("aiobs: metadata for OpenAI: %s, %s (this is said once).", fact, consequence)


def run_pairs(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """What is sent of a Prefect run, of all the attributes of a span."""
    return {key: attributes[key] for key in RUN if attributes.get(key) is not None}


def metadata_pairs(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """What ``aiobs.context(metadata=...)`` gave; users, tags and labels are not sent."""
    return {key.removeprefix(_METADATA): value for key, value in attributes.items() if key.startswith(_METADATA)}


class OpenAIMetadata:
    """The hook that puts metadata into requests to OpenAI.

    ``adds``: to every request whose answer is stored, what is missing; otherwise only to those whose program has
    called ``aiobs.compat.marvin.openai``. What the program passes itself is never changed. ``strict``: what does not
    fit stops the call with ConfigurationError.
    """

    def __init__(self, *, adds: bool, strict: bool = False) -> None:
        self.adds = adds
        self.strict = strict

    def before(self, call: Call) -> None:
        """Add to the request, by its ``extra_body``, which every release of the SDK takes."""
        if call.api not in _STORED:
            return
        given = call.request.given or {}
        body = given.get("extra_body")
        body = body if isinstance(body, Mapping) else {}
        sent = {**given, **body}
        marked = next((one for one in (body, sent.get("metadata")) if isinstance(one, Marked)), None)
        if marked is not None:
            _tell(call, marked.said)
        if (marked is None and not self.adds) or not self._may_have(call, sent):
            return
        metadata = self._of_marked(call, marked) if marked is not None else self._of_call(call, sent.get("metadata"))
        if metadata:
            call.request.additions["extra_body"] = {**body, "metadata": metadata}

    def finish(self, call: Call) -> None:
        """Nothing: all was said before."""

    @staticmethod
    def _may_have(call: Call, sent: Mapping[str, Any]) -> bool:
        if call.server.provider not in _SERVERS:
            return False
        stored = sent.get("store")
        if stored is True or (stored is not False and _STORED[call.api]):
            return True
        _complain("store", False)
        return False

    def _of_marked(self, call: Call, marked: Marked) -> dict[str, str]:
        """As the program asked for it once, of the run that is current now."""
        merged = merged_pairs(marked.before, run_pairs(call.context or {}), marked.said)
        metadata, left_out = fit(merged, strict=self.strict)
        return _concluded(call, metadata, left_out)

    def _of_call(self, call: Call, own: Any) -> dict[str, Any] | None:
        """What the program passes, untouched, and beside it what finds room."""
        kept: Mapping[str, Any] = own if isinstance(own, Mapping) else {}
        context = call.context or {}
        ours = {**metadata_pairs(context), **run_pairs(context)}
        missing = {key: value for key, value in ours.items() if key not in kept}
        added, left_out = fit(missing, room=max(0, MAX_PAIRS - len(kept)), strict=self.strict)
        return _concluded(call, {**added, **kept}, left_out)


def merged_pairs(before: Mapping[str, Any], run: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """What the program said, over the run, over what was there before; the most important first."""
    merged = {**before, **run, **said}
    return {key: merged[key] for key in dict.fromkeys((*said, *before, *run))}


def _concluded(call: Call, metadata: dict[str, Any], left_out: int) -> dict[str, Any]:
    """The trace's id too if there is a slot; the span says what found none."""
    if call.trace_id is not None and TRACE_ID not in metadata and len(metadata) < MAX_PAIRS:
        metadata[TRACE_ID] = call.trace_id
    if left_out:
        call.attributes[names.METADATA_DROPPED] = left_out
    return metadata


def _tell(call: Call, said: Mapping[str, Any]) -> None:
    """The span of the call says what the program said, in native types."""
    attributes = clean_attributes({f"{_METADATA}{key}": value for key, value in said.items()})
    call.attributes.update(attributes)
    call.context = {**(call.context or {}), **attributes}
