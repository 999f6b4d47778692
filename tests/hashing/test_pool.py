"""A pool hashes many pictures in few processes, and no picture affects another; videos are hashed one by one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile

import pytest
from PIL import Image

from hashdb.domain.signals import Algorithm
from hashdb.errors import HashingBusy, JobLost, UnreadablePicture, VideoTooLarge
from hashdb.hashing import Hashed, Limits, Mode, hash_as, hash_picture
from hashdb.hashing.decoding import VideoLimits
from hashdb.hashing.pool import HashingPool, VideoQueue
from hashdb.hashing.videos import VIDEO_LIMITS, HashedVideo
from tests.films import film
from tests.hashing.processes import eventually, worker_processes
from tests.hashing.samples import draw_picture, encode_picture

LIMITS = Limits()
MEMORY = 3_000_000_000
SMALL = encode_picture(draw_picture())
LARGE = encode_picture(Image.new("1", (7000, 7000)))
QUICK = (Algorithm.PDQ, Algorithm.PHASH)
SLOW = (Algorithm.WHASH,) * 20


def reasons(answers: list[Hashed | UnreadablePicture]) -> list[str | None]:
    return [str(answer) if isinstance(answer, UnreadablePicture) else None for answer in answers]


def test_each_picture_has_its_own_result_in_order() -> None:
    pictures = [encode_picture(draw_picture(seed=seed)) for seed in range(5)]
    with HashingPool(2, 8, 30, MEMORY, LIMITS) as pool:
        answers = pool.hash([*pictures, b"no picture"], QUICK)
    assert answers[:5] == [hash_picture(octets, QUICK, LIMITS) for octets in pictures]
    assert isinstance(answers[5], UnreadablePicture)


def test_each_picture_is_hashed_in_its_mode() -> None:
    algorithms = (Algorithm.PDQ, Algorithm.PHASH256)
    with HashingPool(1, 8, 30, MEMORY, LIMITS) as pool:
        assert pool.hash([SMALL] * len(Mode), algorithms, Mode) == [
            hash_as(SMALL, algorithms, LIMITS, mode) for mode in Mode
        ]


def test_hashing_no_pictures_returns_an_empty_list() -> None:
    with HashingPool(1, 0, 30, MEMORY, LIMITS) as pool:
        assert pool.hash([], QUICK) == []


def test_processes_start_when_needed_and_end_with_the_pool() -> None:
    pool = HashingPool(2, 8, 30, MEMORY, LIMITS)
    assert worker_processes() == set()
    pool.hash([SMALL], QUICK)
    assert len(worker_processes()) == 1
    pool.hash([SMALL] * 8, QUICK)
    assert len(worker_processes()) == 2
    pool.close()
    assert worker_processes() == set()


def test_closing_an_unused_or_closed_pool_is_harmless() -> None:
    pool = HashingPool(1, 1, 30, MEMORY, LIMITS)
    pool.close()
    pool.hash([SMALL], QUICK)
    pool.close()
    pool.close()


def test_closing_waits_for_pictures_of_other_threads() -> None:
    pool = HashingPool(1, 1, 30, MEMORY, LIMITS)
    pool.hash([SMALL], QUICK)
    with ThreadPoolExecutor(2) as threads:
        slow = [threads.submit(pool.hash, [SMALL], SLOW) for _ in range(2)]
        assert eventually(lambda: pool.pending.total() == 2)
        pool.close()
        assert worker_processes() == set()
    assert [reasons(future.result()) for future in slow] == [[None], [None]]


def test_many_threads_share_a_pool() -> None:
    expected = hash_picture(SMALL, QUICK, LIMITS)
    with HashingPool(2, 40, 30, MEMORY, LIMITS) as pool, ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: pool.hash([SMALL] * 2, QUICK), range(20)))
    assert answers == [[expected] * 2] * 20


def test_a_picture_that_crashes_its_process_does_not_affect_the_others() -> None:
    with HashingPool(2, 8, 30, MEMORY, LIMITS) as pool, ThreadPoolExecutor(1) as threads:
        pool.hash([SMALL], QUICK)
        (victim,) = worker_processes()
        slow = threads.submit(pool.hash, [LARGE], SLOW)
        quick = [pool.hash([SMALL], QUICK) for _ in range(5)]
        os.kill(victim, signal.SIGKILL)
        assert reasons(slow.result()) == ["the picture crashed the process that read it"]
        assert quick == [[hash_picture(SMALL, QUICK, LIMITS)]] * 5
        assert pool.hash([SMALL] * 4, QUICK) == [hash_picture(SMALL, QUICK, LIMITS)] * 4


def test_only_the_picture_over_the_time_or_memory_limit_is_rejected() -> None:
    with HashingPool(1, 8, 1, 60_000_000, LIMITS) as pool:
        assert reasons(pool.hash([SMALL, LARGE, SMALL], QUICK)) == [
            None,
            "hashing the picture needs more memory than is allowed",
            None,
        ]
    with HashingPool(1, 8, 0.5, MEMORY, LIMITS) as pool:
        assert reasons(pool.hash([LARGE, SMALL], SLOW)) == [
            "hashing the picture took longer than 0.5 s",
            None,
        ]


def test_waiting_time_does_not_count_towards_the_time_limit() -> None:
    large = encode_picture(Image.new("RGB", (2000, 2000)))
    started = time.monotonic()
    with HashingPool(1, 20, 1, MEMORY, LIMITS) as pool:
        answers = pool.hash([large] * 15, [Algorithm.WHASH])
    assert reasons(answers) == [None] * 15
    assert time.monotonic() - started > 1


def test_a_picture_with_too_many_bytes_is_not_sent_to_a_process() -> None:
    with HashingPool(1, 1, 30, MEMORY, Limits(max_bytes=100)) as pool:
        assert reasons(pool.hash([SMALL], QUICK)) == ["the picture has more than 100 bytes"]
        assert worker_processes() == set()


def test_a_full_queue_raises_hashing_busy() -> None:
    with HashingPool(1, 1, 0.7, MEMORY, LIMITS) as pool:
        with ThreadPoolExecutor(3) as threads:
            calls = [threads.submit(pool.hash, [LARGE], SLOW, key=key) for key in "abc"]
        (error,) = filter(None, (call.exception() for call in calls))
        assert isinstance(error, HashingBusy)
        assert error.retry_after == 1
        assert reasons(pool.hash([SMALL], QUICK)) == [None]


def test_one_key_can_fill_only_half_of_the_pool() -> None:
    with HashingPool(1, 2, 30, MEMORY, LIMITS) as pool, ThreadPoolExecutor(1) as threads:
        pool.hash([SMALL], QUICK)
        greedy = threads.submit(pool.hash, [SMALL] * 2, SLOW, key="a")
        assert eventually(lambda: pool.pending.total() == 2)
        with pytest.raises(HashingBusy):
            pool.hash([SMALL], QUICK, key="a")
        assert reasons(pool.hash([SMALL], QUICK, key="b")) == [None]
        assert reasons(greedy.result(20)) == [None] * 2
        assert reasons(pool.hash([SMALL], QUICK, key="a")) == [None]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_key_with_one_picture_need_not_wait_for_all_of_another_key(workers: int) -> None:
    with HashingPool(workers, 64, 30, MEMORY, LIMITS) as pool, ThreadPoolExecutor(1) as threads:
        pool.hash([SMALL] * workers, QUICK)
        greedy = threads.submit(pool.hash, [SMALL] * 32, SLOW, key="a")
        assert eventually(lambda: pool.pending["a"] == 32)
        for _ in range(3):
            assert reasons(pool.hash([SMALL], QUICK, key="b")) == [None]
        assert not greedy.done()
        assert reasons(greedy.result(60)) == [None] * 32


def test_an_idle_pool_accepts_more_pictures_than_its_queue_holds() -> None:
    with HashingPool(1, 0, 30, MEMORY, LIMITS) as pool:
        assert reasons(pool.hash([SMALL] * 5, QUICK)) == [None] * 5


PROGRAM = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
print("main runs")
from hashdb.hashing.pool import *
from tests.hashing.processes import worker_processes
from tests.hashing.samples import draw_picture, encode_picture
pool = HashingPool(1, 1, 30, {MEMORY}, Limits())
hashes = lambda: isinstance(pool.hash([encode_picture(draw_picture())], [Algorithm.PDQ])[0], Hashed)
print(hashes(), flush=True)
"""
FORKING = f"""{PROGRAM}
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
before = worker_processes()
if (child := os.fork()) == 0:
    print("child", hashes(), worker_processes().isdisjoint(before), flush=True)
    sys.exit()
os.waitpid(child, 0)
print("parent", hashes(), worker_processes() == before)
"""


