"""The bodies of requests: read whole and within their limits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from typing import TypeVar
from wsgiref.types import WSGIEnvironment

from pydantic import BaseModel, ValidationError
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request

from hashdb.errors import Fault, HashDBError, MalformedRequest, TooLarge, WrongContentType, reject
from hashdb.settings import Settings
from hashdb.wire import ValidationContext
from hashdb.wire.faults import error_from_validation, path

_READ_BYTES = 256 * 1024
"""Bytes that one read takes of a body that is discarded."""


def read_json(request: Request, settings: Settings, *, may_have_frames: bool = False) -> bytes:
    """The JSON body of a request. If it `may_have_frames` of videos and has some, it may be larger than others.

    Raises WrongContentType, MalformedRequest, TooLarge.
    """
    if request.mimetype != "application/json" or request.headers.get("Content-Encoding", "identity") != "identity":
        raise WrongContentType("application/json")
    if may_have_frames:
        request.max_content_length = max(settings.max_body, settings.video_max_body)
    text = read_all(request)
    if len(text) > settings.max_body and b'"frames"' not in text:
        raise TooLarge("the bytes of a request without frames", settings.max_body)
    return text


def read_all(request: Request, *, keep: bool = False) -> bytes:
    """The body of a request. With `keep`, Werkzeug can still read a form from it. Raises MalformedRequest, TooLarge."""
    limit = request.max_content_length
    with reading_body("the body does not match its headers"):
        data = request.get_data(cache=keep)
        # Werkzeug silently truncates a chunked body at the limit.
        if len(data) == limit and request.content_length is None and request.environ["wsgi.input"].read(1):
            raise TooLarge("the bytes of a request", limit)
    return data


def read_text(request: Request) -> str:
    """The body of a request as text. Raises MalformedRequest, TooLarge."""
    try:
        return read_all(request).decode()
    except UnicodeDecodeError:
        raise MalformedRequest("the body is not UTF-8") from None


@contextmanager
def reading_body(message: str) -> Iterator[None]:
    """Raise MalformedRequest with `message` if the server cannot read a body: its length or its chunks are wrong."""
    try:
        yield
    except (HTTPException, HashDBError):
        raise
    except Exception:
        # Each server raises its own errors, and nothing but the body is read here.
        raise MalformedRequest(message) from None


_Query = TypeVar("_Query", bound=BaseModel)


def read_query(request: Request, model: type[_Query], context: ValidationContext | None) -> _Query:
    """The query string of a request, validated as `model`. Raises InvalidInput."""
    arguments = request.args if request.query_string else MultiDict[str, str]()
    reject(Fault(path([name]), "appears more than once") for name in arguments if len(arguments.getlist(name)) > 1)
    try:
        return model.model_validate(arguments.to_dict(), context=context)
    except ValidationError as error:
        raise error_from_validation(error) from None


def read_fields(request: Request) -> dict[str, str]:
    """The fields of the query string of a request, and of the form if the body is one. Raises MalformedRequest."""
    if request.mimetype != "application/x-www-form-urlencoded":
        return request.args.to_dict()
    read_all(request, keep=True)
    with reading_body("the form does not match its headers"):
        return {**request.args.to_dict(), **request.form.to_dict()}


def is_plain(environ: WSGIEnvironment, largest: int) -> bool:
    """Whether a request has only a path, and a JSON body of at most `largest` bytes."""
    length = environ.get("CONTENT_LENGTH", "")
    return (
        not environ.get("SCRIPT_NAME")
        and not environ.get("QUERY_STRING")
        and environ.get("CONTENT_TYPE") == "application/json"
        and "HTTP_CONTENT_ENCODING" not in environ
        and "HTTP_TRANSFER_ENCODING" not in environ
        and length.isascii()
        and length.isdecimal()
        and len(length) < 12  # `int` of very many digits is slow, or fails
        and int(length) <= largest
    )


def read_plain(environ: WSGIEnvironment) -> bytes | None:
    """The whole body of a plain request. None if it is shorter than its Content-Length: `read_json` then rejects it."""
    length, body = int(environ["CONTENT_LENGTH"]), b""
    try:
        body = environ["wsgi.input"].read(length)
    except Exception:
        # Each server raises its own errors for a truncated body.
        body = b""
    if len(body) == length:
        return body
    environ["wsgi.input"] = BytesIO(body)
    return None


def discard_rest(environ: WSGIEnvironment, largest: int) -> None:
    """Read a body of at most `largest` bytes to its end: the server could not use the connection again otherwise."""
    # Without this flag, the server waits for more bytes at the end of a body.
    if not environ.get("wsgi.input_terminated"):
        return
    # Each server raises its own errors for a truncated body: no request follows on its connection.
    with suppress(Exception):
        if 0 < int(environ.get("CONTENT_LENGTH") or 0) <= largest:
            while environ["wsgi.input"].read(_READ_BYTES):
                pass
