"""Models of the log: events, keys and proofs.

Hashes are in base64, as in checkpoints; a leaf is in hex, as in events.
"""

from __future__ import annotations

import base64
from typing import Annotated, Any, ClassVar

from annotated_types import Len
from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from hashdb.domain.ledger.active_set import EMPTY_BLOCK, CommittedSet, SetBlock
from hashdb.domain.ledger.checkpoints import Consistency, Inclusion, Log, LogKey, LogWitness
from hashdb.domain.ledger.events import Event
from hashdb.wire import Moment, Next, PageModel, ResponseModel
from hashdb.wire.conversions import OMIT_DEFAULT, MappedTo, Mirror


class EventOut(ResponseModel, Mirror[Event]):
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

    def to_domain(self) -> Event:
        """The event, with the leaf that the service says it has. Raises ValueError."""
        kind, _, id = self.subject.partition(":")
        leaf = bytes.fromhex(self.leaf)
        return Event(self.seq, self.at, self.actor, self.action, kind, int(id), self.details, leaf)


class EventsOut(PageModel):
    """A page of events."""

    CURSOR: ClassVar[str] = "seq"

    events: list[EventOut] = Field(description="The events of this page.")
    next: Next


def _from_base64(value: Any) -> Any:
    return base64.b64decode(value, validate=True) if isinstance(value, str) else value


def _from_hex(value: Any) -> Any:
    return bytes.fromhex(value) if isinstance(value, str) else value


_IN_BASE64 = (
    BeforeValidator(_from_base64),
    PlainSerializer(lambda octets: base64.b64encode(octets).decode(), return_type=str),
    WithJsonSchema({"type": "string", "format": "byte"}),
)
Hash = Annotated[bytes, Len(32, 32), *_IN_BASE64]
BlockHashes = Annotated[bytes, Len(len(EMPTY_BLOCK), len(EMPTY_BLOCK)), *_IN_BASE64]
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


class LogWitnessOut(ResponseModel, Mirror[LogWitness]):
    """A witness that the service asks to cosign its checkpoints."""

    name: str = Field(description="The name of the witness, as the operator calls it.")
    vkey: str = Field(description="The public key, as policies of witnesses have it.")
    size: int = Field(description="How many events the checkpoint has that it cosigned last; 0 if it never did.")
    at: Moment | None = Field(description="When it cosigned that checkpoint; null if it never did.")


class LogOut(ResponseModel, Mirror[Log]):
    """The name of the log, its keys and its witnesses."""

    origin: str = Field(description="The name of the log in its signed checkpoints.")
    keys: list[LogKeyOut] = Field(description="The keys that sign or signed, newest last.")
    witnesses: Annotated[list[LogWitnessOut], OMIT_DEFAULT] = Field(
        [], description="The witnesses that the service asks; left out if it asks none."
    )


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


class SetOut(ResponseModel, Mirror[CommittedSet]):
    """The root of the active set: of all contributions that match."""

    seq: int = Field(description="The seq of the event `set.committed` that records the root.")
    covers: int = Field(description="The seq of the event after which the set had this root.")
    root: Hash = Field(description="The root of the tree over the set, in base64.")
    count: int = Field(description="How many contributions are in the set.")
    note: str = Field(
        description="The signed note with the root: its lines are the log's name with `/set`, the seq and the root. The"
        " log signs it, and organisations do."
    )


class SetBlockOut(ResponseModel, Mirror[SetBlock]):
    """256 nodes of the tree over the active set."""

    seq: int = Field(description="The seq of the event that records the root of this tree.")
    level: int = Field(description="The level of the block: 0 has the leaves, 4 is below the root.")
    number: int = Field(description="The number of the block in its level, from 0.")
    hashes: BlockHashes = Field(
        description="The 256 hashes of the nodes, each of 32 bytes, in base64. A node over no contribution is 32 zero"
        " bytes."
    )
