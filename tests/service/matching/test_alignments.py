"""Alignment of a video, text or document with the contributions that are close to it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, Actor
from hashdb.domain.frames import Frame, Unit
from hashdb.domain.matching.matches import Query
from hashdb.domain.signals import Algorithm
from hashdb.errors import InvalidInput, ScopeMissing
from hashdb.service import HashDB
from hashdb.service.contributions import contributions
from hashdb.service.matching import alignments
from tests.builders import clip, contributed, document, draft, excerpt, near, pages, signal, text, video, words


def test_a_video_is_aligned_with_videos_and_pictures_of_any_status(db: HashDB, actor: Actor, other: Actor) -> None:
    film, clip, still, one_frame_in_common, unlike = contributed(
        db,
        actor,
        video(*range(100, 140)),
        video(*range(700, 705), *range(120, 132)),
        draft(near(signal(103), 10)),
        video(100, 500, 501, signals=(signal(1, Algorithm.MD5),)),
        video(*range(800, 810)),
    )
    contributions.withdraw(db, actor, clip.id, "other")
    others = [contributions.get(db, COMMAND_LINE, each.id) for each in (clip, still, one_frame_in_common, unlike)]
    aligned = alignments.align_listed(db, COMMAND_LINE, film, others)
    assert len(aligned.shots) == 40
    # One frame in common is no segment.
    assert set(aligned.others) == {clip.id, still.id}
    (segment,) = aligned.others[clip.id].details.segments
    assert (segment.query, segment.speed, segment.frames, segment.distance) == ((20.0, 32.0), 1.0, 12, 0)
    assert segment.listed == pytest.approx((5.0, 17.0), abs=0.05)
    assert len(aligned.others[clip.id].shots) == 17
    (frame,) = aligned.others[still.id].details.frames
    assert (frame.at, dict(frame.distance)) == (3.0, {Algorithm.PDQ: 10})


def test_a_picture_is_aligned_with_its_times_in_a_video(db: HashDB, actor: Actor) -> None:
    still, film, other_picture = contributed(db, actor, draft(103), video(*range(100, 110), 103), draft(103, 104))
    aligned = alignments.align_listed(db, COMMAND_LINE, still, [film, other_picture])
    assert aligned.shots == ()
    assert {id: alignment.details.at for id, alignment in aligned.others.items()} == {film.id: (3.0, 10.0)}
    assert alignments.align_listed(db, COMMAND_LINE, still, [other_picture]) == ((), {})


def test_low_quality_shots_are_aligned_with_nothing(db: HashDB, actor: Actor) -> None:
    low_quality_frames = tuple(replace(frame, quality=20) for frame in clip(*range(100, 110), away=0).frames)
    still, film, low_quality_film = contributed(
        db,
        actor,
        draft(103),
        video(*range(100, 110)),
        replace(video(*range(100, 110)), frames=(*low_quality_frames, Frame(10.0, (signal(700),), 90)), duration=11.0),
    )
    for item in (still, film):
        assert low_quality_film.id not in alignments.align_listed(db, COMMAND_LINE, item, [low_quality_film]).others


def test_a_frame_with_a_digest_is_listed(db: HashDB, actor: Actor) -> None:
    md5 = signal(1, Algorithm.MD5)
    (listed,) = contributed(db, actor, draft(md5, quality=None))
    query = Query((), frames=(Frame(0.0, (signal(2), md5), 90),), duration=1.0)
    (near_item,) = alignments.list_near_frames(db, COMMAND_LINE, query, 10)
    assert (near_item.contribution.id, near_item.digest, near_item.hits[0].distance) == (listed.id, Algorithm.MD5, 0)


def test_only_reviewers_and_auditors_may_align(db: HashDB, actor: Actor) -> None:
    film, other_film = contributed(db, actor, video(1, 2, 3), video(1, 2, 3, 4))
    with pytest.raises(ScopeMissing):
        alignments.align_listed(db, actor, film, [other_film])


def test_items_near_query_frames_are_listed_with_segments_or_a_reason(db: HashDB, actor: Actor, other: Actor) -> None:
    md5 = signal(1, Algorithm.MD5)
    film, same_file, still, withdrawn, one_frame, _ = contributed(
        db,
        actor,
        video(*range(100, 140)),
        draft(md5, quality=None),
        draft(near(signal(122), 10)),
        video(*range(120, 126)),
        video(121, 600, 601),
        video(*range(800, 810)),
    )
    contributions.withdraw(db, actor, withdrawn.id, "other")
    query = clip(*range(300, 310), *range(120, 130), away=4)
    near_items = alignments.list_near_frames(db, COMMAND_LINE, replace(query, signals=(md5,)), 10)
    assert [(each.contribution.id, each.is_match, each.digest, len(each.hits)) for each in near_items] == [
        (film.id, True, None, 10),
        (still.id, True, None, 1),
        (same_file.id, True, Algorithm.MD5, 0),
        (withdrawn.id, False, None, 6),
        (one_frame.id, False, None, 1),
    ]
    of_film, of_still, _, of_withdrawn, of_one_frame = near_items
    (segment,) = of_film.details.segments
    assert (segment.query, segment.frames) == ((10.0, 20.0), 10)
    hit = of_film.hits[0]
    assert (hit.at, hit.listed) == (10.0, (20.0, 20.0))
    assert (hit.algorithm, hit.distance, hit.transform, hit.segment) == (Algorithm.PDQ, 4, None, 1)
    assert len(of_film.shots) == 40
    assert [(hit.at, hit.listed, hit.segment) for hit in of_still.hits] == [(12.0, None, None)]
    assert of_withdrawn.contribution.no_match_reason == "withdrawn" and of_withdrawn.details.segments
    (hit,) = of_one_frame.hits
    assert (hit.at, hit.listed, hit.distance, hit.segment) == (11.0, (0.0, 0.0), 4, None)


def test_a_wider_radius_lists_more_frames_and_transforms_are_named(db: HashDB, actor: Actor) -> None:
    contributed(db, actor, video(1, 2, 3, 4))
    far_query = Query((), frames=(Frame(0.0, (near(signal(1), 40),), 90),), duration=4.0)
    assert alignments.list_near_frames(db, COMMAND_LINE, far_query, 10) == ()
    (near_item,) = alignments.list_near_frames(db, COMMAND_LINE, replace(far_query, radius={Algorithm.PDQ: 40}), 10)
    assert [(hit.distance, hit.segment) for hit in near_item.hits] == [(40, None)]
    assert not near_item.is_match
    frames = tuple(
        Frame(float(at), (signal(at + 50),), 90, {"mirror": (near(signal(seed), 2),)})
        for at, seed in enumerate((1, 2, 3, 4))
    )
    (near_item,) = alignments.list_near_frames(db, COMMAND_LINE, Query((), frames=frames, duration=4.0), 10)
    assert near_item.is_match
    assert {(hit.transform, hit.segment) for hit in near_item.hits} == {("mirror", 1)}


def test_disabled_algorithms_and_members_are_rejected(db: HashDB, actor: Actor) -> None:
    query = Query((signal(1, Algorithm.AHASH),), frames=clip(1, 2, 3).frames, duration=3.0)
    with pytest.raises(InvalidInput):
        alignments.list_near_frames(db, COMMAND_LINE, query, 10)
    with pytest.raises(ScopeMissing):
        alignments.list_near_frames(db, actor, clip(1, 2, 3), 10)


def test_texts_and_documents_are_aligned_by_words_and_by_pages(db: HashDB, actor: Actor) -> None:
    listed = words(1, 800)
    whole, part, pictured, unlike = contributed(
        db, actor, document((1, 2, 3), listed), text(words(2, 200), listed[200:600]), draft(2), text(words(3, 400))
    )
    aligned = alignments.align_listed(db, COMMAND_LINE, whole, [part, pictured, unlike]).others
    assert aligned.keys() == {part.id, pictured.id}
    (segment,) = aligned[part.id].details.segments
    assert segment.unit is Unit.WORDS
    assert (*segment.query, *segment.listed) == pytest.approx((200, 600, 200, 600), abs=60)
    assert [(frame.at, frame.unit) for frame in aligned[pictured.id].details.frames] == [(2, Unit.PAGES)]
    back = alignments.align_listed(db, COMMAND_LINE, pictured, [whole]).others
    assert back[whole.id].details.pages == (2,)


def test_windows_and_pages_of_a_query_are_listed_with_their_segments(db: HashDB, actor: Actor) -> None:
    listed = words(1, 800)
    (contribution,) = contributed(db, actor, document((1, 2, 3), listed))
    query = Query((), frames=(*pages(8, 2, 3), *excerpt(words(2, 300), listed[200:600]).frames))
    (near_item,) = alignments.list_near_frames(db, COMMAND_LINE, query, 10)
    assert (near_item.contribution.id, near_item.is_match) == (contribution.id, True)
    of_pages = [(hit.at, hit.segment) for hit in near_item.hits if hit.unit is Unit.PAGES]
    of_words = [hit.segment for hit in near_item.hits if hit.unit is Unit.WORDS]
    assert of_pages == [(2, 2), (3, 2)]
    assert len(of_words) > 10 and set(of_words) == {1}
