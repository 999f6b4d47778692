"""/v1/log, /v1/checkpoint and /v1/proofs, checked by a verifier that shares no code with the service."""

from __future__ import annotations

import base64
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest

from hashdb.domain.accounts.members import Scope
from hashdb.domain.ledger.cosignatures import Cosigner, Submission
from hashdb.domain.ledger.notes import split_note
from hashdb.domain.ledger.policies import Policy
from hashdb.service.ledger import checkpoints, witnesses
from tests.service.independent import leaf_of, open_checkpoint, root_by_inclusion, root_of, roots_by_consistency, sha256
from tests.web.callers import Caller, Service, body, faults, item, problem


@pytest.fixture
def log(service: Service, platform: Caller) -> Service:
    """A log with a key and some events."""
    checkpoints.start(service.db)
    platform.contribute(*(item(seed) for seed in range(5)))
    return service


def checkpoint(service: Service) -> tuple[str, int, bytes]:
    """The origin, size and root of the checkpoint, after its signature was verified."""
    answer = service.anonymous.get("/v1/checkpoint")
    assert (answer.status_code, answer.content_type) == (200, "text/plain; charset=utf-8")
    (key,) = body(service.anonymous.get("/v1/log"))["keys"]
    return open_checkpoint(answer.text, key["vkey"])


def events(service: Service) -> list[Any]:
    """All events of the log."""
    return list(body(service.caller(Scope.AUDIT).get("/v1/events?limit=1000"))["events"])


def hashes(answer: Any) -> list[bytes]:
    """The hashes of a proof."""
    return [base64.b64decode(hash, validate=True) for hash in answer["hashes"]]


def test_independent_code_verifies_the_checkpoints_and_all_proofs(log: Service, platform: Caller) -> None:
    origin, first, old = checkpoint(log)
    platform.contribute(*(item(seed) for seed in range(10, 19)))
    listed = events(log)
    _, second, new = checkpoint(log)
    leaves = [leaf_of(event) for event in listed]
    assert [leaf.hex() for leaf in leaves] == [event["leaf"] for event in listed]
    assert (origin, second) == ("log.example/1", len(listed))
    assert (old, new) == (root_of(leaves[:first]), root_of(leaves))
    auditor = log.caller(Scope.AUDIT)
    proof = body(auditor.get(f"/v1/proofs/consistency?first={first}&second={second}"))
    assert set(proof) == {"first", "second", "hashes"}
    assert roots_by_consistency(first, second, old, hashes(proof)) == (old, new)
    for event in listed:
        proof = body(auditor.get(f"/v1/proofs/inclusion?seq={event['seq']}&size={second}"))
        assert set(proof) == {"seq", "size", "leaf", "hashes"}
        assert proof["leaf"] == event["leaf"]
        assert root_by_inclusion(event["seq"] - 1, second, leaf_of(event), hashes(proof)) == new


def test_the_cosigned_checkpoint_has_the_signatures_of_the_witnesses(log: Service, platform: Caller) -> None:
    answer = log.anonymous.get("/v1/checkpoint/cosigned")
    assert answer.headers["Retry-After"] == "60"
    details = problem(answer, 404, "not-cosigned")
    assert details["detail"] == "this log has no witnesses: its operator set no HASHDB_WITNESSES"
    witness = Cosigner.new("w.example")
    policy = Policy.parse(f"witness w {witness.key} https://w.example\nquorum w\n")
    log.db.rules = replace(log.db.rules, witnesses=policy)
    details = problem(log.anonymous.get("/v1/checkpoint/cosigned"), 404, "not-cosigned")
    assert details["detail"] == "no checkpoint has the cosignatures of the quorum yet: try again"
    assert body(log.anonymous.get("/v1/log"))["witnesses"] == [
        {"name": "w", "vkey": str(witness.key), "size": 0, "at": None}
    ]

    def cosign(submission: Submission) -> witnesses.Reply:
        return witnesses.Reply(200, witness.cosign(split_note(submission.note)[0], 1_763_640_000))

    checkpoints.keep(log.db, at_once=True)
    assert witnesses.ask(log.db, lambda witness: nullcontext(cosign)) == 1
    answer = log.anonymous.get("/v1/checkpoint/cosigned")
    assert (answer.status_code, answer.mimetype) == (200, "text/plain")
    checkpoint, signed = policy.check(answer.text, checkpoints.log(log.db).verifiers)
    assert signed == {witness.key: 1_763_640_000}
    (listed,) = body(log.anonymous.get("/v1/log"))["witnesses"]
    assert (listed["size"], listed["at"]) == (checkpoint.size, "2026-11-20T12:00:00.000000Z")


