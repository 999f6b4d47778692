"""Pictures over HTTP: forms that are whole, broken, too large; and nothing of them on a disk."""

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
from hashdb.wsgi import media
from tests.films import film
from tests.hashing.samples import encode_picture
from tests.web.callers import CHUNKED, Caller, Service, body, faults, problem, service_at
from tests.web.pictures import METADATA, NOT_A_PICTURE, flat, form, multipart, photo

MEGABYTE = 1024 * 1024
PATHS = ("/v1/signals", "/v1/matches/media", "/v1/contributions/media")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One for all, for the processes that hash take their time to start."""
    with service_at(f"sqlite:///{tmp_path_factory.mktemp('media')}/hashdb.sqlite") as made:
        yield made


@pytest.fixture(scope="module")
def caller(service: Service) -> Caller:
    """A key of all scopes."""
    return service.caller()


def _said(path: str) -> Any:
    return METADATA if path.startswith("/v1/contributions") else None


@pytest.mark.parametrize("path", PATHS)
def test_a_file_that_is_no_picture_or_is_cut_short_is_named(service: Service, caller: Caller, path: str) -> None:
    before = service.rows()
    response = caller.post(path, **form(photo(), NOT_A_PICTURE, photo()[:900], b"", metadata=_said(path)))
    said = problem(response, 415, "unreadable-picture")
    assert [fault["at"] for fault in said["errors"]] == ["file[1]", "file[2]", "file[3]"]
    assert service.rows() == before


@pytest.mark.parametrize("path", PATHS)
def test_a_form_without_files_or_with_unknown_fields_is_refused_by_name(caller: Caller, path: str) -> None:
    metadata = ["metadata"] if _said(path) else []
    assert list(faults(caller.post(path, **multipart("b", ('name="x"', b"1"))))) == ["file", *metadata, "x"]
    unknown = {"signals": "1", "": "2", "caption\x00": "3"}
    told = faults(caller.post(path, **form(photo(), metadata=_said(path), **unknown)))
    assert set(told) == {"signals", "", "caption\x00"}
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
def test_more_than_32_files_are_too_large(caller: Caller, path: str) -> None:
    for count in (33, 64, 200):
        problem(caller.post(path, **form(*[NOT_A_PICTURE] * count, metadata=_said(path))), 413, "too-large")


def test_32_files_are_taken(caller: Caller) -> None:
    assert len(body(caller.post("/v1/signals", **form(*[photo()] * 32)))["pictures"]) == 32


def test_a_picture_over_20_megabytes_or_a_request_over_64_is_too_large(service: Service, caller: Caller) -> None:
    before = service.rows()
    big = bytes(20 * MEGABYTE + 1)
    assert problem(caller.post("/v1/signals", **form(big)), 413, "too-large")["limit"] == 20 * MEGABYTE
    sent = form(*[bytes(17 * MEGABYTE)] * 4)
    assert problem(caller.post("/v1/matches/media", **sent), 413, "too-large")["limit"] == 64 * MEGABYTE
    whole = multipart("b", ('name="file"; filename="a"', bytes(65 * MEGABYTE)))
    stream = io.BytesIO(whole.pop("data"))
    response = caller.post("/v1/signals", input_stream=stream, **CHUNKED, **whole)
    assert problem(response, 413, "too-large")["limit"] == 64 * MEGABYTE
    assert service.rows() == before


@pytest.mark.parametrize("path", PATHS)
def test_an_animation_that_is_too_large_is_refused_with_the_command_that_hashes_it(small: Service, path: str) -> None:
    frames = [Image.frombytes("L", (96, 96), os.urandom(96 * 96)) for _ in range(6)]
    animation = encode_picture(frames[0], "GIF", save_all=True, append_images=frames[1:])
    said = problem(small.caller().post(path, **form(animation, metadata=_said(path))), 413, "video-too-large")
    assert said["reason"] == "the animation has more than 45000 bytes"


def test_a_form_may_be_larger_than_other_bodies(caller: Caller) -> None:
    response = caller.post("/v1/signals", **form(*[bytes(10 * MEGABYTE)] * 3))
    assert len(problem(response, 415)["errors"]) == 3


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(caller: Caller) -> None:
    bomb = encode_picture(Image.new("1", (20_000, 20_000)))
    assert len(bomb) < MEGABYTE
    problem(caller.post("/v1/signals", **form(bomb)), 415, "unreadable-picture")


def test_metadata_has_a_size_too(caller: Caller) -> None:
    response = caller.post("/v1/contributions/media", **form(photo(), metadata=" " * (MEGABYTE + 1)))
    problem(response, 413, "too-large")


def test_no_file_is_opened_for_an_upload(caller: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_an_operator_may_refuse_pictures(path: str) -> None:
    with service_at(None, accept_media=False) as service:
        caller = service.caller()
        problem(caller.post(path, **form(photo(), metadata=_said(path))), 403, "media-refused")
        problem(caller.post(path, data=b"x", content_type="text/plain"), 403, "media-refused")
        problem(service.anonymous.post(path, **form(photo())), 401)
        problem(service.caller(Scope.AUDIT).post(path, **form(photo())), 403, "scope-missing")


def test_a_flat_picture_is_hashed_but_not_contributed(service: Service, caller: Caller) -> None:
    assert body(caller.post("/v1/signals", **form(flat())))["pictures"][0]["quality"] == 0
    before = service.rows()
    told = faults(caller.post("/v1/contributions/media", **form(photo(), flat(), metadata=METADATA)))
    assert told
    assert all(at.startswith("file[1].") for at in told)
    assert "file[1].quality" in told
    assert service.rows() == before


@pytest.fixture(scope="module")
def small() -> Iterator[Service]:
    """A service that takes short and small videos only."""
    limits = {
        "video_max_bytes": 40_000,
        "video_max_seconds": 5.0,
        "media_max_bytes": 45_000,
        "media_max_request": 100_000,
    }
    with service_at(None, **limits) as made:
        yield made


@pytest.mark.parametrize("path", PATHS)
def test_a_video_past_a_limit_is_refused_with_the_command_that_hashes_it(small: Service, path: str) -> None:
    caller, before = small.caller(), small.rows()
    assert len(film(1, 4.0)) < 40_000 < len(film(1, 12.0, (320, 180)))
    sent = form(film(1, 4.0), film(1, 12.0, (320, 180)), metadata=_said(path))
    too_many_bytes = problem(caller.post(path, **sent), 413, "video-too-large")
    assert too_many_bytes["reason"] == "the video has more than 40000 bytes"
    too_long = problem(caller.post(path, **form(photo(), film(1, 6.0), metadata=_said(path))), 413, "video-too-large")
    assert [fault["at"] for fault in too_long["errors"]] == ["file[1]"]
    assert "plays for more than 5 seconds" in too_long["errors"][0]["reason"]
    for said in (too_many_bytes, too_long):
        assert "`hashdb hash`" in said["detail"]
    assert small.rows() == before


def test_a_request_is_as_large_as_its_pictures_and_one_video_may_be(small: Service) -> None:
    caller = small.caller()
    many = form(*[film(1, 4.0)] * 12)
    assert len(many["data"]) > 140_000
    problem(caller.post("/v1/signals", **many), 413, "video-too-large")
    stream = io.BytesIO(many.pop("data"))
    problem(caller.post("/v1/signals", input_stream=stream, **CHUNKED, **many), 413, "too-large")


def test_a_video_that_takes_too_long_is_refused_and_the_others_are_not_tried() -> None:
    with service_at(None, video_processing_seconds=0.001) as service:
        said = problem(
            service.caller().post("/v1/signals", **form(film(), film(2), NOT_A_PICTURE)), 413, "video-too-large"
        )
    assert [fault["at"] for fault in said["errors"]] == ["file[0]", "file[2]"]
    assert said["errors"][0]["reason"] == "the video takes longer than 0.001 seconds to hash"


def test_the_frames_of_a_request_are_bounded_over_all_its_videos(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    (video,) = body(caller.post("/v1/signals", **form(film())))["pictures"]
    monkeypatch.setattr(media, "FRAMES_A_REQUEST", 2 * len(video["frames"]) - 1)
    body(caller.post("/v1/signals", **form(film())))
    refused = problem(caller.post("/v1/signals", **form(film(), film())), 413, "too-large")
    assert refused["limit"] == 2 * len(video["frames"]) - 1


@pytest.mark.parametrize(
    "octets",
    [
        b"\x00\x00\x00\x18ftypisom" + bytes(400),
        b"\x1a\x45\xdf\xa3" + os.urandom(5_000),
        b"RIFF\xff\xff\xff\xffAVI " + b"LIST" * 500,
        b"GIF89a\x01\x00\x01\x00\x00\x00\x00" + b",\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x00" * 3,
    ],
)
def test_what_only_begins_as_a_video_is_named(service: Service, caller: Caller, octets: bytes) -> None:
    before = service.rows()
    said = problem(caller.post("/v1/matches/media", **form(photo(), octets)), 415, "unreadable-picture")
    assert [fault["at"] for fault in said["errors"]] == ["file[1]"]
    assert service.rows() == before


def test_without_room_for_a_temporary_file_a_video_is_refused_for_now_and_pictures_are_not(
    caller: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    response = caller.post("/v1/signals", **form(film()))
    assert problem(response, 503, "no-room")["retry_after"] == int(response.headers["Retry-After"])
    body(caller.post("/v1/signals", **form(photo())))


def test_a_form_that_is_cut_short_within_a_video_leaves_no_file(
    caller: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    sent = form(film())
    problem(caller.post("/v1/signals", **{**sent, "data": sent["data"][:-200]}), 400, "malformed-request")
    names = [Path("/proc/self/fd", name) for name in os.listdir("/proc/self/fd")]
    assert not [name for name in names if name.exists() and str(name.readlink()).startswith(str(tmp_path))]
