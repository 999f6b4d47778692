"""Batches as users see them: store a selection, preview what an action would change, start, stop and undo it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.contributions import Filter
from hashdb.domain.review.bulk import (
    MOST_ITEMS,
    Batch,
    BatchAction,
    BatchChoices,
    BatchItem,
    BatchPreview,
    BatchProgress,
    BatchState,
    ItemOutcome,
    RowKind,
    Skip,
    SkippedGroup,
    fields_of,
)
from hashdb.domain.review.queues import QueueQuery
from hashdb.domain.rules import future_fault
from hashdb.domain.signals import Signal
from hashdb.errors import BatchBegun, Fault, NotFound, reject, reject_field
from hashdb.service import HashDB
from hashdb.service.review.examination import Examined, Examiner, find_same_among
from hashdb.service.review.impacts import HITS_PERIOD
from hashdb.service.review.proposals import visible_acts

_EXAMINED_AT_ONCE = 500
"""Items that a preview examines at a time."""
_NAMED = 5
"""How many items of each group that is skipped a preview names."""
COUNTED = 100_000
"""The most rows of a selection that are counted. The refusal of a larger one says "more than" this number."""
_BEFORE_FIRST = -1
"""The `after` that reads the items of a batch from its first one, at position 0."""
_LONGEST_ENTRY_NOTE = 200
"""The most characters of the note of a benign entry."""


def select(
    db: HashDB, actor: Actor, action: BatchAction, row_kind: RowKind, ids: Sequence[int], undoes: int | None = None
) -> Batch:
    """Store a selection of rows and an action as a draft. Nothing is done before `start`.

    `row_kind` says what the `ids` are. If they are cases and the action is done to contributions, it is done to the
    contributions of these cases. `undoes` is the batch that an undo takes back. Raises ScopeMissing, and InvalidInput
    for no rows or more than 10,000.
    """
    actor.require(action.scope)
    reject_field("action", None if row_kind in action.row_kinds else f"{action} is not possible for a {row_kind}")
    with db.store.begin() as tx:
        if row_kind is RowKind.CASE and action.decision is None:
            cases = tx.cases.get(ids)
            row_kind, ids = RowKind.CONTRIBUTION, [cases[id].contribution for id in ids if id in cases]
        # Without duplicates, in the order of the selection.
        subjects = list(dict.fromkeys(ids))
        reject_field("id", _size_fault(len(subjects)))
        return tx.batches.one(tx.batches.add(str(actor), action, row_kind, subjects, db.now(), undoes))


def select_undo(db: HashDB, actor: Actor, id: int) -> Batch:
    """A draft that takes back what a batch did, as far as that is possible.

    Raises NotFound, ScopeMissing, and InvalidInput if the batch has not ended or did nothing.
    """
    undone = get(db, actor, id)
    ended = undone.state in (BatchState.DONE, BatchState.STOPPED)
    reject_field("action", None if ended else "is possible only after the batch has ended: stop the batch first")
    with db.store.read() as tx:
        items = tx.batches.items(id, _BEFORE_FIRST, MOST_ITEMS, (ItemOutcome.DONE, ItemOutcome.PROPOSED))
    return select(db, actor, BatchAction.UNDO, RowKind.ITEM, [item.position for item in items], undoes=id)


def select_confirmation(db: HashDB, actor: Actor, id: int) -> Batch:
    """A draft by which a second person confirms those proposals of a batch that still wait.

    Raises NotFound, InvalidInput, ScopeMissing.
    """
    return select(db, actor, BatchAction.CONFIRM, RowKind.PROPOSAL, waiting_proposals(db, actor, id))


def waiting_proposals(db: HashDB, actor: Actor, id: int) -> tuple[int, ...]:
    """The ids of the proposals that a batch made and that still wait, in order. Raises NotFound."""
    batch = get(db, actor, id)
    with db.store.read() as tx:
        proposed = tx.batches.items(batch.id, _BEFORE_FIRST, MOST_ITEMS, (ItemOutcome.PROPOSED,))
        ids = [item.made_id for item in proposed]
        return tuple(row.proposal.id for row in tx.proposals.pending(db.now(), ids)) if ids else ()


def newest_contribution(db: HashDB, actor: Actor) -> int:
    """The id of the newest contribution; 0 if there is none.

    A selection of all contributions ends with it: what is contributed after the page was shown is not selected.
    """
    with db.read(actor, Scope.AUDIT) as tx:
        return tx.batches.newest_contribution()


def contributions_of(db: HashDB, actor: Actor, chosen: Filter, upto: int) -> tuple[int, ...]:
    """The ids up to `upto` of all contributions that a filter selects. Raises InvalidInput if none or too many."""
    with db.read(actor, Scope.AUDIT) as tx:
        ids = tx.batches.selected(chosen, upto, db.now(), COUNTED + 1)
    reject_field("id", _size_fault(len(ids)))
    return ids


def cases_of(db: HashDB, actor: Actor, query: QueueQuery, upto: int) -> tuple[int, ...]:
    """The ids up to `upto` of all open cases of a queue, also in piles. Raises InvalidInput if none or too many."""
    with db.read(actor, Scope.REVIEW, Scope.AUDIT) as tx:
        ids = tuple(id for id in tx.queues.page(query, db.now(), COUNTED + 1) if id <= upto)
    reject_field("id", _size_fault(len(ids)))
    return ids


def proposals_of(db: HashDB, actor: Actor, upto: int) -> tuple[int, ...]:
    """The ids up to `upto` of all waiting proposals that the actor sees. Raises InvalidInput if none or too many."""
    acts = visible_acts(actor)
    with db.store.read() as tx:
        waiting = [row.proposal for row in tx.proposals.pending(db.now())]
    ids = tuple(proposal.id for proposal in waiting if proposal.id <= upto and proposal.request.act in acts)
    reject_field("id", _size_fault(len(ids)))
    return ids


def get(db: HashDB, actor: Actor, id: int) -> Batch:
    """One batch; a draft only for the user who selected it. Raises NotFound."""
    with db.read(actor, Scope.AUDIT, Scope.REVIEW) as tx:
        batch = tx.batches.one(id)
    if batch.state is BatchState.DRAFT and batch.actor != str(actor):
        raise NotFound(f"batch {id}")
    return batch


def page(db: HashDB, actor: Actor, after: int, limit: int) -> tuple[Batch, ...]:
    """At most `limit` batches with ids above `after`, without drafts, in order."""
    with db.read(actor, Scope.AUDIT, Scope.REVIEW) as tx:
        return tx.batches.page(after, limit)


def progress(db: HashDB, actor: Actor, id: int) -> BatchProgress:
    """How far a batch is. Raises NotFound."""
    get(db, actor, id)
    with db.store.read() as tx:
        return tx.batches.progress(id)


def items(db: HashDB, actor: Actor, id: int, after: int, limit: int) -> tuple[BatchItem, ...]:
    """At most `limit` items of a batch at positions above `after`, in order. Raises NotFound."""
    get(db, actor, id)
    with db.store.read() as tx:
        return tx.batches.items(id, after, limit)


def undone_action(db: HashDB, batch: Batch) -> BatchAction | None:
    """The action of the batch that this one takes back; None if it takes back none, or one that was deleted since."""
    if batch.undoes is None:
        return None
    with db.store.read() as tx, suppress(NotFound):
        return tx.batches.one(batch.undoes).action
    return None


def preview(db: HashDB, actor: Actor, batch: Batch) -> BatchPreview:
    """How many items the batch would change now, and which it would skip, by reason. Changes nothing."""
    db.follower.catch_up()
    with db.store.read() as tx:
        now = db.now()
        find_same = find_same_among(tx.proposals.pending(now) if db.rules.two_persons else ())
        examiner = Examiner(db, tx, actor, batch, db.intake_rules(), now, find_same)
        subjects = [item.subject for item in tx.batches.items(batch.id, _BEFORE_FIRST, MOST_ITEMS)]
        counted = _Counted()
        for start in range(0, len(subjects), _EXAMINED_AT_ONCE):
            for subject, examined in examiner.examine(subjects[start : start + _EXAMINED_AT_ONCE]).items():
                # An item of an undo is named by its contribution.
                of_undo = examined.contribution if batch.row_kind is RowKind.ITEM else None
                counted.add(of_undo.id if of_undo else subject, examined)
        since = (now - HITS_PERIOD).date()
        members, times = tx.hits.count_returned_since(counted.changing, since) if counted.changing else (0, 0)
    groups = [SkippedGroup(why, len(ids), tuple(ids[:_NAMED])) for why, ids in counted.skipped.items()]
    return BatchPreview(
        changes=counted.changes,
        proposals=counted.proposals,
        confirms=counted.confirms,
        skipped=tuple(sorted(groups, key=lambda group: group.count, reverse=True)),
        members=members,
        times=times,
    )


@dataclass(slots=True)
class _Counted:
    """The examined items of a preview."""

    changes: int = 0
    proposals: int = 0
    confirms: int = 0
    skipped: dict[Skip, list[int]] = field(default_factory=lambda: defaultdict(list))
    """The ids of the items that would be skipped, by reason."""
    changing: set[int] = field(default_factory=set)
    """The contributions that would change."""
    new_entries: set[tuple[Signal, ...]] = field(default_factory=set)
    """The signals of the benign entries that would be added."""

    def add(self, id: int, examined: Examined) -> None:
        """Count an item; `id` names it if it is skipped."""
        # The entry of the first of several equal contributions suppresses the others, too.
        entry_signals = examined.draft.signals if examined.draft else ()
        skip = Skip.LISTED if entry_signals in self.new_entries else examined.skip
        if skip is not None:
            self.skipped[skip].append(id)
            return
        if examined.proposes:
            self.proposals += 1
        else:
            self.changes += 1
        self.confirms += examined.confirms
        if examined.contribution:
            self.changing.add(examined.contribution.id)
        if entry_signals:
            self.new_entries.add(entry_signals)


def start(db: HashDB, actor: Actor, id: int, choices: BatchChoices) -> Batch:
    """Start a draft, with these choices for all items; the service carries it out in the background.

    Raises InvalidInput, NotFound, BatchBegun, ScopeMissing.
    """
    batch = get(db, actor, id)
    actor.require(batch.action.scope)
    check(db, batch, choices)
    with db.store.begin() as tx:
        if not tx.batches.begin(id, choices, db.now()):
            raise BatchBegun(id)
        return tx.batches.one(id)


def check(db: HashDB, batch: Batch, choices: BatchChoices) -> None:
    """Raise InvalidInput with every fault of the choices for a batch."""
    needed = fields_of(batch.action, batch.row_kind, undone_action(db, batch))
    faults = []
    if "reason" in needed:
        if choices.reason is None:
            faults.append(Fault("reason", "is required: choose one"))
        elif fault := db.rules.vocabulary.fault("reason", choices.reason):
            faults.append(Fault("reason", fault))
    if "note" in needed and not choices.note:
        faults.append(Fault("note", "is required: each contributor and the disputers read it"))
    elif batch.action is BatchAction.BENIGN and ("\n" in choices.note or len(choices.note) > _LONGEST_ENTRY_NOTE):
        faults.append(
            Fault("note", f"must be one line of at most {_LONGEST_ENTRY_NOTE} characters: it is the entry's note")
        )
    if choices.expires_at is not None and (past := future_fault(choices.expires_at, db.now())):
        faults.append(Fault("expires_at", past))
    reject(faults)


def stop(db: HashDB, actor: Actor, id: int) -> None:
    """Stop a batch: items without an outcome stay as they are. Its own user may do so, and an admin.

    Raises NotFound, ScopeMissing, BatchBegun if it has ended already.
    """
    batch = get(db, actor, id)
    if batch.actor != str(actor):
        actor.require(Scope.ADMIN)
    with db.store.begin() as tx:
        if not tx.batches.stop(id, db.now()):
            raise BatchBegun(id)


def _size_fault(size: int) -> str | None:
    if not size:
        return "is required: select at least one row"
    if size <= MOST_ITEMS:
        return None
    number = f"more than {COUNTED}" if size > COUNTED else str(size)
    return f"selects {number} rows: a batch takes at most {MOST_ITEMS}; filter further"
