"""A check of a copy against the log: a correct copy passes, and each contribution that differs is reported."""

from __future__ import annotations

import pytest

from hashdb.domain.contributions import Amendment, Media
from hashdb.domain.frames import Frame
from hashdb.domain.ledger.events import Action
from hashdb.domain.matching.benign import BenignDraft
from hashdb.domain.sharing.feed import FeedStep, Gone
from hashdb.errors import CheckTooEarly, CopyBehind, LogRewritten
from hashdb.local import LocalIndex
from hashdb.local.checking import MOST_FINDINGS, CopyCheck, check_copy
from hashdb.local.syncing import ignore
from hashdb.service.contributions import contributions
from hashdb.service.matching import benign
from tests.builders import contributed, copied, draft, near, signal, signature, text, video, words
from tests.local.conftest import Service


def check_now(service: Service, index: LocalIndex) -> CopyCheck:
    return check_copy(index.opened().tables, service.client, service.client.check().now, ignore)


def reasons(check: CopyCheck) -> dict[int, str]:
    return {finding.contribution: finding.reason.rpartition(" (")[0] or finding.reason for finding in check.findings}


def test_a_copy_with_all_kinds_of_items_agrees_with_the_log(service: Service, index: LocalIndex) -> None:
    card = [near(signal(1), bits, bits) for bits in (0, 4, 8)]
    frames = tuple(Frame(float(at), (hash,), 90) for at, hash in enumerate([*card, signal(2), signal(3), signal(4)]))
    contributed(
        service.db,
        service.actor,
        draft(5, signatures=(signature(1),)),
        draft(media=Media.VIDEO, frames=frames, duration=6.0),
        text(words(1, 600)),
        draft(1),
        video(7, 8),
    )
    # The benign entry suppresses shots of the video, and all of contribution 4.
    benign.add(service.db, service.actor, BenignDraft((signal(1),)))
    contributions.withdraw(service.db, service.actor, 5, "other")
    committed = service.root()
    index.sync(service.client)
    check = check_now(service, index)
    assert reasons(check) == {} and (check.changed, check.unproven) == (0, 0)
    assert (check.contributions, check.with_commitment, committed.count) == (3, 3, 4)
    assert check.committed == committed and check.seq >= committed.covers


def test_a_change_after_the_root_is_proven_by_its_event(service: Service, index: LocalIndex) -> None:
    contributed(service.db, service.actor, draft(1), draft(2))
    service.root()
    contributed(service.db, service.actor, draft(3))
    contributions.withdraw(service.db, service.actor, 1, "other")
    contributions.amend(service.db, service.actor, 2, Amendment(labels=("incitement",)))
    index.sync(service.client)
    check = check_now(service, index)
    assert (reasons(check), check.changed, check.unproven) == ({}, 2, 0)
    earlier = service.client.check().now
    contributed(service.db, service.actor, draft(4))
    index.sync(service.client)
    check = check_copy(index.opened().tables, service.client, earlier, ignore)
    assert (reasons(check), check.changed, check.unproven) == ({}, 2, 1)


@pytest.mark.parametrize("beyond", [1, 10**9])
def test_a_change_that_the_feed_invents_is_reported(service: Service, index: LocalIndex, beyond: int) -> None:
    """It is reported at any seq after the checkpoint, because no later checkpoint would prove it."""
    contributed(service.db, service.actor, draft(1), draft(2))
    service.root()
    index.sync(service.client)
    earlier = service.client.check().now
    contributed(service.db, service.actor, draft(3))
    head = index.opened().tables.head().seq + beyond
    index.opened().tables.store([FeedStep(head, Gone(1, "withdrawn"))], head, None)
    check = check_copy(index.opened().tables, service.client, earlier, ignore)
    reason = f"the feed says that it changed with event {head}, but the log has no such event"
    assert [(finding.contribution, finding.reason) for finding in check.findings] == [(1, reason)]
    assert check.unproven == 0


def test_an_altered_removed_or_inserted_row_is_reported(service: Service, index: LocalIndex) -> None:
    contributed(service.db, service.actor, *(draft(seed) for seed in range(1, 7)))
    service.root()
    index.sync(service.client)
    tables = index.opened().tables
    head = tables.head()
    tables._connection.execute("UPDATE signals SET value = zeroblob(32) WHERE contribution = 2")
    tables._connection.execute("UPDATE contributions SET standing = 'confirmed' WHERE id = 3")
    tables._connection.execute("UPDATE contributions SET commitment = zeroblob(32) WHERE id = 4")
    tables._connection.execute("DELETE FROM contributions WHERE id = 5")
    steps = [FeedStep(head.seq, Gone(6, "withdrawn")), FeedStep(head.seq, copied(99, [signal(9)]))]
    tables.store(steps, head.seq, None)
    check = check_now(service, index)
    other = "its standing or its commitment differs from the active set of the log"
    assert [finding.contribution for finding in check.findings] == [2, 4, 3, 4, 5, 6, 99]
    assert reasons(check) == {
        2: "its hashes in the copy do not match the commitment in the log",
        3: other,
        4: other,
        5: "the active set of the log has it, but the copy does not",
        6: "the active set of the log has it, but the copy does not",
        99: "the copy has it, but the active set of the log does not",
    }


def test_a_withdrawal_with_the_seq_of_another_event_is_reported(service: Service, index: LocalIndex) -> None:
    contributed(service.db, service.actor, draft(1), draft(2), draft(3))
    covers = service.root().covers
    index.sync(service.client)
    # The service shows a withdrawal at the seq of another event.
    index.opened().tables.store([FeedStep(covers + 1, Gone(2, "withdrawn"))], covers + 1, None)
    check = check_now(service, index)
    assert reasons(check) == {2: "the active set of the log has it, but the copy does not"}


def test_the_number_of_findings_is_limited(service: Service, index: LocalIndex) -> None:
    contributed(service.db, service.actor, *(draft(seed) for seed in range(MOST_FINDINGS + 20)))
    service.root()
    index.sync(service.client)
    index.opened().tables._connection.execute("UPDATE contributions SET salt = zeroblob(16)")
    assert len(check_now(service, index).findings) == MOST_FINDINGS


def test_a_root_that_is_not_in_the_log_is_reported(service: Service, index: LocalIndex) -> None:
    contributed(service.db, service.actor, draft(1), draft(2))
    service.root()
    index.sync(service.client)
    service.write(
        "UPDATE events SET details = replace(details, '\"count\":2', '\"count\":3')"
        f" WHERE action = '{Action.SET_COMMITTED}'"
    )
    with pytest.raises(LogRewritten, match=r"event \d+ is not in the tree of the checkpoint$"):
        check_now(service, index)


def test_a_checkpoint_or_copy_older_than_the_root_is_reported(service: Service, index: LocalIndex) -> None:
    contributed(service.db, service.actor, draft(1))
    before = service.client.check().now
    index.sync(service.client)
    contributed(service.db, service.actor, draft(2))
    service.root()
    with pytest.raises(CheckTooEarly, match=r"^the checkpoint has \d+ events, .* check again in a minute$"):
        check_copy(index.opened().tables, service.client, before, ignore)
    with pytest.raises(CopyBehind, match=r"^the local copy has event \d+, .* run `hashdb sync`, and check again$"):
        check_now(service, index)
    index.opened().tables._connection.execute("PRAGMA user_version = 1")
    with LocalIndex(index.opened().tables.path.parent.parent, service.clock) as old, pytest.raises(CopyBehind):
        check_now(service, old)
