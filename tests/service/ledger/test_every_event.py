"""Every verb of the service that changes data writes an event. A new verb fails these tests until it is listed."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pyotp
import pytest

import hashdb.service
from hashdb.domain.accounts.members import (
    COMMAND_LINE,
    Actor,
    KeyDraft,
    MemberChange,
    MemberDraft,
    MemberKind,
    MemberStatus,
    Scope,
)
from hashdb.domain.accounts.users import OpenedSession, ProviderIdentity, Role, Session, UserChange, UserDraft
from hashdb.domain.contributions import Addition, Amendment
from hashdb.domain.listings import Listing
from hashdb.domain.matching.benign import BenignDraft
from hashdb.domain.review.bulk import BatchAction, BatchChoices, RowKind
from hashdb.domain.review.cases import Decision, OpinionDraft, Stance
from hashdb.domain.review.incidents import IncidentChange, IncidentDraft, Retention
from hashdb.domain.review.queues import QueueQuery
from hashdb.domain.sharing.webhooks import Topic, WebhookChange, WebhookDraft
from hashdb.domain.stats.counts import AccessRefusal
from hashdb.domain.times import Period
from hashdb.errors import InvalidInput
from hashdb.service import HashDB, backups, health
from hashdb.service.accounts import members, passwords, sessions, users
from hashdb.service.contributions import additions, commitments, contributions, expiry, listings
from hashdb.service.ledger import active_set, checkpoints
from hashdb.service.ledger.verification import verify
from hashdb.service.matching import benign, matches, neighbors, seeds
from hashdb.service.review import batches, bulk, cases, claims, due, incidents, notes, opinions, proposals, queues
from hashdb.service.sharing import feed, following, upstreams, webhooks
from hashdb.service.stats import counts, refusals, reports
from hashdb.service.stats.buffer import Refusal
from tests.builders import NOON, RULES, contributed, draft, member_with, query, signal
from tests.service.contributions.test_commitments import remove_commitments
from tests.service.pages import UPSTREAM_PAGE, connect_to_page, follow_page

PASSWORD = "correct horse battery staple"
Verb = Callable[[HashDB, Actor, int], object]


def take_over_case(db: HashDB, id: int) -> None:
    """Let one reviewer take over the case of a contribution from another reviewer."""
    case = dispute(db, id)
    claims.take(db, member_with(db, Scope.REVIEW), case)
    claims.take(db, COMMAND_LINE, case, from_others=True)


def run_batch(db: HashDB, id: int) -> None:
    """Quarantine a contribution by a batch."""
    batch = bulk.select(db, COMMAND_LINE, BatchAction.QUARANTINE, RowKind.CONTRIBUTION, [id])
    bulk.start(db, COMMAND_LINE, batch.id, BatchChoices("other", "as an example"))
    batches.carry_out(db)


def dispute(db: HashDB, id: int) -> int:
    """Let another member dispute a contribution; return the id of the case."""
    case = opinions.give(db, member_with(db), id, OpinionDraft(Stance.DISPUTES, "other")).case
    assert case is not None
    return case


def _delete_benign(db: HashDB) -> None:
    (entry,) = benign.page(db, COMMAND_LINE, 0, 1)
    benign.delete(db, COMMAND_LINE, entry.id)


BENIGN = BenignDraft((signal(1),), built_in="one")
RULES_WITH_RETENTION = replace(RULES, retention=Retention({"glorification": 1}))
PREPARATIONS: dict[str, Callable[[HashDB], object]] = {
    "benign.delete": lambda db: benign.add_built_in(db, [BENIGN]),
    "benign.settle": lambda db: benign.add_built_in(db, [BENIGN]),
    "expiry.put_retention_in_force": lambda db: setattr(db, "rules", RULES_WITH_RETENTION),
    "health.log_safeguards": lambda db: setattr(db, "rules", replace(RULES, flood_cap=9)),
    "expiry.settle": lambda db: _start_retention(db),
    "incidents.change": lambda db: incidents.add(db, COMMAND_LINE, IncidentDraft("CI:x", NOON)),
    "proposals.drop": lambda db: _propose(db),
    "proposals.expire": lambda db: _propose(db, later=True),
    "contributions.emit_pending": lambda db: setattr(db, "now", lambda: NOON + timedelta(days=3)),
    "opinions.recount": lambda db: _silence_an_opinion(db),
    "neighbors.guard": lambda db: _flood(db),
    "contributions.purge": lambda db: _erase(db),
    "commitments.commit": lambda db: remove_commitments(db, 1),
    "seeds.retire": lambda db: _rotate_seeds(db),
    "due.set_address": lambda db: setattr(db, "rules", replace(RULES, mails=True)),
}
"""What must happen before some verbs so that they change something."""
NEEDS_A_WEBHOOK = ("webhooks.change", "webhooks.delete", "webhooks.renew")


def _start_retention(db: HashDB) -> None:
    db.rules = RULES_WITH_RETENTION
    expiry.put_retention_in_force(db)


def _propose(db: HashDB, *, later: bool = False) -> None:
    db.rules = replace(db.rules, two_persons=True)
    benign.add(db, COMMAND_LINE, BENIGN)
    if later:
        db.now = lambda: NOON + timedelta(days=4)


def _flood(db: HashDB) -> None:
    db.rules = replace(db.rules, flood_cap=1)
    for member in (member_with(db), member_with(db), member_with(db)):
        matches.match(db, member, [query(1)])
    counts.flush(db)


def _erase(db: HashDB) -> None:
    contributions.erase(db, COMMAND_LINE, 1)
    db.now = lambda: NOON + timedelta(days=90)


def _rotate_seeds(db: HashDB) -> None:
    seeds.make_first(db)
    seeds.rotate(db, COMMAND_LINE)


def _silence_an_opinion(db: HashDB) -> None:
    dispute(db, 1)
    members.change(db, COMMAND_LINE, 2, MemberChange(status=MemberStatus.SUSPENDED))


def add_webhook(db: HashDB, actor: Actor) -> int:
    """Add a webhook of the actor's member; return its id."""
    return webhooks.add(db, actor, WebhookDraft("https://example.org/hook", (Topic.FEED_CHANGED,))).webhook.id


