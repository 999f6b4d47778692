"""The benign signals that come with hashdb: what the script draws, and nothing that an ordinary picture is close to."""

from __future__ import annotations

import tomllib
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

import hashdb
from hashdb.domain.matching.benign import can_be_contributed_near, default_radius
from hashdb.domain.signals import OF_PICTURES, PERCEPTUAL, Algorithm, Profile, Signal
from hashdb.hashing import Mode, hash_file, hash_variants
from hashdb.hashing.algorithms import built_in_benign, is_benign
from hashdb.hashing.texts import hash_text
from scripts import benign, benign_texts
from tests.builders import near, signal
from tests.hashing.test_texts import WORDS

PHOTOS = sorted((Path(hashdb.__file__).parent / "photos").glob("*.jpg"))


def test_the_file_is_what_the_script_draws() -> None:
    """To the letter but for PDQ: where a picture is symmetric, the processor's rounding decides some of its bits."""
    drawn = [Signal.parse(one) for family in tomllib.loads(benign.text()).values() for one in family["signals"]]
    written = [one for entry in built_in_benign() for one in entry.signals if one.algorithm in OF_PICTURES]
    exact = [[one for one in signals if one.algorithm is not Algorithm.PDQ] for signals in (drawn, written)]
    assert exact[0] == exact[1]
    rounded = [one for one in drawn if one.algorithm is Algorithm.PDQ]
    assert sum(map(is_benign, rounded)) > len(rounded) / 2


def test_every_algorithm_has_some_and_each_is_worth_keeping() -> None:
    held = [one for entry in built_in_benign() for one in entry.signals]
    assert {one.algorithm for one in held} == set(PERCEPTUAL)
    assert all(map(can_be_contributed_near, held))
    assert [entry.built_in for entry in built_in_benign()] == [*benign.FAMILIES, *benign_texts.FAMILIES]


@pytest.mark.parametrize("photo", PHOTOS, ids=lambda photo: photo.stem)
def test_no_photograph_and_no_part_of_one_is_close_to_any(photo: Path) -> None:
    hashed = hash_file(photo, OF_PICTURES, mode=Mode.THOROUGH)
    assert len(hashed.signals) > len(OF_PICTURES)
    assert not any(map(is_benign, hashed.signals))


@pytest.mark.parametrize("algorithm", OF_PICTURES)
def test_what_is_within_the_usual_radius_of_one_is_benign(algorithm: Algorithm) -> None:
    one = next(
        one for entry in built_in_benign() for one in entry.signals if one.algorithm is algorithm and not one.fault()
    )
    assert is_benign(one)
    assert is_benign(near(one, default_radius(algorithm)))
    assert not is_benign(signal(1, algorithm))


def test_variants_that_are_close_to_one_are_left_out_and_the_pictures_own_signals_are_not() -> None:
    board = next(one for one in benign.checkerboards() if is_benign(_hashed(one, Profile.PLAIN)[0]))
    framed = Image.new("L", (700, 700), 128)
    framed.paste(board, (94, 94))
    assert is_benign(_hashed(board, Profile.THOROUGH)[0])
    for picture in (board, framed):
        assert not any(map(is_benign, _hashed(picture, Profile.THOROUGH)[1:]))


def _hashed(picture: Image.Image, profile: Profile) -> tuple[Signal, ...]:
    file = BytesIO()
    picture.save(file, "PNG")
    return hash_variants(file.getvalue(), (Algorithm.PHASH256,), profile).signals


def test_the_lines_of_typesetters_are_on_the_list_and_a_text_of_ones_own_is_not() -> None:
    held = [one for entry in built_in_benign() for one in entry.signals if one.algorithm is Algorithm.SIMHASH256]
    filler = hash_text(benign_texts.LOREM.upper() * 3)
    assert filler
    assert all(min(frame.signals[0].distance(one) for one in held) <= Algorithm.SIMHASH256.radius for frame in filler)
    own = hash_text(" ".join(WORDS[:300]))
    assert all(min(frame.signals[0].distance(one) for one in held) > Algorithm.SIMHASH256.radius for frame in own)