def test_a_checkpoint_covers_all_earlier_answers(log: Service, platform: Caller) -> None:
    for seed in range(30, 35):
        answer = body(platform.post("/v1/contributions", {"contributions": [item(seed)]}))
        assert checkpoint(log)[1] == answer["checkpoint"]


def test_the_log_lists_its_keys(log: Service) -> None:
    log_description = body(log.anonymous.get("/v1/log"))
    (key,) = log_description["keys"]
    assert log_description["origin"] == "log.example/1"
    assert key["vkey"].startswith("log.example/1+")
    assert (key["since"], key["until"]) == ("2026-11-20T12:00:00.000000Z", None)


def test_proofs_need_the_scope_audit_and_two_valid_numbers(log: Service, platform: Caller) -> None:
    auditor = log.caller(Scope.AUDIT)
    for path in ("inclusion?seq=1&size=2", "consistency?first=1&second=2"):
        problem(log.anonymous.get(f"/v1/proofs/{path}"), 401)
        assert problem(platform.get(f"/v1/proofs/{path}"), 403, "scope-missing")["scope"] == "audit"
        assert body(auditor.get(f"/v1/proofs/{path}"))["hashes"]
    assert set(faults(auditor.get("/v1/proofs/inclusion"))) == {"seq", "size"}
    assert set(faults(auditor.get("/v1/proofs/inclusion?seq=x&size=-1&by=1"))) == {"seq", "size", "by"}
    assert faults(auditor.get("/v1/proofs/inclusion?seq=3&size=2")) == {"seq": "must be 1 to 2"}
    assert set(faults(auditor.get("/v1/proofs/consistency"))) == {"first", "second"}
    assert set(faults(auditor.get("/v1/proofs/consistency?first=1&second=999"))) == {"second"}
    assert body(auditor.get("/v1/proofs/consistency?first=0&second=2"))["hashes"] == []


def test_a_log_that_was_never_started_is_unavailable(service: Service) -> None:
    for path in ("/v1/log", "/v1/checkpoint"):
        answer = service.anonymous.get(path)
        problem(answer, 503, "unavailable")
        assert int(answer.headers["Retry-After"]) > 0


def test_a_member_gets_receipts_of_its_own_events_only(log: Service, platform: Caller) -> None:
    checkpoint(log)
    (vkey,) = [key["vkey"] for key in body(log.anonymous.get("/v1/log"))["keys"]]
    answer = platform.get("/v1/receipts?subject=contribution:1")
    assert (answer.status_code, answer.content_type) == (200, "text/plain; charset=utf-8")
    head, _, note = answer.text.partition("\n\n")
    first, extra, index, *path = head.split("\n")
    _, size, root = open_checkpoint(note, vkey)
    event = base64.b64decode(extra.removeprefix("extra "))
    seq = int(index.removeprefix("index ")) + 1
    assert first == "c2sp.org/tlog-proof@v1"
    leaf = sha256(b"\0" + event)
    assert root_by_inclusion(seq - 1, size, leaf, [base64.b64decode(hash) for hash in path]) == root
    assert platform.get(f"/v1/receipts?seq={seq}").text.partition("\n\n")[0] == head
    stranger = log.caller(Scope.MATCH, Scope.FEED, Scope.REVIEW)
    for query in (f"seq={seq}", "subject=contribution:1", "seq=999999", "subject=nothing:1"):
        problem(stranger.get(f"/v1/receipts?{query}"), 404, "not-found")
    answer = platform.get(f"/v1/receipts?seq={seq}&witnessed=1")
    assert problem(answer, 404, "not-cosigned")["detail"].startswith("this log has no witnesses")
    problem(log.anonymous.get("/v1/receipts?seq=1"), 401)


def test_a_receipt_request_must_name_exactly_one_event(log: Service, platform: Caller) -> None:
    assert set(faults(platform.get("/v1/receipts"))) == {"seq"}
    assert set(faults(platform.get("/v1/receipts?seq=1&subject=contribution:1"))) == {"seq"}
    assert set(faults(platform.get("/v1/receipts?seq=1&action=contribution.added"))) == {"action"}
    assert set(faults(platform.get("/v1/receipts?seq=x&subject=y&action=z&witnessed=2&more=1"))) == {
        *("seq", "subject", "action", "witnessed", "more")
    }
