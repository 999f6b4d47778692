"""What happened to a contribution, in one order."""

from __future__ import annotations

import pytest

from hashdb.domain.cases import Decision
from hashdb.domain.contributions import Amendment
from hashdb.domain.members import COMMAND_LINE, Actor
from hashdb.domain.opinions import OpinionDraft, Stance
from hashdb.errors import NotFound, ScopeMissing
from hashdb.service import HashDB, cases, contributions, counts, erasures, matches, opinions, timelines
from tests.builders import Clock, contributed, draft, query


def test_a_timeline_tells_everything_with_notes_and_old_values(
    db: HashDB, actor: Actor, other: Actor, clock: Clock
) -> None:
    (one, apart) = contributed(db, actor, draft(1), draft(2))
    contributions.amend(db, actor, apart.id, Amendment(severity=4))
    clock.go(hours=1)
    contributions.amend(db, actor, one.id, Amendment(severity=1))
    opinions.give(db, other, one.id, OpinionDraft(Stance.DISPUTES, "other", "not so"))
    contributions.amend(db, actor, one.id, Amendment(severity=2, labels=("manifesto",)))
    clock.go(hours=1)
    (case,) = cases.page(db, COMMAND_LINE, None, 0, 9)
    cases.decide(db, COMMAND_LINE, case.id, Decision.RETIRE, "it was wrong")
    found = timelines.of(db, COMMAND_LINE, one.id)
    assert [moment.what for moment in found.moments] == [
        "contribution.added",
        "contribution.amended",
        "opinion.given",
        "case.opened",
        "contribution.disputed",
        "contribution.amended",
        "case.decided",
        "contribution.retired",
    ]
    assert [dict(moment.before) for moment in found.moments if moment.what == "contribution.amended"] == [
        {"severity": None},
        {"severity": 1, "labels": ["glorification"]},
    ]
    assert [(moment.what, moment.note) for moment in found.moments if moment.note] == [
        ("opinion.given", "not so"),
        ("case.decided", "it was wrong"),
    ]
    assert actor.member and other.member
    assert found.names == {str(actor): actor.member.name, str(other): other.member.name}


def test_who_had_it_as_a_match_is_told_by_day(db: HashDB, actor: Actor, other: Actor) -> None:
    (one,) = contributed(db, actor, draft(1))
    matches.match(db, other, [query(1), query(1)])
    counts.flush(db)
    found = timelines.of(db, COMMAND_LINE, one.id)
    (hit,) = [moment for moment in found.moments if moment.what == timelines.HIT]
    assert other.member
    assert (hit.who, hit.seq, dict(hit.details)) == (
        f"member:{other.member.id}",
        None,
        {"times": 2, "distance": ["pdq 0"]},
    )
    assert found.names[hit.who] == other.member.name


def test_erasure_leaves_the_events_alone(db: HashDB, actor: Actor, other: Actor) -> None:
    (one,) = contributed(db, actor, draft(1))
    contributions.amend(db, actor, one.id, Amendment(severity=1))
    opinions.give(db, other, one.id, OpinionDraft(Stance.CONFIRMS, note="seen"))
    erasures.erase(db, actor, one.id)
    moments = timelines.of(db, COMMAND_LINE, one.id).moments
    assert not any(moment.note or moment.before for moment in moments)
    assert moments[-1].what == "contribution.erased"


def test_a_timeline_is_for_who_audits_or_reviews(db: HashDB, actor: Actor) -> None:
    (one,) = contributed(db, actor, draft(1))
    with pytest.raises(ScopeMissing):
        timelines.of(db, actor, one.id)
    with pytest.raises(NotFound):
        timelines.of(db, COMMAND_LINE, one.id + 1)
