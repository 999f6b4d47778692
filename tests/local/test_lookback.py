"""Look-back reports the matches that a query for each remembered upload would return."""

from __future__ import annotations

import multiprocessing
import random
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from multiprocessing.synchronize import Barrier
from pathlib import Path
from threading import Thread

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.domain.contributions import Amendment, Draft
from hashdb.domain.frames import Unit
from hashdb.domain.matching.benign import BenignDraft
from hashdb.domain.matching.lookback import Cursor, FoundMatch, LookBackReport, ReportKind, TakenBack, Upload
from hashdb.domain.matching.matches import Match, Query
from hashdb.domain.matching.testing import TEST_SIGNALS
from hashdb.domain.signals import Algorithm, Signal
from hashdb.domain.signatures import Kind
from hashdb.errors import NoCopy
from hashdb.hashing.texts import hash_text
from hashdb.local import LocalIndex, lookback
from hashdb.local.lookback import LookBack
from hashdb.local.reports import Reports
from hashdb.service.contributions import contributions
from hashdb.service.matching import benign
from tests.builders import (
    NOON,
    clip,
    contributed,
    document,
    draft,
    excerpt,
    member_with,
    near,
    pages,
    query,
    signal,
    signature,
    sparse,
    text,
    video,
    words,
)
from tests.local.conftest import Service
from tests.looking_back import look_back_to_end

PHASH, PHASH256, MD5 = Algorithm.PHASH, Algorithm.PHASH256, Algorithm.MD5
URL = Algorithm.URL
HOUR = timedelta(hours=1)


class Member:
    """A member that remembers uploads, syncs its copy and looks back."""

    def __init__(self, service: Service, index: LocalIndex, folder: Path) -> None:
        self.service, self.index, self.folder = service, index, folder
        self.reports = Reports(folder / "remembered", service.clock)
        self.lookback = LookBack(index, self.reports, service.clock)
        self.known: list[tuple[str, str, int, str | None]] = []

    def remember(self, *uploads: Upload) -> None:
        self.index.remember(uploads)

    def sync(self) -> list[tuple[str, str, int, str | None]]:
        """Sync and look back. Return the new reports."""
        self.index.sync(self.service.client)
        look_back_to_end(self.lookback)
        every = [
            (str(report.kind), report.upload, report.match.contribution, report.reason) for report in self._reports()
        ]
        new, self.known = every[len(self.known) :], every
        return new

    def matches(self) -> dict[tuple[str, int], Match]:
        """The matches that were reported and not taken back."""
        current: dict[tuple[str, int], Match] = {}
        for report in self._reports():
            key = report.upload, report.match.contribution
            if report.kind is ReportKind.MATCHED:
                assert key not in current
                current[key] = report.match
            else:
                del current[key]
        return current

    def _reports(self) -> Iterator[LookBackReport]:
        number = 0
        while page := self.reports.after(number):
            yield from page
            number = page[-1].number


@pytest.fixture
def member(service: Service, index: LocalIndex, folder: Path) -> Member:
    return Member(service, index, folder)


def upload(id: str, *signals: Signal | int, days: float = 0, **fields: object) -> Upload:
    of_signals = query(*signals).signals
    return Upload(id, NOON - timedelta(days=days), Query(of_signals, **fields))  # type: ignore[arg-type]


