"""The audit log in SQL: events are appended in commit order and without gaps."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Row, Select, Text, bindparam, case, func, select, type_coerce, update
from sqlalchemy.types import NullType

from hashdb.domain.accounts.members import Actor
from hashdb.domain.ledger.events import Action, Event, Head, LogEntry, canonical, leaf
from hashdb.domain.stats.counts import Hit
from hashdb.domain.times import to_microseconds
from hashdb.store.ledger.tree import grow
from hashdb.store.repositories import IDS, Repository, insert_values
from hashdb.store.tables import amendments, events, hits, keys, log, members, users


class Audit(Repository):
    """The log within one transaction."""

    def head(self) -> Head:
        """The head of the log in the snapshot of this transaction."""
        row = self._connection.execute(_HEAD).one()
        return Head(row.seq, row.at, row.epoch)

    def head_rows(self) -> Sequence[Row[tuple[object, ...]]]:
        """The rows of the table `log` (`id`, `at`, `epoch`) as stored, at most two: there must be exactly one."""
        return self._connection.execute(_HEADS).all()

    def lock(self) -> tuple[int, datetime, bytes]:
        """Lock the log until the transaction ends, and return the `seq`, `at` and `peaks` of its row.

        Nobody else can append, sign or propose: every writer of the row locks it here first. A process that then hangs
        would block all others, so PostgreSQL ends its transaction.
        """
        lock = _LOCK if self._connection.dialect.name == "sqlite" else _LOCK_IN_TIME
        ((seq, at, peaks, *_),) = self._run(lock, {})
        return seq, at, peaks

    def renew_epoch(self) -> str:
        """Give the log a new epoch and return it: clients that follow the log start again from its beginning."""
        self.lock()
        epoch = secrets.token_hex(16)
        self._connection.execute(update(log).values(epoch=epoch))
        return epoch

    def leaf(self, seq: int) -> str:
        """The leaf of an event, in hex; empty if there is no event with this seq."""
        leaf_hash = self._connection.execute(_LEAF, {"number": seq}).scalar_one_or_none()
        return "" if leaf_hash is None else leaf_hash.hex()

    def seq_before(self, at: datetime) -> int:
        """The seq of the last event before a time (0: there is none).

        A binary search: seqs have no gaps, and the times of events never decrease.
        """
        low, high = 0, self.head().seq
        while low < high:
            middle = (low + high + 1) // 2
            if self._connection.execute(_AT, {"number": middle}).scalar_one() < at:
                low = middle
            else:
                high = middle - 1
        return low

    def last_time(self, kind: str, action: Action, id: int | None = None) -> datetime | None:
        """When an action was last done on a subject, or (without `id`) on a kind of subject that has few events."""
        query = _LAST if id is None else _LAST.where(events.c.subject_id == id)
        return self._connection.execute(query, {"kind": kind, "action": str(action)}).scalar_one_or_none()

    def actions(self, contributions: Collection[int], upto: int) -> dict[int, list[Action]]:
        """The actions on contributions up to a seq, in order, by contribution."""
        actions_by_id: dict[int, list[Action]] = defaultdict(list)
        for id, action in self._run_for_ids(_ACTIONS, contributions, upto=upto):
            actions_by_id[id].append(Action(action))
        return actions_by_id

    def last_changes(self, contributions: Collection[int]) -> dict[int, datetime]:
        """The time of the last event on each contribution."""
        return dict(self._run_for_ids(_CHANGED, contributions))

    def append(self, now: datetime, actor: Actor, entries: Sequence[LogEntry]) -> int:
        """Append an event of the actor for each entry and return the last seq, as `append_all` does."""
        return self.append_all(now, [(actor, entry) for entry in entries])

    def append_all(self, now: datetime, entries: Sequence[tuple[Actor, LogEntry]]) -> int:
        """Append an event for each actor and entry and return the last seq.

        The row of the head stays locked until the transaction ends. So seqs follow the order of commits, a client that
        reads after N misses none, and a roll-back leaves no gap. Append last in a transaction.
        """
        if not entries:
            return self.head().seq
        size, at, peaks = self.lock()
        at, last = max(now, at), size + len(entries)
        rows = [_row(size + i, at, str(actor), entry) for i, (actor, entry) in enumerate(entries, 1)]
        insert_values(self._connection, events.name, _COLUMNS, rows)
        peaks = grow(self._connection, size, peaks, [row[-1] for row in rows])
        self._run(_MOVE, {"last": last, "time": at, "new_peaks": peaks})
        return last

    def since(self, after: int, limit: int, actions: Collection[Action] | None = None) -> tuple[Event, ...]:
        """At most `limit` events with a seq above `after`, in order."""
        query = select(events)
        if actions is not None:
            query = query.where(events.c.action.in_(list(map(str, actions))))
        return tuple(map(_event, self._page_after(query, events.c.seq, after, limit)))

    def subjects(self, after: int, limit: int, actions: Collection[Action]) -> tuple[tuple[int, int], ...]:
        """The seq and the subject's id of at most `limit` events of these actions above `after`, in order."""
        parameters = {"after": after, "limit": limit, "actions": list(map(str, actions))}
        return tuple((seq, id) for seq, id in self._connection.execute(_SUBJECTS, parameters).all())

    def count(self, after: int, upto: int, actions: Collection[Action]) -> int:
        """How many events of these actions there are with `after` < seq ≤ `upto`."""
        return self._connection.execute(
            _COUNT, {"after": after, "upto": upto, "actions": list(map(str, actions))}
        ).scalar_one()

    def events(
        self, after: int, limit: int, actor: str | None, action: str | None, subject: tuple[str, int] | None
    ) -> tuple[Event, ...]:
        """At most `limit` events with a seq above `after`, by an actor, of an action, on a subject (None: any).

        A subject is its kind and its id.
        """
        return tuple(map(_event, self._page_after(_chosen(actor, action, subject), events.c.seq, after, limit)))

    def between(
        self,
        after: int,
        before: int,
        limit: int,
        actors: Collection[str] | None,
        action: str | None,
        subject: tuple[str, int] | None,
        *,
        oldest: bool = False,
    ) -> tuple[Event, ...]:
        """At most `limit` events with `after` < seq < `before` by one of these actors, as by `events`, newest first.

        With `oldest`, the oldest first.
        """
        query = _chosen(None, action, subject)
        if actors is not None:
            query = query.where(events.c.actor.in_(actors))
        query = query.where(events.c.seq > after, events.c.seq < before)
        order = events.c.seq if oldest else events.c.seq.desc()
        return tuple(map(_event, self._connection.execute(query.order_by(order).limit(limit))))

    def newest(self, kind: str, id: int, action: Action | None = None) -> Event | None:
        """The last event on a subject, of an action (None: any); None if there is none."""
        query = _chosen(None, action, (kind, id)).order_by(events.c.seq.desc()).limit(1)
        return self._find(query, _event)

    def event(self, seq: int) -> Event:
        """The event with that seq. Raises NotFound."""
        return _event(self._get_row(select(events).where(events.c.seq == seq), f"event {seq}"))

    def rows(self, after: int | None, limit: int) -> Sequence[Row[tuple[object, ...]]]:
        """At most `limit` events after a number (None: from the first row there is), as they are stored.

        Someone may have edited the database, so a value may have any type.
        """
        query = _ROWS if after is None else _ROWS.where(events.c.seq > after)
        return self._connection.execute(query.limit(limit)).all()

    def subject_kinds(self, after: int, upto: int) -> frozenset[str]:
        """The kinds of subject of the events with `after` < seq ≤ `upto`; for one that retired something, `retired`."""
        return frozenset(kind for (kind,) in self._run(_KINDS, {"after": after, "upto": upto}))


