"""Which hashes identify a page of a document: pages of plain text resemble each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from hashdb.domain.matching.matches import Holder
from hashdb.domain.signals import Algorithm, Signal, is_sparse

RADII: Final[Mapping[Algorithm, int]] = {Algorithm.PDQ: 16, Algorithm.PHASH256: 28}
"""Bits within which a hash identifies a page."""
SPARSE_RADIUS: Final = 14
"""Bits within which a sparse phash256 identifies a page; a page with a few lines has one."""
SPARSE_PAGE: Final = 0.58
"""The least singular value (as of `is_sparse`) of a sparse phash256 of a page; for pictures it is `signals.SPARSE`."""
UNRELIABLE_FOR_PAGES: Final = ("tile-", "tilt-")
"""How the names of the transforms begin that identify no page.

A strip of a page is a few lines of text, and two tilted blocks of text have the same outline.
"""


def identifies_page(stored: Signal, distance: int) -> bool:
    """Whether a hash at this distance in bits from a stored one shows that both are of the same page."""
    if distance > RADII.get(stored.algorithm, -1):
        return False
    is_near = stored.algorithm is not Algorithm.PHASH256 or distance <= SPARSE_RADIUS
    return is_near or not is_sparse(stored.value, SPARSE_PAGE)


def is_of_document(holder: Holder) -> bool:
    """Whether the holder of a signal is a document: then the signal is of a page, or of the file."""
    return holder.extent is not None and holder.extent.duration is None


def too_far_for_pages(
    distances: Mapping[Signal, int],
    through: Mapping[Signal, str],
    holders_of: Mapping[Signal, Sequence[Holder]],
    held_by_documents: dict[Signal, bool],
) -> frozenset[Signal]:
    """The stored signals near a query that identify none of the pages that they are of.

    `distances` are in bits; `through` names the transform by which a signal was found, if it is not the item itself.
    `held_by_documents` caches for each signal whether a document holds it: the queries of a request share it.
    """
    far = []
    for signal, distance in distances.items():
        if signal.algorithm not in RADII or (distance <= SPARSE_RADIUS and signal not in through):
            continue
        if signal not in held_by_documents:
            held_by_documents[signal] = any(map(is_of_document, holders_of.get(signal, ())))
        if held_by_documents[signal] and (
            through.get(signal, "").startswith(UNRELIABLE_FOR_PAGES) or not identifies_page(signal, distance)
        ):
            far.append(signal)
    return frozenset(far)
