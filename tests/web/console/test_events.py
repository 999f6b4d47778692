"""The pages of the audit log."""

from __future__ import annotations

import hashlib
import io
import re
import time
import zipfile
from dataclasses import replace

import pytest
from sqlalchemy import create_engine, text
from werkzeug.test import TestResponse

from hashdb.domain.ledger.cosignatures import Cosigner
from hashdb.domain.ledger.policies import Policy
from hashdb.service.ledger import checkpoints
from hashdb.store.ledger.witnesses import WitnessState
from tests.web.callers import Service
from tests.web.console.visitors import Visitor, faults, heading


def numbers(page: TestResponse) -> list[int]:
    return [int(number.replace(",", "")) for number in re.findall(r'/console/events/\d+">([\d,]+)</a>', page.text)]


@pytest.fixture
def logged(service: Service, ada: Visitor) -> Service:
    """A service with more than sixty events."""
    checkpoints.start(service.db)
    for _ in range(60):
        service.caller()
    return service


def test_the_newest_events_come_first_and_pages_link_both_ways(logged: Service, ada: Visitor) -> None:
    head = logged.db.store.head().seq
    first = ada.get("/console/events")
    assert numbers(first) == list(range(head, head - 50, -1))
    older_link = re.search(r'href="(/console/events\?before=\d+)"', first.text)
    assert older_link
    older = ada.get(older_link[1])
    assert numbers(older)[0] == head - 50
    newer_link = re.search(r'rel="prev" href="([^"]+)"', older.text)
    assert newer_link
    newer = ada.get(newer_link[1])
    assert numbers(newer) == numbers(first)
    assert 'rel="prev"' not in newer.text and f"?before={head - 49}" in newer.text
    assert numbers(ada.get("/console/events?newer=3&limit=2&action=key.issued"))[-1] > 3
    assert "No newer event matches the filter." in ada.get(f"/console/events?newer={head}").text


def test_the_page_shows_the_published_checkpoint_and_its_witnesses(logged: Service, ada: Visitor) -> None:
    page = ada.get("/console/events")
    assert "none yet" in page.text and "HASHDB_WITNESSES" in page.text and "Who signs" not in page.text
    checkpoints.keep(logged.db, at_once=True)
    witness, unreachable = Cosigner.new("witness.example"), Cosigner.new("away.example")
    lines = (
        f"witness {cosigner.key.name} {cosigner.key} https://{cosigner.key.name}/\n"
        for cosigner in (witness, unreachable)
    )
    policy = Policy.parse(f"{''.join(lines)}group two all witness.example away.example\nquorum two\n")
    logged.db.rules = replace(logged.db.rules, witnesses=policy)
    now = logged.db.now()
    with logged.db.store.begin() as tx:
        tx.witness_states.claim(witness.key.named_id, now, now, now)
        tx.witness_states.set(witness.key.named_id, WitnessState(logged.db.store.head().seq, now, now))
    page = ada.get("/console/events")
    assert "1 of 2 signed; 2 needed" in page.text and "quorum missing" in page.text
    assert witness.key.named_id in page.text and "nothing yet" in page.text and "refuses" not in page.text
    with logged.db.store.begin() as tx:
        tx.witness_states.claim(unreachable.key.named_id, now, now, now)
        tx.witness_states.set(
            unreachable.key.named_id, WitnessState(1, now, now, now, "the log was restored to an earlier state", True)
        )
    assert "A witness refuses the log." in ada.get("/console/events").text
    assert "published" not in ada.get("/console/events?before=5").text


def test_events_can_be_filtered_by_actor_action_subject_and_day(logged: Service, ada: Visitor) -> None:
    assert numbers(ada.get("/console/events?actor=user%3A1")) == [2]
    assert len(numbers(ada.get("/console/events?action=key.issued&actor=&subject="))) == 50
    assert len(numbers(ada.get("/console/events?subject=member:3"))) == 1
    assert numbers(ada.get("/console/events?until=2026-11-19")) == []
    assert len(numbers(ada.get("/console/events?since=2026-11-20&until=2026-11-20"))) == 50
    assert numbers(ada.get("/console/events?since=2026-11-21")) == []


