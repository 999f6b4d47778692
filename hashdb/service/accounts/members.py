"""Members and keys: who takes part, and with which rights."""

from __future__ import annotations

import hashlib
import re
import secrets
import unicodedata
from collections.abc import Iterable
from datetime import timedelta
from functools import lru_cache

from hashdb.domain.accounts.members import (
    Activity,
    Actor,
    IssuedKey,
    Key,
    KeyDraft,
    Member,
    MemberChange,
    MemberDraft,
    MemberStatus,
    Scope,
    SuspensionImpact,
)
from hashdb.domain.ledger.events import Action, Details, Entry, tag
from hashdb.domain.review.incidents import Proposal, ProposedChange, TwoPersonAction
from hashdb.domain.rules import future_fault
from hashdb.domain.sharing.feed import bank_name
from hashdb.domain.stats.counts import KeyUse, Lag, Reason
from hashdb.domain.times import format_instant
from hashdb.errors import AlreadyRevoked, Fault, InvalidInput, NameTaken, NotAuthenticated, NotFound
from hashdb.service import HashDB
from hashdb.service.review.proposals import second
from hashdb.service.stats.buffer import Refusal

LATELY = timedelta(days=30)
_PREFIX = "hdb_"
_SECRET_BYTES = 32


def authenticate(db: HashDB, secret: str) -> Actor:
    """Who holds this secret now. Raises NotAuthenticated, and counts that."""
    if not secret.startswith(_PREFIX):
        raise _turned_away(db, Reason.UNKNOWN_KEY if secret else Reason.NO_KEY)
    db.follower.catch_up()
    found = db.keys.find(_digest(secret))
    if found is None:
        raise _turned_away(db, Reason.UNKNOWN_KEY)
    key, actor = found
    now = db.now()
    if not key.valid(now):
        raise _turned_away(db, Reason.EXPIRED_KEY if key.revoked_at is None else Reason.REVOKED_KEY, key.member)
    db.stats.use(now, key.id)
    return actor


def add(db: HashDB, actor: Actor, draft: MemberDraft) -> Member:
    """Take a member in. Raises NameTaken."""
    actor.require(Scope.ADMIN)
    now = db.now()
    with db.store.begin() as tx:
        member = tx.members.add(draft, now)
        tx.audit.append(now, actor, [Entry(Action.MEMBER_ADDED, "member", member.id, {"kind": str(member.kind)})])
        # Now that this holds the log, nobody else adds a name.
        require_distinct(member.name, tx.members.names(besides=member.id), "member")
    return member


def get(db: HashDB, actor: Actor, member: int) -> Member:
    """One member. Raises NotFound."""
    actor.require(Scope.AUDIT)
    with db.store.read() as tx:
        return tx.members.get(member)


def named(db: HashDB, actor: Actor, name: str) -> Member:
    """The member of that name. Raises NotFound."""
    actor.require(Scope.AUDIT)
    with db.store.read() as tx:
        return tx.members.named(name)


def page(db: HashDB, actor: Actor, after: int, limit: int) -> tuple[Member, ...]:
    """At most `limit` members with ids above `after`."""
    actor.require(Scope.AUDIT)
    with db.store.read() as tx:
        return tx.members.page(after, limit)


def change(db: HashDB, actor: Actor, member: int, asked: MemberChange) -> Member | Proposal:
    """Change a member. A suspension acts at once; an event for each of its contributions follows (`announce`).

    A suspension may take two persons: of the first one's request a proposal is made, and answered.

    Raises NotFound, NameTaken.
    """
    actor.require(Scope.ADMIN)
    now = db.now()
    with db.store.begin() as tx:
        tx.members.lock(member)
        before = tx.members.get(member)
        if asked.status is MemberStatus.SUSPENDED and before.status is not asked.status:
            if waits := second(
                db, tx, actor, ProposedChange(TwoPersonAction.SUSPEND, "member", member, _content(asked)), now
            ):
                return waits
        after = tx.members.change(member, asked)
        tx.audit.append(now, actor, _changes(before, after))
        if after.name != before.name:
            require_distinct(after.name, tx.members.names(besides=member), "member")
    return after


