"""Variants are the stored parts of a removed picture, so that a crop of it is recognised."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from hashdb.domain.signals import OF_PICTURES, SIGNALS_AN_ITEM, Algorithm, Profile
from hashdb.evaluation.alterations import ALTERATIONS
from hashdb.hashing import Limits, hash_picture, hash_variants
from hashdb.hashing.pdq import quality, sample_changes
from hashdb.hashing.pictures import Picture, read_picture
from hashdb.hashing.variants import (
    FRAME_WINDOWS,
    FRAME_WINDOWS_IN_TURN,
    TILTS_BY_PROFILE,
    WINDOWS,
    frame_variants,
    part_quality,
    variants,
)
from hashdb.hashing.windows import WHOLE, Window, crop
from tests.hashing.samples import PHOTOS, draw_picture, encode_picture

DEFAULTS = (Algorithm.PDQ, Algorithm.PHASH256, Algorithm.PHASH)
OCTETS = encode_picture(draw_picture())


@pytest.mark.parametrize("profile", Profile)
@pytest.mark.parametrize("photo", PHOTOS[:4], ids=lambda photo: photo.name)
def test_the_signals_of_the_whole_picture_come_first(photo: Path, profile: Profile) -> None:
    octets = photo.read_bytes()
    plain, hashed = hash_picture(octets, DEFAULTS), hash_variants(octets, DEFAULTS, profile)
    assert hashed.signals[: len(plain.signals)] == plain.signals
    assert hashed.quality == plain.quality


@pytest.mark.parametrize("profile", [Profile.BALANCED, Profile.THOROUGH])
@pytest.mark.parametrize("photo", PHOTOS, ids=lambda photo: photo.name)
def test_stored_variants_are_valid_and_distinct(photo: Path, profile: Profile) -> None:
    hashed = hash_variants(photo.read_bytes(), OF_PICTURES, profile)
    variants_stored = hashed.signals[len(Algorithm) :]
    assert len(hashed.signals) == len(set(hashed.signals)) <= SIGNALS_AN_ITEM
    assert all(signal.algorithm is Algorithm.PHASH256 and signal.fault() is None for signal in variants_stored)


def test_the_plain_profile_has_no_variants() -> None:
    assert hash_variants(OCTETS, DEFAULTS, Profile.PLAIN) == hash_picture(OCTETS, DEFAULTS)


def test_without_phash256_there_are_no_variants() -> None:
    assert len(hash_variants(OCTETS, [Algorithm.PDQ], Profile.THOROUGH).signals) == 1


@pytest.mark.parametrize("profile", [Profile.BALANCED, Profile.THOROUGH])
def test_every_part_of_a_detailed_picture_is_stored(profile: Profile) -> None:
    signals = list(variants(Picture(draw_picture()), profile))
    assert len(signals) >= len(WINDOWS[profile]) + len(TILTS_BY_PROFILE[profile])


@pytest.mark.parametrize(
    "name",
    [
        "crop 10 %",
        "crop 20 %",
        "10 % off one side",
        "15 % off one side",
        "10 % and 5 % off a corner",
        "tilted 3°, cropped",
    ],
)
@pytest.mark.parametrize("photo", PHOTOS[::3], ids=lambda photo: photo.name)
def test_a_cropped_copy_is_within_the_radius_of_a_variant(photo: Path, name: str) -> None:
    picture = read_picture(photo.read_bytes(), Limits())
    (cropped,) = hash_picture(ALTERATIONS[name].encode(picture.colour, 5), [Algorithm.PHASH256]).signals
    nearest = min(cropped.distance(stored) for stored in variants(picture, Profile.BALANCED))
    assert nearest <= Algorithm.PHASH256.radius


def test_the_inside_of_a_border_is_stored_too() -> None:
    photo = Picture(draw_picture(400, 300))
    framed = Image.new("RGB", (400, 420), "black")
    framed.paste(photo.colour, (0, 60))
    (inside,) = hash_picture(encode_picture(photo.colour), [Algorithm.PHASH256]).signals
    assert min(inside.distance(stored) for stored in variants(Picture(framed), Profile.BALANCED)) <= 12


def test_a_part_without_detail_is_not_stored() -> None:
    image = Image.new("RGB", (400, 300), "white")
    image.paste(draw_picture(60, 300), (0, 0))
    assert part_quality(sample_changes(Picture(image).sampled), Window(0.25, 0, 1, 1)) == 0
    assert len(list(variants(Picture(image), Profile.THOROUGH))) < len(WINDOWS[Profile.THOROUGH])


@pytest.mark.parametrize("photo", PHOTOS[:6], ids=lambda photo: photo.name)
def test_the_quality_of_a_part_is_close_to_that_of_the_cropped_picture(photo: Path) -> None:
    picture = read_picture(photo.read_bytes(), Limits())
    width, height = picture.colour.size
    cut = picture.colour.crop((round(0.2 * width), 0, width, round(0.8 * height)))
    estimated = part_quality(sample_changes(picture.sampled), Window(0.2, 0, 1, 0.8))
    assert abs(estimated - part_quality(sample_changes(Picture(cut).sampled), WHOLE)) <= 25


@pytest.mark.parametrize("profile", [Profile.BALANCED, Profile.THOROUGH])
def test_the_quality_of_a_part_is_computed_from_its_samples(profile: Profile) -> None:
    sampled = Picture(draw_picture(400, 300)).sampled
    # The part with one sample has no changes; the last part has no sample.
    for window in (*WINDOWS[profile], WHOLE, Window(0.5, 0.5, 0.51, 0.51), Window(0.5, 0, 0.5, 1)):
        left, top, right, bottom = (round(edge * 64) for edge in window)
        part = sampled[top:bottom, left:right]
        expected = min(100, round(quality(part) * 64 / part.size**0.5)) if part.size else 0
        assert part_quality(sample_changes(sampled), window) == expected


@pytest.mark.parametrize("size", [(1, 1), (4, 300), (5, 5), (1000, 6)], ids=str)
def test_tiny_and_narrow_pictures_have_no_variants(size: tuple[int, int]) -> None:
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).point((0, 0), "black")
    assert list(variants(Picture(image), Profile.THOROUGH)) == []


def test_the_shots_of_a_video_alternate_between_two_sets_of_few_parts() -> None:
    picture = Picture(draw_picture())
    stored = [set(frame_variants(picture, Profile.BALANCED, shot)) for shot in range(3)]
    assert stored[0] == stored[2] != stored[1]
    assert len(stored[0] & stored[1]) == len(FRAME_WINDOWS)
    assert [len(each) for each in stored] == [len(FRAME_WINDOWS) + len(FRAME_WINDOWS_IN_TURN[0])] * 3
    assert len(stored[0]) < len(list(variants(picture, Profile.BALANCED))) / 3


def test_the_profile_sets_how_many_variants_a_frame_has() -> None:
    picture = Picture(draw_picture())
    assert list(frame_variants(picture, Profile.PLAIN, 0)) == []
    assert len(list(frame_variants(picture, Profile.THOROUGH, 0))) == 22


@pytest.mark.parametrize("share", [0.05, 0.1])
def test_a_frame_that_is_cropped_on_all_sides_is_recognised(share: float) -> None:
    for photo in PHOTOS[:4]:
        picture = read_picture(photo.read_bytes(), Limits())
        (cropped,) = hash_picture(
            encode_picture(crop(picture.colour, _inner_window(share))), [Algorithm.PHASH256]
        ).signals
        stored = frame_variants(picture, Profile.BALANCED, 0)
        assert min(cropped.distance(signal) for signal in stored) <= cropped.algorithm.radius


def _inner_window(share: float) -> Window:
    return Window(share, share, 1 - share, 1 - share)
