"""A local copy answers as the service does."""

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


def mixed(seed: int) -> list[Query]:
    """Queries of one, two and many signals, near what is stored and not, some narrower, some through a transform."""
    chance = random.Random(seed)
    asked = []
    for number in range(60):
        one = near(signal(chance.randrange(40)), chance.randrange(0, 40), number)
        two = near(signal(chance.randrange(40), PHASH), chance.randrange(0, 8), number)
        kinds = (
            Query((one,), str(number)),
            Query((one, two), str(number), {Algorithm.PDQ: chance.randrange(41)}),
            Query((signal(1_000 + number),), transforms={"mirror": (one, two)}),
            Query(tuple(signal(seed) for seed in range(chance.randrange(1, 60)))),
        )
        asked.append(chance.choice(kinds))
    return asked


def test_a_copy_answers_for_videos_as_the_service_does(service: Service, index: LocalIndex) -> None:
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
    asked = [Query((), frames=clip, duration=25.0), Query((signal(149),)), Query((digest,))]
    answer = service.client.match(asked)
    assert index.match(asked) == answer
    of_clip, of_picture, of_digest = (result.matches for result in answer.results)
    assert [match.contribution for match in of_clip] == [contribution.id for contribution in recorded]
    assert (of_clip[0].segments[0].frames, of_clip[1].frames[0].at, of_picture[0].at) == (20, 11.5, (49.0,))
    assert of_digest[0].digest is Algorithm.MD5


def test_a_copy_does_not_match_a_title_card_that_is_benign(service: Service, index: LocalIndex) -> None:
    card = [near(signal(1), bits, bits) for bits in (0, 4, 8)]
    frames = tuple(Frame(float(at), (one,), 90) for at, one in enumerate([*card, signal(2), signal(3), signal(4)]))
    (film,) = contributed(service.db, service.actor, draft(media=Media.VIDEO, frames=frames, duration=6.0))
    asked = [Query((one,)) for one in (*card, signal(3))]
    assert index.sync(service.client) and index.match(asked) == service.client.match(asked)
    benign.add(service.db, COMMAND_LINE, BenignDraft((signal(1),)))
    index.sync(service.client)
    results = index.match(asked).results
    assert [[match.contribution for match in result.matches] for result in results] == [[], [], [], [film.id]]


def test_a_copy_answers_every_query_as_the_service_does(service: Service, index: LocalIndex) -> None:
    other = member_with(service.db)
    chance = random.Random(1)
    for actor in (service.actor, other):
        drafts = [
            draft(chance.randrange(40), signal(chance.randrange(40), PHASH), severity=chance.choice((None, 4)))
            for _ in range(60)
        ]
        contributed(service.db, actor, *drafts)
    index.sync(service.client)
    assert index.match(mixed(1)) == service.client.match(mixed(1))
    contributions.withdraw(service.db, service.actor, 3, "other")
    contributions.amend(service.db, service.actor, 5, Amendment(labels=("incitement",), context=("synthetic",)))
    contributions.erase(service.db, other, 70)
    contributed(service.db, other, draft(7, signal(200, PHASH)))
    assert index.match(mixed(2)) != service.client.match(mixed(2))
    index.sync(service.client)
    assert index.match(mixed(2)) == service.client.match(mixed(2))
    assert len(index) == sum(one.status == "active" for one in service.client.contributions())


def test_a_copy_verifies_as_the_service_does(service: Service, index: LocalIndex) -> None:
    whole, part = signal(1), signal(2, PHASH256)
    own = (signature(1), signature(1, Kind.COLOUR))
    contributed(
        service.db, service.actor, draft(whole, part, signatures=own), draft(near(whole, 8), signatures=own[:1])
    )
    index.sync(service.client)
    views = {"mirror": (near(part, 6),)}
    asked = [
        Query((near(whole, 4),), transforms=views, signatures={"whole": own, "mirror": (signature(3),)}),
        Query((near(whole, 4),), transforms=views, signatures={"whole": own}, order=Order.SCORE, min_score=1.0),
        Query((near(whole, 4),), min_score=9.0),
    ]
    answer = service.client.match(asked)
    assert index.match(asked) == answer
    first = answer.results[0].matches[0]
    assert first.evidence is not None
    assert (first.evidence.views, first.evidence.detail, first.evidence.colour) == (("whole", "mirror"), 0.0, 0.0)
    contributions.erase(service.db, COMMAND_LINE, 1)
    index.sync(service.client)
    assert index.match(asked) == service.client.match(asked)


