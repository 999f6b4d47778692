"""Batches are carried out item by item: each item once, also after a kill, with the user's rights of that moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import event

from hashdb.domain.accounts.members import COMMAND_LINE, Actor, MemberChange, MemberStatus
from hashdb.domain.accounts.users import Role, UserChange, UserDraft, UserStatus
from hashdb.domain.contributions import Standing, Status
from hashdb.domain.matching.benign import BenignDraft
from hashdb.domain.review.bulk import Batch, BatchAction, BatchChoices, BatchState, RowKind, Skip
from hashdb.domain.review.cases import Decision, OpinionDraft, Stance
from hashdb.errors import IndexNotReady
from hashdb.service import HashDB
from hashdb.service.accounts import members, users
from hashdb.service.contributions import contributions
from hashdb.service.ledger.verification import verify
from hashdb.service.matching import benign, matches
from hashdb.service.review import batches, bulk, cases, opinions, proposals
from hashdb.store import Store, Transaction
from tests.builders import NOON, Clock, contributed, draft, member_with, query, signal, video
from tests.service.concurrently import run_concurrently

DECIDED = BatchChoices("other", "it is news")
SOON = NOON + timedelta(days=30)
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For tests with the same behaviour on both databases: neither locks nor commits matter."""


@pytest.fixture
def ada(db: HashDB) -> Actor:
    """An admin of the console."""
    return user(db, "ada", Role.ADMIN)


@pytest.fixture
def rosa(db: HashDB) -> Actor:
    """A reviewer of the console."""
    return user(db, "rosa", Role.REVIEWER)


@pytest.fixture
def ids(db: HashDB, actor: Actor) -> list[int]:
    """The contributions of `contribute_items`."""
    return contribute_items(db, actor, 0)


def contribute_items(db: HashDB, actor: Actor, seed: int) -> list[int]:
    """Ids: the second has an open case, the third is withdrawn, the fourth is a video, the last does not exist."""
    drafts = draft(seed, expires_at=SOON), draft(seed + 1), draft(seed + 2), video(*range(seed + 3, seed + 6))
    ids = [each.id for each in contributed(db, actor, *drafts, draft(seed + 7))]
    disputer = member_with(db)
    matches.match(db, disputer, [query(seed + 1)])
    opinions.give(db, disputer, ids[1], OpinionDraft(Stance.DISPUTES, "edsa_context"))
    contributions.withdraw(db, actor, ids[2], "other")
    return [*ids, 999]


def user(db: HashDB, name: str, role: Role) -> Actor:
    return users.add(db, COMMAND_LINE, UserDraft(name, role), local=False).user.actor


def start_batch(
    db: HashDB, actor: Actor, action: BatchAction, ids: list[int], choices: BatchChoices = DECIDED, row_kind: str = ""
) -> Batch:
    usual = RowKind.PROPOSAL if RowKind.PROPOSAL in action.row_kinds else RowKind.CONTRIBUTION
    selected = bulk.select(db, actor, action, RowKind(row_kind) if row_kind else usual, ids)
    return bulk.start(db, actor, selected.id, choices)


def outcomes_of(db: HashDB, batch: Batch) -> list[str]:
    """The outcome of each item."""
    return [str(each.why or each.outcome) for each in bulk.items(db, COMMAND_LINE, batch.id, -1, 99)]


def carry_out(
    db: HashDB, actor: Actor, action: BatchAction, ids: list[int], choices: BatchChoices = DECIDED
) -> list[str]:
    batch = start_batch(db, actor, action, ids, choices)
    preview = bulk.preview(db, actor, bulk.get(db, actor, batch.id))
    batches.carry_out(db)
    assert bulk.get(db, actor, batch.id).state is BatchState.DONE
    outcomes = outcomes_of(db, batch)
    skipped = Counter(each for each in outcomes if each in set(map(str, Skip)))
    assert {str(group.why): group.count for group in preview.skipped} == skipped
    assert preview.changes == outcomes.count("done") and preview.proposals == outcomes.count("proposed")
    return outcomes


