"""Tiers of Tech Against Terrorism and incident levels of GIFCT, derived from the codes of a contribution.

Nothing of this is stored. `tier_of` reads a tier from the codes; `TIERS` has the codes that a tier sets on import.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from hashdb.domain.spelling import did_you_mean


class Tier(StrEnum):
    """The tiers of Tech Against Terrorism's alerts, with the levels of the first and the classes of the fourth."""

    THREAT_TO_LIFE = "threat_to_life"
    LOW = "threat_to_life.low"
    MEDIUM = "threat_to_life.medium"
    HIGH_UNSPECIFIC = "threat_to_life.high_unspecific"
    HIGH_SPECIFIC = "threat_to_life.high_specific"
    CRISIS = "crisis"
    DESIGNATION = "designation"
    PROMOTIONAL = "promotional"
    UNOFFICIAL = "promotional.unofficial_media"
    INSPIRATIONAL = "promotional.inspirational"
    INSTRUCTIONAL = "promotional.instructional"

    @property
    def number(self) -> int:
        """The number of the tier, 1 to 4."""
        return 1 + _NAMES.index(self.partition(".")[0])

    def within(self) -> tuple[Tier, ...]:
        """The tier itself, with its levels or classes if it is a whole tier."""
        return tuple(tier for tier in Tier if tier == self or tier.startswith(f"{self}."))


_NAMES: Final = ("threat_to_life", "crisis", "designation", "promotional")


class IncidentLevel(StrEnum):
    """The incident levels of GIFCT at which hashes are exchanged. The code of an incident begins with its level."""

    PCI = "PCI"
    CIP = "CIP"
    CI = "CI"


@dataclass(frozen=True, slots=True)
class Rule:
    """Codes that imply a tier: one of `labels`, one of `severities`, an entity, an incident.

    A field that is empty or False sets no condition.
    """

    tier: Tier
    labels: tuple[str, ...] = ()
    severities: tuple[int, ...] = ()
    entity: bool = False
    incident: bool = False

    def holds(self, labels: Iterable[str], severity: int | None, entity: str | None, incident: str | None) -> bool:
        """Whether a contribution has these codes."""
        return (
            (not self.labels or not set(self.labels).isdisjoint(labels))
            and (not self.severities or severity in self.severities)
            and (not self.entity or entity is not None)
            and (not self.incident or incident is not None)
        )


_THREAT: Final = ("imminent_threat",)
RULES: Final = (
    Rule(Tier.HIGH_SPECIFIC, _THREAT, severities=(4,)),
    Rule(Tier.HIGH_UNSPECIFIC, _THREAT, severities=(3,)),
    Rule(Tier.MEDIUM, _THREAT, severities=(2,)),
    Rule(Tier.LOW, _THREAT, severities=(0, 1)),
    Rule(Tier.THREAT_TO_LIFE, _THREAT),
    Rule(Tier.CRISIS, ("perpetrator_produced",)),
    Rule(Tier.CRISIS, incident=True),
    Rule(Tier.CRISIS, severities=(4,)),
    Rule(Tier.DESIGNATION, ("branded_propaganda",), entity=True),
    Rule(Tier.INSTRUCTIONAL, ("instruction",)),
    Rule(Tier.UNOFFICIAL, ("branded_propaganda", "recruitment", "material_support")),
    Rule(Tier.INSPIRATIONAL, ("glorification", "incitement", "manifesto")),
    Rule(Tier.DESIGNATION, entity=True),
)
"""The first rule that holds gives the tier; if none holds, a contribution has no tier."""


class ImpliedCodes(NamedTuple):
    """The label that an imported tier adds to a contribution, and the severity that it sets (None: it sets none)."""

    label: str
    severity: int | None = None


TIERS: Final[Mapping[Tier, ImpliedCodes]] = {
    Tier.THREAT_TO_LIFE: ImpliedCodes("imminent_threat"),
    Tier.LOW: ImpliedCodes("imminent_threat", severity=1),
    Tier.MEDIUM: ImpliedCodes("imminent_threat", severity=2),
    Tier.HIGH_UNSPECIFIC: ImpliedCodes("imminent_threat", severity=3),
    Tier.HIGH_SPECIFIC: ImpliedCodes("imminent_threat", severity=4),
    Tier.CRISIS: ImpliedCodes("perpetrator_produced"),
    Tier.DESIGNATION: ImpliedCodes("branded_propaganda"),
    Tier.PROMOTIONAL: ImpliedCodes("glorification"),
    Tier.UNOFFICIAL: ImpliedCodes("branded_propaganda"),
    Tier.INSPIRATIONAL: ImpliedCodes("glorification"),
    Tier.INSTRUCTIONAL: ImpliedCodes("instruction"),
}
"""The codes that an imported tier implies."""


