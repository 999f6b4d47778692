"""Videos on the command line."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Barrier, Event, Thread, current_thread
from typing import Any, BinaryIO

import pytest

from hashdb.cli.matching.pictures import hash_all
from hashdb.domain.signals import Algorithm
from hashdb.hashing.decoding import NO_EXTRA, NO_TRACK
from hashdb.hashing.videos import HashedVideo
from hashdb.hashing.workers import Worker
from hashdb.settings import Settings
from tests import films
from tests.cli.conftest import PHOTOS, Commands


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.mp4"
    path.write_bytes(films.film())
    return path


def test_pictures_and_videos_are_hashed_in_the_order_in_which_they_are_named(run: Commands, film: Path) -> None:
    paths = [PHOTOS[0], film, film.with_suffix(".gif"), PHOTOS[1]]
    first, *others = films.pictures()[:15]
    first.save(paths[2], save_all=True, append_images=others, duration=100)
    said = run.json("hash", *paths)
    assert [Path(one["path"]) for one in said] == paths
    assert [len(one.get("frames", ())) for one in said] == [0, 6, 2, 0]
    assert [signal.partition(":")[0] for signal in said[1]["signals"]] == ["sha256", "md5"]
    assert said[1]["duration"] == 6


def test_with_fast_only_key_frames_are_decoded(run: Commands, film: Path) -> None:
    options = {"x264-params": "keyint=20:min-keyint=20:scenecut=0"}
    film.write_bytes(films.encoded(films.pictures(), options=options))
    (said,) = run.json("hash", "--fast", film)
    assert [frame["at"] for frame in said["frames"]] == [0, 2, 4]
    assert said["duration"] == 6
    assert "incomplete" not in said
    refused = run("hash", "--fast", "--format", "vpdq", film)
    assert refused.returncode == 2
    assert "takes one video, and no other option but --jobs" in refused.stderr


def test_a_damaged_video_is_hashed_as_far_as_it_goes_and_the_user_is_told(run: Commands, film: Path) -> None:
    octets = films.encoded(films.pictures(), container="matroska")
    film.write_bytes(octets[: len(octets) // 2])
    said = run("hash", film)
    assert said.returncode == 0
    assert "frames, 0:0" in said.stdout
    assert "the video states a length of 6.0 seconds" in said.stderr


def test_a_file_that_is_no_video_is_named_with_the_reason(run: Commands, film: Path) -> None:
    film.write_bytes(b"ffconcat version 1.0\nfile '/etc/passwd'\n")
    assert "the document has too little text to be hashed" in run("hash", film).stderr
    film.write_bytes(b"ID3" + bytes(1_000))
    assert NO_TRACK in run("hash", film).stderr


def test_without_the_extra_it_is_said_what_to_install_and_the_rest_goes_on(
    run: Commands, film: Path, tmp_path: Path
) -> None:
    (tmp_path / "av.py").write_text("raise ImportError('not installed')")
    first, *others = films.pictures()[:15]
    first.save(tmp_path / "film.gif", save_all=True, append_images=others, duration=100)
    path = os.pathsep.join((str(tmp_path), *filter(None, sys.path)))
    ran = run.process("hash", film, tmp_path / "film.gif", PHOTOS[0], PYTHONPATH=path)
    assert ran.returncode == 1
    assert ran.stderr == f"hashdb: {film}: {NO_EXTRA}\n"
    assert [line.partition("  ")[0] for line in ran.stdout.splitlines()] == [str(tmp_path / "film.gif"), str(PHOTOS[0])]


def test_films_between_pictures_are_hashed_beside_each_other_by_the_same_processes(
    film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths: dict[Path, str | None] = {}
    for number in range(4):
        copy = film.with_name(f"{number}.mp4")
        copy.write_bytes(film.read_bytes())
        paths |= {PHOTOS[number]: None, copy: None}
    both, users = Barrier(2), set[int]()
    hash_video = Worker.hash_video

    def counted(worker: Worker, *arguments: Any, **options: Any) -> HashedVideo:
        # Waits for another film, so it is never alone.
        both.wait(30)
        users.add(id(worker))
        return hash_video(worker, *arguments, **options)

    monkeypatch.setattr(Worker, "hash_video", counted)
    said = list(hash_all(paths, (Algorithm.PDQ,), Settings(), jobs=2))
    assert [outcome.path for outcome in said] == list(paths)
    assert [outcome.error for outcome in said] == [None] * 8
    assert [bool(outcome.frames) for outcome in said] == [False, True] * 4
    assert len(users) == 2


def test_what_is_stopped_in_the_middle_of_a_film_does_not_hash_it_to_its_end(
    film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [film, *(film.with_name(f"{number}.ts") for number in range(4))]
    for path in paths[1:]:
        path.write_bytes(films.encoded(films.pictures(), container="mpegts") * 200)
    begun, threads, finished, hash_video = Event(), set[Thread](), list[str](), Worker.hash_video

    def watched(
        worker: Worker, file: BinaryIO, *arguments: Any, advance: Callable[[float], None], **options: Any
    ) -> HashedVideo:
        def note(share: float) -> None:
            if file.name.endswith(".ts"):
                begun.set()
            advance(share)

        threads.add(current_thread())
        video = hash_video(worker, file, *arguments, advance=note, **options)
        finished.append(file.name)
        return video

    monkeypatch.setattr(Worker, "hash_video", watched)
    outcomes = hash_all(dict.fromkeys(paths), (Algorithm.PDQ,), Settings(), jobs=2)
    assert next(outcomes).path == film
    assert begun.wait(30)
    outcomes.close()
    for thread in threads:
        thread.join(60)
    assert finished == [str(film)]
