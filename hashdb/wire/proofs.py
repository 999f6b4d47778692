"""The log's keys and proofs on the wire: hashes in base64, as in checkpoints; a leaf in hex, as in events."""

from __future__ import annotations

import base64
from typing import Annotated, Any

from annotated_types import Len
from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from hashdb.domain.checkpoints import Consistency, Inclusion, Log, LogKey
from hashdb.domain.notes import Verifier
from hashdb.wire import Answered, Moment


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


class LogKeyOut(Answered):
    """A key that signs the log's checkpoints, or once did."""

    vkey: str
    since: Moment
    until: Moment | None


class LogOut(Answered):
    """The log's name, and its keys, the newest last."""

    origin: str
    keys: list[LogKeyOut]

    @classmethod
    def of(cls, log: Log) -> LogOut:
        """The wire form; `value` is the inverse."""
        keys = [LogKeyOut.model_construct(vkey=str(key.verifier), since=key.since, until=key.until) for key in log.keys]
        return cls.model_construct(origin=log.origin, keys=keys)

    def value(self) -> Log:
        """The log that this spells. Raises BadNote."""
        return Log(self.origin, tuple(LogKey(Verifier.parse(key.vkey), key.since, key.until) for key in self.keys))


class InclusionOut(Answered):
    """The proof that an event with this leaf is number `seq` of the first `size`."""

    seq: int
    size: int
    leaf: Leaf
    hashes: list[Hash]

    @classmethod
    def of(cls, proof: Inclusion) -> InclusionOut:
        """The wire form; `value` is the inverse."""
        hashes = list(proof.hashes)
        return cls.model_construct(seq=proof.seq, size=proof.size, leaf=proof.leaf, hashes=hashes)

    def value(self) -> Inclusion:
        """The proof that this spells."""
        return Inclusion(self.seq, self.size, self.leaf, tuple(self.hashes))


class ConsistencyOut(Answered):
    """The proof that the first `second` events begin with what were the first `first`."""

    first: int
    second: int
    hashes: list[Hash]

    @classmethod
    def of(cls, proof: Consistency) -> ConsistencyOut:
        """The wire form; `value` is the inverse."""
        return cls.model_construct(first=proof.first, second=proof.second, hashes=list(proof.hashes))

    def value(self) -> Consistency:
        """The proof that this spells."""
        return Consistency(self.first, self.second, tuple(self.hashes))