def test_any_program_can_use_the_pool_without_closing_it(tmp_path: Path) -> None:
    script = tmp_path / "hashdb"
    script.write_text(PROGRAM)
    for arguments in (["-c", PROGRAM], [str(script)]):
        process = subprocess.run(
            [sys.executable, "-W", "error", *arguments], capture_output=True, text=True, cwd=tmp_path, check=True
        )
        assert (process.stdout, process.stderr) == ("main runs\nTrue\n", "")


def test_parent_and_child_of_a_fork_have_their_own_processes() -> None:
    process = subprocess.run([sys.executable, "-c", FORKING], capture_output=True, text=True, check=True)
    assert process.stdout.splitlines()[2:] == ["child True True", "parent True True"]
    assert process.stderr == ""


@pytest.fixture(scope="module")
def queue() -> Iterator[VideoQueue]:
    """One queue for all tests: its process starts slowly."""
    queue = VideoQueue(120, MEMORY)
    yield queue
    queue.close()


def hash_bytes(
    queue: VideoQueue,
    octets: bytes,
    key: str = "key:1",
    advance: Callable[[float], None] = lambda share: None,
    limits: VideoLimits = VIDEO_LIMITS,
) -> HashedVideo:
    with TemporaryFile() as file, queue.turn(key, advance) as worker:
        file.write(octets)
        file.seek(0)
        return worker.hash_video(file, (Algorithm.PDQ,), Mode.PLAIN, limits, interval=1.0, advance=advance)


