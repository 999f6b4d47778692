"""Contributions and their signals in SQL."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    Text,
    and_,
    case,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from hashdb.domain.contributions import (
    UNSET,
    Amendment,
    Contribution,
    Draft,
    Filter,
    Media,
    Once,
    Standing,
    Status,
)
from hashdb.domain.matches import Holder
from hashdb.domain.members import Member, MemberStatus
from hashdb.domain.signals import Algorithm, Signal
from hashdb.errors import IdempotencyKeyReused, NotFound
from hashdb.store.tables import amendments, contributions, events, members, requests, signals

_T = TypeVar("_T")
_Selected = TypeVar("_Selected", bound=Select[Any])

_COPIED = (
    "removed_at",
    "quality",
    "media",
    "severity",
    "basis",
    "tco_ground",
    "entity",
    "incident",
    "context",
    "notified_at",
    "reference",
    "expires_at",
    "labels",
)
"""Fields that have one name in the draft, the contribution and the table."""


class Owed(NamedTuple):
    """A contribution whose status is no longer what the log told."""

    id: int
    told: Status
    now: Status


class Contributions:
    """Contributions within one transaction."""

    def __init__(self, connection: Connection) -> None:
        """Over an open connection."""
        self._connection = connection

    def add(self, member: Member, drafts: Sequence[Draft], now: datetime) -> tuple[Contribution, ...]:
        """Record drafts of a member, in order."""
        if not drafts:
            return ()
        statement = insert(contributions).returning(contributions.c.id, sort_by_parameter_order=True)
        ids = self._connection.scalars(statement, [_row(member, draft, now) for draft in drafts]).all()
        self._connection.execute(
            insert(signals),
            [
                {"contribution_id": id, "position": i, "algorithm": signal.algorithm, "value": signal.to_bytes()}
                for id, draft in zip(ids, drafts, strict=True)
                for i, signal in enumerate(draft.signals)
            ],
        )
        return tuple(_recorded(id, member, draft, now) for id, draft in zip(ids, drafts, strict=True))

    def known(self, member: int, fingerprints: Collection[bytes], now: datetime) -> dict[bytes, int]:
        """The member's active contributions with these sets of signals: fingerprint → id, the lowest."""
        found: dict[bytes, int] = {}
        for some in _chunks(list(fingerprints)):
            query = (
                select(contributions.c.fingerprint, func.min(contributions.c.id))
                .where(contributions.c.member_id == member, contributions.c.fingerprint.in_(some), _unended(now))
                .group_by(contributions.c.fingerprint)
            )
            found.update((row[0], row[1]) for row in self._connection.execute(query))
        return found

    def get(self, ids: Collection[int], now: datetime) -> dict[int, Contribution]:
        """The contributions with these ids; those that do not exist are left out."""
        found: dict[int, Contribution] = {}
        for some in _chunks(sorted(set(ids))):
            found.update(self._read(_contributions(now).where(contributions.c.id.in_(some))))
        return found

    def told(self, ids: Collection[int], now: datetime) -> dict[int, Contribution]:
        """The contributions with these ids, each with the status that the log last told."""
        found = self.get(ids, now)
        statuses: dict[int, str] = {}
        for some in _chunks(sorted(found)):
            query = select(contributions.c.id, contributions.c.announced).where(contributions.c.id.in_(some))
            statuses.update((row[0], row[1]) for row in self._connection.execute(query))
        return {id: dataclasses.replace(found[id], status=Status(told)) for id, told in statuses.items()}

    def one(self, id: int, now: datetime, *, lock: bool = False) -> Contribution:
        """One contribution, held to the end of the transaction with `lock`. Raises NotFound."""
        if lock:
            self._connection.execute(select(contributions.c.id).where(contributions.c.id == id).with_for_update())
        found = self.get([id], now)
        if not found:
            raise NotFound(f"contribution {id}")
        return found[id]

    def page(self, chosen: Filter, after: int, limit: int, now: datetime) -> tuple[Contribution, ...]:
        """At most `limit` contributions that the filter lets through, with ids above `after`, in order."""
        query = _contributions(now).where(contributions.c.id > after, *_conditions(chosen, now))
        return tuple(self._read(query.order_by(contributions.c.id).limit(limit)).values())

    def holders(
        self,
        found: Collection[Signal],
        now: datetime,
        standings: Collection[Standing],
        limit: int | None = None,
        only: Collection[int] | None = None,
    ) -> list[Holder]:
        """Who holds any of the signals and is active: one holder a contribution and signal, in no order.

        At most `limit`, which is then cut anywhere; `only` names the contributions that may be answered.
        """
        holders: list[Holder] = []
        for algorithm, octets in _by_algorithm(found):
            query = _held(select(*_HELD), algorithm, octets, now, standings)
            for ids in [None] if only is None else _chunks(list(only)):
                part = query if ids is None else query.where(contributions.c.id.in_(ids))
                rows = self._connection.execute(part.limit(None if limit is None else limit - len(holders)))
                holders += [_holder(algorithm, row) for row in rows]
        return holders

    def holding(
        self, found: Collection[Signal], now: datetime, standings: Collection[Standing], limit: int
    ) -> list[int]:
        """The ids of at most `limit` active contributions that hold any of the signals, the lowest, in order."""
        ids: set[int] = set()
        for algorithm, octets in _by_algorithm(found):
            query = _held(select(contributions.c.id).distinct(), algorithm, octets, now, standings)
            ids.update(self._connection.scalars(query.order_by(contributions.c.id).limit(limit)))
        return sorted(ids)[:limit]

    def signals(self, ids: Collection[int]) -> dict[int, tuple[Signal, ...]]:
        """The signals of contributions, by id, in the order they were sent."""
        found: dict[int, tuple[Signal, ...]] = {}
        for some in _chunks(sorted(set(ids))):
            query = (
                select(signals.c.contribution_id, signals.c.algorithm, signals.c.value)
                .where(signals.c.contribution_id.in_(some))
                .order_by(signals.c.contribution_id, signals.c.position)
            )
            rows = self._connection.execute(query)
            for id, group in groupby(rows, key=lambda row: row.contribution_id):
                found[id] = tuple(Signal.from_bytes(Algorithm(row.algorithm), row.value) for row in group)
        return found

    def values(self, after: int, upto: int) -> Iterator[Signal]:
        """The signals of contributions added by events `after` < seq ≤ `upto`; from 0, all there are now."""
        query = select(signals.c.algorithm, signals.c.value).distinct()
        if after > 0:
            query = query.join(
                events,
                and_(events.c.subject_kind == "contribution", events.c.subject_id == signals.c.contribution_id),
            ).where(events.c.seq > after, events.c.seq <= upto, events.c.action == "contribution.added")
        for row in self._connection.execute(query.execution_options(yield_per=10_000)):
            yield Signal.from_bytes(Algorithm(row.algorithm), row.value)

    def amend(self, contribution: Contribution, change: Amendment, now: datetime) -> tuple[str, ...]:
        """Change the fields that are set and differ, keep their old values, and return their names, sorted."""
        asked = {f.name: getattr(change, f.name) for f in dataclasses.fields(change)}
        values = {
            name: value for name, value in asked.items() if value is not UNSET and value != getattr(contribution, name)
        }
        if values:
            before = {name: _plain(getattr(contribution, name)) for name in values}
            row = {"contribution_id": contribution.id, "at": now, "before": before}
            self._connection.execute(insert(amendments), row)
            self._connection.execute(update(contributions).where(contributions.c.id == contribution.id).values(values))
        return tuple(sorted(values))

    def withdraw(self, id: int, reason: str, now: datetime) -> None:
        """Mark a contribution as withdrawn, and as told to be so."""
        values = {"withdrawn_at": now, "withdrawal_reason": reason, "announced": Status.WITHDRAWN}
        self._connection.execute(update(contributions).where(contributions.c.id == id).values(values))

    def erase(self, id: int, now: datetime) -> None:
        """Remove signals, reference, old values and what names the set of signals; the row stays, empty."""
        self._connection.execute(delete(signals).where(signals.c.contribution_id == id))
        self._connection.execute(delete(amendments).where(amendments.c.contribution_id == id))
        values = {"reference": None, "fingerprint": None, "erased_at": now}
        self._connection.execute(update(contributions).where(contributions.c.id == id).values(values))

    def owed(self, now: datetime, limit: int, *, hold: bool = True) -> tuple[Owed, ...]:
        """At most `limit` contributions whose status differs from what the log told.

        With `hold` they are held to the end of the transaction, and those that another one holds are left out.
        """
        active, suspended = str(Status.ACTIVE), str(Status.SUSPENDED)
        told = contributions.c.announced
        differs = or_(
            and_(told == active, contributions.c.expires_at <= now),
            and_(told == active, members.c.status == str(MemberStatus.SUSPENDED)),
            and_(told == suspended, contributions.c.expires_at <= now),
            and_(told == suspended, members.c.status == str(MemberStatus.ACTIVE)),
        )
        query = (
            select(contributions.c.id, told, _status(now).label("status"))
            .join(members, members.c.id == contributions.c.member_id)
            .where(told.in_([active, suspended]), differs)
            .order_by(contributions.c.id)
            .limit(limit)
        )
        if hold:
            query = query.with_for_update(of=contributions, skip_locked=True)
        return tuple(Owed(row.id, Status(row.announced), Status(row.status)) for row in self._connection.execute(query))

    def announce(self, ids: Collection[int], status: Status) -> None:
        """Note what the log now tells of these contributions."""
        for some in _chunks(list(ids)):
            self._connection.execute(
                update(contributions).where(contributions.c.id.in_(some)).values(announced=str(status))
            )

    def received_since(self, member: int, since: datetime) -> int:
        """How many contributions of a member were received from `since` on."""
        query = (
            select(func.count())
            .select_from(contributions)
            .where(contributions.c.member_id == member, contributions.c.received_at >= since)
        )
        return self._connection.execute(query).scalar_one()

    def answered(self, member: int, once: Once, since: datetime) -> Mapping[str, object] | None:
        """What the same request was answered after `since`, if it was. Raises IdempotencyKeyReused."""
        query = select(requests).where(
            requests.c.member_id == member, requests.c.key == once.key, requests.c.at > since
        )
        row = self._connection.execute(query).one_or_none()
        if row is None:
            return None
        if row.digest != once.digest:
            raise IdempotencyKeyReused()
        answer: Mapping[str, object] = row.answer
        return answer

    def remember(self, member: int, once: Once, answer: Mapping[str, object], now: datetime, since: datetime) -> None:
        """Keep the answer to a request, and forget those of before `since`."""
        self._connection.execute(delete(requests).where(requests.c.at <= since))
        row = {"member_id": member, "key": once.key, "digest": once.digest, "at": now, "answer": answer}
        self._connection.execute(insert(requests), row)

    def _read(self, query: Select[tuple[object, ...]]) -> dict[int, Contribution]:
        rows = self._connection.execute(query).all()
        found = self.signals([row.id for row in rows])
        return {row.id: _contribution(row, found.get(row.id, ())) for row in rows}


