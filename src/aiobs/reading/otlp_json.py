"""OTLP/JSON lines → rows, one flat dictionary per span, log record or data point: plain or gzip, ours or a collector's.

Lines end at ``\\n`` only (U+2028 belongs to the text). A line that is broken costs itself: it is counted in ``Broken``.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from glob import escape
from os import PathLike
from pathlib import Path
from typing import IO, Any

from aiobs.errors import UnreadableFile
from aiobs.semconv.otlp_json import attributes_of, value_of
from aiobs.semconv.parsing import parsed

Row = dict[str, Any]

SPAN_KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
STATUS_CODES = ("unset", "ok", "error")

_GZIP = b"\x1f\x8b"


@dataclass
class Broken:
    """How many lines could not be read: torn ones, other JSON, what is no OTLP."""

    lines: int = 0


def files_of(path: str | PathLike[str]) -> list[Path]:
    """The file, what was closed by rotation and what other processes wrote; of a folder, all.

    By name, which is the order of time for those of one process.
    """
    place = Path(path)
    if place.is_dir():
        found = {*place.glob("*.jsonl"), *place.glob("*.jsonl.gz")}
    else:
        suffix = place.suffix or ".jsonl"
        beside = f"{escape(place.stem)}.*{suffix}"
        found = {place, *place.parent.glob(beside), *place.parent.glob(f"{beside}.gz")}
    return sorted(file for file in found if file.is_file())


def objects(path: str | PathLike[str], broken: Broken | None = None) -> Iterator[dict[str, Any]]:
    """Every line of a file as a parsed object, in order. Raises UnreadableFile where there is no such file.

    A gzip file that is cut short gives what can be read of it, and counts as one broken line.
    """
    told = Broken() if broken is None else broken
    try:
        with open(path, "rb") as file:
            packed = file.peek(2)[:2] == _GZIP
            lines: Any = gzip.GzipFile(fileobj=file) if packed else file
            yield from _objects(lines, told)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        told.lines += 1
    except FileNotFoundError:
        raise UnreadableFile(
            f"There is no file {path}. The exporter otlp-json writes one: exporters=['otlp-json']."
        ) from None
    except IsADirectoryError:
        raise UnreadableFile(f"{path} is a folder; name the file in it, or use files_of({str(path)!r}).") from None


def _objects(lines: IO[bytes], broken: Broken) -> Iterator[dict[str, Any]]:
    for raw in lines:
        value = parsed(raw)
        if isinstance(value, dict):
            yield value
        elif raw.strip():
            broken.lines += 1


def spans(path: str | PathLike[str], broken: Broken | None = None) -> Iterator[Row]:
    """The spans of a file as rows: ids in hexadecimal, times in seconds, the rest as dictionaries."""
    return _rows(path, ("resourceSpans", "scopeSpans", "spans"), _span, broken)


def logs(path: str | PathLike[str], broken: Broken | None = None) -> Iterator[Row]:
    """The log records of a file as rows."""
    return _rows(path, ("resourceLogs", "scopeLogs", "logRecords"), _log, broken)


def points(path: str | PathLike[str], broken: Broken | None = None) -> Iterator[Row]:
    """The data points of the metrics of a file as rows, each with its metric's name, unit and kind."""
    return _rows(path, ("resourceMetrics", "scopeMetrics", "metrics"), _points, broken)


Reader = Callable[[Mapping[str, Any]], Iterable[Row]]


def _rows(path: str | PathLike[str], words: tuple[str, str, str], read: Reader, broken: Broken | None) -> Iterator[Row]:
    told = Broken() if broken is None else broken
    for line in objects(path, told):
        if words[0] not in line:
            continue
        try:
            found = list(_items(line, words, read))
        except (KeyError, TypeError, AttributeError, ValueError, IndexError, RecursionError):
            told.lines += 1
            continue
        yield from found


