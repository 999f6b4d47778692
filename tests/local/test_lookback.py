"""Look-back finds what a match of the remembered uploads would find."""

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

PHASH, PHASH256, MD5 = Algorithm.PHASH, Algorithm.PHASH256, Algorithm.MD5
URL = Algorithm.URL
HOUR = timedelta(hours=1)


class Member:
    """A member that remembers, syncs and looks back."""

    def __init__(self, service: Service, index: LocalIndex, folder: Path) -> None:
        self.service, self.index, self.folder = service, index, folder
        self.reports = Reports(folder / "remembered", service.clock)
        self.lookback = LookBack(index, self.reports, service.clock)
        self.told: list[tuple[str, str, int, str | None]] = []

    def remember(self, *uploads: Upload) -> None:
        self.index.remember(uploads)

    def sync(self) -> list[tuple[str, str, int, str | None]]:
        """Sync and look back; what is new among the reports."""
        self.index.sync(self.service.client)
        self.lookback.catch_up()
        every = [(str(one.kind), one.upload, one.match.contribution, one.reason) for one in self._reports()]
        new, self.told = every[len(self.told) :], every
        return new

    def matches(self) -> dict[tuple[str, int], Match]:
        """What was reported and not taken back."""
        standing: dict[tuple[str, int], Match] = {}
        for one in self._reports():
            key = one.upload, one.match.contribution
            if one.kind is ReportKind.MATCHED:
                assert key not in standing
                standing[key] = one.match
            else:
                del standing[key]
        return standing

    def _reports(self) -> Iterator[LookBackReport]:
        number = 0
        while page := self.reports.after(number):
            yield from page
            number = page[-1].number


@pytest.fixture
def member(service: Service, index: LocalIndex, folder: Path) -> Member:
    return Member(service, index, folder)


def upload(id: str, *signals: Signal | int, days: float = 0, **fields: object) -> Upload:
    asked = query(*signals)
    return Upload(id, NOON - timedelta(days=days), Query(asked.signals, **fields))  # type: ignore[arg-type]


