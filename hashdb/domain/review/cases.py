"""Opinion: what a member thinks of another's contribution; Standing: what opinions and rulings add up to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from hashdb.domain import signals
from hashdb.domain.contributions import Contribution, Standing
from hashdb.domain.signals import Algorithm, Signal


class Stance(StrEnum):
    """Whether a member says the same of the item, or the contrary."""

    CONFIRMS = "confirms"
    DISPUTES = "disputes"


@dataclass(frozen=True, slots=True)
class OpinionDraft:
    """What is sent to give an opinion; a dispute has a reason of the vocabulary."""

    stance: Stance
    reason: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a member said of a contribution.

    `case` is the one that was open then, or that it opened; `counts` is whether the standing takes account of it:
    not of one that its member replaced by another, not while its member is suspended, and not of a dispute whose case
    is decided. `hidden` names the fields that the reader may not see.
    """

    id: int
    contribution: int
    member: int
    member_name: str
    stance: Stance
    reason: str | None
    note: str | None
    given_at: datetime
    case: int | None
    counts: bool
    hidden: frozenset[str] = frozenset()

    def says(self, draft: OpinionDraft) -> bool:
        """Whether this is what the draft says."""
        return (self.stance, self.reason, self.note) == (draft.stance, draft.reason, draft.note)

    def shown(self, *, note: bool) -> Opinion:
        """The same opinion as a reader sees it who may see its note, or may not."""
        return self if note else replace(self, note=None, hidden=frozenset({"note"}))


def stance_fault(stance: Stance, reason: str | None) -> str | None:
    """Why an opinion may not be given with this reason, or with none; or None."""
    if stance is Stance.DISPUTES and reason is None:
        return "is required to dispute: a reason of the vocabulary"
    if stance is Stance.CONFIRMS and reason is not None:
        return "is for disputes: to confirm takes none"
    return None


def counts(stance: Stance, *, replaced: bool, suspended: bool, answered: bool) -> bool:
    """Whether a standing takes account of an opinion: `answered` is whether the case under which it was given is."""
    return not (replaced or suspended or (stance is Stance.DISPUTES and answered))


def standing(opinions: Iterable[Opinion], ruling: Standing | None) -> Standing:
    """What the opinions on a contribution add up to, and what was ruled on it, which goes before them."""
    if ruling is not None:
        return ruling
    said = {opinion.stance for opinion in opinions if opinion.counts}
    if Stance.DISPUTES in said:
        return Standing.DISPUTED
    return Standing.CONFIRMED if Stance.CONFIRMS in said else Standing.UNREVIEWED


class Decision(StrEnum):
    """What a reviewer rules on a contribution: it stands, is kept out until further notice, or was wrong."""

    UPHOLD = "uphold"
    QUARANTINE = "quarantine"
    RETIRE = "retire"

    @property
    def ruling(self) -> Standing | None:
        """The standing that it gives, whatever members say; None leaves it to their opinions."""
        return _RULINGS[self]


_RULINGS = {
    Decision.UPHOLD: None,
    Decision.QUARANTINE: Standing.QUARANTINED,
    Decision.RETIRE: Standing.RETIRED,
}


class Cause(StrEnum):
    """Why a case was opened that no dispute opened; else it is the reason of the dispute."""

    CONTESTED = "contested"
    """A member confirmed what is quarantined or retired."""
    NEAR_RETIRED = "near_retired"
    FLOOD = "flood"


class CaseState(StrEnum):
    """Whether a reviewer still has to decide."""

    OPEN = "open"
    DECIDED = "decided"


class Order(StrEnum):
    """In which order open cases are decided: by when they are due, or the gravest first."""

    CLOCK = "clock"
    SEVERITY = "severity"


@dataclass(frozen=True, slots=True)
class Case:
    """A contribution before a reviewer, from its opening to the decision; of a contribution, one is open at a time.

    `member` is the contributor. While one that `holds` is open, the contribution is quarantined. `opinions` are those
    given while it was open, the last of each member. `hidden` names the fields that the reader may not see.
    """

    id: int
    contribution: int
    member: int
    member_name: str
    reason: str
    holds: bool
    opened_at: datetime
    due_at: datetime
    decision: Decision | None = None
    note: str | None = None
    decided_at: datetime | None = None
    decided_by: str | None = None
    shadow: tuple[int, ...] | None = None
    """The places of the signals that hold others since it was retired; None where it was not, or 0.1.0 decided."""
    follows: int | None = None
    """The case on an earlier contribution of the same member that this one continues."""
    opinions: tuple[Opinion, ...] = ()
    hidden: frozenset[str] = frozenset()

    @property
    def state(self) -> CaseState:
        """Whether it is decided."""
        return CaseState.OPEN if self.decision is None else CaseState.DECIDED

    def shown(self, *, decided_by: bool, member: bool) -> Case:
        """The same case as a reader sees it who may see by which key it was decided, and who contributed, or may not.

        The member that is not told is 0.
        """
        case = self if member else replace(self, member=0, member_name="")
        return case if decided_by else replace(case, decided_by=None, hidden=frozenset({"decided_by"}))


