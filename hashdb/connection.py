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
    InvalidInput,
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
"""The most seconds until a request is retried. If the service asks for a longer wait, its error is raised at once."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 8.0
"""Seconds until a request is retried if the service does not say when: the first time, and at most."""
_WEEK = 604_800
"""Seconds of a week; a `Retry-After` is cut to it, which may be too large a number for a float."""
_BUSY = (429, 503)
"""Status codes that say that the request was not carried out."""
_BROKEN = (502, 504)
"""Status codes of a proxy that does not know whether the request was carried out."""
_SOCKET = "unix:"
"""How the address of a Unix socket begins; its path follows."""
_MAX_TEXT_BYTES = 100_000
"""The most bytes that `read_text` reads."""
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
"""Errors after which the request was certainly not sent."""

_Body = TypeVar("_Body", bound=ResponseModel)
Params = Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class ClientRequest:
    """A request. Its body is `text`, or a form with `files`, or there is none."""

    method: str
    path: str
    text: str | None = None
    """The body, JSON if `headers` do not name another type."""
    params: Params = field(default_factory=dict)
    """The parameters of the query string."""
    headers: Mapping[str, str] = field(default_factory=dict)
    files: tuple[tuple[str, bytes | BinaryIO], ...] = ()
    """The name and the content of each file of the form."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """The other fields of the form."""
    extra_seconds: int = 0
    """How many seconds longer than the timeout it may take, because the service waits for an event."""
    safe: bool = True
    """Whether it does no harm to carry it out twice. Others are retried only if they were certainly not carried out."""


class Connection:
    """A connection to one service with one key. It is thread-safe; threads share its sockets."""

    def __init__(
        self, url: str, key: str, timeout: float, retries: int, transport: httpx.BaseTransport | None = None
    ) -> None:
        """Does not connect yet. Raises BadSetting."""
        self._url, self._retries = url.rstrip("/"), retries
        self._url_setting, self._key_setting = "the address", ""
        base = self._url
        # For TLS, True: httpx then reads the certificates of all authorities, which takes as long as ten matches.
        # Without TLS none is needed, so a context that trusts nobody is given.
        trust = base.startswith("https://") or SSLContext(PROTOCOL_TLS_CLIENT)
        if base.startswith(_SOCKET) and (path := base.removeprefix(_SOCKET)):
            # HTTP needs the name of a host, which has no effect on a socket.
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
        _check_host(self._http.base_url, "HASHDB_URL")

    def name_settings(self, url: str, key: str) -> None:
        """Set the names of the settings that the address and the key are from. Errors name them."""
        self._url_setting, self._key_setting = url, key

    def close(self) -> None:
        """Close the sockets."""
        self._http.close()

    def send(self, request: ClientRequest) -> httpx.Response:
        """The complete response. Raises the errors of the service, ServiceUnreachable, ServiceError."""
        with self._response(request, stream=False) as response:
            return response

    def stream_lines(self, request: ClientRequest) -> Iterator[bytes]:
        """The lines of a streamed response: each text has one or more complete lines, without the last line break.

        Raises like `send`, also midway.
        """
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
        if request.extra_seconds and (seconds := _retry_after(response)) is not None:
            # The service had no free place for another request that waits for an event, so the client waits.
            time.sleep(min(seconds, request.extra_seconds))

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
        raise AssertionError("the last attempt returns or raises")

    def _error(self, response: httpx.Response) -> HashDBError:
        """The error that an answer without success means, with the settings that may be wrong."""
        error = error_from_problem(response.status_code, response.content)
        seconds = _retry_after(response)
        if isinstance(error, ServiceError) and response.status_code in _BUSY and seconds is not None:
            # Not an answer of hashdb, perhaps a proxy's, but it says when to retry.
            return Unavailable(seconds)
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
        try:
            built = self._http.build_request(
                request.method,
                request.path,
                content=request.text,
                data=request.fields or None,
                params=request.params,
                headers=headers,
                files=files,
            )
        except httpx.InvalidURL:
            raise InvalidInput.at_field("", "the parameters of the request are too long") from None
        if request.extra_seconds:
            timeouts = built.extensions["timeout"].items()
            built.extensions["timeout"] = {
                name: seconds + request.extra_seconds for name, seconds in timeouts if seconds is not None
            }
        return built


class Poster:
    """Posts to a webhook of the member itself: the reports of look-back, or alarms. No proxy, no redirects."""

    def __init__(self, url: str, timeout: float, setting: str) -> None:
        """Does not connect yet. `timeout` is in seconds; errors name `setting` for the address. Raises BadSetting."""
        try:
            self._url = httpx.URL(url)
        except httpx.InvalidURL:
            raise BadSetting(setting, "is not an address") from None
        _check_host(self._url, setting)
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


def read_text(url: str, timeout: float) -> str | None:
    """The text at an address that a policy of the member names. Follows no redirect.

    None if there is no text, it is too long, or it takes longer than `timeout` seconds.
    """
    until = time.monotonic() + timeout
    try:
        with httpx.stream("GET", url, timeout=timeout) as response:
            octets = b""
            for part in response.iter_bytes():
                octets += part
                if len(octets) > _MAX_TEXT_BYTES or time.monotonic() > until:
                    return None
            return octets.decode() if response.is_success else None
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError):
        return None


def _check_host(url: httpx.URL, setting: str) -> None:
    """Raise BadSetting if the host of an address cannot be a name, like `hashdb..example`."""
    try:
        # `host` reads an encoded name. What is looked up is `raw_host`: Python's codec rejects some names of `host`.
        if url.host:
            url.raw_host.decode("ascii").encode("idna")
    except UnicodeError:
        raise BadSetting(setting, "is not an address: its host cannot be a name") from None


class TypedRequests:
    """Requests whose answers are read as models of `hashdb.wire`. All methods raise what `Connection.send` raises."""

    _connection: Connection

    def _list(
        self,
        model: type[PageModel],
        path: str,
        params: Params | None = None,
        after: int | None = 0,
        text: str | None = None,
    ) -> Iterator[Any]:
        """Every row of a list with an id above `after`, page by page. A list with a body (`text`) is read by POST."""
        method = "GET" if text is None else "POST"
        while after is not None:
            page = self._ask(model, ClientRequest(method, path, text, {**(params or {}), "after": after}))
            yield from page.rows()
            if page.next is not None and page.next <= after:
                # A list that turns back has no end.
                raise ServiceError(200, NOT_HASHDB)
            after = page.next

    def _post_or_proposal(self, model: type[_Body], path: str, text: str) -> _Body | wire.review.ProposalOut:
        """The answer to a POST as `_post` returns it, or on status 202 the proposal that waits for a second person."""
        response = self._connection.send(ClientRequest("POST", path, text, safe=False))
        return _read(wire.review.ProposalOut, response) if response.status_code == 202 else _read(model, response)

    def _ask_later(self, model: type[_Body], request: ClientRequest) -> _Body:
        """The answer. On status 202, the service answers later: wait for its job, and return the answer of the job."""
        response = self._connection.send(request)
        if response.status_code != 202:
            return _read(model, response)
        job = ClientRequest("GET", f"/v1/jobs/{_read(wire.jobs.JobOut, response).id}")
        while (answer := wire.jobs.read_job(response.content, model)) is None:
            seconds = _retry_after(response)
            time.sleep(1 if seconds is None else min(seconds, LONGEST_WAIT))
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
    """Seconds until the next attempt: longer each time, and random, so that not all clients retry at the same time.

    `attempt` counts from 0. If the error says when to retry, the pause is not shorter.
    """
    pause: float = min(_FIRST_PAUSE * 2**attempt, _LONGEST_PAUSE) * random.uniform(0.5, 1.0)
    if isinstance(error, Unavailable | LimitReached):
        return max(0, min(error.retry_after, _WEEK)) + pause / 2
    return pause


def _retry_after(response: httpx.Response) -> int | None:
    """The seconds after which an answer asks to send the request again; None if it does not say."""
    text = response.headers.get("Retry-After", "")
    # Nine digits are enough: Python converts no text of more than 4,300.
    return int(text[:9]) if text.isdecimal() else None


def _is_web_page(response: httpx.Response) -> bool:
    return str(response.headers.get("Content-Type", "")).startswith("text/html")


def _other_server(response: httpx.Response, setting: str) -> str:
    """What an answer says that is not one of hashdb, and what to do; `setting` is where the address is from."""
    if response.next_request is not None:
        there = response.next_request.url
        return f"it redirects to {there.scheme}://{there.netloc.decode('ascii', 'replace')}: look at {setting}"
    if b"HTTP request was sent to HTTPS port" in response.content or b"HTTP request to an HTTPS" in response.content:
        return f"this port uses TLS: write https:// in {setting}"
    if response.status_code in _BROKEN or response.status_code in _BUSY:
        return f"{NOT_HASHDB}, but of a proxy: the service may be stopped, or {setting} may be wrong"
    if response.status_code in (401, 403, 407):
        return f"{NOT_HASHDB}, but of a proxy that requires a sign-in"
    return f"{'a web page, ' * _is_web_page(response)}{NOT_HASHDB}: look at {setting}"


def _reason(error: httpx.HTTPError) -> str:
    """Why there is no answer, as the end of a sentence about the service."""
    if isinstance(error, httpx.TimeoutException):
        return "it took too long"
    if isinstance(error, httpx.ProxyError):
        return "the proxy of HTTPS_PROXY or HTTP_PROXY cannot reach it"
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError | socket.gaierror):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            f"this machine does not trust its certificate ({cause.verify_message}): set SSL_CERT_FILE if your"
            " authority is private"
        )
    if isinstance(cause, ssl.SSLError):
        return "TLS fails: the address may need another port, or http://"
    if isinstance(cause, socket.gaierror):
        return "the host name is unknown"
    if isinstance(error, httpx.ConnectError):
        return "it refuses the connection, or cannot be reached"
    return "the connection broke"
