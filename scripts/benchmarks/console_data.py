"""Data that the console shows beside contributions: people, incidents, benign signals, proposals, reports, readers."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np

from hashdb.cli.demo_console import document_draft
from hashdb.domain.accounts.members import COMMAND_LINE, Actor, KeyDraft, MemberChange, MemberStatus, Scope
from hashdb.domain.accounts.users import Role, UserDraft
from hashdb.domain.contributions import Draft, Media
from hashdb.domain.frames import Frame
from hashdb.domain.matching.benign import BenignDraft
from hashdb.domain.review.cases import OpinionDraft, Stance
from hashdb.domain.review.incidents import IncidentDraft
from hashdb.domain.sharing.webhooks import ATTEMPT_LEASE, Attempt, DeliveryOutcome, Topic, Trouble, WebhookDraft
from hashdb.domain.signals import Algorithm, Signal
from hashdb.domain.stats.counts import Use
from hashdb.domain.times import Period
from hashdb.hashing.benign import built_in_benign
from hashdb.service import HashDB
from hashdb.service.accounts import members, users
from hashdb.service.contributions import contributions
from hashdb.service.matching import benign
from hashdb.service.review import incidents, opinions
from hashdb.service.sharing import webhooks
from hashdb.service.stats import overviews, reports
from hashdb.web.console.reports import presets
from hashdb.web.metrics import Metrics
from hashdb.wire.stats import ReportOut
from scripts.benchmarks import data

ADMIN = "amira"
PEOPLE = {ADMIN: Role.ADMIN, "jonas": Role.ADMIN, "rosa": Role.REVIEWER, "otto": Role.AUDITOR}
_MATCHES = 20_000


def add_console_data(db: HashDB, password: str) -> None:
    """Add all of the data, unless the database has it already; the times follow the database's clock."""
    if not users.page(db, COMMAND_LINE, 0, 1):
        _add_all(db, password)
    db.rules = replace(db.rules, two_persons=True)
    while overviews.follow(db) == overviews.BLOCK:
        pass


def _add_all(db: HashDB, password: str) -> None:
    added = {name: users.add(db, COMMAND_LINE, UserDraft(name, role), password).user for name, role in PEOPLE.items()}
    now = db.now()
    benign.add_built_in(db, built_in_benign())
    for id, note in ((1_011, "Splash screen of Palaver"), (2_022, "Weather map of a regional channel")):
        signals = contributions.get(db, COMMAND_LINE, id).signals
        benign.add(db, COMMAND_LINE, BenignDraft(signals, note=note))
    for label, began, ended in (("harbour", 200, 190), ("station", 60, 30), ("market", 4, None)):
        end = None if ended is None else now - timedelta(days=ended)
        incidents.add(db, COMMAND_LINE, IncidentDraft(f"CIP:{label}-2026", now - timedelta(days=began), end))
    _add_videos(db)
    _add_documents(db)
    db.rules = replace(db.rules, two_persons=True)
    members.change(db, added["jonas"].actor, 9, MemberChange(status=MemberStatus.SUSPENDED))
    card = BenignDraft((Signal(Algorithm.PDQ, int("5a" * 32, 16)),), note="Countdown before a stream begins")
    benign.add(db, added[ADMIN].actor, card)
    _add_webhooks(db)
    _add_report(db, added["otto"].actor, dict(presets(now.date()))["last quarter"])
    _add_key_uses(db)


def _add_videos(db: HashDB) -> None:
    """Add two videos: a film, and an upload that has parts of the film in two places, which a member disputes."""
    rng = np.random.default_rng(data.SEED)
    film = [_shot(rng) for _ in range(24)]
    film[0] = [(_CARD, 96), (_CARD, 96), (_CARD, 96)]
    film[11] = [(value, 22) for value, _ in film[11]]
    part = [[(_near_to(rng, value, 2), quality) for value, quality in shot] for shot in film[5:14]]
    others = [[_shot(rng) for _ in range(count)] for count in (7, 4, 6)]
    benign.add(db, COMMAND_LINE, BenignDraft((Signal(Algorithm.PDQ, _CARD),), note="Title card of a news agency"))
    upload = [*others[0], *part, *others[1], *film[18:22], *others[2]]
    first, second, third = (_caller(db, member) for member in (2, 5, 3))
    removed = db.now() - timedelta(hours=2)
    contributions.contribute(db, first, [_draft(film, removed, "clip-0711", severity=4)])
    (recorded,) = contributions.contribute(db, second, [_draft(upload, removed, "up-88213")]).recorded
    still = Draft((Signal(Algorithm.PDQ, film[7][0][0]),), ("branded_propaganda",), removed, 88)
    contributions.contribute(db, third, [still])
    dispute = OpinionDraft(Stance.DISPUTES, "edsa_context", "The part stands in a documentary that we keep up.")
    opinions.give(db, third, recorded.contribution.id, dispute)


