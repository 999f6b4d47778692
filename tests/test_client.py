"""The client, against the real application by its WSGI transport."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from flask import Flask

import hashdb
from hashdb import errors
from hashdb.client import Client
from hashdb.domain.accounts.members import COMMAND_LINE, Actor, KeyDraft, MemberDraft, MemberKind, Scope
from hashdb.domain.contributions import Addition, Amendment, Draft, Filter, Media, Receipt, Status
from hashdb.domain.ledger.checkpoints import Checkpoint
from hashdb.domain.ledger.cosignatures import Cosigner, SetRoot, WitnessKey
from hashdb.domain.ledger.notes import Signer
from hashdb.domain.ledger.policies import Policy
from hashdb.domain.matching.benign import BenignDraft, BenignEntry
from hashdb.domain.matching.matches import Query
from hashdb.domain.review.cases import CaseState, Decision, OpinionDraft, Stance
from hashdb.domain.review.incidents import IncidentChange, IncidentDraft
from hashdb.domain.review.proposals import Proposal
from hashdb.domain.sharing.feed import Gone
from hashdb.domain.signals import Algorithm, Signal
from hashdb.domain.stats.counts import SETTLED_AGE
from hashdb.service import HashDB, open_hashdb, system_clock
from hashdb.service.accounts import members
from hashdb.service.contributions import contributions
from hashdb.service.ledger import active_set, checkpoints
from hashdb.service.ledger.signing import Signing
from hashdb.service.matching import benign, matches
from hashdb.service.review import cases, opinions
from hashdb.service.stats import counts
from hashdb.settings import Settings
from hashdb.store.ledger.tree import StoredCheckpoint
from hashdb.web import create_app, deferring
from hashdb.wire.contributions import ReceiptOut
from hashdb.wire.matching import AnswerOut
from hashdb.wire.problems import problem
from tests.builders import excerpt, words
from tests.films import film
from tests.web.pictures import photo


@dataclass
class Service:
    """An application, and a member with a key of every scope."""

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
    app = create_app(db, settings)
    yield Service(db, app, members.authenticate(db, issued.secret), issued.secret)
    app.extensions["hashdb"].later.close()
    db.close()


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    with service.client() as client:
        yield client


def put_cosignature(db: HashDB, size: int, key: WitnessKey, line: str) -> None:
    """Store a cosignature of the stored checkpoint of this size."""
    with db.store.begin() as tx:
        tx.cosignatures.put(size, key.named_id, line, db.now())


def draft(seed: int, **more: object) -> Draft:
    chance = random.Random(seed)
    value = sum(1 << bit for bit in chance.sample(range(256), 128))
    fields: dict[str, object] = {
        "signals": (Signal(Algorithm.PDQ, value),),
        "labels": ("glorification",),
        "removed_at": datetime(2026, 11, 20, 10, tzinfo=UTC),
        "quality": 90,
    }
    return Draft(**fields | more)  # type: ignore[arg-type]


def test_the_client_returns_a_contribution_as_the_service_stores_it(service: Service, client: Client) -> None:
    receipt = client.contribute([draft(1, reference="mine-1", severity=3), draft(2)])
    assert [item.known for item in receipt.recorded] == [False, False]
    first = receipt.recorded[0].contribution
    assert first == contributions.get(service.db, service.actor, first.id)
    assert client.contribution(first.id) == first
    assert list(client.contributions()) == [item.contribution for item in receipt.recorded]


def test_the_client_returns_the_matches_of_the_service(service: Service, client: Client) -> None:
    client.contribute([draft(1), draft(2)])
    queries = [Query(draft(1).signals, "a"), Query(draft(3).signals, radius={Algorithm.PDQ: 4})]
    answer = client.match(queries)
    assert answer == matches.match(service.db, service.actor, queries)
    assert [result.action for result in answer.results] == ["review", "none"]


def test_the_client_reads_all_pages_of_contributions(client: Client) -> None:
    client.contribute([draft(seed) for seed in range(250)])
    listed = list(client.contributions())
    assert list(client.contributions(after=listed[99].id)) == listed[100:]
    assert [contribution.id for contribution in client.contributions(Filter(status=Status.ACTIVE))] == list(
        range(1, 251)
    )
    assert list(client.contributions(Filter(since=datetime(2030, 1, 1, tzinfo=UTC)))) == []


def test_a_request_repeated_with_its_idempotency_key_is_stored_once(client: Client) -> None:
    first = client.contribute([draft(1)], idempotency_key="a")
    assert client.contribute([draft(1)], idempotency_key="a") == first
    with pytest.raises(errors.IdempotencyKeyReused):
        client.contribute([draft(2)], idempotency_key="a")


def test_a_member_finds_its_contributions_by_signals_and_adds_signals(client: Client) -> None:
    first, second = (item.contribution for item in client.contribute([draft(1), draft(2)]).recorded)
    (more,) = draft(3).signals
    assert list(client.holding([more, *first.signals, *second.signals])) == [first, second]
    with pytest.raises(errors.InvalidInput) as error:
        client.add_signals([Addition(first.id, (*first.signals, more)), Addition(second.id, (more,))])
    assert [fault.at for fault in error.value.faults] == ["contributions[1].signals"]
    receipt = client.add_signals([Addition(first.id, (*first.signals, more)), Addition(second.id, second.signals)])
    assert [item.known for item in receipt.recorded] == [False, True]
    assert client.contribution(first.id).signals == (*first.signals, more)
    assert next(client.holding([more])).id == first.id


def test_a_withdrawn_and_erased_contribution_is_gone_from_the_feed(client: Client) -> None:
    id = client.contribute([draft(1)]).recorded[0].contribution.id
    assert client.amend(id, Amendment(severity=4)).severity == 4
    assert client.withdraw(id, "removal_reversed").status is Status.WITHDRAWN
    client.erase(id)
    client.erase(id, at_once=True)
    page = client.changes(0)
    assert page.changes[-1].what == Gone(id, "withdrawn", "removal_reversed")
    assert client.changes(page.checkpoint, epoch=page.epoch).changes == ()


def test_an_administrator_adds_and_deletes_benign_entries(service: Service, client: Client) -> None:
    entry = BenignDraft(draft(1).signals, {Algorithm.PDQ: 9}, "a test card")
    added = client.add_benign(entry)
    assert isinstance(added, BenignEntry)
    assert list(client.benign()) == [added] == [benign.get(service.db, service.actor, added.id)]
    with pytest.raises(errors.InvalidInput, match="benign list"):
        client.contribute([draft(1)])
    client.delete_benign(added.id)
    assert list(client.benign()) == []
    client.contribute([draft(1)])


def test_an_administrator_adds_and_changes_incidents(client: Client) -> None:
    start = datetime(2026, 11, 1, tzinfo=UTC)
    opened = client.add_incident(IncidentDraft("CI:x", start, expires=True))
    (mine,) = client.contribute([draft(1, incident="CI:x")]).recorded
    changed = client.change_incident(opened.id, IncidentChange(end=datetime(2999, 1, 1, tzinfo=UTC)))
    assert list(client.incidents()) == [changed]
    assert client.contribution(mine.contribution.id).expires_at == changed.end
    with pytest.raises(errors.IncidentExists):
        client.add_incident(IncidentDraft("CI:x", start))


def test_an_action_that_needs_two_persons_returns_a_proposal(service: Service, client: Client) -> None:
    service.db.rules = replace(service.db.rules, two_persons=True)
    proposal = client.add_benign(BenignDraft(draft(1).signals))
    assert isinstance(proposal, Proposal)
    assert list(client.proposals()) == [proposal]
    client.drop_proposal(proposal.id)
    assert list(client.proposals()) == []
    (recorded,) = client.contribute([draft(1)]).recorded
    beta = members.add(service.db, COMMAND_LINE, MemberDraft("Beta", MemberKind.PLATFORM)).id
    issued = members.issue_key(service.db, COMMAND_LINE, beta, KeyDraft(frozenset({Scope.MATCH})))
    with service.client(issued.secret) as other:
        assert other.match([Query(draft(1).signals)]).results[0].matches
        case = other.give_opinion(recorded.contribution.id, OpinionDraft(Stance.DISPUTES, "other")).case
    assert case is not None
    requested = client.decide(case, Decision.RETIRE)
    assert isinstance(requested, Proposal)
    assert list(client.proposals()) == [requested]


def test_the_client_returns_opinions_and_cases_as_the_service_stores_them(service: Service, client: Client) -> None:
    id = client.contribute([draft(1)]).recorded[0].contribution.id
    dispute = OpinionDraft(Stance.DISPUTES, "edsa_context", "a news report")
    member = members.add(service.db, COMMAND_LINE, MemberDraft("Beta", MemberKind.PLATFORM))
    issued = members.issue_key(service.db, COMMAND_LINE, member.id, KeyDraft(frozenset({Scope.MATCH})))
    beta = members.authenticate(service.db, issued.secret)
    with service.client(issued.secret) as other:
        assert other.match([Query(draft(1).signals)]).results[0].matches[0].contribution == id
        assert (other.contribution(id).member, other.contribution(id).member_name) == (0, "")
        opinion = other.give_opinion(id, dispute, idempotency_key="a")
        assert other.give_opinion(id, dispute, idempotency_key="a") == opinion
        assert list(other.opinions(id)) == [opinion] == list(opinions.page(service.db, beta, id, 0, 10))
        assert opinion.case is not None
        assert [case.id for case in client.cases(CaseState.OPEN)] == [opinion.case]
        with pytest.raises(errors.InvalidInput):
            client.decide(opinion.case, Decision.RETIRE, "so it is", [0, 1])
        decided = client.decide(opinion.case, Decision.RETIRE, "so it is", [0])
        assert decided == client.case(opinion.case) == cases.get(service.db, service.actor, opinion.case)
        assert list(client.cases()) == [decided]
        assert list(client.cases(CaseState.OPEN)) == []
        assert other.case(opinion.case) == cases.get(service.db, beta, opinion.case) != decided
        with pytest.raises(errors.NotFound):
            other.give_opinion(id, OpinionDraft(Stance.CONFIRMS))
    with pytest.raises(errors.AlreadyDecided) as caught:
        client.decide(opinion.case, Decision.UPHOLD)
    assert caught.value.case == opinion.case
    with pytest.raises(errors.OwnContribution):
        client.give_opinion(id, OpinionDraft(Stance.CONFIRMS))


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (lambda client: client.contribution(9), errors.NotFound("contribution 9")),
        (lambda client: client.withdraw(9, "other"), errors.NotFound("contribution 9")),
        (lambda client: client.changes(99), errors.FeedRestarted),
        (lambda client: client.match([Query(())]), errors.InvalidInput),
        (lambda client: client.contribute([draft(1, labels=("unheard_of",))]), errors.InvalidInput),
        (lambda client: client.contribute([]), errors.InvalidInput),
    ],
)
def test_the_client_raises_the_error_of_the_service(client: Client, act: object, expected: object) -> None:
    kind = expected if isinstance(expected, type) else type(expected)
    with pytest.raises(kind) as caught:
        act(client)  # type: ignore[operator]
    if not isinstance(expected, type):
        assert str(caught.value) == str(expected)


def test_an_error_keeps_its_fields_in_the_client(client: Client) -> None:
    id = client.contribute([draft(1)]).recorded[0].contribution.id
    client.withdraw(id, "other")
    with pytest.raises(errors.AlreadyWithdrawn) as caught:
        client.withdraw(id, "other")
    assert caught.value.contribution == id


def test_an_unknown_key_and_a_missing_scope_raise_different_errors(service: Service) -> None:
    with service.client("hdb_wrong") as stranger, pytest.raises(errors.NotAuthenticated):
        stranger.me()
    member = service.actor.member
    assert member is not None
    weak = members.issue_key(service.db, COMMAND_LINE, member.id, KeyDraft(frozenset({Scope.MATCH})))
    with service.client(weak.secret) as reader, pytest.raises(errors.ScopeMissing):
        reader.contribute([draft(1)])


def test_me_returns_the_member_and_the_algorithms(client: Client) -> None:
    me = client.me()
    assert me.member.name == "Alpha"
    assert me.algorithms[Algorithm.PDQ].radius == 31


def test_no_answer_raises_service_unreachable() -> None:
    with (
        Client("http://127.0.0.1:9", "hdb_x") as client,
        pytest.raises(errors.ServiceUnreachable, match=r"no answer from http://127\.0\.0\.1:9"),
    ):
        client.me()


@pytest.mark.parametrize("answer", [b"<html>another server</html>", b'{"member": 7}', b""])
@pytest.mark.parametrize("status", [200, 502])
def test_an_answer_of_another_server_raises_an_error(status: int, answer: bytes) -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(status, content=answer))
    with Client("http://hashdb.test", "hdb_x", transport=transport) as client, pytest.raises(errors.ServiceError):
        client.me()


@pytest.mark.parametrize("count", [0, 2])
def test_an_answer_with_too_few_or_too_many_items_raises_an_error(client: Client, count: int) -> None:
    recorded = client.contribute([draft(1)]).recorded
    result, receipt = client.match([Query(draft(1).signals)]), Receipt(recorded * count, 1)
    answers = {
        "/v1/contributions": ReceiptOut.from_domain(receipt),
        "/v1/contributions/signals": ReceiptOut.from_domain(receipt),
        "/v1/matches": AnswerOut.from_domain(replace(result, results=result.results * count)),
    }
    answers |= {f"{path}/media": answers[path] for path in ("/v1/contributions", "/v1/matches")}
    transport = httpx.MockTransport(lambda request: httpx.Response(200, text=answers[request.url.path].json_text()))
    with Client("http://hashdb.test", "hdb_x", transport=transport) as other:
        with pytest.raises(errors.ServiceError):
            other.contribute([draft(1)])
        with pytest.raises(errors.ServiceError):
            other.add_signals([Addition(1, draft(1).signals)])
        with pytest.raises(errors.ServiceError):
            other.match([Query(draft(1).signals)])
        with pytest.raises(errors.ServiceError):
            other.contribute_media([b""], [draft(1)])
        with pytest.raises(errors.ServiceError):
            other.match_media([b""])


@pytest.mark.parametrize("url", ["", "hashdb.example", "ftp://hashdb.example", "http://[::1"])
def test_an_invalid_address_is_a_bad_setting(url: str) -> None:
    with pytest.raises(errors.BadSetting):
        Client(url, "hdb_x")


def test_a_key_that_cannot_be_sent_is_a_bad_setting() -> None:
    with pytest.raises(errors.BadSetting):
        Client("http://hashdb.test", "hdb_ключ")


def test_a_missing_key_in_the_environment_is_reported_with_its_setting() -> None:
    with pytest.raises(errors.BadSetting, match="HASHDB_KEY"):
        Client.from_environment()


def test_white_space_around_the_settings_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASHDB_URL", " http://127.0.0.1:9/\n")
    monkeypatch.setenv("HASHDB_KEY", "\thdb_x\r\n")
    with Client.from_environment() as client, pytest.raises(errors.ServiceUnreachable) as caught:
        client.me()
    assert caught.value.url == "http://127.0.0.1:9"


@pytest.mark.parametrize("inner", ["\n", "\r\n", "\x00", "\x7f", "\udcff"])
def test_a_key_with_control_characters_is_a_bad_setting(inner: str) -> None:
    with pytest.raises(errors.BadSetting, match="HASHDB_KEY"):
        Client("http://hashdb.test", f"hdb_{inner}x")


def test_the_client_checks_the_log_against_a_saved_checkpoint(service: Service, client: Client) -> None:
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


def test_a_rewritten_log_is_reported(service: Service, client: Client) -> None:
    (signer,) = client.log().verifiers
    assert service.db.signing is not None
    private = service.db.signing.signer(signer)
    now = client.check().now
    for other in (Checkpoint(now.origin, now.size, bytes(32)), Checkpoint(now.origin, now.size - 1, bytes(32))):
        with pytest.raises(errors.LogRewritten, match=rf"its first {other.size} events have changed$"):
            client.check(other.signed(private))
    with pytest.raises(errors.LogRewritten, match=r"it has \d+ events, but had \d+ before$"):
        client.check(Checkpoint(now.origin, now.size + 1, now.root).signed(private))


def test_a_checkpoint_of_another_log_is_rejected(client: Client) -> None:
    note = Checkpoint("other.example", 1, bytes(32)).signed(Signer.new("other.example"))
    with pytest.raises(
        errors.BadNote, match=r"^the checkpoint that was kept: the note is not signed by a key of this log$"
    ):
        client.check(note)
    with pytest.raises(errors.BadNote):
        client.check("")


def test_the_client_checks_the_log_against_the_cosignatures_of_witnesses(
    service: Service, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    witness = Cosigner.new("w.example")
    policy = Policy.parse(f"witness w {witness.key}\nquorum w")
    with pytest.raises(errors.NotCosigned, match="this log has no witnesses"):
        client.check(None, policy)
    service.db.rules = replace(service.db.rules, witnesses=policy)
    with pytest.raises(errors.NotCosigned, match="no checkpoint has the cosignatures of the quorum yet"):
        client.check(None, policy)
    checkpoints.keep(service.db, at_once=True)
    signed = client.check()
    put_cosignature(service.db, signed.now.size, witness.key, witness.cosign(signed.now.body, 1_800_000_000))
    checked = client.check(None, policy)
    assert checked.cosigned is not None
    assert (checked.cosigned.checkpoint, dict(checked.cosigned.signed)) == (signed.now, {witness.key: 1_800_000_000})
    # A member may require other witnesses than the service.
    other = Policy.parse(f"witness other {Cosigner.new('other.example').key}\nquorum other")
    with pytest.raises(errors.NotWitnessed):
        client.check(None, other)
    contributions.contribute(service.db, service.actor, [draft(1)])
    later = client.check(signed.note, policy)
    assert later.cosigned is not None
    assert later.cosigned.checkpoint.size == later.now.size - 1
    # The witnesses no longer sign, and the service still answers.
    monkeypatch.setattr("hashdb.auditing._COSIGNED_WITHIN", timedelta(0))
    with pytest.raises(errors.WitnessesBehind) as caught:
        client.check(signed.note, policy)
    assert (caught.value.size, caught.value.now) == (signed.now.size, later.now.size)


def test_the_time_of_an_event_without_a_proof_is_rejected(
    service: Service, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the service could state at each check that the first event without a cosignature is new."""
    witness = Cosigner.new("w.example")
    policy = Policy.parse(f"witness w {witness.key}\nquorum w")
    service.db.rules = replace(service.db.rules, witnesses=policy)
    checkpoints.keep(service.db, at_once=True)
    now = client.check().now
    put_cosignature(service.db, now.size, witness.key, witness.cosign(now.body, 1_800_000_000))
    contributions.contribute(service.db, service.actor, [draft(1)])
    (event,) = client.events(now.size, 1)
    forged = replace(event, at=event.at + timedelta(seconds=1))
    for answer, reason in (((forged,), "is not in the tree"), ((), "did not return event")):
        monkeypatch.setattr(client, "events", lambda after, limit, answer=answer: answer)
        with pytest.raises(errors.LogRewritten, match=reason):
            client.check(None, policy)


