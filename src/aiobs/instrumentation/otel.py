"""OpenTelemetry's own way to switch an instrumentation on: ``BaseInstrumentor`` around one provider."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]  # untyped module

from aiobs.capture.provider import Provider


class ProviderInstrumentor(BaseInstrumentor):  # type: ignore[misc]  # the base class comes without types
    """A thin adapter; ``aiobs.Instrumentor`` does the work.

    ``instrument()`` takes the keywords of ``aiobs.Instrumentor``; ``skip_dep_check=True``, as the auto-instrumentation
    passes, means automatic: nothing is raised when the SDK is missing.
    """

    provider: ClassVar[Provider]

    def instrumentation_dependencies(self) -> Collection[str]:
        """None: every version is tried, each wrap point is optional."""
        return ()

    def _instrument(self, **kwargs: Any) -> None:
        from aiobs.instrumentation import Instrumentor

        automatic = kwargs.pop("skip_dep_check", False)
        kwargs.pop("auto_instrumentation_version", None)
        Instrumentor(providers=[self.provider.name], **kwargs).instrument(automatic=automatic)

    def _uninstrument(self, **kwargs: Any) -> None:
        from aiobs.instrumentation import Instrumentor

        Instrumentor(providers=[self.provider.name]).uninstrument()
