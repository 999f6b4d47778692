"""A moved service keeps its log, its keys and its matches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, Actor, KeyDraft
from hashdb.errors import NotAllowed
from hashdb.service import HashDB
from hashdb.service.accounts import members
from hashdb.service.backups import move
from hashdb.service.contributions import contributions
from hashdb.service.ledger import checkpoints
from hashdb.service.matching import matches
from hashdb.store import Store
from tests.builders import contributed, draft, query


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Store]:
    """An empty database."""
    with closing(Store(f"sqlite:///{tmp_path}/target.sqlite")) as store:
        yield store


def ignore_progress(count: int) -> None:
    pass


def test_the_last_copy_moves_later_changes_and_keeps_the_log(db: HashDB, actor: Actor, target: Store) -> None:
    assert actor.member is not None
    checkpoints.start(db)
    secret = members.issue_key(db, COMMAND_LINE, actor.member.id, KeyDraft(actor.scopes)).secret
    first, second = contributed(db, actor, draft(1), draft(2))
    first_copy = move(db, COMMAND_LINE, target, ignore_progress, last=False)
    assert first_copy.verdict is None
    (third,) = contributed(db, actor, draft(3))
    contributions.withdraw(db, actor, second.id, "other")
    last_copy = move(db, COMMAND_LINE, target, ignore_progress, last=True)
    assert last_copy.verdict is not None and last_copy.verdict.findings == ()
    assert 0 < last_copy.moved.written < first_copy.moved.written
    moved = HashDB(target, db.rules, db.now, signing=db.signing)
    assert moved.store.head() == db.store.head() == last_copy.moved.head
    assert checkpoints.latest(moved) == checkpoints.latest(db)
    answer = matches.match(moved, members.authenticate(moved, secret), [query(seed) for seed in (1, 2, 3)])
    assert [[match.contribution for match in result.matches] for result in answer.results] == [
        [first.id],
        [],
        [third.id],
    ]
    (fourth,) = contributed(moved, members.authenticate(moved, secret), draft(4))
    assert fourth.id == third.id + 1


def test_a_row_that_the_log_contradicts_is_reported_and_moved(db: HashDB, actor: Actor, target: Store) -> None:
    (added,) = contributed(db, actor, draft(1))
    with db.store.begin() as tx:
        tx.contributions.withdraw(added.id, "other", db.now())
    last_copy = move(db, COMMAND_LINE, target, ignore_progress, last=True)
    assert last_copy.verdict is not None
    assert last_copy.verdict.findings
    assert all(f"contribution {added.id}" in str(finding) for finding in last_copy.verdict.findings)
    target.require_current()


def test_only_an_administrator_can_move_a_database(db: HashDB, actor: Actor, target: Store) -> None:
    with pytest.raises(NotAllowed):
        move(db, actor, target, ignore_progress, last=True)