def test_a_log_that_differs_from_the_cosigned_one_is_reported(service: Service, client: Client) -> None:
    witness = Cosigner.new("w.example")
    policy = Policy.parse(f"witness w {witness.key}\nquorum w")
    service.db.rules = replace(service.db.rules, witnesses=policy)
    assert service.db.signing is not None
    private = service.db.signing.signer(client.log().verifiers[0])
    now = client.check().now
    for size, reason in (
        (now.size, "differ from those that the witnesses cosigned"),
        (now.size + 1, "the witnesses cosig"),
    ):
        other = Checkpoint(now.origin, size, bytes(32))
        with service.db.store.begin() as tx:
            tx.checkpoints.store(StoredCheckpoint(size, service.db.now(), other.signed(private)))
        put_cosignature(service.db, size, witness.key, witness.cosign(other.body, 1_800_000_000))
        with pytest.raises(errors.LogRewritten, match=reason):
            client.check(None, policy)


def test_the_client_reads_and_signs_the_root_of_the_active_set(service: Service, client: Client) -> None:
    signer = Cosigner.new("a.example")
    service.db.rules = replace(service.db.rules, organisations=Policy.parse(f"witness a {signer.key}\nquorum a"))
    contributions.contribute(service.db, service.actor, [draft(1)])
    active_set.keep(service.db)
    root = client.set_root()
    assert root == active_set.get(service.db, service.actor)
    assert client.set_blocks(4, 0) == active_set.get_block(service.db, service.actor, 4, 0)
    with pytest.raises(errors.NotFound):
        client.set_root(signed=True)
    line = signer.cosign(SetRoot.parse(root.note.partition("\n\n")[0] + "\n").body, 1_800_000_000)
    assert client.sign_set(line) == root.note + line == client.set_root(signed=True).note
    with pytest.raises(errors.InvalidInput):
        client.sign_set("no signature")


