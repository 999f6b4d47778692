"""Traces, as a collector on 127.0.0.1 receives them from a real service."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from hashdb.domain.accounts.members import COMMAND_LINE, KeyDraft, MemberDraft, MemberKind, Scope
from hashdb.errors import ExtraMissing
from hashdb.service import open_hashdb
from hashdb.service.accounts import members
from hashdb.settings import Settings
from hashdb.web.traces import Traces
from tests.serving import serving
from tests.web.callers import pdq

TRACE = "0af7651916cd43dd8448eb211c80319c"


@contextmanager
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """A receiver of OTLP over HTTP: its address, and the bodies that it receives."""
    received: list[bytes] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            received.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", received
        server.shutdown()


def test_every_answer_is_a_span_without_the_content_of_the_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OTEL_TRACES_EXPORTER", raising=False)
    home = tmp_path / "home"
    with collector() as (endpoint, received):
        with serving(home, workers=1, HASHDB_OTLP_ENDPOINT=endpoint, HASHDB_PROXIES="1") as url:
            settings = Settings(home=home)
            db = open_hashdb(settings.database, settings.rules())
            added = members.add(db, COMMAND_LINE, MemberDraft("Alpha", MemberKind.PLATFORM))
            secret = members.issue_key(db, COMMAND_LINE, added.id, KeyDraft(frozenset(Scope))).secret
            db.close()
            headers = {"Authorization": f"Bearer {secret}", "X-Request-ID": "r-1"}
            parent = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
            query = {"queries": [{"id": "my-upload", "signals": [pdq(1)]}]}
            assert httpx.post(f"{url}/v1/matches", json=query, headers=headers | parent).status_code == 200
            missing = f"{url}/v1/contributions/999?label={pdq(1)}"
            assert httpx.get(missing, headers=headers | {"traceparent": pdq(1)}).status_code in (404, 422)
        # The service sends the remaining spans when it stops.
        spans = [
            span
            for octets in received
            for resource in ExportTraceServiceRequest.FromString(octets).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
    match = next(span for span in spans if span.name == "POST /v1/matches")
    attributes = {each.key: each.value.string_value or each.value.int_value for each in match.attributes}
    assert attributes == {
        "http.request.method": "POST",
        "http.route": "/v1/matches",
        "http.response.status_code": 200,
        "hashdb.request_id": "r-1",
        "hashdb.actor": "key:1",
    }
    assert match.trace_id.hex() == TRACE and 0 < match.end_time_unix_nano - match.start_time_unix_nano < 60e9
    assert "GET /v1/contributions/<id:contribution_id>" in {span.name for span in spans}
    sent = b"".join(received)
    for private in (secret, pdq(1)[4:], "my-upload", "label="):
        assert private.encode() not in sent


def test_without_opentelemetry_the_error_names_the_extra_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    with pytest.raises(ExtraMissing, match=r"HASHDB_OTLP_ENDPOINT needs the extra \[otel\]"):
        Traces("http://127.0.0.1:9")


def test_an_unreachable_collector_raises_no_error() -> None:
    traces = Traces("http://127.0.0.1:9/")
    traces.record_span("GET", "/healthz", 200, 0.001, None)
    traces.close()
