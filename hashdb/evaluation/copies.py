"""Copies of films as people upload them again: re-encoded, cut, altered, and put inside other material."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from random import Random
from typing import Final, NamedTuple

from PIL import Image, ImageOps

from hashdb.evaluation import covers, edits, surroundings
from hashdb.evaluation.alterations import in_sequence
from hashdb.evaluation.edits import Draw, Scene
from hashdb.evaluation.films import FRAME_RATE, Film, encode, times
from hashdb.evaluation.library import Stretch

MARGIN_SECONDS: Final = 3.0
"""Seconds of the surrounding upload that are encoded with the clip, on each side."""
_PART: Final = 6.0
"""Seconds of each of the parts that are joined."""


class Form(StrEnum):
    """What is uploaded, in the order of the tables."""

    WHOLE = "whole"
    INSIDE = "inside an upload"
    ALONE = "alone"


@dataclass(frozen=True, slots=True)
class Copy:
    """How a film is copied: which part, what is done to each frame, and how it is encoded."""

    name: str
    form: Form
    draw: Draw = edits.unaltered
    seconds: float = 10.0
    """The length of the clip in the film; a whole copy has none."""
    speed: float = 1.0
    """Seconds of the film that a second of the copy shows."""
    rate: float = FRAME_RATE  # frames a second
    crf: int = 28
    parts: int = 1
    """How many stretches of the film are joined, in another order."""
    reverse: bool = False


class Truth(NamedTuple):
    """A stretch of the upload, and the stretch of the film that it shows, in seconds."""

    query: Stretch
    listed: Stretch


class Upload(NamedTuple):
    """A file, and what it shows of the film. A part inside an upload begins `MARGIN_SECONDS` after its start."""

    octets: bytes
    seconds: float
    truth: tuple[Truth, ...]


def make_upload(copy: Copy, film: Film, start: float, around: Film, at: float, seed: int | str = 0) -> Upload:
    """The upload of a copy that begins at a second of the film; `around` surrounds it, from its second `at`.

    `around` also fills the frame around a picture in picture.
    """
    if copy.form is Form.WHOLE:
        stretches = [(0.0, film.seconds)]
    else:
        stretches = _stretches(copy, film, start)
    margin = MARGIN_SECONDS if copy.form is Form.INSIDE else 0.0
    truth, time = [], margin
    for begin, end in stretches:
        truth.append(Truth((time, time + (end - begin) / copy.speed), (begin, end)))
        time = truth[-1].query[1]
    frames = _frames(copy, film, around, at, truth, margin, f"{seed} {copy.name}")
    return Upload(encode(frames, copy.rate, copy.crf), time + margin, tuple(truth))


def _stretches(copy: Copy, film: Film, start: float) -> list[Stretch]:
    """The stretches of the film, in the order in which the copy shows them."""
    length = copy.seconds / copy.parts
    if copy.parts == 1:
        return [(start, start + length)]
    gap = (film.seconds - copy.seconds) / copy.parts
    begins = [number * (length + gap) + gap / 2 for number in range(copy.parts)]
    return [(begin, begin + length) for begin in (*begins[1:], begins[0])]


def _frames(
    copy: Copy, film: Film, around: Film, at: float, truth: list[Truth], margin: float, seed: str
) -> Iterator[Image.Image]:
    """The frames of the upload, all of one size, with `margin` seconds of `around` on both sides of the film."""
    size: tuple[int, int] | None = None
    before: list[Image.Image] = []
    if margin:
        before = list(around.play(times(at, at + margin, copy.rate)))
    for stretch in truth:
        moments = times(*stretch.query, copy.rate)
        shown = [stretch.listed[0] + (moment - stretch.query[0]) * copy.speed for moment in moments]
        pictures = film.play(shown)
        if copy.reverse:
            pictures = iter(list(pictures)[::-1])
        beside = around.play([at + margin + moment for moment in moments])
        for picture, other in zip(pictures, beside, strict=True):
            altered = copy.draw(Scene(picture, Random(seed), other))
            if size is None:
                size = altered.size
                yield from (ImageOps.fit(frame, size) for frame in before)
            yield altered if altered.size == size else altered.resize(size)
    if margin and size is not None:
        for frame in around.play(times(at + margin, at + 2 * margin, copy.rate)):
            yield ImageOps.fit(frame, size)


_MIRROR: Final = partial(edits.turned, how=Image.Transpose.FLIP_LEFT_RIGHT)
_CAPTION: Final = partial(surroundings.captioned, above=True)
_DRAWS: Final[dict[str, Draw]] = {
    "crop 10 %": partial(edits.cropped, share=0.1),
    "mirrored": _MIRROR,
    "letterbox": surroundings.letterboxed,
    "9:16 on its blur": surroundings.upright_on_its_blur,
    "caption": _CAPTION,
    "logo": covers.branded,
    "grey": edits.grey,
}
MIRRORED_AND_CAPTIONED: Final = Copy(
    "mirrored, captioned", Form.INSIDE, partial(in_sequence, draws=(_MIRROR, _CAPTION))
)


def _all() -> tuple[Copy, ...]:
    whole, inside, alone = Form
    made: list[Copy] = []
    for form in (whole, inside):
        made += [
            Copy("plain", form),
            Copy("240p", form, partial(edits.to_height, pixels=240), crf=32),
            Copy("CRF 40", form, crf=40),
            *(Copy(name, form, draw) for name, draw in _DRAWS.items()),
            Copy("0.8 ×", form, speed=0.8),
            Copy("1.25 ×", form, speed=1.25),
            Copy("10 frames/s", form, rate=10),
        ]
    made += [
        Copy("picture in picture, 50 %", inside, partial(surroundings.in_a_corner, share=0.5)),
        Copy("picture in picture, 33 %", inside, partial(surroundings.in_a_corner, share=0.33)),
        Copy("filmed from a screen", inside, surroundings.filmed_from_a_screen),
        MIRRORED_AND_CAPTIONED,
        Copy("5 s", inside, seconds=5),
        Copy("20 s", inside, seconds=20),
        Copy("reversed", inside, reverse=True),
        Copy("5 s", alone, seconds=5),
        Copy("10 s", alone),
        Copy("20 s", alone, seconds=20),
        Copy("spliced from three", alone, seconds=3 * _PART, parts=3),
    ]
    return tuple(made)


COPIES: Final = _all()
"""In the order of the tables; a name is unique for its form."""
