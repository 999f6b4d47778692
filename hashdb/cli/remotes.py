"""Remotes over HTTP: requests to the services of upstreams, to addresses that the rules permit, of bounded size."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from http.client import HTTPException, HTTPResponse
from urllib.parse import urlsplit

import httpx

from hashdb.client import Client
from hashdb.domain.accounts.members import Scope
from hashdb.domain.addresses import EgressPolicy
from hashdb.domain.rules import Rules
from hashdb.domain.sharing.upstreams import UpstreamPage
from hashdb.service import system_clock
from hashdb.service.sharing.safe_http import connect, request_target, resolve
from hashdb.wire import ValidationContext
from hashdb.wire.sharing.upstreams import read_page

_CHUNK = 1 << 20
"""Bytes of a response that are read at a time."""
_REQUEST_SECONDS = 60.0
"""How long one request may take, from connecting to the end of the response."""
_RESPONSE_BYTES = 64 << 20
"""The most bytes of one response. A page of 200 contributions has about a megabyte, one with many frames ten."""


class HTTPRemote(Client):
    """The service of an upstream."""

    def __init__(
        self,
        url: str,
        key: str,
        rules: Rules,
        *,
        clock: Callable[[], datetime] = system_clock,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Does not connect yet. Raises BadSetting."""
        super().__init__(url, key, retries=1, transport=transport or GuardedTransport(rules.egress))
        self._rules, self._now = rules, clock

    def scopes(self) -> frozenset[Scope]:
        """What the key may be used for."""
        return frozenset(self.me().key.scopes)

    def page(self, after: int, epoch: str | None, limit: int) -> UpstreamPage:
        """At most `limit` changes after a seq of a log. Raises FeedRestarted, ValueError, and what `Client` raises."""
        text = self.changes_text(after, limit=limit, epoch=epoch)
        # What comes from an upstream may lack what only a new draft needs.
        return read_page(text, ValidationContext(self._rules, self._now(), imported=True))


class GuardedTransport(httpx.BaseTransport):
    """Sends each request to an address that was checked, without proxy and redirect, and cuts long responses.

    Raises NotPermittedError, UnknownNameError.
    """

    def __init__(self, egress: EgressPolicy) -> None:
        """Connect only where the policy permits it."""
        self._egress = egress

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The whole response to a request."""
        parts = urlsplit(str(request.url))
        address = resolve(parts, self._egress.permits)
        # A short response could become a very long one if it were compressed.
        headers = {name.title(): value for name, value in request.headers.items()}
        headers |= {"Accept-Encoding": "identity", "Connection": "close"}
        try:
            with connect(parts, address, _REQUEST_SECONDS) as connection:
                connection.request(request.method, request_target(parts), request.read(), headers)
                return _read_whole(connection.getresponse())
        except (OSError, HTTPException, ValueError) as error:
            raise httpx.ReadError(type(error).__name__) from None


def _read_whole(response: HTTPResponse) -> httpx.Response:
    with response:
        body = bytearray()
        while part := response.read(_CHUNK):
            body += part
            if len(body) > _RESPONSE_BYTES:
                raise ValueError("the response is too long")
    headers = [
        (name.encode("latin-1"), value.encode("latin-1"))
        for name, value in response.getheaders()
        if name.lower() != "content-encoding"
    ]
    return httpx.Response(response.status, headers=headers, content=bytes(body))
