"""/v1/set: the root of the active set, its blocks, and signatures of organisations."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from hashdb.domain.accounts.members import Scope
from hashdb.domain.ledger.cosignatures import Cosigner
from hashdb.domain.ledger.policies import Policy
from hashdb.service.ledger import active_set, checkpoints
from tests.service.independent import open_checkpoint
from tests.web.callers import Caller, Service, body, faults, item, problem

SIGNER = Cosigner.new("a.example")


@pytest.fixture
def set_service(service: Service, platform: Caller) -> Service:
    """A service with a root of the active set over three contributions."""
    checkpoints.start(service.db)
    service.db.rules = replace(service.db.rules, organisations=Policy.parse(f"witness a {SIGNER.key}\nquorum a"))
    platform.contribute(*(item(seed) for seed in range(3)))
    active_set.keep(service.db)
    return service


def test_the_root_of_the_active_set_is_returned_and_signed(set_service: Service) -> None:
    reader = set_service.caller(Scope.FEED)
    answer = body(reader.get("/v1/set"))
    assert set(answer) == {"seq", "covers", "root", "count", "note"}
    assert (answer["count"], answer["covers"]) == (3, answer["seq"] - 1)
    (key,) = body(set_service.anonymous.get("/v1/log"))["keys"]
    assert open_checkpoint(answer["note"], key["vkey"]) == (
        "log.example/1/set",
        answer["seq"],
        base64.b64decode(answer["root"]),
    )
    problem(reader.get("/v1/set?signed=1"), 404, "not-found")
    assert set(faults(reader.get("/v1/set?signed=2"))) == {"signed"}
    problem(set_service.caller(Scope.MATCH).get("/v1/set"), 403, "scope-missing")


def test_the_blocks_of_the_active_set_are_returned(set_service: Service) -> None:
    reader = set_service.caller(Scope.AUDIT)
    answer = body(reader.get("/v1/set/blocks/0/0"))
    hashes = base64.b64decode(answer.pop("hashes"))
    assert answer == {"seq": body(reader.get("/v1/set"))["seq"], "level": 0, "number": 0}
    assert [place for place in range(256) if any(hashes[32 * place : 32 * place + 32])] == [1, 2, 3]
    assert not any(base64.b64decode(body(reader.get("/v1/set/blocks/1/16777215"))["hashes"]))
    assert set(faults(reader.get("/v1/set/blocks/5/0"))) == {"level"}
    assert set(faults(reader.get("/v1/set/blocks/1/16777216"))) == {"number"}
    problem(reader.get("/v1/set/blocks/a/0"), 404, "not-found")


def test_without_contributions_the_root_is_not_found(service: Service) -> None:
    checkpoints.start(service.db)
    reader = service.caller(Scope.FEED)
    problem(reader.get("/v1/set"), 404, "not-found")
    problem(reader.get("/v1/set/blocks/0/0"), 404, "not-found")
    assert set(faults(reader.post("/v1/set/signatures", data="x", content_type="text/plain"))) == {""}


def test_an_organisation_can_sign_the_root(set_service: Service) -> None:
    reader = set_service.caller(Scope.FEED)
    before = body(reader.get("/v1/set"))
    line = SIGNER.cosign(before["note"].partition("\n\n")[0] + "\n", 1_800_000_000)
    answer = reader.post("/v1/set/signatures", data=line, content_type="text/plain; charset=utf-8")
    assert (answer.status_code, answer.content_type) == (200, "text/plain; charset=utf-8")
    assert answer.text == before["note"] + line
    assert body(reader.get("/v1/set?signed=1")) == {**before, "note": answer.text}


def test_an_invalid_signature_of_the_root_is_rejected(set_service: Service) -> None:
    caller = set_service.caller(Scope.MATCH)
    for data in ("", "one\n", "\u2014 a.example AAAAAAAA\n", SIGNER.cosign("x/set\n1\n" + "A" * 43 + "=\n", 1)):
        assert set(faults(caller.post("/v1/set/signatures", data=data, content_type="text/plain"))) == {""}
    problem(caller.post("/v1/set/signatures", data=b"\xff", content_type="text/plain"), 400, "malformed-request")
    problem(caller.post("/v1/set/signatures", {"line": "x"}), 415, "wrong-content-type")
