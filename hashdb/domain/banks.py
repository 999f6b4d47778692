"""Bank: a member's contributions as HMA names them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

from hashdb.domain.matches import Match
from hashdb.domain.members import Member

_OTHER = re.compile(r"[^A-Z0-9]+")


class Hit(NamedTuple):
    """A match, and the bank that it is in."""

    bank: str
    match: Match


def bank_names(members: Iterable[Member], *reserved: str) -> dict[int, str]:
    """The names of members' banks by their ids: upper case with underscores, each once, and none as a reserved one.

    Of two members whose names come to the same, the one that joined later has its number in the name.
    """
    names: dict[int, str] = {}
    taken = set(reserved)
    for member in sorted(members, key=lambda one: one.id):
        name = bank_name(member.name) or f"MEMBER_{member.id}"
        while name in taken:
            name = f"{name}_{member.id}"
        names[member.id] = name
        taken.add(name)
    return names


def bank_name(name: str) -> str:
    """A name in upper case with underscores; empty where nothing of it is left.

    >>> bank_name("Alpha Vidéo, Ltd.")
    'ALPHA_VIDEO_LTD'
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return _OTHER.sub("_", plain.upper()).strip("_")
