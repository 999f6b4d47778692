"""Neighbors of a contribution, and of signals that are not stored."""

from __future__ import annotations

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, Actor
from hashdb.domain.matching.benign import BenignDraft, BenignEntry
from hashdb.domain.signals import Algorithm
from hashdb.errors import InvalidInput, NotFound, ScopeMissing
from hashdb.service import HashDB
from hashdb.service.contributions import contributions
from hashdb.service.matching import benign, neighbors
from tests.builders import contributed, draft, near, signal, video

PDQ, PHASH = Algorithm.PDQ, Algorithm.PHASH


def test_neighbors_of_every_member_and_status_are_listed_nearest_first(db: HashDB, actor: Actor, other: Actor) -> None:
    listed, far = contributed(db, actor, draft(1, signal(1, PHASH)), draft(near(signal(1), 32)))
    closer, close = contributed(db, other, draft(near(signal(1), 4)), draft(near(signal(1), 8), signal(1, PHASH)))
    contributions.withdraw(db, other, closer.id, "other")
    neighbors_found = neighbors.list_near(db, COMMAND_LINE, listed.id, 10)
    assert [(neighbor.contribution.id, dict(neighbor.distance)) for neighbor in neighbors_found] == [
        (close.id, {PDQ: 8, PHASH: 0}),
        (closer.id, {PDQ: 4}),
    ]
    assert neighbors_found[1].no_match_reason == "withdrawn"
    assert neighbors_found[0].pairs[PDQ] == (signal(1), near(signal(1), 8))
    assert far.id not in {neighbor.contribution.id for neighbor in neighbors_found}
    assert len(neighbors.list_near(db, COMMAND_LINE, listed.id, 1)) == 1


def test_a_video_has_the_neighbors_of_its_frames_and_of_its_file(db: HashDB, actor: Actor, other: Actor) -> None:
    md5 = signal(1, Algorithm.MD5)
    whole, picture, video_with_a_frame, same_file, _ = contributed(
        db,
        actor,
        video(1, 2, 3, 4, signals=(md5,)),
        draft(near(signal(2), 10)),
        video(7, 3, 8),
        draft(md5, quality=None),
        draft(9),
    )
    neighbors_found = neighbors.list_near(db, COMMAND_LINE, whole.id, 10)
    assert {neighbor.contribution.id: dict(neighbor.distance) for neighbor in neighbors_found} == {
        picture.id: {Algorithm.PDQ: 10},
        video_with_a_frame.id: {Algorithm.PDQ: 0},
        same_file.id: {Algorithm.MD5: 0},
    }


def test_unstored_signals_are_searched_within_twice_the_radius(db: HashDB, actor: Actor) -> None:
    far, near_mirrored, _ = contributed(
        db, actor, draft(near(signal(1), 62)), draft(near(signal(2), 6)), draft(near(signal(1), 63))
    )
    neighbors_found = neighbors.list_near_signals(db, COMMAND_LINE, {"": [signal(1)], "mirror": [signal(2)]}, 10, {})
    assert [
        (neighbor.contribution.id, dict(neighbor.distance), dict(neighbor.nearest_transform))
        for neighbor in neighbors_found
    ] == [
        (near_mirrored.id, {PDQ: 6}, {PDQ: "mirror"}),
        (far.id, {PDQ: 62}, {}),
    ]
    assert not neighbors_found[1].matches({})


def test_the_nearest_benign_signal_is_returned_for_each_algorithm(db: HashDB, actor: Actor) -> None:
    entry = benign.add(db, COMMAND_LINE, BenignDraft((signal(1), signal(2), signal(1, PHASH)), note="a test card"))
    assert isinstance(entry, BenignEntry)
    nearest = neighbors.nearest_benign(
        db, COMMAND_LINE, [near(signal(2), 16), near(signal(1), 40), near(signal(1, PHASH), 3)]
    )
    assert [(each.algorithm, each.distance, each.radius, each.would_reject, each.name) for each in nearest] == [
        (PDQ, 16, 15, False, "a test card"),
        (PHASH, 3, 3, True, "a test card"),
    ]
    assert neighbors.nearest_benign(db, COMMAND_LINE, []) == ()
    with pytest.raises(ScopeMissing):
        neighbors.nearest_benign(db, actor, [])


def test_disabled_algorithms_members_and_unknown_ids_are_rejected(db: HashDB, actor: Actor) -> None:
    (contribution,) = contributed(db, actor, draft(1))
    with pytest.raises(InvalidInput) as caught:
        neighbors.list_near_signals(db, COMMAND_LINE, {"": [signal(1), signal(1, Algorithm.AHASH)]}, 1, {})
    assert [fault.at for fault in caught.value.faults] == ["signals[1]"]
    with pytest.raises(ScopeMissing):
        neighbors.list_near(db, actor, contribution.id, 1)
    with pytest.raises(ScopeMissing):
        neighbors.list_near_signals(db, actor, {}, 1, {})
    with pytest.raises(NotFound):
        neighbors.list_near(db, COMMAND_LINE, 99, 1)
