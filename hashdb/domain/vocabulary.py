"""The vocabulary: the codes of the operator's label file, and the labels of incidents."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

from hashdb.domain.spelling import did_you_mean

_ENTITY = re.compile(r"([A-Z-]{2,10}):([a-z0-9][a-z0-9_-]{0,63})", re.ASCII)
_INCIDENT = re.compile(r"(PCI|CIP|CI):[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The codes of the operator's label file. A fault names the unknown code.

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
    def from_parsed(cls, parsed: Mapping[str, object]) -> Self:
        """The vocabulary of a parsed label file. Raises ValueError if a kind is unknown, missing or malformed."""
        if unknown := parsed.keys() - set(cls.kinds()):
            raise ValueError(f"unknown kinds: {', '.join(sorted(unknown))}")
        return cls(**{kind: _codes(kind, parsed.get(kind)) for kind in cls.kinds()})

    def fault(self, kind: str, code: str) -> str | None:
        """Why `code` is not one of that kind (a sentence), or None."""
        allowed: tuple[str, ...] = getattr(self, kind)
        if code in allowed:
            return None
        listed = ", ".join(allowed) + did_you_mean(code, allowed)
        noun = kind.replace("_", " ")
        return f"{code!r} is not {'an' if noun[0] in 'aeiou' else 'a'} {noun} of this service: {listed}"

    def label_fault(self, label: str) -> str | None:
        """Why `label` is not a label of the vocabulary (a code of the kind `behaviour`), or None."""
        return self.fault("behaviour", label)

    def entity_fault(self, entity: str) -> str | None:
        """Why `entity` is not a list of the vocabulary and a slug (`UN:example`), or None."""
        parts = _ENTITY.fullmatch(entity)
        if not parts:
            return "must be a list and a slug, like UN:example"
        return self.fault("entity_list", parts[1])


def _codes(kind: str, codes: object) -> tuple[str, ...]:
    if not isinstance(codes, list) or not codes or not all(map(_is_code, codes)):
        raise ValueError(f"{kind} must be a list of codes without spaces, at least one")
    return tuple(codes)


def _is_code(code: object) -> bool:
    return isinstance(code, str) and code.isascii() and code.isprintable() and 0 < len(code) <= 64 and " " not in code


def incident_fault(incident: str) -> str | None:
    """Why `incident` is not `PCI:`, `CIP:` or `CI:` and a slug (GIFCT's incident response), or None."""
    if _INCIDENT.fullmatch(incident):
        return None
    return "must be PCI:, CIP: or CI: and a slug, like PCI:example-2026"