def test_a_copy_answers_for_texts_and_documents_as_the_service_does(service: Service, index: LocalIndex) -> None:
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
    asked = [inside, Query((), frames=(*shown, *inside.frames)), Query((signal(103),)), alone, Query((address,))]
    answer = service.client.match(asked)
    assert index.match(asked) == answer
    of_text, of_document, of_picture, of_window, of_address = (result.matches for result in answer.results)
    assert [match.segments[0].unit for match in of_text] == [Unit.WORDS] * 2
    by_id = {match.contribution: match for match in of_document}
    assert {segment.unit for segment in by_id[recorded[1].id].segments} == {Unit.PAGES, Unit.WORDS}
    assert [(frame.at, frame.unit) for frame in by_id[recorded[2].id].frames] == [(9, Unit.PAGES)]
    assert [match.pages for match in of_picture] == [(3,)]
    assert all((windows[3].at, windows[3].end) in match.words for match in of_window) and len(of_window) == 2
    assert [match.digest for match in of_address] == [Algorithm.URL]
    contributions.withdraw(service.db, service.actor, recorded[0].id, "other")
    contributions.erase(service.db, COMMAND_LINE, recorded[1].id)
    index.sync(service.client)
    assert index.match(asked) == service.client.match(asked)
    assert index.match([inside, alone]).results[0].matches == ()
    assert index.opened().tables.all_values(Algorithm.SIMHASH256) == b""


def test_a_copy_of_version_0_1_0_goes_on_until_it_is_made_anew(
    service: Service, index: LocalIndex, folder: Path
) -> None:
    contributed(service.db, service.actor, draft(1, signatures=(signature(1),)), video(2, 3))
    index.sync(service.client)
    with closing(sqlite3.connect(next(folder.glob("copy-*")) / COPY_FILE)) as tables:
        # As that version made them: without frames.
        tables.execute("DELETE FROM signals WHERE place = 64")
        for table in ("shots", "signatures", "gone"):
            tables.execute(f"DROP TABLE {table}")
        for column in ("duration", "pages", "words", "salt", "commitment", "undisclosed"):
            tables.execute(f"ALTER TABLE contributions DROP COLUMN {column}")
        tables.execute("ALTER TABLE signals DROP COLUMN place")
        tables.execute("ALTER TABLE state DROP COLUMN approval")
        tables.execute("PRAGMA user_version = 1")
        tables.commit()
    asked = [Query((near(signal(1), 2),), signatures={"whole": (signature(1),)}), clip(2, 3), Query((signal(3),))]
    policy = Policy.parse("quorum none\n")
    with LocalIndex(folder, service.clock) as old, LocalIndex(folder, service.clock, policy) as strict:
        results = old.match(asked).results
        assert [[match.contribution for match in result.matches] for result in results] == [[1], [], []]
        assert results[0].matches[0].evidence is not None
        assert results[0].matches[0].evidence.detail is None
        assert old.opened().tables.shares(0, 100) and not old.opened().tables.gone_after(0)
        with pytest.raises(CopyNotApproved):
            strict.match(asked)
        old.sync(service.client)
        assert old.match(asked) == service.client.match(asked)
        assert old.opened().tables.current


def test_many_matches_are_cut_as_the_service_cuts_them(service: Service, index: LocalIndex) -> None:
    near_ones = [draft(near(signal(1), number % 20, number), signal(number, PHASH)) for number in range(1_200)]
    for start in (0, 1_000):
        contributed(service.db, service.actor, *near_ones[start : start + 1_000])
    index.sync(service.client)
    asked = [query(1), Query((signal(1), signal(7, PHASH)))]
    answer = index.match(asked)
    assert answer == service.client.match(asked)
    assert [(len(result.matches), result.truncated) for result in answer.results] == [(1_000, True)] * 2


def test_it_answers_while_the_service_is_away_and_says_how_old_it_is(service: Service, index: LocalIndex) -> None:
    contributed(service.db, service.actor, draft(1), draft(2, expires_at=service.clock.at + timedelta(hours=1)))
    index.sync(service.client)
    expected = service.client.match([query(1), query(2)])
    service.wire.away = True
    assert index.match([query(1), query(2)]) == expected
    service.clock.go(hours=2)
    assert index.age == timedelta(hours=2)
    assert [len(result.matches) for result in index.match([query(1), query(2)]).results] == [1, 0]  # one expired
    assert index.checkpoint == expected.checkpoint


def test_the_test_item_matches_in_a_copy_too(service: Service, index: LocalIndex) -> None:
    index.sync(service.client)
    asked = [Query(TEST_SIGNALS[:3])]
    assert index.match(asked) == service.client.match(asked)
    assert index.match(asked).results[0].matches[0].labels == ("test",)


