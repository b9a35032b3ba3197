"""What ``observer.flush(exporter=...)`` gives an export to: the interface, a function of yours, several of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiobs.errors import ExportError

if TYPE_CHECKING:
    from aiobs.reading import ObservabilityExport


@dataclass
class ExportResult:
    """What became of an export.

    ``destination``: where it went, None where that has no name; ``bytes_written``: None where they are not counted;
    ``metadata``: what else the exporter says; ``error``: what went wrong, None if it arrived (``success``).
    """

    success: bool
    destination: str | None = None
    bytes_written: int | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    error: str | None = None


class BaseExporter(ABC):
    """Takes an export somewhere. A subclass says how in ``export``; ``name`` is for messages."""

    name = "base"

    @abstractmethod
    def export(self, data: ObservabilityExport, **kwargs: Any) -> ExportResult:
        """Take ``data`` there; ``kwargs`` are those of ``flush()``.

        Raises ExportError where that fails. ``flush()`` makes a result of that and of any other exception, and keeps
        the events for the next time.
        """

    def validate(self, data: Any) -> bool:
        """True for what has sessions and events; raises ExportError for anything else."""
        if not hasattr(data, "sessions") or not hasattr(data, "events"):
            raise ExportError(f"{type(data).__name__} is no export: it has no sessions and events.")
        return True


Handler = Callable[["ObservabilityExport", dict[str, Any]], Any]


class CustomExporter(BaseExporter):
    """Calls ``handler(data, options)``, options being ``default_options`` and those of ``flush()``, which win.

    The handler returns an ExportResult, a dictionary of its fields, None (it worked) or anything else, which is kept as
    ``metadata["result"]``. What it raises becomes an ExportError, whose ``cause`` is that exception. Raises ValueError
    for a handler that cannot be called.
    """

    def __init__(
        self, handler: Handler, name: str = "custom", default_options: Mapping[str, Any] | None = None
    ) -> None:
        if not callable(handler):
            raise ValueError(f"handler must be a callable that takes (data, options), not {type(handler).__name__}.")
        self.handler = handler
        self.name = name
        self.default_options = dict(default_options or {})

    def export(self, data: ObservabilityExport, **kwargs: Any) -> ExportResult:
        """Call the handler; raises ExportError for what it raises."""
        try:
            result = self.handler(data, {**self.default_options, **kwargs})
        except ExportError:
            raise
        except Exception as error:
            raise ExportError(f"Custom export handler failed: {error}", cause=error) from error
        return self._as_result(result)

    def _as_result(self, result: Any) -> ExportResult:
        if isinstance(result, ExportResult):
            return result
        if isinstance(result, dict):
            known = {name: result[name] for name in ExportResult.__dataclass_fields__ if name in result}
            rest = {name: value for name, value in result.items() if name not in known}
            return ExportResult(**{"success": True, **known, "metadata": {**rest, **(known.get("metadata") or {})}})
        said = {} if result is None else {"result": result}
        return ExportResult(success=True, metadata={"handler": self.name, **said})


class CompositeExporter(BaseExporter):
    """Runs exporters in their order; succeeds if all of them do.

    One that fails does not keep the others from running, unless ``stop_on_error``: then its ExportError is raised.
    Raises ValueError for none at all.
    """

    name = "composite"

    def __init__(self, exporters: Sequence[BaseExporter], stop_on_error: bool = False) -> None:
        if not exporters:
            raise ValueError("At least one exporter is required.")
        self._exporters = list(exporters)
        self.stop_on_error = stop_on_error

    def add(self, exporter: BaseExporter) -> CompositeExporter:
        """One more, last; returns itself."""
        self._exporters.append(exporter)
        return self

    def export(self, data: ObservabilityExport, **kwargs: Any) -> ExportResult:
        """Run all with the same ``kwargs``.

        ``metadata["results"]`` has the result of each, in order; ``destination`` names all of them, ``bytes_written``
        is the sum, ``error`` has those of all that failed.
        """
        results = []
        for exporter in self._exporters:
            result = attempt(exporter, data, kwargs)
            results.append((exporter.name, result))
            if self.stop_on_error and not result.success:
                raise ExportError(f"{exporter.name}: {result.error}", cause=result.metadata.get("cause"))
        failures = [f"{name}: {result.error}" for name, result in results if not result.success]
        return ExportResult(
            success=not failures,
            destination=", ".join(result.destination or name for name, result in results),
            bytes_written=sum(result.bytes_written or 0 for _, result in results),
            metadata={"exporters_count": len(results), "results": [result for _, result in results]},
            error="; ".join(failures) or None,
        )


def attempt(exporter: Any, data: ObservabilityExport, options: Mapping[str, Any]) -> ExportResult:
    """Run one exporter; what it raises is a result too, and so is what it returns instead of one.

    ``metadata["cause"]`` of such a result is the exception.
    """
    name = str(getattr(exporter, "name", type(exporter).__name__))
    try:
        result = exporter.export(data, **options)
    except Exception as error:  # an exporter is the program's own code, or somebody else's
        return ExportResult(False, error=str(error) or type(error).__name__, metadata={"cause": error})
    if isinstance(result, ExportResult):
        return result
    return ExportResult(False, error=f"{name}.export() returned {type(result).__name__}, not an ExportResult")
