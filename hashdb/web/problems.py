"""Errors as HTTP: the table of status codes, and application/problem+json (RFC 9457)."""

from __future__ import annotations

import json
import logging

from flask import Flask, Response, g, request
from werkzeug.exceptions import (
    HTTPException,
    RequestEntityTooLarge,
)
from werkzeug.exceptions import (
    MethodNotAllowed as WrongMethod,
)
from werkzeug.exceptions import (
    NotFound as NoSuchAddress,
)

from hashdb import errors
from hashdb.domain.accounts.members import Actor
from hashdb.service import HashDB
from hashdb.service.background import place
from hashdb.service.stats import refusals
from hashdb.wire.problems import problem

log = logging.getLogger("hashdb.web")

STATUS: dict[type[errors.HashDBError], int] = {
    errors.MalformedRequest: 400,
    errors.NotAuthenticated: 401,
    errors.NotAllowed: 403,
    errors.NotFound: 404,
    errors.MethodNotAllowed: 405,
    errors.Conflict: 409,
    errors.FeedRestarted: 410,
    errors.TooLarge: 413,
    errors.UnsupportedContent: 415,
    errors.VideoTooLarge: 413,
    errors.InvalidInput: 422,
    errors.LimitReached: 429,
    errors.Unavailable: 503,
}
"""The HTTP status of each error class and its subclasses."""

_CONTRIBUTING = ("/v1/contributions", "/v1/contributions/media")


def status_of(kind: type[errors.HashDBError]) -> int:
    """The HTTP status of an error class. 500 if the table has none, which is a bug."""
    return next((STATUS[parent] for parent in kind.__mro__ if parent in STATUS), 500)


def respond(error: Exception) -> Response:
    """The response for an error. The response for an unexpected error names no cause."""
    if not isinstance(error, errors.HashDBError) or (status := status_of(type(error))) == 500:
        return _internal_error(error)
    response = Response(json.dumps(problem(error, status)), status, mimetype="application/problem+json")
    retry_after = getattr(error, "retry_after", None)
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    if isinstance(error, errors.NotAuthenticated):
        response.headers["WWW-Authenticate"] = 'Bearer realm="hashdb"'
    if isinstance(error, errors.MethodNotAllowed):
        response.headers["Allow"] = error.allowed
    return response


def register(app: Flask, db: HashDB) -> None:
    """Make every error of the application a problem response, and count rejected requests."""

    def refuse_request(error: errors.HashDBError) -> Response:
        rule = request.url_rule.rule if request.method == "POST" and request.url_rule is not None else ""
        return refuse(db, g.get("actor"), error, rule)

    app.register_error_handler(errors.HashDBError, refuse_request)
    app.register_error_handler(HTTPException, _convert)
    app.register_error_handler(Exception, respond)


def refuse(db: HashDB, actor: Actor | None, error: Exception, posted_to: str) -> Response:
    """The problem response to a request, which is counted if it is a refusal."""
    refusals.note(db, actor, error)
    if posted_to in _CONTRIBUTING and isinstance(error, errors.HashDBError):
        refusals.note_contribution(db, actor, error)
    return respond(error)


def refusal_of(error: HTTPException) -> errors.HashDBError | None:
    """The error of hashdb for one of Werkzeug with a status of 400 to 499, else None."""
    if isinstance(error, WrongMethod):
        return errors.MethodNotAllowed(", ".join(sorted(error.valid_methods or ())))
    if isinstance(error, RequestEntityTooLarge):
        return _too_large()
    if isinstance(error, NoSuchAddress):
        return errors.NotFound("this address")
    return errors.MalformedRequest("the request cannot be read") if 400 <= (error.code or 500) < 500 else None


def _convert(error: HTTPException) -> Response:
    if refusal := refusal_of(error):
        return respond(refusal)
    if (error.code or 500) < 400:
        return Response(status=error.code, headers=dict(error.get_headers()))
    return _internal_error(error)


def _too_large() -> errors.TooLarge:
    limit = request.max_content_length or 0
    if request.mimetype == "multipart/form-data":
        # The parser does not say which of the two limits was exceeded.
        return errors.TooLarge(f"the bytes of a form, which may have {request.max_form_parts} parts,", limit)
    return errors.TooLarge("the bytes of a request", limit)


def _internal_error(error: Exception) -> Response:
    # The text of an unexpected error may hold content, so only its class and place are logged.
    log.error("unexpected %s at %s", type(error).__name__, place(error))
    body = {
        "type": "/problems/internal",
        "title": "Internal error",
        "status": 500,
        "detail": "the service failed and logged the error",
    }
    return Response(json.dumps(body), 500, mimetype="application/problem+json")
