"""The neutral record of one model call: what was asked, what came back, who called, what went wrong.

Providers fill it (``instrumentation``), ``capture`` runs it inside a span, ``semconv`` writes it on signals and the
session file writes it down. It knows no SDK and no OpenTelemetry: every type here is plain data.

Content (prompts, outputs) is not read when a call is made. ``Request.kwargs`` and ``Response.native`` keep what the
program passed and got; an operation's readers turn them into the shapes below only when some output asks for content.

The records are told apart by identity and print without their fields, which hold content: each method that a dataclass
gets is compiled when this is imported, and those two of all records take longer than everything else here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NotRequired, TypedDict


class Part(TypedDict, total=False):
    """One piece of a message, in the shape of the GenAI message schemas; ``type`` says which keys belong to it.

    text, reasoning: content · tool_call: id, name, arguments · tool_call_response: id, response ·
    server_tool_call: id, name, server_tool_call · server_tool_call_response: id, server_tool_call_response ·
    blob: modality, mime_type, content · uri: modality, uri · file: modality, file_id · anything else: as it came.
    """

    type: str
    content: str
    id: str | None
    name: str
    arguments: Any
    response: Any
    server_tool_call: Any
    server_tool_call_response: Any
    modality: str
    mime_type: str | None
    uri: str
    file_id: str
    size: int
    sha256: str
    refusal: bool


class Message(TypedDict):
    """One message of a conversation: who speaks (system, developer, user, assistant, tool) and what, in parts."""

    role: str
    parts: list[Part]
    name: NotRequired[str]


class Tool(TypedDict, total=False):
    """A tool offered to the model, in the shape of the tool definition schema."""

    type: str
    name: str
    description: str | None
    parameters: Any


class Callsite(NamedTuple):
    """Where the program made the call: absolute file, line (1-based), function's qualified name."""

    file: str
    line: int
    function: str


class Server(NamedTuple):
    """Who answers: the GenAI provider name (``openai``, ``azure.ai.openai`` …), host and port."""

    provider: str
    address: str | None
    port: int | None


@dataclass(slots=True, eq=False, repr=False)
class Prompt:
    """The content of a request: instructions passed apart from the messages, the messages, the tools offered.

    ``variables`` are those of a prompt template that the provider keeps. ``query`` is what a search looks for.
    """

    messages: list[Message]
    instructions: list[Part] = field(default_factory=list)
    tools: list[Tool] = field(default_factory=list)
    variables: dict[str, Any] = field(default_factory=dict)
    query: str | None = None


@dataclass(slots=True, eq=False, repr=False)
class Request:
    """What was asked, without content.

    ``params`` holds only what the program gave, under the names of ``semconv.encode.PARAMETERS``;
    ``kwargs`` is what the SDK's method got, sentinels removed, lists copied one level deep; it is empty when no output
    wants content. ``additions`` are keyword arguments that a hook adds to the request. ``config`` holds parameters that
    the conventions have no name for (the size of a picture), numbers and words of the provider only. ``job`` is the id
    of the job that the request asks about, ``starts`` that of one which goes on after a request whose answer does not
    say so. ``characters`` of a text to speak are what a request that is served has used; the answer does not count
    them. ``given`` is what the SDK's method got, as it is, while the hooks look at it.
    """

    model: str | None = None
    params: dict[str, Any] = field(default_factory=dict)
    stream: bool = False
    kwargs: dict[str, Any] = field(default_factory=dict)
    additions: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    job: str | None = None
    starts: str | None = None
    characters: int | None = None
    given: Mapping[str, Any] | None = None


MODALITIES = ("text", "image", "audio")
"""What tokens are of, in the order of the shares of ``Usage``."""


UNITS = ("images", "videos", "seconds", "characters")
"""What is used and not counted in tokens."""


class Usage(NamedTuple):
    """What one request used as the provider counted it, in tokens; None where it said nothing.

    ``input`` includes cached and cache-written tokens, ``output`` includes reasoning; the shares per modality follow
    what they are shares of. ``images``, ``videos``, ``seconds`` (of sound or film) and ``characters`` are what is not
    counted in tokens. ``native`` is the provider's own usage object.
    """

    native: Any = None
    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    input_text: int | None = None
    input_image: int | None = None
    input_audio: int | None = None
    reasoning: int | None = None
    output_text: int | None = None
    output_image: int | None = None
    output_audio: int | None = None
    cache_read_text: int | None = None
    cache_read_image: int | None = None
    cache_read_audio: int | None = None
    images: int | None = None
    videos: int | None = None
    seconds: float | None = None
    characters: int | None = None


def total_usage(usages: Iterable[Usage]) -> Usage | None:
    """The sum over several requests, None for none; a count that only some of them have is the sum of those."""
    given = list(usages)
    if len(given) < 2:
        return given[0] if given else None
    natives, *counts = zip(*given, strict=True)
    native = _summed(natives) if all(isinstance(one, dict) for one in natives) else None
    return Usage(native, *map(_sum, counts))


