"""Duplicates: pairs of pictures that show the same thing."""

from __future__ import annotations

from pathlib import Path

import pytest

from hashdb.evaluation.duplicates import DUPLICATES_FILE, BadList, duplicates


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / name for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg")]
    for path, content in zip(paths, (b"1", b"2", b"1", b"3"), strict=True):
        path.write_bytes(content)
    return paths


def test_equal_files_and_listed_pairs_are_duplicates(paths: list[Path]) -> None:
    assert duplicates(paths) == {(0, 2)}
    (paths[0].parent / DUPLICATES_FILE).write_text("d.jpg\tb.jpg\n\nc.jpg\ta.jpg\n")
    assert duplicates(paths) == {(0, 2), (1, 3)}


def test_a_listed_pair_with_only_one_picture_in_the_sample_is_ignored(paths: list[Path]) -> None:
    (paths[0].parent / DUPLICATES_FILE).write_text("d.jpg\tb.jpg\n")
    assert duplicates(paths[:3]) == {(0, 2)}
    assert duplicates([*paths[:2], paths[0].parent / "missing.jpg"]) == set()


@pytest.mark.parametrize("line", ["a.jpg b.jpg", "a.jpg\ta.jpg", "a.jpg\tmissing.jpg", "a.jpg\tb.jpg\tc.jpg", "a.jpg"])
def test_a_line_that_is_no_pair_is_rejected(paths: list[Path], line: str) -> None:
    (paths[0].parent / DUPLICATES_FILE).write_text(f"a.jpg\tb.jpg\n{line}\n")
    with pytest.raises(BadList, match=f"{DUPLICATES_FILE}, line 2: must be two names"):
        duplicates(paths)


def test_a_list_that_is_not_utf_8_is_rejected(paths: list[Path]) -> None:
    (paths[0].parent / DUPLICATES_FILE).write_bytes(b"\xff\xfe")
    with pytest.raises(BadList, match="UTF-8"):
        duplicates(paths)