@dataclass(frozen=True, slots=True)
class WaitingCase:
    """An open case, and the contribution that it is about."""

    case: Case
    contribution: Contribution


PILE = 25
"""Open cases of one member up to which each has a row of its own in the queue."""


@dataclass(frozen=True, slots=True)
class Pile:
    """More than `PILE` open cases of one member: it opened them, or they are on what it contributed again.

    `due_at` is that of the first that is due, `severity` the highest, `held` how many keep their contribution out.
    """

    member: int
    member_name: str
    count: int
    held: int
    due_at: datetime
    severity: int | None


@dataclass(frozen=True, slots=True)
class Queue:
    """The open cases in the order in which they are to be decided, and after them the piles."""

    waiting: tuple[WaitingCase, ...] = ()
    piles: tuple[Pile, ...] = ()


def ruling(cases: Sequence[Case]) -> Standing | None:
    """What the cases on a contribution make of it, in the order of their opening: the last decision counts.

    None leaves its standing to the opinions.
    """
    decisions = [case.decision for case in cases if case.decision is not None]
    ruled = decisions[-1].ruling if decisions else None
    if ruled is None and any(case.holds and case.state is CaseState.OPEN for case in cases):
        return Standing.QUARANTINED
    if ruled is None and any(case.follows is not None and case.state is CaseState.OPEN for case in cases):
        return Standing.DISPUTED
    return ruled


def opens_case(stance: Stance, cases: Sequence[Case]) -> bool:
    """Whether an opinion opens a case: a dispute, or one for what was ruled out, where no case is open."""
    if any(case.state is CaseState.OPEN for case in cases):
        return False
    return stance is Stance.DISPUTES or ruling(cases) is not None


@dataclass(frozen=True, slots=True)
class Impact:
    """Who would no longer match a contribution.

    `members` had it as a match lately, `times` in all; `equal` other contributions that match hold one of its signals
    to the bit, so that most of what matched it would still match; `readers` follow the feed and would be told.
    """

    matches: bool
    members: int
    times: int
    equal: int
    readers: int


@dataclass(frozen=True, slots=True)
class StandingChange:
    """What a decision would make of a contribution."""

    before: Standing
    after: Standing

    @property
    def ends(self) -> bool:
        """Whether it would match no longer."""
        return self.before.matches and not self.after.matches

    @property
    def begins(self) -> bool:
        """Whether it would match again."""
        return self.after.matches and not self.before.matches


Placed = Mapping[int, Signal]
"""The signals of a contribution by their place, counted from 0 in the order in which they were contributed."""


@dataclass(frozen=True, slots=True)
class ShadowChoice:
    """A signal of a contribution that may cast a shadow; `usual` is whether it does where the reviewer names none."""

    place: int
    signal: Signal
    usual: bool


def usual(placed: Placed) -> tuple[int, ...]:
    """The places that cast a shadow where the reviewer names none, in order.

    These are the first signal of each algorithm, which is that of the picture itself, and every signal within the
    default radius of it. A value farther away may belong to any picture: whoever contributed it chose it.
    """
    firsts: dict[Algorithm, Signal] = {}
    for place in sorted(placed):
        firsts.setdefault(placed[place].algorithm, placed[place])
    return tuple(place for place in sorted(placed) if _near(firsts[placed[place].algorithm], placed[place]))


def reach(algorithm: Algorithm) -> int:
    """How far from a shadow a contribution of the same member is quarantined at the retirement.

    Of `pdq` twice the default radius: no query can match two values that are farther apart, and among a thousand
    photographs the nearest two are 86 apart. Of the others twice the radius would take in other pictures.
    """
    return 2 * algorithm.radius if algorithm is Algorithm.PDQ else algorithm.radius


def is_twin(one: Signal, other: Signal) -> bool:
    """Whether two signals of one member are so near that a retirement of the one quarantines the other."""
    if one.algorithm is not other.algorithm:
        return False
    return one.distance(other) <= reach(one.algorithm) and (one.algorithm is Algorithm.PDQ or _near(one, other))


def _near(first: Signal, other: Signal) -> bool:
    return first.distance(other) <= signals.reach(first.algorithm, first.value, other.value)
