"""Commitments: what the log states of the signals of a contribution without revealing them.

Each of the contribution's *lines* is a signal with its place, or a signature, as text. A line with the contribution's
random salt has a *seal*, and the commitment is SHA-256 over the sorted seals. Everyone who has the salt and the signals
can compute it; a seal without its line stands for a signal that its reader may not see.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple, Self

from hashdb.domain.frames import Shot, Unit
from hashdb.domain.ledger.events import Action

SALT_OCTETS: Final = 16
"""Octets of a salt."""
COMMITMENT_OCTETS: Final = 32
"""Octets of a seal, and of a commitment."""


class Commitment(NamedTuple):
    """A commitment, and its salt."""

    salt: bytes
    hash: bytes

    @classmethod
    def new(cls, lines: Iterable[str], salt: bytes | None = None) -> Self:
        """The commitment to lines, with a new random salt unless one is given."""
        salt = secrets.token_bytes(SALT_OCTETS) if salt is None else salt
        return cls(salt, commit_lines(salt, lines))


def seal(salt: bytes, line: str) -> bytes:
    """The seal of a line: SHA-256(0x00 ‖ salt ‖ line in UTF-8)."""
    return hashlib.sha256(b"\x00" + salt + line.encode()).digest()


def commit(seals: Iterable[bytes]) -> bytes:
    """The commitment to seals: SHA-256(0x01 ‖ the seals, each once, in ascending order)."""
    return hashlib.sha256(b"\x01" + b"".join(sorted(set(seals)))).digest()


def commit_lines(salt: bytes, lines: Iterable[str], undisclosed: Iterable[bytes] = ()) -> bytes:
    """The commitment to lines, and to the seals (`undisclosed`) of lines that the caller does not have."""
    # As `seal` does, in less time: a copy checks a million commitments.
    begin = b"\x00" + salt
    return commit([*[hashlib.sha256(begin + line.encode()).digest() for line in lines], *undisclosed])


def placed_line(unit: Unit, start: float, end: float, signal: object) -> str:
    """The line of a signal of a shot, a page or a window of words; places in thousandths of the unit.

    The line of an item's own signal is its text, as that of a signature is.

    >>> placed_line(Unit.SECONDS, 1.5, 4.0, "pdq:00ff")
    'seconds:1500-4000:pdq:00ff'
    """
    return f"{_place(unit, start, end)}{signal}"


_UNITS = {unit: str(unit) for unit in Unit}


def _place(unit: Unit, start: float, end: float) -> str:
    # Not an f-string: formatting an Enum takes as long as the seal of a line.
    return "%s:%d-%d:" % (_UNITS[unit], round(start * 1000), round(end * 1000))  # noqa: UP031


def item_lines(signals: Iterable[object], shots: Iterable[Shot], signatures: Iterable[object]) -> list[str]:
    """The lines of an item with these signals, shots and signatures: of all of its frames that are searched for."""
    lines = list(map(str, signals))
    for shot in shots:
        first = shot.frames[0]
        if first.matches:
            place = _place(first.unit, first.at, shot.frames[-1].end)
            lines += [place + str(signal) for signal in first.signals]
    return [*lines, *map(str, signatures)]


def logged_commitment(details: Mapping[str, object]) -> bytes | None:
    """The commitment in the details of an event; None if there is none, or a value that no service writes."""
    text = details.get("commitment")
    try:
        octets = bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        return None
    return octets if len(octets) == COMMITMENT_OCTETS else None


def may_commit(action: str, details: Mapping[str, object], *, committed: bool) -> bool:
    """Whether an event of a contribution may have a commitment: its first one, or one to signals that were added.

    `committed`: whether an earlier event has one. A second commitment to the same signals could hide that they were
    altered.
    """
    if action == Action.CONTRIBUTION_AMENDED:
        fields = details.get("fields")
        return isinstance(fields, list) and not _SIGNALS.isdisjoint(map(str, fields))
    return action in (Action.CONTRIBUTION_ADDED, Action.CONTRIBUTION_COMMITTED) and not committed


_SIGNALS = frozenset({"signals", "signatures"})
