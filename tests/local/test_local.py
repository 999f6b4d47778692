"""A local copy returns the same matches as the service."""

from __future__ import annotations

import random
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, MemberChange, MemberStatus
from hashdb.domain.contributions import Amendment, Draft, Media
from hashdb.domain.frames import Frame, Unit
from hashdb.domain.ledger.policies import Policy
from hashdb.domain.matching.benign import BenignDraft
from hashdb.domain.matching.matches import Order, Query
from hashdb.domain.matching.testing import TEST_SIGNALS
from hashdb.domain.signals import Algorithm, Signal
from hashdb.domain.signatures import Kind
from hashdb.errors import CopyNotApproved, InvalidInput, NoCopy
from hashdb.local import LocalIndex
from hashdb.local.syncing import COPY_FILE
from hashdb.service.accounts import members
from hashdb.service.contributions import contributions
from hashdb.service.matching import benign
from tests.builders import (
    clip,
    contributed,
    draft,
    excerpt,
    member_with,
    near,
    query,
    signal,
    signature,
    text,
    video,
    words,
)
from tests.local.conftest import Service

PHASH, PHASH256 = Algorithm.PHASH, Algorithm.PHASH256


def random_queries(seed: int) -> list[Query]:
    """Queries of one to many signals, near stored ones or not. Some set a radius, some have transforms."""
    chance = random.Random(seed)
    queries = []
    for number in range(60):
        pdq = near(signal(chance.randrange(40)), chance.randrange(0, 40), number)
        phash = near(signal(chance.randrange(40), PHASH), chance.randrange(0, 8), number)
        kinds = (
            Query((pdq,), str(number)),
            Query((pdq, phash), str(number), {Algorithm.PDQ: chance.randrange(41)}),
            Query((signal(1_000 + number),), transforms={"mirror": (pdq, phash)}),
            Query(tuple(signal(seed) for seed in range(chance.randrange(1, 60)))),
        )
        queries.append(chance.choice(kinds))
    return queries


def test_a_copy_matches_videos_as_the_service_does(service: Service, index: LocalIndex) -> None:
    digest = Signal(Algorithm.MD5, 5)
    film = tuple(Frame(float(at), (signal(100 + at),), 90) for at in range(60))
    recorded = contributed(
        service.db,
        service.actor,
        draft(digest, media=Media.VIDEO, frames=film, duration=60.0),
        draft(131),
    )
    index.sync(service.client)
    clip = tuple(Frame(at + 0.5, (near(signal(120 + at), 4),), 90) for at in range(20))
    queries = [Query((), frames=clip, duration=25.0), Query((signal(149),)), Query((digest,))]
    response = service.client.match(queries)
    assert index.match(queries) == response
    clip_matches, picture_matches, digest_matches = (result.matches for result in response.results)
    assert [match.contribution for match in clip_matches] == [contribution.id for contribution in recorded]
    assert clip_matches[0].segments[0].frames == 20
    assert (clip_matches[1].frames[0].at, picture_matches[0].at) == (11.5, (49.0,))
    assert digest_matches[0].digest is Algorithm.MD5


def test_a_copy_does_not_match_a_title_card_that_is_benign(service: Service, index: LocalIndex) -> None:
    card = [near(signal(1), bits, bits) for bits in (0, 4, 8)]
    frames = tuple(Frame(float(at), (hash,), 90) for at, hash in enumerate([*card, signal(2), signal(3), signal(4)]))
    (film,) = contributed(service.db, service.actor, draft(media=Media.VIDEO, frames=frames, duration=6.0))
    queries = [Query((hash,)) for hash in (*card, signal(3))]
    assert index.sync(service.client) and index.match(queries) == service.client.match(queries)
    benign.add(service.db, COMMAND_LINE, BenignDraft((signal(1),)))
    index.sync(service.client)
    results = index.match(queries).results
    assert [[match.contribution for match in result.matches] for result in results] == [[], [], [], [film.id]]


