"""A worker survives everything that a picture can do to its process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from tempfile import TemporaryFile
from threading import Thread, Timer

import pytest
from PIL import Image

from hashdb.domain.signals import OF_PICTURES, Algorithm
from hashdb.errors import Unavailable, UnreadablePicture
from hashdb.hashing import Limits, Mode, hash_picture
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


def _rejection(worker: Worker, octets: bytes, algorithms: list[Algorithm] = QUICK) -> str:
    with pytest.raises(UnreadablePicture) as error:
        worker.hash(octets, algorithms)
    return str(error.value)


def test_a_worker_returns_the_same_hashes_as_this_process(worker: Worker) -> None:
    assert worker.hash(SMALL, OF_PICTURES) == hash_picture(SMALL, OF_PICTURES, Limits())


def test_a_worker_rejects_with_the_same_error_as_this_process(worker: Worker) -> None:
    assert _rejection(worker, b"BM").startswith("not a picture, video or document in a supported format")


@pytest.mark.parametrize("stated", ["ibm866", "koi8-u", "gb2312", "big5-hkscs"])
def test_a_worker_reads_the_encoding_that_a_document_states(worker: Worker, stated: str) -> None:
    words = " ".join(f"word{number}" for number in range(60)).encode()
    with TemporaryFile() as file:
        # Bytes that are not UTF-8, so that the stated encoding is used.
        file.write(b'<html><meta charset="%s"><p>\xa4\xa4 %s</p></html>' % (stated.encode(), words))
        file.flush()
        assert worker.hash_document(file, []).words >= 60


def test_results_come_in_order_even_if_the_next_picture_is_not_ready(worker: Worker) -> None:
    pictures = [encode_picture(draw_picture(seed=seed)) for seed in range(4)]
    inputs = [None, pictures[0], None, pictures[1], pictures[2], b"BM", pictures[3]]
    results = list(worker.hash_each(inputs, QUICK, Mode.PLAIN, ()))
    expected = [hash_picture(octets, QUICK, Limits()) for octets in pictures]
    assert isinstance(results[3], UnreadablePicture)
    assert [*results[:3], *results[4:]] == expected
    assert len(worker_processes()) == 1


def test_an_abandoned_result_is_not_returned_for_the_next_picture(worker: Worker) -> None:
    first, second = encode_picture(draw_picture(seed=1)), encode_picture(draw_picture(seed=2))
    answers = worker.hash_each(iter([first, second]), QUICK, Mode.PLAIN, ())
    next(answers)
    answers.close()  # type: ignore[attr-defined]
    assert worker.hash(SMALL, QUICK) == hash_picture(SMALL, QUICK, Limits())


@pytest.mark.parametrize("bad", [1, 2])
def test_a_picture_that_ends_the_process_does_not_affect_the_others(bad: int) -> None:
    worker = Worker(30, 60_000_000, Limits())
    pictures = [SMALL] * 4
    pictures[bad] = LARGE
    results = list(worker.hash_each(pictures, QUICK, Mode.PLAIN, ()))
    assert str(results[bad]) == "hashing the picture needs more memory than is allowed"
    assert [result for place, result in enumerate(results) if place != bad] == [
        hash_picture(SMALL, QUICK, Limits())
    ] * 3
    worker.stop()


def test_a_worker_keeps_its_process_after_an_error(worker: Worker) -> None:
    worker.hash(SMALL, QUICK)
    before = worker_processes()
    _rejection(worker, b"")
    worker.hash(SMALL, QUICK)
    assert len(before) == 1 and worker_processes() == before


def test_a_worker_keeps_its_process_after_the_starting_thread_ends(worker: Worker) -> None:
    thread = Thread(target=worker.hash, args=(SMALL, QUICK))
    thread.start()
    thread.join()
    before = worker_processes()
    time.sleep(0.1)
    worker.hash(SMALL, QUICK)
    assert len(before) == 1 and worker_processes() == before


def test_a_picture_that_takes_too_long_is_rejected() -> None:
    worker = Worker(0.5, 3_000_000_000, Limits())
    worker.hash(SMALL, QUICK)
    before = worker_processes()
    started = time.monotonic()
    assert _rejection(worker, LARGE, SLOW) == "hashing the picture took longer than 0.5 s"
    assert time.monotonic() - started < 1.5
    worker.hash(SMALL, QUICK)
    assert worker_processes().isdisjoint(before)
    worker.stop()


def test_a_process_that_does_not_read_its_input_is_replaced() -> None:
    worker = Worker(0.5, 3_000_000_000, Limits())
    worker.hash(SMALL, QUICK)
    (process,) = worker_processes()
    os.kill(process, signal.SIGSTOP)
    assert _rejection(worker, bytes(15_000_000)) == "hashing the picture took longer than 0.5 s"
    worker.hash(SMALL, QUICK)
    worker.stop()


def test_a_picture_that_takes_too_much_memory_is_rejected() -> None:
    worker = Worker(30, 60_000_000, Limits())
    assert _rejection(worker, LARGE) == "hashing the picture needs more memory than is allowed"
    worker.hash(SMALL, QUICK)
    worker.stop()


@pytest.mark.parametrize("killing_signal", [signal.SIGKILL, signal.SIGSEGV])
def test_a_picture_that_crashes_the_process_is_rejected(worker: Worker, killing_signal: signal.Signals) -> None:
    worker.hash(SMALL, QUICK)
    (process,) = worker_processes()
    Timer(0.2, os.kill, (process, killing_signal)).start()
    assert _rejection(worker, LARGE, SLOW) == "the picture crashed the process that read it"
    worker.hash(SMALL, QUICK)


def test_a_process_that_died_while_idle_is_replaced(worker: Worker) -> None:
    worker.hash(SMALL, QUICK)
    (process,) = worker_processes()
    os.kill(process, signal.SIGKILL)
    assert eventually(lambda: not is_running(process))
    worker.hash(SMALL, QUICK)


def test_unavailable_is_raised_if_no_socket_can_be_opened(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError(24, "Too many open files")

    worker.stop()
    monkeypatch.setattr("hashdb.hashing.workers.socketpair", fail)
    with pytest.raises(Unavailable):
        worker.hash(encode_picture(draw_picture()), OF_PICTURES)


def test_unavailable_is_raised_if_the_process_cannot_start(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_the_process_ends_when_its_worker_is_deleted() -> None:
    worker = Worker(30, 3_000_000_000, Limits())
    worker.hash(SMALL, QUICK)
    del worker
    assert worker_processes() == set()