def test_it_refuses_what_the_service_refuses(service: Service, index: LocalIndex) -> None:
    index.sync(service.client)
    for asked in (query(1, pdq=41), Query((signal(1, Algorithm.DHASH),))):
        with pytest.raises(InvalidInput) as here:
            index.match([asked])
        with pytest.raises(InvalidInput) as there:
            service.client.match([asked])
        assert [one.reason for one in here.value.faults] == [one.reason for one in there.value.faults]
    assert index.match([query(1, pdq=40)]) == service.client.match([query(1, pdq=40)])


def test_a_suspended_member_leaves_the_copy_and_comes_back(service: Service, index: LocalIndex) -> None:
    other = member_with(service.db)
    contributed(service.db, other, draft(1))
    assert other.member is not None
    for status, count in ((MemberStatus.SUSPENDED, 0), (MemberStatus.ACTIVE, 1)):
        members.change(service.db, COMMAND_LINE, other.member.id, MemberChange(status=status))
        contributions.emit_pending(service.db)
        index.sync(service.client)
        assert len(index.match([query(1)]).results[0].matches) == count


def test_without_a_copy_it_says_how_to_get_one(index: LocalIndex, folder: Path) -> None:
    with pytest.raises(NoCopy, match=rf"^there is no local copy in {folder}: run `hashdb sync` first$"):
        index.match([query(1)])


def test_several_threads_and_copies_read_while_one_syncs(service: Service, folder: Path, index: LocalIndex) -> None:
    index.sync(service.client)

    def found(seed: int) -> set[tuple[int, ...]]:
        """How often each copy finds the contribution before this one, and this one."""
        queries = [query(seed - 1), query(seed)]
        with LocalIndex(folder) as other:
            return {tuple(len(one.matches) for one in copy.match(queries).results) for copy in (other, index)}

    contributed(service.db, service.actor, draft(0))
    index.sync(service.client)
    with ThreadPoolExecutor(4) as pool:
        for seed in range(1, 12):
            contributed(service.db, service.actor, draft(seed))
            readers = [pool.submit(found, seed) for _ in range(4)]
            index.sync(service.client)
            assert set().union(*(reader.result() for reader in readers)) <= {(1, 0), (1, 1)}
            assert found(seed) == {(1, 1)}


def test_the_copy_of_the_environment_is_the_one_of_hashdb_sync(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HASHDB_HOME", str(tmp_path))
    with LocalIndex.from_environment() as index, pytest.raises(NoCopy, match=str(tmp_path / "local")):
        len(index)


BOOKS = [words(seed, 900) for seed in range(4)]


def passage(chance: random.Random) -> list[str]:
    """Some words of a book, of which a few are changed."""
    start = chance.randrange(700)
    of_book = chance.choice(BOOKS)[start : start + chance.randrange(60, 500)]
    return [word if chance.random() > 0.04 else "changed" for word in of_book]


def leaves(chance: random.Random) -> tuple[Frame, ...]:
    """Some pages, of which a few are flat."""
    numbers = sorted(chance.sample(range(1, 30), chance.randrange(1, 6)))
    shown = [near(signal(chance.randrange(30)), chance.randrange(12)) for _ in numbers]
    return tuple(
        Frame(number, (one,), chance.choice((90, 90, 40)), unit=Unit.PAGES)
        for number, one in zip(numbers, shown, strict=True)
    )


@pytest.mark.parametrize("seed", range(3))
def test_a_copy_answers_any_text_and_document_as_the_service_does(
    service: Service, index: LocalIndex, seed: int
) -> None:
    chance = random.Random(seed)

    def listed() -> Draft:
        if chance.random() < 0.3:
            return draft(chance.randrange(30))
        pages = leaves(chance) if chance.random() < 0.6 else ()
        return draft(media=Media.DOCUMENT, quality=None, frames=(*pages, *text(passage(chance)).frames))

    def mixed_texts() -> list[Query]:
        between, least = words(99, chance.randrange(300)), chance.choice((None, 100, 300))
        inside = excerpt(passage(chance), between, passage(chance), min_words=least)
        alone = Query(inside.frames[-1].signals)
        return [inside, alone, Query((), frames=(*leaves(chance), *inside.frames)), Query((), frames=leaves(chance))]

    recorded = contributed(service.db, service.actor, *[listed() for _ in range(40)])
    benign.add(service.db, COMMAND_LINE, BenignDraft((signal(3), text(BOOKS[0]).frames[0].signals[0])))
    index.sync(service.client)
    asked = [query for _ in range(10) for query in (*mixed_texts(), Query((signal(chance.randrange(30)),)))]
    answer = service.client.match(asked)
    assert index.match(asked) == answer
    assert {segment.unit for result in answer.results for match in result.matches for segment in match.segments} == {
        Unit.PAGES,
        Unit.WORDS,
    }
    for contribution in recorded[::5]:
        contributions.erase(service.db, COMMAND_LINE, contribution.id)
    index.sync(service.client)
    assert index.match(asked) == service.client.match(asked)
