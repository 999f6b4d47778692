"""The store of the uploads that a member remembers."""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashdb.domain.frames import Frame, Unit
from hashdb.domain.matching.aligners import NEARLY_ALL, SHORT_TEXT
from hashdb.domain.matching.lookback import Upload
from hashdb.domain.matching.matches import Query
from hashdb.domain.signals import Algorithm, Signal
from hashdb.domain.signatures import Kind
from hashdb.errors import BadSetting, InvalidInput
from hashdb.index.folder import sync_folder
from hashdb.index.vectors import pack
from hashdb.local import remembered as module
from hashdb.local.remembered import Remembered, retention_from_environment
from hashdb.local.upload_parts import SearchValues
from tests.builders import NOON, Clock, near, signal, signature

PDQ, PHASH, MD5 = Algorithm.PDQ, Algorithm.PHASH, Algorithm.MD5
SIMHASH256 = Algorithm.SIMHASH256


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def remembered(tmp_path: Path, clock: Clock) -> Remembered:
    return Remembered(tmp_path / "remembered", timedelta(days=30), clock)


def upload(id: str, *seeds: int, at: datetime = NOON) -> Upload:
    return Upload(id, at, Query(tuple(map(signal, seeds))))


def search_values(*signals: Signal, share: float = 1.0) -> Mapping[Algorithm, SearchValues]:
    of_algorithm: dict[Algorithm, list[int]] = defaultdict(list)
    for hash in signals:
        of_algorithm[hash.algorithm].append(hash.value)
    return {
        algorithm: SearchValues(pack(values, algorithm.bits), np.full(len(values), share))
        for algorithm, values in of_algorithm.items()
    }


def find(remembered: Remembered, *signals: Signal, share: float = 1.0) -> set[str]:
    remembered.refresh()
    scan, ids = remembered.scan(search_values(*signals, share=share)), set[str]()
    while not scan.go_on(1):
        pass
    while page := scan.take(3):
        ids.update(page)
    return ids


def test_uploads_are_remembered_for_90_days_unless_set_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HASHDB_REMEMBER_DAYS", raising=False)
    assert retention_from_environment() == timedelta(days=90)
    monkeypatch.setenv("HASHDB_REMEMBER_DAYS", "30")
    assert retention_from_environment() == timedelta(days=30)
    for invalid in ("0", "-1", "1.5", "36501", "²"):
        monkeypatch.setenv("HASHDB_REMEMBER_DAYS", invalid)
        with pytest.raises(BadSetting, match="HASHDB_REMEMBER_DAYS: must be 1 to 36500 days"):
            retention_from_environment()


def test_an_upload_is_read_back_as_it_was_remembered(remembered: Remembered) -> None:
    full = Upload(
        "albums/ü 1.jpg",
        NOON - timedelta(days=3, microseconds=1),
        Query(
            (signal(1), signal(2, PHASH), signal(3)),
            transforms={"mirror": (signal(4), Signal(MD5, 5)), "panel-1": (), "tile": (signal(6, PHASH),)},
            signatures={"whole": (signature(1), signature(1, Kind.COLOUR)), "mirror": (signature(2),)},
        ),
    )
    plain = upload("2", 9)
    remembered.remember([full, plain])
    remembered.refresh()
    assert remembered.latest(["albums/ü 1.jpg", "2", "3"]) == {full.id: full, "2": plain}


def text(*seeds: int, length: int = 300) -> tuple[Frame, ...]:
    """Windows of `length` words, one for each seed."""
    return tuple(
        Frame(25 * place, (signal(seed, SIMHASH256),), unit=Unit.WORDS, length=length)
        for place, seed in enumerate(seeds)
    )


def test_frames_are_read_back_as_they_were_remembered(remembered: Remembered) -> None:
    transforms = {"mirror": (signal(12), signal(13, PHASH)), "panel-1": ()}
    video = Query(
        (Signal(MD5, 5),),
        frames=(
            Frame(0.0, (signal(10), signal(11), signal(10, PHASH)), 90, transforms),
            Frame(0.04, (signal(14),), 50),
            Frame(86_399.999, (signal(15), signal(15, PHASH)), None, {"mirror": (signal(16),)}),
        ),
        duration=86_400.0,
    )
    pages = tuple(Frame(page, (signal(20 + page),), 88, unit=Unit.PAGES) for page in (1, 2, 9))
    document = Query((Signal(MD5, 6),), frames=(*pages, *text(30, 31, 32)))
    long_text = Query((), frames=text(*range(40, 160)), transforms={"mirror": (signal(1, SIMHASH256),)})
    address = Query((signal(1, Algorithm.URL), signal(2, Algorithm.URL)))
    uploads = [
        Upload(id, NOON, query)
        for id, query in (("v", video), ("p", Query((signal(1),))), ("d", document), ("t", long_text), ("a", address))
    ]
    remembered.remember(uploads)
    remembered.remember([Upload("v2", NOON, video)])
    remembered.refresh()
    read_back = remembered.latest(["v", "p", "d", "t", "a", "v2"])
    assert read_back == {upload.id: upload for upload in (*uploads, Upload("v2", NOON, video))}
    assert len(remembered) == 6
    assert sorted(upload.id for _, page in remembered.walk() for upload in page) == sorted(read_back)


