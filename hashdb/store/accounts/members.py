"""Members, their keys, and what actors have used of their budgets, in SQL."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from typing import cast

from sqlalchemy import ColumnElement, Row, bindparam, func, select, update
from sqlalchemy.exc import IntegrityError

from hashdb.domain.accounts.budgets import Budget, BudgetUse
from hashdb.domain.accounts.members import (
    Activity,
    Key,
    KeyDraft,
    Member,
    MemberChange,
    MemberDraft,
    MemberKind,
    MemberLimits,
    MemberStatus,
    Scope,
    SuspensionImpact,
)
from hashdb.errors import NameTaken
from hashdb.store.contributions.statuses import MATCHING, unended
from hashdb.store.repositories import Repository, attributes
from hashdb.store.tables import contributions, keys, members, opinions, spent


class Members(Repository):
    """Members and their keys within one transaction."""

    def add(self, draft: MemberDraft, now: datetime) -> Member:
        """Record a member. Raises NameTaken."""
        row = {
            **attributes(draft, "name", "kind", "contact"),
            **attributes(draft.limits, "contributions_per_day", "budget_factor"),
            "status": MemberStatus.ACTIVE,
            "created_at": now,
        }
        with unique_name(draft.name):
            return _member(self._insert(members, row))

    def get(self, member: int) -> Member:
        """One member. Raises NotFound."""
        return _member(self._get_row(_MEMBER, f"member {member}", {"member": member}))

    def named(self, name: str) -> Member:
        """The member of that name. Raises NotFound."""
        return _member(self._get_row(select(members).where(members.c.name == name), f"a member named {name}"))

    def lock(self, ids: Collection[int]) -> dict[int, Member]:
        """Lock members until the transaction ends, so that the requests of each run one after the other.

        Returns them by id. In SQLite, a writing transaction excludes all others from its beginning.
        """
        rows = self._connection.execute(_LOCK, {"members": sorted(ids)})
        return {row.id: _member(row) for row in rows}

    def page(self, after: int, limit: int) -> tuple[Member, ...]:
        """At most `limit` members with ids above `after`, in order."""
        return tuple(map(_member, self._page_after(select(members), members.c.id, after, limit)))

    def names(self, besides: int) -> tuple[str, ...]:
        """The names of all members but one."""
        return tuple(self._connection.execute(select(members.c.name).where(members.c.id != besides)).scalars())

    def change(self, member: int, change: MemberChange) -> Member:
        """Change the fields that are set in `change`. Raises NotFound, NameTaken."""
        values: dict[str, object] = {
            name: value
            for name in ("name", "kind", "contact", "status", "budget_factor")
            if (value := getattr(change, name)) is not None
        }
        if change.limits is not None:
            values["contributions_per_day"] = change.limits.contributions_per_day
        if values:
            with unique_name(change.name or ""):
                self._update(members, member, **values)
        return self.get(member)

    def add_key(self, member: int, digest: bytes, draft: KeyDraft, now: datetime) -> Key:
        """Record a key by the digest of its secret."""
        row = {
            **attributes(draft, "expires_at", "hides_distances"),
            "member_id": member,
            "digest": digest,
            "scopes": tuple(sorted(draft.scopes)),
            "created_at": now,
        }
        return _key(self._insert(keys, row))

    def key(self, key: int, *, lock: bool = False) -> Key:
        """One key; `lock` locks it until the transaction ends. Raises NotFound."""
        return _key(self._get_row(select(keys).where(keys.c.id == key), f"key {key}", lock=lock))

    def key_by_digest(self, digest: bytes) -> Key | None:
        """The key whose secret has this digest, if there is one."""
        return self._find(select(keys).where(keys.c.digest == digest), _key)

    def keys(self, member: int, after: int, limit: int) -> tuple[Key, ...]:
        """At most `limit` keys of a member with ids above `after`, in order."""
        query = select(keys).where(keys.c.member_id == member)
        return tuple(map(_key, self._page_after(query, keys.c.id, after, limit)))

    def revoke(self, key: int, now: datetime) -> Key:
        """Mark a key as revoked."""
        self._update(keys, key, revoked_at=now)
        return self.key(key)

    def activity(self, member: int, since: datetime) -> Activity:
        """How much a member did from `since` on, and when it contributed last."""
        parameters = {"member": member, "since": since}
        contributed, last = self._connection.execute(_CONTRIBUTED, parameters).one()
        return Activity(contributed, self._connection.execute(_OPINED, parameters).scalar_one(), last)

    def suspension_impact(self, member: int, now: datetime) -> SuspensionImpact:
        """How many contributions, keys and opinions of the member are in force."""
        return SuspensionImpact(
            self._count(contributions.c.member_id == member, unended(now), MATCHING),
            self._count(keys.c.member_id == member, valid_key(now)),
            self._count(opinions.c.member_id == member, opinions.c.replaced.is_(False)),
        )

    def record_feed_read(self, key: int, day: str) -> bool:
        """Record that the key reads the feed on `day` (ISO 8601); return whether this is the first time on that day."""
        query = update(keys).where(keys.c.id == key, keys.c.feed_read_on.is_distinct_from(day))
        return self._connection.execute(query.values(feed_read_on=day)).rowcount == 1


@contextmanager
def unique_name(name: str, what: str = "member") -> Iterator[None]:
    """Raise NameTaken if the block raises IntegrityError: a second `what` (member, user, view) has that name."""
    try:
        yield
    except IntegrityError:
        raise NameTaken(name, what) from None


def valid_key(now: datetime) -> ColumnElement[bool]:
    """The condition that a key is neither revoked nor expired."""
    return keys.c.revoked_at.is_(None) & (keys.c.expires_at.is_(None) | (keys.c.expires_at > now))


_MEMBER = select(members).where(members.c.id == bindparam("member"))
_OWN = contributions.c.member_id == bindparam("member")
_CONTRIBUTED = select(
    select(func.count()).where(_OWN, contributions.c.received_at >= bindparam("since")).scalar_subquery(),
    select(func.max(contributions.c.received_at)).where(_OWN).scalar_subquery(),
)
_OPINED = select(func.count()).where(
    opinions.c.member_id == bindparam("member"), opinions.c.given_at >= bindparam("since")
)
_LOCK = (
    select(members)
    .where(members.c.id.in_(bindparam("members", expanding=True)))
    .order_by(members.c.id)
    .with_for_update(key_share=True)
)


def _member(row: Row[tuple[object, ...]]) -> Member:
    return Member(
        **attributes(row, "id", "name", "contact", "created_at"),
        kind=MemberKind(row.kind),
        status=MemberStatus(row.status),
        limits=MemberLimits(row.contributions_per_day, row.budget_factor),
    )


def _key(row: Row[tuple[object, ...]]) -> Key:
    return Key(
        **attributes(row, "id", "created_at", "expires_at", "revoked_at", "hides_distances"),
        member=row.member_id,
        scopes=frozenset(Scope(scope) for scope in cast(tuple[str, ...], row.scopes)),
        feed_read_on=None if row.feed_read_on is None else date.fromisoformat(row.feed_read_on),
    )


class BudgetsUsed(Repository):
    """What actors have used of their budgets, within one transaction."""

    def add(self, uses: Sequence[BudgetUse], now: datetime) -> None:
        """Add these uses, and delete those of budgets that have renewed since."""
        self._delete(spent, spent.c.renews_at <= now)
        rows = [
            {**attributes(use, "actor", "renews_at", "amount"), "budget": str(use.budget)}
            for use in sorted(uses, key=lambda use: (use.actor, use.budget))
            if use.renews_at > now
        ]
        self._upsert(spent, rows, sum_columns=("amount",))

    def used(self, now: datetime) -> list[BudgetUse]:
        """The uses of all actors of the budgets that renew after `now`."""
        rows = self._connection.execute(select(spent).where(spent.c.renews_at > now))
        # A newer version may count budgets that this version does not know.
        return [
            BudgetUse(row.actor, Budget(row.budget), row.renews_at, row.amount)
            for row in rows
            if row.budget in _KNOWN_BUDGETS
        ]


_KNOWN_BUDGETS = frozenset(map(str, Budget))
