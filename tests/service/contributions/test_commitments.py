"""Commitments: a reader of the signals can prove with the salt that they are the signals of the event."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import update

from hashdb.domain.accounts.members import COMMAND_LINE, SYSTEM, Actor, Scope
from hashdb.domain.contributions import Contribution, Filter, Standing
from hashdb.domain.frames import Frame, split_shots
from hashdb.domain.ledger.commitments import commit_lines, item_lines
from hashdb.domain.ledger.events import Action, Event
from hashdb.domain.matching.benign import BenignDraft
from hashdb.domain.review.cases import OpinionDraft, Stance
from hashdb.domain.sharing.feed import Gone
from hashdb.domain.signals import Algorithm
from hashdb.service import HashDB
from hashdb.service.contributions import commitments, contributions
from hashdb.service.ledger.verification import verify
from hashdb.service.matching import benign
from hashdb.service.review import opinions
from hashdb.service.sharing import feed
from hashdb.store.tables import contributions as table
from tests.builders import contributed, draft, member_with, near, signal, signature, video

FRAMES = (
    Frame(0.0, (signal(1), signal(2, Algorithm.PHASH256)), 90),
    Frame(1.0, (near(signal(1), 2),), 90),
    Frame(2.5, (signal(3),), 90),
    Frame(3.0, (signal(4),), 20),
)
VIDEO = replace(video(1), frames=FRAMES, duration=4.0)


def events(db: HashDB, after: int = 0) -> list[Event]:
    with db.store.read() as tx:
        return list(tx.audit.since(after, 1_000))


def remove_commitments(db: HashDB, *ids: int) -> None:
    """Remove salt and commitment of contributions: an older version stores none."""
    with db.store.begin() as tx:
        tx.connection.execute(update(table).where(table.c.id.in_(ids)).values(salt=None, commitment=None))


def suppress(db: HashDB, *seeds: int) -> None:
    benign.add(db, COMMAND_LINE, BenignDraft(tuple(map(signal, seeds))))
    benign.settle(db)


def compute_commitment(seen: Contribution, frames: tuple[Frame, ...] = ()) -> bytes:
    """Compute the commitment from a contribution as a reader sees it."""
    assert seen.salt is not None
    lines = item_lines(seen.signals, split_shots(frames or seen.frames), seen.signatures)
    return commit_lines(seen.salt, lines, seen.undisclosed)


def test_readers_compute_the_commitment_that_the_event_contains(db: HashDB, actor: Actor) -> None:
    head = db.store.head().seq
    added = contributed(db, actor, draft(1, 2, signatures=(signature(1),)), VIDEO)
    logged = {event.id: event.details["commitment"] for event in events(db, head)}
    for contribution in added:
        assert contribution.commitment is not None and logged[contribution.id] == contribution.commitment.hex()
    changes = feed.read(db, SYSTEM, 0, 10).changes
    for change, contribution in zip(changes, added, strict=True):
        assert isinstance(change.what, Contribution)
        assert compute_commitment(change.what) == change.what.commitment == contribution.commitment
    assert compute_commitment(contributions.get(db, actor, added[0].id)) == added[0].commitment
    assert compute_commitment(contributions.page(db, actor, Filter(), 0, 1)[0]) == added[0].commitment
    (again,) = contributed(db, actor, draft(1, 2))
    assert (again.salt, again.commitment) == (added[0].salt, added[0].commitment)


def test_readers_without_signals_see_neither_salt_nor_seals(db: HashDB, actor: Actor) -> None:
    (contribution,) = contributed(db, actor, draft(1, 2))
    suppress(db, 2)
    for reader in (actor, member_with(db, Scope.FEED)):
        seen = contributions.get(db, reader, contribution.id)
        assert (len(seen.undisclosed), compute_commitment(seen)) == (1, contribution.commitment)
    reviewer = member_with(db, Scope.REVIEW)
    opinions.give(db, member_with(db), contribution.id, OpinionDraft(Stance.DISPUTES, "other"))
    seen = contributions.get(db, reviewer, contribution.id)
    assert (seen.signals, seen.salt, seen.undisclosed, seen.commitment) == ((), None, (), contribution.commitment)


def test_readers_compute_the_commitment_of_a_video_with_suppressed_signals(db: HashDB, actor: Actor) -> None:
    (contribution,) = contributed(db, actor, VIDEO)
    suppress(db, 1)
    change = feed.read(db, SYSTEM, 0, 10).changes[-1]
    assert isinstance(change.what, Contribution)
    assert (len(change.what.undisclosed), compute_commitment(change.what)) == (1, contribution.commitment)
    frames = contributions.frames(db, actor, contribution.id)
    assert compute_commitment(contributions.get(db, actor, contribution.id), frames) == contribution.commitment


def test_the_feed_has_the_commitment_of_a_suppressed_contribution(db: HashDB, actor: Actor) -> None:
    (contribution,) = contributed(db, actor, draft(1))
    suppress(db, 1)
    change = feed.read(db, SYSTEM, 0, 10).changes[-1]
    assert change.what == Gone(contribution.id, "masked", None, Standing.UNREVIEWED, contribution.commitment)


def test_old_contributions_get_a_commitment_once_and_are_in_the_feed_again(db: HashDB, actor: Actor) -> None:
    added = contributed(db, actor, draft(1), VIDEO, draft(3), draft(4))
    contributions.withdraw(db, actor, added[2].id, "other")
    remove_commitments(db, *(contribution.id for contribution in added[:3]))
    head = db.store.head().seq
    assert [commitments.commit(db, 1), commitments.commit(db), commitments.commit(db)] == [1, 1, 0]
    changes = feed.read(db, SYSTEM, head, 10).changes
    for event, change, contribution in zip(events(db, head), changes, added[:2], strict=True):
        assert (event.action, event.id, event.actor) == (Action.CONTRIBUTION_COMMITTED, contribution.id, str(SYSTEM))
        assert isinstance(change.what, Contribution)
        computed = compute_commitment(change.what)
        assert (event.details, change.what.commitment) == ({"commitment": computed.hex()}, computed)
    assert contributions.get(db, actor, added[2].id).salt is None


def test_a_commitment_that_another_process_adds_meanwhile_is_kept(
    db: HashDB, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = contributed(db, actor, draft(1), draft(2))
    remove_commitments(db, first.id, second.id)
    begin = db.store.begin

    def commit_in_between() -> object:
        monkeypatch.undo()
        commitments.commit(db, 1)
        return begin()

    monkeypatch.setattr(db.store, "begin", commit_in_between)
    assert commitments.commit(db) == 2
    logged = [(event.id, event.details) for event in events(db) if event.action == Action.CONTRIBUTION_COMMITTED]
    stored = [contributions.get(db, actor, id).commitment for id in (first.id, second.id)]
    assert None not in stored
    assert logged == [
        (id, {"commitment": (hash or b"").hex()}) for id, hash in zip((first.id, second.id), stored, strict=True)
    ]


def test_an_erasure_deletes_the_salt_at_once_and_keeps_the_commitment(db: HashDB, actor: Actor) -> None:
    (contribution,) = contributed(db, actor, draft(1))
    contributions.erase(db, actor, contribution.id)
    seen = contributions.get(db, actor, contribution.id)
    assert (seen.salt, seen.commitment) == (None, contribution.commitment)
    with db.store.read() as tx:
        assert tx.connection.scalar(table.select().with_only_columns(table.c.salt)) is None
    assert commitments.commit(db) == 0
    assert verify(db, COMMAND_LINE).findings == ()
