"""Tech Against Terrorism's hash list, version 2, on the wire."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from annotated_types import Ge
from pydantic import AfterValidator, BeforeValidator, Field

from hashdb.domain.exchanges import Record
from hashdb.domain.instants import format_instant
from hashdb.wire.interop import Foreign, digits_of
from hashdb.wire.pages import Count


class LoginIn(Foreign):
    """The form by which a reader asks for a token."""

    username: str
    password: str


def _number(checkpoint: object) -> object:
    return str(checkpoint).rpartition(",")[2] or "0"


class ListQuery(Foreign):
    """Where to read on: after a checkpoint (a time, which does not count, and a number), and of that a further page."""

    after: Annotated[Count, BeforeValidator(_number)] = 0
    page: Annotated[str, Field(pattern=r"^([0-9]{1,15}-[0-9]{1,15})?$")] = ""
    limit: Annotated[Count, Ge(1), AfterValidator(lambda size: min(size, 1000))] = 1000


def list_out(records: Iterable[Record], following: str | None, second: int, number: int) -> dict[str, object]:
    """A page of the list; the checkpoint is what has been told with it."""
    listed = [_entry(one) for one in records]
    return {
        "count": len(listed),
        "next": following,
        "previous": None,
        "checkpoint": f"{second},{number}",
        "results": listed,
    }


def _entry(record: Record) -> dict[str, object]:
    # Exactly these fields: the client fails at any other.
    created = min((one.received_at for one in record.contributions), default=record.at)
    return {
        "id": record.number,
        "hash_digest": digits_of(record.signal),
        "algorithm": "PDQ",
        "ideology": "all",
        "file_type": "jpg",
        "deleted": record.gone,
        "updated_on": record.at.timestamp(),
        "created_on": format_instant(created),
    }