def test_a_copy_matches_pictures_as_the_service_does(service: Service, index: LocalIndex) -> None:
    other = member_with(service.db)
    chance = random.Random(1)
    for actor in (service.actor, other):
        drafts = [
            draft(chance.randrange(40), signal(chance.randrange(40), PHASH), severity=chance.choice((None, 4)))
            for _ in range(60)
        ]
        contributed(service.db, actor, *drafts)
    index.sync(service.client)
    assert index.match(random_queries(1)) == service.client.match(random_queries(1))
    contributions.withdraw(service.db, service.actor, 3, "other")
    contributions.amend(service.db, service.actor, 5, Amendment(labels=("incitement",), context=("synthetic",)))
    contributions.erase(service.db, other, 70)
    contributed(service.db, other, draft(7, signal(200, PHASH)))
    assert index.match(random_queries(2)) != service.client.match(random_queries(2))
    index.sync(service.client)
    assert index.match(random_queries(2)) == service.client.match(random_queries(2))
    assert len(index) == sum(contribution.status == "active" for contribution in service.client.contributions())


def test_a_copy_verifies_matches_as_the_service_does(service: Service, index: LocalIndex) -> None:
    whole, part = signal(1), signal(2, PHASH256)
    own = (signature(1), signature(1, Kind.COLOUR))
    contributed(
        service.db, service.actor, draft(whole, part, signatures=own), draft(near(whole, 8), signatures=own[:1])
    )
    index.sync(service.client)
    views = {"mirror": (near(part, 6),)}
    queries = [
        Query((near(whole, 4),), transforms=views, signatures={"whole": own, "mirror": (signature(3),)}),
        Query((near(whole, 4),), transforms=views, signatures={"whole": own}, order=Order.SCORE, min_score=1.0),
        Query((near(whole, 4),), min_score=9.0),
    ]
    response = service.client.match(queries)
    assert index.match(queries) == response
    first = response.results[0].matches[0]
    assert first.evidence is not None
    assert (first.evidence.views, first.evidence.detail, first.evidence.colour) == (("whole", "mirror"), 0.0, 0.0)
    contributions.erase(service.db, COMMAND_LINE, 1)
    index.sync(service.client)
    assert index.match(queries) == service.client.match(queries)


def test_a_copy_matches_texts_and_documents_as_the_service_does(service: Service, index: LocalIndex) -> None:
    listed, other = words(1, 1_200), words(2, 900)
    address = Signal(Algorithm.URL, 5 << 128)
    pages = tuple(Frame(page, (signal(100 + page),), 90, unit=Unit.PAGES) for page in range(1, 6))
    windows = text(listed).frames
    recorded = contributed(
        service.db,
        service.actor,
        text(listed),
        draft(media=Media.DOCUMENT, quality=None, frames=(*pages, *windows)),
        draft(102),
        draft(address, media=Media.DOCUMENT, quality=None),
    )
    index.sync(service.client)
    inside = excerpt(other, listed[300:700], other)
    shown = tuple(replace(page, at=page.at + 7, signals=(near(page.signals[0], 4),)) for page in pages[1:4])
    alone = Query((windows[3].signals[0],))
    queries = [inside, Query((), frames=(*shown, *inside.frames)), Query((signal(103),)), alone, Query((address,))]
    response = service.client.match(queries)
    assert index.match(queries) == response
    by_text, by_document, by_picture, by_window, by_address = (result.matches for result in response.results)
    assert [match.segments[0].unit for match in by_text] == [Unit.WORDS] * 2
    by_id = {match.contribution: match for match in by_document}
    assert {segment.unit for segment in by_id[recorded[1].id].segments} == {Unit.PAGES, Unit.WORDS}
    assert [(frame.at, frame.unit) for frame in by_id[recorded[2].id].frames] == [(9, Unit.PAGES)]
    assert [match.pages for match in by_picture] == [(3,)]
    assert all((windows[3].at, windows[3].end) in match.words for match in by_window) and len(by_window) == 2
    assert [match.digest for match in by_address] == [Algorithm.URL]
    contributions.withdraw(service.db, service.actor, recorded[0].id, "other")
    contributions.erase(service.db, COMMAND_LINE, recorded[1].id)
    index.sync(service.client)
    assert index.match(queries) == service.client.match(queries)
    assert index.match([inside, alone]).results[0].matches == ()
    assert index.opened().tables.all_values(Algorithm.SIMHASH256) == b""


