"""What a small server answers: a status, a text, and headers."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import NamedTuple

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request

from hashdb.http_server.problems import problem_answer, refusal_of
from hashdb.wire import ResponseModel

JSON, TEXT = "application/json", "text/plain"


class Reply(NamedTuple):
    """An answer of the sidecar or of a witness."""

    body: bytes
    content_type: str = JSON
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def status_line(self) -> str:
        """The status with its phrase, such as `200 OK`."""
        return f"{self.status} {HTTPStatus(self.status).phrase}"


def model_reply(model: ResponseModel) -> Reply:
    """The reply with a model."""
    return Reply(model.json_text().encode())


def json_reply(content: object, status: int = 200) -> Reply:
    """The reply with any JSON."""
    return Reply(json.dumps(content, ensure_ascii=False).encode(), status=status)


def problem_reply(error: Exception, request: Request | None) -> Reply:
    """The reply to an error: problem details. For an error of Werkzeug, `request` is the one that it was raised at."""
    if isinstance(error, HTTPException) and request is not None:
        error = refusal_of(error, request) or error
    status, ((_, content_type), *headers), text = problem_answer(error)
    return Reply(text.encode(), content_type, status, tuple(headers))