def test_a_large_batch_is_sent_in_several_requests(client: Client) -> None:
    drafts = [draft(seed) for seed in range(2_100)]
    receipt = client.contribute(drafts, idempotency_key="many")
    assert [item.contribution.id for item in receipt.recorded] == list(range(1, 2_101))
    assert client.contribute(drafts, idempotency_key="many") == receipt
    answer = client.match([Query(item.signals, str(number)) for number, item in enumerate(drafts)])
    assert [result.id for result in answer.results] == list(map(str, range(2_100)))
    assert all(result.matches for result in answer.results)
    wide = Query(tuple(item.signals[0] for item in drafts[:60]))
    assert len(client.match([wide] * 70).results) == 70  # 4,200 signals


def test_a_fault_is_reported_by_its_position_in_the_whole_batch(client: Client) -> None:
    drafts = [draft(seed) for seed in range(1_003)]
    drafts[1_001] = draft(1, labels=("unheard_of",))
    with pytest.raises(errors.InvalidInput) as caught:
        client.contribute(drafts)
    assert [fault.at for fault in caught.value.faults] == ["contributions[1001].labels[0]"]
    assert [item.known for item in client.contribute(drafts[:1_000]).recorded] == [True] * 1_000


def test_an_imported_contribution_may_lack_time_and_quality(service: Service, client: Client) -> None:
    unknown = draft(1, removed_at=None, quality=None)
    with pytest.raises(errors.InvalidInput) as caught:
        client.contribute([unknown])
    assert {fault.at for fault in caught.value.faults} == {"contributions[0].removed_at", "contributions[0].quality"}
    (recorded,) = client.contribute([unknown], imported=True).recorded
    assert (recorded.contribution.removed_at, recorded.contribution.quality) == (None, None)


