"""Services in which every kind of event has happened once."""

from __future__ import annotations

import time
from contextlib import nullcontext, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pyotp
from sqlalchemy import create_engine
from sqlalchemy import text as sql

from hashdb.domain.accounts.members import COMMAND_LINE, Actor, KeyDraft, MemberChange, MemberKind, MemberStatus, Scope
from hashdb.domain.accounts.saved_views import ViewDraft
from hashdb.domain.accounts.users import ProviderIdentity, Role, UserChange, UserDraft, UserStatus
from hashdb.domain.contributions import Addition, Amendment, IdempotencyKey
from hashdb.domain.jobs import JobStatus
from hashdb.domain.ledger.cosignatures import Cosigner, Submission
from hashdb.domain.ledger.notes import split_note
from hashdb.domain.ledger.policies import Policy
from hashdb.domain.ledger.records import ExpectedRecords
from hashdb.domain.matching.benign import BenignDraft
from hashdb.domain.review.bulk import BatchAction, BatchChoices, RowKind
from hashdb.domain.review.cases import Decision, OpinionDraft, Stance
from hashdb.domain.review.incidents import IncidentChange, IncidentDraft, Retention
from hashdb.domain.sharing.webhooks import Topic, WebhookDraft
from hashdb.domain.signals import Algorithm
from hashdb.errors import NotAuthenticated, SignInRefused
from hashdb.hashing.texts import hash_text
from hashdb.service import HashDB
from hashdb.service.accounts import members, passwords, saved_views, sessions, users
from hashdb.service.background import Task
from hashdb.service.contributions import additions, contributions, expiry
from hashdb.service.ledger import active_set, checkpoints, verification, witnesses
from hashdb.service.ledger.records import wrong_tables
from hashdb.service.ledger.signing import Signing
from hashdb.service.matching import benign, matches, seeds
from hashdb.service.review import batches, bulk, cases, claims, due, incidents, notes, opinions
from hashdb.service.sharing import deliveries, feed, following, webhooks
from hashdb.service.stats import counts, overviews, reports
from hashdb.store import Transaction
from tests.builders import (
    NOON,
    Clock,
    contributed,
    document,
    draft,
    hashdb,
    member_with,
    query,
    signal,
    signature,
    text,
    video,
    with_new_key,
    words,
)
from tests.service.pages import UPSTREAM_PAGE, follow_page

PASSWORD = "correct horse battery staple"
CONFIRMS, DISPUTES = OpinionDraft(Stance.CONFIRMS), OpinionDraft(Stance.DISPUTES, "other")