_HELD = (
    signals.c.value,
    contributions.c.id,
    contributions.c.member_id,
    contributions.c.labels,
    contributions.c.severity,
    contributions.c.standing,
    contributions.c.context,
    contributions.c.removed_at,
    contributions.c.received_at,
)


def _held(
    query: _Selected, algorithm: Algorithm, octets: Sequence[bytes], now: datetime, standings: Collection[Standing]
) -> _Selected:
    return (
        query.select_from(signals)
        .join(contributions, contributions.c.id == signals.c.contribution_id)
        .join(members, members.c.id == contributions.c.member_id)
        .where(signals.c.algorithm == str(algorithm), signals.c.value.in_(octets), _active(now))
        .where(contributions.c.standing.in_([str(standing) for standing in standings]))
    )


def _by_algorithm(found: Collection[Signal]) -> Iterator[tuple[Algorithm, Sequence[bytes]]]:
    for algorithm, group in groupby(sorted(found), key=lambda signal: signal.algorithm):
        for octets in _chunks([signal.to_bytes() for signal in group]):
            yield algorithm, octets


def _unended(now: datetime) -> ColumnElement[bool]:
    expires = contributions.c.expires_at
    return and_(contributions.c.withdrawn_at.is_(None), or_(expires.is_(None), expires > now))


