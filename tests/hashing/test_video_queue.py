"""Videos are hashed one at a time, and one that is given up leaves nothing to the next."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryFile

import pytest

from hashdb.domain.signals import Algorithm
from hashdb.errors import JobLost, UnreadablePicture, VideoTooLarge
from hashdb.hashing import Mode
from hashdb.hashing.video_queue import VideoQueue
from hashdb.hashing.videos import HashedVideo, VideoLimits
from tests.films import film

MEMORY = 1536 * 2**20


@pytest.fixture(scope="module")
def queue() -> Iterator[VideoQueue]:
    """One for all, for its process takes its time to start."""
    made = VideoQueue(MEMORY, VideoLimits())
    yield made
    made.close()


def hashed(queue: VideoQueue, octets: bytes, key: str = "key:1", advance: object = None) -> HashedVideo:
    with TemporaryFile() as file:
        file.write(octets)
        file.seek(0)
        report = advance if callable(advance) else lambda share: None
        return queue.hash(file, (Algorithm.PDQ,), Mode.PLAIN, key, interval=1.0, advance=report)


def test_the_share_that_is_done_grows_to_the_end(queue: VideoQueue) -> None:
    shares: list[float] = []
    video = hashed(queue, film(), advance=shares.append)
    assert len(video.frames) >= 6
    assert shares == sorted(shares) and shares[0] == 0 and 0.5 < shares[-1] <= 1


def test_what_is_given_up_or_refused_leaves_nothing_to_the_next(queue: VideoQueue) -> None:
    usual = hashed(queue, film())

    def give_up(share: float) -> None:
        if share > 0:
            raise JobLost(1)

    with pytest.raises(JobLost):
        hashed(queue, film(2), advance=give_up)
    assert hashed(queue, film()) == usual
    with pytest.raises(UnreadablePicture):
        hashed(queue, film()[:40] + bytes(500))
    assert hashed(queue, film()) == usual


def test_a_video_waits_for_the_one_before_it(queue: VideoQueue) -> None:
    order: list[tuple[str, float]] = []
    with ThreadPoolExecutor(3) as threads:
        videos = [
            threads.submit(hashed, queue, film(), key, lambda share, key=key: order.append((key, share)))
            for key in ("key:1", "key:2", "key:3")
        ]
        assert len({video.result() for video in videos}) == 1
    # All of one, then all of the next: each begins with the share 0.
    keys = [key for key, _ in order]
    assert sorted(keys, key=keys.index) == keys
    assert len(set(keys)) == 3


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (VideoLimits(max_seconds=2), "the video plays for more than 2 seconds"),
        (VideoLimits(processing_seconds=0.001), "the video takes longer than 0.001 seconds to hash"),
    ],
)
def test_a_video_that_is_too_long_is_too_large(limits: VideoLimits, reason: str) -> None:
    queue = VideoQueue(MEMORY, limits)
    try:
        with pytest.raises(VideoTooLarge) as refused:
            hashed(queue, film())
        assert refused.value.reason == reason
    finally:
        queue.close()


def test_one_that_is_given_up_before_its_turn_costs_no_process(queue: VideoQueue) -> None:
    def give_up(_: float) -> None:
        raise JobLost(1)

    hashed(queue, film())
    before = _children()
    with pytest.raises(JobLost):
        hashed(queue, film(2), advance=give_up)
    assert before and _children() == before


def _children() -> set[str]:
    """The ids of the processes that this one has started."""
    return {id for each in Path("/proc/self/task").iterdir() for id in (each / "children").read_text().split()}
