"""Secret views are drawn from a seed. They are near for copies and far from the views of other seeds."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image, ImageOps

from hashdb.domain.seeds import SEED_BYTES, Seed
from hashdb.domain.signals import OF_PICTURES, Algorithm, Profile
from hashdb.hashing import hash_transforms, hash_variants
from hashdb.hashing.pictures import Picture
from hashdb.hashing.secret_views import LEVEL, LONG, SHORT, secret_transforms, secret_variants, secret_windows
from tests.hashing.samples import PHOTOS, draw_picture, encode_picture

SEEDS = tuple(Seed(id, bytes([id]) * SEED_BYTES) for id in (3, 2, 1))
ALGORITHMS = (Algorithm.PDQ, Algorithm.PHASH256)


def test_a_seed_gives_the_same_windows_in_every_version() -> None:
    """Later versions must find the contributions of this version."""
    rounded = [[round(edge, 4) for edge in window] for window in secret_windows(bytes(SEED_BYTES))]
    assert rounded == [
        [0.0177, 0.3609, 0.9675, 0.5943],
        [0.3375, 0.0318, 0.6232, 0.7839],
        [0.1305, 0.2037, 0.9445, 0.5425],
    ]


def test_windows_are_strips_inside_the_picture() -> None:
    for number in range(200):
        for window, is_level in zip(secret_windows(number.to_bytes(SEED_BYTES)), LEVEL, strict=True):
            assert 0 <= window.left < window.right <= 1 and 0 <= window.top < window.bottom <= 1
            sides = window.right - window.left, window.bottom - window.top
            length, breadth = sides if is_level else sides[::-1]
            assert LONG[0] - 1e-9 <= length <= LONG[1] and SHORT[0] - 1e-9 <= breadth <= SHORT[1] + 1e-9


def test_the_windows_of_one_seed_do_not_reveal_those_of_another() -> None:
    """Each edge of each window takes many values over the seeds."""
    windows_of_seeds = [secret_windows(number.to_bytes(SEED_BYTES)) for number in range(100)]
    for place in range(len(LEVEL)):
        for edge in range(4):
            assert len({round(windows[place][edge], 6) for windows in windows_of_seeds}) > 95


@pytest.mark.parametrize("photo", PHOTOS[:6], ids=lambda path: path.stem)
def test_secret_views_of_a_copy_are_near_and_those_of_other_seeds_are_far(photo: Path) -> None:
    original = Image.open(photo).convert("RGB")
    copy = original.resize((original.width // 2, original.height // 2)).convert("RGB")
    stored = tuple(secret_variants(Picture(original), SEEDS[0]))
    transforms = dict(secret_transforms(Picture(copy), SEEDS))
    assert list(transforms) == [f"secret-{id}-{place}" for id in (3, 2, 1) for place in (1, 2, 3)]
    assert stored
    for signal in stored:
        nearest = min(signal.distance(transforms[f"secret-3-{place}"][0]) for place in (1, 2, 3))
        others = [signal.distance(transforms[f"secret-{id}-{place}"][0]) for id in (2, 1) for place in (1, 2, 3)]
        assert nearest <= 20 < 46 < min(others)


def test_a_contribution_uses_the_newest_seed_and_a_query_uses_all_seeds() -> None:
    octets = encode_picture(draw_picture())
    without_seeds, stored = (
        hash_variants(octets, ALGORITHMS, Profile.BALANCED, seeds=seeds).signals for seeds in ((), SEEDS)
    )
    views = tuple(secret_variants(Picture(draw_picture()), SEEDS[0]))
    assert views and stored == (*without_seeds[:2], *views, *without_seeds[2:])
    plain = hash_variants(octets, ALGORITHMS, Profile.PLAIN, seeds=SEEDS)
    assert plain.signals == without_seeds[:2]
    transforms = hash_transforms(octets, ALGORITHMS, seeds=SEEDS).transforms
    assert list(transforms.items()) == [
        *hash_transforms(octets, ALGORITHMS).transforms.items(),
        *secret_transforms(Picture(draw_picture()), SEEDS),
    ]


def test_a_framed_picture_has_at_most_64_signals_with_its_secret_views() -> None:
    with Image.open(PHOTOS[1]) as photo:
        framed = ImageOps.expand(photo.convert("RGB").resize((320, 240)), 24, "white")
    stored = hash_variants(encode_picture(framed), OF_PICTURES, Profile.THOROUGH, seeds=SEEDS).signals
    assert len(stored) == len(set(stored)) == 64, "all algorithms and all parts are more"
    assert set(secret_variants(Picture(framed), SEEDS[0])) <= set(stored)


def test_flat_pictures_and_queries_without_phash256_have_no_secret_views() -> None:
    octets = encode_picture(draw_picture())
    assert hash_transforms(octets, (Algorithm.PDQ,), seeds=SEEDS) == hash_transforms(octets, (Algorithm.PDQ,))
    for size in ((64, 64), (2, 300)):
        flat = Image.new("RGB", size, (200, 10, 10))
        assert not list(secret_variants(Picture(flat), SEEDS[0]))
        assert hash_transforms(encode_picture(flat), ALGORITHMS, seeds=SEEDS).transforms == {}
