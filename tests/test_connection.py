"""Connection: it retries a request only if that is safe, and turns each failure into a clear error."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import UnixStreamServer

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hashdb import errors
from hashdb.cli.output import describe
from hashdb.connection import ClientRequest, Connection, Poster, read_text
from hashdb.http_server.problems import status_of
from hashdb.wire.problems import problem

GET, ONCE = ClientRequest("GET", "/v1/me"), ClientRequest("POST", "/v1/contributions/7/withdrawal", "{}", safe=False)
Answer = Callable[[httpx.Request], httpx.Response]


def problem_answer(error: errors.HashDBError) -> Answer:
    """The answer of a service that raises this error."""
    status = status_of(type(error))
    return lambda request: httpx.Response(status, content=json.dumps(problem(error, status)))


def ok(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, content=b"{}")


def lost(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadError("lost", request=request)


def refused(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


class Service:
    """Gives its answers one after the other, and counts the requests."""

    def __init__(self, *answers: Answer) -> None:
        self.answers, self.count = iter(answers), 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.count += 1
        return next(self.answers)(request)

    def connection(self, retries: int = 2) -> Connection:
        return Connection("http://hashdb.test", "hdb_x", 5, retries, httpx.MockTransport(self))


def html_answer(status: int, **headers: str) -> Answer:
    return lambda request: httpx.Response(status, content=b"<html>", headers=headers)


def unknown_host(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("unknown", request=request) from socket.gaierror(socket.EAI_NONAME, "unknown")


def web_page(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, html="<h1>Welcome</h1>")


def tls_port(request: httpx.Request) -> httpx.Response:
    return httpx.Response(400, html="<h1>The plain HTTP request was sent to HTTPS port</h1>")


@pytest.mark.parametrize(
    "answer",
    [
        problem_answer(errors.StoreBusy(0)),
        problem_answer(errors.LimitReached("requests", 0)),
        problem_answer(errors.TooManyAtOnce("5 large requests", 0)),
        problem_answer(errors.HashingBusy("33 pictures", 0)),
        lost,
        refused,
        html_answer(502),
        html_answer(503, **{"Retry-After": "0"}),
    ],
)
def test_a_safe_request_is_retried(answer: Answer) -> None:
    service = Service(answer, ok)
    assert service.connection().send(GET).status_code == 200
    assert service.count == 2


@pytest.mark.parametrize(
    ("answer", "kind", "count"),
    [
        (lost, errors.ServiceUnreachable, 1),
        (html_answer(504), errors.ServiceError, 1),
        (refused, errors.ServiceUnreachable, 2),
        (problem_answer(errors.StoreBusy(0)), errors.StoreBusy, 2),
        (problem_answer(errors.TooManyAtOnce("5 large requests", 0)), errors.TooManyAtOnce, 2),
    ],
)
def test_an_unsafe_request_is_retried_only_if_it_was_not_carried_out(
    answer: Answer, kind: type[errors.HashDBError], count: int
) -> None:
    service = Service(answer, answer)
    with pytest.raises(kind):
        service.connection(retries=1).send(ONCE)
    assert service.count == count


@pytest.mark.parametrize(
    "answer", [problem_answer(errors.NotFound("it")), problem_answer(errors.ScopeMissing("match")), html_answer(500)]
)
def test_a_rejected_request_is_not_retried(answer: Answer) -> None:
    service = Service(answer)
    with pytest.raises(errors.HashDBError):
        service.connection().send(GET)
    assert service.count == 1


def test_a_parameter_that_is_too_long_for_a_url_is_a_fault() -> None:
    service = Service(refused)
    with pytest.raises(errors.InvalidInput, match=r"^the parameters of the request are too long$"):
        service.connection().send(ClientRequest("GET", "/v1/receipts", params={"action": "x" * 100_000}))


def test_a_long_retry_after_raises_the_error_at_once() -> None:
    service = Service(problem_answer(errors.LimitReached("contributions a day", 3_600)))
    with pytest.raises(errors.LimitReached):
        service.connection().send(GET)
    assert service.count == 1


def test_a_poll_waits_in_the_client_if_the_service_has_no_place_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    slept = list[float]()
    monkeypatch.setattr("hashdb.connection.time.sleep", slept.append)
    full, malformed = (html_answer(200, **{"Retry-After": seconds}) for seconds in ("5", "9" * 5_000))
    service = Service(full, full, malformed, ok, full)
    connection = service.connection()
    for seconds in (20, 2, 7):
        connection.send(ClientRequest("GET", "/v1/changes", extra_seconds=seconds))
    assert slept == [5, 2, 7]
    assert list(connection.stream_lines(ClientRequest("GET", "/v1/changes", extra_seconds=20))) == []
    connection.send(GET)
    assert (slept, service.count) == ([5, 2, 7], 5)


def test_a_stream_gives_whole_lines_however_the_bytes_are_split() -> None:
    def parts() -> Iterator[bytes]:
        yield from (b"one\ntw", b"o\nthr", b"ee", b"\n")

    service = Service(lambda request: httpx.Response(200, content=parts()))
    lines = [line for part in service.connection().stream_lines(GET) for line in part.splitlines()]
    assert lines == [b"one", b"two", b"three"]


@pytest.mark.parametrize("host", ["hashdb..example", "x" * 64 + ".example", "xn--"])
def test_an_address_whose_host_cannot_be_a_name_is_rejected(host: str) -> None:
    with pytest.raises(errors.BadSetting, match=r"^HASHDB_URL: is not an address: its host cannot be a name$"):
        Connection(f"http://{host}", "hdb_x", 5, 0)
    with pytest.raises(errors.BadSetting, match=r"^HASHDB_REMEMBER_WEBHOOK: is not an address: its host cannot be"):
        Poster(f"https://{host}/reports", 5, "HASHDB_REMEMBER_WEBHOOK")
    assert read_text(f"http://{host}", 5) is None


def test_a_host_may_have_any_letters_and_end_with_a_dot() -> None:
    for host in ("b\u00fccher.example", "\u05d01.example", "hashdb.example.", "my_host", "[::1]"):
        Connection(f"http://{host}", "hdb_x", 5, 0).close()


def test_a_broken_stream_raises_an_error() -> None:
    def broken() -> Iterator[bytes]:
        yield b"one\ntwo"
        raise httpx.ReadError("broken")

    lines = Service(lambda request: httpx.Response(200, content=broken())).connection().stream_lines(GET)
    assert next(lines) == b"one"
    with pytest.raises(errors.ServiceUnreachable):
        next(lines)


def test_the_connection_uses_a_unix_socket(tmp_path: Path) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"path": self.path, "host": self.headers["Host"]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def address_string(self) -> str:
            return "socket"

        def log_message(self, format: str, *args: object) -> None:
            pass

    path = tmp_path / "a socket"
    with UnixStreamServer(str(path), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        connection = Connection(f"unix:{path}", "", 5, 0)
        answer = connection.send(GET).json()
        connection.close()
        server.shutdown()
        thread.join()
    assert answer == {"path": "/v1/me", "host": "localhost"}
    for invalid in ("unix:", "ftp://hashdb.test"):
        with pytest.raises(errors.BadSetting, match="HASHDB_URL"):
            Connection(invalid, "", 5, 0)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            problem_answer(errors.NotAuthenticated()),
            "http://hashdb.test does not accept the key from HASHDB_KEY: it is unknown",
        ),
        (problem_answer(errors.ScopeMissing("match")), "this key lacks the scope match; it is the key from HASHDB_KEY"),
        (problem_answer(errors.MemberSuspended()), "; it is the key from HASHDB_KEY"),
        (
            html_answer(301, Location="https://hashdb.test/v1/me"),
            "it redirects to https://hashdb.test: look at HASHDB_URL",
        ),
        (html_answer(302, Location="/login?next=x"), "it redirects to http://hashdb.test: look at HASHDB_URL"),
        (web_page, "the service answered 200: a web page, not an answer of hashdb: look at HASHDB_URL"),
        (html_answer(404), "the service answered 404: not an answer of hashdb: look at HASHDB_URL"),
        (html_answer(502), "not an answer of hashdb, but of a proxy: the service may be stopped"),
        (html_answer(401), "not an answer of hashdb, but of a proxy that requires a sign-in"),
        (tls_port, "the service answered 400: this port uses TLS: write https:// in HASHDB_URL"),
    ],
)
def test_an_error_of_the_address_or_the_key_names_the_setting_to_check(answer: Answer, message: str) -> None:
    connection = Service(answer).connection(retries=0)
    connection.name_settings("HASHDB_URL", "HASHDB_KEY")
    with pytest.raises(errors.HashDBError) as caught:
        connection.send(GET)
    assert message in describe(caught.value)


def _self_signed(path: Path) -> Path:
    """A file with a new key and its certificate."""
    key, name, now = ec.generate_private_key(ec.SECP256R1()), x509.Name([]), datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .sign(key, hashes.SHA256())
    )
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    private = key.private_bytes(encoding, form, serialization.NoEncryption())
    path.write_bytes(private + certificate.public_bytes(encoding))
    return path


@contextmanager
def server_sending(answer: bytes, *, tls: Path | None = None) -> Iterator[str]:
    """A server on the loopback interface that sends these bytes to each client. The value is its host and port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if tls is not None:
            context.load_cert_chain(tls)

        def serve() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    with (
                        suppress(OSError),
                        client if tls is None else context.wrap_socket(client, server_side=True) as s,
                    ):
                        s.recv(1000)
                        s.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield "{}:{}".format(*listener.getsockname())
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def reason_of_failure(url: str) -> str:
    with pytest.raises(errors.ServiceUnreachable) as caught:
        Connection(url, "hdb_x", 5, 0).send(GET)
    return caught.value.reason


def test_a_failed_connection_is_reported_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for proxy in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
        monkeypatch.delenv(proxy.lower(), raising=False)
    with server_sending(b"HTTP/1.1 400 Bad Request\r\n\r\n") as plain_text:
        assert reason_of_failure(f"https://{plain_text}").startswith("TLS fails: the address may need")
    with server_sending(b"", tls=_self_signed(tmp_path / "server.pem")) as untrusted:
        assert reason_of_failure(f"https://{untrusted}").startswith("this machine does not trust its certificate (")
    assert reason_of_failure("http://127.0.0.1:9") == "it refuses the connection, or cannot be reached"
    with server_sending(b"HTTP/1.1 403 Forbidden\r\n\r\n") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy}")
        assert reason_of_failure("https://hashdb.example").startswith("the proxy of HTTPS_PROXY")


def test_an_unknown_host_is_reported() -> None:
    with pytest.raises(errors.ServiceUnreachable, match="the host name is unknown"):
        Service(unknown_host).connection(retries=0).send(GET)
