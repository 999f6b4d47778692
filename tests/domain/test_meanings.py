"""Meanings: each code of the default vocabulary has one."""

from __future__ import annotations

from hashdb.domain.meanings import MEANINGS, TITLES
from hashdb.domain.rules import Vocabulary
from hashdb.settings import Settings


def test_the_codes_are_those_of_the_default_vocabulary_in_its_order() -> None:
    vocabulary = Settings().vocabulary()
    assert tuple(MEANINGS) == tuple(TITLES) == Vocabulary.kinds()
    for kind, meanings in MEANINGS.items():
        assert tuple(meanings) == getattr(vocabulary, kind)
        assert all(meanings.values())