def test_threads_can_share_a_client(client: Client) -> None:
    with ThreadPoolExecutor(4) as pool:
        receipts = list(pool.map(lambda seed: client.contribute([draft(seed)]), range(24)))
        answers = list(pool.map(lambda seed: client.match([Query(draft(seed).signals)]), range(24)))
    expected = [receipt.recorded[0].contribution.id for receipt in receipts]
    assert [answer.results[0].matches[0].contribution for answer in answers] == expected


def test_the_client_streams_the_feed_to_the_head(client: Client) -> None:
    client.contribute([draft(seed) for seed in range(1_500)])
    client.withdraw(7, "other")
    pages = list(client.stream(0))
    steps = [step for page in pages for step in page.steps]
    assert [step.seq for step in steps] == sorted(step.seq for step in steps)
    assert len(steps) == 1_501
    head = client.changes(0, limit=1)
    assert (pages[-1].more, pages[-1].epoch) == (False, head.epoch)
    assert steps[6].what == Gone(7, "withdrawn")
    with pytest.raises(errors.FeedRestarted):
        list(client.stream(0, epoch="another"))


def test_the_service_matches_a_picture_that_the_client_sends(client: Client) -> None:
    octets = (Path(hashdb.__file__).parent / "test.png").read_bytes()
    (result,) = client.match_media([octets]).results
    assert [match.labels for match in result.matches] == [("test",)]