def test_a_copy_of_version_0_1_0_can_be_used_until_it_is_rebuilt(
    service: Service, index: LocalIndex, folder: Path
) -> None:
    contributed(service.db, service.actor, draft(1, signatures=(signature(1),)), video(2, 3))
    index.sync(service.client)
    with closing(sqlite3.connect(next(folder.glob("copy-*")) / COPY_FILE)) as tables:
        # Change the tables to those of version 0.1.0, which had no frames.
        tables.execute("DELETE FROM signals WHERE place = 64")
        for table in ("shots", "signatures", "gone"):
            tables.execute(f"DROP TABLE {table}")
        for column in ("duration", "pages", "words", "salt", "commitment", "undisclosed"):
            tables.execute(f"ALTER TABLE contributions DROP COLUMN {column}")
        tables.execute("ALTER TABLE signals DROP COLUMN place")
        tables.execute("ALTER TABLE state DROP COLUMN approval")
        tables.execute("PRAGMA user_version = 1")
        tables.commit()
    queries = [Query((near(signal(1), 2),), signatures={"whole": (signature(1),)}), clip(2, 3), Query((signal(3),))]
    policy = Policy.parse("quorum none\n")
    with LocalIndex(folder, service.clock) as old, LocalIndex(folder, service.clock, policy) as strict:
        results = old.match(queries).results
        assert [[match.contribution for match in result.matches] for result in results] == [[1], [], []]
        assert results[0].matches[0].evidence is not None
        assert results[0].matches[0].evidence.detail is None
        assert old.opened().tables.shares(0, 100) and not old.opened().tables.gone_after(0)
        with pytest.raises(CopyNotApproved):
            strict.match(queries)
        old.sync(service.client)
        assert old.match(queries) == service.client.match(queries)
        assert old.opened().tables.current


def test_a_copy_truncates_many_matches_as_the_service_does(service: Service, index: LocalIndex) -> None:
    drafts = [draft(near(signal(1), number % 20, number), signal(number, PHASH)) for number in range(1_200)]
    for start in (0, 1_000):
        contributed(service.db, service.actor, *drafts[start : start + 1_000])
    index.sync(service.client)
    queries = [query(1), Query((signal(1), signal(7, PHASH)))]
    response = index.match(queries)
    assert response == service.client.match(queries)
    assert [(len(result.matches), result.truncated) for result in response.results] == [(1_000, True)] * 2


def test_a_copy_matches_while_the_service_is_down_and_returns_its_age(service: Service, index: LocalIndex) -> None:
    contributed(service.db, service.actor, draft(1), draft(2, expires_at=service.clock.at + timedelta(hours=1)))
    index.sync(service.client)
    expected = service.client.match([query(1), query(2)])
    service.wire.is_down = True
    assert index.match([query(1), query(2)]) == expected
    service.clock.advance(hours=2)
    assert index.age == timedelta(hours=2)
    assert [len(result.matches) for result in index.match([query(1), query(2)]).results] == [1, 0]  # one expired
    assert index.checkpoint == expected.checkpoint


def test_the_test_item_matches_in_a_copy(service: Service, index: LocalIndex) -> None:
    index.sync(service.client)
    queries = [Query(TEST_SIGNALS[:3])]
    assert index.match(queries) == service.client.match(queries)
    assert index.match(queries).results[0].matches[0].labels == ("test",)


def test_a_copy_rejects_the_queries_that_the_service_rejects(service: Service, index: LocalIndex) -> None:
    index.sync(service.client)
    for invalid in (query(1, pdq=41), Query((signal(1, Algorithm.DHASH),))):
        with pytest.raises(InvalidInput) as copy_error:
            index.match([invalid])
        with pytest.raises(InvalidInput) as service_error:
            service.client.match([invalid])
        assert [fault.reason for fault in copy_error.value.faults] == [
            fault.reason for fault in service_error.value.faults
        ]
    assert index.match([query(1, pdq=40)]) == service.client.match([query(1, pdq=40)])


def test_contributions_of_a_suspended_member_leave_the_copy_and_return(service: Service, index: LocalIndex) -> None:
    other = member_with(service.db)
    contributed(service.db, other, draft(1))
    assert other.member is not None
    for status, count in ((MemberStatus.SUSPENDED, 0), (MemberStatus.ACTIVE, 1)):
        members.change(service.db, COMMAND_LINE, other.member.id, MemberChange(status=status))
        contributions.emit_pending(service.db)
        index.sync(service.client)
        assert len(index.match([query(1)]).results[0].matches) == count