def sign_in(db: HashDB) -> OpenedSession:
    """Sign in a user, who is added first if necessary."""
    if not users.page(db, COMMAND_LINE, 0, 1):
        users.add(db, COMMAND_LINE, UserDraft("ada", Role.ADMIN), PASSWORD)
    return sessions.sign_in(db, "ada", PASSWORD, "")


def new_session(db: HashDB) -> Session:
    """Sign in a user, and return the session."""
    return sign_in(db).session


def add_factor(db: HashDB) -> tuple[str, ...]:
    """Add a second factor to a user, and return the recovery codes."""
    secret = passwords.new_secret()
    return users.add_factor(db, new_session(db), PASSWORD, secret, pyotp.TOTP(secret).at(db.now()))


def two_sessions(db: HashDB) -> Session:
    """Sign in a user twice, and return the second session."""
    new_session(db)
    return new_session(db)


def sign_in_by_recovery_code(db: HashDB) -> OpenedSession:
    """Sign in a user with a recovery code as the second factor."""
    code = add_factor(db)[0]
    return sessions.confirm(db, sign_in(db).token, code, "")


def sign_in_by_provider(db: HashDB) -> OpenedSession:
    """Sign in a user through a provider."""
    users.add(db, COMMAND_LINE, UserDraft("bob", Role.ADMIN), local=False)
    return sessions.sign_in_by_provider(db, "bob", ProviderIdentity("https://login.example", "subject"), "")


def _give_a_wrong_password(db: HashDB) -> None:
    with pytest.raises(InvalidInput):
        sessions.require_password(db, new_session(db), "wrong")


