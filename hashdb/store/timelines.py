"""What happened to a contribution, in SQL: its events, and the old values of what was changed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import select

from hashdb.domain.audit import Event
from hashdb.domain.hits import Hit
from hashdb.store.audit import Audit
from hashdb.store.chunks import chunks
from hashdb.store.repositories import Repository
from hashdb.store.tables import amendments, hits, keys, members, users

MOST = 1_000
"""Events of a subject that are told, the first."""


class Timelines(Repository):
    """Timelines within one transaction."""

    def events(self, kind: str, ids: Collection[int]) -> list[Event]:
        """The events on these subjects, in order."""
        log = Audit(self._connection)
        found = [event for id in ids for event in log.events(0, MOST, None, None, (kind, id))]
        return sorted(found, key=lambda event: event.seq)

    def amended(self, contribution: int) -> list[tuple[datetime, Mapping[str, object]]]:
        """When a contribution was amended, and the values before, in order; none once it is erased."""
        query = select(amendments.c.at, amendments.c.before).where(amendments.c.contribution_id == contribution)
        return [(row[0], row[1]) for row in self._connection.execute(query.order_by(amendments.c.id))]

    def hits(self, contribution: int, limit: int) -> list[Hit]:
        """At most `limit` days on which a member had a contribution as a match, the last first."""
        query = select(hits).where(hits.c.contribution == contribution).order_by(hits.c.last_at.desc()).limit(limit)
        return [Hit(**row) for row in self._connection.execute(query).mappings()]

    def names(self, actors: Collection[str]) -> Mapping[str, str]:
        """The names of users (`user:1`), of members (`member:3`), and of those whose keys these are (`key:9`)."""
        by_kind = {
            "user": select(users.c.id, users.c.name),
            "member": select(members.c.id, members.c.name),
            "key": select(keys.c.id, members.c.name).join(members, members.c.id == keys.c.member_id),
        }
        columns = {"user": users.c.id, "member": members.c.id, "key": keys.c.id}
        found: dict[str, str] = {}
        for kind, query in by_kind.items():
            ids = {int(id) for of, _, id in (one.partition(":") for one in actors) if of == kind and id.isdecimal()}
            for some in chunks(sorted(ids)):
                rows = self._connection.execute(query.where(columns[kind].in_(some)))
                found.update((f"{kind}:{row[0]}", row[1]) for row in rows)
        return found