def _active(now: datetime) -> ColumnElement[bool]:
    return and_(_unended(now), members.c.status == str(MemberStatus.ACTIVE))


def _status(now: datetime) -> ColumnElement[str]:
    """The status at `now`, whatever the log has told so far."""
    return case(
        (contributions.c.withdrawn_at.is_not(None), literal(str(Status.WITHDRAWN))),
        (contributions.c.expires_at <= now, literal(str(Status.EXPIRED))),
        (members.c.status == str(MemberStatus.SUSPENDED), literal(str(Status.SUSPENDED))),
        else_=literal(str(Status.ACTIVE)),
    )


def _contributions(now: datetime) -> Select[tuple[object, ...]]:
    return select(contributions, members.c.name.label("member_name"), _status(now).label("status")).join(
        members, members.c.id == contributions.c.member_id
    )


def _conditions(chosen: Filter, now: datetime) -> Iterator[ColumnElement[bool]]:
    if chosen.member is not None:
        yield contributions.c.member_id == chosen.member
    if chosen.status is not None:
        yield _status(now) == str(chosen.status)
    if chosen.standing is not None:
        yield contributions.c.standing == str(chosen.standing)
    if chosen.label is not None:
        yield contributions.c.labels.cast(Text).contains(f" {chosen.label} ", autoescape=True)
    if chosen.since is not None:
        yield contributions.c.received_at >= chosen.since
    if chosen.until is not None:
        yield contributions.c.received_at < chosen.until


