"""Upstreams in SQL, and the origins of the contributions that came from them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Row, bindparam, select, update

from hashdb.domain.accounts.members import MemberStatus
from hashdb.domain.contributions import Standing
from hashdb.domain.sharing.upstreams import Upstream, UpstreamTrouble
from hashdb.store.repositories import Repository, attributes, chunks, insert_rows
from hashdb.store.tables import contributions, members, origins, upstreams

_SAME_NAMES = (
    *("id", "url", "log", "epoch", "seq", "round", "rereading", "paused", "judges", "judged", "created_at"),
    *("caught_up_at", "failing_since", "failures", "refused"),
)
"""The fields of `Upstream` that have the same name in the table."""


class ClaimedUpstream(NamedTuple):
    """An upstream that only this process reads now, with its key."""

    upstream: Upstream
    key: str


class UpstreamPath(NamedTuple):
    """How a contribution came here: its number at its upstream, and the standing that the upstream sets here."""

    contribution: int
    upstream: int
    remote_id: int
    """The number at the upstream."""
    standing: Standing
    round: int
    """The last round of reading the upstream's list from the beginning in which the contribution was read."""
    fingerprint: bytes | None
    """The fingerprint of the signals with which it was contributed here; None once they are erased."""


class Upstreams(Repository):
    """Upstreams within one transaction."""

    def add(self, member: int, url: str, key: str, log: str, now: datetime, seq: int, *, judges: bool) -> Upstream:
        """Record an upstream, which is read from its beginning.

        If its key may give opinions (`judges`), those after the event `seq` of the own log are sent to it.
        """
        row = {
            "member_id": member,
            "url": url,
            "secret": key,
            "log": log,
            "seq": 0,
            "round": 1,
            "rereading": True,
            "paused": False,
            "judges": judges,
            "judged": seq,
            "created_at": now,
            "next_at": now,
            "failures": 0,
            "refused": {},
        }
        return self.one(self._insert(upstreams, row).id)

    def one(self, id: int, *, lock: bool = False) -> Upstream:
        """One upstream; `lock` locks it until the transaction ends. Raises NotFound."""
        if lock:
            self._connection.execute(select(upstreams.c.id).where(upstreams.c.id == id).with_for_update())
        return _upstream(self._get_row(_UPSTREAMS.where(upstreams.c.id == id), f"upstream {id}"))

    def all(self) -> tuple[Upstream, ...]:
        """All upstreams, in the order of their ids."""
        return tuple(map(_upstream, self._connection.execute(_UPSTREAMS.order_by(upstreams.c.id))))

    def members(self) -> frozenset[int]:
        """The members whose contributions came from an upstream, also one that is no longer followed."""
        member_ids, id = set(self._connection.scalars(select(upstreams.c.member_id))), 0
        # Each query finds the next upstream in the index: one query for each upstream, however many origins there are.
        while row := self._connection.execute(_NEXT, {"id": id}).one_or_none():
            id = row.upstream_id
            member_ids.add(row.member_id)
        return frozenset(member_ids)

    def key(self, id: int) -> str:
        """The key of an upstream."""
        return str(self._get_row(select(upstreams.c.secret).where(upstreams.c.id == id), f"upstream {id}").secret)

    def due(self, now: datetime) -> tuple[int, ...]:
        """The ids of the upstreams that are due to be read: not paused, of members that are not suspended."""
        query = (
            select(upstreams.c.id)
            .join(members, members.c.id == upstreams.c.member_id)
            .where(
                upstreams.c.next_at <= now, upstreams.c.paused.is_(False), members.c.status == str(MemberStatus.ACTIVE)
            )
            .order_by(upstreams.c.next_at)
        )
        return tuple(self._connection.scalars(query))

    def claim(self, id: int, now: datetime, until: datetime) -> ClaimedUpstream | None:
        """Claim an upstream that is due, so that no other process reads it before `until`; None if one does."""
        query = update(upstreams).where(upstreams.c.id == id, upstreams.c.next_at <= now, upstreams.c.paused.is_(False))
        if self._connection.execute(query.values(next_at=until)).rowcount != 1:
            return None
        return ClaimedUpstream(self.one(id), self.key(id))

    def set(self, id: int, **values: object) -> None:
        """Set columns of an upstream."""
        self._update(upstreams, id, **values)

    def delete(self, id: int) -> None:
        """Remove an upstream and its key; what came from it no longer has a number there."""
        self._connection.execute(update(origins).where(origins.c.upstream_id == id).values(remote_id=None))
        self._delete(upstreams, upstreams.c.id == id)


