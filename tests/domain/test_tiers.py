"""Tiers and incident levels: the tier that follows from codes, the codes of a tier, and the spellings of both."""

from __future__ import annotations

import pytest

from hashdb.domain.tiers import (
    RULES,
    TIERS,
    IncidentLevel,
    Tier,
    incident_label,
    read_level,
    read_tier,
    tier_of,
)
from hashdb.domain.vocabulary import incident_fault
from hashdb.settings import Settings


@pytest.mark.parametrize(
    ("labels", "severity", "entity", "incident", "tier"),
    [
        (("glorification", "imminent_threat"), 4, "UN:x", "PCI:x", Tier.HIGH_SPECIFIC),
        (("imminent_threat",), 0, None, None, Tier.LOW),
        (("imminent_threat",), None, None, None, Tier.THREAT_TO_LIFE),
        (("manifesto", "perpetrator_produced"), None, "UN:x", None, Tier.CRISIS),
        (("glorification",), 4, None, None, Tier.CRISIS),
        (("glorification",), None, None, "CI:x", Tier.CRISIS),
        (("branded_propaganda", "instruction"), 3, "UN:x", None, Tier.DESIGNATION),
        (("branded_propaganda",), 3, None, None, Tier.UNOFFICIAL),
        (("glorification", "instruction"), None, "UN:x", None, Tier.INSTRUCTIONAL),
        (("manifesto",), None, None, None, Tier.INSPIRATIONAL),
        (("graphic_violence",), 3, "UN:x", None, Tier.DESIGNATION),
        (("graphic_violence",), 3, None, None, None),
    ],
)
def test_the_first_rule_that_applies_sets_the_tier(
    labels: tuple[str, ...], severity: int | None, entity: str | None, incident: str | None, tier: Tier | None
) -> None:
    assert tier_of(labels, severity, entity, incident) is tier


def test_an_imported_tier_is_derived_again_except_two_documented_ones() -> None:
    derived = {tier: tier_of((label,), severity, None, None) for tier, (label, severity) in TIERS.items()}
    assert {tier: read for tier, read in derived.items() if read is not tier} == {
        Tier.DESIGNATION: Tier.UNOFFICIAL,
        Tier.PROMOTIONAL: Tier.INSPIRATIONAL,
    }
    assert tier_of((TIERS[Tier.DESIGNATION][0],), None, "UN:x", None) is Tier.DESIGNATION
    assert tuple(TIERS) == tuple(Tier)


def test_rules_and_tiers_use_codes_of_the_default_vocabulary() -> None:
    codes = {label for rule in RULES for label in rule.labels} | {label for label, _ in TIERS.values()}
    assert codes <= set(Settings().vocabulary().behaviour)


@pytest.mark.parametrize(
    ("text", "tier"),
    [
        ("2", Tier.CRISIS),
        ("Tier 2", Tier.CRISIS),
        ("TCAP Tier 1: Threat to Life", Tier.THREAT_TO_LIFE),
        ("Tier 1 - HIGH SPECIFIC", Tier.HIGH_SPECIFIC),
        ("TTL (low)", Tier.LOW),
        ("high unspecific", Tier.HIGH_UNSPECIFIC),
        ("designated", Tier.DESIGNATION),
        ("Unofficial media outlets", Tier.UNOFFICIAL),
        ("Tier 4 – Promotional / Instructional material", Tier.INSTRUCTIONAL),
        *((tier, tier) for tier in Tier),
    ],
)
def test_a_tier_is_read_in_every_common_spelling(text: str, tier: Tier) -> None:
    assert read_tier(text) is tier
    assert tier.number in (1, 2, 3, 4)


@pytest.mark.parametrize("text", ["", "5", "tier", "2 designation", "Tier 2 low", "crisis2", "1 instructional"])
def test_an_unknown_tier_is_rejected_with_all_tiers(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a tier: threat_to_life, "):
        read_tier(text)


def test_an_incident_level_is_read_in_every_common_spelling() -> None:
    assert read_level("perpetrator content incident") is read_level("pci") is IncidentLevel.PCI
    assert read_level("Content Incident") is IncidentLevel.CI
    assert incident_fault(incident_label(IncidentLevel.CIP, "  Example: City (2026) ")) is None
    with pytest.raises(ValueError, match="no hashes are exchanged at the level Incident"):
        read_level("Incident")
    with pytest.raises(ValueError, match="'XX' is not a level: PCI, CIP, CI"):
        read_level("XX")
