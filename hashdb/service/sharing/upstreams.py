"""Upstreams: an operator adds, pauses and removes the lists of other services that this one follows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TypeVar

from hashdb.domain.accounts.members import Actor, MemberDraft, MemberKind, MemberLimits, Scope
from hashdb.domain.ledger.checkpoints import Log
from hashdb.domain.ledger.events import Action, LogEntry
from hashdb.domain.origins import LONGEST_LOG
from hashdb.domain.sharing.upstreams import Upstream, UpstreamDraft, UpstreamTrouble
from hashdb.domain.sharing.webhooks import url_fault
from hashdb.errors import HashDBError, InvalidInput, reject_field
from hashdb.service import HashDB
from hashdb.service.accounts.names import require_distinct
from hashdb.service.contributions.contributions import erase_locked
from hashdb.service.ledger import checkpoints
from hashdb.service.sharing.remotes import CannotFollow, Connect, Remote, ask
from hashdb.store import Transaction

_BATCH = 500
"""Contributions that one call of `remove` ends."""
_Answer = TypeVar("_Answer")


def add(db: HashDB, actor: Actor, draft: UpstreamDraft, connect: Connect) -> Upstream:
    """Follow the list of another service from now on, as a new member of the kind `operator`.

    Raises InvalidInput, also if the other service cannot be followed with this key, and NameTaken.
    """
    actor.require(Scope.ADMIN)
    reject_field("url", url_fault(draft.url, db.rules.egress))
    with closing(_ask_or_reject(lambda: connect(draft.url, draft.key))) as remote:
        scopes = _require_feed(remote)
        log = _ask_or_reject(lambda: log_name_of(remote.log()))
    reject_field("url", "this is the service itself" if log == log_name_of(checkpoints.log(db)) else None)
    now = db.now()
    with db.store.begin() as tx:
        tx.audit.lock()
        known = next((upstream for upstream in tx.upstreams.all() if upstream.log == log), None)
        reject_field("url", f"this list is already followed, as upstream {known.id}" if known else None)
        limits = MemberLimits(contributions_per_day=draft.a_day)
        member = tx.members.add(MemberDraft(draft.name, MemberKind.OPERATOR, limits=limits), now)
        # Opinions on it are sent back from this event on, if the key may give opinions there.
        head, judges = tx.audit.head().seq, Scope.MATCH in scopes
        added = tx.upstreams.add(member.id, draft.url, draft.key, log, now, head, judges=judges)
        entries = [
            LogEntry(Action.MEMBER_ADDED, "member", member.id, {"kind": str(member.kind)}),
            LogEntry(Action.UPSTREAM_ADDED, "upstream", added.id, {"member": member.id}),
        ]
        tx.audit.append(now, actor, entries)
        require_distinct(member.name, tx.members.names(besides=member.id), "member")
    return added


def log_name_of(log: Log) -> str:
    """The text that identifies a log: its name and the hash of its first key, `name+hash`.

    Two logs may have the same name, so the hash distinguishes them. The first key stays the same when later keys sign.
    A long name is cut off, and characters that are not ASCII become `?`. Raises ValueError if the log has no key.
    """
    if not log.keys:
        raise ValueError("a log without a key")
    first = log.keys[0].verifier
    ending = f"+{first.id.hex()}"
    return first.name.encode("ascii", "replace").decode()[: LONGEST_LOG - len(ending)] + ending


def list_all(db: HashDB, actor: Actor) -> tuple[Upstream, ...]:
    """All upstreams."""
    with db.read(actor, Scope.AUDIT) as tx:
        return tx.upstreams.all()


def get(db: HashDB, actor: Actor, id: int) -> Upstream:
    """One upstream. Raises NotFound."""
    with db.read(actor, Scope.AUDIT) as tx:
        return tx.upstreams.one(id)


def of_member(db: HashDB, actor: Actor, member: int) -> Upstream | None:
    """The upstream whose list is contributed as this member; None if there is none."""
    return next((upstream for upstream in list_all(db, actor) if upstream.member == member), None)


def pause(db: HashDB, actor: Actor, id: int) -> Upstream:
    """Stop following until `resume`; what came from the upstream stays. Raises NotFound."""
    with db.begin(actor, Scope.ADMIN) as tx:
        upstream = tx.upstreams.one(id, lock=True)
        tx.upstreams.set(id, paused=True)
        _amended(db, tx, actor, id, [] if upstream.paused else ["paused"])
        return tx.upstreams.one(id)


def resume(
    db: HashDB, actor: Actor, id: int, connect: Connect, *, key: str | None = None, again: bool = False
) -> Upstream:
    """Continue to follow a list from where it stopped, at once; with another `key`, if one is given.

    With `again`, the list is read from its beginning, so that what was refused is tried again.
    Raises NotFound, and InvalidInput if the upstream cannot be followed now.
    """
    with db.read(actor, Scope.ADMIN) as tx:
        url, stored_key = tx.upstreams.one(id).url, tx.upstreams.key(id)
    with closing(_ask_or_reject(lambda: connect(url, key or stored_key))) as remote:
        judges = Scope.MATCH in _require_feed(remote)
    with db.store.begin() as tx:
        upstream = tx.upstreams.one(id, lock=True)
        values: dict[str, object] = {"next_at": db.now(), "trouble": None, "failing_since": None, "failures": 0}
        values |= {"judges": judges, "paused": False} | (columns_to_reread(upstream) if again else {})
        fields = ["paused"] if upstream.paused else []
        if key is not None:
            values["secret"] = key
            fields.append("key")
        tx.upstreams.set(id, **values)
        _amended(db, tx, actor, id, fields)
        return tx.upstreams.one(id)


def columns_to_reread(upstream: Upstream) -> dict[str, object]:
    """The columns to set, with their values, so that the list of an upstream is read from its beginning."""
    return {"seq": 0, "epoch": None, "round": upstream.round + 1, "rereading": True, "refused": {}}


def remove(db: HashDB, actor: Actor, id: int) -> tuple[int, bool]:
    """Withdraw and erase some contributions from an upstream; return how many, and whether there are more.

    Call it again while there are more: the last call removes the upstream and its key. Its member stays, because the
    log names it. Raises NotFound.
    """
    pause(db, actor, id)
    with db.store.begin() as tx:
        upstream = tx.upstreams.one(id, lock=True)
        # None has been read in the round that would come next, so these are all that came from the upstream.
        left = [path.contribution for path in tx.origins.unread_paths(id, upstream.round + 1, _BATCH)]
        more = len(left) == _BATCH
        end_contributions(db, tx, actor, left, "other")
        if not more:
            tx.upstreams.delete(id)
            entry = LogEntry(Action.UPSTREAM_REMOVED, "upstream", id, {"member": upstream.member})
            tx.audit.append(db.now(), actor, [entry])
    db.store.scrub()
    return len(left), more


def end_contributions(db: HashDB, tx: Transaction, actor: Actor, ids: Sequence[int], reason: str) -> None:
    """Withdraw and erase contributions that their upstream no longer has, and forget that they came from it."""
    tx.contributions.lock(ids)
    now = db.now()
    contributions = tx.contributions.get(ids, now)
    entries = [erase_locked(tx, actor, item, reason, now) for item in contributions.values() if not item.erased]
    tx.origins.release(ids)
    tx.audit.append(now, actor, entries)


def _amended(db: HashDB, tx: Transaction, actor: Actor, id: int, fields: list[str]) -> None:
    if fields:
        entry = LogEntry(Action.UPSTREAM_AMENDED, "upstream", id, {"fields": fields})
        tx.audit.append(db.now(), actor, [entry])


def _require_feed(remote: Remote) -> frozenset[Scope]:
    """The scopes of the key there. Raises InvalidInput if it may not read the feed."""
    scopes = _ask_or_reject(remote.scopes)
    reject_field("key", None if Scope.FEED in scopes else UpstreamTrouble.SCOPE_MISSING.sentence)
    return scopes


def _ask_or_reject(request: Callable[[], _Answer]) -> _Answer:
    """The answer to a request to an upstream. Raises InvalidInput if the upstream cannot be followed."""
    try:
        return ask(request)
    except CannotFollow as error:
        raise InvalidInput.at_field("url", error.trouble.sentence) from None
    except HashDBError:
        raise InvalidInput.at_field("url", UpstreamTrouble.NOT_HASHDB.sentence) from None
