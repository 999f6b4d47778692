"""The catalogue: listed pictures in memory match as in the service."""

from __future__ import annotations

from hashdb.domain.matching.matches import Query, StoredItem
from hashdb.domain.matching.testing import TEST_SIGNALS
from hashdb.domain.signals import Algorithm, Profile
from hashdb.evaluation.catalogue import Catalogue, query_of, stored_item
from hashdb.hashing import Hashed, hash_transforms, hash_variants
from tests.builders import near, signal
from tests.evaluation.photos import PHOTOS

ALGORITHMS = (Algorithm.PDQ, Algorithm.PHASH256, Algorithm.PHASH)


def test_a_listed_picture_within_the_radius_matches_under_its_place() -> None:
    catalogue = Catalogue({4: StoredItem((signal(1), signal(2))), 0: StoredItem((signal(3),))})
    matches = catalogue.matches(Query((near(signal(1), 31),), transforms={"mirror": (near(signal(3), 7),)}))
    assert {place: (dict(match.distance), match.transform) for place, match in matches.items()} == {
        4: ({Algorithm.PDQ: 31}, None),
        0: ({Algorithm.PDQ: 7}, "mirror"),
    }
    assert catalogue.matches(Query((near(signal(1), 32),))) == {}


def test_phash_alone_is_no_match_if_both_sides_have_pdq() -> None:
    own = signal(1, Algorithm.PHASH)
    catalogue = Catalogue({0: StoredItem((signal(1), own)), 1: StoredItem((own,))})
    assert list(catalogue.matches(Query((signal(9), own)))) == [1]
    assert set(catalogue.matches(Query((own,)))) == {0, 1}


def test_the_test_item_is_not_in_the_catalogue() -> None:
    assert Catalogue({0: StoredItem((signal(1),))}).matches(Query(TEST_SIGNALS)) == {}
    assert Catalogue({}).matches(Query((signal(1),))) == {}


def test_a_photograph_matches_itself_and_no_other() -> None:
    octets = [photo.read_bytes() for photo in PHOTOS[:4]]
    catalogue = Catalogue(
        {
            place: stored_item(hash_variants(content, ALGORITHMS, Profile.BALANCED))
            for place, content in enumerate(octets)
        }
    )
    for place, content in enumerate(octets):
        assert list(catalogue.matches(query_of(hash_transforms(content, ALGORITHMS), {}))) == [place]


def test_a_signal_that_a_service_rejects_is_not_listed() -> None:
    flat = Hashed((signal(1), type(signal(1))(Algorithm.PDQ, 0)))
    assert stored_item(flat).signals == (signal(1),)
