"""Errors on the wire, as RFC 9457 problem details and back, and the health of the service."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from pydantic import Field, ValidationError

from hashdb.errors import Fault, HashDBError, InvalidInput, ServiceError
from hashdb.wire import Answered

PREFIX = "/problems/"
_POSITION = re.compile(r"\[(\d+)\]")
_SPELLED_APART = {"faults", "omitted"}


class FaultOut(Answered):
    """One thing that is wrong with a request."""

    at: str
    reason: str


class Problem(Answered):
    """What went wrong (RFC 9457); further members carry the data of the error."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FaultOut] = Field([])
    omitted: int = 0


def problem(error: HashDBError, status: int) -> dict[str, Any]:
    """The problem details of an error; `error_of` is the inverse."""
    faults: tuple[Fault, ...] = getattr(error, "faults", ())
    said: dict[str, Any] = {
        "type": PREFIX + error.slug,
        "title": error.title,
        "status": status,
        "detail": str(error),
    }
    if faults:
        said["errors"] = [{"at": fault.at, "reason": fault.reason} for fault in faults]
    if omitted := getattr(error, "omitted", 0):
        said["omitted"] = omitted
    data = {field.name: getattr(error, field.name) for field in dataclasses.fields(error)}
    return said | {name: value for name, value in data.items() if name not in _SPELLED_APART}


def error_of(status: int, text: bytes) -> HashDBError:
    """The error that a problem spells; ServiceError where it is none that this version knows."""
    try:
        said = Problem.model_validate_json(text)
        raw = json.loads(text)
    except ValidationError:
        return ServiceError(status, "not an answer of hashdb")
    known = {kind.slug: kind for kind in _kinds(HashDBError)}
    kind = known.get(said.type.removeprefix(PREFIX))
    if kind is None:
        return ServiceError(status, said.detail)
    given: dict[str, Any] = {
        **raw,
        "faults": tuple(Fault(fault.at, fault.reason) for fault in said.errors),
        "omitted": said.omitted,
    }
    try:
        # A service of an earlier version does not send fields that have a default.
        needed = [one for one in dataclasses.fields(kind) if one.name in given or one.default is dataclasses.MISSING]
        return kind(**{field.name: given[field.name] for field in needed})
    except KeyError:
        return ServiceError(status, said.detail)


@contextmanager
def positions_from(start: int) -> Iterator[None]:
    """Let the faults of a request, which has a part of a list from `start` on, name positions in the whole list."""
    try:
        yield
    except InvalidInput as refused:
        faults = tuple(
            Fault(_POSITION.sub(lambda found: f"[{int(found[1]) + start}]", one.at, 1), one.reason)
            for one in refused.faults
        )
        raise InvalidInput(faults, refused.omitted) from None


def _kinds(kind: type[HashDBError]) -> Iterator[type[HashDBError]]:
    yield kind
    for narrower in kind.__subclasses__():
        yield from _kinds(narrower)


class HealthOut(Answered):
    """The process is alive."""

    status: Literal["alive"]


class ReadyOut(Answered):
    """The process answers from this number of the log."""

    status: Literal["ready"]
    checkpoint: int
