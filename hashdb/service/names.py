"""Names that people tell apart: a name that is added must not look like another one, or be read as the same."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from hashdb.domain.banks import bank_name
from hashdb.errors import NameTaken

_UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")
"""Characters without a glyph that count as printable (Default_Ignorable_Code_Point)."""
_MARK = "\u200e"
"""Turns the direction of the text around it; the data have it around what is written from right to left."""


def require_distinct(name: str, others: Iterable[str], what: str) -> None:
    """Raise NameTaken where a name of a member or user looks like, or is read as, one of the others.

    What is the same in another case or width counts, what looks alike by Unicode's list of confusables, and of members
    what comes to the same bank of HMA.
    """
    seen = _seen(name, what)
    for other in others:
        if seen & _seen(other, what):
            raise NameTaken(name, what, other)


@lru_cache(maxsize=4096)
def _seen(name: str, what: str) -> frozenset[tuple[str, str]]:
    """What a reader may take a name for.

    Letters that look alike in one case only are compared as they are written and in lower case: a Greek capital alpha
    looks like A, and I like l.
    """
    plain = " ".join(_UNSEEN.sub("", unicodedata.normalize("NFKC", name)).split())
    seen = {("glyphs", _skeleton(plain.casefold())), ("glyphs as written", _skeleton(_skeleton(plain).casefold()))}
    if what == "member" and (bank := bank_name(name)):
        seen.add(("bank", bank))
    return frozenset(seen)


def _skeleton(text: str) -> str:
    """The text with each character as its prototype (UTS 39, section 4): equal for texts that look alike."""
    shown = "".join(map(_prototype, unicodedata.normalize("NFD", text)))
    return unicodedata.normalize("NFD", shown)


@lru_cache(maxsize=4096)
def _prototype(one: str) -> str:
    """The prototype of a character in Unicode's confusables.txt; itself where there is none.

    The library has each line of that file in both directions. A character with one partner has it for its prototype,
    unless it is that of its partner: which of two that have nobody else stands for both does not matter.
    """
    partners = _partners(one)
    if len(partners) != 1:
        return one
    (other,) = partners
    if len(other) > 1:
        return "".join(map(_prototype, other))
    return other if len(_partners(other)) > 1 else min(one, other)


def _partners(one: str) -> set[str]:
    # Loading it takes a tenth of a second, and few processes ever add a name.
    from confusable_homoglyphs.confusables import confusables_data

    found = (*confusables_data.get(one, ()), *confusables_data.get(f"{_MARK}{one}{_MARK}", ()))
    return {other["c"].replace(_MARK, "") for other in found}
