"""Carry out batches: each item once, also if the process is killed, in the transaction that records its outcome."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from hashdb.domain.accounts.members import COMMAND_LINE, Actor, Member
from hashdb.domain.accounts.users import UserStatus
from hashdb.domain.ledger.events import Action, Details, LogEntry
from hashdb.domain.matching.benign import BenignEntry
from hashdb.domain.review.bulk import Batch, BatchAction, BatchState, ItemOutcome, RowKind, Skip
from hashdb.domain.review.cases import Case, Decision
from hashdb.domain.review.proposals import Proposal, TwoPersonAction
from hashdb.domain.times import format_instant
from hashdb.errors import (
    AlreadyDecided,
    AlreadyOpen,
    AlreadyWithdrawn,
    CaseTaken,
    HashDBError,
    NotActive,
    NotAllowed,
    NotFound,
    Unavailable,
)
from hashdb.service import HashDB
from hashdb.service.accounts import members
from hashdb.service.background import Task
from hashdb.service.contributions.contributions import amendment_details, record_withdrawal
from hashdb.service.contributions.expiry import amend_with_expiry
from hashdb.service.contributions.intake import append_checked, with_intake
from hashdb.service.matching import benign
from hashdb.service.review import proposals
from hashdb.service.review.cases import decide_within, lock_with_twins, open_within, search_shadow, settle
from hashdb.service.review.examination import Examined, Examiner
from hashdb.service.review.twins import NearShadow
from hashdb.service.views import IntakeRules
from hashdb.store import Transaction

_ITEMS_A_ROUND = 50
"""Items of a batch that are done before the next batch has its turn."""
_PREVIEWS_KEPT = timedelta(days=1)
"""How long a preview that nobody confirmed is kept."""
_ENDED_KEPT = timedelta(days=90)
"""How long a batch that has ended is kept."""
_SKIPS: dict[type[HashDBError], Skip] = {
    AlreadyDecided: Skip.DECIDED,
    AlreadyOpen: Skip.CHANGED,
    AlreadyWithdrawn: Skip.INACTIVE,
    CaseTaken: Skip.TAKEN,
    NotActive: Skip.INACTIVE,
    NotFound: Skip.GONE,
}
"""The errors for which an item is skipped, and the reason that is stored."""


class Done(NamedTuple):
    """What became of an item."""

    outcome: ItemOutcome
    why: str | None = None
    """A `Skip`, or the slug of an error."""
    made: str | None = None
    """What was changed or made, as kind:id, for example `case:7`."""
    before: Mapping[str, object] | None = None
    """What an undo needs.

    For a hold it is `opened`, if the hold opened the case. For a changed expiry it is `own`, the expiry that the member
    itself had chosen before, and `set`, the one that was set in its place.
    """


class _NothingToConfirm(Exception):
    """The proposal no longer waits: the request would make a new one."""


def carry_out(db: HashDB) -> int:
    """Carry out the batches that were started; return how many items were finished.

    An item is done in the transaction that records its outcome. So after an interruption the next call does the rest,
    and any number of processes may run this at the same time. A batch that needs the index waits until that is built:
    then this raises Unavailable, after the other batches were carried out.
    """
    finished = 0
    # By batch, the position after which its next round begins: -1 is before the first item.
    after = defaultdict[int, int](lambda: -1)
    completed = set[int]()
    """The batches for which this call has no more to do."""
    unavailable: Unavailable | None = None
    while not db.stopping():
        with db.store.read() as tx:
            running = [id for id in tx.batches.running() if id not in completed]
        if not running:
            break
        # A round of each, so that a small batch does not wait for a large one.
        for id in running:
            try:
                count, last = _do_round(db, id, after[id])
            except Unavailable as error:
                unavailable, last, count = error, None, 0
            finished += count
            if last is None:
                completed.add(id)
            else:
                after[id] = last
    if unavailable is not None:
        raise unavailable
    return finished


def prune(db: HashDB) -> int:
    """Delete previews that were not confirmed within a day, and batches that ended 90 days ago; return how many."""
    with db.store.begin() as tx:
        now = db.now()
        return tx.batches.prune(now - _PREVIEWS_KEPT, now - _ENDED_KEPT)


def _do_round(db: HashDB, id: int, after: int) -> tuple[int, int | None]:
    """Do the next items of a batch; return how many were finished, and the last position.

    The position is None if this call has no more to do for the batch: it has ended or was stopped, or this process
    stops. Raises Unavailable.
    """
    with db.store.read() as tx:
        batch, items = tx.batches.one(id), tx.batches.waiting(id, after, _ITEMS_A_ROUND)
    if batch.state is not BatchState.RUNNING:
        return 0, None
    finished = 0
    for item in items:
        if db.stopping():
            return finished, None
        finished += _finish(db, batch, item.position, item.subject)
    if batch.action in (BatchAction.BENIGN, BatchAction.CONFIRM, BatchAction.UNDO):
        # The items only added or deleted benign entries. This suppresses, or restores, the signals near them.
        with db.store.read() as tx:
            actor = _present_actor(tx, batch.actor)
        benign.settle(db, actor)
    if items:
        return finished, items[-1].position
    # No item waits after this position. Items that another process is doing now get their outcome from that process.
    with db.store.begin() as tx:
        tx.batches.end(id, db.now())
    return finished, None


def _finish(db: HashDB, batch: Batch, position: int, subject: int) -> bool:
    """Do one item and record its outcome; return whether it was still to be done. Raises Unavailable.

    `subject` is the id of the row: a contribution, a case or a proposal, or for an undo the position of an item.
    """
    try:
        # It calls `_do` with the intake rules and their seq, and calls it again if the rules changed meanwhile.
        return with_intake(db, partial(_do, db, batch, position, subject))
    except Unavailable:
        raise
    except _NothingToConfirm:
        done = Done(ItemOutcome.SKIPPED, Skip.GONE)
    except HashDBError as error:
        skip = Skip.NOT_ALLOWED if isinstance(error, NotAllowed) else _SKIPS.get(type(error))
        done = Done(ItemOutcome.FAILED, error.slug) if skip is None else Done(ItemOutcome.SKIPPED, skip)
    except Exception as error:
        db.background.failed(Task.BATCHES, error)
        done = Done(ItemOutcome.FAILED, "error")
    with db.store.begin() as tx:
        if tx.batches.lock_item(batch.id, position) is None:
            return False
        _record(db, tx, batch, position, done)
        return True


def _do(db: HashDB, batch: Batch, position: int, subject: int, rules: IntakeRules, seq: int) -> bool:
    """Lock, examine and do one item, and record its outcome; return whether it was still to be done."""
    near = _search_shadow(db, batch, subject)
    with db.store.begin() as tx:
        if tx.batches.lock_item(batch.id, position) is None:
            return False
        now, actor = db.now(), _present_actor(tx, batch.actor)
        _lock(tx, batch, subject, near, now)
        find_same = partial(tx.proposals.find_same, now=now)
        examiner = Examiner(db, tx, actor, batch, rules, now, find_same=find_same)
        examined = examiner.examine([subject])[subject]
        if examined.skip is not None:
            done = Done(ItemOutcome.SKIPPED, examined.skip)
        else:
            done = _Act(db, tx, actor, batch, examined, near, now, rules, seq).do()
        _record(db, tx, batch, position, done)
        return True


def _record(db: HashDB, tx: Transaction, batch: Batch, position: int, done: Done) -> None:
    """Record the outcome of an item that this transaction has locked."""
    tx.batches.finish(batch.id, position, done.outcome, db.now(), why=done.why, made=done.made, before=done.before)


def _present_actor(tx: Transaction, name: str) -> Actor:
    """The actor of a batch with the rights that it has now: none if it is a user that is disabled or gone."""
    kind, _, id = name.partition(":")
    if name == COMMAND_LINE.name:
        return COMMAND_LINE
    try:
        user = tx.users.get(int(id)) if kind == "user" else None
    except NotFound:
        user = None
    return user.actor if user is not None and user.status is UserStatus.ACTIVE else Actor(name, frozenset())


def _search_shadow(db: HashDB, batch: Batch, subject: int) -> NearShadow | None:
    """The stored signals near the shadow of the item; None if the batch does not retire it.

    It is called before the transaction: the search takes too long to hold locks meanwhile.
    """
    if batch.action not in (BatchAction.RETIRE, BatchAction.CONFIRM):
        return None
    with db.store.read() as tx:
        contribution, shadow_places = _retired(tx, batch, subject, db.now())
    return None if contribution is None else search_shadow(db, contribution, Decision.RETIRE, shadow_places)


def _retired(tx: Transaction, batch: Batch, subject: int, now: datetime) -> tuple[int | None, list[int] | None]:
    """The contribution that an item retires, and the places of the signals that were chosen for its shadow.

    (None, None) if it retires none; the places are None for the default shadow.
    """
    if batch.action is BatchAction.CONFIRM:
        for pending in tx.proposals.pending(now, [subject]):
            request = pending.proposal.request
            if request.act is TwoPersonAction.RETIRE:
                return tx.cases.one(request.id).contribution, _shadow_places(pending.proposal)
        return None, None
    return _contribution_of(tx, batch, subject), None


def _shadow_places(proposal: Proposal) -> list[int] | None:
    """The places of the signals that a proposal to retire chose for the shadow; None for the default shadow."""
    places = proposal.request.content.get("signals")
    return [int(place) for place in places] if isinstance(places, list) else None


def _contribution_of(tx: Transaction, batch: Batch, subject: int) -> int | None:
    """The contribution that may change with an item; None if there is none."""
    if batch.row_kind is RowKind.CONTRIBUTION:
        return subject
    case: int | None = subject if batch.row_kind is RowKind.CASE else None
    if batch.row_kind is RowKind.ITEM and batch.undoes is not None:
        item = tx.batches.items_at(batch.undoes, [subject]).get(subject)
        if item is None:
            # The batch that is undone was deleted since: `Examiner` raises NotFound.
            return None
        if item.made_kind == "contribution":
            return item.made_id
        case = item.made_id if item.made_kind == "case" else None
    cases = {} if case is None else tx.cases.get([case])
    return cases[case].contribution if case in cases else None


def _lock(tx: Transaction, batch: Batch, subject: int, near: NearShadow | None, now: datetime) -> None:
    """Lock the contribution that an item changes before it is examined, with its member and its twins.

    For a proposal this locks nothing: its change locks what it needs, as `decide_within` does for a retirement.
    """
    id = _contribution_of(tx, batch, subject)
    member = None if id is None else tx.contributions.contributor(id)
    if id is not None and member is not None:
        lock_with_twins(tx, member, id, near, now)


class _Act(NamedTuple):
    """The action of a batch on one item that was locked and examined, within a transaction."""

    db: HashDB
    tx: Transaction
    actor: Actor
    batch: Batch
    examined: Examined
    near: NearShadow | None
    now: datetime
    rules: IntakeRules
    seq: int
    """The seq of the last event that `rules` includes."""

    def do(self) -> Done:
        """Carry out the action, and return what became of the item."""
        action = self.batch.action
        if action.decision is not None:
            return self._decide(action.decision)
        return {
            BatchAction.HOLD: self._hold,
            BatchAction.WITHDRAW: self._withdraw,
            BatchAction.BENIGN: self._add_benign,
            BatchAction.EXPIRY: self._expire,
            BatchAction.CONFIRM: self._confirm,
            BatchAction.DROP: self._drop,
            BatchAction.UNDO: self._undo,
        }[action]()

    def _decide(self, decision: Decision) -> Done:
        case = self.examined.case or self._open(holds=False)
        decided = decide_within(
            self.db, self.tx, self.actor, case, decision, self.batch.choices.note, None, self.near, unless_taken=True
        )
        return _done("case", decided)

    def _open(self, *, holds: bool) -> Case:
        assert self.examined.contribution is not None and self.batch.choices.reason is not None
        opened = open_within(
            self.db, self.tx, self.actor, self.examined.contribution.id, self.batch.choices.reason, holds=holds
        )
        return self.tx.cases.one(opened.id)

    def _hold(self) -> Done:
        """Quarantine the contribution until its case is decided; open a case if there is none."""
        case = self.examined.case
        if case is None:
            return Done(ItemOutcome.DONE, made=f"case:{self._open(holds=True).id}", before={"opened": 1})
        assert self.examined.contribution is not None
        reason, contribution = self.batch.choices.reason, self.examined.contribution
        self.tx.cases.quarantine(case.id)
        details: Details = {"contribution": contribution.id, "reason": reason}
        entry = LogEntry(Action.CASE_HELD, "case", case.id, details)
        self.tx.audit.append(self.now, self.actor, [entry, *settle(self.tx, [contribution], reason)])
        return Done(ItemOutcome.DONE, made=f"case:{case.id}")

    def _withdraw(self) -> Done:
        assert self.examined.contribution is not None and self.batch.choices.reason is not None
        record_withdrawal(
            self.tx,
            self.actor,
            self.examined.contribution,
            self.batch.choices.reason,
            self.now,
            at_contributors_request=True,
        )
        return Done(ItemOutcome.DONE, made=f"contribution:{self.examined.contribution.id}")

    def _add_benign(self) -> Done:
        assert self.examined.draft is not None
        return _done("benign", benign.add_within(self.db, self.tx, self.actor, self.examined.draft))

    def _expire(self) -> Done:
        contribution, amendment = self.examined.contribution, self.examined.amendment
        assert contribution is not None and amendment is not None
        own = self.tx.retention.own_expiry(contribution.id)
        amended, fields = amend_with_expiry(self.db, self.tx, contribution, amendment, self.now, self.rules)
        entry = LogEntry(
            Action.CONTRIBUTION_AMENDED, "contribution", contribution.id, amendment_details(amended, fields)
        )
        append_checked(self.tx, self.now, self.actor, [entry], self.seq)
        before = {"own": _format_time(own), "set": _format_time(self.tx.retention.own_expiry(contribution.id))}
        return Done(ItemOutcome.DONE, made=f"contribution:{contribution.id}", before=before)

    def _confirm(self) -> Done:
        assert self.examined.pending is not None
        proposal = self.examined.pending.proposal
        request = proposal.request
        if request.act is TwoPersonAction.RETIRE:
            case, note = self.tx.cases.one(request.id), self.batch.choices.note
            places = _shadow_places(proposal)
            done = _done(
                "case",
                decide_within(
                    self.db, self.tx, self.actor, case, Decision.RETIRE, note, places, self.near, unless_taken=True
                ),
            )
        elif request.act is TwoPersonAction.BENIGN:
            draft = benign.draft_from(request.content)
            done = _done("benign", benign.add_within(self.db, self.tx, self.actor, draft))
        else:
            change = members.change_from(request.content)
            done = _done("member", members.change_within(self.db, self.tx, self.actor, request.id, change))
        if done.outcome is ItemOutcome.PROPOSED:
            raise _NothingToConfirm
        return done

    def _drop(self) -> Done:
        assert self.examined.pending is not None
        proposals.drop_within(self.db, self.tx, self.actor, self.examined.pending.proposal.id)
        return Done(ItemOutcome.DONE, made=f"proposal:{self.examined.pending.proposal.id}")

    def _undo(self) -> Done:
        """Undo an item of another batch. The examiner has set only what that needs.

        That is a proposal to drop, a benign entry to delete, or the amendment back to the former expiry. Otherwise the
        item was a decision or a hold, which a decision to uphold reverses.
        """
        if self.examined.pending is not None:
            return self._drop()
        if self.examined.benign_entry_id is not None:
            benign.delete_within(self.db, self.tx, self.actor, self.examined.benign_entry_id)
            return Done(ItemOutcome.DONE, made=f"benign:{self.examined.benign_entry_id}")
        if self.examined.amendment is not None:
            return self._expire()
        return self._decide(Decision.UPHOLD)


def _done(kind: str, result: Case | BenignEntry | Member | Proposal) -> Done:
    """What became of an item whose action returned a proposal, or else a value of this kind."""
    if isinstance(result, Proposal):
        return Done(ItemOutcome.PROPOSED, made=f"proposal:{result.id}")
    return Done(ItemOutcome.DONE, made=f"{kind}:{result.id}")


def _format_time(at: datetime | None) -> str | None:
    return None if at is None else format_instant(at)