CHANGES: dict[str, Verb] = {
    "benign.add": lambda db, actor, id: benign.add(db, COMMAND_LINE, BENIGN),
    "benign.delete": lambda db, actor, id: _delete_benign(db),
    "benign.add_built_in": lambda db, actor, id: benign.add_built_in(db, [BENIGN]),
    "neighbors.guard": lambda db, actor, id: neighbors.guard(db),
    "cases.decide": lambda db, actor, id: cases.decide(db, COMMAND_LINE, dispute(db, id), Decision.UPHOLD),
    "expiry.settle": lambda db, actor, id: expiry.settle(db),
    "expiry.put_retention_in_force": lambda db, actor, id: expiry.put_retention_in_force(db),
    "health.log_safeguards": lambda db, actor, id: health.log_safeguards(db),
    "members.log_listing": lambda db, actor, id: members.log_listing(db, actor),
    "incidents.add": lambda db, actor, id: incidents.add(db, COMMAND_LINE, IncidentDraft("CI:x", NOON)),
    "incidents.change": lambda db, actor, id: incidents.change(db, COMMAND_LINE, 1, IncidentChange(expires=True)),
    "benign.settle": lambda db, actor, id: benign.settle(db),
    "proposals.drop": lambda db, actor, id: proposals.drop(db, COMMAND_LINE, 1),
    "proposals.expire": lambda db, actor, id: proposals.expire(db),
    "feed.read": lambda db, actor, id: feed.read(db, actor, 0, 10),
    "feed.log_feed_read": lambda db, actor, id: feed.log_feed_read(db, actor),
    "active_set.keep": lambda db, actor, id: active_set.keep(db),
    "checkpoints.rotate": lambda db, actor, id: checkpoints.rotate(db, COMMAND_LINE),
    "checkpoints.start": lambda db, actor, id: checkpoints.start(db),
    "additions.add": lambda db, actor, id: additions.add(db, actor, [Addition(id, (signal(1), signal(2)))]),
    "additions.add_one": lambda db, actor, id: additions.add_one(db, actor, Addition(id, (signal(1), signal(2)))),
    "contributions.amend": lambda db, actor, id: contributions.amend(db, actor, id, Amendment(severity=4)),
    "contributions.emit_pending": lambda db, actor, id: contributions.emit_pending(db),
    "recording.record": lambda db, actor, id: contributions.contribute(db, actor, [draft(99)]),
    "contributions.erase": lambda db, actor, id: contributions.erase(db, actor, id),
    "contributions.purge": lambda db, actor, id: contributions.purge(db),
    "commitments.commit": lambda db, actor, id: commitments.commit(db),
    "contributions.withdraw": lambda db, actor, id: contributions.withdraw(db, actor, id, "other"),
    "opinions.give": lambda db, actor, id: dispute(db, id),
    "opinions.recount": lambda db, actor, id: opinions.recount(db),
    "backups.log_backup": lambda db, actor, id: backups.log_backup(db, COMMAND_LINE, with_key=False),
    "backups.log_verified": lambda db, actor, id: backups.log_verified(db, COMMAND_LINE, 7),
    "queues.uphold_pile": lambda db, actor, id: (
        dispute(db, id),
        queues.uphold_pile(db, COMMAND_LINE, 2, 99, "as an example", QueueQuery()),
    ),
    "batches.carry_out": lambda db, actor, id: run_batch(db, id),
    "claims.take": lambda db, actor, id: take_over_case(db, id),
    "notes.add": lambda db, actor, id: notes.add(db, COMMAND_LINE, dispute(db, id), "as an example"),
    "backups.log_restored": lambda db, actor, id: backups.log_restored(db, COMMAND_LINE),
    "cases.open_case": lambda db, actor, id: cases.open_case(db, COMMAND_LINE, id, "other", holds=False),
    "listings.export": lambda db, actor, id: listings.export(db, COMMAND_LINE, Listing(), "csv"),
    "counts.flush": lambda db, actor, id: _refuse_a_request(db),
    "counts.seal": lambda db, actor, id: _seal_counts(db, actor),
    "members.add": lambda db, actor, id: members.add(db, COMMAND_LINE, MemberDraft("New", MemberKind.OPERATOR)),
    "members.change": lambda db, actor, id: members.change(db, COMMAND_LINE, 1, MemberChange(name="Other")),
    "members.issue_key": lambda db, actor, id: members.issue_key(
        db, COMMAND_LINE, 1, KeyDraft(frozenset({Scope.MATCH}))
    ),
    "members.revoke_key": lambda db, actor, id: members.revoke_key(db, COMMAND_LINE, 1),
    "reports.log_report": lambda db, actor, id: reports.log_report(
        db, actor, Period(NOON.date(), NOON.date()), None, "csv"
    ),
    "reports.text": lambda db, actor, id: _download_a_report(db),
    "reports.transparency": lambda db, actor, id: reports.transparency(db, COMMAND_LINE, None, None, form="json"),
    "refusals.log_anonymous": lambda db, actor, id: _log_anonymous_refusals(db),
    "sessions.sign_in_by_provider": lambda db, actor, id: sign_in_by_provider(db),
    "sessions.confirm": lambda db, actor, id: sign_in_by_recovery_code(db),
    "sessions.end_others": lambda db, actor, id: sessions.end_others(db, two_sessions(db)),
    "sessions.sign_in": lambda db, actor, id: sign_in(db),
    "sessions.sign_out": lambda db, actor, id: sessions.sign_out(db, new_session(db)),
    "users.add": lambda db, actor, id: users.add(db, COMMAND_LINE, UserDraft("new", Role.ADMIN)),
    "users.add_factor": lambda db, actor, id: add_factor(db),
    "users.change": lambda db, actor, id: users.change(
        db, COMMAND_LINE, new_session(db).user.id, UserChange(Role.AUDITOR)
    ),
    "users.choose_password": lambda db, actor, id: users.choose_password(
        db, new_session(db), PASSWORD, f"{PASSWORD}, too"
    ),
    "sessions.require_password": lambda db, actor, id: _give_a_wrong_password(db),
    "users.use_provider": lambda db, actor, id: users.use_provider(db, COMMAND_LINE, new_session(db).user.id),
    "users.remove_factor": lambda db, actor, id: users.remove_factor(db, new_session(db), PASSWORD),
    "seeds.retire": lambda db, actor, id: seeds.retire(db, COMMAND_LINE, 1),
    "seeds.rotate": lambda db, actor, id: seeds.rotate(db, COMMAND_LINE),
    "seeds.make_first": lambda db, actor, id: seeds.make_first(db),
    "webhooks.add": lambda db, actor, id: add_webhook(db, actor),
    "webhooks.change": lambda db, actor, id: webhooks.change(db, actor, 1, WebhookChange(enabled=False)),
    "webhooks.delete": lambda db, actor, id: webhooks.delete(db, actor, 1),
    "webhooks.renew": lambda db, actor, id: webhooks.renew(db, actor, 1),
    "following.look": lambda db, actor, id: (follow_page(db), following.look(db, connect_to_page)),
    "following.apply": lambda db, actor, id: following.apply(db, follow_page(db), UPSTREAM_PAGE),
    "upstreams.add": lambda db, actor, id: follow_page(db),
    "upstreams.pause": lambda db, actor, id: upstreams.pause(db, COMMAND_LINE, follow_page(db).id),
    "upstreams.resume": lambda db, actor, id: upstreams.resume(
        db, COMMAND_LINE, follow_page(db).id, connect_to_page, key="hdb_other"
    ),
    "upstreams.remove": lambda db, actor, id: (
        following.apply(db, follow_page(db), UPSTREAM_PAGE),
        upstreams.remove(db, COMMAND_LINE, 1),
    ),
    "due.set_address": lambda db, actor, id: due.set_address(db, new_session(db), "ada@example.org"),
    "users.reset": lambda db, actor, id: users.reset(db, COMMAND_LINE, new_session(db).user.id),
}
"""Every verb that writes, with one use of it that changes data."""


