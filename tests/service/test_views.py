"""The views that need no index catch up with the log before each request, also while the index is built."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import event

from hashdb.domain.accounts.members import COMMAND_LINE, Actor, KeyDraft
from hashdb.domain.matching.benign import BenignDraft
from hashdb.domain.signals import Algorithm
from hashdb.errors import IndexNotReady, InvalidInput, NotAuthenticated
from hashdb.service import HashDB, views
from hashdb.service.accounts import members
from hashdb.service.contributions import contributions
from hashdb.service.matching import benign
from hashdb.service.views import RetiredSignals
from tests.builders import Clock, contributed, draft, hashdb, near, signal
from tests.service.folders import fill_store, open_service, roll_back_service


def key_for(db: HashDB, actor: Actor) -> tuple[int, str]:
    """A new key of the actor's member: its id and its secret."""
    assert actor.member is not None
    issued = members.issue_key(db, COMMAND_LINE, actor.member.id, KeyDraft(actor.scopes))
    return issued.key.id, issued.secret


def test_a_key_is_known_and_revoked_while_the_index_waits_to_be_built(
    db: HashDB, actor: Actor, database_url: str, folder: Path
) -> None:
    fill_store(db, actor)
    with open_service(database_url, folder) as one, open_service(database_url, folder) as other:
        key, secret = key_for(db, actor)
        for process in (one, other):
            assert members.authenticate(process, secret).key is not None
            with pytest.raises(IndexNotReady):
                process.index.catch_up()
        members.revoke_key(one, COMMAND_LINE, key)
        for process in (one, other):
            with pytest.raises(NotAuthenticated):
                members.authenticate(process, secret)


def test_an_unchanged_log_costs_a_look_at_its_head_and_no_transaction(db: HashDB, actor: Actor) -> None:
    _, secret = key_for(db, actor)
    members.authenticate(db, secret)
    begun: list[object] = []
    event.listen(db.store.engine, "begin", begun.append)
    members.authenticate(db, secret)
    db.index.catch_up()
    assert db.index.catch_up(db.follower.catch_up()) == db.follower.head
    del begun[:]
    members.authenticate(db, secret)
    assert db.index.catch_up(db.follower.head) == db.follower.head
    assert begun == []


def test_a_benign_entry_of_another_process_holds_for_the_next_contribution(
    db: HashDB, actor: Actor, database_url: str
) -> None:
    elsewhere = hashdb(database_url, Clock())
    contributed(db, actor, draft(1))
    benign.add(elsewhere, COMMAND_LINE, BenignDraft((signal(2),)))
    with pytest.raises(InvalidInput):
        contributions.contribute(db, actor, [draft(2)])
    elsewhere.close()


def test_nothing_is_stored_of_a_benign_entry_while_the_index_that_it_needs_is_built(
    db: HashDB, actor: Actor, database_url: str, folder: Path
) -> None:
    fill_store(db, actor)
    entry = benign.add(db, COMMAND_LINE, BenignDraft((signal(2),)))
    with open_service(database_url, folder) as waiting:
        head = waiting.follower.catch_up()
        with pytest.raises(IndexNotReady):
            benign.add(waiting, COMMAND_LINE, BenignDraft((signal(3),)))
        with pytest.raises(IndexNotReady):
            benign.delete(waiting, COMMAND_LINE, entry.id)
        assert waiting.follower.catch_up() == head


def test_a_log_that_was_set_back_empties_the_caches(db: HashDB, actor: Actor, clock: Clock, database_url: str) -> None:
    (lost,) = contributed(db, actor, draft(1))
    known = db.follower.catch_up()
    _, secret = key_for(db, actor)
    assert members.authenticate(db, secret).key is not None
    cached = db.keys._keys
    roll_back_service(database_url, known.seq, lost.id + 1, "restored")
    assert db.follower.catch_up().epoch == "restored"
    assert db.keys._keys is not cached
    clock.go(seconds=1)
    contributed(db, actor, draft(3))
    assert db.follower.catch_up().seq == known.seq + 1


@pytest.mark.parametrize("array", [1, 4_096])
def test_what_is_near_a_retired_signal_is_found_within_the_radius_of_the_same_algorithm(
    db: HashDB, array: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "FLUSH_SIZE", array)
    one, phash, dhash = signal(1), signal(1, Algorithm.PHASH), signal(1, Algorithm.DHASH)
    retired = RetiredSignals(db.store, {Algorithm.PDQ: 31, Algorithm.PHASH: 6})
    asked = [near(one, 31), near(one, 32), signal(2), phash, dhash, one, one]
    assert retired.near(asked) == {}
    retired._add({Algorithm.PDQ: [one.to_bytes()], Algorithm.DHASH: [dhash.to_bytes()]}, retired._indexes, set())
    assert retired.near(asked) == {near(one, 31): [one], one: [one]}
    retired._add({Algorithm.PHASH: [phash.to_bytes()]}, retired._indexes, set())
    assert retired.near(asked) == {near(one, 31): [one], one: [one], phash: [phash]}
