"""Measure look-back: `scripts/bench remember [--millions N ...] [--folder FOLDER] [--quick]`.

First, two processes remember uploads in batches. Then millions of uploads are written, spread over 90 days, each with a
random PDQ and phash256. A service and the member's `hashdb sync --follow` run on this machine. Contributions with 24
signals arrive, each near one upload, and the time until the report is measured. At the end, very many contributions
arrive at once, as after a first sync, and look-back processes them in steps while another process matches.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from multiprocessing import get_context
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

import numpy as np

from hashdb.client import Client
from hashdb.domain.accounts.members import Scope
from hashdb.domain.contributions import Draft, Media, Standing
from hashdb.domain.frames import FRAMES_AN_ITEM, Frame, Unit
from hashdb.domain.matching.lookback import Upload
from hashdb.domain.matching.matches import Query
from hashdb.domain.sharing.feed import CopiedContribution, FeedStep
from hashdb.domain.signals import Algorithm, Signal
from hashdb.domain.times import to_microseconds
from hashdb.index.kernel import implementation_name
from hashdb.index.vectors import from_octets
from hashdb.local import LocalIndex
from hashdb.local.lookback import LookBack
from hashdb.local.remembered import REMEMBERED_FOLDER, Remembered
from hashdb.local.reports import Reports
from hashdb.local.upload_log import FRAMED_LOG, LOG, MOST_RECORDS, BlockDraft, append, draft_block, hash_id
from hashdb.local.upload_parts import SearchValues
from scripts.benchmarks import report
from scripts.benchmarks.data import SEED, balanced_values
from scripts.benchmarks.homes import environment, new_home
from scripts.benchmarks.report import Target, number
from tests.serving import serving

MILLIONS = (10, 20, 40)
PDQ, PHASH256, SIMHASH256 = Algorithm.PDQ, Algorithm.PHASH256, Algorithm.SIMHASH256
_DAYS, _BATCH, _PROCESSES = 90, 1_000, 2
_SIGNALS, _CONTRIBUTIONS = 24, 20
_READERS = "For members that remember uploads: how many a second, and how soon a match is reported."
_UPLOAD_BYTES = 64
"""The bytes of a PDQ and a phash256."""


def main() -> None:
    """Measure, and write docs/benchmarks/remember.md and remember.json; with --quick, only print them."""
    parser = argparse.ArgumentParser(prog="scripts/bench remember", description=__doc__.partition("\n")[0])
    parser.add_argument("--millions", type=float, action="append", help="millions of uploads: 10, 20 and 40 by default")
    parser.add_argument(
        "--thousands", type=int, default=50, help="thousands of contributions that arrive at once, 50 by default"
    )
    parser.add_argument("--texts", type=int, default=100, help="thousands of texts of 3,000 words, 100 by default")
    parser.add_argument(
        "--folder", type=Path, help="folder on a disk with free space; default: the system's temporary folder"
    )
    parser.add_argument("--quick", action="store_true", help="measure 200,000 uploads; write no page")
    arguments = parser.parse_args()
    sizes = (0.2,) if arguments.quick else tuple(arguments.millions or MILLIONS)
    results: dict[str, Any] = {
        "machine": report.machine("numpy", "httpx"),
        "seed": SEED,
        "engine": implementation_name(),
    }
    with tempfile.TemporaryDirectory(prefix="hashdb-bench-", dir=arguments.folder) as name:
        folder = Path(name)
        results["rates"] = measure_rates(folder / "rates", 20_000 if arguments.quick else 100_000)
        service = folder / "service"
        key = new_home(service, *Scope)
        results["sizes"], member_home, written = [], folder / "own", 0
        with serving(service) as url, Client(url, key) as client:
            for size in sizes:
                count = round(size * 1e6)
                written = remember_millions(member_home / "local" / REMEMBERED_FOLDER, written, count)
                results["sizes"].append(measure(member_home, client, url, key, count))
        results["many"] = measure_burst(member_home / "local", 2 if arguments.quick else arguments.thousands, written)
        thousands = 5 if arguments.quick else arguments.texts
        with serving(service) as url, Client(url, key) as client:
            results["texts"] = measure_texts_and_film(folder / "texts", client, url, key, thousands * 1_000)
    lines = page(results)
    if arguments.quick:
        print("\n".join(lines))
    else:
        report.write("remember", lines, results)


def measure_rates(folder: Path, count: int) -> list[dict[str, Any]]:
    """Uploads a second by the size of the batch and the number of processes."""
    rates = []
    for batch, processes, uploads in ((1_000, 2, count), (1_000, 1, count), (100, 2, count // 2), (1, 2, count // 100)):
        with Pool(processes, context=get_context("forkserver")) as pool:
            home = folder / f"{batch}-{processes}"
            seconds = pool.starmap(
                _remember_uploads, [(home, worker, uploads // processes, batch) for worker in range(processes)]
            )
        rates.append({"batch": batch, "processes": processes, "uploads": uploads, "rate": uploads / max(seconds)})
    return rates


def _remember_uploads(folder: Path, worker: int, count: int, batch: int) -> float:
    """Seconds to remember `count` uploads; creating them is not included."""
    octets, now = np.random.default_rng([SEED, worker]).bytes(count * _UPLOAD_BYTES), datetime.now(UTC)
    uploads = [
        Upload(f"{worker}/{n:09}.jpg", now, Query(_signals(octets[n * _UPLOAD_BYTES : (n + 1) * _UPLOAD_BYTES])))
        for n in range(count)
    ]
    remembered = Remembered(folder / REMEMBERED_FOLDER)
    started = time.perf_counter()
    for start in range(0, count, batch):
        remembered.remember(uploads[start : start + batch])
    return time.perf_counter() - started


def _signals(octets: bytes) -> tuple[Signal, Signal]:
    return Signal.from_bytes(PDQ, octets[:32]), Signal.from_bytes(PHASH256, octets[32:])


def _upload_values(block: int) -> bytes:
    """The values of the uploads of a block, from the seed."""
    return np.random.default_rng([SEED, 7, block]).bytes(MOST_RECORDS * _UPLOAD_BYTES)


def remember_millions(folder: Path, existing: int, count: int) -> int:
    """Append blocks to the logs until `count` uploads are remembered; return the number of uploads."""
    blocks = range(existing // MOST_RECORDS, count // MOST_RECORDS)
    today = datetime.now(UTC).date()
    by_day: dict[date, list[int]] = {}
    for block in blocks:
        by_day.setdefault(today - timedelta(days=block % _DAYS), []).append(block)
    with Pool(_PROCESSES, context=get_context("forkserver")) as pool:
        pool.starmap(_append, [(folder / day.isoformat(), day, block_numbers) for day, block_numbers in by_day.items()])
    return blocks.stop * MOST_RECORDS


def _append(folder: Path, day: date, blocks: list[int]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    at = datetime(day.year, day.month, day.day, tzinfo=UTC)
    for block in blocks:
        file = append(folder / LOG, [_block(block, at).stamped(block + 1)])
        os.close(file)


def _block(block: int, at: datetime) -> BlockDraft:
    """The result of `draft_block` for the uploads of a block, without creating each upload."""
    octets = np.frombuffer(_upload_values(block), np.uint8).reshape(MOST_RECORDS, _UPLOAD_BYTES)
    ids = [f"photos/{block * MOST_RECORDS + n:010}.jpg" for n in range(MOST_RECORDS)]
    records = [f'["{id}",{to_microseconds(at)},[0,1]]'.encode() for id in ids]
    columns = {"records": MOST_RECORDS, "columns": [[PDQ, MOST_RECORDS], [PHASH256, MOST_RECORDS]]}
    description = json.dumps(columns, separators=(",", ":")).encode()
    owners = np.arange(MOST_RECORDS, dtype="<u4").tobytes()
    body = b"".join(
        (
            np.array(list(map(hash_id, ids)), "<u8").tobytes(),
            np.array(list(map(len, records)), "<u4").tobytes(),
            *(part for first in (0, 32) for part in (owners, octets[:, first : first + 32].tobytes())),
            *records,
        )
    )
    draft = BlockDraft(zlib.crc32(body, zlib.crc32(description)), description, body)
    if block == 0:
        uploads = [Upload(id, at, Query(_signals(octets[n].tobytes()))) for n, id in enumerate(ids)]
        assert draft == draft_block(uploads), "the format of blocks has changed"
    return draft


def measure(member_home: Path, client: Client, url: str, key: str, count: int) -> dict[str, Any]:
    """Measure the time from the response to a contribution to the report, with `count` remembered uploads."""
    folder = member_home / "local" / REMEMBERED_FOLDER
    figures: dict[str, Any] = {"uploads": count}
    with following(member_home, url, key) as start_seconds:
        figures["start"] = start_seconds
        reports, rng = Reports(folder), np.random.default_rng([SEED, count])
        times = []
        for _ in range(_CONTRIBUTIONS):
            time.sleep(float(rng.uniform(0, 0.3)))
            before = reports.state().last
            client.contribute([draft_near_upload(rng, count)])
            started = time.perf_counter()
            assert reports.after(before, wait=60)
            times.append(time.perf_counter() - started)
    figures |= {"median": float(np.median(times)), "most": max(times)}
    remembered = Remembered(folder)
    remembered.refresh()
    half = _SIGNALS // 2
    values_by_algorithm = {
        algorithm: SearchValues(from_octets(rng.bytes(32 * half), 256), np.ones(half)) for algorithm in (PDQ, PHASH256)
    }
    processor_start, started = time.process_time(), time.perf_counter()
    for _ in range(3):
        remembered.scan(values_by_algorithm).go_on()
    figures |= {
        "search": (time.perf_counter() - started) / 3,
        "search_processor": (time.process_time() - processor_start) / 3,
    }
    remembered.close()
    files = [path for path in folder.rglob("*") if path.is_file()]
    figures["bytes"] = sum(path.stat().st_size for path in files) / count
    figures["files"] = len(files)
    return figures


def draft_near_upload(rng: np.random.Generator, count: int) -> Draft:
    """A contribution with one signal near an upload and others that are near none."""
    while True:
        octets = _upload_values(int(rng.integers(0, count // MOST_RECORDS)))
        place = int(rng.integers(0, MOST_RECORDS)) * _UPLOAD_BYTES
        near = int.from_bytes(octets[place : place + 32]) ^ 0b1011
        if near.bit_count() in PDQ.set_bits:
            break
    others = balanced_values(rng, _SIGNALS - 1, 256)
    signals = [Signal(PDQ if n < _SIGNALS // 2 else PHASH256, value) for n, value in enumerate((near, *others))]
    return Draft(tuple(signals), ("glorification",), datetime.now(UTC), 90, basis="terms")


@contextmanager
def following(member_home: Path, url: str, key: str) -> Iterator[float]:
    """Run `hashdb sync --follow`; yield the seconds until it has looked back for all contributions."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "hashdb", "sync", "--follow"],
        env=environment(member_home, HASHDB_URL=url, HASHDB_KEY=key),
        stdout=subprocess.DEVNULL,
    )
    try:
        with LocalIndex(member_home / "local") as index:
            while process.poll() is None:
                time.sleep(0.1)
                if (member_home / "local" / "current").exists() and (
                    member_home / "local" / REMEMBERED_FOLDER / "reports.sqlite"
                ).exists():
                    cursor = Reports(member_home / "local" / REMEMBERED_FOLDER).cursor()
                    if cursor is not None and cursor.seq >= index.checkpoint:
                        break
        yield time.perf_counter() - started
    finally:
        process.kill()
        process.wait()


