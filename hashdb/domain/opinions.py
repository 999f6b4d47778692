"""Opinion: what a member thinks of another's contribution; Standing: what opinions and rulings add up to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from hashdb.domain.contributions import Standing


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