def _row(member: Member, draft: Draft, now: datetime) -> dict[str, object]:
    return {name: getattr(draft, name) for name in _COPIED} | {
        "member_id": member.id,
        "received_at": now,
        "fingerprint": draft.fingerprint(),
        "standing": Standing.UNREVIEWED,
        "announced": Status.ACTIVE,
    }


def _recorded(id: int, member: Member, draft: Draft, now: datetime) -> Contribution:
    return Contribution(
        id=id,
        member=member.id,
        member_name=member.name,
        status=Status.ACTIVE,
        standing=Standing.UNREVIEWED,
        received_at=now,
        signals=draft.signals,
        withdrawn_at=None,
        withdrawal_reason=None,
        erased=False,
        **{name: getattr(draft, name) for name in _COPIED},
    )


def _contribution(row: Row[tuple[object, ...]], found: tuple[Signal, ...]) -> Contribution:
    return Contribution(
        id=row.id,
        member=row.member_id,
        member_name=row.member_name,
        status=Status(row.status),
        standing=Standing(row.standing),
        received_at=row.received_at,
        signals=found,
        withdrawn_at=row.withdrawn_at,
        withdrawal_reason=row.withdrawal_reason,
        erased=row.erased_at is not None,
        **{name: getattr(row, name) for name in _COPIED} | {"media": Media(row.media)},
    )


def _holder(algorithm: Algorithm, row: Any) -> Holder:
    return Holder(
        signal=Signal.from_bytes(algorithm, row.value),
        contribution=row.id,
        member=row.member_id,
        labels=row.labels,
        severity=row.severity,
        standing=Standing(row.standing),
        context=row.context,
        removed_at=row.removed_at,
        received_at=row.received_at,
    )


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return list(value) if isinstance(value, tuple) else value


def _chunks(whole: Sequence[_T], size: int = 500) -> Iterator[Sequence[_T]]:
    for start in range(0, len(whole), size):
        yield whole[start : start + size]
