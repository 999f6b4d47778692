"""Notes between reviewers on a case."""

from __future__ import annotations

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, Actor, Scope
from hashdb.errors import InvalidInput, NotFound, ScopeMissing
from hashdb.service import HashDB
from hashdb.service.contributions import contributions
from hashdb.service.ledger import events
from hashdb.service.ledger.events import EventFilter
from hashdb.service.ledger.verification import verify
from hashdb.service.review import cases, notes
from tests.builders import contributed, draft, member_with


def test_reviewers_read_notes_until_the_contribution_is_erased(db: HashDB, actor: Actor) -> None:
    rosa, lin = member_with(db, Scope.REVIEW), member_with(db, Scope.REVIEW)
    items = contributed(db, actor, draft(1), draft(2))
    first, second = (cases.open_case(db, COMMAND_LINE, item.id, "other", holds=False) for item in items)
    notes.add(db, rosa, first.id, "seen before?")
    notes.add(db, lin, first.id, "yes, in case 2")
    notes.add(db, lin, second.id, "see case 1")
    listed = notes.list_on(db, COMMAND_LINE, first.id)
    assert [(note.actor, note.text) for note in listed] == [(str(rosa), "seen before?"), (str(lin), "yes, in case 2")]
    (logged, *_) = events.page(db, COMMAND_LINE, EventFilter(action="case.noted"), 0, 9)
    assert logged.details == {"contribution": first.contribution, "note": listed[0].id}
    contributions.erase(db, actor, first.contribution)
    assert notes.list_on(db, COMMAND_LINE, first.id) == ()
    assert len(notes.list_on(db, COMMAND_LINE, second.id)) == 1
    with pytest.raises(InvalidInput, match="erased"):
        notes.add(db, rosa, first.id, "too late")
    assert verify(db, COMMAND_LINE).findings == ()


def test_notes_are_limited_in_number_and_only_for_reviewers(
    db: HashDB, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notes, "MOST_NOTES", 1)
    (item,) = contributed(db, actor, draft(1))
    case = cases.open_case(db, COMMAND_LINE, item.id, "other", holds=False).id
    notes.add(db, COMMAND_LINE, case, "one")
    with pytest.raises(InvalidInput, match="at most 1 notes"):
        notes.add(db, COMMAND_LINE, case, "two")
    with pytest.raises(NotFound):
        notes.add(db, COMMAND_LINE, 99, "x")
    with pytest.raises(ScopeMissing):
        notes.add(db, member_with(db, Scope.AUDIT), case, "x")
    with pytest.raises(ScopeMissing):
        notes.list_on(db, actor, case)
