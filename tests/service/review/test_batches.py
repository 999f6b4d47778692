"""Batches are carried out item by item: each once, whenever the process is killed, with the rights of that moment."""

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
from hashdb.domain.review.bulk import Batch, BatchAction, BatchChoices, BatchState, Picks, Skip
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
"""For what is the same on both databases: no locks, no commits that matter."""


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
    """Contributions: see `made`."""
    return made(db, actor, 0)


def made(db: HashDB, actor: Actor, seed: int) -> list[int]:
    """Contributions: of the second a case is open, the third is withdrawn, the fourth is a video, the last is none."""
    drafts = draft(seed, expires_at=SOON), draft(seed + 1), draft(seed + 2), video(*range(seed + 3, seed + 6))
    ids = [each.id for each in contributed(db, actor, *drafts, draft(seed + 7))]
    disputer = member_with(db)
    matches.match(db, disputer, [query(seed + 1)])
    opinions.give(db, disputer, ids[1], OpinionDraft(Stance.DISPUTES, "edsa_context"))
    contributions.withdraw(db, actor, ids[2], "other")
    return [*ids, 999]


def user(db: HashDB, name: str, role: Role) -> Actor:
    return users.add(db, COMMAND_LINE, UserDraft(name, role), local=False).user.actor


def begun(
    db: HashDB, actor: Actor, action: BatchAction, ids: list[int], choices: BatchChoices = DECIDED, picks: str = ""
) -> Batch:
    usual = Picks.PROPOSAL if Picks.PROPOSAL in action.picks else Picks.CONTRIBUTION
    selected = bulk.select(db, actor, action, Picks(picks) if picks else usual, ids)
    return bulk.start(db, actor, selected.id, choices)


def became(db: HashDB, batch: Batch) -> list[str]:
    """What became of each item."""
    return [str(each.why or each.outcome) for each in bulk.items(db, COMMAND_LINE, batch.id, -1, 99)]


def carried_out(
    db: HashDB, actor: Actor, action: BatchAction, ids: list[int], choices: BatchChoices = DECIDED
) -> list[str]:
    batch = begun(db, actor, action, ids, choices)
    foretold = bulk.preview(db, actor, bulk.get(db, actor, batch.id))
    batches.carry_out(db)
    assert bulk.get(db, actor, batch.id).state is BatchState.DONE
    told = became(db, batch)
    skipped = Counter(each for each in told if each in set(map(str, Skip)))
    assert {str(group.why): group.count for group in foretold.skipped} == skipped
    assert foretold.changes == told.count("done") and foretold.proposals == told.count("proposed")
    return told


def undone(db: HashDB, actor: Actor, choices: BatchChoices = DECIDED) -> list[str]:
    """What becomes of each item when the newest batch is undone."""
    batch = bulk.select_undo(db, actor, bulk.page(db, actor, 0, 99)[-1].id)
    bulk.start(db, actor, batch.id, choices)
    batches.carry_out(db)
    return became(db, batch)


def events(db: HashDB, after: int = 0) -> list[tuple[str, str, str]]:
    with db.store.read() as tx:
        return [(each.action, each.subject, each.actor) for each in tx.audit.since(after, 10_000)]


def standings(db: HashDB, ids: list[int]) -> list[Standing]:
    return [contributions.get(db, COMMAND_LINE, id).standing for id in ids]


class Killed(BaseException):
    """The process ends here."""


@contextmanager
def killed_at(patch: pytest.MonkeyPatch, commit: int, *, before: bool) -> Iterator[None]:
    """The process ends just before, or just after, its commit of this number."""
    usual, count = Store.begin, [0]

    @contextmanager
    def begin(self: Store) -> Iterator[Transaction]:
        count[0] += 1
        with usual(self) as tx:
            yield tx
            if before and count[0] == commit:
                raise Killed
        if not before and count[0] == commit:
            raise Killed

    with patch.context() as inner:
        inner.setattr(Store, "begin", begin)
        yield


