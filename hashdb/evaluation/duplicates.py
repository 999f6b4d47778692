"""Which pictures of a folder show the same thing: files with equal bytes, and the pairs that a list names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from hashlib import sha256
from itertools import combinations
from pathlib import Path
from typing import Final

DUPLICATES_FILE: Final = "duplicates.txt"
"""The list in a folder: a pair a line, two names of files in it, with a tab between."""


class BadList(ValueError):
    """A list that cannot be read; the message says where and why."""


def duplicates(paths: Sequence[Path]) -> frozenset[tuple[int, int]]:
    """The pairs of positions, the smaller first, of pictures that show the same thing. Raises BadList.

    Nothing is found by the distance of hashes: that would hide false matches.
    """
    pairs = {*_equal(paths), *_named(paths)}
    return frozenset((min(pair), max(pair)) for pair in pairs)


def _equal(paths: Sequence[Path]) -> Iterator[tuple[int, int]]:
    """The pairs of positions of files with equal bytes."""
    places = defaultdict[bytes, list[int]](list)
    for place, path in enumerate(paths):
        try:
            places[sha256(path.read_bytes()).digest()].append(place)
        except OSError:
            # The measurement of the picture reports it.
            continue
    for equal in places.values():
        yield from combinations(equal, 2)


def _named(paths: Sequence[Path]) -> Iterator[tuple[int, int]]:
    """The pairs of positions of pictures that the list of their folder names. Raises BadList."""
    at = {path: place for place, path in enumerate(paths)}
    for folder in dict.fromkeys(path.parent for path in paths):
        if not (folder / DUPLICATES_FILE).is_file():
            continue
        try:
            lines = (folder / DUPLICATES_FILE).read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            raise BadList(f"{folder / DUPLICATES_FILE} cannot be read as UTF-8") from None
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            pair = [folder / name for name in line.split("\t")]
            if len(pair) != 2 or pair[0] == pair[1] or not all(path.is_file() for path in pair):
                raise BadList(
                    f"{folder / DUPLICATES_FILE}, line {number}: must be two names of files with a tab between"
                )
            # A pair of which one picture was not drawn is no pair of this run.
            if all(path in at for path in pair):
                yield at[pair[0]], at[pair[1]]
