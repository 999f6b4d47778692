"""The id of a request: from the proxy where it is sane, else made; the same in the answer and in the log."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from hashdb.wsgi import request_id
from tests.web.callers import Service, service_at


@pytest.fixture(scope="module")
def behind() -> Iterator[Service]:
    """A service that believes one proxy."""
    with service_at(None, proxies=1) as made:
        yield made


@pytest.mark.parametrize("given", ["a", "7b1f.A-Z_0", "x" * 64])
def test_a_sane_id_of_a_proxy_is_kept(behind: Service, given: str) -> None:
    for path in ("/healthz", "/nowhere", "/v1/me"):
        assert behind.anonymous.get(path, headers={"X-Request-ID": given}).headers["X-Request-ID"] == given


@pytest.mark.parametrize("given", ["", " ", "a b", "x" * 65, "a;b", "a\tb", "é", "a/b", '"', "a\u2028b"])
def test_whatever_else_comes_gets_one_that_is_made(behind: Service, given: str) -> None:
    made = behind.anonymous.get("/healthz", headers={"X-Request-ID": given}).headers.getlist("X-Request-ID")
    assert len(made) == 1 and re.fullmatch("[0-9a-f]{16}", made[0])


def test_a_stranger_is_not_believed(service: Service) -> None:
    given = "f" * 64
    answers = [service.anonymous.get("/healthz", headers={"X-Request-ID": given}) for _ in range(3)]
    ids = {one.headers["X-Request-ID"] for one in answers}
    assert len(ids) == 3 and given not in ids


def test_an_id_that_ends_a_line_cannot_reach_the_header() -> None:
    for given in ("a\n", "a\r\nSet-Cookie: x"):
        assert request_id.begin({"HTTP_X_REQUEST_ID": given}, trust_headers=True) not in given


def test_the_span_of_a_proxy_is_known_where_it_is_believed() -> None:
    environ = {"HTTP_TRACEPARENT": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    assert request_id.begin(environ, trust_headers=True) == request_id.current()
    assert request_id.parent() == environ["HTTP_TRACEPARENT"]
    request_id.begin({}, trust_headers=True)
    assert request_id.parent() is None
