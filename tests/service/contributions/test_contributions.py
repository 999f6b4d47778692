"""Contributions, as members and auditors may handle them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, SYSTEM, Actor, MemberChange, MemberKind, MemberStatus, Scope
from hashdb.domain.contributions import UNSET, Amendment, Contribution, Draft, Filter, IdempotencyKey, Status
from hashdb.domain.ledger.events import Action, Event
from hashdb.domain.matching.matches import Match
from hashdb.domain.signals import Algorithm, Signal
from hashdb.errors import (
    AlreadyWithdrawn,
    HashDBError,
    IdempotencyKeyReused,
    InvalidInput,
    LimitReached,
    MemberSuspended,
    NotActive,
    NotFound,
    NotYours,
    ScopeMissing,
)
from hashdb.service import HashDB
from hashdb.service.accounts import members
from hashdb.service.contributions import contributions
from hashdb.service.matching import matches
from tests.builders import NOON, Clock, again, contributed, draft, hashdb, member_with, query, signal
from tests.service.concurrently import run_concurrently

REQUEST = IdempotencyKey("request-1", b"1" * 32)


def events(db: HashDB, after: int = 0) -> tuple[Event, ...]:
    with db.store.read() as tx:
        return tx.audit.since(after, 10_000)


def found(db: HashDB, actor: Actor, seed: int) -> tuple[Match, ...]:
    return matches.match(db, actor, [query(seed)]).results[0].matches


def suspend(db: HashDB, actor: Actor, status: MemberStatus = MemberStatus.SUSPENDED) -> None:
    assert actor.member is not None
    members.change(db, COMMAND_LINE, actor.member.id, MemberChange(status=status))


def kept(db: HashDB, *ids: int) -> set[int]:
    """Those of the contributions of which the database has signals."""
    with db.store.read() as tx:
        return set(tx.contributions.signals(ids))


def announce_all(db: HashDB, limit: int = 500) -> int:
    told = 0
    while count := contributions.emit_pending(db, limit):
        told += count
    return told


class TestContribute:
    """Recording what a member contributes: all of it, or none."""

    def test_what_was_contributed_is_answered_and_logged(self, db: HashDB, actor: Actor) -> None:
        before = events(db)[-1].seq
        sent = [draft(1, signal(1, Algorithm.PHASH), basis="terms", severity=2, notified_at=NOON - timedelta(hours=3))]
        receipt = contributions.contribute(db, actor, [*sent, draft(2, removed_at=None)])
        assert [one.known for one in receipt.recorded] == [False, False]
        assert receipt.checkpoint == before + 2
        one = receipt.recorded[0].contribution
        assert (one.signals, one.status, one.received_at) == (sent[0].signals, Status.ACTIVE, NOON)
        assert contributions.get(db, actor, one.id) == one
        first, second = events(db, before)
        assert (first.action, first.subject, first.actor) == (
            "contribution.added",
            f"contribution:{one.id}",
            str(actor),
        )
        assert actor.member is not None and one.commitment is not None
        assert first.details == {
            "algorithms": ["pdq", "phash"],
            "basis": "terms",
            "commitment": one.commitment.hex(),
            "kind": "platform",
            "labels": ["glorification"],
            "media": "image",
            "member": actor.member.id,
            "seconds_to_remove": 7200,
            "seconds_to_share": 3600,
            "severity": 2,
        }
        assert (second.details["seconds_to_remove"], second.details["seconds_to_share"]) == (None, None)

    def test_no_event_holds_a_hash_or_free_text(self, db: HashDB, actor: Actor) -> None:
        (one,) = contributed(db, actor, draft(1, reference="their-own-words", entity="UN:someone"))
        contributions.withdraw(db, actor, one.id, "other")
        contributions.erase(db, actor, one.id)
        logged = repr(events(db))
        for secret in (f"{signal(1).value:064x}"[:16], str(signal(1).value)[:16], "their-own-words", "someone"):
            assert secret not in logged

    def test_one_fault_refuses_the_whole_request_and_every_fault_is_told(self, db: HashDB, actor: Actor) -> None:
        before = events(db)
        wrong = [draft(1), draft(Signal(Algorithm.PHASH, 0), labels=("nice",)), draft(2, quality=10)]
        with pytest.raises(InvalidInput) as caught:
            contributions.contribute(db, actor, wrong)
        assert [fault.at for fault in caught.value.faults] == [
            "contributions[1].signals[0]",
            "contributions[1].labels[0]",
            "contributions[2].quality",
        ]
        assert events(db) == before
        assert contributions.page(db, actor, Filter(), 0, 10) == ()

    def test_the_same_set_is_known_and_answered_unchanged(self, db: HashDB, actor: Actor, clock: Clock) -> None:
        (one,) = contributed(db, actor, draft(1, 2))
        logged = events(db)
        clock.go(hours=1)
        receipt = contributions.contribute(db, actor, [draft(2, 1, labels=("manifesto",), severity=4)])
        assert [(recorded.contribution, recorded.known) for recorded in receipt.recorded] == [(one, True)]
        assert receipt.checkpoint == logged[-1].seq
        assert events(db) == logged

    def test_the_same_set_twice_in_a_request_is_recorded_once(self, db: HashDB, actor: Actor) -> None:
        receipt = contributions.contribute(db, actor, [draft(1, severity=1), draft(2), draft(1, severity=2), draft(1)])
        ids = [recorded.contribution.id for recorded in receipt.recorded]
        assert ids[0] == ids[2] == ids[3] != ids[1]
        assert [recorded.known for recorded in receipt.recorded] == [False, False, True, True]
        assert [recorded.contribution.severity for recorded in receipt.recorded] == [1, None, 1, 1]
        assert len(contributions.page(db, actor, Filter(), 0, 10)) == 2

    def test_another_members_set_is_not_known(self, db: HashDB, actor: Actor, other: Actor) -> None:
        contributed(db, actor, draft(1))
        assert not contributions.contribute(db, other, [draft(1)]).recorded[0].known

    def test_a_set_that_ended_is_stored_anew(self, db: HashDB, actor: Actor, clock: Clock) -> None:
        one, two = contributed(db, actor, draft(1), draft(2, expires_at=NOON + timedelta(hours=1)))
        contributions.withdraw(db, actor, one.id, "other")
        clock.go(hours=1)
        receipt = contributions.contribute(db, actor, [draft(1), draft(2)])
        assert [recorded.known for recorded in receipt.recorded] == [False, False]
        assert {recorded.contribution.id for recorded in receipt.recorded}.isdisjoint({one.id, two.id})
        assert [match.contribution for match in found(db, actor, 1)] == [receipt.recorded[0].contribution.id]

    def test_the_same_set_contributed_at_once_is_recorded_once(self, db: HashDB, actor: Actor) -> None:
        for seed in range(3):
            calls = [lambda seed=seed: contributions.contribute(db, actor, [draft(seed)])] * 4
            recorded = [receipt.recorded[0] for receipt in run_concurrently(calls)]
            assert sorted(one.known for one in recorded) == [False, True, True, True]
            assert len({one.contribution.id for one in recorded}) == 1

    def test_a_day_has_a_limit_of_new_ones(self, db: HashDB, clock: Clock) -> None:
        actor = member_with(db, a_day=3)
        contributed(db, actor, draft(1), draft(2))
        with pytest.raises(LimitReached) as caught:
            contributions.contribute(db, actor, [draft(3), draft(4)])
        assert caught.value.retry_after == 12 * 3600 + 1
        assert str(caught.value) == "the limit of 3 contributions a day is reached"
        contributed(db, actor, draft(1), draft(3), draft(3))
        with pytest.raises(LimitReached):
            contributions.contribute(db, actor, [draft(5)])
        clock.go(hours=12)
        contributed(db, actor, draft(5), draft(6), draft(7))
        assert len(contributions.page(db, actor, Filter(), 0, 10)) == 6

    def test_a_limit_that_is_changed_holds_from_the_next_request_on(self, db: HashDB) -> None:
        actor = member_with(db, a_day=1)
        contributed(db, actor, draft(1))
        assert actor.member is not None
        limits = replace(actor.member.limits, contributions_per_day=2)
        members.change(db, COMMAND_LINE, actor.member.id, MemberChange(limits=limits))
        contributed(db, actor, draft(2))
        with pytest.raises(LimitReached):
            contributions.contribute(db, actor, [draft(3)])


class TestOnce:
    """The same request, sent again, is recorded once."""

    def test_the_same_request_gets_the_same_answer(self, db: HashDB, actor: Actor, clock: Clock) -> None:
        known = contributed(db, actor, draft(1))
        first = contributions.contribute(db, actor, [draft(1), draft(2)], REQUEST)
        logged = events(db)
        clock.go(hours=23, minutes=59)
        assert contributions.contribute(db, actor, [draft(1), draft(2)], REQUEST) == first
        assert [recorded.known for recorded in first.recorded] == [True, False]
        assert first.recorded[0].contribution == known[0]
        assert events(db) == logged

    def test_the_same_key_with_another_body_is_refused(self, db: HashDB, actor: Actor) -> None:
        contributions.contribute(db, actor, [draft(1)], REQUEST)
        with pytest.raises(IdempotencyKeyReused):
            contributions.contribute(db, actor, [draft(2)], replace(REQUEST, digest=b"2" * 32))
        assert len(contributions.page(db, actor, Filter(), 0, 10)) == 1

    def test_a_key_is_a_members_own(self, db: HashDB, actor: Actor, other: Actor) -> None:
        one = contributions.contribute(db, actor, [draft(1)], REQUEST)
        two = contributions.contribute(db, other, [draft(1)], REQUEST)
        assert one.recorded[0].contribution.id != two.recorded[0].contribution.id

    def test_a_refused_request_is_not_remembered(self, db: HashDB) -> None:
        actor = member_with(db, a_day=1)
        with pytest.raises(LimitReached):
            contributions.contribute(db, actor, [draft(1), draft(2)], REQUEST)
        assert not contributions.contribute(db, actor, [draft(1)], replace(REQUEST, digest=b"2" * 32)).recorded[0].known

    def test_requests_at_once_are_stored_once(self, db: HashDB, actor: Actor) -> None:
        for number in range(3):
            once = IdempotencyKey(f"request-{number}", bytes([number]) * 32)
            calls = [lambda n=number, o=once: contributions.contribute(db, actor, [draft(n)], o)] * 4
            receipts = run_concurrently(calls)
            assert [receipt == receipts[0] for receipt in receipts] == [True] * 4
            assert not receipts[0].recorded[0].known
        assert len(contributions.page(db, actor, Filter(), 0, 10)) == 3

    def test_after_a_day_it_is_a_new_request(self, db: HashDB, actor: Actor, clock: Clock) -> None:
        first = contributions.contribute(db, actor, [draft(1)], REQUEST)
        contributions.withdraw(db, actor, first.recorded[0].contribution.id, "other")
        clock.go(hours=24)
        second = contributions.contribute(db, actor, [draft(1)], REQUEST)
        assert not second.recorded[0].known
        assert second.recorded[0].contribution.id != first.recorded[0].contribution.id
        clock.go(hours=1)
        assert contributions.contribute(db, actor, [draft(1)], REQUEST) == second

    def test_a_later_withdrawal_is_not_undone(self, db: HashDB, actor: Actor) -> None:
        (id,) = (one.contribution.id for one in contributions.contribute(db, actor, [draft(1)], REQUEST).recorded)
        contributions.withdraw(db, actor, id, "other")
        (answered,) = contributions.contribute(db, actor, [draft(1)], REQUEST).recorded
        assert (answered.contribution.id, answered.contribution.status) == (id, Status.WITHDRAWN)
        assert found(db, actor, 1) == ()


class TestRights:
    """Who may see and do what."""

    VERBS: tuple[tuple[Scope, Callable[[HashDB, Actor, int], object]], ...] = (
        (Scope.CONTRIBUTE, lambda db, actor, id: contributions.contribute(db, actor, [draft(9)])),
        (Scope.CONTRIBUTE, lambda db, actor, id: contributions.amend(db, actor, id, Amendment(severity=1))),
        (Scope.CONTRIBUTE, lambda db, actor, id: contributions.withdraw(db, actor, id, "other")),
        (Scope.CONTRIBUTE, lambda db, actor, id: contributions.erase(db, actor, id)),
    )

    @pytest.mark.parametrize(("scope", "verb"), VERBS, ids=["contribute", "amend", "withdraw", "erase"])
    def test_a_verb_needs_its_scope(
        self, db: HashDB, actor: Actor, scope: Scope, verb: Callable[[HashDB, Actor, int], object]
    ) -> None:
        (one,) = contributed(db, actor, draft(1))
        before = events(db)
        without = replace(actor, scopes=frozenset(Scope) - {scope, Scope.ADMIN})
        with pytest.raises(ScopeMissing):
            verb(db, without, one.id)
        assert actor.member is not None
        suspended = replace(actor, member=replace(actor.member, status=MemberStatus.SUSPENDED))
        with pytest.raises(MemberSuspended):
            verb(db, suspended, one.id)
        assert events(db) == before

    @pytest.mark.parametrize(("scope", "verb"), VERBS[1:], ids=["amend", "withdraw", "erase"])
    def test_another_members_contribution_is_not_yours(
        self, db: HashDB, actor: Actor, other: Actor, scope: Scope, verb: Callable[[HashDB, Actor, int], object]
    ) -> None:
        (one,) = contributed(db, actor, draft(1))
        before = events(db)
        with pytest.raises(NotYours, match=rf"^contribution {one.id} belongs to another member$"):
            verb(db, other, one.id)
        with pytest.raises(NotFound, match=r"^contribution 99 does not exist$"):
            verb(db, other, 99)
        assert events(db) == before

    def test_the_system_is_no_member_and_cannot_contribute(self, db: HashDB) -> None:
        with pytest.raises(ScopeMissing):
            contributions.contribute(db, SYSTEM, [draft(1)])

    @pytest.mark.parametrize(
        ("scopes", "visible", "signals", "reference"),
        [
            ({Scope.CONTRIBUTE}, False, False, False),
            ({Scope.REVIEW}, False, False, False),
            ({Scope.MATCH}, False, False, False),
            ({Scope.FEED}, True, True, False),
            ({Scope.AUDIT}, True, True, True),
            ({Scope.ADMIN}, True, True, True),
        ],
    )
    def test_another_member_sees_what_its_scopes_show(
        self, db: HashDB, actor: Actor, scopes: set[Scope], visible: bool, signals: bool, reference: bool
    ) -> None:
        (one,) = contributed(db, actor, draft(1, reference="ours"))
        reader = member_with(db, *scopes)
        if not visible:
            with pytest.raises(NotFound):
                contributions.get(db, reader, one.id)
            return
        shown = contributions.get(db, reader, one.id)
        assert shown == one.shown(signals=signals, reference=reference)
        assert bool(shown.signals) is signals
        assert (shown.reference == "ours") is reference

    def test_what_is_not_active_is_shown_to_its_member_and_auditors_only(
        self, db: HashDB, actor: Actor, other: Actor
    ) -> None:
        (one,) = contributed(db, actor, draft(1))
        contributions.withdraw(db, actor, one.id, "other")
        for reader in (actor, member_with(db, Scope.AUDIT), COMMAND_LINE):
            assert contributions.get(db, reader, one.id).status is Status.WITHDRAWN
        with pytest.raises(NotFound, match=rf"^contribution {one.id} does not exist$"):
            contributions.get(db, other, one.id)

    def test_a_suspended_member_sees_nothing(self, db: HashDB, actor: Actor) -> None:
        (one,) = contributed(db, actor, draft(1))
        suspend(db, actor)
        with pytest.raises(MemberSuspended):
            contributions.get(db, again(db, actor), one.id)
        with pytest.raises(MemberSuspended):
            contributions.page(db, again(db, actor), Filter(), 0, 10)

    def test_a_member_lists_its_own_and_an_auditor_all(self, db: HashDB, actor: Actor, other: Actor) -> None:
        ours, theirs = contributed(db, actor, draft(1)), contributed(db, other, draft(2))
        auditor = member_with(db, Scope.AUDIT)
        assert actor.member is not None and other.member is not None
        assert contributions.page(db, actor, Filter(), 0, 10) == ours
        assert contributions.page(db, actor, Filter(member=actor.member.id), 0, 10) == ours
        for reader in (auditor, COMMAND_LINE):
            assert contributions.page(db, reader, Filter(), 0, 10) == ours + theirs
            assert contributions.page(db, reader, Filter(member=other.member.id), 0, 10) == theirs
        with pytest.raises(ScopeMissing, match="audit"):
            contributions.page(db, actor, Filter(member=other.member.id), 0, 10)


class TestAmend:
    """Changing what a member said of its own."""

    def test_the_event_names_the_fields_and_the_codes_that_reports_count_by(self, db: HashDB, actor: Actor) -> None:
        (one,) = contributed(db, actor, draft(1, severity=1))
        asked = Amendment(labels=("manifesto",), severity=None, basis=None)
        amended = contributions.amend(db, actor, one.id, asked)
        assert amended == contributions.get(db, actor, one.id) == replace(one, labels=("manifesto",), severity=None)
        last = events(db)[-1]
        told = {"fields": ["labels", "severity"], "labels": ["manifesto"], "severity": None}
        assert (last.action, last.details) == ("contribution.amended", told)

    def test_what_changes_nothing_is_no_event(self, db: HashDB, actor: Actor) -> None:
        (one,) = contributed(db, actor, draft(1, severity=1))
        before = events(db)
        for asked in (Amendment(), Amendment(severity=1, labels=one.labels, context=())):
            assert contributions.amend(db, actor, one.id, asked) == one
        assert events(db) == before

    def test_every_fault_is_told(self, db: HashDB, actor: Actor) -> None:
        (one,) = contributed(db, actor, draft(1))
        with pytest.raises(InvalidInput) as caught:
            contributions.amend(db, actor, one.id, Amendment(labels=("nice",), incident="none", severity=UNSET))
        assert [fault.at for fault in caught.value.faults] == ["labels[0]", "incident"]

    def test_only_an_active_one_is_amended(self, db: HashDB, actor: Actor, clock: Clock) -> None:
        one, two = contributed(db, actor, draft(1), draft(2, expires_at=NOON + timedelta(hours=1)))
        contributions.withdraw(db, actor, one.id, "other")
        clock.go(hours=1)
        for id, status in ((one.id, "withdrawn"), (two.id, "expired")):
            with pytest.raises(
                NotActive, match=rf"^contribution {id} is {status}: it cannot be changed, confirmed or disputed$"
            ):
                contributions.amend(db, actor, id, Amendment(severity=1, expires_at=None))

    def test_a_new_end_holds_at_once(self, db: HashDB, actor: Actor, clock: Clock) -> None:
        (one,) = contributed(db, actor, draft(1))
        contributions.amend(db, actor, one.id, Amendment(expires_at=NOON + timedelta(minutes=1)))
        clock.go(minutes=1)
        assert found(db, actor, 1) == ()


class TestWithdraw:
    """Taking a contribution back."""

    def test_the_next_match_no_longer_has_it(self, db: HashDB, actor: Actor, other: Actor, database_url: str) -> None:
        one, two = contributed(db, actor, draft(1), draft(2))
        elsewhere = hashdb(database_url, Clock())
        assert len(found(db, other, 1)) == len(found(elsewhere, other, 1)) == 1
        withdrawn = contributions.withdraw(db, actor, one.id, "removal_reversed")
        assert (withdrawn.status, withdrawn.withdrawn_at, withdrawn.withdrawal_reason) == (
            Status.WITHDRAWN,
            NOON,
            "removal_reversed",
        )
        assert found(db, other, 1) == found(elsewhere, other, 1) == ()
        assert [match.contribution for match in found(db, other, 2)] == [two.id]
        last = events(db)[-1]
        assert (last.action, last.subject, last.details) == (
            "contribution.withdrawn",
            f"contribution:{one.id}",
            {"reason": "removal_reversed", "before": "active"},
        )
        elsewhere.close()

    def test_once_only(self, db: HashDB, actor: Actor) -> None:
        (one,) = contributed(db, actor, draft(1))
        contributions.withdraw(db, actor, one.id, "other")
        before = events(db)
        with pytest.raises(AlreadyWithdrawn, match=rf"^contribution {one.id} is already withdrawn$"):
            contributions.withdraw(db, actor, one.id, "other")
        assert events(db) == before

    def test_withdrawn_at_once_by_two_it_is_withdrawn_once(self, db: HashDB, actor: Actor) -> None:
        (one,) = contributed(db, actor, draft(1))

        def withdraw() -> Contribution | HashDBError:
            try:
                return contributions.withdraw(db, actor, one.id, "other")
            except AlreadyWithdrawn as told:
                return told

        answers = run_concurrently([withdraw] * 4)
        assert sum(isinstance(answer, Contribution) for answer in answers) == 1
        assert [event.action for event in events(db)].count("contribution.withdrawn") == 1

    def test_a_reason_is_of_the_vocabulary(self, db: HashDB, actor: Actor) -> None:
        (one,) = contributed(db, actor, draft(1))
        with pytest.raises(InvalidInput, match=r"^reason: 'mood' is not a reason of this service: "):
            contributions.withdraw(db, actor, one.id, "mood")


class TestErase:
    """Removing what a contribution holds for good."""

    def test_it_is_withdrawn_and_empty_and_its_events_stay(self, db: HashDB, actor: Actor) -> None:
        (one,) = contributed(db, actor, draft(1, reference="ours"))
        before = events(db)
        contributions.erase(db, actor, one.id)
        erased = contributions.get(db, actor, one.id)
        assert (erased.signals, erased.reference, erased.erased) == ((), None, True)
        assert erased.status is Status.WITHDRAWN
        assert found(db, actor, 1) == ()
        after = events(db)
        assert after[: len(before)] == before
        assert [event.action for event in after[len(before) :]] == ["contribution.withdrawn", "contribution.erased"]

    def test_again_it_changes_nothing(self, db: HashDB, actor: Actor) -> None:
        (one,) = contributed(db, actor, draft(1))
        contributions.withdraw(db, actor, one.id, "removal_reversed")
        contributions.erase(db, actor, one.id)
        before = events(db)
        assert before[-1].action == Action.CONTRIBUTION_ERASED
        contributions.erase(db, actor, one.id)
        assert events(db) == before
        assert contributions.get(db, actor, one.id).withdrawal_reason == "removal_reversed"

    def test_signals_are_kept_unseen_for_90_days_after_the_withdrawal(
        self, db: HashDB, actor: Actor, clock: Clock
    ) -> None:
        one, old = contributed(db, actor, draft(1), draft(2))
        contributions.withdraw(db, actor, old.id, "other")
        clock.go(days=30)
        contributions.erase(db, actor, one.id)
        contributions.erase(db, actor, old.id)
        told = [event.details["signals_kept_until"] for event in events(db) if event.action == "contribution.erased"]
        assert told == ["2027-03-20T12:00:00.000000Z", "2027-02-18T12:00:00.000000Z"]
        assert kept(db, one.id, old.id) == {one.id, old.id}
        clock.go(days=60)
        assert (contributions.purge(db), contributions.purge(db)) == (1, 0)
        assert kept(db, one.id, old.id) == {one.id}
        last = events(db)[-1]
        assert (last.actor, last.action, last.id, last.details) == (str(SYSTEM), "contribution.erased", old.id, {})
        contributions.erase(db, actor, one.id, at_once=True)
        assert kept(db, one.id) == set()
        before = events(db)
        contributions.erase(db, actor, one.id, at_once=True)
        assert events(db) == before

    def test_at_once_they_are_not_kept(self, db: HashDB, actor: Actor, clock: Clock) -> None:
        one, old = contributed(db, actor, draft(1), draft(2))
        contributions.withdraw(db, actor, old.id, "other")
        contributions.erase(db, actor, one.id, at_once=True)
        clock.go(days=91)
        contributions.erase(db, actor, old.id)
        assert kept(db, one.id, old.id) == set()
        erased = [event for event in events(db) if event.action == "contribution.erased"]
        assert [(event.id, event.details) for event in erased] == [(one.id, {}), (old.id, {})]

    def test_an_admin_erases_any(self, db: HashDB, actor: Actor) -> None:
        ids = [one.id for one in contributed(db, actor, draft(1), draft(2))]
        contributions.erase(db, COMMAND_LINE, ids[0])
        contributions.erase(db, member_with(db, Scope.ADMIN, kind=MemberKind.OPERATOR), ids[1])
        assert [one.erased for one in contributions.page(db, actor, Filter(), 0, 10)] == [True, True]

    def test_another_process_that_had_it_indexed_answers_nothing(
        self, db: HashDB, actor: Actor, database_url: str
    ) -> None:
        (one,) = contributed(db, actor, draft(1))
        elsewhere = hashdb(database_url, Clock())
        assert len(found(elsewhere, actor, 1)) == 1
        contributions.erase(db, actor, one.id)
        assert found(elsewhere, actor, 1) == ()
        elsewhere.close()


class TestTime:
    """What ends by itself, or with its member, and what the log is told of it."""

    def test_an_expiry_acts_at_its_instant_and_is_announced_once(self, db: HashDB, actor: Actor, clock: Clock) -> None:
        (one,) = contributed(db, actor, draft(1, expires_at=NOON + timedelta(seconds=1)))
        clock.go(seconds=1, microseconds=-1)
        assert len(found(db, actor, 1)) == 1
        assert contributions.emit_pending(db) == 0
        clock.go(microseconds=1)
        assert found(db, actor, 1) == ()
        assert contributions.get(db, actor, one.id).status is Status.EXPIRED
        before = events(db)
        assert contributions.emit_pending(db) == 1
        assert contributions.emit_pending(db) == 0
        (told,) = events(db)[len(before) :]
        assert (told.action, told.subject, told.actor) == (
            "contribution.expired",
            f"contribution:{one.id}",
            "system:hashdb",
        )

    def test_what_expired_can_still_be_withdrawn_and_erased(self, db: HashDB, actor: Actor, clock: Clock) -> None:
        (one,) = contributed(db, actor, draft(1, expires_at=NOON + timedelta(seconds=1)))
        clock.go(seconds=1)
        contributions.emit_pending(db)
        assert contributions.withdraw(db, actor, one.id, "other").status is Status.WITHDRAWN
        contributions.erase(db, actor, one.id)
        assert contributions.emit_pending(db) == 0

    def test_a_suspension_acts_at_once_and_its_events_follow_in_batches(
        self, db: HashDB, actor: Actor, other: Actor
    ) -> None:
        ids = [one.id for one in contributed(db, actor, *[draft(seed) for seed in range(25)])]
        contributed(db, other, draft(100))
        suspend(db, actor)
        assert found(db, other, 1) == ()
        assert {one.status for one in contributions.page(db, COMMAND_LINE, Filter(), 0, 25)} == {Status.SUSPENDED}
        before = events(db)
        assert before[-1].action == "member.suspended"
        assert [contributions.emit_pending(db, 10) for _ in range(4)] == [10, 10, 5, 0]
        told = events(db)[len(before) :]
        assert [event.id for event in told] == ids
        assert {event.action for event in told} == {"contribution.suspended"}

    def test_announcing_goes_on_where_it_was_interrupted(self, db: HashDB, actor: Actor, database_url: str) -> None:
        ids = [one.id for one in contributed(db, actor, *[draft(seed) for seed in range(25)])]
        suspend(db, actor)
        assert contributions.emit_pending(db, 10) == 10
        elsewhere = hashdb(database_url, Clock())
        assert announce_all(elsewhere, 4) == 15
        told = [event.id for event in events(db) if event.action == "contribution.suspended"]
        assert told == ids
        elsewhere.close()

    def test_a_reinstated_member_matches_again_at_once(self, db: HashDB, actor: Actor, other: Actor) -> None:
        (one,) = contributed(db, actor, draft(1))
        suspend(db, actor)
        announce_all(db)
        suspend(db, actor, MemberStatus.ACTIVE)
        assert [match.contribution for match in found(db, other, 1)] == [one.id]
        assert announce_all(db) == 1
        assert [event.action for event in events(db)][-3:] == [
            "contribution.suspended",
            "member.reinstated",
            "contribution.reinstated",
        ]
        assert contributions.contribute(db, again(db, actor), [draft(1)]).recorded[0].known

    def test_announced_at_once_by_several_each_is_told_once(self, db: HashDB, actor: Actor) -> None:
        ids = [one.id for one in contributed(db, actor, *[draft(seed) for seed in range(30)])]
        suspend(db, actor)
        run_concurrently([lambda: announce_all(db, 4)] * 4)
        announce_all(db)
        told = [event.id for event in events(db) if event.action == "contribution.suspended"]
        assert sorted(told) == ids


def test_a_draft_that_an_import_left_incomplete_is_recorded(db: HashDB, actor: Actor) -> None:
    bare = Draft((signal(1),), ("manifesto",), None)
    assert contributed(db, actor, bare)[0].removed_at is None
