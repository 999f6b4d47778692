"""A real service on 127.0.0.1 behind the nginx of deploy/, and the same service without nginx."""

from __future__ import annotations

import json
import re
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import httpx
import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, KeyDraft, MemberDraft, MemberKind, Scope
from hashdb.service import open_hashdb
from hashdb.service.accounts import members
from hashdb.settings import Settings
from tests.proxy import needs_nginx, proxy
from tests.serving import serving
from tests.web.callers import item, pdq

pytestmark = needs_nginx
MATCH_REQUEST = {"queries": [{"signals": [pdq(1)]}]}
REQUEST_HEAD = "POST /v1/matches HTTP/1.1\r\nHost: hashes.example\r\nContent-Type: application/json\r\n"


class Proxied(NamedTuple):
    """The addresses of a service without and with the proxy, a key, the certificate to trust, and the logs."""

    plain: httpx.URL
    tls: httpx.URL
    console: httpx.URL
    trusted: ssl.SSLContext
    secret: str
    log: Path
    access: Path
    errors: Path

    def client(self) -> httpx.Client:
        """A client with the key, by TLS."""
        return httpx.Client(
            base_url=self.tls, verify=self.trusted, headers={"Authorization": f"Bearer {self.secret}"}, timeout=20
        )

    def connection(self) -> ssl.SSLSocket:
        """A TLS connection to the proxy."""
        raw = socket.create_connection((self.tls.host, self.tls.port or 443), timeout=20)
        return self.trusted.wrap_socket(raw, server_hostname="127.0.0.1")


