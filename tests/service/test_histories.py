"""Any history of verbs: readers' copies, matches and the service agree on what is active, and so does the log."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

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
SAID = [OpinionDraft(Stance.CONFIRMS), OpinionDraft(Stance.DISPUTES, "other")]
hours = st.integers(1, 5)
whoever = st.integers(0, 1)
some = st.integers(0, 10_000)


class Histories(RuleBasedStateMachine):
    """Two members that contribute pictures, videos and texts and do as they please, a clock, and two readers."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = Clock()
        self.db: HashDB = hashdb(f"sqlite:///{self.folder.name}/hashdb.sqlite", self.clock)
        self.slow, self.quick = Copy(), Copy()

    @initialize()
    def begin(self) -> None:
        """Take the two members in."""
        self.members, self.secrets = [], []
        for name in ("One", "Two"):
            member = members.add(self.db, COMMAND_LINE, MemberDraft(name, MemberKind.PLATFORM))
            self.members.append(member.id)
            key = members.issue_key(self.db, COMMAND_LINE, member.id, KeyDraft(frozenset(USUAL)))
            self.secrets.append(key.secret)

    def actor(self, who: int) -> Actor:
        return members.authenticate(self.db, self.secrets[who])

    def everything(self) -> tuple[Contribution, ...]:
        return contributions.page(self.db, COMMAND_LINE, Filter(), 0, 1_000)

    def one_of(self, who: int, choice: int) -> int | None:
        theirs = [one.id for one in self.everything() if one.member == self.members[who]]
        return theirs[choice % len(theirs)] if theirs else None

    @rule(who=whoever, seeds=st.lists(st.sampled_from(SEEDS), min_size=1, max_size=3), ends=st.none() | hours)
    def contribute(self, who: int, seeds: list[int], ends: int | None) -> None:
        at = None if ends is None else self.clock() + timedelta(hours=ends)
        try:
            drafts = [MAKERS[seed % len(MAKERS)](seed, expires_at=at) for seed in seeds]
            contributions.contribute(self.db, self.actor(who), drafts)
        except MemberSuspended:
            assert self.status(who) is MemberStatus.SUSPENDED

    @rule(who=whoever, choice=some, severity=st.integers(0, 4), ends=st.none() | hours)
    def amend(self, who: int, choice: int, severity: int, ends: int | None) -> None:
        at = None if ends is None else self.clock() + timedelta(hours=ends)
        self.attempt(contributions.amend, who, choice, Amendment(severity=severity, expires_at=at))

    @rule(who=whoever, choice=some)
    def withdraw(self, who: int, choice: int) -> None:
        self.attempt(contributions.withdraw, who, choice, "other")

    @rule(who=whoever, choice=some)
    def erase(self, who: int, choice: int) -> None:
        self.attempt(contributions.erase, who, choice)

    @rule(who=whoever, choice=some, said=st.sampled_from(SAID))
    def give_opinion(self, who: int, choice: int, said: OpinionDraft) -> None:
        id = self.one_of(1 - who, choice)
        if id is not None:
            with suppress(MemberSuspended, NotActive, NotFound):
                opinions.give(self.db, self.actor(who), id, said)

    @rule(choice=some, decision=st.sampled_from(Decision))
    def decide(self, choice: int, decision: Decision) -> None:
        left = cases.page(self.db, COMMAND_LINE, CaseState.OPEN, 0, 1_000)
        if left:
            cases.decide(self.db, COMMAND_LINE, left[choice % len(left)].id, decision)

    @rule(choice=some)
    def hold(self, choice: int) -> None:
        id = self.one_of(choice % 2, choice)
        if id is not None:
            with self.db.store.begin() as tx:
                found, now = tx.contributions.one(id, self.clock(), lock=True), self.clock()
                tx.audit.append(now, SYSTEM, cases.hold(tx, self.db.rules, [found], Cause.FLOOD, now))

    @rule(limit=st.integers(1, 3))
    def recount(self, limit: int) -> None:
        opinions.recount(self.db, limit)

    def attempt(self, verb: object, who: int, choice: int, *rest: object) -> None:
        id = self.one_of(who, choice)
        if id is not None:
            with suppress(MemberSuspended, NotActive, AlreadyWithdrawn):
                verb(self.db, self.actor(who), id, *rest)  # type: ignore[operator]

    def status(self, who: int) -> MemberStatus:
        return members.get(self.db, COMMAND_LINE, self.members[who]).status

    @rule(who=whoever, status=st.sampled_from(MemberStatus))
    def set_status(self, who: int, status: MemberStatus) -> None:
        members.change(self.db, COMMAND_LINE, self.members[who], MemberChange(status=status))

    @rule(by=hours)
    def go_on(self, by: int) -> None:
        self.clock.go(hours=by)

    @rule(limit=st.integers(1, 3))
    def announce(self, limit: int) -> None:
        contributions.emit_pending(self.db, limit)

    @rule(limit=st.integers(1, 4), times=st.integers(1, 2))
    def read_on(self, limit: int, times: int) -> None:
        self.slow.read(self.db, SYSTEM, limit, times=times)

    @invariant()
    def a_reader_at_the_head_holds_what_a_new_one_does(self) -> None:
        if hasattr(self, "members"):
            self.quick.follow(self.db, SYSTEM)
            fresh = Copy()
            fresh.follow(self.db, SYSTEM, 7)
            assert self.quick.contributions == fresh.contributions

    @rule()
    def matches_are_what_is_active(self) -> None:
        active = [one for one in self.everything() if one.status is Status.ACTIVE and one.standing.matches]
        asked = [query(seed) for seed in SEEDS] + [excerpt(words(seed, 60)) for seed in SEEDS]
        answer = matches.match(self.db, SYSTEM, asked)
        found = {match.contribution for result in answer.results for match in result.matches}
        assert found == {one.id for one in active}

    @rule()
    def a_verification_finds_nothing(self) -> None:
        assert verify(self.db, COMMAND_LINE).findings == ()

    @rule()
    def all_announced_copies_are_the_truth(self) -> None:
        while contributions.emit_pending(self.db) or opinions.recount(self.db):
            pass
        everything = self.everything()
        truth = {one.id: one for one in everything if one.status is Status.ACTIVE and one.standing.matches}
        whole = {id: replace(one, frames=contributions.frames(self.db, COMMAND_LINE, id)) for id, one in truth.items()}
        for copy in (self.quick, self.slow):
            copy.follow(self.db, SYSTEM, 3)
            assert copy.contributions == {id: one.shown(signals=True, reference=False) for id, one in whole.items()}

    @rule()
    def all_recounted_standings_are_what_opinions_and_decisions_add_up_to(self) -> None:
        while opinions.recount(self.db):
            pass
        everything = self.everything()
        with self.db.store.read() as tx:
            ids = [one.id for one in everything]
            said, ruled = tx.opinions.current(ids), tx.cases.by_contribution(ids)
        for one in everything:
            assert one.standing is standing(said.get(one.id, ()), ruling(ruled.get(one.id, ())))

    @rule()
    def a_report_on_all_days_and_the_console_agree_on_precision(self) -> None:
        while opinions.recount(self.db):
            pass
        report = reports.transparency(self.db, COMMAND_LINE, None, None, form="json")
        shown = {one.member: one.precision for one in overviews.members(self.db, COMMAND_LINE, 30)}
        assert report.precision == {member: one for member, one in shown.items() if one.count}

    def teardown(self) -> None:
        if hasattr(self, "members"):
            self.a_report_on_all_days_and_the_console_agree_on_precision()
            self.a_verification_finds_nothing()
            self.matches_are_what_is_active()
            self.all_recounted_standings_are_what_opinions_and_decisions_add_up_to()
            self.all_announced_copies_are_the_truth()
            self.a_verification_finds_nothing()
        self.db.close()
        self.folder.cleanup()


TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
