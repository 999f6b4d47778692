"""GET /v1/reports/transparency: the figures can be computed from the log, and are the same each time."""

from __future__ import annotations

import csv
import io
import json
import random
from contextlib import suppress
from datetime import timedelta
from itertools import count
from typing import Any

import pytest

from hashdb.domain.accounts.members import (
    COMMAND_LINE,
    Actor,
    MemberChange,
    MemberDraft,
    MemberKind,
    MemberStatus,
    Scope,
)
from hashdb.domain.review.cases import CaseState, Decision, OpinionDraft, Stance
from hashdb.errors import HashDBError
from hashdb.service.accounts import members
from hashdb.service.contributions import contributions
from hashdb.service.matching import matches
from hashdb.service.review import cases, opinions
from hashdb.service.stats import counts, refusals
from tests.builders import USUAL, contributed, draft, key_of, near, query, signal
from tests.web import recomputed
from tests.web.callers import Caller, Service, body, faults, problem

URL = "/v1/reports/transparency"
FIRST, LAST = "2026-11-22", "2026-11-26"
PERIOD = f"{URL}?from={FIRST}&to={LAST}"


@pytest.fixture
def auditor(service: Service) -> Caller:
    """A caller with scope `audit`."""
    return service.caller(Scope.AUDIT)


class History:
    """Ten days of random actions of every kind, the same ones in every run."""

    def __init__(self, service: Service) -> None:
        self.db, self.clock, self.rng = service.db, service.clock, random.Random(7)
        kinds = [MemberKind.PLATFORM, MemberKind.PLATFORM, MemberKind.TRUSTED_FLAGGER]
        added = [
            members.add(self.db, COMMAND_LINE, MemberDraft(f"Contributor {n}", kind)).id for n, kind in enumerate(kinds)
        ]
        self.actors = [key_of(self.db, member, *USUAL) for member in added]
        self.deciders = [COMMAND_LINE, key_of(self.db, added[0], Scope.REVIEW)]
        self.contributed: list[tuple[int, Actor, int]] = []
        self.seeds = count()
        actions = [
            self.contribute,
            self.match,
            self.match,
            self.withdraw_or_erase,
            self.give_opinion,
            self.give_opinion,
            self.open_case,
            self.decide,
            self.record_refusals,
        ]
        for _ in range(10):
            for _ in range(self.rng.randint(30, 45)):
                self.clock.advance(seconds=self.rng.randint(1, 1500))
                self.rng.choice(actions)()
            counts.flush(self.db)
            self.clock.at = (self.clock.at + timedelta(days=1)).replace(hour=1)
            contributions.emit_pending(self.db)
            counts.seal(self.db)

    def contribute(self) -> None:
        actor, seed, now = self.rng.choice(self.actors), next(self.seeds), self.clock.at
        removed = now - timedelta(seconds=self.rng.randint(0, 200_000))
        item = draft(
            seed,
            removed_at=self.rng.choice([None, removed]),
            notified_at=self.rng.choice([None, removed - timedelta(seconds=self.rng.randint(0, 9000))]),
            labels=tuple(self.rng.sample(["glorification", "manifesto", "incitement"], 2)),
            basis=self.rng.choice([None, "terms", "removal_order"]),
            expires_at=self.rng.choice([None, None, now + timedelta(days=2)]),
        )
        self.contributed.append((contributed(self.db, actor, item)[0].id, actor, seed))

    def match(self) -> None:
        seed = self.rng.choice(self.contributed)[2] if self.contributed and self.rng.random() < 0.7 else 9999
        matches.match(self.db, self.rng.choice(self.actors), [query(near(signal(seed), 8))])

    def withdraw_or_erase(self) -> None:
        if not self.contributed:
            return
        id, actor, _ = self.rng.choice(self.contributed)
        try:
            if self.rng.random() < 0.3:
                contributions.erase(self.db, actor, id)
            else:
                contributions.withdraw(self.db, actor, id, self.rng.choice(["other", "removal_reversed"]))
        except HashDBError:
            status = self.rng.choice([MemberStatus.SUSPENDED, MemberStatus.ACTIVE])
            members.change(self.db, COMMAND_LINE, 3, MemberChange(status=status))
            contributions.emit_pending(self.db)
            opinions.recount(self.db)

    def give_opinion(self) -> None:
        if not self.contributed:
            return
        id, _, _ = self.rng.choice(self.contributed)
        stance, reason = self.rng.choice([(Stance.CONFIRMS, None), (Stance.DISPUTES, "edsa_context")])
        with suppress(HashDBError):
            opinions.give(self.db, self.rng.choice(self.actors), id, OpinionDraft(stance, reason))

    def open_case(self) -> None:
        if not self.contributed:
            return
        id, _, _ = self.rng.choice(self.contributed)
        with suppress(HashDBError):
            cases.open_case(self.db, COMMAND_LINE, id, "edsa_context", holds=self.rng.random() < 0.5)

    def decide(self) -> None:
        for case in cases.page(self.db, COMMAND_LINE, CaseState.OPEN, 0, 100):
            if self.rng.random() < 0.5:
                decision = self.rng.choice([Decision.UPHOLD, Decision.UPHOLD, Decision.QUARANTINE, Decision.RETIRE])
                cases.decide(self.db, self.deciders[case.id % 2], case.id, decision)
                self.decide_again(case.contribution, Decision.QUARANTINE if decision is Decision.UPHOLD else decision)

    def decide_again(self, contribution: int, decision: Decision) -> None:
        if contribution % 2 == 0:
            with suppress(HashDBError):
                again = cases.open_case(self.db, COMMAND_LINE, contribution, "other", holds=False)
                cases.decide(self.db, self.deciders[again.id % 2], again.id, decision)

    def record_refusals(self) -> None:
        refusals.note_contribution(self.db, self.rng.choice(self.actors), HashDBError())
        with suppress(HashDBError):
            members.authenticate(self.db, self.rng.choice(["", "hdb_x"]))


