"""What the sidecar answers: a status, a text, and headers; and errors in the same form."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import NamedTuple

from werkzeug.exceptions import HTTPException

from hashdb.errors import InvalidInput
from hashdb.wire import ResponseModel
from hashdb.wire.sharing import hma
from hashdb.wsgi.forms import InMemoryRequest
from hashdb.wsgi.problems import problem_answer, refusal_of

JSON, TEXT = "application/json", "text/plain"
HMA = "/hma/"
"""The prefix of HMA's API, whose errors have its form."""


class Reply(NamedTuple):
    """An answer of the sidecar."""

    body: bytes
    content_type: str = JSON
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def line(self) -> str:
        """The status as HTTP writes it."""
        return f"{self.status} {HTTPStatus(self.status).phrase}"


def of_model(model: ResponseModel) -> Reply:
    """The reply with a model."""
    return Reply(model.json_text().encode())


def of_json(content: object, status: int = 200) -> Reply:
    """The reply with any JSON."""
    return Reply(json.dumps(content, ensure_ascii=False).encode(), status=status)


def of_error(error: Exception, path: str, request: InMemoryRequest | None) -> Reply:
    """The reply to an error at a path: problem details, or HMA's form below `/hma`."""
    if isinstance(error, HTTPException) and request is not None:
        error = refusal_of(error, request) or error
    status, headers, text = problem_answer(error)
    content_type, more = headers[0][1], tuple(headers[1:])
    if f"{path}/".startswith(HMA):
        message = {"message": json.loads(text)["detail"]}
        content = hma.faults_out(error) if isinstance(error, InvalidInput) else message
        text, content_type = json.dumps(content, ensure_ascii=False), JSON
    return Reply(text.encode(), content_type, status, more)