def _items(line: Mapping[str, Any], words: tuple[str, str, str], read: Reader) -> Iterator[Row]:
    resources, scopes, items = words
    for group in line[resources]:
        resource = attributes_of((group.get("resource") or {}).get("attributes"))
        for below in group.get(scopes) or ():
            scope = below.get("scope") or {}
            around = {
                "resource": resource,
                "scope": {
                    "name": scope.get("name"),
                    "version": scope.get("version"),
                    "schema_url": below.get("schemaUrl"),
                },
            }
            for item in below.get(items) or ():
                yield from ({**row, **around} for row in read(item))


def _span(item: Mapping[str, Any]) -> Iterator[Row]:
    start, end = int(item.get("startTimeUnixNano") or 0), int(item.get("endTimeUnixNano") or 0)
    status = item.get("status") or {}
    yield {
        "trace_id": item.get("traceId"),
        "span_id": item.get("spanId"),
        "parent_span_id": item.get("parentSpanId") or None,
        "name": item.get("name") or "",
        "kind": SPAN_KINDS[item.get("kind") or 0],
        "started_at": start / 1e9,
        "ended_at": end / 1e9,
        "duration_ms": (end - start) / 1e6,
        "attributes": attributes_of(item.get("attributes")),
        "events": [_event(event) for event in item.get("events") or ()],
        "links": [_link(link) for link in item.get("links") or ()],
        "status": STATUS_CODES[status.get("code") or 0],
        "status_message": status.get("message") or None,
        "trace_state": item.get("traceState") or None,
        "dropped": {
            name: item[f"dropped{name.capitalize()}Count"]
            for name in _DROPPED
            if f"dropped{name.capitalize()}Count" in item
        },
    }


_DROPPED = ("attributes", "events", "links")


def _event(event: Mapping[str, Any]) -> Row:
    return {
        "name": event.get("name") or "",
        "at": int(event.get("timeUnixNano") or 0) / 1e9,
        "attributes": attributes_of(event.get("attributes")),
    }


def _link(link: Mapping[str, Any]) -> Row:
    return {
        "trace_id": link.get("traceId"),
        "span_id": link.get("spanId"),
        "attributes": attributes_of(link.get("attributes")),
    }


def _log(item: Mapping[str, Any]) -> Iterator[Row]:
    yield {
        "trace_id": item.get("traceId") or None,
        "span_id": item.get("spanId") or None,
        "at": int(item.get("timeUnixNano") or item.get("observedTimeUnixNano") or 0) / 1e9,
        "event_name": item.get("eventName") or None,
        "severity": item.get("severityNumber") or None,
        "severity_text": item.get("severityText") or None,
        "body": value_of(item.get("body") or {}),
        "attributes": attributes_of(item.get("attributes")),
    }


_KINDS = ("gauge", "sum", "histogram", "exponentialHistogram", "summary")


def _points(metric: Mapping[str, Any]) -> Iterator[Row]:
    kind = next(kind for kind in _KINDS if kind in metric)
    for point in metric[kind].get("dataPoints") or ():
        yield {
            "metric": metric.get("name") or "",
            "unit": metric.get("unit") or "",
            "kind": kind,
            "at": int(point.get("timeUnixNano") or 0) / 1e9,
            "started_at": int(point["startTimeUnixNano"]) / 1e9 if point.get("startTimeUnixNano") else None,
            "attributes": attributes_of(point.get("attributes")),
            "value": _value(point),
            "count": int(point["count"]) if "count" in point else None,
            "sum": float(point["sum"]) if "sum" in point else None,
            "bucket_counts": [int(count) for count in point.get("bucketCounts") or ()],
            "explicit_bounds": [float(bound) for bound in point.get("explicitBounds") or ()],
        }


def _value(point: Mapping[str, Any]) -> int | float | None:
    if "asInt" in point:
        return int(point["asInt"])
    return float(point["asDouble"]) if "asDouble" in point else None
