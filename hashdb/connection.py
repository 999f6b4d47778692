"""Connection: requests to a service, sent again where that does no harm, and its answers or its errors."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from hashdb.errors import BadSetting, HashDBError, LimitReached, ServiceError, ServiceUnreachable, Unavailable
from hashdb.wire.problems import error_of

LONGEST_WAIT = 30.0
"""Seconds: who is told to come again later than that is told so at once."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 8.0
_BUSY, _BROKEN = (429, 503), (502, 504)
"""What is answered instead of carrying a request out, and what a proxy answers who does not know whether it was."""
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)

Asked = Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class ClientRequest:
    """What is asked. `longer` is what the service may take beyond the timeout, in seconds.

    A `safe` one does no harm when it comes twice; another is sent again only where it was surely not carried out.
    """

    method: str
    path: str
    text: str | None = None
    params: Asked = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    files: tuple[tuple[str, bytes], ...] = ()
    longer: int = 0
    safe: bool = True


class Connection:
    """To one service with one key; safe to use from several threads, which share its sockets."""

    def __init__(
        self, url: str, key: str, timeout: float, retries: int, transport: httpx.BaseTransport | None = None
    ) -> None:
        """Opens nothing yet. Raises BadSetting."""
        self._url, self._retries = url.rstrip("/"), retries
        if not self._url.startswith(("http://", "https://")):
            raise BadSetting("HASHDB_URL", "takes an address like https://hashdb.example")
        if not key.isprintable():
            raise BadSetting("HASHDB_KEY", "has characters that cannot be sent")
        try:
            headers = {"Authorization": f"Bearer {key}", "Accept": "application/json"}
            self._http = httpx.Client(base_url=self._url, headers=headers, timeout=timeout, transport=transport)
        except (httpx.InvalidURL, UnicodeEncodeError):
            raise BadSetting("HASHDB_URL or HASHDB_KEY", "has characters that cannot be sent") from None

    def close(self) -> None:
        """Close the sockets."""
        self._http.close()

    def send(self, request: ClientRequest) -> httpx.Response:
        """The answer, read whole. Raises what the service raises, ServiceUnreachable, ServiceError."""
        with self._answered(request, stream=False) as response:
            return response

    def lines(self, request: ClientRequest) -> Iterator[bytes]:
        """The whole lines of an answer that streams, many at a time. Raises as `send`, also in between."""
        with self._answered(request, stream=True) as response:
            rest = b""
            try:
                for part in response.iter_bytes():
                    whole, end, last = (rest + part).rpartition(b"\n")
                    rest = last
                    if end:
                        yield whole
            except httpx.HTTPError as error:
                raise ServiceUnreachable(self._url, _why(error)) from None

    @contextmanager
    def _answered(self, request: ClientRequest, *, stream: bool) -> Iterator[httpx.Response]:
        response = self._repeated(request, stream)
        try:
            yield response
        finally:
            response.close()
        told = response.headers.get("Retry-After", "")
        if request.longer and told.isdecimal():
            # It found no place to wait at the service, so it waits here.
            time.sleep(min(int(told), request.longer))

    def _repeated(self, request: ClientRequest, stream: bool) -> httpx.Response:
        for number in range(self._retries + 1):
            try:
                response = self._http.send(self._spelled(request), stream=stream)
                if response.is_success:
                    return response
                response.read()
                response.close()
                error, status = _error(response), response.status_code
                again = status in _BUSY or (request.safe and status in _BROKEN)
            except httpx.HTTPError as broken:
                error = ServiceUnreachable(self._url, _why(broken))
                again = request.safe or isinstance(broken, _UNSENT)
            pause = _pause(error, number)
            if not again or number == self._retries or pause > LONGEST_WAIT:
                raise error
            time.sleep(pause)
        raise AssertionError("a loop without an end")

    def _spelled(self, request: ClientRequest) -> httpx.Request:
        headers = {**request.headers, **({} if request.text is None else {"Content-Type": "application/json"})}
        files = [("file", one) for one in request.files] or None
        spelled = self._http.build_request(
            request.method, request.path, content=request.text, params=request.params, headers=headers, files=files
        )
        if request.longer:
            given = spelled.extensions["timeout"].items()
            spelled.extensions["timeout"] = {
                name: seconds + request.longer for name, seconds in given if seconds is not None
            }
        return spelled


def _error(response: httpx.Response) -> HashDBError:
    error = error_of(response.status_code, response.content)
    told = response.headers.get("Retry-After", "")
    if isinstance(error, ServiceError) and response.status_code in (429, 503) and told.isdecimal():
        # Not hashdb's own words, as of a proxy; but when to come again is said.
        return Unavailable(int(told))
    return error


def _pause(error: HashDBError, number: int) -> float:
    """Seconds until the next attempt: longer each time, by chance, so that not all come again at once."""
    pause: float = min(_FIRST_PAUSE * 2**number, _LONGEST_PAUSE) * random.uniform(0.5, 1.0)
    return error.retry_after + pause / 2 if isinstance(error, Unavailable | LimitReached) else pause


def _why(error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "it took too long"
    if isinstance(error, httpx.ConnectError):
        return "it refuses the connection, or is not there"
    return "the connection broke"