def random_upload(chance: random.Random, id: str) -> Upload:
    """Of one and many signals, near what is listed and not, through transforms, with signatures, with a digest."""
    seed = chance.randrange(30)
    one = near(signal(seed), chance.randrange(36), chance.randrange(9))
    two = near(signal(chance.randrange(30), PHASH), chance.randrange(8), chance.randrange(9))
    three = near(signal(seed, PHASH256), chance.randrange(20, 50), chance.randrange(9))
    own = (signature(chance.randrange(2) * seed), signature(seed, Kind.COLOUR))
    at = NOON - timedelta(days=chance.randrange(80), hours=chance.randrange(24))
    queries = (
        Query((one, two, three)),
        Query((two,)),
        Query((signal(900 + seed), two)),
        Query((signal(900 + seed),), transforms={"mirror": (one, two), "panel-1": (three,)}),
        Query((one, three), transforms={"mirror": (two,)}, signatures={"whole": own}),
        Query((Signal(MD5, seed + 5), sparse(seed))),
        random_clip(chance, seed),
        random_clip(chance, seed),
        random_text(chance),
        Query((Signal(URL, seed // 3 + 1), Signal(URL, 900))),
    )
    return Upload(id, at, chance.choice(queries))


PASSAGES = [words(seed, 400) for seed in range(6)]


def random_text(chance: random.Random) -> Query:
    """A document with an excerpt of what is listed, long and short, alone and within others; or a window of it."""
    of, first = chance.choice(PASSAGES), chance.randrange(200)
    parts = [of[first : first + chance.choice((30, 150, 200, 300))]]
    if chance.random() < 0.5:
        parts = [words(chance.randrange(50, 60), chance.choice((40, 200))), *parts, words(60, 100)]
    query = excerpt(*parts)
    if chance.random() < 0.2:
        return Query((query.frames[0].signals[0],))
    return replace(query, frames=(*chance.choice(((), pages(900, chance.randrange(30), away=20))), *query.frames))


def random_clip(chance: random.Random, seed: int) -> Query:
    """Of frames that are near those of listed videos, in their order and not, near pictures, and near nothing."""
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


def test_without_a_copy_nothing_is_looked_back_for(member: Member) -> None:
    with pytest.raises(NoCopy):
        member.lookback.catch_up()


@pytest.mark.parametrize("walked_from", [lookback.WALKED_FROM, 0])
def test_it_finds_what_a_match_finds_and_takes_back_what_it_no_longer_finds(
    service: Service, member: Member, monkeypatch: pytest.MonkeyPatch, walked_from: int
) -> None:
    """Also in a walk, in which each upload is matched in the copy."""
    monkeypatch.setattr(lookback, "WALKED_FROM", walked_from)
    monkeypatch.setattr(lookback, "STEP", 7)
    chance, other = random.Random(walked_from), member_with(service.db)
    uploads = {str(number): random_upload(chance, str(number)) for number in range(100)}
    uploads["sure"] = upload("sure", 5_000)
    member.remember(*uploads.values())
    ids: list[int] = []
    counts = []
    for turn in range(4):
        drafts = [random_draft(chance, service.clock.at) for _ in range(12)]
        drafts.append(draft(5_000, expires_at=service.clock.at + timedelta(hours=4)))
        ids += [one.id for one in contributed(service.db, chance.choice((service.actor, other)), *drafts)]
        for id in chance.sample(ids, 3 * turn):
            contributions.erase(service.db, COMMAND_LINE, id)
            ids.remove(id)
        if turn == 3:
            benign.add(service.db, COMMAND_LINE, BenignDraft((signal(3), signal(4, PHASH))))
        service.clock.go(hours=3)
        told = member.sync()
        expected: dict[tuple[str, int], Match] = {}
        for upload_id, one in uploads.items():
            (result,) = member.index.match([one.query]).results
            expected |= {(upload_id, match.contribution): match for match in result.matches}
        found = member.matches()
        assert found.keys() == expected.keys()
        for pair in [(upload_id, contribution) for kind, upload_id, contribution, _ in told if kind == "matched"]:
            assert found[pair] == expected[pair]
        counts.append(len(found))
    assert min(counts) > 10 and any(kind == "taken-back" for kind, *_ in member.told)
    reasons = {reason for kind, *_, reason in member.told if kind == "taken-back"}
    assert {"withdrawn", "expired"} <= reasons, reasons


MANIFESTO, OTHER = words(1, 1_000), words(2, 900)
EXCERPT = excerpt(OTHER, MANIFESTO[300:600], words(3, 700))
SHOWN = Query((), frames=pages(100, 101, 102, away=9))
LATER_LISTED = [
    pytest.param(text(MANIFESTO), EXCERPT, id="text"),
    pytest.param(document((100, 101), MANIFESTO), EXCERPT, id="text of a document"),
    pytest.param(document((200, 101, 201), OTHER), SHOWN, id="page"),
    pytest.param(document((200, 101, 201), OTHER), Query((near(signal(101), 9),)), id="picture of a page"),
    pytest.param(draft(101), SHOWN, id="page of a listed picture"),
    pytest.param(video(*range(100, 130)), clip(*range(110, 118)), id="video"),
    pytest.param(video(*range(100, 130)), Query((near(signal(110), 9),)), id="picture of a video"),
    pytest.param(draft(101), clip(500, 101, 501), id="video of a listed picture"),
    pytest.param(video(*range(100, 130)), SHOWN, id="page of a listed video"),
    pytest.param(draft(Signal(URL, 7 << 64)), Query((Signal(URL, 7 << 64), Signal(URL, 5))), id="address"),
    pytest.param(text(MANIFESTO[:120]), excerpt(OTHER, MANIFESTO[:120], OTHER), id="text of one window"),
    pytest.param(text(MANIFESTO), excerpt(MANIFESTO[300:400]), id="upload of one window"),
    pytest.param(text(MANIFESTO), Query((EXCERPT.frames[38].signals[0],)), id="window"),
]


@pytest.mark.parametrize(("listed", "asked"), LATER_LISTED)
def test_whatever_is_listed_later_is_told_as_a_match_and_taken_back(
    service: Service, member: Member, listed: Draft, asked: Query
) -> None:
    """Also if it is remembered after it was listed, and amended then."""
    member.remember(Upload("a", NOON, asked), Upload("b", NOON, Query((signal(999),))))
    assert member.sync() == []
    contributed(service.db, service.actor, listed)
    assert member.sync() == [("matched", "a", 1, None)]
    (result,) = member.index.match([asked]).results
    assert member.matches() == {("a", 1): result.matches[0]}
    member.remember(Upload("c", NOON, asked))
    assert member.sync() == []
    contributions.amend(service.db, service.actor, 1, Amendment(labels=("incitement",)))
    assert member.sync() == [("matched", "c", 1, None)]
    contributions.withdraw(service.db, service.actor, 1, "other")
    assert sorted(member.sync()) == [("taken-back", "a", 1, "withdrawn"), ("taken-back", "c", 1, "withdrawn")]


def test_the_report_says_which_words_are_listed(service: Service, member: Member) -> None:
    member.remember(Upload("a", NOON, EXCERPT))
    contributed(service.db, service.actor, text(MANIFESTO))
    member.sync()
    (segment,) = member.matches()["a", 1].segments
    assert segment.unit is Unit.WORDS
    assert segment.query == pytest.approx((900, 1_200), abs=50)
    assert segment.listed == pytest.approx((300, 600), abs=50)


def test_what_is_near_by_one_frame_only_is_not_reported(service: Service, member: Member) -> None:
    window = hash_text(" ".join(MANIFESTO[300:450]))[0]
    texts = [replace(EXCERPT, frames=(*hash_text(" ".join(words(seed, 600)))[:9], window)) for seed in range(20, 24)]
    texts = [
        replace(one, frames=tuple(replace(frame, at=25.0 * at) for at, frame in enumerate(one.frames))) for one in texts
    ]
    member.remember(*[Upload(f"t{number}", NOON, one) for number, one in enumerate(texts)])
    member.remember(Upload("v", NOON, clip(500, 501, 110, 502, 503)))
    contributed(service.db, service.actor, text(MANIFESTO), video(*range(100, 130)))
    assert member.sync() == []


def test_a_benign_window_is_no_reason_for_a_report(service: Service, member: Member) -> None:
    """A licence that is in both texts."""
    licence = words(9, 400)
    asked = [excerpt(words(5, 300), licence, words(6, 300)), excerpt(words(7, 200), MANIFESTO[:300], licence)]
    for start in range(0, 400, 25):
        for frame in hash_text(" ".join(licence[start:])):
            benign.add(service.db, COMMAND_LINE, BenignDraft(frame.signals))
    member.remember(*[Upload(id, NOON, one) for id, one in zip("ab", asked, strict=True)])
    contributed(service.db, service.actor, text(MANIFESTO[:500], licence, MANIFESTO[500:]))
    assert member.sync() == [("matched", "b", 1, None)]


def test_a_comparison_that_takes_long_is_cut_into_steps_between_which_newer_changes_come_first(
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


def test_an_upload_that_is_near_more_than_is_aligned_at_once_is_reported_with_all(
    service: Service, member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hashdb.domain.matching.frames.MOST_WORK", 60)
    contributed(service.db, service.actor, *[video(*range(10), 100 + number) for number in range(8)])
    query = clip(*range(10))
    member.remember(Upload("a", NOON, query))
    member.index.sync(service.client)
    assert member.index.match([query]).results[0].truncated
    member.lookback.catch_up()
    assert len(member.matches()) == 8


def test_it_tells_once_what_it_found(service: Service, member: Member) -> None:
    member.remember(upload("a", near(signal(1), 5)), upload("b", 2), upload("c", 3))
    contributed(service.db, service.actor, draft(1), draft(2))
    assert member.sync() == [("matched", "a", 1, None), ("matched", "b", 2, None)]
    contributions.amend(service.db, service.actor, 1, Amendment(labels=("incitement",)))
    assert member.sync() == []
    contributions.withdraw(service.db, service.actor, 1, "other")
    assert member.sync() == [("taken-back", "a", 1, "withdrawn")]
    contributed(service.db, service.actor, draft(near(signal(1), 9)))
    assert member.sync() == [("matched", "a", 3, None)]


def test_an_expired_contribution_is_taken_back_while_the_service_is_away(service: Service, member: Member) -> None:
    member.remember(upload("a", 1), upload("b", 2))
    contributed(service.db, service.actor, draft(1, expires_at=NOON + HOUR), draft(2, expires_at=NOON + 9 * HOUR))
    member.sync()
    service.wire.away = True
    service.clock.go(hours=2)
    assert member.lookback.catch_up() == 1
    assert list(member.matches()) == [("b", 2)]


def test_another_log_is_looked_back_for_as_a_whole_and_tells_what_is_new(service: Service, member: Member) -> None:
    member.remember(upload("a", 1), upload("b", 2))
    contributed(service.db, service.actor, draft(1), draft(2))
    member.sync()
    contributions.erase(service.db, COMMAND_LINE, 2)
    contributed(service.db, service.actor, draft(near(signal(1), 3)))
    service.restore()
    assert sorted(member.sync()) == [("matched", "a", 3, None), ("taken-back", "b", 2, "withdrawn")]


def test_a_process_that_begins_anew_goes_on_where_the_last_one_was(
    service: Service, member: Member, folder: Path
) -> None:
    member.remember(upload("a", 1), upload("b", 2))
    contributed(service.db, service.actor, draft(1), draft(2))
    member.sync()
    contributions.withdraw(service.db, service.actor, 1, "other")
    contributed(service.db, service.actor, draft(near(signal(2), 3)))
    member.index.sync(service.client)
    with LocalIndex(folder, service.clock) as index:
        assert LookBack(index, member.reports, service.clock).catch_up() == 2
        assert member.matches().keys() == {("b", 2), ("b", 3)}
        # Also if the copy was made anew meanwhile, which tells nothing of what is gone.
        contributions.withdraw(service.db, service.actor, 2, "other")
        for path in folder.glob("copy-*"):
            shutil.rmtree(path)
        index.sync(service.client)
        assert LookBack(index, member.reports, service.clock).catch_up() == 1
    assert member.matches().keys() == {("b", 3)}


def test_what_is_replaced_is_no_longer_found_and_its_matches_are_asked_again(service: Service, member: Member) -> None:
    member.remember(upload("a", 1, days=1), upload("b", 2))
    contributed(service.db, service.actor, draft(1), draft(2))
    assert len(member.sync()) == 2
    member.remember(upload("a", 3, days=9), upload("b", near(signal(2), 6)))
    for id in (1, 2):
        contributions.amend(service.db, service.actor, id, Amendment(labels=("incitement",)))
    contributed(service.db, service.actor, draft(3))
    assert member.sync() == [("taken-back", "a", 1, "no longer a match"), ("matched", "a", 3, None)]


def test_a_forgotten_upload_is_not_found_and_what_was_reported_of_it_is_kept(service: Service, member: Member) -> None:
    member.remember(upload("a", 1, days=2), upload("b", 1, days=3))
    contributed(service.db, service.actor, draft(1))
    assert len(member.sync()) == 2
    member.index.remembered.forget(["a", "unknown", "\n", ""])
    contributions.amend(service.db, service.actor, 1, Amendment(labels=("incitement",)))
    contributed(service.db, service.actor, draft(near(signal(1), 2)))
    assert member.sync() == [("matched", "b", 2, None)]
    contributions.withdraw(service.db, service.actor, 1, "other")
    assert sorted(member.sync()) == [("taken-back", "a", 1, "withdrawn"), ("taken-back", "b", 1, "withdrawn")]


def test_more_matches_than_an_answer_has_are_all_found(
    service: Service, member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit, most in (("MATCHES_A_QUERY", 20), ("MATCHES_A_REQUEST", 30)):
        monkeypatch.setattr(f"hashdb.domain.matching.suggestions.{limit}", most)
    member.remember(upload("a", 1), upload("b", 1), upload("c", 1, signatures={"whole": (signature(1),)}))
    contributed(service.db, service.actor, *[draft(near(signal(1), 9, number)) for number in range(50)])
    assert len(member.sync()) == 150


def test_what_changes_meanwhile_comes_before_what_is_left(
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
    # A process that begins anew finds what was left, and tells nothing again.
    with LocalIndex(folder, service.clock) as index:
        assert LookBack(index, member.reports, service.clock).catch_up() == 4
    assert member.reports.cursor() == (member.index.state.epoch, member.index.checkpoint)
    assert len(member.matches()) == 7


def test_however_many_uploads_match_few_are_in_memory_at_once(
    service: Service, member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages: list[int] = []

    class Counted(Reports):
        def record(self, cursor: Cursor, found: Sequence[FoundMatch], taken_back: Sequence[TakenBack]) -> int:
            pages.append(len(found) + len(taken_back))
            return super().record(cursor, found, taken_back)

    monkeypatch.setattr(lookback, "AT_ONCE", 4)
    member.lookback = LookBack(member.index, Counted(member.folder / "remembered", service.clock), service.clock)
    member.remember(*[upload(str(number), near(signal(1), 9, number), days=number % 3) for number in range(10)])
    contributed(service.db, service.actor, draft(1))
    assert len(member.sync()) == 10
    assert max(pages) == 4, pages
    # What changes between two pages comes first, and is not taken back by those that are left.
    contributed(service.db, service.actor, draft(near(signal(1), 2)))
    member.index.sync(service.client)
    assert member.lookback.step() == (True, 4)
    contributions.amend(service.db, service.actor, 2, Amendment(labels=("incitement",)))
    contributed(service.db, service.actor, draft(near(signal(1), 3)))
    told = member.sync()
    assert {contribution for _, _, contribution, _ in told[4:14]} == {2, 3} and len(member.matches()) == 30
    assert not [kind for kind, *_ in told if kind != "matched"]
    pages.clear()
    contributions.withdraw(service.db, service.actor, 1, "other")
    assert len(member.sync()) == 10 and max(pages) == 4


def test_the_test_item_is_no_match_of_look_back(service: Service, member: Member) -> None:
    member.remember(Upload("a", NOON, Query((*TEST_SIGNALS[:3], signal(1)))))
    contributed(service.db, service.actor, draft(1))
    assert member.sync() == [("matched", "a", 1, None)]


def test_nothing_falls_between_processes_that_remember_and_the_one_that_looks_back(
    service: Service, member: Member, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While both run, parts are written and merged: each pair is found by look-back, or by the match that follows."""
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
    matched = {tuple(line.split()) for path in folder.glob("matched-*") for line in path.read_text().splitlines()}
    found = {(id, str(contribution)) for id, contribution in member.matches()}
    expected = {(str(n), str(n % 11 + 1)) for first in (0, 110) for n in range(first, first + 33)}
    assert found | matched == expected
    assert found and matched


def _remember_and_match(folder: Path, first: int, begin: Barrier) -> None:
    """Remember uploads of both sides of a midnight one after the other, and match each; write down the matches."""
    begin.wait(60)
    with LocalIndex(folder, lambda: NOON) as index, (folder / f"matched-{first}").open("w") as file:
        for number in range(first, first + 33):
            one = upload(str(number), near(signal(number % 11), number % 9, number), days=number % 2)
            index.remember([one])
            (result,) = index.match([one.query]).results
            file.writelines(f"{number} {match.contribution}\n" for match in result.matches)


def test_a_walk_that_is_killed_goes_on_with_the_day_where_it_was(
    service: Service, member: Member, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("WALKED_FROM", 0), ("STEP", 2), ("SLICE", 1e-9)):
        monkeypatch.setattr(lookback, name, value)
    member.remember(*[upload(str(days), 1, days=days) for days in range(5)])
    contributed(service.db, service.actor, draft(1), draft(2), draft(3))
    member.index.sync(service.client)
    killed = LookBack(member.index, member.reports, service.clock)
    for _ in range(4):
        killed.step()
    assert killed.walked == (3, 5) and len(member.matches()) == 3
    # What changes during the walk is reported before it ends.
    contributed(service.db, service.actor, draft(near(signal(1), 7)))
    member.index.sync(service.client)
    assert killed.step() == (True, 5)
    with LocalIndex(folder, service.clock) as index:
        anew = LookBack(index, member.reports, service.clock)
        assert anew.catch_up() == 2
        assert not list(folder.glob("remembered/walk*"))
    assert len(member.matches()) == 10
