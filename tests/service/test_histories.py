"""After any sequence of actions, copies, matches, the service and the log agree on the active contributions."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from hashdb.domain.accounts.members import (
    COMMAND_LINE,
    SYSTEM,
    Actor,
    KeyDraft,
    MemberChange,
    MemberDraft,
    MemberKind,
    MemberStatus,
)
from hashdb.domain.contributions import Amendment, Contribution, Filter, Status
from hashdb.domain.review.cases import CaseState, Cause, Decision, OpinionDraft, Stance, ruling, standing
from hashdb.errors import AlreadyWithdrawn, MemberSuspended, NotActive, NotFound
from hashdb.service import HashDB
from hashdb.service.accounts import members
from hashdb.service.contributions import contributions
from hashdb.service.ledger.verification import verify
from hashdb.service.matching import matches
from hashdb.service.review import cases, opinions
from hashdb.service.stats import overviews, reports
from tests.builders import USUAL, Clock, draft, excerpt, hashdb, query, text, video, words
from tests.service.copies import Copy

SEEDS = range(5)
MAKERS = (draft, video, lambda seed, **fields: text(words(seed, 60), **fields))
OPINIONS = [OpinionDraft(Stance.CONFIRMS), OpinionDraft(Stance.DISPUTES, "other")]
hours = st.integers(1, 5)
either_member = st.integers(0, 1)
choices = st.integers(0, 10_000)


class Histories(RuleBasedStateMachine):
    """Two members that contribute pictures, videos and texts and act at random, a clock, and two readers."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = Clock()
        self.db: HashDB = hashdb(f"sqlite:///{self.folder.name}/hashdb.sqlite", self.clock)
        self.slow, self.quick = Copy(), Copy()

    @initialize()
    def add_members(self) -> None:
        """Add the two members."""
        self.members, self.secrets = [], []
        for name in ("One", "Two"):
            added = members.add(self.db, COMMAND_LINE, MemberDraft(name, MemberKind.PLATFORM))
            self.members.append(added.id)
            key = members.issue_key(self.db, COMMAND_LINE, added.id, KeyDraft(frozenset(USUAL)))
            self.secrets.append(key.secret)

    def hours_from_now(self, hours: int | None) -> datetime | None:
        return None if hours is None else self.clock() + timedelta(hours=hours)

    def actor(self, member: int) -> Actor:
        return members.authenticate(self.db, self.secrets[member])

    def all_contributions(self) -> tuple[Contribution, ...]:
        return contributions.page(self.db, COMMAND_LINE, Filter(), 0, 1_000)

    def contribution_of(self, member: int, choice: int) -> int | None:
        ids = [item.id for item in self.all_contributions() if item.member == self.members[member]]
        return ids[choice % len(ids)] if ids else None

    @rule(
        member=either_member,
        seeds=st.lists(st.sampled_from(SEEDS), min_size=1, max_size=3),
        expires_in=st.none() | hours,
    )
    def contribute(self, member: int, seeds: list[int], expires_in: int | None) -> None:
        expires_at = self.hours_from_now(expires_in)
        try:
            drafts = [MAKERS[seed % len(MAKERS)](seed, expires_at=expires_at) for seed in seeds]
            contributions.contribute(self.db, self.actor(member), drafts)
        except MemberSuspended:
            assert self.status(member) is MemberStatus.SUSPENDED

    @rule(member=either_member, choice=choices, severity=st.integers(0, 4), expires_in=st.none() | hours)
    def amend(self, member: int, choice: int, severity: int, expires_in: int | None) -> None:
        amendment = Amendment(severity=severity, expires_at=self.hours_from_now(expires_in))
        self.attempt(contributions.amend, member, choice, amendment)

    @rule(member=either_member, choice=choices)
    def withdraw(self, member: int, choice: int) -> None:
        self.attempt(contributions.withdraw, member, choice, "other")

    @rule(member=either_member, choice=choices)
    def erase(self, member: int, choice: int) -> None:
        self.attempt(contributions.erase, member, choice)

    @rule(member=either_member, choice=choices, opinion=st.sampled_from(OPINIONS))
    def give_opinion(self, member: int, choice: int, opinion: OpinionDraft) -> None:
        id = self.contribution_of(1 - member, choice)
        if id is not None:
            with suppress(MemberSuspended, NotActive, NotFound):
                opinions.give(self.db, self.actor(member), id, opinion)

    @rule(choice=choices, decision=st.sampled_from(Decision))
    def decide(self, choice: int, decision: Decision) -> None:
        open_cases = cases.page(self.db, COMMAND_LINE, CaseState.OPEN, 0, 1_000)
        if open_cases:
            cases.decide(self.db, COMMAND_LINE, open_cases[choice % len(open_cases)].id, decision)

    @rule(choice=choices)
    def quarantine(self, choice: int) -> None:
        id = self.contribution_of(choice % 2, choice)
        if id is not None:
            with self.db.store.begin() as tx:
                contribution, now = tx.contributions.one(id, self.clock(), lock=True), self.clock()
                tx.audit.append(now, SYSTEM, cases.hold(tx, self.db.rules, [contribution], Cause.FLOOD, now))

    @rule(limit=st.integers(1, 3))
    def recount(self, limit: int) -> None:
        opinions.recount(self.db, limit)

    def attempt(self, verb: object, member: int, choice: int, *rest: object) -> None:
        id = self.contribution_of(member, choice)
        if id is not None:
            with suppress(MemberSuspended, NotActive, AlreadyWithdrawn):
                verb(self.db, self.actor(member), id, *rest)  # type: ignore[operator]

    def status(self, member: int) -> MemberStatus:
        return members.get(self.db, COMMAND_LINE, self.members[member]).status

    @rule(member=either_member, status=st.sampled_from(MemberStatus))
    def set_status(self, member: int, status: MemberStatus) -> None:
        members.change(self.db, COMMAND_LINE, self.members[member], MemberChange(status=status))

    @rule(by=hours)
    def advance_the_clock(self, by: int) -> None:
        self.clock.advance(hours=by)

    @rule(limit=st.integers(1, 3))
    def emit_pending_events(self, limit: int) -> None:
        contributions.emit_pending(self.db, limit)

    @rule(limit=st.integers(1, 4), times=st.integers(1, 2))
    def read_the_next_page(self, limit: int, times: int) -> None:
        self.slow.read(self.db, SYSTEM, limit, times=times)

    @invariant()
    def an_up_to_date_copy_equals_a_new_copy(self) -> None:
        if hasattr(self, "members"):
            self.quick.follow(self.db, SYSTEM)
            fresh = Copy()
            fresh.follow(self.db, SYSTEM, 7)
            assert self.quick.contributions == fresh.contributions

    @rule()
    def all_active_contributions_match_and_no_others(self) -> None:
        active = [item for item in self.all_contributions() if item.status is Status.ACTIVE and item.standing.matches]
        queries = [query(seed) for seed in SEEDS] + [excerpt(words(seed, 60)) for seed in SEEDS]
        answer = matches.match(self.db, SYSTEM, queries)
        matched = {match.contribution for result in answer.results for match in result.matches}
        assert matched == {item.id for item in active}

    @rule()
    def verification_finds_nothing(self) -> None:
        assert verify(self.db, COMMAND_LINE).findings == ()

    @rule()
    def copies_equal_the_service_once_all_events_are_emitted(self) -> None:
        while contributions.emit_pending(self.db) or opinions.recount(self.db):
            pass
        items = self.all_contributions()
        matching = {item.id: item for item in items if item.status is Status.ACTIVE and item.standing.matches}
        complete = {
            id: replace(item, frames=contributions.frames(self.db, COMMAND_LINE, id)) for id, item in matching.items()
        }
        for copy in (self.quick, self.slow):
            copy.follow(self.db, SYSTEM, 3)
            assert copy.contributions == {
                id: item.shown(signals=True, reference=False) for id, item in complete.items()
            }

    @rule()
    def recounted_standings_follow_from_opinions_and_decisions(self) -> None:
        while opinions.recount(self.db):
            pass
        items = self.all_contributions()
        with self.db.store.read() as tx:
            ids = [item.id for item in items]
            opinions_by_id, cases_by_id = tx.opinions.current(ids), tx.cases.by_contribution(ids)
        for item in items:
            assert item.standing is standing(opinions_by_id.get(item.id, ()), ruling(cases_by_id.get(item.id, ())))

    @rule()
    def a_report_and_the_console_show_the_same_precision(self) -> None:
        while opinions.recount(self.db):
            pass
        report = reports.transparency(self.db, COMMAND_LINE, None, None, form="json")
        shown = {row.member: row.precision for row in overviews.members(self.db, COMMAND_LINE, 30)}
        assert report.precision == {member: precision for member, precision in shown.items() if precision.count}

    def teardown(self) -> None:
        if hasattr(self, "members"):
            self.a_report_and_the_console_show_the_same_precision()
            self.verification_finds_nothing()
            self.all_active_contributions_match_and_no_others()
            self.recounted_standings_follow_from_opinions_and_decisions()
            self.copies_equal_the_service_once_all_events_are_emitted()
            self.verification_finds_nothing()
        self.db.close()
        self.folder.cleanup()


TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
