"""The WSGI application of the sidecar: its routes, and what every request goes through."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from wsgiref.types import StartResponse, WSGIEnvironment

from hashdb.errors import MethodNotAllowed, NotFound
from hashdb.http_server import request_id
from hashdb.http_server.bodies import discard_rest, is_plain, read_plain
from hashdb.http_server.forms import InMemoryRequest
from hashdb.http_server.hma import ONE_BANK, split_bank
from hashdb.http_server.log_lines import write_line
from hashdb.http_server.prometheus_multiprocess import CONTENT_TYPE
from hashdb.http_server.replies import JSON, Reply, model_reply
from hashdb.sidecar import hma, lookback, matching
from hashdb.sidecar.guard import HEADERS, require_program
from hashdb.sidecar.metrics import Metrics
from hashdb.sidecar.state import SidecarState
from hashdb.wire.problems import HealthOut
from hashdb.wire.sidecar import SidecarReadyOut

AGE = "Hashdb-Copy-Age"
"""The header of every answer from the copy: how many seconds ago it was last up to date with the service."""
_MATCHES = "/v1/matches"
_NO_ROUTE = "(none)"
"""The route in log lines and metrics of a request whose address does not exist; its method is `(any)`."""
View = Callable[[SidecarState, InMemoryRequest], Reply]
"""A function that answers the requests of one route."""


def _healthy(state: SidecarState, request: InMemoryRequest) -> Reply:
    return model_reply(HealthOut.build(status="alive"))


def _ready(state: SidecarState, request: InMemoryRequest) -> Reply:
    copy = state.require_ready()
    count = len(state.index)
    return model_reply(
        SidecarReadyOut.build(status="ready", checkpoint=copy.seq, age=state.copy_age(), contributions=count)
    )


ROUTES: Mapping[str, Mapping[str, View]] = {
    "/healthz": {"GET": _healthy},
    "/readyz": {"GET": _ready},
    _MATCHES: {"POST": matching.match},
    "/v1/matches/media": {"POST": matching.match_media},
    "/v1/signals": {"POST": matching.hash_media},
    "/v1/me": {"GET": matching.show_me},
    "/v1/remember": {"POST": lookback.remember},
    "/remembered/matches": {"GET": lookback.matches},
    "/remembered/acknowledged": {"POST": lookback.acknowledge},
    "/hma/status": {"GET": hma.status},
    "/hma/status/live": {"GET": hma.alive},
    "/hma/h/hash": {"GET": hma.hash_file, "POST": hma.hash_file},
    "/hma/m/lookup": {"GET": hma.look_up, "POST": hma.look_up},
    "/hma/m/raw_lookup": {"GET": hma.look_up_raw},
    "/hma/m/compare": {"POST": hma.compare},
    "/hma/m/index/status": {"GET": hma.show_index},
    "/hma/c/signal_type/index": {"GET": hma.show_database},
    "/hma/c/signal_type": {"GET": hma.list_types},
    "/hma/c/content_type": {"GET": hma.list_content_types},
    "/hma/c/exchanges": {"GET": hma.list_exchanges},
    "/hma/c/exchanges/apis": {"GET": hma.list_exchanges},
    "/hma/c/banks": {"GET": hma.list_banks, "POST": hma.add_bank},
    hma.BANK: {"GET": hma.show_bank},
}
"""The views by path and method. The path `hma.BANK` stands for all paths that begin with it; the rest is a bank's name.

HEAD is answered like GET.
"""
_WITHOUT_COPY = frozenset({"/healthz", "/metrics", "/hma/status/live"})
"""Routes whose answers do not depend on the copy, and so have no header with its age."""


class Sidecar:
    """The application; one for each process."""

    def __init__(self, state: SidecarState, metrics: Metrics) -> None:
        """Opens nothing yet."""
        self._state, self._metrics = state, metrics
        self._routes = {**ROUTES, "/metrics": {"GET": self._write_metrics}}
        self._largest_body = state.settings.largest_body

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        started = time.perf_counter()
        id = request_id.begin(environ, trust_headers=False)
        method, (path, bank) = environ["REQUEST_METHOD"], split_bank(environ["PATH_INFO"])
        if bank is not None:
            # The address began with /hma/as/{bank}/. From here on it has the path that it would have without the bank.
            environ |= {"PATH_INFO": path, ONE_BANK: bank}
        route = hma.BANK if path.startswith(hma.BANK) else path if path in self._routes else _NO_ROUTE
        with ExitStack() as stack:
            request: InMemoryRequest | None = None
            try:
                require_program(environ, on_unix_socket=self._state.on_unix_socket)
                reply = self._answer_plain(environ, method, path)
                if reply is None:
                    request = InMemoryRequest(environ)
                    request.max_content_length = self._state.settings.max_body
                    stack.callback(request.close)
                    reply = self._view(method, route)(self._state, request)
                headers = [] if route in _WITHOUT_COPY else [(AGE, str(self._state.copy_age()))]
            except Exception as error:
                reply, headers = hma.error_reply(error, path, request), []
        # Bytes that a view did not read would be taken for the next request on this connection.
        discard_rest(environ, self._largest_body)
        seconds = time.perf_counter() - started
        logged = method if route != _NO_ROUTE else "(any)"
        write_line(logged, route, reply.status, seconds, actor=None)
        self._metrics.count_request(logged, route, reply.status, seconds)
        headers += [("Content-Type", reply.content_type), ("Content-Length", str(len(reply.body))), *reply.headers]
        start_response(reply.status_line, [*headers, *HEADERS, (request_id.HEADER, id)])
        return [reply.body] if method != "HEAD" else []

    def _answer_plain(self, environ: WSGIEnvironment, method: str, path: str) -> Reply | None:
        """The reply to a request to match that only has a path and a JSON body; None for every other request.

        It is the most frequent request, so it is read without the steps that others need.
        """
        if path != _MATCHES or method != "POST" or not is_plain(environ, self._state.settings.max_body):
            return None
        body = read_plain(environ)
        return None if body is None else Reply(matching.match_plain(self._state, body), JSON)

    def _view(self, method: str, route: str) -> View:
        """The view of a request. Raises NotFound, MethodNotAllowed."""
        if (views := self._routes.get(route)) is None:
            raise NotFound("this address (the sidecar only matches and remembers uploads)")
        if view := views.get("GET" if method == "HEAD" else method):
            return view
        raise MethodNotAllowed(", ".join(sorted({*views, *(["HEAD"] if "GET" in views else [])})))

    def _write_metrics(self, state: SidecarState, request: InMemoryRequest) -> Reply:
        return Reply(self._metrics.text(state), CONTENT_TYPE)
