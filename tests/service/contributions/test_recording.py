"""Requests that share a transaction are stored or rejected as if each had its own transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, Actor
from hashdb.domain.contributions import Draft, IdempotencyKey, Receipt
from hashdb.domain.matching.benign import BenignDraft
from hashdb.errors import IdempotencyKeyReused, LimitReached, StoreBusy
from hashdb.service import HashDB
from hashdb.service.contributions import contributions
from hashdb.service.contributions.intake import StaleRead
from hashdb.service.contributions.recording import Request, prepare, record
from hashdb.service.matching import benign
from hashdb.service.views import IntakeRules
from tests.builders import Clock, draft, hashdb, member_with, signal, video

KEY = IdempotencyKey("request-1", b"1" * 32)


def request(db: HashDB, actor: Actor, drafts: Sequence[Draft], key: IdempotencyKey | None = None) -> Request:
    assert actor.member is not None
    seq = db.follower.catch_up().seq
    return prepare(actor, actor.member, drafts, key, db.intake_rules(), seq, {})


def receipt(outcome: Receipt | Exception) -> Receipt:
    assert isinstance(outcome, Receipt), outcome
    return outcome


def log_size(db: HashDB) -> int:
    return db.follower.catch_up().seq


class TestSharedTransaction:
    """One transaction for requests of several members."""

    def test_each_request_gets_its_contributions_and_each_member_its_events(
        self, db: HashDB, actor: Actor, other: Actor
    ) -> None:
        before = log_size(db)
        outcomes = record(
            db,
            [
                request(db, other, [draft(1)]),
                request(db, actor, [draft(1), draft(2)]),
                request(db, other, [draft(3), draft(1)]),
            ],
        )
        first, second, third = map(receipt, outcomes)
        members = [[item.contribution.member for item in each.recorded] for each in (first, second, third)]
        assert other.member is not None and actor.member is not None
        assert members == [[other.member.id], [actor.member.id] * 2, [other.member.id] * 2]
        assert [[item.known for item in each.recorded] for each in (first, second, third)] == [
            [False],
            [False, False],
            [False, True],
        ]
        assert third.recorded[1].contribution == first.recorded[0].contribution
        with db.store.read() as tx:
            events = tx.audit.since(before, 10)
        assert sorted(event.actor for event in events) == sorted([str(actor)] * 2 + [str(other)] * 2)
        assert {first.checkpoint, second.checkpoint, third.checkpoint} == {before + 4}

    def test_a_request_over_the_limit_is_rejected_and_the_others_are_stored(self, db: HashDB, other: Actor) -> None:
        small = member_with(db, a_day=2)
        first, second, third, fourth = record(
            db,
            [
                request(db, small, [draft(1)]),
                request(db, small, [draft(2), draft(3)]),
                request(db, other, [draft(4)]),
                request(db, small, [draft(3), draft(1)]),
            ],
        )
        assert isinstance(second, LimitReached)
        assert not receipt(first).recorded[0].known
        assert not receipt(third).recorded[0].known
        # The rejected request stored nothing: its draft is new in a later request.
        assert [item.known for item in receipt(fourth).recorded] == [False, True]

    def test_two_requests_with_one_idempotency_key_are_stored_once(self, db: HashDB, actor: Actor) -> None:
        first, second = record(db, [request(db, actor, [draft(1)], KEY), request(db, actor, [draft(1)], KEY)])
        assert receipt(first) == receipt(second)
        assert not receipt(first).recorded[0].known

    def test_a_reused_idempotency_key_is_rejected_and_the_others_are_stored(self, db: HashDB, actor: Actor) -> None:
        receipt(record(db, [request(db, actor, [draft(1)], KEY)])[0])
        reused = replace(KEY, digest=b"2" * 32)
        refused, recorded = record(db, [request(db, actor, [draft(2)], reused), request(db, actor, [draft(3)])])
        assert isinstance(refused, IdempotencyKeyReused)
        assert not receipt(recorded).recorded[0].known

    def test_only_the_request_checked_against_outdated_rules_is_rejected(self, db: HashDB, actor: Actor) -> None:
        old = request(db, actor, [draft(1)])
        benign.add(db, COMMAND_LINE, BenignDraft((signal(9),)))
        new = request(db, actor, [draft(2)])
        before = log_size(db)
        stale, recorded = record(db, [old, new])
        assert isinstance(stale, StaleRead)
        assert not receipt(recorded).recorded[0].known
        assert log_size(db) == before + 1


def test_no_search_and_no_fingerprint_is_computed_while_the_database_is_locked(
    db: HashDB, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    benign.add(db, COMMAND_LINE, BenignDraft((signal(2),)))
    checked = request(db, actor, [video(1, 2, 3)])
    called: list[str] = []
    monkeypatch.setattr(Draft, "fingerprint", lambda draft: called.append("fingerprint"))
    monkeypatch.setattr(IntakeRules, "close_to_benign", lambda rules, signals: called.append("touched"))
    (outcome,) = record(db, [checked])
    assert called == []
    id = receipt(outcome).recorded[0].contribution.id
    assert [frame.signals for frame in contributions.frames(db, actor, id)] == [(signal(1),), (), (signal(3),)]


def test_every_request_reports_a_busy_database(database_url: str, db: HashDB, actor: Actor, clock: Clock) -> None:
    requests = [request(db, actor, [draft(1)]), request(db, actor, [draft(2)])]
    impatient, before = hashdb(database_url, clock, busy_seconds=0.05), log_size(db)
    with db.store.begin() as tx:
        tx.audit.lock()
        outcomes = record(impatient, requests)
    impatient.close()
    assert [type(outcome) for outcome in outcomes] == [StoreBusy, StoreBusy]
    assert log_size(db) == before