def _sum(values: Iterable[Any]) -> Any:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _summed(counts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The counts of the providers' own objects, key by key; what is no number is the last one's."""
    total: dict[str, Any] = {}
    for native in counts:
        for key, value in native.items():
            before = total.get(key)
            total[key] = before + value if type(before) is int and type(value) is int else value
    return total


@dataclass(slots=True, eq=False, repr=False)
class ToolCall:
    """A tool call that the model asked for; ``arguments`` collects the fragments of a stream."""

    id: str | None = None
    name: str = ""
    arguments: list[str] = field(default_factory=list)
    type: str = "function"


@dataclass(slots=True, eq=False, repr=False)
class Said:
    """A run of text, reasoning or refusal (``kind``), in the fragments that it came in."""

    kind: str
    fragments: list[str]


@dataclass(slots=True, eq=False, repr=False)
class Choice:
    """One answer of the model: what it said in the order it came, and why it ended (None: it never said).

    ``calls`` finds the tool calls among ``parts`` again by whatever a stream names them with.
    """

    role: str = "assistant"
    parts: list[Said | ToolCall | Part] = field(default_factory=list)
    calls: dict[Any, ToolCall] = field(default_factory=dict)
    finish_reason: str | None = None

    def say(self, kind: str, fragment: str) -> None:
        """Add a fragment of text, reasoning or refusal; an empty one is nothing."""
        if not fragment:
            return
        last = self.parts[-1] if self.parts else None
        if type(last) is Said and last.kind == kind:
            last.fragments.append(fragment)
        else:
            self.parts.append(Said(kind, [fragment]))

    def call(self, key: Any) -> ToolCall:
        """The tool call that the stream names so; a new one the first time."""
        known = self.calls.get(key)
        if known is None:
            known = self.calls[key] = ToolCall()
            self.parts.append(known)
        return known

    def said(self, kind: str) -> str | None:
        """All that was said of a kind, None if nothing was."""
        runs = [part for part in self.parts if isinstance(part, Said) and part.kind == kind]
        return "".join(fragment for run in runs for fragment in run.fragments) if runs else None


@dataclass(slots=True, eq=False, repr=False)
class Job:
    """Work that goes on at the provider after the call that asked for it has returned: a background response, a film, a
    batch. ``id`` is the provider's, ``usage`` what it used, once it is done. Of a batch, ``files`` are where its
    results are, ``endpoint`` is what its requests ask, and ``model`` whom, as far as somebody has told.
    """

    id: str
    is_done: bool = False
    files: tuple[str, ...] = ()
    endpoint: str | None = None
    model: str | None = None
    usage: Usage | None = None


@dataclass(slots=True, eq=False, repr=False)
class Result:
    """What one request of a batch came to.

    ``api`` names the operation that reads ``answer``; ``custom_id`` is what the program called the request.
    """

    api: str
    model: str | None = None
    answer: Any = None
    failure: Failure | None = None
    custom_id: str | None = None
    request_id: str | None = None


class Document(TypedDict, total=False):
    """A document that a search found, in the shape of the retrieval documents schema: its id, how well it fits (higher
    is better), its name and the texts in it that were found.
    """

    id: str | None
    score: float | None
    file_name: str
    content: list[str]


@dataclass(slots=True, eq=False, repr=False)
class Response:
    """What came back.

    ``choices`` by index is filled chunk by chunk for a stream, on demand for a whole answer; without
    ``wants_content`` a stream's have nothing but their finish reasons, and the session file takes nothing that was said
    from ``native``. ``failure`` is set when
    the provider answered 200 with an error in it. ``native`` is the SDK's own object; of a stream, whatever its
    ``fold_chunk`` keeps. ``continues``: the SDK will ask for the rest of this answer by another request. ``compacted``:
    the provider has shortened the conversation. ``job``: what was asked for is not here yet, or was asked after;
    ``status`` is the provider's word for how far a stored response is. ``token_count``: how many tokens something would
    take, which nobody has spent; ``flagged``: a moderation found something; ``listed``: how many things a page has.
    ``documents`` are what a search found. ``is_whole``: a stream without finish reasons has come to its end.
    ``requests`` is how many requests a batch has, and how many of them are ``completed`` and ``failed``. ``agent_id``
    and ``agent_name`` are whom the provider let act.
    """

    id: str | None = None
    model: str | None = None
    usage: Usage | None = None
    finish_reasons: list[str | None] = field(default_factory=list)
    choices: dict[int, Choice] = field(default_factory=dict)
    service_tier: str | None = None
    system_fingerprint: str | None = None
    request_id: str | None = None
    conversation: str | None = None
    compacted: bool = False
    failure: Failure | None = None
    native: Any = None
    continues: bool = False
    wants_content: bool = True
    status: str | None = None
    job: Job | None = None
    token_count: int | None = None
    flagged: bool | None = None
    listed: int | None = None
    documents: list[Document] = field(default_factory=list)
    is_whole: bool = False
    requests: dict[str, int] = field(default_factory=dict)
    agent_id: str | None = None
    agent_name: str | None = None


@dataclass(slots=True, eq=False, repr=False)
class Failure:
    """Why a call failed.

    ``type`` is low in cardinality: the provider's code, else the public exception class. ``code`` is one of
    ``errors.CODES``. ``message`` and ``stacktrace`` can quote a prompt; credentials are scrubbed from them.
    ``retry_after``: seconds that the provider asked to wait.
    """

    type: str
    code: str
    exception_type: str
    message: str = ""
    stacktrace: str | None = None
    retryable: bool = False
    status_code: int | None = None
    request_id: str | None = None
    retry_after: float | None = None

    def scrub(self, clean: Callable[[str], str]) -> None:
        """Take credentials out of what the provider said, its code included."""
        self.type, self.exception_type = clean(self.type), clean(self.exception_type)
        self.message = clean(self.message)


@dataclass(slots=True, eq=False, repr=False)
class Call:
    """One model call from start to end.

    Times: ``started_ns`` epoch nanoseconds; ``duration_ns`` and ``first_chunk_ns`` from a monotonic clock.
    ``incomplete``: a stream that was not read to its end; ``cancelled``: a task cancelled, or KeyboardInterrupt.
    ``attempts`` and ``status_code`` (HTTP) are what the SDK's seams reported, 0 and None where it has none.
    ``request_id``: the provider's id of the HTTP request, from the answer, the error or the header, whichever tells it.
    ``context``: what the program and its orchestrator said of the work at hand, as span attributes.
    ``trace_id``: 32 hex digits, if the trace is written somewhere; known while the hooks look at the call.
    ``captures_embeddings``: the session file gets the vectors (``full``), their number and size (``shape``) or neither.
    ``session_request`` and ``session_response`` are the operation's own shapes for the session file.
    ``polls``: how often a job has been asked after so far; ``job_duration_ns``: from the end of the call that submitted
    it to this one, which found it done. ``job_usage``: what the job used, which was submitted as ``job_operation`` of
    ``job_model`` by a call of this process, and of which nothing was counted yet. ``is_past``: a request of a batch, of
    which only the answer is known, and not how long it took. ``is_place``: other events of the session file tell what
    happened in it.
    """

    provider: str
    operation: str
    api: str
    server: Server
    request: Request
    response: Response | None = None
    failure: Failure | None = None
    callsite: Callsite | None = None
    started_ns: int = 0
    duration_ns: int = 0
    first_chunk_ns: int | None = None
    chunks: int = 0
    incomplete: bool = False
    cancelled: bool = False
    attempts: int = 0
    status_code: int | None = None
    request_id: str | None = None
    context: dict[str, Any] | None = None
    trace_id: str | None = None
    captures_embeddings: str = "full"
    attributes: dict[str, Any] = field(default_factory=dict)
    session_request: Callable[[Call], dict[str, Any]] | None = None
    session_response: Callable[[Call], dict[str, Any] | None] | None = None
    polls: int = 0
    job_duration_ns: int | None = None
    job_usage: Usage | None = None
    job_operation: str = ""
    job_model: str | None = None
    is_past: bool = False
    is_place: bool = False

    @property
    def retries(self) -> int:
        """Attempts after the first one."""
        return max(0, self.attempts - 1)

    def charge(self) -> None:
        """Count what the request has used by itself, if it was served."""
        if self.failure is not None or self.cancelled:
            return
        response = self.response = self.response or Response()
        response.usage = (response.usage or Usage())._replace(characters=self.request.characters)


@dataclass(slots=True, eq=False, repr=False)
class FunctionCall:
    """One call of an ``@observe``d function, handed to the session file beside its span.

    ``args``, ``kwargs`` and ``result`` are already reduced to JSON-safe values; None means "not captured".
    ``context`` is as that of a ``Call``.
    ``called_from`` and ``instance`` are there only where somebody asked for them.
    """

    name: str
    api: str
    module: str | None
    args: list[Any] | None
    kwargs: dict[str, Any] | None
    result: Any = None
    error: str | None = None
    callsite: Callsite | None = None
    started_ns: int = 0
    duration_ns: int = 0
    context: dict[str, Any] | None = None
    enh_prompt: bool = False
    enh_prompt_id: str | None = None
    auto_enhance_after: int | None = None
    called_from: Callsite | None = None
    instance: str | None = None


class Told:
    """Stands for what other events tell of: the session file needs its place among the spans only."""


@dataclass(slots=True, eq=False, repr=False)
class Progress:
    """Stands for a call that asked after a job: it changes the event of the call that submitted the job.

    ``poll`` is the call; the ids are those of the submitting call's span, its parent and its session.
    """

    poll: Call
    span_id: int
    trace_id: int
    parent_id: int | None
    session_id: str


Record = Call | FunctionCall | Told | Progress
"""What a recording hands to the session file beside its span."""