class Origins(Repository):
    """The origins of contributions within one transaction.

    An upstream stands for a contribution from when it is contributed here until it is withdrawn because the upstream
    no longer lists it, or the upstream is removed.
    """

    def add(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Record the origins of new contributions, by column."""
        insert_rows(self._connection, origins, rows)

    def standings(self, ids: Collection[int]) -> dict[int, Standing]:
        """The standing that upstreams set for these contributions, by contribution."""
        query = select(origins.c.contribution_id, origins.c.standing)
        return {id: Standing(text) for id, text in self._rows_in(query, origins.c.contribution_id, ids)}

    def paths(self, upstream: int, remote_ids: Collection[int]) -> dict[int, UpstreamPath]:
        """The paths of the contributions that an upstream stands for, by their numbers there (`remote_ids`)."""
        query = _PATHS.where(origins.c.upstream_id == upstream)
        return {row.remote_id: _path(row) for row in self._rows_in(query, origins.c.remote_id, remote_ids)}

    def path(self, contribution: int) -> UpstreamPath | None:
        """The path of a contribution; None if no upstream stands for it."""
        query = _PATHS.where(origins.c.contribution_id == contribution, origins.c.remote_id.is_not(None))
        return self._find(query, _path)

    def unread_paths(self, upstream: int, before: int, limit: int) -> tuple[UpstreamPath, ...]:
        """At most `limit` contributions that an upstream stands for, and that were last read before round `before`."""
        query = _PATHS.where(
            origins.c.upstream_id == upstream, origins.c.remote_id.is_not(None), origins.c.round < before
        )
        return tuple(map(_path, self._connection.execute(query.limit(limit))))

    def mark_read(self, changed: Mapping[int, Standing], round: int) -> None:
        """Record that these contributions were read in this round, and the standing that the upstream sets for each."""
        query = (
            update(origins)
            .where(origins.c.contribution_id == bindparam("id"))
            .values(standing=bindparam("new_standing"), round=round)
        )
        rows = [{"id": id, "new_standing": str(standing)} for id, standing in changed.items()]
        if rows:
            self._connection.execute(query, rows)

    def release(self, ids: Collection[int]) -> None:
        """Record that the upstream no longer stands for these contributions."""
        for chunk in chunks(sorted(ids)):
            query = update(origins).where(origins.c.contribution_id.in_(chunk))
            self._connection.execute(query.values(remote_id=None))


_NEXT = (
    select(origins.c.upstream_id, contributions.c.member_id)
    .join(contributions, contributions.c.id == origins.c.contribution_id)
    .where(origins.c.upstream_id > bindparam("id"))
    .order_by(origins.c.upstream_id)
    .limit(1)
)
_UPSTREAMS = select(upstreams, members.c.name).join(members, members.c.id == upstreams.c.member_id)
_PATHS = select(
    *origins.c["contribution_id", "upstream_id", "remote_id", "standing", "round"], contributions.c.fingerprint
).join(contributions, contributions.c.id == origins.c.contribution_id)


def _upstream(row: Row[Any]) -> Upstream:
    trouble = None if row.trouble is None else UpstreamTrouble(row.trouble)
    return Upstream(**attributes(row, *_SAME_NAMES), name=row.name, member=row.member_id, trouble=trouble)


def _path(row: Any) -> UpstreamPath:
    return UpstreamPath(*row)._replace(standing=Standing(row.standing))
