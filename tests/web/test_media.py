"""Forms with pictures and videos: valid, broken and too large ones; and no file that is left on the disk."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hashdb.domain.accounts.members import Scope
from hashdb.http_server import media
from tests.films import film
from tests.hashing.samples import encode_picture
from tests.web.callers import CHUNKED, Caller, Service, body, faults, problem, service_at
from tests.web.pictures import METADATA, NOT_A_PICTURE, flat, form, multipart, photo

MEGABYTE = 1024 * 1024
PATHS = ("/v1/signals", "/v1/matches/media", "/v1/contributions/media")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all tests: hashing processes are slow to start."""
    with service_at(f"sqlite:///{tmp_path_factory.mktemp('media')}/hashdb.sqlite") as service:
        yield service


@pytest.fixture(scope="module")
def caller(service: Service) -> Caller:
    """A caller with all scopes."""
    return service.caller()


def _metadata(path: str) -> Any:
    """The metadata that the route requires, or None."""
    return METADATA if path.startswith("/v1/contributions") else None


@pytest.mark.parametrize("path", PATHS)
def test_a_file_that_is_not_a_picture_or_is_truncated_is_named(service: Service, caller: Caller, path: str) -> None:
    before = service.rows()
    response = caller.post(path, **form(photo(), NOT_A_PICTURE, photo()[:900], b"", metadata=_metadata(path)))
    details = problem(response, 415, "unreadable-picture")
    assert [fault["at"] for fault in details["errors"]] == ["file[1]", "file[2]", "file[3]"]
    assert service.rows() == before


@pytest.mark.parametrize("path", PATHS)
def test_missing_files_and_unknown_fields_of_a_form_are_named(caller: Caller, path: str) -> None:
    metadata = ["metadata"] if _metadata(path) else []
    assert list(faults(caller.post(path, **multipart("b", ('name="x"', b"1"))))) == ["file", *metadata, "x"]
    unknown = {"signals": "1", "": "2", "caption\x00": "3"}
    rejected = faults(caller.post(path, **form(photo(), metadata=_metadata(path), **unknown)))
    assert set(rejected) == {"signals", "", "caption\x00"}
    parts = [('name="picture"; filename="a.png"', photo()), ('name="file"', b"text"), ("x", b"without a name")]
    assert {"picture", "file", ""} <= set(faults(caller.post(path, **multipart("b", *parts))))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("content_type", "data"),
    [
        ("multipart/form-data", b"--b\r\n"),
        ("multipart/form-data; boundary=", b"--b\r\n"),
        ("multipart/form-data; boundary=caf\u00e9", b"--b\r\n"),
        ("multipart/form-data; boundary=b", b""),
        ("multipart/form-data; boundary=b", b"no boundary in here"),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nx',
        ),
        ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-da"),
    ],
)
def test_a_broken_form_is_malformed(caller: Caller, path: str, content_type: str, data: bytes) -> None:
    problem(caller.post(path, data=data, content_type=content_type), 400, "malformed-request")


@pytest.mark.parametrize("path", PATHS)
def test_more_than_32_files_are_rejected(caller: Caller, path: str) -> None:
    for count in (33, 64, 200):
        problem(caller.post(path, **form(*[NOT_A_PICTURE] * count, metadata=_metadata(path))), 413, "too-large")


def test_32_files_are_accepted(caller: Caller) -> None:
    assert len(body(caller.post("/v1/signals", **form(*[photo()] * 32)))["pictures"]) == 32


def test_a_picture_over_20_megabytes_or_a_form_over_64_is_rejected(service: Service, caller: Caller) -> None:
    before = service.rows()
    large = bytes(20 * MEGABYTE + 1)
    assert problem(caller.post("/v1/signals", **form(large)), 413, "too-large")["limit"] == 20 * MEGABYTE
    sent = form(*[bytes(17 * MEGABYTE)] * 4)
    assert problem(caller.post("/v1/matches/media", **sent), 413, "too-large")["limit"] == 64 * MEGABYTE
    whole = multipart("b", ('name="file"; filename="a"', bytes(65 * MEGABYTE)))
    stream = io.BytesIO(whole.pop("data"))
    response = caller.post("/v1/signals", input_stream=stream, **CHUNKED, **whole)
    assert problem(response, 413, "too-large")["limit"] == 64 * MEGABYTE
    assert service.rows() == before


