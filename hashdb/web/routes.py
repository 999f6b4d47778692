"""The routes of the API: a blueprint with a tag, and a decorator that checks the key and documents the view."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from inspect import cleandoc
from typing import Any, Final

from flask import Blueprint, Response, request
from pydantic import BaseModel

from hashdb.domain.accounts.members import Scope
from hashdb.web.context import actor, admit, answer
from hashdb.web.context import query as read_query
from hashdb.wire import ResponseModel
from hashdb.wire.pages import QueryString

View = Callable[..., Response | ResponseModel | str | None]
AnswerType = type[ResponseModel] | type[str] | None
"""The model of a JSON answer, `str` for a plain text, or None for an answer without content."""
JSON = "application/json"
FORM = "multipart/form-data"
TEXT = "text/plain"


class ApiBlueprint(Blueprint):
    """A blueprint whose views the document lists under one tag."""

    def __init__(self, name: str, *, tag: str, about: str, url_prefix: str | None = None) -> None:
        """A Flask blueprint at `/v1/<name>` with a tag, and a sentence about it that names the readers."""
        super().__init__(name, __name__, url_prefix=f"/v1/{name}" if url_prefix is None else url_prefix)
        self.tag: Final = tag
        self.about: Final = about


@dataclass(frozen=True, slots=True)
class Operation:
    """The documentation of a view; the decorator `operation` says what its parameters mean."""

    summary: str
    description: str
    answers: Mapping[int, AnswerType]
    any_scope: Sequence[Scope] | None
    body: type[BaseModel] | type[str] | None
    body_type: str
    """The media type of the body."""
    query: type[BaseModel] | None
    streams: Sequence[str]
    idempotent: bool
    errors: Sequence[int]
    """All statuses of errors, also those that are implied."""


OPERATIONS: dict[Callable[..., Any], Operation] = {}
"""By view; the OpenAPI document is made from them."""


def operation(
    answers: Mapping[int, AnswerType],
    *,
    any_scope: Sequence[Scope] | None = (),
    body: type[BaseModel] | type[str] | None = None,
    form: type[BaseModel] | None = None,
    query: type[BaseModel] | None = None,
    streams: Sequence[str] = (),
    idempotent: bool = False,
    errors: Sequence[int] = (),
) -> Callable[[View], Callable[..., Response]]:
    """Document a view, and check the key of a request before the view reads it.

    The name of the view is the id of the operation. Its docstring is the summary and the description.
    - `answers` has for each status the type of the content. The view returns such content, or makes the response.
    - `any_scope`: the key needs one of these scopes. Empty: any valid key is enough. None: no key is needed.
    - `body` is the model of the JSON body, or `str` for plain text. `form` is the model of a multipart body.
    - `query` is the model of the query string. Without it, a request with a key must have no query string.
    - `streams` are further media types of the answer with the lowest status. `idempotent`: takes an Idempotency-Key.
    - `errors` are statuses of errors beside those that the key and the body imply.
    """
    statuses = {model: status for status, model in answers.items()}

    def decorate(view: View) -> Callable[..., Response]:
        @wraps(view)
        def guarded(**values: Any) -> Response:
            if any_scope is not None:
                admit(actor(), *any_scope)
                if query is None and request.args:
                    read_query(QueryString)
            content = view(**values)
            return content if isinstance(content, Response) else _respond(content, statuses)

        summary, _, description = cleandoc(view.__doc__ or "").partition("\n\n")
        description = " ".join(description.split())
        OPERATIONS[guarded] = Operation(
            summary=summary.removesuffix("."),
            description=description,
            answers=answers,
            any_scope=any_scope,
            body=body or form,
            body_type=FORM if form else TEXT if body is str else JSON,
            query=query,
            streams=streams,
            idempotent=idempotent,
            errors=_error_statuses(errors, has_key=any_scope is not None, has_body=bool(body or form)),
        )
        return guarded

    return decorate


def _error_statuses(further: Sequence[int], *, has_key: bool, has_body: bool) -> list[int]:
    """The statuses of the errors of an operation: those that its key and its body imply, and `further` ones."""
    return sorted({503, *((401, 403, 422, 429) if has_key else ()), *((400, 413, 415) if has_body else ()), *further})


def _respond(content: ResponseModel | str | None, statuses: Mapping[AnswerType, int]) -> Response:
    """The response with what a view returned. `statuses` has the status for each type of it."""
    if content is None:
        response = Response(status=statuses[None])
        del response.headers["Content-Type"]
        return response
    if isinstance(content, str):
        return Response(content, statuses[str], mimetype=TEXT)
    return answer(content, statuses[type(content)])