def issue_key(db: HashDB, actor: Actor, member: int, draft: KeyDraft) -> IssuedKey:
    """Make a key of a member; its secret is in the answer and nowhere else. Raises NotFound, InvalidInput."""
    actor.require(Scope.ADMIN)
    now = db.now()
    faults = [Fault("hides_distances", reason)] if (reason := draft.distances_fault) else []
    if draft.expires_at is not None and (past := future_fault(draft.expires_at, now)):
        faults.append(Fault("expires_at", past))
    if faults:
        raise InvalidInput(tuple(faults))
    secret = _PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
    with db.store.begin() as tx:
        tx.members.get(member)
        key = tx.members.add_key(member, _digest(secret), draft, now)
        hides: Details = {"hides_distances": 1} if key.hides_distances else {}
        expiry = None if key.expires_at is None else format_instant(key.expires_at)
        details: Details = {
            "member": member,
            "scopes": sorted(map(str, key.scopes)),
            "expires_at": expiry,
            "secret_tag": tag(_digest(secret)),
            **hides,
        }
        tx.audit.append(now, actor, [Entry(Action.KEY_ISSUED, "key", key.id, details)])
    return IssuedKey(key, secret)


def keys(db: HashDB, actor: Actor, member: int, after: int, limit: int) -> tuple[Key, ...]:
    """At most `limit` keys of a member with ids above `after`. Raises NotFound."""
    actor.require(Scope.AUDIT)
    with db.store.read() as tx:
        tx.members.get(member)
        return tx.members.keys(member, after, limit)


def key(db: HashDB, actor: Actor, key: int, member: int | None = None) -> Key:
    """One key. Raises NotFound (also when it is not `member`'s)."""
    actor.require(Scope.AUDIT)
    with db.store.read() as tx:
        return _own(tx.members.key(key), member)


def activity(db: HashDB, actor: Actor, members: Iterable[int]) -> dict[int, Activity]:
    """What each of these members did in the last thirty days, and when it contributed last."""
    actor.require(Scope.AUDIT)
    since = db.now() - LATELY
    with db.store.read() as tx:
        return {member: tx.members.activity(member, since) for member in members}


def effect(db: HashDB, actor: Actor, member: int) -> SuspensionImpact:
    """What a suspension of the member takes away, and its reinstatement gives back. Raises NotFound."""
    actor.require(Scope.AUDIT)
    with db.store.read() as tx:
        tx.members.get(member)
        return tx.members.effect(member, db.now())


def revoke_key(db: HashDB, actor: Actor, key: int, member: int | None = None) -> Key:
    """Make a key worthless from the next request on. Raises NotFound (also when not `member`'s), AlreadyRevoked."""
    actor.require(Scope.ADMIN)
    now = db.now()
    with db.store.begin() as tx:
        found = tx.members.key(key, lock=True)
        _own(found, member)
        if found.revoked_at is not None:
            raise AlreadyRevoked(key)
        revoked = tx.members.revoke(key, now)
        tx.audit.append(now, actor, [Entry(Action.KEY_REVOKED, "key", key, {"member": found.member})])
    return revoked


def _content(asked: MemberChange) -> dict[str, object]:
    """What is asked, as it is asked over HTTP."""
    said = {name: getattr(asked, name) for name in ("name", "kind", "contact", "status")}
    content: dict[str, object] = {name: str(value) for name, value in said.items() if value is not None}
    limits: dict[str, int | None] = {}
    if asked.limits is not None:
        limits["contributions_per_day"] = asked.limits.contributions_per_day
    if asked.budget_factor is not None:
        limits["budget_factor"] = asked.budget_factor
    return content | ({"limits": limits} if limits else {})


def _turned_away(db: HashDB, reason: Reason, member: int = 0) -> NotAuthenticated:
    db.stats.turn_away(db.now(), member, Refusal(None, reason))
    return NotAuthenticated()


def _changes(before: Member, after: Member) -> list[Entry]:
    fields = [name for name in ("contact", "kind", "limits", "name") if getattr(before, name) != getattr(after, name)]
    kind: Details = {"kind": str(after.kind)} if "kind" in fields else {}
    entries = [Entry(Action.MEMBER_AMENDED, "member", after.id, {"fields": fields, **kind})] if fields else []
    if before.status is not after.status:
        suspended = after.status is MemberStatus.SUSPENDED
        action = Action.MEMBER_SUSPENDED if suspended else Action.MEMBER_REINSTATED
        entries.append(Entry(action, "member", after.id, {}))
    return entries