def test_the_service_hashes_stores_and_matches_a_video_that_the_client_sends(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(film())
    picture = photo()
    with path.open("rb") as file:
        video, still = client.hash_media([file, picture]).pictures
        drafts = [draft(1, signals=(), quality=None, reference=name) for name in ("a", "b")]
        receipt = client.contribute_media([file, picture], drafts)
        results = client.match_media([file, picture]).results
    stored = [item.contribution for item in receipt.recorded]
    assert [(contribution.media, contribution.frame_count, contribution.reference) for contribution in stored] == [
        (Media.VIDEO, len(video.frames), "a"),
        (Media.IMAGE, 0, "b"),
    ]
    assert stored[1].signals[: len(still.signals)] == tuple(still.signals)
    assert [result.matches[0].contribution for result in results] == [contribution.id for contribution in stored]
    assert results[0].matches[0].segments


def test_the_client_waits_for_the_answer_or_the_error_of_a_job(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deferring, "SECONDS_TO_JOB", 0.0)
    assert [len(picture.frames) >= 6 for picture in client.hash_media([film(2)]).pictures] == [True]
    with pytest.raises(errors.UnreadablePicture) as caught:
        client.match_media([film(2), b"\0no picture"])
    assert [fault.at for fault in caught.value.faults] == ["file[1]"]


class Older(httpx.BaseTransport):
    """An older service, which accepts no pages, no words and no addresses."""

    def __init__(self, app: Flask) -> None:
        self._newer = httpx.WSGITransport(app=app)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path != "/v1/me":
            rejected = problem(errors.InvalidInput((errors.Fault("queries[0].frames", "is not a field"),)), 422)
            return httpx.Response(422, json=rejected, headers={"Content-Type": "application/problem+json"})
        me = json.loads(self._newer.handle_request(request).read())
        kept = {name: value for name, value in me.items() if name not in ("texts", "digests")}
        return httpx.Response(200, json={**kept, "version": "0.1.0"})


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (excerpt(words(1, 300)), "the service has version 0.1.0, which does not accept pages and words of documents"),
        (Query((Signal(Algorithm.URL, 5 << 128),)), "the service has version 0.1.0, which does not accept addresses"),
    ],
)
def test_the_client_reports_input_that_an_older_service_does_not_accept(
    service: Service, query: Query, message: str
) -> None:
    with Client("http://hashdb.test", service.secret, transport=Older(service.app)) as client:
        with pytest.raises(errors.ServiceTooOld, match=message):
            client.match([query])
        with pytest.raises(errors.ServiceTooOld, match=message):
            client.contribute([replace(draft(1), signals=query.signals, frames=query.frames)])
        with pytest.raises(errors.InvalidInput):
            client.match([Query(draft(1).signals)])


