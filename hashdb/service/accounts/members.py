"""Members and their keys: authenticate, add, change, suspend; issue and revoke keys."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from hashdb.domain.accounts.members import (
    Activity,
    Actor,
    IssuedKey,
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
from hashdb.domain.ledger.events import Action, Details, LogEntry, secret_tag
from hashdb.domain.review.proposals import Proposal, ProposedChange, TwoPersonAction
from hashdb.domain.rules import future_fault
from hashdb.domain.stats.counts import AccessRefusal, KeyUse
from hashdb.domain.times import format_instant
from hashdb.errors import AlreadyRevoked, Fault, NotAuthenticated, NotFound, reject
from hashdb.service import HashDB
from hashdb.service.accounts.names import require_distinct
from hashdb.service.review.proposals import require_second_person
from hashdb.service.stats.buffer import Refusal
from hashdb.store import Transaction

ACTIVITY_PERIOD = timedelta(days=30)
"""How far back `activity` counts."""
_PREFIX = "hdb_"
_SECRET_BYTES = 32


def authenticate(db: HashDB, secret: str) -> Actor:
    """The actor whose key has this secret. Raises NotAuthenticated, and counts the refusal."""
    if not secret.startswith(_PREFIX):
        raise _refused(db, AccessRefusal.UNKNOWN_KEY if secret else AccessRefusal.NO_KEY)
    db.follower.catch_up()
    key_and_actor = db.keys.find(_digest(secret))
    if key_and_actor is None:
        raise _refused(db, AccessRefusal.UNKNOWN_KEY)
    key, actor = key_and_actor
    now = db.now()
    if not key.valid(now):
        reason = AccessRefusal.EXPIRED_KEY if key.revoked_at is None else AccessRefusal.REVOKED_KEY
        raise _refused(db, reason, key.member)
    db.stats.note_use(now, key.id)
    return actor


def add(db: HashDB, actor: Actor, draft: MemberDraft) -> Member:
    """Add a member. Raises NameTaken."""
    now = db.now()
    with db.begin(actor, Scope.ADMIN) as tx:
        member = tx.members.add(draft, now)
        tx.audit.append(now, actor, [LogEntry(Action.MEMBER_ADDED, "member", member.id, {"kind": str(member.kind)})])
        # The append has locked the log, so nobody else adds a name now.
        require_distinct(member.name, tx.members.names(besides=member.id), "member")
    return member


def get(db: HashDB, actor: Actor, member: int) -> Member:
    """One member. Raises NotFound."""
    with db.read(actor, Scope.AUDIT) as tx:
        return tx.members.get(member)


def named(db: HashDB, actor: Actor, name: str) -> Member:
    """The member of that name. Raises NotFound."""
    with db.read(actor, Scope.AUDIT) as tx:
        return tx.members.named(name)


def page(db: HashDB, actor: Actor, after: int, limit: int) -> tuple[Member, ...]:
    """At most `limit` members with ids above `after`."""
    with db.read(actor, Scope.AUDIT) as tx:
        return tx.members.page(after, limit)


def change(db: HashDB, actor: Actor, member: int, member_change: MemberChange) -> Member | Proposal:
    """Change a member. A suspension acts at once; a background task logs each of its contributions later.

    If suspending takes two persons, the first one's request returns a proposal. Raises NotFound, NameTaken.
    """
    with db.begin(actor, Scope.ADMIN) as tx:
        return change_within(db, tx, actor, member, member_change)


def change_within(
    db: HashDB, tx: Transaction, actor: Actor, member: int, member_change: MemberChange
) -> Member | Proposal:
    """Change a member within a transaction, as `change` does."""
    now = db.now()
    tx.members.lock([member])
    before = tx.members.get(member)
    if member_change.status is MemberStatus.SUSPENDED and before.status is not member_change.status:
        proposed = ProposedChange(TwoPersonAction.SUSPEND, "member", member, _content(member_change))
        if proposal := require_second_person(db, tx, actor, proposed, now):
            return proposal
    after = tx.members.change(member, member_change)
    tx.audit.append(now, actor, _change_entries(before, after))
    if after.name != before.name:
        require_distinct(after.name, tx.members.names(besides=member), "member")
    return after


def issue_key(db: HashDB, actor: Actor, member: int, draft: KeyDraft) -> IssuedKey:
    """Issue a key to a member; only the returned value has its secret. Raises NotFound, InvalidInput."""
    actor.require(Scope.ADMIN)
    now = db.now()
    faults = [Fault("hides_distances", reason)] if (reason := draft.distances_fault) else []
    if draft.expires_at is not None and (past := future_fault(draft.expires_at, now)):
        faults.append(Fault("expires_at", past))
    reject(faults)
    secret = _PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
    with db.store.begin() as tx:
        tx.members.get(member)
        key = tx.members.add_key(member, _digest(secret), draft, now)
        details: Details = {
            "member": member,
            "scopes": sorted(map(str, key.scopes)),
            "expires_at": None if key.expires_at is None else format_instant(key.expires_at),
            "secret_tag": secret_tag(_digest(secret)),
            **({"hides_distances": 1} if key.hides_distances else {}),
        }
        tx.audit.append(now, actor, [LogEntry(Action.KEY_ISSUED, "key", key.id, details)])
    return IssuedKey(key, secret)


def keys(db: HashDB, actor: Actor, member: int, after: int, limit: int) -> tuple[Key, ...]:
    """At most `limit` keys of a member with ids above `after`. Raises NotFound."""
    with db.read(actor, Scope.AUDIT) as tx:
        tx.members.get(member)
        return tx.members.keys(member, after, limit)


def key(db: HashDB, actor: Actor, key: int, member: int | None = None) -> Key:
    """One key. Raises NotFound, also if it is not `member`'s."""
    with db.read(actor, Scope.AUDIT) as tx:
        return _require_owner(tx.members.key(key), member)