@pytest.mark.parametrize("path", PATHS)
def test_an_animation_over_the_size_limit_is_rejected_with_the_limit(small_limits: Service, path: str) -> None:
    frames = [Image.frombytes("L", (96, 96), os.urandom(96 * 96)) for _ in range(6)]
    animation = encode_picture(frames[0], "GIF", save_all=True, append_images=frames[1:])
    details = problem(
        small_limits.caller().post(path, **form(animation, metadata=_metadata(path))), 413, "video-too-large"
    )
    assert details["reason"] == "the animation has more than 45000 bytes"


def test_a_form_can_be_larger_than_other_bodies(caller: Caller) -> None:
    response = caller.post("/v1/signals", **form(*[bytes(10 * MEGABYTE)] * 3))
    assert len(problem(response, 415)["errors"]) == 3


def test_a_picture_with_too_many_pixels_is_rejected(caller: Caller) -> None:
    bomb = encode_picture(Image.new("1", (20_000, 20_000)))
    assert len(bomb) < MEGABYTE
    problem(caller.post("/v1/signals", **form(bomb)), 415, "unreadable-picture")


def test_metadata_over_the_size_limit_is_rejected(caller: Caller) -> None:
    response = caller.post("/v1/contributions/media", **form(photo(), metadata=" " * (MEGABYTE + 1)))
    problem(response, 413, "too-large")


