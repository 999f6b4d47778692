"""The id of a request: a valid one from a trusted proxy is kept; otherwise the service generates one."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from hashdb.http_server import request_id
from tests.web.callers import Service, service_at


@pytest.fixture(scope="module")
def behind_proxy() -> Iterator[Service]:
    """A service behind one trusted proxy."""
    with service_at(None, proxies=1) as service:
        yield service


@pytest.mark.parametrize("sent", ["a", "7b1f.A-Z_0", "x" * 64])
def test_a_valid_id_from_a_trusted_proxy_is_kept(behind_proxy: Service, sent: str) -> None:
    for path in ("/healthz", "/nowhere", "/v1/me"):
        assert behind_proxy.anonymous.get(path, headers={"X-Request-ID": sent}).headers["X-Request-ID"] == sent


@pytest.mark.parametrize("sent", ["", " ", "a b", "x" * 65, "a;b", "a\tb", "é", "a/b", '"', "a\u2028b"])
def test_an_invalid_id_from_a_proxy_is_replaced(behind_proxy: Service, sent: str) -> None:
    ids = behind_proxy.anonymous.get("/healthz", headers={"X-Request-ID": sent}).headers.getlist("X-Request-ID")
    assert len(ids) == 1 and re.fullmatch("[0-9a-f]{16}", ids[0])


def test_an_id_from_an_untrusted_client_is_replaced(service: Service) -> None:
    sent = "f" * 64
    responses = [service.anonymous.get("/healthz", headers={"X-Request-ID": sent}) for _ in range(3)]
    ids = {response.headers["X-Request-ID"] for response in responses}
    assert len(ids) == 3 and sent not in ids


def test_an_id_with_a_line_break_is_replaced() -> None:
    for sent in ("a\n", "a\r\nSet-Cookie: x"):
        assert request_id.begin({"HTTP_X_REQUEST_ID": sent}, trust_headers=True) not in sent


def test_the_parent_span_is_read_from_a_trusted_proxy() -> None:
    environ = {"HTTP_TRACEPARENT": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    assert request_id.begin(environ, trust_headers=True) == request_id.current()
    assert request_id.proxy_span() == environ["HTTP_TRACEPARENT"]
    request_id.begin({}, trust_headers=True)
    assert request_id.proxy_span() is None