@contextmanager
def _unready() -> Iterator[int]:
    """A replica whose index is never ready."""

    class NotReady(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def do_GET(self) -> None:
            self.send_response(503)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    with HTTPServer(("127.0.0.1", 0), NotReady) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    """A service behind nginx, beside a replica that is not ready."""
    folder = tmp_path_factory.mktemp("proxied")
    home, log = folder / "home", folder / "serve.log"
    with ExitStack() as stack:
        url = httpx.URL(
            stack.enter_context(serving(home, workers=1, log=log, HASHDB_PROXIES="1", HASHDB_BEHIND_TLS="true"))
        )
        db = open_hashdb(Settings(home=home).database, Settings(home=home).rules())
        added = members.add(db, COMMAND_LINE, MemberDraft("Alpha", MemberKind.PLATFORM))
        secret = members.issue_key(db, COMMAND_LINE, added.id, KeyDraft(frozenset(Scope))).secret
        db.close()
        unready = stack.enter_context(_unready())
        nginx = stack.enter_context(proxy(folder, (unready, url.port or 80)))
        trusted = ssl.create_default_context(cafile=str(nginx.certificate))
        trusted.check_hostname = False
        yield Proxied(url, nginx.tls, nginx.console, trusted, secret, log, nginx.access, nginx.errors)


def test_reads_and_matches_are_answered_while_one_replica_is_not_ready(proxied: Proxied) -> None:
    with proxied.client() as client:
        responses = [client.post("/v1/matches", json=MATCH_REQUEST) for _ in range(12)]
        responses += [client.get(path) for path in ("/readyz", "/v1/me") for _ in range(4)]
    assert {response.status_code for response in responses} == {200}
    assert all("Strict-Transport-Security" in response.headers for response in responses)


def test_a_client_cannot_forge_its_address_or_the_request_id(proxied: Proxied) -> None:
    forged = {"X-Forwarded-For": "203.0.113.9", "X-Request-ID": "f" * 64, "Authorization": "Bearer hdb_wrong"}
    with proxied.client() as client:
        statuses = {
            client.get("/v1/me", headers=forged | {"X-Forwarded-For": f"203.0.113.{n}"}).status_code for n in range(110)
        }
        # The limit is a hundred failures of one address. All these requests count for one address.
        assert statuses == {401, 429}
        response = client.get("/v1/me", headers={"X-Request-ID": "f" * 64})
    assert response.status_code == 200
    id = response.headers["X-Request-ID"]
    assert re.fullmatch("[0-9a-f]{32}", id)
    assert f'"request_id": "{id}"' in proxied.log.read_text("utf-8")


def test_the_logs_of_the_proxy_have_no_keys_query_strings_or_hashes(proxied: Proxied) -> None:
    paths, lines = ("/graph/1/threat_updates/", "/hma/m/lookup"), list[dict[str, str]]()
    until = time.monotonic() + 20
    with proxied.client() as client:
        # Until each path was also sent to the replica that is not ready, which nginx might log as an error.
        while not {line["path"] for line in lines if "503" in line["replica_status"]} >= set(paths):
            assert time.monotonic() < until
            for path in paths:
                client.get(f"{path}?access_token={proxied.secret}&signal={pdq(1)[4:]}")
                time.sleep(0.05)
            lines = [json.loads(line) for line in proxied.access.read_text("utf-8").splitlines()]
    text = proxied.access.read_text("utf-8") + proxied.errors.read_text("utf-8")
    assert proxied.secret not in text and "access_token" not in text and pdq(1)[4:] not in text


def receive(connection: socket.socket) -> bytes:
    """The start of a response, or nothing: nginx may reset a connection after its timeout."""
    try:
        return connection.recv(100)
    except ConnectionResetError:
        return b""


def test_stalled_clients_are_disconnected_and_hold_no_thread(proxied: Proxied) -> None:
    with ExitStack() as stack:
        # More than the service has threads.
        slow = [stack.enter_context(proxied.connection()) for _ in range(24)]
        for number, connection in enumerate(slow):
            # Half of them stall in the body, half of them in the head.
            with_body = f"{REQUEST_HEAD}Authorization: Bearer {proxied.secret}\r\nContent-Length: 1000\r\n\r\n{{"
            connection.sendall((with_body if number % 2 else REQUEST_HEAD).encode())
        with proxied.client() as client:
            assert client.post("/v1/matches", json=MATCH_REQUEST).status_code == 200
        for connection in slow:
            response = receive(connection)
            assert response == b"" or response.startswith(b"HTTP/1.1 408 ")


def test_the_proxy_rejects_large_headers_and_large_bodies(proxied: Proxied) -> None:
    with proxied.client() as client:
        for headers in ({"X-Large": "x" * 9000}, {f"X-{n}": "x" * 6000 for n in range(6)}):
            assert client.get("/v1/me", headers=headers).status_code == 400
        assert client.get("/v1/me?" + "x" * 9000).status_code == 414
        assert client.get("/metrics").status_code == 404
        before = proxied.log.read_text("utf-8").count('"status": 413')
        for path, megabytes in (("/v1/matches", 65), ("/v1/contributions", 65), ("/v1/members", 17)):
            large, kind = b"x" * (megabytes * 2**20), {"Content-Type": "application/json"}
            assert client.post(path, content=large, headers=kind).status_code == 413
        kind = {"Content-Type": "multipart/form-data; boundary=x"}
        assert client.post("/v1/signals", content=b"x" * (17 * 2**20), headers=kind).status_code in (400, 415)
        assert proxied.log.read_text("utf-8").count('"status": 413') == before


@pytest.mark.parametrize("page", ["find", "debugger", "compare"])
def test_the_proxy_passes_large_files_to_the_pages_that_take_them(proxied: Proxied, page: str) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    address = proxied.console.join(f"/console/{page}")
    response = httpx.post(address, content=b"x" * (17 * 2**20), headers=headers, verify=proxied.trusted, timeout=20)
    # Without a session the console refuses the file, too, but with a page of its own. One replica is not ready.
    assert "<center>nginx" not in response.text
    assert response.status_code == 503 or "hashdb" in response.text


def test_a_client_that_a_replica_disconnects_does_not_disable_the_replica(proxied: Proxied) -> None:
    # More headers than gunicorn accepts: it disconnects while the proxy still sends the body.
    head = "".join(f"X-{number}: x\r\n" for number in range(120))
    poison = f"GET /healthz HTTP/1.1\r\nHost: hashes.example\r\n{head}Content-Length: 8000000\r\n\r\n"
    with proxied.client() as client:
        for _ in range(10):
            with proxied.connection() as connection:
                connection.sendall(poison.encode() + b"x" * 8_000_000)
                assert re.match(rb"HTTP/1.1 (400|431|502) ", connection.recv(100))
            assert client.get("/v1/me").status_code == 200
            assert client.post("/v1/matches", json=MATCH_REQUEST).status_code == 200


def test_the_console_and_the_api_have_separate_ports(proxied: Proxied) -> None:
    with proxied.client() as client:
        for path in ("/console", "/console/", "/console/sign-in", "//console", "/%63onsole/sign-in", "/v1/../console"):
            response = client.get(proxied.tls.copy_with(raw_path=path.encode()))
            assert (response.status_code, response.headers["Content-Type"]) == (404, "text/html"), path
        for path in ("/console/sign-in", "/static/console/figures.css"):
            assert httpx.get(proxied.console.join(path), verify=proxied.trusted).status_code == 200, path
        response = httpx.get(proxied.console, verify=proxied.trusted)
        assert (response.status_code, response.headers["Location"].rpartition("/")[2]) == (302, "console")
        for path in ("/v1/me", "/healthz", "/metrics", "/hma/h/hash"):
            assert httpx.get(proxied.console.join(path), verify=proxied.trusted).status_code == 404, path


def test_a_large_batch_and_a_contribution_pass_the_proxy(proxied: Proxied) -> None:
    queries = [{"signals": [pdq(seed)]} for seed in range(1000)]
    with proxied.client() as client:
        # The proxy sends a request that changes data to one replica only, also if that answers 503.
        statuses = {client.post("/v1/contributions", json={"contributions": [item(5)]}).status_code for _ in range(30)}
        assert 201 in statuses and statuses <= {201, 503}
        assert len(client.post("/v1/matches", json={"queries": queries}).json()["results"]) == 1000


def test_the_proxy_limits_large_uploads_of_one_address_and_not_small_ones(proxied: Proxied) -> None:
    head = "POST /v1/signals HTTP/1.1\r\nHost: hashes.example\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    sizes = ("Content-Length: 10000000", "Transfer-Encoding: chunked")
    with ExitStack() as stack, proxied.client() as client:
        large = [stack.enter_context(proxied.connection()) for _ in range(6)]
        for number, connection in enumerate(large):
            connection.sendall(f"{head}{sizes[number % 2]}\r\n\r\n".encode())
        form = {"Content-Type": "multipart/form-data; boundary=b"}
        small = client.post("/v1/signals", content=b"--b--", headers=form)
        assert small.status_code in (400, 503)
        status_lines = [receive(connection).split(b"\r\n")[0] for connection in large]
        assert status_lines.count(b"HTTP/1.1 429 Too Many Requests") == 2


def test_without_a_proxy_large_headers_are_rejected_and_a_free_thread_answers(proxied: Proxied) -> None:
    with httpx.Client(base_url=proxied.plain, timeout=20) as client, ExitStack() as stack:
        assert client.get("/healthz", headers={"X-Large": "x" * 9000}).status_code in (400, 431)
        assert client.get("/healthz?" + "x" * 5000).status_code in (400, 414)
        assert client.get("/healthz", headers={f"X-{n}": "x" for n in range(120)}).status_code in (400, 431)
        address = (proxied.plain.host, proxied.plain.port or 80)
        # Each slow client holds one of the eight threads of the worker.
        for _ in range(7):
            stack.enter_context(socket.create_connection(address, timeout=20)).sendall(REQUEST_HEAD.encode())
        assert client.get("/healthz").status_code == 200
