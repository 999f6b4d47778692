"""Web pages can send no request to the sidecar: a request with another `Host` or an `Origin` is rejected."""

from __future__ import annotations

import pytest

from hashdb.errors import WebPageRefused
from hashdb.sidecar.guard import require_program
from tests.sidecar.conftest import Pair
from tests.web.callers import problem

LOCAL_HOSTS = [
    "localhost",
    "localhost:8765",
    "LOCALHOST:1",
    "127.0.0.1",
    "127.0.0.1:8765",
    "127.1.2.3:80",
    "[::1]:8765",
    "[::1]",
]
OTHER_HOSTS = [
    "",
    "evil.example",
    "evil.example:8765",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "evil.example:127",
    "127.0.0.1@evil.example",
    "10.0.0.1:8765",
    "[::2]:8765",
    "0.0.0.0",
    "::1:8765x",
    "127.0.0.1:8765:1",
    "127.1",
    "2130706433",
]


def is_refused(*, on_unix_socket: bool = False, **headers: str) -> bool:
    """Return whether a request with these headers is rejected."""
    environ = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    try:
        require_program(environ, on_unix_socket=on_unix_socket)
    except WebPageRefused:
        return True
    return False


@pytest.mark.parametrize("host", LOCAL_HOSTS)
def test_a_request_with_a_local_host_is_accepted_unless_it_has_an_origin(host: str) -> None:
    assert not is_refused(host=host)
    assert is_refused(host=host, origin="http://evil.example")


@pytest.mark.parametrize("host", OTHER_HOSTS)
def test_a_request_with_another_host_is_rejected_except_on_a_socket(host: str) -> None:
    assert is_refused(host=host)
    assert not is_refused(host=host, on_unix_socket=True)


@pytest.mark.parametrize("on_unix_socket", [True, False])
def test_a_request_that_a_browser_marks_as_from_a_page_is_rejected(on_unix_socket: bool) -> None:
    for headers in (
        {"origin": "null"},
        {"origin": "http://127.0.0.1:8765"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-origin"},
    ):
        assert is_refused(host="127.0.0.1:8765", on_unix_socket=on_unix_socket, **headers)
    assert not is_refused(host="127.0.0.1:8765", on_unix_socket=on_unix_socket, sec_fetch_site="none")


def test_every_address_rejects_a_request_from_a_web_page(filled: Pair) -> None:
    for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        for path in ("/healthz", "/metrics", "/v1/matches", "/nowhere"):
            problem(filled.ask("POST", path, data=b"{}", headers=headers), 403, "web-page-refused")
        preflight = filled.ask("OPTIONS", "/v1/matches", headers=headers)
        assert preflight.status_code == 403
        assert not [name for name, _ in preflight.headers if name.startswith("Access-Control")]
