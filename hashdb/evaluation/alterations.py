"""Alterations that are measured, by name: what people do to a picture before they upload it again.

An alteration depends on the pixels, the seed and its name only. Its result is encoded as an upload is: by default as a
JPEG of quality 85.

The shares in the names of sizes and of crops are of the width and of the height. A centred crop of 10 % removes 10 % of
the width and of the height, half of that at each side; 10 % off one side removes all of it there. The shares of black
boxes, of "to 40 % of the area" and of "half the area" are of the area. That of heavy text is of the height, that of a
border is of the shorter side, and that of a picture in picture is of the other picture's width.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from random import Random
from typing import Final

from PIL import Image, ImageEnhance

from hashdb.evaluation import covers, edits, surroundings
from hashdb.evaluation.edits import Draw, Enhancer, Scene, decoded, encoded


class Family(StrEnum):
    """Kinds of alterations, in the order of the tables."""

    ENCODING = "encoding"
    SIZE = "size"
    COLOUR = "colour"
    DETAIL = "detail"
    MARKS = "marks"
    COVERS = "covers"
    CROPS = "centred crops"
    SIDES = "sides cropped"
    SHAPES = "crops to a shape or a place"
    PROPORTIONS = "proportions"
    FRAMES = "frames"
    TURNS = "turns"
    TILTS = "tilts"
    CAPTIONS = "captions"
    PANELS = "panels"
    SURROUNDINGS = "surroundings"
    CHAINS = "chains"


@dataclass(frozen=True, slots=True)
class Alteration:
    """How a picture is altered, and then saved: as `JPEG` or `WEBP`, with a quality of 1 to 100."""

    name: str
    family: Family
    draw: Draw
    quality: int = 85
    format: str = "JPEG"
    shows_beside: bool = False
    """Whether the copy also shows the other picture, so that a match with that is right."""

    def draw_on(self, picture: Image.Image, seed: int | str = 0, beside: Image.Image | None = None) -> Image.Image:
        """The altered pixels. `picture` is RGB; `beside` (default: its negative) is the other picture of a collage."""
        other = picture.point(lambda value: 255 - value) if beside is None else beside
        return self.draw(Scene(picture, Random(f"{seed} {self.name}"), other))

    def encode(self, picture: Image.Image, seed: int | str = 0, beside: Image.Image | None = None) -> bytes:
        """The altered picture as a file, in this format and quality."""
        return encoded(self.draw_on(picture, seed, beside), self.format, self.quality)

    def apply(self, picture: Image.Image, seed: int | str = 0, beside: Image.Image | None = None) -> Image.Image:
        """The pixels of that file, RGB."""
        return decoded(self.encode(picture, seed, beside))


def in_sequence(scene: Scene, *, draws: tuple[Draw, ...]) -> Image.Image:
    """The picture altered in several ways, one after the other."""
    for draw in draws:
        scene = scene._replace(picture=draw(scene))
    return scene.picture


def _enhanced(by: Enhancer, factor: float) -> Draw:
    return partial(edits.enhanced, by=by, factor=factor)


def _all() -> tuple[Alteration, ...]:
    return (*_in_place(), *_covered(), *_outlines(), *_framed(), *_chains())


def _in_place() -> tuple[Alteration, ...]:
    jpegs = [Alteration(f"JPEG {q}", Family.ENCODING, edits.unaltered, q) for q in (50, 30, 10)]
    webps = [Alteration(f"WebP {q}", Family.ENCODING, edits.unaltered, q, "WEBP") for q in (75, 30)]
    sizes: dict[str, Draw] = {
        "half size": partial(edits.scaled, share=0.5),
        "quarter size": partial(edits.scaled, share=0.25),
        "200 px": partial(edits.reduced, longer_side=200),
    }
    colours: dict[str, Draw] = {
        "brightness × 1.3": _enhanced(ImageEnhance.Brightness, 1.3),
        "brightness × 0.7": _enhanced(ImageEnhance.Brightness, 0.7),
        "contrast × 1.4": _enhanced(ImageEnhance.Contrast, 1.4),
        "contrast × 0.6": _enhanced(ImageEnhance.Contrast, 0.6),
        "gamma 0.7": partial(edits.gamma, power=0.7),
        "gamma 1.5": partial(edits.gamma, power=1.5),
        "saturation × 1.8": _enhanced(ImageEnhance.Color, 1.8),
        "saturation × 0.4": _enhanced(ImageEnhance.Color, 0.4),
        "warmer": edits.warmed,
        "grey": edits.grey,
        "inverted": edits.inverted,
    }
    details: dict[str, Draw] = {
        "sharpened": _enhanced(ImageEnhance.Sharpness, 3),
        "blur 1.5": partial(edits.blurred, radius=1.5),
        "blur 3": partial(edits.blurred, radius=3),
        "noise 10": partial(edits.noisy, deviation=10),
        "noise 25": partial(edits.noisy, deviation=25),
    }
    laid_over: dict[str, Draw] = {
        "watermark": covers.watermarked,
        "tiled watermark": covers.tiled,
        "logo": covers.branded,
        "sticker": covers.stickered,
        "emoji": partial(covers.faced, count=1),
        "three emoji": partial(covers.faced, count=3),
        "blurred region": covers.hidden,
    }
    return (
        *jpegs,
        *webps,
        *_of(Family.SIZE, sizes),
        Alteration("200 px, JPEG 50", Family.SIZE, partial(edits.reduced, longer_side=200), 50),
        *_of(Family.COLOUR, colours),
        *_of(Family.DETAIL, details),
        *_of(Family.MARKS, laid_over),
    )


def _covered() -> tuple[Alteration, ...]:
    covered: dict[str, Draw] = {
        **{f"black box over {share} %": partial(covers.boxed, share=share / 100) for share in (10, 20, 35)},
        **{f"heavy text over {share} %": partial(covers.written_heavily, share=share / 100) for share in (20, 35)},
        "eight emoji": partial(covers.faced, count=8),
    }
    return _of(Family.COVERS, covered)


def _outlines() -> tuple[Alteration, ...]:
    crops: dict[str, Draw] = {
        f"crop {share} %": partial(edits.cropped, share=share / 100) for share in (2, 5, 10, 15, 20, 30)
    }
    sides: dict[str, Draw] = {
        f"{share} % off one side": partial(edits.cropped_at_a_side, share=share / 100)
        for share in (5, 10, 15, 20, 25, 35)
    }
    corner = partial(edits.cropped_at_a_corner, more=0.1, less=0.05)
    proportions: dict[str, Draw] = {
        "10 % wider": partial(edits.stretched, factor=1.1),
        "10 % narrower": partial(edits.stretched, factor=0.9),
    }
    turns: dict[str, Draw] = {
        "mirrored": partial(edits.turned, how=Image.Transpose.FLIP_LEFT_RIGHT),
        "flipped": partial(edits.turned, how=Image.Transpose.FLIP_TOP_BOTTOM),
        "turned 90°": partial(edits.turned, how=Image.Transpose.ROTATE_90),
        "turned 180°": partial(edits.turned, how=Image.Transpose.ROTATE_180),
        "turned 270°": partial(edits.turned, how=Image.Transpose.ROTATE_270),
    }
    tilts: dict[str, Draw] = {f"tilted {d}°": partial(edits.tilted, degrees=d) for d in (1, 2, 3, 5)}
    cut: dict[str, Draw] = {
        f"tilted {d}°, cropped": partial(edits.tilted_and_cropped, degrees=d) for d in (1, 2, 3, 5, 10, 20)
    }
    whole: dict[str, Draw] = {f"tilted {d}°, whole": partial(edits.tilted_whole, degrees=d) for d in (10, 20, 45)}
    half = partial(edits.cropped_anywhere, share=0.5)
    shapes: dict[str, Draw] = {
        "to a square": partial(edits.cropped_to_shape, shape=1),
        "to 4:5": partial(edits.cropped_to_shape, shape=4 / 5),
        "to 16:9": partial(edits.cropped_to_shape, shape=16 / 9),
        "to 40 % of the area": partial(edits.cropped_to_area, share=0.4),
        "half the area, anywhere": half,
        "half the area, anywhere, another shape": partial(half, reshaped=True),
    }
    return (
        *_of(Family.CROPS, crops),
        *_of(Family.SIDES, sides | {"10 % and 5 % off a corner": corner}),
        *_of(Family.SHAPES, shapes),
        *_of(Family.PROPORTIONS, proportions),
        *_of(Family.TURNS, turns),
        *_of(Family.TILTS, tilts | cut | whole),
    )


def _framed() -> tuple[Alteration, ...]:
    borders: dict[str, Draw] = {
        f"border {share} %": partial(surroundings.bordered, share=share / 100) for share in (2, 5, 10)
    }
    bars: dict[str, Draw] = {
        "letterbox": surroundings.letterboxed,
        "pillarbox": surroundings.pillarboxed,
        "on its blur": surroundings.squared_on_its_blur,
        "on its blur, 9:16": partial(surroundings.on_its_blur, shape=9 / 16),
        "on its blur, 16:9": partial(surroundings.on_its_blur, shape=16 / 9),
    }
    captions: dict[str, Draw] = {
        "caption above": partial(surroundings.captioned, above=True),
        "caption below": partial(surroundings.captioned, above=False),
        "captions over": covers.written_over,
    }
    panels: dict[str, Draw] = {
        "collage of two": surroundings.in_a_collage_of_two,
        "collage of three": partial(surroundings.in_a_collage, count=3),
        "collage of four": partial(surroundings.in_a_collage, count=4),
        **{
            f"picture in picture, {share} %": partial(surroundings.in_picture, share=share / 100)
            for share in (60, 40, 25)
        },
    }
    screens: dict[str, Draw] = {
        "screenshot": surroundings.on_a_phone,
        "dark post": surroundings.in_a_dark_app,
        "chat": surroundings.in_a_chat,
        "desktop": surroundings.on_a_desktop,
        "photographed from a screen": surroundings.photographed,
    }
    return (
        *_of(Family.FRAMES, borders | bars),
        *_of(Family.CAPTIONS, captions),
        *_of(Family.PANELS, panels, showing=panels),
        *_of(Family.SURROUNDINGS, screens, showing=("desktop",)),
    )


def _chains() -> tuple[Alteration, ...]:
    mirror = partial(edits.turned, how=Image.Transpose.FLIP_LEFT_RIGHT)
    crop = partial(edits.cropped, share=0.05)
    caption, collage = partial(surroundings.captioned, above=True), partial(surroundings.in_a_collage, count=4)
    chains: dict[str, tuple[int, tuple[Draw, ...]]] = {  # the quality of the saved JPEG, and what is done before
        "saved twice": (60, (partial(edits.passed_on, times=1),)),
        "saved five times": (50, (partial(edits.passed_on, times=4),)),
        "letterbox, crop 5 %, JPEG 30": (30, (surroundings.letterboxed, crop)),
        "mirrored, crop 5 %, JPEG 50": (50, (mirror, crop)),
        "border, watermark, JPEG 50": (50, (covers.watermarked, partial(surroundings.bordered, share=0.05))),
        "meme (caption, half size, JPEG 40)": (40, (caption, partial(edits.scaled, share=0.5))),
        "crop 5 %, caption, screenshot": (60, (crop, caption, surroundings.on_a_phone)),
        "mirrored, logo, chat": (60, (mirror, covers.branded, surroundings.in_a_chat)),
        "sticker, on its blur 9:16, JPEG 40": (40, (covers.stickered, partial(surroundings.on_its_blur, shape=9 / 16))),
        "dark post, tilted 3°, JPEG 50": (50, (surroundings.in_a_dark_app, partial(edits.tilted, degrees=3))),
        "collage of four, screenshot, JPEG 40": (40, (collage, surroundings.on_a_phone)),
    }
    return tuple(
        Alteration(name, Family.CHAINS, partial(in_sequence, draws=draws), quality, shows_beside="collage" in name)
        for name, (quality, draws) in chains.items()
    )


def _of(family: Family, draws: dict[str, Draw], *, showing: Collection[str] = ()) -> tuple[Alteration, ...]:
    """The alterations of a family; those with names in `showing` also show the other picture."""
    return tuple(Alteration(name, family, draw, shows_beside=name in showing) for name, draw in draws.items())


ALTERATIONS: Final = {alteration.name: alteration for alteration in _all()}
"""All alterations by name, in the order of the tables."""
