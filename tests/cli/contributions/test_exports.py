"""hashdb export for MISP and STIX, whose own libraries read what it prints."""

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
    assert indicators[0].labels == ["glorification", "manifesto", "tcap:promotional.inspirational"]
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
    assert {one.to_ids for one in event.objects[0].attributes if one.type == "other"} == {True}
    uuids = [one.uuid for one in event.objects]
    again = pymisp.MISPEvent()
    again.load(member("export", "--format", "misp").stdout)
    assert ([one.uuid for one in again.objects], again.uuid) == (uuids, event.uuid)


def test_the_digests_of_a_video_are_file_hashes(member: Commands) -> None:
    md5, sha256 = Signal(Algorithm.MD5, 5), Signal(Algorithm.SHA256, 7)
    with Client(member.environment["HASHDB_URL"], member.environment["HASHDB_KEY"]) as client:
        client.contribute([video(1, 2, 3, signals=(sha256, md5)), video(4, 5, 6)])
    done = member("export", "--format", "stix")
    _, indicator = stix2.parse(done.stdout, version="2.1").objects
    assert indicator.pattern == f"[file:hashes.'SHA-256' = '{7:064x}'] OR [file:hashes.'MD5' = '{5:032x}']"
    assert indicator.revoked is False
    assert "left out: 1" in done.stderr
    event = pymisp.MISPEvent(strict_validation=True)
    event.load(member("export", "--format", "misp").stdout)
    (found,) = event.objects
    hashes = {one.type: one.value for one in found.attributes if one.to_ids}
    assert hashes == {"sha256": f"{7:064x}", "md5": f"{5:032x}"}
    types = event.describe_types["category_type_mappings"]
    assert all(one.type in types[one.category] for one in found.attributes)


def test_nothing_to_export_is_an_empty_event_and_an_empty_bundle(member: Commands) -> None:
    assert json.loads(member("export", "--format", "stix").stdout).keys() == {"type", "id"}
    assert json.loads(member("export", "--format", "misp").stdout)["Event"]["Object"] == []
    assert str(signal(1)) not in member("export", "--format", "misp").stdout


def test_a_later_export_replaces_an_earlier_one(member: Commands, two: tuple[int, int]) -> None:
    def exported() -> Any:
        return stix2.parse(member("export", "--format", "stix").stdout, version="2.1")

    first, second = exported(), exported()
    assert first.objects == second.objects
    kept = stix2.MemoryStore(first)
    with Client(member.environment["HASHDB_URL"], member.environment["HASHDB_KEY"]) as client:
        client.amend(two[0], Amendment(labels=("incitement",)))
    kept.add(exported())
    assert kept.get(first.objects[1].id).labels == ["incitement", "tcap:promotional.inspirational"]


def _disputed(db: HashDB, id: int) -> None:
    opinions.give(db, member_with(db), id, OpinionDraft(Stance.DISPUTES, "other"))


def _decided(db: HashDB, decision: Decision) -> None:
    case = cases.page(db, COMMAND_LINE, None, 0, 9)[-1]
    cases.decide(db, COMMAND_LINE, case.id, decision)


def _set(db: HashDB, actor: Actor, status: MemberStatus) -> None:
    assert actor.member
    members.change(db, COMMAND_LINE, actor.member.id, MemberChange(status=status))
    contributions.emit_pending(db)


Step = tuple[Callable[[HashDB, Actor, int, Clock], object], bool]
"""What happens to a contribution, and whether it matches after it."""
STEPS: dict[str, Step] = {
    "amended": (lambda db, actor, id, _: contributions.amend(db, actor, id, Amendment(severity=2)), True),
    "disputed": (lambda db, _actor, id, _clock: _disputed(db, id), True),
    "settled": (lambda db, *_: _decided(db, Decision.UPHOLD), True),
    "held": (lambda db, _actor, id, _clock: cases.open_case(db, COMMAND_LINE, id, "other", holds=True), False),
    "upheld": (lambda db, *_: _decided(db, Decision.UPHOLD), True),
    "suspended": (lambda db, actor, *_: _set(db, actor, MemberStatus.SUSPENDED), False),
    "reinstated": (lambda db, actor, *_: _set(db, actor, MemberStatus.ACTIVE), True),
    "masked": (lambda db, *_: benign.add(db, COMMAND_LINE, BenignDraft((signal(1),))), False),
    "unmasked": (lambda db, *_: benign.delete(db, COMMAND_LINE, _last_benign(db)), True),
    "expired": (lambda _db, _actor, _id, clock: clock.go(days=2), False),
    "withdrawn": (lambda db, actor, id, _: contributions.withdraw(db, actor, id, "other"), False),
}


def _last_benign(db: HashDB) -> int:
    return benign.page(db, COMMAND_LINE, 0, 999)[-1].id


def test_whatever_happens_to_a_contribution_is_in_the_next_export(database_url: str) -> None:
    clock = Clock()
    with closing(hashdb(database_url, clock)) as db:
        _follow(db, clock)


def _follow(db: HashDB, clock: Clock) -> None:
    actor = member_with(db)
    (one,) = contributed(db, actor, draft(1, expires_at=clock.at.replace(day=22)))

    def exported() -> tuple[Any, Any]:
        found = contributions.page(db, COMMAND_LINE, Filter(), 0, 9)
        text = "".join(misp_event("http://x", "Alpha", clock.at, found))
        read = pymisp.MISPEvent()
        read.load(text)
        return stix2.parse("".join(stix_bundle("http://x", found)), version="2.1"), read.objects[0]

    bundled, object = exported()
    kept, id = stix2.MemoryStore(bundled), bundled.objects[1].id
    for name, (happens, matches) in STEPS.items():
        clock.go(seconds=5)
        happens(db, actor, one.id, clock)
        clock.go(seconds=5)
        (bundled, later), (again, _) = exported(), exported()
        assert bundled.objects == again.objects, name
        kept.add(bundled)
        assert kept.get(id) == bundled.objects[1], name
        assert kept.get(id).revoked is not matches, name
        assert (later.timestamp > object.timestamp, later.deleted is not matches) == (True, True), name
        object = later
