"""Models of the log: events, keys and proofs.

Hashes are in base64, as in checkpoints; a leaf is in hex, as in events.
"""

from __future__ import annotations

import base64
from typing import Annotated, Any, ClassVar

from annotated_types import Len
from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from hashdb.domain.ledger.checkpoints import Consistency, Inclusion, Log, LogKey, Verifier
from hashdb.domain.ledger.events import Event
from hashdb.wire import Moment, Next, PageModel, ResponseModel
from hashdb.wire.conversions import FromDomain, MappedTo, Mirror


class EventOut(ResponseModel, FromDomain[Event]):
    """An event of the audit log."""

    seq: int = Field(description="The seq of the event: 1, 2, 3 and so on, without gaps.")
    at: Moment = Field(description="When it happened.")
    actor: str = Field(description="Who did it, as `kind:id`, for example `key:9`.")
    action: str = Field(description="What happened, for example `contribution.added`.")
    subject: str = Field(description="What it happened to, as `kind:id`, for example `contribution:17`.")
    details: dict[str, str | int | list[str] | None] = Field(
        description="Codes, counts, ids, times and names of fields; never a hash of content, free text or a secret."
    )
    leaf: str = Field(
        description="The SHA-256 of a zero byte and the other fields as canonical JSON (RFC 8785), in hex."
    )

    @classmethod
    def fields_from(cls, value: Event) -> dict[str, Any]:
        """The fields of the model."""
        return super().fields_from(value) | {"leaf": value.leaf.hex()}


class EventsOut(PageModel):
    """A page of events."""

    CURSOR: ClassVar[str] = "seq"

    events: list[EventOut] = Field(description="The events of this page.")
    next: Next


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

    vkey: Annotated[str, MappedTo("verifier")] = Field(
        description="The public key, as verifiers of signed notes take it."
    )
    since: Moment = Field(description="When it began to sign.")
    until: Moment | None = Field(description="When it stopped; null while it signs.")

    @classmethod
    def fields_from(cls, value: LogKey) -> dict[str, Any]:
        """The fields of the model."""
        return super().fields_from(value) | {"vkey": str(value.verifier)}

    def to_domain(self) -> LogKey:
        """The key. Raises BadNote."""
        return LogKey(Verifier.parse(self.vkey), self.since, self.until)


class LogOut(ResponseModel, Mirror[Log]):
    """The name of the log, and its keys."""

    origin: str = Field(description="The name of the log in its signed checkpoints.")
    keys: list[LogKeyOut] = Field(description="The keys that sign or signed, newest last.")


class InclusionOut(ResponseModel, Mirror[Inclusion]):
    """The proof that event `seq` with this leaf is among the first `size` events."""

    seq: int = Field(description="The seq of the event.")
    size: int = Field(description="The size of the log that the proof is for.")
    leaf: Leaf = Field(description="The leaf of the event, in hex.")
    hashes: list[Hash] = Field(description="The hashes from the leaf up to the root, in base64.")


class ConsistencyOut(ResponseModel, Mirror[Consistency]):
    """The proof that the log of `second` events begins with the log of `first` events."""

    first: int = Field(description="The size of the earlier log.")
    second: int = Field(description="The size of the later log.")
    hashes: list[Hash] = Field(description="The hashes of the proof, in base64.")
