"""The log on the wire: its events, its keys and its proofs.

Hashes are in base64, as in checkpoints; a leaf is in hex, as in events.
"""

from __future__ import annotations

import base64
from typing import Annotated, Any

from annotated_types import Len
from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from hashdb.domain.ledger.checkpoints import Consistency, Inclusion, Log, LogKey, Verifier
from hashdb.domain.ledger.events import Event
from hashdb.wire import Answered, Moment
from hashdb.wire.conversions import FromDomain, Mirror, Named


class EventOut(Answered, FromDomain[Event]):
    """An event; without `leaf` it is, as RFC 8785 canonical JSON, what the leaf is the hash of."""

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


class EventsOut(Answered):
    """A page of events."""

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


class LogKeyOut(Answered, Mirror[LogKey]):
    """A key that signs the log's checkpoints, or once did."""

    vkey: Annotated[str, Named("verifier")]
    since: Moment
    until: Moment | None

    @classmethod
    def fields_from(cls, value: LogKey) -> dict[str, Any]:
        """The fields of the model."""
        return super().fields_from(value) | {"vkey": str(value.verifier)}

    def to_domain(self) -> LogKey:
        """The key that the model tells. Raises BadNote."""
        return LogKey(Verifier.parse(self.vkey), self.since, self.until)


class LogOut(Answered, Mirror[Log]):
    """The log's name, and its keys, the newest last."""

    origin: str
    keys: list[LogKeyOut]


class InclusionOut(Answered, Mirror[Inclusion]):
    """The proof that an event with this leaf is number `seq` of the first `size`."""

    seq: int
    size: int
    leaf: Leaf
    hashes: list[Hash]


class ConsistencyOut(Answered, Mirror[Consistency]):
    """The proof that the first `second` events begin with what were the first `first`."""

    first: int
    second: int
    hashes: list[Hash]
