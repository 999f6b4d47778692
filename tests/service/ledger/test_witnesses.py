"""Witnesses: the service asks each one to cosign the newest checkpoint. A refusal raises an alarm."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from itertools import pairwise
from pathlib import Path
from threading import Thread

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, MemberDraft, MemberKind
from hashdb.domain.addresses import EgressPolicy
from hashdb.domain.ledger import merkle
from hashdb.domain.ledger.checkpoints import read_checkpoint
from hashdb.domain.ledger.cosignatures import Cosigner, KeyType, Submission, cosigners
from hashdb.domain.ledger.notes import Verifier
from hashdb.domain.ledger.policies import Policy, Witness
from hashdb.errors import NotCosigned
from hashdb.service import HashDB
from hashdb.service.accounts import members
from hashdb.service.ledger import checkpoints, witnesses
from hashdb.service.ledger.signing import Signing
from hashdb.service.ledger.witnesses import Reply, Send
from hashdb.service.sharing.safe_http import NotPermittedError, UnknownNameError
from hashdb.store.ledger.witnesses import WitnessState
from tests.builders import RULES, Clock, hashdb

LATEST = timedelta(minutes=5)


@dataclass
class FakeWitness:
    """A witness of one log, which follows c2sp.org/tlog-witness."""

    key: Cosigner
    log: Verifier | None = None
    size: int = 0
    root: bytes = b""
    old_sizes: list[int] = field(default_factory=list)
    answer: Reply | Exception | None = None
    """A fixed reply or error that replaces the real reply."""

    def send(self, submission: Submission) -> Reply:
        self.old_sizes.append(submission.old_size)
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is not None:
            return self.answer
        assert self.log is not None
        checkpoint, _ = read_checkpoint(submission.note, [self.log])
        if submission.old_size != self.size:
            return Reply(409, f"{self.size}\n")
        if self.size and not merkle.extends(self.size, checkpoint.size, self.root, checkpoint.root, submission.proof):
            return Reply(422, "")
        self.size, self.root = checkpoint.size, checkpoint.root
        return Reply(200, self.key.cosign(checkpoint.body, 1_764_460_800))


class Witnesses:
    """Three witnesses, of which any two make the quorum. The key of the third is of the type ML-DSA-44."""

    def __init__(self) -> None:
        types = {"w1": KeyType.ED25519, "w2": KeyType.ED25519, "w3": KeyType.ML_DSA_44}
        self.by_name = {name: FakeWitness(Cosigner.new(f"{name}.example", type)) for name, type in types.items()}
        lines = [f"witness {name} {fake.key.key} https://{name}.example/log" for name, fake in self.by_name.items()]
        self.policy = Policy.parse("\n".join([*lines, "group all 2 w1 w2 w3", "quorum all"]))

    @contextmanager
    def connect(self, witness: Witness) -> Iterator[Send]:
        yield self.by_name[witness.name].send


@pytest.fixture
def fakes() -> Witnesses:
    """The three fake witnesses of the service."""
    return Witnesses()


@pytest.fixture
def db(database_url: str, clock: Clock, tmp_path: Path, fakes: Witnesses) -> Iterator[HashDB]:
    """A service whose policy names the fake witnesses."""
    signing = Signing(tmp_path / "signing.key", tmp_path / "checkpoints.txt", "log.example/1")
    db = hashdb(database_url, clock, replace(RULES, witnesses=fakes.policy), signing=signing)
    log = checkpoints.start(db)
    for fake in fakes.by_name.values():
        fake.log = log
    yield db
    db.close()


def grow(db: HashDB, name: str) -> int:
    """Add an event, store a checkpoint that covers it, and return the size of the checkpoint."""
    members.add(db, COMMAND_LINE, MemberDraft(name, MemberKind.PLATFORM))
    checkpoints.keep(db, at_once=True)
    with db.store.read() as tx:
        last = tx.checkpoints.last()
    assert last is not None
    return last.size


def state(db: HashDB, fakes: Witnesses, name: str) -> WitnessState:
    with db.store.read() as tx:
        return tx.witness_states.by_named_id()[fakes.by_name[name].key.key.named_id]


def test_each_witness_cosigns_each_checkpoint_once(db: HashDB, fakes: Witnesses) -> None:
    assert witnesses.ask(db, fakes.connect) == 0
    first = grow(db, "Alpha")
    assert witnesses.ask(db, fakes.connect) == 3
    assert witnesses.ask(db, fakes.connect) == 0
    second = grow(db, "Beta")
    assert witnesses.ask(db, fakes.connect) == 3
    assert all(fake.old_sizes == [0, first] for fake in fakes.by_name.values())
    checkpoint, signed = fakes.policy.check(witnesses.cosigned(db).note, checkpoints.log(db).verifiers)
    assert (checkpoint.size, len(signed)) == (second, 3)


def test_the_cosigned_checkpoint_is_the_newest_with_a_quorum(db: HashDB, fakes: Witnesses) -> None:
    with pytest.raises(NotCosigned, match="no checkpoint has the cosignatures of the quorum yet"):
        witnesses.cosigned(db)
    first = grow(db, "Alpha")
    fakes.by_name["w3"].answer = Reply(404, "")
    witnesses.ask(db, fakes.connect)
    fakes.by_name["w2"].answer = TimeoutError()
    grow(db, "Beta")
    witnesses.ask(db, fakes.connect)
    note = witnesses.cosigned(db).note
    assert fakes.policy.check(note, checkpoints.log(db).verifiers)[0].size == first
    assert len(cosigners(note, fakes.policy.keys)) == 2


def test_a_log_without_witnesses_asks_none_and_lists_none(db: HashDB) -> None:
    db.rules = replace(db.rules, witnesses=None)
    grow(db, "Alpha")
    assert witnesses.ask(db) == 0
    assert checkpoints.log(db).witnesses == ()
    with pytest.raises(NotCosigned, match="this log has no witnesses"):
        witnesses.cosigned(db)


def test_every_checkpoint_meets_the_quorum_none(db: HashDB, fakes: Witnesses) -> None:
    db.rules = replace(db.rules, witnesses=Policy.parse("quorum none"))
    size = grow(db, "Alpha")
    assert read_checkpoint(witnesses.cosigned(db).note, checkpoints.log(db).verifiers)[0].size == size


def test_the_log_lists_each_witness_with_its_last_cosignature(db: HashDB, clock: Clock, fakes: Witnesses) -> None:
    fakes.by_name["w3"].answer = ConnectionRefusedError()
    size = grow(db, "Alpha")
    witnesses.ask(db, fakes.connect)
    listed = {witness.name: (witness.vkey, witness.size, witness.at) for witness in checkpoints.log(db).witnesses}
    keys = {name: str(fake.key.key) for name, fake in fakes.by_name.items()}
    assert listed == {
        "w1": (keys["w1"], size, clock.at),
        "w2": (keys["w2"], size, clock.at),
        "w3": (keys["w3"], 0, None),
    }


def test_a_witness_with_another_size_gets_a_proof_from_that_size(db: HashDB, fakes: Witnesses) -> None:
    first = grow(db, "Alpha")
    witnesses.ask(db, fakes.connect)
    second = grow(db, "Beta")
    # The service lost the reply of the witness.
    witness = fakes.by_name["w1"]
    with db.store.begin() as tx:
        tx.witness_states.set(witness.key.key.named_id, WitnessState(0, None, db.now()))
    assert witnesses.ask(db, fakes.connect) == 3
    assert witness.old_sizes == [0, 0, first]
    assert state(db, fakes, "w1").size == second
    # The witness cosigned the newest checkpoint, and the service lost the reply.
    with db.store.begin() as tx:
        tx.witness_states.set(witness.key.key.named_id, WitnessState(first, None, db.now()))
    witnesses.ask(db, fakes.connect)
    assert witness.old_sizes[3:] == [first, second]
    assert state(db, fakes, "w1").size == second


@pytest.mark.parametrize(
    ("answer", "trouble"),
    [
        (Reply(403, ""), "it does not know the key that signs log.example/1"),
        (Reply(404, ""), "it does not know the log log.example/1"),
        (Reply(500, "x"), "it answered 500"),
        (Reply(301, ""), "it answered 301"),
        (Reply(409, "0\n"), "its 409 answer does not contain the size of a different checkpoint"),
        (Reply(409, "many\n"), "its 409 answer does not contain the size of a different checkpoint"),
        (Reply(409, "2\n"), "another program submits"),
        (Reply(200, ""), "its answer has no cosignature by the key of the policy"),
        (Reply(200, "\n\nwords\n"), "its answer has no signature lines"),
        (Reply(200, "— w9.example AAAAAAAA\n"), "its answer has no cosignature by the key of the policy"),
        (TimeoutError(), "it took too long to answer"),
        (ConnectionResetError(), "it does not answer"),
        (ValueError(), "it does not answer"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"), "its answer is not text"),
        (UnknownNameError(), "its host name has no address"),
        (NotPermittedError(), "this service may not connect to its address, see HASHDB_WEBHOOK_NETWORKS"),
    ],
)
def test_an_error_of_a_witness_is_logged_and_it_is_asked_again_later(
    db: HashDB,
    clock: Clock,
    fakes: Witnesses,
    caplog: pytest.LogCaptureFixture,
    answer: Reply | Exception,
    trouble: str,
) -> None:
    if answer == Reply(409, "2\n"):
        answers = iter([Reply(409, "2\n"), Reply(409, "1\n"), Reply(409, "2\n")])
        fakes.by_name["w1"].send = lambda submission: next(answers)  # type: ignore[method-assign]
    fakes.by_name["w1"].answer = answer
    size = grow(db, "Alpha")
    witnesses.ask(db, fakes.connect)
    failed = state(db, fakes, "w1")
    assert failed.trouble is not None
    assert failed.trouble.startswith(trouble)
    assert (failed.size, failed.refused, failed.failing_since) == (0, False, clock.at)
    assert caplog.messages == [f"the witness w1 does not cosign: {failed.trouble}"]
    # The service asked the other witnesses independently, and they cosigned.
    assert fakes.policy.check(witnesses.cosigned(db).note, checkpoints.log(db).verifiers)[0].size == size
    assert witnesses.ask(db, fakes.connect) == 0
    clock.advance(seconds=5)
    fakes.by_name["w1"].answer = None
    fakes.by_name["w1"].__dict__.pop("send", None)
    assert witnesses.ask(db, fakes.connect) == 1
    assert state(db, fakes, "w1") == WitnessState(size, clock.at, clock.at)
    assert caplog.messages[1:] == ["the witness w1 cosigns again"]


def test_a_witness_that_keeps_failing_is_asked_less_often_and_logged_once(
    db: HashDB, clock: Clock, fakes: Witnesses, caplog: pytest.LogCaptureFixture
) -> None:
    fakes.by_name["w1"].answer = TimeoutError()
    grow(db, "Alpha")
    times: list[datetime] = []
    for _ in range(7_200):
        if witnesses.ask(db, fakes.connect) and fakes.by_name["w1"].old_sizes[len(times) :]:
            times.append(clock.at)
        clock.advance(seconds=5)
        if len(times) > 30:
            break
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses[0] == timedelta(seconds=5)
    assert pauses[-1] == timedelta(minutes=5)
    assert pauses == sorted(pauses)
    assert len(caplog.messages) == 1


def test_an_invalid_cosignature_is_not_stored(db: HashDB, fakes: Witnesses) -> None:
    other = Cosigner.new("w1.example")
    fakes.by_name["w1"].answer = Reply(200, fakes.by_name["w1"].key.cosign("log.example/1\n1\n" + "A" * 43 + "=\n", 5))
    fakes.by_name["w2"].answer = Reply(200, other.cosign("log.example/1\n1\n" + "A" * 43 + "=\n", 5))
    grow(db, "Alpha")
    witnesses.ask(db, fakes.connect)
    assert state(db, fakes, "w1").trouble == "its cosignature is not valid for the checkpoint"
    assert state(db, fakes, "w2").trouble == "its answer has no cosignature by the key of the policy"
    with db.store.read() as tx:
        assert [[*lines] for lines in tx.cosignatures.lines_by_size().values()] == [
            [fakes.by_name["w3"].key.key.named_id]
        ]


def test_a_witness_refuses_a_rewritten_log_and_the_service_raises_an_alarm(
    db: HashDB, clock: Clock, fakes: Witnesses, caplog: pytest.LogCaptureFixture
) -> None:
    first = grow(db, "Alpha")
    witnesses.ask(db, fakes.connect)
    fakes.by_name["w1"].root = b"\0" * 32
    grow(db, "Beta")
    witnesses.ask(db, fakes.connect)
    refused = state(db, fakes, "w1")
    assert (refused.size, refused.refused) == (first, True)
    assert refused.trouble == "the log does not extend the checkpoint that it cosigned last"
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.message == f"the witness w1 refuses the log: {refused.trouble}"
    # The alarm stays until the witness cosigns again, even if it does not reply in between.
    fakes.by_name["w1"].answer = TimeoutError()
    clock.advance(seconds=5)
    witnesses.ask(db, fakes.connect)
    assert state(db, fakes, "w1").refused
    fakes.by_name["w1"].answer, fakes.by_name["w1"].size = None, 0
    clock.advance(minutes=5)
    witnesses.ask(db, fakes.connect)
    assert not state(db, fakes, "w1").refused


def test_a_witness_refuses_a_log_that_was_set_back(db: HashDB, fakes: Witnesses) -> None:
    fakes.by_name["w1"].size = 500
    fakes.by_name["w2"].size = size = grow(db, "Alpha") + 1
    members.add(db, COMMAND_LINE, MemberDraft("Beta", MemberKind.PLATFORM))
    witnesses.ask(db, fakes.connect)
    assert state(db, fakes, "w1").refused
    assert (
        state(db, fakes, "w1").trouble
        == f"it cosigned 500 events, but the log has only {size}: the log was restored to an earlier state"
    )
    # The second witness has only cosigned a newer checkpoint, which anybody can get from GET /v1/checkpoint.
    assert not state(db, fakes, "w2").refused
    assert (state(db, fakes, "w2").trouble or "").startswith("it has cosigned a newer checkpoint")


def test_only_one_process_at_a_time_asks_a_witness(db: HashDB, clock: Clock, fakes: Witnesses) -> None:
    grow(db, "Alpha")
    name = fakes.by_name["w1"].key.key.named_id
    with db.store.begin() as tx:
        assert tx.witness_states.claim(name, clock.at, clock.at + witnesses.LEASE, clock.at + LATEST) is not None
    with db.store.begin() as tx:
        assert tx.witness_states.claim(name, clock.at, clock.at + witnesses.LEASE, clock.at + LATEST) is None
    assert witnesses.ask(db, fakes.connect) == 2
    assert fakes.by_name["w1"].old_sizes == []
    # The process that claimed the witness was killed.
    clock.advance(minutes=2)
    assert witnesses.ask(db, fakes.connect) == 1
    assert fakes.by_name["w1"].old_sizes == [0]


def test_a_clock_that_was_set_back_does_not_delay_cosignatures(db: HashDB, clock: Clock, fakes: Witnesses) -> None:
    grow(db, "Alpha")
    witnesses.ask(db, fakes.connect)
    clock.advance(hours=-1)
    grow(db, "Beta")
    assert witnesses.ask(db, fakes.connect) == 3


def test_both_protocol_versions_refuse_another_checkpoint_of_the_same_size(db: HashDB, fakes: Witnesses) -> None:
    size = grow(db, "Alpha")
    fakes.by_name["w1"].answer, fakes.by_name["w2"].size = Reply(409, f"{size}\n"), size
    fakes.by_name["w2"].root = b"\0" * 32
    witnesses.ask(db, fakes.connect)
    assert state(db, fakes, "w1").refused
    assert state(db, fakes, "w2").refused


def test_only_recent_cosignatures_and_the_last_quorum_are_kept(db: HashDB, fakes: Witnesses) -> None:
    first = grow(db, "Member 0")
    witnesses.ask(db, fakes.connect)
    fakes.by_name["w1"].answer = fakes.by_name["w2"].answer = TimeoutError()
    sizes = []
    for number in range(1, 15):
        sizes.append(grow(db, f"Member {number}"))
        witnesses.ask(db, fakes.connect)
    with db.store.read() as tx:
        assert [*tx.cosignatures.lines_by_size()] == [*sizes[:-11:-1], first]
    assert fakes.policy.check(witnesses.cosigned(db).note, checkpoints.log(db).verifiers)[0].size == first


def test_an_internal_error_is_logged_as_a_failure_of_the_task(
    db: HashDB, fakes: Witnesses, caplog: pytest.LogCaptureFixture
) -> None:
    fakes.by_name["w1"].answer = RuntimeError()
    grow(db, "Alpha")
    witnesses.ask(db, fakes.connect)
    assert any("background task witnesses failed: RuntimeError" in message for message in caplog.messages)


def test_a_witness_at_a_forbidden_address_is_not_contacted() -> None:
    key = Cosigner.new("w.example").key
    for url, error in (
        ("http://127.0.0.1:9/prefix", NotPermittedError),
        ("http://witness.invalid", UnknownNameError),
    ):
        witness = Witness("w", key, url)
        with witnesses.connection_to(witness, EgressPolicy(allows_http=True)) as send, pytest.raises(error):
            send(Submission(0, (), "note"))


@pytest.mark.parametrize("keeps_open", [True, False])
def test_a_connection_is_reused_if_the_witness_keeps_it_open(keeps_open: bool) -> None:
    connections: list[object] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1" if keeps_open else "HTTP/1.0"

        def setup(self) -> None:
            connections.append(self.client_address)
            super().setup()

        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["Content-Length"])) + self.path.encode()
            self.send_response(409)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            witness = Witness("w", Cosigner.new("w.example").key, f"http://127.0.0.1:{server.server_port}/log/")
            egress = EgressPolicy((ip_network("127.0.0.0/8"),), allows_http=True)
            with witnesses.connection_to(witness, egress) as send:
                for old in (0, 7):
                    expected = Reply(409, f"old {old}\n\nnote\n/log/add-checkpoint")
                    assert send(Submission(old, (), "note\n")) == expected
        finally:
            server.shutdown()
            thread.join()
    assert len(connections) == (1 if keeps_open else 2)
