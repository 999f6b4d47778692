"""The views that need no index catch up with the log before each request, even while the index is built."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import event

from hashdb.domain.accounts.members import COMMAND_LINE, Actor, KeyDraft
from hashdb.domain.matching.benign import BenignDraft
from hashdb.domain.signals import Algorithm
from hashdb.errors import IndexNotReady, InvalidInput, NotAuthenticated
from hashdb.service import HashDB
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


def test_keys_are_accepted_and_revoked_while_the_index_is_not_ready(
    db: HashDB, actor: Actor, database_url: str, folder: Path
) -> None:
    fill_store(db, actor)
    with open_service(database_url, folder) as first, open_service(database_url, folder) as second:
        key, secret = key_for(db, actor)
        for process in (first, second):
            assert members.authenticate(process, secret).key is not None
            with pytest.raises(IndexNotReady):
                process.index.catch_up()
        members.revoke_key(first, COMMAND_LINE, key)
        for process in (first, second):
            with pytest.raises(NotAuthenticated):
                members.authenticate(process, secret)


def test_catching_up_with_an_unchanged_log_starts_no_transaction(db: HashDB, actor: Actor) -> None:
    _, secret = key_for(db, actor)
    members.authenticate(db, secret)
    transactions: list[object] = []
    event.listen(db.store.engine, "begin", transactions.append)
    members.authenticate(db, secret)
    db.index.catch_up()
    assert db.index.catch_up(db.follower.catch_up()) == db.follower.head
    del transactions[:]
    members.authenticate(db, secret)
    assert db.index.catch_up(db.follower.head) == db.follower.head
    assert transactions == []


def test_a_benign_entry_of_another_process_applies_to_the_next_contribution(
    db: HashDB, actor: Actor, database_url: str
) -> None:
    other_process = hashdb(database_url, Clock())
    contributed(db, actor, draft(1))
    benign.add(other_process, COMMAND_LINE, BenignDraft((signal(2),)))
    with pytest.raises(InvalidInput):
        contributions.contribute(db, actor, [draft(2)])
    other_process.close()


def test_benign_entries_cannot_change_while_the_index_is_not_ready(
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


def test_a_restore_of_the_log_empties_the_caches(db: HashDB, actor: Actor, clock: Clock, database_url: str) -> None:
    (lost,) = contributed(db, actor, draft(1))
    known = db.follower.catch_up()
    _, secret = key_for(db, actor)
    assert members.authenticate(db, secret).key is not None
    cached = db.keys._keys
    roll_back_service(database_url, known.seq, lost.id + 1, "restored")
    assert db.follower.catch_up().epoch == "restored"
    assert db.keys._keys is not cached
    clock.advance(seconds=1)
    contributed(db, actor, draft(3))
    assert db.follower.catch_up().seq == known.seq + 1


@pytest.mark.parametrize("flush_size", [1, 4_096])
def test_signals_near_a_retired_one_are_found_within_the_radius(
    db: HashDB, flush_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hashdb.index.FLUSH_SIZE", flush_size)
    pdq, phash, dhash = signal(1), signal(1, Algorithm.PHASH), signal(1, Algorithm.DHASH)
    retired = RetiredSignals(db.store, {Algorithm.PDQ: 31, Algorithm.PHASH: 6})
    signals = [near(pdq, 31), near(pdq, 32), signal(2), phash, dhash, pdq, pdq]
    assert retired.near(signals) == {}
    retired._add({Algorithm.PDQ: [pdq.to_bytes()], Algorithm.DHASH: [dhash.to_bytes()]}, retired._indexes, set())
    assert retired.near(signals) == {near(pdq, 31): [pdq], pdq: [pdq]}
    retired._add({Algorithm.PHASH: [phash.to_bytes()]}, retired._indexes, set())
    assert retired.near(signals) == {near(pdq, 31): [pdq], pdq: [pdq], phash: [phash]}
