"""Videos on the command line."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Barrier, Event, Thread, current_thread
from typing import Any, BinaryIO

import pytest

from hashdb.cli.matching.pictures import hash_all, hash_queries
from hashdb.domain.signals import Algorithm
from hashdb.hashing.decoding import NO_EXTRA, NO_TRACK
from hashdb.hashing.videos import INTERVAL, HashedVideo
from hashdb.hashing.workers import Worker
from hashdb.member_settings import MemberSettings
from hashdb.settings import Settings
from hashdb.wire.frames import QueryFrameIn
from tests import films
from tests.cli.conftest import PHOTOS, Commands


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.mp4"
    path.write_bytes(films.film())
    return path


def test_pictures_and_videos_are_hashed_in_the_order_of_the_arguments(run: Commands, film: Path) -> None:
    paths = [PHOTOS[0], film, film.with_suffix(".gif"), PHOTOS[1]]
    first, *others = films.pictures()[:15]
    first.save(paths[2], save_all=True, append_images=others, duration=100)
    results = run.json("hash", *paths)
    assert [Path(item["path"]) for item in results] == paths
    assert [len(item.get("frames", ())) for item in results] == [0, 6, 2, 0]
    assert [signal.partition(":")[0] for signal in results[1]["signals"]] == ["sha256", "md5"]
    assert results[1]["duration"] == 6


def test_the_frames_of_a_query_have_their_transforms(run: Commands, film: Path) -> None:
    (query,) = run.json("hash", "--transforms", film)
    frames = [QueryFrameIn.model_validate_json(json.dumps(frame)).to_domain() for frame in query["frames"]]
    (expected,) = hash_queries(
        {film: None}, MemberSettings().algorithms, MemberSettings(), None, seeds=(), transforms=True, fast=False
    )
    assert tuple(frames) == expected.domain_frames()
    assert all("mirror" in frame.transforms for frame in frames)
    assert 0 < frames[1].at < INTERVAL


def test_fast_decodes_key_frames_only(run: Commands, film: Path) -> None:
    options = {"x264-params": "keyint=20:min-keyint=20:scenecut=0"}
    film.write_bytes(films.encoded(films.pictures(), options=options))
    (video,) = run.json("hash", "--fast", film)
    assert [frame["at"] for frame in video["frames"]] == [0, 2, 4]
    assert video["duration"] == 6
    assert "incomplete" not in video
    error = run("hash", "--fast", "--format", "vpdq", film)
    assert error.returncode == 2
    assert "needs one video, and allows no other option than --jobs" in error.stderr


def test_a_damaged_video_is_hashed_up_to_the_damage_with_a_warning(run: Commands, film: Path) -> None:
    octets = films.encoded(films.pictures(), container="matroska")
    film.write_bytes(octets[: len(octets) // 2])
    result = run("hash", film)
    assert result.returncode == 0
    assert "frames, 0:0" in result.stdout
    assert "the video states a length of 6.0 seconds" in result.stderr


def test_a_file_that_is_not_a_video_is_reported_with_the_reason(run: Commands, film: Path) -> None:
    film.write_bytes(b"ffconcat version 1.0\nfile '/etc/passwd'\n")
    assert "the document has too little text to be hashed" in run("hash", film).stderr
    film.write_bytes(b"ID3" + bytes(1_000))
    assert NO_TRACK in run("hash", film).stderr


def test_without_the_extra_a_video_is_an_error_and_other_files_are_hashed(
    run: Commands, film: Path, tmp_path: Path
) -> None:
    (tmp_path / "av.py").write_text("raise ImportError('not installed')")
    first, *others = films.pictures()[:15]
    first.save(tmp_path / "film.gif", save_all=True, append_images=others, duration=100)
    path = os.pathsep.join((str(tmp_path), *filter(None, sys.path)))
    result = run.process("hash", film, tmp_path / "film.gif", PHOTOS[0], PYTHONPATH=path)
    assert result.returncode == 1
    assert result.stderr == f"hashdb: {film}: {NO_EXTRA}\n"
    assert [line.partition("  ")[0] for line in result.stdout.splitlines()] == [
        str(tmp_path / "film.gif"),
        str(PHOTOS[0]),
    ]


def test_two_workers_hash_films_between_pictures_in_parallel(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths: dict[Path, str | None] = {}
    for number in range(4):
        copy = film.with_name(f"{number}.mp4")
        copy.write_bytes(film.read_bytes())
        paths |= {PHOTOS[number]: None, copy: None}
    barrier, users = Barrier(2), set[int]()
    hash_video = Worker.hash_video

    def hash_and_count(worker: Worker, *arguments: Any, **options: Any) -> HashedVideo:
        # Wait for the other process, so that both hash a film at the same time.
        barrier.wait(30)
        users.add(id(worker))
        return hash_video(worker, *arguments, **options)

    monkeypatch.setattr(Worker, "hash_video", hash_and_count)
    results = list(hash_all(paths, (Algorithm.PDQ,), Settings(), jobs=2))
    assert [outcome.path for outcome in results] == list(paths)
    assert [outcome.error for outcome in results] == [None] * 8
    assert [bool(outcome.frames) for outcome in results] == [False, True] * 4
    assert len(users) == 2


def test_closing_the_outcomes_stops_the_hashing_in_the_middle_of_a_film(
    film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [film, *(film.with_name(f"{number}.ts") for number in range(4))]
    for path in paths[1:]:
        path.write_bytes(films.encoded(films.pictures(), container="mpegts") * 200)
    started, threads, finished, hash_video = Event(), set[Thread](), list[str](), Worker.hash_video

    def hash_and_watch(
        worker: Worker, file: BinaryIO, *arguments: Any, advance: Callable[[float], None], **options: Any
    ) -> HashedVideo:
        def report(share: float) -> None:
            if file.name.endswith(".ts"):
                started.set()
            advance(share)

        threads.add(current_thread())
        video = hash_video(worker, file, *arguments, advance=report, **options)
        finished.append(file.name)
        return video

    monkeypatch.setattr(Worker, "hash_video", hash_and_watch)
    outcomes = hash_all(dict.fromkeys(paths), (Algorithm.PDQ,), Settings(), jobs=2)
    assert next(outcomes).path == film
    assert started.wait(30)
    outcomes.close()
    for thread in threads:
        thread.join(60)
    assert finished == [str(film)]
