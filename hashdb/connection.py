"""Connection: send requests to a service, retry them if that is safe, read the answers, and raise its errors."""

from __future__ import annotations

import random
import socket
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from ssl import PROTOCOL_TLS_CLIENT, SSLContext
from typing import Any, BinaryIO, TypeVar

import httpx
from pydantic import ValidationError

from hashdb import wire
from hashdb.errors import (
    BadSetting,
    HashDBError,
    KeyRefused,
    LimitReached,
    MemberSuspended,
    NotAuthenticated,
    ScopeMissing,
    ServiceError,
    ServiceUnreachable,
    Unavailable,
)
from hashdb.wire import PageModel, ResponseModel
from hashdb.wire.problems import NOT_HASHDB, error_from_problem

LONGEST_WAIT = 30.0
"""Seconds. If the service asks for a longer wait, its error is raised at once."""
_FIRST_PAUSE, _LONGEST_PAUSE, _WEEK = 0.5, 8.0, 604_800
"""Seconds."""
_BUSY, _BROKEN = (429, 503), (502, 504)
"""Status codes after which the request was not carried out, and after which a proxy does not know whether it was."""
_SOCKET = "unix:"
"""How the address of a Unix socket begins; its path follows."""
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)

_Body = TypeVar("_Body", bound=ResponseModel)
Params = Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class ClientRequest:
    """A request with `text` as its body, or `files` (pairs of name and file), and `params` as its query string.

    It may take `extra_seconds` longer than the timeout. A `safe` request may be carried out twice; another one is sent
    again only if it was certainly not carried out.
    """

    method: str
    path: str
    text: str | None = None
    params: Params = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    files: tuple[tuple[str, bytes | BinaryIO], ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)
    """The other fields of the form that has the files."""
    extra_seconds: int = 0
    safe: bool = True


class Connection:
    """A connection to one service with one key. It is thread-safe; threads share its sockets."""

    def __init__(
        self, url: str, key: str, timeout: float, retries: int, transport: httpx.BaseTransport | None = None
    ) -> None:
        """Does not connect yet. Raises BadSetting."""
        self._url, self._retries = url.rstrip("/"), retries
        self._url_setting, self._key_setting = "the address", ""
        base = self._url
        # To read the certificates of all authorities takes as long as ten matches. Without TLS none is read: this
        # context trusts nobody.
        trust = base.startswith("https://") or SSLContext(PROTOCOL_TLS_CLIENT)
        if path := base.partition(_SOCKET)[2] if base.startswith(_SOCKET) else "":
            # Whatever host is named: the socket is that of the sidecar.
            base, transport = "http://localhost", transport or httpx.HTTPTransport(uds=path, verify=trust)
        if not base.startswith(("http://", "https://")):
            raise BadSetting("HASHDB_URL", "must be an address like https://hashdb.example or unix:/run/hashdb.sock")
        if not key.isprintable():
            raise BadSetting("HASHDB_KEY", "has characters that HTTP cannot carry")
        try:
            headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
            self._http = httpx.Client(
                base_url=base, headers=headers, timeout=timeout, transport=transport, verify=trust
            )
        except (httpx.InvalidURL, UnicodeEncodeError):
            raise BadSetting("HASHDB_URL or HASHDB_KEY", "has characters that HTTP cannot carry") from None

    def name_settings(self, url: str, key: str) -> None:
        """Name in errors the settings that the address and the key are from."""
        self._url_setting, self._key_setting = url, key

    def close(self) -> None:
        """Close the sockets."""
        self._http.close()

    def send(self, request: ClientRequest) -> httpx.Response:
        """The complete response. Raises the errors of the service, ServiceUnreachable, ServiceError."""
        with self._response(request, stream=False) as response:
            return response

    def stream_lines(self, request: ClientRequest) -> Iterator[bytes]:
        """The complete lines of a streamed response, several at a time. Raises like `send`, also midway."""
        with self._response(request, stream=True) as response:
            rest = b""
            try:
                for part in response.iter_bytes():
                    complete, newline, incomplete = (rest + part).rpartition(b"\n")
                    rest = incomplete
                    if newline:
                        yield complete
            except httpx.HTTPError as error:
                raise ServiceUnreachable(self._url, _reason(error)) from None

    @contextmanager
    def _response(self, request: ClientRequest, *, stream: bool) -> Iterator[httpx.Response]:
        response = self._send_with_retries(request, stream)
        try:
            yield response
        finally:
            response.close()
        retry_after = response.headers.get("Retry-After", "")
        if request.extra_seconds and retry_after.isdecimal():
            # The service had no free place for another request that waits for an event, so the client waits.
            time.sleep(min(int(retry_after), request.extra_seconds))

    def _send_with_retries(self, request: ClientRequest, stream: bool) -> httpx.Response:
        for attempt in range(self._retries + 1):
            try:
                response = self._http.send(self._build(request), stream=stream)
                if response.is_success and not _is_web_page(response):
                    return response
                response.read()
                response.close()
                error, status = self._error(response), response.status_code
                retry = status in _BUSY or (request.safe and status in _BROKEN)
            except httpx.HTTPError as failure:
                error = ServiceUnreachable(self._url, _reason(failure))
                retry = request.safe or isinstance(failure, _NOT_SENT)
            pause = _pause(error, attempt)
            if not retry or attempt == self._retries or pause > LONGEST_WAIT:
                raise error
            time.sleep(pause)
        raise AssertionError("a loop without an end")

    def _error(self, response: httpx.Response) -> HashDBError:
        error = error_from_problem(response.status_code, response.content)
        retry_after = response.headers.get("Retry-After", "")
        if isinstance(error, ServiceError) and response.status_code in (429, 503) and retry_after.isdecimal():
            # Not an answer of hashdb, perhaps a proxy's, but it says when to retry.
            return Unavailable(int(retry_after[:9]))
        if isinstance(error, ServiceError) and error.detail == NOT_HASHDB:
            return ServiceError(error.status, _other_server(response, self._url_setting))
        if type(error) is NotAuthenticated:
            return KeyRefused(self._url, self._key_setting or "the program")
        if isinstance(error, ScopeMissing | MemberSuspended) and self._key_setting:
            error.add_note(f"; it is the key from {self._key_setting}")
        return error

    def _build(self, request: ClientRequest) -> httpx.Request:
        headers = {**({} if request.text is None else {"Content-Type": "application/json"}), **request.headers}
        files = [("file", file) for file in request.files] or None
        built = self._http.build_request(
            request.method,
            request.path,
            content=request.text,
            data=request.fields or None,
            params=request.params,
            headers=headers,
            files=files,
        )
        if request.extra_seconds:
            timeouts = built.extensions["timeout"].items()
            built.extensions["timeout"] = {
                name: seconds + request.extra_seconds for name, seconds in timeouts if seconds is not None
            }
        return built


