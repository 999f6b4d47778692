"""The audit log as an auditor reads it."""

from __future__ import annotations

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, Actor, Scope
from hashdb.domain.contributions import Amendment
from hashdb.domain.review.cases import Decision, OpinionDraft, Stance
from hashdb.errors import NotFound, ScopeMissing
from hashdb.service import HashDB
from hashdb.service.contributions import contributions
from hashdb.service.ledger import events
from hashdb.service.ledger.events import EventFilter
from hashdb.service.matching import matches
from hashdb.service.review import cases, opinions
from hashdb.service.stats import counts
from tests.builders import Clock, contributed, draft, member_with, query


def test_an_auditor_reads_every_event_and_can_verify_it(db: HashDB, actor: Actor) -> None:
    (contribution,) = contributed(db, actor, draft(1, basis="terms"))
    contributions.withdraw(db, actor, contribution.id, "other")
    for reader in (member_with(db, Scope.AUDIT), member_with(db, Scope.ADMIN), COMMAND_LINE):
        page = events.page(db, reader, EventFilter(), 0, 100)
        assert [event.seq for event in page] == list(range(1, len(page) + 1))
        for event in page:
            assert event.leaf == event.computed_leaf


def test_events_are_filtered_and_returned_in_pages(db: HashDB, actor: Actor) -> None:
    ids = [contribution.id for contribution in contributed(db, actor, *[draft(seed) for seed in range(5)])]
    by_actor = events.page(db, COMMAND_LINE, EventFilter(actor=str(actor)), 0, 3)
    assert [event.id for event in by_actor] == ids[:3]
    rest = events.page(db, COMMAND_LINE, EventFilter(actor=str(actor)), by_actor[-1].seq, 3)
    assert [event.id for event in rest] == ids[3:]
    (about,) = events.page(db, COMMAND_LINE, EventFilter(subject=("contribution", ids[2])), 0, 10)
    assert about == by_actor[2]
    assert len(events.page(db, COMMAND_LINE, EventFilter(action="contribution.added"), 0, 10)) == 5


def test_a_key_without_the_scope_audit_cannot_read_events(db: HashDB) -> None:
    reader = member_with(db, *(frozenset(Scope) - {Scope.AUDIT, Scope.ADMIN}))
    with pytest.raises(ScopeMissing, match=r"^this key lacks the scope audit$"):
        events.page(db, reader, EventFilter(), 0, 10)


def test_a_timeline_shows_every_event_with_notes_and_old_values(
    db: HashDB, actor: Actor, other: Actor, clock: Clock
) -> None:
    (contribution, unrelated) = contributed(db, actor, draft(1), draft(2))
    contributions.amend(db, actor, unrelated.id, Amendment(severity=4))
    clock.advance(hours=1)
    contributions.amend(db, actor, contribution.id, Amendment(severity=1))
    opinions.give(db, other, contribution.id, OpinionDraft(Stance.DISPUTES, "other", "not so"))
    contributions.amend(db, actor, contribution.id, Amendment(severity=2, labels=("manifesto",)))
    clock.advance(hours=1)
    (case,) = cases.page(db, COMMAND_LINE, None, 0, 9)
    cases.decide(db, COMMAND_LINE, case.id, Decision.RETIRE, "it was wrong")
    timeline = events.timeline(db, COMMAND_LINE, contribution.id)
    assert [moment.action for moment in timeline.moments] == [
        "contribution.added",
        "contribution.amended",
        "opinion.given",
        "case.opened",
        "contribution.disputed",
        "contribution.amended",
        "case.decided",
        "contribution.retired",
    ]
    assert [dict(moment.before) for moment in timeline.moments if moment.action == "contribution.amended"] == [
        {"severity": None},
        {"severity": 1, "labels": ["glorification"]},
    ]
    assert [(moment.action, moment.note) for moment in timeline.moments if moment.note] == [
        ("opinion.given", "not so"),
        ("case.decided", "it was wrong"),
    ]
    assert actor.member and other.member
    assert timeline.names == {str(actor): actor.member.name, str(other): other.member.name}


def test_a_timeline_shows_by_day_which_members_matched(db: HashDB, actor: Actor, other: Actor) -> None:
    (contribution,) = contributed(db, actor, draft(1))
    matches.match(db, other, [query(1), query(1)])
    counts.flush(db)
    timeline = events.timeline(db, COMMAND_LINE, contribution.id)
    (hit,) = [moment for moment in timeline.moments if moment.action == events.HIT]
    assert other.member
    assert (hit.actor, hit.seq, dict(hit.details)) == (
        f"member:{other.member.id}",
        None,
        {"times": 2, "distance": ["pdq 0"]},
    )
    assert timeline.names[hit.actor] == other.member.name


def test_an_erasure_removes_notes_and_old_values_from_the_timeline(db: HashDB, actor: Actor, other: Actor) -> None:
    (contribution,) = contributed(db, actor, draft(1))
    contributions.amend(db, actor, contribution.id, Amendment(severity=1))
    opinions.give(db, other, contribution.id, OpinionDraft(Stance.CONFIRMS, note="seen"))
    contributions.erase(db, actor, contribution.id)
    moments = events.timeline(db, COMMAND_LINE, contribution.id).moments
    assert not any(moment.note or moment.before for moment in moments)
    assert moments[-1].action == "contribution.erased"


def test_a_timeline_needs_a_scope_and_an_existing_contribution(db: HashDB, actor: Actor) -> None:
    (contribution,) = contributed(db, actor, draft(1))
    with pytest.raises(ScopeMissing):
        events.timeline(db, actor, contribution.id)
    with pytest.raises(NotFound):
        events.timeline(db, COMMAND_LINE, contribution.id + 1)
