"""Origins: where a contribution was first contributed, through however many services it came."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

_SOURCE_BITS = 48
"""The bits of the shortened `Origin.source` in a packed number."""
_MEMBERS = 1 << 15
"""How many members fit into the other bits of a packed number of 64 bits: ids of members are taken modulo this."""
LONGEST_LOG = 255
"""The most characters of the name of a log with the hash of its key."""


class Origin(NamedTuple):
    """The log to which a contribution was first contributed, its number there, and the number of its member there.

    It is what the upstream says. Nothing proves it, so it may only lower how many members are counted.
    """

    log: str
    """The name of the log and the hash of its first key, `name+hash`."""
    contribution: int
    member: int

    @property
    def source(self) -> int:
        """A negative number that stands for the member there, the same through every path.

        >>> Origin("eu.example/log+a1b2c3d4", 5, 2).source == Origin("eu.example/log+a1b2c3d4", 6, 2).source < 0
        True
        """
        digest = hashlib.sha256(f"{self.log}\n{self.member}".encode()).digest()
        # 56 bits. `-1 - n` is negative for each n from 0, and is its own inverse; ids of members here are positive.
        return -1 - int.from_bytes(digest[:7])

    def packed_member(self, member: int) -> int:
        """The id `member` and the first 48 bits of `source` in one negative number of 64 bits.

        `member` is the id of the member here. A local copy stores the number in the place of this id.
        """
        return -1 - ((member % _MEMBERS) << _SOURCE_BITS | (-1 - self.source) >> 8)


def unpack_member(number: int) -> tuple[int, int | None]:
    """The member and the shortened `source` of what a copy stores as the member: an id, or a number of `packed_member`.

    The source is None for an id: the contribution was first contributed here.

    >>> origin = Origin("eu.example/log+a1b2c3d4", 5, 2)
    >>> seven, eight = (unpack_member(origin.packed_member(member)) for member in (7, 8))
    >>> seven[0], seven[1] == eight[1], unpack_member(9)
    (7, True, (9, None))
    """
    if number >= 0:
        return number, None
    member, source = divmod(-1 - number, 1 << _SOURCE_BITS)
    return member, -1 - source