def undo_last(db: HashDB, actor: Actor, choices: BatchChoices = DECIDED) -> list[str]:
    """Undo the newest batch; return the outcome of each item."""
    batch = bulk.select_undo(db, actor, bulk.page(db, actor, 0, 99)[-1].id)
    bulk.start(db, actor, batch.id, choices)
    batches.carry_out(db)
    return outcomes_of(db, batch)


def events(db: HashDB, after: int = 0) -> list[tuple[str, str, str]]:
    with db.store.read() as tx:
        return [(each.action, each.subject, each.actor) for each in tx.audit.since(after, 10_000)]


def standings(db: HashDB, ids: list[int]) -> list[Standing]:
    return [contributions.get(db, COMMAND_LINE, id).standing for id in ids]


class Killed(BaseException):
    """Stands for the end of the process."""


@contextmanager
def killed_at(patch: pytest.MonkeyPatch, commit: int, *, before: bool) -> Iterator[None]:
    """End the process just before or just after its commit of this number."""
    original_begin, count = Store.begin, [0]

    @contextmanager
    def begin(self: Store) -> Iterator[Transaction]:
        count[0] += 1
        with original_begin(self) as tx:
            yield tx
            if before and count[0] == commit:
                raise Killed
        if not before and count[0] == commit:
            raise Killed

    with patch.context() as context:
        context.setattr(Store, "begin", begin)
        yield


OUTCOMES = ["done", "done", "inactive", "done", "done", "gone"]
QUARANTINED = {"contribution.quarantined": 4}
EXPECTED: dict[BatchAction, tuple[list[str], dict[str, int]]] = {
    BatchAction.UPHOLD: (
        ["same", "done", "inactive", "same", "same", "gone"],
        {"case.decided": 1, "contribution.cleared": 1},
    ),
    BatchAction.QUARANTINE: (OUTCOMES, {"case.opened": 3, "case.decided": 4, **QUARANTINED}),
    BatchAction.RETIRE: (OUTCOMES, {"case.opened": 3, "case.decided": 4, "contribution.retired": 4}),
    BatchAction.HOLD: (OUTCOMES, {"case.opened": 3, "case.held": 1, **QUARANTINED}),
    BatchAction.WITHDRAW: (OUTCOMES, {"contribution.withdrawn": 4}),
    BatchAction.BENIGN: (
        ["done", "done", "done", "unsigned", "done", "gone"],
        {"benign.added": 4, "contribution.amended": 4},
    ),
    BatchAction.EXPIRY: (OUTCOMES, {"contribution.amended": 4}),
}
"""The outcomes of the items of `contribute_items`, and the events of the user who started the batch."""