def measure_texts_and_film(member_home: Path, client: Client, url: str, key: str, count: int) -> dict[str, Any]:
    """Remember texts of 3,000 words; then contribute a text that has a part of one of them, and a film of two hours."""
    folder = member_home / "local" / REMEMBERED_FOLDER
    with Pool(_PROCESSES, context=get_context("forkserver")) as pool:
        times = pool.starmap(_remember_texts, [(folder, worker, count // _PROCESSES) for worker in range(_PROCESSES)])
    figures: dict[str, Any] = {"uploads": count, "windows": _WINDOWS, "rate": count / max(times)}
    figures["load"] = os.getloadavg()[0]
    figures["pictures"] = remember_millions(folder, 0, 10 * count)
    with following(member_home, url, key) as start_seconds:
        figures["start"] = start_seconds
        reports, rng, times = Reports(folder), np.random.default_rng([SEED, 13]), []
        for number in range(_CONTRIBUTIONS):
            before, started = reports.state().last, time.perf_counter()
            client.contribute([_listed_text(number)])
            assert reports.after(before, wait=60)
            times.append(time.perf_counter() - started)
        figures |= {"median": float(np.median(times)), "most": max(times)}
        # Look-back compares a film with all pictures and films, and with no windows of texts.
        frames = [Frame(float(at), (Signal(PDQ, balanced_values(rng, 1, 256)[0]),), 90) for at in range(FRAMES_AN_ITEM)]
        film = Draft((), ("glorification",), datetime.now(UTC), None, basis="terms", media=Media.VIDEO)
        cursor = reports.cursor()
        client.contribute([replace(film, frames=tuple(frames), duration=float(FRAMES_AN_ITEM))])
        started = time.perf_counter()
        # Look-back moves its cursor once it has compared the film with everything.
        while reports.cursor() == cursor:
            time.sleep(0.02)
        figures["film"] = time.perf_counter() - started
    files = [*folder.rglob(FRAMED_LOG), *folder.rglob("*.framed")]
    figures["bytes"] = sum(path.stat().st_size for path in files) / count
    return figures


_WINDOWS, _STEP = 120, 25
_WORDS = 150


def _windows(octets: bytes, step: int) -> tuple[Frame, ...]:
    """The windows of a text with these hashes."""
    values = [octets[start : start + 32] for start in range(0, len(octets), 32)]
    return tuple(
        Frame(place * step, (Signal.from_bytes(SIMHASH256, value),), unit=Unit.WORDS, length=_WORDS)
        for place, value in enumerate(values)
    )


def _text_values(worker: int, number: int) -> bytes:
    return np.random.default_rng([SEED, 17, worker, number]).bytes(32 * _WINDOWS)


def _remember_texts(folder: Path, worker: int, count: int) -> float:
    """Seconds to remember `count` texts, a hundred in a call; creating them is not included."""
    remembered, now, seconds = Remembered(folder), datetime.now(UTC), 0.0
    for start in range(0, count, 100):
        numbers = range(start, min(start + 100, count))
        uploads = [
            Upload(f"{worker}/{n:09}.txt", now, Query((), frames=_windows(_text_values(worker, n), _STEP)))
            for n in numbers
        ]
        started = time.perf_counter()
        remembered.remember(uploads)
        seconds += time.perf_counter() - started
    return seconds


def _listed_text(number: int) -> Draft:
    """A contribution of a text that has 300 words of one upload."""
    text_octets, rng = _text_values(0, number), np.random.default_rng([SEED, 19, number])
    values = [rng.bytes(32) for _ in range(24)] + [text_octets[32 * n : 32 * n + 32] for n in range(40, 54, 2)]
    values = [value for value in values if int.from_bytes(value).bit_count() in SIMHASH256.set_bits]
    draft = Draft((), ("glorification",), datetime.now(UTC), None, basis="terms", media=Media.TEXT)
    return replace(draft, frames=_windows(b"".join(values), 2 * _STEP))


def measure_burst(folder: Path, thousands: int, uploads: int) -> dict[str, Any]:
    """Add very many contributions at once; run look-back in steps for a minute while another process matches."""
    rng, figures = np.random.default_rng([SEED, 9]), dict[str, Any]()
    with LocalIndex(folder) as index:
        copy = index.opened()
        head, now = copy.tables.head().seq, datetime.now(UTC)
        values = [(PDQ if n < _SIGNALS // 2 else PHASH256) for n in range(_SIGNALS)]
        for start in range(0, thousands * 1_000, 5_000):
            steps = []
            for n in range(start, min(start + 5_000, thousands * 1_000)):
                octets = rng.bytes(32 * _SIGNALS)
                signals = tuple((values[i], octets[32 * i : 32 * i + 32]) for i in range(_SIGNALS))
                contribution = CopiedContribution(
                    1_000_000 + n, 1, signals, ("glorification",), None, Standing.UNREVIEWED, (), now, now, None
                )
                steps.append(FeedStep(head + n + 1, contribution))
            copy.tables.store(steps, head + start + len(steps), now)
        copy.searchable.write()
        look_back = LookBack(index, Reports(folder / REMEMBERED_FOLDER))
        with get_context("forkserver").Pool(1) as pool:
            matching = pool.apply_async(_match_for, (folder, 20.0))
            started, lengths = time.perf_counter(), list[float]()
            while time.perf_counter() - started < 60:
                step = time.perf_counter()
                has_more, _ = look_back.step()
                lengths.append(time.perf_counter() - step)
                if not has_more:
                    break
            seconds = time.perf_counter() - started
            figures |= {"match": matching.get(120)}
        done, total = look_back.walked or (uploads, uploads)
        figures |= {"contributions": thousands * 1_000, "uploads": total, "matched": done, "seconds": seconds}
        figures["longest"] = max(lengths)
    return figures


def _match_for(folder: Path, seconds: float) -> dict[str, float]:
    """Match one query after the other for `seconds`; return percentiles in milliseconds."""
    times, rng = [], np.random.default_rng([SEED, 11])
    with LocalIndex(folder) as index:
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            queries = [Query(_signals(rng.bytes(_UPLOAD_BYTES)))]
            started = time.perf_counter()
            index.match(queries)
            times.append((time.perf_counter() - started) * 1e3)
            time.sleep(0.01)
    return {"p50": float(np.percentile(times, 50)), "p99": float(np.percentile(times, 99)), "count": len(times)}


def page(results: dict[str, Any]) -> list[str]:
    """The lines of the page."""
    burst, sizes, rate = results["many"], results["sizes"], results["rates"][0]["rate"]
    texts = results["texts"]
    a_second = burst["matched"] / burst["seconds"]
    return [
        *report.opening("Look-back", _READERS, "bench remember", results["machine"]),
        f"Values are compared by: {results['engine']}. The seed is {results['seed']}.",
        f"The load of the machine was {results['machine']['load']:.0f} at the start: above the number of cores, "
        "all elapsed times are longer.",
        "",
        "## Targets",
        *report.targets(list(_targets(sizes, rate))),
        "## Remember",
        "",
        "Each upload has a PDQ and a phash256. A call returns when its batch is on the disk.",
        *report.table(
            ("uploads a call", "processes", "uploads/s"),
            [(f"{row['batch']:,}", row["processes"], f"{row['rate']:,.0f}") for row in results["rates"]],
        ),
        "## A contribution is reported",
        "",
        f"A contribution has {_SIGNALS} signals, one of them near one upload.",
        "The time is from the response of the service to the report, with `hashdb sync --follow` and the service on "
        "one machine.",
        "`Search` is the time to compare the signals with all uploads.",
        "`Start` is the time that `hashdb sync --follow` took to pack and read the remembered uploads.",
        *report.table(
            ("uploads", "median s", "most s", "search s", "search, processor s", "start s", "bytes an upload", "files"),
            [
                (
                    f"{row['uploads']:,}",
                    *(number(row[key]) for key in ("median", "most", "search", "search_processor", "start")),
                    f"{row['bytes']:.0f}",
                    row["files"],
                )
                for row in sizes
            ],
        ),
        "## Texts, and a film",
        "",
        f"{texts['uploads']:,} texts of 3,000 words are remembered, each with {texts['windows']} windows, by two "
        f"processes with 100 a call: {texts['rate']:,.0f} texts/s, which take {texts['bytes']:,.0f} bytes each.",
        f"The load of the machine was {texts['load']:.0f} at that time.",
        "A contributed text has 300 words of one of them.",
        f"The report arrives {number(texts['median'])} s after the contribution was sent, and after "
        f"{number(texts['most'])} s at most of {_CONTRIBUTIONS}.",
        f"With {texts['pictures']:,} pictures beside them, look-back for a film of {FRAMES_AN_ITEM:,} frames was done "
        f"{number(texts['film'])} s after the response; between its steps newer contributions come first.",
        "",
        "## Very many contributions at once",
        "",
        f"{burst['contributions']:,} contributions of {_SIGNALS} signals arrive at once, as after a first sync, "
        f"with {burst['uploads']:,} uploads remembered.",
        f"Look-back matched {a_second:,.0f} uploads a second with all of them: all take "
        f"{number(burst['uploads'] / a_second / 3600)} hours.",
        f"The longest step, between which the copy is synced, took {number(burst['longest'])} s.",
        f"At the same time, another process matched: {number(burst['match']['p50'])} ms (p50), "
        f"{number(burst['match']['p99'])} ms (p99).",
    ]


def _targets(sizes: list[dict[str, Any]], rate: float) -> Iterator[Target]:
    yield report.at_least("2 processes, batches of 1,000", 20_000, rate, "uploads/s")
    for row in sizes:
        if row["uploads"] == 10_000_000:
            yield report.at_most("10 M uploads, a contribution is reported", 1, row["median"], "s")
    last = sizes[-1]
    # Only the time of the search depends on the number of uploads.
    seconds = last["median"] + last["search"] * max(0.0, 100_000_000 / last["uploads"] - 1)
    title = "100 M uploads, the same" + ("" if last["uploads"] >= 100_000_000 else ", by the growth")
    yield report.at_most(title, 10, seconds, "s")


if __name__ == "__main__":
    main()