def _refuse_a_request(db: HashDB) -> bool:
    db.stats.note_refused_request(db.now(), 0, Refusal(None, AccessRefusal.NO_KEY))
    return counts.flush(db)


def _download_a_report(db: HashDB) -> str:
    started = reports.start(db, COMMAND_LINE, None, None, None, lambda report: "a report")
    while reports.get(db, COMMAND_LINE, started.id).outcome is None:
        time.sleep(0.01)
    return reports.text(db, COMMAND_LINE, started.id, "csv")


def _seal_counts(db: HashDB, actor: Actor) -> bool:
    matches.match(db, actor, [query(1)])
    counts.flush(db)
    db.now = lambda: NOON + timedelta(days=1)
    return counts.seal(db)


def _log_anonymous_refusals(db: HashDB) -> bool:
    for _ in range(2):
        _refuse_a_request(db)
    db.now = lambda: NOON + timedelta(minutes=1)
    return refusals.log_anonymous(db)


WITHOUT_AN_EVENT = {
    "backups.move": "`backups.log_backup` writes the event",
    "active_set.sign": "it stores signatures over a root that is in an event",
    "checkpoints.keep": "it stores a signed checkpoint over the events",
    "witnesses.ask": "it stores signatures of witnesses over a signed checkpoint",
    "sent_opinions.send_opinions": "it stores the last event whose opinions were sent; the other service logs them",
    "sessions.count_provider_attempt": "it counts an attempt; `sessions.sign_in_by_provider` logs a failure",
    "batches.prune": "it deletes old batches; the events of their acts stay",
    "bulk.select": "a draft of a batch changes nothing",
    "bulk.select_confirmation": "as above",
    "bulk.select_undo": "as above",
    "bulk.start": "each act of a batch is an event",
    "bulk.stop": "it only stops acts that have not happened",
    "saved_views.add": "a view is a setting of a user and contains no data of the service",
    "saved_views.change": "as above",
    "saved_views.remove": "as above",
    "sessions.find_session": "it stores the time of the last use of a session, once a minute",
    "contributions.delete_leftovers": "version 0.1.0 left this content; the erasure of its contribution is logged",
    "later.prune": "it deletes the stored answers of old jobs",
    "due.mail": "a mail about cases changes no data",
    "due.report": "it is in the list of deliveries",
    "deliveries.claim": "the sender of a delivery is in the list of deliveries",
    "deliveries.make": "its deliveries are about logged events",
    "deliveries.prune": "it deletes old deliveries",
    "deliveries.send": "the outcome is in the list of deliveries; disabling a webhook is logged",
    "webhooks.redeliver": "it is in the list of deliveries",
    "webhooks.test": "it is in the list of deliveries",
    "claims.take_next": "claiming a free case changes nothing; taking a case over from another reviewer is logged",
    "claims.renew": "as above",
    "claims.release": "as above",
    "overviews.follow": "it computes its figures from the events",
    "members.flush": "it stores the time of the last use of keys, once a minute",
    "counts.reversals": "it stores counts, as `counts.flush` does",
    "jobs.start": "the event is written when the job has ended",
    "reports.start": "the event is written when the report is complete",
    "verification.start": "the event is written when the verification has ended",
}
"""Verbs that write without an event, with the reason."""