def test_each_item_is_done_once_if_the_process_is_killed_at_any_commit(
    db: HashDB, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: dict[BatchAction, tuple[Batch, Actor]] = {}
    for number, action in enumerate(EXPECTED):
        ids, starter = contribute_items(db, actor, 10 * number), user(db, action, Role.ADMIN)
        choices = replace(DECIDED, expires_at=NOON + timedelta(days=9)) if action is BatchAction.EXPIRY else DECIDED
        started[action] = start_batch(db, starter, action, ids, choices), starter
    kills = 0
    for process in range(500):
        # Each process ends before or after its first or second commit, so each commit is the last one of some process.
        with killed_at(monkeypatch, 1 + process // 2 % 2, before=process % 2 == 0):
            try:
                batches.carry_out(db)
                break
            except Killed:
                kills += 1
    assert kills > len(EXPECTED) * 6
    counted = Counter((action, starter) for action, _, starter in events(db))
    for action, (batch, starter) in started.items():
        expected_outcomes, expected_events = EXPECTED[action]
        assert (outcomes_of(db, batch), bulk.get(db, starter, batch.id).state) == (expected_outcomes, BatchState.DONE)
        assert {
            each: count for (each, event_actor), count in counted.items() if event_actor == str(starter)
        } == expected_events
    assert verify(db, COMMAND_LINE).findings == ()


def test_concurrent_workers_do_each_item_once(db: HashDB, ada: Actor, actor: Actor) -> None:
    ids = [each.id for each in contributed(db, actor, *map(draft, range(12)))]
    batch = start_batch(db, ada, BatchAction.QUARANTINE, ids)
    assert sum(run_concurrently([lambda: batches.carry_out(db)] * 4)) == 12
    batches.carry_out(db)
    assert set(outcomes_of(db, batch)) == {"done"}
    assert Counter(action for action, _, _ in events(db))["case.decided"] == 12
    assert bulk.get(db, ada, batch.id).state is BatchState.DONE


def test_the_second_person_can_confirm_a_batch_as_a_batch(db: HashDB, ada: Actor, rosa: Actor, ids: list[int]) -> None:
    db.rules = replace(db.rules, two_persons=True)
    outcomes = carry_out(db, rosa, BatchAction.RETIRE, ids)
    assert outcomes == ["proposed", "proposed", "inactive", "proposed", "proposed", "gone"]
    assert Standing.RETIRED not in standings(db, ids[:5])
    first = bulk.page(db, ada, 0, 99)[-1]
    # A repetition by the same person changes nothing.
    assert carry_out(db, rosa, BatchAction.RETIRE, ids) == ["waits", "waits", "inactive", "waits", "waits", "gone"]
    assert carry_out(db, rosa, BatchAction.CONFIRM, [*bulk.waiting_proposals(db, rosa, first.id)]) == ["own"] * 4
    second = bulk.select_confirmation(db, ada, first.id)
    assert bulk.preview(db, ada, second).confirms == 4
    bulk.start(db, ada, second.id, BatchChoices(note="I agree"))
    batches.carry_out(db)
    assert outcomes_of(db, second) == ["done"] * 4
    assert standings(db, ids[:5]).count(Standing.RETIRED) == 4
    assert {case.note for case in cases.page(db, ada, None, 0, 9)} == {"I agree"}
    assert proposals.page(db, ada, 0, 9) == ()


@on_sqlite
def test_the_same_decision_by_a_second_person_confirms_the_proposals(
    db: HashDB, ada: Actor, rosa: Actor, ids: list[int]
) -> None:
    db.rules = replace(db.rules, two_persons=True)
    carry_out(db, rosa, BatchAction.RETIRE, ids[:2])
    assert carry_out(db, ada, BatchAction.RETIRE, ids[:2]) == ["done", "done"]
    outcomes = carry_out(db, ada, BatchAction.BENIGN, ids[3:5], BatchChoices(note="a logo"))
    assert outcomes == ["unsigned", "proposed"]
    assert carry_out(db, rosa, BatchAction.CONFIRM, [3]) == ["not_allowed"]
    eva = user(db, "eva", Role.ADMIN)
    assert carry_out(db, eva, BatchAction.CONFIRM, [3], BatchChoices(note="yes")) == ["done"]
    assert [entry.note for entry in benign.page(db, ada, 0, 9)] == ["a logo"]
    assert carry_out(db, eva, BatchAction.CONFIRM, [3]) == ["gone"]


@on_sqlite
def test_a_batch_confirms_all_fields_of_a_suspension_and_drops_proposals(
    db: HashDB, ada: Actor, actor: Actor, other: Actor
) -> None:
    db.rules = replace(db.rules, two_persons=True)
    assert actor.member is not None and other.member is not None
    change = MemberChange(status=MemberStatus.SUSPENDED, contact="c@example.org", budget_factor=3)
    members.change(db, COMMAND_LINE, actor.member.id, change)
    members.change(db, COMMAND_LINE, other.member.id, change)
    benign.add(db, COMMAND_LINE, BenignDraft((signal(1),)))
    assert carry_out(db, ada, BatchAction.CONFIRM, [1]) == ["done"]
    member = members.get(db, ada, actor.member.id)
    assert (member.status, member.contact, member.limits.budget_factor) == (MemberStatus.SUSPENDED, "c@example.org", 3)
    assert undo_last(db, ada) == ["final"]
    assert carry_out(db, ada, BatchAction.DROP, [2, 3]) == ["done", "done"]
    assert proposals.page(db, ada, 0, 9) == ()
    assert members.get(db, ada, other.member.id).status is MemberStatus.ACTIVE


@on_sqlite
def test_an_item_needs_the_current_rights_of_the_user(db: HashDB, ada: Actor, rosa: Actor, ids: list[int]) -> None:
    batch = start_batch(db, rosa, BatchAction.QUARANTINE, ids[:2])
    users.change(db, ada, int(rosa.name[5:]), UserChange(role=Role.AUDITOR))
    batches.carry_out(db)
    assert outcomes_of(db, batch) == ["not_allowed"] * 2
    batch = start_batch(db, ada, BatchAction.WITHDRAW, ids[:2])
    users.change(db, COMMAND_LINE, int(ada.name[5:]), UserChange(status=UserStatus.DISABLED))
    batches.carry_out(db)
    assert outcomes_of(db, batch) == ["not_allowed"] * 2
    assert contributions.get(db, COMMAND_LINE, ids[0]).status is Status.ACTIVE


@on_sqlite
def test_new_decisions_undo_each_action_that_can_be_undone(db: HashDB, ada: Actor, ids: list[int]) -> None:
    standings_before = standings(db, ids[:5])
    for action in (BatchAction.QUARANTINE, BatchAction.RETIRE):
        carry_out(db, ada, action, ids[:2])
        assert undo_last(db, ada, BatchChoices("other", "a mistake")) == ["done", "done"]
        assert standings(db, ids[:1]) == standings_before[:1]
    assert {case.note for case in cases.list_on_contribution(db, ada, ids[0])} == {"it is news", "a mistake"}
    carry_out(db, ada, BatchAction.HOLD, ids[3:5])
    assert undo_last(db, ada) == ["done", "done"]
    assert standings(db, ids[3:5]) == standings_before[3:5]
    carry_out(db, ada, BatchAction.BENIGN, ids[:2], BatchChoices(note="a logo"))
    assert contributions.get(db, ada, ids[0]).signals == ()
    assert undo_last(db, ada) == ["done", "done"]
    assert contributions.get(db, ada, ids[0]).signals == (signal(0),)
    carry_out(db, ada, BatchAction.EXPIRY, ids[:2], BatchChoices(days=9))
    assert contributions.get(db, ada, ids[0]).expires_at == SOON + timedelta(days=9)
    assert undo_last(db, ada) == ["done"]
    assert contributions.get(db, ada, ids[0]).expires_at == SOON
    carry_out(db, ada, BatchAction.WITHDRAW, ids[:1])
    assert undo_last(db, ada) == ["final"]
    (event,) = [each for each in events(db) if each[:2] == ("contribution.withdrawn", f"contribution:{ids[0]}")]
    assert event[2] == str(ada)


@on_sqlite
def test_the_preview_takes_as_many_statements_for_many_items_as_for_few(
    db: HashDB, ada: Actor, rosa: Actor, actor: Actor
) -> None:
    ids = [each.id for each in contributed(db, actor, *(draft(seed, expires_at=SOON) for seed in range(12)))]

    executed: list[str] = []
    event.listen(db.store.engine, "before_cursor_execute", lambda *arguments: executed.append(arguments[2]))

    def count_statements(batch: Batch) -> int:
        # The first preview may also read changes since the last statement.
        assert bulk.preview(db, ada, batch).changes == batch.size
        executed.clear()
        bulk.preview(db, ada, batch)
        return len(executed)

    def count_for_undo(action: BatchAction, subjects: list[int]) -> int:
        started = start_batch(db, ada, action, subjects, replace(DECIDED, expires_at=NOON + timedelta(days=9)))
        batches.carry_out(db)
        return count_statements(bulk.select_undo(db, ada, started.id))

    for action in (BatchAction.QUARANTINE, BatchAction.EXPIRY, BatchAction.BENIGN):
        assert count_for_undo(action, ids[:2]) == count_for_undo(action, ids[2:9]) > 0
    db.rules = replace(db.rules, two_persons=True)
    of_few, of_many = (start_batch(db, rosa, BatchAction.RETIRE, subjects) for subjects in (ids[9:10], ids[10:12]))
    batches.carry_out(db)
    few, many = (count_statements(bulk.select_confirmation(db, ada, each.id)) for each in (of_few, of_many))
    assert few == many > 0


@on_sqlite
def test_an_item_that_was_decided_since_is_not_undone(db: HashDB, ada: Actor, ids: list[int]) -> None:
    carry_out(db, ada, BatchAction.QUARANTINE, ids[:1])
    case = cases.open_case(db, COMMAND_LINE, ids[0], "other", holds=False)
    cases.decide(db, COMMAND_LINE, case.id, Decision.RETIRE, "no")
    assert undo_last(db, ada) == ["changed"]
    assert standings(db, ids[:1]) == [Standing.RETIRED]


@on_sqlite
def test_a_batch_waits_for_the_index_and_an_error_fails_one_item_only(
    db: HashDB, ada: Actor, ids: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, without_index = (
        start_batch(db, ada, BatchAction.RETIRE, ids[:2]),
        start_batch(db, ada, BatchAction.HOLD, ids[4:5]),
    )
    with monkeypatch.context() as patch:
        patch.setattr(batches, "search_shadow", function_that_raises(IndexNotReady(1)))
        with pytest.raises(IndexNotReady):
            batches.carry_out(db)
    assert (outcomes_of(db, batch), outcomes_of(db, without_index)) == (["None", "None"], ["done"])
    with monkeypatch.context() as patch:
        patch.setattr(batches, "search_shadow", function_that_raises(ValueError("a bug")))
        batches.carry_out(db)
    assert outcomes_of(db, batch) == ["error", "error"]
    with db.store.read() as tx:
        assert tx.task_errors.by_task()["batches"].text.startswith("ValueError")


def function_that_raises(error: Exception) -> Callable[..., None]:
    def fail(*arguments: object) -> None:
        raise error

    return fail


@on_sqlite
def test_old_batches_are_deleted(db: HashDB, ada: Actor, ids: list[int], clock: Clock) -> None:
    bulk.select(db, ada, BatchAction.UPHOLD, RowKind.CONTRIBUTION, ids)
    carry_out(db, ada, BatchAction.UPHOLD, ids)
    clock.advance(days=1.1)
    assert (batches.prune(db), len(bulk.page(db, ada, 0, 9))) == (1, 1)
    undo = bulk.start(db, ada, bulk.select_undo(db, ada, 2).id, DECIDED)
    batches.carry_out(db)
    clock.advance(days=89)
    assert (batches.prune(db), bulk.page(db, ada, 0, 9)) == (1, (bulk.get(db, ada, undo.id),))
    assert bulk.undone_action(db, undo) is None
    clock.advance(days=1.1)
    assert (batches.prune(db), bulk.page(db, ada, 0, 9)) == (1, ())


@on_sqlite
def test_a_batch_whose_undone_batch_is_deleted_meanwhile_does_nothing(
    db: HashDB, ada: Actor, ids: list[int], clock: Clock
) -> None:
    carry_out(db, ada, BatchAction.UPHOLD, ids)
    undo = bulk.start(db, ada, bulk.select_undo(db, ada, 1).id, DECIDED)
    clock.advance(days=91)
    assert batches.prune(db) == 1
    batches.carry_out(db)
    assert set(outcomes_of(db, undo)) == {"gone"}
