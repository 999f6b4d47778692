"""Files of a form: pictures stay in memory, videos are in an unnamed file, and both have limits."""

from __future__ import annotations

import os
import resource
import tempfile
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from hashdb.errors import NoRoom, TooLarge, VideoTooLarge
from hashdb.http_server.uploads import Upload, UploadLimits
from tests.hashing.samples import draw_picture
from tests.web.pictures import photo

FILM = b"\x00\x00\x00\x18ftypisom" + bytes(range(256)) * 40
"""Bytes that start like a video."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def write_upload(limits: UploadLimits, octets: bytes, size: int = 1024) -> Upload:
    upload = Upload(limits)
    for start in range(0, len(octets), size):
        upload.write(octets[start : start + size])
    upload.seek(0)
    return upload


@pytest.mark.parametrize("size", [1, 7, 199, 1024, 100_000])
def test_a_video_is_stored_in_an_unnamed_file(folder: Path, size: int) -> None:
    upload = write_upload(UploadLimits(1_000, 100_000), FILM, size)
    assert upload.is_video and upload.is_video_or_animation and upload.size == len(FILM)
    assert upload.read() == upload.stream.read() == FILM
    with upload.open() as file:
        assert os.pread(file.fileno(), 20_000, 0) == FILM
        assert file.read() == FILM
    assert list(folder.iterdir()) == []
    upload.close()


def test_pictures_and_animations_stay_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = BytesIO()
    draw_picture(40, 30, seed=1).save(file, "GIF", save_all=True, append_images=[draw_picture(40, 30, seed=2)])
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    picture, animation = (write_upload(UploadLimits(10**6, 0), octets) for octets in (photo(), file.getvalue()))
    assert not picture.is_video_or_animation and not picture.is_video
    assert animation.is_video_or_animation and not animation.is_video
    with animation.open() as opened:
        assert getattr(Image.open(opened), "n_frames", 1) == 2


def test_a_system_without_files_in_memory_uses_the_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create")
    picture = write_upload(UploadLimits(10**6, 0), photo())
    with picture.open() as opened:
        assert opened.read() == photo()
    assert list(folder.iterdir()) == []


def test_uploads_above_a_limit_are_rejected(folder: Path) -> None:
    limits = UploadLimits(memory_bytes=10_000, video_bytes=len(FILM))
    accepted = [write_upload(limits, FILM), write_upload(limits, bytes(9_000)), write_upload(limits, FILM)]
    with pytest.raises(TooLarge) as refused:
        write_upload(limits, bytes(1_001), 100)
    assert refused.value.limit == 10_000
    upload = Upload(UploadLimits(10_000, len(FILM) - 1))
    with pytest.raises(VideoTooLarge, match=r"more than .* bytes: hash it on your machine, with `hashdb hash`"):
        for start in range(0, len(FILM), 1024):
            upload.write(FILM[start : start + 1024])
    for opened in (*accepted, upload):
        opened.close()


def test_a_video_that_cannot_be_written_is_rejected_for_now(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "nowhere"))
    with pytest.raises(NoRoom):
        write_upload(UploadLimits(10_000, 100_000), FILM)


@pytest.mark.parametrize("size", [200, 100_000])
def test_a_document_that_cannot_be_copied_to_a_file_is_rejected_for_now(size: int) -> None:
    upload = write_upload(UploadLimits(100_000, 0), b"word7 " * (size // 6))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(NoRoom):
            upload.open()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_kept_upload_outlives_its_request_until_it_is_released(folder: Path) -> None:
    upload = write_upload(UploadLimits(1_000, 100_000), FILM)
    upload.keep()
    upload.close()
    assert upload.read() == FILM
    upload.release()
    with pytest.raises(ValueError, match="closed"):
        upload.read()
