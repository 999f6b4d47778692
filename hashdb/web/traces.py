"""Traces: a span of OpenTelemetry for every answer, sent by OTLP over HTTP; nothing of what was asked is in it."""

from __future__ import annotations

import time
from importlib import import_module
from typing import TYPE_CHECKING

from hashdb import __version__
from hashdb.domain.accounts.members import Actor
from hashdb.errors import BadSetting
from hashdb.web.request_id import current, parent

if TYPE_CHECKING:
    from opentelemetry.context import Context

_PATH = "/v1/traces"
_SECONDS = 2.0
"""That a collector may take; what it did not take by then is lost."""


def require_installed() -> None:
    """Raise BadSetting where OpenTelemetry is not installed."""
    try:
        import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    except ImportError:
        raise BadSetting("HASHDB_OTLP_ENDPOINT", "takes OpenTelemetry: pip install 'hashdb[otel]'") from None


class Traces:
    """Spans of this process, sent in the background; `OTEL_…` (sampling, headers, resource) is heeded by the SDK."""

    def __init__(self, endpoint: str) -> None:
        """Sends nothing yet. Raises BadSetting where OpenTelemetry is not installed."""
        require_installed()
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        resource = Resource.create({"service.name": "hashdb", "service.version": __version__})
        # Not at exit: gunicorn ends workers its own way, and `close` is called then.
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint.rstrip("/") + _PATH, timeout=_SECONDS)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("hashdb", __version__)

    def tell(self, method: str, route: str, status: int, seconds: float, actor: Actor | None) -> None:
        """A span of one answer, which was given just now."""
        from opentelemetry.trace import SpanKind, StatusCode

        ended = time.time_ns()
        span = self._tracer.start_span(
            f"{method} {route}",
            _context(parent()),
            SpanKind.SERVER,
            {
                "http.request.method": method,
                "http.route": route,
                "http.response.status_code": status,
                "hashdb.request_id": current() or "",
                "hashdb.actor": "" if actor is None else str(actor),
            },
            start_time=ended - int(seconds * 1e9),
        )
        if status >= 500:
            span.set_status(StatusCode.ERROR)
        span.end(ended)

    def close(self) -> None:
        """Send what is left, for as long as a service that ends may take for it."""
        self._provider.force_flush(int(_SECONDS * 1000))
        self._provider.shutdown()


def _context(parent: str | None) -> Context | None:
    """The context of a span that a proxy began; none for what is not one."""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return None if parent is None else TraceContextTextMapPropagator().extract({"traceparent": parent})