def test_the_error_without_a_copy_says_how_to_get_one(index: LocalIndex, folder: Path) -> None:
    with pytest.raises(NoCopy, match=rf"^there is no local copy in {folder}: run `hashdb sync` first$"):
        index.match([query(1)])


def test_several_threads_can_match_in_two_copies_during_a_sync(
    service: Service, folder: Path, index: LocalIndex
) -> None:
    index.sync(service.client)

    def match_counts(seed: int) -> set[tuple[int, ...]]:
        """The numbers of matches of contribution `seed - 1` and `seed` in each of two copies."""
        queries = [query(seed - 1), query(seed)]
        with LocalIndex(folder) as other:
            return {tuple(len(result.matches) for result in copy.match(queries).results) for copy in (other, index)}

    contributed(service.db, service.actor, draft(0))
    index.sync(service.client)
    with ThreadPoolExecutor(4) as pool:
        for seed in range(1, 12):
            contributed(service.db, service.actor, draft(seed))
            readers = [pool.submit(match_counts, seed) for _ in range(4)]
            index.sync(service.client)
            assert set().union(*(reader.result() for reader in readers)) <= {(1, 0), (1, 1)}
            assert match_counts(seed) == {(1, 1)}


def test_from_environment_opens_the_copy_of_hashdb_sync(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HASHDB_HOME", str(tmp_path))
    with LocalIndex.from_environment() as index, pytest.raises(NoCopy, match=str(tmp_path / "local")):
        len(index)


BOOKS = [words(seed, 900) for seed in range(4)]


def random_passage(chance: random.Random) -> list[str]:
    """Some words of a book, with a few of them changed."""
    start = chance.randrange(700)
    copied = chance.choice(BOOKS)[start : start + chance.randrange(60, 500)]
    return [word if chance.random() > 0.04 else "changed" for word in copied]


def random_pages(chance: random.Random) -> tuple[Frame, ...]:
    """Some pages, a few of them with a low quality."""
    numbers = sorted(chance.sample(range(1, 30), chance.randrange(1, 6)))
    shown = [near(signal(chance.randrange(30)), chance.randrange(12)) for _ in numbers]
    return tuple(
        Frame(number, (hash,), chance.choice((90, 90, 40)), unit=Unit.PAGES)
        for number, hash in zip(numbers, shown, strict=True)
    )


@pytest.mark.parametrize("seed", range(3))
def test_a_copy_matches_random_texts_and_documents_as_the_service_does(
    service: Service, index: LocalIndex, seed: int
) -> None:
    chance = random.Random(seed)

    def listed() -> Draft:
        if chance.random() < 0.3:
            return draft(chance.randrange(30))
        pages = random_pages(chance) if chance.random() < 0.6 else ()
        return draft(media=Media.DOCUMENT, quality=None, frames=(*pages, *text(random_passage(chance)).frames))

    def random_text_queries() -> list[Query]:
        between, least = words(99, chance.randrange(300)), chance.choice((None, 100, 300))
        inside = excerpt(random_passage(chance), between, random_passage(chance), min_words=least)
        alone = Query(inside.frames[-1].signals)
        return [
            inside,
            alone,
            Query((), frames=(*random_pages(chance), *inside.frames)),
            Query((), frames=random_pages(chance)),
        ]

    recorded = contributed(service.db, service.actor, *[listed() for _ in range(40)])
    benign.add(service.db, COMMAND_LINE, BenignDraft((signal(3), text(BOOKS[0]).frames[0].signals[0])))
    index.sync(service.client)
    queries = [query for _ in range(10) for query in (*random_text_queries(), Query((signal(chance.randrange(30)),)))]
    response = service.client.match(queries)
    assert index.match(queries) == response
    assert {segment.unit for result in response.results for match in result.matches for segment in match.segments} == {
        Unit.PAGES,
        Unit.WORDS,
    }
    for contribution in recorded[::5]:
        contributions.erase(service.db, COMMAND_LINE, contribution.id)
    index.sync(service.client)
    assert index.match(queries) == service.client.match(queries)
