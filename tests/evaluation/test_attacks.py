"""Attacks: pictures are changed to evade a match. The matching of the service decides whether they do."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from hashdb.domain.seeds import Seed
from hashdb.domain.signals import Algorithm, Profile
from hashdb.evaluation.attacks import Attack, Attacked, AttackScheme, Service, attack_all, evade, jobs_of, saved
from hashdb.evaluation.samples import Unfit
from tests.evaluation.photos import PHOTOS

ALGORITHMS = (Algorithm.PDQ, Algorithm.PHASH256, Algorithm.PHASH)


@pytest.fixture(scope="module")
def image() -> Image.Image:
    """A small photograph."""
    with Image.open(PHOTOS[1]) as picture:
        return picture.convert("RGB").resize((240, 180))


def test_an_unchanged_picture_matches_and_another_does_not(image: Image.Image) -> None:
    service = Service(saved(image, "PNG"), ALGORITHMS, Profile.BALANCED)
    assert service.match(saved(image, "JPEG")) is not None
    assert service.match(PHOTOS[2].read_bytes()) is None


def test_an_attacker_can_evade_pdq_alone_but_not_the_service(image: Image.Image) -> None:
    octets = saved(image, "PNG")
    by_pdq = Service(octets, (Algorithm.PDQ,), Profile.PLAIN)
    escaped = evade(image, by_pdq, by_pdq)
    assert escaped is not None
    assert escaped >= 40
    assert evade(image, by_pdq, Service(octets, ALGORITHMS, Profile.BALANCED)) is None


def test_secret_views_make_evasion_fail_or_more_visible(image: Image.Image) -> None:
    octets = saved(image, "PNG")
    known = Service(octets, ALGORITHMS, Profile.BALANCED)
    secret = Service(octets, ALGORITHMS, Profile.BALANCED, [Seed(1, bytes(32))])
    assert len(secret.stored.signals) > len(known.stored.signals)
    escaped = evade(image, known, known)
    assert escaped is not None
    assert (evade(image, known, secret) or 0) < escaped


def test_all_pictures_are_attacked_and_other_files_are_reported(tmp_path: Path) -> None:
    paths = [*PHOTOS[:2], tmp_path / "none.jpg", tmp_path / "nor this.jpg"]
    for path in paths[2:]:
        path.write_text("not a picture")
    scheme = AttackScheme((Algorithm.PDQ,), attacks=(Attack.EVADE_PDQ,))
    results = list(attack_all(jobs_of([PHOTOS[0], paths[2], PHOTOS[1], paths[3]]), scheme, 1))
    assert [result.place for result in results if isinstance(result, Unfit)] == [1, 3]
    attacked = [result for result in results if isinstance(result, Attacked)]
    assert [[*result.decibels] for result in attacked] == [[Attack.EVADE_PDQ]] * 2
    assert all((decibels or 0) >= 40 for result in attacked for decibels in result.decibels.values())
