"""The tree over the active set in SQL: its blocks, their last event, and the signatures of its roots."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import Select, Text, bindparam, delete, func, literal, select, tuple_, type_coerce, update

from hashdb.domain.ledger.active_set import EMPTY_BLOCK, EMPTY_HASH, BlockPlace, leaf_after
from hashdb.store.repositories import IDS, Repository, chunks, insert_values
from hashdb.store.tables import events, set_blocks, set_signatures, set_states

_BLOCKS_A_READ = 256
"""Blocks that are read at a time."""
_IDS_A_READ = 8_192
"""Contributions whose events are read at a time."""
_COMMITMENT = '"commitment"'


@dataclass(frozen=True, slots=True)
class SetState:
    """The last event that the stored blocks have, and their root, over `count` contributions."""

    seq: int = 0
    root: bytes = EMPTY_HASH
    count: int = 0


class ActiveSet(Repository):
    """The tree within one transaction, in blocks of 256 nodes; the place of a block is its level and number."""

    def state(self) -> SetState:
        """The state of the stored blocks; with seq 0 before the first."""
        return next((state for id, state in self.states() if id == 1), SetState())

    def states(self) -> list[tuple[int, SetState]]:
        """The rows of the state with their ids, at most two: there must be one with the id 1, or none."""
        rows = self._connection.execute(_STATES).all()
        return [(id, SetState(seq, root, count)) for id, seq, root, count in rows]

    def advance(self, before: SetState, after: SetState) -> bool:
        """Replace the state `before` by `after`; False, without a change, if another process has replaced it."""
        values = {"id": 1, **asdict(after)}
        if before.seq:
            query: Any = update(set_states).where(set_states.c.id == 1, set_states.c.seq == before.seq).values(values)
        else:
            query = self._insert_into(set_states).values(values).on_conflict_do_nothing()
        return self._connection.execute(query.returning(set_states.c.id)).one_or_none() is not None

    def block(self, level: int, number: int) -> bytes:
        """The hashes of the nodes of a block, one after the other."""
        return self.blocks([(level, number)]).get((level, number), EMPTY_BLOCK)

    def blocks(self, places: Iterable[BlockPlace]) -> dict[BlockPlace, bytes]:
        """As `block`, of several blocks; empty blocks are left out."""
        hashes_by_place: dict[BlockPlace, bytes] = {}
        for level, numbers in _by_level(places):
            rows = self._connection.execute(_BLOCKS, {"of": level, "numbers": numbers})
            hashes_by_place.update(((level, number), hashes) for number, hashes in rows)
        return hashes_by_place

    def every_block(self) -> Iterator[tuple[BlockPlace, bytes]]:
        """All blocks as they are stored, by level and number."""
        rows = self._connection.execute(_EVERY).all()
        while rows:
            yield from (((level, number), hashes) for level, number, hashes in rows)
            last = tuple_(*map(literal, rows[-1][:2]))
            rows = self._connection.execute(_EVERY.where(tuple_(set_blocks.c.level, set_blocks.c.number) > last)).all()

    def put(self, blocks: Mapping[BlockPlace, bytes]) -> None:
        """Store these blocks in place of those that are stored; an empty block is deleted."""
        for level, numbers in _by_level(blocks):
            self._connection.execute(_DELETE, {"of": level, "numbers": numbers})
        rows = [(*place, hashes) for place, hashes in blocks.items() if hashes != EMPTY_BLOCK]
        insert_values(self._connection, set_blocks.name, ("level", "number", "hashes"), rows)

    def leaves(self, contributions: Collection[int], upto: int) -> Iterator[tuple[int, bytes]]:
        """The leaf of each contribution after the events up to a seq, by the log alone: ids with leaves, ascending."""
        for chunk in chunks(sorted(contributions)):
            yield from self._leaves(_OF_SOME, {"ids": chunk, "upto": upto})

    def every_leaf(self, upto: int) -> Iterator[tuple[int, bytes]]:
        """The leaves of all contributions after the events up to a seq, as `leaves`."""
        first = self._connection.execute(_FIRST, {"after": 0}).scalar_one()
        while first is not None:
            last = first + _IDS_A_READ - 1
            yield from self._leaves(_OF_RANGE, {"first": first, "last": last, "upto": upto})
            first = self._connection.execute(_FIRST, {"after": last}).scalar_one()

    def _leaves(self, query: Select[Any], parameters: Mapping[str, object]) -> Iterator[tuple[int, bytes]]:
        rows = self._connection.execute(query, parameters)
        for id, group in groupby(rows, key=itemgetter(0)):
            # Most details have no commitment, and are not read.
            logged = ((action, json.loads(text) if _COMMITMENT in text else {}) for _, action, text in group)
            yield id, leaf_after(id, logged)

    def signatures(self, seq: int) -> tuple[str, ...]:
        """The lines of the signatures of the root that an event has, in order of the organisations."""
        query = _SIGNED.where(set_signatures.c.seq == seq).order_by(set_signatures.c.organisation)
        return tuple(row.line for row in self._connection.execute(query))

    def signers(self, limit: int) -> dict[int, set[str]]:
        """The organisations that signed the newest roots, by the seq of its event; at most `limit` signatures."""
        organisations: dict[int, set[str]] = defaultdict(set)
        for row in self._connection.execute(_SIGNED.order_by(set_signatures.c.seq.desc()).limit(limit)):
            organisations[row.seq].add(row.organisation)
        return organisations

    def every_signature(self) -> Iterator[tuple[int, str, str]]:
        """All signatures: the seq of the event with the root, the organisation, and the line of the signature."""
        yield from map(tuple, self._connection.execute(_SIGNED.order_by(set_signatures.c.seq)))

    def sign(self, seq: int, organisation: str, line: str, now: datetime) -> None:
        """Store the signature of an organisation, in the place of an earlier one of the same root."""
        row = {"seq": seq, "organisation": organisation, "line": line, "at": now}
        self._upsert(set_signatures, [row], new_columns=("line", "at"))


def _by_level(places: Iterable[BlockPlace]) -> Iterator[tuple[int, Sequence[int]]]:
    """The numbers of blocks by level, in order, as many as a statement takes."""
    for level, group in groupby(sorted(places), key=itemgetter(0)):
        for numbers in chunks([number for _, number in group]):
            yield level, numbers


_STATES = select(*set_states.c["id", "seq", "root", "count"]).order_by(set_states.c.id).limit(2)
_NUMBERS = set_blocks.c.number.in_(bindparam("numbers", expanding=True))
_BLOCKS = select(set_blocks.c.number, set_blocks.c.hashes).where(set_blocks.c.level == bindparam("of"), _NUMBERS)
_DELETE = delete(set_blocks).where(set_blocks.c.level == bindparam("of"), _NUMBERS)
_EVERY = select(set_blocks).order_by(set_blocks.c.level, set_blocks.c.number).limit(_BLOCKS_A_READ)
_OF_ALL = (
    select(events.c.subject_id, events.c.action, type_coerce(events.c.details, Text))
    .where(events.c.subject_kind == "contribution", events.c.seq <= bindparam("upto"))
    .order_by(events.c.subject_id, events.c.seq)
)
_OF_SOME = _OF_ALL.where(events.c.subject_id.in_(IDS))
_OF_RANGE = _OF_ALL.where(events.c.subject_id >= bindparam("first"), events.c.subject_id <= bindparam("last"))
_FIRST = select(func.min(events.c.subject_id)).where(
    events.c.subject_kind == "contribution", events.c.subject_id > bindparam("after")
)
_SIGNED = select(*set_signatures.c["seq", "organisation", "line"])
