"""Spans, log records and metrics with everything in them that the SDK can put there, for hypothesis."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.sdk._logs import LogRecordLimits, ReadableLogRecord
from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Buckets,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=12) | st.sampled_from(
    ["a\u2028b\u0085c\x0cd\ne", 'long \u2028\x85\x00\x1f\x7f"\\𝛿\n' * 20, '"\\', "\x00\x1f\x7f", "𝛿"]
)
names = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=8)
booleans = st.booleans()
ints = st.integers(-(2**63), 2**63 - 1)
floats = st.floats(allow_nan=False)
scalars = st.one_of(texts, st.booleans(), ints, floats, st.binary(max_size=6))
values = st.one_of(
    scalars,
    *(st.lists(kind, max_size=3).map(tuple) for kind in (texts, st.booleans(), ints, floats)),
    st.recursive(
        scalars | st.none(),
        lambda inner: st.lists(inner, max_size=2).map(tuple) | st.dictionaries(names, inner, max_size=2),
        max_leaves=4,
    ),
)
attributes = st.dictionaries(names, values, max_size=5)
nanoseconds = st.integers(1, 2**63 - 1)
counts = st.integers(0, 2**31)


@st.composite
def bounded(draw: st.DrawFn) -> Any:
    """Attributes some of which were dropped, maybe."""
    found: Any = BoundedAttributes(attributes=draw(attributes), immutable=False)
    found.dropped = draw(st.sampled_from([0, 0, 3]))
    return found


states = st.none() | st.dictionaries(
    st.from_regex(r"[a-z][a-z0-9]{0,4}", fullmatch=True),
    st.from_regex(r"[!-+\--<>-~]{1,5}", fullmatch=True),
    min_size=1,
    max_size=2,
).map(lambda pairs: TraceState(list(pairs.items())))


@st.composite
def contexts(draw: st.DrawFn, remote: st.SearchStrategy[bool] = booleans) -> SpanContext:
    trace, span = draw(st.integers(1, 2**128 - 1)), draw(st.integers(1, 2**64 - 1))
    return SpanContext(trace, span, draw(remote), TraceFlags(draw(st.sampled_from([0, 1, 3]))), draw(states))


events = st.builds(Event, name=texts, attributes=bounded(), timestamp=nanoseconds)
links = st.builds(Link, context=contexts(), attributes=bounded())


@st.composite
def lists_of(draw: st.DrawFn, items: st.SearchStrategy[Any]) -> Any:
    """A list of the SDK's, some of whose items were dropped, maybe."""
    found: Any = BoundedList.from_seq(3, draw(st.lists(items, max_size=2)))
    found.dropped = draw(st.sampled_from([0, 0, 2]))
    return found


resources = st.builds(Resource, attributes, st.sampled_from(["", "https://schema"]))
scopes = st.builds(InstrumentationScope, names, st.none() | names, st.sampled_from([None, "https://scope"]), attributes)
statuses = st.sampled_from([Status(), Status(StatusCode.OK), Status(StatusCode.ERROR)]) | st.builds(
    Status, st.just(StatusCode.ERROR), names
)


@st.composite
def spans(draw: st.DrawFn) -> ReadableSpan:
    context = draw(contexts(remote=st.just(False)))
    parent = draw(
        st.none() | st.builds(SpanContext, st.just(context.trace_id), st.integers(1, 2**64 - 1), st.booleans())
    )
    return ReadableSpan(
        name=draw(texts),
        context=context,
        parent=parent,
        resource=draw(resources),
        attributes=draw(bounded()),
        events=draw(lists_of(events)),
        links=draw(lists_of(links)),
        kind=draw(st.sampled_from(SpanKind)),
        status=draw(statuses),
        start_time=draw(nanoseconds),
        end_time=draw(nanoseconds),
        instrumentation_scope=draw(scopes),
    )


@st.composite
def logs(draw: st.DrawFn) -> ReadableLogRecord:
    record = LogRecord(
        timestamp=draw(st.none() | nanoseconds),
        observed_timestamp=draw(nanoseconds),
        context=set_span_in_context(INVALID_SPAN, Context()),
        severity_text=draw(st.none() | names),
        severity_number=draw(st.none() | st.sampled_from(SeverityNumber)),
        body=draw(values | st.none()),
        attributes=draw(bounded()),
        event_name=draw(st.none() | names),
    )
    record.trace_id = draw(st.sampled_from([0, 1, 2**127 + 5]))
    record.span_id = draw(st.sampled_from([0, 1, 2**63 + 5]))
    record.trace_flags = TraceFlags(draw(st.sampled_from([0, 1])))
    return ReadableLogRecord(record, draw(resources), draw(scopes), LogRecordLimits())


numbers = ints | floats
exemplars = st.builds(
    Exemplar,
    filtered_attributes=attributes,
    value=numbers,
    time_unix_nano=nanoseconds,
    span_id=st.just(7),
    trace_id=st.just(9),
) | st.builds(
    Exemplar,
    filtered_attributes=attributes,
    value=numbers,
    time_unix_nano=nanoseconds,
    span_id=st.none(),
    trace_id=st.none(),
)
common: dict[str, st.SearchStrategy[Any]] = {
    "attributes": attributes,
    "start_time_unix_nano": nanoseconds,
    "time_unix_nano": nanoseconds,
    "exemplars": st.lists(exemplars, max_size=2),
}
summary: dict[str, st.SearchStrategy[Any]] = {"count": counts, "sum": floats, "min": floats, "max": floats}
many_counts = st.lists(counts, max_size=4)
buckets = st.builds(
    Buckets, offset=st.integers(-(2**31), 2**31 - 1), bucket_counts=st.lists(counts, min_size=1, max_size=4)
)
temporalities = st.sampled_from([AggregationTemporality.DELTA, AggregationTemporality.CUMULATIVE])
number_points = st.lists(st.builds(NumberDataPoint, **common, value=numbers), min_size=1, max_size=2)
histogram_points = st.builds(
    HistogramDataPoint, **common, **summary, bucket_counts=many_counts, explicit_bounds=st.lists(floats, max_size=3)
)
exponential_points = st.builds(
    ExponentialHistogramDataPoint,
    **common,
    **summary,
    scale=st.integers(-10, 20),
    zero_count=counts,
    positive=buckets,
    negative=buckets,
    flags=st.sampled_from([0, 1]),
)
data = st.one_of(
    st.builds(Gauge, number_points),
    st.builds(Sum, number_points, temporalities, st.booleans()),
    st.builds(Histogram, st.lists(histogram_points, min_size=1, max_size=2), temporalities),
    st.builds(ExponentialHistogram, st.lists(exponential_points, min_size=1, max_size=2), temporalities),
)


@st.composite
def metrics(draw: st.DrawFn) -> MetricsData:
    """One resource, one scope, some metrics."""
    resource, scope = draw(resources), draw(scopes)
    found = draw(st.lists(st.builds(Metric, names, texts, texts, data), min_size=1, max_size=3))
    inner = ScopeMetrics(scope, found, scope.schema_url or "")
    return MetricsData([ResourceMetrics(resource, [inner], resource.schema_url)])
