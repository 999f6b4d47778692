"""In parallel: every picture has its own outcome, in order, whatever becomes of the others."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator

import pytest
from PIL import Image

from hashdb.domain.signals import Algorithm
from hashdb.errors import Unavailable, UnreadablePicture
from hashdb.hashing import Hashed, Limits, hash_picture
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
    if octets == b"away":
        raise UnreadablePicture("the file cannot be read: no such file or directory")
    return octets


def said(found: Hashed | UnreadablePicture) -> object:
    return str(found) if isinstance(found, UnreadablePicture) else found


@pytest.mark.parametrize("count", [1, 2, 5])
def test_each_source_has_its_own_outcome_in_order(count: int) -> None:
    sources = [encode_picture(draw_picture(seed=seed)) for seed in range(12)]
    expected: list[object] = [hash_picture(octets, QUICK, LIMITS) for octets in sources]
    for place, octets in ((0, b"away"), (7, b""), (9, b"away")):
        sources.insert(place, octets)
        expected.insert(place, "the file is empty" if not octets else "the file cannot be read")
    found = list(hash_in_order(new_workers(count), sources, read, QUICK))
    assert [source for source, _ in found] == sources
    for (_, one), what in zip(found, expected, strict=True):
        assert str(one).startswith(what) if isinstance(what, str) else one == what
    assert worker_processes() == set()


def test_what_else_goes_wrong_as_a_source_is_read_is_raised() -> None:
    def fails(octets: bytes) -> bytes:
        if octets == b"away":
            raise MemoryError
        return octets

    found = hash_in_order(new_workers(), [SMALL, b"away", SMALL], fails, QUICK)
    assert next(found)[1] == hash_picture(SMALL, QUICK, LIMITS)
    with pytest.raises(MemoryError):
        next(found)
    assert worker_processes() == set()


def test_of_no_sources_nothing_becomes_and_no_process_starts() -> None:
    assert list(hash_in_order(new_workers(), (), read, QUICK)) == []


def test_a_few_are_read_ahead_of_who_listens_and_no_more() -> None:
    given = 0

    def sources() -> Iterator[bytes]:
        nonlocal given
        for _ in range(100):
            given += 1
            yield SMALL

    found = hash_in_order(new_workers(2), sources(), read, QUICK)
    next(found)
    assert 1 < given <= 10
    found.close()  # type: ignore[attr-defined]
    assert worker_processes() == set()


def test_a_picture_that_takes_too_long_spoils_no_other() -> None:
    sources = [SMALL, SMALL, LARGE, SMALL, SMALL]
    found = [said(one) for _, one in hash_in_order(new_workers(1, 0.8), sources, read, SLOW)]
    expected: list[object] = [hash_picture(SMALL, SLOW, LIMITS)] * 5
    expected[2] = "the picture takes longer than 0.8 seconds to hash"
    assert found == expected


def test_a_picture_that_brings_a_process_down_spoils_no_other() -> None:
    found = hash_in_order(new_workers(1), [SMALL, LARGE, *[SMALL] * 6], read, SLOW)
    outcomes = [said(next(found)[1])]
    # It is at the large one now, for some time.
    (process,) = worker_processes()
    os.kill(process, signal.SIGKILL)
    outcomes += [said(one) for _, one in found]
    expected: list[object] = [hash_picture(SMALL, SLOW, LIMITS)] * 8
    expected[1] = "the picture brings down what reads it"
    assert outcomes == expected


def test_where_no_process_can_be_started_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(Unavailable):
        list(hash_in_order(new_workers(2), [SMALL] * 30, read, QUICK))
    assert worker_processes() == set()