def _events(auditor: Caller) -> list[Any]:
    """All events of the log."""
    events: list[Any] = []
    after: int | None = 0
    while after is not None:
        page = body(auditor.get(f"/v1/events?limit=1000&after={after}"))
        events += page["events"]
        after = page["next"]
    return events


def test_the_figures_equal_those_computed_from_the_log(service: Service, auditor: Caller) -> None:
    History(service)
    report = body(auditor.get(PERIOD))
    events = _events(auditor)
    days = [body(auditor.get(f"/v1/counts?day=2026-11-{day}"))["lines"] for day in range(22, 27)]
    counted = recomputed.counted(days)
    assert report["final"] is True
    assert report["contributions"] == recomputed.contributions(events, FIRST, LAST)
    assert report["contributions"]["added"] > 5 and report["contributions"]["withdrawn"]
    for name in ("time_to_remove", "time_to_share"):
        seconds = name.replace("time", "seconds")
        assert report[name] == recomputed.times(events, seconds, FIRST, LAST)
        assert report[name]["trusted_flagger"]["count"] and report[name]["others"]["count"]
    assert report["reviews"] == recomputed.reviews(events, FIRST, LAST)
    assert report["reviews"]["time_to_decide"]["count"]
    assert 0 < sum(report["reviews"]["disputes_decided"].values()) < sum(report["reviews"]["cases_decided"].values())
    assert report["deciders"] == recomputed.deciders(events, FIRST, LAST)
    assert len(report["deciders"]) == 2
    assert any(0 < figures["reversed"] < figures["again"] for figures in report["deciders"].values())
    assert report["precision"] == recomputed.precision(events, FIRST, LAST)
    assert {bool(figures["confirmed"] and figures["disputed"]) for figures in report["precision"].values()} == {True}
    assert {name: report[name] for name in counted} == counted
    all_matches = counted["matches"]["by_algorithm"]["any"]
    assert report["reappearances"]["others"] == all_matches["matches_others"] > 0
    assert report["size"] == max(event["seq"] for event in events if event["at"][:10] <= LAST)