class Poster:
    """Posts to an address of the member's own: through no proxy, and following no redirect."""

    def __init__(self, url: str, timeout: float, setting: str = "HASHDB_REMEMBER_WEBHOOK") -> None:
        """Does not connect yet; `timeout` is in seconds, `setting` is where the address is from. Raises BadSetting."""
        try:
            self._url = httpx.URL(url)
        except httpx.InvalidURL:
            raise BadSetting(setting, "is not an address") from None
        if self._url.scheme not in ("http", "https") or not self._url.host:
            raise BadSetting(setting, "must be an address like https://alerts.example/hashdb")
        self._http = httpx.Client(timeout=timeout, trust_env=False)

    def close(self) -> None:
        """Close the sockets."""
        self._http.close()

    def post(self, body: bytes, headers: Mapping[str, str]) -> str | None:
        """Post a body once. Returns None if it was accepted (2xx), else the reason; nothing of the answer is read."""
        try:
            with self._http.stream("POST", self._url, content=body, headers=headers) as response:
                return None if response.is_success else f"it answered {response.status_code}"
        except httpx.HTTPError as error:
            return _reason(error)


def read_text(url: str, timeout: float, most: int = 100_000) -> str | None:
    """The text at an address of the member's own policy; None without one of at most `most` bytes in `timeout` seconds.

    Follows no redirect.
    """
    until = time.monotonic() + timeout
    try:
        with httpx.stream("GET", url, timeout=timeout) as response:
            octets = b""
            for part in response.iter_bytes():
                octets += part
                if len(octets) > most or time.monotonic() > until:
                    return None
            return octets.decode() if response.is_success else None
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeDecodeError):
        return None