def random_upload(chance: random.Random, id: str) -> Upload:
    """An upload with one or more signals, near listed ones or not, with transforms, signatures, a digest or frames."""
    seed = chance.randrange(30)
    pdq = near(signal(seed), chance.randrange(36), chance.randrange(9))
    phash = near(signal(chance.randrange(30), PHASH), chance.randrange(8), chance.randrange(9))
    phash256 = near(signal(seed, PHASH256), chance.randrange(20, 50), chance.randrange(9))
    own = (signature(chance.randrange(2) * seed), signature(seed, Kind.COLOUR))
    at = NOON - timedelta(days=chance.randrange(80), hours=chance.randrange(24))
    queries = (
        Query((pdq, phash, phash256)),
        Query((phash,)),
        Query((signal(900 + seed), phash)),
        Query((signal(900 + seed),), transforms={"mirror": (pdq, phash), "panel-1": (phash256,)}),
        Query((pdq, phash256), transforms={"mirror": (phash,)}, signatures={"whole": own}),
        Query((Signal(MD5, seed + 5), sparse(seed))),
        random_clip(chance, seed),
        random_clip(chance, seed),
        random_text(chance),
        Query((Signal(URL, seed // 3 + 1), Signal(URL, 900))),
    )
    return Upload(id, at, chance.choice(queries))


PASSAGES = [words(seed, 400) for seed in range(6)]


def random_text(chance: random.Random) -> Query:
    """A document with a long or short excerpt of a listed text, alone or among other words, or one window of it."""
    listed, first = chance.choice(PASSAGES), chance.randrange(200)
    parts = [listed[first : first + chance.choice((30, 150, 200, 300))]]
    if chance.random() < 0.5:
        parts = [words(chance.randrange(50, 60), chance.choice((40, 200))), *parts, words(60, 100)]
    query = excerpt(*parts)
    if chance.random() < 0.2:
        return Query((query.frames[0].signals[0],))
    return replace(query, frames=(*chance.choice(((), pages(900, chance.randrange(30), away=20))), *query.frames))


def random_clip(chance: random.Random, seed: int) -> Query:
    """A clip with frames near those of listed videos, in order or not, near pictures, or near nothing."""
    other = chance.randrange(30)
    seeds = chance.choice(
        ((800, seed, other, 500 + seed, 600 + other), (500 + seed, 801, 802), (seed, 803, 500 + seed))
    )
    frames = clip(*seeds, away=chance.randrange(30)).frames
    digests = chance.choice(((), (), (Signal(MD5, seed + 5),)))
    return Query(digests, frames=frames, duration=float(len(frames)))


def random_draft(chance: random.Random, now: datetime) -> Draft:
    seed, other = chance.randrange(30), chance.randrange(30)
    expires = chance.choice((None, now + timedelta(hours=chance.randrange(1, 12))))
    return chance.choice(
        (
            draft(seed, signal(other, PHASH), expires_at=expires),
            draft(signal(other, PHASH), expires_at=expires),
            draft(seed, signal(seed, PHASH256), signatures=(signature(seed), signature(seed, Kind.COLOUR))),
            draft(near(sparse(seed), 24), Signal(MD5, other + 5)),
            video(seed, other, 500 + seed, 600 + other, expires_at=expires),
            text(chance.choice(PASSAGES), expires_at=expires),
            text(chance.choice(PASSAGES)[: chance.choice((25, 170))], expires_at=expires),
            document((seed, 700 + other), chance.choice(PASSAGES)[100:], chance.choice(PASSAGES)),
            draft(Signal(URL, other // 3 + 1)),
        )
    )


def test_look_back_without_a_copy_raises_an_error(member: Member) -> None:
    with pytest.raises(NoCopy):
        look_back_to_end(member.lookback)


@pytest.mark.parametrize("walked_from", [lookback.WALKED_FROM, 0])
def test_look_back_reports_and_takes_back_the_same_matches_as_a_query(
    service: Service, member: Member, monkeypatch: pytest.MonkeyPatch, walked_from: int
) -> None:
    """The same holds for a walk, in which each upload is matched in the copy."""
    monkeypatch.setattr(lookback, "WALKED_FROM", walked_from)
    monkeypatch.setattr(lookback, "STEP", 7)
    chance, other = random.Random(walked_from), member_with(service.db)
    uploads = {str(number): random_upload(chance, str(number)) for number in range(100)}
    # This upload certainly matches.
    uploads["sure"] = upload("sure", 5_000)
    member.remember(*uploads.values())
    ids: list[int] = []
    counts = []
    for turn in range(4):
        drafts = [random_draft(chance, service.clock.at) for _ in range(12)]
        drafts.append(draft(5_000, expires_at=service.clock.at + timedelta(hours=4)))
        ids += [
            contribution.id for contribution in contributed(service.db, chance.choice((service.actor, other)), *drafts)
        ]
        for id in chance.sample(ids, 3 * turn):
            contributions.erase(service.db, COMMAND_LINE, id)
            ids.remove(id)
        if turn == 3:
            benign.add(service.db, COMMAND_LINE, BenignDraft((signal(3), signal(4, PHASH))))
        service.clock.advance(hours=3)
        reports = member.sync()
        expected: dict[tuple[str, int], Match] = {}
        for upload_id, each in uploads.items():
            (result,) = member.index.match([each.query]).results
            expected |= {(upload_id, match.contribution): match for match in result.matches}
        matches = member.matches()
        assert matches.keys() == expected.keys()
        for pair in [(upload_id, contribution) for kind, upload_id, contribution, _ in reports if kind == "matched"]:
            assert matches[pair] == expected[pair]
        counts.append(len(matches))
    assert min(counts) > 10 and any(kind == "taken-back" for kind, *_ in member.known)
    reasons = {reason for kind, *_, reason in member.known if kind == "taken-back"}
    assert {"withdrawn", "expired"} <= reasons, reasons


MANIFESTO, OTHER = words(1, 1_000), words(2, 900)
EXCERPT_QUERY = excerpt(OTHER, MANIFESTO[300:600], words(3, 700))
PAGES_QUERY = Query((), frames=pages(100, 101, 102, away=9))
LATER_LISTED = [
    pytest.param(text(MANIFESTO), EXCERPT_QUERY, id="text"),
    pytest.param(document((100, 101), MANIFESTO), EXCERPT_QUERY, id="text of a document"),
    pytest.param(document((200, 101, 201), OTHER), PAGES_QUERY, id="page"),
    pytest.param(document((200, 101, 201), OTHER), Query((near(signal(101), 9),)), id="picture of a page"),
    pytest.param(draft(101), PAGES_QUERY, id="page of a listed picture"),
    pytest.param(video(*range(100, 130)), clip(*range(110, 118)), id="video"),
    pytest.param(video(*range(100, 130)), Query((near(signal(110), 9),)), id="picture of a video"),
    pytest.param(draft(101), clip(500, 101, 501), id="video of a listed picture"),
    pytest.param(video(*range(100, 130)), PAGES_QUERY, id="page of a listed video"),
    pytest.param(draft(Signal(URL, 7 << 64)), Query((Signal(URL, 7 << 64), Signal(URL, 5))), id="address"),
    pytest.param(text(MANIFESTO[:120]), excerpt(OTHER, MANIFESTO[:120], OTHER), id="text of one window"),
    pytest.param(text(MANIFESTO), excerpt(MANIFESTO[300:400]), id="upload of one window"),
    pytest.param(text(MANIFESTO), Query((EXCERPT_QUERY.frames[38].signals[0],)), id="window"),
]


@pytest.mark.parametrize(("listed", "upload_query"), LATER_LISTED)
def test_an_item_contributed_later_is_reported_and_taken_back(
    service: Service, member: Member, listed: Draft, upload_query: Query
) -> None:
    """An upload that is remembered after the contribution is reported when the contribution is amended."""
    member.remember(Upload("a", NOON, upload_query), Upload("b", NOON, Query((signal(999),))))
    assert member.sync() == []
    contributed(service.db, service.actor, listed)
    assert member.sync() == [("matched", "a", 1, None)]
    (result,) = member.index.match([upload_query]).results
    assert member.matches() == {("a", 1): result.matches[0]}
    member.remember(Upload("c", NOON, upload_query))
    assert member.sync() == []
    contributions.amend(service.db, service.actor, 1, Amendment(labels=("incitement",)))
    assert member.sync() == [("matched", "c", 1, None)]
    contributions.withdraw(service.db, service.actor, 1, "other")
    assert sorted(member.sync()) == [("taken-back", "a", 1, "withdrawn"), ("taken-back", "c", 1, "withdrawn")]


def test_a_report_has_the_segment_of_words_that_match(service: Service, member: Member) -> None:
    member.remember(Upload("a", NOON, EXCERPT_QUERY))
    contributed(service.db, service.actor, text(MANIFESTO))
    member.sync()
    (segment,) = member.matches()["a", 1].segments
    assert segment.unit is Unit.WORDS
    assert segment.query == pytest.approx((900, 1_200), abs=50)
    assert segment.listed == pytest.approx((300, 600), abs=50)


def test_an_upload_with_only_one_near_frame_is_not_reported(service: Service, member: Member) -> None:
    window = hash_text(" ".join(MANIFESTO[300:450]))[0]
    texts = [
        replace(EXCERPT_QUERY, frames=(*hash_text(" ".join(words(seed, 600)))[:9], window)) for seed in range(20, 24)
    ]
    texts = [
        replace(text, frames=tuple(replace(frame, at=25.0 * at) for at, frame in enumerate(text.frames)))
        for text in texts
    ]
    member.remember(*[Upload(f"t{number}", NOON, query) for number, query in enumerate(texts)])
    member.remember(Upload("v", NOON, clip(500, 501, 110, 502, 503)))
    contributed(service.db, service.actor, text(MANIFESTO), video(*range(100, 130)))
    assert member.sync() == []


def test_a_passage_on_the_benign_list_is_not_reported(service: Service, member: Member) -> None:
    """The passage is a licence that is in both texts."""
    licence = words(9, 400)
    queries = [excerpt(words(5, 300), licence, words(6, 300)), excerpt(words(7, 200), MANIFESTO[:300], licence)]
    for start in range(0, 400, 25):
        for frame in hash_text(" ".join(licence[start:])):
            benign.add(service.db, COMMAND_LINE, BenignDraft(frame.signals))
    member.remember(*[Upload(id, NOON, query) for id, query in zip("ab", queries, strict=True)])
    contributed(service.db, service.actor, text(MANIFESTO[:500], licence, MANIFESTO[500:]))
    assert member.sync() == [("matched", "b", 1, None)]


def test_a_long_comparison_is_split_into_steps_and_newer_changes_go_first(
    service: Service, member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookback, "PAIRS_A_STEP", 50)
    monkeypatch.setattr("hashdb.local.upload_scans._PAIRS_A_PIECE", 50)
    member.remember(*[Upload(str(seed), NOON, clip(*range(seed, seed + 10))) for seed in range(0, 50, 10)])
    contributed(service.db, service.actor, video(*range(15, 35)))
    member.index.sync(service.client)
    assert [member.lookback.step() for _ in range(3)] == [(True, 0)] * 3
    contributed(service.db, service.actor, video(*range(40, 50)))
    newer = member.sync()
    assert newer[0] == ("matched", "40", 2, None)
    assert sorted(newer[1:]) == [("matched", id, 1, None) for id in ("10", "20", "30")]


def test_all_matches_are_reported_even_if_a_query_is_truncated(
    service: Service, member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hashdb.domain.matching.frames.MOST_WORK", 60)
    contributed(service.db, service.actor, *[video(*range(10), 100 + number) for number in range(8)])
    query = clip(*range(10))
    member.remember(Upload("a", NOON, query))
    member.index.sync(service.client)
    assert member.index.match([query]).results[0].truncated
    look_back_to_end(member.lookback)
    assert len(member.matches()) == 8


def test_look_back_reports_each_match_once(service: Service, member: Member) -> None:
    member.remember(upload("a", near(signal(1), 5)), upload("b", 2), upload("c", 3))
    contributed(service.db, service.actor, draft(1), draft(2))
    assert member.sync() == [("matched", "a", 1, None), ("matched", "b", 2, None)]
    contributions.amend(service.db, service.actor, 1, Amendment(labels=("incitement",)))
    assert member.sync() == []
    contributions.withdraw(service.db, service.actor, 1, "other")
    assert member.sync() == [("taken-back", "a", 1, "withdrawn")]
    contributed(service.db, service.actor, draft(near(signal(1), 9)))
    assert member.sync() == [("matched", "a", 3, None)]


def test_an_expired_contribution_is_taken_back_while_the_service_is_down(service: Service, member: Member) -> None:
    member.remember(upload("a", 1), upload("b", 2))
    contributed(service.db, service.actor, draft(1, expires_at=NOON + HOUR), draft(2, expires_at=NOON + 9 * HOUR))
    member.sync()
    service.wire.is_down = True
    service.clock.advance(hours=2)
    assert look_back_to_end(member.lookback) == 1
    assert list(member.matches()) == [("b", 2)]


def test_after_a_change_of_the_log_only_the_differences_are_reported(service: Service, member: Member) -> None:
    member.remember(upload("a", 1), upload("b", 2))
    contributed(service.db, service.actor, draft(1), draft(2))
    member.sync()
    contributions.erase(service.db, COMMAND_LINE, 2)
    contributed(service.db, service.actor, draft(near(signal(1), 3)))
    service.replace_log()
    assert sorted(member.sync()) == [("matched", "a", 3, None), ("taken-back", "b", 2, "withdrawn")]


def test_a_new_process_continues_where_the_last_one_stopped(service: Service, member: Member, folder: Path) -> None:
    member.remember(upload("a", 1), upload("b", 2))
    contributed(service.db, service.actor, draft(1), draft(2))
    member.sync()
    contributions.withdraw(service.db, service.actor, 1, "other")
    contributed(service.db, service.actor, draft(near(signal(2), 3)))
    member.index.sync(service.client)
    with LocalIndex(folder, service.clock) as index:
        assert look_back_to_end(LookBack(index, member.reports, service.clock)) == 2
        assert member.matches().keys() == {("b", 2), ("b", 3)}
        # The same holds if the copy was rebuilt meanwhile. A new copy does not list deleted contributions.
        contributions.withdraw(service.db, service.actor, 2, "other")
        for path in folder.glob("copy-*"):
            shutil.rmtree(path)
        index.sync(service.client)
        assert look_back_to_end(LookBack(index, member.reports, service.clock)) == 1
    assert member.matches().keys() == {("b", 3)}


def test_matches_of_a_replaced_upload_are_checked_again(service: Service, member: Member) -> None:
    member.remember(upload("a", 1, days=1), upload("b", 2))
    contributed(service.db, service.actor, draft(1), draft(2))
    assert len(member.sync()) == 2
    member.remember(upload("a", 3, days=9), upload("b", near(signal(2), 6)))
    for id in (1, 2):
        contributions.amend(service.db, service.actor, id, Amendment(labels=("incitement",)))
    contributed(service.db, service.actor, draft(3))
    assert member.sync() == [("taken-back", "a", 1, "no longer a match"), ("matched", "a", 3, None)]


def test_a_forgotten_upload_gets_no_new_match_but_keeps_its_reports(service: Service, member: Member) -> None:
    member.remember(upload("a", 1, days=2), upload("b", 1, days=3))
    contributed(service.db, service.actor, draft(1))
    assert len(member.sync()) == 2
    member.index.remembered.forget(["a", "unknown", "\n", ""])
    contributions.amend(service.db, service.actor, 1, Amendment(labels=("incitement",)))
    contributed(service.db, service.actor, draft(near(signal(1), 2)))
    assert member.sync() == [("matched", "b", 2, None)]
    contributions.withdraw(service.db, service.actor, 1, "other")
    assert sorted(member.sync()) == [("taken-back", "a", 1, "withdrawn"), ("taken-back", "b", 1, "withdrawn")]


def test_more_matches_than_the_limit_of_a_query_are_all_reported(
    service: Service, member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit, most in (("MATCHES_A_QUERY", 20), ("MATCHES_A_REQUEST", 30)):
        monkeypatch.setattr(f"hashdb.domain.matching.selections.{limit}", most)
    member.remember(upload("a", 1), upload("b", 1), upload("c", 1, signatures={"whole": (signature(1),)}))
    contributed(service.db, service.actor, *[draft(near(signal(1), 9, number)) for number in range(50)])
    assert len(member.sync()) == 150


def test_newer_changes_are_processed_before_the_remaining_ones(
    service: Service, member: Member, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookback, "PAIRS_A_STEP", 1)
    member.remember(*[upload(str(number), number) for number in range(8)])
    contributed(service.db, service.actor, *map(draft, range(5)))
    member.index.sync(service.client)
    assert member.lookback.step() == (True, 1)
    contributed(service.db, service.actor, draft(5), draft(6))
    member.index.sync(service.client)
    assert [member.lookback.step() for _ in range(2)] == [(True, 1)] * 2
    assert [upload for upload, _ in member.matches()] == ["0", "5", "6"]
    # A new process finds the remaining matches, and reports none twice.
    with LocalIndex(folder, service.clock) as index:
        assert look_back_to_end(LookBack(index, member.reports, service.clock)) == 4
    assert member.reports.cursor() == (member.index.state.epoch, member.index.checkpoint)
    assert len(member.matches()) == 7


def test_only_a_few_matching_uploads_are_in_memory_at_once(
    service: Service, member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages: list[int] = []

    class CountingReports(Reports):
        def record(self, cursor: Cursor, found: Sequence[FoundMatch], taken_back: Sequence[TakenBack]) -> int:
            pages.append(len(found) + len(taken_back))
            return super().record(cursor, found, taken_back)

    monkeypatch.setattr(lookback, "AT_ONCE", 4)
    member.lookback = LookBack(
        member.index, CountingReports(member.folder / "remembered", service.clock), service.clock
    )
    member.remember(*[upload(str(number), near(signal(1), 9, number), days=number % 3) for number in range(10)])
    contributed(service.db, service.actor, draft(1))
    assert len(member.sync()) == 10
    assert max(pages) == 4, pages
    # A change between two pages is processed first. The remaining pages do not take it back.
    contributed(service.db, service.actor, draft(near(signal(1), 2)))
    member.index.sync(service.client)
    assert member.lookback.step() == (True, 4)
    contributions.amend(service.db, service.actor, 2, Amendment(labels=("incitement",)))
    contributed(service.db, service.actor, draft(near(signal(1), 3)))
    reports = member.sync()
    assert {contribution for _, _, contribution, _ in reports[4:14]} == {2, 3} and len(member.matches()) == 30
    assert not [kind for kind, *_ in reports if kind != "matched"]
    pages.clear()
    contributions.withdraw(service.db, service.actor, 1, "other")
    assert len(member.sync()) == 10 and max(pages) == 4


def test_look_back_does_not_report_the_test_item(service: Service, member: Member) -> None:
    member.remember(Upload("a", NOON, Query((*TEST_SIGNALS[:3], signal(1)))))
    contributed(service.db, service.actor, draft(1))
    assert member.sync() == [("matched", "a", 1, None)]


def test_no_match_is_missed_while_other_processes_remember_uploads(
    service: Service, member: Member, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts are written and merged meanwhile. Each pair is found by look-back or by the query after the upload."""
    monkeypatch.setattr(lookback, "PACKED_FROM", 1)
    contributed(service.db, service.actor, *map(draft, range(5)))
    member.sync()
    context = multiprocessing.get_context("forkserver")
    begin = context.Barrier(3)
    process = context.Process(target=_remember_and_match, args=(folder, 0, begin))
    thread = Thread(target=_remember_and_match, args=(folder, 110, begin))
    process.start()
    thread.start()
    begin.wait(60)
    for number in range(5, 10):
        contributed(service.db, service.actor, draft(number))
        member.sync()
    for writer in (process, thread):
        writer.join(60)
    assert process.exitcode == 0
    contributed(service.db, service.actor, draft(10))
    member.sync()
    by_query = {tuple(line.split()) for path in folder.glob("matched-*") for line in path.read_text().splitlines()}
    by_lookback = {(id, str(contribution)) for id, contribution in member.matches()}
    expected = {(str(n), str(n % 11 + 1)) for first in (0, 110) for n in range(first, first + 33)}
    assert by_lookback | by_query == expected
    assert by_lookback and by_query


def _remember_and_match(folder: Path, first: int, begin: Barrier) -> None:
    """Remember uploads from before and after a midnight one by one, match each, and write its matches to a file."""
    begin.wait(60)
    with LocalIndex(folder, lambda: NOON) as index, (folder / f"matched-{first}").open("w") as file:
        for number in range(first, first + 33):
            remembered = upload(str(number), near(signal(number % 11), number % 9, number), days=number % 2)
            index.remember([remembered])
            (result,) = index.match([remembered.query]).results
            file.writelines(f"{number} {match.contribution}\n" for match in result.matches)


def test_a_walk_that_is_killed_continues_with_the_same_day(
    service: Service, member: Member, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("WALKED_FROM", 0), ("STEP", 2), ("STEP_SECONDS", 1e-9)):
        monkeypatch.setattr(lookback, name, value)
    member.remember(*[upload(str(days), 1, days=days) for days in range(5)])
    contributed(service.db, service.actor, draft(1), draft(2), draft(3))
    member.index.sync(service.client)
    killed = LookBack(member.index, member.reports, service.clock)
    for _ in range(4):
        killed.step()
    assert killed.walked == (3, 5) and len(member.matches()) == 3
    # A change during the walk is reported before the walk ends.
    contributed(service.db, service.actor, draft(near(signal(1), 7)))
    member.index.sync(service.client)
    assert killed.step() == (True, 5)
    with LocalIndex(folder, service.clock) as index:
        restarted = LookBack(index, member.reports, service.clock)
        assert look_back_to_end(restarted) == 2
        assert not list(folder.glob("remembered/walk*"))
    assert len(member.matches()) == 10
