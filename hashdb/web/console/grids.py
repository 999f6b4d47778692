"""A signal's bits as a small drawing, so that two can be compared by eye."""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup

from hashdb.domain.signals import Signal


def grid(signal: Signal, other: Signal | None = None) -> Markup:
    """An SVG of 16 × 16 or 8 × 8 cells, the highest bit first; where another is given, bits that differ stand out."""
    side = 16 if signal.algorithm.bits == 256 else 8
    differing = 0 if other is None else signal.value ^ other.value
    told = f"{signal.value.bit_count()} of {signal.algorithm.bits} bits set"
    if other is not None:
        told = f"{differing.bit_count()} bits differ"
    return Markup(
        '<svg class="bits" viewBox="0 0 {side} {side}" role="img" aria-label="{name}: {told}">'
        '<path class="bits-on" d="{on}"/><path class="bits-gone" d="{gone}"/><path class="bits-new" d="{new}"/></svg>'
    ).format(
        side=side,
        name=str(signal.algorithm),
        told=told,
        on=_path(signal.value & ~differing, side),
        gone=_path(~signal.value & differing, side),
        new=_path(signal.value & differing, side),
    )


def _path(value: int, side: int) -> str:
    return "".join(f"M{x} {y}h{length}v1h-{length}z" for x, y, length in _runs(value, side))


def _runs(value: int, side: int) -> Iterator[tuple[int, int, int]]:
    """Where bits are set in a row: the first column, the row, how many."""
    for y in range(side):
        row = [value >> (side * side - 1 - y * side - x) & 1 for x in range(side)]
        x = 0
        while x < side:
            length = 0
            while x + length < side and row[x + length]:
                length += 1
            if length:
                yield x, y, length
            x += length or 1