def test_a_frame_with_low_quality_is_stored_without_its_signals(remembered: Remembered) -> None:
    frames = (Frame(0.0, (signal(1),), 90), Frame(1.0, (signal(2),), 49, {"mirror": (signal(3),)}))
    remembered.remember([Upload("a", NOON, Query((), frames=frames, duration=3.0))])
    assert find(remembered, signal(1), signal(2), signal(3)) == {"a"} and find(remembered, signal(2)) == set()
    assert remembered.latest(["a"])["a"].query.frames == (frames[0], Frame(1.0, (), 49))


def test_a_short_text_is_found_by_one_of_its_windows(remembered: Remembered) -> None:
    uploads = [Upload(id, NOON, Query((), frames=text(1, 2, length=length))) for id, length in (("a", 225), ("b", 226))]
    remembered.remember(uploads)
    assert find(remembered, near(signal(1, SIMHASH256), 40), share=0.01) == {"a"}
    assert remembered.latest(["a", "b"])["a"].query.frames == text(1, 2, length=225)


def test_a_document_is_found_by_one_of_its_pages(remembered: Remembered) -> None:
    pages = tuple(Frame(page, (signal(page), signal(10 + page, PHASH)), unit=Unit.PAGES) for page in (1, 2, 3))
    remembered.remember([Upload("a", NOON, Query((signal(4),), frames=(*pages, *text(1, 2)))), upload("b", 1)])
    assert find(remembered, near(signal(1), 9), share=0.01) == {"a", "b"}
    assert find(remembered, near(signal(13, PHASH), 3), share=0.01) == {"a"}
    assert find(remembered, signal(1, SIMHASH256), share=0.01) == set()


def test_an_upload_is_found_by_two_frames_or_one_with_a_large_share(remembered: Remembered) -> None:
    """One value is not enough: ten million uploads may share a passage."""
    remembered.remember([Upload(str(number), NOON, Query((), frames=text(900, number))) for number in range(70)])
    remembered.remember([Upload("picture", NOON, Query((signal(900, SIMHASH256),)))])
    windows = [near(signal(seed, SIMHASH256), 40) for seed in (900, 7)]
    assert find(remembered, windows[0], share=0.1) == {"picture"}
    assert find(remembered, *windows, share=0.1) == {"picture", "7"}
    assert find(remembered, *windows, share=0.79) == {"picture", "7"}
    assert find(remembered, windows[1], share=0.8) == {"7"}
    # The shares of several listed values near one frame are added.
    assert find(remembered, *(near(windows[1], 2, seed) for seed in range(3)), share=0.3) == {"7"}
    assert find(remembered, *(near(windows[1], 2, seed) for seed in range(2)), share=0.3) == set()
    assert len(find(remembered, windows[0], share=1.0)) == 71


