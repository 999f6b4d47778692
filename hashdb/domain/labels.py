"""Vocabulary: the labels and codes that a contribution may carry, as a value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

_ENTITY = re.compile(r"([A-Z-]{2,10}):([a-z0-9][a-z0-9_-]{0,63})", re.ASCII)
_INCIDENT = re.compile(r"(CIP|CI):[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What an operator's label file allows; an unknown code is refused by name.

    The default follows GIFCT's labels and their additions of 2021, Regulation (EU) 2021/784 Art. 2(7) and the
    Christchurch Call's policy.
    """

    behaviour: tuple[str, ...]
    tco_ground: tuple[str, ...]
    entity_list: tuple[str, ...]
    context: tuple[str, ...]
    basis: tuple[str, ...]
    reason: tuple[str, ...]

    @classmethod
    def kinds(cls) -> tuple[str, ...]:
        """The kinds of code, which are also the keys of the label file."""
        return tuple(field.name for field in fields(cls))

    @classmethod
    def of(cls, parsed: Mapping[str, object]) -> Self:
        """The vocabulary that a label file spells, once it is parsed. Raises ValueError."""
        if unknown := parsed.keys() - set(cls.kinds()):
            raise ValueError(f"unknown kinds: {', '.join(sorted(unknown))}")
        return cls(**{kind: _codes(kind, parsed.get(kind)) for kind in cls.kinds()})

    def fault(self, kind: str, code: str) -> str | None:
        """Why `code` is not one of that kind (a sentence), or None."""
        known: tuple[str, ...] = getattr(self, kind)
        if code in known:
            return None
        return f"{code!r} is not a {kind.replace('_', ' ')} of this service: {', '.join(known)}"

    def entity_fault(self, entity: str) -> str | None:
        """Why `entity` is not a list of the vocabulary and a slug (`UN:example`), or None."""
        found = _ENTITY.fullmatch(entity)
        if not found:
            return "an entity is a list and a slug, like UN:example"
        return self.fault("entity_list", found[1])


def _codes(kind: str, codes: object) -> tuple[str, ...]:
    if not isinstance(codes, list) or not codes or not all(map(_is_code, codes)):
        raise ValueError(f"{kind} must be a list of codes without spaces, at least one")
    return tuple(codes)


def _is_code(code: object) -> bool:
    return isinstance(code, str) and code.isascii() and code.isprintable() and 0 < len(code) <= 64 and " " not in code


def incident_fault(incident: str) -> str | None:
    """Why `incident` is not `CIP:<slug>` or `CI:<slug>` (GIFCT's incident response), or None."""
    if _INCIDENT.fullmatch(incident):
        return None
    return "an incident is CIP: or CI: and a slug, like CIP:example-2026"
