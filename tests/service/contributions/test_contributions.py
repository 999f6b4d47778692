"""Contributions: what members and auditors can do with them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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
from tests.builders import NOON, Clock, contributed, draft, hashdb, member_with, query, signal, with_new_key
from tests.postgres import on_postgres
from tests.service.concurrently import run_concurrently

REQUEST = IdempotencyKey("request-1", b"1" * 32)


def events(db: HashDB, after: int = 0) -> tuple[Event, ...]:
    with db.store.read() as tx:
        return tx.audit.since(after, 10_000)


def matches_of(db: HashDB, actor: Actor, seed: int) -> tuple[Match, ...]:
    return matches.match(db, actor, [query(seed)]).results[0].matches


def suspend(db: HashDB, actor: Actor, status: MemberStatus = MemberStatus.SUSPENDED) -> None:
    assert actor.member is not None
    members.change(db, COMMAND_LINE, actor.member.id, MemberChange(status=status))


def ids_with_signals(db: HashDB, *ids: int) -> set[int]:
    """The ids, of these, of the contributions whose signals are in the database."""
    with db.store.read() as tx:
        return set(tx.contributions.signals(ids))


def emit_all_pending(db: HashDB, limit: int = 500) -> int:
    total = 0
    while count := contributions.emit_pending(db, limit):
        total += count
    return total


class TestContribute:
    """Contribute: a request is stored completely or not at all."""

    def test_a_contribution_is_returned_and_logged(self, db: HashDB, actor: Actor) -> None:
        before = events(db)[-1].seq
        sent = [draft(1, signal(1, Algorithm.PHASH), basis="terms", severity=2, notified_at=NOON - timedelta(hours=3))]
        receipt = contributions.contribute(db, actor, [*sent, draft(2, removed_at=None)])
        assert [recorded.known for recorded in receipt.recorded] == [False, False]
        assert receipt.checkpoint == before + 2
        contribution = receipt.recorded[0].contribution
        assert (contribution.signals, contribution.status, contribution.received_at) == (
            sent[0].signals,
            Status.ACTIVE,
            NOON,
        )
        assert contributions.get(db, actor, contribution.id) == contribution
        first, second = events(db, before)
        assert (first.action, first.subject, first.actor) == (
            "contribution.added",
            f"contribution:{contribution.id}",
            str(actor),
        )
        assert actor.member is not None and contribution.commitment is not None
        assert first.details == {
            "algorithms": ["pdq", "phash"],
            "basis": "terms",
            "commitment": contribution.commitment.hex(),
            "kind": "platform",
            "labels": ["glorification"],
            "media": "image",
            "member": actor.member.id,
            "seconds_to_remove": 7200,
            "seconds_to_share": 3600,
            "severity": 2,
        }
        assert (second.details["seconds_to_remove"], second.details["seconds_to_share"]) == (None, None)

    def test_no_event_contains_a_hash_or_free_text(self, db: HashDB, actor: Actor) -> None:
        (contribution,) = contributed(db, actor, draft(1, reference="their-own-words", entity="UN:someone"))
        contributions.withdraw(db, actor, contribution.id, "other")
        contributions.erase(db, actor, contribution.id)
        logged = repr(events(db))
        for secret in (f"{signal(1).value:064x}"[:16], str(signal(1).value)[:16], "their-own-words", "someone"):
            assert secret not in logged

    def test_one_fault_rejects_the_request_and_all_faults_are_reported(self, db: HashDB, actor: Actor) -> None:
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

    def test_a_known_contribution_is_returned_unchanged(self, db: HashDB, actor: Actor, clock: Clock) -> None:
        (contribution,) = contributed(db, actor, draft(1, 2))
        logged = events(db)
        clock.advance(hours=1)
        receipt = contributions.contribute(db, actor, [draft(2, 1, labels=("manifesto",), severity=4)])
        assert [(recorded.contribution, recorded.known) for recorded in receipt.recorded] == [(contribution, True)]
        assert receipt.checkpoint == logged[-1].seq
        assert events(db) == logged

    def test_equal_drafts_in_one_request_are_stored_once(self, db: HashDB, actor: Actor) -> None:
        receipt = contributions.contribute(db, actor, [draft(1, severity=1), draft(2), draft(1, severity=2), draft(1)])
        ids = [recorded.contribution.id for recorded in receipt.recorded]
        assert ids[0] == ids[2] == ids[3] != ids[1]
        assert [recorded.known for recorded in receipt.recorded] == [False, False, True, True]
        assert [recorded.contribution.severity for recorded in receipt.recorded] == [1, None, 1, 1]
        assert len(contributions.page(db, actor, Filter(), 0, 10)) == 2

    def test_the_same_signals_of_another_member_are_not_known(self, db: HashDB, actor: Actor, other: Actor) -> None:
        contributed(db, actor, draft(1))
        assert not contributions.contribute(db, other, [draft(1)]).recorded[0].known

    def test_the_signals_of_an_ended_contribution_are_stored_again(
        self, db: HashDB, actor: Actor, clock: Clock
    ) -> None:
        first, second = contributed(db, actor, draft(1), draft(2, expires_at=NOON + timedelta(hours=1)))
        contributions.withdraw(db, actor, first.id, "other")
        clock.advance(hours=1)
        receipt = contributions.contribute(db, actor, [draft(1), draft(2)])
        assert [recorded.known for recorded in receipt.recorded] == [False, False]
        assert {recorded.contribution.id for recorded in receipt.recorded}.isdisjoint({first.id, second.id})
        assert [match.contribution for match in matches_of(db, actor, 1)] == [receipt.recorded[0].contribution.id]

    def test_concurrent_equal_contributions_are_stored_once(self, db: HashDB, actor: Actor) -> None:
        for seed in range(3):
            calls = [lambda seed=seed: contributions.contribute(db, actor, [draft(seed)])] * 4
            recorded = [receipt.recorded[0] for receipt in run_concurrently(calls)]
            assert sorted(item.known for item in recorded) == [False, True, True, True]
            assert len({item.contribution.id for item in recorded}) == 1

    def test_new_contributions_are_limited_for_each_day(self, db: HashDB, clock: Clock) -> None:
        actor = member_with(db, a_day=3)
        contributed(db, actor, draft(1), draft(2))
        with pytest.raises(LimitReached) as caught:
            contributions.contribute(db, actor, [draft(3), draft(4)])
        assert caught.value.retry_after == 12 * 3600 + 1
        assert str(caught.value) == "the limit of 3 contributions a day is reached"
        contributed(db, actor, draft(1), draft(3), draft(3))
        with pytest.raises(LimitReached):
            contributions.contribute(db, actor, [draft(5)])
        clock.advance(hours=12)
        contributed(db, actor, draft(5), draft(6), draft(7))
        assert len(contributions.page(db, actor, Filter(), 0, 10)) == 6

    def test_a_changed_limit_applies_to_the_next_request(self, db: HashDB) -> None:
        actor = member_with(db, a_day=1)
        contributed(db, actor, draft(1))
        assert actor.member is not None
        limits = replace(actor.member.limits, contributions_per_day=2)
        members.change(db, COMMAND_LINE, actor.member.id, MemberChange(limits=limits))
        contributed(db, actor, draft(2))
        with pytest.raises(LimitReached):
            contributions.contribute(db, actor, [draft(3)])


class TestIdempotencyKeys:
    """A request that is sent again with its idempotency key is stored once."""

    def test_the_same_request_gets_the_same_answer(self, db: HashDB, actor: Actor, clock: Clock) -> None:
        known = contributed(db, actor, draft(1))
        first = contributions.contribute(db, actor, [draft(1), draft(2)], REQUEST)
        logged = events(db)
        clock.advance(hours=23, minutes=59)
        assert contributions.contribute(db, actor, [draft(1), draft(2)], REQUEST) == first
        assert [recorded.known for recorded in first.recorded] == [True, False]
        assert first.recorded[0].contribution == known[0]
        assert events(db) == logged

    def test_the_same_key_with_another_body_is_rejected(self, db: HashDB, actor: Actor) -> None:
        contributions.contribute(db, actor, [draft(1)], REQUEST)
        with pytest.raises(IdempotencyKeyReused):
            contributions.contribute(db, actor, [draft(2)], replace(REQUEST, digest=b"2" * 32))
        assert len(contributions.page(db, actor, Filter(), 0, 10)) == 1

    def test_two_members_can_use_the_same_key(self, db: HashDB, actor: Actor, other: Actor) -> None:
        first = contributions.contribute(db, actor, [draft(1)], REQUEST)
        second = contributions.contribute(db, other, [draft(1)], REQUEST)
        assert first.recorded[0].contribution.id != second.recorded[0].contribution.id

    def test_a_rejected_request_does_not_use_up_its_key(self, db: HashDB) -> None:
        actor = member_with(db, a_day=1)
        with pytest.raises(LimitReached):
            contributions.contribute(db, actor, [draft(1), draft(2)], REQUEST)
        assert not contributions.contribute(db, actor, [draft(1)], replace(REQUEST, digest=b"2" * 32)).recorded[0].known

    def test_concurrent_equal_requests_are_stored_once(self, db: HashDB, actor: Actor) -> None:
        for number in range(3):
            once = IdempotencyKey(f"request-{number}", bytes([number]) * 32)
            calls = [lambda n=number, o=once: contributions.contribute(db, actor, [draft(n)], o)] * 4
            receipts = run_concurrently(calls)
            assert [receipt == receipts[0] for receipt in receipts] == [True] * 4
            assert not receipts[0].recorded[0].known
        assert len(contributions.page(db, actor, Filter(), 0, 10)) == 3

    def test_a_key_can_be_used_for_a_new_request_after_a_day(self, db: HashDB, actor: Actor, clock: Clock) -> None:
        first = contributions.contribute(db, actor, [draft(1)], REQUEST)
        contributions.withdraw(db, actor, first.recorded[0].contribution.id, "other")
        clock.advance(hours=24)
        second = contributions.contribute(db, actor, [draft(1)], REQUEST)
        assert not second.recorded[0].known
        assert second.recorded[0].contribution.id != first.recorded[0].contribution.id
        clock.advance(hours=1)
        assert contributions.contribute(db, actor, [draft(1)], REQUEST) == second

    def test_a_repeated_request_does_not_undo_a_withdrawal(self, db: HashDB, actor: Actor) -> None:
        (recorded,) = contributions.contribute(db, actor, [draft(1)], REQUEST).recorded
        id = recorded.contribution.id
        contributions.withdraw(db, actor, id, "other")
        (answered,) = contributions.contribute(db, actor, [draft(1)], REQUEST).recorded
        assert (answered.contribution.id, answered.contribution.status) == (id, Status.WITHDRAWN)
        assert matches_of(db, actor, 1) == ()


class TestPermissions:
    """The scopes that each action needs, and what each scope shows."""

    VERBS: tuple[tuple[Scope, Callable[[HashDB, Actor, int], object]], ...] = (
        (Scope.CONTRIBUTE, lambda db, actor, id: contributions.contribute(db, actor, [draft(9)])),
        (Scope.CONTRIBUTE, lambda db, actor, id: contributions.amend(db, actor, id, Amendment(severity=1))),
        (Scope.CONTRIBUTE, lambda db, actor, id: contributions.withdraw(db, actor, id, "other")),
        (Scope.CONTRIBUTE, lambda db, actor, id: contributions.erase(db, actor, id)),
    )

    @pytest.mark.parametrize(("scope", "verb"), VERBS, ids=["contribute", "amend", "withdraw", "erase"])
    def test_each_action_needs_its_scope_and_an_active_member(
        self, db: HashDB, actor: Actor, scope: Scope, verb: Callable[[HashDB, Actor, int], object]
    ) -> None:
        (contribution,) = contributed(db, actor, draft(1))
        before = events(db)
        without = replace(actor, scopes=frozenset(Scope) - {scope, Scope.ADMIN})
        with pytest.raises(ScopeMissing):
            verb(db, without, contribution.id)
        assert actor.member is not None
        suspended = replace(actor, member=replace(actor.member, status=MemberStatus.SUSPENDED))
        with pytest.raises(MemberSuspended):
            verb(db, suspended, contribution.id)
        assert events(db) == before

    @pytest.mark.parametrize(("scope", "verb"), VERBS[1:], ids=["amend", "withdraw", "erase"])
    def test_a_member_cannot_change_the_contribution_of_another_member(
        self, db: HashDB, actor: Actor, other: Actor, scope: Scope, verb: Callable[[HashDB, Actor, int], object]
    ) -> None:
        (contribution,) = contributed(db, actor, draft(1))
        before = events(db)
        with pytest.raises(NotYours, match=rf"^contribution {contribution.id} belongs to another member$"):
            verb(db, other, contribution.id)
        with pytest.raises(NotFound, match=r"^contribution 99 does not exist$"):
            verb(db, other, 99)
        assert events(db) == before

    def test_the_service_itself_cannot_contribute(self, db: HashDB) -> None:
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
    def test_another_member_sees_only_what_its_scopes_allow(
        self, db: HashDB, actor: Actor, scopes: set[Scope], visible: bool, signals: bool, reference: bool
    ) -> None:
        (contribution,) = contributed(db, actor, draft(1, reference="ours"))
        reader = member_with(db, *scopes)
        if not visible:
            with pytest.raises(NotFound):
                contributions.get(db, reader, contribution.id)
            return
        shown = contributions.get(db, reader, contribution.id)
        assert shown == contribution.shown(signals=signals, reference=reference)
        assert bool(shown.signals) is signals
        assert (shown.reference == "ours") is reference

    def test_only_its_member_and_auditors_see_an_inactive_contribution(
        self, db: HashDB, actor: Actor, other: Actor
    ) -> None:
        (contribution,) = contributed(db, actor, draft(1))
        contributions.withdraw(db, actor, contribution.id, "other")
        for reader in (actor, member_with(db, Scope.AUDIT), COMMAND_LINE):
            assert contributions.get(db, reader, contribution.id).status is Status.WITHDRAWN
        with pytest.raises(NotFound, match=rf"^contribution {contribution.id} does not exist$"):
            contributions.get(db, other, contribution.id)

    def test_a_suspended_member_cannot_read_its_contributions(self, db: HashDB, actor: Actor) -> None:
        (contribution,) = contributed(db, actor, draft(1))
        suspend(db, actor)
        with pytest.raises(MemberSuspended):
            contributions.get(db, with_new_key(db, actor), contribution.id)
        with pytest.raises(MemberSuspended):
            contributions.page(db, with_new_key(db, actor), Filter(), 0, 10)

    def test_a_member_lists_its_own_contributions_and_an_auditor_lists_all(
        self, db: HashDB, actor: Actor, other: Actor
    ) -> None:
        own, others = contributed(db, actor, draft(1)), contributed(db, other, draft(2))
        auditor = member_with(db, Scope.AUDIT)
        assert actor.member is not None and other.member is not None
        assert contributions.page(db, actor, Filter(), 0, 10) == own
        assert contributions.page(db, actor, Filter(member=actor.member.id), 0, 10) == own
        for reader in (auditor, COMMAND_LINE):
            assert contributions.page(db, reader, Filter(), 0, 10) == own + others
            assert contributions.page(db, reader, Filter(member=other.member.id), 0, 10) == others
        with pytest.raises(ScopeMissing, match="audit"):
            contributions.page(db, actor, Filter(member=other.member.id), 0, 10)


class TestAmend:
    """Amend an own contribution."""

    def test_the_event_has_the_changed_fields_and_the_codes_for_reports(self, db: HashDB, actor: Actor) -> None:
        (contribution,) = contributed(db, actor, draft(1, severity=1))
        amendment = Amendment(labels=("manifesto",), severity=None, basis=None)
        amended = contributions.amend(db, actor, contribution.id, amendment)
        assert amended == contributions.get(db, actor, contribution.id)
        assert amended == replace(contribution, labels=("manifesto",), severity=None)
        last = events(db)[-1]
        details = {"fields": ["labels", "severity"], "labels": ["manifesto"], "severity": None}
        assert (last.action, last.details) == ("contribution.amended", details)

    def test_an_amendment_without_a_change_is_not_logged(self, db: HashDB, actor: Actor) -> None:
        (contribution,) = contributed(db, actor, draft(1, severity=1))
        before = events(db)
        for amendment in (Amendment(), Amendment(severity=1, labels=contribution.labels, context=())):
            assert contributions.amend(db, actor, contribution.id, amendment) == contribution
        assert events(db) == before

    def test_every_fault_of_an_amendment_is_reported(self, db: HashDB, actor: Actor) -> None:
        (contribution,) = contributed(db, actor, draft(1))
        with pytest.raises(InvalidInput) as caught:
            contributions.amend(
                db, actor, contribution.id, Amendment(labels=("nice",), incident="none", severity=UNSET)
            )
        assert [fault.at for fault in caught.value.faults] == ["labels[0]", "incident"]

    def test_only_an_active_contribution_can_be_amended(self, db: HashDB, actor: Actor, clock: Clock) -> None:
        first, second = contributed(db, actor, draft(1), draft(2, expires_at=NOON + timedelta(hours=1)))
        contributions.withdraw(db, actor, first.id, "other")
        clock.advance(hours=1)
        for id, status in ((first.id, "withdrawn"), (second.id, "expired")):
            with pytest.raises(
                NotActive, match=rf"^contribution {id} is {status}: it cannot be changed, confirmed or disputed$"
            ):
                contributions.amend(db, actor, id, Amendment(severity=1, expires_at=None))

    def test_a_new_expiry_time_applies_at_once(self, db: HashDB, actor: Actor, clock: Clock) -> None:
        (contribution,) = contributed(db, actor, draft(1))
        contributions.amend(db, actor, contribution.id, Amendment(expires_at=NOON + timedelta(minutes=1)))
        clock.advance(minutes=1)
        assert matches_of(db, actor, 1) == ()


class TestWithdraw:
    """Withdraw an own contribution."""

    def test_a_withdrawn_contribution_matches_in_no_process(
        self, db: HashDB, actor: Actor, other: Actor, database_url: str
    ) -> None:
        first, second = contributed(db, actor, draft(1), draft(2))
        other_process = hashdb(database_url, Clock())
        assert len(matches_of(db, other, 1)) == len(matches_of(other_process, other, 1)) == 1
        withdrawn = contributions.withdraw(db, actor, first.id, "removal_reversed")
        assert (withdrawn.status, withdrawn.withdrawn_at, withdrawn.withdrawal_reason) == (
            Status.WITHDRAWN,
            NOON,
            "removal_reversed",
        )
        assert matches_of(db, other, 1) == matches_of(other_process, other, 1) == ()
        assert [match.contribution for match in matches_of(db, other, 2)] == [second.id]
        last = events(db)[-1]
        assert (last.action, last.subject, last.details) == (
            "contribution.withdrawn",
            f"contribution:{first.id}",
            {"reason": "removal_reversed", "before": "active"},
        )
        other_process.close()

    def test_a_contribution_can_be_withdrawn_only_once(self, db: HashDB, actor: Actor) -> None:
        (contribution,) = contributed(db, actor, draft(1))
        contributions.withdraw(db, actor, contribution.id, "other")
        before = events(db)
        with pytest.raises(AlreadyWithdrawn, match=rf"^contribution {contribution.id} is already withdrawn$"):
            contributions.withdraw(db, actor, contribution.id, "other")
        assert events(db) == before

    def test_concurrent_withdrawals_withdraw_a_contribution_once(self, db: HashDB, actor: Actor) -> None:
        (contribution,) = contributed(db, actor, draft(1))

        def withdraw() -> Contribution | HashDBError:
            try:
                return contributions.withdraw(db, actor, contribution.id, "other")
            except AlreadyWithdrawn as error:
                return error

        answers = run_concurrently([withdraw] * 4)
        assert sum(isinstance(answer, Contribution) for answer in answers) == 1
        assert [event.action for event in events(db)].count("contribution.withdrawn") == 1

    def test_a_withdrawal_needs_a_reason_of_the_vocabulary(self, db: HashDB, actor: Actor) -> None:
        (contribution,) = contributed(db, actor, draft(1))
        with pytest.raises(InvalidInput, match=r"^reason: 'mood' is not a reason of this service: "):
            contributions.withdraw(db, actor, contribution.id, "mood")


class TestErase:
    """Erase the content of a contribution."""

    def test_an_erased_contribution_is_empty_and_keeps_its_events(self, db: HashDB, actor: Actor) -> None:
        (contribution,) = contributed(db, actor, draft(1, reference="ours"))
        before = events(db)
        contributions.erase(db, actor, contribution.id)
        erased = contributions.get(db, actor, contribution.id)
        assert (erased.signals, erased.reference, erased.erased) == ((), None, True)
        assert erased.status is Status.WITHDRAWN
        assert matches_of(db, actor, 1) == ()
        after = events(db)
        assert after[: len(before)] == before
        assert [event.action for event in after[len(before) :]] == ["contribution.withdrawn", "contribution.erased"]

    def test_a_second_erasure_changes_nothing(self, db: HashDB, actor: Actor) -> None:
        (contribution,) = contributed(db, actor, draft(1))
        contributions.withdraw(db, actor, contribution.id, "removal_reversed")
        contributions.erase(db, actor, contribution.id)
        before = events(db)
        assert before[-1].action == Action.CONTRIBUTION_ERASED
        contributions.erase(db, actor, contribution.id)
        assert events(db) == before
        assert contributions.get(db, actor, contribution.id).withdrawal_reason == "removal_reversed"

    def test_signals_are_kept_hidden_for_90_days_after_the_withdrawal(
        self, db: HashDB, actor: Actor, clock: Clock
    ) -> None:
        recent, earlier = contributed(db, actor, draft(1), draft(2))
        contributions.withdraw(db, actor, earlier.id, "other")
        clock.advance(days=30)
        contributions.erase(db, actor, recent.id)
        contributions.erase(db, actor, earlier.id)
        kept_until = [
            event.details["signals_kept_until"] for event in events(db) if event.action == "contribution.erased"
        ]
        assert kept_until == ["2027-03-20T12:00:00.000000Z", "2027-02-18T12:00:00.000000Z"]
        assert ids_with_signals(db, recent.id, earlier.id) == {recent.id, earlier.id}
        clock.advance(days=60)
        assert (contributions.purge(db), contributions.purge(db)) == (1, 0)
        assert ids_with_signals(db, recent.id, earlier.id) == {recent.id}
        last = events(db)[-1]
        assert (last.actor, last.action, last.id, last.details) == (str(SYSTEM), "contribution.erased", earlier.id, {})
        contributions.erase(db, actor, recent.id, at_once=True)
        assert ids_with_signals(db, recent.id) == set()
        before = events(db)
        contributions.erase(db, actor, recent.id, at_once=True)
        assert events(db) == before

    def test_signals_are_not_kept_if_erased_at_once_or_after_90_days(
        self, db: HashDB, actor: Actor, clock: Clock
    ) -> None:
        recent, earlier = contributed(db, actor, draft(1), draft(2))
        contributions.withdraw(db, actor, earlier.id, "other")
        contributions.erase(db, actor, recent.id, at_once=True)
        clock.advance(days=91)
        contributions.erase(db, actor, earlier.id)
        assert ids_with_signals(db, recent.id, earlier.id) == set()
        erased = [event for event in events(db) if event.action == "contribution.erased"]
        assert [(event.id, event.details) for event in erased] == [(recent.id, {}), (earlier.id, {})]

    def test_an_admin_can_erase_the_contribution_of_any_member(self, db: HashDB, actor: Actor) -> None:
        ids = [contribution.id for contribution in contributed(db, actor, draft(1), draft(2))]
        contributions.erase(db, COMMAND_LINE, ids[0])
        contributions.erase(db, member_with(db, Scope.ADMIN, kind=MemberKind.OPERATOR), ids[1])
        assert [contribution.erased for contribution in contributions.page(db, actor, Filter(), 0, 10)] == [True, True]

    def test_an_erased_contribution_does_not_match_in_another_process(
        self, db: HashDB, actor: Actor, database_url: str
    ) -> None:
        (contribution,) = contributed(db, actor, draft(1))
        other_process = hashdb(database_url, Clock())
        assert len(matches_of(other_process, actor, 1)) == 1
        contributions.erase(db, actor, contribution.id)
        assert matches_of(other_process, actor, 1) == ()
        other_process.close()


class TestExpiryAndSuspension:
    """Contributions that expire or are suspended with their member, and their events."""

    def test_an_expiry_applies_at_its_exact_time_and_is_logged_once(
        self, db: HashDB, actor: Actor, clock: Clock
    ) -> None:
        (contribution,) = contributed(db, actor, draft(1, expires_at=NOON + timedelta(seconds=1)))
        clock.advance(seconds=1, microseconds=-1)
        assert len(matches_of(db, actor, 1)) == 1
        assert contributions.emit_pending(db) == 0
        clock.advance(microseconds=1)
        assert matches_of(db, actor, 1) == ()
        assert contributions.get(db, actor, contribution.id).status is Status.EXPIRED
        before = events(db)
        assert contributions.emit_pending(db) == 1
        assert contributions.emit_pending(db) == 0
        (event,) = events(db)[len(before) :]
        assert (event.action, event.subject, event.actor) == (
            "contribution.expired",
            f"contribution:{contribution.id}",
            "system:hashdb",
        )

    def test_an_expired_contribution_can_be_withdrawn_and_erased(self, db: HashDB, actor: Actor, clock: Clock) -> None:
        (contribution,) = contributed(db, actor, draft(1, expires_at=NOON + timedelta(seconds=1)))
        clock.advance(seconds=1)
        contributions.emit_pending(db)
        assert contributions.withdraw(db, actor, contribution.id, "other").status is Status.WITHDRAWN
        contributions.erase(db, actor, contribution.id)
        assert contributions.emit_pending(db) == 0

    def test_a_suspension_applies_at_once_and_its_events_follow_in_batches(
        self, db: HashDB, actor: Actor, other: Actor
    ) -> None:
        ids = [contribution.id for contribution in contributed(db, actor, *[draft(seed) for seed in range(25)])]
        contributed(db, other, draft(100))
        suspend(db, actor)
        assert matches_of(db, other, 1) == ()
        assert {contribution.status for contribution in contributions.page(db, COMMAND_LINE, Filter(), 0, 25)} == {
            Status.SUSPENDED
        }
        before = events(db)
        assert before[-1].action == "member.suspended"
        assert [contributions.emit_pending(db, 10) for _ in range(4)] == [10, 10, 5, 0]
        emitted = events(db)[len(before) :]
        assert [event.id for event in emitted] == ids
        assert {event.action for event in emitted} == {"contribution.suspended"}

    def test_another_process_emits_the_remaining_events(self, db: HashDB, actor: Actor, database_url: str) -> None:
        ids = [contribution.id for contribution in contributed(db, actor, *[draft(seed) for seed in range(25)])]
        suspend(db, actor)
        assert contributions.emit_pending(db, 10) == 10
        other_process = hashdb(database_url, Clock())
        assert emit_all_pending(other_process, 4) == 15
        emitted_ids = [event.id for event in events(db) if event.action == "contribution.suspended"]
        assert emitted_ids == ids
        other_process.close()

    def test_the_contributions_of_a_reinstated_member_match_again_at_once(
        self, db: HashDB, actor: Actor, other: Actor
    ) -> None:
        (contribution,) = contributed(db, actor, draft(1))
        suspend(db, actor)
        emit_all_pending(db)
        suspend(db, actor, MemberStatus.ACTIVE)
        assert [match.contribution for match in matches_of(db, other, 1)] == [contribution.id]
        assert emit_all_pending(db) == 1
        assert [event.action for event in events(db)][-3:] == [
            "contribution.suspended",
            "member.reinstated",
            "contribution.reinstated",
        ]
        assert contributions.contribute(db, with_new_key(db, actor), [draft(1)]).recorded[0].known

    def test_concurrent_workers_log_each_suspension_once(self, db: HashDB, actor: Actor) -> None:
        ids = [contribution.id for contribution in contributed(db, actor, *[draft(seed) for seed in range(30)])]
        suspend(db, actor)
        run_concurrently([lambda: emit_all_pending(db, 4)] * 4)
        emit_all_pending(db)
        emitted_ids = [event.id for event in events(db) if event.action == "contribution.suspended"]
        assert sorted(emitted_ids) == ids


def test_an_imported_draft_without_a_removal_time_is_stored(db: HashDB, actor: Actor) -> None:
    bare = Draft((signal(1),), ("manifesto",), None)
    assert contributed(db, actor, bare)[0].removed_at is None


@on_postgres
def test_a_contribution_is_erased_while_its_member_is_renamed(
    database_url: str, db: HashDB, actor: Actor, clock: Clock
) -> None:
    (item,) = contributed(db, actor, draft(1))
    other_process = hashdb(database_url, clock)
    with ThreadPoolExecutor(1) as pool:
        with other_process.store.begin() as tx:
            tx.members.change(item.member, MemberChange(name="Another name"))
            erasing = pool.submit(contributions.erase, db, COMMAND_LINE, item.id)
            with pytest.raises(TimeoutError):
                erasing.result(0.5)
            tx.audit.lock()
        erasing.result()
    other_process.close()
