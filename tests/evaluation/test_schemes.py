"""What is hashed of a picture on either side."""

from __future__ import annotations

from PIL import Image

from hashdb.domain.signals import Algorithm
from hashdb.evaluation.schemes import PROFILES, Scheme, asked, contributed
from hashdb.hashing.pdq import pdq
from hashdb.hashing.perceptual import perceptual
from hashdb.hashing.pictures import Picture
from hashdb.index.words import unpack
from tests.evaluation.photos import PHOTOS

BOTH = (Algorithm.PDQ, Algorithm.PHASH)


def _photo() -> Picture:
    with Image.open(PHOTOS[0]) as photo:
        return Picture(photo.convert("RGB"))


def test_the_first_of_what_is_asked_is_the_picture_itself() -> None:
    photo = _photo()
    hashes = asked(photo, BOTH)
    assert unpack(hashes[Algorithm.PDQ])[0] == pdq(photo)[0].value
    assert unpack(hashes[Algorithm.PHASH])[0] == perceptual(photo, Algorithm.PHASH).value


def test_every_profile_contributes_the_picture_itself_and_each_value_once() -> None:
    photo = _photo()
    for profile in PROFILES:
        for algorithm, words in contributed(photo, BOTH, profile).items():
            values = unpack(words)
            assert asked(photo, BOTH)[algorithm][0].tolist() in words.tolist()
            assert len(set(values)) == len(values)


def test_what_would_be_refused_is_not_contributed() -> None:
    flat = Picture(Image.new("RGB", (100, 100), (9, 9, 9)))
    for profile in PROFILES:
        assert not len(contributed(flat, (Algorithm.PHASH,), profile)[Algorithm.PHASH])


def test_a_radius_is_the_default_one_unless_another_is_given() -> None:
    scheme = Scheme(BOTH, PROFILES, (), radii={Algorithm.PDQ: 44})
    assert scheme.radius(Algorithm.PDQ) == 44
    assert scheme.radius(Algorithm.PHASH) == Algorithm.PHASH.radius
