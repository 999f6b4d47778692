"""Errors as HTTP: the table of status codes, and application/problem+json (RFC 9457)."""

from __future__ import annotations

import json
import logging

from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.exceptions import MethodNotAllowed as WrongMethod
from werkzeug.exceptions import NotFound as NoSuchAddress
from werkzeug.wrappers import Request

from hashdb import errors
from hashdb.wire.problems import problem

log = logging.getLogger("hashdb.web")

STATUS: dict[type[errors.HashDBError], int] = {
    errors.MalformedRequest: 400,
    errors.NotAuthenticated: 401,
    errors.NotAllowed: 403,
    errors.NotFound: 404,
    errors.NotCosigned: 404,
    errors.MethodNotAllowed: 405,
    errors.Conflict: 409,
    errors.FeedRestarted: 410,
    errors.TooLarge: 413,
    errors.UnsupportedContent: 415,
    errors.VideoTooLarge: 413,
    errors.InconsistentLog: 422,
    errors.InvalidInput: 422,
    errors.LimitReached: 429,
    errors.Unavailable: 503,
}
"""The HTTP status of each error class and its subclasses."""


def status_of(kind: type[errors.HashDBError]) -> int:
    """The HTTP status of an error class. 500 if the table has none, which is a bug."""
    return next((STATUS[parent] for parent in kind.__mro__ if parent in STATUS), 500)


def problem_answer(error: Exception) -> tuple[int, list[tuple[str, str]], str]:
    """The status, the headers and the text of the answer to an error. The first header is Content-Type.

    The answer to an unexpected error names no cause.
    """
    headers = [("Content-Type", "application/problem+json")]
    if not isinstance(error, errors.HashDBError) or (status := status_of(type(error))) == 500:
        return 500, headers, _internal_error(error)
    retry_after = getattr(error, "retry_after", None)
    if retry_after is not None:
        headers.append(("Retry-After", str(retry_after)))
    if isinstance(error, errors.NotAuthenticated):
        headers.append(("WWW-Authenticate", 'Bearer realm="hashdb"'))
    if isinstance(error, errors.MethodNotAllowed):
        headers.append(("Allow", error.allowed))
    return status, headers, json.dumps(problem(error, status))


def _internal_error(error: Exception) -> str:
    # The text of an unexpected error may hold content, so only its class and place are logged.
    log.error("unexpected %s at %s", type(error).__name__, errors.where_raised(error))
    body = {
        "type": "/problems/internal",
        "title": "Internal error",
        "status": 500,
        "detail": "the service failed and logged the error",
    }
    return json.dumps(body)


def refusal_of(error: HTTPException, request: Request) -> errors.HashDBError | None:
    """The error of hashdb for an error of Werkzeug whose status is 400 to 499; None for any other status."""
    if isinstance(error, WrongMethod):
        return errors.MethodNotAllowed(", ".join(sorted(error.valid_methods or ())))
    if isinstance(error, RequestEntityTooLarge):
        return _too_large(request)
    if isinstance(error, NoSuchAddress):
        return errors.NotFound("this address")
    return errors.MalformedRequest("the request cannot be read") if 400 <= (error.code or 500) < 500 else None


def _too_large(request: Request) -> errors.TooLarge:
    limit = request.max_content_length or 0
    if request.mimetype == "multipart/form-data":
        # The parser does not say which of the two limits was exceeded.
        return errors.TooLarge(f"the bytes of a form, which may have {request.max_form_parts} parts,", limit)
    return errors.TooLarge("the bytes of a request", limit)