NEW = ["done", "done", "inactive", "done", "done", "gone"]
QUARANTINED = {"contribution.quarantined": 4}
ACTS: dict[BatchAction, tuple[list[str], dict[str, int]]] = {
    BatchAction.UPHOLD: (
        ["same", "done", "inactive", "same", "same", "gone"],
        {"case.decided": 1, "contribution.cleared": 1},
    ),
    BatchAction.QUARANTINE: (NEW, {"case.opened": 3, "case.decided": 4, **QUARANTINED}),
    BatchAction.RETIRE: (NEW, {"case.opened": 3, "case.decided": 4, "contribution.retired": 4}),
    BatchAction.HOLD: (NEW, {"case.opened": 3, "case.held": 1, **QUARANTINED}),
    BatchAction.WITHDRAW: (NEW, {"contribution.withdrawn": 4}),
    BatchAction.BENIGN: (
        ["done", "done", "done", "unsigned", "done", "gone"],
        {"benign.added": 4, "contribution.amended": 4},
    ),
    BatchAction.EXPIRY: (NEW, {"contribution.amended": 4}),
}
"""What becomes of the items of `made`, and the events of the user who decided it."""


def test_each_item_is_done_once_at_whichever_commit_the_process_is_killed(
    db: HashDB, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin: dict[BatchAction, tuple[Batch, Actor]] = {}
    for number, action in enumerate(ACTS):
        ids, who = made(db, actor, 10 * number), user(db, action, Role.ADMIN)
        choices = replace(DECIDED, expires_at=NOON + timedelta(days=9)) if action is BatchAction.EXPIRY else DECIDED
        begin[action] = begun(db, who, action, ids, choices), who
    kills = 0
    for process in range(500):
        # Killed before and after its first commit, then its second: each commit is the last one of some process.
        with killed_at(monkeypatch, 1 + process // 2 % 2, before=process % 2 == 0):
            try:
                batches.carry_out(db)
                break
            except Killed:
                kills += 1
    assert kills > len(ACTS) * 6
    told = Counter((action, who) for action, _, who in events(db))
    for action, (batch, who) in begin.items():
        outcomes, logged = ACTS[action]
        assert (became(db, batch), bulk.get(db, who, batch.id).state) == (outcomes, BatchState.DONE)
        assert {each: count for (each, by), count in told.items() if by == str(who)} == logged
    assert verify(db, COMMAND_LINE).findings == ()


def test_a_batch_is_done_once_by_several_at_once(db: HashDB, ada: Actor, actor: Actor) -> None:
    ids = [each.id for each in contributed(db, actor, *map(draft, range(12)))]
    batch = begun(db, ada, BatchAction.QUARANTINE, ids)
    assert sum(run_concurrently([lambda: batches.carry_out(db)] * 4)) == 12
    batches.carry_out(db)
    assert set(became(db, batch)) == {"done"}
    assert Counter(action for action, _, _ in events(db))["case.decided"] == 12
    assert bulk.get(db, ada, batch.id).state is BatchState.DONE


def test_two_persons_decide_a_batch_and_the_second_confirms_it_as_a_batch(
    db: HashDB, ada: Actor, rosa: Actor, ids: list[int]
) -> None:
    db.rules = replace(db.rules, two_persons=True)
    told = carried_out(db, rosa, BatchAction.RETIRE, ids)
    assert told == ["proposed", "proposed", "inactive", "proposed", "proposed", "gone"]
    assert Standing.RETIRED not in standings(db, ids[:5])
    first = bulk.page(db, ada, 0, 99)[-1]
    # The same again, by the same person, changes nothing.
    assert carried_out(db, rosa, BatchAction.RETIRE, ids) == ["waits", "waits", "inactive", "waits", "waits", "gone"]
    assert carried_out(db, rosa, BatchAction.CONFIRM, [*bulk.waiting_proposals(db, rosa, first.id)]) == ["own"] * 4
    second = bulk.select_confirmation(db, ada, first.id)
    assert bulk.preview(db, ada, second).confirms == 4
    bulk.start(db, ada, second.id, BatchChoices(note="I agree"))
    batches.carry_out(db)
    assert became(db, second) == ["done"] * 4
    assert standings(db, ids[:5]).count(Standing.RETIRED) == 4
    assert {case.note for case in cases.page(db, ada, None, 0, 9)} == {"I agree"}
    assert proposals.page(db, ada, 0, 9) == ()


@on_sqlite
def test_a_second_person_who_decides_the_same_confirms_what_waits(
    db: HashDB, ada: Actor, rosa: Actor, ids: list[int]
) -> None:
    db.rules = replace(db.rules, two_persons=True)
    carried_out(db, rosa, BatchAction.RETIRE, ids[:2])
    assert carried_out(db, ada, BatchAction.RETIRE, ids[:2]) == ["done", "done"]
    waits = carried_out(db, ada, BatchAction.BENIGN, ids[3:5], BatchChoices(note="a logo"))
    assert waits == ["unsigned", "proposed"]
    assert carried_out(db, rosa, BatchAction.CONFIRM, [3]) == ["not_allowed"]
    eva = user(db, "eva", Role.ADMIN)
    assert carried_out(db, eva, BatchAction.CONFIRM, [3], BatchChoices(note="yes")) == ["done"]
    assert [entry.note for entry in benign.page(db, ada, 0, 9)] == ["a logo"]
    assert carried_out(db, eva, BatchAction.CONFIRM, [3]) == ["gone"]


@on_sqlite
def test_a_suspension_is_confirmed_to_the_letter_and_proposals_are_dropped(
    db: HashDB, ada: Actor, actor: Actor, other: Actor
) -> None:
    db.rules = replace(db.rules, two_persons=True)
    assert actor.member is not None and other.member is not None
    change = MemberChange(status=MemberStatus.SUSPENDED, contact="c@example.org", budget_factor=3)
    members.change(db, COMMAND_LINE, actor.member.id, change)
    members.change(db, COMMAND_LINE, other.member.id, change)
    benign.add(db, COMMAND_LINE, BenignDraft((signal(1),)))
    assert carried_out(db, ada, BatchAction.CONFIRM, [1]) == ["done"]
    member = members.get(db, ada, actor.member.id)
    assert (member.status, member.contact, member.limits.budget_factor) == (MemberStatus.SUSPENDED, "c@example.org", 3)
    assert undone(db, ada) == ["final"]
    assert carried_out(db, ada, BatchAction.DROP, [2, 3]) == ["done", "done"]
    assert proposals.page(db, ada, 0, 9) == ()
    assert members.get(db, ada, other.member.id).status is MemberStatus.ACTIVE


@on_sqlite
def test_rights_are_those_of_the_moment(db: HashDB, ada: Actor, rosa: Actor, ids: list[int]) -> None:
    batch = begun(db, rosa, BatchAction.QUARANTINE, ids[:2])
    users.change(db, ada, int(rosa.name[5:]), UserChange(role=Role.AUDITOR))
    batches.carry_out(db)
    assert became(db, batch) == ["not_allowed"] * 2
    batch = begun(db, ada, BatchAction.WITHDRAW, ids[:2])
    users.change(db, COMMAND_LINE, int(ada.name[5:]), UserChange(status=UserStatus.DISABLED))
    batches.carry_out(db)
    assert became(db, batch) == ["not_allowed"] * 2
    assert contributions.get(db, COMMAND_LINE, ids[0]).status is Status.ACTIVE


@on_sqlite
def test_what_can_be_undone_is_undone_by_new_decisions(db: HashDB, ada: Actor, ids: list[int]) -> None:
    before = standings(db, ids[:5])
    for action in (BatchAction.QUARANTINE, BatchAction.RETIRE):
        carried_out(db, ada, action, ids[:2])
        assert undone(db, ada, BatchChoices("other", "a mistake")) == ["done", "done"]
        assert standings(db, ids[:1]) == before[:1]
    assert {case.note for case in cases.list_on_contribution(db, ada, ids[0])} == {"it is news", "a mistake"}
    carried_out(db, ada, BatchAction.HOLD, ids[3:5])
    assert undone(db, ada) == ["done", "done"]
    assert standings(db, ids[3:5]) == before[3:5]
    carried_out(db, ada, BatchAction.BENIGN, ids[:2], BatchChoices(note="a logo"))
    assert contributions.get(db, ada, ids[0]).signals == ()
    assert undone(db, ada) == ["done", "done"]
    assert contributions.get(db, ada, ids[0]).signals == (signal(0),)
    carried_out(db, ada, BatchAction.EXPIRY, ids[:2], BatchChoices(days=9))
    assert contributions.get(db, ada, ids[0]).expires_at == SOON + timedelta(days=9)
    assert undone(db, ada) == ["done"]
    assert contributions.get(db, ada, ids[0]).expires_at == SOON
    carried_out(db, ada, BatchAction.WITHDRAW, ids[:1])
    assert undone(db, ada) == ["final"]
    (event,) = [each for each in events(db) if each[:2] == ("contribution.withdrawn", f"contribution:{ids[0]}")]
    assert event[2] == str(ada)


@on_sqlite
def test_the_preview_of_many_takes_no_more_statements_than_that_of_few(
    db: HashDB, ada: Actor, rosa: Actor, actor: Actor
) -> None:
    ids = [each.id for each in contributed(db, actor, *(draft(seed, expires_at=SOON) for seed in range(12)))]

    asked: list[str] = []
    event.listen(db.store.engine, "before_cursor_execute", lambda *given: asked.append(given[2]))

    def statements(batch: Batch) -> int:
        # The first one may read what changed since, too.
        assert bulk.preview(db, ada, batch).changes == batch.size
        asked.clear()
        bulk.preview(db, ada, batch)
        return len(asked)

    def undo_of(action: BatchAction, subjects: list[int]) -> int:
        begin = begun(db, ada, action, subjects, replace(DECIDED, expires_at=NOON + timedelta(days=9)))
        batches.carry_out(db)
        return statements(bulk.select_undo(db, ada, begin.id))

    for action in (BatchAction.QUARANTINE, BatchAction.EXPIRY, BatchAction.BENIGN):
        assert undo_of(action, ids[:2]) == undo_of(action, ids[2:9]) > 0
    db.rules = replace(db.rules, two_persons=True)
    of_few, of_many = (begun(db, rosa, BatchAction.RETIRE, subjects) for subjects in (ids[9:10], ids[10:12]))
    batches.carry_out(db)
    few, many = (statements(bulk.select_confirmation(db, ada, each.id)) for each in (of_few, of_many))
    assert few == many > 0


@on_sqlite
def test_what_somebody_decided_since_is_not_undone(db: HashDB, ada: Actor, ids: list[int]) -> None:
    carried_out(db, ada, BatchAction.QUARANTINE, ids[:1])
    case = cases.open_case(db, COMMAND_LINE, ids[0], "other", holds=False)
    cases.decide(db, COMMAND_LINE, case.id, Decision.RETIRE, "no")
    assert undone(db, ada) == ["changed"]
    assert standings(db, ids[:1]) == [Standing.RETIRED]


@on_sqlite
def test_it_waits_while_the_index_is_built_and_an_error_costs_one_item(
    db: HashDB, ada: Actor, ids: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, further = begun(db, ada, BatchAction.RETIRE, ids[:2]), begun(db, ada, BatchAction.HOLD, ids[4:5])
    with monkeypatch.context() as patch:
        patch.setattr(batches, "search_shadow", raising(IndexNotReady(1)))
        with pytest.raises(IndexNotReady):
            batches.carry_out(db)
    assert (became(db, batch), became(db, further)) == (["None", "None"], ["done"])
    with monkeypatch.context() as patch:
        patch.setattr(batches, "search_shadow", raising(ValueError("a bug")))
        batches.carry_out(db)
    assert became(db, batch) == ["error", "error"]
    with db.store.read() as tx:
        assert tx.task_errors.by_task()["batches"].text.startswith("ValueError")


def raising(error: Exception) -> Callable[..., None]:
    def fail(*arguments: object) -> None:
        raise error

    return fail


@on_sqlite
def test_old_batches_are_removed(db: HashDB, ada: Actor, ids: list[int], clock: Clock) -> None:
    bulk.select(db, ada, BatchAction.UPHOLD, Picks.CONTRIBUTION, ids)
    carried_out(db, ada, BatchAction.UPHOLD, ids)
    clock.go(days=1.1)
    assert (batches.prune(db), len(bulk.page(db, ada, 0, 9))) == (1, 1)
    undo = bulk.start(db, ada, bulk.select_undo(db, ada, 2).id, DECIDED)
    batches.carry_out(db)
    clock.go(days=89)
    assert (batches.prune(db), bulk.page(db, ada, 0, 9)) == (1, (bulk.get(db, ada, undo.id),))
    assert bulk.undone_action(db, undo) is None
    clock.go(days=1.1)
    assert (batches.prune(db), bulk.page(db, ada, 0, 9)) == (1, ())
