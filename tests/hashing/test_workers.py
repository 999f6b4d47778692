"""A worker outlives whatever a picture does to its process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from threading import Thread, Timer

import pytest
from PIL import Image

from hashdb.domain.signals import OF_PICTURES, Algorithm
from hashdb.errors import Unavailable, UnreadablePicture
from hashdb.hashing import Limits, hash_picture
from hashdb.hashing.workers import Worker
from tests.hashing.processes import eventually, is_running, worker_processes
from tests.hashing.samples import draw_picture, encode_picture

SMALL = encode_picture(draw_picture())
LARGE = encode_picture(Image.new("1", (7000, 7000)))
SLOW = [Algorithm.WHASH] * 20
QUICK = [Algorithm.PDQ]


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker(30, 3_000_000_000, Limits())
    yield worker
    worker.stop()
    assert worker_processes() == set()


def _refusal(worker: Worker, octets: bytes, algorithms: list[Algorithm] = QUICK) -> str:
    with pytest.raises(UnreadablePicture) as refused:
        worker.hash(octets, algorithms)
    return str(refused.value)


def test_it_hashes_as_this_process_does(worker: Worker) -> None:
    assert worker.hash(SMALL, OF_PICTURES) == hash_picture(SMALL, OF_PICTURES, Limits())


def test_it_refuses_as_this_process_does(worker: Worker) -> None:
    assert _refusal(worker, b"BM").startswith("not a picture, video or document of a format that is read")


def test_each_of_several_is_answered_in_order_also_where_the_next_is_not_there_yet(worker: Worker) -> None:
    pictures = [encode_picture(draw_picture(seed=seed)) for seed in range(4)]
    given = [None, pictures[0], None, pictures[1], pictures[2], b"BM", pictures[3]]
    found = list(worker.hash_each(given, QUICK))
    hashed = [hash_picture(octets, QUICK, Limits()) for octets in pictures]
    assert isinstance(found[3], UnreadablePicture)
    assert [*found[:3], *found[4:]] == hashed
    assert len(worker_processes()) == 1


def test_one_that_is_not_waited_for_answers_nobody_else(worker: Worker) -> None:
    first, second = encode_picture(draw_picture(seed=1)), encode_picture(draw_picture(seed=2))
    answers = worker.hash_each(iter([first, second]), QUICK)
    next(answers)
    answers.close()  # type: ignore[attr-defined]
    assert worker.hash(SMALL, QUICK) == hash_picture(SMALL, QUICK, Limits())


@pytest.mark.parametrize("bad", [1, 2])
def test_one_after_which_the_process_is_ended_takes_none_with_it(bad: int) -> None:
    worker = Worker(30, 60_000_000, Limits())
    pictures = [SMALL] * 4
    pictures[bad] = LARGE
    found = list(worker.hash_each(pictures, QUICK))
    assert str(found[bad]) == "the picture takes more memory to hash than is allowed"
    assert [one for place, one in enumerate(found) if place != bad] == [hash_picture(SMALL, QUICK, Limits())] * 3
    worker.stop()


def test_it_keeps_its_process(worker: Worker) -> None:
    worker.hash(SMALL, QUICK)
    before = worker_processes()
    _refusal(worker, b"")
    worker.hash(SMALL, QUICK)
    assert len(before) == 1 and worker_processes() == before


def test_it_keeps_its_process_when_the_thread_that_started_it_ends(worker: Worker) -> None:
    thread = Thread(target=worker.hash, args=(SMALL, QUICK))
    thread.start()
    thread.join()
    before = worker_processes()
    time.sleep(0.1)
    worker.hash(SMALL, QUICK)
    assert len(before) == 1 and worker_processes() == before


def test_a_picture_that_takes_too_long_is_given_up() -> None:
    worker = Worker(0.5, 3_000_000_000, Limits())
    worker.hash(SMALL, QUICK)
    before = worker_processes()
    started = time.monotonic()
    assert _refusal(worker, LARGE, SLOW) == "the picture takes longer than 0.5 seconds to hash"
    assert time.monotonic() - started < 1.5
    worker.hash(SMALL, QUICK)
    assert worker_processes().isdisjoint(before)
    worker.stop()


def test_a_process_that_does_not_even_listen_is_given_up() -> None:
    worker = Worker(0.5, 3_000_000_000, Limits())
    worker.hash(SMALL, QUICK)
    (process,) = worker_processes()
    os.kill(process, signal.SIGSTOP)
    assert _refusal(worker, bytes(15_000_000)) == "the picture takes longer than 0.5 seconds to hash"
    worker.hash(SMALL, QUICK)
    worker.stop()


def test_a_picture_that_takes_too_much_memory_is_refused() -> None:
    worker = Worker(30, 60_000_000, Limits())
    assert _refusal(worker, LARGE) == "the picture takes more memory to hash than is allowed"
    worker.hash(SMALL, QUICK)
    worker.stop()


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGSEGV])
def test_a_picture_that_crashes_the_process_is_refused(worker: Worker, by: signal.Signals) -> None:
    worker.hash(SMALL, QUICK)
    (process,) = worker_processes()
    Timer(0.2, os.kill, (process, by)).start()
    assert _refusal(worker, LARGE, SLOW) == "the picture brings down what reads it"
    worker.hash(SMALL, QUICK)


def test_a_process_that_died_idle_is_replaced_unseen(worker: Worker) -> None:
    worker.hash(SMALL, QUICK)
    (process,) = worker_processes()
    os.kill(process, signal.SIGKILL)
    assert eventually(lambda: not is_running(process))
    worker.hash(SMALL, QUICK)


def test_a_process_that_cannot_start_makes_the_service_unavailable(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for program in ("/bin/false", "/does/not/exist"):
        monkeypatch.setattr(sys, "executable", program)
        with pytest.raises(Unavailable):
            worker.hash(SMALL, QUICK)


@pytest.mark.parametrize("algorithms", [QUICK, SLOW], ids=["idle", "busy"])
def test_the_process_dies_when_its_parent_is_killed(algorithms: list[Algorithm]) -> None:
    program = (
        "from threading import Thread; from PIL import Image; from hashdb.hashing.workers import *; "
        "from tests.hashing.processes import worker_processes; "
        "from tests.hashing.samples import draw_picture, encode_picture; "
        "worker = Worker(99, 3_000_000_000, Limits()); worker.hash(encode_picture(draw_picture()), [Algorithm.PDQ]); "
        "large = encode_picture(Image.new('1', (7000, 7000))); "
        f"Thread(target=worker.hash, args=(large, {[str(a) for a in algorithms]})).start(); "
        "time.sleep(0.5); print(*worker_processes(), flush=True); time.sleep(99)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        process = int(parent.stdout.readline())
        assert is_running(process)
        parent.kill()
    assert eventually(lambda: not is_running(process), 1)


def test_a_worker_that_is_forgotten_takes_its_process_along() -> None:
    worker = Worker(30, 3_000_000_000, Limits())
    worker.hash(SMALL, QUICK)
    del worker
    assert worker_processes() == set()
