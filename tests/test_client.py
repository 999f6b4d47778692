"""The client against the real application, through its transport."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from flask import Flask

from hashdb import errors
from hashdb.client import Client
from hashdb.domain.benign import Benign, BenignDraft
from hashdb.domain.changes import Gone
from hashdb.domain.checkpoints import Checkpoint
from hashdb.domain.contributions import Amendment, Draft, Filter, Status
from hashdb.domain.incidents import IncidentChange, IncidentDraft
from hashdb.domain.matches import Query
from hashdb.domain.members import COMMAND_LINE, Actor, KeyDraft, MemberDraft, MemberKind, Scope
from hashdb.domain.notes import Signer
from hashdb.domain.proposals import Proposal
from hashdb.domain.signals import Algorithm, Signal
from hashdb.service import HashDB, benign, checkpoints, contributions, matches, members, open_hashdb
from hashdb.service.signing import Signing
from hashdb.settings import Settings
from hashdb.web import create_app


@dataclass
class Service:
    """An application, and a member of it with a key of every scope."""

    db: HashDB
    app: Flask
    actor: Actor
    secret: str

    def client(self, secret: str | None = None) -> Client:
        """A client that calls the application without a network."""
        return Client("http://hashdb.test", secret or self.secret, transport=httpx.WSGITransport(app=self.app))


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    settings = Settings(home=tmp_path)
    signing = Signing(settings.signing_key, tmp_path / "checkpoints.txt")
    db = open_hashdb(settings.database, settings.rules(), signing=signing)
    checkpoints.start(db)
    member = members.add(db, COMMAND_LINE, MemberDraft("Alpha", MemberKind.PLATFORM))
    issued = members.issue_key(db, COMMAND_LINE, member.id, KeyDraft(frozenset(Scope)))
    yield Service(db, create_app(db, settings), members.authenticate(db, issued.secret), issued.secret)
    db.close()


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    with service.client() as client:
        yield client


def draft(seed: int, **more: object) -> Draft:
    chance = random.Random(seed)
    value = sum(1 << bit for bit in chance.sample(range(256), 128))
    said: dict[str, object] = {
        "signals": (Signal(Algorithm.PDQ, value),),
        "labels": ("glorification",),
        "removed_at": datetime(2026, 11, 20, 10, tzinfo=UTC),
        "quality": 90,
    }
    return Draft(**said | more)  # type: ignore[arg-type]


def test_what_is_contributed_comes_back_as_the_same_value(service: Service, client: Client) -> None:
    receipt = client.contribute([draft(1, reference="mine-1", severity=3), draft(2)])
    assert [one.known for one in receipt.recorded] == [False, False]
    first = receipt.recorded[0].contribution
    assert first == contributions.get(service.db, service.actor, first.id)
    assert client.contribution(first.id) == first
    assert list(client.contributions()) == [one.contribution for one in receipt.recorded]


def test_the_client_and_the_service_match_alike(service: Service, client: Client) -> None:
    client.contribute([draft(1), draft(2)])
    queries = [Query(draft(1).signals, "a"), Query(draft(3).signals, radius={Algorithm.PDQ: 4})]
    answer = client.match(queries)
    assert answer == matches.match(service.db, service.actor, queries)
    assert [result.action for result in answer.results] == ["review", "none"]


def test_a_page_of_contributions_follows_the_other(client: Client) -> None:
    client.contribute([draft(seed) for seed in range(250)])
    assert [one.id for one in client.contributions(Filter(status=Status.ACTIVE))] == list(range(1, 251))
    assert list(client.contributions(Filter(since=datetime(2030, 1, 1, tzinfo=UTC)))) == []


def test_a_repeated_request_with_its_key_is_recorded_once(client: Client) -> None:
    first = client.contribute([draft(1)], idempotency_key="a")
    assert client.contribute([draft(1)], idempotency_key="a") == first
    with pytest.raises(errors.IdempotencyKeyReused):
        client.contribute([draft(2)], idempotency_key="a")


def test_amending_withdrawing_and_erasing_show_in_the_feed(client: Client) -> None:
    id = client.contribute([draft(1)]).recorded[0].contribution.id
    assert client.amend(id, Amendment(severity=4)).severity == 4
    assert client.withdraw(id, "removal_reversed").status is Status.WITHDRAWN
    client.erase(id)
    page = client.changes(0)
    assert page.changes[-1].what == Gone(id, "withdrawn")
    assert client.changes(page.checkpoint, epoch=page.epoch).changes == ()


def test_an_administrator_keeps_the_benign_list(service: Service, client: Client) -> None:
    asked = BenignDraft(draft(1).signals, {Algorithm.PDQ: 9}, "a test card")
    added = client.add_benign(asked)
    assert isinstance(added, Benign)
    assert list(client.benign()) == [added] == [benign.get(service.db, service.actor, added.id)]
    with pytest.raises(errors.InvalidInput, match="everybody may show"):
        client.contribute([draft(1)])
    client.delete_benign(added.id)
    assert list(client.benign()) == []
    client.contribute([draft(1)])


def test_an_administrator_opens_and_changes_incidents(client: Client) -> None:
    start = datetime(2026, 11, 1, tzinfo=UTC)
    opened = client.add_incident(IncidentDraft("CI:x", start, expires=True))
    (mine,) = client.contribute([draft(1, incident="CI:x")]).recorded
    changed = client.change_incident(opened.id, IncidentChange(end=datetime(2999, 1, 1, tzinfo=UTC)))
    assert list(client.incidents()) == [changed]
    assert client.contribution(mine.contribution.id).expires_at == changed.end
    with pytest.raises(errors.IncidentExists):
        client.add_incident(IncidentDraft("CI:x", start))


def test_what_takes_two_persons_is_answered_with_a_proposal(service: Service, client: Client) -> None:
    service.db.rules = replace(service.db.rules, two_persons=True)
    waits = client.add_benign(BenignDraft(draft(1).signals))
    assert isinstance(waits, Proposal)
    assert list(client.proposals()) == [waits]
    client.drop_proposal(waits.id)
    assert list(client.proposals()) == []


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (lambda client: client.contribution(9), errors.NotFound("contribution 9")),
        (lambda client: client.withdraw(9, "other"), errors.NotFound("contribution 9")),
        (lambda client: client.changes(99), errors.FeedRestarted),
        (lambda client: client.match([Query(())]), errors.InvalidInput),
        (lambda client: client.contribute([draft(1, labels=("unheard_of",))]), errors.InvalidInput),
        (lambda client: client.contribute([draft(1)] * 1001), errors.InvalidInput),
    ],
)
def test_the_client_raises_what_the_service_raises(client: Client, act: object, expected: object) -> None:
    kind = expected if isinstance(expected, type) else type(expected)
    with pytest.raises(kind) as caught:
        act(client)  # type: ignore[operator]
    if not isinstance(expected, type):
        assert str(caught.value) == str(expected)


def test_an_error_carries_its_data_across_the_wire(client: Client) -> None:
    id = client.contribute([draft(1)]).recorded[0].contribution.id
    client.withdraw(id, "other")
    with pytest.raises(errors.AlreadyWithdrawn) as caught:
        client.withdraw(id, "other")
    assert caught.value.contribution == id


def test_a_wrong_key_is_told_apart_from_a_missing_scope(service: Service) -> None:
    with service.client("hdb_wrong") as stranger, pytest.raises(errors.NotAuthenticated):
        stranger.me()
    member = service.actor.member
    assert member is not None
    weak = members.issue_key(service.db, COMMAND_LINE, member.id, KeyDraft(frozenset({Scope.MATCH})))
    with service.client(weak.secret) as reader, pytest.raises(errors.ScopeMissing):
        reader.contribute([draft(1)])


def test_me_says_what_the_service_takes(client: Client) -> None:
    me = client.me()
    assert me.member.name == "Alpha"
    assert me.algorithms[Algorithm.PDQ].radius == 31


def test_no_answer_is_an_error_of_its_own() -> None:
    with (
        Client("http://127.0.0.1:9", "hdb_x") as client,
        pytest.raises(errors.ServiceUnreachable, match=r"no answer from http://127\.0\.0\.1:9"),
    ):
        client.me()


@pytest.mark.parametrize("answer", [b"<html>not ours</html>", b'{"member": 7}', b""])
@pytest.mark.parametrize("status", [200, 502])
def test_an_answer_that_is_not_the_services_is_told(status: int, answer: bytes) -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(status, content=answer))
    with Client("http://hashdb.test", "hdb_x", transport=transport) as client, pytest.raises(errors.ServiceError):
        client.me()


@pytest.mark.parametrize("url", ["", "hashdb.example", "ftp://hashdb.example", "http://[::1"])
def test_an_address_that_is_none_is_a_bad_setting(url: str) -> None:
    with pytest.raises(errors.BadSetting):
        Client(url, "hdb_x")


def test_a_key_that_cannot_be_sent_is_a_bad_setting() -> None:
    with pytest.raises(errors.BadSetting):
        Client("http://hashdb.test", "hdb_ключ")


def test_without_a_key_in_the_environment_the_setting_is_named() -> None:
    with pytest.raises(errors.BadSetting, match="HASHDB_KEY"):
        Client.from_environment()


def test_white_space_around_the_settings_is_not_part_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASHDB_URL", " http://127.0.0.1:9/\n")
    monkeypatch.setenv("HASHDB_KEY", "\thdb_x\r\n")
    with Client.from_environment() as client, pytest.raises(errors.ServiceUnreachable) as caught:
        client.me()
    assert caught.value.url == "http://127.0.0.1:9"


@pytest.mark.parametrize("inner", ["\n", "\r\n", "\x00", "\x7f", "\udcff"])
def test_a_key_with_control_characters_is_a_bad_setting(inner: str) -> None:
    with pytest.raises(errors.BadSetting, match="HASHDB_KEY"):
        Client("http://hashdb.test", f"hdb_{inner}x")


def test_the_log_is_checked_against_a_checkpoint_that_was_kept(service: Service, client: Client) -> None:
    first = client.check()
    assert (first.before, first.new_key, first.note) == (None, False, client.checkpoint())
    contributions.contribute(service.db, service.actor, [draft(seed) for seed in range(5)])
    second = client.check(first.note)
    assert second.before == first.now
    assert second.now.size == first.now.size + 5
    assert client.inclusion(3, second.now.size).proves(second.now)
    checkpoints.rotate(service.db, COMMAND_LINE)
    third = client.check(second.note)
    assert (third.before, third.new_key) == (second.now, True)
    assert not client.check(third.note).new_key
    assert [key.until is None for key in client.log().keys] == [False, True]


def test_a_log_that_was_rewritten_is_told(service: Service, client: Client) -> None:
    (signer,) = client.log().verifiers
    assert service.db.signing is not None
    private = service.db.signing.signer(signer)
    now = client.check().now
    for other in (Checkpoint(now.origin, now.size, bytes(32)), Checkpoint(now.origin, now.size - 1, bytes(32))):
        with pytest.raises(errors.LogRewritten, match=rf"its first {other.size} events are not what they were$"):
            client.check(other.signed(private))
    with pytest.raises(errors.LogRewritten, match=r"it has \d+ events, and had \d+$"):
        client.check(Checkpoint(now.origin, now.size + 1, now.root).signed(private))


def test_a_checkpoint_of_another_log_is_told(client: Client) -> None:
    note = Checkpoint("other.example", 1, bytes(32)).signed(Signer.new("other.example"))
    with pytest.raises(errors.BadNote, match=r"^the checkpoint that was kept: it is not signed by a key of this log$"):
        client.check(note)
    with pytest.raises(errors.BadNote):
        client.check("")
