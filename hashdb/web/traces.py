"""Traces: an OpenTelemetry span for every response, sent by OTLP over HTTP. A span holds no request content."""

from __future__ import annotations

import time
from importlib import import_module
from typing import TYPE_CHECKING

from hashdb import __version__
from hashdb.domain.accounts.members import Actor
from hashdb.errors import needing
from hashdb.http_server import request_id

if TYPE_CHECKING:
    from opentelemetry.context import Context

_PATH = "/v1/traces"
_TIMEOUT_SECONDS = 2.0
"""The timeout of a request to the collector: spans that it has not accepted by then are lost."""


def require_installed() -> None:
    """Raise ExtraMissing if OpenTelemetry is not installed."""
    with needing("otel", "HASHDB_OTLP_ENDPOINT"):
        import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")


class Traces:
    """Sends the spans of this process in the background. The SDK reads `OTEL_…` (sampling, headers, resource)."""

    def __init__(self, endpoint: str) -> None:
        """Sends nothing yet. Raises ExtraMissing if OpenTelemetry is not installed."""
        require_installed()
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        resource = Resource.create({"service.name": "hashdb", "service.version": __version__})
        # Not at exit: gunicorn ends workers in its own way, and then calls `close`.
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint.rstrip("/") + _PATH, timeout=_TIMEOUT_SECONDS)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("hashdb", __version__)

    def record_span(self, method: str, route: str, status: int, seconds: float, actor: Actor | None) -> None:
        """Record the span of a response that was sent just now, `seconds` after its request."""
        from opentelemetry.trace import SpanKind, StatusCode

        ended = time.time_ns()
        span = self._tracer.start_span(
            f"{method} {route}",
            _context(request_id.proxy_span()),
            SpanKind.SERVER,
            {
                "http.request.method": method,
                "http.route": route,
                "http.response.status_code": status,
                "hashdb.request_id": request_id.current() or "",
                "hashdb.actor": "" if actor is None else str(actor),
            },
            start_time=ended - int(seconds * 1e9),
        )
        if status >= 500:
            span.set_status(StatusCode.ERROR)
        span.end(ended)

    def close(self) -> None:
        """Send the remaining spans, for at most 2 seconds."""
        self._provider.force_flush(int(_TIMEOUT_SECONDS * 1000))
        self._provider.shutdown()


def _context(traceparent: str | None) -> Context | None:
    """The context in which a span belongs to the span of the proxy; None without one."""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return None if traceparent is None else TraceContextTextMapPropagator().extract({"traceparent": traceparent})
