"""Connection: send requests to a service, retry them if that is safe, read the answers, and raise its errors."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO, TypeVar

import httpx
from pydantic import ValidationError

from hashdb import wire
from hashdb.errors import BadSetting, HashDBError, LimitReached, ServiceError, ServiceUnreachable, Unavailable
from hashdb.wire import PageModel, ResponseModel
from hashdb.wire.problems import error_from_problem

LONGEST_WAIT = 30.0
"""Seconds. If the service asks for a longer wait, its error is raised at once."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 8.0
_BUSY, _BROKEN = (429, 503), (502, 504)
"""Status codes: the request was not carried out; a proxy does not know whether it was."""
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)

_Body = TypeVar("_Body", bound=ResponseModel)
Params = Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class ClientRequest:
    """A request. The service may take `extra_seconds` longer than the timeout.

    A `safe` request may be carried out twice. Another one is sent again only if it was certainly not carried out.
    """

    method: str
    path: str
    text: str | None = None
    params: Params = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    files: tuple[tuple[str, bytes | BinaryIO], ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)
    """Of the form with the files."""
    extra_seconds: int = 0
    safe: bool = True


class Connection:
    """A connection to one service with one key. It is thread-safe; threads share its sockets."""

    def __init__(
        self, url: str, key: str, timeout: float, retries: int, transport: httpx.BaseTransport | None = None
    ) -> None:
        """Does not connect yet. Raises BadSetting."""
        self._url, self._retries = url.rstrip("/"), retries
        if not self._url.startswith(("http://", "https://")):
            raise BadSetting("HASHDB_URL", "must be an address like https://hashdb.example")
        if not key.isprintable():
            raise BadSetting("HASHDB_KEY", "has characters that HTTP cannot carry")
        try:
            headers = {"Authorization": f"Bearer {key}", "Accept": "application/json"}
            self._http = httpx.Client(base_url=self._url, headers=headers, timeout=timeout, transport=transport)
        except (httpx.InvalidURL, UnicodeEncodeError):
            raise BadSetting("HASHDB_URL or HASHDB_KEY", "has characters that HTTP cannot carry") from None

    def close(self) -> None:
        """Close the sockets."""
        self._http.close()

    def send(self, request: ClientRequest) -> httpx.Response:
        """The complete response. Raises the errors of the service, ServiceUnreachable, ServiceError."""
        with self._response(request, stream=False) as response:
            return response

    def lines(self, request: ClientRequest) -> Iterator[bytes]:
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
            # The service had no free place for a request that waits, so the client waits.
            time.sleep(min(int(retry_after), request.extra_seconds))

    def _send_with_retries(self, request: ClientRequest, stream: bool) -> httpx.Response:
        for attempt in range(self._retries + 1):
            try:
                response = self._http.send(self._build(request), stream=stream)
                if response.is_success:
                    return response
                response.read()
                response.close()
                error, status = _error(response), response.status_code
                retry = status in _BUSY or (request.safe and status in _BROKEN)
            except httpx.HTTPError as failure:
                error = ServiceUnreachable(self._url, _reason(failure))
                retry = request.safe or isinstance(failure, _NOT_SENT)
            pause = _pause(error, attempt)
            if not retry or attempt == self._retries or pause > LONGEST_WAIT:
                raise error
            time.sleep(pause)
        raise AssertionError("a loop without an end")

    def _build(self, request: ClientRequest) -> httpx.Request:
        headers = {**request.headers, **({} if request.text is None else {"Content-Type": "application/json"})}
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


class Asking:
    """Typed answers over a connection."""

    _connection: Connection

    def _list(
        self,
        model: type[PageModel],
        path: str,
        params: Params | None = None,
        after: int | None = 0,
        text: str | None = None,
    ) -> Iterator[Any]:
        """Every row of a list, page by page; `text` is the body of a list that is asked for by POST."""
        method = "GET" if text is None else "POST"
        while after is not None:
            page = self._ask(model, ClientRequest(method, path, text, {**(params or {}), "after": after}))
            yield from page.rows()
            after = page.next

    def _ask_or_proposal(self, model: type[_Body], request: ClientRequest) -> _Body | wire.review.ProposalOut:
        """The answer, or (on 202) the proposal that waits for a second person."""
        response = self._connection.send(request)
        return _read(wire.review.ProposalOut, response) if response.status_code == 202 else _read(model, response)

    def _ask_later(self, model: type[_Body], request: ClientRequest) -> _Body:
        """The answer, or (on 202) that of the job, once it is made."""
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


def _read(model: type[_Body], response: httpx.Response) -> _Body:
    try:
        return model.model_validate_json(response.content)
    except ValidationError:
        raise ServiceError(response.status_code, "not an answer of hashdb") from None


def form(path: str, files: Sequence[bytes | BinaryIO], **more: Any) -> ClientRequest:
    """A request with files, in order."""
    return ClientRequest("POST", path, files=tuple((str(number), file) for number, file in enumerate(files)), **more)


def _error(response: httpx.Response) -> HashDBError:
    error = error_from_problem(response.status_code, response.content)
    retry_after = response.headers.get("Retry-After", "")
    if isinstance(error, ServiceError) and response.status_code in (429, 503) and retry_after.isdecimal():
        # Not an answer of hashdb, perhaps a proxy's, but it says when to retry.
        return Unavailable(int(retry_after))
    return error


def _pause(error: HashDBError, attempt: int) -> float:
    """Seconds until the next attempt: longer each time, and random, so that clients do not retry at once together."""
    pause: float = min(_FIRST_PAUSE * 2**attempt, _LONGEST_PAUSE) * random.uniform(0.5, 1.0)
    return error.retry_after + pause / 2 if isinstance(error, Unavailable | LimitReached) else pause


def _reason(error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "it took too long"
    if isinstance(error, httpx.ConnectError):
        return "it refuses the connection, or is not there"
    return "the connection broke"
