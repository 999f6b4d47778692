"""Segment files: an intact file is opened unchanged, and a damaged one is rejected."""

from __future__ import annotations

import json
import random
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from hashdb.index.plan import Chunks
from hashdb.index.segment import DamagedSegment, Segment, build_segment, open_segment, verify_segment, write_segment
from hashdb.index.vectors import pack

CHUNKS = [(64, ()), (64, (16, 16, 16, 16)), (256, ()), (256, (20,) * 12 + (16,))]
MAGIC = b"hashdb segment 2\n"


def segment_of(count: int, bits: int = 64, widths: tuple[int, ...] = (8,) * 8) -> Segment:
    rng = random.Random(count)
    return build_segment(pack([rng.getrandbits(bits) for _ in range(count)], bits), 4, Chunks(bits, widths))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of a file with a segment that has tables."""
    path = tmp_path / "one.segment"
    write_segment(path, segment_of(300))
    return path


def with_header(octets: bytes, **fields: object) -> bytes:
    """The file with other fields in its header, which keeps its length and has the right checksum."""
    length = int.from_bytes(octets[len(MAGIC) : len(MAGIC) + 8], "little")
    at = len(MAGIC) + 12
    text = json.dumps(json.loads(octets[at : at + length]) | fields, separators=(",", ":")).encode()
    assert len(text) <= length
    text = text.ljust(length)
    start = MAGIC + length.to_bytes(8, "little") + zlib.crc32(text).to_bytes(4, "little")
    return start + text + octets[at + length :]


@pytest.mark.parametrize(("bits", "widths"), CHUNKS)
@pytest.mark.parametrize("count", [0, 1, 7, 1_000])
def test_a_written_segment_is_opened_unchanged(tmp_path: Path, bits: int, widths: tuple[int, ...], count: int) -> None:
    written, path = segment_of(count, bits, widths), tmp_path / "one.segment"
    write_segment(path, written)
    verify_segment(path)
    opened = open_segment(path)
    assert opened.chunks == written.chunks
    assert np.array_equal(opened.words(slice(None)), written.words(slice(None)))
    for read, expected in ((opened.offsets, written.offsets), (opened.entries, written.entries)):
        assert (read is None) == (expected is None)
        assert read is None or expected is None or np.array_equal(read, expected)
    queries = written.words(slice(0, 5))
    assert sorted(opened.search(queries, 0).rows.tolist()) == list(range(min(count, 5)))
    assert [file.name for file in tmp_path.iterdir()] == ["one.segment"]


def test_damage_in_the_last_block_of_a_large_file_is_found(tmp_path: Path) -> None:
    path, words = tmp_path / "large.segment", np.arange(5_000_000, dtype=np.uint64).reshape(-1, 1)
    write_segment(path, Segment([words], Chunks(64, ())))
    verify_segment(path)
    assert path.stat().st_size > 2 * 16 * 1024 * 1024
    with path.open("r+b") as file:
        file.seek(-1_000, 2)
        file.write(b"\xff")
    with pytest.raises(DamagedSegment, match=r"block 2 of large\.segment is damaged"):
        verify_segment(path)


def test_an_opened_segment_cannot_be_changed(path: Path) -> None:
    opened = open_segment(path)
    with pytest.raises(ValueError, match="read-only"):
        opened.lanes[0][0] = 1


def test_a_truncated_file_is_rejected(path: Path) -> None:
    whole = path.read_bytes()
    for length in [*range(40), *range(40, 4_200, 97), *range(4_200, len(whole), 1_009), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedSegment):
            open_segment(path)
        with pytest.raises(DamagedSegment):
            verify_segment(path)


def test_a_file_with_extra_bytes_is_rejected(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(DamagedSegment, match="bytes instead of"):
        open_segment(path)


def test_a_flipped_bit_anywhere_in_the_data_is_found(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    header_end = len(MAGIC) + 12 + int.from_bytes(whole[len(MAGIC) : len(MAGIC) + 8], "little")
    rng = random.Random(1)
    for place in [*range(header_end), *rng.sample(range(4_096, len(whole)), 300), len(whole) - 1]:
        whole[place] ^= (bit := 1 << rng.randrange(8))
        path.write_bytes(whole)
        whole[place] ^= bit
        if place < header_end:
            with pytest.raises(DamagedSegment):
                open_segment(path)
        with pytest.raises(DamagedSegment):
            verify_segment(path)


@pytest.mark.parametrize(
    ("start", "reason"),
    [
        (b"hashdb segment 1\n", "is not a segment of this version"),
        (b"\x7fELF", "is not a segment of this version"),
        (b"", "bytes|header"),
    ],
)
def test_a_file_of_another_kind_or_version_is_rejected(path: Path, start: bytes, reason: str) -> None:
    whole = path.read_bytes()
    path.write_bytes(start + whole[len(start) :] if start else MAGIC)
    with pytest.raises(DamagedSegment, match=reason):
        open_segment(path)


def test_a_file_with_another_byte_order_is_rejected(path: Path) -> None:
    other = {"little": "big", "big": "little"}[sys.byteorder]
    path.write_bytes(with_header(path.read_bytes(), order=other))
    with pytest.raises(DamagedSegment, match="was written on a machine of another byte order"):
        open_segment(path)


def test_an_invalid_header_is_rejected(path: Path) -> None:
    whole = path.read_bytes()
    header = json.loads(whole[len(MAGIC) + 12 :].split(b"\0")[0])
    invalid: dict[str, list[object]] = {"size": [1, None], "sections": [[], 3], "widths": [None], "bits": [None]}
    for fields in ({name: value} for name, values in invalid.items() for value in values):
        path.write_bytes(with_header(whole, **fields))
        with pytest.raises(DamagedSegment):
            open_segment(path)
    for section in ({"name": "lane0"}, header["sections"][0] | {"at": 10**9}, header["sections"][0] | {"type": "?!"}):
        path.write_bytes(with_header(whole, sections=[section]))
        with pytest.raises(DamagedSegment):
            open_segment(path)


def test_a_missing_file_or_a_folder_is_rejected(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.segment"):
        with pytest.raises(DamagedSegment, match="cannot be read"):
            open_segment(path)
        with pytest.raises(DamagedSegment, match="cannot be read"):
            verify_segment(path)