class Scene:
    """A service whose log has every kind of event once, and the records that its log implies."""

    def __init__(self, url: str, signing: Signing | None = None) -> None:
        self.clock = Clock()
        self.db = hashdb(url, self.clock, signing=signing)
        self.engine = create_engine(url)
        self._fill(*(member_with(self.db) for _ in range(3)))
        self.records = ExpectedRecords()
        with self.db.store.read() as tx:
            for row in tx.audit.rows(None, 1_000):
                self.records.replay(row.at, row.actor, row.action, row.subject_kind, row.subject_id, row.details)

    def _fill(self, alpha: Actor, beta: Actor, gamma: Actor) -> None:
        db = self.db
        soon = NOON + timedelta(hours=1)
        contributed(db, alpha, *map(draft, range(10, 20)), draft(20, expires_at=soon, severity=1))
        contributed(
            db,
            gamma,
            draft(30, signatures=(signature(30),)),
            video(31, 32, 33, 33, signals=(signal(31, Algorithm.MD5),)),
        )
        contributions.amend(db, alpha, 1, Amendment(severity=4, labels=("recruitment",), basis="terms"))
        additions.add_one(db, alpha, Addition(1, (signal(10), signal(40))))
        contributions.withdraw(db, alpha, 2, "removal_reversed")
        contributions.erase(db, alpha, 3)
        opinions.give(db, beta, 4, DISPUTES)
        cases.decide(db, COMMAND_LINE, 1, Decision.RETIRE)
        opinions.give(db, beta, 5, CONFIRMS)
        opinions.give(db, beta, 5, DISPUTES)
        members.change(db, COMMAND_LINE, 3, MemberChange(status=MemberStatus.SUSPENDED, kind=MemberKind.AUTHORITY))
        members.issue_key(db, COMMAND_LINE, 2, KeyDraft(frozenset({Scope.MATCH}), soon, hides_distances=True))
        members.issue_key(db, COMMAND_LINE, 2, KeyDraft(frozenset({Scope.MATCH, Scope.FEED})))
        members.revoke_key(db, COMMAND_LINE, 5)
        users.add(db, COMMAND_LINE, UserDraft("ada", Role.ADMIN), PASSWORD)
        users.change(db, COMMAND_LINE, 1, UserChange(Role.AUDITOR, UserStatus.DISABLED))
        benign.add_built_in(db, [BenignDraft((signal(1), signal(2)), built_in="one"), BenignDraft((signal(3),))])
        benign.delete(db, COMMAND_LINE, 2)
        incidents.add(db, COMMAND_LINE, IncidentDraft("CI:x", NOON))
        incidents.change(db, COMMAND_LINE, 1, IncidentChange(end=soon, expires=True))
        webhooks.add(db, alpha, WebhookDraft("https://example.org/hook", (Topic.FEED_CHANGED,)))
        db.rules = replace(db.rules, two_persons=True)
        members.change(db, admin_of_second_member(db), 1, MemberChange(status=MemberStatus.SUSPENDED))
        self.clock.advance(hours=2)
        contributions.emit_pending(db)
        seeds.make_first(db)
        seeds.rotate(db, COMMAND_LINE)
        seeds.retire(db, COMMAND_LINE, 1)

    def close(self) -> None:
        self.engine.dispose()
        self.db.close()

    def findings(self, *statements: str, now: datetime | None = None) -> list[str]:
        """Run these statements, return what verification finds in the tables, and roll the statements back."""
        with self.engine.connect() as connection, connection.begin() as transaction:
            for statement in statements:
                connection.execute(sql(statement))
            tx = Transaction(connection)
            findings = list(wrong_tables(tx, self.records, now or self.clock(), lambda count: None))
            transaction.rollback()
        return findings