def _add_documents(db: HashDB) -> None:
    """Add a document, and a text that has two parts of the document, which a member disputes."""
    rng = np.random.default_rng(data.SEED)
    words = [_value(rng) for _ in range(60)]
    words[40:43] = [_LICENCE] * 3
    pages = [(_value(rng), 22 if page in (1, 13) else int(rng.integers(62, 100))) for page in range(14)]
    near = [_near_to(rng, value, 20) for value in words]
    others = [[_value(rng) for _ in range(count)] for count in (3, 14, 5)]
    licence = Signal(Algorithm.SIMHASH256, _LICENCE)
    benign.add(db, COMMAND_LINE, BenignDraft((licence,), note="Text of a licence"))
    first, second, third = (_caller(db, member) for member in (4, 6, 3))
    removed = db.now() - timedelta(hours=2)
    contributions.contribute(db, first, [document_draft(pages, words, removed, "mag-0042", 3)])
    text = [*others[0], *near[10:22], *others[1], *near[30:37], *others[2]]
    (recorded,) = contributions.contribute(db, second, [document_draft((), text, removed, "post-5150", 2)]).recorded
    dispute = OpinionDraft(Stance.DISPUTES, "edsa_context", "The parts stand in a ruling that we keep up.")
    opinions.give(db, third, recorded.contribution.id, dispute)


_LICENCE = int("5a" * 32, 16)
"""The hash of a window of a licence."""
_CARD = int("3c" * 32, 16)
"""The hash of a title card."""


def _shot(rng: np.random.Generator) -> list[tuple[int, int]]:
    """The hash and the quality of each frame of a shot of one to six seconds."""
    first, quality = _value(rng), int(rng.integers(62, 100))
    return [(first if place == 0 else _near_to(rng, first, 2), quality) for place in range(int(rng.integers(1, 7)))]


def _value(rng: np.random.Generator) -> int:
    """A value of PDQ with half of its bits set, like those of pictures."""
    return sum(1 << int(bit) for bit in rng.choice(256, 128, replace=False))


def _near_to(rng: np.random.Generator, value: int, bits: int) -> int:
    """A value at a distance of `bits`; it has as many set bits as the first one."""
    flipped = [int(bit) for bit in rng.permutation(256)]
    ones = [bit for bit in flipped if value >> bit & 1][: bits // 2]
    zeros = [bit for bit in flipped if not value >> bit & 1][: bits // 2]
    return value ^ sum(1 << bit for bit in (*ones, *zeros))


def _draft(
    shots: Sequence[Sequence[tuple[int, int]]], removed_at: datetime, reference: str, severity: int | None = None
) -> Draft:
    """The draft of a video with these shots, each the hash and the quality of its frames, a second apart."""
    frames = tuple(
        Frame(float(at), (Signal(Algorithm.PDQ, value),), quality)
        for at, (value, quality) in enumerate(frame for shot in shots for frame in shot)
    )
    digest = Signal.from_bytes(Algorithm.SHA256, hashlib.sha256(reference.encode()).digest())
    return Draft(
        (digest,),
        ("branded_propaganda",),
        removed_at,
        media=Media.VIDEO,
        severity=severity,
        reference=reference,
        frames=frames,
        duration=float(len(frames)),
    )


def _caller(db: HashDB, member: int) -> Actor:
    """Add a key of a member; return its actor."""
    key = members.issue_key(db, COMMAND_LINE, member, KeyDraft(frozenset({Scope.CONTRIBUTE, Scope.MATCH, Scope.FEED})))
    return members.authenticate(db, key.secret)


def _add_webhooks(db: HashDB) -> None:
    """Add webhooks of three members; each delivery of the first webhook has a different outcome."""
    for member, place in ((2, "palaver"), (3, "lumen-photos"), (5, "harbour-chat")):
        key = members.issue_key(db, COMMAND_LINE, member, KeyDraft(frozenset({Scope.FEED, Scope.MATCH})))
        address = f"https://trust.{place}.example/hooks/hashdb"
        topics = tuple(topic for topic in Topic if topic.scope is not Scope.REVIEW)
        webhooks.add(db, members.authenticate(db, key.secret), WebhookDraft(address, topics[member % 2 :]))
    attempts = {
        Topic.FEED_CHANGED: (Attempt(204, 38), DeliveryOutcome.DELIVERED),
        Topic.CASE_OPENED: (Attempt(None, 10_000, Trouble.TOO_SLOW), DeliveryOutcome.FAILED),
        Topic.MATCH_REVERSED: (Attempt(200, 61), DeliveryOutcome.DELIVERED),
    }
    for topic, (attempt, outcome) in attempts.items():
        with db.store.begin() as tx:
            delivery = tx.deliveries.add(1, webhooks.new_message(db, topic, {}))
            now = db.now()
            (claimed,) = tx.deliveries.claim([delivery.id], now, now + ATTEMPT_LEASE)
            tx.deliveries.record_attempt(claimed, attempt, outcome, now, None)
    webhooks.test(db, COMMAND_LINE, 1)


def count_matches(metrics: Metrics) -> None:
    """Count a number of match requests in the metrics."""
    for seconds in np.random.default_rng(data.SEED).lognormal(-7, 0.5, _MATCHES):
        metrics.count_request("POST", "/v1/matches", 200, float(seconds))


def _add_report(db: HashDB, actor: Actor, days: Period) -> None:
    reports.start(db, actor, days.first, days.last, None, lambda report: ReportOut.from_domain(report).json_text())
    while reports.latest(db, actor, 1)[0].outcome is None:
        time.sleep(0.2)


def _add_key_uses(db: HashDB) -> None:
    """Record recent uses of keys; one reader of the feed is a little behind, another one far behind."""
    now, head = db.now(), db.store.head().seq
    behind = {3: 40, 7: 2_600}
    uses = []
    for number in range(2, 25):
        at = now - timedelta(minutes=number % 5, seconds=number)
        fed = head - behind.get(number, 0)
        uses.append(Use(number, at, at, fed) if number % 6 else Use(number, now - timedelta(days=number)))
    with db.store.begin() as tx:
        tx.uses.record(uses)
