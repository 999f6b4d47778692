"""Commitments in SQL: the lines of contributions, of which a commitment is made, and which contributions have none.

A line is the text of a signal (with the place of its shot, if it is of a frame) or of a signature.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import CompoundSelect, Integer, Select, bindparam, cast, func, select, type_coerce, union_all, update
from sqlalchemy.types import NullType

from hashdb.domain.ledger.commitments import Commitment, placed_line, seal
from hashdb.store.contributions.frames import ITEM, SHOT_PLACES, UNITS, limit_frames, number_of, signals_in
from hashdb.store.repositories import CHUNK, IDS, Repository
from hashdb.store.tables import SIGNAL_TABLES, SUPPRESSED_TABLES, contributions, signatures

_FRAME_COUNT = itemgetter(-1)
"""Reads the number of frames of a contribution, the last column of a row."""
_LACKING = contributions.c.commitment.is_(None) & contributions.c.withdrawn_at.is_(None)
_EVERY_SIGNAL = union_all(*map(signals_in, (*SIGNAL_TABLES, *SUPPRESSED_TABLES)))
_SUPPRESSED = union_all(*map(signals_in, SUPPRESSED_TABLES))
_SIGNATURES: Select[Any] = select(*signatures.c["contribution_id", "kind", "value"]).where(
    signatures.c.contribution_id.in_(IDS)
)
_LACKING_IDS = (
    select(contributions.c.id, func.coalesce(contributions.c.frame_count, 0))
    .where(_LACKING)
    .order_by(contributions.c.id)
    .limit(bindparam("limit"))
)
_STORED = (
    # As they are stored: somebody may have edited the database, so a value may have any type.
    select(
        contributions.c.id,
        type_coerce(contributions.c.salt, NullType()),
        type_coerce(contributions.c.commitment, NullType()),
        contributions.c.erased_at.is_not(None),
        cast(func.coalesce(contributions.c.frame_count, 0), Integer),
    )
    .where(contributions.c.id > bindparam("after"), contributions.c.commitment.is_not(None))
    .order_by(contributions.c.id)
    .limit(CHUNK)
)
_STORE = (
    update(contributions)
    .where(contributions.c.id == bindparam("of"))
    .values(salt=bindparam("new_salt"), commitment=bindparam("new_commitment"))
)


class StoredCommitment(NamedTuple):
    """The commitment of a contribution as it is stored."""

    id: int
    salt: object
    commitment: object
    erased: bool


class Commitments(Repository):
    """Commitments within one transaction."""

    def lines(self, ids: Collection[int]) -> dict[int, list[str]]:
        """The lines of contributions: of all their signals, suppressed ones too, and of their signatures."""
        lines: dict[int, list[str]] = {id: [] for id in ids}
        self._add_signals(lines, _EVERY_SIGNAL)
        for id, kind, value in self._run_for_ids(_SIGNATURES, ids):
            lines[id].append(_text(kind, value))
        return lines

    def undisclosed(self, salts: Mapping[int, bytes]) -> dict[int, tuple[bytes, ...]]:
        """The seals of the suppressed signals of contributions, in order; `salts` has the salt of each contribution."""
        lines: dict[int, list[str]] = {id: [] for id in salts}
        self._add_signals(lines, _SUPPRESSED)
        return {id: tuple(sorted({seal(salts[id], line) for line in own})) for id, own in lines.items()}

    def count_suppressed(self, ids: Collection[int]) -> dict[int, int]:
        """How many signals of each contribution are suppressed; contributions without one are left out."""
        return dict(Counter(id for id, *_ in self._run_for_ids(_SUPPRESSED, ids)))

    def lacking(self, limit: int) -> tuple[int, ...]:
        """At most `limit` contributions that are not withdrawn and have no commitment, in order.

        They have `FRAMES_A_REQUEST` frames together at most, unless the first one has more.
        """
        return tuple(row[0] for row in limit_frames(self._run(_LACKING_IDS, {"limit": limit}), _FRAME_COUNT))

    def lacking_of(self, ids: Sequence[int]) -> tuple[int, ...]:
        """Those of these contributions that still lack one, in order; they are locked until the transaction ends."""
        query = select(contributions.c.id).where(_LACKING).order_by(contributions.c.id)
        return tuple(row.id for row in self._rows_in(query.with_for_update(), contributions.c.id, ids))

    def pages(self) -> Iterator[list[StoredCommitment]]:
        """All commitments that are stored, some at a time, in the order of their contributions."""
        after = 0
        while rows := limit_frames(self._run(_STORED, {"after": after}), _FRAME_COUNT):
            yield [StoredCommitment(*row[:-1]) for row in rows]
            after = rows[-1][0]

    def store(self, commitments: Mapping[int, Commitment]) -> None:
        """Store the commitments of contributions, with their salts."""
        rows = [
            {"of": id, "new_salt": commitment.salt, "new_commitment": commitment.hash}
            for id, commitment in sorted(commitments.items())
        ]
        if rows:
            self._connection.execute(_STORE, rows)

    def _add_signals(self, lines: Mapping[int, list[str]], query: CompoundSelect[Any]) -> None:
        """Add the lines of the signals that a query selects to those of their contributions."""
        of_shots: dict[tuple[int, int], list[str]] = defaultdict(list)
        for id, position, algorithm, value in self._run_for_ids(query, lines):
            # The number of the shot that has the signal at this position; `ITEM` if it is of the item itself.
            number = number_of(position)
            of_item = lines[id] if number == ITEM else of_shots[id, number]
            of_item.append(_text(algorithm, value))
        with_shots = {id for id, _ in of_shots}
        for id, number, start, end, unit in self._run_for_ids(SHOT_PLACES, with_shots):
            texts = of_shots.pop((id, number), ())
            lines[id] += [placed_line(UNITS[unit], start, end, text) for text in texts]
        for (id, number), texts in of_shots.items():
            # Somebody added signals of a shot that does not exist: with these lines, no commitment verifies.
            lines[id] += [f"shot {number}:{text}" for text in texts]


def _text(name: str, value: object) -> str:
    """A signal or a signature as text. Somebody may have edited the database: the value may have any type."""
    return f"{name}:{value.hex() if isinstance(value, bytes) else value}"
