"""Batches: one act on many rows that a user selected, previewed, carried out item by item, and undone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from hashdb.domain.accounts.members import Scope
from hashdb.domain.review.cases import Decision

MOST_ITEMS = 10_000
"""The most items of a batch."""


class RowKind(StrEnum):
    """What the items of a batch are: rows of one of three lists, or the items of the batch that this one undoes."""

    CONTRIBUTION = "contribution"
    CASE = "case"
    PROPOSAL = "proposal"
    ITEM = "item"


class BatchAction(StrEnum):
    """What a batch does to each item.

    `uphold`, `quarantine`, `retire`: decide its case, after opening one if none is open. `hold`: quarantine it until a
    reviewer decides. `withdraw`: withdraw it at the contributor's request. `benign`: add its signals to the benign
    list. `expiry`: extend or set its expiry. `confirm`, `drop`: confirm or drop a proposal. `undo`: take back what
    another batch did.
    """

    UPHOLD = "uphold"
    QUARANTINE = "quarantine"
    RETIRE = "retire"
    HOLD = "hold"
    WITHDRAW = "withdraw"
    BENIGN = "benign"
    EXPIRY = "expiry"
    CONFIRM = "confirm"
    DROP = "drop"
    UNDO = "undo"

    @property
    def decision(self) -> Decision | None:
        """The decision that it makes on each case; None for another act."""
        return _DECISIONS.get(self)

    @property
    def scope(self) -> Scope:
        """The scope without which no item can be done; for proposals and an undo, each item may need another."""
        return Scope.ADMIN if self in (self.WITHDRAW, self.BENIGN, self.EXPIRY) else Scope.REVIEW

    @property
    def row_kinds(self) -> tuple[RowKind, ...]:
        """The rows that it can be done to."""
        if self is self.UNDO:
            return (RowKind.ITEM,)
        return (RowKind.PROPOSAL,) if self in (self.CONFIRM, self.DROP) else (RowKind.CONTRIBUTION, RowKind.CASE)

    @property
    def undoable(self) -> bool:
        """Whether some of what it does can be undone by a new decision."""
        return self not in (self.UPHOLD, self.WITHDRAW, self.DROP, self.UNDO)


_DECISIONS = {
    BatchAction.UPHOLD: Decision.UPHOLD,
    BatchAction.QUARANTINE: Decision.QUARANTINE,
    BatchAction.RETIRE: Decision.RETIRE,
}


class BatchState(StrEnum):
    """How far a batch is: `draft` until its user confirms the preview, `stopped` if it was stopped before its end."""

    DRAFT = "draft"
    RUNNING = "running"
    STOPPED = "stopped"
    DONE = "done"


class ItemOutcome(StrEnum):
    """What became of an item: `proposed` waits for a second person, `skipped` has a `Skip`, `failed` an error."""

    DONE = "done"
    PROPOSED = "proposed"
    SKIPPED = "skipped"
    FAILED = "failed"


class Skip(StrEnum):
    """Why an item does not change.

    `gone`: it no longer exists. `decided`: its case is decided. `erased`, `inactive`: the contribution is erased, or
    not active. `same`: it is already so. `bound`: its incident or the retention sets the expiry, or it has none to
    extend. `past`: the expiry would be in the past. `unsigned`: it has no signal that the benign list takes. `listed`:
    it is near a benign entry already. `waits`: the user proposed it before. `taken`: another reviewer took the case.
    `own`: the user made the proposal. `not_allowed`: the user lacks the scope. `changed`: somebody decided or changed
    it since. `final`: it cannot be undone.
    """

    GONE = "gone"
    DECIDED = "decided"
    ERASED = "erased"
    INACTIVE = "inactive"
    SAME = "same"
    BOUND = "bound"
    PAST = "past"
    UNSIGNED = "unsigned"
    LISTED = "listed"
    WAITS = "waits"
    TAKEN = "taken"
    OWN = "own"
    NOT_ALLOWED = "not_allowed"
    CHANGED = "changed"
    FINAL = "final"


@dataclass(frozen=True, slots=True)
class BatchChoices:
    """What the user chose for all items.

    `reason` is a code of the vocabulary, `note` a text that is stored with each act. The expiry becomes `days` later,
    or `expires_at`; with neither, a batch of expiries removes it.
    """

    reason: str | None = None
    note: str = ""
    days: int | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """One act on the `size` items that its user selected. `undoes` is the batch that it takes back."""

    id: int
    actor: str
    action: BatchAction
    row_kind: RowKind
    state: BatchState
    size: int
    made_at: datetime
    choices: BatchChoices = BatchChoices()
    undoes: int | None = None
    begun_at: datetime | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class BatchItem:
    """One item of a batch: the id of its row, and what became of it (`outcome` is None until it is done).

    `why` is a `Skip`, or the slug of an error. `made` is the case, entry, proposal, member or contribution on which the
    act was done, as kind:id. `before` has what an undo needs, by field.
    """

    position: int
    subject: int
    outcome: ItemOutcome | None = None
    why: str | None = None
    made: str | None = None
    before: Mapping[str, object] = field(default_factory=dict)
    at: datetime | None = None

    @property
    def made_kind(self) -> str:
        """The kind of `made`; empty if there is none."""
        return (self.made or "").partition(":")[0]

    @property
    def made_id(self) -> int:
        """The id of `made`; 0 if there is none."""
        return int((self.made or ":0").partition(":")[2])


@dataclass(frozen=True, slots=True)
class SkippedGroup:
    """Items that do not change for one reason: how many, and the ids of the first few."""

    why: Skip
    count: int
    first: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class BatchPreview:
    """What a batch would do now: `changes` items change, `proposals` become proposals, the others stay as they are.

    `confirms` of the changes carry out what another person proposed. In the last 90 days, `members` received the
    changing contributions as a match, `times` in all.
    """

    changes: int
    proposals: int
    confirms: int
    skipped: tuple[SkippedGroup, ...]
    members: int
    times: int


@dataclass(frozen=True, slots=True)
class BatchProgress:
    """How many items of a batch have each outcome, and how many wait.

    `why` counts the skipped and the failed ones by `BatchItem.why`.
    """

    done: int = 0
    proposed: int = 0
    skipped: int = 0
    failed: int = 0
    waiting: int = 0
    why: Mapping[str, int] = field(default_factory=dict)

    @property
    def finished(self) -> int:
        """How many items have an outcome."""
        return self.done + self.proposed + self.skipped + self.failed


def fields_of(action: BatchAction, row_kind: RowKind, undone: BatchAction | None = None) -> frozenset[str]:
    """The choices that an act needs: of `note`, `reason` and `expiry`. `undone` is the action that an undo takes back.

    A reason of the vocabulary is for the case that an act on a contribution opens, and for a withdrawal.
    """
    if action is BatchAction.UNDO:
        final = undone in (None, BatchAction.BENIGN, BatchAction.EXPIRY)
        return frozenset() if final else frozenset({"note", "reason"})
    if action.decision is not None:
        return frozenset({"note", "reason"} if row_kind is RowKind.CONTRIBUTION else {"note"})
    return {
        BatchAction.HOLD: frozenset({"reason"}),
        BatchAction.WITHDRAW: frozenset({"reason"}),
        BatchAction.BENIGN: frozenset({"note"}),
        BatchAction.EXPIRY: frozenset({"expiry"}),
        BatchAction.CONFIRM: frozenset({"note"}),
    }.get(action, frozenset())
