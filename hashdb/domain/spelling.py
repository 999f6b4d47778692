"""Spelling: the known word that was probably meant."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

_LONGEST = 100
"""Characters of the longest word that is compared: the work grows with its square."""

_BEGINNING = 0.8
"""How like the beginning of a known word a shorter word must be; 1 is equal."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is most like `word`, or None if none is like it. Case, `-`, `_` and spaces do not count."""
    return _nearest(word, tuple(known)) if len(word) <= _LONGEST else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'graphic_violence'?`, the end of an error about an unknown word; empty if none is near."""
    found = nearest(word, known)
    return "" if found is None else f"; did you mean {found!r}?"


# One mistake is often made in every row of a list.
@lru_cache(1024)
def _nearest(word: str, known: tuple[str, ...]) -> str | None:
    from difflib import get_close_matches

    words = {_plain(each): each for each in reversed(known)}
    plain = _plain(word)
    found = get_close_matches(plain, words, 1)
    if not found and len(plain) > 2:
        # The beginning of a longer word, like that of a member's name.
        words = {each[: len(plain) + 1]: meant for each, meant in words.items()}
        found = get_close_matches(plain, words, 1, _BEGINNING)
    return words[found[0]] if found else None


def _plain(word: str) -> str:
    return word.casefold().replace("-", "_").replace(" ", "_")