def _verbs() -> Iterator[tuple[str, bool]]:
    """Yield the verbs of the service, and whether each may write, itself or by a function of its module.

    A verb is a public function whose first argument is `db`.
    """
    for module in pkgutil.walk_packages(hashdb.service.__path__, "hashdb.service."):
        source = inspect.getsource(importlib.import_module(module.name))
        functions = {node.name: node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}
        for name, function in functions.items():
            takes_service = [argument.arg for argument in function.args.args[:1]] == ["db"]
            if takes_service and not name.startswith("_"):
                yield f"{module.name.rpartition('.')[2]}.{name}", _writes(function, functions, set())


def _writes(function: ast.FunctionDef, others: dict[str, ast.FunctionDef], seen: set[str]) -> bool:
    seen.add(function.name)
    nodes = list(ast.walk(function))
    if any(isinstance(node, ast.Attribute) and node.attr == "begin" for node in nodes):
        return True
    names = [node for node in nodes if isinstance(node, ast.Name)]
    own = {node.arg for node in nodes if isinstance(node, ast.arg)}
    own |= {name.id for name in names if isinstance(name.ctx, ast.Store)}
    called = {name.id for name in names} & others.keys() - own - seen
    return any(_writes(others[name], others, seen) for name in called)


def test_every_verb_that_writes_is_listed_here() -> None:
    verbs = dict(_verbs())
    assert len(verbs) > len(CHANGES)
    assert {name for name, writes in verbs.items() if writes} == CHANGES.keys() | WITHOUT_AN_EVENT.keys()


@pytest.mark.parametrize("verb", CHANGES)
def test_a_verb_that_changes_data_writes_an_event(db: HashDB, actor: Actor, verb: str) -> None:
    (contribution,) = contributed(db, actor, draft(1, severity=2, expires_at=NOON + timedelta(days=2)))
    if verb in PREPARATIONS:
        PREPARATIONS[verb](db)
    if verb in NEEDS_A_WEBHOOK:
        add_webhook(db, actor)
    before = db.store.head().seq
    CHANGES[verb](db, actor, contribution.id)
    assert db.store.head().seq > before
    if verb != "commitments.commit":
        # The tables always agree with the events. `commitments.commit` is the exception: the test removed a commitment
        # that is in an event, while a contribution of an older version has no commitment in its event.
        assert verify(db, COMMAND_LINE).findings == ()
