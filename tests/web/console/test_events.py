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
    return [int(one.replace(",", "")) for one in re.findall(r'/console/events/\d+">([\d,]+)</a>', page.text)]


@pytest.fixture
def logged(service: Service, ada: Visitor) -> Service:
    """A log of sixty events and more."""
    checkpoints.start(service.db)
    for _ in range(60):
        service.caller()
    return service


def test_the_last_come_first_page_by_page(logged: Service, ada: Visitor) -> None:
    head = logged.db.store.head().seq
    first = ada.get("/console/events")
    assert numbers(first) == list(range(head, head - 50, -1))
    found = re.search(r'href="(/console/events\?before=\d+)"', first.text)
    assert found
    older = ada.get(found[1])
    assert numbers(older)[0] == head - 50
    back = re.search(r'rel="prev" href="([^"]+)"', older.text)
    assert back
    newer = ada.get(back[1])
    assert numbers(newer) == numbers(first)
    assert 'rel="prev"' not in newer.text and f"?before={head - 49}" in newer.text
    assert numbers(ada.get("/console/events?newer=3&limit=2&action=key.issued"))[-1] > 3
    assert "No newer event fits." in ada.get(f"/console/events?newer={head}").text


def test_the_page_says_what_is_published_and_who_signed_it(logged: Service, ada: Visitor) -> None:
    page = ada.get("/console/events")
    assert "none yet" in page.text and "HASHDB_WITNESSES" in page.text and "Who signs" not in page.text
    checkpoints.keep(logged.db, at_once=True)
    witness, away = Cosigner.new("witness.example"), Cosigner.new("away.example")
    lines = (f"witness {one.key.name} {one.key} https://{one.key.name}/\n" for one in (witness, away))
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
        tx.witness_states.claim(away.key.named_id, now, now, now)
        tx.witness_states.set(away.key.named_id, WitnessState(1, now, now, now, "it was set back", True))
    assert "A witness refuses the log." in ada.get("/console/events").text
    assert "published" not in ada.get("/console/events?before=5").text


def test_events_are_chosen_by_actor_action_subject_and_day(logged: Service, ada: Visitor) -> None:
    assert numbers(ada.get("/console/events?actor=user%3A1")) == [2]
    assert len(numbers(ada.get("/console/events?action=key.issued&actor=&subject="))) == 50
    assert len(numbers(ada.get("/console/events?subject=member:3"))) == 1
    assert numbers(ada.get("/console/events?until=2026-11-19")) == []
    assert len(numbers(ada.get("/console/events?since=2026-11-20&until=2026-11-20"))) == 50
    assert numbers(ada.get("/console/events?since=2026-11-21")) == []


def test_the_form_takes_names_and_says_what_fits_and_what_excludes(logged: Service, ada: Visitor) -> None:
    assert len(numbers(ada.get("/console/events?actor=cli&action=member.added"))) == 50
    assert numbers(ada.get("/console/events?actor=Ada")) == [2]
    several = ada.get("/console/events?actor=Membe")
    assert list(faults(several)) == ["actor"] and 'href="/console/events?actor=member:1"' in several.text
    nothing = ada.get("/console/events?actor=ada&action=member.added")
    assert numbers(nothing) == [] and nothing.status_code == 200
    assert re.findall(r">(without the \w+)<", nothing.text) == ["without the actor", "without the action"]


@pytest.mark.parametrize(
    ("asked", "wrong"),
    [
        ("subject=member", "subject"),
        ("actor=17", "actor"),
        ("since=2026-11-21&until=2026-11-20", "until"),
        ("action=x", "action"),
        ("since=soon", "since"),
        ("before=x", "before"),
    ],
)
def test_a_wrong_filter_is_told(ada: Visitor, asked: str, wrong: str) -> None:
    assert set(faults(ada.get(f"/console/events?{asked}"))) == {wrong}


def test_what_is_followed_comes_as_rows_with_the_next_question(logged: Service, ada: Visitor) -> None:
    page = ada.get("/console/events?follow=1&action=member.added")
    found = re.search(r'hx-get="([^"]+)"', page.text)
    assert found
    address = found[1].replace("&amp;", "&")
    assert numbers(ada.get(address)) == []
    logged.caller()
    news = ada.get(address)
    assert numbers(news) == [logged.db.store.head().seq - 1]
    assert f"after={logged.db.store.head().seq}" in news.text


def test_an_event_shows_its_form_its_leaf_and_a_proof_that_holds(logged: Service, ada: Visitor) -> None:
    page = ada.get("/console/events/7")
    assert heading(page) == "Event 7"
    canonical = re.search(r"<pre>(.*?)</pre>", page.text)
    leaf = re.search(r'id="copy-leaf">([0-9a-f]{64})<', page.text)
    assert canonical and leaf
    form = canonical[1].replace("&#34;", '"')
    assert hashlib.sha256(b"\x00" + form.encode()).hexdigest() == leaf[1]
    assert "The proof is valid" in page.text
    assert ada.get("/console/events/9999").status_code == 404


def test_a_row_that_was_changed_is_told(logged: Service, ada: Visitor) -> None:
    engine = create_engine(logged.url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE events SET action = 'key.revoked' WHERE seq = 7"))
    engine.dispose()
    page = ada.get("/console/events/7")
    assert "the row was changed" in page.text
    assert "The proof is not valid" in page.text
    verified(ada, "The log is not valid")


def test_the_log_is_verified_in_the_background(logged: Service, ada: Visitor, otto: Visitor) -> None:
    assert "has not been verified in the console" in otto.get("/console/events/verification").text
    verified(otto, "The log is valid")


def verified(visitor: Visitor, told: str) -> None:
    assert visitor.post("/console/events/verification").status_code == 303
    for _ in range(200):
        page = visitor.get("/console/events/verification", headers={"HX-Request": "true"})
        if told in page.text:
            return
        time.sleep(0.05)
    raise AssertionError(page.text)


def test_days_are_downloaded_with_their_digest_and_checkpoint(logged: Service, ada: Visitor) -> None:
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
