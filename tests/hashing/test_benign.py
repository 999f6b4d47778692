"""The built-in benign signals: the script draws them, and no ordinary picture is close to one."""

from __future__ import annotations

import tomllib
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

import hashdb
from hashdb.domain.frames import Frame
from hashdb.domain.matching.benign import can_be_contributed_near, default_radius
from hashdb.domain.signals import OF_PICTURES, PERCEPTUAL, Algorithm, Profile, Signal
from hashdb.hashing import Mode, hash_file, hash_variants
from hashdb.hashing.benign import built_in_benign, is_benign
from hashdb.hashing.texts import hash_text
from scripts import benign, benign_texts
from tests.builders import near, signal
from tests.hashing.test_texts import WORDS

PHOTOS = sorted((Path(hashdb.__file__).parent / "photos").glob("*.jpg"))


def test_the_stored_signals_equal_those_that_the_script_draws() -> None:
    """All signals are equal, except PDQ: rounding by the processor decides some bits of a symmetric picture."""
    drawn = [Signal.parse(text) for family in tomllib.loads(benign.text()).values() for text in family["signals"]]
    stored = [signal for entry in built_in_benign() for signal in entry.signals if signal.algorithm in OF_PICTURES]
    exact = [[signal for signal in signals if signal.algorithm is not Algorithm.PDQ] for signals in (drawn, stored)]
    assert exact[0] == exact[1]
    rounded = [signal for signal in drawn if signal.algorithm is Algorithm.PDQ]
    assert sum(map(is_benign, rounded)) > len(rounded) / 2


def test_every_perceptual_algorithm_has_built_in_benign_signals() -> None:
    built_in = [signal for entry in built_in_benign() for signal in entry.signals]
    assert {signal.algorithm for signal in built_in} == set(PERCEPTUAL)
    assert all(map(can_be_contributed_near, built_in))
    assert [entry.built_in for entry in built_in_benign()] == [*benign.FAMILIES, *benign_texts.FAMILIES]


@pytest.mark.parametrize("photo", PHOTOS, ids=lambda photo: photo.stem)
def test_no_photograph_and_no_part_of_it_is_benign(photo: Path) -> None:
    hashed = hash_file(photo, OF_PICTURES, mode=Mode.THOROUGH)
    assert len(hashed.signals) > len(OF_PICTURES)
    assert not any(map(is_benign, hashed.signals))


@pytest.mark.parametrize("algorithm", OF_PICTURES)
def test_a_signal_within_the_default_radius_of_a_benign_signal_is_benign(algorithm: Algorithm) -> None:
    built_in = [signal for entry in built_in_benign() for signal in entry.signals if signal.algorithm is algorithm]
    faultless = next(signal for signal in built_in if not signal.fault())
    assert is_benign(faultless)
    assert is_benign(near(faultless, default_radius(algorithm)))
    assert not is_benign(signal(1, algorithm))


def test_benign_variants_are_omitted_but_not_the_first_signal() -> None:
    board = next(board for board in benign.checkerboards() if is_benign(_signals(board, Profile.PLAIN)[0]))
    framed = Image.new("L", (700, 700), 128)
    framed.paste(board, (94, 94))
    assert is_benign(_signals(board, Profile.THOROUGH)[0])
    for picture in (board, framed):
        assert not any(map(is_benign, _signals(picture, Profile.THOROUGH)[1:]))


def _signals(picture: Image.Image, profile: Profile) -> tuple[Signal, ...]:
    file = BytesIO()
    picture.save(file, "PNG")
    return hash_variants(file.getvalue(), (Algorithm.PHASH256,), profile).signals


def test_lorem_ipsum_is_benign_and_other_text_is_not() -> None:
    built_in = [signal for entry in built_in_benign() for signal in entry.signals]
    benign_windows = [signal for signal in built_in if signal.algorithm is Algorithm.SIMHASH256]

    def nearest(frame: Frame) -> int:
        return min(frame.signals[0].distance(signal) for signal in benign_windows)

    filler = hash_text(benign_texts.LOREM.upper() * 3)
    assert filler
    assert all(nearest(frame) <= Algorithm.SIMHASH256.radius for frame in filler)
    other_text = hash_text(" ".join(WORDS[:300]))
    assert all(nearest(frame) > Algorithm.SIMHASH256.radius for frame in other_text)