# Built once, because every contribution executes these. `IDS` is the parameter that `_run_for_ids` fills with ids.
_HEAD = select(log.c.seq, log.c.at, log.c.epoch)
_HEADS = select(log.c.id, type_coerce(log.c.at, BigInteger).label("at"), log.c.epoch).limit(2)
_LOCK = select(log.c.seq, log.c.at, log.c.peaks).with_for_update()
# The store sets `hashdb.idle` for each connection: the milliseconds after which PostgreSQL ends an idle transaction.
_LOCK_IN_TIME = _LOCK.add_columns(
    func.set_config("idle_in_transaction_session_timeout", func.current_setting("hashdb.idle", True), True)
)
_MOVE = update(log).values(seq=bindparam("last"), at=bindparam("time"), peaks=bindparam("new_peaks"))
_ROWS = select(
    events.c.seq,
    type_coerce(events.c.at, BigInteger).label("at"),
    *events.c["actor", "action", "subject_kind", "subject_id"],
    type_coerce(events.c.details, Text).label("details"),
    type_coerce(events.c.leaf, NullType()).label("leaf"),
).order_by(events.c.seq)
_LAST = (
    select(events.c.at)
    .where(events.c.subject_kind == bindparam("kind"), events.c.action == bindparam("action"))
    .order_by(events.c.seq.desc())
    .limit(1)
)
_LEAF = select(events.c.leaf).where(events.c.seq == bindparam("number"))
_AT = select(events.c.at).where(events.c.seq == bindparam("number"))
_ON_CONTRIBUTIONS = (events.c.subject_kind == "contribution", events.c.subject_id.in_(IDS))
_ACTIONS = (
    select(events.c.subject_id, events.c.action)
    .where(*_ON_CONTRIBUTIONS, events.c.seq <= bindparam("upto"))
    .order_by(events.c.subject_id, events.c.seq)
)
_CHANGED = select(events.c.subject_id, func.max(events.c.at)).where(*_ON_CONTRIBUTIONS).group_by(events.c.subject_id)
_BETWEEN = (events.c.seq > bindparam("after"), events.c.seq <= bindparam("upto"))
_OF_ACTIONS = events.c.action.in_(bindparam("actions", expanding=True))
_SUBJECTS = (
    select(events.c.seq, events.c.subject_id)
    .where(events.c.seq > bindparam("after"), _OF_ACTIONS)
    .order_by(events.c.seq)
    .limit(bindparam("limit"))
)
_COUNT = select(func.count()).where(*_BETWEEN, _OF_ACTIONS)
_KINDS = (
    select(case((events.c.action == str(Action.CONTRIBUTION_RETIRED), "retired"), else_=events.c.subject_kind))
    .distinct()
    .where(*_BETWEEN)
)