def _own(key: Key, member: int | None) -> Key:
    if member not in (None, key.member):
        raise NotFound(f"key {key.id} of member {member}")
    return key


def _digest(secret: str) -> bytes:
    # A secret holds 256 random bits, so a plain digest cannot be guessed back.
    return hashlib.sha256(secret.encode()).digest()


_UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")
"""Characters without a glyph that count as printable (Default_Ignorable_Code_Point)."""
_MARK = "\u200e"
"""Turns the direction of the text around it; the data have it around what is written from right to left."""


def require_distinct(name: str, others: Iterable[str], what: str) -> None:
    """Raise NameTaken where a name of a member or user looks like, or is read as, one of the others.

    What is the same in another case or width counts, what looks alike by Unicode's list of confusables, and of members
    what comes to the same bank of HMA.
    """
    seen = _seen(name, what)
    for other in others:
        if seen & _seen(other, what):
            raise NameTaken(name, what, other)


@lru_cache(maxsize=4096)
def _seen(name: str, what: str) -> frozenset[tuple[str, str]]:
    """What a reader may take a name for.

    Letters that look alike in one case only are compared as they are written and in lower case: a Greek capital alpha
    looks like A, and I like l.
    """
    plain = " ".join(_UNSEEN.sub("", unicodedata.normalize("NFKC", name)).split())
    seen = {("glyphs", _skeleton(plain.casefold())), ("glyphs as written", _skeleton(_skeleton(plain).casefold()))}
    if what == "member" and (bank := bank_name(name)):
        seen.add(("bank", bank))
    return frozenset(seen)


def _skeleton(text: str) -> str:
    """The text with each character as its prototype (UTS 39, section 4): equal for texts that look alike."""
    shown = "".join(map(_prototype, unicodedata.normalize("NFD", text)))
    return unicodedata.normalize("NFD", shown)


@lru_cache(maxsize=4096)
def _prototype(one: str) -> str:
    """The prototype of a character in Unicode's confusables.txt; itself where there is none.

    The library has each line of that file in both directions. A character with one partner has it for its prototype,
    unless it is that of its partner: which of two that have nobody else stands for both does not matter.
    """
    partners = _partners(one)
    if len(partners) != 1:
        return one
    (other,) = partners
    if len(other) > 1:
        return "".join(map(_prototype, other))
    return other if len(_partners(other)) > 1 else min(one, other)


def _partners(one: str) -> set[str]:
    # Loading it takes a tenth of a second, and few processes ever add a name.
    from confusable_homoglyphs.confusables import confusables_data

    found = (*confusables_data.get(one, ()), *confusables_data.get(f"{_MARK}{one}{_MARK}", ()))
    return {other["c"].replace(_MARK, "") for other in found}


def flush(db: HashDB) -> bool:
    """Make durable which keys were used, those that were written within the last minute apart; whether there were any.

    What cannot be written now is written with the next. Raises StoreBusy.
    """
    due = db.stats.used(db.now())
    if due:
        with db.store.begin() as tx:
            tx.uses.write(due)
        db.stats.used_written(due)
    return bool(due)


def listed(db: HashDB, actor: Actor) -> None:
    """Tell the log that a key lists what others contributed: one event a key a day."""
    key, now = actor.key, db.now()
    if key is None or db.listing_read_on.get(key.id) == now.date():
        return
    with db.store.begin() as tx:
        tx.members.lock(key.member)
        last = tx.audit.between(0, tx.audit.head().seq + 1, 1, None, Action.LISTING_READ, ("key", key.id))
        if not last or last[0].at.date() < now.date():
            tx.audit.append(now, actor, [Entry(Action.LISTING_READ, "key", key.id, {})])
    db.listing_read_on[key.id] = now.date()


def key_uses(db: HashDB, actor: Actor, member: int | None = None) -> dict[int, KeyUse]:
    """By the key, when it was last used, and what the feed has not given it yet; of one member's keys, or all."""
    actor.require(Scope.AUDIT)
    with db.store.read() as tx:
        lags: dict[int, Lag] = {}
        found = tx.uses.of(None if member is None else [member])
        for use, _ in found:
            if use.fed_seq is not None and use.fed_seq not in lags:
                lags[use.fed_seq] = tx.uses.lag(use.fed_seq)
        return {use.key: KeyUse(use, of, None if use.fed_seq is None else lags[use.fed_seq]) for use, of in found}
