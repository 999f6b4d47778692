"""The vocabulary: the default file has the published one, and unknown codes are rejected."""

from __future__ import annotations

import pytest

from hashdb.domain.tiers import IncidentLevel
from hashdb.domain.vocabulary import Vocabulary, incident_fault
from tests.builders import RULES

DEFAULT = RULES.vocabulary


def test_the_default_file_holds_the_published_vocabulary() -> None:
    assert (
        Vocabulary(
            behaviour=(
                "imminent_threat",
                "graphic_violence",
                "glorification",
                "incitement",
                "recruitment",
                "instruction",
                "material_support",
                "perpetrator_produced",
                "branded_propaganda",
                "manifesto",
            ),
            tco_ground=("2.7.a", "2.7.b", "2.7.c", "2.7.d", "2.7.e"),
            entity_list=("UN", "EU", "UK", "US-FTO", "CA", "AU", "NZ"),
            context=("edsa_copies_known", "contains_victim", "synthetic"),
            basis=("terms", "removal_order", "referral", "trusted_flagger", "user_report", "own_detection"),
            reason=(
                "not_terrorist_content",
                "edsa_context",
                "wrong_label",
                "false_match",
                "low_quality",
                "removal_reversed",
                "other",
            ),
        )
        == DEFAULT
    )


def test_every_code_is_valid_only_for_its_own_kind() -> None:
    for kind in Vocabulary.kinds():
        for code in getattr(DEFAULT, kind):
            assert [other for other in Vocabulary.kinds() if DEFAULT.fault(other, code) is None] == [kind]


def test_an_unknown_code_is_rejected_with_the_known_codes() -> None:
    assert DEFAULT.fault("context", "nice") == (
        "'nice' is not a context of this service: edsa_copies_known, contains_victim, synthetic"
    )
    assert (DEFAULT.fault("tco_ground", "2.7.f") or "").startswith("'2.7.f' is not a tco ground of this service: ")


@pytest.mark.parametrize("entity", ["UN:example", "US-FTO:a", "NZ:0-9_a", "EU:" + "a" * 64])
def test_an_entity_is_a_list_and_a_slug(entity: str) -> None:
    assert DEFAULT.entity_fault(entity) is None


@pytest.mark.parametrize(
    "entity", ["", "UN", "UN:", ":example", "un:example", "UN:Example", "UN:-a", "UN:a b", "UN:a\n"]
)
def test_a_malformed_entity_is_rejected(entity: str) -> None:
    assert DEFAULT.entity_fault(entity) == "must be a list and a slug, like UN:example"


def test_an_entity_of_an_unknown_list_is_rejected_with_the_known_lists() -> None:
    assert DEFAULT.entity_fault("XX:example") == (
        "'XX' is not an entity list of this service: UN, EU, UK, US-FTO, CA, AU, NZ"
    )


def test_an_incident_is_one_of_three_levels_and_a_slug() -> None:
    assert [incident_fault(f"{level}:example-2026") for level in IncidentLevel] == [None, None, None]
    for malformed in ("", "CIP", "CIP:", "cip:example", "XX:example", "CIP:Example", "CIP:a\n", "CIP:" + "a" * 65):
        assert incident_fault(malformed) == "must be PCI:, CIP: or CI: and a slug, like PCI:example-2026"
