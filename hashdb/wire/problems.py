"""Models of errors (RFC 9457 problem details) and of the health of the service."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import Field, ValidationError

from hashdb.domain.frames import Unit
from hashdb.domain.signals import Algorithm
from hashdb.errors import CannotStart, Fault, HashDBError, InvalidInput, ServiceError, ServiceTooOld
from hashdb.wire import ResponseModel

if TYPE_CHECKING:
    from hashdb.domain.contributions import Draft
    from hashdb.domain.matching.matches import Query
    from hashdb.wire.accounts import MeOut

PREFIX = "/problems/"
"""What precedes the name of the error in `type`."""
NOT_HASHDB = "not an answer of hashdb"
"""What ServiceError says of an answer that is no problem details."""
_POSITION = re.compile(r"\[(\d+)\]")
_CONTRIBUTION = re.compile(r"contributions\[(\d{1,9})\]\.?")
_Item = TypeVar("_Item")
_CONVERTED = {"faults", "omitted"}  # Attributes of errors that have fields of their own in `Problem`.


class FaultOut(ResponseModel):
    """One thing that is wrong with a request."""

    at: str = Field(description="The field, for example `contributions[3].signals[0]`.")
    reason: str = Field(description="What is wrong with it.")


class Problem(ResponseModel):
    """The problem details of an error (RFC 9457). Further members carry the data of the error."""

    type: str = Field(description="The kind of error, `/problems/<name>`.")
    title: str = Field(description="The kind of error, for people.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What is wrong, and what to do.")
    errors: list[FaultOut] = Field([], description="Every fault of the request, at most 1,000.")
    omitted: int = Field(0, description="How many more faults there are.")


def problem(error: HashDBError, status: int) -> dict[str, Any]:
    """The fields of the problem details of an error; `error_from_problem` is the inverse."""
    faults: tuple[Fault, ...] = getattr(error, "faults", ())
    body: dict[str, Any] = {"type": PREFIX + error.slug, "title": error.title, "status": status, "detail": str(error)}
    if faults:
        body["errors"] = [{"at": fault.at, "reason": fault.reason} for fault in faults]
    if omitted := getattr(error, "omitted", 0):
        body["omitted"] = omitted
    data = {field.name: getattr(error, field.name) for field in dataclasses.fields(error)}
    return body | {name: value for name, value in data.items() if name not in _CONVERTED}


def error_from_problem(status: int, text: bytes) -> HashDBError:
    """The error that a JSON text of problem details describes; ServiceError if this version does not know it."""
    try:
        details = Problem.model_validate_json(text)
        members = json.loads(text)
    except ValidationError:
        return ServiceError(status, NOT_HASHDB)
    # No service answers with an error of a start: a program that gets one would take its own settings for wrong.
    classes = {kind.slug: kind for kind in _subclasses(HashDBError) if not issubclass(kind, CannotStart)}
    kind = classes.get(details.type.removeprefix(PREFIX))
    # Callers wait for `retry_after` seconds: any other type of value would fail there.
    if kind is None or type(members.get("retry_after", 0)) is not int or (kind is InvalidInput and not details.errors):
        return ServiceError(status, details.detail)
    data: dict[str, Any] = {
        **members,
        "faults": tuple(Fault(fault.at, fault.reason) for fault in details.errors),
        "omitted": details.omitted,
    }
    try:
        # An earlier version of the service does not send the fields that have a default.
        return kind(
            **{
                field.name: data[field.name]
                for field in dataclasses.fields(kind)
                if field.name in data or field.default is dataclasses.MISSING
            }
        )
    except KeyError:
        return ServiceError(status, details.detail)


@contextmanager
def positions_from(start: int) -> Iterator[None]:
    """Within the block, add `start` to the positions in faults: the request has a part of a longer list."""
    try:
        yield
    except InvalidInput as error:
        faults = tuple(
            Fault(_POSITION.sub(lambda match: f"[{int(match[1]) + start}]", fault.at, 1), fault.reason)
            for fault in error.faults
        )
        raise InvalidInput(faults, error.omitted) from None


@contextmanager
def checking_version(get_me: Callable[[], MeOut], items: Collection[Draft | Query]) -> Iterator[None]:
    """Within the block, raise ServiceTooOld instead of InvalidInput for what an older service does not take.

    `get_me` returns what the service accepts. It is called only after InvalidInput, if items have texts or addresses.
    """
    try:
        yield
    except InvalidInput:
        has_texts, has_addresses = _has_texts(items), _has_addresses(items)
        me = get_me() if has_texts or has_addresses else None
        if me is not None and has_texts and not me.takes_texts:
            raise ServiceTooOld(me.version, "does not accept pages and words of documents and texts") from None
        if me is not None and has_addresses and not me.takes_addresses:
            raise ServiceTooOld(me.version, "does not accept addresses") from None
        raise


def faults_by_item(error: InvalidInput, items: Sequence[_Item]) -> dict[_Item, list[Fault]]:
    """The faults of the items that a refused request has in `contributions`, each with its place in the item.

    Raises the error if it has another fault, or none: without a faulty item, the caller would send the same again.
    """
    if not error.faults:
        raise error
    faults: dict[_Item, list[Fault]] = {}
    for fault in error.faults:
        place = _CONTRIBUTION.match(fault.at)
        if place is None or int(place[1]) >= len(items):
            raise error
        faults.setdefault(items[int(place[1])], []).append(Fault(fault.at[place.end() :], fault.reason))
    return faults


def _has_texts(items: Collection[Draft | Query]) -> bool:
    return any(
        any(frame.unit is not Unit.SECONDS for frame in item.frames)
        or any(signal.algorithm.of_text for signal in item.signals)
        for item in items
    )


def _has_addresses(items: Collection[Draft | Query]) -> bool:
    return any(signal.algorithm is Algorithm.URL for item in items for signal in item.signals)


def _subclasses(kind: type[HashDBError]) -> Iterator[type[HashDBError]]:
    yield kind
    for subclass in kind.__subclasses__():
        yield from _subclasses(subclass)


class HealthOut(ResponseModel):
    """The process is alive."""

    status: Literal["alive"] = Field(description="Always `alive`.")


class ReadyOut(ResponseModel):
    """The service is ready."""

    status: Literal["ready"] = Field(description="Always `ready`.")
    checkpoint: int = Field(description="The seq of the log to which this worker has caught up.")