def _chosen(actor: str | None, action: str | None, subject: tuple[str, int] | None) -> Select[tuple[object, ...]]:
    """The query for the events by an actor, of an action, on a subject (its kind and id); None: any."""
    query: Select[tuple[object, ...]] = select(events)
    if actor is not None:
        query = query.where(events.c.actor == actor)
    if action is not None:
        query = query.where(events.c.action == action)
    if subject is not None:
        query = query.where(events.c.subject_kind == subject[0], events.c.subject_id == subject[1])
    return query


_COLUMNS = ("seq", "at", "actor", "action", "subject_kind", "subject_id", "details", "leaf")


def _row(seq: int, at: datetime, actor: str, entry: LogEntry) -> tuple[Any, ...]:
    """The values of `_COLUMNS` for the driver; the details are encoded once for their column and the leaf."""
    action, details = str(entry.action), canonical(entry.details)
    leaf_hash = leaf(seq, at, actor, action, entry.subject, details)
    return seq, to_microseconds(at), actor, action, entry.kind, entry.id, details, leaf_hash


def _event(row: Any) -> Event:
    """The event of a row of the table, whose columns have the order of its fields."""
    return Event(*row)


_MOST_OF_SUBJECT = 1_000
"""Events of a subject that are returned, the first ones."""


class Timelines(Repository):
    """What happened to contributions, cases and other subjects, and the names of the actors, in one transaction."""

    def events(self, kind: str, ids: Collection[int]) -> list[Event]:
        """The events on these subjects, in order."""
        audit = Audit(self._connection)
        events_on_subjects = [
            event
            for id in ids
            for event in audit.events(0, _MOST_OF_SUBJECT, actor=None, action=None, subject=(kind, id))
        ]
        return sorted(events_on_subjects, key=lambda event: event.seq)

    def amendments(self, contribution: int) -> list[tuple[datetime, Mapping[str, object]]]:
        """When a contribution was amended, and the old values, in order; empty once it is erased."""
        query = select(amendments.c.at, amendments.c.before).where(amendments.c.contribution_id == contribution)
        return [(row[0], row[1]) for row in self._connection.execute(query.order_by(amendments.c.id))]

    def hits(self, contribution: int, limit: int) -> list[Hit]:
        """At most `limit` hits on a contribution (one for each member and day), the newest first."""
        query = select(hits).where(hits.c.contribution == contribution).order_by(hits.c.last_at.desc()).limit(limit)
        return [Hit(**row) for row in self._connection.execute(query).mappings()]

    def names(self, actors: Collection[str]) -> Mapping[str, str]:
        """The names of users (`user:1`), of members (`member:3`), and of the members that own keys (`key:9`)."""
        by_kind = {
            "user": select(users.c.id, users.c.name),
            "member": select(members.c.id, members.c.name),
            "key": select(keys.c.id, members.c.name).join(members, members.c.id == keys.c.member_id),
        }
        ids_by_kind: dict[str, set[int]] = defaultdict(set)
        for kind, _, id in (actor.partition(":") for actor in actors):
            if id.isdecimal():
                ids_by_kind[kind].add(int(id))
        names: dict[str, str] = {}
        for kind, query in by_kind.items():
            rows = self._rows_in(query, query.selected_columns.id, ids_by_kind[kind])
            names.update((f"{kind}:{id}", name) for id, name in rows)
        return names