def test_no_temporary_file_is_opened_for_a_picture(
    caller: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body(caller.post("/v1/signals", **form(photo())))
    large = encode_picture(Image.frombytes("RGB", (1500, 1200), os.urandom(1500 * 1200 * 3)), "BMP")
    assert len(large) > 5 * MEGABYTE
    sent = multipart("b", ('name="file"; filename="a.bmp"', large), ('name="file"; filename="b.png"', photo()))
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
        with pytest.raises(FileNotFoundError), tempfile.TemporaryFile():
            pass
        assert len(body(caller.post("/v1/signals", **sent))["pictures"]) == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", PATHS)
def test_an_operator_can_switch_off_pictures(path: str) -> None:
    with service_at(None, accept_media=False) as service:
        caller = service.caller()
        problem(caller.post(path, **form(photo(), metadata=_metadata(path))), 403, "media-refused")
        problem(caller.post(path, data=b"x", content_type="text/plain"), 403, "media-refused")
        problem(service.anonymous.post(path, **form(photo())), 401)
        problem(service.caller(Scope.AUDIT).post(path, **form(photo())), 403, "scope-missing")


def test_a_flat_picture_is_hashed_but_rejected_as_a_contribution(service: Service, caller: Caller) -> None:
    assert body(caller.post("/v1/signals", **form(flat())))["pictures"][0]["quality"] == 0
    before = service.rows()
    rejected = faults(caller.post("/v1/contributions/media", **form(photo(), flat(), metadata=METADATA)))
    assert rejected
    assert all(at.startswith("file[1].") for at in rejected)
    assert "file[1].quality" in rejected
    assert service.rows() == before


@pytest.fixture(scope="module")
def small_limits() -> Iterator[Service]:
    """A service that accepts short and small videos only."""
    limits = {
        "video_max_bytes": 40_000,
        "video_max_seconds": 5.0,
        "media_max_bytes": 45_000,
        "media_max_request": 100_000,
    }
    with service_at(None, **limits) as service:
        yield service


@pytest.mark.parametrize("path", PATHS)
def test_a_video_over_a_limit_is_rejected_with_the_command_that_hashes_it(small_limits: Service, path: str) -> None:
    caller, before = small_limits.caller(), small_limits.rows()
    assert len(film(1, 4.0)) < 40_000 < len(film(1, 12.0, (320, 180)))
    sent = form(film(1, 4.0), film(1, 12.0, (320, 180)), metadata=_metadata(path))
    too_many_bytes = problem(caller.post(path, **sent), 413, "video-too-large")
    assert too_many_bytes["reason"] == "the video has more than 40000 bytes"
    too_long = problem(
        caller.post(path, **form(photo(), film(1, 6.0), metadata=_metadata(path))), 413, "video-too-large"
    )
    assert [fault["at"] for fault in too_long["errors"]] == ["file[1]"]
    assert "is longer than 5 seconds" in too_long["errors"][0]["reason"]
    for details in (too_many_bytes, too_long):
        assert "`hashdb hash`" in details["detail"]
    assert small_limits.rows() == before


def test_a_form_over_the_limit_of_pictures_and_one_video_is_rejected(small_limits: Service) -> None:
    caller = small_limits.caller()
    videos = form(*[film(1, 4.0)] * 12)
    assert len(videos["data"]) > 140_000
    problem(caller.post("/v1/signals", **videos), 413, "video-too-large")
    stream = io.BytesIO(videos.pop("data"))
    problem(caller.post("/v1/signals", input_stream=stream, **CHUNKED, **videos), 413, "too-large")


def test_a_video_that_takes_too_long_is_rejected_and_later_ones_are_not_tried() -> None:
    with service_at(None, video_processing_seconds=0.001) as service:
        details = problem(
            service.caller().post("/v1/signals", **form(film(), film(2), NOT_A_PICTURE)), 413, "video-too-large"
        )
    assert [fault["at"] for fault in details["errors"]] == ["file[0]", "file[2]"]
    assert details["errors"][0]["reason"] == "hashing the video took longer than 0.001 s"


def test_the_videos_of_a_request_share_one_limit_of_frames(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    (video,) = body(caller.post("/v1/signals", **form(film())))["pictures"]
    monkeypatch.setattr(media, "FRAMES_A_REQUEST", 2 * len(video["frames"]) - 1)
    body(caller.post("/v1/signals", **form(film())))
    details = problem(caller.post("/v1/signals", **form(film(), film())), 413, "too-large")
    assert details["limit"] == 2 * len(video["frames"]) - 1


@pytest.mark.parametrize(
    "content",
    [
        b"\x00\x00\x00\x18ftypisom" + bytes(400),
        b"\x1a\x45\xdf\xa3" + os.urandom(5_000),
        b"RIFF\xff\xff\xff\xffAVI " + b"LIST" * 500,
        b"GIF89a\x01\x00\x01\x00\x00\x00\x00" + b",\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x00" * 3,
    ],
    ids=["mp4", "matroska", "avi", "gif"],
)
def test_a_file_that_only_starts_like_a_video_is_named(service: Service, caller: Caller, content: bytes) -> None:
    before = service.rows()
    details = problem(caller.post("/v1/matches/media", **form(photo(), content)), 415, "unreadable-picture")
    assert [fault["at"] for fault in details["errors"]] == ["file[1]"]
    assert service.rows() == before


def test_without_room_for_temporary_files_only_videos_are_rejected(
    caller: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    response = caller.post("/v1/signals", **form(film()))
    assert problem(response, 503, "no-room")["retry_after"] == int(response.headers["Retry-After"])
    body(caller.post("/v1/signals", **form(photo())))


def test_a_form_truncated_within_a_video_leaves_no_file(
    caller: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    sent = form(film())
    problem(caller.post("/v1/signals", **{**sent, "data": sent["data"][:-200]}), 400, "malformed-request")
    names = [Path("/proc/self/fd", name) for name in os.listdir("/proc/self/fd")]
    assert not [name for name in names if name.exists() and str(name.readlink()).startswith(str(tmp_path))]