def activity(db: HashDB, actor: Actor, members: Iterable[int]) -> dict[int, Activity]:
    """By member, what it did in the last 30 days, and when it last contributed."""
    with db.read(actor, Scope.AUDIT) as tx:
        since = db.now() - ACTIVITY_PERIOD
        return {member: tx.members.activity(member, since) for member in members}


def impact(db: HashDB, actor: Actor, member: int) -> SuspensionImpact:
    """What a suspension of the member would end, or its reinstatement restore. Raises NotFound."""
    with db.read(actor, Scope.AUDIT) as tx:
        tx.members.get(member)
        return tx.members.suspension_impact(member, db.now())


def revoke_key(db: HashDB, actor: Actor, key: int, member: int | None = None) -> Key:
    """Revoke a key, from the next request on. Raises NotFound (also if it is not `member`'s), AlreadyRevoked."""
    now = db.now()
    with db.begin(actor, Scope.ADMIN) as tx:
        before = _require_owner(tx.members.key(key, lock=True), member)
        if before.revoked_at is not None:
            raise AlreadyRevoked(key)
        revoked = tx.members.revoke(key, now)
        tx.audit.append(now, actor, [LogEntry(Action.KEY_REVOKED, "key", key, {"member": before.member})])
    return revoked


def _content(change: MemberChange) -> dict[str, object]:
    """The change as a proposal stores it, in JSON; `change_from` reads it."""
    fields = {name: getattr(change, name) for name in ("name", "kind", "contact", "status")}
    content: dict[str, object] = {name: str(value) for name, value in fields.items() if value is not None}
    limits: dict[str, int | None] = {}
    if change.limits is not None:
        limits["contributions_per_day"] = change.limits.contributions_per_day
    if change.budget_factor is not None:
        limits["budget_factor"] = change.budget_factor
    return content | ({"limits": limits} if limits else {})


def change_from(content: Mapping[str, Any]) -> MemberChange:
    """The change that a proposal asks for, from its content."""
    kind, status, limits = content.get("kind"), content.get("status"), content.get("limits", {})
    return MemberChange(
        name=content.get("name"),
        kind=None if kind is None else MemberKind(kind),
        contact=content.get("contact"),
        limits=MemberLimits(limits["contributions_per_day"]) if "contributions_per_day" in limits else None,
        status=None if status is None else MemberStatus(status),
        budget_factor=limits.get("budget_factor"),
    )


def _refused(db: HashDB, reason: AccessRefusal, member: int = 0) -> NotAuthenticated:
    db.stats.note_refused_request(db.now(), member, Refusal(None, reason))
    return NotAuthenticated()


def _change_entries(before: Member, after: Member) -> list[LogEntry]:
    fields = [name for name in ("contact", "kind", "limits", "name") if getattr(before, name) != getattr(after, name)]
    kind: Details = {"kind": str(after.kind)} if "kind" in fields else {}
    entries = [LogEntry(Action.MEMBER_AMENDED, "member", after.id, {"fields": fields, **kind})] if fields else []
    if before.status is not after.status:
        suspended = after.status is MemberStatus.SUSPENDED
        action = Action.MEMBER_SUSPENDED if suspended else Action.MEMBER_REINSTATED
        entries.append(LogEntry(action, "member", after.id, {}))
    return entries


def _require_owner(key: Key, member: int | None) -> Key:
    if member not in (None, key.member):
        raise NotFound(f"key {key.id} of member {member}")
    return key


def _digest(secret: str) -> bytes:
    # A secret has 256 random bits, so it cannot be guessed from a plain digest.
    return hashlib.sha256(secret.encode()).digest()


def flush(db: HashDB) -> bool:
    """Store which keys were used, each at most once a minute; return whether there were any.

    What cannot be stored now is stored at the next call. Raises StoreBusy.
    """
    due = db.stats.uses_to_store(db.now())
    if due:
        with db.store.begin() as tx:
            tx.uses.record(due)
        db.stats.mark_uses_stored(due)
    return bool(due)


def log_listing(db: HashDB, actor: Actor) -> None:
    """Log that a key lists other members' contributions: one event for each key and day."""
    key, now = actor.key, db.now()
    if key is None or db.listing_read_on.get(key.id) == now.date():
        return
    with db.store.begin() as tx:
        tx.members.lock([key.member])
        last = tx.audit.newest("key", key.id, Action.LISTING_READ)
        if last is None or last.at.date() < now.date():
            tx.audit.append(now, actor, [LogEntry(Action.LISTING_READ, "key", key.id, {})])
    db.listing_read_on[key.id] = now.date()


def key_uses(db: HashDB, actor: Actor, member: int | None = None) -> dict[int, KeyUse]:
    """By key, when it was last used and how far it has read the feed; of one member's keys, or of all."""
    with db.read(actor, Scope.AUDIT) as tx:
        uses = tx.uses.of_member(member)
        lags = {seq: tx.uses.feed_lag(seq) for seq in {use.fed_seq for use, _ in uses} if seq is not None}
        return {use.key: KeyUse(use, owner, None if use.fed_seq is None else lags[use.fed_seq]) for use, owner in uses}
