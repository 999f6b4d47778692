"""hashdb export for MISP and STIX. The libraries of both formats read the output."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pymisp
import pytest
import stix2

from hashdb.client import Client
from hashdb.domain.accounts.members import COMMAND_LINE, Actor, MemberChange, MemberStatus
from hashdb.domain.contributions import Amendment, Filter
from hashdb.domain.matching.benign import BenignDraft
from hashdb.domain.review.cases import Decision, OpinionDraft, Stance
from hashdb.domain.signals import Algorithm, Signal
from hashdb.service import HashDB
from hashdb.service.accounts import members
from hashdb.service.contributions import contributions
from hashdb.service.matching import benign
from hashdb.service.review import cases, opinions
from hashdb.wire.sharing.exports import misp_event, stix_bundle
from tests.builders import Clock, contributed, draft, hashdb, member_with, signal, video
from tests.cli.conftest import PHOTOS, Commands


@pytest.fixture
def active_and_withdrawn(member: Commands) -> tuple[int, int]:
    """The ids of an active and a withdrawn contribution. A third contribution is erased."""
    ids: list[int] = []
    for photo in PHOTOS[:3]:
        metadata = ("--label", "glorification", "--label", "manifesto", "--removed-at", "2026-10-01T10:00:00Z")
        ids.append(member.json("contribute", photo, *metadata)[0]["id"])
    member("withdraw", str(ids[1]), "--reason", "removal_reversed")
    member("erase", str(ids[2]))
    return ids[0], ids[1]


def test_a_stix_bundle_is_valid_and_revokes_withdrawn_contributions(
    member: Commands, active_and_withdrawn: tuple[int, int]
) -> None:
    result = member("export", "--format", "stix")
    assert result.returncode == 0, result.stderr
    bundle: Any = stix2.parse(result.stdout, version="2.1")
    identity, *indicators = bundle.objects
    assert identity.type == "identity"
    assert [indicator.external_references[0].external_id for indicator in indicators] == [
        str(id) for id in active_and_withdrawn
    ]
    assert [indicator.revoked for indicator in indicators] == [False, True]
    assert {indicator.created_by_ref for indicator in indicators} == {identity.id}
    assert indicators[0].labels == ["glorification", "manifesto", "tcap:promotional.inspirational"]
    assert "[file:hashes.'PDQ' = '" in indicators[0].pattern
    assert indicators[1].modified > indicators[1].created
    again: Any = stix2.parse(member("export", "--format", "stix").stdout, version="2.1")
    assert [indicator.id for indicator in again.objects] == [indicator.id for indicator in bundle.objects]


def test_a_misp_event_is_valid_and_deletes_withdrawn_contributions(
    member: Commands, active_and_withdrawn: tuple[int, int]
) -> None:
    result = member("export", "--format", "misp")
    assert result.returncode == 0, result.stderr
    event = pymisp.MISPEvent(strict_validation=True)
    event.load(result.stdout)
    types = event.describe_types["category_type_mappings"]
    assert all(attribute.type in types[attribute.category] for item in event.objects for attribute in item.attributes)
    assert [item.deleted for item in event.objects] == [False, True]
    for item, id in zip(event.objects, active_and_withdrawn, strict=True):
        by_name = {attribute.object_relation: attribute.value for attribute in item.attributes}
        assert (item.name, by_name["hashdb-id"]) == ("perceptual-hash", str(id))
        assert len(by_name["pdq"]) == 64
        assert [attribute.value for attribute in item.attributes if attribute.object_relation == "label"] == [
            "glorification",
            "manifesto",
        ]
    assert {attribute.to_ids for attribute in event.objects[0].attributes if attribute.type == "other"} == {True}
    uuids = [item.uuid for item in event.objects]
    again = pymisp.MISPEvent()
    again.load(member("export", "--format", "misp").stdout)
    assert ([item.uuid for item in again.objects], again.uuid) == (uuids, event.uuid)


def test_the_digests_of_a_video_are_exported_as_file_hashes(member: Commands) -> None:
    md5, sha256 = Signal(Algorithm.MD5, 5), Signal(Algorithm.SHA256, 7)
    with Client(member.environment["HASHDB_URL"], member.environment["HASHDB_KEY"]) as client:
        client.contribute([video(1, 2, 3, signals=(sha256, md5)), video(4, 5, 6)])
    result = member("export", "--format", "stix")
    _, indicator = stix2.parse(result.stdout, version="2.1").objects
    assert indicator.pattern == f"[file:hashes.'SHA-256' = '{7:064x}'] OR [file:hashes.'MD5' = '{5:032x}']"
    assert indicator.revoked is False
    assert "left out: 1" in result.stderr
    event = pymisp.MISPEvent(strict_validation=True)
    event.load(member("export", "--format", "misp").stdout)
    (item,) = event.objects
    hashes = {attribute.type: attribute.value for attribute in item.attributes if attribute.to_ids}
    assert hashes == {"sha256": f"{7:064x}", "md5": f"{5:032x}"}
    types = event.describe_types["category_type_mappings"]
    assert all(attribute.type in types[attribute.category] for attribute in item.attributes)


def test_without_contributions_an_export_is_an_empty_bundle_or_event(member: Commands) -> None:
    assert json.loads(member("export", "--format", "stix").stdout).keys() == {"type", "id"}
    assert json.loads(member("export", "--format", "misp").stdout)["Event"]["Object"] == []
    assert str(signal(1)) not in member("export", "--format", "misp").stdout


def test_a_later_export_replaces_an_earlier_one(member: Commands, active_and_withdrawn: tuple[int, int]) -> None:
    def export() -> Any:
        return stix2.parse(member("export", "--format", "stix").stdout, version="2.1")

    first, second = export(), export()
    assert first.objects == second.objects
    store = stix2.MemoryStore(first)
    with Client(member.environment["HASHDB_URL"], member.environment["HASHDB_KEY"]) as client:
        client.amend(active_and_withdrawn[0], Amendment(labels=("incitement",)))
    store.add(export())
    assert store.get(first.objects[1].id).labels == ["incitement", "tcap:promotional.inspirational"]


def _dispute(db: HashDB, id: int) -> None:
    opinions.give(db, member_with(db), id, OpinionDraft(Stance.DISPUTES, "other"))


def _decide(db: HashDB, decision: Decision) -> None:
    case = cases.page(db, COMMAND_LINE, None, 0, 9)[-1]
    cases.decide(db, COMMAND_LINE, case.id, decision)


def _set_status(db: HashDB, actor: Actor, status: MemberStatus) -> None:
    assert actor.member
    members.change(db, COMMAND_LINE, actor.member.id, MemberChange(status=status))
    contributions.emit_pending(db)


Step = tuple[Callable[[HashDB, Actor, int, Clock], object], bool]
"""A change to a contribution, and whether the contribution matches after it."""
STEPS: dict[str, Step] = {
    "amended": (lambda db, actor, id, _: contributions.amend(db, actor, id, Amendment(severity=2)), True),
    "disputed": (lambda db, _actor, id, _clock: _dispute(db, id), True),
    "settled": (lambda db, *_: _decide(db, Decision.UPHOLD), True),
    "held": (lambda db, _actor, id, _clock: cases.open_case(db, COMMAND_LINE, id, "other", holds=True), False),
    "upheld": (lambda db, *_: _decide(db, Decision.UPHOLD), True),
    "suspended": (lambda db, actor, *_: _set_status(db, actor, MemberStatus.SUSPENDED), False),
    "reinstated": (lambda db, actor, *_: _set_status(db, actor, MemberStatus.ACTIVE), True),
    "masked": (lambda db, *_: benign.add(db, COMMAND_LINE, BenignDraft((signal(1),))), False),
    "unmasked": (lambda db, *_: benign.delete(db, COMMAND_LINE, _newest_benign_id(db)), True),
    "expired": (lambda _db, _actor, _id, clock: clock.advance(days=2), False),
    "withdrawn": (lambda db, actor, id, _: contributions.withdraw(db, actor, id, "other"), False),
}


def _newest_benign_id(db: HashDB) -> int:
    return benign.page(db, COMMAND_LINE, 0, 999)[-1].id


def test_every_change_of_a_contribution_is_in_the_next_export(database_url: str) -> None:
    clock = Clock()
    with closing(hashdb(database_url, clock)) as db:
        _check_every_step(db, clock)


def _check_every_step(db: HashDB, clock: Clock) -> None:
    actor = member_with(db)
    (contribution,) = contributed(db, actor, draft(1, expires_at=clock.at.replace(day=22)))

    def export() -> tuple[Any, Any]:
        page = contributions.page(db, COMMAND_LINE, Filter(), 0, 9)
        text = "".join(misp_event("http://x", "Alpha", clock.at, page))
        event = pymisp.MISPEvent()
        event.load(text)
        return stix2.parse("".join(stix_bundle("http://x", page)), version="2.1"), event.objects[0]

    bundle, item = export()
    store, id = stix2.MemoryStore(bundle), bundle.objects[1].id
    for name, (change, matches) in STEPS.items():
        clock.advance(seconds=5)
        change(db, actor, contribution.id, clock)
        clock.advance(seconds=5)
        (bundle, later_item), (again, _) = export(), export()
        assert bundle.objects == again.objects, name
        store.add(bundle)
        assert store.get(id) == bundle.objects[1], name
        assert store.get(id).revoked is not matches, name
        assert (later_item.timestamp > item.timestamp, later_item.deleted is not matches) == (True, True), name
        item = later_item