def tier_of(labels: Iterable[str], severity: int | None, entity: str | None, incident: str | None) -> Tier | None:
    """The tier that these codes imply, or None.

    >>> tier_of(("glorification",), None, None, None)
    <Tier.INSPIRATIONAL: 'promotional.inspirational'>
    """
    codes = tuple(labels)
    return next((rule.tier for rule in RULES if rule.holds(codes, severity, entity, incident)), None)


def rules_of(tier: Tier) -> Iterator[tuple[Rule, tuple[Rule, ...]]]:
    """The rules by which a contribution is within `tier`, each with the earlier rules that must not hold."""
    wanted = tier.within()
    for position, rule in enumerate(RULES):
        if rule.tier in wanted:
            yield rule, tuple(earlier for earlier in RULES[:position] if earlier.tier not in wanted)


_PARTS: Final = re.compile(
    r"(?:tcap)?(?:tier)?(?P<number>[1-4])?(?P<name>threattolife|ttl|crisis|designat(?:ion|ed)|promotional)?"
    r"(?P<detail>low|medium|highunspecific|highspecific|(?:unofficialmedia|inspirational|instructional)(?:outlets?|material)?"
    r"|support|glorification|instruction)?",
    re.ASCII,
)
_BEGINNINGS: Final = {
    # How a text of the group `detail` of `_PARTS` begins, and the tier that it names.
    "unofficial": Tier.UNOFFICIAL,
    "support": Tier.UNOFFICIAL,
    "inspirational": Tier.INSPIRATIONAL,
    "glorification": Tier.INSPIRATIONAL,
    "instruction": Tier.INSTRUCTIONAL,
    "low": Tier.LOW,
    "medium": Tier.MEDIUM,
    "highunspecific": Tier.HIGH_UNSPECIFIC,
    "highspecific": Tier.HIGH_SPECIFIC,
}


def read_tier(text: str) -> Tier:
    """The tier of a text as people write it: "2", "Tier 2", "Crisis", "Tier 1: high specific". Raises ValueError.

    >>> read_tier("Tier 4 - Promotional (Instructional material)")
    <Tier.INSTRUCTIONAL: 'promotional.instructional'>
    """
    parts = _PARTS.fullmatch(re.sub(r"[\W_]+", "", text.casefold()))
    number, name, detail = parts.group("number", "name", "detail") if parts else (None, None, None)
    tiers = set[Tier]()
    if number:
        tiers.add(Tier(_NAMES[int(number) - 1]))
    if name:
        # The four names and the abbreviation "ttl" differ in their first letter.
        tiers.add(next(tier for tier in Tier if tier[0] == name[0]))
    if detail:
        precise = next(tier for beginning, tier in _BEGINNINGS.items() if detail.startswith(beginning))
        if all(precise in tier.within() for tier in tiers):
            return precise
    elif len(tiers) == 1:
        return tiers.pop()
    raise ValueError(f"{text!r} is not a tier: {', '.join(Tier)}{did_you_mean(text, tuple(Tier))}")


_LEVELS: Final = {
    "perpetratorcontentincident": IncidentLevel.PCI,
    "contentincidentprotocol": IncidentLevel.CIP,
    "contentincident": IncidentLevel.CI,
} | {level.casefold(): level for level in IncidentLevel}


def read_level(text: str) -> IncidentLevel:
    """The level of a text as people write it: "CIP", "Content Incident". Raises ValueError.

    >>> read_level("Content Incident Protocol (CIP)")
    <IncidentLevel.CIP: 'CIP'>
    """
    squashed = re.sub(r"[\W_]+", "", text.casefold())
    for name, level in _LEVELS.items():
        if squashed in (name, f"{name}{level.casefold()}"):
            return level
    if squashed in ("incident", "i", "incidenti"):
        raise ValueError("no hashes are exchanged at the level Incident: leave the cell empty")
    raise ValueError(f"{text!r} is not a level: {', '.join(IncidentLevel)}")


def incident_label(level: IncidentLevel, name: str) -> str:
    """The label of an incident with a name as people write it.

    >>> incident_label(IncidentLevel.PCI, "Example City 2026")
    'PCI:example-city-2026'
    """
    return f"{level}:{re.sub(r'[^a-z0-9_]+', '-', name.casefold()).strip('-')}"
