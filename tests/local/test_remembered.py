"""The uploads that a member remembers."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hashdb.domain.matching.lookback import Upload
from hashdb.domain.matching.matches import Query
from hashdb.domain.signals import Algorithm, Signal
from hashdb.domain.signatures import Kind
from hashdb.errors import BadSetting, InvalidInput
from hashdb.index.folder import sync_folder
from hashdb.index.vectors import Words, pack
from hashdb.local import remembered as module
from hashdb.local.remembered import Remembered, retention_from_environment
from tests.builders import NOON, Clock, near, signal, signature

PDQ, PHASH, MD5 = Algorithm.PDQ, Algorithm.PHASH, Algorithm.MD5


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def remembered(tmp_path: Path, clock: Clock) -> Remembered:
    return Remembered(tmp_path / "remembered", timedelta(days=30), clock)


def upload(id: str, *seeds: int, at: datetime = NOON) -> Upload:
    return Upload(id, at, Query(tuple(map(signal, seeds))))


def asked(*signals: Signal) -> Mapping[Algorithm, Words]:
    algorithms = {one.algorithm for one in signals}
    return {
        algorithm: pack([one.value for one in signals if one.algorithm is algorithm], algorithm.bits)
        for algorithm in algorithms
    }


def found(remembered: Remembered, *signals: Signal) -> set[str]:
    remembered.refresh()
    return set(remembered.near(asked(*signals)))


def test_uploads_are_remembered_for_90_days_unless_set_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HASHDB_REMEMBER_DAYS", raising=False)
    assert retention_from_environment() == timedelta(days=90)
    monkeypatch.setenv("HASHDB_REMEMBER_DAYS", "30")
    assert retention_from_environment() == timedelta(days=30)
    for wrong in ("0", "-1", "1.5", "36501", "²"):
        monkeypatch.setenv("HASHDB_REMEMBER_DAYS", wrong)
        with pytest.raises(BadSetting, match="HASHDB_REMEMBER_DAYS: must be 1 to 36500 days"):
            retention_from_environment()


def test_an_upload_is_kept_as_it_was_given(remembered: Remembered) -> None:
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


def test_it_is_found_by_each_of_its_signals_within_the_radius(remembered: Remembered) -> None:
    query = Query((signal(1),), transforms={"mirror": (signal(2, PHASH), Signal(MD5, 77))})
    remembered.remember([Upload("a", NOON, query), upload("b", 3)])
    assert found(remembered, near(signal(1), 31)) == {"a"}
    assert found(remembered, near(signal(1), 32)) == set()
    assert found(remembered, near(signal(2, PHASH), 6), near(signal(3), 7)) == {"a", "b"}
    assert found(remembered, Signal(MD5, 77)) == {"a"}
    assert found(remembered, *[Signal(MD5, 77 + (number << 64)) for number in range(100)]) == {"a"}
    assert found(remembered, Signal(MD5, 1 << 100)) == set()


@pytest.mark.parametrize("kernel", [True, False])
def test_what_is_packed_merged_and_new_is_found(
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
    assert found(remembered, *wanted) == found(again, *wanted) == everything
    assert sorted(id for _, page in again.walk() for id in (one.id for one in page)) == sorted(everything)
    assert unfinished.exists(), "only the process that packs deletes files"
    # A damaged part is packed anew from the log.
    with part.open("r+b") as file:
        file.seek(5_000)
        file.write(b"damaged")
    assert found(Remembered(tmp_path / "remembered", clock=lambda: NOON), *wanted) == everything


def test_a_torn_tail_is_cut_and_what_is_damaged_is_left_out(
    remembered: Remembered, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    remembered.remember([upload("a", 1)])
    (log,) = tmp_path.rglob("log")
    whole = log.read_bytes()
    remembered.remember([upload("b", 2)])
    frame = log.read_bytes()[len(whole) :]
    for cut in (1, 20, len(frame) // 2, len(frame) - 1):
        # A process was killed while it wrote.
        log.write_bytes(whole + frame[:cut])
        assert found(remembered, signal(1), signal(2), signal(3)) == {"a"}
        remembered.remember([upload("c", 3)])
        after = Remembered(tmp_path / "remembered", clock=lambda: NOON)
        assert found(after, signal(1), signal(2), signal(3)) == {"a", "c"}
        assert log.read_bytes().startswith(whole + b"hdbu")
        remembered.close()
    assert not caplog.records
    log.write_bytes(whole + bytes(len(frame)) + frame)
    assert found(Remembered(tmp_path / "remembered", clock=lambda: NOON), signal(1), signal(2)) == {"a", "b"}
    assert "uploads of 2026-11-20 are lost" in caplog.text


def test_many_threads_remember_at_once_in_several_days(remembered: Remembered, tmp_path: Path) -> None:
    def remember(thread: int) -> None:
        for number in range(8):
            seeds = range(40 * number + thread, 40 * number + thread + 1)
            remembered.remember(
                [upload(f"{thread}-{seed}", seed, at=NOON - timedelta(days=seed % 3)) for seed in seeds]
            )

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(remember, range(4)))
    wanted = [signal(40 * number + thread) for number in range(8) for thread in range(4)]
    assert len(found(remembered, *wanted)) == 32 == len(remembered)
    assert len(list(tmp_path.rglob("log"))) == 3


def test_the_same_id_replaces_whatever_the_days_are(remembered: Remembered) -> None:
    remembered.remember([upload("a", 1), upload("a", 2), upload("b", 3, at=NOON - timedelta(days=9))])
    remembered.refresh()
    remembered.pack()
    remembered.remember([upload("b", 4), upload("a", 5, at=NOON - timedelta(days=5))])
    remembered.refresh()
    assert remembered.latest("ab") == {"a": upload("a", 5, at=NOON - timedelta(days=5)), "b": upload("b", 4)}
    assert {one.id for _, page in remembered.walk() for one in page} == {"a", "b"}


def test_a_forgotten_upload_is_gone_until_it_is_remembered_again(remembered: Remembered) -> None:
    remembered.remember([upload("a", 1, at=NOON - timedelta(days=2)), upload("b", 2)])
    remembered.forget(["a", "b", "nothing"])
    remembered.refresh()
    assert remembered.latest("ab") == {}
    remembered.remember([upload("b", 3)])
    remembered.refresh()
    assert remembered.latest("ab") == {"b": upload("b", 3)}


def test_the_names_of_a_new_day_are_durable_whoever_made_them(
    remembered: Remembered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []

    def sync(folder: Path) -> None:
        synced.append(folder)
        sync_folder(folder)

    monkeypatch.setattr(module, "sync_folder", sync)
    day = tmp_path / "remembered" / "2026-11-20"
    day.mkdir(parents=True)
    # A process was killed, or its disk was full, right after it made the log.
    (day / "log").touch()
    for _ in range(2):
        remembered.remember([upload("a", 1)])
        assert synced == [day, day.parent, tmp_path, tmp_path.parent]


def test_a_shorter_retention_of_one_that_only_reads_deletes_nothing(
    remembered: Remembered, tmp_path: Path, clock: Clock
) -> None:
    remembered.remember([upload("a", 1, at=NOON - timedelta(days=20)), upload("b", 2)])
    shorter = Remembered(tmp_path / "remembered", timedelta(days=10), clock)
    assert list(shorter.count_by_day().values()) == [1]
    assert found(remembered, signal(1), signal(2)) == {"a", "b"}


def test_uploads_that_were_remembered_one_by_one_are_walked_through_together(remembered: Remembered) -> None:
    for number in range(30):
        remembered.remember([upload(str(number), number, at=NOON - timedelta(days=number % 2))])
    remembered.refresh()
    assert [(len({one.id for one in page}), day.day) for day, page in remembered.walk()] == [(15, 19), (15, 20)]


def test_days_are_dropped_whole_once_they_are_over(remembered: Remembered, tmp_path: Path, clock: Clock) -> None:
    remembered.owns = True
    last = datetime(2026, 10, 21, tzinfo=UTC)
    remembered.remember([upload("a", 1, at=last), upload("b", 2, at=last + timedelta(days=1))])
    with pytest.raises(InvalidInput) as refused:
        remembered.remember([upload("c", 3), upload("d", 4, at=last - timedelta(microseconds=1))])
    assert [fault.at for fault in refused.value.faults] == ["uploads[1].at"]
    assert found(remembered, signal(1), signal(2), signal(3)) == {"a", "b"}
    clock.at = last + timedelta(days=31)
    assert found(remembered, signal(1), signal(2)) == {"b"}
    assert [path.name for path in (tmp_path / "remembered").glob("2*")] == ["2026-10-22"]
    # Who remembers drops them too, where nobody looks back.
    clock.go(days=1)
    remembered.remember([upload("e", 5, at=clock.at)])
    assert [path.name for path in (tmp_path / "remembered").glob("2*")] == ["2026-11-22"]


def test_only_the_owner_reads_what_is_remembered(remembered: Remembered, tmp_path: Path) -> None:
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
