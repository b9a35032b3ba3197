"""The exporters that the environment names, with their options, and whether each has what it needs."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import Any

from aiobs.diagnosis.endpoints import check_endpoint
from aiobs.diagnosis.finding import Finding, error
from aiobs.diagnosis.otlp import Destination, has_grpc
from aiobs.diagnosis.settings import shown_options
from aiobs.diagnosis.spools import SpoolState, check_spool, inspect_spool, problem_of
from aiobs.errors import AiobsError, scrub
from aiobs.exporters import langfuse, otlp, otlp_json, phoenix, prometheus
from aiobs.exporters.otlp import SIGNALS, Target
from aiobs.exporters.registry import Exporter
from aiobs.exporters.replies.urls import safe_url
from aiobs.settings import resolve

TARGETS: dict[str, Callable[..., Target]] = {
    "otlp": otlp.target, "langfuse": langfuse.target, "phoenix": phoenix.target,
}  # fmt: skip


@dataclass(frozen=True)
class ExporterState:
    """One of them: its options as they were given, without what is secret, and its spool."""

    name: str
    options: tuple[tuple[str, str], ...]
    spool: SpoolState | None

    def __str__(self) -> str:
        return ", ".join([self.name, *(f"{name}={value}" for name, value in self.options)])


def named_exporters() -> tuple[Exporter, ...]:
    """Those of AIOBS_EXPORTERS; none where one of them is wrong, which the check of the settings says."""
    try:
        return tuple(Exporter.parse(text) for text in resolve("exporters") or ())
    except AiobsError:
        return ()


def inspect_exporters() -> tuple[ExporterState, ...]:
    """Each that is named."""
    return tuple(
        ExporterState(
            one.name,
            tuple(shown_options(one.options)),
            inspect_spool(one.options["spool"]) if _has_spool(one) else None,
        )
        for one in named_exporters()
    )


def is_by_environment(exporter: Exporter) -> bool:
    """It sends by OTLP to what the standard variables name."""
    return exporter.name == "otlp" and not {"endpoint", "headers", "protocol"} & {*exporter.options}


def targets(exporters: tuple[Exporter, ...]) -> Iterator[tuple[str, Target]]:
    """Where those send that send by OTLP to what their options or variables of their own name."""
    for exporter in exporters:
        if exporter.name in TARGETS and not is_by_environment(exporter):
            try:
                yield exporter.name, TARGETS[exporter.name](**exporter.options)
            except AiobsError:
                continue  # which the check says


def own_destinations() -> tuple[Destination, ...]:
    """Where those send, by signal."""
    places = [
        to.place(signal)
        for name, to in targets(named_exporters())
        for signal in (SIGNALS if name == "otlp" else ("traces",))
    ]
    return tuple(Destination(at.signal, at.protocol, safe_url(at.url), at.source, at.headers) for at in places)


def check_exporters(states: tuple[ExporterState, ...]) -> Iterator[Finding]:
    """What one of them lacks: the program would raise, or go on without it."""
    for exporter in named_exporters():
        for check in _CHECKS.get(exporter.name, ()):
            yield from check(exporter.options)
    for state in states:
        if state.spool is not None:
            yield from check_spool(state.spool)


def _has_spool(exporter: Exporter) -> bool:
    return exporter.name in TARGETS and bool(exporter.options.get("spool"))


def _check_target(name: str) -> Callable[[dict[str, Any]], Iterator[Finding]]:
    def check(options: dict[str, Any]) -> Iterator[Finding]:
        try:
            place = TARGETS[name](**options).place("traces")
        except AiobsError as problem:
            yield error("exporter", scrub(str(problem)), f"The exporter {name} cannot be made: configure() raises.",
                        "Set what it asks for.")  # fmt: skip
            return
        if place.protocol == "grpc" and not has_grpc():
            yield error("grpc-missing", f"The exporter {name} is to use grpc, whose exporter is not installed.",
                        "Nothing can be sent.", 'pip install "aiobs[grpc]", or protocol=http/protobuf.')  # fmt: skip
        if options.get("endpoint") or name != "otlp":  # the variables are checked for themselves
            yield from check_endpoint(place.url, place.source, place.protocol, "traces")

    return check


def _check_file(options: dict[str, Any]) -> Iterator[Finding]:
    path = Path(options.get("path", otlp_json.DEFAULT_PATH))
    problem = "it is a folder" if path.is_dir() else problem_of(path.parent)
    if problem:
        yield error("otlp-json", f"{path} cannot be written: {problem}.",
                    "The exporter otlp-json cannot be made: configure() raises.",
                    "Set path= to a file in a folder that this user can write.")  # fmt: skip


def _check_prometheus(options: dict[str, Any]) -> Iterator[Finding]:
    if not (_is_there("prometheus_client") and _is_there("opentelemetry.exporter.prometheus")):
        yield error("prometheus-missing", "The exporter prometheus is named, but not installed.",
                    "configure() raises.", 'pip install "aiobs[prometheus]"')  # fmt: skip
        return
    host, port = prometheus.address_of(options.get("host"), options.get("port"))
    if problem := _cannot_listen(host, port):
        yield error("prometheus-port", f"{host}:{port} cannot be listened at: {problem}.",
                    "The program goes on without its metrics there. If the program itself runs now, that is it.",
                    "Stop what has the port, or take another one (port=, OTEL_EXPORTER_PROMETHEUS_PORT).")  # fmt: skip


def _cannot_listen(host: str, port: int) -> str | None:
    try:
        socket.create_server((host, port)).close()
    except OSError as problem:
        return problem.strerror or str(problem)
    return None


def _is_there(module: str) -> bool:
    try:
        return util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


_CHECKS: dict[str, tuple[Callable[[dict[str, Any]], Iterator[Finding]], ...]] = {
    **{name: (_check_target(name),) for name in TARGETS},
    "otlp-json": (_check_file,),
    "prometheus": (_check_prometheus,),
}
"""What each needs, by name; those of other packages say themselves what they lack."""