class TypedRequests:
    """Requests over a connection, whose answers are read as wire models. Raise as `Connection.send`."""

    _connection: Connection

    def _list(
        self,
        model: type[PageModel],
        path: str,
        params: Params | None = None,
        after: int | None = 0,
        text: str | None = None,
    ) -> Iterator[Any]:
        """Every row after the id `after` of a list, page by page; `text` is the body of a list that is read by POST."""
        method = "GET" if text is None else "POST"
        while after is not None:
            page = self._ask(model, ClientRequest(method, path, text, {**(params or {}), "after": after}))
            yield from page.rows()
            after = page.next

    def _post_or_proposal(self, model: type[_Body], path: str, text: str) -> _Body | wire.review.ProposalOut:
        """The answer as of `_post`, or (on 202) the proposal that waits for a second person."""
        response = self._connection.send(ClientRequest("POST", path, text, safe=False))
        return _read(wire.review.ProposalOut, response) if response.status_code == 202 else _read(model, response)

    def _ask_later(self, model: type[_Body], request: ClientRequest) -> _Body:
        """The answer; on 202, wait for the job and return its answer."""
        response = self._connection.send(request)
        if response.status_code != 202:
            return _read(model, response)
        job = ClientRequest("GET", f"/v1/jobs/{_read(wire.jobs.JobOut, response).id}")
        while (answer := wire.jobs.read_job(response.content, model)) is None:
            pause = response.headers.get("Retry-After", "")
            time.sleep(min(int(pause), LONGEST_WAIT) if pause.isdecimal() else 1)
            response = self._connection.send(job)
        return answer

    def _ask(self, model: type[_Body], request: ClientRequest) -> _Body:
        return _read(model, self._connection.send(request))

    def _get(self, model: type[_Body], path: str, params: Params | None = None) -> _Body:
        return self._ask(model, ClientRequest("GET", path, params=params or {}))

    def _post(self, model: type[_Body], path: str, text: str | None = None) -> _Body:
        """The answer to a request that must not be carried out twice."""
        return self._ask(model, ClientRequest("POST", path, text, safe=False))


def _read(model: type[_Body], response: httpx.Response) -> _Body:
    try:
        return model.model_validate_json(response.content)
    except ValidationError:
        raise ServiceError(response.status_code, NOT_HASHDB) from None


def form_request(path: str, files: Sequence[bytes | BinaryIO], **others: Any) -> ClientRequest:
    """A POST of a form with files, in order; `others` are further fields of the ClientRequest."""
    return ClientRequest("POST", path, files=tuple((str(number), file) for number, file in enumerate(files)), **others)


def _pause(error: HashDBError, attempt: int) -> float:
    """Seconds until the next attempt: longer each time, and random, so that clients do not retry at once together."""
    pause: float = min(_FIRST_PAUSE * 2**attempt, _LONGEST_PAUSE) * random.uniform(0.5, 1.0)
    if isinstance(error, Unavailable | LimitReached):
        return max(0, min(error.retry_after, _WEEK)) + pause / 2
    return pause


def _is_web_page(response: httpx.Response) -> bool:
    return str(response.headers.get("Content-Type", "")).startswith("text/html")


def _other_server(response: httpx.Response, setting: str) -> str:
    """The description of an answer of another server than hashdb, and of what to do."""
    if response.next_request is not None:
        there = response.next_request.url
        return f"it redirects to {there.scheme}://{there.netloc.decode('ascii', 'replace')}: look at {setting}"
    if b"HTTP request was sent to HTTPS port" in response.content or b"HTTP request to an HTTPS" in response.content:
        return f"there is TLS at this port: write https:// in {setting}"
    if response.status_code in _BROKEN or response.status_code in _BUSY:
        return f"{NOT_HASHDB}, but of a proxy before it: the service may be stopped, or {setting} wrong"
    if response.status_code in (401, 403, 407):
        return f"{NOT_HASHDB}, but of a proxy before it, which lets nobody through without signing in"
    return f"{'a web page, ' * _is_web_page(response)}{NOT_HASHDB}: look at {setting}"


def _reason(error: httpx.HTTPError) -> str:
    """Why there is no answer."""
    if isinstance(error, httpx.TimeoutException):
        return "it took too long"
    if isinstance(error, httpx.ProxyError):
        return "the proxy that HTTPS_PROXY or HTTP_PROXY names does not lead there"
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError | socket.gaierror):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted here ({cause.verify_message}): SSL_CERT_FILE may name your authority's"
    if isinstance(cause, ssl.SSLError):
        return "TLS fails: the address may need another port, or http://"
    if isinstance(cause, socket.gaierror):
        return "there is no host of this name"
    if isinstance(error, httpx.ConnectError):
        return "it refuses the connection, or is not there"
    return "the connection broke"
