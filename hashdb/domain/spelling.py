"""Spelling: the ids that people write, and the known word that was probably meant."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TypeVar

_Row = TypeVar("_Row")
_LONGEST = 100
"""Characters of the longest word that is compared: the work grows with its square."""
_BEGINNING = 0.8
"""How like the beginning of a known word a shorter word must be; 1 is equal."""
_KINDS = {"case", "contribution", "delivery", "entry", "event", "incident", "key", "member", "opinion", "proposal"}
_KINDS |= {"batch", "report", "seed", "upstream", "user", "webhook"}
"""The words before an id where `hashdb` prints it, as in `contribution 17`; the log has `contribution:17`."""
_PLURALS = {"batches": "batch", "benign": "entry", "deliveries": "delivery"}
_SHOWN = re.compile(r"(?:(?:benign )?(?P<kind>[a-z]+)[ :/]? ?)?#?(?P<id>[0-9]{1,16})[:,;.]?")
# It matches in time proportional to the length of a text, which may be long: each part of a path can match in one way.
_ADDRESS = re.compile(r"(?:https?://[^?#]+|(?:/[a-z]+)*)/(?P<kind>[a-z]+)/(?P<id>[0-9]{1,16})/?(?:[?#].*)?")


def read_id(text: str) -> tuple[str | None, int] | None:
    """The kind and the number of an id as it is shown anywhere; None for any other text.

    `17` and `#17` have no kind; `contribution 17`, `contribution:17` and the address of its page do.
    """
    match = _ADDRESS.fullmatch(text.strip()) or _SHOWN.fullmatch(text.strip().lower())
    if match is None:
        return None
    kind = match["kind"] and _PLURALS.get(match["kind"], match["kind"].removesuffix("s"))
    return (kind, int(match["id"])) if kind is None or kind in _KINDS else None


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is most like `word`, or None if none is like it. Case, `-`, `_` and spaces do not count."""
    return _nearest(word, tuple(known)) if len(word) <= _LONGEST else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'graphic_violence'?`, the end of an error about an unknown word; empty if none is near."""
    suggestion = nearest(word, known)
    return "" if suggestion is None else f"; did you mean {suggestion!r}?"


def name_rank(text: str, name: str) -> int | None:
    """How well a text matches a name, 0 is best; None if not at all. Case, `-`, `_` and spaces do not count.

    0: the text is the name. 1: the name begins with it. 2: a word of the name does. 3: the name contains it.

    >>> [name_rank(text, "Alpha Video") for text in ("alpha_video", "ALPHA", "vid", "pha", "beta")]
    [0, 1, 2, 3, None]
    """
    wanted, plain = _plain(text), _plain(name)
    if not wanted.strip("_") or wanted not in plain:
        return None
    if plain.startswith(wanted):
        return int(plain != wanted)
    return 2 if f"_{wanted}" in plain else 3


def rank_by_name(text: str, rows: Iterable[_Row], name: Callable[[_Row], str]) -> list[tuple[int, _Row]]:
    """The rows whose name fits a text, each with its `name_rank`, the best first."""
    ranked = [(rank, row) for row in rows if (rank := name_rank(text, name(row))) is not None]
    return sorted(ranked, key=lambda pair: (pair[0], name(pair[1]).casefold()))


# One mistake is often made in every row of a list. Few are kept: each keeps all names that were known then.
@lru_cache(32)
def _nearest(word: str, known: tuple[str, ...]) -> str | None:
    from difflib import get_close_matches

    words = {_plain(name): name for name in reversed(known)}
    plain = _plain(word)
    close = get_close_matches(plain, words, 1)
    if not close and len(plain) > 2:
        # The beginning of a longer word, like that of a member's name.
        words = {name[: len(plain) + 1]: meant for name, meant in words.items()}
        close = get_close_matches(plain, words, 1, _BEGINNING)
    return words[close[0]] if close else None


def _plain(word: str) -> str:
    return word.casefold().replace("-", "_").replace(" ", "_")
