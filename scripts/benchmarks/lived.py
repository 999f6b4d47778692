"""What a database has beside what members put in: people, incidents, benign signals, proposals, reports, readers."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta

import numpy as np

from hashdb.domain.accounts.members import COMMAND_LINE, Actor, KeyDraft, MemberChange, MemberStatus, Scope
from hashdb.domain.accounts.users import Role, UserDraft
from hashdb.domain.matching.benign import BenignDraft
from hashdb.domain.review.incidents import IncidentDraft
from hashdb.domain.sharing.webhooks import ATTEMPT_LEASE, Attempt, DeliveryOutcome, Topic, Trouble, WebhookDraft
from hashdb.domain.signals import Algorithm, Signal
from hashdb.domain.stats.counts import Use
from hashdb.domain.times import Period
from hashdb.hashing.algorithms import built_in_benign
from hashdb.service import HashDB
from hashdb.service.accounts import members, users
from hashdb.service.contributions import contributions
from hashdb.service.matching import benign
from hashdb.service.review import incidents
from hashdb.service.sharing import webhooks
from hashdb.service.stats import overviews, reports
from hashdb.web.console.reports import presets
from hashdb.web.metrics import Metrics
from hashdb.wire.stats import ReportOut
from scripts.benchmarks import data

ADMIN = "amira"
PEOPLE = {ADMIN: Role.ADMIN, "jonas": Role.ADMIN, "rosa": Role.REVIEWER, "otto": Role.AUDITOR}
_MATCHES = 20_000


def through(db: HashDB, password: str) -> None:
    """Add it all, unless it is there; as of the database's clock."""
    if not users.page(db, COMMAND_LINE, 0, 1):
        _live(db, password)
    db.rules = replace(db.rules, two_persons=True)
    while overviews.follow(db) == overviews.BLOCK:
        pass


def _live(db: HashDB, password: str) -> None:
    added = {name: users.add(db, COMMAND_LINE, UserDraft(name, role), password).user for name, role in PEOPLE.items()}
    now = db.now()
    benign.start(db, built_in_benign())
    for id, note in ((1_011, "Splash screen of Palaver"), (2_022, "Weather map of a regional channel")):
        signals = contributions.get(db, COMMAND_LINE, id).signals
        benign.add(db, COMMAND_LINE, BenignDraft(signals, note=note))
    for label, began, ended in (("harbour", 200, 190), ("station", 60, 30), ("market", 4, None)):
        end = None if ended is None else now - timedelta(days=ended)
        incidents.add(db, COMMAND_LINE, IncidentDraft(f"CIP:{label}-2026", now - timedelta(days=began), end))
    db.rules = replace(db.rules, two_persons=True)
    members.change(db, added["jonas"].actor, 9, MemberChange(status=MemberStatus.SUSPENDED))
    card = BenignDraft((Signal(Algorithm.PDQ, int("5a" * 32, 16)),), note="Countdown before a stream begins")
    benign.add(db, added[ADMIN].actor, card)
    _push(db)
    _report(db, added["otto"].actor, dict(presets(now.date()))["last quarter"])
    _read(db)


def _push(db: HashDB) -> None:
    """Members have webhooks; of the first one's deliveries each has another end."""
    for member, place in ((2, "palaver"), (3, "lumen-photos"), (5, "harbour-chat")):
        key = members.issue_key(db, COMMAND_LINE, member, KeyDraft(frozenset({Scope.FEED, Scope.MATCH})))
        address = f"https://trust.{place}.example/hooks/hashdb"
        webhooks.add(db, members.authenticate(db, key.secret), WebhookDraft(address, tuple(Topic)[member % 2 :]))
    attempts = {
        Topic.FEED_CHANGED: (Attempt(204, 38), DeliveryOutcome.DELIVERED),
        Topic.CASE_OPENED: (Attempt(None, 10_000, Trouble.TOO_SLOW), DeliveryOutcome.FAILED),
        Topic.MATCH_REVERSED: (Attempt(200, 61), DeliveryOutcome.DELIVERED),
    }
    now = db.now()
    for topic, (attempt, outcome) in attempts.items():
        with db.store.begin() as tx:
            made = tx.deliveries.add(1, webhooks.new_message(db, topic, {}))
            (claimed,) = tx.deliveries.claim([made.id], now, now + ATTEMPT_LEASE)
            tx.deliveries.note(claimed, attempt, outcome, now, None)
    webhooks.test(db, COMMAND_LINE, 1)


def answer(metrics: Metrics) -> None:
    """Let a service have answered matches."""
    for seconds in np.random.default_rng(data.SEED).lognormal(-7, 0.5, _MATCHES):
        metrics.count_request("POST", "/v1/matches", 200, float(seconds))


def _report(db: HashDB, actor: Actor, days: Period) -> None:
    reports.start(db, actor, days.first, days.last, None, lambda report: ReportOut.from_domain(report).json_text())
    while reports.latest(db, actor, 1)[0].outcome is None:
        time.sleep(0.2)


def _read(db: HashDB) -> None:
    """Keys were used lately; one reader is behind by a little, one by much."""
    now, head = db.now(), db.store.head().seq
    behind = {3: 40, 7: 2_600}
    uses = []
    for number in range(2, 25):
        at = now - timedelta(minutes=number % 5, seconds=number)
        fed = head - behind.get(number, 0)
        uses.append(Use(number, at, at, fed) if number % 6 else Use(number, now - timedelta(days=number)))
    with db.store.begin() as tx:
        tx.uses.write(uses)
