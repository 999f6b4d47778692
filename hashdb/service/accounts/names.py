"""Names of members and users: no two may look alike."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from hashdb.domain.sharing.exchanges import bank_name
from hashdb.errors import NameTaken

_UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")
"""Printable characters without a glyph (Default_Ignorable_Code_Point)."""
_MARK = "\u200e"
"""Left-to-right mark; the data have it around characters that are written from right to left."""


def require_distinct(name: str, others: Iterable[str], what: str) -> None:
    """Raise NameTaken if a name of a member or user looks like one of the others.

    Names are the same in another case or width, and if they look alike by Unicode's list of confusables. Names of
    members also collide if they give the same HMA bank name.
    """
    forms = _comparable_forms(name, what)
    for other in others:
        if forms & _comparable_forms(other, what):
            raise NameTaken(name, what, other)


@lru_cache(maxsize=4096)
def _comparable_forms(name: str, what: str) -> frozenset[tuple[str, str]]:
    """The forms of a name; names that share one look alike.

    Some letters look alike in one case only (a Greek capital alpha looks like A, and I like l), so names are compared
    as written and in lower case.
    """
    plain = " ".join(_UNSEEN.sub("", unicodedata.normalize("NFKC", name)).split())
    forms = {("glyphs", _skeleton(plain.casefold())), ("glyphs as written", _skeleton(_skeleton(plain).casefold()))}
    if what == "member" and (bank := bank_name(name)):
        forms.add(("bank", bank))
    return frozenset(forms)


def _skeleton(text: str) -> str:
    """The text with each character as its prototype (UTS 39, section 4): equal for texts that look alike."""
    prototypes = "".join(map(_prototype, unicodedata.normalize("NFD", text)))
    return unicodedata.normalize("NFD", prototypes)


@lru_cache(maxsize=4096)
def _prototype(char: str) -> str:
    """The prototype of a character in Unicode's confusables.txt; the character itself if it has none.

    The library has each line of that file in both directions. A character with one partner has that as its prototype,
    unless it is its partner's prototype. If two characters have only each other, either may stand for both.
    """
    partners = _partners(char)
    if len(partners) != 1:
        return char
    (partner,) = partners
    if len(partner) > 1:
        return "".join(map(_prototype, partner))
    return partner if len(_partners(partner)) > 1 else min(char, partner)


def _partners(char: str) -> set[str]:
    # Imported here: loading the data takes 0.1 s, and few processes ever add a name.
    from confusable_homoglyphs.confusables import confusables_data

    lines = (*confusables_data.get(char, ()), *confusables_data.get(f"{_MARK}{char}{_MARK}", ()))
    return {line["c"].replace(_MARK, "") for line in lines}
