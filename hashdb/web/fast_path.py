"""The shortest way for the request that comes most often, POST /v1/matches: past Flask, to the same answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext, suppress
from io import BytesIO
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from hashdb.domain.accounts.budgets import MATCHING
from hashdb.domain.accounts.members import Actor, Scope
from hashdb.service.matching import matches
from hashdb.service.stats import refusals
from hashdb.web import access_log, problems, request_id
from hashdb.web.context import LARGE, AppState, bearer, holder, told_budgets
from hashdb.wire import ValidationContext
from hashdb.wire.matching import answer_text, read_queries

ROUTE = "/v1/matches"
_SCOPES = (Scope.MATCH,)
_AT_ONCE = 256 * 1024
"""Bytes of a body that nobody wants, which are read at a time."""
Headers = list[tuple[str, str]]


class FastPath:
    """Answers plain requests to match; all else, and whatever is odd about them, goes on to the application."""

    def __init__(self, application: WSGIApplication, face: AppState) -> None:
        """Before an application."""
        self._application = application
        self._face = face

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        if not self._is_plain(environ):
            return self._application(environ, start_response)
        started, db = time.perf_counter(), self._face.db
        actor: Actor | None = None
        try:
            # A body that is not as announced is counted here and by the application: no harm.
            address = environ.get("REMOTE_ADDR", "")
            self._face.limits.visit(address)
            actor = holder(self._face, bearer(environ.get("HTTP_AUTHORIZATION", "")), address)
            actor.require(Scope.MATCH)
            self._face.limits.use(actor, _SCOPES)
            is_large = int(environ["CONTENT_LENGTH"]) > LARGE
            with db.places.place(actor) if is_large else nullcontext():
                if (text := _body(environ)) is not None:
                    # The turn is for the parsing and the writing, too: those make all other threads wait.
                    with matches.turn(db, actor) if is_large else nullcontext():
                        queries = read_queries(text, ValidationContext(db.rules, db.now()))
                        # Authentication has read the head of the log: only a request that waited reads it again.
                        head = None if is_large else db.index.catch_up(db.follower.head)
                        answer = matches.match(db, actor, queries, head=head, has_turn=is_large)
                        content = answer_text(answer).encode()
            if text is None:
                return self._application(environ, start_response)
        except Exception as error:
            refusals.note(db, actor, error)
            response = problems.respond(error)
            if actor is not None:
                response.headers.extend(told_budgets(db, actor, MATCHING))
            access_log.log_answer(self._face, "POST", ROUTE, response.status_code, started, actor)
            return response(environ, start_response)
        access_log.log_answer(self._face, "POST", ROUTE, 200, started, actor)
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(content)))]
        start_response("200 OK", headers + told_budgets(db, actor, MATCHING))
        return [content]

    def _is_plain(self, environ: WSGIEnvironment) -> bool:
        """Whether there is nothing to a request but a path, a key and a JSON body of a length that is taken."""
        length = environ.get("CONTENT_LENGTH", "")
        return (
            environ["PATH_INFO"] == ROUTE
            and environ["REQUEST_METHOD"] == "POST"
            and not environ.get("SCRIPT_NAME")
            and not environ.get("QUERY_STRING")
            and environ.get("CONTENT_TYPE") == "application/json"
            and "HTTP_CONTENT_ENCODING" not in environ
            and "HTTP_TRANSFER_ENCODING" not in environ
            and length.isascii()
            and length.isdecimal()
            and len(length) < 12
            and int(length) <= self._face.settings.max_body
        )


def _body(environ: WSGIEnvironment) -> bytes | None:
    """The body as long as it was announced; None where it is not, which the application tells of."""
    length, text = int(environ["CONTENT_LENGTH"]), b""
    try:
        text = environ["wsgi.input"].read(length)
    except Exception:
        # Each server has its own errors for a body that is cut short.
        text = b""
    if len(text) == length:
        return text
    environ["wsgi.input"] = BytesIO(text)
    return None


def _read_the_rest(environ: WSGIEnvironment, most: int) -> None:
    # Past the end of a body, a server that does not say so waits for more.
    if not environ.get("wsgi.input_terminated"):
        return
    # Each server has its own errors for a body that is cut short: no request follows on its connection.
    with suppress(Exception):
        if 0 < int(environ.get("CONTENT_LENGTH") or 0) <= most:
            while environ["wsgi.input"].read(_AT_ONCE):
                pass


def secured(application: WSGIApplication, headers: Headers, believed: bool, largest_body: int) -> WSGIApplication:
    """The application, whose every answer has these headers, where it has not set them itself, and its request's id.

    `believed` is whether the id may come with the request. A body of up to `largest_body` bytes is read to its end,
    also where the request is refused: what is left of it would make the connection useless for the next request.
    """

    ours = [(header[0].lower(), header) for header in headers]

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        id = request_id.begin(environ, believed)

        def start(status: str, given: Headers, *more: Any) -> Callable[[bytes], object]:
            _read_the_rest(environ, largest_body)
            names = {name.lower() for name, _ in given}
            own = [header for name, header in ours if name not in names]
            own.append((request_id.HEADER, id))
            return start_response(status, given + own, *more)

        return application(environ, start)

    return answer