class FullScene(Scene):
    """A scene that also has sessions, matches, the counts of two days and jobs, so that every table has a row."""

    def __init__(self, url: str, folder: Path) -> None:
        super().__init__(url, Signing(folder / "signing.key", folder / "checkpoints.txt", "log.example/1"))
        checkpoints.start(self.db)
        self.db.rules = replace(self.db.rules, two_persons=False, flood_cap=1_000)
        self._contribute()
        following.apply(self.db, follow_page(self.db), UPSTREAM_PAGE)
        self._sign_in()
        self._match()
        self._run_jobs()
        self._decide_in_a_batch()
        # One checkpoint without cosignatures, and one with cosignatures.
        checkpoints.keep(self.db)
        self._sign_set()
        checkpoints.keep(self.db, at_once=True)
        witnesses.ask(self.db, lambda witness: nullcontext(partial(_cosigned, self.signer)))

    def _contribute(self) -> None:
        db = self.db
        delta = member_with(db)
        document_words = words(1, 400)
        disputed, *_ = contributed(
            db, delta, draft(50), draft(51), document((53, 54), document_words), text(words(2, 300))
        )
        contributions.contribute(db, delta, [draft(52)], IdempotencyKey("key-1", bytes(32)))
        case = cases.open_case(db, COMMAND_LINE, disputed.id, "other", holds=True).id
        claims.take(db, COMMAND_LINE, case)
        notes.add(db, COMMAND_LINE, case, "seen before?")
        window = hash_text(" ".join(document_words))[1].signals
        benign.add(db, COMMAND_LINE, BenignDraft((signal(51), *window), note="a splash screen"))
        benign.settle(db)
        db.rules = replace(db.rules, retention=Retention({"recruitment": 400}))
        expiry.put_retention_in_force(db)
        expiry.settle(db)
        webhooks.test(
            db, delta, webhooks.add(db, delta, WebhookDraft("https://a.example/", (Topic.FEED_CHANGED,))).webhook.id
        )
        deliveries.make(db)
        db.rules = replace(db.rules, due_soon=db.rules.time_to_decide, mails=True)
        webhooks.add(db, member_with(db, Scope.REVIEW), WebhookDraft("https://b.example/", (Topic.CASE_DUE,)))
        due.report(db)

    def _sign_in(self) -> None:
        db = self.db
        users.add(db, COMMAND_LINE, UserDraft("grace", Role.ADMIN), PASSWORD)
        users.add(db, COMMAND_LINE, UserDraft("lin", Role.REVIEWER), local=False)
        grace = sessions.sign_in(db, "grace", PASSWORD, "office").session
        sessions.sign_out(db, sessions.sign_in(db, "grace", PASSWORD, "office").session)
        due.set_address(db, grace, "grace@example.org")
        saved_views.add(db, grace, ViewDraft("cases", "Crisis first", "order=severity", shared=True))
        secret = passwords.new_secret()
        users.add_factor(db, grace, PASSWORD, secret, pyotp.TOTP(secret).at(self.clock()))
        # This sign-in is incomplete: it waits for the second factor.
        sessions.sign_in(db, "grace", PASSWORD, "office")
        sessions.sign_in_by_provider(db, "lin", ProviderIdentity("https://id.example", "subject-1"), "office")
        with suppress(SignInRefused):
            sessions.sign_in(db, "grace", "wrong", "elsewhere")

    def _match(self) -> None:
        db = self.db
        querier = member_with(db)
        for _ in range(2):
            matches.match(db, querier, [query(15), query(999)])
            db.stats.note_refused_contributions(db.now(), 1, "invalid_input")
            feed.read(db, querier, 0, 10)
            feed.log_feed_read(db, querier)
            counts.flush(db)
            members.flush(db)
            self.clock.advance(days=1)
            counts.seal(db)
        matches.match(db, with_new_key(db, querier), [query(15)])
        for _ in range(2):
            # The service logs the first refusal at once, and the second a minute later.
            with suppress(NotAuthenticated):
                members.authenticate(db, "hdb_unknown")
            counts.flush(db)
        while overviews.follow(db):
            pass

    def _run_jobs(self) -> None:
        self.db.background.failed(Task.REPORT, ValueError("an example"))
        with self.db.store.begin() as tx:
            now = self.db.now()
            tx.answer_jobs.change(tx.answer_jobs.add("key:1", now), JobStatus.DONE, 100, now, "an answer")
        verification.start(self.db, COMMAND_LINE)
        reports.start(self.db, COMMAND_LINE, None, None, None, lambda report: "a report")
        with self.db.store.begin() as tx:
            tx.answer_jobs.add("key:1", self.clock())
        deadline = time.monotonic() + 20
        while self._jobs_are_running():
            assert time.monotonic() < deadline, "the background jobs do not end"
            time.sleep(0.02)

    def _decide_in_a_batch(self) -> None:
        lin = users.named(self.db, COMMAND_LINE, "lin").actor
        batch = bulk.select(self.db, lin, BatchAction.QUARANTINE, RowKind.CONTRIBUTION, [16, 17])
        bulk.start(self.db, lin, batch.id, BatchChoices("other", "an example"))
        batches.carry_out(self.db)

    def _sign_set(self) -> None:
        signer = self.signer = Cosigner.new("a.example")
        policy = Policy.parse(f"witness a {signer.key} https://a.example\nquorum a")
        self.db.rules = replace(self.db.rules, organisations=policy, witnesses=policy)
        active_set.keep(self.db)
        body = active_set.get(self.db, COMMAND_LINE).note.partition("\n\n")[0] + "\n"
        active_set.sign(self.db, COMMAND_LINE, signer.cosign(body, 1_800_000_000))

    def _jobs_are_running(self) -> bool:
        (verified,), (report,) = (
            verification.latest(self.db, COMMAND_LINE),
            reports.latest(self.db, COMMAND_LINE),
        )
        return verified.outcome is None or report.outcome is None


def _cosigned(signer: Cosigner, submission: Submission) -> witnesses.Reply:
    return witnesses.Reply(200, signer.cosign(split_note(submission.note)[0], 1_800_000_000))


def admin_of_second_member(db: HashDB) -> Actor:
    """The actor of a new `admin` key of the second member."""
    secret = members.issue_key(db, COMMAND_LINE, 2, KeyDraft(frozenset({Scope.ADMIN}))).secret
    return members.authenticate(db, secret)
