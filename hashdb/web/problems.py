"""Errors as responses of the service, and the count of refusals."""

from __future__ import annotations

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from hashdb import errors
from hashdb.domain.accounts.members import Actor
from hashdb.http_server.problems import problem_answer, refusal_of
from hashdb.service import HashDB
from hashdb.service.stats import refusals

_CONTRIBUTING = ("/v1/contributions", "/v1/contributions/media")
"""The routes whose POST requests contribute: the service counts why it refuses contributions."""


def respond(error: Exception) -> Response:
    """The response for an error. The response for an unexpected error names no cause."""
    status, headers, text = problem_answer(error)
    return Response(text, status, headers)


def register(app: Flask, db: HashDB) -> None:
    """Make every error of the application a problem response, and count rejected requests."""

    def refuse_request(error: errors.HashDBError) -> Response:
        rule = request.url_rule.rule if request.method == "POST" and request.url_rule is not None else ""
        return refuse(db, g.get("actor"), error, posted_to=rule)

    app.register_error_handler(errors.HashDBError, refuse_request)
    app.register_error_handler(HTTPException, _respond_to_werkzeug)
    app.register_error_handler(Exception, respond)


def refuse(db: HashDB, actor: Actor | None, error: Exception, *, posted_to: str) -> Response:
    """The problem response to a request. Counts it if the key, the scope or the contribution was refused.

    `posted_to` is the route of a POST request; empty for another method.
    """
    refusals.note_access(db, actor, error)
    if posted_to in _CONTRIBUTING and isinstance(error, errors.HashDBError):
        refusals.note_contribution(db, actor, error)
    return respond(error)


def _respond_to_werkzeug(error: HTTPException) -> Response:
    """The response for an error that Flask or Werkzeug raised. Redirects are such errors, too."""
    if refusal := refusal_of(error, request):
        return respond(refusal)
    if (error.code or 500) < 400:
        return Response(status=error.code, headers=dict(error.get_headers()))
    return respond(error)
