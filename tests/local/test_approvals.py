"""A copy stores and matches only contributions that a quorum of organisations signed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from hashdb.domain.contributions import Addition, Amendment
from hashdb.domain.ledger.policies import Policy
from hashdb.domain.review.cases import OpinionDraft, Stance
from hashdb.domain.sharing.feed import FeedPage
from hashdb.domain.signals import Algorithm
from hashdb.errors import CopyNotApproved, LogRewritten, NoCopy, NotAsLogged, RootNotSigned, ServiceUnreachable
from hashdb.local import LocalIndex
from hashdb.local.approvals import APPROVED_FOR, Approval, find_approval
from hashdb.local.syncing import CURRENT
from hashdb.service.contributions import additions, contributions
from hashdb.service.review import opinions
from tests.builders import NOON, contributed, draft, member_with, query, signal
from tests.local.conftest import ORGANISATIONS, QUORUM, Service

PHASH = Algorithm.PHASH
NORTH, SOUTH, WEST = ORGANISATIONS
POLICY = Policy.parse(QUORUM)


@pytest.fixture
def signed(service: Service, folder: Path) -> Iterator[LocalIndex]:
    """The copy of a member that requires the quorum."""
    with LocalIndex(folder, service.clock, POLICY) as index:
        yield index


def matched(index: LocalIndex, *seeds: int) -> list[int]:
    results = index.match([query(seed) for seed in seeds]).results
    return [match.contribution for result in results for match in result.matches]


def test_a_copy_stores_only_what_the_quorum_signed(service: Service, signed: LocalIndex) -> None:
    contributed(service.db, service.actor, draft(1), draft(2))
    committed = service.root(NORTH, WEST)
    contributed(service.db, service.actor, draft(3))
    assert signed.sync(service.client) == 2
    assert matched(signed, 1, 2, 3) == [1, 2]
    assert committed.covers <= signed.checkpoint <= committed.seq
    # The new contribution is not signed yet.
    assert signed.sync(service.client) == 0
    assert service.root().seq > committed.seq
    with pytest.raises(RootNotSigned, match=r"^0 of the 3 organisations .* needs at least 2$"):
        signed.sync(service.client)
    service.root(SOUTH)
    with pytest.raises(RootNotSigned, match=r"^1 of the 3 "):
        signed.sync(service.client)
    assert matched(signed, 1, 2, 3) == [1, 2]
    service.root(NORTH)
    assert signed.sync(service.client) == 1
    assert matched(signed, 1, 2, 3) == [1, 2, 3]


def test_a_stream_that_always_breaks_before_its_end_is_an_error(
    service: Service, signed: LocalIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    contributed(service.db, service.actor, draft(1))
    service.root(NORTH, WEST)
    signed.sync(service.client)
    # Between the head of the copy and the change that is not signed yet, there is an event that the feed does not have.
    member_with(service.db)
    contributed(service.db, service.actor, draft(2))
    stream, afters = service.client.stream, list[int]()

    def break_off(after: int, *, epoch: str | None, wait: int) -> Iterator[FeedPage]:
        assert len(afters) < 5
        afters.append(after)
        for page in stream(after, epoch=epoch, wait=wait):
            yield FeedPage(page.steps, page.steps[-1].seq)
            break
        raise ServiceUnreachable(service.client.url, "cut")

    monkeypatch.setattr(service.client, "stream", break_off)
    with pytest.raises(ServiceUnreachable):
        signed.sync(service.client)
    assert len(afters) == 2 and afters[0] < afters[1]
    assert matched(signed, 1, 2) == [1]


def test_a_copy_without_a_signed_root_cannot_be_used(service: Service, signed: LocalIndex, folder: Path) -> None:
    contributed(service.db, service.actor, draft(1))
    service.root(NORTH)
    with pytest.raises(RootNotSigned):
        signed.sync(service.client)
    with pytest.raises(NoCopy):
        matched(signed, 1)
    with LocalIndex(folder, service.clock) as plain:
        plain.sync(service.client)
    with pytest.raises(
        CopyNotApproved, match=r"^the local copy may not be used with this policy: the root of the copy matches none "
    ):
        matched(signed, 1)
    service.root(SOUTH)
    signed.sync(service.client)
    assert matched(signed, 1) == [1]


def test_a_sync_without_the_policy_removes_the_approval(service: Service, signed: LocalIndex, folder: Path) -> None:
    contributed(service.db, service.actor, draft(1))
    service.root(NORTH, SOUTH)
    signed.sync(service.client)
    with LocalIndex(folder, service.clock) as plain:
        contributed(service.db, service.actor, draft(2))
        plain.sync(service.client)
        assert matched(plain, 1, 2) == [1, 2]
    with pytest.raises(CopyNotApproved):
        matched(signed, 1)
    # A contribution that the quorum did not sign is removed, and read again later.
    signed.sync(service.client)
    assert matched(signed, 1, 2) == [1]
    service.root(NORTH, SOUTH)
    assert signed.sync(service.client) == 1
    assert matched(signed, 1, 2) == [1, 2]


def test_a_change_that_leaves_the_active_set_as_it_is_needs_no_signature(service: Service, signed: LocalIndex) -> None:
    contributed(service.db, service.actor, draft(1), draft(2))
    service.root(NORTH, SOUTH)
    signed.sync(service.client)
    contributions.amend(service.db, service.actor, 1, Amendment(labels=("incitement",)))
    service.clock.advance(minutes=5)
    assert signed.sync(service.client) == 1
    ((match,),) = (result.matches for result in signed.match([query(1)]).results)
    assert match.labels == ("incitement",) and signed.age == timedelta()
    contributed(service.db, service.actor, draft(3))
    contributions.amend(service.db, service.actor, 2, Amendment(labels=("incitement",)))
    service.clock.advance(minutes=5)
    assert signed.sync(service.client) == 1
    ((match,),) = (result.matches for result in signed.match([query(2)]).results)
    # One contribution waits for a signature, so the copy is not up to date.
    assert match.labels == ("incitement",) and signed.age == timedelta(minutes=5)
    assert matched(signed, 3) == []


def test_an_approval_lasts_for_a_day(service: Service, signed: LocalIndex) -> None:
    contributed(service.db, service.actor, draft(1))
    service.root(NORTH, SOUTH)
    signed.sync(service.client)
    service.clock.advance(hours=24)
    assert matched(signed, 1) == [1] and signed.age == APPROVED_FOR
    service.clock.advance(hours=1)
    with pytest.raises(CopyNotApproved, match=r"it was last approved 25 hours ago; sync it$"):
        matched(signed, 1)
    # The newest root is still the same, and nothing changed.
    assert signed.sync(service.client) == 0
    assert matched(signed, 1) == [1] and signed.age == timedelta()
    contributed(service.db, service.actor, draft(2))
    service.clock.advance(minutes=5)
    assert signed.sync(service.client) == 0
    assert signed.age == timedelta(minutes=5)


def test_a_contribution_that_differs_from_the_signed_root_is_rejected(service: Service, signed: LocalIndex) -> None:
    contributed(service.db, service.actor, draft(1), draft(2))
    service.root(NORTH, SOUTH)
    signed.sync(service.client)
    before = signed.checkpoint
    contributed(service.db, service.actor, draft(3), draft(4))
    service.root(NORTH, SOUTH)
    service.write("UPDATE contributions SET standing = 'confirmed' WHERE id = 4")
    with pytest.raises(
        NotAsLogged, match=r"^contribution 4 differs from the log .* its standing or its commitment differs"
    ):
        signed.sync(service.client)
    assert signed.checkpoint == before and matched(signed, 1, 2, 3, 4) == [1, 2]
    service.write("UPDATE contributions SET standing = 'unreviewed' WHERE id = 4")
    signed.sync(service.client)
    assert matched(signed, 1, 2, 3, 4) == [1, 2, 3, 4]


def test_a_contribution_that_the_service_hides_is_reported(service: Service, signed: LocalIndex, folder: Path) -> None:
    contributed(service.db, service.actor, draft(1), draft(2), draft(3))
    service.root(NORTH, SOUTH)
    service.write("UPDATE contributions SET announced = 'withdrawn' WHERE id = 2")
    with pytest.raises(NotAsLogged, match=r"^contribution 2 .* active set of the log has it, but the copy does not"):
        signed.sync(service.client)
    assert not (folder / CURRENT).exists()
    # The rows of the first attempt are not used again.
    service.write("UPDATE contributions SET announced = 'active' WHERE id = 2")
    signed.sync(service.client)
    assert matched(signed, 1, 2, 3) == [1, 2, 3]


def test_a_contribution_that_changed_after_the_root_keeps_its_signed_state(
    service: Service, signed: LocalIndex
) -> None:
    contributed(service.db, service.actor, draft(1), draft(2), draft(3))
    service.root(NORTH, SOUTH)
    signed.sync(service.client)
    contributed(service.db, service.actor, draft(4), draft(5))
    service.root(NORTH, SOUTH)
    # The root has both contributions as active, but the feed has only their later state.
    contributions.withdraw(service.db, service.actor, 3, "other")
    contributions.withdraw(service.db, service.actor, 5, "other")
    assert signed.sync(service.client) > 0
    assert matched(signed, 1, 2, 3, 4, 5) == [1, 2, 3, 4]
    contributions.amend(service.db, service.actor, 1, Amendment(labels=("incitement",)))
    assert signed.sync(service.client) == 1
    service.clock.advance(minutes=1)
    # Nothing is new. The two withdrawals wait for the next root.
    assert signed.sync(service.client) == 0 and signed.age == timedelta(minutes=1)
    assert matched(signed, 1, 2, 3, 4, 5) == [1, 2, 3, 4]
    service.root(NORTH, SOUTH)
    signed.sync(service.client)
    assert matched(signed, 1, 2, 3, 4, 5) == [1, 2, 4]


def test_signals_added_after_the_signed_root_do_not_match(service: Service, signed: LocalIndex) -> None:
    contributed(service.db, service.actor, draft(1), draft(2))
    service.root(NORTH, SOUTH)
    signed.sync(service.client)
    opinions.give(service.db, member_with(service.db), 1, OpinionDraft(Stance.CONFIRMS))
    service.root(NORTH, SOUTH)
    # The feed has this addition already at the event of the opinion.
    additions.add(service.db, service.actor, [Addition(1, (signal(1), signal(3, PHASH)))])
    signed.sync(service.client)
    queries = [query(1), query(signal(3, PHASH))]
    assert [len(result.matches) for result in signed.match(queries).results] == [1, 0]
    service.root(NORTH, SOUTH)
    signed.sync(service.client)
    assert [len(result.matches) for result in signed.match(queries).results] == [1, 1]


def test_a_state_that_no_root_approved_is_removed(service: Service, signed: LocalIndex, folder: Path) -> None:
    contributed(service.db, service.actor, draft(1), draft(2))
    with LocalIndex(folder, service.clock) as plain:
        plain.sync(service.client)
    opinions.give(service.db, member_with(service.db), 1, OpinionDraft(Stance.CONFIRMS))
    service.root(NORTH, SOUTH)
    contributions.withdraw(service.db, service.actor, 1, "other")
    contributions.withdraw(service.db, service.actor, 2, "other")
    # The root has contribution 1 as confirmed, a state that the feed no longer has.
    # It has contribution 2 in the same state as the copy.
    signed.sync(service.client)
    assert matched(signed, 1, 2) == [2]
    service.root(NORTH, SOUTH)
    signed.sync(service.client)
    assert matched(signed, 1, 2) == []


def test_a_contribution_that_the_feed_shows_as_changed_10_times_is_reported(
    service: Service, signed: LocalIndex
) -> None:
    contributed(service.db, service.actor, draft(1), draft(2))
    service.root(NORTH, SOUTH)
    signed.sync(service.client)
    contributed(service.db, service.actor, draft(3))
    for number in range(4, 15):
        contributed(service.db, service.actor, draft(number))
        # The operator shows the change of contribution 3 as a new one each time.
        service.wire.later_seqs = {3: service.root(NORTH, SOUTH).covers + 1}
        # Time alone is no reason for an error: organisations may be unavailable.
        service.clock.advance(hours=1)
        if number < 14:
            assert signed.sync(service.client) == 1 and signed.sync(service.client) == 0
        else:
            with pytest.raises(NotAsLogged, match=r"^contribution 3 .* at 10 roots in a row, the feed said that it"):
                signed.sync(service.client)
    assert len(signed) == 12


def test_a_false_covers_of_a_root_does_not_approve_an_old_copy(
    service: Service, signed: LocalIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`covers` is not signed, so a false one must not make the newest root approve an old copy."""
    contributed(service.db, service.actor, draft(1), draft(2))
    old = service.root(NORTH, SOUTH)
    signed.sync(service.client)
    contributed(service.db, service.actor, draft(3))
    service.root(NORTH, SOUTH)
    new = service.client.set_root()
    monkeypatch.setattr(service.client, "stream", lambda after, *, epoch, wait: [FeedPage((), after, False, epoch)])
    monkeypatch.setattr(service.client, "set_root", lambda: replace(new, covers=old.covers))
    with pytest.raises(NotAsLogged, match=r"^contribution 3 "):
        signed.sync(service.client)


def test_an_older_signed_root_is_rejected(
    service: Service, signed: LocalIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    contributed(service.db, service.actor, draft(1), draft(2))
    service.root(NORTH, SOUTH)
    old = service.client.set_root()
    contributed(service.db, service.actor, draft(3))
    new = service.root(NORTH, SOUTH)
    signed.sync(service.client)
    monkeypatch.setattr(service.client, "set_root", lambda: replace(old, covers=new.covers))
    with pytest.raises(LogRewritten, match=f"is of event {old.seq} .* was of event {new.seq}"):
        signed.sync(service.client)


def test_an_approval_is_read_back_and_holds_only_for_its_policy() -> None:
    approval = Approval("note", 7, NOON, ("key",), {3: 2})
    assert Approval.parse(approval.text) == approval
    assert find_approval(replace(approval, logs=()).text, POLICY) is None