def test_later_events_do_not_change_the_report_of_a_period(service: Service, auditor: Caller) -> None:
    history = History(service)
    texts = {form: auditor.get(PERIOD, headers={"Accept": form}).text for form in ("application/json", "text/csv")}
    for id, actor, _ in history.contributed:
        with suppress(HashDBError):
            contributions.erase(service.db, actor, id)
    history.match()
    counts.flush(service.db)
    for form, text in texts.items():
        assert auditor.get(PERIOD, headers={"Accept": form}).text == text


def test_a_reappearance_is_counted_as_caught_once_with_its_time(service: Service, auditor: Caller) -> None:
    actors = [key_of(service.db, service.caller(name=name).member, *USUAL) for name in ("A", "B", "C")]
    contributed(service.db, actors[0], draft(1), draft(2), draft(3))
    for hours, actor, seed in ((1, actors[0], 1), (2, actors[1], 1), (3, actors[2], 1), (24, actors[1], 2)):
        service.clock.at = service.clock.at.replace(day=20, hour=12) + timedelta(hours=hours)
        matches.match(service.db, actor, [query(seed)])
        counts.flush(service.db)
    figures = body(auditor.get(f"{URL}?from=2026-11-20&to=2026-11-20"))["reappearances"]
    assert (figures["own"], figures["others"], figures["caught"]) == (1, 2, 1)
    assert figures["time_to_first_catch"] | {"within_24h": 1.0} == {
        "count": 1,
        "median": 7200,
        "p90": 7200,
        "within_1h": 0.0,
        "within_24h": 1.0,
    }
    assert body(auditor.get(f"{URL}?from=2026-11-21"))["reappearances"]["caught"] == 1


def test_a_report_is_returned_as_json_csv_or_html(auditor: Caller) -> None:
    forms = {
        "*/*": "application/json",
        "application/json": "application/json",
        "text/csv": "text/csv; charset=utf-8",
        "text/html,application/xhtml+xml,*/*;q=0.8": "text/html; charset=utf-8",
        "application/pdf": "application/json",
    }
    for accept, content_type in forms.items():
        assert auditor.get(URL, headers={"Accept": accept}).content_type == content_type
    report = json.loads(auditor.get(URL).text)
    rows = dict(list(csv.reader(io.StringIO(auditor.get(URL, headers={"Accept": "text/csv"}).text)))[1:])
    assert rows["contributions.added"] == str(report["contributions"]["added"])
    assert rows["time_to_share.all.median"] == ""
    assert rows["final"] == "false"


def test_a_report_is_logged(service: Service, auditor: Caller) -> None:
    auditor.get(PERIOD, headers={"Accept": "text/csv"})
    (event,) = body(auditor.get("/v1/events?action=report.exported"))["events"]
    assert (event["actor"], event["subject"]) == (f"key:{auditor.key}", "report:20261126")
    assert event["details"] == {"from": FIRST, "to": LAST, "form": "csv"}


def test_a_report_is_final_only_when_all_its_days_are_sealed(service: Service, auditor: Caller) -> None:
    assert body(auditor.get(URL))["final"] is False
    key_of(service.db, 1, Scope.MATCH)
    matches.match(service.db, key_of(service.db, 1, Scope.MATCH), [query(1)])
    counts.flush(service.db)
    service.clock.advance(days=1)
    address = f"{URL}?to=2026-11-20"
    assert body(auditor.get(address))["final"] is False
    counts.seal(service.db)
    assert body(auditor.get(address))["final"] is True
    assert body(auditor.get(address))["from"] == "2026-11-20"


def test_reports_need_the_scope_audit_and_a_valid_period(platform: Caller, auditor: Caller) -> None:
    problem(platform.get(URL), 403, "scope-missing")
    assert set(faults(auditor.get(f"{URL}?from=x&to=2026-02-30&by=1"))) == {"from", "to", "by"}
    assert faults(auditor.get(f"{URL}?from=2026-11-02&to=2026-11-01")) == {"to": "must not be before from"}
    assert body(auditor.get(f"{URL}?from=0001-01-01&to=9999-12-31"))["final"] is False
