"""Models of the log: events, keys and proofs.

Hashes are in base64, as in checkpoints; a leaf is in hex, as in events.
"""

from __future__ import annotations

import base64
from typing import Annotated, Any, ClassVar

from annotated_types import Len
from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from hashdb.domain.ledger.checkpoints import Consistency, Inclusion, Log, LogKey, Verifier
from hashdb.domain.ledger.events import Event
from hashdb.wire import Moment, PageModel, ResponseModel
from hashdb.wire.conversions import FromDomain, MappedTo, Mirror


class EventOut(ResponseModel, FromDomain[Event]):
    """An event. The leaf is the hash of its other fields as RFC 8785 canonical JSON."""

    seq: int
    at: Moment
    actor: str
    action: str
    subject: str
    details: dict[str, str | int | list[str] | None]
    leaf: str

    @classmethod
    def fields_from(cls, value: Event) -> dict[str, Any]:
        """The fields of the model."""
        return super().fields_from(value) | {"leaf": value.leaf.hex()}


class EventsOut(PageModel):
    """A page of events."""

    CURSOR: ClassVar[str] = "seq"

    events: list[EventOut]
    next: int | None


def _from_base64(value: Any) -> Any:
    return base64.b64decode(value, validate=True) if isinstance(value, str) else value


def _from_hex(value: Any) -> Any:
    return bytes.fromhex(value) if isinstance(value, str) else value


Hash = Annotated[
    bytes,
    Len(32, 32),
    BeforeValidator(_from_base64),
    PlainSerializer(lambda octets: base64.b64encode(octets).decode(), return_type=str),
    WithJsonSchema({"type": "string", "format": "byte"}),
]
Leaf = Annotated[
    bytes,
    Len(32, 32),
    BeforeValidator(_from_hex),
    PlainSerializer(bytes.hex, return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^[0-9a-f]{64}$"}),
]


class LogKeyOut(ResponseModel, Mirror[LogKey]):
    """A key that signs the checkpoints of the log, or signed earlier ones."""

    vkey: Annotated[str, MappedTo("verifier")]
    since: Moment
    until: Moment | None

    @classmethod
    def fields_from(cls, value: LogKey) -> dict[str, Any]:
        """The fields of the model."""
        return super().fields_from(value) | {"vkey": str(value.verifier)}

    def to_domain(self) -> LogKey:
        """The key. Raises BadNote."""
        return LogKey(Verifier.parse(self.vkey), self.since, self.until)


class LogOut(ResponseModel, Mirror[Log]):
    """The name of the log, and its keys, newest last."""

    origin: str
    keys: list[LogKeyOut]


class InclusionOut(ResponseModel, Mirror[Inclusion]):
    """The proof that event `seq` with this leaf is among the first `size` events."""

    seq: int
    size: int
    leaf: Leaf
    hashes: list[Hash]


class ConsistencyOut(ResponseModel, Mirror[Consistency]):
    """The proof that the log of `second` events begins with the log of `first` events."""

    first: int
    second: int
    hashes: list[Hash]
