"""The audit log, as an auditor reads it."""

from __future__ import annotations

import pytest

from hashdb.domain.audit import leaf
from hashdb.domain.members import COMMAND_LINE, Actor, Scope
from hashdb.errors import ScopeMissing
from hashdb.service import HashDB, contributions
from hashdb.service.audit import EventFilter, events
from tests.builders import contributed, draft, member_with


def test_an_auditor_reads_every_event_and_can_verify_it(db: HashDB, actor: Actor) -> None:
    (one,) = contributed(db, actor, draft(1, basis="terms"))
    contributions.withdraw(db, actor, one.id, "other")
    for reader in (member_with(db, Scope.AUDIT), member_with(db, Scope.ADMIN), COMMAND_LINE):
        found = events(db, reader, EventFilter(), 0, 100)
        assert [event.seq for event in found] == list(range(1, len(found) + 1))
        for event in found:
            assert event.leaf == leaf(event.seq, event.at, event.actor, event.action, event.subject, event.details)


def test_events_are_chosen_and_come_in_pages(db: HashDB, actor: Actor) -> None:
    ids = [one.id for one in contributed(db, actor, *[draft(seed) for seed in range(5)])]
    by_actor = events(db, COMMAND_LINE, EventFilter(actor=str(actor)), 0, 3)
    assert [event.id for event in by_actor] == ids[:3]
    rest = events(db, COMMAND_LINE, EventFilter(actor=str(actor)), by_actor[-1].seq, 3)
    assert [event.id for event in rest] == ids[3:]
    (about,) = events(db, COMMAND_LINE, EventFilter(subject=("contribution", ids[2])), 0, 10)
    assert about == by_actor[2]
    assert len(events(db, COMMAND_LINE, EventFilter(action="contribution.added"), 0, 10)) == 5


def test_others_do_not_read_it(db: HashDB) -> None:
    reader = member_with(db, *(frozenset(Scope) - {Scope.AUDIT, Scope.ADMIN}))
    with pytest.raises(ScopeMissing, match=r"^this key lacks the scope audit$"):
        events(db, reader, EventFilter(), 0, 10)
