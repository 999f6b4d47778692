"""hashdb export for MISP and STIX, whose own libraries read what it prints."""

from __future__ import annotations

import json
from typing import Any

import pymisp
import pytest
import stix2

from tests.builders import signal
from tests.cli.conftest import PHOTOS, Commands


@pytest.fixture
def two(member: Commands) -> tuple[int, int]:
    """A contribution that is active, and one that is withdrawn; a third is erased."""
    ids: list[int] = []
    for photo in PHOTOS[:3]:
        said = ("--label", "glorification", "--label", "manifesto", "--removed-at", "2026-10-01T10:00:00Z")
        ids.append(member.json("contribute", photo, *said)[0]["id"])
    member("withdraw", str(ids[1]), "--reason", "removal_reversed")
    member("erase", str(ids[2]))
    return ids[0], ids[1]


def test_a_bundle_is_stix_2_1_with_withdrawals_revoked(member: Commands, two: tuple[int, int]) -> None:
    done = member("export", "--format", "stix")
    assert done.returncode == 0, done.stderr
    bundle: Any = stix2.parse(done.stdout, version="2.1")
    identity, *indicators = bundle.objects
    assert identity.type == "identity"
    assert [one.external_references[0].external_id for one in indicators] == [str(id) for id in two]
    assert [one.revoked for one in indicators] == [False, True]
    assert {one.created_by_ref for one in indicators} == {identity.id}
    assert indicators[0].labels == ["glorification", "manifesto"]
    assert "[file:hashes.'PDQ' = '" in indicators[0].pattern
    assert indicators[1].modified > indicators[1].created
    again: Any = stix2.parse(member("export", "--format", "stix").stdout, version="2.1")
    assert [one.id for one in again.objects] == [one.id for one in bundle.objects]


def test_an_event_is_read_by_pymisp_with_withdrawals_deleted(member: Commands, two: tuple[int, int]) -> None:
    done = member("export", "--format", "misp")
    assert done.returncode == 0, done.stderr
    event = pymisp.MISPEvent(strict_validation=True)
    event.load(done.stdout)
    types = event.describe_types["category_type_mappings"]
    assert all(one.type in types[one.category] for found in event.objects for one in found.attributes)
    assert [found.deleted for found in event.objects] == [False, True]
    for found, id in zip(event.objects, two, strict=True):
        by_name = {one.object_relation: one.value for one in found.attributes}
        assert (found.name, by_name["hashdb-id"]) == ("perceptual-hash", str(id))
        assert len(by_name["pdq"]) == 64
        assert [one.value for one in found.attributes if one.object_relation == "label"] == [
            "glorification",
            "manifesto",
        ]
    assert all(one.to_ids for one in event.objects[0].attributes if one.type == "other")
    uuids = [one.uuid for one in event.objects]
    again = pymisp.MISPEvent()
    again.load(member("export", "--format", "misp").stdout)
    assert ([one.uuid for one in again.objects], again.uuid) == (uuids, event.uuid)


def test_nothing_to_export_is_an_empty_event_and_an_empty_bundle(member: Commands) -> None:
    assert json.loads(member("export", "--format", "stix").stdout).keys() == {"type", "id"}
    assert json.loads(member("export", "--format", "misp").stdout)["Event"]["Object"] == []
    assert str(signal(1)) not in member("export", "--format", "misp").stdout