def test_the_actor_filter_accepts_names_and_explains_an_empty_result(logged: Service, ada: Visitor) -> None:
    assert len(numbers(ada.get("/console/events?actor=cli&action=member.added"))) == 50
    assert numbers(ada.get("/console/events?actor=Ada")) == [2]
    ambiguous = ada.get("/console/events?actor=Membe")
    assert list(faults(ambiguous)) == ["actor"] and 'href="/console/events?actor=member:1"' in ambiguous.text
    empty = ada.get("/console/events?actor=ada&action=member.added")
    assert numbers(empty) == [] and empty.status_code == 200
    assert re.findall(r">(without the \w+)<", empty.text) == ["without the actor", "without the action"]


@pytest.mark.parametrize(
    ("query", "invalid"),
    [
        ("subject=member", "subject"),
        ("actor=17", "actor"),
        ("since=2026-11-21&until=2026-11-20", "until"),
        ("action=x", "action"),
        ("since=soon", "since"),
        ("since=0", "since"),
        ("until=1700006400", "until"),
        ("before=x", "before"),
    ],
)
def test_an_invalid_filter_is_reported_at_its_field(ada: Visitor, query: str, invalid: str) -> None:
    assert set(faults(ada.get(f"/console/events?{query}"))) == {invalid}


def test_the_followed_log_returns_new_rows_and_the_next_request(logged: Service, ada: Visitor) -> None:
    page = ada.get("/console/events?follow=1&action=member.added")
    poll_link = re.search(r'hx-get="([^"]+)"', page.text)
    assert poll_link
    address = poll_link[1].replace("&amp;", "&")
    assert numbers(ada.get(address)) == []
    logged.caller()
    new_rows = ada.get(address)
    assert numbers(new_rows) == [logged.db.store.head().seq - 1]
    assert f"after={logged.db.store.head().seq}" in new_rows.text


def test_an_event_is_shown_with_its_leaf_and_a_valid_proof(logged: Service, ada: Visitor) -> None:
    page = ada.get("/console/events/7")
    assert heading(page) == "Event 7"
    canonical = re.search(r"<pre>(.*?)</pre>", page.text)
    leaf = re.search(r'id="copy-leaf">([0-9a-f]{64})<', page.text)
    assert canonical and leaf
    text = canonical[1].replace("&#34;", '"')
    assert hashlib.sha256(b"\x00" + text.encode()).hexdigest() == leaf[1]
    assert "The proof is valid" in page.text
    assert ada.get("/console/events/9999").status_code == 404


def test_a_modified_row_is_reported(logged: Service, ada: Visitor) -> None:
    engine = create_engine(logged.url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE events SET action = 'key.revoked' WHERE seq = 7"))
    engine.dispose()
    page = ada.get("/console/events/7")
    assert "the row was changed" in page.text
    assert "The proof is not valid" in page.text
    verify(ada, "The log is not valid")


def test_the_log_is_verified_in_the_background(logged: Service, ada: Visitor, otto: Visitor) -> None:
    assert "has not been verified in the console" in otto.get("/console/events/verification").text
    verify(otto, "The log is valid")


def verify(visitor: Visitor, expected: str) -> None:
    assert visitor.post("/console/events/verification").status_code == 303
    for _ in range(200):
        page = visitor.get("/console/events/verification", headers={"HX-Request": "true"})
        if expected in page.text:
            return
        time.sleep(0.05)
    raise AssertionError(page.text)


def test_a_download_has_the_events_their_digest_and_a_checkpoint(logged: Service, ada: Visitor) -> None:
    answer = ada.get("/console/events/download?since=2026-11-20&actor=&action=&subject=&until=")
    head = logged.db.store.head().seq
    assert answer.headers["Content-Disposition"] == f'attachment; filename="events-1-{head}.zip"'
    with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
        lines = archive.read(f"events-1-{head}.jsonl")
        sums = archive.read("SHA256SUMS").decode()
        assert archive.read("checkpoint.txt").decode().startswith("log.example/1\n")
    assert lines.count(b"\n") == head
    assert f"{hashlib.sha256(lines).hexdigest()}  events-1-{head}.jsonl\n" in sums
    empty = ada.get("/console/events/download?since=2026-11-21")
    assert 'filename="events-none.zip"' in empty.headers["Content-Disposition"]
    assert ada.get("/console/events/download?since=x").status_code == 422
