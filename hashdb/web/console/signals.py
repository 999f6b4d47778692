"""Signals on a page: drawn as a grid of bits, pasted, or of a dropped picture, which is hashed in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from flask import request
from markupsafe import Markup

from hashdb.domain.signals import Signal
from hashdb.errors import Fault, InvalidInput, MediaRefused, TooLarge, UnreadablePicture
from hashdb.hashing import Mode
from hashdb.web import media
from hashdb.web.console.pages import Form
from hashdb.web.context import app_state
from hashdb.wire.matching import read_lines


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


Sides = Mapping[str, tuple[Signal, ...]]
"""Signals by the name of their transform, empty for the thing itself."""
_TOLD = 3


def sides(sent: Form, mode: Mode) -> Sides:
    """What a picture gives, or else what was pasted. Raises InvalidInput, at `file` or once at `signals`."""
    picture = request.files.get("file")
    octets = b"" if picture is None else picture.stream.read()
    try:
        return _hashed(octets, mode) if octets else read_lines(sent.text("signals"))
    except (UnreadablePicture, MediaRefused, TooLarge) as error:
        raise InvalidInput((Fault("file", str(error)),)) from None
    except InvalidInput as error:
        raise together(error) from None


def together(error: InvalidInput) -> InvalidInput:
    """The faults of signals as one, at the field in which they all were pasted."""
    of_signals = [fault.reason for fault in error.faults if fault.at.startswith("signals")]
    others = tuple(fault for fault in error.faults if not fault.at.startswith("signals"))
    more = f" (and {len(of_signals) - _TOLD} more)" if len(of_signals) > _TOLD else ""
    told = (Fault("signals", "; ".join(of_signals[:_TOLD]) + more),) if of_signals else ()
    return InvalidInput((*told, *others))


def _hashed(octets: bytes, mode: Mode) -> Sides:
    settings = app_state().settings
    if not settings.accept_media:
        raise MediaRefused()
    if len(octets) > settings.media_max_bytes:
        raise TooLarge("a picture, in bytes,", settings.media_max_bytes)
    [hashed] = media.hash_pictures([octets], [mode])
    return {"": hashed.signals, **dict(hashed.transforms)}
