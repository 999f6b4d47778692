"""A fast path for the most frequent requests, matches and single contributions: the same answer without Flask."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from hashdb.domain.accounts.budgets import MATCH_BUDGETS, Budget
from hashdb.domain.accounts.members import Actor, Scope
from hashdb.http_server.bodies import is_plain, read_plain
from hashdb.service.matching import matches
from hashdb.web import access_log, problems
from hashdb.web.api.contributions import contribute
from hashdb.web.context import (
    LARGE_BODY,
    AppState,
    authenticate_key,
    bearer,
    parse_idempotency_key,
    remaining_budget_headers,
    validation_context_of,
)
from hashdb.web.limits import budgets_of
from hashdb.wire import ValidationContext
from hashdb.wire.matching import answer_text, read_queries

MATCHES, CONTRIBUTIONS = "/v1/matches", "/v1/contributions"


class _Route(NamedTuple):
    """What `FastPath` knows of the POST requests to one path."""

    scope: Scope
    """The scope that a key needs."""
    budgets: Sequence[Budget]
    """The budgets that a request uses."""
    status: str
    """The status line of a successful answer."""
    max_body: int | None = None
    """The largest body in bytes, if that is less than the service accepts: Flask answers requests with larger ones."""


_ROUTES = {
    MATCHES: _Route(Scope.MATCH, MATCH_BUDGETS, "200 OK"),
    CONTRIBUTIONS: _Route(
        Scope.CONTRIBUTE, budgets_of("POST", "contributions.create_contributions"), "201 CREATED", LARGE_BODY
    ),
}
"""By path."""
_QUICK = 1_000
"""The largest body of a quick match, in bytes."""


def is_quick(environ: WSGIEnvironment) -> bool:
    """Whether a request is answered in a fraction of a millisecond: a match of a few signals."""
    return environ["PATH_INFO"] == MATCHES and int(environ.get("CONTENT_LENGTH", "0")) <= _QUICK


class FastPath:
    """WSGI middleware that answers plain requests (see `is_plain`) to `_ROUTES`, and passes on all others."""

    def __init__(self, application: WSGIApplication, state: AppState) -> None:
        """Wrap an application."""
        self._application = application
        self._state = state

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        path = environ["PATH_INFO"]
        route = _ROUTES.get(path)
        if route is None or not self._is_plain(environ, route):
            return self._application(environ, start_response)
        started, db = time.perf_counter(), self._state.db
        actor: Actor | None = None
        try:
            # A request with a truncated body is counted here and again by the application: harmless.
            address = environ.get("REMOTE_ADDR", "")
            self._state.limits.count_address(address)
            actor = authenticate_key(self._state, bearer(environ.get("HTTP_AUTHORIZATION", "")), address)
            actor.require(route.scope)
            self._state.limits.count_scope(actor, (route.scope,))
            content: bytes | None = None
            if route.scope is Scope.CONTRIBUTE:
                content = self._contribute(environ, actor)
            elif int(environ["CONTENT_LENGTH"]) > LARGE_BODY:
                content = self._answer_large(environ, actor)
            elif (body := read_plain(environ)) is not None:
                # Not `validation_context_of`: only contributions need `close_to_benign`.
                queries = read_queries(body, ValidationContext(db.rules, db.now()))
                # Authentication read the head of the log a moment ago. So a small match, which waits for no turn,
                # need not read it again.
                matched = matches.match(db, actor, queries, head=db.index.catch_up(db.follower.head))
                content = answer_text(matched).encode()
            if content is None:
                # The body is truncated: the application answers with the error.
                return self._application(environ, start_response)
        except Exception as error:
            # The paths in `_ROUTES` have no parameters: each is the route as well.
            response = problems.refuse(db, actor, error, posted_to=path)
            if actor is not None:
                response.headers.extend(remaining_budget_headers(db, actor, route.budgets))
            access_log.log_answer(self._state, "POST", path, response.status_code, started, actor)
            return response(environ, start_response)
        access_log.log_answer(self._state, "POST", path, int(route.status[:3]), started, actor)
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(content)))]
        start_response(route.status, headers + remaining_budget_headers(db, actor, route.budgets))
        return [content]

    def _contribute(self, environ: WSGIEnvironment, actor: Actor) -> bytes | None:
        """The content of the answer; None if the body is truncated."""
        if (body := read_plain(environ)) is None:
            return None
        db = self._state.db
        key = parse_idempotency_key(environ.get("HTTP_IDEMPOTENCY_KEY"), CONTRIBUTIONS, body)
        return contribute(db, actor, body, key, validation_context_of(db)).json_text().encode()

    def _answer_large(self, environ: WSGIEnvironment, actor: Actor) -> bytes | None:
        """The content of the answer to a match of more than `LARGE_BODY`; None if the body is truncated."""
        db = self._state.db
        with db.request_slots.hold(actor):
            if (body := read_plain(environ)) is None:
                return None
            # The turn also covers parsing and encoding: these hold the GIL, so all other threads wait.
            with db.batches.turn(actor.name):
                queries = read_queries(body, ValidationContext(db.rules, db.now()))
                return answer_text(matches.match(db, actor, queries, has_turn=True)).encode()

    def _is_plain(self, environ: WSGIEnvironment, route: _Route) -> bool:
        """Whether a request has only the path, a key and a JSON body of an accepted length."""
        return environ["REQUEST_METHOD"] == "POST" and is_plain(
            environ, min(self._state.settings.max_body, route.max_body or sys.maxsize)
        )