_SEEDS, _AWAY = st.integers(0, 9), st.sampled_from((0, 4, 40, 90))
_VALUES = st.builds(
    lambda seed, algorithm, away: near(signal(seed, algorithm), min(away, algorithm.bits // 8), away),
    _SEEDS,
    st.sampled_from((PDQ, PHASH, SIMHASH256)),
    _AWAY,
)
_FRAMES = st.lists(st.tuples(st.lists(_VALUES, min_size=1, max_size=3), st.sampled_from(Unit)), max_size=5).map(
    lambda every: tuple(
        Frame(place, tuple(signals), unit=unit, length=unit.startswith("w") * len(signals) * 100)
        for place, (signals, unit) in enumerate(every)
    )
)
_QUERIES = st.builds(lambda own, frames: Query(tuple(own), frames=frames), st.lists(_VALUES, max_size=2), _FRAMES)


def _may_match(query: Query, shares: Mapping[Signal, float]) -> bool:
    """Whether a query may match, found by comparing each signal with each value."""

    def near_by(own: Signal) -> list[float]:
        algorithm = own.algorithm
        values = [value for value in shares if value.algorithm is algorithm]
        return [shares[value] for value in values if value.distance(own) <= algorithm.radius]

    ends = [frame.end for frame in query.frames if frame.unit is Unit.WORDS]
    alone = {Unit.PAGES: True, Unit.WORDS: ends != [] and max(ends) <= SHORT_TEXT}
    of_alone = [own for frame in query.frames if alone.get(frame.unit) for own in frame.signals]
    of_frames = [near_by(own) for frame in query.frames if not alone.get(frame.unit) for own in frame.signals]
    return (
        any(near_by(own) for own in (*query.signals, *of_alone))
        or sum(1 for of_frame in of_frames if of_frame) > 1
        or any(sum(of_frame) >= NEARLY_ALL for of_frame in of_frames)
    )


@given(
    queries=st.lists(st.lists(_QUERIES, max_size=4), max_size=4),
    shares=st.dictionaries(_VALUES, st.sampled_from((0.0625, 0.25, 0.5, 1.0)), min_size=1, max_size=8),
    pairs=st.sampled_from((1, 40, 10_000)),
)
@settings(max_examples=60, deadline=None)
def test_a_scan_finds_the_same_uploads_as_a_full_comparison(
    tmp_path_factory: pytest.TempPathFactory,
    queries: list[list[Query]],
    shares: dict[Signal, float],
    pairs: int,
) -> None:
    remembered = Remembered(tmp_path_factory.mktemp("any") / "remembered", timedelta(days=30), lambda: NOON)
    remembered.owns = True
    uploads: list[Upload] = []
    for number, batch in enumerate(queries):
        new = [Upload(f"{number}-{place}", NOON - timedelta(days=place), query) for place, query in enumerate(batch)]
        new = [upload for upload in new if not list(upload.faults(NOON))]
        remembered.remember(new)
        uploads += new
        remembered.refresh()
        remembered.pack()
    of_algorithm: dict[Algorithm, list[tuple[int, float]]] = defaultdict(list)
    for value, share in shares.items():
        of_algorithm[value.algorithm].append((value.value, share))
    wanted = {
        algorithm: SearchValues(
            pack([value for value, _ in values], algorithm.bits), np.array([share for _, share in values])
        )
        for algorithm, values in of_algorithm.items()
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hashdb.local.upload_scans._PAIRS_A_PIECE", pairs)
        scan, ids = remembered.scan(wanted), list[str]()
    while not scan.go_on(pairs):
        pass
    while page := scan.take(2):
        ids += page
    assert sorted(ids) == sorted(upload.id for upload in uploads if _may_match(upload.query, shares))
    assert remembered.latest(ids).keys() == set(ids)


@pytest.mark.parametrize("kernel", [True, False])
def test_packed_merged_and_new_frames_are_found(
    remembered: Remembered, tmp_path: Path, kernel: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not kernel:
        monkeypatch.setattr("hashdb.index.segment.kernel", lambda: None)
    monkeypatch.setattr("hashdb.local.upload_parts._ROWS_AT_ONCE", 7)
    monkeypatch.setattr("hashdb.local.upload_parts._SEARCHED_AT_ONCE", 5)
    monkeypatch.setattr("hashdb.local.upload_scans._PAIRS_A_PIECE", 1_000)
    monkeypatch.setattr("hashdb.local.upload_log._MOST_FRAMES", 8)
    remembered.owns = True
    for first in range(0, 40, 10):
        numbers = range(first, first + 10)
        remembered.remember(
            [
                Upload(str(number), NOON, Query((), frames=text(*range(3 * number, 3 * number + 3))))
                for number in numbers
            ]
        )
        remembered.remember([upload(f"p{number}", number) for number in numbers])
        remembered.refresh()
        assert remembered.pack()
    while remembered.pack():
        pass
    (part,) = (tmp_path / "remembered").rglob("*.framed")
    wanted = [near(signal(seed, SIMHASH256), 50) for seed in range(0, 120, 2)]
    both = {str(number) for number in range(40) if len({*range(3 * number, 3 * number + 3)} & {*range(0, 120, 2)}) > 1}
    assert find(remembered, *wanted, share=0.1) == both
    assert find(remembered, *wanted, near(signal(5), 9), share=0.1) == {*both, "p5"}
    with part.open("r+b") as file:
        file.seek(5_000)
        file.write(b"damaged")
    assert find(Remembered(tmp_path / "remembered", clock=lambda: NOON), *wanted, share=0.1) == both


def test_the_log_for_earlier_versions_has_no_newer_kinds_of_signals(remembered: Remembered, tmp_path: Path) -> None:
    """An earlier version fails at unknown kinds of signals, and cuts off records that it takes for incomplete ones."""
    pictures = [upload("1", 1), Upload("2", NOON, Query((Signal(MD5, 5),), transforms={"mirror": (signal(2, PHASH),)}))]
    remembered.remember(pictures)
    day = tmp_path / "remembered" / NOON.date().isoformat()
    before = (day / "log").read_bytes()
    remembered.remember(
        [
            Upload("3", NOON, Query((), frames=text(1, 2))),
            Upload("4", NOON, Query((signal(4, Algorithm.URL),))),
            Upload("5", NOON, Query((signal(1),), transforms={"mirror": (signal(4, SIMHASH256),)})),
        ]
    )
    assert (day / "log").read_bytes() == before
    # `forget` applies to both logs: its record has a higher stamp than the records of the other log.
    remembered.forget(["3"])
    remembered.refresh()
    assert remembered.latest(["1", "3", "4", "5"]).keys() == {"1", "4", "5"}


def test_an_upload_is_found_by_each_of_its_signals_within_the_radius(remembered: Remembered) -> None:
    query = Query((signal(1),), transforms={"mirror": (signal(2, PHASH), Signal(MD5, 77))})
    remembered.remember([Upload("a", NOON, query), upload("b", 3)])
    assert find(remembered, near(signal(1), 31)) == {"a"}
    assert find(remembered, near(signal(1), 32)) == set()
    assert find(remembered, near(signal(2, PHASH), 6), near(signal(3), 7)) == {"a", "b"}
    assert find(remembered, Signal(MD5, 77)) == {"a"}
    assert find(remembered, *[Signal(MD5, 77 + (number << 64)) for number in range(100)]) == {"a"}
    assert find(remembered, Signal(MD5, 1 << 100)) == set()


@pytest.mark.parametrize("kernel", [True, False])
def test_packed_merged_and_new_uploads_are_found(
    remembered: Remembered, tmp_path: Path, kernel: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not kernel:
        monkeypatch.setattr("hashdb.index.segment.kernel", lambda: None)
    remembered.owns = True
    for first in range(0, 60, 10):
        remembered.remember([upload(str(number), number) for number in range(first, first + 10)])
        remembered.refresh()
        assert remembered.pack()
    while remembered.pack():
        pass
    remembered.remember([upload("60", 60)])
    (part,) = (tmp_path / "remembered").rglob("*.uploads")
    everything = {str(number) for number in range(61)}
    wanted = [near(signal(number), 9) for number in range(61)]
    again = Remembered(tmp_path / "remembered", clock=lambda: NOON)
    unfinished = part.with_name("0-9.part")
    unfinished.write_bytes(b"")
    assert find(remembered, *wanted) == find(again, *wanted) == everything
    assert sorted(upload.id for _, page in again.walk() for upload in page) == sorted(everything)
    assert unfinished.exists(), "only the process that packs deletes files"
    # A damaged part is rebuilt from the log.
    with part.open("r+b") as file:
        file.seek(5_000)
        file.write(b"damaged")
    assert find(Remembered(tmp_path / "remembered", clock=lambda: NOON), *wanted) == everything


def test_a_torn_tail_is_cut_off_and_damaged_records_are_skipped(
    remembered: Remembered, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    remembered.remember([upload("a", 1)])
    (log,) = tmp_path.rglob("log")
    complete = log.read_bytes()
    remembered.remember([upload("b", 2)])
    frame = log.read_bytes()[len(complete) :]
    for cut in (1, 20, len(frame) // 2, len(frame) - 1):
        # As if a process was killed while it wrote.
        log.write_bytes(complete + frame[:cut])
        assert find(remembered, signal(1), signal(2), signal(3)) == {"a"}
        remembered.remember([upload("c", 3)])
        after = Remembered(tmp_path / "remembered", clock=lambda: NOON)
        assert find(after, signal(1), signal(2), signal(3)) == {"a", "c"}
        assert log.read_bytes().startswith(complete + b"hdbu")
        remembered.close()
    assert not caplog.records
    log.write_bytes(complete + bytes(len(frame)) + frame)
    assert find(Remembered(tmp_path / "remembered", clock=lambda: NOON), signal(1), signal(2)) == {"a", "b"}
    assert "uploads of 2026-11-20 are lost" in caplog.text


def test_many_threads_can_remember_uploads_of_several_days_at_once(remembered: Remembered, tmp_path: Path) -> None:
    def remember(thread: int) -> None:
        for number in range(8):
            seeds = range(40 * number + thread, 40 * number + thread + 1)
            remembered.remember(
                [upload(f"{thread}-{seed}", seed, at=NOON - timedelta(days=seed % 3)) for seed in seeds]
            )

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(remember, range(4)))
    wanted = [signal(40 * number + thread) for number in range(8) for thread in range(4)]
    assert len(find(remembered, *wanted)) == 32 == len(remembered)
    assert len(list(tmp_path.rglob("log"))) == 3


def test_an_upload_with_the_same_id_replaces_one_of_any_day(remembered: Remembered) -> None:
    remembered.remember([upload("a", 1), upload("a", 2), upload("b", 3, at=NOON - timedelta(days=9))])
    remembered.refresh()
    remembered.pack()
    remembered.remember([upload("b", 4), upload("a", 5, at=NOON - timedelta(days=5))])
    remembered.refresh()
    assert remembered.latest("ab") == {"a": upload("a", 5, at=NOON - timedelta(days=5)), "b": upload("b", 4)}
    assert {upload.id for _, page in remembered.walk() for upload in page} == {"a", "b"}


def test_a_forgotten_upload_is_not_returned_until_remembered_again(remembered: Remembered) -> None:
    remembered.remember([upload("a", 1, at=NOON - timedelta(days=2)), upload("b", 2)])
    remembered.forget(["a", "b", "nothing"])
    remembered.refresh()
    assert remembered.latest("ab") == {}
    remembered.remember([upload("b", 3)])
    remembered.refresh()
    assert remembered.latest("ab") == {"b": upload("b", 3)}


def test_the_folder_of_a_new_day_is_synced_even_if_it_exists_already(
    remembered: Remembered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []

    def sync(folder: Path) -> None:
        synced.append(folder)
        sync_folder(folder)

    monkeypatch.setattr(module, "sync_folder", sync)
    day = tmp_path / "remembered" / "2026-11-20"
    day.mkdir(parents=True)
    # As if a process was killed, or the disk was full, right after it created the log.
    (day / "log").touch()
    for _ in range(2):
        remembered.remember([upload("a", 1)])
        assert synced == [day, day.parent, tmp_path, tmp_path.parent]


def test_a_reader_with_a_shorter_retention_deletes_nothing(
    remembered: Remembered, tmp_path: Path, clock: Clock
) -> None:
    remembered.remember([upload("a", 1, at=NOON - timedelta(days=20)), upload("b", 2)])
    shorter = Remembered(tmp_path / "remembered", timedelta(days=10), clock)
    assert list(shorter.count_by_day().values()) == [1]
    assert find(remembered, signal(1), signal(2)) == {"a", "b"}


def test_a_walk_returns_all_uploads_of_a_day_in_one_page(remembered: Remembered) -> None:
    for number in range(30):
        remembered.remember([upload(str(number), number, at=NOON - timedelta(days=number % 2))])
    remembered.refresh()
    assert [(len({upload.id for upload in page}), day.day) for day, page in remembered.walk()] == [(15, 19), (15, 20)]


def test_whole_days_are_deleted_after_the_retention(remembered: Remembered, tmp_path: Path, clock: Clock) -> None:
    remembered.owns = True
    last = datetime(2026, 10, 21, tzinfo=UTC)
    remembered.remember([upload("a", 1, at=last), upload("b", 2, at=last + timedelta(days=1))])
    with pytest.raises(InvalidInput) as refused:
        remembered.remember([upload("c", 3), upload("d", 4, at=last - timedelta(microseconds=1))])
    assert [fault.at for fault in refused.value.faults] == ["uploads[1].at"]
    assert find(remembered, signal(1), signal(2), signal(3)) == {"a", "b"}
    clock.at = last + timedelta(days=31)
    assert find(remembered, signal(1), signal(2)) == {"b"}
    assert [path.name for path in (tmp_path / "remembered").glob("2*")] == ["2026-10-22"]
    # A process that only remembers also deletes old days, in case no process looks back.
    clock.advance(days=1)
    remembered.remember([upload("e", 5, at=clock.at)])
    assert [path.name for path in (tmp_path / "remembered").glob("2*")] == ["2026-11-22"]


def test_only_the_owner_can_read_the_remembered_uploads(remembered: Remembered, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        remembered.remember([upload("a", 1)])
        remembered.refresh()
        remembered.pack()
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "remembered").rglob("*") if path.is_file()}
    assert modes == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "remembered").rglob("2*-2*")} == {0o700}
