"""The structure of a file shows whether it is an animation or a still picture."""

from __future__ import annotations

from io import BytesIO

import pytest
from PIL import Image

from hashdb.hashing.animations import is_animation
from tests.hashing.samples import draw_picture

FORMATS = ("GIF", "WEBP", "PNG")


def _picture(format: str, frames: int, **options: object) -> bytes:
    first, *more = (draw_picture(40, 30, seed=seed) for seed in range(frames))
    file = BytesIO()
    first.save(file, format, save_all=frames > 1, append_images=more, **options)
    return file.getvalue()


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_is_an_animation_if_it_has_several_frames(format: str) -> None:
    assert is_animation(BytesIO(_picture(format, 3, duration=100)))
    assert not is_animation(BytesIO(_picture(format, 1)))


@pytest.mark.parametrize("format", FORMATS)
def test_pillow_agrees_which_files_are_animations(format: str) -> None:
    for frames in (1, 2):
        octets = _picture(format, frames)
        with Image.open(BytesIO(octets)) as opened:
            expected = getattr(opened, "is_animated", False)
        file = BytesIO(octets)
        assert is_animation(file) is expected
        assert file.tell() == 0


def test_comments_and_colour_tables_do_not_hide_the_second_frame_of_a_gif() -> None:
    assert is_animation(BytesIO(_picture("GIF", 2, comment=b"," * 600, optimize=False)))


@pytest.mark.parametrize(("format", "header"), [("GIF", 1_000), ("WEBP", 21), ("PNG", 45)])
def test_a_truncated_file_is_an_animation_only_if_its_header_states_it(format: str, header: int) -> None:
    """WebP and PNG state it in a header of this length. The first frame of the GIF is longer than 200 bytes."""
    octets = _picture(format, 2)
    for length in (0, 3, 4, 10, 13, 20, 21, 40, 200):
        file = BytesIO(octets[:length])
        assert is_animation(file) is (length >= header)
        assert file.tell() == 0


class _CountingFile(BytesIO):
    reads = 0

    def read(self, size: int | None = -1) -> bytes:
        self.reads += 1
        return super().read(size)


def test_a_file_with_too_many_blocks_counts_as_an_animation() -> None:
    gif, png = _picture("GIF", 3), _picture("PNG", 3)
    frame = gif.index(b"!\xf9")
    hidden_gif = gif[:frame] + b"!\xfe" + b"\x01a" * 300_000 + b"\0" + gif[frame:]
    hidden_png = png[:33] + (bytes(4) + b"teXt" + bytes(4)) * 300_000 + png[33:]
    for octets in (hidden_gif, hidden_png):
        file = _CountingFile(octets)
        assert is_animation(file)
        assert file.reads < 200_010


def test_a_png_is_an_animation_if_any_frame_differs_from_the_default_picture() -> None:
    for frames in (1, 2):
        octets = _picture("PNG", 1 + frames, default_image=True, duration=100)
        assert is_animation(BytesIO(octets))
    # An animation whose only frame is the default picture.
    single = _picture("PNG", 2, duration=100)
    place = single.index(b"acTL")
    assert not is_animation(BytesIO(single[: place + 4] + bytes(3) + b"\1" + single[place + 8 :]))


@pytest.mark.parametrize("brand", [b"avis", b"msf1"])
def test_an_avif_sequence_is_an_animation(brand: bytes) -> None:
    assert is_animation(BytesIO(b"\0\0\0 ftyp" + brand + bytes(20)))
    assert not is_animation(BytesIO(b"\0\0\0 ftypavif" + bytes(20)))


def test_a_gif_with_more_than_100_000_blocks_counts_as_an_animation() -> None:
    head = b"GIF89a\x01\x00\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02"
    assert is_animation(BytesIO(head + b"\x01a" * 200_000))
    assert not is_animation(BytesIO(head + b"\x01a" * 50_000))
    assert is_animation(BytesIO(head + b"\x01a" * 50_000 + b"\x00" + head[13:]))
