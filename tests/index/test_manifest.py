"""The manifest: read as it was written, or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Event, Thread

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hashdb.domain.signals import Algorithm
from hashdb.index.manifest import NAME, NOWHERE, Manifest, read_manifest, stamp, write_manifest

ONE = Manifest("epoch", 12, {Algorithm.PDQ: ("a.segment", "b.segment"), Algorithm.PHASH: ()}, "ab")


def test_what_was_written_is_read(tmp_path: Path) -> None:
    assert read_manifest(tmp_path) is None
    for manifest in (ONE, Manifest("other"), Manifest("é", 2**60, {Algorithm.AHASH: ("c",)})):
        write_manifest(tmp_path, manifest)
        assert read_manifest(tmp_path) == manifest
    assert [one.name for one in tmp_path.iterdir()] == [NAME]
    assert ONE.names == {"a.segment", "b.segment"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(garbage=st.binary())
def test_garbage_counts_as_none(tmp_path: Path, garbage: bytes) -> None:
    (tmp_path / NAME).write_bytes(garbage)
    assert read_manifest(tmp_path) is None


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "{}", '{"version": 1}', "[" * 100_000, "1" * 5_000, '{"version": 1, "checksum": 1e999}']
)
def test_other_json_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    assert read_manifest(tmp_path) is None


def test_a_flipped_bit_counts_as_none(tmp_path: Path) -> None:
    write_manifest(tmp_path, ONE)
    whole = bytearray((tmp_path / NAME).read_bytes())
    for place in range(len(whole)):
        for bit in range(8):
            whole[place] ^= 1 << bit
            (tmp_path / NAME).write_bytes(whole)
            whole[place] ^= 1 << bit
            assert read_manifest(tmp_path) in (None, ONE)
    for length in range(len(whole)):
        (tmp_path / NAME).write_bytes(whole[:length])
        assert read_manifest(tmp_path) is None


@pytest.mark.parametrize(
    "change", [{"version": 3}, {"leaf": "ac"}, {"covers": 13}, {"epoch": "other"}, {"files": {"pdq": []}}]
)
def test_another_version_and_a_change_by_hand_count_as_none(tmp_path: Path, change: dict[str, object]) -> None:
    write_manifest(tmp_path, ONE)
    said = json.loads((tmp_path / NAME).read_text())
    (tmp_path / NAME).write_text(json.dumps(said | change))
    assert read_manifest(tmp_path) is None


def test_who_reads_while_it_is_swapped_reads_one_or_the_other(tmp_path: Path) -> None:
    write_manifest(tmp_path, ONE)
    other, done = Manifest("epoch", 13, {Algorithm.PDQ: ("c.segment",)}), Event()

    def swap() -> None:
        for _ in range(50):
            write_manifest(tmp_path, other)
            write_manifest(tmp_path, ONE)
        done.set()

    thread = Thread(target=swap)
    thread.start()
    seen = []
    while not done.is_set():
        seen.append(read_manifest(tmp_path))
    thread.join()
    assert seen
    assert all(one in (ONE, other) for one in seen)


def test_a_new_manifest_has_another_stamp(tmp_path: Path) -> None:
    assert stamp(tmp_path) == stamp(tmp_path / "none") == NOWHERE
    write_manifest(tmp_path, ONE)
    before = stamp(tmp_path)
    assert before == stamp(tmp_path) != NOWHERE
    write_manifest(tmp_path, ONE)
    assert stamp(tmp_path) != before
