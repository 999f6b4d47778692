"""A comparison of two items gives the same result as a match, and stores nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, Actor
from hashdb.domain.contributions import Draft
from hashdb.domain.frames import Unit
from hashdb.domain.matching.benign import BenignDraft
from hashdb.domain.matching.matches import Query
from hashdb.domain.signals import Algorithm
from hashdb.errors import ScopeMissing
from hashdb.service import HashDB
from hashdb.service.matching import benign, comparisons, matches
from tests.builders import (
    clip,
    contributed,
    document,
    draft,
    excerpt,
    near,
    query,
    signal,
    signature,
    sparse,
    video,
    words,
)

MD5 = signal(7, Algorithm.MD5)
MATCHING: dict[str, tuple[Query, Draft]] = {
    "near": (query(near(signal(1), 31)), draft(1)),
    "by a transform": (
        Query((signal(2),), transforms={"mirror": (near(signal(3), 9),)}),
        draft(3, signatures=(signature(1),)),
    ),
    "the same details": (
        Query((near(signal(4), 4),), signatures={"whole": (signature(1),)}),
        draft(4, signatures=(signature(1),)),
    ),
    "two videos": (clip(*range(300, 310), *range(120, 130)), video(*range(100, 140))),
    "the same file": (replace(clip(11, 12, 13), signals=(MD5,)), video(*range(200, 210), signals=(MD5,))),
    "a picture in a video": (query(near(signal(403), 4)), video(*range(400, 410), 403)),
    "a video with a picture": (clip(500, 501, 502), draft(501)),
}
NOT_MATCHING: dict[str, tuple[Query, Draft]] = {
    "too far": (query(near(signal(21), 32)), draft(21)),
    "sparse": (query(near(sparse(1), 30)), draft(sparse(1))),
    "phash alone": (
        query(signal(1, Algorithm.PHASH), signal(22)),
        draft(signal(1, Algorithm.PHASH), signal(23)),
    ),
    "contradicted": (
        Query((near(signal(24), 4),), signatures={"whole": (signature(1),)}),
        draft(24, signatures=(signature(2),)),
    ),
    "few frames": (clip(600, 620, 601), video(*range(610, 640))),
}


def test_a_comparison_equals_a_match_and_stores_nothing(db: HashDB, actor: Actor) -> None:
    head_before = db.store.head()
    pairs = MATCHING | NOT_MATCHING
    compared = {name: comparisons.compare(db, COMMAND_LINE, *pair) for name, pair in pairs.items()}
    assert db.store.head() == head_before
    listed = contributed(db, actor, *(draft for _, draft in pairs.values()))
    results = matches.match(db, actor, [query for query, _ in pairs.values()]).results
    for (name, comparison), contribution, result in zip(compared.items(), listed, results, strict=True):
        match = next((match for match in result.matches if match.contribution == contribution.id), None)
        assert comparison.is_match is (match is not None) is (name in MATCHING), name
        if match is not None:
            details = comparison.details
            assert (match.segments, match.at, match.frames) == (details.segments, details.at, details.frames), name
            assert match.digest is comparison.digest, name
        if match is not None and match.evidence is not None:
            assert comparison.verdict is not None
            assert (match.score, match.evidence.detail) == (comparison.verdict.score, comparison.verdict.detail), name
    contradicted = compared["contradicted"].verdict
    assert contradicted is not None and contradicted.contradicted


def test_a_comparison_lists_close_frames_with_the_times_of_both_videos(db: HashDB) -> None:
    comparison = comparisons.compare(db, COMMAND_LINE, *MATCHING["two videos"])
    assert [(hit.at, hit.listed, hit.segment) for hit in comparison.hits[:2]] == [
        (10.0, (20.0, 20.0), 1),
        (11.0, (21.0, 21.0), 1),
    ]
    assert (len(comparison.hits), len(comparison.shots), comparison.verdict) == (10, 40, None)
    assert [hit.segment for hit in comparisons.compare(db, COMMAND_LINE, *NOT_MATCHING["few frames"]).hits] == [None]


def test_a_comparison_lists_why_an_item_would_not_be_accepted(db: HashDB) -> None:
    benign.add(db, COMMAND_LINE, BenignDraft((signal(1), signal(103)), note="a test card"))
    queried, listed = MATCHING["near"]
    comparison = comparisons.compare(db, COMMAND_LINE, queried, replace(listed, quality=12))
    (low_quality, close_to_benign) = comparison.refused
    assert low_quality.startswith("quality 12 is too low")
    assert close_to_benign.startswith("one of its hashes is close to an entry of the benign list")
    # The benign list suppresses a shot of the video; the video itself would be accepted.
    of_video = comparisons.compare(db, COMMAND_LINE, clip(300, 103, 301), video(*range(100, 110)))
    assert (of_video.refused, of_video.hits, of_video.shots[3].masked) == ([], (), 1)


def test_only_reviewers_and_auditors_compare(db: HashDB, actor: Actor) -> None:
    with pytest.raises(ScopeMissing):
        comparisons.compare(db, actor, *MATCHING["near"])


def test_a_text_is_compared_with_a_document(db: HashDB) -> None:
    listed = words(1, 800)
    compared = comparisons.compare(db, COMMAND_LINE, excerpt(words(2, 300), listed[200:600]), document((1, 2), listed))
    (segment,) = compared.details.segments
    assert compared.is_match and segment.unit is Unit.WORDS and compared.verdict is None
    assert {hit.segment for hit in compared.hits} == {1}
    of_page = comparisons.compare(db, COMMAND_LINE, query(near(signal(2), 3)), document((1, 2), listed))
    assert of_page.is_match and of_page.details.pages == (2,)
    assert not comparisons.compare(db, COMMAND_LINE, excerpt(words(2, 300)), document((1, 2), listed)).is_match
