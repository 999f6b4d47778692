"""Opinions, cases and standings: the opinions and decisions on a contribution, and the standing that follows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from hashdb.domain.contributions import Standing


class Stance(StrEnum):
    """Whether a member agrees with a contribution: `confirms` if it does, `disputes` if it does not."""

    CONFIRMS = "confirms"
    DISPUTES = "disputes"


@dataclass(frozen=True, slots=True)
class OpinionDraft:
    """What a member sends to give an opinion; a dispute has a reason of the vocabulary."""

    stance: Stance
    reason: str | None = None
    note: str | None = None

    def fault(self) -> str | None:
        """Why it may not have its reason (None: no reason), or None."""
        if self.stance is Stance.DISPUTES and self.reason is None:
            return "is required for a dispute: `hashdb opinion --help` and the API document list the reasons"
        if self.stance is Stance.CONFIRMS and self.reason is not None:
            return "is for disputes only: leave it out to confirm"
        return None


@dataclass(frozen=True, slots=True)
class Opinion:
    """The opinion of a member on a contribution.

    `case` is the case that was open then, or that the opinion opened. `counts` is whether the standing depends on it.
    An opinion does not count once its member replaced it, or while its member is suspended. A dispute does not count
    once its case is decided. `hidden` names the fields that the reader may not see.
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

    def equals(self, draft: OpinionDraft) -> bool:
        """Whether the opinion equals a draft."""
        return (self.stance, self.reason, self.note) == (draft.stance, draft.reason, draft.note)

    def shown(self, *, note: bool) -> Opinion:
        """The opinion for a reader that may, or may not, see its note."""
        return self if note else replace(self, note=None, hidden=frozenset({"note"}))


def opinion_counts(stance: Stance, *, replaced: bool, suspended: bool, answered: bool) -> bool:
    """Whether a standing depends on an opinion; `answered` is whether its case is decided."""
    return not (replaced or suspended or (stance is Stance.DISPUTES and answered))


def standing(opinions: Iterable[Opinion], ruling: Standing | None) -> Standing:
    """The standing of a contribution, from its opinions and the ruling on it; a ruling overrides opinions."""
    if ruling is not None:
        return ruling
    stances = {opinion.stance for opinion in opinions if opinion.counts}
    if Stance.DISPUTES in stances:
        return Standing.DISPUTED
    return Standing.CONFIRMED if Stance.CONFIRMS in stances else Standing.UNREVIEWED


class Decision(StrEnum):
    """The decision of a reviewer.

    `uphold`: the contribution is right. `quarantine`: it does not match until a later decision. `retire`: it was wrong;
    later contributions near it start quarantined.
    """

    UPHOLD = "uphold"
    QUARANTINE = "quarantine"
    RETIRE = "retire"

    @property
    def ruling(self) -> Standing | None:
        """The standing that the decision sets; None leaves the standing to the opinions."""
        return _RULINGS[self]


_RULINGS = {Decision.UPHOLD: None, Decision.QUARANTINE: Standing.QUARANTINED, Decision.RETIRE: Standing.RETIRED}


class Cause(StrEnum):
    """Why a case was opened without a dispute. Other cases have the reason of the dispute."""

    CONTESTED = "contested"
    """A member confirmed a contribution that is quarantined or retired."""
    NEAR_RETIRED = "near_retired"
    """The contribution is near a retired one."""
    FLOOD = "flood"
    """It had more hits than the operator's cap."""


class CaseState(StrEnum):
    """Whether a case still needs a decision: `open` if it does, `decided` if not."""

    OPEN = "open"
    DECIDED = "decided"


class CaseSort(StrEnum):
    """What orders decided cases: the number of the case, or the time of the decision. Ties are ordered by id."""

    CASE = "case"
    DECIDED = "decided"


@dataclass(frozen=True, slots=True)
class Case:
    """A contribution before a reviewer, from opening to decision. A contribution has at most one open case.

    `member` is the contributor. While a case that `holds` is open, the contribution is quarantined. `opinions` has the
    last one of each member given while the case was open. `hidden` names the fields that the reader may not see.
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
    """After `retire`: the places of the signals near which later contributions start quarantined.

    None if the decision was another one, or version 0.1.0 recorded it.
    """
    follows: int | None = None
    """The case on an earlier contribution of the same member that this one continues."""
    opinions: tuple[Opinion, ...] = ()
    hidden: frozenset[str] = frozenset()

    @property
    def state(self) -> CaseState:
        """Whether it is decided."""
        return CaseState.OPEN if self.decision is None else CaseState.DECIDED

    def shown(self, *, decided_by: bool, member: bool) -> Case:
        """The case for a reader that may, or may not, see the key that decided it and the contributor.

        A member that the reader may not see is 0.
        """
        case = self if member else replace(self, member=0, member_name="")
        return case if decided_by else replace(case, decided_by=None, hidden=frozenset({"decided_by"}))


def ruling(cases: Sequence[Case]) -> Standing | None:
    """The standing that the cases on a contribution set, given in order of opening: the last decision counts.

    None leaves the standing to the opinions.
    """
    decisions = [case.decision for case in cases if case.decision is not None]
    ruled = decisions[-1].ruling if decisions else None
    if ruled is None and any(case.holds and case.state is CaseState.OPEN for case in cases):
        return Standing.QUARANTINED
    if ruled is None and any(case.follows is not None and case.state is CaseState.OPEN for case in cases):
        return Standing.DISPUTED
    return ruled


def open_case_of(cases: Iterable[Case]) -> Case | None:
    """The open case among those on a contribution; None if all are decided."""
    return next((case for case in cases if case.state is CaseState.OPEN), None)


def opens_case(stance: Stance, cases: Sequence[Case]) -> bool:
    """Whether an opinion opens a case: a dispute does, or a confirmation against a ruling, if no case is open."""
    if open_case_of(cases):
        return False
    return stance is Stance.DISPUTES or ruling(cases) is not None


@dataclass(frozen=True, slots=True)
class Impact:
    """What would change if a contribution no longer matched; `matches` is whether it does now.

    In the last 90 days, `members` received it as a match, `times` in all. `equal` other contributions that match have
    one of its signals, or several of its frames, to the bit, so most queries would still match. `readers` is how many
    members read the feed in the last 30 days and would receive the change.
    """

    matches: bool
    members: int
    times: int
    equal: int
    readers: int


@dataclass(frozen=True, slots=True)
class StandingChange:
    """The standing of a contribution before and after a decision."""

    before: Standing
    after: Standing

    @property
    def ends(self) -> bool:
        """Whether it would stop matching."""
        return self.before.matches and not self.after.matches

    @property
    def begins(self) -> bool:
        """Whether it would match again."""
        return self.after.matches and not self.before.matches