def test_the_reported_progress_grows_to_the_end(queue: VideoQueue) -> None:
    shares: list[float] = []
    video = hash_bytes(queue, film(), advance=shares.append)
    assert len(video.frames) >= 6
    assert shares == sorted(shares) and shares[0] == 0 and 0.5 < shares[-1] <= 1


def test_a_cancelled_or_rejected_video_does_not_affect_the_next_one(queue: VideoQueue) -> None:
    expected = hash_bytes(queue, film())

    def cancel(share: float) -> None:
        if share > 0:
            raise JobLost(1)

    with pytest.raises(JobLost):
        hash_bytes(queue, film(2), advance=cancel)
    assert hash_bytes(queue, film()) == expected
    with pytest.raises(UnreadablePicture):
        hash_bytes(queue, film()[:40] + bytes(500))
    assert hash_bytes(queue, film()) == expected


def test_videos_are_hashed_one_after_the_other(queue: VideoQueue) -> None:
    order: list[tuple[str, float]] = []

    def record_progress(key: str, share: float) -> None:
        order.append((key, share))

    with ThreadPoolExecutor(3) as threads:
        videos = [
            threads.submit(hash_bytes, queue, film(), key, partial(record_progress, key))
            for key in ("key:1", "key:2", "key:3")
        ]
        assert len({video.result() for video in videos}) == 1
    # The calls of one video come before those of the next.
    keys = [key for key, _ in order]
    assert sorted(keys, key=keys.index) == keys
    assert len(set(keys)) == 3


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (VideoLimits(max_seconds=2), "the video is longer than 2 seconds"),
        (VideoLimits(processing_seconds=0.001), "hashing the video took longer than 0.001 s"),
    ],
)
def test_a_video_over_a_limit_raises_video_too_large(queue: VideoQueue, limits: VideoLimits, reason: str) -> None:
    with pytest.raises(VideoTooLarge) as error:
        hash_bytes(queue, film(), limits=limits)
    assert error.value.reason == reason


def test_a_video_cancelled_before_its_turn_does_not_replace_the_process(queue: VideoQueue) -> None:
    def cancel(_: float) -> None:
        raise JobLost(1)

    hash_bytes(queue, film())
    before = _child_processes()
    with pytest.raises(JobLost):
        hash_bytes(queue, film(2), advance=cancel)
    assert before and _child_processes() == before


def _child_processes() -> set[str]:
    """The ids of the child processes of this process."""
    return {id for each in Path("/proc/self/task").iterdir() for id in (each / "children").read_text().split()}
