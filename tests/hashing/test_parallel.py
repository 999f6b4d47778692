"""Pictures are hashed in parallel. Each has its own result, in order, whatever happens to the others."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator

import pytest
from PIL import Image

from hashdb.domain.signals import Algorithm
from hashdb.errors import Unavailable, UnreadablePicture
from hashdb.hashing import Hashed, Limits, Mode, hash_picture
from hashdb.hashing.parallel import hash_in_order
from hashdb.hashing.workers import Worker
from tests.hashing.processes import worker_processes
from tests.hashing.samples import draw_picture, encode_picture

LIMITS = Limits()
QUICK = (Algorithm.PDQ, Algorithm.PHASH)
SLOW = (Algorithm.WHASH,) * 20
SMALL = encode_picture(draw_picture())
LARGE = encode_picture(Image.new("1", (7000, 7000)))


def new_workers(count: int = 2, seconds: float = 30) -> list[Worker]:
    return [Worker(seconds, 3_000_000_000, LIMITS) for _ in range(count)]


def read(octets: bytes) -> bytes:
    if octets == b"missing":
        raise UnreadablePicture("the file cannot be read: no such file or directory")
    return octets


def hashes_or_error(result: Hashed | UnreadablePicture) -> object:
    return str(result) if isinstance(result, UnreadablePicture) else result


@pytest.mark.parametrize("count", [1, 2, 5])
def test_each_source_has_its_own_result_in_order(count: int) -> None:
    sources = [encode_picture(draw_picture(seed=seed)) for seed in range(12)]
    expected: list[object] = [hash_picture(octets, QUICK, LIMITS) for octets in sources]
    for place, octets in ((0, b"missing"), (7, b""), (9, b"missing")):
        sources.insert(place, octets)
        expected.insert(place, "the file is empty" if not octets else "the file cannot be read")
    results = list(hash_in_order(new_workers(count), sources, read, QUICK, Mode.PLAIN, ()))
    assert [source for source, _ in results] == sources
    for (_, result), right in zip(results, expected, strict=True):
        assert str(result).startswith(right) if isinstance(right, str) else result == right
    assert worker_processes() == set()


def test_an_unexpected_error_while_reading_a_source_is_raised() -> None:
    def read_or_fail(octets: bytes) -> bytes:
        if octets == b"missing":
            raise MemoryError
        return octets

    results = hash_in_order(new_workers(), [SMALL, b"missing", SMALL], read_or_fail, QUICK, Mode.PLAIN, ())
    assert next(results)[1] == hash_picture(SMALL, QUICK, LIMITS)
    with pytest.raises(MemoryError):
        next(results)
    assert worker_processes() == set()


def test_without_sources_the_result_is_empty() -> None:
    assert list(hash_in_order(new_workers(), (), read, QUICK, Mode.PLAIN, ())) == []


def test_at_most_a_few_pictures_are_read_ahead_of_the_caller() -> None:
    pictures_read = 0

    def sources() -> Iterator[bytes]:
        nonlocal pictures_read
        for _ in range(100):
            pictures_read += 1
            yield SMALL

    results = hash_in_order(new_workers(2), sources(), read, QUICK, Mode.PLAIN, ())
    next(results)
    assert 1 < pictures_read <= 10
    results.close()  # type: ignore[attr-defined]
    assert worker_processes() == set()


def test_a_picture_that_takes_too_long_does_not_affect_the_others() -> None:
    sources = [SMALL, SMALL, LARGE, SMALL, SMALL]
    results = hash_in_order(new_workers(1, 0.8), sources, read, SLOW, Mode.PLAIN, ())
    outcomes = [hashes_or_error(result) for _, result in results]
    expected: list[object] = [hash_picture(SMALL, SLOW, LIMITS)] * 5
    expected[2] = "hashing the picture took longer than 0.8 s"
    assert outcomes == expected


def test_a_picture_that_crashes_a_process_does_not_affect_the_others() -> None:
    results = hash_in_order(new_workers(1), [SMALL, LARGE, *[SMALL] * 6], read, SLOW, Mode.PLAIN, ())
    outcomes = [hashes_or_error(next(results)[1])]
    # The process now hashes the large picture, for some time.
    (process,) = worker_processes()
    os.kill(process, signal.SIGKILL)
    outcomes += [hashes_or_error(result) for _, result in results]
    expected: list[object] = [hash_picture(SMALL, SLOW, LIMITS)] * 8
    expected[1] = "the picture crashed the process that read it"
    assert outcomes == expected


def test_unavailable_is_raised_if_no_process_can_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(Unavailable):
        list(hash_in_order(new_workers(2), [SMALL] * 30, read, QUICK, Mode.PLAIN, ()))
    assert worker_processes() == set()
