"""Matching in SQL: the values for the index, and the contributions that have the signals which the index found."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Select,
    Table,
    and_,
    bindparam,
    func,
    literal,
    or_,
    select,
    type_coerce,
    union_all,
)

from hashdb.domain.accounts.members import MemberStatus
from hashdb.domain.contributions import Standing, Status
from hashdb.domain.frames import MOST_SHOTS_OF_SIGNAL, Extent
from hashdb.domain.ledger.events import ENDING_ACTIONS, Action
from hashdb.domain.matching.aligners import ListedShot, ShotTimes
from hashdb.domain.matching.matches import OVERRULING, Holder, MatchDetails, StoredItem
from hashdb.domain.origins import Origin
from hashdb.domain.review.cases import Stance
from hashdb.domain.signals import OF_TEXTS, SIGNALS_AN_ITEM, Algorithm, Signal
from hashdb.domain.signatures import Signature
from hashdb.store.contributions.contributions import SIGNATURE_KINDS, STANDINGS
from hashdb.store.contributions.frames import ALGORITHMS, ExecuteStatement, holds, listed_shots, shot_times, signals_in
from hashdb.store.contributions.statuses import active
from hashdb.store.repositories import CHUNK, IDS, NOW, Repository, chunks, values_by_algorithm
from hashdb.store.tables import (
    SIGNAL_TABLES,
    contributions,
    digests,
    events,
    log,
    members,
    opinions,
    origins,
    signal_table,
    signals,
    signatures,
)
from hashdb.store.thread_connections import StatementRunner

_ROWS_A_READ = 10_000
"""The rows that are fetched at a time."""
_VALUES_A_QUERY = 50
"""The values that one search for contributions of any status names."""


class MatchReader:
    """Reads the contributions that have the signals which the index found, all as of one moment."""

    def __init__(self, connection: Connection | StatementRunner) -> None:
        """Use a connection that is in a transaction."""
        self._shots: dict[int, Sequence[ListedShot]] = {}
        """The shots that were read, by contribution."""
        self._execute: ExecuteStatement = connection.execute

    def holders(
        self,
        wanted: Collection[Signal],
        now: datetime,
        standings: Collection[Standing],
        limit: int | None = None,
        *,
        detailed: bool = True,
        of_frames: bool = True,
    ) -> list[Holder]:
        """The active contributions that have any of the signals: a holder for each contribution and signal, unordered.

        `standings` are the standings to include. At most `limit` holders are returned, an arbitrary part (None: all).
        If not `detailed`, they are without `details`. If not `of_frames` either, contributions that have a signal only
        in a frame are left out.
        """
        by_algorithm: dict[Algorithm, dict[bytes, Signal]] = defaultdict(dict)
        for signal in wanted:
            by_algorithm[signal.algorithm][signal.to_bytes()] = signal
        holders: list[Holder] = []
        parameters: dict[str, Any] = {"now": now, "standings": list(map(str, standings))}
        statements = _HOLDERS if detailed else _HOLDERS_WITHOUT_DETAILS if of_frames else _HOLDERS_BY_ITEM_SIGNALS
        remaining = _NO_LIMIT if limit is None else limit
        for algorithm, by_value in by_algorithm.items():
            values = sorted(by_value)
            for start in range(0, len(values) if remaining else 0, CHUNK):
                parameters |= {"algorithm": str(algorithm), "octets": values[start : start + CHUNK], "limit": remaining}
                before = len(holders)
                for value, id, member, severity, standing, milliseconds, pages, words, *rest in self._execute(
                    statements[signal_table(algorithm)], parameters
                ):
                    details = MatchDetails(*rest) if detailed else None
                    extent = None
                    if milliseconds is not None:
                        extent = Extent(milliseconds / 1_000)
                    elif pages or words:
                        extent = Extent(None, pages, words)
                    holders.append(Holder(by_value[value], id, member, severity, STANDINGS[standing], details, extent))
                remaining -= len(holders) - before
        return holders

    def times(
        self, signals_by_id: Mapping[int, Collection[Signal]], most: int = MOST_SHOTS_OF_SIGNAL
    ) -> Mapping[tuple[int, Signal], Sequence[ShotTimes]]:
        """For contributions with frames and signals of them, the places of the first `most` shots with the signal."""
        return shot_times(self._execute, signals_by_id, most)

    def shots(self, id: int) -> Sequence[ListedShot]:
        """The shots of a contribution with frames, in ascending order."""
        if id not in self._shots:
            self._shots[id] = listed_shots(self._execute, id)
        return self._shots[id]

    def match_details(self, ids: Collection[int]) -> dict[int, MatchDetails]:
        """The details of these contributions, by contribution."""
        by_id: dict[int, MatchDetails] = {}
        if not ids:
            return by_id
        for chunk in chunks(list(ids)):
            by_id.update((id, MatchDetails(*row)) for id, *row in self._execute(_DETAILS, {"ids": chunk}))
        return by_id

    def overruling_algorithms(self, ids: Collection[int]) -> dict[int, frozenset[Algorithm]]:
        """The algorithms that overrule phash and of which each contribution has signals, by contribution."""
        algorithms_by_id: dict[int, set[Algorithm]] = defaultdict(set)
        for chunk in chunks(list(ids)):
            for id, algorithm in self._execute(_OVERRULING, {"ids": chunk}):
                algorithms_by_id[id].add(Algorithm(algorithm))
        return {id: frozenset(algorithms) for id, algorithms in algorithms_by_id.items()}

    def stored_items(self, ids: Collection[int]) -> dict[int, StoredItem]:
        """The stored signals and signatures of the items of contributions, by contribution."""
        stored: dict[int, StoredItem] = {}
        for chunk in chunks(sorted(ids)):
            rows = self._execute(_STORED, {"ids": chunk})
            for id, group in groupby(rows, key=itemgetter(0)):
                item_signals, item_signatures = list[Signal](), list[Signature]()
                for _, _, name, value in group:
                    if name in SIGNATURE_KINDS:
                        item_signatures.append(Signature(SIGNATURE_KINDS[name], value))
                    else:
                        item_signals.append(Signal.from_bytes(ALGORITHMS[name], value))
                stored[id] = StoredItem(tuple(item_signals), tuple(item_signatures))
        return stored

    def confirming_members(self, ids: Collection[int]) -> dict[int, set[int]]:
        """The active members that confirm these contributions, by contribution."""
        members_by_id: dict[int, set[int]] = defaultdict(set)
        if not ids:
            return members_by_id
        for chunk in chunks(list(ids)):
            for id, member in self._execute(_CONFIRMING, {"ids": chunk}):
                members_by_id[id].add(member)
        return members_by_id

    def origins(self, ids: Collection[int]) -> dict[int, Origin]:
        """The origins of those of the contributions that came from an upstream, by contribution."""
        origins_by_id: dict[int, Origin] = {}
        for chunk in chunks(sorted(ids)):
            origins_by_id.update((id, Origin(*origin)) for id, *origin in self._execute(_ORIGINS, {"ids": chunk}))
        return origins_by_id


class Matches(Repository, MatchReader):
    """What matching and the index read within one transaction."""

    def __init__(self, connection: Connection) -> None:
        """Use a connection that is in a transaction."""
        Repository.__init__(self, connection)
        MatchReader.__init__(self, connection)

    def added_values(self, after: int, upto: int) -> dict[Algorithm, list[bytes]]:
        """The distinct values of contributions that the events `after` < seq ≤ `upto` added or changed, big-endian.

        Events after which a contribution no longer matches are left out.
        """
        by_algorithm: dict[str, list[bytes]] = defaultdict(list)
        for query in _ADDED:
            for algorithm, value in self._connection.execute(query, {"after": after, "upto": upto}):
                by_algorithm[algorithm].append(value)
        return {Algorithm(algorithm): values for algorithm, values in by_algorithm.items()}

    def all_values(self, algorithm: Algorithm, *, lasting: bool = False) -> Iterator[bytes]:
        """All distinct values of an algorithm, sorted and big-endian, without separators, in parts.

        With `lasting`, only values that `lasting_values` would return.
        """
        table = signal_table(algorithm)
        value = table.c.value
        query = select(value).distinct().where(table.c.algorithm == str(algorithm)).order_by(value)
        if lasting:
            query = query.join(contributions, contributions.c.id == table.c.contribution_id).where(_lasting())
        rows = self._connection.scalars(query, execution_options={"yield_per": _ROWS_A_READ})
        for part in rows.partitions():
            yield b"".join(part)

    def count_signals(self) -> int:
        """The number of signals that are in the index: all but digests."""
        of_texts = select(func.count()).where(digests.c.algorithm.in_(_OF_TEXTS)).scalar_subquery()
        return self._connection.execute(select(func.count() + of_texts).select_from(signals)).scalar_one()

    def has_ended_contributions(self) -> bool:
        """Whether any contribution has ended (withdrawn or expired), so that some values may no longer match."""
        return self._connection.execute(select(contributions.c.id).where(~_lasting()).limit(1)).first() is not None

    def lasting_values(self, algorithm: Algorithm, values: Sequence[bytes]) -> set[bytes]:
        """The values that belong to a contribution that matches, or may match again (as a suspended one may)."""
        lasting: set[bytes] = set()
        table = signal_table(algorithm)
        for chunk in chunks(values):
            query = (
                select(table.c.value)
                .distinct()
                .join(contributions, contributions.c.id == table.c.contribution_id)
                .where(table.c.algorithm == str(algorithm), table.c.value.in_(chunk), _lasting())
            )
            lasting.update(self._connection.scalars(query))
        return lasting

    def contributions_with(self, wanted: Collection[Signal], most_per_value: int) -> Mapping[int, list[Signal]]:
        """The contributions of any status that have any of the signals: for each, those of the signals that it has.

        On average, at most `most_per_value` contributions of each signal are returned.
        """
        signals_by_id: dict[int, list[Signal]] = defaultdict(list)
        for algorithm, octets in values_by_algorithm(wanted, _VALUES_A_QUERY):
            table = signal_table(algorithm)
            query = (
                select(table.c.contribution_id, table.c.value)
                .where(table.c.algorithm == str(algorithm), table.c.value.in_(octets))
                .limit(most_per_value * len(octets))
            )
            for id, value in self._connection.execute(query):
                signals_by_id[id].append(Signal.from_bytes(algorithm, value))
        return signals_by_id


_ORIGINS: Select[Any] = select(*origins.c["contribution_id", "log", "number", "member"]).where(
    origins.c.contribution_id.in_(IDS)
)
_ENDING_ACTIONS = [str(action) for action in (*ENDING_ACTIONS, Action.CONTRIBUTION_ERASED)]
_HEAD_AT = select(log.c.at).scalar_subquery()
_OF_TEXTS = list(map(str, OF_TEXTS))


def _added(table: Table) -> Select[Any]:
    """The query for the distinct values in a table, digests left out, of contributions that events added or changed."""
    query = (
        select(table.c.algorithm, table.c.value)
        .distinct()
        .join(
            events,
            and_(
                # Without the concatenation, SQLite would use the index on the kind and read every event of the log.
                events.c.subject_kind.concat("") == "contribution",
                events.c.subject_id == table.c.contribution_id,
            ),
        )
        .where(
            events.c.seq > bindparam("after"),
            events.c.seq <= bindparam("upto"),
            events.c.action.not_in(_ENDING_ACTIONS),
        )
    )
    return query if table is signals else query.where(table.c.algorithm.in_(_OF_TEXTS))


_ADDED = tuple(_added(table) for table in SIGNAL_TABLES)

# `MatchReader.holders` reads these columns in this order; those of _DETAILS_COLUMNS are the fields of MatchDetails.
_HOLDER_COLUMNS = (
    *contributions.c["id", "member_id", "severity", "standing"],
    # In milliseconds, as it is stored: almost all are empty, and a conversion would be a call for each.
    type_coerce(contributions.c.duration, Integer),
    *contributions.c["pages", "words"],
)
_DETAILS_COLUMNS = tuple(contributions.c["labels", "context", "removed_at", "received_at"])


def _lasting() -> ColumnElement[bool]:
    """Whether a contribution matches or may match again: it is neither withdrawn nor expired."""
    expires = contributions.c.expires_at
    return and_(
        contributions.c.withdrawn_at.is_(None),
        # A contribution that expired in the log may have been given more time since.
        or_(contributions.c.announced != str(Status.EXPIRED), expires.is_(None), expires > _HEAD_AT),
    )


def _holders(table: Table, *columns: ColumnElement[Any]) -> Select[Any]:
    """The query for values in a table, with columns of the active contributions that have them.

    Its parameters are algorithm, octets (the values), now, standings and limit.
    """
    return (
        select(table.c.value, *columns)
        .select_from(table)
        .join(contributions, contributions.c.id == table.c.contribution_id)
        .join(members, members.c.id == contributions.c.member_id)
        .where(*holds(table), active(NOW), contributions.c.standing.in_(bindparam("standings", expanding=True)))
        .limit(bindparam("limit"))
    )


# Built once: to build a query takes longer than to execute it.
_HOLDERS = {table: _holders(table, *_HOLDER_COLUMNS, *_DETAILS_COLUMNS) for table in SIGNAL_TABLES}
_HOLDERS_WITHOUT_DETAILS = {table: _holders(table, *_HOLDER_COLUMNS) for table in SIGNAL_TABLES}
_HOLDERS_BY_ITEM_SIGNALS = {
    table: query.where(table.c.position < SIGNALS_AN_ITEM) for table, query in _HOLDERS_WITHOUT_DETAILS.items()
}
_DETAILS = select(contributions.c.id, *_DETAILS_COLUMNS).where(contributions.c.id.in_(IDS))
_OVERRULING = (
    select(signals.c.contribution_id, signals.c.algorithm)
    .distinct()
    .where(signals.c.contribution_id.in_(IDS), signals.c.algorithm.in_(sorted(map(str, OVERRULING))))
)
_ITEM_SIGNALS = signals_in(signals, signals.c.position < SIGNALS_AN_ITEM)
_SIGNATURES: Select[Any] = select(
    signatures.c.contribution_id,
    signatures.c.position + literal(SIGNALS_AN_ITEM),
    signatures.c.kind,
    signatures.c.value,
).where(signatures.c.contribution_id.in_(IDS))
_STORED = union_all(_ITEM_SIGNALS, _SIGNATURES).order_by("contribution_id", "position")
_CONFIRMING = (
    select(opinions.c.contribution_id, opinions.c.member_id)
    .join(members, members.c.id == opinions.c.member_id)
    .where(
        opinions.c.contribution_id.in_(IDS),
        opinions.c.opinion == str(Stance.CONFIRMS),
        ~opinions.c.replaced,
        members.c.status == str(MemberStatus.ACTIVE),
    )
)
_NO_LIMIT = 2**63 - 1
"""The largest number that the databases take as a limit."""