def test_the_client_reads_events_after_a_seq_and_rejects_malformed_events(client: Client) -> None:
    client.contribute([draft(1), draft(2)])
    events = client.events(0)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert all(event.computed_leaf == event.leaf for event in events)
    assert client.events(events[-2].seq) == client.events(0, 1000)[-1:]
    event = {"seq": 1, "at": "2026-11-20T10:00:00Z", "actor": "key:1", "action": "a.b", "details": {}, "leaf": "00"}
    for fault in ({"subject": "contribution:x"}, {"subject": "contribution:1", "leaf": "no hex"}):
        content = json.dumps({"events": [{**event, **fault}], "next": None})
        transport = httpx.MockTransport(lambda _, content=content: httpx.Response(200, text=content))
        with Client("http://hashdb.test", transport=transport) as other, pytest.raises(errors.ServiceError):
            other.events(0)


def test_the_client_reads_all_pages_of_reversals(service: Service, client: Client) -> None:
    receipt = client.contribute([draft(seed) for seed in range(103)])
    client.match([Query(item.contribution.signals) for item in receipt.recorded])
    for item in receipt.recorded:
        client.withdraw(item.contribution.id, "other")
    service.db.now = lambda: system_clock() + SETTLED_AGE
    reversals = list(client.reversals())
    assert [reversal.contribution for reversal in reversals] == [item.contribution.id for item in receipt.recorded]
    assert reversals == list(counts.reversals(service.db, service.actor, 0, 1000))
    assert list(client.reversals(reversals[-2].seq)) == reversals[-1:]


def test_the_client_requests_no_proof_for_a_log_that_has_not_grown(service: Service) -> None:
    issued = members.issue_key(service.db, COMMAND_LINE, 1, KeyDraft(frozenset({Scope.MATCH})))
    with service.client(issued.secret) as client:
        kept = client.check().note
        assert client.check(kept).now == client.check().now
        members.add(service.db, COMMAND_LINE, MemberDraft("Beta", MemberKind.PLATFORM))
        with pytest.raises(errors.ScopeMissing):
            client.check(kept)


def test_a_list_that_turns_back_is_not_an_answer_of_hashdb() -> None:
    answers = iter((5, 9, 9))

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"incidents": [], "next": next(answers)})

    transport = httpx.MockTransport(answer)
    with Client("http://hashdb.test", transport=transport) as client, pytest.raises(errors.ServiceError):
        list(client.incidents())
    assert list(answers) == []
