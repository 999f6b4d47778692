"""A service that is moved goes on with its log, its keys and its matches."""

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


def silent(count: int) -> None:
    pass


def test_what_came_after_a_first_copy_comes_with_the_last_and_the_log_is_the_same(
    db: HashDB, actor: Actor, target: Store
) -> None:
    assert actor.member is not None
    checkpoints.start(db)
    secret = members.issue_key(db, COMMAND_LINE, actor.member.id, KeyDraft(actor.scopes)).secret
    first, second = contributed(db, actor, draft(1), draft(2))
    begun = move(db, COMMAND_LINE, target, silent, last=False)
    assert begun.verdict is None
    (third,) = contributed(db, actor, draft(3))
    contributions.withdraw(db, actor, second.id, "other")
    done = move(db, COMMAND_LINE, target, silent, last=True)
    assert done.verdict is not None and done.verdict.findings == ()
    assert 0 < done.moved.written < begun.moved.written
    there = HashDB(target, db.rules, db.now, signing=db.signing)
    assert there.store.head() == db.store.head() == done.moved.head
    assert checkpoints.latest(there) == checkpoints.latest(db)
    found = matches.match(there, members.authenticate(there, secret), [query(seed) for seed in (1, 2, 3)])
    assert [[one.contribution for one in result.matches] for result in found.results] == [[first.id], [], [third.id]]
    (fourth,) = contributed(there, members.authenticate(there, secret), draft(4))
    assert fourth.id == third.id + 1


def test_what_the_log_does_not_vouch_for_is_told_and_moved_all_the_same(
    db: HashDB, actor: Actor, target: Store
) -> None:
    (one,) = contributed(db, actor, draft(1))
    with db.store.begin() as tx:
        tx.contributions.withdraw(one.id, "other", db.now())
    done = move(db, COMMAND_LINE, target, silent, last=True)
    assert done.verdict is not None
    assert done.verdict.findings
    assert all(f"contribution {one.id}" in str(finding) for finding in done.verdict.findings)
    target.require_current()


def test_a_database_is_moved_by_an_administrator_alone(db: HashDB, actor: Actor, target: Store) -> None:
    with pytest.raises(NotAllowed):
        move(db, actor, target, silent, last=True)
