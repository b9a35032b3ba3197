"""Every option: its keyword, its environment variable, its default and one sentence.

``OPTIONS`` is the one table; the README's table is generated from it. Precedence: keyword > variable > default.
Variables are read when they are needed (``configure()``, ``observe()``), never at import.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

from aiobs.errors import ConfigurationError


class CaptureContent(Enum):
    """Where prompts and outputs may go besides the session file; the values of the OpenTelemetry variable."""

    NO_CONTENT = "no_content"
    SPAN_ONLY = "span_only"
    EVENT_ONLY = "event_only"
    SPAN_AND_EVENT = "span_and_event"

    @property
    def on_spans(self) -> bool:
        """Content becomes span attributes."""
        return self in (CaptureContent.SPAN_ONLY, CaptureContent.SPAN_AND_EVENT)

    @property
    def on_events(self) -> bool:
        """Content becomes event attributes."""
        return self in (CaptureContent.EVENT_ONLY, CaptureContent.SPAN_AND_EVENT)


def as_capture_content(value: Any) -> CaptureContent | None:
    """``True``/``"true"`` mean span_only, ``False``/``"false"`` no_content, None and "" unset; case is ignored."""
    if value is None or value == "" or isinstance(value, CaptureContent):
        return value or None
    word = str(value).strip().lower()
    word = {"true": "span_only", "1": "span_only", "false": "no_content", "0": "no_content"}.get(word, word)
    try:
        return CaptureContent(word)
    except ValueError:
        allowed = ", ".join(mode.value for mode in CaptureContent)
        raise ConfigurationError(f"capture_content={value!r} is not a capture mode; use one of {allowed}.") from None


def as_names(value: Any) -> tuple[str, ...] | None:
    """A comma-separated string or any iterable of names → a tuple; None and "" are unset."""
    if value is None or value == "":
        return None
    names = value.split(",") if isinstance(value, str) else value
    return tuple(name.strip() for name in names if name.strip())


def as_items(value: Any) -> tuple[Any, ...] | None:
    """As ``as_names``; what is no text stays as it is."""
    if value is None or value == "":
        return None
    items = value.split(",") if isinstance(value, str) else value if isinstance(value, Iterable) else (value,)
    return tuple(item.strip() if isinstance(item, str) else item for item in items if item and item != " ")


def as_switch(value: Any) -> bool:
    """1/true/yes/on and 0/false/no/off, in any case."""
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in ("1", "true", "yes", "on"):
        return True
    if word in ("0", "false", "no", "off", ""):
        return False
    raise ConfigurationError(f"{value!r} is not a switch; use 1 or 0.")


def as_seconds(value: Any) -> float:
    """A number of seconds, not negative."""
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise ConfigurationError(f"{value!r} is not a number of seconds; use 0 or more.")
    return seconds


def as_bytes(value: Any) -> int:
    """A whole number of bytes, at least 1."""
    try:
        size = int(value)
    except (TypeError, ValueError):
        size = 0
    if size < 1:
        raise ConfigurationError(f"{value!r} is not a size in bytes; use a whole number of 1 or more.")
    return size


def as_bytes_or_none(value: Any) -> int:
    """A whole number of bytes; 0 for no bound."""
    return 0 if value in (0, "0") else as_bytes(value)


def as_semconv(value: Any) -> str:
    """``latest`` or ``dup``."""
    word = str(value).strip().lower()
    if word not in ("latest", "dup"):
        raise ConfigurationError(f"{value!r} is not latest or dup.")
    return word


def as_embeddings(value: Any) -> str:
    """``full``, ``shape`` or ``none``; True means full, False shape."""
    word = str(value).strip().lower()
    word = {"true": "full", "1": "full", "false": "shape", "0": "shape"}.get(word, word)
    if word not in ("full", "shape", "none"):
        raise ConfigurationError(f"{value!r} is not full, shape or none.")
    return word


def as_metadata(value: Any) -> bool | str:
    """A switch, or ``strict``."""
    if isinstance(value, str) and value.strip().lower() == "strict":
        return "strict"
    return as_switch(value)


def as_mode(value: Any) -> str:
    """``replace`` or ``append``."""
    if value not in ("replace", "append"):
        raise ConfigurationError(f"{value!r} is not replace or append.")
    return str(value)


def as_redact(value: Any) -> Any:
    """A Redaction, or None for nothing that is taken out."""
    from aiobs.exporters.redaction import as_redaction  # its tables are for who redacts

    return as_redaction(value)


def _as_text(value: Any) -> str:
    return str(value)


def _as_given(value: Any) -> Any:
    return value


class Option(NamedTuple):
    """One row; ``keyword`` is empty where there is only the variable, ``variable`` where there is only the keyword."""

    keyword: str
    variable: str
    default: Any
    help: str
    parse: Callable[[Any], Any]


CONTENT_VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"

OPTIONS: tuple[Option, ...] = (
    Option("capture_content", CONTENT_VARIABLE, None, "Where prompts and outputs go: no_content, span_only, event_only "
           "or span_and_event; unset: into the session file only; no_content closes the file too.", as_capture_content),
    Option("exporters", "AIOBS_EXPORTERS", None, "Where signals go, separated by commas: a name (console, json, "
           "langfuse, memory, none, otlp, otlp-json, phoenix, prometheus, or what an installed package adds), and its "
           "options as in a URL: `otlp?sample=0.1&capture_content=no_content`.", as_items),
    Option("", "AIOBS_SESSION", None, "Name of a session to open at a zero-code start (`auto`: named after its id) and "
           "to write at exit.", _as_text),
    Option("keep_errors", "AIOBS_KEEP_ERRORS", False, "A TracerProvider that aiobs makes records what its sampler "
           "drops, too, so that spans which fail are exported.", as_switch),
    Option("set_global", "", False, "Make the TracerProvider that aiobs creates the global one.", as_switch),
    Option("path", "LLM_OBS_OUT", "./llm_observability.json", "The session file; {session_id}, {session_name}, {date} "
           "and {pid} are filled in, `-` is standard output.", _as_text),
    Option("mode", "", "replace", "What flush() does with a session file of another run: `replace` it, or `append` an "
           "export of what is new, one a line.", as_mode),
    Option("", "AIOBS_JSON_GZIP", False, "Compress the session file; `.gz` is added to its name.", as_switch),
    Option("", "AIOBS_ATEXIT", True, "Write the session file at exit when a session is still open.", as_switch),
    Option("", "AIOBS_EXIT_TIMEOUT", 2.0, "Seconds that the exit of the process may wait for exporters.", as_seconds),
    Option("", "AIOBS_LABEL_<KEY>", None, "A session label from the environment; an explicit label wins.", _as_text),
    Option("", "AIOBS_BAGGAGE_LABELS", None, "Labels that are sent on to called services as W3C baggage (it goes to "
           "every host that an instrumented HTTP client calls); unset: none.", as_names),
    Option("", "AIOBS_HOSTNAME", None, "The label aiobs_hostname instead of the machine's; `off` leaves it out.",
           _as_text),
    Option("labels_strict", "AIOBS_LABELS_STRICT", True, "An invalid label raises; 0: it is dropped with a warning.",
           as_switch),
    Option("capture_embeddings", "AIOBS_CAPTURE_EMBEDDINGS", "full", "What of embeddings goes into the session file: "
           "full (the vectors, of a call about a megabyte), shape (how many and how long) or none.", as_embeddings),
    Option("openai_metadata", "AIOBS_OPENAI_METADATA", False, "Put the Prefect run, the metadata of `aiobs.context` "
           "and the trace's id into the metadata of requests to OpenAI whose answer is stored; `strict`: what OpenAI "
           "would not take raises.", as_metadata),
    Option("capture", "", None, "How much of arguments and results of observed functions is kept: a CapturePolicy; "
           "unset: 500 characters, 10 items, 20 keys, 6 levels.", _as_given),
    Option("", "AIOBS_PROMPT_ENHANCEMENTS", "./prompt_enhancements.jsonl", "Where the default prompt enhancer writes "
           "its reports, a line each.", _as_text),
    Option("", "AIOBS_SEMCONV", "latest", "`dup`: names that the GenAI conventions have superseded since August 2026 "
           "are written beside the new ones.", as_semconv),
    Option("redact", "AIOBS_REDACT", "key,jwt", "What is taken out before anything is exported: detectors (email, "
           "phone, phone:DE, card, iban, key, jwt) separated by commas, `all`, `none`, or a `Redaction`. Said by "
           "somebody, the session file is redacted too.", as_redact),
    Option("", "AIOBS_REDACT_HASH_KEY", None, "Key of the hashes that `Redaction(action=\"hash\")` writes; unset: a "
           "random one for each process.", _as_text),
    Option("", "AIOBS_MAX_ATTRIBUTE_BYTES", 0, "Longest attribute that is exported whole; longer JSON is cut and stays "
           "JSON. 0: no bound.", as_bytes_or_none),
    Option("media", "AIOBS_MEDIA", None, "Folder or fsspec URL (`aiobs[media]`) for pictures, sound and files in "
           "messages, stored by content hash; unset: their type, size and hash are all that is kept.", _as_text),
    Option("max_part_bytes", "AIOBS_MAX_PART_BYTES", 65_536, "Longest message part that is recorded whole.", as_bytes),
    Option("max_call_bytes", "AIOBS_MAX_CALL_BYTES", 1_048_576, "Most content that is recorded of one call.", as_bytes),
)  # fmt: skip

_BY_KEYWORD = {option.keyword or option.variable: option for option in OPTIONS}


def resolve(name: str, given: Any = None) -> Any:
    """The value of one option, by keyword (or by variable where there is no keyword).

    Raises ConfigurationError, naming where the value came from, if it cannot be used.
    """
    return resolve_with_source(name, given)[0]


def resolve_with_source(name: str, given: Any = None) -> tuple[Any, str]:
    """As ``resolve``, and where the value came from: ``keyword``, the variable's name, or ``default``."""
    option = _BY_KEYWORD[name]
    if given is not None:
        return option.parse(given), "keyword"
    text = os.environ.get(option.variable) if option.variable else None
    if text is None or text == "":
        return option.default, "default"
    try:
        return option.parse(text), option.variable
    except ConfigurationError as error:
        raise ConfigurationError(f"{option.variable}: {error}") from None


def said(name: str, given: Any = None) -> Any:
    """As ``resolve``, and None where nobody said anything: what was said before still holds."""
    value, source = resolve_with_source(name, given)
    return None if source == "default" else value


@dataclass(frozen=True, slots=True)
class Limits:
    """How much content of one call is recorded, in bytes of UTF-8."""

    part: int = 65_536
    call: int = 1_048_576
