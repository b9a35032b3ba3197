"""``aiobs doctor``: what is set up here, where signals go, and what is in the way."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from aiobs.diagnosis import Diagnosis, Finding
    from aiobs.diagnosis.otlp import Destination
    from aiobs.diagnosis.otlp_probe import Probe
    from aiobs.diagnosis.pipelines import GlobalProvider, Pipelines
    from aiobs.diagnosis.providers import OperationState, ProviderState
    from aiobs.diagnosis.settings import Setting

_WIDTH = 100
_WIDEST_VALUE = 30
_MARKS = {"ok": ("✓", "+", "green"), "error": ("✗", "x", "red"), "warning": ("!", "!", "yellow"),
          "note": ("·", "-", "dim"), "none": ("·", "-", "dim")}  # fmt: skip


def doctor(
    endpoint: Annotated[
        str | None,
        typer.Argument(help="Base URL for --otlp, e.g. http://127.0.0.1:4318; default: what the environment says."),
    ] = None,
    otlp: Annotated[bool, typer.Option("--otlp", help="Send one test span over OTLP and explain the answer.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds that the test span may take.", min=0.1)] = 10.0,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Every wrap point, setting and note.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The whole diagnosis as JSON.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings, too, make the exit code 1.")] = False,
) -> None:
    """Say what aiobs records here, where it goes, and what is in the way.

    Exit code 0: nothing is broken; there may be warnings.

    Exit code 1: something is, like an SDK of which nothing is wrapped, an invalid setting, a refused test span.

    To look into a zero-code start: opentelemetry-instrument aiobs doctor
    """
    from aiobs.diagnosis import diagnose  # other commands do not pay for it

    found = diagnose(send=otlp, endpoint=endpoint, timeout=timeout)
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=2))
    else:
        render(found, Console(highlight=False), verbose=verbose)
    raise typer.Exit(0 if found.is_healthy(strict=strict) else 1)


def render(found: Diagnosis, console: Console, *, verbose: bool = False) -> None:
    """The diagnosis for a person."""
    _Page(console, verbose).show(found)


class _Page:
    """The diagnosis as text: aligned, coloured on a terminal, plain ASCII where that is all there is."""

    def __init__(self, console: Console, verbose: bool) -> None:
        self._console = console
        self._verbose = verbose

    def show(self, found: Diagnosis) -> None:
        """Everything, top to bottom; what is wrong comes last, where the eye is."""
        self._line("   ".join(f"{name} {version}" for name, version in found.versions.items()), style="bold")
        self._heading("Providers")
        for provider in found.providers:
            self._provider(provider)
        self._heading("Signals")
        self._pipelines(found.pipelines)
        self._settings(found.settings)
        for probe in found.probes:
            self._heading("Test span" if probe.exporter == "otlp" else f"Test span of {probe.exporter}")
            self._probe(probe)
        self._findings(found)

    def _provider(self, provider: ProviderState) -> None:
        if not provider.installed:
            self._marked("none", f"{provider.name}   not installed")
            return
        named = f"{provider.name} {provider.version or ''}".rstrip()
        self._marked(_mark_of(provider), f"{named}   {_recorded(provider)}")
        shown = [operation for operation in provider.operations if self._verbose or _is_worth_telling(operation)]
        width = max((len(operation.label) for operation in shown), default=0)
        for operation in shown:
            self._operation(operation, width)

    def _operation(self, operation: OperationState, width: int) -> None:
        style = "" if _is_fine(operation) else "yellow"
        self._line(f"      {operation.label:<{width}}   {operation.summary}", style=style)
        for point in operation.points if self._verbose else ():
            lacks = f" (no {', '.join(point.missing)})" if point.missing else ""
            self._line(f"         {point.state:<9} {point.target}{lacks}", style="dim")

    def _pipelines(self, found: Pipelines) -> None:
        rows = [(f"{provider.signal} provider", _provider_in_effect(provider)) for provider in found.providers]
        rows += [("in code", found.in_code), ("opentelemetry-instrument", found.zero_code)]
        rows += [("exporter", str(each)) for each in found.named if each.options]
        rows += [("spool", str(each.spool)) for each in found.named if each.spool]
        rows += [("OTLP", shown) for shown in _destinations(found.destinations)]
        rows.append(("content", _CONTENT.get(found.content, found.content)))
        rows.append(("session file", f"{found.session_file} ({found.session_file_problem or 'writable'})"))
        self._table(rows)

    def _settings(self, settings: tuple[Setting, ...]) -> None:
        shown = [setting for setting in settings if self._verbose or setting.source != "default"]
        hidden = len(settings) - len(shown)
        others = "the others are" if shown else "all are"
        self._heading("Settings", f"{others} at their defaults, --verbose shows them" if hidden else "")
        width = min(max((len(setting.value) for setting in shown), default=0), _WIDEST_VALUE)
        self._table([(setting.name, f"{setting.value:<{width}}   {setting.source}") for setting in shown])

    def _probe(self, probe: Probe) -> None:
        self._table([("sent to", _sent_to(probe.endpoint, probe)),
                     ("answer", f"{probe.what} ({probe.seconds * 1000:.0f} ms)")])  # fmt: skip

    def _findings(self, found: Diagnosis) -> None:
        shown = [finding for finding in found.findings if self._verbose or finding.level.value != "note"]
        self._heading("Findings" if shown else "")
        for finding in shown:
            self._finding(finding)
        if not shown:
            self._marked("ok", "Nothing is wrong.")

    def _finding(self, finding: Finding) -> None:
        self._marked(finding.level.value, finding.what)
        for text in (finding.means, finding.do):
            for line in textwrap.wrap(text, _WIDTH - 6, break_long_words=False, break_on_hyphens=False):
                self._line(f"      {line}")

    def _heading(self, title: str, aside: str = "") -> None:
        self._console.print()
        if title:
            self._console.print(Text.assemble((title, "bold"), (f"   {aside}" if aside else "", "dim")), soft_wrap=True)

    def _table(self, rows: list[tuple[str, str]]) -> None:
        width = max((len(name) for name, _ in rows), default=0)
        for name, value in rows:
            self._line(f"    {name:<{width}}   {value}")

    def _marked(self, kind: str, text: str) -> None:
        mark, ascii_mark, style = _MARKS[kind]
        shown = ascii_mark if self._console.options.ascii_only else mark
        self._console.print(Text.assemble("  ", (shown, style), f" {self._encodable(text)}"), soft_wrap=True)

    def _line(self, text: str, style: str = "") -> None:
        self._console.print(Text(self._encodable(text), style=style), soft_wrap=True)

    def _encodable(self, text: str) -> str:
        """Variables may hold what the console cannot show, or no text at all."""
        return text.encode(self._console.encoding, "replace").decode(self._console.encoding)


def _provider_in_effect(provider: GlobalProvider) -> str:
    facts = [provider.cls, provider.distribution, "made by aiobs" if provider.is_ours else None, *provider.exporters]
    return ", ".join(fact for fact in facts if fact)


def _mark_of(provider: ProviderState) -> str:
    if provider.failure or not provider.is_patched:
        return "error"
    return "ok" if all(_is_fine(operation) or operation.is_detail for operation in provider.operations) else "warning"


def _recorded(provider: ProviderState) -> str:
    """How many of its operations are recorded; those of other versions do not count."""
    present = [each for each in provider.operations if not each.is_detail and each.is_in_this_version]
    recorded = sum(not each.unrecorded for each in present)
    count = str(recorded) if recorded == len(present) else f"{recorded} of {len(present)}"
    return f"{count} {'operation is' if count == '1' else 'operations are'} recorded"


def _is_worth_telling(operation: OperationState) -> bool:
    """Something of it is not as it should be; what is fine, ``--verbose`` shows."""
    return not operation.is_detail and not _is_fine(operation)


def _is_fine(operation: OperationState) -> bool:
    """Recorded as it should be, or not in this version of the SDK at all."""
    return not (operation.is_in_this_version and (operation.unrecorded or operation.changed))


def _destinations(places: tuple[Destination, ...]) -> list[str]:
    """One line where the URLs differ by the signal only, which is the rule."""
    groups: dict[str, list[str]] = {}
    for place in places:
        base = place.url.removesuffix(place.signal)
        line = _sent_to(f"{base}{{}}" if base != place.url else base, place)
        groups.setdefault(line, []).append(place.signal)
    return [
        line.replace("{}", signals[0] if len(signals) == 1 else f"{{{','.join(signals)}}}")
        for line, signals in groups.items()
    ]


def _sent_to(url: str, how: Destination | Probe) -> str:
    headers = f", headers: {', '.join(how.headers)}" if how.headers else ""
    if not url:
        return "nowhere"
    return f"{url} ({how.protocol}, {how.source}{headers})"


_CONTENT = {
    "unset": "in the session file only",
    "no_content": "nowhere",
    "span_only": "session file and spans",
    "event_only": "session file and events",
    "span_and_event": "session file, spans and events",
}
